//! What may be mounted at all: the host-side checks before a sandbox starts. All problems are found at once.
//!
//! `facts` reads each source once; everything here is pure. Two directories are compared in three ways, because each
//! sees what the others miss: by their real paths (symlinks), by device and inode of each and of all its ancestors
//! (bind mounts), and by device and path in the file system from the mount table (bind mounts of parts, and what is
//! mounted below). Nothing walks a source: the cost does not grow with the data.

pub mod facts;

pub use facts::{KnownPaths, PathFacts};

use crate::error::{Failure, Mend, usage};
use crate::finding::{Evidence, Finding, Verdict};
use crate::proof::mount_ids;
use crate::proof::mountinfo::{rest, within};
use crate::spec::inside::Role;
use crate::spec::mount::Mount;
use crate::spec::settings::valid_name;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Who the container's user will be, and what no mount may show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The user id inside.
    pub uid: u32,
    /// The group id inside.
    pub gid: u32,
    /// The supplementary groups inside.
    pub groups: Vec<u32>,
    /// The user's home directory.
    pub home: PathBuf,
    /// This repository.
    pub repository: PathBuf,
    /// Where container engines listen, as far as known.
    pub sockets: Vec<PathBuf>,
}

/// Why a mount cannot be made. Its id is the first part of the ids of the mount's claims, such as `dataset.ssv2`.
fn problem(id: &str, mount: &Mount, what: String, hint: &str) -> Finding {
    Finding::new(id, fit_to_be_mounted(mount)).with(Verdict::Broken, usage(what).hint(hint))
}

fn fit_to_be_mounted(mount: &Mount) -> String {
    format!("`{}` is fit to be mounted at `{}`", mount.source.display(), mount.target)
}

/// Reads every source and checks it. Reads only.
pub fn check(mounts: &[Mount], rules: &Rules) -> Vec<Finding> {
    judge(mounts, &KnownPaths::read(mounts, rules), rules)
}

/// The problems as one error of wrong settings: the first is the error, each has a line, every hint is there once.
pub fn failure(problems: &[Finding]) -> Option<Failure> {
    let lines: Vec<&str> = problems.iter().filter_map(|problem| problem.why.as_deref()).collect();
    let mut mend: Vec<Mend> = Vec::new();
    for one in problems.iter().flat_map(|problem| &problem.mend) {
        if !mend.contains(one) {
            mend.push(one.clone());
        }
    }
    let message = match lines.as_slice() {
        [] => return None,
        [one] => (*one).to_owned(),
        lines => format!("{} mounts cannot be made:\n  {}", lines.len(), lines.join("\n  ")),
    };
    Some(usage(message).mend(mend))
}

/// The host's half of `cargo xtask mounts`: one claim a mount, `<mount>.host`.
pub fn claims(mounts: &[Mount], problems: &[Finding]) -> Vec<Finding> {
    let claim = |(mount, id): (&Mount, String)| {
        let own: Vec<&Finding> = problems.iter().filter(|problem| problem.id == id).collect();
        let texts: Vec<&str> = own.iter().filter_map(|problem| problem.why.as_deref()).collect();
        Finding {
            verdict: own.first().map_or(Verdict::Held, |problem| problem.verdict),
            evidence: Evidence { host: format!("{} problems", own.len()), ..Evidence::default() },
            why: (!own.is_empty()).then(|| texts.join("; ")),
            mend: own.first().map(|problem| problem.mend.clone()).unwrap_or_default(),
            ..Finding::new(format!("{id}.host"), fit_to_be_mounted(mount))
        }
    };
    mounts.iter().zip(mount_ids(mounts)).map(claim).collect()
}

/// Holds what was read against the rules. Pure.
pub fn judge(mounts: &[Mount], known: &KnownPaths, rules: &Rules) -> Vec<Finding> {
    let mut problems = Vec::new();
    let mut targets = BTreeSet::new();
    for ((mount, facts), id) in mounts.iter().zip(&known.sources).zip(mount_ids(mounts)) {
        let mut problem = |what: String, hint: &str| problems.push(problem(&id, mount, what, hint));
        named(mount, &mut problem);
        if !targets.insert(mount.target.trim_end_matches('/')) {
            problem(format!("two mounts have the target `{}`", mount.target), "give each data set another name");
        }
        match facts {
            Err(why) => problem(why.clone(), &missing_hint(mount)),
            Ok(facts) => {
                fit(mount, facts, rules, &mut problem);
                forbidden(mount, facts, known, &mut problem);
            }
        }
    }
    problems.extend(overlaps(mounts, known));
    problems
}

fn missing_hint(mount: &Mount) -> String {
    match &mount.role {
        Role::Dataset(name) => format!("give the directory with `--dataset {name}=DIR`"),
        Role::Workspace => "give the project's directory with `--workspace DIR`".into(),
        _ => "check the path, and that you may read it".into(),
    }
}

/// Names and paths that cannot be passed on whole.
fn named(mount: &Mount, problem: &mut impl FnMut(String, &str)) {
    if let Role::Dataset(name) = &mount.role
        && !valid_name(name)
    {
        let hint = "use small letters, digits, `.`, `_` and `-`, the first a letter or digit";
        problem(format!("`{}` is no name for a data set", name.escape_debug()), hint);
    }
    match mount.source.to_str() {
        None => problem(
            format!("the path `{}` is not UTF-8", mount.source.display()),
            "rename it, or reach it by a symlink with another name",
        ),
        Some(path) if path.chars().any(char::is_control) => problem(
            format!("the path `{}` has a control character", path.escape_debug()),
            "rename it, or reach it by a symlink with another name",
        ),
        Some(_) => {}
    }
    let odd = |part: &str| part == ".." || part == ".";
    let target = &mount.target;
    if !target.starts_with('/') || target.split('/').any(odd) || target.chars().any(char::is_control) || target == "/" {
        problem(format!("`{}` is no place to mount at", target.escape_debug()), "give an absolute path");
    }
}

