# The doors of the kernel. Each call is made so that it changes nothing where it is not refused: what is refused is seen in
# the error, because the kernel asks for the right before it looks at the arguments.

CLOSED = "EROFS", "EACCES", "EPERM", "ENOENT"  # a file of the kernel: read-only, not the agent's, or not there at all


@attempt("kernel.bpf.map", "EPERM")
def _():
    what = struct.pack("IIIII", 2, 4, 4, 1, 0) + bytes(100)
    call("bpf", 0, what, len(what))


@attempt("kernel.bpf.program", "EPERM")
def _():
    code = struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)
    text, licence = ctypes.create_string_buffer(code), ctypes.create_string_buffer(b"GPL")
    what = struct.pack("IIQQ", 1, 2, ctypes.addressof(text), ctypes.addressof(licence)) + bytes(96)
    call("bpf", 5, what, len(what))


@attempt("kernel.perf-event", "EPERM")
def _():
    what = struct.pack("IIQ", 1, 112, 0) + bytes(96)
    call("perf_event_open", what, 0, -1, -1, 0)


@attempt("kernel.userfaultfd", "EPERM")
def _():
    call("userfaultfd", 0)


@attempt("kernel.io-uring.setup", "EPERM")
def _():
    call("io_uring_setup", 4, ctypes.create_string_buffer(120))


@attempt("kernel.io-uring.enter", "EPERM")
def _():
    call("io_uring_enter", 0, 0, 0, 0, None, 0)


@attempt("kernel.io-uring.register", "EPERM")
def _():
    call("io_uring_register", -1, 0, None, 0)


@attempt("kernel.keys.add", "EPERM")
def _():
    call("add_key", b"user", b"mine", b"x", 1, -3)


@attempt("kernel.keys.request", "EPERM")
def _():
    call("request_key", b"user", b"theirs", None, -3)


@attempt("kernel.keys.session", "EPERM")
def _():
    call("keyctl", 0, -3, 1)


@attempt("kernel.modules.init", "EPERM")
def _():
    call("init_module", b"", 0, b"")


@attempt("kernel.modules.finit", "EPERM")
def _():
    call("finit_module", os.open("/bin/true", os.O_RDONLY), b"", 0)


@attempt("kernel.modules.delete", "EPERM")
def _():
    call("delete_module", b"no_such_module", 0x800)


@attempt("kernel.kexec", "EPERM")
def _():
    call("kexec_load", 0, 0, None, 0xFF00)  # flags that no kernel knows


@attempt("kernel.kexec-file", "EPERM")
def _():
    call("kexec_file_load", -1, -1, 0, None, 0)


@attempt("kernel.reboot", "EPERM")
def _():
    call("reboot", 1, 2, 3, None)


@attempt("kernel.swap-on", "EPERM")
def _():
    call("swapon", b"/no/such/file", 0)


@attempt("kernel.swap-off", "EPERM")
def _():
    call("swapoff", b"/no/such/file")


@attempt("kernel.accounting", "EPERM")
def _():
    call("acct", b"/no/such/file")


@attempt("kernel.quota", "EPERM")
def _():
    call("quotactl", 0x80000100, b"/no/such/device", 0, None)


@attempt("kernel.quota-by-handle", "EPERM", "ENOSYS")
def _():
    call("quotactl_fd", os.open("/workspace", os.O_RDONLY), 0x80000800, 0, None)  # Q_SETQUOTA


@attempt("kernel.log.read", "EPERM")
def _():
    call("syslog", 3, ctypes.create_string_buffer(4096), 4096)


@attempt("kernel.log.console", "EPERM")
def _():
    call("syslog", 8, None, 99)


@attempt("kernel.log.device", *CLOSED)
def _():
    reached("/dev/kmsg", os.O_RDWR)


@attempt("kernel.clock.settimeofday", "EPERM")
def _():
    call("settimeofday", struct.pack("qq", -1, -1), None)


@attempt("kernel.clock.settime", "EPERM")
def _():
    call("clock_settime", 0, struct.pack("qq", -1, -1))


@attempt("kernel.clock.adjtimex", "EPERM")
def _():
    call("adjtimex", ctypes.create_string_buffer(struct.pack("I", 0x4000) + bytes(300)))  # ADJ_TICK, 0


