"""ffmpeg encodes clips and decord reads every frame, in sequence and at random. Damage of a clip must be noticed."""

from __future__ import annotations

import importlib.metadata
import os
import random
import shutil
import subprocess
from pathlib import Path

from smoke import clips
from smoke.child import Failed, Run, Skip

SHM_LEAST = 64 << 20  # the default of a container, which is too little for workers
VIDEOS = (".webm", ".mp4", ".mkv", ".avi", ".mov")
LOOKED_AT = 4000  # directory entries of a data set, at most
CODECS = {
    "vp9": ("clip.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 0 -crf 30"),
    "h264": ("clip.mp4", "-c:v libx264 -preset veryfast -crf 23"),
}
ENCODE = "-y -loglevel error -nostdin -threads 2 -f rawvideo -pix_fmt rgb24 -s {size} -r {rate} -i {source}"


def ffmpeg() -> str:
    found = shutil.which("ffmpeg")
    if not found:
        raise Failed("`ffmpeg` is not on PATH")
    return found


def ffmpeg_run(*args: str, seconds: float = 20) -> bytes:
    argv = [ffmpeg(), "-loglevel", "error", "-nostdin", *args]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds)
    if done.returncode:
        raise Failed(f"ffmpeg failed with status {done.returncode}: {done.stderr.decode('utf-8', 'replace').strip()}")
    return done.stdout


def start_clips(run: Run) -> None:
    """Starts both encoders in the background. They end with this process, because they are in its process group."""
    if "encoders" in run.shared:
        return
    source = run.tmp / f"frames-{os.getpid()}.rgb"
    source.write_bytes(b"".join(clips.frame(run.request.seed, index) for index in range(clips.FRAMES)))
    head = ENCODE.format(size=f"{clips.WIDTH}x{clips.HEIGHT}", rate=clips.RATE, source=source)
    run.shared["encoders"] = {}
    for codec, (name, options) in CODECS.items():
        path = run.tmp / f"{os.getpid()}-{name}"
        argv = [ffmpeg(), *head.split(), *options.split(), "-pix_fmt", "yuv420p", "-g", "12", str(path)]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        run.shared["encoders"][codec] = (process, path)


def clip(run: Run, codec: str) -> Path:
    start_clips(run)
    process, path = run.shared["encoders"][codec]
    said = process.communicate()[0] if process.returncode is None else b""
    if process.returncode or not path.is_file():
        text = said.decode("utf-8", "replace").strip()
        raise Failed(f"ffmpeg cannot make the {codec} clip (status {process.returncode}): {text}")
    return path


