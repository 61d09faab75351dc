"""The inside witness: it looks at the container from within and prints raw facts, as one line of JSON.

It judges nothing. What the facts mean is decided on the host, which compares them with what the host sees itself. The
probe is mounted read-only and started with a cleared environment and an isolated interpreter, so that nothing that an
agent left in its home directory can change what the probe says. It runs as the agent's user and under a group that the
agent is not in and that was chosen for this run alone, so that no process of the agent can trace it, read it or change
it:

    env -i LC_ALL=C PATH=... HOME=/home/codex \
        /sandbox/bin/python3 -I -S -X pycache_prefix=/sandbox/probe.py /sandbox/probe.py KEY VALUE ...

Its arguments are pairs of a key and a value; a key may be given more than once:

    nonce TEXT           marks the report and the files that the probe creates
    read-only PATH       a mount that must refuse every write
    dataset PATH         the same, and a sample of its files is examined
    writable PATH        a mount that may be written; the probe does not write there
    workspace PATH       a directory in which the probe creates a file for the host to examine
    gid N                the agent's group, which that file gets
    entries N            how many directory entries a sample may read
    await-init SECONDS   how long to wait until the init is out of reach, where it was just started
    program NAME         a program to look up on PATH
    codex PATH           where this path of Codex leads
    codex-version PATH   the same, and what `PATH --version` answers
    smi PATH             the path of nvidia-smi, which is asked for the GPUs
    launcher PATH        the program that sets the filter of a session; nobody may read it
    denied WHAT          what that filter denies, `setuid` or `tracing`: the calls are tried
    outside ADDRESS      an address of the host that must not answer, because the sandbox has no network

The cost is bounded: no directory is read past `entries` entries, no file past a few bytes, and an alarm ends the whole
run. The arguments are pairs, and the JSON is written by hand, because importing `json` and `subprocess` would double
the start-up time, for which the user waits at every entry.

This is one file because it is mounted as one file. Its sections, in order:

    1. Limits and fixed paths
    2. JSON output
    3. Reading files and reporting errors
    4. The mount table
    5. Write attempts
    6. A sample of a data set
    7. Child programs (Codex and nvidia-smi)
    8. The process and its container
    9. What the kernel refuses
    10. The request and the report
"""

import errno
import os
import select
import stat
import sys
import time

try:
    from _json import encode_basestring_ascii as quoted  # `json` itself imports `re`, which takes 10 ms
except ImportError:
    from json.encoder import encode_basestring_ascii as quoted

try:
    from _signal import alarm
except ImportError:
    from signal import alarm

# -- 1. Limits and fixed paths -----------------------------------------------------------------------------------------

SCHEMA = 1  # of the report; the host refuses any other
BOUND = 25  # seconds until the alarm ends the probe
SUBMOUNTS = 64  # examined below one mount; the mount table itself is reported whole
DIRECTORIES = 12  # read in the sample of one data set
REPORTED = 16  # names of one kind in a sample
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")  # a process that is hidden may not list its own
# Sockets of container engines. Whoever can connect to one of them controls the host.
SOCKETS = (
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/docker/containerd/containerd.sock",
    "/run/containerd/containerd.sock",
    "/var/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/run/crio/crio.sock",
    "/run/buildkit/buildkitd.sock",
    "/run/user/%d/docker.sock" % os.getuid(),
    "/run/user/%d/podman/podman.sock" % os.getuid(),
    "/run/host-services/docker.proxy.sock",
)

# Files and directories of the kernel that must show nothing.
MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
)
# Files and directories of the kernel that must refuse every write. They are opened, and never written.
DOORS = (
    "/proc/bus",
    "/proc/fs",
    "/proc/irq/default_smp_affinity",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/hostname",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/vm/drop_caches",
    "/proc/sysrq-trigger",
    "/sys/kernel",
    "/sys/kernel/uevent_helper",
    "/sys/power/state",
    "/sys/fs/cgroup/cgroup.procs",
    "/sys/fs/cgroup/pids",
)


# -- 2. JSON output ----------------------------------------------------------------------------------------------------


