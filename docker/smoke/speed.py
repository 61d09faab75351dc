"""Speed, measured by the clock of the device. It is reported and not required; only a wrong device is a failure."""

from __future__ import annotations

from smoke.child import Failed, Run
from smoke.tensors import cuda_devices, on

SIDE, ROUNDS = 4096, 12
BYTES = 64 << 20


def seconds(torch, device, work, rounds: int) -> float:
    """The seconds of one round, after a warm-up round that is not counted."""
    with torch.cuda.device(device):
        work()
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(rounds):
            work()
        end.record()
        end.synchronize()
        took = begin.elapsed_time(end) / 1000 / rounds
    if not took > 0:
        raise Failed(f"{device} measured no time for its work")
    return took


def check_matmul(_: Run):
    import torch

    found = []
    for device in cuda_devices(torch):
        a, b = (on(torch.randn(SIDE, SIDE, device=device, dtype=torch.bfloat16), device) for _ in range(2))
        out = torch.empty_like(a)
        took = seconds(torch, device, lambda: torch.matmul(a, b, out=out), ROUNDS)
        found.append(round(2 * SIDE**3 / took / 1e12, 1))
    return "bf16 " + ", ".join(f"{speed:g} TFLOP/s" for speed in found), {"tflops": found, "side": SIDE}


def check_copy(_: Run):
    import torch

    found = []
    for device in cuda_devices(torch):
        here = torch.empty(BYTES, dtype=torch.uint8, pin_memory=True)
        there, other = (on(torch.empty(BYTES, dtype=torch.uint8, device=device), device) for _ in range(2))
        ways = {
            "to_device": lambda: there.copy_(here, non_blocking=True),
            "to_host": lambda: here.copy_(there, non_blocking=True),
            "on_device": lambda: other.copy_(there, non_blocking=True),
        }
        found.append({name: round(BYTES / seconds(torch, device, work, 4) / 1e9, 1) for name, work in ways.items()})
    words = ", ".join(f"{one['to_device']:g} in, {one['to_host']:g} out, {one['on_device']:g} inside" for one in found)
    return f"GB/s: {words}", {"gb_per_s": found, "bytes": BYTES}


CHECKS = {"speed.matmul": check_matmul, "speed.copy": check_copy}
