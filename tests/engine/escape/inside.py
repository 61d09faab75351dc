"""What the attempts of the escape suite stand on, inside the sandbox, and what makes them one after the other.

The program is this file followed by one file of attempts, and runs as the agent's commands do. Each attempt is made in a
process of its own, with a bound on its time. It is told on one line of JSON what was seen; then the host looks at what it
guards, and answers with a line. So the host knows which attempt changed what.

An attempt raises the error that the kernel gave, or returns: nothing where it was done, or a text that the host judges.
"""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import platform
import resource
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
import traceback

SECONDS = 20  # for one attempt

# The numbers of the system calls that Python has no function for: x86_64, aarch64. From 424 on all machines agree.
CALLS = {
    "ioperm": (173, None), "iopl": (172, None), "modify_ldt": (154, None),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142),
    "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171),
    "sethostname": (170, 161), "setdomainname": (171, 162), "syslog": (103, 116), "vhangup": (153, 58),
    "personality": (135, 92), "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kcmp": (312, 272), "rt_sigqueueinfo": (129, 138), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "fanotify_init": (300, 262),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "lookup_dcookie": (212, 18),
    "move_pages": (279, 239), "migrate_pages": (256, 238), "mbind": (237, 235), "set_mempolicy": (238, 237),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97),
    "setns": (308, 268), "clone": (56, 220), "clone3": (435, 435), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "openat2": (437, 437), "fchmodat2": (452, 452), "renameat2": (316, 276),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "fallocate": (285, 47),
    "copy_file_range": (326, 285), "utimensat": (280, 88), "linkat": (265, 37), "fchownat": (260, 54),
    "memfd_create": (319, 279), "setrlimit": (160, 164), "getrandom": (318, 278), "memfd_secret": (447, 447),
}

AT_FDCWD, AT_EMPTY_PATH, AT_RECURSIVE = -100, 0x1000, 0x8000
O_PATH, O_TMPFILE = os.O_PATH, os.O_TMPFILE

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def checked(result):
    """The result of a call into libc, or its error."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def call(name, *args):
    """A system call by name."""
    number = CALLS[name][0 if platform.machine() == "x86_64" else 1]
    if number is None:
        raise OSError(errno.ENOSYS, "this machine has no " + name)
    words = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    return checked(libc.syscall(ctypes.c_long(number), *words))


def ioctl(fd, request, argument=0):
    return fcntl.ioctl(fd, request, argument)


def reached(path, flags=os.O_WRONLY):
    """Opens, and writes nothing: what can be opened for writing could be written."""
    os.close(os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK))


class Place:
    """A data set, or a copy of it that can be written, on which the same attempt must be done."""

    def __init__(self, root):
        self.root = root
        self.clip, self.other, self.new = (os.path.join(root, name) for name in ("1.webm", "2.webm", "new"))
        self.hollow, self.open, self.loose = (os.path.join(root, name) for name in ("hollow", "open", "open/loose"))

    @property
    def outside(self):
        """A name that nobody else has, in a directory that can be written."""
        return "/workspace/outside/" + os.urandom(6).hex()

    def made_outside(self):
        """A new file there."""
        path = self.outside
        with open(path, "w") as file:
            file.write("from outside")
        return path

    def read(self):
        return os.open(self.clip, os.O_RDONLY)


HOST = json.loads(sys.argv[1])  # what the host has laid out to be reached
ATTEMPTS = []
FILTERED = "setuid" in HOST["denied"]  # the filter of the session denies setuid files and openat2


def attempt(ident, *expected, control=None):
    """Registers an attempt: its id, and each outcome that is right: the name of an error, `done`, or `said`. With a control
    the same is tried on a copy of the data set first, where it must have this outcome: so it was made rightly."""

    def register(function):
        ATTEMPTS.append((ident, expected, control, function))
        return function

    return register


def outcome(function, *args):
    """What one call came to."""
    try:
        said = function(*args)
    except OSError as err:
        return errno.errorcode.get(err.errno, str(err))
    except Exception:
        return "could not be made: " + traceback.format_exc(limit=-2)
    return "done" if said is None else "said: " + str(said)


def made(function, *args):
    """The outcome in a process of its own, which is ended with all that it started in its group."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.close(reader)
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.write(writer, outcome(function, *args).encode("utf-8", "replace")[:60000] + b"\0")
        os._exit(0)
    os.close(writer)
    text, end = b"", time.monotonic() + SECONDS
    while True:
        left = end - time.monotonic()
        if left <= 0 or not select.select([reader], [], [], left)[0]:
            text = b"could not be made: it took too long"
            break
        part = os.read(reader, 65536)
        text += part
        # What it has started may hold the pipe open: the end is marked.
        if not part or part.endswith(b"\0"):
            break
    os.close(reader)
    text = text.rstrip(b"\0")
    try:
        os.killpg(child, signal.SIGKILL)
    except OSError:
        pass
    ended = os.waitpid(child, 0)[1]
    return text.decode("utf-8", "replace") or "could not be made: it ended with status %d" % ended


def told(**line):
    """Tells the host, and waits until it has looked."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    if sys.stdin.readline() != "next\n":
        sys.exit("the host has gone")


def all_made():
    """Makes all attempts, or those whose ids follow the facts of the host in the arguments."""
    only = sys.argv[2:]
    data, copy = Place("/datasets/ssv2"), "/workspace/control"
    os.makedirs("/workspace/outside", exist_ok=True)
    for ident, expected, control, function in ATTEMPTS:
        if only and ident not in only:
            continue
        place = [data] if function.__code__.co_argcount else []
        seen = made(function, *place)
        checked_by = None
        if control is not None:
            # A fresh copy: what the last control did to it does not matter.
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(data.root, copy)
            checked_by = made(function, Place(copy))
        told(id=ident, expected=expected, seen=seen, control=control, control_seen=checked_by)
    shutil.rmtree(copy, ignore_errors=True)
    shutil.rmtree("/workspace/outside", ignore_errors=True)
