//! Finds the repository of a workspace by reading files, without git. The agent can write to the workspace, so a `.git`
//! file is trusted only where the git directory that it names also names the workspace.

use super::borrowed::object_dirs;
use super::config_format;
use super::layout::{DOT_GIT, SMALL, is_git_dir, is_git_like, missing};
use crate::beneath::Beneath;
use crate::context::directory;
use crate::error::{Failure, failed};
use crate::text;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

/// The extensions with which the sandbox's own git directory and taking commits over are tested. Others are refused, as
/// git refuses those that it does not know. Source: gitrepository-layout(5), "repository format".
const EXTENSIONS: &[&str] = &[
    "noop", "noop-v1", "objectformat", "partialclone", "preciousobjects", "refstorage", "relativeworktrees",
    "worktreeconfig",
];

/// Settings of the repository that describe its working tree, and are therefore copied into the sandbox.
const CARRIED: &[&str] = &[
    "core.autocrlf",
    "core.eol",
    "core.filemode",
    "core.ignorecase",
    "core.sparsecheckout",
    "core.sparsecheckoutcone",
    "core.symlinks",
    "index.sparse",
];

/// The host's repository of a workspace. All paths are absolute, without symlinks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Repository {
    pub(super) workspace: PathBuf,
    /// The git directory of this working tree: its HEAD and index.
    pub(super) git_dir: PathBuf,
    /// The git directory that is shared by all working trees: refs, objects, configuration.
    pub(super) common_dir: PathBuf,
    /// Whether the workspace's `.git` is a file (linked worktree, submodule) and not a directory.
    pub(super) dot_git_is_file: bool,
    /// The object directories: its own, then those it borrows from.
    pub(super) objects: Vec<PathBuf>,
    /// What the user should know about it.
    pub(super) notes: Vec<String>,
    pub(super) sha256: bool,
    /// A partial clone: objects may be missing.
    pub(super) partial: bool,
    /// Its settings of those in [`CARRIED`].
    pub(super) carried: Vec<(String, String)>,
    /// `core.sharedRepository`: new objects get the modes that the group needs.
    pub(super) shared: Option<String>,
    pub(super) submodules: bool,
}

impl Repository {
    /// What git looks for at the top of the workspace: a directory, or the file of a linked working tree.
    pub(crate) fn dot_git(&self) -> PathBuf {
        self.workspace.join(DOT_GIT)
    }

    /// The directories to which the container must not be able to write.
    pub(crate) fn out_of_reach(&self) -> Vec<PathBuf> {
        let mut dirs = vec![self.git_dir.clone(), self.common_dir.clone()];
        dirs.dedup();
        dirs
    }

    /// The settings of the repository's format, ending inside the section `core`.
    pub(super) fn format_text(&self, bare: bool) -> String {
        let extended = self.sha256 || self.partial;
        let mut text = String::new();
        if extended {
            text.push_str("[extensions]\n");
        }
        if self.sha256 {
            text.push_str("\tobjectFormat = sha256\n");
        }
        if self.partial {
            // Git then accepts that objects are missing; there is no address to fetch them from.
            text.push_str("\tpartialClone = origin\n[remote \"origin\"]\n\tpromisor = true\n");
        }
        text.push_str(&format!("[core]\n\trepositoryformatversion = {}\n\tbare = {bare}\n", u8::from(extended)));
        text
    }
}

