//! Refs: those of the host, which git reads, and those of the sandbox's own git directory, which are read as plain text,
//! because git would follow the configuration that an agent wrote beside them.

use super::effort::Effort;
use super::layout::SMALL;
use super::repository::Repository;
use super::{client, config_format, first, noted};
use crate::beneath::{Beneath, Refused, Why};
use crate::error::failed;
use crate::text;
use crate::ui::printable;
use anyhow::Result;
use rustix::fs::FileType;
use std::collections::{BTreeMap, BTreeSet};

/// The ids of refs, by full name.
pub(super) type Refs = BTreeMap<String, String>;

/// Bound on `packed-refs`.
const PACKED: u64 = 64 << 20;
/// What to do where there is more.
const DROP: &str = "`cargo xtask down --all` drops the sandbox's git directory, with the commits that only it has";
/// Bounds on the tree of loose refs: the number of all entries, and of levels.
const ENTRIES: usize = 100_000;
const LEVELS: usize = 20;

/// What HEAD leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Head {
    /// A branch by full name; it need not exist.
    Branch(String),
    /// A commit.
    Detached(String),
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Head::Branch(name) => write!(f, "ref: {name}"),
            Head::Detached(id) => f.write_str(id),
        }
    }
}

impl Head {
    /// The commit that it leads to, where its branch is among these refs.
    pub(super) fn commit<'a>(&'a self, refs: &'a Refs) -> Option<&'a String> {
        match self {
            Head::Branch(name) => refs.get(name),
            Head::Detached(id) => Some(id),
        }
    }
}

/// The refs of a git directory that an agent wrote.
#[derive(Default)]
pub(super) struct Private {
    /// All that lie under `refs/`: each can hold commits that nothing else has.
    pub(super) refs: Refs,
    /// HEAD, where it is readable.
    pub(super) head: Option<Head>,
    /// The commits that worktrees made inside are on, and no branch, by the name of the worktree.
    pub(super) worktrees: Refs,
    /// Why there may be commits that were not found, in words that are safe for a terminal. A start would drop them.
    pub(super) unread: Vec<String>,
    /// The same for what a start leaves in its place.
    pub(super) notes: Vec<String>,
}

impl Private {
    /// Reads the plain files of a git directory. What is not understood is never taken for nothing.
    pub(super) fn read(git: &Beneath, sha256: bool, effort: &Effort<'_>) -> Result<Private> {
        let mut found = Private::default();
        found.storage(git);
        let packed = git.text("packed-refs", PACKED);
        if let Err(Refused { why: Why::TooLarge(_), .. }) = &packed {
            return Err(failed(format!("the sandbox's `packed-refs` has more than {PACKED} bytes")).hint(DROP).into());
        }
        let packed = noted(packed, &mut found.unread).unwrap_or_default();
        found.packed(&packed, sha256, effort)?;
        let mut walk = Walk { left: ENTRIES, sha256, effort };
        if let Some(refs) = noted(git.open_dir("refs"), &mut found.unread) {
            found.loose(&refs, "refs", LEVELS, &mut walk)?;
        }
        if let Some(text) = noted(git.text("HEAD", 4096), &mut found.unread) {
            found.head = parse_head(&text, sha256);
            // One that leads to a ref of another kind leads to what is read as such.
            if found.head.is_none() && !text.starts_with("ref:") {
                found.unread.push("its HEAD names neither a ref nor a commit".into());
            }
        }
        found.worktrees(git, &mut walk)?;
        found.unread = first(found.unread, "notes");
        found.notes = first(found.notes, "notes");
        Ok(found)
    }

    fn packed(&mut self, text: &str, sha256: bool, effort: &Effort<'_>) -> Result<()> {
        for line in text.lines().filter(|line| !line.starts_with(['#', '^']) && !line.is_empty()) {
            effort.go_on()?;
            match line.split_once(' ') {
                Some((id, name)) if is_id(id, sha256) => self.add(name, id),
                Some(_) | None => self.unread.push(format!("`{}` in `packed-refs` is no ref", text::name(line))),
            }
        }
        Ok(())
    }

