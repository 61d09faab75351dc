//! Object directories: the repository's own, and those that it borrows from. What is borrowed is readable inside, so each
//! directory outside the workspace needs the user's consent by its name: a project that somebody else gave can name any
//! other repository of the user.

use super::Repository;
use super::layout::SMALL;
use crate::answers::{self, Asked, What};
use crate::beneath::{Beneath, Held};
use crate::context::resolved;
use crate::error::usage;
use crate::text;
use anyhow::Result;
use rustix::fs::FileType;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// So many object directories of a level are asked whether they answer.
const MOST_ASKED: usize = 64;

/// The levels of alternates that git follows.
const LEVELS: usize = 5;

/// An object directory and all that it borrows from, each once.
pub(super) fn object_dirs(own: &Path, notes: &mut Vec<String>) -> Result<Vec<PathBuf>> {
    let mut found = vec![own.to_path_buf()];
    let mut start = 0;
    for _ in 0..LEVELS {
        let level = found[start..].to_vec();
        start = found.len();
        for dir in level {
            for named in alternates_of(&dir)? {
                match dir.join(&named).canonicalize() {
                    Ok(path) if found.contains(&path) => {}
                    Ok(path) if path.join("pack").is_dir() || path.join("info").is_dir() => found.push(path),
                    _ => notes.push(format!("the objects that it borrows from `{named}` are not there")),
                }
            }
        }
    }
    Ok(found)
}

/// Asks whether the object directories answer that the workspace's repository borrows from, before anything reads them: each
/// level once the one before it has answered.
///
/// # Errors
/// It was interrupted, or what answers cannot be asked. That one is silent is no error here: see [`answers::found`].
pub(crate) fn ask_borrowed(workspace: &Path) -> Result<()> {
    let mut level = vec![workspace.join(".git/objects")];
    for _ in 0..=LEVELS {
        let asked = |path| Asked { what: What::Other, named: "the directory of git objects".into(), path };
        let asked: Vec<Asked> = level.into_iter().take(MOST_ASKED).map(asked).collect();
        let silent = answers::silent(&asked)?;
        let answered =
            asked.iter().map(|asked| &asked.path).filter(|path| silent.iter().all(|silent| silent.path != **path));
        // What cannot be read names nothing; whoever uses the repository says why.
        let named = answered.flat_map(|dir| alternates_of(dir).unwrap_or_default().into_iter().map(|at| dir.join(at)));
        level = named.collect();
        if level.is_empty() {
            break;
        }
    }
    Ok(())
}

/// The object directories that one names as its alternates.
pub(super) fn alternates_of(objects: &Path) -> Result<Vec<String>> {
    let tree = Beneath::root_if_there(objects)?;
    let text = tree.map_or(Ok(None), |tree| tree.text("info/alternates", SMALL))?.unwrap_or_default();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

/// Where an agent could put objects of its own: git on the host does not check that an object has the content of its id
/// when it reads it.
struct Ground<'a> {
    workspace: &'a Path,
    /// What is read-only inside, or not there at all.
    safe: &'a [PathBuf],
}

impl Ground<'_> {
    fn is_safe(&self, path: &Path) -> bool {
        self.safe.iter().any(|safe| path.starts_with(safe))
    }

    /// Whether an agent can write at a path, or turn a part of the way to it. What is not there can be made.
    fn is_written(&self, path: &Path) -> bool {
        let path = plain(path);
        let Ok(held) = Held::open(&path) else {
            let Some(parent) = path.parent() else { return false };
            let is_link = path.symlink_metadata().is_ok();
            return is_link || (!self.is_safe(&path) && (path.starts_with(self.workspace) || self.is_written(parent)));
        };
        let workspace = Held::open(self.workspace).ok();
        let is_around = workspace.is_some_and(|own| held.above().contains(&own.node().id));
        if (is_around || held.real() == self.workspace) && !self.is_safe(held.real()) {
            return true;
        }
        // A symlink in a directory that the agent can write: the next step is not below it.
        let passed = held.passed().iter().map(|passed| passed.path.as_path());
        let way: Vec<&Path> = passed.chain([held.real()]).collect();
        way.windows(2).any(|step| {
            let writable = step[0].starts_with(self.workspace) && !self.is_safe(step[0]);
            writable && step[1].parent() != Some(step[0])
        })
    }

    /// Refuses objects that git reads from where an agent could write them: by this object directory, its parts that lead
    /// elsewhere, and all that it borrows from.
    fn refuse(&self, git_dir: &Path) -> Result<()> {
        let mut todo = vec![(git_dir.join("objects"), 0)];
        let mut seen = BTreeSet::new();
        while let Some((dir, level)) = todo.pop() {
            let whole = plain(&dir);
            if self.is_written(&whole) {
                return Err(self.refused(git_dir, &whole));
            }
            let Ok(dir) = whole.canonicalize() else { continue };
            if !seen.insert(dir.clone()) {
                continue;
            }
            let pack = dir.join("pack");
            for part in [dir.as_path(), &pack] {
                let Some(names) = Beneath::root_if_there(part)?.map(|dir| dir.names()).transpose()? else { continue };
                let links = names.into_iter().filter(|(_, kind)| *kind == FileType::Symlink);
                if let Some((link, _)) = links.into_iter().find(|(name, _)| self.is_written(&part.join(name))) {
                    return Err(self.refused(git_dir, &part.join(link)));
                }
            }
            if level <= LEVELS {
                todo.extend(alternates_of(&dir)?.into_iter().map(|named| (dir.join(named), level + 1)));
            }
        }
        Ok(())
    }

    fn refused(&self, git_dir: &Path, objects: &Path) -> anyhow::Error {
        let shown = text::path;
        let git = text::word(&git_dir.display().to_string());
        usage(format!(
            "`{}` reads objects from `{}`, which an agent can write through the workspace: git on this host does not check \
             what it reads there, and shows the agent's text as your commits",
            shown(git_dir),
            shown(objects)
        ))
        .hint(format!("to have its own copy: `git --git-dir={git} repack -a -d`, then remove `objects/info/alternates` in it"))
        .hint("or move that directory out of the workspace, and name it by its new path")
        .into()
    }
}

