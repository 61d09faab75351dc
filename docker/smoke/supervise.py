"""The parent: starts each group in a child, receives its results, and kills it when it exceeds its time limit.

It imports nothing that can hang. A check that hangs or is killed is named in the report and costs no more than its own
time limit; the earlier results of its group stay, and the other groups go on. The groups that the torch child forks
become children of this process (it is their subreaper), so that all are waited for, and killed, in one place.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import time
from pathlib import Path

from smoke import child, torch_server
from smoke.plan import Check, Group, Request
from smoke.report import failed, not_run

PR_SET_CHILD_SUBREAPER = 36
IDLE = 30  # seconds that a child may take between two checks, or to start
TAIL = 2000  # characters of the last output of a child, kept for the report


def reason_of(status: int) -> str:
    """How a child ended, according to its wait status."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = "unknown"
        return f"the child was killed by signal {number} ({name})"
    return f"the child ended with status {os.WEXITSTATUS(status)}"


class Running:
    """One group: its pipes, its results, and the check that it runs at the moment."""

    def __init__(self, group: Group, now: float):
        self.group, self.pid, self.status, self.over = group, None, None, None
        self.results: dict[str, dict] = {}
        self.check: Check | None = None
        self.since = now
        self.out, self.out_writer = os.pipe()
        self.err, self.err_writer = os.pipe()
        self.buffer, self.tail = b"", ""
        for fd in (self.out, self.err):
            os.set_blocking(fd, False)

    def started(self) -> bool:
        return self.pid is not None

    def done(self) -> bool:
        """A child that was killed is not waited for, because one that hangs in a driver cannot even be killed. Nor is
        one that has sent all its results, because releasing a device takes time."""
        told = len(self.results) == len(self.group.checks)
        return told or self.status is not None or self.over is not None

    def bound(self) -> float:
        return self.check.seconds if self.check else IDLE

    def close_writers(self) -> None:
        for fd in (self.out_writer, self.err_writer):
            os.close(fd)

    def kill(self) -> None:
        if self.pid:
            # This is done after its end too: it may have left others in its process group.
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            except PermissionError:
                os.kill(self.pid, signal.SIGKILL)

    def finish(self, now: float) -> list[str]:
        """Gives a result to every check that has none, and names them. The first of them is the one that failed."""
        reason = self.over or (reason_of(self.status) if self.status is not None else "the child was never started")
        last = self.tail.strip().splitlines()
        if last and not self.over:
            reason += ": " + last[-1][:500]
        left = [check for check in self.group.checks if check.id not in self.results]
        for at, check in enumerate(left):
            if at == 0:
                self.results[check.id] = failed(reason, now - self.since)
            else:
                self.results[check.id] = not_run(f"`{left[0].id}`, before it in the same child, did not end: {reason}")
        return [check.id for check in left]


