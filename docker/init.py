"""The init of the sandbox's container, its process 1: it waits, reaps orphaned processes, and ends at the stop signal.

    /sandbox/bin/python3 -I -S /sandbox/init.py

It runs as the agent's user, as everything inside does, so the agent could write into its memory and live on there unseen
when everything else has ended. The kernel refuses that for a process that has made itself not dumpable: then only
somebody with CAP_SYS_PTRACE may look into it or change it, and nothing inside has a capability. But the user on the host
could not look into it either. So the init waits for the host, which looks at what it has to know while no agent runs yet,
and then sends SIGUSR1. There is no way back. Which of the two states it is in, the name of the process tells (`comm` in
/proc/PID), which only the process itself can change.

It obeys signals of the host alone: the kernel gives 0 as the sender of a signal that comes from outside of the container.
So the agent cannot end the container, and with it the session that the host looks after.
"""

import os
import signal
import sys

import _ctypes  # `ctypes` itself would take ten times as long

OPEN = b"sandbox-open"  # the host can look into it
APART = b"sandbox-apart"  # nobody can
SI_USER = 0  # of sigaction(2)
SET_DUMPABLE, GET_DUMPABLE, SET_NAME = 4, 3, 15  # of prctl(2)


def prctl(option, value):
    """Calls prctl(2) of the C library, which is already loaded."""
    return _ctypes.call_function(_ctypes.dlsym(_ctypes.dlopen(None, 2), "prctl"), (option, value, 0, 0, 0))


def apart():
    """Shuts the memory of this process off, and says so once the kernel confirms it."""
    prctl(SET_DUMPABLE, 0)
    if prctl(GET_DUMPABLE, 0) == 0:
        prctl(SET_NAME, APART)


def reap():
    """Takes the exit codes of all children that have ended. The kernel gives orphans to process 1."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def of_the_host(info):
    """Whether kill(2) sent the signal, and from outside. With sigqueue(3) a process inside could claim any sender."""
    return info.si_code == SI_USER and info.si_pid == 0


def main():
    """Returns the exit code at a signal that asks for the end; everything else in the container ends with this process."""
    wanted = {signal.SIGCHLD, signal.SIGUSR1, signal.SIGTERM, signal.SIGINT}
    # A signal that is blocked waits until it is taken here, also one that comes before that.
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    prctl(SET_NAME, OPEN)
    while True:
        info = signal.sigwaitinfo(wanted)
        if info.si_signo == signal.SIGCHLD:
            reap()
        elif not of_the_host(info):
            continue
        elif info.si_signo == signal.SIGUSR1:
            apart()
        else:
            return 128 + info.si_signo


if __name__ == "__main__":
    sys.exit(main())
