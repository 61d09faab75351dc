//! Whether what lies behind some paths answers, asked before the first call that could wait for it.
//!
//! A call to a file system whose server hangs (NFS, FUSE) may never return, and no signal ends it. So such a path is opened
//! first by another process, this program itself, which is left behind where it does not answer in time. Where every mounted
//! file system is this kernel's own, nothing is asked and nothing is started.

mod stuck;

pub(crate) use stuck::{undone, watch};

use crate::beneath::Way;
use crate::error::{Failure, failed, host};
use crate::file_systems;
use crate::mountinfo::{MountLine, MountTable, within};
use crate::step::Command;
use crate::{text, ui};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// Seconds within which all paths of a question must answer.
const BOUND: u64 = 5;

/// The task by which this program asks.
pub(crate) const TASK: &str = "answers";

/// Below a data set or a workspace, so many mounts of servers are asked too.
const MOST_BELOW: usize = 64;

/// What a path is to the user, which decides who can do without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Workspace,
    Dataset,
    Other,
}

/// How much behind a path is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// All that is mounted below it too: it is walked, or handed to the engine.
    Whole,
    /// A home directory may have anything mounted in it that nobody needs.
    Itself,
}

impl Extent {
    fn of(asked: &Asked) -> Extent {
        // The whole host is refused by whoever is to use it, whatever is mounted there.
        if asked.path.parent().is_none() {
            return Extent::Itself;
        }
        match asked.what {
            What::Workspace | What::Dataset => Extent::Whole,
            What::Other => Extent::Itself,
        }
    }

    /// How a path of this extent begins on the command line of the other process.
    fn mark(self) -> char {
        match self {
            Extent::Whole => '+',
            Extent::Itself => '=',
        }
    }
}

/// A path that is going to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) what: What,
    /// Such as ``the data set `ssv2` ``.
    pub(crate) named: String,
    pub(crate) path: PathBuf,
}

/// A path that does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Silent {
    pub(crate) what: What,
    /// As it was asked.
    pub(crate) path: PathBuf,
    /// The path without the symlinks that could be followed: what does not answer, and all that comes behind it.
    pub(crate) real: PathBuf,
    pub(crate) why: Failure,
}

/// What the other process says: how far it got with which path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Said {
    /// It goes to the second path now, and the third is the whole way as it is known by then.
    At(usize, String, String),
    Answered(usize),
}

/// Starts a command, passes on each line of its output until the answer is `true` or its bound has passed, and leaves it.
type Until = fn(&Command, &mut dyn FnMut(&str) -> bool) -> Result<()>;

/// The program that is started to ask, and what starts it; without these, nothing is asked.
static PROGRAM: OnceLock<(&str, Until)> = OnceLock::new();

/// What was asked in this call, and what was said last.
static KNOWN: Mutex<BTreeMap<PathBuf, (Asked, Option<Silent>)>> = Mutex::new(BTreeMap::new());

/// The mounts by which it is decided what is asked: read once, as each path is asked once.
static TABLE: OnceLock<Result<MountTable, String>> = OnceLock::new();

/// From now on this program can be started to ask.
pub(crate) fn by_this_program(until: Until) {
    // By this name it is found also where a build has replaced the file.
    let _ = PROGRAM.set(("/proc/self/exe", until));
}

/// The paths of these that do not answer. Each path is asked once in a call.
///
/// # Errors
/// It was interrupted, or the other process cannot be started.
pub(crate) fn silent(all: &[Asked]) -> Result<Vec<Silent>> {
    let Some((program, until)) = PROGRAM.get() else { return Ok(Vec::new()) };
    let table = TABLE.get_or_init(MountTable::of_this_process).as_ref().map_err(failed)?;
    let served = table.lines.iter().any(is_served);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut new: Vec<&Asked> = Vec::new();
    for asked in all {
        // What a path is first counts: one that is named twice is not asked twice.
        if !known.contains_key(&asked.path) && !new.iter().any(|other| other.path == asked.path) {
            new.push(asked);
        }
    }
    if !new.is_empty() {
        let judged = if served { judged(program, *until, &new, table)? } else { vec![None; new.len()] };
        let judged = new.into_iter().zip(judged).map(|(asked, silent)| (asked.path.clone(), (asked.clone(), silent)));
        known.extend(judged);
    }
    Ok(all.iter().filter_map(|asked| known.get(&asked.path).and_then(|(_, silent)| silent.clone())).collect())
}

