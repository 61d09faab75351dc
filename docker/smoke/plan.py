"""The request, and the checks that follow from it. Pure: nothing here reads or changes the machine."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field

SCHEMA = 1
MODES = ("quick", "full", "native")


class BadRequest(ValueError):
    """The request is invalid. The text says what is wrong."""


@dataclass(frozen=True)
class Request:
    nonce: str
    arch: str
    mode: str
    gpus: int | None
    gpu: bool
    dataset: str | None
    seconds: float
    torch: str | None

    @property
    def seed(self) -> int:
        """A seed below 2^31, which every random generator accepts."""
        return int(hashlib.sha256(self.nonce.encode()).hexdigest()[:8], 16) & 0x7FFFFFFF

    @property
    def nonce32(self) -> int:
        return int(self.nonce[:8], 16)


def parse_request(text: str) -> Request:
    try:
        asked = json.loads(text)
    except ValueError as err:
        raise BadRequest(f"the request is not JSON: {err}") from err
    if not isinstance(asked, dict) or asked.get("schema") != SCHEMA:
        raise BadRequest(f"the request is not of schema {SCHEMA}")

    def take(key, fits, what):
        value = asked.get(key)
        if not fits(value):
            raise BadRequest(f"`{key}` must be {what}, and is `{value!r}`")
        return value

    def text_or_none(value):
        return value is None or isinstance(value, str)

    return Request(
        nonce=take("nonce", lambda v: isinstance(v, str) and re.fullmatch("[0-9a-f]{24}", v), "24 hex digits"),
        arch=take("arch", lambda v: isinstance(v, str) and re.fullmatch(r"\d+\.\d[af]?", v), "like `12.0`"),
        mode=take("mode", lambda v: v in MODES, "one of " + ", ".join(MODES)),
        gpus=take("gpus", lambda v: v is None or (type(v) is int and v >= 0), "a count or null"),
        gpu=take("gpu", lambda v: isinstance(v, bool), "true or false"),
        dataset=take("dataset", text_or_none, "a path or null"),
        seconds=float(take("seconds", lambda v: type(v) in (int, float) and v > 0, "a number of seconds")),
        torch=take("torch", text_or_none, "a version or null"),
    )


@dataclass(frozen=True)
class Check:
    """One line of the report. `seconds` is the time limit of this check alone: a hung check costs no more."""

    id: str
    needs_gpu: bool = True
    seconds: float = 60
    # Checks of the same group that must have passed before this one can run.
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """Checks that share one supervised child. With `after_torch` the process that imported torch forks the child."""

    name: str
    checks: tuple[Check, ...]
    after_torch: bool = False
    modes: tuple[str, ...] = field(default=("quick", "full"))


def _gpu(names: str, seconds: float = 60, needs: tuple[str, ...] = ()) -> tuple[Check, ...]:
    return tuple(Check(name, True, seconds, needs) for name in names.split())


_DRIVER = ("driver.present",)
_NATIVE = (Check("driver.present"), *_gpu("native.code", 60, _DRIVER))
_HEALTH = _gpu("health.ecc health.throttle pcie.link", 15, _DRIVER)
_GPU = (
    Check("driver.version"),
    Check("devices.count", seconds=90),
    *_gpu("devices.served versions.cudnn"),
    *_gpu("transfer.pageable transfer.pinned matmul.fp32 matmul.tf32 matmul.fp16 matmul.bf16"),
    *_gpu("conv2d.forward conv2d.backward attention.default attention.flash speed.matmul speed.copy"),
)
_FULL = (
    *_gpu("compile.torch", 180),
    *_gpu("extension.nvcc", 240),
)
# timm takes as long to import as torch, so one child imports it, in parallel with the numerics.
_MODELS = (Check("einops.rearrange", False), Check("timm.cpu", False), Check("timm.gpu"))
_VIDEO = (
    Check("ffmpeg.present", False, 20),
    Check("shm.size", False, 5),
    Check("decord.owner", False, 30),
    *(Check("decord." + name, False, 30) for name in ("vp9", "h264", "dataset")),
    # An error proves that damage was noticed only if the undamaged clip gives none.
    Check("decord.corrupt", False, 30, ("decord.vp9",)),
)

GROUPS = (
    Group("native", (Check("driver.present"), *_gpu("devices.served native.code", 60, _DRIVER)), modes=("native",)),
    Group("native", (*_NATIVE, *_HEALTH)),
    Group("video", _VIDEO),
    Group("torch", (Check("versions.torch", False, 150),)),
    Group("gpu", _GPU, after_torch=True),
    Group("aten", _gpu("aten.native", 90), after_torch=True),
    Group("nccl", _gpu("nccl.all-reduce", 90), after_torch=True),
    Group("models", _MODELS, after_torch=True),
    Group("loading", (Check("dataloader.workers", False),), after_torch=True),
    Group("full", _FULL, after_torch=True, modes=("full",)),
    Group("nvdec", _gpu("decoder.nvdec"), modes=("full",)),
)


def groups_of(request: Request) -> tuple[Group, ...]:
    return tuple(group for group in GROUPS if request.mode in group.modes)


def split(request: Request) -> tuple[tuple[Group, ...], tuple[Check, ...]]:
    """The groups to run, and the checks that this request leaves out."""
    run, left_out = [], []
    for group in groups_of(request):
        wanted = tuple(check for check in group.checks if request.gpu or not check.needs_gpu)
        left_out += [check for check in group.checks if check not in wanted]
        if wanted:
            run.append(Group(group.name, wanted, group.after_torch, group.modes))
    return tuple(run), tuple(left_out)
