//! Which commits only the sandbox has.

use super::effort::{Effort, REMEDY};
use super::refs::{self, Head, Private, Refs};
use super::repository::Repository;
use super::{Branch, Commit, Listing, MOST_BRANCHES, MOST_COMMITS, Relation, client, first, quarantine};
use crate::beneath::Beneath;
use crate::text;
use crate::ui::printable;
use anyhow::Result;
use std::collections::BTreeSet;
use std::path::Path;
use tempfile::TempDir;

/// The commits on branches (and on a detached HEAD) of the sandbox that no ref of the host reaches. Can be called whether a container
/// runs or not, also while an agent writes. What an agent has damaged, or is too much, is left out, and a note says so.
/// `stop` says whether the user wants it to end.
///
/// # Errors
/// Git on the host fails, the sandbox has more refs or objects than may be read, or it was stopped.
pub(crate) fn list(repo: &Repository, private: &Path, stop: &dyn Fn() -> bool) -> Result<Listing> {
    Ok(Collected::read(repo, private, &Effort::to_read(stop))?.listing)
}

/// The answer where the host has every commit of the sandbox.
pub(crate) const NOTHING_NEW: &str = "no new commits";

/// One line, printed when a session ends. `None` where there is nothing to take over.
pub(crate) fn summary(listing: &Listing) -> Option<String> {
    let parts: Vec<String> = listing.branches.iter().map(one_branch).collect();
    (!parts.is_empty()).then(|| format!("{}; take them over with `cargo xtask commits --take`", parts.join("; ")))
}

/// What would be lost with the sandbox's git directory, a line each.
pub(crate) fn losses(listing: &Listing) -> Vec<String> {
    let branches = listing.branches.iter().map(|branch| format!("only the sandbox has {}", one_branch(branch)));
    let others = listing.others.iter().map(|name| format!("only the sandbox has what `{name}` names")).collect();
    let others = first(others, "tags");
    branches
        .chain(others)
        .chain(listing.notes.iter().map(|note| format!("not all commits could be read: {note}")))
        .collect()
}

/// Commits that were handed over already and are on no branch of the user's yet, a line each.
pub(crate) fn waiting(listing: &Listing) -> Vec<String> {
    let line = |(name, count): &(String, usize)| {
        let plural = if *count == 1 { "" } else { "s" };
        let name = text::word(name);
        format!("{count} commit{plural} at {name}, on no branch of yours: `git log {name}`, `git merge {name}`")
    };
    listing.left.iter().map(line).collect()
}

/// The whole listing, for `cargo xtask commits`: each branch with its commits, newest first.
pub(crate) fn describe(listing: &Listing) -> String {
    let mut text = String::new();
    for branch in &listing.branches {
        let state = match branch.state {
            Relation::Ahead => "ahead of the host's",
            Relation::Diverged => "diverged from the host's",
            Relation::New => "not on the host",
        };
        text.push_str(&format!("{} ({state})\n", branch.name));
        for commit in &branch.commits {
            text.push_str(&format!("  {}  {}\n", short(&commit.id), commit.subject));
        }
    }
    waiting(listing).iter().for_each(|line| text.push_str(&format!("{line}\n")));
    for name in &listing.others {
        text.push_str(&format!("what `{name}` names is on no branch, and is not taken over\n"));
    }
    if text.is_empty() { format!("{NOTHING_NEW}\n") } else { text }
}

fn one_branch(branch: &Branch) -> String {
    let count = branch.commits.len();
    let plural = if count == 1 { "" } else { "s" };
    let mut text = format!("{count} new commit{plural} on {}", branch.name);
    if branch.state == Relation::Diverged {
        text.push_str(" (the host's has moved on too)");
    }
    if let Some(newest) = branch.commits.first() {
        let subject: String = newest.subject.chars().take(60).collect();
        let more = if count > 1 || subject != newest.subject { " …" } else { "" };
        text.push_str(&format!(": {} {subject}{more}", short(&newest.id)));
    }
    text
}

/// The short form of a commit id.
pub(super) fn short(id: &str) -> &str {
    id.get(..10).unwrap_or(id)
}

/// What `list` and `take` need.
pub(super) struct Collected {
    pub(super) listing: Listing,
    /// The repository of ours with the sandbox's objects; its refs are `refs/sandbox/NAME`.
    pub(super) quarantine: Option<TempDir>,
    pub(super) host: Refs,
    pub(super) head: Option<Head>,
}

