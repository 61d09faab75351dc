"""Imports torch once, and forks the groups that use torch.

Nothing here may initialise CUDA, because a process that has done so cannot fork others that use CUDA. Some queries of
torch count as initialisation. `CUDA_DISABLE_PTX_JIT` is set before any CUDA library is loaded, so that it is in force
in the child that checks ATen's native code; the other children unset it.
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
    """What is wrong with this version, or None."""
    if wanted is not None and version != wanted:
        return f"torch is `{version}`, and the image was built with `{wanted}`"
    parts = version.split(".")
    if tuple(int(part) for part in parts[:2] if part.isdigit()) < MINIMUM:
        return f"torch `{version}` is older than {MINIMUM[0]}.{MINIMUM[1]}"
    return None


def arch_list(torch) -> list[str]:
    """The targets torch was built for. Forks of a process that asked this cannot use CUDA: see `child.aside`."""
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
    # One operation on the CPU, because an import can succeed where the library does not work.
    if torch.tensor([3, 4]).prod().item() != 12:
        raise Failed("torch multiplies wrongly on the CPU", values)
    arches = ", ".join(values["arch_list"]) or "none"
    return f"torch {version}, CUDA {cuda}, built for {arches}", values


CHECKS = {"versions.torch": check_version}


def fork_group(group: Group, pipes: tuple[int, int], close: list[int], run: Run, root: int) -> None:
    """Forks twice, so that the process of the group becomes a child of the supervisor, which is the subreaper.

    The pid is announced before the intermediate process ends, because the supervisor waits for the group from then on.
    """
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        return
    pid = os.fork()
    if pid:
        child.own_group(pid)  # before the supervisor kills the process group of the torch child
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
        # A wrong version of torch fails its own check. The other groups run all the same and show what works.
        if "torch" in sys.modules:
            for other, out, err in others:
                close = [channel] + [fd for _, o, e in others for fd in (o, e)]
                fork_group(other, (out, err), close, run, root)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)
