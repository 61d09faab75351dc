# Mounts: to make, change, move or leave them, and what the sandbox is guarded by.

NEWNS, NEWUSER, NEWPID, NEWNET, NEWIPC, NEWUTS, NEWCGROUP, NEWTIME = (
    0x20000, 0x10000000, 0x20000000, 0x40000000, 0x08000000, 0x04000000, 0x02000000, 0x80,
)
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE = 1, 32, 4096, 8192, 16384, 1 << 18
DATA = b"/datasets/ssv2"


def mount(source, target, kind, flags, options=None):
    call("mount", source, target, kind, flags, options)


@attempt("mount.remount-writable", "EPERM")
def _():
    mount(None, DATA, None, MS_REMOUNT | MS_BIND)


@attempt("mount.remount-file-system", "EPERM")
def _():
    mount(None, DATA, None, MS_REMOUNT)


@attempt("mount.bind-over-data", "EPERM")
def _():
    mount(b"/workspace", DATA, None, MS_BIND)


@attempt("mount.bind-data-elsewhere", "EPERM")
def _():
    os.makedirs("/tmp/elsewhere", exist_ok=True)
    mount(DATA, b"/tmp/elsewhere", None, MS_BIND | MS_REC)


@attempt("mount.move", "EPERM")
def _():
    os.makedirs("/tmp/moved", exist_ok=True)
    mount(DATA, b"/tmp/moved", None, MS_MOVE)


@attempt("mount.make-shared", "EPERM")
def _():
    mount(None, DATA, None, 1 << 20)


@attempt("mount.tmpfs-over-git", "EPERM")
def _():
    mount(b"none", b"/workspace/.git", b"tmpfs", 0)


@attempt("mount.tmpfs-over-guest", "EPERM")
def _():
    mount(b"none", b"/sandbox", b"tmpfs", 0)


@attempt("mount.bind-over-codex", "EPERM")
def _():
    mount(b"/bin/true", b"/opt/codex/bin/codex", None, MS_BIND)


@attempt("mount.overlay", "EPERM")
def _():
    for name in ("up", "work", "merged"):
        os.makedirs("/tmp/overlay/" + name, exist_ok=True)
    options = b"lowerdir=/datasets/ssv2,upperdir=/tmp/overlay/up,workdir=/tmp/overlay/work"
    mount(b"none", b"/tmp/overlay/merged", b"overlay", 0, options)


def mounted(kind):
    target = b"/tmp/mounted-" + kind
    os.makedirs(target, exist_ok=True)
    mount(b"none", target, kind, 0)


@attempt("mount.proc", "EPERM")
def _():
    mounted(b"proc")


@attempt("mount.sysfs", "EPERM")
def _():
    mounted(b"sysfs")


@attempt("mount.devtmpfs", "EPERM")
def _():
    mounted(b"devtmpfs")


@attempt("mount.devpts", "EPERM")
def _():
    mounted(b"devpts")


@attempt("mount.mqueue", "EPERM")
def _():
    mounted(b"mqueue")


@attempt("mount.debugfs", "EPERM")
def _():
    mounted(b"debugfs")


@attempt("mount.tracefs", "EPERM")
def _():
    mounted(b"tracefs")


@attempt("mount.securityfs", "EPERM")
def _():
    mounted(b"securityfs")


@attempt("mount.bpf", "EPERM")
def _():
    mounted(b"bpf")


@attempt("mount.cgroup", "EPERM")
def _():
    mounted(b"cgroup")


@attempt("mount.cgroup2", "EPERM")
def _():
    mounted(b"cgroup2")


@attempt("mount.binfmt", "EPERM")
def _():
    mounted(b"binfmt_misc")


@attempt("mount.fuse", "EPERM")
def _():
    mounted(b"fuse")


@attempt("mount.disk", "EPERM")
def _():
    os.makedirs("/tmp/disk", exist_ok=True)
    mount(b"/dev/root", b"/tmp/disk", b"ext4", MS_RDONLY)


@attempt("mount.umount-data", "EPERM")
def _():
    call("umount2", DATA, 0)


@attempt("mount.umount-git-lazily", "EPERM")
def _():
    call("umount2", b"/workspace/.git", 2)


@attempt("mount.umount-masked-file", "EPERM")
def _():
    call("umount2", b"/proc/kcore", 2)


@attempt("mount.umount-proc-sys", "EPERM")
def _():
    call("umount2", b"/proc/sys", 2)


@attempt("mount.pivot-root", "EPERM")
def _():
    call("pivot_root", b"/workspace", b"/workspace")


@attempt("mount.chroot", "EPERM")
def _():
    call("chroot", b"/workspace")


@attempt("mount.chroot-and-fchdir", "EPERM")
def _():
    # The classic: a second root below the first, and then upward from a directory that is outside of it.
    above = os.open("/", os.O_RDONLY)
    call("chroot", b"/tmp")
    os.fchdir(above)
    for _ in range(64):
        os.chdir("..")
    call("chroot", b".")


