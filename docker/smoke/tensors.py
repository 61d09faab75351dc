"""What every check with tensors shares: where a tensor must be, and how near to the reference.

The functions take the device, so that the same code is tried on a CPU by the tests; a run gives CUDA devices only.
"""

from __future__ import annotations

import random

from smoke.child import Failed, Skip

# One element may be off by this many times the tolerance of the whole, measured by the reference's own size.
WORST = 8


def device_count(torch) -> int:
    """As CUDA counts. `torch.cuda.device_count` asks NVML, which counts what CUDA may not show: MIG."""
    ask = getattr(torch._C, "_cuda_getDeviceCount", None)  # None: built without CUDA
    return ask() if ask else 0


def cuda_devices(torch) -> list:
    """All of them. A check that looks at none would pass for nothing: `devices.count` says why there is none."""
    found = [torch.device("cuda", index) for index in range(device_count(torch))]
    if not found:
        raise Skip("torch sees no device")
    return found


def on(tensor, device):
    """The tensor, which must be where it is asked to be: nothing falls back to the CPU."""
    if tensor.device != device:
        raise Failed(f"a tensor is on `{tensor.device}`, and must be on `{device}`")
    return tensor


def exact(torch) -> None:
    """No TF32 and no reductions in half precision, whatever the environment says."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False


def numbers(run, name: str) -> random.Random:
    """For sizes: the same for a nonce and a check, whatever ran before."""
    return random.Random(f"{run.request.seed} {name}")


def generator(torch, run, name: str):
    return torch.Generator(device="cpu").manual_seed(numbers(run, name).getrandbits(31))


def normal(torch, shape, source, dtype=None):
    """Random values on the CPU, in fp64, but such that `dtype` can hold them: the inputs then have no error."""
    values = torch.randn(shape, generator=source, dtype=torch.float64)
    return values.to(dtype).to(torch.float64) if dtype else values


def distance(torch, got, want) -> dict:
    """How far from the fp64 reference: as a whole, and in the worst element."""
    got = got.detach().to("cpu", torch.float64)
    if got.shape != want.shape:
        raise Failed(f"the result has the shape {tuple(got.shape)}, not {tuple(want.shape)}")
    if not bool(torch.isfinite(got).all()):
        raise Failed("the result has values that are not finite")
    size = float(want.pow(2).mean().sqrt())
    if not size > 0:
        raise Failed("the reference is all zero, which proves nothing")
    off = got - want
    return {"relative": float(off.pow(2).mean().sqrt()) / size, "worst": float(off.abs().max()) / size}


def near(torch, what: str, got, want, tolerance: float, worst: int = WORST) -> dict:
    found = distance(torch, got, want) | {"what": what, "tolerance": tolerance}
    if found["relative"] > tolerance or found["worst"] > worst * tolerance:
        raise Failed(
            f"{what} differs from fp64: relative error {found['relative']:.2e} (at most {tolerance:.0e}), "
            f"worst element {found['worst']:.2e} (at most {worst * tolerance:.0e})",
            {"measured": [found]},
        )
    return found


def summary(measured: list[dict], seed: int) -> tuple[str, dict]:
    most = max(measured, key=lambda one: one["relative"] / one["tolerance"])
    text = f"{len(measured)} results, relative error at most {most['relative']:.1e} of {most['tolerance']:.0e}"
    return text, {"measured": measured, "seed": seed}


def synchronized(torch, device) -> None:
    """Errors of a kernel come late: here they belong to the check that caused them."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
