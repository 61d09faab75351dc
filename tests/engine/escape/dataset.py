# Writes of every kind to a data set. Each with a control: the same, on a copy in the workspace, is done.

RO = "EROFS"


@attempt("dataset.open.wronly", RO, control="done")
def _(p):
    os.open(p.clip, os.O_WRONLY)


@attempt("dataset.open.rdwr", RO, control="done")
def _(p):
    os.open(p.clip, os.O_RDWR)


@attempt("dataset.open.append", RO, control="done")
def _(p):
    os.open(p.clip, os.O_WRONLY | os.O_APPEND)


@attempt("dataset.open.trunc", RO, control="done")
def _(p):
    os.open(p.clip, os.O_RDONLY | os.O_TRUNC)


@attempt("dataset.open.create", RO, control="done")
def _(p):
    os.open(p.new, os.O_CREAT | os.O_EXCL | os.O_WRONLY)


@attempt("dataset.open.create-in-open-directory", RO, control="done")
def _(p):
    os.open(p.open + "/new", os.O_CREAT | os.O_WRONLY)


@attempt("dataset.open.loose-mode", RO, control="done")
def _(p):
    os.open(p.loose, os.O_WRONLY)


@attempt("dataset.open.tmpfile", RO, control="done")
def _(p):
    os.open(p.root, O_TMPFILE | os.O_WRONLY)


@attempt("dataset.open.path-reopened", RO, control="done")
def _(p):
    os.open("/proc/self/fd/%d" % os.open(p.clip, O_PATH), os.O_WRONLY)


@attempt("dataset.open.read-reopened", RO, control="done")
def _(p):
    os.open("/proc/self/fd/%d" % p.read(), os.O_RDWR)


@attempt("dataset.open.dev-fd", RO, control="done")
def _(p):
    os.open("/dev/fd/%d" % p.read(), os.O_WRONLY)


@attempt("dataset.open.openat2", RO, *(["ENOSYS"] if FILTERED else []), control="ENOSYS" if FILTERED else "done")
def _(p):
    how = struct.pack("QQQ", os.O_WRONLY, 0, 0)
    call("openat2", AT_FDCWD, p.clip.encode(), how, len(how))


@attempt("dataset.open.by-directory-handle", RO, control="done")
def _(p):
    os.open("1.webm", os.O_WRONLY, dir_fd=os.open(p.root, os.O_RDONLY | os.O_DIRECTORY))


@attempt("dataset.open.by-root-of-another", RO, control="done")
def _(p):
    os.open("/proc/%d/root" % os.getppid() + p.clip, os.O_WRONLY)


@attempt("dataset.open.by-own-root", RO, control="done")
def _(p):
    os.open("/proc/self/root" + p.clip, os.O_WRONLY)


@attempt("dataset.open.by-cwd-link", RO, control="done")
def _(p):
    os.chdir(p.root)
    os.open("/proc/self/cwd/1.webm", os.O_WRONLY)


@attempt("dataset.open.by-symlink", RO, control="done")
def _(p):
    link = p.outside
    os.symlink(p.clip, link)
    os.open(link, os.O_WRONLY)


@attempt("dataset.open.by-task-root", RO, control="done")
def _(p):
    os.open("/proc/thread-self/root" + p.clip, os.O_RDWR)


@attempt("dataset.write.truncate", RO, control="done")
def _(p):
    os.truncate(p.clip, 0)


@attempt("dataset.write.truncate-through-path-handle", RO, control="done")
def _(p):
    os.truncate("/proc/self/fd/%d" % os.open(p.clip, O_PATH), 1)


@attempt("dataset.write.shell-redirection", "said: 1", control="said: 0")
def _(p):
    return subprocess.run(["bash", "-c", 'echo x >"$0" 2>/dev/null', p.clip]).returncode


@attempt("dataset.write.dd", "said: 1", control="said: 0")
def _(p):
    words = ["dd", "if=/dev/zero", "of=" + p.clip, "bs=1", "count=1", "conv=notrunc"]
    return subprocess.run(words, stderr=subprocess.DEVNULL).returncode


