# What belongs to the host: its processes, its services, its secrets, and its share of the machine.

import glob

REFUSED = "ECONNREFUSED"


def connected(family, address):
    """Connects and sends a byte, so that whoever listens knows."""
    with socket.socket(family, socket.SOCK_STREAM) as link:
        link.settimeout(3)
        link.connect(address)
        link.sendall(b"x")


def gateway():
    """The host's address on the bridge."""
    with open("/proc/net/route") as table:
        for line in table:
            words = line.split()
            if words[1] == "00000000":
                return socket.inet_ntoa(struct.pack("<I", int(words[2], 16)))
    raise RuntimeError("there is no default route")


@attempt("reach.loopback.tcp", REFUSED)
def _():
    connected(socket.AF_INET, ("127.0.0.1", HOST["port"]))


@attempt("reach.loopback.other-address", REFUSED)
def _():
    connected(socket.AF_INET, ("127.0.0.53", HOST["port"]))


@attempt("reach.loopback.any-address", REFUSED)
def _():
    connected(socket.AF_INET, ("0.0.0.0", HOST["port"]))


@attempt("reach.loopback.v6", REFUSED, "EADDRNOTAVAIL", "ENETUNREACH")
def _():
    connected(socket.AF_INET6, ("::1", HOST["port"]))


@attempt("reach.loopback.mapped", REFUSED)
def _():
    connected(socket.AF_INET6, ("::ffff:127.0.0.1", HOST["port"]))


@attempt("reach.loopback.by-gateway", REFUSED)
def _():
    connected(socket.AF_INET, (gateway(), HOST["port"]))


@attempt("reach.loopback.by-device", REFUSED, "EINVAL", "ENETUNREACH", "EPERM", "EHOSTUNREACH", "ETIMEDOUT", "ENODEV")
def _():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        link.settimeout(2)
        try:
            link.connect(("127.0.0.1", HOST["port"]))
        except TimeoutError:
            raise OSError(errno.ETIMEDOUT, "no answer")
        link.sendall(b"x")


@attempt("reach.loopback.udp", "done")
def _():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        for address in ("127.0.0.1", gateway()):
            link.sendto(b"x", (address, HOST["port"]))


@attempt("reach.socket.abstract", REFUSED)
def _():
    connected(socket.AF_UNIX, "\0" + HOST["abstract"])


@attempt("reach.socket.abstract-listed", "said: none")
def _():
    with open("/proc/net/unix") as table:
        return "none" if HOST["abstract"] not in table.read() else "it is listed"


@attempt("reach.socket.path", "ENOENT")
def _():
    connected(socket.AF_UNIX, HOST["socket"])


@attempt("reach.socket.engine", "said: none")
def _():
    names = "docker.sock containerd/containerd.sock docker/containerd/containerd.sock podman/podman.sock crio/crio.sock \
buildkit/buildkitd.sock dbus/system_bus_socket systemd/private systemd/notify systemd/journal/socket udev/control \
snapd.socket libvirt/libvirt-sock acpid.socket rpcbind.sock nvidia-persistenced/socket nvidia-fabricmanager/socket"
    tried = [top + name for top in ("/run/", "/var/run/") for name in names.split()]
    tried += ["/run/user/%d/%s" % (os.getuid(), name) for name in ("docker.sock", "bus", "gnupg/S.gpg-agent", "keyring/ssh")]
    tried += ["/tmp/.X11-unix/X0", "/tmp/nvidia-mps/control", "/dev/log"]
    there = [path for path in tried if os.path.lexists(path)]
    return "none" if not there else there


@attempt("reach.socket.any", "said: none")
def _():
    # Every socket in the file system that this process can see, wherever it is.
    own = [socket.socket(socket.AF_UNIX)]
    own[0].bind("/tmp/own-%d" % os.getpid())
    found = []
    for top in ("/run", "/var", "/tmp", "/dev", "/home", "/etc", "/sandbox", "/opt", "/workspace"):
        for directory, _, names in os.walk(top):
            for name in names:
                path = os.path.join(directory, name)
                if not os.path.islink(path) and os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode):
                    found.append(path)
    if "/tmp/own-%d" % os.getpid() not in found:
        raise RuntimeError("its own socket was not found")
    return "none" if len(found) == 1 else found


NO_FAMILY = "EPERM", "EACCES", "EAFNOSUPPORT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EINVAL"