/// Of what was asked in this call and answered: the paths that do not answer now. What is mounted since then is asked too.
///
/// # Errors
/// See [`silent`].
pub(crate) fn again() -> Result<Vec<Silent>> {
    let table = MountTable::of_this_process().map_err(failed)?;
    if !table.lines.iter().any(is_served) {
        return Ok(Vec::new());
    }
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let answered: Vec<&Asked> = known.values().filter(|(_, silent)| silent.is_none()).map(|(asked, _)| asked).collect();
    now(&answered, &table)
}

/// Those that do not answer now, whatever was said before.
fn now(all: &[&Asked], table: &MountTable) -> Result<Vec<Silent>> {
    match PROGRAM.get().filter(|_| !all.is_empty()) {
        None => Ok(Vec::new()),
        Some((program, until)) => Ok(judged(program, *until, all, table)?.into_iter().flatten().collect()),
    }
}

/// What is mounted on this host and does not answer: for who has waited in vain, and cannot know for which file.
pub(crate) fn anywhere() -> Vec<Silent> {
    let Ok(table) = MountTable::of_this_process() else { return Vec::new() };
    let asked = |line: &MountLine| Asked {
        what: What::Other,
        named: "what is mounted".to_owned(),
        path: line.point.clone().into(),
    };
    let all: Vec<Asked> = table.lines.iter().filter(|line| is_served(line)).take(MOST_BELOW).map(asked).collect();
    now(&all.iter().collect::<Vec<_>>(), &table).unwrap_or_default()
}

/// Refuses paths that do not answer.
///
/// # Errors
/// One does not (exit code 3), or it was interrupted.
pub(crate) fn demand(all: &[Asked]) -> Result<()> {
    first(silent(all)?)
}

/// What was found silent in this call, but for data sets: hardly anything can be done without it.
pub(crate) fn found() -> Vec<Silent> {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let silent = known.values().filter_map(|(_, silent)| silent.as_ref());
    silent.filter(|silent| silent.what != What::Dataset).cloned().collect()
}

/// The first of them as an error.
///
/// # Errors
/// There is one.
pub(crate) fn first(silent: Vec<Silent>) -> Result<()> {
    silent.into_iter().next().map_or(Ok(()), |silent| Err(silent.why.into()))
}

/// Whether another machine or a program answers for it. What is mounted in the kernel's own trees is no place for data.
fn is_served(line: &MountLine) -> bool {
    file_systems::kind(line).waits() && !["/proc", "/sys", "/dev"].iter().any(|dir| within(&line.point, dir))
}

/// For each path why it counts as silent; `None` where it has answered.
fn judged(program: &str, until: Until, all: &[&Asked], table: &MountTable) -> Result<Vec<Option<Silent>>> {
    let said = ask(program, until, all)?;
    Ok(all.iter().zip(said).map(|(asked, said)| judge(asked, said, table)).collect())
}

/// For each path how far it got; `None` where it has answered.
fn ask(program: &str, until: Until, all: &[&Asked]) -> Result<Vec<Option<(String, String)>>> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut got: Vec<_> = all.iter().map(|asked| Some((text(&asked.path), text(&asked.path)))).collect();
    let paths = all.iter().map(|asked| format!("{}{}", Extent::of(asked).mark(), text(&asked.path)));
    let command = Command::new(program).args([TASK, "--"]).args(paths).timeout(BOUND);
    until(&command, &mut |line| {
        match serde_json::from_str(line) {
            Ok(Said::At(number, at, whole)) => {
                got.get_mut(number).into_iter().for_each(|got| *got = Some((at.clone(), whole.clone())))
            }
            Ok(Said::Answered(number)) => got.get_mut(number).into_iter().for_each(|got| *got = None),
            // A line that another program has put there says nothing of a path, which then counts as silent.
            Err(_) => {}
        }
        got.iter().all(Option::is_none)
    })?;
    Ok(got)
}

fn judge(asked: &Asked, said: Option<(String, String)>, table: &MountTable) -> Option<Silent> {
    let (at, whole) = said?;
    let line = table.covering(&at);
    let (point, fstype) = line.map_or(("/", "unknown"), |line| (line.point.as_str(), line.fstype.as_str()));
    let (path, named) = (text::path(&asked.path), &asked.named);
    let hint = match asked.what {
        What::Dataset => "give another directory with `--dataset NAME=DIR`, or do without it: `--dataset NAME=none`",
        What::Workspace | What::Other => "see that its server runs and is reached",
    };
    let why = host(format!("{named} at `{path}`: the file system at `{point}` ({fstype}) does not answer"))
        .hint(hint)
        .run([format!("umount -l {}", text::word(point))]);
    Some(Silent { what: asked.what, path: asked.path.clone(), real: whole.into(), why })
}

