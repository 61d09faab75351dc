//! Makes and refreshes the sandbox's own git directory. At each start everything in it is replaced from the host, except
//! the work that only the sandbox has. What an agent left there is removed or replaced, never followed.

use super::effort::{Effort, REMEDY};
use super::layout::SMALL;
use super::refs::{self, Head, Private, Refs};
use super::repository::Repository;
use super::{Airlock, Identity, client, commits, config_format, first, mounts, quarantine, unread};
use crate::beneath::Beneath;
use crate::exec;
use crate::spec::inside::GUEST;
use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::path::Path;

/// Makes or refreshes the git directory of the sandbox in `private`, a folder of ours that outlives the container. Only
/// `private/git` is ever mounted for writing.
///
/// Must not be called while an agent runs. Commits, tags and stashes that the host lacks are kept, and a note says so.
///
/// # Errors
/// `private` cannot be written, what an agent left cannot be removed, or git on the host fails.
pub(crate) fn prepare(
    repo: &Repository,
    private: &Path,
    identity: &Identity,
    stop: &dyn Fn() -> bool,
) -> Result<Airlock> {
    prepare_at(repo, private, identity, GUEST, stop)
}

/// `prepare` with the container's `/sandbox` at another place.
pub(super) fn prepare_at(
    repo: &Repository,
    private: &Path,
    identity: &Identity,
    inside: &str,
    stop: &dyn Fn() -> bool,
) -> Result<Airlock> {
    exec::create_dir(private, 0o700)?;
    quarantine::sweep(private)?;
    // Changed in place, because a running container has this directory mounted.
    let git = Beneath::make_root(&private.join("git"), 0o755)?;
    let mut notes = repo.notes.clone();
    if identity.name.is_none() || identity.email.is_none() {
        notes.push("git on this host knows no name or address of yours, which commits inside need: `git config --global user.name NAME`, `git config --global user.email ADDRESS`".into());
    }
    if names_filters(&repo.workspace) {
        notes.push(
            "`.gitattributes` names filters (such as LFS), and the sandbox has none: it commits files unfiltered"
                .into(),
        );
    }
    let effort = Effort::to_read(stop);
    let kept = Kept::find(repo, private, &git, &effort)?;
    if !kept.refs.is_empty() || kept.head.is_some() {
        notes.extend(kept.describe(repo, private, stop)?);
    }
    // Written before anything is removed, so that no commit is lost if the process is killed here.
    let head = match &kept.head {
        Some(head) => head.clone(),
        None => refs::head_of_host(repo)?,
    };
    let host = refs::of_host(repo)?;
    let refs = merged(host.clone(), &kept.refs);
    let aside = unread::Aside::begin(private, &git, &kept.unread, &effort)?;
    if let Some(aside) = &aside {
        notes.push(format!("warning: {}; {}", unread::said(&kept.unread.join("; ")), commits::aside(aside.path())));
    }
    git.write("packed-refs", refs::packed_text(&refs), 0o644, stop)?;
    git.write("HEAD", format!("{head}\n"), 0o644, stop)?;
    unread::give(private, &host)?;
    clear(&git, &kept, aside.as_ref(), stop)?;
    git.make(Path::new("objects"), 0o755)?.remove_unless("info", stop)?;
    fill(repo, &git, identity, inside, stop)?;
    mounts::make_sources(repo, private, inside)?;
    Ok(Airlock { mount_points: mounts::points(repo), notes })
}

/// What only the sandbox has.
struct Kept {
    refs: Refs,
    /// HEAD, where it leads to a commit that no ref of the host reaches: then the index and a merge in progress are kept, too.
    head: Option<Head>,
    worktrees: bool,
    /// Why there may be commits that were not found.
    unread: Vec<String>,
}

impl Kept {
    fn find(repo: &Repository, private: &Path, git: &Beneath, effort: &Effort<'_>) -> Result<Kept> {
        let given = unread::given(private)?;
        let mut private = Private::read(git, repo.sha256, effort)?;
        private.refs.retain(|name, id| !unread::is_given(&given, name, id));
        let head = private.head.as_ref().and_then(|head| head.commit(&private.refs)).cloned();
        let ids: BTreeSet<String> = private.refs.values().cloned().chain(head.clone()).collect();
        let unreached = refs::unreached(repo, &refs::of_host(repo)?, &ids, effort)?;
        Ok(Kept {
            head: private.head.filter(|_| head.is_some_and(|id| unreached.contains(&id))),
            refs: private.refs.into_iter().filter(|(_, id)| unreached.contains(id)).collect(),
            // Also where it is no directory that can be read: what it is for is not known.
            worktrees: git.stat("worktrees").is_ok(),
            unread: private.unread,
        })
    }

    /// Whether objects that only the sandbox has are still in use.
    fn objects(&self) -> bool {
        self.worktrees || self.head.is_some() || !self.refs.is_empty()
    }

    fn describe(&self, repo: &Repository, private: &Path, stop: &dyn Fn() -> bool) -> Result<Vec<String>> {
        let mut notes = Vec::new();
        match commits::list(repo, private, stop) {
            Ok(listing) => {
                notes.extend(commits::summary(&listing));
                notes.extend(listing.notes);
            }
            Err(err) if stop() => return Err(err),
            // They are kept all the same, and what is too much for the host can only be mended inside.
            Err(err) => {
                let err = crate::ui::printable(&format!("{err:#}"));
                notes.push(format!("the sandbox's own commits are kept, and could not be listed: {err}; {REMEDY}"));
            }
        }
        if self.refs.contains_key("refs/stash") {
            notes.push("a stash in the sandbox is kept".into());
        }
        let tags = self.refs.keys().filter_map(|name| name.strip_prefix("refs/tags/"));
        let tags = tags.map(|tag| format!("the tag {} is kept in the sandbox", crate::ui::printable(tag))).collect();
        notes.extend(first(tags, "tags"));
        Ok(notes)
    }

