//! Takes commits of the sandbox over into the host's repository: objects by a fetch in which git checks them, refs only
//! by fast-forward, and the index with the checked-out branch. Files of the working tree are never touched: the host and
//! the sandbox have the same ones.

use super::commits::{Collected, obeyed, short};
use super::effort::Effort;
use super::refs::{self, Head, Refs};
use super::repository::Repository;
use super::{Branch, Relation, client, quarantine};
use crate::context::resolved;
use crate::error::failed;
use crate::scratch::Scratch;
use crate::step::Command;
use crate::text;
use crate::ui::printable;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

/// Takes over the commits of all branches, and returns lines that say what was done.
///
/// A branch is fast-forwarded or created. Where that is not possible, its commits are kept at `refs/sandbox/NAME`, and
/// the line says what to do. A commit made on the host meanwhile is never overwritten. `stop` says whether the user wants it
/// to end.
///
/// # Errors
/// Git on the host fails.
pub(crate) fn take(repo: &Repository, private: &Path, stop: &dyn Fn() -> bool) -> Result<Vec<String>> {
    // A name of the agent's can have characters that turn the text around it.
    Ok(taken(repo, private, stop)?.iter().map(|line| printable(line)).collect())
}

fn taken(repo: &Repository, private: &Path, stop: &dyn Fn() -> bool) -> Result<Vec<String>> {
    let gathered = Collected::read(repo, private, &Effort::to_read(stop))?;
    let mut lines = gathered.listing.notes.clone();
    let Some(from) = &gathered.quarantine else {
        return Ok(lines);
    };
    let receiver = Receiver {
        repo,
        temp: quarantine::fresh(repo, private, &gathered.host, false)?,
        head: refs::head_of_host(repo)?,
        elsewhere: checked_out_elsewhere(repo)?,
        remotes: remotes(repo)?,
        host: &gathered.host,
        effort: Effort::to_take(stop),
    };
    for branch in &gathered.listing.branches {
        // If one branch fails, the others are taken over all the same.
        let taken = receiver.branch(from.path(), branch);
        lines.push(taken.unwrap_or_else(|err| not_taken(branch, &format!("{err:#}"))));
        lines.extend(obeyed(branch).map(|line| format!("{}: {line}", branch.name)));
        if receiver.effort.stopped() {
            lines.push("interrupted: the branches after it were not taken over".into());
            return Ok(lines);
        }
    }
    lines.extend(receiver.working_tree(gathered.head.as_ref())?);
    Ok(lines)
}

fn not_taken(branch: &Branch, why: &str) -> String {
    format!("{}: not taken over, {}", branch.name, printable(why))
}

/// The host's side.
struct Receiver<'a> {
    repo: &'a Repository,
    /// A repository of ours that writes into the host's object directory and has the host's refs.
    temp: Scratch,
    head: Head,
    /// Branches that are checked out in other working trees, with the paths of these.
    elsewhere: Vec<(String, PathBuf)>,
    host: &'a Refs,
    /// The names of the host's remotes.
    remotes: Vec<String>,
    effort: Effort<'a>,
}