@attempt("kernel.clock.adjtime", "EPERM")
def _():
    call("clock_adjtime", 0, ctypes.create_string_buffer(struct.pack("I", 0x4000) + bytes(300)))


@attempt("kernel.ports.iopl", "EPERM", "ENOSYS")
def _():
    call("iopl", 3)


@attempt("kernel.ports.ioperm", "EPERM", "ENOSYS")
def _():
    call("ioperm", 0x80, 1, 1)


@attempt("kernel.ports.device", *CLOSED)
def _():
    reached("/dev/port", os.O_RDWR)


@attempt("kernel.memory.mem", *CLOSED)
def _():
    reached("/dev/mem", os.O_RDONLY)


@attempt("kernel.memory.kmem", *CLOSED)
def _():
    reached("/dev/kmem", os.O_RDONLY)


@attempt("kernel.memory.kcore", "said: 0 bytes", *CLOSED)
def _():
    return "%d bytes" % len(os.read(os.open("/proc/kcore", os.O_RDONLY), 64))


@attempt("kernel.memory.addresses", "said: no address", *CLOSED)
def _():
    with open("/proc/kallsyms") as file:
        shown = [line for line in file if line.split()[0].strip("0")]
    return "no address" if not shown else shown[0]


@attempt("kernel.memory.page-frames", "said: no frame", *CLOSED)
def _():
    text = ctypes.create_string_buffer(b"x", 8192)
    frame = os.pread(os.open("/proc/self/pagemap", os.O_RDONLY), 8, ctypes.addressof(text) // 4096 * 8)
    return "no frame" if not struct.unpack("Q", frame)[0] & ((1 << 55) - 1) else "a frame"


@attempt("kernel.memory.fanotify", "EPERM")
def _():
    call("fanotify_init", 0, os.O_RDONLY)


@attempt("kernel.memory.move-pages", "EPERM", "ENOSYS")
def _():
    call("move_pages", 1, 0, None, None, None, 0)


@attempt("kernel.memory.migrate-pages", "EPERM", "ENOSYS")
def _():
    nodes = struct.pack("Q", 1)
    call("migrate_pages", 1, 64, nodes, nodes)


def raised(which):
    """Raises a hard limit; Python's own function hides the error."""
    soft, hard = resource.getrlimit(which)
    if hard == resource.RLIM_INFINITY:
        raise RuntimeError("there is no limit to raise")
    checked(libc.setrlimit(which, struct.pack("QQ", soft, hard + 1)))


@attempt("kernel.limits.locked-memory", "EPERM")
def _():
    raised(resource.RLIMIT_MEMLOCK)


@attempt("kernel.personality", "EPERM")
def _():
    call("personality", 0x0400000)  # READ_IMPLIES_EXEC


@attempt("kernel.priority", "EPERM", "EACCES")
def _():
    os.setpriority(os.PRIO_PROCESS, 0, -20)


@attempt("kernel.realtime", "EPERM")
def _():
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))


@attempt("kernel.io-priority", "EPERM")
def _():
    number = 251 if platform.machine() == "x86_64" else 30
    checked(libc.syscall(ctypes.c_long(number), 1, 0, 1 << 13))  # ioprio_set: real time


@attempt("kernel.limits.open-files", "EPERM")
def _():
    raised(resource.RLIMIT_NOFILE)


@attempt("kernel.hang-up", "EPERM")
def _():
    call("vhangup")


@attempt("kernel.cookie", "EPERM", "ENOSYS")
def _():
    call("lookup_dcookie", 0, None, 0)


@attempt("kernel.terminal.console", "EPERM", "EACCES", "ENOTTY", "ENOENT", "ENXIO")
def _():
    ioctl(os.open("/dev/console", os.O_RDWR | os.O_NOCTTY), 0x541D)  # TIOCCONS


@attempt("kernel.terminal.other-pty", "said: none")
def _():
    # The host's terminals are not in this /dev/pts.
    own = {name for name in os.listdir("/dev/pts") if name != "ptmx"}
    return "none" if not own else sorted(own)


# The files by which the kernel is told what to do. They are opened, and nothing is written.


def opened(path):
    def one():
        reached(path)

    return one


