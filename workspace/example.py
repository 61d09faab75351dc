"""Reads a few clips of Something-Something V2 and runs a model on them.

    python3 example.py [DIRECTORY] [--clips N] [--frames N]

It shows that the pieces work together: the read-only data set, decord, timm, and the GPU where
there is one. The model's weights are random, so nothing is downloaded and its answers mean nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import timm
import torch
from decord import VideoReader, cpu
from einops import rearrange

CLIP_SUFFIXES = (".webm", ".mp4")
# SSv2 has 220,847 clips in one directory. What is looked at is bounded, whatever is there.
MAX_ENTRIES = 10_000
# What ImageNet models expect.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def find_clips(directory: Path, depth: int = 2) -> Iterator[Path]:
    """Clips in `directory` and up to `depth` levels below it, without walking it whole."""
    seen = 0
    todo = [(directory, depth)]
    while todo:
        current, left = todo.pop(0)
        with os.scandir(current) as entries:
            for entry in entries:
                seen += 1
                if seen > MAX_ENTRIES:
                    return
                if entry.name.endswith(CLIP_SUFFIXES) and entry.is_file():
                    yield Path(entry.path)
                elif left > 0 and entry.is_dir(follow_symlinks=False):
                    todo.append((Path(entry.path), left - 1))


def read_frames(clip: Path, count: int, size: int) -> torch.Tensor:
    """`count` frames, evenly spread over the clip: frames, colours, height, width."""
    # One thread: decord's own pool costs more than it gains on clips of a few seconds.
    reader = VideoReader(str(clip), ctx=cpu(0), width=size, height=size, num_threads=1)
    wanted = torch.linspace(0, len(reader) - 1, count).round().int().tolist()
    frames = torch.from_numpy(reader.get_batch(wanted).asnumpy())
    return rearrange(frames, "t h w c -> t c h w")


def arguments() -> argparse.Namespace:
    def positive(text: str) -> int:
        if (number := int(text)) < 1:
            raise ValueError
        return number

    parser = argparse.ArgumentParser(description="Run a small model on a few clips.")
    parser.add_argument("directory", nargs="?", type=Path, default=Path("/datasets/ssv2"))
    parser.add_argument("--clips", type=positive, default=4, metavar="N")
    parser.add_argument("--frames", type=positive, default=8, metavar="N")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    clips = []
    try:
        for clip in find_clips(args.directory):
            clips.append(clip)
            if len(clips) == args.clips:
                break
    except OSError as err:
        sys.exit(f"error: cannot read `{err.filename}`: {err.strerror}")
    if not clips:
        sys.exit(
            f"error: no clip (*.webm or *.mp4) in `{args.directory}` or two levels below it\n"
            "hint: is this the directory with the unpacked videos? give another as the argument"
        )

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU, using the CPU"
    print(f"device: {device.type} ({name})")

    torch.manual_seed(0)
    model = timm.create_model("resnet18", pretrained=False).to(device).eval()
    mean = torch.tensor(MEAN, device=device).view(1, 3, 1, 1)
    std = torch.tensor(STD, device=device).view(1, 3, 1, 1)

    failed = 0
    for clip in clips:
        start = time.perf_counter()
        try:
            frames = read_frames(clip, args.frames, size=224)
        except Exception as err:  # decord has no base class of its own for its errors
            failed += 1
            print(f"{clip.name}: cannot decode: {err}", file=sys.stderr)
            continue
        pixels = (frames.to(device).float() / 255 - mean) / std
        with torch.inference_mode():
            # One answer for the clip: the mean over its frames.
            scores = model(pixels).mean(dim=0).softmax(dim=0)
        best = int(scores.argmax())  # waits for the GPU
        milliseconds = 1000 * (time.perf_counter() - start)
        print(
            f"{clip.name}: {len(frames)} frames, mean brightness {frames.float().mean():.1f}, "
            f"class {best} ({scores[best]:.4f}), {milliseconds:.0f} ms"
        )
    if failed:
        sys.exit(f"error: {failed} of {len(clips)} clips could not be decoded")


if __name__ == "__main__":
    main()
