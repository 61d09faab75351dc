//! Which files of `xtask/src` read by a path themselves. All others go through `outside` or `beneath`, which bound what is read
//! and wait for no pipe.

use crate::support::place::repository;
use std::fs;

/// The readers themselves, and those that read nothing but what the kernel tells (`/proc`, `/sys`, `/dev/urandom`) or what they
/// hold open.
const READERS: &[&str] = &[
    "outside.rs",
    "answers/stuck.rs",
    "beneath.rs",
    "beneath/change.rs",
    "beneath/held.rs",
    "context.rs",
    "doctor/gather.rs",
    "engine/cgroup.rs",
    "engine/provide/dockerd.rs",
    "exec/watch.rs",
    "exposed/kept.rs",
    "gpu/devices.rs",
    "gpu/mod.rs",
    "life/session.rs",
    "life/used.rs",
    "mountinfo.rs",
    "nonce.rs",
    "proof/cgroup_limits.rs",
    "proof/group.rs",
    "proof/host_kernel.rs",
    "proof/init.rs",
    "proof/modules.rs",
    "proof/net_tables.rs",
    "proof/programs.rs",
    "proof/sources/backing.rs",
    "proof/sources/overlap.rs",
];

const READS: &[&str] = &["fs::read(", "fs::read_to_string(", "File::open(", "OpenOptions", "fs::copy(", ".read(true)"];

/// Files whose use of one of these is no read of what others keep, with the reason.
const OTHERS: &[(&str, &str)] = &[
    ("codex/snapshot.rs", "copies the program that was just asked for its version"),
    ("life/locks.rs", "the lock, which `outside` has looked at, and which is not read"),
];

#[test]
fn nothing_but_the_readers_reads_by_a_path() {
    let root = repository().join("xtask/src");
    let (mut todo, mut found, mut seen) = (vec![root.clone()], Vec::new(), 0);
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
            let of_tests = ["tests", "fixture", "testing", "dev"];
            if name.split(['/', '.']).any(|part| of_tests.contains(&part)) {
                continue;
            }
            if path.is_dir() {
                todo.push(path);
                continue;
            }
            if !name.ends_with(".rs") || READERS.contains(&&*name) || OTHERS.iter().any(|(other, _)| *other == name) {
                continue;
            }
            seen += 1;
            let text = fs::read_to_string(&path).unwrap();
            // What is only compiled for the tests stands last.
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let lines = code.lines().enumerate().filter(|(_, line)| READS.iter().any(|read| line.contains(read)));
            found.extend(lines.map(|(at, line)| format!("{name}:{}: {}", at + 1, line.trim())));
        }
    }
    assert!(seen > 150, "only {seen} files were looked at");
    assert_eq!(found, Vec::<String>::new(), "use `outside`, or `beneath` where an agent can write");
}
