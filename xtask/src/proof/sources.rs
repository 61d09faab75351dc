//! What may be mounted at all: the host-side checks before a sandbox starts. All problems are found at once.
//!
//! `facts` reads each source once; everything here is pure. Two directories are compared in three ways, because each
//! sees what the others miss: by their real paths (symlinks), by device and inode of each and of all its ancestors
//! (bind mounts), and by device and path in the file system from the mount table (bind mounts of parts, and what is
//! mounted below). No directory tree is walked, so the cost does not grow with the data.

mod backing;
mod facts;
mod far;
mod ground;
mod here;
mod overlap;
mod served;

#[cfg(any(test, fuzzing))]
pub(crate) use backing::fuzz;

use super::claim::Draft;
use crate::beneath::Held;
use crate::context::resolved;
use crate::error::{Failure, Remedy, usage};
use crate::exposed::Exposed;
use crate::file_systems;
use crate::finding::{Finding, Verdict};
use crate::mountinfo::{MountTable, join, within};
use crate::spec::Role;
use crate::spec::inside::Chosen;
use crate::spec::mount::{Mount, ids};
use crate::spec::settings::valid_name;
use crate::text;
use facts::{KnownPaths, PathFacts, Unknown};
use ground::Grounds;
use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::path::Path;
use std::path::PathBuf;

/// Who the container's user will be, and what no mount may show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The supplementary groups inside.
    pub(crate) groups: Vec<u32>,
    /// The user's home directory.
    pub(crate) home: PathBuf,
    /// This repository.
    pub(crate) repository: PathBuf,
    /// Where this user's logins lie: the state folder and the host's Codex home.
    pub(crate) private: Vec<PathBuf>,
    /// What the user hands out although a rule of `ground` refuses it.
    pub(crate) allow_ground: Vec<PathBuf>,
    /// Where container engines listen, as far as known.
    pub(crate) sockets: Vec<PathBuf>,
}

/// Why a mount cannot be made. Its id is the first part of the ids of the mount's claims, such as `dataset.ssv2`.
fn problem(id: &str, mount: &Mount, what: String, hint: &str) -> Finding {
    Finding::new(id, fit_to_be_mounted(mount)).with(Verdict::Broken, usage(what).hint(hint))
}

fn fit_to_be_mounted(mount: &Mount) -> String {
    format!("`{}` is fit to be mounted at `{}`", mount.source.display(), mount.target)
}

/// Opens every source and checks what was opened.
pub(crate) fn check(mounts: &[Mount], rules: &Rules, exposed: &Exposed) -> Vec<Finding> {
    hold(mounts, rules, exposed).1
}

/// The same, and the sources that could be opened, by their target. As long as they are held, what was checked can be told
/// from whatever takes its place.
pub(crate) fn hold(mounts: &[Mount], rules: &Rules, exposed: &Exposed) -> (BTreeMap<String, Held>, Vec<Finding>) {
    let table = MountTable::of_this_process().unwrap_or_default();
    let known = KnownPaths::read(mounts, rules, exposed, &table);
    let grounds = Grounds::read(&rules.home, &rules.allow_ground, |path| facts::any(path, &table));
    let mut problems = judge(mounts, &known, &grounds, rules);
    let look = backing::Look::new(&table);
    problems.extend(overlap::below(mounts, &known, &grounds, exposed, &look));
    problems.extend(through(mounts, &known, &grounds, &look));
    problems.extend(overlap::closed(mounts, &known, rules.uid, &table));
    let held = mounts.iter().zip(known.held).filter_map(|(mount, held)| Some((mount.target.clone(), held?)));
    (held.collect(), problems)
}

/// What a directory shows through servers of this host: who can write the one can write these.
pub(crate) fn shown_by(open: &Held) -> Vec<Held> {
    let table = MountTable::of_this_process().unwrap_or_default();
    let shown = backing::Look::new(&table).below(&open.real().to_string_lossy()).shown;
    shown.iter().filter_map(|dir| Held::open(dir).ok()).collect()
}