    /// Whether an entry of the git directory is kept.
    fn stays(&self, name: &str) -> bool {
        let begun = ["MERGE_", "CHERRY_PICK_", "REVERT_", "REBASE_", "AUTO_MERGE", "ORIG_HEAD", "sharedindex."];
        match name {
            // Worktrees and submodules that the agent made use these, and git on the host never reads them. The last two
            // have been written already.
            "worktrees" | "modules" | "lfs" | "HEAD" | "packed-refs" => true,
            "objects" | "logs" => self.objects(),
            "index" | "rebase-merge" | "rebase-apply" | "sequencer" => self.head.is_some(),
            _ => self.head.is_some() && begun.iter().any(|prefix| name.starts_with(prefix)),
        }
    }
}

/// Removes everything that is replaced.
fn clear(git: &Beneath, kept: &Kept, aside: Option<&unread::Aside>, stop: &dyn Fn() -> bool) -> Result<()> {
    for (name, _) in git.names()? {
        if !name.to_str().is_some_and(|name| kept.stays(name)) {
            match aside {
                Some(aside) => aside.take(git, &name, stop)?,
                None => git.remove_unless(&name, stop)?,
            }
        }
    }
    Ok(())
}

fn fill(repo: &Repository, git: &Beneath, identity: &Identity, inside: &str, stop: &dyn Fn() -> bool) -> Result<()> {
    git.write("config", config_text(repo, identity), 0o644, stop)?;
    for name in ["hooks", "refs/heads", "refs/tags", "objects/pack"] {
        git.make(Path::new(name), 0o755)?;
    }
    let objects = git.make(Path::new("objects"), 0o755)?;
    let borrowed: String = (0..repo.objects.len()).map(|i| format!("{inside}/{}\n", mounts::objects_name(i))).collect();
    objects.make_dir("info", 0o755)?.write("alternates", borrowed, 0o644, stop)?;
    let (common, own) = (Beneath::root(&repo.common_dir)?, Beneath::root(&repo.git_dir)?);
    copy(&common, git, "shallow")?;
    // Something that is not a file is replaced, too.
    if !matches!(git.file("index"), Ok(Some(_))) {
        git.remove_unless("index", stop)?;
        copy(&own, git, "index")?;
        let submodules = if repo.submodules { client::submodules(repo)? } else { Vec::new() };
        for name in own.names()?.iter().filter_map(|(name, _)| name.to_str()) {
            if name.starts_with("sharedindex.") {
                git.remove_unless(name, stop)?;
                copy(&own, git, name)?;
            }
        }
        // Their git directories are not in the container: without this, `git add --all` fails at the first of them.
        if !submodules.is_empty() {
            client::pass_over(repo, &git.path().join("index"), &submodules)?;
        }
    }
    let info = git.make_dir("info", 0o755)?;
    if let Some(from) = common.open_dir("info")? {
        copy(&from, &info, "exclude")?;
    }
    if let Some(from) = own.open_dir("info")? {
        copy(&from, &info, "sparse-checkout")?;
    }
    Ok(())
}

fn copy(from: &Beneath, to: &Beneath, name: &str) -> Result<()> {
    if let Some((mut source, _)) = from.file(name)? {
        let copied = to.create(name, 0o644).and_then(|mut file| std::io::copy(&mut source, &mut file));
        copied.with_context(|| format!("cannot copy `{name}`"))?;
    }
    Ok(())
}

/// The host's refs, except where a kept one of the sandbox has the same name or a name that excludes it. The host's
/// side of a kept branch can still be reached inside, as `refs/host/NAME`.
fn merged(host: Refs, kept: &Refs) -> Refs {
    let mut refs = kept.clone();
    for (name, id) in host {
        if kept.contains_key(&name) {
            if let Some(branch) = name.strip_prefix("refs/heads/") {
                refs.insert(format!("refs/host/{branch}"), id);
            }
            continue;
        }
        // `a` and `a/b` cannot both be refs.
        let above = name.match_indices('/').any(|(at, _)| kept.contains_key(&name[..at]));
        let dir = format!("{name}/");
        let below = kept.range(dir.clone()..).next().is_some_and(|(other, _)| other.starts_with(&dir));
        if !above && !below {
            refs.insert(name, id);
        }
    }
    refs
}

/// The configuration of the sandbox's git directory: the format of the repository and who commits, nothing else.
fn config_text(repo: &Repository, identity: &Identity) -> String {
    let mut text = repo.format_text(false);
    text.push_str("\tlogallrefupdates = true\n");
    for (name, value) in &repo.carried {
        if let Some((section, key)) = name.split_once('.') {
            text.push_str(&format!("[{section}]\n\t{key} = {value}\n"));
        }
    }
    if repo.submodules {
        // Their git directories are not in the container: without this setting `git status` fails in each of them.
        text.push_str("[diff]\n\tignoreSubmodules = all\n");
    }
    for (key, value) in [("name", &identity.name), ("email", &identity.email)] {
        if let Some(value) = value {
            text.push_str(&format!("[user]\n\t{key} = {}\n", config_format::quoted(value)));
        }
    }
    text
}

fn names_filters(workspace: &Path) -> bool {
    let read = || Beneath::root(workspace).ok()?.read(".gitattributes", SMALL).ok()?;
    read().is_some_and(|(bytes, _)| String::from_utf8_lossy(&bytes).contains("filter="))
}