impl Collected {
    pub(super) fn read(repo: &Repository, private: &Path, effort: &Effort<'_>) -> Result<Collected> {
        let found = match Beneath::root_if_there(&private.join("git"))? {
            Some(git) => Private::read(&git, repo.sha256)?,
            None => Private::default(),
        };
        let host = refs::of_host(repo)?;
        let mut gathered = Collected {
            listing: Listing {
                branches: Vec::new(),
                others: Vec::new(),
                left: refs::left(repo, &host)?,
                notes: found.notes,
            },
            quarantine: None,
            host,
            head: found.head,
        };
        let all: BTreeSet<String> = found.refs.values().cloned().collect();
        let mut tips: Refs = found
            .refs
            .iter()
            .filter_map(|(name, id)| Some((format!("refs/sandbox/{}", name.strip_prefix("refs/heads/")?), id.clone())))
            .collect();
        if let Some(Head::Detached(id)) = &gathered.head
            && !tips.values().any(|tip| tip == id)
        {
            tips.insert("refs/sandbox/HEAD".into(), id.clone());
        }
        let ids: BTreeSet<String> = tips.values().cloned().chain(all).collect();
        let unreached = refs::unreached(repo, &gathered.host, &ids)?;
        tips.retain(|_, id| unreached.contains(id));
        let other = found.refs.iter().filter(|(name, id)| !name.starts_with("refs/heads/") && unreached.contains(*id));
        gathered.listing.others = other.map(|(name, _)| printable(name)).collect();
        if tips.is_empty() {
            return Ok(gathered);
        }
        let passed = gathered.pass_over(&mut tips);
        gathered.listing.notes.extend(passed);
        let (temp, notes) = quarantine::filled(repo, private, &tips, effort)?;
        gathered.listing.notes.extend(notes);
        for (name, tip) in &tips {
            let name = name.strip_prefix("refs/sandbox/").unwrap_or(name);
            if let Err(err) = gathered.branch(temp.path(), name, tip, effort) {
                if effort.stopped() {
                    return Err(err);
                }
                gathered.listing.notes.push(format!(
                    "{} was not read: {}",
                    printable(name),
                    printable(&format!("{err:#}"))
                ));
                if effort.is_over() {
                    gathered.listing.notes.push(format!("nor were the branches after it: {REMEDY}"));
                    break;
                }
            }
        }
        gathered.quarantine = Some(temp);
        Ok(gathered)
    }

    /// Takes out what is more than can be read at once, and says what it is. What the sandbox is on stays, then what the
    /// host has a branch for.
    fn pass_over(&self, tips: &mut Refs) -> Option<String> {
        let rank = |name: &str| {
            let full = format!("refs/heads/{}", name.strip_prefix("refs/sandbox/").unwrap_or(name));
            let is_head = name == "refs/sandbox/HEAD" || self.head == Some(Head::Branch(full.clone()));
            if is_head { 0 } else { 2 - u8::from(self.host.contains_key(&full)) }
        };
        let mut names: Vec<String> = tips.keys().cloned().collect();
        names.sort_by_key(|name| rank(name));
        let passed = names.split_off(names.len().min(MOST_BRANCHES));
        tips.retain(|name, _| !passed.contains(name));
        let shown = |name: &String| format!("`{}`", printable(name.strip_prefix("refs/sandbox/").unwrap_or(name)));
        let shown = first(passed.iter().map(shown).collect(), "branches").join(", ");
        (!passed.is_empty()).then(|| {
            format!(
                "at most {MOST_BRANCHES} branches are read at once, and not these: {shown}; take the others over first, \
                 or delete branches inside"
            )
        })
    }

    fn branch(&mut self, quarantine: &Path, name: &str, tip: &str, effort: &Effort<'_>) -> Result<()> {
        let known: BTreeSet<String> = self.host.values().map(|id| format!("^{id}\n")).collect();
        let log = client::ours(quarantine, None)
            .args(["log", "--no-show-signature", "--no-color", "--format=%H%x09%<(300,trunc)%s", "--stdin"])
            .arg(format!("--max-count={MOST_COMMITS}"))
            .stdin(format!("{tip}\n{}", String::from_iter(known)));
        let output = effort.capture(log)?;
        if !output.ok() {
            self.listing.notes.push(format!("{} cannot be read: {}", printable(name), printable(output.stderr.trim())));
            return Ok(());
        }
        let commits = output
            .stdout
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(id, subject)| Commit { id: id.to_owned(), subject: printable(subject.trim_end()) })
            .collect();
        let host = self.host.get(&format!("refs/heads/{name}"));
        let state = effort.relation(client::ours(quarantine, None), host, tip)?;
        self.listing.branches.push(Branch { name: name.to_owned(), state, tip: tip.to_owned(), commits });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_is_new_the_answer_says_so() {
        let nothing = Listing { branches: Vec::new(), others: Vec::new(), left: Vec::new(), notes: Vec::new() };
        assert_eq!(describe(&nothing).trim_end(), NOTHING_NEW);
        assert_eq!(summary(&nothing), None);
    }
}
