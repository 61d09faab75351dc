"""The agent waits for the next session and tries to be faster than its filter: it stops each new process again and
again, and traces it as soon as the kernel lets it. A process that is traced while it has no more filters than the
container's init would do whatever the agent wants, free of the filter.

It prints nothing. Into the file that is its argument it writes, for each process that it could trace, `free` or
`late`, and `never` for one that ended before.
"""

import ctypes
import os
import signal
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4
libc.ptrace.restype = ctypes.c_long
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000


def filters(pid):
    """How many filters a process has that has not ended: the kernel takes them off at its end."""
    with open("/proc/%s/status" % pid) as file:
        fields = dict(line.split(":", 1) for line in file)
    if fields["State"].split()[0] in "ZX":
        raise ProcessLookupError
    return int(fields["Seccomp_filters"])


def sent(pid, number):
    """Whether it is there; before it is the agent's, it takes no signal from the agent."""
    try:
        os.kill(pid, number)
    except PermissionError:
        pass
    except ProcessLookupError:
        return False
    return True


def let_go(pid):
    libc.ptrace(PTRACE_INTERRUPT, pid, 0, 0)
    until = time.monotonic() + 1
    while time.monotonic() < until:
        try:
            if os.waitpid(pid, WALL | os.WUNTRACED | os.WNOHANG)[0]:
                break
        except ChildProcessError:
            break
    libc.ptrace(PTRACE_DETACH, pid, 0, 0)
    sent(pid, signal.SIGCONT)


def tried(pid):
    """Stops it, tries, and lets it go on for a few microseconds, until it is traced or has ended."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        if not sent(pid, signal.SIGSTOP):
            return "never"
        if libc.ptrace(PTRACE_SEIZE, pid, 0, 0) == 0:
            try:
                found = "free" if filters(pid) <= INIT else "late"
            except OSError:
                found = "never"
            let_go(pid)
            return found
        sent(pid, signal.SIGCONT)
    return "never"


INIT = filters(1)
with open(sys.argv[1], "w", buffering=1) as log:
    log.write("ready\n")
    seen = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    while True:
        highest = max(seen)
        for pid in range(highest + 1, highest + 12):
            if os.path.exists("/proc/%d/status" % pid):
                seen.add(pid)
                log.write(tried(pid) + "\n")