/// How a directory that one sandbox can write would let it write what another one is given: what that may only read, or what
/// lies in it. Both may write one directory, if that is what the user wants.
pub(crate) fn written_by(open: &Path, other: &Path, read_only: bool, table: &MountTable) -> Option<String> {
    let look = backing::Look::new(table);
    let (open, other) = (facts::any(open, table)?, facts::any(other, table)?);
    let shown = look.below(&open.real.to_string_lossy()).shown;
    let shown = shown.iter().filter_map(|dir| facts::any(dir, table)).filter(|_| read_only);
    let through = shown.filter_map(|dir| Some((overlap::overlap(&other, &dir)?, dir))).next();
    if let Some((how, dir)) = through {
        return Some(format!(
            "the second shows `{}`: {}",
            dir.real.display(),
            how.replace("the data set", "the first")
        ));
    }
    match read_only {
        true => overlap::overlap(&other, &open)
            .map(|how| how.replace("the data set", "the first"))
            .or_else(|| overlap::below_written(&other, &open, table)),
        false => (other.id != open.id && open.shows(&other)).then(|| "the first lies in it".to_owned()),
    }
}

/// The problems as one error of wrong settings, with each hint once.
pub(crate) fn failure(problems: &[Finding]) -> Option<Failure> {
    let lines: Vec<&str> = problems.iter().filter_map(|problem| problem.why.as_deref()).collect();
    let mut remedies: Vec<Remedy> = Vec::new();
    for one in problems.iter().flat_map(|problem| &problem.remedies) {
        if !remedies.contains(one) {
            remedies.push(one.clone());
        }
    }
    let message = match lines.as_slice() {
        [] => return None,
        [one] => (*one).to_owned(),
        lines => format!("{} mounts cannot be made:\n  {}", lines.len(), lines.join("\n  ")),
    };
    Some(usage(message).remedies(remedies))
}

/// The host's half of `cargo xtask mounts`: one claim for each mount, `<mount>.host`.
pub(crate) fn claims(mounts: &[Mount], problems: &[Finding]) -> Vec<Finding> {
    let table = MountTable::of_this_process().unwrap_or_default();
    let claim = |(mount, id): (&Mount, String)| {
        let own: Vec<&Finding> = problems.iter().filter(|problem| problem.id == id).collect();
        let mut draft = Draft::new(format!("{id}.host"), fit_to_be_mounted(mount));
        draft.host(format!("{} problems", own.len()));
        for problem in &own {
            let why = problem.why.clone().unwrap_or_default();
            match problem.verdict {
                Verdict::NotProvable => draft.unseen(why),
                Verdict::Broken | Verdict::Missing | Verdict::Noted | Verdict::Sampled | Verdict::Held => {
                    draft.broken(why)
                }
            }
        }
        if let Role::Dataset(_) = mount.role {
            draft.served(
                &mount.source.display(),
                &file_systems::served(&table, &resolved(&mount.source).to_string_lossy()),
            );
        }
        Finding { remedies: own.first().map(|problem| problem.remedies.clone()).unwrap_or_default(), ..draft.done() }
    };
    mounts.iter().zip(ids(mounts)).map(claim).collect()
}

/// Checks what was read against the rules. Pure.
fn judge(mounts: &[Mount], known: &KnownPaths, grounds: &Grounds, rules: &Rules) -> Vec<Finding> {
    let mut problems = Vec::new();
    let mut targets = BTreeSet::new();
    for ((mount, facts), id) in mounts.iter().zip(&known.sources).zip(ids(mounts)) {
        let mut problem = |what: String, hint: &str| problems.push(problem(&id, mount, what, hint));
        named(mount, &mut problem);
        if !targets.insert(mount.target.trim_end_matches('/')) {
            problem(format!("two mounts have the target `{}`", mount.target), "give each data set another name");
        }
        match facts {
            Err(Unknown::Missing(why)) => problem(why.clone(), &mount.role.inside().missing),
            Err(Unknown::Exposed(failure)) => {
                let finding = Finding::new(&id, fit_to_be_mounted(mount));
                problems.push(finding.with(Verdict::Broken, failure.clone()));
            }
            // The whole host has everything in it: one reason says it all.
            Ok(facts) if facts.is_whole_host() => forbidden(mount, facts, known, &mut problem),
            Ok(facts) => {
                fit(mount, facts, rules, &mut problem);
                forbidden(mount, facts, known, &mut problem);
                handed_out(mount, facts, known, grounds, &mut problem);
            }
        }
    }
    problems.extend(overlap::overlaps(mounts, known));
    problems
}