attempt("kernel.file.sysrq", *CLOSED)(opened("/proc/sysrq-trigger"))
attempt("kernel.file.core-pattern", *CLOSED)(opened("/proc/sys/kernel/core_pattern"))
attempt("kernel.file.core-pipe-limit", *CLOSED)(opened("/proc/sys/kernel/core_pipe_limit"))
attempt("kernel.file.modprobe", *CLOSED)(opened("/proc/sys/kernel/modprobe"))
attempt("kernel.file.hotplug", *CLOSED)(opened("/proc/sys/kernel/hotplug"))
attempt("kernel.file.uevent-helper", *CLOSED)(opened("/sys/kernel/uevent_helper"))
attempt("kernel.file.panic", *CLOSED)(opened("/proc/sys/kernel/panic"))
attempt("kernel.file.sysrq-mask", *CLOSED)(opened("/proc/sys/kernel/sysrq"))
attempt("kernel.file.address-layout", *CLOSED)(opened("/proc/sys/kernel/randomize_va_space"))
attempt("kernel.file.ptrace-scope", *CLOSED)(opened("/proc/sys/kernel/yama/ptrace_scope"))
attempt("kernel.file.protected-links", *CLOSED)(opened("/proc/sys/fs/protected_hardlinks"))
attempt("kernel.file.suid-dumpable", *CLOSED)(opened("/proc/sys/fs/suid_dumpable"))
attempt("kernel.file.binfmt", *CLOSED)(opened("/proc/sys/fs/binfmt_misc/register"))
attempt("kernel.file.overcommit", *CLOSED)(opened("/proc/sys/vm/overcommit_memory"))
attempt("kernel.file.drop-caches", *CLOSED)(opened("/proc/sys/vm/drop_caches"))
attempt("kernel.file.map-minimum", *CLOSED)(opened("/proc/sys/vm/mmap_min_addr"))
attempt("kernel.file.forwarding", *CLOSED)(opened("/proc/sys/net/ipv4/ip_forward"))
attempt("kernel.file.user-namespaces", *CLOSED)(opened("/proc/sys/user/max_user_namespaces"))
attempt("kernel.file.bpf-for-users", *CLOSED)(opened("/proc/sys/kernel/unprivileged_bpf_disabled"))
attempt("kernel.file.host-name", *CLOSED)(opened("/proc/sys/kernel/hostname"))
attempt("kernel.file.interrupts", *CLOSED)(opened("/proc/irq/default_smp_affinity"))
attempt("kernel.file.bus", *CLOSED)(opened("/proc/bus/pci/00/00.0"))
attempt("kernel.file.pci-rescan", *CLOSED)(opened("/sys/bus/pci/rescan"))
attempt("kernel.file.power-state", *CLOSED)(opened("/sys/power/state"))
attempt("kernel.file.module-parameter", *CLOSED)(opened("/sys/module/kernel/parameters/panic"))
attempt("kernel.file.firmware-path", *CLOSED)(opened("/sys/module/firmware_class/parameters/path"))
attempt("kernel.file.transparent-huge-pages", *CLOSED)(opened("/sys/kernel/mm/transparent_hugepage/enabled"))
attempt("kernel.file.kexec-crash-size", *CLOSED)(opened("/sys/kernel/kexec_crash_size"))
attempt("kernel.file.block-queue", *CLOSED)(opened("/sys/block/vda/queue/scheduler"))
attempt("kernel.file.efi-variables", *CLOSED)(opened("/sys/firmware/efi/efivars/mine"))
attempt("kernel.file.debug", *CLOSED)(opened("/sys/kernel/debug/sched/features"))
attempt("kernel.file.tracing", *CLOSED)(opened("/sys/kernel/tracing/trace_marker"))
attempt("kernel.file.security", *CLOSED)(opened("/sys/kernel/security/apparmor/.load"))


def read_nothing(path):
    """What is masked shows nothing: an empty file, or an empty directory."""

    def one():
        if os.path.isdir(path):
            names = os.listdir(path)
            return "nothing" if not names else names[:4]
        text = os.read(os.open(path, os.O_RDONLY), 64)
        return "nothing" if not text else text

    return one