/// Finds the repository whose working tree is `workspace`, without running git.
///
/// `None` where the workspace has no `.git` at all, also where it is only a directory inside a repository: that `.git` is
/// not mounted.
///
/// # Errors
/// What the sandbox cannot protect, with what to do: a `.git` that is broken, is a symlink or names a git directory which
/// does not name the workspace, a bare repository, reftable, an unknown repository format.
pub(crate) fn detect(workspace: &Path) -> Result<Option<Repository>> {
    let workspace = directory("the workspace", workspace)?;
    let Some(root) = Beneath::root_if_there(&workspace)? else {
        return Ok(None);
    };
    if let Some(around) = git_directory_around(&workspace) {
        return Err(failed(format!("`{}` lies in the git directory `{}`", workspace.display(), around.display()))
            .hint("the agent could write what git on the host runs: choose a directory of the working tree")
            .into());
    }
    let dot_git = workspace.join(DOT_GIT);
    let kind = match dot_git.symlink_metadata() {
        Ok(meta) => meta.file_type(),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => {
            return if is_git_like(&root) { Err(bare(&workspace).into()) } else { Ok(None) };
        }
        Err(err) => return Err(err).with_context(|| format!("cannot look at `{}`", dot_git.display())),
    };
    if kind.is_symlink() {
        return Err(failed(format!("`{}` is a symlink", crate::text::path(&dot_git)))
            .hint(format!("a mount point cannot be a symlink: move the real directory to `{}`", dot_git.display()))
            .into());
    }
    if kind.is_dir() {
        // Without the airlock the container would write to it, so that what is broken must not count as absent.
        let found = root.open_dir(DOT_GIT).map_err(|err| not_understood(&dot_git, &err.to_string()))?;
        let git = found.ok_or_else(|| not_understood(&dot_git, "it has just been removed"))?;
        let borrows = git.stat("commondir").is_ok().then(|| "its `commondir` names another git directory".to_owned());
        if let Some(why) = missing(&git).or(borrows) {
            return Err(not_understood(&dot_git, &why).into());
        }
        return read(workspace, dot_git.clone(), dot_git, false).map(Some);
    }
    let text = root.text(DOT_GIT, SMALL).map_err(|err| not_understood(&dot_git, &err.to_string()))?;
    let (git_dir, common_dir) = follow(&workspace, &text.unwrap_or_default())?;
    read(workspace, git_dir, common_dir, true).map(Some)
}

/// What looks like git and is not understood is refused: the container could write to it, and git on the host would run
/// what it names.
fn not_understood(dot_git: &Path, why: &str) -> Failure {
    let shown = text::word(&dot_git.display().to_string());
    failed(format!("`{}` is there, and is no git directory that can be protected: {why}", dot_git.display())).hint(
        format!(
            "if it is a repository, repair it (`git fsck` in it says what is wrong); if not, `mv {shown} {shown}.old`"
        ),
    )
}

/// What git keeps in a git directory. Source: gitrepository-layout(5).
const KEPT: [&str; 10] =
    ["branches", "hooks", "info", "lfs", "logs", "modules", "objects", "refs", "remotes", "worktrees"];

/// The git directory of which a directory is a part, such as `.git/hooks`. A linked worktree that lies in a bare repository,
/// beside what git keeps there, is none.
fn git_directory_around(dir: &Path) -> Option<PathBuf> {
    let is_git = |around: &Path| Beneath::root_if_there(around).is_ok_and(|dir| dir.as_ref().is_some_and(is_git_like));
    let part = |(inner, around): &(&Path, &Path)| {
        let kept = inner.file_name().and_then(|name| name.to_str()).is_some_and(|name| KEPT.contains(&name));
        (kept || around.ends_with(DOT_GIT)) && is_git(around)
    };
    dir.ancestors().zip(dir.ancestors().skip(1)).find(part).map(|(_, around)| around.to_path_buf())
}

fn bare(workspace: &Path) -> Failure {
    failed(format!("`{}` is itself a git directory", workspace.display())).hint(
        "the agent could write its hooks and configuration: use a working tree (`git worktree add`) as the workspace",
    )
}

/// Resolves a `.git` file to (git directory, common directory), and checks that they belong to this workspace.
fn follow(workspace: &Path, text: &str) -> Result<(PathBuf, PathBuf)> {
    let dot_git = workspace.join(DOT_GIT);
    let named = text
        .strip_prefix("gitdir:")
        .map(str::trim)
        .filter(|path| !path.is_empty())
        .ok_or_else(|| not_understood(&dot_git, "it is a file that names no git directory"))?;
    let unreachable = |err| not_understood(&dot_git, &format!("it names `{}`: {err}", crate::text::name(named)));
    let git_dir = workspace.join(named).canonicalize().map_err(unreachable)?;
    let tree = Beneath::root(&git_dir)?;
    let common_dir = match tree.text("commondir", SMALL)? {
        Some(text) => git_dir.join(text.trim()).canonicalize()?,
        None => git_dir.clone(),
    };
    let named_back = if common_dir == git_dir {
        let settings = config_format::parse(&tree.text("config", SMALL)?.unwrap_or_default());
        config_format::last(&settings, "core.worktree").map(|path| git_dir.join(path))
    } else {
        // Only a process that can write to the common directory can put a worktree's directory there.
        let inside = git_dir.parent() == Some(&common_dir.join("worktrees"));
        let back = tree.text("gitdir", SMALL)?.filter(|_| inside);
        back.and_then(|text| git_dir.join(text.trim()).parent().map(Path::to_path_buf))
    };
    let ours = named_back.and_then(|path| path.canonicalize().ok()).as_deref() == Some(workspace);
    let out_of_reach = !git_dir.starts_with(workspace) && !common_dir.starts_with(workspace);
    if ours && out_of_reach {
        return Ok((git_dir, common_dir));
    }
    // An agent can write `.git` while no repository is mounted there: it must not choose what is mounted next.
    let [dot_git, git_dir, workspace] = [&dot_git, &git_dir, workspace].map(|path| path.display().to_string());
    let (git_quoted, tree_quoted) = (text::word(&git_dir), text::word(&workspace));
    Err(failed(format!("`{dot_git}` names `{git_dir}`, which does not name `{workspace}` back"))
        .hint(format!(
            "if you made it: `git worktree repair` in its repository, or `git --git-dir={git_quoted} config \
             core.worktree {tree_quoted}`"
        ))
        .into())
}

