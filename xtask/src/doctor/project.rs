//! The project: settings, workspace, image, and the free space for what is kept.

use crate::doctor::AboutHost;
use crate::engine;
use crate::error::{Remedy, host};
use crate::finding::{Finding, Subject, subject};
use crate::image::base;
use std::path::PathBuf;

/// The directory in which state is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AboutState {
    pub(super) dir: PathBuf,
    /// Why it cannot be written.
    pub(super) closed: Option<String>,
    /// Free bytes; `None` where they cannot be read.
    pub(super) free: Option<u64>,
}

/// The image, and the directory in which the engine keeps images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AboutImage {
    /// Its tag, where it is built and up to date.
    pub(super) built: Option<String>,
    /// Whether the engine has the base.
    pub(super) base_there: bool,
    /// The directory in which the engine keeps images.
    pub(super) root: PathBuf,
    /// Free bytes in that directory; `None` where they cannot be read.
    pub(super) free: Option<u64>,
}

/// A snapshot of Codex takes about 400 MB, and an update of it as much again before the old one is removed.
const STATE_ROOM: u64 = 1 << 30;

const SETTINGS: Subject = subject("project.settings", "settings", "settings as the comments in sandbox.yaml have them");
const WORKSPACE: Subject = subject(
    "project.workspace",
    "workspace",
    "a directory that you may write: workspace/ here, or one outside this repository",
);
const STATE: Subject = subject("project.state", "state folder", "1 GiB free, and you may write");
const IMAGE: Subject = subject("project.image", "image", "built, or the means to build it");
const ROOM: Subject =
    subject("project.room", "room for the image", "40 GiB with NVIDIA's base, 8 GiB with the CPU base");
const BASE: Subject = subject("project.base", "CPU base image", "`mmdebstrap`, which makes it");

pub(super) fn findings(facts: &AboutHost) -> Vec<Finding> {
    let mut found: Vec<Finding> = facts.errors.iter().map(|failure| SETTINGS.broken(failure.clone())).collect();
    if found.is_empty() {
        found.push(SETTINGS.ok("as they should be"));
    }
    found.extend(workspace(facts));
    found.push(state(&facts.state));
    match &facts.image {
        Err(why) => found.push(IMAGE.unchecked(why)),
        Ok(image) => found.extend(built(facts, image)),
    }
    found
}

fn workspace(facts: &AboutHost) -> Vec<Finding> {
    match &facts.files {
        Err(failure) => vec![WORKSPACE.broken(failure.clone())],
        Ok(files) if files.workspace.is_empty() => {
            vec![WORKSPACE.ok(format!("`{}`", facts.settings.workspace.display()))]
        }
        Ok(files) => files.workspace.iter().map(|problem| WORKSPACE.broken(problem.failure())).collect(),
    }
}

fn state(state: &AboutState) -> Finding {
    let path = state.dir.display();
    if let Some(why) = &state.closed {
        let hint = "give another directory by XDG_STATE_HOME, or make this one yours";
        return STATE.broken(host(format!("nothing can be written to `{path}`: {why}")).hint(hint));
    }
    match state.free {
        Some(free) if free < STATE_ROOM => STATE.warning(
            format!("`{path}` has {} MiB free", free >> 20),
            [Remedy::Do("free some space, or give another directory by XDG_STATE_HOME".into())],
        ),
        Some(free) => STATE.ok(format!("`{path}`, {} GiB free", free >> 30)),
        None => STATE.unchecked(format!("the free space at `{path}` cannot be read")),
    }
}