MASKED = "said: nothing", "ENOENT", "EACCES"
attempt("kernel.masked.keys", *MASKED)(read_nothing("/proc/keys"))
attempt("kernel.masked.timer-list", *MASKED)(read_nothing("/proc/timer_list"))
attempt("kernel.masked.latency-stats", *MASKED)(read_nothing("/proc/latency_stats"))
attempt("kernel.masked.sched-debug", *MASKED)(read_nothing("/proc/sched_debug"))
attempt("kernel.masked.acpi", *MASKED)(read_nothing("/proc/acpi"))
attempt("kernel.masked.scsi", *MASKED)(read_nothing("/proc/scsi"))
attempt("kernel.masked.firmware", *MASKED)(read_nothing("/sys/firmware"))
attempt("kernel.masked.energy", *MASKED)(read_nothing("/sys/devices/virtual/powercap"))


def control_groups():
    """The files of the control groups that have an effect on the host, as this container sees them."""
    found = []
    for directory, names, files in os.walk("/sys/fs/cgroup"):
        found += [os.path.join(directory, name) for name in files]
        if len(found) > 3000:
            break
    if not found:
        raise RuntimeError("there is no control group to look at")
    return found


def any_opened(names):
    tried = [path for path in control_groups() if os.path.basename(path) in names]
    if not tried:
        return "none of them is there"
    for path in tried:
        try:
            reached(path)
            return "opened " + path
        except OSError as err:
            last = err
    raise last


ABSENT = "said: none of them is there"


@attempt("kernel.cgroup.release-agent", ABSENT, *CLOSED)
def _():
    return any_opened(["release_agent", "notify_on_release"])


@attempt("kernel.cgroup.devices", ABSENT, *CLOSED)
def _():
    return any_opened(["devices.allow", "devices.deny"])


@attempt("kernel.cgroup.limits", ABSENT, *CLOSED)
def _():
    return any_opened(["pids.max", "memory.max", "memory.limit_in_bytes", "cpu.max", "cpu.cfs_quota_us"])


@attempt("kernel.cgroup.leave", ABSENT, *CLOSED)
def _():
    return any_opened(["cgroup.procs", "tasks"])


@attempt("kernel.cgroup.new", "EROFS", "EACCES")
def _():
    os.mkdir("/sys/fs/cgroup/mine")


@attempt("kernel.privileges.setuid", "EPERM", "done")
def _():
    os.setresuid(0, 0, 0)


@attempt("kernel.privileges.setuid-program", "EPERM" if FILTERED else "said: 0000000000000000")
def _():
    # A setuid program of the image, or one that the agent made: its capabilities are what counts.
    path = "/tmp/setuid-" + os.urandom(3).hex()
    shutil.copy("/bin/cat", path)
    os.chmod(path, 0o6755)
    text = subprocess.run([path, "/proc/self/status"], capture_output=True, text=True, check=True).stdout
    return next(line.split()[1] for line in text.splitlines() if line.startswith("CapEff"))


@attempt("kernel.privileges.capset", "EPERM")
def _():
    number = 126 if platform.machine() == "x86_64" else 91
    header, data = struct.pack("II", 0x20080522, 0), struct.pack("IIIIII", 1 << 21, 1 << 21, 0, 0, 0, 0)
    checked(libc.syscall(ctypes.c_long(number), header, data))


@attempt("kernel.privileges.ambient", "EPERM")
def _():
    checked(libc.prctl(47, 2, 21, 0, 0))


@attempt("kernel.privileges.no-new-privileges-off", "EINVAL")
def _():
    checked(libc.prctl(38, 0, 0, 0, 0))


@attempt("kernel.privileges.seccomp-off", "EINVAL")
def _():
    checked(libc.prctl(22, 0, 0, 0, 0))


@attempt("kernel.privileges.securebits", "EPERM")
def _():
    checked(libc.prctl(28, 1, 0, 0, 0))


@attempt("kernel.privileges.groups", "EPERM")
def _():
    os.setgroups([0, 6, 999])


@attempt("kernel.privileges.sudo", "said: no", "ENOENT")
def _():
    run = subprocess.run(["su", "-c", "id", "root"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if os.getuid() == 0:
        # Root inside stays root inside, without a capability.
        return "no"
    return "no" if run.returncode and "uid=0" not in run.stdout else run.stdout