fn read(workspace: PathBuf, git_dir: PathBuf, common_dir: PathBuf, dot_git_is_file: bool) -> Result<Repository> {
    let common = Beneath::root(&common_dir)?;
    if !is_git_dir(&common) {
        return Err(failed(format!("`{}` is not a git directory", common_dir.display()))
            .hint("its HEAD, objects and refs must be there, and must not be symlinks")
            .into());
    }
    let mut settings = config_format::parse(&common.text("config", SMALL)?.unwrap_or_default());
    if config_format::last(&settings, "extensions.worktreeconfig") == Some("true")
        && let Some(git) = Beneath::root_if_there(&git_dir)?
    {
        settings.extend(config_format::parse(&git.text("config.worktree", SMALL)?.unwrap_or_default()));
    }
    let sha256 = format(&common_dir, &settings)?;
    let mut notes = Vec::new();
    let objects = object_dirs(&common_dir.join("objects"), &mut notes)?;
    if dot_git_is_file {
        // Not borrowed: it names this workspace back from its own side.
        notes.push(format!("its objects in `{}` are readable inside", crate::text::path(&objects[0])));
    }
    let partial = config_format::last(&settings, "extensions.partialclone").is_some();
    if partial {
        notes.push("a partial clone: objects that it does not have yet cannot be fetched inside".into());
    }
    let submodules = matches!(common.open_dir("modules"), Ok(Some(_)));
    if submodules {
        notes.push("submodules: their files are there; git works in the main repository only, and leaves them out of what it adds".into());
    }
    let plain = |name: &str| {
        let value =
            config_format::last(&settings, name).filter(|value| value.chars().all(|c| c.is_ascii_alphanumeric()));
        value.map(str::to_owned)
    };
    let carried = CARRIED.iter().filter_map(|name| Some(((*name).to_owned(), plain(name)?))).collect();
    let shared = plain("core.sharedrepository");
    Ok(Repository {
        workspace,
        git_dir,
        common_dir,
        dot_git_is_file,
        objects,
        notes,
        sha256,
        partial,
        carried,
        shared,
        submodules,
    })
}

/// Whether the repository names its objects by SHA-256. Fails for an unknown format.
fn format(dir: &Path, settings: &[(String, String)]) -> Result<bool> {
    let shown = dir.display();
    let version = config_format::last(settings, "core.repositoryformatversion").unwrap_or("0");
    if !matches!(version, "0" | "1") {
        return Err(failed(format!("`{shown}` has the unknown repository format `{version}`")).into());
    }
    for (name, value) in settings {
        let Some(extension) = name.strip_prefix("extensions.") else { continue };
        if extension == "refstorage" && value != "files" {
            return Err(failed(format!("`{shown}` stores its refs as `{value}`"))
                .hint("the sandbox supports only the format `files`: `git refs migrate --ref-format=files`")
                .into());
        }
        if !EXTENSIONS.contains(&extension) {
            return Err(failed(format!("`{shown}` uses the unknown extension `{extension}`")).into());
        }
    }
    match config_format::last(settings, "extensions.objectformat").unwrap_or("sha1") {
        "sha1" => Ok(false),
        "sha256" => Ok(true),
        other => Err(failed(format!("`{shown}` has the unknown object format `{other}`")).into()),
    }
}

/// For the fuzzer: the configuration of a repository.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    let settings = config_format::parse(text);
    let known = |sha256: bool| sha256 == (config_format::last(&settings, "extensions.objectformat") == Some("sha256"));
    assert!(format(Path::new("/w"), &settings).ok().is_none_or(known));
}
