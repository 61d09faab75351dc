"""Copies bytes to the device and back and compares every bit, also after an operation on the device."""

from __future__ import annotations

from smoke.child import Failed, Run
from smoke.tensors import cuda_devices, generator, on, synchronized

SIZE = (16 << 20) + 3
MASK = 0xA5


def round_trip(torch, device, source, pinned: bool, size: int = SIZE) -> int:
    data = torch.randint(0, 256, (size,), dtype=torch.uint8, generator=source)
    sent = data.pin_memory() if pinned else data
    there = on(sent.to(device, non_blocking=pinned), device)
    changed = on(there.bitwise_xor(MASK), device)
    back = [torch.empty(size, dtype=torch.uint8, pin_memory=pinned) for _ in range(2)]
    for target, tensor in zip(back, (there, changed)):
        target.copy_(tensor, non_blocking=pinned)
    synchronized(torch, device)
    compare(torch, data, *back)
    return size


def compare(torch, data, same, changed) -> None:
    for name, got, want in (("came back", same, data), ("was changed on the device", changed, data ^ MASK)):
        wrong = int((got != want).sum())
        if wrong:
            raise Failed(f"{wrong} of {data.numel()} bytes are wrong in what {name}")


def transfer_check(name: str, pinned: bool):
    def check(run: Run):
        import torch

        source = generator(torch, run, name)
        sizes = [round_trip(torch, device, source, pinned) for device in cuda_devices(torch)]
        return f"{sum(sizes)} bytes there and back, each bit the same", {"bytes": sizes, "seed": run.request.seed}

    return check


CHECKS = {
    "transfer.pageable": transfer_check("transfer.pageable", pinned=False),
    "transfer.pinned": transfer_check("transfer.pinned", pinned=True),
}
