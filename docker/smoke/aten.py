"""torch's own kernels, while the driver is forbidden to compile PTX. A kernel that runs here was therefore in torch's
libraries as native code for this device.

`CUDA_DISABLE_PTX_JIT` is set before any CUDA library is loaded (see `torch_server.py`).
"""

from __future__ import annotations

import os

from smoke import cuda, kernel, nvrtc, targets
from smoke.child import Failed, Run
from smoke.tensors import cuda_devices, generator, near, on, synchronized

SIZE = 300007
TOLERANCE = 1e-5


def compute(torch, device, source) -> list[dict]:
    """Compares integers exactly, and a chain of elementwise operations and reductions with fp64."""
    whole = torch.randint(-(1 << 30), 1 << 30, (SIZE,), generator=source)
    there = on(whole.to(device), device)
    pairs = (
        ("sum", there.sum(), whole.sum()),
        ("elementwise", (there * 2654435761) ^ (there >> 7), (whole * 2654435761) ^ (whole >> 7)),
        ("sort", there.sort().values, whole.sort().values),
        ("index", there[there.argmax()], whole[whole.argmax()]),
    )
    for name, got, want in pairs:
        if not torch.equal(on(got, device).cpu(), want):
            raise Failed(f"{name} of whole numbers is wrong on {device}")
    # These inputs are exact in fp32, so that every error comes from the operations.
    real = torch.rand((601, 499), generator=source, dtype=torch.float32)
    moved, real = on(real.to(device), device), real.double()
    found = []
    for name, function in (
        ("elementwise", lambda x: (x.sin() * x.exp() + x.sqrt()).tanh()),
        ("reduction", lambda x: x.softmax(-1).pow(2).sum(0)),
    ):
        found.append(near(torch, f"{name} on {device}", on(function(moved), device), function(real), TOLERANCE))
    synchronized(torch, device)
    return found


def refusal(arch: str) -> str:
    """The control experiment: whether the driver refuses, in this very process, a module that contains only PTX."""
    try:
        ptx = nvrtc.compiled(kernel.SOURCE, targets.sm(arch).replace("sm_", "compute_"))
        cuda.Driver().load(ptx)
    except cuda.CudaError as err:
        return f"refused: {err.name}"
    except (OSError, RuntimeError) as err:
        return f"not tried: {err}"
    return "accepted"


def check_native(run: Run):
    import torch

    if os.environ.get("CUDA_DISABLE_PTX_JIT") != "1" or "CUDA_FORCE_PTX_JIT" in os.environ:
        raise Failed("the environment does not forbid the driver to compile PTX")
    torch.cuda.init()
    source, devices = generator(torch, run, "aten"), cuda_devices(torch)
    measured = [found for device in devices for found in compute(torch, device, source)]
    control = refusal(run.request.arch)
    values = {"measured": measured, "seed": run.request.seed, "ptx_only_module": control}
    return f"ATen without PTX JIT on {len(devices)} device(s); a module of PTX alone: {control}", values


CHECKS = {"aten.native": check_native}