    /// Other places than plain files in which git would keep refs.
    fn storage(&mut self, git: &Beneath) {
        for name in ["reftable", "commondir"] {
            if git.stat(name).is_ok() {
                self.unread.push(format!("`{name}` in it says that its refs are kept elsewhere than in plain files"));
            }
        }
        let config = noted(git.text("config", SMALL), &mut self.unread).unwrap_or_default();
        let settings = config_format::parse(&config);
        let format = config_format::last(&settings, "extensions.refstorage");
        if let Some(format) = format.filter(|format| !format.eq_ignore_ascii_case("files")) {
            self.unread.push(format!("it stores its refs as `{}`", text::name(format)));
        }
    }

    /// The HEADs and the own refs of the worktrees that were made inside. They stay where they are at a start.
    fn worktrees(&mut self, git: &Beneath, walk: &mut Walk<'_, '_>) -> Result<()> {
        let Some(dir) = noted(git.open_dir("worktrees"), &mut self.notes) else { return Ok(()) };
        let mut own = Private::default();
        for (name, _) in dir.names_up_to(ENTRIES)? {
            walk.one()?;
            let shown = printable(&name.to_string_lossy());
            let Some(worktree) = noted(dir.open_dir(&name), &mut self.notes) else { continue };
            let text = noted(worktree.text("HEAD", 4096), &mut self.notes).unwrap_or_default();
            match parse_head(&text, walk.sha256) {
                Some(Head::Detached(id)) => drop(self.worktrees.insert(shown.clone(), id)),
                Some(Head::Branch(_)) => {}
                None if text.starts_with("ref:") => {}
                None => self.notes.push(format!("the HEAD of the worktree `{shown}` inside cannot be read")),
            }
            if let Some(refs) = noted(worktree.open_dir("refs"), &mut own.notes) {
                own.loose(&refs, "refs", LEVELS, walk)?;
            }
            let refs = std::mem::take(&mut own.refs).into_iter();
            self.worktrees.extend(refs.map(|(name, id)| (format!("{shown} at {name}"), id)));
        }
        self.notes.extend(own.unread.into_iter().chain(own.notes));
        Ok(())
    }

    fn loose(&mut self, dir: &Beneath, at: &str, levels: usize, walk: &mut Walk<'_, '_>) -> Result<()> {
        for (name, kind) in &dir.names_up_to(ENTRIES + 1)? {
            walk.one()?;
            let path = format!("{at}/{}", name.to_string_lossy());
            if *kind == FileType::Directory && levels > 0 {
                if let Some(below) = noted(dir.open_dir(name), &mut self.unread) {
                    self.loose(&below, &path, levels - 1, walk)?;
                }
                continue;
            }
            // Git makes `NAME.lock` beside a ref while it writes it.
            if path.ends_with(".lock") {
                continue;
            }
            match dir.text(name, 4096) {
                Ok(Some(text)) if is_id(text.trim_end(), walk.sha256) && name.to_str().is_some() => {
                    self.add(&path, text.trim_end());
                }
                Ok(None) => {}
                // One that leads to another ref: that is read as such.
                Ok(Some(text)) if text.starts_with("ref:") && !OWN_PLACES.contains(&path.as_str()) => {}
                Ok(Some(_)) => self.unread.push(format!("`{}` in the sandbox does not hold an id", text::name(&path))),
                Err(err) => self.unread.push(printable(&err.to_string())),
            }
        }
        Ok(())
    }

    fn add(&mut self, name: &str, id: &str) {
        if is_name(name) {
            self.refs.insert(name.to_owned(), id.to_owned());
        } else {
            self.unread.push(format!("`{}` in the sandbox is not a valid name of a ref", text::name(name)));
        }
    }
}

/// Directories of git's own, which are no refs.
const OWN_PLACES: &[&str] = &["refs/heads", "refs/tags"];

/// What a walk through the loose refs may still do.
struct Walk<'a, 'b> {
    left: usize,
    sha256: bool,
    effort: &'a Effort<'b>,
}

impl Walk<'_, '_> {
    fn one(&mut self) -> Result<()> {
        let too_many = || failed(format!("the sandbox's git directory has more than {ENTRIES} refs")).hint(DROP);
        self.left = self.left.checked_sub(1).ok_or_else(too_many)?;
        self.effort.go_on()
    }
}