impl Receiver<'_> {
    fn git(&self) -> Command {
        client::ours(self.temp.path(), Some(&self.repo.objects[0]))
    }

    fn branch(&self, from: &Path, branch: &Branch) -> Result<String> {
        let name = &branch.name;
        if !branch.is_taken() {
            return Ok(not_taken(branch, "these commits are on no branch; inside: `git branch NAME COMMIT`"));
        }
        if let Some(why) = self.fetch(from, name)? {
            return Ok(not_taken(branch, &why));
        }
        let full = format!("refs/heads/{name}");
        let old = self.host.get(&full);
        // Computed again from the host's objects alone: objects in the quarantine, which the agent made, could have
        // falsified the first answer.
        let state = self.effort.relation(self.git(), old, &branch.tip)?;
        // The files of the working tree are those of the commits already: `git merge` would refuse to overwrite them,
        // while `git reset` moves only the branch and the index.
        let checked_out = self.head == Head::Branch(full.clone());
        let (merge, adopt) = if checked_out {
            ("git stash -u && git merge {}", "git reset {}".to_owned())
        } else {
            ("git merge {}", format!("git branch -f {} {{}}", text::word(name)))
        };
        if name == "HEAD" {
            return self.leave(branch, "these commits are on no branch", "git branch NAME {}");
        }
        if let Some(why) = shadows(name, self.host, &self.remotes) {
            return self.leave(branch, &why, "git branch NAME {}");
        }
        if state == Relation::Diverged {
            return self.leave(branch, "the host's branch has moved on too", merge);
        }
        if let Some(path) = self.new_submodule(old, &branch.tip)? {
            // Git on the host would run programs that the configuration in its `.git` names, and the agent can write
            // that.
            let why =
                format!("it adds a submodule at `{}`: check that directory's `.git` first", crate::text::name(&path));
            return self.leave(branch, &why, &adopt);
        }
        if let Some((_, path)) = self.elsewhere.iter().find(|(other, _)| *other == full) {
            let why = format!("it is checked out in `{}`", crate::text::path(path));
            return self.leave(branch, &why, "git merge --ff-only {}");
        }
        if let Some(why) = self.forward(&full, old, &branch.tip, checked_out)? {
            return self.leave(branch, &why, &adopt);
        }
        let count = branch.commits.len();
        let plural = if count == 1 { "" } else { "s" };
        let made = if old.is_none() { ", a new branch" } else { "" };
        Ok(format!("{name}: took over {count} commit{plural}, now at {}{made}", short(&branch.tip)))
    }

    /// Fetches the objects. Git checks each of them and that none is missing. Returns the reason where git refuses.
    fn fetch(&self, from: &Path, name: &str) -> Result<Option<String>> {
        let shared = self.repo.shared.iter().map(|shared| format!("core.sharedRepository={shared}"));
        let command = self
            .git()
            .args(shared.flat_map(|setting| ["-c".to_owned(), setting]))
            .args(["-c", "fetch.fsckObjects=true", "fetch", "--quiet", "--no-tags"])
            .arg(from.display().to_string())
            .arg(format!("+refs/sandbox/{name}:refs/quarantine/{name}"));
        let output = self.effort.capture(command)?;
        Ok((!output.ok()).then(|| output.stderr.trim().replace('\n', "; ")))
    }

    /// The path of a submodule that `new` has and the host's side does not have.
    fn new_submodule(&self, old: Option<&String>, new: &str) -> Result<Option<String>> {
        let base = old.or(self.head.commit(self.host)).map_or(empty_tree(self.repo), String::as_str);
        let command = self.git().args(["diff-tree", "-r", "-z", "--raw", "--no-renames", base, new]);
        Ok(added_submodule(&client::stdout(&command)?).map(str::to_owned))
    }

    /// Moves the branch, and the index with it where the branch is checked out. Returns the reason where that is refused.
    fn forward(&self, full: &str, old: Option<&String>, new: &str, checked_out: bool) -> Result<Option<String>> {
        let from = old.map_or(empty_tree(self.repo), String::as_str);
        // With two trees, what the user has staged stays staged, or git refuses. `-i`: the working tree is not checked.
        let read_tree = client::host(self.repo).timeout(client::LONG).args(["read-tree", "-i", "-m"]);
        if checked_out {
            let output = client::capture(&read_tree.clone().args(["-n", from, new]))?;
            if !output.ok() {
                let locked = output.stderr.contains("index.lock");
                let staged = "has staged changes to the same files";
                let why = if locked { "is locked" } else { staged };
                return Ok(Some(format!("the host's index {why}")));
            }
        }
        // The index goes first: a call that is killed in between leaves the changes staged, and the next one goes on from
        // there. The other way round the index would stay behind its branch, and the next commit would undo what was taken.
        if checked_out {
            let output = client::capture(&read_tree.clone().args([from, new]))?;
            if !output.ok() {
                return Ok(Some(format!("git says `{}`", crate::text::name(output.stderr.trim()))));
            }
        }
        let zero = "0".repeat(new.len());
        let update = client::host(self.repo)
            .args(["update-ref", "-m", "sandbox: commits taken over", full, new])
            .arg(old.unwrap_or(&zero));
        let output = client::capture(&update)?;
        if !output.ok() {
            let why = format!("git says `{}`", crate::text::name(output.stderr.trim()));
            if checked_out && !client::capture(&read_tree.args([new, from]))?.ok() {
                return Err(failed(format!("{why}, and the index has the changes: `git reset` takes them back")).into());
            }
            return Ok(Some(why));
        }
        Ok(None)
    }

    /// Keeps the commits at a ref under `refs/sandbox/`, without dropping other commits from it.
    fn leave(&self, branch: &Branch, why: &str, hint: &str) -> Result<String> {
        let mut kept = format!("refs/sandbox/{}", branch.name);
        let mut number = 1;
        while let Some(old) = self.host.get(&kept) {
            if self.effort.is_ancestor(self.git(), old, &branch.tip)? {
                break;
            }
            number += 1;
            kept = format!("refs/sandbox/{}-{number}", branch.name);
        }
        client::stdout(&client::host(self.repo).args(["update-ref", &kept, &branch.tip]))
            .with_context(|| format!("cannot keep the commits on `{}`", branch.name))?;
        let hint = hint.replace("{}", &text::word(&kept));
        Ok(format!("{}: left at {kept}, because {why}; then `{hint}`", branch.name))
    }

    /// What to do where the sandbox switched branches: the files changed with it, but not the host's HEAD.
    fn working_tree(&self, inside: Option<&Head>) -> Result<Option<String>> {
        let Some(Head::Branch(full)) = inside else { return Ok(None) };
        if self.head == Head::Branch(full.clone()) || !refs::of_host(self.repo)?.contains_key(full) {
            return Ok(None);
        }
        let name = full.strip_prefix("refs/heads/").unwrap_or(full);
        let quoted = text::word(full);
        Ok(Some(format!(
            "the sandbox left the files on {name}; to follow it: `git symbolic-ref HEAD {quoted} && git reset`"
        )))
    }
}