class Supervisor:
    def __init__(self, request: Request, groups: tuple[Group, ...], tmp: Path, start: float, say=None):
        self.request, self.tmp, self.start = request, tmp, start
        self.say = say or (lambda text: print(text, file=sys.stderr, flush=True))
        self.facts: dict = {"devices": [], "driver": {}, "versions": {}}
        self.orphans: dict[int, int] = {}  # the wait status of children that ended before this process knew their pid
        self.running = [Running(group, time.monotonic()) for group in groups]
        self.by_fd = {fd: (one, fd == one.out) for one in self.running for fd in (one.out, one.err)}
        self.torch = next((one for one in self.running if one.group.name == "torch"), None)

    # -- starting ----------------------------------------------------------------------------------------------------

    def spawn(self, one: Running) -> None:
        pid = os.fork()
        if pid:
            child.own_group(pid)
            one.pid, one.since = pid, time.monotonic()
            return
        try:
            mine = [one]
            if one is self.torch:
                mine += [other for other in self.running if other.group.after_torch]
            keep = {fd for other in mine for fd in (other.out_writer, other.err_writer)}
            every = {fd for other in self.running for fd in (other.out, other.err, other.out_writer, other.err_writer)}
            child.settle(one.out_writer, one.err_writer, sorted(every - keep))
            child.die_with_parent()
            if one is self.torch:
                others = [(other.group, other.out_writer, other.err_writer) for other in mine[1:]]
                torch_server.main(one.group, others, self.request, self.tmp, one.out_writer, os.getppid())
            child.main(one.group, self.request, self.tmp, one.out_writer)
        finally:
            os._exit(1)

    def run(self) -> dict[str, dict]:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        wake, waker = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(waker, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        try:
            for one in self.running:
                if not one.group.after_torch:
                    self.spawn(one)
            for one in self.running:
                one.close_writers()
            while not all(one.done() for one in self.running):
                self.step(wake)
        finally:
            signal.set_wakeup_fd(-1)
            for one in self.running:
                if one.status is None:
                    one.kill()
        return {name: result for one in self.running for name, result in one.results.items()}

    # -- receiving ---------------------------------------------------------------------------------------------------

    def step(self, wake: int) -> None:
        ready, _, _ = select.select([wake, *self.by_fd], [], [], max(0.0, min(self.next_bound(), 1.0)))
        if wake in ready:
            os.read(wake, 4096)
        for fd in ready:
            if fd != wake:
                self.hear(fd)
        self.reap()
        self.enforce(time.monotonic())

    def hear(self, fd: int) -> None:
        """Reads what a pipe has. At its end the pipe is not read again."""
        one, is_channel = self.by_fd[fd]
        while True:
            try:
                data = os.read(fd, 1 << 16)
            except BlockingIOError:
                return
            if not data:
                self.by_fd.pop(fd, None)
                return
            if is_channel:
                one.buffer += data
                *lines, one.buffer = one.buffer.split(b"\n")
                for line in lines:
                    self.message(one, line)
            else:
                text = data.decode("utf-8", "replace")
                one.tail = (one.tail + text)[-TAIL:]
                sys.stderr.write(text)
                sys.stderr.flush()

    def message(self, one: Running, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            self.end(one, "the child wrote something that is no result")
            return
        one.since = time.monotonic()
        if "forked" in message:
            self.forked(message["forked"], message["pid"])
        elif "start" in message:
            one.check = next((check for check in one.group.checks if check.id == message["start"]), None)
        elif "check" in message:
            self.result(one, message)
        for key in ("driver", "versions"):
            self.facts[key] |= message.get(key) or {}
        self.facts["devices"] = message.get("devices") or self.facts["devices"]

    def forked(self, name: str, pid: int) -> None:
        """Notes a group that the torch child forked. It is a child of this process by now, and may have ended."""
        for one in self.running:
            if one.group.name == name and one.group.after_torch and not one.started():
                one.pid, one.since = pid, time.monotonic()
                if pid in self.orphans:
                    self.ended(one, self.orphans.pop(pid))

    def result(self, one: Running, message: dict) -> None:
        name = message.pop("check")
        if one.over or name in one.results or name not in {check.id for check in one.group.checks}:
            return
        one.results[name], one.check = message, None
        self.tell(name, message)

    def tell(self, name: str, result: dict) -> None:
        text = (result["error"] or result["evidence"] or " ").splitlines()[0]
        self.say(f"gpu-smoke: {name} {result['status']} ({result['seconds']:.2f} s) {text}".rstrip())

    # -- ending ------------------------------------------------------------------------------------------------------

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            found = [one for one in self.running if one.pid == pid]
            for one in found:
                self.ended(one, status)
            if not found:
                self.orphans[pid] = status

    def ended(self, one: Running, status: int) -> None:
        one.status = status
        one.kill()  # the rest of its process group
        for fd in (one.out, one.err):
            if fd in self.by_fd:
                self.hear(fd)
                self.by_fd.pop(fd, None)
        self.finish(one)
        if one is self.torch:
            self.torch_ended()  # every group that it forked was announced on its pipe, which was read to its end above

    def torch_ended(self) -> None:
        """Groups that wait for the torch child will never start now: their checks are reported as not run."""
        for other in self.running:
            if not other.group.after_torch or other.started() or other.done():
                continue
            why = self.torch.results["versions.torch"]["error"] or "its child ended too early"
            other.over = f"needs `versions.torch`: {why}"
            other.results = {check.id: not_run(other.over) for check in other.group.checks}
            self.by_fd.pop(other.out, None)
            self.by_fd.pop(other.err, None)

    def waits_for_torch(self, one: Running) -> bool:
        return one.group.after_torch and not one.started()

    def next_bound(self) -> float:
        now = time.monotonic()
        ends = [one.since + one.bound() for one in self.running if not one.done() and not self.waits_for_torch(one)]
        return min([self.start + self.request.seconds, *ends]) - now

    def enforce(self, now: float) -> None:
        whole = now >= self.start + self.request.seconds
        for one in self.running:
            if one.done() or (self.waits_for_torch(one) and not whole):
                continue
            if whole:
                self.end(one, f"timed out: the whole run is bound to {self.request.seconds:g} s")
            elif now >= one.since + one.bound():
                self.end(one, f"timed out after {one.bound():g} s")

    def finish(self, one: Running) -> None:
        for name in one.finish(time.monotonic()):
            self.tell(name, one.results[name])

    def end(self, one: Running, reason: str) -> None:
        """Kills a group. Its results are final at once; the process is waited for later."""
        if one.over is None:
            one.over = reason
            self.finish(one)
            one.kill()
            if one is self.torch:
                self.torch_ended()
