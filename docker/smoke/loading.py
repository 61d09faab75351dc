"""A DataLoader with workers that fills more shared memory at one time than the 64 MB a container has by default."""

from __future__ import annotations

import os

from smoke.child import Failed, Run

WORKERS = 2
BATCHES = 6
WORDS = 4 << 20  # 16 MiB a batch, 96 MiB in total


class Words:
    """Item `i` is a row that depends on `i` and the seed. Its last word is the pid of the worker that computed it."""

    def __init__(self, seed: int, words: int = WORDS, batches: int = BATCHES):
        self.seed, self.words, self.batches = seed, words, batches

    def __len__(self) -> int:
        return self.batches

    def __getitem__(self, index: int):
        row = expected(self.seed, index, self.words)
        row[-1] = os.getpid()
        return row


def expected(seed: int, index: int, words: int):
    import torch

    return torch.arange(words, dtype=torch.int32).mul_(2 * index + 3).add_(seed % 65521)


def judge(rows, seed: int, words: int, batches: int, me: int) -> list[int]:
    """The workers that computed the rows. Raises where a row is wrong, not in shared memory, or from this process."""
    import torch

    workers = set()
    if len(rows) != batches:
        raise Failed(f"{len(rows)} of {batches} batches came")
    for index, row in enumerate(rows):
        if not row.is_shared():
            raise Failed(f"batch {index} did not come through shared memory")
        row = row.reshape(-1)
        workers.add(int(row[-1]))
        if not torch.equal(row[:-1], expected(seed, index, words)[:-1]):
            raise Failed(f"batch {index} is not what its worker made")
    if me in workers:
        raise Failed("a batch was made by the main process, not by a worker")
    return sorted(workers)


def check_workers(run: Run):
    from torch.utils.data import DataLoader

    data = Words(run.request.seed)
    loader = DataLoader(data, num_workers=WORKERS, multiprocessing_context="fork", timeout=40)
    rows = list(loader)  # all of them are held at the same time
    workers = judge(rows, data.seed, data.words, data.batches, os.getpid())
    if len(workers) != WORKERS:
        raise Failed(f"{len(workers)} of {WORKERS} workers worked")
    total = sum(row.numel() * row.element_size() for row in rows)
    return f"{total >> 20} MiB at once from {len(workers)} workers", {"bytes": total, "workers": len(workers)}


CHECKS = {"dataloader.workers": check_workers}
