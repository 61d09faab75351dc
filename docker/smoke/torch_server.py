"""Imports torch once, and forks the groups that use it from there.

Nothing here may start CUDA: a fork of a process that has, cannot use it, and torch takes some mere questions for a
start. `CUDA_DISABLE_PTX_JIT` is set before any
library of CUDA is loaded, so that the child that proves ATen's own code has it for sure; the others unset it.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from smoke import child
from smoke.child import Channel, Failed, Run
from smoke.plan import Group, Request

MINIMUM = (2, 5)


def judge(version: str, wanted: str | None) -> str | None:
    """What is wrong with this version, if anything."""
    if wanted is not None and version != wanted:
        return f"torch is `{version}`, and the image was built with `{wanted}`"
    parts = version.split(".")
    if tuple(int(part) for part in parts[:2] if part.isdigit()) < MINIMUM:
        return f"torch `{version}` is older than {MINIMUM[0]}.{MINIMUM[1]}"
    return None


def arch_list(torch) -> list[str]:
    """The targets torch was built for. Marks this process as one whose forks cannot use CUDA: see `child.aside`."""
    flags = getattr(torch._C, "_cuda_getArchFlags", lambda: None)()
    return flags.split() if flags else []


def check_version(run: Run):
    import torch

    version = str(torch.__version__)
    cuda = torch.version.cuda
    run.channel.send(versions={"torch": version, "cuda": cuda})
    values = {"torch": version, "cuda": cuda, "arch_list": child.aside(lambda: arch_list(torch)), "file": torch.__file__}
    fault = judge(version, run.request.torch)
    if fault:
        raise Failed(fault, values)
    # One operation on the CPU: an import can work where the library does not.
    if torch.tensor([3, 4]).prod().item() != 12:
        raise Failed("torch multiplies wrongly on the CPU", values)
    arches = ", ".join(values["arch_list"]) or "none"
    return f"torch {version}, CUDA {cuda}, built for {arches}", values


CHECKS = {"versions.torch": check_version}


def fork_group(group: Group, pipes: tuple[int, int], close: list[int], run: Run, root: int) -> None:
    """Forks twice, so that the group's process becomes a child of the supervisor, which is the sub-reaper.

    Its number is told before the one between ends: only then can the supervisor be the one that waits for it.
    """
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        return
    pid = os.fork()
    if pid:
        child.own_group(pid)  # before this group is swept
        run.channel.send(forked=group.name, pid=pid)
        os._exit(0)
    try:
        channel, errors = pipes
        while os.getppid() not in (root, 1):
            time.sleep(0.001)
        child.settle(channel, errors, close)
        child.die_with_parent()
        if group.name != "aten":
            os.environ.pop("CUDA_DISABLE_PTX_JIT", None)
        child.main(group, run.request, run.tmp, channel)
    finally:
        os._exit(1)


def main(group: Group, others: list, request: Request, tmp: Path, channel: int, root: int) -> None:
    """Never returns."""
    code = 1
    try:
        os.environ["CUDA_DISABLE_PTX_JIT"] = "1"
        run = Run(request, tmp, Channel(channel))
        child.run_checks(group.checks, CHECKS, run)
        # A torch of another version is a fault of its own check; the others still say what works.
        if "torch" in sys.modules:
            for other, out, err in others:
                close = [channel] + [fd for _, o, e in others for fd in (o, e)]
                fork_group(other, (out, err), close, run, root)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)
