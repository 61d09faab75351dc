//! Which commits only the sandbox has.

use super::effort::{Effort, REMEDY};
use super::refs::{self, Head, Private, Refs};
use super::repository::Repository;
use super::{Branch, Commit, Listing, MOST_BRANCHES, MOST_COMMITS, Relation, client, first, quarantine, unread};
use crate::beneath::Beneath;
use crate::scratch::Scratch;
use crate::text;
use crate::ui::printable;
use anyhow::Result;
use std::collections::BTreeSet;
use std::path::Path;

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

/// What to do with commits that only a ref of another kind, or a worktree inside, has.
const ON_NO_BRANCH: &str = "on no branch, so that they are not taken over: make one inside (`git branch NAME COMMIT`)";

/// One line, printed when a session ends. `None` where there is nothing to take over.
pub(crate) fn summary(listing: &Listing) -> Option<String> {
    let (taken, other): (Vec<&Branch>, Vec<&Branch>) = listing.branches.iter().partition(|branch| branch.is_taken());
    let parts = |branches: Vec<&Branch>| first(branches.into_iter().map(one_branch).collect(), "branches").join("; ");
    let taken =
        (!taken.is_empty()).then(|| format!("{}; take them over with `cargo xtask commits --take`", parts(taken)));
    let other = (!other.is_empty()).then(|| format!("{}: {ON_NO_BRANCH}", parts(other)));
    let lines: Vec<String> = taken.into_iter().chain(other).collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}

/// What would be lost with the sandbox's git directory, a line each.
pub(crate) fn losses(listing: &Listing) -> Vec<String> {
    let branches = listing.branches.iter().map(|branch| format!("only the sandbox has {}", one_branch(branch)));
    let others = listing.others.iter().map(|name| format!("only the sandbox has what `{name}` names")).collect();
    let others = first(others, "tags");
    branches
        .chain(others)
        .chain(listing.aside.iter().map(|path| aside(path)))
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
        let state = if branch.is_taken() { state } else { ON_NO_BRANCH };
        text.push_str(&format!("{} ({state})\n", branch.name));
        for commit in &branch.commits {
            text.push_str(&format!("  {}  {}\n", short(&commit.id), cut(&commit.subject)));
        }
        obeyed(branch).iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    waiting(listing).iter().for_each(|line| text.push_str(&format!("{line}\n")));
    let others =
        listing.others.iter().map(|name| format!("what `{name}` names is on no branch, and is not taken over"));
    for line in first(others.collect(), "tags").into_iter().chain(listing.aside.iter().map(|path| aside(path))) {
        text.push_str(&format!("{line}\n"));
    }
    // Where not all could be read, nothing says that there is nothing.
    if text.is_empty() && !listing.notes.is_empty() {
        return "no new commits among those that could be read\n".to_owned();
    }
    if text.is_empty() { format!("{NOTHING_NEW}\n") } else { text }
}

/// What a start kept because it could not be read.
pub(super) fn aside(path: &Path) -> String {
    let path = crate::text::path(path);
    format!(
        "`{path}` holds refs of the sandbox that could not be read, and commits may be there; never run git in it on this \
         host: `docs/troubleshooting.md` says how to look at it"
    )
}

fn one_branch(branch: &Branch) -> String {
    let count = branch.commits.len();
    let plural = if count == 1 { "" } else { "s" };
    let mut text = format!("{count} new commit{plural} on {}", branch.name);
    if branch.state == Relation::Diverged {
        text.push_str(" (the host's has moved on too)");
    }
    if let Some(newest) = branch.commits.first() {
        let subject = cut(&newest.subject);
        let more = if count > 1 && !subject.ends_with(" …") { " …" } else { "" };
        text.push_str(&format!(": {} {subject}{more}", short(&newest.id)));
    }
    text
}

/// As much of a subject as fits into a line: the rest of a longer one would stand alone in the next.
fn cut(subject: &str) -> String {
    let cut: String = subject.chars().take(60).collect();
    if cut == subject { cut } else { format!("{cut} …") }
}

/// What tools obey without a question once a branch is checked out.
pub(super) fn obeyed(branch: &Branch) -> Option<String> {
    let names = first(branch.obeyed.iter().map(|name| format!("`{name}`")).collect(), "files");
    (!names.is_empty()).then(|| {
        format!("written by these commits, and obeyed without a question by tools on this host: {}", names.join(", "))
    })
}