/// Names and paths that cannot be passed on whole.
fn named(mount: &Mount, problem: &mut impl FnMut(String, &str)) {
    if let Role::Dataset(name) = &mount.role
        && !valid_name(name)
    {
        let hint = "use small letters, digits, `.`, `_` and `-`, the first a letter or digit";
        problem(format!("`{}` is not a valid name for a data set", name.escape_debug()), hint);
    }
    if let Err(why) = text::plain(&mount.source) {
        problem(format!("the path `{}` cannot be used: {why}", text::path(&mount.source)), text::RENAME);
    }
    let odd = |part: &str| part == ".." || part == ".";
    let target = &mount.target;
    if !target.starts_with('/') || target.split('/').any(odd) || target.chars().any(char::is_control) || target == "/" {
        problem(format!("nothing can be mounted at `{}`", target.escape_debug()), "give an absolute path");
    }
}

/// What a source must be: a directory (or a file, for a linked worktree's `.git`) that the container's user may use.
fn fit(mount: &Mount, facts: &PathFacts, rules: &Rules, problem: &mut impl FnMut(String, &str)) {
    let path = facts.real.display();
    if !(facts.kind.is_dir() || mount.role.inside().may_be_a_file && facts.kind.is_file()) {
        problem(format!("`{path}` is not a directory"), &mount.role.inside().missing);
        return;
    }
    let enter = if facts.kind.is_dir() { 0o1 } else { 0 };
    let (verb, wanted) = if mount.read_only { ("read", 0o4 | enter) } else { ("write", 0o6 | enter) };
    if !allows(facts, rules, wanted) && !facts.by_list {
        let Rules { uid, gid, .. } = rules;
        problem(
            format!(
                "user {uid}:{gid} cannot {verb} `{path}` (owner {}:{}, mode {:o})",
                facts.uid,
                facts.gid,
                facts.mode & 0o7777
            ),
            &format!("choose a directory that you can {verb}, or have its owner let you"),
        );
    }
}

/// The permission bits, as the kernel reads them for a user without capabilities: root is no exception.
fn allows(facts: &PathFacts, rules: &Rules, wanted: u32) -> bool {
    let bits = if facts.uid == rules.uid {
        facts.mode >> 6
    } else if rules.in_group(facts.gid) {
        facts.mode >> 3
    } else {
        facts.mode
    };
    bits & wanted == wanted
}

impl Rules {
    /// Whether the container's user is in this group.
    fn in_group(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }
}

/// Places that no mount may show, whoever chose it.
fn forbidden(mount: &Mount, facts: &PathFacts, known: &KnownPaths, problem: &mut impl FnMut(String, &str)) {
    let path = facts.real.display();
    let hint = "choose a directory that holds only the project or only the data";
    let real = facts.real.to_string_lossy();
    if facts.is_whole_host() {
        problem(format!("`{path}` is the whole host"), hint);
        return;
    }
    if let Some(kernel) = ["/proc", "/sys", "/dev"].iter().find(|dir| within(&real, dir)) {
        // Some people keep data in shared memory, which is a plain tmpfs.
        if !real.starts_with("/dev/shm/") {
            problem(format!("`{path}` lies in the kernel's `{kernel}`"), hint);
        }
    }
    let socket = known.sockets.iter().find(|socket| facts.shows(socket));
    if let Some(socket) = socket {
        problem(format!("`{path}` shows the engine's socket `{}`", socket.real.display()), hint);
    } else if facts.kind.is_socket() || real == "/run" || real == "/var/run" {
        problem(format!("`{path}` is where the host's services listen"), hint);
    }
    if known.home.as_ref().is_some_and(|home| facts.shows(home)) {
        problem(format!("`{path}` shows your whole home directory"), hint);
    }
    for private in known.private.iter().filter(|private| shows_private(&mount.role, facts, private)) {
        problem(format!("`{path}` shows something of `{}`, where logins of yours lie", private.real.display()), hint);
    }
    let chosen = matches!(mount.role, Role::Workspace | Role::Dataset(_) | Role::CodexHome);
    if let Some(repository) = known.repository.as_ref().filter(|_| chosen || !mount.read_only) {
        let hint = "whoever can write this repository runs code on the host at the next `cargo xtask`: use its `workspace/`, or a \
                    directory elsewhere by `--workspace DIR` or `--dataset NAME=DIR`";
        if facts.shows(repository) {
            problem(format!("`{path}` is or contains this repository"), hint);
        } else if repository.shows(facts) && !in_workspace(facts, repository) {
            problem(format!("`{path}` lies in this repository, outside its `workspace/`"), hint);
        }
    }
}

