"""An all-reduce over all devices with one process for each, as in training."""

from __future__ import annotations

import os
import time

from smoke import cuda
from smoke.child import Failed, Run, Skip, aside, raw
from smoke.tensors import synchronized

WORDS = 1 << 20
PRIME = 8191


def visible() -> int:
    """The number of devices, counted in another process: this one forks the ranks and must not initialise CUDA."""

    def count() -> int:
        driver = cuda.Driver()
        driver.init()
        return driver.count()

    return aside(count)


def term(torch, rank: int, device=None):
    """Integers that differ by rank and position, small enough that their sum is exact in fp32."""
    return ((torch.arange(WORDS, device=device) * (2 * rank + 1)) % PRIME).float()


def reduced(rank: int, world: int, meeting: str, backend: str = "nccl") -> None:
    """The work of one rank. Only the tests, which have no device, use another `backend`."""
    import torch
    import torch.distributed as dist

    device = torch.device("cuda", rank) if backend == "nccl" else torch.device("cpu")
    if backend == "nccl":
        torch.cuda.set_device(device)
    dist.init_process_group(backend, init_method=f"file://{meeting}", rank=rank, world_size=world)
    got = term(torch, rank, device)
    dist.all_reduce(got)
    synchronized(torch, device)
    if got.device != device or not torch.equal(got.cpu(), sum(term(torch, other) for other in range(world))):
        raise Failed(f"rank {rank} of {world} has a wrong sum")
    dist.destroy_process_group()


def rank_process(rank: int, world: int, meeting: str, writer: int) -> None:
    """Never returns."""
    try:
        reduced(rank, world, meeting)
        os._exit(0)
    except BaseException as err:
        os.write(writer, f"rank {rank}: {raw(err)}\n".encode()[:4000])
    finally:
        os._exit(1)


def check_all_reduce(run: Run):
    world = visible()
    if world < 2:
        raise Skip("one GPU" if world else "no GPU")
    reader, writer = os.pipe()
    ranks = {}
    for rank in range(world):
        pid = os.fork()
        if not pid:
            rank_process(rank, world, str(run.tmp / "nccl"), writer)
        ranks[pid] = rank
    os.close(writer)
    # The first rank that fails ends the check. The others would wait for it; they are killed with this process group.
    while ranks:
        pid, status = os.wait()
        rank = ranks.pop(pid, None)
        if rank is not None and status:
            os.set_blocking(reader, False)
            time.sleep(0.01)
            try:
                said = os.read(reader, 8000).decode("utf-8", "replace").strip()
            except BlockingIOError:
                said = ""
            raise Failed(said or f"rank {rank} ended with wait status {status}")
    return f"the sum over {world} devices is exact on each", {"world": world, "words": WORDS}


CHECKS = {"nccl.all-reduce": check_all_reduce}