def check_ffmpeg(run: Run):
    path = ffmpeg()
    start_clips(run)
    done = subprocess.run([path, "-version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=15)
    if done.returncode:
        raise Failed(f"`{path} -version` ended with status {done.returncode}: {done.stderr.strip()}")
    version = done.stdout.split("\n", 1)[0].removeprefix("ffmpeg version ").split(" ")[0]
    run.channel.send(versions={"ffmpeg": version})
    return f"ffmpeg {version}", {"path": path, "version": version}


def check_shm(_: Run):
    found = os.statvfs("/dev/shm")
    values = {"total": found.f_blocks * found.f_frsize, "free": found.f_bavail * found.f_frsize}
    if values["total"] <= SHM_LEAST:
        raise Failed(f"/dev/shm has {values['total'] >> 20} MiB: workers that load data need more than 64", values)
    return f"/dev/shm has {values['total'] >> 20} MiB, {values['free'] >> 20} free", values


def check_owner(run: Run):
    import decord
    import numpy

    run.channel.send(versions={"decord": decord.__version__, "numpy": numpy.__version__})
    owners = sorted(set(importlib.metadata.packages_distributions().get("decord", [])))
    values = {"owners": owners, "file": decord.__file__}
    if len(owners) != 1:
        raise Failed(f"the module `decord` is owned by {' and '.join(owners) or 'no distribution'}, not by one", values)
    version = importlib.metadata.version(owners[0])
    return f"{owners[0]} {version}", values | {"version": version}


def reader(path: Path):
    import decord

    return decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)


def frames(path: Path, order: list[int]) -> list[bytes]:
    return [one.tobytes() for one in reader(path).get_batch(order).asnumpy()]


def decoded_faults(path: Path, seed: int) -> list[str]:
    """What is wrong with a clip that was encoded here: its length, or frames read in sequence or at random."""
    video = reader(path)
    if len(video) != clips.FRAMES:
        return [f"{len(video)} frames of {clips.FRAMES}"]
    faults = []
    every = list(range(clips.FRAMES))
    shuffled = random.Random(seed).sample(every, clips.FRAMES)
    for way, order, pixels in (
        ("in sequence", every, frames(path, every)),
        ("at random", shuffled, (video[index].asnumpy().tobytes() for index in shuffled)),
        ("at random, in one batch", shuffled[:9] * 2, frames(path, shuffled[:9] * 2)),
    ):
        for index, data in zip(order, pixels, strict=True):
            if what := clips.fault(data, seed, index):
                faults.append(f"frame {index}, read {way}, {what}")
    return faults


def codec_check(codec: str):
    def check(run: Run):
        path = clip(run, codec)
        if faults := decoded_faults(path, run.request.seed):
            raise Failed(f"{len(faults)} frames are wrong: {faults[0]}", {"faults": faults[:8]})
        values = {"frames": clips.FRAMES, "bytes": path.stat().st_size, "seed": run.request.seed}
        return f"{clips.FRAMES} frames in sequence and at random, each the right one", values

    return check


def check_corrupt(run: Run):
    """Damage must lead to an error or to other frames. A decoder that hangs exceeds the time limit of the check."""
    whole = clip(run, "vp9").read_bytes()
    noisy = run.tmp / "noisy.webm"
    # The container format stays intact: only the pictures are damaged.
    ffmpeg_run("-i", str(clip(run, "vp9")), "-c", "copy", "-bsf:v", "noise=amount=40", "-y", str(noisy))
    damages = {
        "noisy": noisy.read_bytes(),
        "changed": clips.damaged(whole, run.request.seed),
        "cut": whole[: len(whole) // 2],
        "random": random.Random(run.request.seed).randbytes(20000),
    }
    seen = {}
    for name, data in damages.items():
        path = run.tmp / f"{name}.webm"
        path.write_bytes(data)
        try:
            faults = decoded_faults(path, run.request.seed)
        except Exception as err:
            seen[name] = f"{type(err).__name__}: {str(err).strip().splitlines()[-1][:200] if str(err) else ''}"
            continue
        if not faults:
            raise Failed(f"a clip with damage ({name}) was read as if it were whole", {"seen": seen})
        seen[name] = f"{len(faults)} faults: {faults[0]}"
    return "; ".join(f"{name}: {what.splitlines()[0]}" for name, what in seen.items()), {"seen": seen}


def some_video(root: str, seed: int) -> Path | None:
    """One of the first videos of a data set. The search is bounded."""
    found, left, waiting = [], LOOKED_AT, [root]
    while waiting and left > 0 and len(found) < 64:
        with os.scandir(waiting.pop(0)) as entries:
            for entry in entries:
                left -= 1
                if left <= 0:
                    break
                if entry.is_dir():
                    waiting.append(entry.path)
                elif entry.name.lower().endswith(VIDEOS):
                    found.append(entry.path)
    return Path(random.Random(seed).choice(sorted(found))) if found else None


def first_frame(path: Path, width: int, height: int) -> bytes:
    """The first frame as ffmpeg, the second witness, decodes it."""
    size = f"{width}x{height}"
    return ffmpeg_run("-i", str(path), "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-")


def check_dataset(run: Run):
    root = run.request.dataset
    if root is None:
        raise Skip("no data set is mounted")
    path = some_video(root, run.request.seed)
    if path is None:
        raise Failed(f"no video was found among the first {LOOKED_AT} entries of `{root}`")
    video = reader(path)
    height, width = video[0].shape[:2]
    got, want = video[0].asnumpy().tobytes(), first_frame(path, width, height)
    if len(got) != len(want):
        raise Failed(f"{path}: decord gives {len(got)} bytes for a frame, and ffmpeg {len(want)}")
    off = sum(abs(a - b) for a, b in zip(got[::97], want[::97])) / len(got[::97])
    values = {"path": str(path), "frames": len(video), "width": width, "height": height, "off": round(off, 3)}
    if off > 8:
        raise Failed(f"{path}: the first frame of decord and of ffmpeg differ by {off:.1f} of 255", values)
    last = video.get_batch([len(video) // 2, len(video) - 1]).asnumpy()
    if last.shape != (2, height, width, 3):
        raise Failed(f"{path}: later frames have the shape {last.shape}", values)
    return f"{path}: {len(video)} frames, {width}x{height}, the first as ffmpeg reads it", values


CHECKS = {
    "ffmpeg.present": check_ffmpeg,
    "shm.size": check_shm,
    "decord.owner": check_owner,
    "decord.vp9": codec_check("vp9"),
    "decord.h264": codec_check("h264"),
    "decord.dataset": check_dataset,
    "decord.corrupt": check_corrupt,
}