@attempt("dataset.write.sed-in-place", "said: 4", control="said: 0")
def _(p):
    return subprocess.run(["sed", "-i", "s/a/b/", p.loose], stderr=subprocess.DEVNULL).returncode


@attempt("dataset.names.mkdir", RO, control="done")
def _(p):
    os.mkdir(p.new)


@attempt("dataset.names.rmdir", RO, control="done")
def _(p):
    os.rmdir(p.hollow)


@attempt("dataset.names.unlink", RO, control="done")
def _(p):
    os.unlink(p.clip)


@attempt("dataset.names.rename", RO, control="done")
def _(p):
    os.rename(p.clip, p.new)


@attempt("dataset.names.rename-over", RO, control="done")
def _(p):
    os.rename(p.clip, p.other)


@attempt("dataset.names.rename-exchange", RO, control="done")
def _(p):
    call("renameat2", AT_FDCWD, p.clip.encode(), AT_FDCWD, p.other.encode(), 2)


@attempt("dataset.names.rename-noreplace", RO, control="done")
def _(p):
    call("renameat2", AT_FDCWD, p.clip.encode(), AT_FDCWD, p.new.encode(), 1)


@attempt("dataset.names.rename-out", "EXDEV", RO, control="done")
def _(p):
    os.rename(p.clip, p.outside)


@attempt("dataset.names.rename-in", "EXDEV", RO, control="done")
def _(p):
    os.rename(p.made_outside(), p.new)


@attempt("dataset.names.rename-in-over", "EXDEV", RO, control="done")
def _(p):
    os.rename(p.made_outside(), p.clip)


@attempt("dataset.names.exchange-across", "EXDEV", RO, control="done")
def _(p):
    call("renameat2", AT_FDCWD, p.made_outside().encode(), AT_FDCWD, p.clip.encode(), 2)


@attempt("dataset.names.link-within", RO, control="done")
def _(p):
    os.link(p.clip, p.new)


@attempt("dataset.names.link-out", "EXDEV", control="done")
def _(p):
    os.link(p.clip, p.outside)


@attempt("dataset.names.link-in", "EXDEV", RO, control="done")
def _(p):
    os.link(p.made_outside(), p.new)


@attempt("dataset.names.link-out-of-handle", "EXDEV", control="done")
def _(p):
    link = "/proc/self/fd/%d" % p.read()
    call("linkat", AT_FDCWD, link.encode(), AT_FDCWD, p.outside.encode(), 0x400)


@attempt("dataset.names.link-empty-path", "EXDEV", "ENOENT", control=("done", "ENOENT"))
def _(p):
    call("linkat", p.read(), b"", AT_FDCWD, p.outside.encode(), AT_EMPTY_PATH)


@attempt("dataset.names.symlink", RO, control="done")
def _(p):
    os.symlink("/workspace", p.new)


@attempt("dataset.names.fifo", RO, control="done")
def _(p):
    os.mkfifo(p.new)


@attempt("dataset.names.socket", RO, control="done")
def _(p):
    socket.socket(socket.AF_UNIX).bind(p.new)


@attempt("dataset.names.mknod-file", RO, control="done")
def _(p):
    os.mknod(p.new, stat.S_IFREG | 0o644)


@attempt("dataset.attributes.chmod", RO, control="done")
def _(p):
    os.chmod(p.clip, 0o777)


@attempt("dataset.attributes.chmod-directory", RO, control="done")
def _(p):
    os.chmod(p.root, 0o777)


@attempt("dataset.attributes.setuid", RO, *(["EPERM"] if FILTERED else []), control="EPERM" if FILTERED else "done")
def _(p):
    os.chmod(p.clip, 0o4755)


@attempt("dataset.attributes.fchmod", RO, control="done")
def _(p):
    os.fchmod(p.read(), 0o600)


