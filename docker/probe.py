"""The inside witness: looks at the container from within and reports raw facts, one JSON line on standard output.

It judges nothing: what the facts mean is decided on the host, beside what the host sees itself. It is started with a
cleared environment and an isolated interpreter from a read-only mount, so that nothing an agent left in its home speaks
for it:

    env -i LC_ALL=C PATH=... HOME=/home/codex \
        /sandbox/bin/python3 -I -S -X pycache_prefix=/sandbox/probe.py /sandbox/probe.py KEY VALUE ...

Keys: nonce, read-only PATH, dataset PATH (read-only, and sampled), writable PATH, workspace PATH (a file is made there),
entries N (the size of a sample), program NAME, env NAME, codex PATH (what it leads to), codex-version PATH (that, and
what it answers), smi PATH.
The arguments are pairs and the output is written by hand because `json` and `subprocess` would double the start-up time.
The cost is bounded: no directory is read past `entries` entries, no file past a few bytes, and an alarm ends it all.
"""

import errno
import os
import select
import sys
import time

try:
    from _json import encode_basestring_ascii as quoted  # `json` itself imports `re`: 10 ms
except ImportError:
    from json.encoder import encode_basestring_ascii as quoted

try:
    from _signal import alarm
except ImportError:
    from signal import alarm

SCHEMA = 1
BOUND = 25  # seconds, for everything
SUBMOUNTS = 64  # below one mount; the mount table itself is reported whole
DIRECTORIES = 12  # looked into below one data set
REPORTED = 16  # names of one kind
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


