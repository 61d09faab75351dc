//! Reads the settings files and resolves them with the flags: the one part of the settings that touches the disk.

use super::{Flags, LOCAL_FILE, Layer, NO_DATASET, ProjectFlags, Settings, parse, resolve, sizes};
use crate::context::{Context, directory};
use crate::error::{Failure, usage};
use crate::outside;
use anyhow::Result;

/// The settings files, strongest first.
pub(crate) const FILES: [&str; 2] = [LOCAL_FILE, "sandbox.yaml"];

/// Reads `sandbox.local.yaml` and `sandbox.yaml` and resolves them with the flags.
///
/// # Errors
/// An unreadable or invalid file, or a wrong value (exit code 2).
pub fn load(cx: &Context, flags: &Flags) -> Result<Settings> {
    let mut layers = Vec::new();
    for name in FILES {
        layers.extend(layer(cx, name)?);
    }
    let settings = resolve(cx, flags, &layers)?;
    no_file(&settings)?;
    known_memory(cx, &settings)?;
    Ok(settings)
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
    errors.extend(no_file(&settings).err());
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