/// Whether a ref is of a kind that is shown by its name alone: it is not taken over, and git shows what it names.
pub(super) fn by_name(name: &str) -> bool {
    name.starts_with("refs/tags/") || name == "refs/stash"
}

/// Whether this is an object id, in full and in lower case.
fn is_id(text: &str, sha256: bool) -> bool {
    text.len() == if sha256 { 64 } else { 40 } && is_hex(text)
}

/// Whether this has only hexadecimal digits in lower case.
pub(super) fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
}

/// Whether this is a full ref name by the rules of git-check-ref-format(1); a branch name must not start with a dash.
fn is_name(name: &str) -> bool {
    name.starts_with("refs/")
        && name.len() <= 1024
        && !name.ends_with('.')
        && !name.contains("..")
        && !name.contains("@{")
        && !name.chars().any(|c| c.is_control() || " ~^:?*[\\".contains(c))
        && !name.starts_with("refs/heads/-")
        && name != "refs/heads/HEAD"
        && name
            .split('/')
            .all(|part| !part.is_empty() && part != "@" && !part.starts_with('.') && !part.ends_with(".lock"))
}

/// Parses the text of a HEAD file.
fn parse_head(text: &str, sha256: bool) -> Option<Head> {
    let text = text.trim_end();
    match text.strip_prefix("ref:").map(str::trim_start) {
        Some(name) if is_name(name) && name.starts_with("refs/heads/") => Some(Head::Branch(name.to_owned())),
        Some(_) => None,
        None => is_id(text, sha256).then(|| Head::Detached(text.to_owned())),
    }
}

/// The text of `packed-refs`, which git expects sorted, as the map is.
pub(super) fn packed_text(refs: &Refs) -> String {
    let lines: String = refs.iter().map(|(name, id)| format!("{id} {name}\n")).collect();
    format!("# pack-refs with: sorted \n{lines}")
}

/// The refs of the host's repository.
pub(super) fn of_host(repo: &Repository) -> Result<Refs> {
    let command = client::host(repo).args(["for-each-ref", "--format=%(objectname) %(refname)"]);
    let text = client::stdout(&command)?;
    let refs = text.lines().filter_map(|line| line.split_once(' '));
    Ok(refs.map(|(id, name)| (name.to_owned(), id.to_owned())).collect())
}

/// The HEAD of the host's working tree.
pub(super) fn head_of_host(repo: &Repository) -> Result<Head> {
    let git = Beneath::root_if_there(&repo.git_dir)?;
    let text = git.map_or(Ok(None), |git| git.text("HEAD", 4096))?;
    text.and_then(|text| parse_head(&text, repo.sha256)).ok_or_else(|| {
        failed(format!("`{}` names neither a branch nor a commit", repo.git_dir.join("HEAD").display()))
            .hint("`git switch BRANCH` on the host first")
            .into()
    })
}

/// Where [`take`](super::take()) leaves commits that it may not put on a branch. These refs are made by this tool: what
/// only they reach is on no branch of the user's.
const LEFT: &str = "refs/sandbox/";

/// Those of `ids` that no ref of the host's repository reaches. Whether the host has the object says nothing: a call that
/// was killed between the fetch and the move of the branch has left all objects and no ref.
pub(super) fn unreached(
    repo: &Repository,
    host: &Refs,
    ids: &BTreeSet<String>,
    effort: &Effort<'_>,
) -> Result<BTreeSet<String>> {
    if ids.is_empty() {
        return Ok(BTreeSet::new());
    }
    let host_ids: BTreeSet<&str> = host.values().map(String::as_str).collect();
    let head = match head_of_host(repo) {
        Ok(Head::Detached(id)) => Some(id),
        Ok(Head::Branch(_)) | Err(_) => None,
    };
    let lines: String = ids.iter().map(|id| format!("{id}\n")).collect();
    let command = client::host(repo).args(["cat-file", "--batch-check", "--buffer"]).stdin(lines);
    let mut commits = Vec::new();
    let mut found = BTreeSet::new();
    for line in effort.stdout(command)?.lines() {
        let Some((id, what)) = line.split_once(' ') else { continue };
        if host_ids.contains(id) || head.as_deref() == Some(id) {
            continue;
        }
        // A tag object is reached by its own ref only; what is missing is reached by none.
        if what.starts_with("commit ") {
            commits.push(id.to_owned());
        } else {
            found.insert(id.to_owned());
        }
    }
    let known: Vec<&str> = host_ids.iter().copied().chain(head.as_deref()).collect();
    found.extend(unreached_commits(repo, &commits, &known, effort)?);
    Ok(found)
}