@attempt("dataset.attributes.chmod-through-path-handle", RO, control="done")
def _(p):
    os.chmod("/proc/self/fd/%d" % os.open(p.clip, O_PATH), 0o600)


@attempt("dataset.attributes.fchmodat2", RO, "ENOSYS", "EPERM", control=("done", "ENOSYS", "EPERM"))
def _(p):
    call("fchmodat2", p.read(), b"", 0o600, AT_EMPTY_PATH)


@attempt("dataset.attributes.chown", RO, control="done")
def _(p):
    os.chown(p.clip, os.getuid(), os.getgid())


@attempt("dataset.attributes.lchown", RO, control="done")
def _(p):
    os.lchown(p.clip, os.getuid(), os.getgid())


@attempt("dataset.attributes.fchown", RO, control="done")
def _(p):
    os.fchown(p.read(), os.getuid(), os.getgid())


@attempt("dataset.attributes.fchownat-empty-path", RO, control="done")
def _(p):
    call("fchownat", os.open(p.clip, O_PATH), b"", os.getuid(), os.getgid(), AT_EMPTY_PATH)


@attempt("dataset.attributes.utime", RO, control="done")
def _(p):
    os.utime(p.clip, (1, 1))


@attempt("dataset.attributes.utime-directory", RO, control="done")
def _(p):
    os.utime(p.root)


@attempt("dataset.attributes.futimens", RO, control="done")
def _(p):
    os.utime(p.read(), (1, 1))


@attempt("dataset.attributes.utimensat-link", RO, control="done")
def _(p):
    os.utime(p.clip, (1, 1), follow_symlinks=False)


@attempt("dataset.attributes.xattr", RO, control="done")
def _(p):
    os.setxattr(p.clip, "user.mine", b"1")


@attempt("dataset.attributes.xattr-by-handle", RO, control="done")
def _(p):
    os.setxattr(p.read(), "user.mine", b"1")


@attempt("dataset.attributes.xattr-removed", RO, control="ENODATA")
def _(p):
    os.removexattr(p.clip, "user.mine")