@attempt("mount.dot-dot", "said: the same")
def _():
    os.chdir("/")
    for _ in range(64):
        os.chdir("..")
    root, top = os.stat("/"), os.stat(".")
    return "the same" if (root.st_dev, root.st_ino) == (top.st_dev, top.st_ino) else os.listdir(".")


@attempt("mount.open-tree", "EPERM")
def _():
    call("open_tree", AT_FDCWD, DATA, 1 | AT_RECURSIVE)  # OPEN_TREE_CLONE


@attempt("mount.move-mount", "EPERM")
def _():
    os.makedirs("/tmp/moved", exist_ok=True)
    call("move_mount", AT_FDCWD, DATA, AT_FDCWD, b"/tmp/moved", 0)


@attempt("mount.fsopen", "EPERM")
def _():
    call("fsopen", b"tmpfs", 0)


@attempt("mount.fspick", "EPERM")
def _():
    call("fspick", AT_FDCWD, DATA, 0)


@attempt("mount.fsmount", "EPERM")
def _():
    call("fsmount", os.open("/workspace", os.O_RDONLY), 0, 0)


@attempt("mount.fsconfig", "EPERM")
def _():
    call("fsconfig", os.open("/workspace", os.O_RDONLY), 6, None, None, 0)


@attempt("mount.setattr", "EPERM")
def _():
    what = struct.pack("QQQQ", 0, MS_RDONLY, 0, 0)
    call("mount_setattr", AT_FDCWD, DATA, 0, what, len(what))


def unshared(flags):
    call("unshare", flags)


@attempt("namespace.unshare-mount", "EPERM")
def _():
    unshared(NEWNS)


@attempt("namespace.unshare-user", "EPERM")
def _():
    unshared(NEWUSER)


@attempt("namespace.unshare-user-and-mount", "EPERM")
def _():
    unshared(NEWUSER | NEWNS)


@attempt("namespace.unshare-pid", "EPERM")
def _():
    unshared(NEWPID)


@attempt("namespace.unshare-net", "EPERM")
def _():
    unshared(NEWNET)


@attempt("namespace.unshare-ipc", "EPERM")
def _():
    unshared(NEWIPC)


@attempt("namespace.unshare-uts", "EPERM")
def _():
    unshared(NEWUTS)


@attempt("namespace.unshare-cgroup", "EPERM")
def _():
    unshared(NEWCGROUP)


@attempt("namespace.unshare-time", "EPERM")
def _():
    unshared(NEWTIME)


def cloned(flags):
    if call("clone", flags | signal.SIGCHLD, 0, 0, 0, 0) == 0:
        os._exit(0)


@attempt("namespace.clone-user", "EPERM")
def _():
    cloned(NEWUSER)


@attempt("namespace.clone-mount", "EPERM")
def _():
    cloned(NEWNS)