/// Those of `commits`, which the host has, that none of `known` reaches.
fn unreached_commits(
    repo: &Repository,
    commits: &[String],
    known: &[&str],
    effort: &Effort<'_>,
) -> Result<Vec<String>> {
    if commits.is_empty() {
        return Ok(Vec::new());
    }
    let ask = |commits: &[String]| -> Result<Option<String>> {
        let known = known.iter().map(|id| format!("^{id}\n"));
        let lines: String = commits.iter().map(|id| format!("{id}\n")).chain(known).collect();
        let command = client::host(repo).timeout(client::LONG).args(["rev-list", "--stdin"]).stdin(lines);
        let output = effort.capture(command)?;
        Ok(output.ok().then_some(output.stdout))
    };
    if let Some(text) = ask(commits)? {
        let listed: BTreeSet<&str> = text.lines().collect();
        return Ok(commits.iter().filter(|id| listed.contains(id.as_str())).cloned().collect());
    }
    // A fetch that was killed can have left a commit without its history: that one is not reached, the others are asked.
    let mut found = Vec::new();
    for (i, id) in commits.iter().enumerate() {
        // One question each is too much for very many: those that are left over count as what only the sandbox has.
        if effort.is_over() {
            found.extend_from_slice(&commits[i..]);
            break;
        }
        if ask(std::slice::from_ref(id))?.is_none_or(|text| !text.is_empty()) {
            found.push(id.clone());
        }
    }
    Ok(found)
}

/// The refs at which commits were left, with the number of commits of each that are on no ref of the user's own.
pub(super) fn left(repo: &Repository, host: &Refs, effort: &Effort<'_>) -> Result<Vec<(String, usize)>> {
    let (left, own): (Vec<_>, Vec<_>) = host.iter().partition(|(name, _)| name.starts_with(LEFT));
    let mut found = Vec::new();
    for (name, id) in left {
        let known = own.iter().map(|(_, id)| format!("^{id}\n"));
        let lines: String = [format!("{id}\n")].into_iter().chain(known).collect();
        let command = client::host(repo).timeout(client::LONG).args(["rev-list", "--count", "--stdin"]).stdin(lines);
        let count: usize = effort.stdout(command)?.trim().parse().unwrap_or(0);
        if count > 0 {
            found.push((name.clone(), count));
        }
    }
    Ok(found)
}

/// For the fuzzer: HEAD and `packed-refs`. Refs that are written are read as they were, and nothing is passed over.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    let effort = Effort::to_read(&|| false);
    let read = |text: &str, sha256| {
        let mut found = Private::default();
        found.packed(text, sha256, &effort).map(|()| found)
    };
    for sha256 in [false, true] {
        if let Some(head) = parse_head(text, sha256) {
            assert_eq!(parse_head(&head.to_string(), sha256), Some(head));
        }
        let Ok(found) = read(text, sha256) else { continue };
        let Ok(again) = read(&packed_text(&found.refs), sha256) else { continue };
        assert_eq!((again.refs, again.unread), (found.refs, Vec::new()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_git_would_accept_are_refs() {
        for name in ["refs/heads/main", "refs/heads/a/b-c", "refs/heads/é", "refs/stash"] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "main", "refs/heads/../../x", "refs/heads/", "refs/heads/a//b", "refs/heads/.a", "refs/heads/a.lock",
            "refs/heads/a.lock/b", "refs/heads/a b", "refs/heads/a\u{1b}[2J", "refs/heads/-x", "refs/heads/HEAD",
            "refs/heads/a@{1}", "refs/heads/a.",
        ] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn head_is_a_branch_or_a_commit() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(parse_head(&format!("{id}\n"), false), Some(Head::Detached(id.into())));
        assert_eq!(parse_head(&format!("{id}\n"), true), None);
        let main = Some(Head::Branch("refs/heads/main".into()));
        assert_eq!(parse_head("ref: refs/heads/main\n", false), main);
        assert_eq!(parse_head("ref: ../../etc/passwd\n", false), None);
    }
}
