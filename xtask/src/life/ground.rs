//! What is known without asking any program: the settings, what they name, and what of this host shapes a container.

use super::record;
use super::reopen::reopen;
use super::rules::rules;
use crate::context::{Context, directory, resolved};
use crate::error::{self, Failure, usage};
use crate::exposed::{Exposed, NotOpened};
use crate::git::{self, Environment, Repository};
use crate::network::{self, HostNetwork};
use crate::outside;
use crate::spec::denials::Denials;
use crate::spec::inside::OPTIONAL;
use crate::spec::places::{self, Places};
use crate::spec::settings::{self, Dataset, Flags, LOCAL_FILE, NO_DATASET, Settings, is_none};
use crate::spec::{Mount, Role};
use crate::user::User;
use crate::{codex, exec, fingerprint, proof, text, ui};
use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What of this checkout and of this host shapes a container, beside the settings.
pub(crate) struct Surroundings {
    /// The fingerprint of `docker/docker-compose.yaml`.
    pub compose_file: String,
    /// What lies in this repository, without the default project.
    pub checkout: Vec<PathBuf>,
    /// What this host has of [`OPTIONAL`], without symlinks.
    pub optional: BTreeMap<Role, PathBuf>,
    /// Whether this is the workspace of the settings, which `.devcontainer/devcontainer.json` opens.
    pub dev_container: bool,
    /// The user's groups that own a mounted directory, without those that have power over the host.
    pub groups: Vec<u32>,
    /// The mounts of the airlock, and of what of the workspace is read-only because git on the host runs or obeys it.
    pub git: Vec<Mount>,
    /// The host's Codex home, without symlinks as far as it is there.
    pub host_codex_home: PathBuf,
}

/// What is known without asking any program.
pub(crate) struct Ground {
    /// The settings, every data set with its source.
    pub settings: Settings,
    pub user: User,
    /// The workspace, canonical.
    pub workspace: PathBuf,
    /// The data sets as mounts, canonical.
    pub datasets: Vec<Mount>,
    /// The workspace's repository.
    pub repository: Option<Repository>,
    /// What decides which settings git on this host has.
    pub environment: Environment,
    /// The CA bundle and the proxies.
    pub network: HostNetwork,
    /// What else shapes the container.
    pub surroundings: Surroundings,
    /// Where this workspace's things lie.
    pub places: Places,
    /// The directories that sandboxes can write, through which nothing is reached.
    pub exposed: Exposed,
    /// The objects that the user vouches for in this call.
    pub confirm: Vec<PathBuf>,
    /// What a dry run left out of the settings, because a run is refused for it.
    pub refused: Vec<Failure>,
}

impl Ground {
    /// What is denied in the sessions of the sandbox that is wanted.
    pub(super) fn denials(&self) -> Denials {
        Denials::of(self.user.uid, &self.settings.shape)
    }

    /// Reads the settings and what they name. `exposed` is the list where it was just read.
    ///
    /// # Errors
    /// Wrong settings, a missing source.
    pub(crate) fn read(cx: &Context, flags: &Flags, exposed: Option<Exposed>) -> Result<Ground> {
        let mut settings = settings::load(cx, flags)?;
        settings.remarks(cx).iter().for_each(ui::warn);
        as_it_runs(cx, &mut settings);
        let refused = if cx.dry_run { leave_out(&mut settings) } else { Vec::new() };
        let typed = ask_for_sources(cx, &mut settings)?;
        let ground = Ground { refused, ..Ground::under(cx, settings, &flags.confirm, exposed)? };
        ground.remember(cx, &typed)?;
        Ok(ground)
    }

    /// Offers to keep the directories that the user has just typed. One that is refused is not kept.
    fn remember(&self, cx: &Context, typed: &[(String, PathBuf)]) -> Result<()> {
        if typed.is_empty() {
            return Ok(());
        }
        let is_typed =
            |mount: &&Mount| matches!(&mount.role, Role::Dataset(name) if typed.iter().any(|(typed, _)| typed == name));
        let mounts: Vec<Mount> = self.datasets.iter().filter(is_typed).cloned().collect();
        let rules = rules(cx, &self.user, self.surroundings.groups.clone(), &self.settings);
        if let Some(failure) = proof::sources::failure(&proof::sources::check(&mounts, &rules, &self.exposed)) {
            return Err(failure.into());
        }
        for (name, dir) in typed {
            if !cx.dry_run && ui::confirm(&format!("Remember it in {LOCAL_FILE}?")) {
                remember(cx, name, dir)?;
            }
        }
        Ok(())
    }

