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


@attempt("init.signals", "said: S")
def _():
    for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTSTP, signal.SIGUSR1, signal.SIGHUP, signal.SIGSEGV):
        os.kill(1, number)
    time.sleep(0.1)
    with open("/proc/1/stat") as file:
        return file.read().rpartition(")")[2].split()[0]