/// Why a branch of this name would be taken for another ref, or another ref for it: by its short name git finds the first of
/// `NAME`, `refs/NAME`, `refs/tags/NAME`, `refs/heads/NAME`, `refs/remotes/NAME` and `refs/remotes/NAME/HEAD`
/// (gitrevisions(7)), so that a branch stands before a branch of a remote. What the host has as a branch already is the
/// user's own choice.
fn shadows(name: &str, host: &Refs, remotes: &[String]) -> Option<String> {
    if host.contains_key(&format!("refs/heads/{name}")) {
        return None;
    }
    // HEAD, FETCH_HEAD, ORIG_HEAD and others, some of which come and go; case is ignored on some file systems.
    let first = name.split('/').next().unwrap_or(name).to_ascii_lowercase();
    let special = !name.contains('/') && (first == "head" || first.ends_with("_head") || first.starts_with("auto_"));
    let of_git = ["refs", "heads", "tags", "remotes", "worktree", "worktrees", "main-worktree"];
    if special || (of_git.contains(&first.as_str()) && name.contains('/')) {
        return Some("git could take its name for another ref".to_owned());
    }
    if let Some(remote) = remotes.iter().find(|remote| {
        name.eq_ignore_ascii_case(remote)
            || name.get(..=remote.len()).is_some_and(|start| start.eq_ignore_ascii_case(&format!("{remote}/")))
    }) {
        return Some(format!("its name stands before the branches of your remote `{}`", crate::text::name(remote)));
    }
    let others = [format!("refs/{name}"), format!("refs/tags/{name}"), format!("refs/remotes/{name}")];
    let others = others.into_iter().chain([format!("refs/remotes/{name}/HEAD")]);
    let same = |other: &String| host.keys().any(|own| own.eq_ignore_ascii_case(other));
    others.into_iter().find(same).map(|other| format!("`{name}` is also the name of `{other}`"))
}

/// The names of the remotes, also of those from which nothing was fetched yet.
fn remotes(repo: &Repository) -> Result<Vec<String>> {
    let text = client::stdout(&client::host(repo).args(["remote"]))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Branches that other working trees of the repository are on, with their paths.
fn checked_out_elsewhere(repo: &Repository) -> Result<Vec<(String, PathBuf)>> {
    let text = client::stdout(&client::host(repo).args(["worktree", "list", "--porcelain"]))?;
    let here = |at: &Path| [&repo.workspace, &repo.git_dir, &repo.common_dir].contains(&&resolved(at));
    let all = work_trees(&text).into_iter();
    Ok(all.filter(|(_, at)| !here(at)).map(|(branch, at)| (branch.to_owned(), at.to_owned())).collect())
}

/// The branches of `git worktree list --porcelain`, each with the working tree that is on it.
fn work_trees(text: &str) -> Vec<(&str, &Path)> {
    let mut at = Path::new("");
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(path) = line.strip_prefix("worktree ") {
            at = Path::new(path);
        } else if let Some(branch) = line.strip_prefix("branch ") {
            found.push((branch, at));
        }
    }
    found
}

/// The first path of `git diff-tree -z --raw` that becomes a submodule.
fn added_submodule(text: &str) -> Option<&str> {
    let mut fields = text.split('\0');
    while let (Some(change), Some(path)) = (fields.next(), fields.next()) {
        // `:old-mode new-mode old-id new-id status`
        let mut modes = change.trim_start_matches(':').split(' ');
        if modes.next() != Some("160000") && modes.next() == Some("160000") {
            return Some(path);
        }
    }
    None
}

/// For the fuzzer: what git says of changes and of working trees.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    assert!(added_submodule(text).is_none() || text.contains("160000"));
    assert!(work_trees(text).iter().all(|(branch, _)| text.contains(&format!("branch {branch}"))));
}

/// The id of the empty tree, which git knows without an object.
fn empty_tree(repo: &Repository) -> &'static str {
    if repo.sha256 {
        "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"
    } else {
        "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_that_git_would_take_for_another_ref_is_known() {
        let host =
            ["refs/heads/main", "refs/heads/upstream/mine", "refs/tags/v1", "refs/remotes/gone/main", "refs/stash"];
        let host: Refs = host.iter().map(|name| ((*name).to_owned(), String::new())).collect();
        let remotes = ["origin", "team/a", "upstream"].map(str::to_owned);
        for name in [
            "origin/main", "origin", "Origin/main", "team/a/x", "refs/heads/main", "heads/main", "tags/v1",
            "remotes/origin/x", "v1", "V1", "stash", "gone/main", "FETCH_HEAD", "ORIG_HEAD", "head", "upstream/new",
        ] {
            assert!(shadows(name, &host, &remotes).is_some(), "{name}");
        }
        for name in ["main", "upstream/mine", "feature/origin/x", "originals", "team/b", "refs", "fix-head", "ä", "é/x"]
        {
            assert_eq!(shadows(name, &host, &remotes), None, "{name}");
        }
    }
}