/// The short form of a commit id.
pub(super) fn short(id: &str) -> &str {
    id.get(..10).unwrap_or(id)
}

/// Where branches, the commit of a detached HEAD, refs of other kinds, and the commits of worktrees lie in the quarantine.
const BRANCHES: &str = "refs/sandbox/";
const HEAD: &str = "refs/sandbox/HEAD";
const OTHERS: &str = "refs/others/";
const WORKTREE: &str = "refs/worktree-heads/";

/// The name in the quarantine of a ref of the sandbox.
fn quarantined(name: &str) -> String {
    match name.strip_prefix("refs/heads/") {
        Some(branch) => format!("{BRANCHES}{branch}"),
        None => format!("{OTHERS}{}", name.strip_prefix("refs/").unwrap_or(name)),
    }
}

impl Branch {
    /// Whether it is a branch, or what HEAD is on: what can be taken over.
    pub(super) fn is_taken(&self) -> bool {
        self.at.starts_with(BRANCHES)
    }
}

/// What `list` and `take` need.
pub(super) struct Collected {
    pub(super) listing: Listing,
    /// The repository of ours with the sandbox's objects; its refs are `refs/sandbox/NAME`.
    pub(super) quarantine: Option<Scratch>,
    /// What the user is told of those of its refs that are no branches of the sandbox.
    shown: Refs,
    pub(super) host: Refs,
    pub(super) head: Option<Head>,
}

