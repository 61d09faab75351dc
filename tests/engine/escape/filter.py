# What the filter denies that the launcher of a session sets, by every way into the kernel. Where nothing is denied, each of
# these must come through: so it is made rightly.

SETUID = "setuid" in HOST["denied"]
TRACING = "ptrace" in HOST["denied"]
X86 = platform.machine() == "x86_64"


def new():
    path = "/workspace/outside/" + os.urandom(6).hex()
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o755))
    return path


def has_bits(path):
    """Whoever says that it is done must have done it. The file is removed again: others could start it."""
    mode = os.stat(path).st_mode
    os.unlink(path)
    if not mode & 0o6000:
        raise RuntimeError("it has mode %o" % mode)


def by_call(name, *args):
    """A system call of which the C library knows nothing."""
    numbers = {
        "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "creat": (85, None), "open": (2, None),
        "openat": (257, 56), "mknod": (133, None), "mknodat": (259, 33), "mkdir": (83, None), "mkdirat": (258, 34),
    }
    number = numbers[name][0 if X86 else 1]
    words = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    return checked(libc.syscall(ctypes.c_long(number), *words))


def changes(function, mode=0o4755):
    """Changes the mode of a new file."""

    def one():
        path = new()
        function(path, mode)
        has_bits(path)

    return one


def makes(function, mode=0o4755):
    """Makes a file with a mode, of which nothing is taken off."""

    def one():
        os.umask(0)
        path = "/workspace/outside/" + os.urandom(6).hex()
        function(path, mode)
        has_bits(path)

    return one


def handle(path, flags=os.O_RDONLY):
    return os.open(path, flags)


def openat2(path, mode):
    how = struct.pack("QQQ", os.O_CREAT | os.O_WRONLY, mode, 0)
    call("openat2", AT_FDCWD, path.encode(), how, len(how))


def tmpfile(path, mode):
    fd = os.open("/workspace/outside", O_TMPFILE | os.O_WRONLY, mode)
    call("linkat", AT_FDCWD, b"/proc/self/fd/%d" % fd, AT_FDCWD, path.encode(), 0x400)  # AT_SYMLINK_FOLLOW


def unpacked(path, mode):
    import io, tarfile

    entry = tarfile.TarInfo(os.path.basename(path))
    entry.mode = mode
    text = io.BytesIO()
    with tarfile.open(fileobj=text, mode="w") as archive:
        archive.addfile(entry)
    text.seek(0)
    subprocess.run(["tar", "-xpf", "-", "-C", os.path.dirname(path)], input=text.read(), stderr=subprocess.DEVNULL)
    if not os.stat(path).st_mode & 0o6000:
        raise OSError(errno.EPERM, "tar could not set it")


def by_program(path, mode):
    run = subprocess.run(["chmod", "%o" % mode, path], stderr=subprocess.PIPE)
    if run.returncode:
        raise OSError(errno.EPERM if b"not permitted" in run.stderr else errno.EIO, run.stderr)


