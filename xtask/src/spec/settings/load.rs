//! Reads the settings files and resolves them with the flags: the one part of the settings that touches the disk.

use super::{Flags, LOCAL_FILE, Layer, NO_DATASET, ProjectFlags, Settings, parse, resolve, sizes};
use crate::answers::{self, Asked, What};
use crate::context::{Context, directory};
use crate::error::{Failure, usage};
use crate::{inherited, outside};
use anyhow::Result;
use std::path::Path;

/// The settings files, strongest first.
pub(crate) const FILES: [&str; 2] = [LOCAL_FILE, "sandbox.yaml"];

/// Reads `sandbox.local.yaml` and `sandbox.yaml` and resolves them with the flags.
///
/// # Errors
/// An unreadable or invalid file, or a wrong value (exit code 2).
pub fn load(cx: &Context, flags: &Flags) -> Result<Settings> {
    load_where(cx, flags, |_| true)
}

/// As [`load`], for who can do without the data sets.
///
/// # Errors
/// See [`load`]; that a data set does not answer is none.
pub(crate) fn load_without_data(cx: &Context, flags: &Flags) -> Result<Settings> {
    load_where(cx, flags, |what| what != What::Dataset)
}

/// The same, where only paths of such a kind have to answer.
fn load_where(cx: &Context, flags: &Flags, needed: impl Fn(What) -> bool) -> Result<Settings> {
    let mut layers = Vec::new();
    for name in FILES {
        layers.extend(layer(cx, name)?);
    }
    let settings = resolve(cx, flags, &layers)?;
    let silent = answers::silent(&settings.paths(cx))?;
    answers::first(silent.into_iter().filter(|silent| needed(silent.what)).collect())?;
    no_file(&settings)?;
    known_memory(cx, &settings)?;
    Ok(settings)
}

impl Settings {
    /// The paths that are going to be used, by the settings and by the environment.
    pub(crate) fn paths(&self, cx: &Context) -> Vec<Asked> {
        let asked = |what, named: &str, path: &Path| Asked { what, named: named.to_owned(), path: path.to_owned() };
        let other = |named: &str, path: &Path| asked(What::Other, named, path);
        let mut all = vec![
            asked(What::Workspace, "the workspace", &self.workspace),
            other("the Codex home", &self.host_codex_home),
            other("the state folder", &cx.state),
            other("the home directory", &cx.home),
            other("this repository", &cx.root),
        ];
        let sets = self.datasets.iter().filter_map(|set| Some((set, set.source.as_ref()?)));
        all.extend(sets.map(|(set, source)| asked(What::Dataset, &format!("the data set `{}`", set.name), source)));
        all.extend(self.codex.iter().map(|path| other("the Codex program", path)));
        all.extend(self.allow_ground.iter().map(|path| other("the directory of `allow_ground`", path)));
        all.extend(self.git_alternates.iter().map(|path| other("the directory of `git_alternates`", path)));
        for (name, value) in cx.env.iter().filter(|(name, _)| *name == "PATH" || inherited::is_handed_on(name)) {
            let paths = value.split(':').map(Path::new).filter(|path| path.is_absolute());
            all.extend(paths.map(|path| other(&format!("the path of the variable `{name}`"), path)));
        }
        all
    }
}

/// What follows from this machine's memory must not become no limit where that is not known.
fn known_memory(cx: &Context, settings: &Settings) -> Result<()> {
    let written = settings.origins.iter().find(|origin| origin.key == "memory");
    Ok(sizes::known(written.map_or(sizes::AUTO, |origin| &origin.value), cx.memory)?)
}

/// A workspace that is no directory is refused by every task; one that is missing only by those that need it.
fn no_file(settings: &Settings) -> Result<()> {
    if settings.workspace.exists() { directory("the workspace", &settings.workspace).map(drop) } else { Ok(()) }
}

/// One settings file; `None` where it is not there.
fn layer(cx: &Context, name: &str) -> Result<Option<Layer>> {
    let path = cx.root.join(name);
    match outside::text(&path, outside::WRITTEN) {
        Ok(text) => parse(name, &cx.root, &text).map(Some),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(usage(format!("cannot read `{}`: {err}", path.display()))
            .hint("write it as text in UTF-8 that you can read, or remove it")
            .into()),
    }
}

/// As [`load`], for a caller that goes on after errors: every error that was met, and the settings without what is wrong.
///
/// # Errors
/// Nothing can be resolved at all.
pub fn load_what_is_right(cx: &Context, flags: &Flags) -> Result<(Settings, Vec<anyhow::Error>)> {
    let (mut layers, mut errors) = (Vec::new(), Vec::new());
    for name in FILES {
        match layer(cx, name) {
            Ok(layer) => layers.extend(layer),
            Err(err) => errors.push(err),
        }
    }
    let resolved = match resolve(cx, flags, &layers) {
        Err(err) => {
            errors.push(err);
            let tries = without_one(flags, &layers);
            let right = tries.iter().find_map(|(flags, layers)| resolve(cx, flags, layers).ok());
            right.map_or_else(|| resolve(cx, &Flags::default(), &[]), Ok)
        }
        resolved => resolved,
    };
    let settings = resolved?;
    if answers::silent(&settings.paths(cx))?.iter().all(|silent| silent.what == What::Dataset) {
        errors.extend(no_file(&settings).err());
    }
    errors.extend(known_memory(cx, &settings).err());
    Ok((settings, errors))
}

/// The same flags and files without one key of a file, or without one flag; at last the files alone.
fn without_one(flags: &Flags, layers: &[Layer]) -> Vec<(Flags, Vec<Layer>)> {
    const FORGET: [fn(&mut Flags); 5] = [
        |flags| flags.network = None,
        |flags| flags.project.gpus = None,
        |flags| flags.codex_home = None,
        |flags| flags.project.base = None,
        |flags| flags.project.datasets.clear(),
    ];
    let mut tries = Vec::new();
    for (i, layer) in layers.iter().enumerate() {
        for key in layer.values.keys() {
            let mut layers = layers.to_vec();
            layers[i].values.remove(key);
            tries.push((flags.clone(), layers));
        }
    }
    for forget in FORGET {
        let mut flags = flags.clone();
        forget(&mut flags);
        tries.push((flags, layers.to_vec()));
    }
    let cpu = flags.project.cpu;
    let plain = Flags::from(ProjectFlags { cpu, ..ProjectFlags::default() });
    tries.extend([(flags.clone(), Vec::new()), (plain.clone(), layers.to_vec()), (plain, Vec::new())]);
    tries
}

/// The error where nobody said where a data set is.
pub fn no_source(name: &str) -> Failure {
    usage(format!("the data set `{name}` has no directory")).hint(format!(
        "give it by `--dataset {name}=DIR`{}, or by `datasets: {{{name}: DIR}}` in {LOCAL_FILE}; `--dataset {name}={NO_DATASET}` \
         does without it",
        if name == "ssv2" { ", by SSV2_DIR=DIR" } else { "" }
    ))
}