@attempt("namespace.clone3-user", "ENOSYS", "EPERM")
def _():
    words = struct.pack("QQQQQQQQ", NEWUSER, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    if call("clone3", words, len(words)) == 0:
        os._exit(0)


def entered(name, flag=0):
    call("setns", os.open("/proc/%d/ns/%s" % (os.getppid(), name), os.O_RDONLY), flag)


@attempt("namespace.setns-mount", "EPERM")
def _():
    entered("mnt")


@attempt("namespace.setns-pid", "EPERM")
def _():
    entered("pid")


@attempt("namespace.setns-net", "EPERM")
def _():
    entered("net")


@attempt("namespace.setns-user", "EPERM")
def _():
    entered("user")


@attempt("namespace.setns-pidfd", "EPERM")
def _():
    call("setns", call("pidfd_open", 1, 0), NEWNS | NEWPID)


@attempt("namespace.parent-of-user", "EPERM")
def _():
    ioctl(os.open("/proc/self/ns/user", os.O_RDONLY), 0xB702)  # NS_GET_PARENT


@attempt("namespace.parent-of-pid", "EPERM")
def _():
    ioctl(os.open("/proc/self/ns/pid", os.O_RDONLY), 0xB702)


@attempt("namespace.uid-map", "EPERM")
def _():
    os.write(os.open("/proc/self/uid_map", os.O_WRONLY), b"0 0 4294967295")


@attempt("namespace.host-name", "EPERM")
def _():
    call("sethostname", b"mine", 4)


@attempt("namespace.domain-name", "EPERM")
def _():
    call("setdomainname", b"mine", 4)


GUARDED = "EROFS", "EACCES", "EBUSY"


def exchanged(path):
    """Puts a directory of the agent's in the place of another."""
    mine = os.path.dirname(path.rstrip("/")) + "/mine-" + os.urandom(3).hex()
    os.mkdir(mine)
    try:
        call("renameat2", AT_FDCWD, mine.encode(), AT_FDCWD, path.encode(), 2)
    finally:
        os.rmdir(mine)


@attempt("guard.git.rename", "EBUSY")
def _():
    os.rename("/workspace/.git", "/workspace/git-aside")


@attempt("guard.git.exchange", "EBUSY")
def _():
    exchanged("/workspace/.git")


@attempt("guard.git.rmdir", "EBUSY")
def _():
    os.rmdir("/workspace/.git")


@attempt("guard.git.replace-by-file", "EBUSY", "EISDIR")
def _():
    with open("/workspace/file", "w") as file:
        file.write("gitdir: /tmp/evil\n")
    try:
        os.rename("/workspace/file", "/workspace/.git")
    finally:
        os.unlink("/workspace/file")


@attempt("guard.git.replace-by-link", "EBUSY", "EISDIR")
def _():
    os.symlink("/tmp", "/workspace/link")
    try:
        os.rename("/workspace/link", "/workspace/.git")
    finally:
        os.unlink("/workspace/link")


@attempt("guard.workspace.rename", "EBUSY", "EACCES")
def _():
    os.rename("/workspace", "/workspace-aside")


@attempt("guard.workspace.rmdir", "EBUSY", "EACCES")
def _():
    os.rmdir("/workspace")


@attempt("guard.workspace.exchange", "EBUSY", "EACCES")
def _():
    exchanged("/workspace")


@attempt("guard.objects.write", "EROFS")
def _():
    os.open("/sandbox/objects/mine", os.O_CREAT | os.O_WRONLY)


@attempt("guard.guest.rename", "EBUSY", "EACCES")
def _():
    os.rename("/sandbox", "/sandbox-aside")


@attempt("guard.guest.exchange", "EBUSY", "EACCES")
def _():
    exchanged("/sandbox")


@attempt("guard.guest.write-probe", "EROFS")
def _():
    reached("/sandbox/probe.py")


@attempt("guard.guest.replace-probe", "EROFS", "EXDEV")
def _():
    with open("/tmp/probe.py", "w") as file:
        file.write("print('all is well')\n")
    os.rename("/tmp/probe.py", "/sandbox/probe.py")


@attempt("guard.guest.unlink-probe", "EROFS")
def _():
    os.unlink("/sandbox/probe.py")


@attempt("guard.guest.replace-interpreter", "EROFS")
def _():
    os.unlink("/sandbox/bin/python3")


@attempt("guard.guest.configuration-beside-the-interpreter", "EROFS")
def _():
    os.open("/sandbox/bin/pyvenv.cfg", os.O_CREAT | os.O_WRONLY)


@attempt("guard.guest.configuration-above-the-interpreter", "EROFS")
def _():
    os.open("/sandbox/pyvenv.cfg", os.O_CREAT | os.O_WRONLY)


@attempt("guard.guest.link-of-the-probe", "EXDEV", "EPERM")
def _():
    os.link("/sandbox/probe.py", "/workspace/probe-link.py")


@attempt("guard.codex.rename", "EBUSY", "EACCES")
def _():
    os.rename("/opt/codex", "/opt/codex-aside")


@attempt("guard.codex.write", "EROFS", "ETXTBSY")
def _():
    reached("/opt/codex/bin/codex")


@attempt("guard.codex.unlink", "EROFS")
def _():
    os.unlink("/opt/codex/bin/codex")


@attempt("guard.codex.exchange", "EBUSY", "EACCES")
def _():
    exchanged("/opt/codex")


@attempt("guard.codex.add-helper", "EROFS")
def _():
    os.open("/opt/codex/bin/rg-evil", os.O_CREAT | os.O_WRONLY)


@attempt("guard.agents.write", "EROFS")
def _():
    os.open("/home/codex/.agents/mine", os.O_CREAT | os.O_WRONLY)


@attempt("guard.agents.rename", "EBUSY", "EACCES")
def _():
    os.rename("/home/codex/.agents", "/home/codex/.agents-aside")


@attempt("guard.codex-home.rename", "EBUSY", "EACCES")
def _():
    os.rename("/home/codex/.codex", "/home/codex/.codex-aside")


@attempt("guard.dataset.rename", "EBUSY", "EACCES")
def _():
    os.rename("/datasets/ssv2", "/datasets/aside")


@attempt("guard.dataset.exchange", "EBUSY", "EACCES")
def _():
    exchanged("/datasets/ssv2")


def parent(path):
    """Renames a directory around a mount point: the mount would go with it."""

    def one():
        os.rename(path, path + "-aside")
        os.rename(path + "-aside", path)

    return one


attempt("guard.parent.codex", "EXDEV", "EACCES")(parent("/opt"))
attempt("guard.parent.home", "EXDEV", "EACCES", "EBUSY")(parent("/home/codex"))
attempt("guard.parent.datasets", "EXDEV", "EACCES")(parent("/datasets"))


@attempt("guard.links-to-the-host.hard", "EXDEV", "ENOENT")
def _():
    # What the engine mounts of the host's own files: no name of them can be made in the workspace.
    os.link("/etc/hosts", "/workspace/hosts")