/// Whether a mount shows a directory with logins, or a part of it. This tool's own mounts are parts of the state folder.
fn shows_private(role: &Role, facts: &PathFacts, private: &PathFacts) -> bool {
    match role.inside().chosen {
        Chosen::Project | Chosen::Data => facts.shows(private) || private.shows(facts),
        // Also an empty directory of ours, which hides a part of the objects.
        Chosen::Borrowed => facts.shows(private),
        Chosen::PartOfWorkspace | Chosen::Tool => false,
    }
}

fn in_workspace(facts: &PathFacts, repository: &PathFacts) -> bool {
    let workspace = join(&repository.real.to_string_lossy(), "workspace");
    let by_place = facts.place.as_ref().zip(repository.place.as_ref());
    within(&facts.real.to_string_lossy(), &workspace)
        || by_place.is_some_and(|(place, repository)| repository.join("workspace").contains(place))
}

/// Ground that holds other things' trust: see `ground`.
fn handed_out(
    mount: &Mount,
    facts: &PathFacts,
    known: &KnownPaths,
    grounds: &Grounds,
    problem: &mut impl FnMut(String, &str),
) {
    // The default project is this checkout's own, wherever that lies.
    if known.repository.as_ref().is_some_and(|repository| in_workspace(facts, repository)) {
        return;
    }
    let owners_home = crate::user::home_of(facts.uid);
    if let Some(why) = grounds.refused(mount, facts, owners_home.as_deref()) {
        problem(format!("`{}` {why}", facts.real.display()), &ground::hint(facts));
    }
}

/// What a mount shows through a server of this host is shown by it, as if the server's directory had been given: no rule is got
/// round by a bindfs.
fn through(mounts: &[Mount], known: &KnownPaths, grounds: &Grounds, look: &backing::Look) -> Vec<Finding> {
    let shown = |facts: &PathFacts| {
        let dirs = look.below(&facts.real.to_string_lossy()).shown;
        dirs.iter().filter_map(|dir| facts::any(dir, look.table)).collect::<Vec<_>>()
    };
    let read = || mounts.iter().zip(&known.sources).zip(ids(mounts));
    let all: Vec<_> = read().filter_map(|((mount, facts), id)| Some((mount, facts.as_ref().ok()?, id))).collect();
    let all: Vec<_> = all.into_iter().map(|(mount, facts, id)| (mount, facts, id, shown(facts))).collect();
    let mut problems = Vec::new();
    for (mount, facts, id, dirs) in &all {
        for dir in dirs {
            let shows = format!("`{}` shows `{}`", mount.source.display(), dir.real.display());
            let mut problem =
                |what: String, hint: &str| problems.push(problem(id, mount, format!("{shows}, and {what}"), hint));
            forbidden(mount, dir, known, &mut problem);
            if !grounds.names(facts) {
                handed_out(mount, dir, known, grounds, &mut problem);
            }
            let data = || all.iter().filter(|(other, ..)| !mount.read_only && matches!(other.role, Role::Dataset(_)));
            for (data, its, _, behind) in data() {
                if let Some(how) = iter::once(*its).chain(behind).find_map(|its| overlap::overlap(its, dir)) {
                    let what = format!("the data set `{}` could be written there: {how}", data.source.display());
                    problem(what, "keep the data and what the sandbox may write in directories apart from each other");
                }
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests;
