"""Ends the processes that one session left running in the container.

    python3 -I -S /sandbox/reap.py MARK

When a client of `docker exec` goes away (a terminal was closed), the engine does not end the program that runs inside.
The host therefore runs this script after each session. Every process of a session has the mark of that session in its
environment. Of these, the script ends the programs of Codex itself (from /opt/codex) and the process that `docker
exec` started (a shell, with `--shell`). A program that the agent started on purpose in the background, such as a
training run, is neither, and is left alone.
"""

import os
import signal
import sys
import time


def entered(pid):
    """Whether a process was started by `docker exec`. Its parent is in another PID namespace and appears as 0."""
    with open("/proc/%s/stat" % pid, "rb") as f:
        return f.read().rpartition(b")")[2].split()[1] == b"0"


def marked(mark):
    """The pids with the mark in their environment that run a program of /opt/codex or were started by `docker exec`."""
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
            continue  # it ended meanwhile, or another user owns it
    return found


def main():
    """Sends one signal after the other, and gives the processes a second to end after each."""
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