def opened(*kind):
    def one():
        checked(libc.socket(*kind))

    return one


attempt("reach.raw.ip", "EPERM")(opened(socket.AF_INET, socket.SOCK_RAW, 255))
attempt("reach.raw.icmp", "EPERM")(opened(socket.AF_INET, socket.SOCK_RAW, 1))
attempt("reach.raw.ip6", "EPERM", "EAFNOSUPPORT")(opened(socket.AF_INET6, socket.SOCK_RAW, 58))
attempt("reach.raw.packet", "EPERM")(opened(socket.AF_PACKET, socket.SOCK_RAW, 0x300))
attempt("reach.raw.packet-cooked", "EPERM")(opened(socket.AF_PACKET, socket.SOCK_DGRAM, 0x300))
attempt("reach.family.vsock", *NO_FAMILY)(opened(40, socket.SOCK_STREAM, 0))
attempt("reach.family.xdp", *NO_FAMILY)(opened(44, socket.SOCK_RAW, 0))
attempt("reach.family.key", *NO_FAMILY)(opened(15, socket.SOCK_RAW, 2))
attempt("reach.family.bluetooth", *NO_FAMILY)(opened(31, socket.SOCK_RAW, 1))
attempt("reach.family.can", *NO_FAMILY)(opened(29, socket.SOCK_RAW, 1))
attempt("reach.family.tipc", *NO_FAMILY)(opened(30, socket.SOCK_SEQPACKET, 0))
attempt("reach.family.rds", *NO_FAMILY)(opened(21, socket.SOCK_SEQPACKET, 0))