/// A path without `.` and `..`, which git takes away before it follows any link.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(part),
        }
    }
    plain
}

/// Refuses git directories that read objects from where an agent could write. `git_dirs` are those besides the workspace's
/// own repository, and `safe` what is read-only inside, both by their paths in the workspace.
///
/// # Errors
/// The first such directory, with what to do.
pub(super) fn refuse_written(
    workspace: &Path,
    repo: Option<&Repository>,
    git_dirs: &[PathBuf],
    safe: Vec<PathBuf>,
) -> Result<()> {
    let safe: Vec<PathBuf> = repo.map_or_else(Vec::new, Repository::out_of_reach).into_iter().chain(safe).collect();
    let ground = Ground { workspace, safe: &safe };
    let own = repo.map(|repo| repo.common_dir.clone());
    own.iter().chain(git_dirs).try_for_each(|git_dir| ground.refuse(git_dir))
}

/// The git directory whose objects are read by way of a `.git` file, or of the git directory of a linked worktree.
pub(super) fn led_to(path: &Path) -> Option<PathBuf> {
    let small = |path: &Path| Beneath::root_if_there(path.parent()?).ok()??.text(path.file_name()?, SMALL).ok()?;
    let git_dir = match small(path) {
        Some(text) => plain(&path.parent()?.join(text.strip_prefix("gitdir:")?.trim())),
        None => path.to_owned(),
    };
    Some(match small(&git_dir.join("commondir")) {
        Some(common) => plain(&git_dir.join(common.trim_end())),
        None => git_dir,
    })
}

impl Repository {
    /// Refuses borrowed objects of which the user has not said that the sandbox may read them. `allowed` are the object
    /// directories that the settings name.
    ///
    /// # Errors
    /// Objects that an agent could write; the directories that are not among them, with what to write where.
    pub(crate) fn refuse_borrowed(&self, allowed: &[PathBuf]) -> Result<()> {
        refuse_written(&self.workspace, Some(self), &[], Vec::new())?;
        let allowed: Vec<PathBuf> = allowed.iter().map(|path| resolved(path)).collect();
        let borrowed = self.objects.iter().skip(1).filter(|path| !path.starts_with(&self.workspace));
        let refused: Vec<&PathBuf> = borrowed.filter(|path| !allowed.contains(path)).collect();
        if refused.is_empty() {
            return Ok(());
        }
        let shown = |path: &PathBuf| path.display().to_string();
        let listed: Vec<String> = refused.iter().map(|path| format!("`{}`", shown(path))).collect();
        let flags: Vec<String> =
            refused.iter().map(|path| format!("--git-alternate {}", text::word(&shown(path)))).collect();
        let names: Vec<String> = refused.iter().map(|path| serde_json::Value::from(shown(path)).to_string()).collect();
        Err(usage(format!(
            "`{}` borrows objects from {}: all commits and files that are stored there would be readable inside",
            self.git_dir.display(),
            listed.join(", ")
        ))
        .hint(format!(
            "if the agent may read them: `{}`, or `git_alternates: [{}]` in sandbox.local.yaml",
            flags.join(" "),
            names.join(", ")
        ))
        .hint(format!(
            "if not: `git -C {} repack -a -d`, then remove `{}`",
            text::word(&self.workspace.display().to_string()),
            self.objects[0].join("info/alternates").display()
        ))
        .into())
    }

    /// The directories whose objects are readable inside, the repository's own first.
    pub(crate) fn readable_objects(&self) -> &[PathBuf] {
        &self.objects
    }
}
