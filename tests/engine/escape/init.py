# The container's init (docker/init.py): it stays when everything else has ended, so nothing of an agent's may get into it.

CLOSED = ("EACCES", "EPERM")


def listed(name):
    return lambda: os.listdir("/proc/1/" + name)


def led(name):
    return lambda: os.readlink("/proc/1/" + name)


def read(name):
    def first_byte():
        fd = os.open("/proc/1/" + name, os.O_RDONLY)
        os.read(fd, 1)

    return first_byte


def of_memory(name):
    def copied():
        text = ctypes.create_string_buffer(8)
        vector = struct.pack("QQ", ctypes.addressof(text), 8)
        call(name, 1, vector, 1, vector, 1, 0)

    return copied


attempt("init.link.fd", *CLOSED)(led("fd/0"))
attempt("init.list.map-files", *CLOSED)(listed("map_files"))
attempt("init.link.root", *CLOSED)(led("root"))
attempt("init.link.cwd", *CLOSED)(led("cwd"))
attempt("init.link.exe", *CLOSED)(led("exe"))
attempt("init.link.mount-namespace", *CLOSED)(led("ns/mnt"))
attempt("init.link.pid-namespace", *CLOSED)(led("ns/pid"))
attempt("init.read.mem", *CLOSED)(read("mem"))
attempt("init.read.environ", *CLOSED)(read("environ"))
attempt("init.read.maps", *CLOSED)(read("maps"))
attempt("init.read.auxv", *CLOSED)(read("auxv"))
attempt("init.read.pagemap", *CLOSED)(read("pagemap"))
attempt("init.write.memory", *CLOSED)(lambda: reached("/proc/1/mem", os.O_RDWR))
attempt("init.write.memory-of-thread", *CLOSED)(lambda: reached("/proc/1/task/1/mem", os.O_RDWR))
attempt("init.memory.read", *CLOSED)(of_memory("process_vm_readv"))
attempt("init.memory.write", *CLOSED)(of_memory("process_vm_writev"))
attempt("init.trace.seize", *CLOSED)(lambda: call("ptrace", 0x4206, 1, 0, 0))
attempt("init.trace.attach", *CLOSED)(lambda: call("ptrace", 16, 1, 0, 0))
attempt("init.file.take", *CLOSED)(lambda: call("pidfd_getfd", call("pidfd_open", 1, 0), 0, 0))
attempt("init.file.compare", *CLOSED)(lambda: call("kcmp", 1, os.getpid(), 0, 0, 0))


@attempt("init.name", "EACCES", "EINVAL")
def _():
    # Root may open the file, and the kernel lets only the process itself write it.
    with open("/proc/1/comm", "w") as file:
        file.write("sandbox-other")


def state_of_init():
    time.sleep(0.2)
    with open("/proc/1/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


@attempt("init.signals.sent", "said: S")
def _():
    for number in range(1, 65):
        if number not in (32, 33):
            os.kill(1, number)
    return state_of_init()


@attempt("init.signals.queued", "said: S")
def _():
    # siginfo_t: the number, the error, SI_QUEUE as the code, and 0 as the sender, as if it came from the host.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        info = ctypes.create_string_buffer(struct.pack("iiiiii", number, 0, -1, 0, 0, 0), 128)
        call("rt_sigqueueinfo", 1, number, info)
    return state_of_init()


@attempt("init.signals.forged", "EPERM")
def _():
    info = ctypes.create_string_buffer(struct.pack("iiiiii", signal.SIGTERM, 0, 0, 0, 0, 0), 128)
    call("rt_sigqueueinfo", 1, signal.SIGTERM, info)


@attempt("init.limits", "said: unchanged")
def _():
    # The kernel lets the same user do it: what the host compares is what was recorded at the start.
    resource.prlimit(1, resource.RLIMIT_STACK, (1 << 20, 1 << 20))
    resource.prlimit(1, resource.RLIMIT_NOFILE, (64, 64))
    return "unchanged" if resource.getrlimit(resource.RLIMIT_STACK)[0] != 1 << 20 else "changed"