def encoded(value):
    """JSON text of dicts, lists, strings, whole numbers, booleans and None."""
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(encoded(str(k)) + ":" + encoded(v) for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(encoded, value)) + "]"
    # Names that are not UTF-8 come as lone surrogates, which JSON cannot carry.
    return quoted(str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


def name_of(err):
    return errno.errorcode.get(err.errno, str(err.errno))


def attempt(function, *args):
    """What the call gave, or the name of its error."""
    try:
        return function(*args)
    except OSError as err:
        return {"error": name_of(err)}


def text_of(path, limit=4 << 20):
    """The text of a file of /proc or /sys, None where it cannot be read."""
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


def unescaped(field):
    if "\\" not in field:
        return field
    for code in ("040", "011", "012", "043"):
        field = field.replace("\\" + code, chr(int(code, 8)))
    return field.replace("\\134", "\\")


def submounts(path, table):
    below = path.rstrip("/") + "/"
    points = {unescaped(line.split(" ", 5)[4]) for line in table.splitlines() if line.count(" ") > 5}
    return sorted(point for point in points if point.startswith(below))


# -- writing ---------------------------------------------------------------------------------------------------------


def created(path, nonce):
    """Tries to make a new file in a directory, or to open a file for writing; undoes what worked."""
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
    """Sets the times that the path already has: a read-only mount refuses that before any permission is looked at."""
    st = os.stat(path)
    os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
    return "written"


def answer_of(function, *args):
    answer = attempt(function, *args)
    return answer["error"] if isinstance(answer, dict) else answer


def mount_facts(path, nonce, try_to_write):
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


def workspace_file(path, nonce):
    """Makes the file that the host then looks at and removes."""
    fd = os.open(
        os.path.join(path, ".codex-sandbox-probe-" + nonce),
        os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC,
        0o644,
    )
    try:
        os.write(fd, nonce.encode())
    finally:
        os.close(fd)
    return "written"


# -- sampling a data set ---------------------------------------------------------------------------------------------


class Sample:
    """A bounded look into a data set: its cost does not grow with the data."""

    def __init__(self, root, limit):
        self.root, self.left = root, limit
        self.entries = self.files = self.directories = self.read = 0
        self.linked, self.unreadable, self.symlinks, self.errors = {}, [], [], []
        waiting = [root]
        while waiting and self.left > 0 and self.directories < DIRECTORIES:
            waiting.extend(self.directory(waiting.pop(0)))

    def directory(self, path):
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


# -- programs --------------------------------------------------------------------------------------------------------


class Child:
    """A program that runs while the rest is looked at."""

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
    # `codex --version` leaves a directory in its home: give it one of its own.
    home = "/tmp/.codex-sandbox-probe-%d" % os.getpid()
    attempt(os.mkdir, home, 0o700)
    child = Child([path, "--version"], {"PATH": os.environ.get("PATH", ""), "HOME": home, "CODEX_HOME": home}, 20)
    return child, home


def removed(path):
    """Removes a small tree of our own; symlinks are removed, never followed."""
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
    for directory in os.environ.get("PATH", "").split(":"):
        path = os.path.join(directory, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


# -- the rest --------------------------------------------------------------------------------------------------------


def passwd_entry():
    uid = str(os.getuid())
    for line in (text_of("/etc/passwd") or "").splitlines():
        fields = line.split(":")
        if len(fields) >= 7 and fields[2] == uid:
            return {"name": fields[0], "gid": fields[3], "home": fields[5], "shell": fields[6]}
    return None


def processes():
    """Every process but the probe and its children: pid, parent, name."""
    rows = []
    for pid in os.listdir("/proc"):
        if pid.isdigit() and int(pid) != os.getpid():
            stat = text_of("/proc/%s/stat" % pid)
            if stat and ")" in stat:
                name, _, rest = stat.partition("(")[2].rpartition(")")
                parent = int(rest.split()[1])
                if parent != os.getpid():
                    rows.append({"pid": int(pid), "parent": parent, "name": name})
    return rows


def main_environment(rows, wanted):
    """The names in the environment of the main process (the init's first child), and a few values by name."""
    children = sorted(row["pid"] for row in rows if row["parent"] == 1)
    text = text_of("/proc/%d/environ" % (children[0] if children else 1))
    if text is None:
        return None
    pairs = [pair.partition("=") for pair in text.split("\0") if pair]
    return {
        "names": sorted(pair[0] for pair in pairs),
        "values": {pair[0]: pair[2] for pair in pairs if pair[0] in wanted},
    }


def interfaces():
    names = attempt(os.listdir, "/sys/class/net")
    if isinstance(names, dict):
        lines = (text_of("/proc/net/dev") or "").splitlines()[2:]
        return {line.partition(":")[0].strip(): None for line in lines}
    return {name: (text_of("/sys/class/net/%s/flags" % name) or "").strip() or None for name in names}


def pids_max():
    text = text_of("/sys/fs/cgroup/pids.max") or text_of("/sys/fs/cgroup/pids/pids.max")
    return text.strip() if text else None


def shm_bytes():
    st = os.statvfs("/dev/shm")
    return st.f_blocks * st.f_frsize


def request_of(args):
    keys = "nonce read-only dataset writable workspace entries program env codex codex-version smi"
    asked = {key: [] for key in keys.split()}
    for key, value in zip(args[::2], args[1::2]):
        asked[key].append(value)
    return asked


def main():
    alarm(BOUND)
    asked = request_of(sys.argv[1:])
    nonce = asked["nonce"][0]
    limit = int((asked["entries"] or ["200"])[0])
    ask = asked["codex-version"]
    codex, codex_home = codex_child(ask[0]) if ask else (None, None)
    smi = None
    if asked["smi"]:
        query = [asked["smi"][0], "--query-gpu=index,uuid,name", "--format=csv,noheader"]
        smi = Child(query, dict(os.environ), 10)
    table = text_of("/proc/self/mountinfo") or ""
    mounts = []
    for kind in ("read-only", "dataset", "writable"):
        for path in asked[kind]:
            facts = mount_facts(path, nonce, kind != "writable")
            below = submounts(path, table)
            facts["submounts"] = [mount_facts(sub, nonce, kind != "writable") for sub in below[:SUBMOUNTS]]
            facts["sample"] = Sample(path, limit).facts() if kind == "dataset" else None
            mounts.append(facts)
    home = os.environ.get("HOME", "/")
    rows = processes()
    report = {
        "schema": SCHEMA,
        "nonce": nonce,
        "mountinfo": table,
        "status": text_of("/proc/self/status"),
        "limits": text_of("/proc/self/limits"),
        "namespaces": {kind: attempt(os.readlink, "/proc/self/ns/" + kind) for kind in os.listdir("/proc/self/ns")},
        "hostname": os.uname().nodename,
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": os.getgroups(),
        "passwd": passwd_entry(),
        "home": {"path": home, "stat": attempt(stat_of, home), "access": os.access(home, os.W_OK | os.X_OK)},
        "mounts": mounts,
        "workspace": answer_of(workspace_file, asked["workspace"][0], nonce) if asked["workspace"] else None,
        "sockets": [path for path in SOCKETS if os.path.lexists(path)],
        "shm": attempt(shm_bytes),
        "pids_max": pids_max(),
        "nodes": sorted(name for name in os.listdir("/dev") if name.startswith("nvidia") or name == "dxg"),
        "interfaces": interfaces(),
        "environment": main_environment(rows, asked["env"]),
        "processes": rows,
        "programs": {name: found(name) for name in asked["program"]},
        "smi": smi.facts() if smi else None,
        "codex": None,
    }
    for path in asked["codex"] + ask:
        report["codex"] = {"real": os.path.realpath(path), "stat": attempt(stat_of, path), "version": None}
    if codex:
        report["codex"]["version"] = codex.facts()
        removed(codex_home)
    sys.stdout.write(encoded(report) + "\n")


main()
