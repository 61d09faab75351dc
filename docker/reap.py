"""Ends what one session left running inside: of the processes that carry its mark those from /opt/codex, and the one
that was entered (a shell, with `--shell`): its parent is outside.

    python3 -I -S /sandbox/reap.py MARK

The engine does not end a program when its client goes away (a closed terminal), so the host asks for it. What the
agent started on purpose in the background (a training run) has another program and is left alone.
"""

import os
import signal
import sys
import time


def entered(pid):
    """Whether a process came in by `docker exec`: its parent is in no namespace that we see."""
    with open("/proc/%s/stat" % pid, "rb") as f:
        return f.read().rpartition(b")")[2].split()[1] == b"0"


def marked(mark):
    """The pids whose environment has the mark, and whose program lies in /opt/codex or was entered."""
    wanted = ("CODEX_SANDBOX_SESSION=" + mark).encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open("/proc/%s/environ" % name, "rb") as f:
                mine = wanted in f.read().split(b"\0")
            if mine and (os.readlink("/proc/%s/exe" % name).startswith("/opt/codex/") or entered(name)):
                found.append(int(name))
        except OSError:
            continue  # it ended meanwhile, or it is not ours to look at
    return found


def main():
    mark = sys.argv[1]
    for number, wait in ((signal.SIGHUP, 1.0), (signal.SIGTERM, 1.0), (signal.SIGKILL, 1.0)):
        for pid in marked(mark):
            try:
                os.kill(pid, number)
            except OSError:
                pass
        end = time.monotonic() + wait
        while marked(mark):
            if time.monotonic() > end:
                break
            time.sleep(0.05)
        else:
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