def encoded(value):
    """The JSON text of a dict, list, string, whole number, boolean or None."""
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(encoded(str(k)) + ":" + encoded(v) for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(encoded, value)) + "]"
    # Python represents bytes of a name that are not UTF-8 as lone surrogates, which JSON cannot carry.
    return quoted(str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


# -- 3. Reading files and reporting errors -----------------------------------------------------------------------------


def name_of(err):
    """The symbolic name of an error, such as EROFS."""
    return errno.errorcode.get(err.errno, str(err.errno))


def attempt(function, *args):
    """The result of the call, or `{"error": NAME}` where the system refused it."""
    try:
        return function(*args)
    except OSError as err:
        return {"error": name_of(err)}


def answer_of(function, *args):
    """The result of a call that returns text, or the name of its error."""
    answer = attempt(function, *args)
    return answer["error"] if isinstance(answer, dict) else answer


def text_of(path, limit=4 << 20):
    """The text of a file of /proc or /sys, or None where it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        parts, size = [], 0
        while size < limit:
            part = os.read(fd, 65536)
            if not part:
                break
            parts.append(part)
            size += len(part)
        return b"".join(parts).decode("utf-8", "replace")
    except OSError:
        return None
    finally:
        os.close(fd)


def stat_of(path):
    st = os.stat(path)
    return {"dev": st.st_dev, "ino": st.st_ino, "uid": st.st_uid, "gid": st.st_gid, "mode": st.st_mode}


# -- 4. The mount table ------------------------------------------------------------------------------------------------


def unescaped(field):
    """A field of mountinfo without the octal escapes of the kernel: space, tab, newline, `#` and backslash."""
    if "\\" not in field:
        return field
    for code in ("040", "011", "012", "043"):
        field = field.replace("\\" + code, chr(int(code, 8)))
    return field.replace("\\134", "\\")


def submounts(path, table):
    """The mount points below a path."""
    below = path.rstrip("/") + "/"
    points = {unescaped(line.split(" ", 5)[4]) for line in table.splitlines() if line.count(" ") > 5}
    return sorted(point for point in points if point.startswith(below))


# -- 5. Write attempts -------------------------------------------------------------------------------------------------


def created(path, nonce):
    """Tries to create a file in a directory, or to open a file for writing. Removes a file that it could create."""
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    if not os.path.isdir(path):
        os.close(os.open(path, flags))
        return "written"
    name = os.path.join(path, ".codex-sandbox-write-" + nonce)
    os.close(os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        os.unlink(name)
    except OSError as err:
        return "written, and left behind: " + name_of(err)
    return "written"


def touched(path):
    """Sets the times that the path already has. A read-only mount refuses that before the kernel checks permissions,
    so the error shows the mount and not the owner of the files."""
    st = os.stat(path)
    os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
    return "written"


def mount_facts(path, nonce, try_to_write):
    """What one mount point is, and what it answers to a write."""
    facts = {
        "path": path,
        "stat": attempt(stat_of, path),
        "flags": attempt(lambda: os.statvfs(path).f_flag),
        "directory": os.path.isdir(path),
        "access": os.access(path, os.W_OK),
    }
    if try_to_write:
        facts["create"] = answer_of(created, path, nonce)
        facts["touch"] = answer_of(touched, path)
    return facts


def workspace_file(path, nonce, gid):
    """Creates the file that the host then examines (its owner, its content) and removes. It gets the group that a file
    of the agent would get: that of the agent, or that of the directory where new files inherit it."""
    fd = os.open(
        os.path.join(path, ".codex-sandbox-probe-" + nonce),
        os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC,
        0o644,
    )
    try:
        if not os.stat(path).st_mode & stat.S_ISGID:
            os.fchown(fd, -1, gid)
        os.write(fd, nonce.encode())
    finally:
        os.close(fd)
    return "written"


# -- 6. A sample of a data set -----------------------------------------------------------------------------------------


class Sample:
    """A bounded sample of the files of a data set. Its cost does not grow with the data set."""

    def __init__(self, root, limit):
        self.root, self.left = root, limit
        self.entries = self.files = self.directories = self.read = 0
        self.linked, self.unreadable, self.symlinks, self.errors = {}, [], [], []
        waiting = [root]
        while waiting and self.left > 0 and self.directories < DIRECTORIES:
            waiting.extend(self.directory(waiting.pop(0)))

    def directory(self, path):
        """Reads a part of one directory, at most half of the entries that are left, and returns its subdirectories."""
        self.directories += 1
        found, share = [], max(8, self.left // 2)
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if self.left <= 0 or share <= 0:
                        break
                    self.left -= 1
                    share -= 1
                    self.entries += 1
                    if entry.is_symlink():
                        self.symlink(entry.path)
                    elif entry.is_dir(follow_symlinks=False):
                        found.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        self.file(entry)
        except OSError as err:
            self.errors.append([path, name_of(err)])
        return found

    def file(self, entry):
        """Notes a file with several hard links, and reads one byte of the first few files."""
        self.files += 1
        st = entry.stat(follow_symlinks=False)
        if st.st_nlink > 1:
            key = (st.st_dev, st.st_ino)
            seen = self.linked.setdefault(key, {"path": entry.path, "links": st.st_nlink, "seen": 0})
            seen["seen"] += 1
        if self.read + len(self.unreadable) >= 4:
            return
        try:
            fd = os.open(entry.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.read(fd, 1)
            finally:
                os.close(fd)
            self.read += 1
        except OSError as err:
            self.unreadable.append([entry.path, name_of(err)])

    def symlink(self, path):
        """Notes a symlink that leads out of the data set."""
        target = os.path.realpath(path)
        if target == self.root or target.startswith(self.root.rstrip("/") + "/"):
            self.read += os.path.isfile(target)
        elif len(self.symlinks) < REPORTED:
            self.symlinks.append({"path": path, "to": target, "exists": os.path.exists(target)})

    def facts(self):
        return {
            "entries": self.entries,
            "files": self.files,
            "directories": self.directories,
            "read": self.read,
            "linked": list(self.linked.values())[:REPORTED],
            "unreadable": self.unreadable,
            "symlinks": self.symlinks,
            "errors": self.errors[:REPORTED],
        }


# -- 7. Child programs (Codex and nvidia-smi) --------------------------------------------------------------------------


class Child:
    """A program that runs while the probe examines other things. Its output and its time are bounded."""

    def __init__(self, argv, env, seconds):
        self.end = time.monotonic() + seconds
        self.text, self.code, self.pid, self.fd = b"", None, 0, -1
        reader, writer = os.pipe()
        null = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 2)]
        try:
            self.pid = os.posix_spawnp(
                argv[0], argv, env, file_actions=null + [(os.POSIX_SPAWN_DUP2, writer, 1)], setpgroup=0
            )
            self.fd = reader
        except OSError as err:
            self.code = name_of(err)
            os.close(reader)
        finally:
            os.close(writer)

    def facts(self):
        """Waits for the program. `code` is its exit status, `TIMEOUT`, or the error that kept it from starting."""
        if self.pid:
            poll = select.poll()
            poll.register(self.fd, select.POLLIN)
            while len(self.text) < 65536:
                left = self.end - time.monotonic()
                if left <= 0 or not poll.poll(left * 1000):
                    self.code = "TIMEOUT"
                    break
                part = os.read(self.fd, 4096)
                if not part:
                    break
                self.text += part
            os.close(self.fd)
            if self.code or len(self.text) >= 65536:
                attempt(os.killpg, self.pid, 9)
            status = os.waitpid(self.pid, 0)[1]
            self.code = self.code or str(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
        return {"code": self.code, "text": self.text.decode("utf-8", "replace")}


def codex_child(path):
    """Starts `codex --version`. Codex leaves a directory in its home, so it gets a temporary home of its own."""
    home = "/tmp/.codex-sandbox-probe-%d" % os.getpid()
    attempt(os.mkdir, home, 0o700)
    child = Child([path, "--version"], {"PATH": os.environ.get("PATH", ""), "HOME": home, "CODEX_HOME": home}, 20)
    return child, home


def removed(path):
    """Removes a small tree that the probe created. Symlinks are removed and never followed."""
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    removed(entry.path)
                else:
                    os.unlink(entry.path)
        os.rmdir(path)
    except OSError:
        pass


def found(name):
    """The path of a program on PATH, or None."""
    for directory in os.environ.get("PATH", "").split(":"):
        path = os.path.join(directory, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


# -- 8. The process and its container ----------------------------------------------------------------------------------


def passwd_entry():
    """The entry of /etc/passwd for this user, or None."""
    uid = str(os.getuid())
    for line in (text_of("/etc/passwd") or "").splitlines():
        fields = line.split(":")
        if len(fields) >= 7 and fields[2] == uid:
            return {"name": fields[0], "gid": fields[3], "home": fields[5], "shell": fields[6]}
    return None


def hidden():
    """Makes the memory of the probe unreadable for the programs that it starts, which have the same user and group.
    Returns what the kernel says of it then: 0 where it is unreadable."""
    try:
        import _ctypes  # `ctypes` itself would take ten times as long
    except ImportError:
        return None
    prctl = _ctypes.dlsym(_ctypes.dlopen(None, 2), "prctl")
    _ctypes.call_function(prctl, (4, 0, 0, 0, 0))  # PR_SET_DUMPABLE
    return _ctypes.call_function(prctl, (3, 0, 0, 0, 0))  # PR_GET_DUMPABLE


def init_facts(seconds):
    """The init as it is seen from inside: its name, which it has chosen itself, its status, and who owns its memory: the
    kernel gives that of a process which is not dumpable to root."""
    until = time.monotonic() + seconds
    name = text_of("/proc/1/comm")
    while name != "sandbox-apart\n" and time.monotonic() < until:
        time.sleep(0.005)
        name = text_of("/proc/1/comm")
    owner = attempt(stat_of, "/proc/1/mem")
    return {"name": (name or "").rstrip("\n"), "status": text_of("/proc/1/status"), "owner": owner}


def processes():
    """Every process except the probe and its children: its pid, its parent's pid and its name."""
    rows = []
    for pid in os.listdir("/proc"):
        if pid.isdigit() and int(pid) != os.getpid():
            text = text_of("/proc/%s/stat" % pid)
            if text and ")" in text:
                name, _, rest = text.partition("(")[2].rpartition(")")
                parent = int(rest.split()[1])
                if parent != os.getpid():
                    rows.append({"pid": int(pid), "parent": parent, "name": name})
    return rows


def interfaces():
    """The network interfaces, with their flags where /sys shows them."""
    names = attempt(os.listdir, "/sys/class/net")
    if isinstance(names, dict):
        lines = (text_of("/proc/net/dev") or "").splitlines()[2:]
        return {line.partition(":")[0].strip(): None for line in lines}
    return {name: (text_of("/sys/class/net/%s/flags" % name) or "").strip() or None for name in names}


def shm_bytes():
    """The size of /dev/shm."""
    st = os.statvfs("/dev/shm")
    return st.f_blocks * st.f_frsize


# -- 9. What the kernel refuses ----------------------------------------------------------------------------------------

CLONE_NEWUSER, SIGCHLD, ALL = 0x10000000, 17, 0xFFFFFFFF
# The numbers of the system calls: x86_64, aarch64.
NUMBERS = {
    "unshare": (272, 97),
    "clone": (56, 220),
    "clone3": (435, 435),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "creat": (85, None),
    "open": (2, None),
    "openat": (257, 56),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "openat2": (437, 437),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
}
# Attempts to make a user namespace. They are made in a child, which ends at once.
USER_NAMESPACES = (
    ("unshare", (CLONE_NEWUSER,)),
    ("clone", (CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)),
    # struct clone_args: flags, four fields that are not used here, exit_signal, two that are not used.
    ("clone3", (CLONE_NEWUSER.to_bytes(8, "little") + bytes(24) + SIGCHLD.to_bytes(8, "little") + bytes(24), 64)),
)
# Calls that Docker's default filter refuses with EPERM. The arguments are chosen so that they do nothing, and so that
# the kernel itself would give another answer to a process without any capability: EOPNOTSUPP, EFAULT, EBADF, EINVAL or
# success. An EPERM therefore comes from the filter and not from a missing capability.
FILTERED = (
    ("keyctl", (ALL, 0, 0, 0, 0)),
    ("add_key", (0, 0, 0, 0, 0)),
    ("request_key", (0, 0, 0, 0)),
    ("unshare", (0,)),
    ("setns", (-1, 0)),
    ("mount", (0, 0, 0, 0, 0)),
    ("umount2", (0, ALL)),
    ("perf_event_open", (0, 0, -1, -1, ALL)),
    ("userfaultfd", (ALL,)),
)
# Calls that the filter of a session denies, which was set before the probe was started. Without it the kernel would
# answer
# something else: EBADF to a handle that is none, ENOENT to a path without a name, ESRCH or EINVAL to a process that is
# none. The numbers are modes and flags: 0o4755 is setuid, 0o2755 setgid, 0o102 O_CREAT | O_RDWR, 0o20200002 O_TMPFILE.
DENIED = {
    "setuid": (
        ("chmod", (b"", 0o4755)),
        ("fchmod", (-1, 0o4755)),
        ("fchmod", (-1, 0o2755)),
        ("fchmodat", (-1, b"", 0o4755)),
        ("fchmodat2", (-1, b"", 0o4755, 0)),
        ("creat", (b"", 0o4755)),
        ("open", (b"", 0o102, 0o4755)),
        ("openat", (-1, b"", 0o102, 0o4755)),
        ("openat", (-1, b"", 0o102, 0o2755)),
        ("openat", (-1, b"", 0o20200002, 0o4755)),
        ("mknod", (b"", 0o104755, 0)),
        ("mknodat", (-1, b"", 0o104755, 0)),
        ("openat2", (-1, b"", 0, 0)),
        ("io_uring_setup", (0, 0)),
        ("io_uring_enter", (-1, 0, 0, 0, 0, 0)),
        ("io_uring_register", (-1, ALL, 0, 0)),
    ),
    "tracing": (
        ("ptrace", (0x4206, -1, 0, 0)),
        ("process_vm_readv", (-1, 0, 0, 0, 0, ALL)),
        ("process_vm_writev", (-1, 0, 0, 0, 0, ALL)),
        ("kcmp", (-1, -1, ALL, 0, 0)),
        ("pidfd_getfd", (-1, -1, ALL)),
    ),
}


def system_calls():
    """A function that makes a system call by its name and returns its result or the name of its error, or None where this
    machine does not have it. None where no call can be made.

    The package `ctypes` takes 6 ms to import, and the module below it half a millisecond."""
    try:
        import _ctypes
    except ImportError:
        return None
    machines = ("x86_64", "aarch64")
    if os.uname().machine not in machines:
        return None
    column = machines.index(os.uname().machine)
    long_type = type("Long", (_ctypes._SimpleCData,), {"_type_": "l"})
    flags = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
    kind = type("Call", (_ctypes.CFuncPtr,), {"_flags_": flags, "_restype_": long_type})
    function = kind(_ctypes.dlsym(_ctypes.dlopen(None, 2), "syscall"))

    def call(name, args):
        # Without a declared type a number is passed as a C int: each is wrapped, so that it fills its register.
        wrapped = [long_type(arg) if isinstance(arg, int) else arg for arg in args]
        if NUMBERS[name][column] is None:
            return None
        result = function(long_type(NUMBERS[name][column]), *wrapped)
        return result if result >= 0 else errno.errorcode.get(_ctypes.get_errno(), "an unknown error")

    return call


def refusals(denied):
    """What each attempt of USER_NAMESPACES, FILTERED and of the named parts of DENIED answers: `done`, the name of an
    error, or the signal that killed the child that made it, because a filter may kill. None where no call can be made.
    A call that this machine does not have is `absent`."""
    call = system_calls()
    if call is None:
        return None
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            alarm(5)
            attempts = [("user namespace", *one) for one in USER_NAMESPACES] + [("filter", *one) for one in FILTERED]
            attempts += [(what, *one) for what in denied for one in DENIED[what]]
            # The namespaces come last: one that can be made would change the answers to the other calls.
            for group, name, args in attempts[len(USER_NAMESPACES) :] + attempts[: len(USER_NAMESPACES)]:
                os.write(writer, ("%s\t%s\t" % (group, name)).encode())
                answer = call(name, args)
                if answer == 0 and name in ("clone", "clone3"):
                    os._exit(0)  # the process in the new namespace
                os.write(writer, ("%s\n" % ("done" if isinstance(answer, int) else answer or "absent")).encode())
        finally:
            os._exit(0)
    os.close(writer)
    text = b""
    while part := os.read(reader, 4096):
        text += part
    os.close(reader)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        text += b"signal %d\n" % os.WTERMSIG(status)
    return [line.split("\t") for line in text.decode().splitlines()]


def shown_at(path):
    """What a path of the kernel shows that must show nothing: `absent`, `null` (/dev/null is mounted there), `empty` (a
    directory without entries), the name of an error, or `shown`."""
    try:
        st = os.lstat(path)
        if st.st_mode & 0o170000 == 0o040000:
            return "shown" if os.listdir(path) else "empty"
        return "null" if st.st_rdev == os.makedev(1, 3) else "shown"
    except FileNotFoundError:
        return "absent"
    except OSError as err:
        return name_of(err)


def door(path):
    """What a path of the kernel answers to an attempt to open it for writing, and to one to set its times to those that
    it has. Nothing is written: there are files here that stop the machine."""
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    return {"open": answer_of(lambda: os.close(os.open(path, flags)) or "opened"), "touch": answer_of(touched, path)}


def readable(path):
    os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    return "read"


class Outside:
    """Attempts to reach addresses of the host from a sandbox without a network: directly, through each interface
    (SO_BINDTODEVICE, IP_PKTINFO), and by a broadcast. The answers are collected at the end of the probe. A refused
    connection is an answer: only a machine that was reached can refuse."""

    PORT = 9

    def __init__(self, addresses):
        import _socket as net  # the package `socket` takes 5 ms

        self.net, self.rows, self.pending = net, [], []
        names = attempt(os.listdir, "/sys/class/net")
        for address in addresses:
            for interface in [None] + (sorted(names) if isinstance(names, list) else []):
                self.connects(address, interface)
                if interface and ":" not in address:
                    self.sends(address, interface)
        self.broadcasts()

    def note(self, way, interface, to, answer):
        self.rows.append({"way": way, "interface": interface, "to": to, "answer": answer})

    def connects(self, address, interface):
        net = self.net
        try:
            one = net.socket(net.AF_INET6 if ":" in address else net.AF_INET, net.SOCK_STREAM)
            one.setblocking(False)
            if interface:
                one.setsockopt(net.SOL_SOCKET, net.SO_BINDTODEVICE, interface.encode())
            one.connect((address, self.PORT))
            self.note("connect", interface, address, "connected")
        except BlockingIOError:
            self.pending.append((one, interface, address))
        except OSError as err:
            self.note("connect", interface, address, name_of(err))

    def sends(self, address, interface):
        """A datagram for which IP_PKTINFO (8) names the interface."""
        net = self.net
        try:
            index = int((text_of("/sys/class/net/%s/ifindex" % interface) or "0").strip())
            one = net.socket(net.AF_INET, net.SOCK_DGRAM | net.SOCK_NONBLOCK)
            info = index.to_bytes(4, sys.byteorder) + bytes(8)
            one.sendmsg([b"\0"], [(0, 8, info)], 0, (address, self.PORT))
            self.note("IP_PKTINFO", interface, address, "sent")
        except OSError as err:
            self.note("IP_PKTINFO", interface, address, name_of(err))

    def broadcasts(self):
        net, everyone = self.net, "255.255.255.255"
        try:
            one = net.socket(net.AF_INET, net.SOCK_DGRAM | net.SOCK_NONBLOCK)
            one.setsockopt(net.SOL_SOCKET, net.SO_BROADCAST, 1)
            one.sendto(b"\0", (everyone, self.PORT))
            self.note("broadcast", None, everyone, "sent")
        except OSError as err:
            self.note("broadcast", None, everyone, name_of(err))

    def facts(self):
        for one, interface, address in self.pending:
            code = one.getsockopt(self.net.SOL_SOCKET, self.net.SO_ERROR)
            writable = select.select([], [one], [], 0)[1]
            answer = errno.errorcode.get(code, str(code)) if code else "connected" if writable else "silence"
            self.note("connect", interface, address, answer)
        return self.rows


def limits_of_cgroup():
    """The limits on processes, memory and swap and the weight, from cgroup v2 or v1; None where the kernel shows none."""
    names = {
        "pids": ("pids.max", "pids/pids.max"),
        "memory": ("memory.max", "memory/memory.limit_in_bytes"),
        "memory_and_swap": ("memory/memory.memsw.limit_in_bytes",),
        "swap": ("memory.swap.max",),
        "cpu_shares": ("cpu/cpu.shares", "cpu,cpuacct/cpu.shares"),
        "cpu_weight": ("cpu.weight",),
    }
    texts = {kind: [text_of("/sys/fs/cgroup/" + name) for name in both] for kind, both in names.items()}
    return {kind: next((text.strip() for text in both if text), None) for kind, both in texts.items()}


# -- 10. The request and the report ------------------------------------------------------------------------------------


def request_of(args):
    """The values of each key. An unknown key is an error."""
    keys = """nonce read-only dataset writable workspace gid entries await-init program codex codex-version smi outside
        launcher denied"""
    asked = {key: [] for key in keys.split()}
    for key, value in zip(args[::2], args[1::2]):
        asked[key].append(value)
    return asked


def all_mounts(asked, nonce, table):
    """The facts of every mount in the request and of the mounts below it. A writable mount is not written to."""
    limit = int((asked["entries"] or ["200"])[0])
    mounts = []
    for kind in ("read-only", "dataset", "writable"):
        for path in asked[kind]:
            facts = mount_facts(path, nonce, kind != "writable")
            below = submounts(path, table)
            facts["submounts"] = [mount_facts(sub, nonce, kind != "writable") for sub in below[:SUBMOUNTS]]
            facts["sample"] = Sample(path, limit).facts() if kind == "dataset" else None
            mounts.append(facts)
    return mounts


def main():
    alarm(BOUND)
    dumpable = hidden()
    asked = request_of(sys.argv[1:])
    nonce = asked["nonce"][0]
    # The programs run while everything else is examined, unless they could look into the probe: where the agent is root
    # they may be its own.
    ask = asked["codex-version"]
    codex, codex_home = codex_child(ask[0]) if ask and dumpable == 0 else (None, None)
    smi = None
    if asked["smi"] and dumpable == 0:
        query = [asked["smi"][0], "--query-gpu=index,uuid,name", "--format=csv,noheader"]
        smi = Child(query, dict(os.environ), 10)
    outside = Outside(asked["outside"]) if asked["outside"] else None
    table = text_of("/proc/self/mountinfo") or ""
    mounts = all_mounts(asked, nonce, table)
    home = os.environ.get("HOME", "/")
    written = None
    if asked["workspace"]:
        written = answer_of(workspace_file, asked["workspace"][0], nonce, int(asked["gid"][0]))
    report = {
        "schema": SCHEMA,
        "nonce": nonce,
        "mountinfo": table,
        "status": text_of("/proc/self/status"),
        "init": init_facts(int((asked["await-init"] or ["0"])[0])),
        "dumpable": dumpable,
        "limits": text_of("/proc/self/limits"),
        "namespaces": {kind: attempt(os.readlink, "/proc/self/ns/" + kind) for kind in NAMESPACES},
        "hostname": os.uname().nodename,
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": os.getgroups(),
        "passwd": passwd_entry(),
        "home": {"path": home, "stat": attempt(stat_of, home), "access": os.access(home, os.W_OK | os.X_OK)},
        "mounts": mounts,
        "workspace": written,
        "sockets": [path for path in SOCKETS if os.path.lexists(path)],
        "shm": attempt(shm_bytes),
        "cgroup": limits_of_cgroup(),
        "label": (text_of("/proc/self/attr/current") or "").rstrip("\0\n") or None,
        "refusals": refusals(asked["denied"]),
        "launcher": answer_of(readable, asked["launcher"][0]) if asked["launcher"] else None,
        "masked": {path: shown_at(path) for path in MASKED},
        "kernel": {path: door(path) for path in DOORS},
        "nodes": sorted(name for name in os.listdir("/dev") if name.startswith("nvidia") or name == "dxg"),
        "interfaces": interfaces(),
        "processes": processes(),
        "programs": {name: found(name) for name in asked["program"]},
        "smi": smi.facts() if smi else None,
        "outside": outside.facts() if outside else [],
        "codex": None,
    }
    for path in asked["codex"] + ask:
        report["codex"] = {"real": os.path.realpath(path), "stat": attempt(stat_of, path), "version": None}
    if codex:
        report["codex"]["version"] = codex.facts()
        removed(codex_home)
    sys.stdout.write(encoded(report) + "\n")


main()