/// What a source must be: a directory (or a file, for a linked worktree's `.git`) that the container's user may use.
fn fit(mount: &Mount, facts: &PathFacts, rules: &Rules, problem: &mut impl FnMut(String, &str)) {
    let path = facts.real.display();
    let file_is_fine = mount.role == Role::Git && facts.file;
    if !facts.directory && !file_is_fine {
        problem(format!("`{path}` is not a directory"), &missing_hint(mount));
        return;
    }
    let wanted = match (facts.directory, mount.read_only) {
        (true, true) => 0o5,
        (true, false) => 0o7,
        (false, true) => 0o4,
        (false, false) => 0o6,
    };
    let verb = if mount.read_only { "read" } else { "write" };
    if !allows(facts, rules, wanted) && !facts.by_list {
        problem(
            format!(
                "user {}:{} cannot {verb} `{path}` (owner {}:{}, mode {:o})",
                rules.uid,
                rules.gid,
                facts.uid,
                facts.gid,
                facts.mode & 0o7777
            ),
            &format!("sudo chown {}:{} '{path}', or chmod it", rules.uid, rules.gid),
        );
    }
}

/// The permission bits, as the kernel reads them for a user without capabilities: root is no exception.
fn allows(facts: &PathFacts, rules: &Rules, wanted: u32) -> bool {
    let bits = if facts.uid == rules.uid {
        facts.mode >> 6
    } else if facts.gid == rules.gid || rules.groups.contains(&facts.gid) {
        facts.mode >> 3
    } else {
        facts.mode
    };
    bits & wanted == wanted
}

/// Places that no mount shows, whoever chose it.
fn forbidden(mount: &Mount, facts: &PathFacts, known: &KnownPaths, problem: &mut impl FnMut(String, &str)) {
    let path = facts.real.display();
    let hint = "choose a directory that holds only the project or only the data";
    let real = facts.real.to_string_lossy();
    if real == "/" {
        problem(format!("`{path}` is the whole host"), hint);
        return;
    }
    if let Some(kernel) = ["/proc", "/sys", "/dev"].iter().find(|dir| within(&real, dir)) {
        // Shared memory is where some keep data; it is a plain tmpfs.
        if !real.starts_with("/dev/shm/") {
            problem(format!("`{path}` lies in the kernel's `{kernel}`"), hint);
        }
    }
    let socket = known.sockets.iter().find(|socket| facts.shows(socket));
    if let Some(socket) = socket {
        problem(format!("`{path}` shows the engine's socket `{}`", socket.real.display()), hint);
    } else if facts.socket || real == "/run" || real == "/var/run" {
        problem(format!("`{path}` is where the host's services listen"), hint);
    }
    if known.home.as_ref().is_some_and(|home| facts.shows(home)) {
        problem(format!("`{path}` shows your whole home directory"), hint);
    }
    let chosen = matches!(mount.role, Role::Workspace | Role::Dataset(_) | Role::CodexHome);
    if let Some(repository) = known.repository.as_ref().filter(|_| chosen || !mount.read_only) {
        let hint = "whoever can write this repository runs code on the host at the next `cargo xtask`";
        if facts.shows(repository) {
            problem(format!("`{path}` shows this repository"), hint);
        } else if facts.lies_in(repository) && !in_workspace(facts, repository) {
            problem(format!("`{path}` lies in this repository, outside its `workspace/`"), hint);
        }
    }
}

fn in_workspace(facts: &PathFacts, repository: &PathFacts) -> bool {
    let by_path =
        |path: &str, dir: &str| rest(path, dir).is_some_and(|inner| within(&format!("/{inner}"), "/workspace"));
    let real = by_path(&facts.real.to_string_lossy(), &repository.real.to_string_lossy());
    let place = match (&facts.place, &repository.place) {
        (Some(place), Some(dir)) => place.device == dir.device && by_path(&place.path, &dir.path),
        _ => false,
    };
    real || place
}

/// Data sets that a writable mount would show, in either direction.
fn overlaps(mounts: &[Mount], known: &KnownPaths) -> Vec<Finding> {
    let read = || mounts.iter().zip(&known.sources).filter_map(|(mount, facts)| Some((mount, facts.as_ref().ok()?)));
    let mut problems = Vec::new();
    for (data, facts) in read().filter(|(mount, _)| matches!(mount.role, Role::Dataset(_))) {
        for (open, others) in read().filter(|(mount, _)| !mount.read_only) {
            if let Some(how) = overlap(facts, others) {
                let what = format!(
                    "the data set `{}` could be written by way of `{}`, mounted for writing at `{}`: {how}",
                    data.source.display(),
                    open.source.display(),
                    open.target
                );
                let hint = "keep the data and what the sandbox may write in directories apart from each other";
                problems.push(problem(&data.role.id(), data, what, hint));
            }
        }
    }
    problems
}

fn overlap(data: &PathFacts, open: &PathFacts) -> Option<String> {
    if data.id == open.id {
        return Some("they are the same directory".into());
    }
    if open.shows(data) {
        return Some("the data set lies in it".into());
    }
    if data.shows(open) {
        return Some("it lies in the data set".into());
    }
    // What is mounted below a source comes along.
    let parts = |facts: &PathFacts| facts.place.iter().chain(&facts.below).cloned().collect::<Vec<_>>();
    let (own, other) = (parts(data), parts(open));
    own.iter()
        .find(|place| other.iter().any(|other| place.touches(other)))
        .map(|place| format!("both show {} of device {}", place.path, place.device))
}

#[cfg(test)]
mod tests;