def under_a_filter_of_its_own(path, mode):
    """A filter that allows everything, stacked on those that are there, does not open them."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7FFF0000))
    checked(libc.prctl(22, 2, struct.pack("HxxxxxxQ", 1, ctypes.addressof(program)), 0, 0))
    os.chmod(path, mode)


EPERM_OR_DONE = "EPERM" if SETUID else "done"
attempt("filter.setuid.chmod", EPERM_OR_DONE)(changes(os.chmod))
attempt("filter.setuid.chmod-setgid", EPERM_OR_DONE)(changes(os.chmod, 0o2755))
attempt("filter.setuid.chmod-call", EPERM_OR_DONE)(
    changes(lambda p, m: by_call(*(("chmod", p.encode(), m) if X86 else ("fchmodat", AT_FDCWD, p.encode(), m))))
)
attempt("filter.setuid.chmod-high-bits", EPERM_OR_DONE)(
    changes(lambda p, m: by_call("fchmodat", AT_FDCWD, p.encode(), m | 0x7FFF_0000_0000))
)
attempt("filter.setuid.fchmod", EPERM_OR_DONE)(changes(lambda p, m: os.fchmod(handle(p), m)))
attempt("filter.setuid.fchmodat", EPERM_OR_DONE)(changes(lambda p, m: by_call("fchmodat", AT_FDCWD, p.encode(), m)))
attempt("filter.setuid.fchmodat2", EPERM_OR_DONE, *(() if SETUID else ("ENOSYS", "EPERM")))(
    changes(lambda p, m: call("fchmodat2", AT_FDCWD, p.encode(), m, 0))
)
attempt("filter.setuid.by-path-handle", EPERM_OR_DONE)(
    changes(lambda p, m: os.chmod("/proc/self/fd/%d" % handle(p, O_PATH), m))
)
attempt("filter.setuid.program", EPERM_OR_DONE)(changes(by_program))
attempt("filter.setuid.own-filter", EPERM_OR_DONE)(changes(under_a_filter_of_its_own))
attempt("filter.setuid.creat", EPERM_OR_DONE)(
    makes(lambda p, m: by_call(*(("creat", p.encode(), m) if X86 else ("openat", AT_FDCWD, p.encode(), os.O_CREAT | os.O_WRONLY, m))))
)
attempt("filter.setuid.open", EPERM_OR_DONE)(
    makes(lambda p, m: by_call(*(("open", p.encode(), os.O_CREAT | os.O_WRONLY, m) if X86 else ("openat", AT_FDCWD, p.encode(), os.O_CREAT | os.O_WRONLY, m))))
)
attempt("filter.setuid.openat", EPERM_OR_DONE)(makes(lambda p, m: os.open(p, os.O_CREAT | os.O_WRONLY, m)))
attempt("filter.setuid.tmpfile", EPERM_OR_DONE)(makes(tmpfile))
attempt("filter.setuid.mknod", EPERM_OR_DONE)(makes(lambda p, m: os.mknod(p, 0o100000 | m)))
attempt("filter.setuid.mknod-setgid", EPERM_OR_DONE)(makes(lambda p, m: os.mknod(p, 0o100000 | m), 0o2755))
attempt("filter.setuid.openat2", "ENOSYS" if SETUID else "done")(makes(openat2))
attempt("filter.setuid.unpacked", EPERM_OR_DONE)(makes(unpacked))


@attempt("filter.setuid.mkdir", "said: 1755")
def _():
    # The kernel drops the bits of a new directory by itself.
    os.umask(0)
    path = "/workspace/outside/" + os.urandom(6).hex()
    os.mkdir(path, 0o7755)
    return "%o" % (os.stat(path).st_mode & 0o7777)


@attempt("filter.ordinary-modes", "done")
def _():
    # What has no such bit goes through: files, directories, the sticky bit, and a mode that means nothing.
    path = new()
    for mode in (0o755, 0o600, 0o1777, 0):
        os.chmod(path, mode)
    by_call("openat", AT_FDCWD, b"/workspace/outside", os.O_RDONLY | os.O_DIRECTORY, 0o7777)


# -- by 32-bit numbers and those of x32 --------------------------------------------------------------------------------

# Loads eax, ebx, ecx, edx, esi and edi from where rdi points to, and makes the call by `int 0x80`.
INT_80 = bytes.fromhex("535541544989fc418b0424418b5c2404418b4c2408418b54240c418b742410418b7c241431edcd80415c5d5bc3")


def low(text, executable=False):
    """A copy of the text below 4 GiB, where 32-bit calls find it."""
    mapped = libc.mmap
    mapped.restype = ctypes.c_void_p
    at = mapped(None, ctypes.c_size_t(8192), 7 if executable else 3, 0x62, -1, ctypes.c_long(0))  # MAP_32BIT too
    ctypes.memmove(at, text, len(text))
    return at


def call_32(number, *args):
    """A call as a 32-bit program makes it. A text is passed by its address."""
    words = [low(arg + b"\0") if isinstance(arg, bytes) else arg & 0xFFFFFFFF for arg in args]
    words = [number, *words] + [0] * (5 - len(words))
    function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(low(INT_80, executable=True))
    result = function(low(struct.pack("6I", *words)))
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


def has_32_bit():
    """Whether this machine and its kernel have them: asked in a child, which may be ended by it."""
    if not X86:
        return False
    child = os.fork()
    if child == 0:
        os._exit(call_32(20) != os.getpid())
    return os.waitpid(child, 0)[1] == 0


BITS_32 = has_32_bit()
NONE_32 = "said: there are none"


def by_32(function):
    return function if BITS_32 else lambda: NONE_32.removeprefix("said: ")


attempt("filter.setuid.chmod-32", EPERM_OR_DONE, NONE_32)(by_32(changes(lambda p, m: call_32(15, p.encode(), m))))
attempt("filter.setuid.fchmod-32", EPERM_OR_DONE, NONE_32)(by_32(changes(lambda p, m: call_32(94, handle(p), m))))
attempt("filter.setuid.fchmodat-32", EPERM_OR_DONE, NONE_32)(
    by_32(changes(lambda p, m: call_32(306, AT_FDCWD, p.encode(), m)))
)
attempt("filter.setuid.open-32", EPERM_OR_DONE, NONE_32)(by_32(makes(lambda p, m: call_32(5, p.encode(), 0o101, m))))
attempt("filter.setuid.creat-32", EPERM_OR_DONE, NONE_32)(by_32(makes(lambda p, m: call_32(8, p.encode(), m))))
attempt("filter.setuid.openat-32", EPERM_OR_DONE, NONE_32)(
    by_32(makes(lambda p, m: call_32(295, AT_FDCWD, p.encode(), 0o101, m)))
)
attempt("filter.setuid.mknod-32", EPERM_OR_DONE, NONE_32)(
    by_32(makes(lambda p, m: call_32(14, p.encode(), 0o100000 | m, 0)))
)
attempt("filter.setuid.openat2-32", "ENOSYS" if SETUID else "done", NONE_32)(
    by_32(makes(lambda p, m: call_32(437, AT_FDCWD, p.encode(), struct.pack("QQQ", 0o101, m, 0), 24)))
)
# Most kernels have no x32.
attempt("filter.setuid.chmod-x32", "ENOSYS", *(() if SETUID else ("done",)))(
    changes(lambda p, m: checked(libc.syscall(ctypes.c_long(0x40000000 | 90), p.encode(), m)) if X86 else call_x32())
)


def call_x32():
    raise OSError(errno.ENOSYS, "this machine has no x32")


# -- io_uring, which opens files by itself -----------------------------------------------------------------------------

attempt("filter.io-uring.setup", "EPERM", "ENOSYS")(
    lambda: call("io_uring_setup", 4, ctypes.create_string_buffer(120)) and None
)
attempt("filter.io-uring.setup-32", "EPERM", "ENOSYS", NONE_32)(by_32(lambda: call_32(425, 4, bytes(120)) and None))


# -- tracing -----------------------------------------------------------------------------------------------------------

TRACED = "EPERM" if TRACING else "done"


def on_child(function):
    """Something that is done to a child, which waits meanwhile."""

    def one():
        child = os.fork()
        if child == 0:
            time.sleep(SECONDS)
            os._exit(0)
        try:
            function(child)
        finally:
            os.kill(child, signal.SIGKILL)

    return one


TEXT = ctypes.create_string_buffer(b"before", 64)


def vectors():
    own = ctypes.create_string_buffer(64)
    vector = lambda at: struct.pack("QQ", at, 8)
    return own, vector(ctypes.addressof(own)), vector(ctypes.addressof(TEXT))


def memory(name):
    def one(child):
        own, mine, theirs = vectors()
        call(name, child, mine, 1, theirs, 1, 0)

    return one


def mem_file(child):
    """The file of a process's memory asks the kernel for the same right by no call of its own."""
    with open("/proc/%d/mem" % child, "r+b", buffering=0) as file:
        file.seek(ctypes.addressof(TEXT))
        file.write(b"after")