def netlink(family, message, flags=5, body=b""):
    """Asks the kernel for a change and returns its answer as an error."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family) as link:
        link.settimeout(3)
        link.send(struct.pack("IHHII", 16 + len(body), message, flags, 1, 0) + body)
        answer = link.recv(4096)
        if struct.unpack_from("H", answer, 4)[0] == 2:
            number = -struct.unpack_from("i", answer, 16)[0]
            if number:
                raise OSError(number, os.strerror(number))


@attempt("reach.netlink.link-down", "EPERM")
def _():
    netlink(0, 16, body=struct.pack("BBHiII", 0, 0, 0, 1, 0, 1))  # RTM_NEWLINK: lo down


@attempt("reach.netlink.new-link", "EPERM")
def _():
    kind = struct.pack("HH", 4 + 5, 1) + b"dummy\0\0\0"
    netlink(0, 16, 0x605, struct.pack("BBHiII", 0, 0, 0, 0, 0, 0) + struct.pack("HH", 4 + len(kind), 18) + kind)


@attempt("reach.netlink.address", "EPERM")
def _():
    address = struct.pack("BBBBI", 2, 32, 0, 0, 1) + struct.pack("HH4s", 8, 2, bytes([10, 9, 8, 7]))
    netlink(0, 20, 0x605, address)


@attempt("reach.netlink.route", "EPERM")
def _():
    netlink(0, 24, 0x605, struct.pack("BBBBBBBBI", 2, 0, 0, 0, 254, 3, 0, 1, 0))


@attempt("reach.netlink.neighbour", "EPERM")
def _():
    netlink(0, 28, 0x605, struct.pack("BBHiHBB", 2, 0, 0, 1, 0x80, 0, 0))


@attempt("reach.netlink.firewall", "EPERM", "EPROTONOSUPPORT")
def _():
    netlink(12, (10 << 8) | 0, 5, struct.pack("BBH", 1, 0, 0))  # nf_tables: a new table


@attempt("reach.netlink.audit", *NO_FAMILY, "ECONNREFUSED")
def _():
    netlink(9, 1001, 5, bytes(40))


@attempt("reach.netlink.uevent", "EPERM", "ECONNREFUSED")
def _():
    # A message as if from the kernel, to the device managers of this host.
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15) as link:
        link.sendto(b"add@/devices/mine\0ACTION=add\0", (0, 1))


@attempt("reach.interface.address", "EPERM")
def _():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        ioctl(link, 0x8916, struct.pack("16sHH4s8x", b"lo", 2, 0, bytes([10, 9, 8, 7])))


@attempt("reach.interface.down", "EPERM")
def _():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        ioctl(link, 0x8914, struct.pack("16sH14x", b"lo", 0))


@attempt("reach.interface.tunnel", "ENOENT", "EPERM")
def _():
    tunnel = os.open("/dev/net/tun", os.O_RDWR)
    ioctl(tunnel, 0x400454CA, struct.pack("16sH22x", b"mine", 1))


def option(level, name, value):
    def one():
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as link:
            link.setsockopt(level, name, value)

    return one


attempt("reach.option.mark", "EPERM")(option(socket.SOL_SOCKET, 36, 1))
attempt("reach.option.transparent", "EPERM")(option(socket.IPPROTO_IP, 19, 1))
attempt("reach.option.priority", "EPERM")(option(socket.SOL_SOCKET, 12, 7))
attempt("reach.option.buffer", "EPERM")(option(socket.SOL_SOCKET, 32, 1 << 30))
attempt("reach.option.iptables", "EPERM", "ENOPROTOOPT")(option(socket.IPPROTO_IP, 64, bytes(84)))


@attempt("reach.memory.segment", "ENOENT")
def _():
    checked(libc.shmget(HOST["segment"], 0, 0))


@attempt("reach.memory.segments-listed", "said: none")
def _():
    with open("/proc/sysvipc/shm") as table:
        lines = table.read().splitlines()[1:]
    return "none" if not lines else lines


@attempt("reach.memory.dev-shm", "ENOENT")
def _():
    reached("/dev/shm/" + HOST["shared"], os.O_RDONLY)


@attempt("reach.process.signal", "ESRCH")
def _():
    os.kill(HOST["process"], signal.SIGKILL)


@attempt("reach.process.pidfd", "ESRCH", "EINVAL")
def _():
    call("pidfd_send_signal", call("pidfd_open", HOST["process"], 0), signal.SIGKILL, None, 0)


@attempt("reach.process.trace", "ESRCH")
def _():
    call("ptrace", 0x4206, HOST["process"], 0, 0)


@attempt("reach.process.read-memory", "ESRCH")
def _():
    text = ctypes.create_string_buffer(8)
    vector = struct.pack("QQ", ctypes.addressof(text), 8)
    call("process_vm_readv", HOST["process"], vector, 1, vector, 1, 0)


@attempt("reach.process.write-memory", "ESRCH")
def _():
    text = ctypes.create_string_buffer(8)
    vector = struct.pack("QQ", ctypes.addressof(text), 8)
    call("process_vm_writev", HOST["process"], vector, 1, vector, 1, 0)


@attempt("reach.process.limits", "ESRCH")
def _():
    resource.prlimit(HOST["process"], resource.RLIMIT_CORE)


@attempt("reach.process.root", "ENOENT")
def _():
    os.listdir("/proc/%d/root" % HOST["process"])


@attempt("reach.process.listed", "said: none")
def _():
    seen = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as file:
                if HOST["word"].encode() in file.read() and path != "/proc/%d/cmdline" % os.getpid():
                    seen.append(path)
        except OSError:
            pass
    # This program has the word in its own arguments, and so has what started it.
    own = [path for path in seen if path.split("/")[2] in ("self", str(os.getpid()), str(os.getppid()))]
    return "none" if seen == own else sorted(set(seen) - set(own))


@attempt("reach.process.parents", "said: below the container's own")
def _():
    # Upward from here: no process of the host is anybody's parent.
    pid, chain = os.getpid(), []
    while pid > 0:
        with open("/proc/%d/stat" % pid) as file:
            pid = int(file.read().rpartition(")")[2].split()[1])
        chain.append(pid)
    return "below the container's own" if chain[-1] == 0 else chain


@attempt("reach.process.oom", "EACCES", "EPERM")
def _():
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("-1000")


# The text is put together here, so that it is in no argument and in no file of this program.
MARK = b"HOST-" + b"SECRET-"


def marked(paths):
    """Where the mark of a secret of the host is to be read, and what follows it."""
    found = []
    for path in paths:
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):
                continue
            with open(path, "rb") as file:
                text = file.read(4 << 20)
        except OSError:
            continue
        if MARK in text:
            found.append((path, text.split(MARK, 1)[1][:20].decode("ascii", "replace")))
    return "nothing" if not found else found


NOTHING = "said: nothing"


@attempt("secret.own-environment", NOTHING)
def _():
    text = json.dumps(dict(os.environ)).encode()
    return "nothing" if MARK not in text else text


@attempt("secret.environment-of-others", NOTHING)
def _():
    paths = glob.glob("/proc/[0-9]*/environ")
    with open("/proc/%d/environ" % os.getpid(), "rb") as file:
        if not file.read(1):
            raise RuntimeError("an environment cannot be read at all")
    return marked(paths)


@attempt("secret.command-lines", NOTHING)
def _():
    return marked(glob.glob("/proc/[0-9]*/cmdline"))


@attempt("secret.files", NOTHING)
def _():
    def below(top):
        for directory, names, files in os.walk(top):
            names[:] = [name for name in names if name not in ("dist-packages", "site-packages")]
            yield from (os.path.join(directory, name) for name in files)

    with open("/tmp/looked-for", "wb") as file:
        file.write(MARK + b"own")
    tops = "/home /root /tmp /run /var/tmp /etc /sandbox /workspace /mnt /media /srv /dev/shm /var/spool /var/mail"
    found = marked(path for top in tops.split() for path in below(top))
    if ("/tmp/looked-for", "own") not in found:
        raise RuntimeError("its own mark was not found")
    return "nothing" if len(found) == 1 else found


@attempt("secret.home-of-the-host", "ENOENT")
def _():
    os.listdir(HOST["home"])


@attempt("secret.state-folder", "ENOENT")
def _():
    os.listdir(HOST["state"])


@attempt("secret.repository", "ENOENT")
def _():
    os.listdir(HOST["repository"])


@attempt("secret.ssh-agent", "said: none")
def _():
    names = [name for name in ("SSH_AUTH_SOCK", "SSH_AGENT_PID", "GPG_AGENT_INFO") if name in os.environ]
    return "none" if not names and not os.path.lexists(HOST["socket"]) else names


@attempt("secret.of-the-build", "said: none")
def _():
    there = [path for path in ("/run/secrets", "/run/buildkit", "/.dockerinit", "/kaniko") if os.path.lexists(path)]
    return "none" if not there else there


@attempt("secret.git-credentials", NOTHING)
def _():
    question = "protocol=https\nhost=example.com\n\n"
    quiet = dict(os.environ, GIT_TERMINAL_PROMPT="0", GIT_ASKPASS="/bin/false")
    run = subprocess.run(["git", "credential", "fill"], input=question, capture_output=True, text=True, env=quiet)
    return "nothing" if MARK.decode() not in run.stdout else run.stdout


@attempt("secret.package-managers", "said: none")
def _():
    names = ".netrc .npmrc .pypirc .docker/config.json .aws/credentials .kube/config .config/gh/hosts.yml .ssh/id_ed25519"
    there = [name for name in names.split() if os.path.lexists("/home/codex/" + name)]
    return "none" if not there else there


@attempt("limit.processes", "EAGAIN")
def _():
    # Bounded: one more than the limit of this sandbox, and all of them end with this process's group.
    for _ in range(HOST["processes"] + 1):
        if os.fork() == 0:
            time.sleep(SECONDS)
            os._exit(0)


@attempt("limit.processes-in-sessions-of-their-own", "EAGAIN")
def _():
    started = []
    try:
        for _ in range(HOST["processes"] + 1):
            child = os.fork()
            if child == 0:
                os.setsid()
                time.sleep(SECONDS)
                os._exit(0)
            started.append(child)
    finally:
        for child in started:
            os.kill(child, signal.SIGKILL)


@attempt("limit.threads", "said: as many as the limit")
def _():
    import threading

    done, threads = threading.Event(), []
    try:
        for _ in range(HOST["processes"] + 1):
            thread = threading.Thread(target=done.wait, daemon=True)
            thread.start()
            threads.append(thread)
    except RuntimeError:
        return "as many as the limit"
    finally:
        done.set()


@attempt("limit.shared-memory", "ENOSPC")
def _():
    fd = os.open("/dev/shm", O_TMPFILE | os.O_RDWR)
    os.posix_fallocate(fd, 0, HOST["shm"] + (1 << 20))


@attempt("limit.devices-directory", "ENOSPC", "EACCES")
def _():
    fd = os.open("/dev", O_TMPFILE | os.O_RDWR)
    os.posix_fallocate(fd, 0, 256 << 20)


@attempt("limit.core-dump", "said: 11")
def _():
    # What crashes here leaves nothing in a directory of the host other than the workspace.
    os.makedirs("/workspace/outside", exist_ok=True)
    child = os.fork()
    if child == 0:
        os.chdir("/workspace/outside")
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
        os.kill(os.getpid(), signal.SIGSEGV)
    return os.WTERMSIG(os.waitpid(child, 0)[1])
