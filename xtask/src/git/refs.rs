//! Refs: those of the host, which git reads, and those of the sandbox's own git directory, which are read as plain text,
//! because git would follow the configuration that an agent wrote beside them.

use super::repository::Repository;
use super::{client, noted};
use crate::beneath::Beneath;
use crate::error::failed;
use crate::ui::printable;
use anyhow::Result;
use rustix::fs::FileType;
use std::collections::{BTreeMap, BTreeSet};

/// The ids of refs, by full name.
pub(super) type Refs = BTreeMap<String, String>;

/// Bound on `packed-refs`.
const PACKED: u64 = 64 << 20;
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
    /// Branches, tags and the stash.
    pub(super) refs: Refs,
    /// HEAD, where it is readable.
    pub(super) head: Option<Head>,
    /// What could not be read, in words that are safe for a terminal.
    pub(super) notes: Vec<String>,
}

impl Private {
    /// Reads the plain files of a git directory.
    pub(super) fn read(git: &Beneath, sha256: bool) -> Result<Private> {
        let mut found = Private::default();
        let packed = noted(git.text("packed-refs", PACKED), &mut found.notes).unwrap_or_default();
        for (id, name) in packed.lines().filter_map(|line| line.split_once(' ')) {
            if is_id(id, sha256) {
                found.add(name, id);
            }
        }
        if let Some(refs) = noted(git.open_dir("refs"), &mut found.notes) {
            found.loose(&refs, "refs", LEVELS, &mut ENTRIES.clone(), sha256)?;
        }
        let head = noted(git.text("HEAD", 4096), &mut found.notes);
        found.head = head.and_then(|text| parse_head(&text, sha256));
        Ok(found)
    }

    fn loose(&mut self, dir: &Beneath, at: &str, levels: usize, left: &mut usize, sha256: bool) -> Result<()> {
        for (name, kind) in &dir.names()? {
            let Some(name) = name.to_str() else { continue };
            let path = format!("{at}/{name}");
            let too_many = || failed(format!("the sandbox's git directory has more than {ENTRIES} refs"));
            *left = left.checked_sub(1).ok_or_else(too_many)?;
            if !relevant(&path) && !relevant(&format!("{path}/")) {
                continue;
            }
            if *kind == FileType::Directory && levels > 0 {
                if let Some(below) = noted(dir.open_dir(name), &mut self.notes) {
                    self.loose(&below, &path, levels - 1, left, sha256)?;
                }
                continue;
            }
            match dir.text(name, 4096) {
                Ok(Some(text)) if is_id(text.trim_end(), sha256) => self.add(&path, text.trim_end()),
                Ok(None) => {}
                // Git makes `NAME.lock` beside a ref while it writes it.
                _ if name.ends_with(".lock") => {}
                Ok(Some(_)) => self.notes.push(format!("`{}` in the sandbox does not hold an id", printable(&path))),
                Err(err) => self.notes.push(printable(&err.to_string())),
            }
        }
        Ok(())
    }

    fn add(&mut self, name: &str, id: &str) {
        if !relevant(name) {
            return;
        }
        if is_name(name) {
            self.refs.insert(name.to_owned(), id.to_owned());
        } else {
            self.notes.push(format!("`{}` in the sandbox is not a valid name of a ref", printable(name)));
        }
    }
}

/// Whether a ref can hold work that only the sandbox has.
fn relevant(name: &str) -> bool {
    name.starts_with("refs/heads/") || name.starts_with("refs/tags/") || name == "refs/stash"
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

/// Those of `ids` that the host's repository does not have. Only the host's object store is asked.
pub(super) fn missing_on_host(repo: &Repository, ids: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    if ids.is_empty() {
        return Ok(BTreeSet::new());
    }
    let lines: String = ids.iter().map(|id| format!("{id}\n")).collect();
    let command = client::host(repo).args(["cat-file", "--batch-check"]).stdin(lines);
    let text = client::stdout(&command)?;
    let missing = text.lines().filter_map(|line| line.strip_suffix(" missing"));
    Ok(missing.map(str::to_owned).collect())
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