    /// Reads what these settings name. `confirm` are the objects that the user vouches for.
    ///
    /// # Errors
    /// A missing source.
    pub(super) fn under(
        cx: &Context,
        settings: Settings,
        confirm: &[PathBuf],
        exposed: Option<Exposed>,
    ) -> Result<Ground> {
        let user = User::read();
        let exposed = record::exposed_but(cx, exposed, confirm)?;
        exposed.refuse_written("the state folder", &cx.state)?;
        for name in settings::FILES {
            exposed.refuse_written("the settings file", &cx.root.join(name))?;
        }
        directory("the workspace", &settings.workspace)?;
        if !cx.dry_run {
            reopen(&settings.workspace, &places::of(cx, &settings.workspace, user.uid));
        }
        let workspace = exposed.open(&settings.workspace)?.real().to_owned();
        if workspace.parent().is_none() {
            return Err(usage("the workspace `/` is this whole host")
                .hint("give the project's directory with `--workspace DIR`")
                .into());
        }
        apart(&settings.datasets, &workspace)?;
        let datasets =
            settings.datasets.iter().filter_map(|set| set.mount(&exposed).transpose()).collect::<Result<Vec<_>>>()?;
        let places = places::of(cx, &workspace, user.uid);
        places.known_layout()?;
        // Also where git does not take it for a repository yet: what an agent made can become one at any time. Git that is run
        // in the workspace also uses the repositories around it.
        for dir in workspace.ancestors() {
            if let Err(why @ NotOpened::Exposed(_)) = exposed.look(&dir.join(".git")) {
                return Err(why.into());
            }
        }
        let repository = git::detect(&workspace)?;
        if let Some(repository) = &repository {
            repository.refuse_borrowed(&settings.git_alternates)?;
        }
        repository.as_ref().map_or(Ok(()), |repository| confirmed(repository, &exposed))?;
        let compose = outside::bytes(&cx.root.join("docker/docker-compose.yaml"), outside::WRITTEN).unwrap_or_default();
        let mounted = datasets.iter().map(|mount| mount.source.as_path()).chain([workspace.as_path()]);
        let surroundings = Surroundings {
            compose_file: fingerprint::of([compose])[..12].to_owned(),
            checkout: checkout(cx),
            optional: optional(cx, &exposed)?,
            dev_container: settings::load(cx, &Flags::default()).is_ok_and(|own| resolved(&own.workspace) == workspace),
            groups: user.groups_for(mounted),
            git: Ground::git_mounts(repository.as_ref(), &workspace, &places)?,
            host_codex_home: resolved(&settings.host_codex_home),
        };
        let network = network::read(cx);
        network.ca.as_ref().map_or(Ok(()), |ca| exposed.open(ca).map(drop))?;
        Ok(Ground {
            settings,
            user,
            workspace,
            datasets,
            repository,
            environment: Environment::of(cx),
            network,
            surroundings,
            places,
            exposed,
            confirm: confirm.to_vec(),
            refused: Vec::new(),
        })
    }

    /// Refuses a sandbox that could write what the Codex of this host obeys.
    pub(super) fn refuse_own_config(&self, cx: &Context) -> Result<()> {
        let data = self.datasets.iter().filter(|mount| !mount.read_only).map(|mount| mount.source.clone());
        let grounds: Vec<PathBuf> = data.chain([self.workspace.clone()]).collect();
        let homes = [self.settings.host_codex_home.clone(), cx.home.join(".agents")];
        let config = cx.var("XDG_CONFIG_HOME").map_or_else(|| cx.home.join(".config"), PathBuf::from);
        codex::home::refuse_linked_settings(&cx.home, &config, &grounds)?;
        codex::home::refuse_linked(&homes, &grounds, &self.exposed)?.iter().for_each(ui::warn);
        Ok(())
    }
}

/// Said before it is looked how the way to a data set leads there: no word of the user's helps against this.
///
/// # Errors
/// A data set lies in the workspace.
fn apart(datasets: &[Dataset], workspace: &Path) -> Result<(), Failure> {
    let given = datasets.iter().filter_map(|set| Some((&set.name, resolved(set.source.as_ref()?))));
    let mut inside = given.filter(|(_, dir)| dir.starts_with(workspace));
    inside.next().map_or(Ok(()), |(name, dir)| {
        let how = if dir == workspace { "they are the same directory" } else { "it lies there" };
        Err(usage(format!(
            "the data set `{name}` at `{}` could be written through the workspace `{}`: {how}",
            text::path(&dir),
            text::path(workspace)
        ))
        .hint("keep the data and what the sandbox may write in directories apart from each other"))
    })
}

