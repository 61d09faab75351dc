"""The supervised side: runs the checks of one group and tells each result as it comes, one JSON line each."""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from smoke.plan import Check, Group, Request
from smoke.report import not_run

PR_SET_PDEATHSIG = 1
ERROR_LIMIT = 4000

# Where the functions of each group are: `CHECKS` of these modules, by the check's id.
MODULES = {
    "native": ("native", "health"),
    "video": ("video",),
    "gpu": ("devices", "numerics", "transfer", "speed"),
    "aten": ("aten",),
    "nccl": ("nccl",),
    "models": ("models",),
    "loading": ("loading",),
    "full": ("compilers",),
    "nvdec": ("nvdec",),
}


class Skip(Exception):
    """A check that has nothing to look at here. Its text is the reason."""


class Failed(Exception):
    """A check that ran and saw something wrong, with what it measured."""

    def __init__(self, text: str, values: dict | None = None):
        super().__init__(text)
        self.values = values or {}


class Channel:
    """The writing end of a group's pipe."""

    def __init__(self, fd: int):
        self.fd = fd

    def send(self, **message) -> None:
        line = json.dumps(message).encode() + b"\n"
        while line:
            line = line[os.write(self.fd, line) :]


@dataclass
class Run:
    """What every check is given."""

    request: Request
    tmp: Path
    channel: Channel
    # What one check leaves for a later one of the same group.
    shared: dict = field(default_factory=dict)


def raw(err: BaseException) -> str:
    """The error as it was raised, and what it was raised from: the host knows the texts."""
    text = str(err) if isinstance(err, (Failed, Skip)) else f"{type(err).__name__}: {err}"
    if err.__cause__ is not None:
        text = f"{text.strip()}\ncaused by {raw(err.__cause__)}"
    return text.strip()[:ERROR_LIMIT]


def outcome(function, run: Run) -> dict:
    """One check's result. Whatever it raises is a result too."""
    start = time.monotonic()
    result = {"status": "passed", "evidence": "", "error": None, "values": {}}
    try:
        result["evidence"], result["values"] = function(run)
    except Skip as err:
        result |= not_run(raw(err))
    except Failed as err:
        result |= {"status": "failed", "error": raw(err), "values": err.values}
    except BaseException as err:
        result |= {"status": "failed", "error": raw(err)}
    return result | {"seconds": round(time.monotonic() - start, 4)}


def run_checks(checks: tuple[Check, ...], functions: dict, run: Run) -> None:
    passed: set[str] = set()
    names = {check.id for check in checks}
    for check in checks:
        run.channel.send(start=check.id)
        lacking = [need for need in check.needs if need in names and need not in passed]
        if lacking:
            result = not_run(f"needs `{lacking[0]}`, which did not pass")
        else:
            result = outcome(functions[check.id], run)
        if result["status"] == "passed":
            passed.add(check.id)
        run.channel.send(check=check.id, **result)


def functions_of(group: str) -> dict:
    found = {}
    for name in MODULES[group]:
        found |= importlib.import_module("smoke." + name).CHECKS
    return found


def aside(function):
    """What a function gives, asked in a process of its own: one that has touched CUDA cannot fork others that use it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        answer = {}
        try:
            answer = {"value": function()}
        except Exception as err:
            answer = {"error": raw(err)}
        finally:
            os.write(writer, json.dumps(answer).encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        text = stream.read()
    os.waitpid(pid, 0)
    answer = json.loads(text or b"{}")
    if "value" not in answer:
        raise Failed(answer.get("error", "a process that was asked ended without an answer"))
    return answer["value"]


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def own_group(pid: int) -> None:
    """Makes a process the head of a group of its own. Parent and child both do, for either may be first."""
    try:
        os.setpgid(pid, pid)
    except (PermissionError, ProcessLookupError):
        pass  # it is one already, or is gone


def settle(channel: int, errors: int, close: list[int]) -> None:
    """A process group of its own, standard output kept for the parent, and no foreign pipe held open."""
    own_group(0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(errors, 1)
    os.dup2(errors, 2)
    for fd in close:
        if fd not in (channel, errors):
            os.close(fd)


def main(group: Group, request: Request, tmp: Path, channel: int) -> None:
    """Never returns: the child ends here, without the parent's own cleaning up."""
    code = 1
    try:
        run = Run(request, tmp, Channel(channel))
        run_checks(group.checks, functions_of(group.name), run)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                pass
        os._exit(code)
