"""The video decoder of the device, through ffmpeg. It is named explicitly, so that ffmpeg cannot use a CPU decoder."""

from __future__ import annotations

from smoke import clips
from smoke.child import Failed, Run
from smoke.video import clip, ffmpeg_run

DECODERS = {"vp9": "vp9_cuvid", "h264": "h264_cuvid"}


def check_nvdec(run: Run):
    size = clips.WIDTH * clips.HEIGHT * 3
    for codec, decoder in DECODERS.items():
        pixels = ffmpeg_run(
            "-c:v", decoder, "-i", str(clip(run, codec)), "-f", "rawvideo", "-pix_fmt", "rgb24", "-", seconds=45
        )
        frames = [pixels[at : at + size] for at in range(0, len(pixels), size)]
        if len(frames) != clips.FRAMES:
            raise Failed(f"{decoder} gave {len(frames)} frames of {clips.FRAMES}")
        for index, one in enumerate(frames):
            if what := clips.fault(one, run.request.seed, index):
                raise Failed(f"{decoder}: frame {index} {what}")
    return f"{clips.FRAMES} frames each by {' and '.join(DECODERS.values())}", {"decoders": DECODERS}


CHECKS = {"decoder.nvdec": check_nvdec}