/// What lies in this repository, of which only the default project may be written by an agent.
fn checkout(cx: &Context) -> Vec<PathBuf> {
    let entries = cx.root.read_dir().into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> =
        entries.filter(|entry| entry.file_name() != "workspace").map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// What is mounted where the host has it, without symlinks.
///
/// # Errors
/// It is reached through a directory that a sandbox can write.
fn optional(cx: &Context, exposed: &Exposed) -> Result<BTreeMap<Role, PathBuf>> {
    let at = |path: &str| path.strip_prefix("~/").map_or_else(|| PathBuf::from(path), |rest| cx.home.join(rest));
    let there = OPTIONAL.into_iter().map(|(role, path)| (role, at(path)));
    let there = there.filter(|(_, path)| path.symlink_metadata().is_ok());
    let real = |(role, path): (Role, PathBuf)| match exposed.open(&path) {
        Ok(held) => Ok((role, held.real().to_owned())),
        Err(why @ NotOpened::Exposed(_)) => Err(why.into()),
        // What fills the mount says what is wrong with it.
        Err(NotOpened::Refused(_)) => Ok((role, resolved(&path))),
    };
    there.map(real).collect()
}

/// Refuses a git directory that an agent could have made: git runs in it on the host, and its objects are mounted.
///
/// # Errors
/// It appeared, or was replaced, after a sandbox could write where it lies.
pub(crate) fn confirmed(repository: &Repository, exposed: &Exposed) -> Result<()> {
    // That of a linked working tree is a file, and lies in none of the directories below.
    exposed.open(&repository.dot_git())?;
    // The outer directory comes first: where the user names that, the inner ones are meant too.
    repository.out_of_reach().iter().rev().try_for_each(|dir| exposed.open(dir).map(drop).map_err(Into::into))
}

/// Takes the data sets without a directory out: a dry run asks nobody, and plans the rest.
fn leave_out(settings: &mut Settings) -> Vec<Failure> {
    let (given, missing): (Vec<Dataset>, Vec<Dataset>) =
        std::mem::take(&mut settings.datasets).into_iter().partition(|set| set.source.is_some());
    settings.datasets = given;
    missing.iter().map(|set| settings::no_source(&set.name)).collect()
}

/// What the settings lack of a run that can ask nobody.
///
/// # Errors
/// Wrong settings.
pub(super) fn lacking(cx: &Context, flags: &Flags) -> Result<Vec<Failure>> {
    let mut settings = settings::load(cx, flags)?;
    as_it_runs(cx, &mut settings);
    Ok(leave_out(&mut settings))
}

/// A declared data set that nobody gives a directory now has the one of the sandbox that was started last, which only this
/// tool writes down, until `down` removes it: what is said of that sandbox needs no flags again. The directory is checked as
/// one that was given.
fn as_it_runs(cx: &Context, settings: &mut Settings) {
    if settings.datasets.iter().all(|set| set.source.is_some()) {
        return;
    }
    let places = places::of(cx, &resolved(&settings.workspace), User::read().uid);
    let Some(record) = record::last(&places) else { return };
    for set in settings.datasets.iter_mut().filter(|set| set.source.is_none()) {
        let Some(mount) = record.spec.mount(&Role::Dataset(set.name.clone())) else { continue };
        ui::say(format_args!(
            "the data set `{}` is `{}`, as in the sandbox that was started last",
            set.name,
            mount.source.display()
        ));
        set.source = Some(mount.source.clone());
        settings::from_record(&mut settings.origins, &set.name, &mount.source);
    }
}

/// A declared data set without a source is asked for where there is a terminal, and is an error where there is none.
/// Returns what was typed.
fn ask_for_sources(cx: &Context, settings: &mut Settings) -> Result<Vec<(String, PathBuf)>> {
    let mut typed = Vec::new();
    for dataset in settings.datasets.iter_mut().filter(|set| set.source.is_none()) {
        let name = &dataset.name;
        let missing = || settings::no_source(name);
        if !cx.stdin_tty {
            return Err(missing().into());
        }
        let dir =
            asked_for(cx, name, || ui::ask(&format!("Directory of the data set `{name}`: ")))?.ok_or_else(missing)?;
        typed.push((name.clone(), dir.clone()));
        dataset.source = Some(dir).filter(|dir| !is_none(dir));
    }
    settings.datasets.retain(|set| set.source.is_some());
    Ok(typed)
}

/// How often the directory of a data set is asked for where none is there.
const TRIES: usize = 3;

/// The directory that is answered, asked again where there is none; or the word that there is to be no such data set. `None`
/// where nothing is answered.
///
/// # Errors
/// The last answer is no directory either.
fn asked_for(cx: &Context, name: &str, mut ask: impl FnMut() -> Option<String>) -> Result<Option<PathBuf>> {
    ui::say(format_args!("`{NO_DATASET}` does without the data set `{name}`"));
    let mut tries = 0;
    loop {
        let Some(answer) = ask().filter(|line| !line.is_empty()).map(PathBuf::from) else { return Ok(None) };
        if is_none(&answer) {
            return Ok(Some(answer));
        }
        let dir = cx.absolute(&answer);
        tries += 1;
        match directory(&format!("the data set `{name}` at"), &dir) {
            Ok(_) => return Ok(Some(dir)),
            Err(why) if tries >= TRIES => return Err(why),
            Err(why) => ui::say(error::render(&why).trim_end()),
        }
    }
}

/// Adds a data set to `sandbox.local.yaml`, whose other lines and comments stay as they are.
fn remember(cx: &Context, name: &str, dir: &Path) -> Result<()> {
    let path = cx.root.join(LOCAL_FILE);
    let text = match outside::text(&path, outside::WRITTEN) {
        Ok(text) => text,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(err) => return Err(err).with_context(|| format!("cannot read `{}`", path.display())),
    };
    let text = settings::with_dataset(&text, name, dir)?;
    exec::write_file(&path, text.as_bytes(), 0o644)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposed::Exposed;

    #[test]
    fn a_data_set_in_the_workspace_is_refused_whatever_the_user_vouches_for() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(dir.join("project/data")).unwrap();
        let refused = |source: &str| {
            let set = Dataset { name: "k".into(), source: Some(dir.join(source)) };
            apart(&[set], &dir.join("project")).map_err(|why| why.message)
        };
        assert!(refused("project").unwrap_err().ends_with("they are the same directory"));
        assert!(refused("other/../project/data").is_ok(), "there is no `other`");
        assert!(refused("project/../project/data").unwrap_err().ends_with("it lies there"));
        assert_eq!(refused("projects"), Ok(()));
    }

    #[test]
    fn a_directory_that_is_not_there_is_asked_for_again_and_none_is_an_answer() {
        let dir = tempfile::tempdir().unwrap();
        let cx = Context { cwd: dir.path().join("here"), ..Context::default() };
        std::fs::create_dir_all(dir.path().join("here")).unwrap();
        let asked = |answers: &[&str]| {
            let mut answers = answers.iter().map(|answer| (*answer).to_owned());
            asked_for(&cx, "k", || answers.next()).map_err(|why| why.to_string())
        };
        assert_eq!(asked(&["no", ".."]), Ok(Some(dir.path().to_path_buf())));
        assert_eq!(asked(&["none"]), Ok(Some("none".into())));
        assert_eq!((asked(&[]), asked(&["no", ""])), (Ok(None), Ok(None)));
        assert!(asked(&["a", "b", "c", ".."]).unwrap_err().contains("/c` cannot be used"));
    }

    #[test]
    fn a_linked_working_tree_starts_again_where_nothing_changed() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let (tree, own) = (dir.join("tree"), dir.join("main/.git/worktrees/tree"));
        for made in ["tree", "main/.git/worktrees/tree", "main/.git/objects", "main/.git/refs"] {
            std::fs::create_dir_all(dir.join(made)).unwrap();
        }
        for (file, text) in [
            (dir.join("main/.git/HEAD"), "ref: refs/heads/main\n".to_owned()),
            (dir.join("main/.git/config"), "[core]\n\trepositoryformatversion = 0\n".to_owned()),
            (own.join("HEAD"), "ref: refs/heads/tree\n".to_owned()),
            (own.join("commondir"), "../..\n".to_owned()),
            (own.join("gitdir"), format!("{}\n", tree.join(".git").display())),
            (tree.join(".git"), format!("gitdir: {}\n", own.display())),
        ] {
            std::fs::write(file, text).unwrap();
        }
        let state = dir.join("state");
        let exposed = || Exposed::read(&state, Vec::new()).unwrap();
        let repository = git::detect(&tree).unwrap().unwrap();
        let first = exposed();
        confirmed(&repository, &first).unwrap();
        first.save(&[&first.look(&tree).unwrap()]).unwrap();
        exposed().look(&tree.join(".git")).unwrap();
        // Another file in its place is not what was there.
        std::fs::rename(tree.join(".git"), tree.join("old")).unwrap();
        std::fs::write(tree.join(".git"), format!("gitdir: {}\n", own.display())).unwrap();
        assert!(confirmed(&repository, &exposed()).is_err());
    }
}
