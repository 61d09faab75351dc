"""Shared by every check with tensors: on which device a tensor must be, and how close it must be to the reference.

The functions take the device as an argument, so that tests can run the same code on a CPU. A run passes only CUDA
devices.
"""

from __future__ import annotations

import random

from smoke.child import Failed, Skip

# One element may be off by this many times the tolerance of the whole, relative to the size of the reference.
WORST = 8


def device_count(torch) -> int:
    """The number of devices by CUDA. `torch.cuda.device_count` asks NVML, which counts differently with MIG."""
    ask = getattr(torch._C, "_cuda_getDeviceCount", None)  # missing in a torch without CUDA
    return ask() if ask else 0


def cuda_devices(torch) -> list:
    """All CUDA devices. Without one the check is skipped and does not pass; `devices.count` reports the reason."""
    found = [torch.device("cuda", index) for index in range(device_count(torch))]
    if not found:
        raise Skip("torch sees no device")
    return found


def on(tensor, device):
    """The tensor itself, if it is on this device: no fallback to the CPU is accepted."""
    if tensor.device != device:
        raise Failed(f"a tensor is on `{tensor.device}`, and must be on `{device}`")
    return tensor


def exact(torch) -> None:
    """Switches TF32 and reductions in half precision off, whatever the environment says."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False


def numbers(run, name: str) -> random.Random:
    """Random numbers for sizes. They depend on the nonce and the check alone, not on the checks before."""
    return random.Random(f"{run.request.seed} {name}")


def generator(torch, run, name: str):
    return torch.Generator(device="cpu").manual_seed(numbers(run, name).getrandbits(31))


def normal(torch, shape, source, dtype=None):
    """Random values in fp64 on the CPU that `dtype` represents exactly, so that the inputs have no error."""
    values = torch.randn(shape, generator=source, dtype=torch.float64)
    return values.to(dtype).to(torch.float64) if dtype else values


def distance(torch, got, want) -> dict:
    """The relative error against the fp64 reference, of the whole and of the worst element."""
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
    """Waits for the device. CUDA reports kernel errors late; this assigns them to the check that caused them."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
