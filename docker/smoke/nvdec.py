"""The device's own video decoder, through ffmpeg: named as a decoder, so that ffmpeg cannot take one of the CPU."""

from __future__ import annotations

import subprocess

from smoke import clips
from smoke.child import Failed, Run
from smoke.video import clip, ffmpeg

DECODERS = {"vp9": "vp9_cuvid", "h264": "h264_cuvid"}


def check_nvdec(run: Run):
    size = clips.WIDTH * clips.HEIGHT * 3
    for codec, decoder in DECODERS.items():
        argv = [ffmpeg(), "-loglevel", "error", "-nostdin", "-c:v", decoder, "-i", str(clip(run, codec))]
        argv += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=45)
        if done.returncode:
            raise Failed(f"{decoder}: {done.stderr.decode('utf-8', 'replace').strip()}")
        frames = [done.stdout[at : at + size] for at in range(0, len(done.stdout), size)]
        if len(frames) != clips.FRAMES:
            raise Failed(f"{decoder} gave {len(frames)} frames of {clips.FRAMES}")
        for index, pixels in enumerate(frames):
            if what := clips.fault(pixels, run.request.seed, index):
                raise Failed(f"{decoder}: frame {index} {what}")
    return f"{clips.FRAMES} frames each by {' and '.join(DECODERS.values())}", {"decoders": DECODERS}


CHECKS = {"decoder.nvdec": check_nvdec}
