"""What an agent that still runs does to the next inside witness. Each line of the log is one finding.

    python3 witness.py MODE LOG

seize    seizes every process that appears, as fast as it can
mem      stops the witness, tries every way into it that the kernel has, and lets it go on
stop     stops the witness
hold     stops it until the host has made `/workspace/go`, for not too long
flicker  stops it again and again, and lets it go on in between
kill     kills the witness
"""

import ctypes
import errno
import os
import signal
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long] * 4
libc.ptrace.restype = ctypes.c_long
SEIZE, DETACH, INTERRUPT = 0x4206, 17, 0x4207
PIDFD_OPEN, PIDFD_GETFD, VM_READV, VM_WRITEV, PRLIMIT, KCMP = 434, 438, 310, 311, 302, 312
ME = os.getpid()


def code(number):
    return errno.errorcode.get(number, str(number))


def syscall(*args):
    ctypes.set_errno(0)
    done = libc.syscall(*[ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args])
    return (done, "done" if done >= 0 else code(ctypes.get_errno()))


def named(pid):
    """What a process is: its name, its group and its arguments."""
    try:
        status = open("/proc/%d/status" % pid).read()
        gid = [line.split()[1] for line in status.splitlines() if line.startswith("Gid:")][0]
        args = open("/proc/%d/cmdline" % pid, "rb").read().replace(b"\0", b" ").decode("utf-8", "replace")
        return "%s gid %s: %s" % (status.split()[1], gid, args[:90])
    except OSError as err:
        return "gone: %s" % code(err.errno)


def last_pid():
    return int(open("/proc/loadavg").read().split()[-1])


def seize(log):
    """Attempts on each number from before its process is there, so that not even its start is missed."""
    counts, end, at, done = {}, time.monotonic() + 600, time.monotonic() + 0.5, {}
    while time.monotonic() < end:
        now = last_pid()
        for pid in range(max(2, now - 2), now + 6):
            # What can be traced is the agent's own: stopped again and again, it would never end.
            if pid == ME or done.get(pid, 0) > 2:
                continue
            ctypes.set_errno(0)
            if libc.ptrace(SEIZE, pid, 0, 0) == 0:
                log.write("seized %s\n" % named(pid))
                done[pid] = done.get(pid, 0) + 1
                libc.ptrace(INTERRUPT, pid, 0, 0)
                try:
                    os.waitpid(pid, 0x40000000)
                except OSError:
                    pass
                libc.ptrace(DETACH, pid, 0, 0)
                continue
            name = code(ctypes.get_errno())
            counts[name] = counts.get(name, 0) + 1
        if time.monotonic() > at:
            at += 0.5
            log.write("counts %s\n" % " ".join("%s=%d" % item for item in sorted(counts.items())))


def witness():
    """The pid of the witness, once there is one."""
    while True:
        for pid in os.listdir("/proc"):
            if pid.isdigit():
                try:
                    args = open("/proc/%s/cmdline" % pid, "rb").read()
                except OSError:
                    continue
                if args.startswith(b"/sandbox/bin/python3\0") and b"\0/sandbox/probe.py\0nonce\0" in args:
                    return int(pid)
        time.sleep(0.0005)


def opened(path, flags):
    """Opens it, and reads from it where that is what it was opened for: some files refuse only that."""
    try:
        fd = os.open(path, flags)
        if flags == os.O_RDONLY and not os.path.isdir(path):
            os.read(fd, 1)
        return "done"
    except OSError as err:
        return code(err.errno)


def mem(log):
    pid = witness()
    os.kill(pid, signal.SIGSTOP)
    proc = "/proc/%d/" % pid
    log.write("found %s\n" % named(pid))
    log.write("try seize %s\n" % ("done" if libc.ptrace(SEIZE, pid, 0, 0) == 0 else code(ctypes.get_errno())))
    log.write("try attach %s\n" % ("done" if libc.ptrace(16, pid, 0, 0) == 0 else code(ctypes.get_errno())))
    for name, flags in (("mem", os.O_RDWR), ("mem", os.O_RDONLY), ("environ", 0), ("maps", 0), ("auxv", 0), ("syscall", 0)):
        log.write("try %s %s\n" % (name, opened(proc + name, flags)))
    for name in ("fd/1", "fd/2", "exe", "cwd", "root"):
        log.write("try %s %s\n" % (name, opened(proc + name, os.O_WRONLY if name[0] == "f" else os.O_RDONLY)))
    buffer = ctypes.create_string_buffer(8)
    iovec = (ctypes.c_ulong * 2)(ctypes.addressof(buffer), 8)
    there = (ctypes.c_ulong * 2)(0x400000, 8)
    for name, number in (("vm_readv", VM_READV), ("vm_writev", VM_WRITEV)):
        log.write("try %s %s\n" % (name, syscall(number, pid, iovec, 1, there, 1, 0)[1]))
    fd, said = syscall(PIDFD_OPEN, pid, 0)
    log.write("try pidfd_getfd %s\n" % (syscall(PIDFD_GETFD, fd, 1, 0)[1] if fd >= 0 else said))
    log.write("try prlimit %s\n" % syscall(PRLIMIT, pid, 0, (ctypes.c_ulong * 2)(1, 1), None)[1])
    log.write("try kcmp %s\n" % syscall(KCMP, pid, ME, 0, 1, 1)[1])
    os.kill(pid, signal.SIGCONT)
    log.write("over\n")


def stop(log):
    pid = witness()
    os.kill(pid, signal.SIGSTOP)
    log.write("stopped %s\n" % named(pid))


def hold(log):
    pid = witness()
    os.kill(pid, signal.SIGSTOP)
    log.write("held %s\n" % named(pid))
    end = time.monotonic() + 2.2
    while not os.path.exists("/workspace/go") and time.monotonic() < end:
        time.sleep(0.005)
    os.kill(pid, signal.SIGCONT)


def flicker(log):
    pid = witness()
    log.write("stopped %s\n" % named(pid))
    try:
        while True:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.4)
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.0002)
    except OSError:
        pass


def kill(log):
    pid = witness()
    log.write("killed %s\n" % named(pid))
    os.kill(pid, signal.SIGKILL)


def main():
    with open(sys.argv[2], "w", buffering=1) as log:
        log.write("ready\n")
        {"seize": seize, "mem": mem, "stop": stop, "hold": hold, "flicker": flicker, "kill": kill}[sys.argv[1]](log)


main()
