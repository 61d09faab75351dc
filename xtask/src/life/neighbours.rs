//! The other sandboxes of this user: whether this one, once it can write where it is to be given ground, could write what
//! another one only shows, or what another one lies on. The other's promises would be false from then on, and it would
//! hear of it at its next entry at the earliest.

use super::gather::{Gathered, find};
use super::record::{self, OtherMount, OtherRecord};
use super::wanted;
use crate::context::Context;
use crate::engine::compose;
use crate::error::usage;
use crate::mountinfo::MountTable;
use crate::proof::sources;
use crate::spec::places;
use crate::text;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// A sandbox with a source that this one could write.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Neighbour {
    container: String,
    workspace: PathBuf,
    source: PathBuf,
    ground: PathBuf,
    how: String,
}

/// Refuses what would make a promise of a sandbox that runs false. Returns a line for each that does not run now.
///
/// # Errors
/// There is one that runs; or the engine does not say whether it does.
pub(super) fn refuse(cx: &Context, gathered: &Gathered) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for Neighbour { container, workspace, source, ground, how } in touched(cx, gathered) {
        let [source, workspace, ground] = [source, workspace, ground].map(|path| text::path(&path));
        let what = format!("`{source}` of the sandbox of `{workspace}` could be written through `{ground}`: {how}");
        if find(&container)?.is_none_or(|there| !there.up) {
            lines.push(format!("{what}; that one does not run now, and is refused at its next start"));
            continue;
        }
        let down = format!("cargo xtask down --workspace {}", text::word(&workspace));
        return Err(usage(format!("{what}, and that one runs: what was promised there would be false"))
            .hint(format!("`{down}` ends it first"))
            .hint("keep what one sandbox may write and what another one is given in directories apart from each other")
            .into());
    }
    Ok(lines)
}

/// By the records of the others, and by the list of what was given for writing, which also has those whose record cannot be
/// read. Reads a file for each, and looks at their sources.
fn touched(cx: &Context, gathered: &Gathered) -> Vec<Neighbour> {
    let mounts = wanted::mounts(gathered);
    let open: Vec<&Path> = mounts.iter().filter(|mount| !mount.read_only).map(|mount| mount.source.as_path()).collect();
    let table = MountTable::of_this_process().unwrap_or_default();
    let mut found = Vec::new();
    let others = record::others(cx, &gathered.ground.places);
    let without_record = gathered.ground.exposed.paths().into_iter().filter_map(|workspace| {
        let places = places::of(cx, &workspace, gathered.ground.user.uid);
        let known = places == gathered.ground.places || others.iter().any(|other| other.project == places.project);
        let mount = OtherMount { source: workspace.clone(), read_only: false };
        (!known && places.dir.exists()).then_some(OtherRecord {
            project: places.project,
            workspace,
            mounts: vec![mount],
        })
    });
    let without_record: Vec<OtherRecord> = without_record.collect();
    for other in others.into_iter().chain(without_record) {
        let own: Vec<&Path> =
            other.mounts.iter().filter(|mount| !mount.read_only).map(|m| m.source.as_path()).collect();
        for mount in &other.mounts {
            // What lies in its own ground, such as its git directory, is named with that.
            let within = |ground: &&Path| mount.source != **ground && mount.source.starts_with(ground);
            if mount.source.starts_with(&cx.state) || own.iter().any(within) {
                continue;
            }
            let how = open.iter().find_map(|ground| {
                let how = sources::written_by(ground, &mount.source, mount.read_only, &table)?;
                Some((ground.to_path_buf(), how))
            });
            found.extend(how.map(|(ground, how)| Neighbour {
                container: compose::container_name(&other.project),
                workspace: other.workspace.clone(),
                source: mount.source.clone(),
                ground,
                how,
            }));
        }
    }
    found
}