/// The other process: goes to each of the paths in a thread of its own, and says how far it gets. It ends by itself soon after
/// nobody can be waiting for it any more.
pub(crate) fn answer(paths: &[String]) {
    let (sender, answered) = mpsc::channel();
    for (number, path) in paths.iter().cloned().enumerate() {
        let sender = sender.clone();
        std::thread::spawn(move || {
            match path.strip_prefix(Extent::Whole.mark()) {
                Some(path) => go(number, Path::new(path), Extent::Whole),
                None => go(number, Path::new(path.trim_start_matches(Extent::Itself.mark())), Extent::Itself),
            }
            say(&Said::Answered(number));
            let _ = sender.send(());
        });
    }
    let deadline = Instant::now() + Duration::from_secs(2 * BOUND);
    for _ in paths {
        if answered.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_err() {
            return;
        }
    }
}

fn say(said: &Said) {
    if let Ok(line) = serde_json::to_string(said) {
        ui::result(line);
    }
}

/// Goes to a path part by part, so that what does not answer can be named, and looks into what is there. What is not there
/// answers too.
fn go(number: usize, path: &Path, extent: Extent) {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let at_now = |at: &Path, whole: &Path| say(&Said::At(number, text(at), text(whole)));
    let (mut at, mut way) = (PathBuf::new(), Way::new(path));
    while let Some(part) = way.step() {
        if part == ".." {
            at.pop();
        } else {
            at.push(part);
        }
        at_now(&at, &way.whole(&at));
        if let Ok(to) = at.read_link() {
            at.pop();
            if way.link(&to).is_err() {
                return;
            }
        }
    }
    look(&at);
    if extent == Extent::Itself {
        return;
    }
    let table = MountTable::of_this_process().unwrap_or_default();
    let below = table.below(&text(&at)).into_iter().filter(|line| is_served(line)).take(MOST_BELOW);
    for line in below {
        at_now(Path::new(&line.point), &at);
        look(Path::new(&line.point));
    }
}

/// The kernel may know a directory's attributes by itself, but not what is in it.
fn look(path: &Path) {
    if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
        let _ = std::fs::read_dir(path).map(|mut entries| entries.next().is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "1 0 8:1 / / rw - ext4 d rw\n2 1 0:40 / /mnt/x rw - fuse.sshfs me@far:/ rw\n\
                         3 1 0:41 / /proc rw - proc p rw\n4 3 0:42 / /proc/fs/binfmt rw - autofs a rw\n";

    fn asked(what: What) -> Asked {
        Asked { what, named: "the data set `ssv2`".into(), path: "/data/link".into() }
    }

    #[test]
    fn only_what_a_server_may_keep_waiting_is_asked() {
        let table = MountTable::parse(TABLE).unwrap();
        let served: Vec<&str> = table.lines.iter().filter(|line| is_served(line)).map(|line| &*line.point).collect();
        assert_eq!(served, ["/mnt/x"]);
        for kind in ["nfs4", "cifs", "9p", "virtiofs", "fuse", "fuseblk", "fuse.bindfs", "lustre", "autofs", "new"] {
            let line = MountLine { fstype: kind.into(), device: "0:9".into(), ..table.lines[0].clone() };
            assert!(is_served(&line), "{kind}");
        }
    }

    #[test]
    fn what_does_not_answer_is_named_with_its_mount_and_what_answered_is_not() {
        let table = MountTable::parse(TABLE).unwrap();
        assert_eq!(judge(&asked(What::Dataset), None, &table), None);
        let said = Some(("/mnt/x/a".to_owned(), "/mnt/x/a/b".to_owned()));
        let silent = judge(&asked(What::Dataset), said, &table).unwrap();
        assert_eq!(
            silent.why.message,
            "the data set `ssv2` at `/data/link`: the file system at `/mnt/x` (fuse.sshfs) does not answer"
        );
        assert_eq!(silent.real, Path::new("/mnt/x/a/b"));
        assert_eq!(silent.why.kind.code(), 3);
        assert!(silent.why.remedies.iter().any(|remedy| remedy.to_string() == "umount -l /mnt/x"));
    }

    #[test]
    fn without_a_program_nothing_is_asked() {
        assert_eq!(silent(&[asked(What::Other)]).unwrap(), []);
    }
}