@attempt("dataset.attributes.acl", RO, control="done")
def _(p):
    entries = [(1, 6, -1), (2, 7, 65534), (4, 4, -1), (0x10, 7, -1), (0x20, 4, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    os.setxattr(p.clip, "system.posix_acl_access", acl)


@attempt("dataset.attributes.capability", RO, "EPERM", control="EPERM")
def _(p):
    os.setxattr(p.clip, "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 21, 0, 0, 0))


@attempt("dataset.attributes.flags", RO, control="done")
def _(p):
    ioctl(p.read(), 0x40086602, struct.pack("l", 0x40))  # FS_IOC_SETFLAGS, no dump


@attempt("dataset.attributes.immutable", RO, "EPERM", control="EPERM")
def _(p):
    ioctl(p.read(), 0x40086602, struct.pack("l", 0x10))


@attempt("dataset.attributes.project", RO, "EPERM", control=("done", "EPERM", "EOPNOTSUPP"))
def _(p):
    fd = p.read()
    state = bytearray(ioctl(fd, 0x801C581F, bytes(28)))  # FS_IOC_FSGETXATTR
    state[0] |= 0x80  # no dump
    ioctl(fd, 0x401C5820, bytes(state))


@attempt("dataset.attributes.version", RO, "EPERM", "ENOTTY", control=("done", "EPERM", "ENOTTY"))
def _(p):
    ioctl(p.read(), 0x40087602, struct.pack("l", 7))  # FS_IOC_SETVERSION


@attempt("dataset.handle.write", "EBADF", control="EBADF")
def _(p):
    os.write(p.read(), b"x")


@attempt("dataset.handle.pwrite", "EBADF", control="EBADF")
def _(p):
    os.pwrite(p.read(), b"x", 0)


@attempt("dataset.handle.ftruncate", "EINVAL", control="EINVAL")
def _(p):
    os.ftruncate(p.read(), 0)


@attempt("dataset.handle.fallocate", "EBADF", control="EBADF")
def _(p):
    call("fallocate", p.read(), 0, 0, 1 << 20)


@attempt("dataset.handle.punch-hole", "EBADF", control="EBADF")
def _(p):
    call("fallocate", p.read(), 3, 0, 4096)


@attempt("dataset.handle.copy-file-range", "EBADF", control="EBADF")
def _(p):
    call("copy_file_range", os.open(p.other, os.O_RDONLY), 0, p.read(), 0, 16, 0)


@attempt("dataset.handle.reflink", "EBADF", control="EBADF")
def _(p):
    ioctl(p.read(), 0x40049409, os.open(p.other, os.O_RDONLY))  # FICLONE


@attempt("dataset.handle.sendfile", "EBADF", control="EBADF")
def _(p):
    os.sendfile(p.read(), os.open(p.other, os.O_RDONLY), 0, 16)


@attempt("dataset.handle.splice", "EBADF", control="EBADF")
def _(p):
    reader, writer = os.pipe()
    os.write(writer, b"x" * 16)
    os.splice(reader, p.read(), 16)


@attempt("dataset.handle.access-mode-changed", "EBADF", control="EBADF")
def _(p):
    fd = p.read()
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_RDWR | os.O_APPEND)
    os.write(fd, b"x")


@attempt("dataset.handle.mmap-shared", "EACCES", control="EACCES")
def _(p):
    mmap.mmap(p.read(), 0, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)


def mapped(p, kind):
    """Maps the clip to be read; the address."""
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + 3 * [ctypes.c_int] + [ctypes.c_long]
    address = libc.mmap(None, 4096, mmap.PROT_READ, kind, p.read(), 0)
    if address in (None, ctypes.c_void_p(-1).value):
        raise RuntimeError("it cannot be mapped")
    return address


@attempt("dataset.handle.mprotect", "EACCES", control="EACCES")
def _(p):
    checked(libc.mprotect(ctypes.c_void_p(mapped(p, mmap.MAP_SHARED)), ctypes.c_size_t(4096), 3))


@attempt("dataset.handle.forced-write", "EIO", "EFAULT", "EACCES", control=("EIO", "EFAULT", "EACCES"))
def _(p):
    memory = os.open("/proc/self/mem", os.O_RDWR)
    os.pwrite(memory, b"forced", mapped(p, mmap.MAP_SHARED))


@attempt("dataset.handle.vm-writev", "EFAULT", control="EFAULT")
def _(p):
    text = ctypes.create_string_buffer(b"forced")
    local = struct.pack("QQ", ctypes.addressof(text), 6)
    remote = struct.pack("QQ", mapped(p, mmap.MAP_SHARED), 6)
    call("process_vm_writev", os.getpid(), local, 1, remote, 1, 0)


@attempt("dataset.handle.dirty-cow", "said: 3000 times", control="said: 3000 times")
def _(p):
    address = mapped(p, mmap.MAP_PRIVATE)
    memory = os.open("/proc/self/mem", os.O_RDWR)
    import threading

    done = threading.Event()

    def forget():
        while not done.is_set():
            libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(4096), 4)

    thread = threading.Thread(target=forget)
    thread.start()
    for _ in range(3000):
        os.pwrite(memory, b"moooo", address)
    done.set()
    thread.join()
    return "3000 times"


@attempt("dataset.handle.dirty-pipe", "done", control="done")
def _(p):
    reader, writer = os.pipe()
    size = fcntl.fcntl(writer, 1032)  # F_GETPIPE_SZ
    for _ in range(size // 4096):
        os.write(writer, b"x" * 4096)
    for _ in range(size // 4096):
        os.read(reader, 4096)
    os.splice(p.read(), writer, 1, offset_src=0)
    os.write(writer, b"dirty")


@attempt("dataset.handle.lease", "EACCES", "EAGAIN", "done", control="done")
def _(p):
    fcntl.fcntl(p.read(), fcntl.F_SETLEASE, fcntl.F_RDLCK)


@attempt("dataset.handle.by-number", "EPERM", control="EPERM")
def _(p):
    handle = bytearray(struct.pack("Ii", 128, 0) + bytes(128))
    mount = ctypes.c_int()
    raw = (ctypes.c_char * len(handle)).from_buffer(handle)
    try:
        call("name_to_handle_at", AT_FDCWD, p.clip.encode(), raw, ctypes.byref(mount), 0)
    except OSError as err:
        if err.errno != errno.EPERM:
            raise RuntimeError("no handle to open: %s" % err)
    fd = os.open("/workspace", os.O_RDONLY)
    call("open_by_handle_at", fd, raw, os.O_RDWR)


@attempt("dataset.handle.by-root-inode", "EPERM")
def _(p):
    # The inode 2 of an ext4 is its root: the directory that no container shows.
    handle = struct.pack("IiII", 8, 1, 2, 0)
    call("open_by_handle_at", os.open("/workspace", os.O_RDONLY), handle, os.O_RDONLY)


def device_of(path, kind):
    os.mknod("/tmp/device-" + os.urandom(4).hex(), kind | 0o600, os.stat(path).st_dev)


@attempt("dataset.device.block", "EPERM")
def _(p):
    device_of(p.clip, stat.S_IFBLK)


@attempt("dataset.device.block-in-shm", "EPERM")
def _(p):
    os.mknod("/dev/shm/device", stat.S_IFBLK | 0o600, os.stat(p.clip).st_dev)


@attempt("dataset.device.in-dev", "ENOENT")
def _(p):
    # A node of the disk in /dev, by whatever name.
    device = os.stat(p.clip).st_dev
    for directory, _, names in os.walk("/dev"):
        for name in names:
            path = os.path.join(directory, name)
            if os.path.exists(path) and stat.S_ISBLK(os.stat(path).st_mode):
                os.open(path, os.O_RDWR)
                return "opened " + path
    raise OSError(errno.ENOENT, "no block device for %x" % device)


@attempt("dataset.device.loop", "ENOENT")
def _():
    reached("/dev/loop-control", os.O_RDWR)


@attempt("dataset.device.device-mapper", "ENOENT")
def _():
    reached("/dev/mapper/control", os.O_RDWR)


@attempt("dataset.device.fuse", "ENOENT")
def _():
    reached("/dev/fuse", os.O_RDWR)


@attempt("dataset.device.trim", RO, "EPERM", "EBADF", "ENOTTY", control=("EPERM", "EBADF", "ENOTTY", "EOPNOTSUPP"))
def _(p):
    ioctl(p.read(), 0xC0185879, struct.pack("QQQ", 0, 0, 0))  # FITRIM of nothing


@attempt("dataset.device.freeze", RO, "EPERM", control="EPERM")
def _(p):
    # FITHAW, which needs the same right as FIFREEZE and changes nothing where nothing is frozen.
    ioctl(os.open(p.root, os.O_RDONLY), 0xC0045878, struct.pack("i", 0))


@attempt("dataset.device.shutdown", RO, "EPERM", "ENOTTY", control=("EPERM", "ENOTTY"))
def _(p):
    # EXT4_IOC_SHUTDOWN with a flag that no file system knows.
    ioctl(os.open(p.root, os.O_RDONLY), 0x8004587D, struct.pack("I", 99))


@attempt("dataset.device.bmap", "EPERM", control="EPERM")
def _(p):
    ioctl(p.read(), 1, struct.pack("i", 0))  # FIBMAP


@attempt("dataset.device.move-extents", "EBADF", "EPERM", "ENOTTY", RO, control=("EBADF", "EPERM", "ENOTTY"))
def _(p):
    words = struct.pack("IIQQQQ", 0, os.open(p.other, os.O_RDONLY), 0, 0, 1, 0)
    ioctl(p.read(), 0xC028660F, words)  # EXT4_IOC_MOVE_EXT