impl Collected {
    pub(super) fn read(repo: &Repository, private: &Path, effort: &Effort<'_>) -> Result<Collected> {
        let found = match Beneath::root_if_there(&private.join("git"))? {
            Some(git) => Private::read(&git, repo.sha256, effort)?,
            None => Private::default(),
        };
        quarantine::sweep(private)?;
        let host = refs::of_host(repo)?;
        let mut gathered = Collected {
            listing: Listing {
                branches: Vec::new(),
                others: Vec::new(),
                left: refs::left(repo, &host, effort)?,
                aside: unread::kept(private)?,
                notes: found.unread.iter().map(|why| unread::said(why)).chain(found.notes).collect(),
            },
            quarantine: None,
            shown: Refs::new(),
            host,
            head: found.head,
        };
        let given = unread::given(private)?;
        let refs: Refs = found.refs.into_iter().filter(|(name, id)| !unread::is_given(&given, name, id)).collect();
        let mut tips: Refs = refs
            .iter()
            .filter(|(name, _)| !refs::by_name(name))
            .map(|(name, id)| (quarantined(name), id.clone()))
            .collect();
        let on_tips: BTreeSet<String> = tips.values().cloned().collect();
        let detached = match &gathered.head {
            Some(Head::Detached(id)) => Some((HEAD.to_owned(), id.clone())),
            Some(Head::Branch(_)) | None => None,
        };
        // The names of worktrees can be any text, and are no part of a ref.
        let worktrees = found.worktrees.iter().enumerate();
        let worktrees = worktrees.map(|(i, (name, id))| {
            let at = format!("{WORKTREE}{i}");
            gathered.shown.insert(at.clone(), format!("the worktree `{name}` inside"));
            (at, id.clone())
        });
        let worktrees: Refs = worktrees.collect();
        tips.extend(worktrees.into_iter().chain(detached).filter(|(_, id)| !on_tips.contains(id)));
        let ids: BTreeSet<String> = tips.values().chain(refs.values()).cloned().collect();
        let unreached = refs::unreached(repo, &gathered.host, &ids, effort)?;
        tips.retain(|_, id| unreached.contains(id));
        let other = refs.iter().filter(|(name, id)| refs::by_name(name) && unreached.contains(*id));
        gathered.listing.others = other.map(|(name, _)| printable(name)).collect();
        if tips.is_empty() {
            return Ok(gathered);
        }
        let passed = gathered.pass_over(&mut tips);
        gathered.listing.notes.extend(passed);
        let (temp, notes) = quarantine::filled(repo, private, &tips, effort)?;
        gathered.listing.notes.extend(notes);
        for (at, tip) in &tips {
            if let Err(err) = gathered.branch(temp.path(), at, tip, effort) {
                let name = gathered.name(at);
                if effort.stopped() {
                    return Err(err);
                }
                gathered.listing.notes.push(format!(
                    "{} was not read: {}",
                    printable(&name),
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
        let rank = |at: &str| {
            let full = at.strip_prefix(BRANCHES).map(|name| format!("refs/heads/{name}"));
            let is_head = at == HEAD || (full.is_some() && self.head == full.clone().map(Head::Branch));
            if is_head { 0 } else { 2 - u8::from(full.is_some_and(|full| self.host.contains_key(&full))) }
        };
        let mut names: Vec<String> = tips.keys().cloned().collect();
        names.sort_by_cached_key(|name| rank(name));
        let passed = names.split_off(names.len().min(MOST_BRANCHES));
        passed.iter().for_each(|name| drop(tips.remove(name)));
        let shown = |at: &String| format!("`{}`", crate::text::name(&self.name(at)));
        let shown = first(passed.iter().map(shown).collect(), "branches").join(", ");
        (!passed.is_empty()).then(|| {
            format!(
                "at most {MOST_BRANCHES} branches are read at once, and not these: {shown}; take the others over first, \
                 or delete branches inside"
            )
        })
    }

    /// What the user calls a ref of the quarantine.
    fn name(&self, at: &str) -> String {
        if let Some(shown) = self.shown.get(at) {
            return shown.clone();
        }
        match at.strip_prefix(OTHERS) {
            Some(name) => format!("`refs/{name}`"),
            None => at.strip_prefix(BRANCHES).unwrap_or(at).to_owned(),
        }
    }

    fn branch(&mut self, quarantine: &Path, at: &str, tip: &str, effort: &Effort<'_>) -> Result<()> {
        let name = self.name(at);
        let known: BTreeSet<String> = self.host.values().map(|id| format!("^{id}\n")).collect();
        let revisions = format!("{tip}\n{}", String::from_iter(known));
        let log = client::ours(quarantine, None)
            .args(["log", "--no-show-signature", "--no-color", "--format=%H%x09%<(300,trunc)%s", "--stdin"])
            .arg(format!("--max-count={MOST_COMMITS}"))
            .stdin(revisions.clone());
        let output = effort.capture(log)?;
        if !output.ok() {
            self.listing.notes.push(format!(
                "{} cannot be read: {}",
                printable(&name),
                printable(output.stderr.trim())
            ));
            return Ok(());
        }
        let commits = output
            .stdout
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(id, subject)| Commit { id: id.to_owned(), subject: printable(&words(subject)) })
            .collect();
        let written = client::ours(quarantine, None)
            .args(["log", "--no-show-signature", "--no-color", "--format=", "--name-only", "--no-renames", "-c", "-z"])
            .args(["--diff-filter=d", "--stdin"])
            .arg(format!("--max-count={MOST_COMMITS}"))
            .stdin(revisions);
        let obeyed = match effort.capture(written)? {
            output if output.ok() => acting(&output.stdout),
            output => {
                let (name, why) = (printable(&name), printable(output.stderr.trim()));
                self.listing.notes.push(format!("which files {name} writes cannot be read: {why}"));
                Vec::new()
            }
        };
        let host = at.strip_prefix(BRANCHES).and_then(|name| self.host.get(&format!("refs/heads/{name}")));
        let state = effort.relation(client::ours(quarantine, None), host, tip)?;
        self.listing.branches.push(Branch { name, at: at.to_owned(), state, tip: tip.to_owned(), commits, obeyed });
        Ok(())
    }
}

/// Without the blanks that push the rest into a line of its own.
fn words(subject: &str) -> String {
    subject.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Of names behind each other, those that tools obey without a question, safe for a terminal.
fn acting(names: &str) -> Vec<String> {
    let names: BTreeSet<&str> = names.split('\0').map(|name| name.trim_start_matches('\n')).collect();
    let acting = names.into_iter().filter(|name| crate::obeyed::acts_by_itself(Path::new(name)));
    acting.map(text::name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_is_new_the_answer_says_so() {
        let nothing = Listing {
            branches: Vec::new(),
            others: Vec::new(),
            left: Vec::new(),
            aside: Vec::new(),
            notes: Vec::new(),
        };
        assert_eq!(describe(&nothing).trim_end(), NOTHING_NEW);
        assert_eq!(summary(&nothing), None);
    }
}
