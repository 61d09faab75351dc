"""The supervised side: runs the checks of one group and sends each result at once, as one line of JSON."""

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

# The modules of each group. Their `CHECKS` map the id of a check to its function.
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
    """Raised by a check that does not apply here. The text is the reason."""


class Failed(Exception):
    """Raised by a check that found a fault. It carries what the check measured."""

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
    """The arguments of every check."""

    request: Request
    tmp: Path
    channel: Channel
    # Values that one check hands to a later check of the same group.
    shared: dict = field(default_factory=dict)


def raw(err: BaseException) -> str:
    """The text of an error and of its cause, unchanged: the host looks for known texts in it."""
    text = str(err) if isinstance(err, (Failed, Skip)) else f"{type(err).__name__}: {err}"
    if err.__cause__ is not None:
        text = f"{text.strip()}\ncaused by {raw(err.__cause__)}"
    return text.strip()[:ERROR_LIMIT]


def outcome(function, run: Run) -> dict:
    """Runs one check. Whatever it raises becomes its result."""
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
    """Calls a function in a process of its own. A process that has used CUDA cannot fork others that use it too."""
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
    """Makes a process the leader of its own process group. Parent and child both do this, as either may come first."""
    try:
        os.setpgid(pid, pid)
    except (PermissionError, ProcessLookupError):
        pass  # it is the leader already, or it has ended


def settle(channel: int, errors: int, close: list[int]) -> None:
    """Prepares a forked child: own process group, default signals, output to the pipe `errors`, other pipes closed."""
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
    """Never returns: the child ends here, so that it does not run the cleanup of its parent."""
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