fn built(facts: &AboutHost, image: &AboutImage) -> Vec<Finding> {
    if let Some(tag) = &image.built {
        return vec![IMAGE.ok(format!("`{tag}` is up to date"))];
    }
    let need = base::room(facts.settings.base.as_deref());
    let room = image.free.and_then(|free| engine::low_room(&image.root, free, need));
    let build = Remedy::Do("the next start builds it, and `cargo xtask image` builds it now".into());
    let mut found = vec![IMAGE.warning("not built yet, or not up to date", [build])];
    found.push(match (room, image.free) {
        (Some(failure), _) => ROOM.broken(failure),
        (None, Some(free)) => ROOM.ok(format!(
            "`{}` has {} GiB free, and the build needs {}",
            image.root.display(),
            free >> 30,
            need >> 30
        )),
        (None, None) => ROOM.unchecked(format!("`{}` cannot be read", image.root.display())),
    });
    if facts.settings.base.is_none() {
        found.push(match (image.base_there, facts.mmdebstrap) {
            (true, _) => BASE.ok("made already"),
            (false, true) => BASE.ok("`mmdebstrap` makes it"),
            (false, false) => BASE.missing(base::no_mmdebstrap(&facts.distro)),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::data::Files;
    use super::super::tests::{facts, remedies_of, verdict};
    use super::*;
    use crate::error::usage;
    use crate::finding::Verdict;

    fn with(change: impl FnOnce(&mut AboutHost)) -> Vec<Finding> {
        let mut facts = facts();
        change(&mut facts);
        findings(&facts)
    }

    fn image(change: impl FnOnce(&mut AboutImage)) -> Vec<Finding> {
        with(|facts| change(facts.image.as_mut().unwrap()))
    }

    #[test]
    fn a_good_project_has_nothing_to_mend() {
        let found = image(|image| image.built = Some("codex-sandbox:1-u1".into()));
        assert!(found.iter().all(|f| f.verdict == Verdict::Held), "{found:#?}");
        assert_eq!(found.len(), 4);
        let not_built = with(|_| {});
        assert_eq!(verdict(&not_built, "project.image"), Verdict::Noted);
        assert!(remedies_of(&not_built, "project.image").contains("`cargo xtask image`"));
        assert!(not_built.iter().all(|f| f.id == "project.image" || f.verdict == Verdict::Held), "{not_built:#?}");
        assert_eq!(not_built.len(), 5);
    }

    #[test]
    fn every_error_of_the_settings_is_shown_at_once() {
        let two = with(|f| f.errors = vec![usage("one"), usage("two")]);
        assert_eq!(two.iter().filter(|f| f.verdict == Verdict::Broken).count(), 2);
    }

    #[test]
    fn a_workspace_that_cannot_be_mounted_says_why() {
        let failure = usage("`/r` shows this repository").hint("choose another");
        let problem = Finding::new("workspace", "p").with(Verdict::Broken, failure);
        let found = with(|f| f.files = Ok(Files { workspace: vec![problem], ..Files::default() }));
        assert_eq!(verdict(&found, "project.workspace"), Verdict::Broken);
        let stuck = with(|f| f.files = Err(usage("no answer")));
        assert_eq!(verdict(&stuck, "project.workspace"), Verdict::Broken);
    }

    #[test]
    fn state_needs_room_and_to_be_written() {
        let low = with(|f| f.state.free = Some(100 << 20));
        assert_eq!(verdict(&low, "project.state"), Verdict::Noted);
        let closed = with(|f| f.state.closed = Some("read-only file system".into()));
        assert_eq!(verdict(&closed, "project.state"), Verdict::Broken);
        assert_eq!(verdict(&with(|f| f.state.free = None), "project.state"), Verdict::NotProvable);
    }

    #[test]
    fn room_and_the_means_to_build_matter_only_where_something_is_built() {
        let low = image(|i| i.free = Some(10 << 30));
        assert_eq!(verdict(&low, "project.room"), Verdict::Broken);
        let cpu = |change: fn(&mut AboutHost)| {
            with(|f| {
                f.settings.base = None;
                change(f);
            })
        };
        let made = cpu(|f| f.image.as_mut().unwrap().base_there = true);
        let tool = cpu(|f| f.mmdebstrap = true);
        let cpu = cpu(|f| f.image.as_mut().unwrap().free = Some(10 << 30));
        assert_eq!(verdict(&cpu, "project.room"), Verdict::Held);
        assert_eq!(verdict(&cpu, "project.base"), Verdict::Missing);
        assert_eq!(remedies_of(&cpu, "project.base"), "sudo apt-get install mmdebstrap");
        assert_eq!(verdict(&made, "project.base"), Verdict::Held);
        assert_eq!(verdict(&tool, "project.base"), Verdict::Held);
        let built = image(|i| (i.built, i.free) = (Some("codex-sandbox:1-u1".into()), Some(0)));
        assert_eq!(verdict(&built, "project.image"), Verdict::Held);
        assert!(built.iter().all(|f| f.id != "project.room"));
        assert_eq!(verdict(&image(|i| i.free = None), "project.room"), Verdict::NotProvable);
        let silent = with(|f| f.image = Err("no engine answers".into()));
        assert_eq!(verdict(&silent, "project.image"), Verdict::NotProvable);
    }
}
