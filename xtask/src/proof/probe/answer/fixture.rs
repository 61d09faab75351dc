//! The answer of a probe that finds everything as promised.

use crate::proof::kernel_files::{DOORS, MASKED};
use serde_json::{Value, json};

/// The table of a real container, shortened: workspace, data set, Codex home, Codex package, git.
pub(crate) const TABLE: &str = "\
80 52 0:41 / / rw,relatime master:2 - overlay overlay rw,lowerdir=/docker/l1:/docker/l2,upperdir=/docker/up,workdir=/docker/work
81 80 0:44 / /proc rw,nosuid - proc proc rw
82 80 0:45 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
83 82 0:46 / /dev/pts rw,nosuid - devpts devpts rw,gid=5
84 80 0:47 / /sys ro,nosuid - sysfs sysfs ro
85 84 0:48 / /sys/fs/cgroup rw,nosuid - tmpfs tmpfs rw,mode=755
86 85 0:36 /docker/x /sys/fs/cgroup/pids ro,nosuid - cgroup cgroup rw,pids
95 82 0:43 / /dev/mqueue rw,nosuid - mqueue mqueue rw
96 82 0:49 / /dev/shm rw,nosuid - tmpfs shm rw,size=65536k
97 80 254:0 /usr/bin/tini-static /usr/sbin/docker-init ro,relatime - ext4 /dev/vda rw
98 80 254:0 /data /datasets/ssv2 ro,relatime - ext4 /dev/vda rw
99 80 254:0 /ws /workspace rw,relatime - ext4 /dev/vda rw
100 80 254:0 /state/home /home/codex/.codex rw,relatime - ext4 /dev/vda rw
101 80 254:0 /state/codex /opt/codex ro,relatime - ext4 /dev/vda rw
104 80 254:0 /docker/volumes/codex-sandbox-cache-pip-open-u1000/_data /home/codex/.cache/pip rw,relatime - ext4 /dev/vda rw
102 99 254:0 /state/git /workspace/.git rw,relatime - ext4 /dev/vda rw
103 80 254:0 /docker/containers/43c15da69dfac6285e9b9bc9f6c1fa828e0100fe5942ca1db4f55883d17d4f38/hosts /etc/hosts rw - ext4 /dev/vda rw
53 81 0:44 /bus /proc/bus ro,nosuid - proc proc rw
54 81 0:44 /fs /proc/fs ro,nosuid - proc proc rw
55 81 0:44 /irq /proc/irq ro,nosuid - proc proc rw
56 81 0:44 /sys /proc/sys ro,nosuid - proc proc rw
57 81 0:44 /sysrq-trigger /proc/sysrq-trigger ro,nosuid - proc proc rw
58 81 0:45 /null /proc/keys rw,nosuid - tmpfs tmpfs rw
60 84 0:51 / /sys/firmware ro,relatime - tmpfs tmpfs ro
";

pub(crate) const STATUS: &str = "Name:\tpython3\nUid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\nGroups:\t1000 \n\
CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n\
CapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";

pub(crate) const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units     \n\
Max stack size            67108864             67108864             bytes     \n\
Max locked memory         unlimited            unlimited            bytes     \n";

fn refusals() -> Value {
    json!([
        ["filter", "keyctl", "EPERM"],
        ["filter", "add_key", "EPERM"],
        ["filter", "unshare", "EPERM"],
        ["filter", "mount", "EPERM"],
        ["user namespace", "unshare", "EPERM"],
        ["user namespace", "clone", "EPERM"],
        ["user namespace", "clone3", "ENOSYS"]
    ])
}

fn masked() -> Value {
    let seen = |path: &str| match path {
        "/proc/keys" => "null",
        "/sys/firmware" => "empty",
        _ => "absent",
    };
    MASKED.iter().map(|path| ((*path).to_owned(), json!(seen(path)))).collect::<serde_json::Map<_, _>>().into()
}

fn doors() -> Value {
    let refused = json!({"open": "EACCES", "touch": "EROFS"});
    DOORS.iter().map(|path| ((*path).to_owned(), refused.clone())).collect::<serde_json::Map<_, _>>().into()
}

pub(crate) fn answer() -> Value {
    let stat = |ino: u64| json!({"dev": 1, "ino": ino, "uid": 1000, "gid": 1000, "mode": 16877});
    let mount = |path: &str, ino: u64, read_only: bool| {
        let tried = read_only.then_some("EROFS");
        json!({"path": path, "stat": stat(ino), "flags": if read_only { 4097 } else { 4096 }, "directory": true,
           "access": !read_only, "create": tried, "touch": tried, "submounts": [], "sample": null})
    };
    let mut data = mount("/datasets/ssv2", 2, true);
    data["sample"] = json!({"entries": 5, "files": 4, "directories": 2, "read": 4, "linked": [], "unreadable": [],
                        "symlinks": [], "errors": []});
    let namespaces = json!({"pid": "pid:[20]", "ipc": "ipc:[21]", "net": "net:[22]", "mnt": "mnt:[23]", "uts": "uts:[24]",
                        "user": "user:[1]"});
    let witness = "Gid:\t2147483000\t2147483000\t2147483000\t2147483000\nGroups:\t1000 2147483000 ";
    let status = STATUS.replace("Gid:\t1000\t1000\t1000\t1000\nGroups:\t1000 ", witness);
    json!({
        "schema": 1, "nonce": "n0", "mountinfo": TABLE, "status": status, "limits": LIMITS, "namespaces": namespaces,
        "hostname": "43c15da69dfa", "uid": 1000, "gid": 2_147_483_000_u32,
        "groups": [1000, 2_147_483_000_u32], "init": {"name": "sandbox-apart", "status": STATUS, "owner": {"dev": 1, "ino": 8, "uid": 0, "gid": 0}},
        "dumpable": 0,
        "passwd": {"name": "codex", "gid": "1000", "home": "/home/codex", "shell": "/bin/bash"},
        "home": {"path": "/home/codex", "stat": stat(9), "access": true},
        "mounts": [mount("/workspace", 1, false), data, mount("/home/codex/.codex", 3, false),
                   mount("/workspace/.git", 4, false), mount("/opt/codex", 5, true),
                   mount("/home/codex/.cache/pip", 7, false)],
        "workspace": "written", "sockets": [], "shm": 1_u64 << 30, "nodes": [], "label": null,
         "cgroup": {"pids": "4096", "memory": "9223372036854771712"}, "outside": [], "launcher": null,
         "refusals": refusals(), "masked": masked(), "kernel": doors(),
         "interfaces": {"lo": "0x9", "eth0": "0x1003"},
        "processes": [{"pid": 1, "parent": 0, "name": "sandbox-apart"}],
        "programs": {}, "smi": null,
        "codex": {"real": "/opt/codex/bin/codex", "stat": stat(6), "version": {"code": "0", "text": "codex-cli 0.169.0\n"}},
    })
}