attempt("filter.trace.seize", TRACED)(on_child(lambda child: call("ptrace", 0x4206, child, 0, 0) and None))
attempt("filter.trace.attach", TRACED)(on_child(lambda child: call("ptrace", 16, child, 0, 0) and None))
attempt("filter.trace.me", TRACED)(lambda: None if call("ptrace", 0, 0, 0, 0) == 0 else "odd")
attempt("filter.trace.read", TRACED)(on_child(memory("process_vm_readv")))
attempt("filter.trace.write", TRACED)(on_child(memory("process_vm_writev")))
attempt("filter.trace.compare", "EPERM", *(() if TRACING else ("done",)))(
    on_child(lambda child: call("kcmp", os.getpid(), child, 1, 0, 0) and None)
)
attempt("filter.trace.handle", "EPERM", *(() if TRACING else ("done",)))(
    on_child(lambda child: call("pidfd_getfd", call("pidfd_open", child, 0), 0, 0) and None)
)
attempt("filter.trace.seize-32", TRACED, NONE_32)(
    by_32(on_child(lambda child: call_32(26, 0x4206, child, 0, 0) and None))
)
attempt("filter.trace.read-32", "EPERM" if TRACING else "EFAULT", NONE_32)(
    by_32(on_child(lambda child: call_32(347, child, 0x1000, 1, 0x1000, 1) and None))
)
attempt("filter.trace.memory-file", "done")(on_child(mem_file))


@attempt("filter.launcher.read", "EACCES", "said: there is none")
def _():
    # What can be read could be traced from its first moment, before its filter is set.
    if not HOST["launcher"]:
        return "there is none"
    os.close(os.open(HOST["launcher"], os.O_RDONLY))


@attempt("filter.launcher.replace", "EROFS", "said: there is none")
def _():
    if not HOST["launcher"]:
        return "there is none"
    os.rename(HOST["launcher"], HOST["launcher"] + "-gone")


@attempt("filter.launcher.mode", "EROFS", "said: there is none")
def _():
    if not HOST["launcher"]:
        return "there is none"
    os.chmod(HOST["launcher"], 0o755)
