//! The project: settings, workspace, image, and the room for what is kept.

use crate::distro::Distro;
use crate::engine;
use crate::error::{Failure, host};
use crate::finding::{Finding, Subject, subject};
use crate::image::base;
use std::path::PathBuf;

/// What is known of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AboutProject {
    /// What is wrong with the settings.
    pub settings: Vec<Failure>,
    /// The workspace.
    pub workspace: PathBuf,
    /// Why it cannot be mounted; or that this cannot be known.
    pub problems: Result<Vec<Finding>, Failure>,
    /// Where state is kept.
    pub state: PathBuf,
    /// Why nothing can be written there.
    pub state_closed: Option<String>,
    /// Free bytes there.
    pub state_free: Option<u64>,
    /// The image, where an engine answers; or why nothing is known of it.
    pub image: Result<AboutImage, String>,
    /// Whether the program that makes the CPU base is there.
    pub mmdebstrap: bool,
    /// The distribution.
    pub distro: Distro,
}

/// What is known of the image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AboutImage {
    /// Its tag, where it is built and up to date.
    pub built: Option<String>,
    /// Its base by the settings; `None` is the CPU base.
    pub base: Option<String>,
    /// Whether the engine has the base.
    pub base_there: bool,
    /// Where the engine keeps images, and the free bytes there, as far as known.
    pub root: PathBuf,
    /// Free bytes there.
    pub free: Option<u64>,
}

/// A snapshot of Codex takes about 400 MB, and an update of it as much again before the old one is removed.
const STATE_ROOM: u64 = 1 << 30;

const SETTINGS: Subject = subject("project.settings", "settings", "settings as the comments in sandbox.yaml have them");
const WORKSPACE: Subject =
    subject("project.workspace", "workspace", "a directory that you may write, outside this repository");
const STATE: Subject = subject("project.state", "state folder", "1 GiB free, and you may write");
const IMAGE: Subject = subject("project.image", "image", "built, or the means to build it");
const ROOM: Subject =
    subject("project.room", "room for the image", "40 GiB with NVIDIA's base, 8 GiB with the CPU base");
const BASE: Subject = subject("project.base", "CPU base image", "`mmdebstrap`, which makes it");

/// What is to be said of the project.
pub(crate) fn findings(facts: &AboutProject) -> Vec<Finding> {
    let mut found: Vec<Finding> = facts.settings.iter().map(|failure| SETTINGS.broken(failure.clone())).collect();
    if found.is_empty() {
        found.push(SETTINGS.ok("as they should be"));
    }
    found.extend(workspace(facts));
    found.push(state(facts));
    match &facts.image {
        Err(why) => found.push(IMAGE.unchecked(why)),
        Ok(image) => found.extend(built(facts, image)),
    }
    found
}

fn workspace(facts: &AboutProject) -> Vec<Finding> {
    match &facts.problems {
        Err(failure) => vec![WORKSPACE.broken(failure.clone())],
        Ok(problems) if problems.is_empty() => vec![WORKSPACE.ok(format!("`{}`", facts.workspace.display()))],
        Ok(problems) => problems.iter().map(|problem| WORKSPACE.broken(problem.failure())).collect(),
    }
}

fn state(facts: &AboutProject) -> Finding {
    let path = facts.state.display();
    if let Some(why) = &facts.state_closed {
        let hint = "give another by XDG_STATE_HOME, or make it yours";
        return STATE.broken(host(format!("nothing can be written to `{path}`: {why}")).hint(hint));
    }
    match facts.state_free {
        Some(free) if free < STATE_ROOM => STATE.warning(
            format!("`{path}` has {} MiB free", free >> 20),
            [crate::error::Mend::Do("make room, or give another place by XDG_STATE_HOME".into())],
        ),
        Some(free) => STATE.ok(format!("`{path}`, {} GiB free", free >> 30)),
        None => STATE.unchecked(format!("the room at `{path}` cannot be read")),
    }
}

fn built(facts: &AboutProject, image: &AboutImage) -> Vec<Finding> {
    if let Some(tag) = &image.built {
        return vec![IMAGE.ok(format!("`{tag}` is up to date"))];
    }
    let need = base::room(image.base.as_deref());
    let room = image.free.and_then(|free| engine::low_room(&image.root, free, need));
    let mut found = vec![IMAGE.ok("not built yet, or stale: the next start builds it")];
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
    if image.base.is_none() {
        found.push(match (image.base_there, facts.mmdebstrap) {
            (true, _) => BASE.ok("made already"),
            (false, true) => BASE.ok("`mmdebstrap` makes it"),
            (false, false) => BASE.missing(base::no_mmdebstrap(&facts.distro)),
        });
    }
    found
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::tests::{mended, verdict};
    use super::*;
    use crate::error::usage;
    use crate::finding::Verdict;

    pub(in super::super) fn facts() -> AboutProject {
        AboutProject {
            settings: Vec::new(),
            workspace: "/home/ada/project".into(),
            problems: Ok(Vec::new()),
            state: "/home/ada/.local/state/codex-sandbox".into(),
            state_closed: None,
            state_free: Some(90 << 30),
            image: Ok(AboutImage {
                base: Some("nvcr.io/nvidia/pytorch:25.01-py3".into()),
                root: "/var/lib/docker".into(),
                free: Some(90 << 30),
                ..AboutImage::default()
            }),
            mmdebstrap: false,
            distro: crate::distro::parse("ID=debian\nVERSION_ID=13\n"),
        }
    }

    fn with(change: impl FnOnce(&mut AboutProject)) -> Vec<Finding> {
        let mut facts = facts();
        change(&mut facts);
        findings(&facts)
    }

    fn image(change: impl FnOnce(&mut AboutImage)) -> Vec<Finding> {
        with(|facts| change(facts.image.as_mut().unwrap()))
    }

    #[test]
    fn a_good_project_has_nothing_to_mend() {
        let found = with(|_| {});
        assert!(found.iter().all(|f| f.verdict == Verdict::Held), "{found:#?}");
        assert_eq!(found.len(), 5);
    }

    #[test]
    fn every_error_of_the_settings_is_shown_at_once() {
        let two = with(|f| f.settings = vec![usage("one"), usage("two")]);
        assert_eq!(two.iter().filter(|f| f.verdict == Verdict::Broken).count(), 2);
    }

    #[test]
    fn a_workspace_that_cannot_be_mounted_says_why() {
        let failure = usage("`/r` shows this repository").hint("choose another");
        let problem = Finding::new("workspace", "p").with(Verdict::Broken, failure);
        let found = with(|f| f.problems = Ok(vec![problem]));
        assert_eq!(verdict(&found, "project.workspace"), Verdict::Broken);
        let stuck = with(|f| f.problems = Err(usage("no answer")));
        assert_eq!(verdict(&stuck, "project.workspace"), Verdict::Broken);
    }

    #[test]
    fn state_needs_room_and_to_be_written() {
        let low = with(|f| f.state_free = Some(100 << 20));
        assert_eq!(verdict(&low, "project.state"), Verdict::Noted);
        let closed = with(|f| f.state_closed = Some("read-only file system".into()));
        assert_eq!(verdict(&closed, "project.state"), Verdict::Broken);
        assert_eq!(verdict(&with(|f| f.state_free = None), "project.state"), Verdict::NotProvable);
    }

    #[test]
    fn room_and_the_means_to_build_matter_only_where_something_is_built() {
        let low = image(|i| i.free = Some(10 << 30));
        assert_eq!(verdict(&low, "project.room"), Verdict::Broken);
        let cpu = image(|i| (i.base, i.free) = (None, Some(10 << 30)));
        assert_eq!(verdict(&cpu, "project.room"), Verdict::Held);
        assert_eq!(verdict(&cpu, "project.base"), Verdict::Missing);
        assert_eq!(mended(&cpu, "project.base"), "sudo apt-get install mmdebstrap");
        let made = image(|i| (i.base, i.base_there) = (None, true));
        assert_eq!(verdict(&made, "project.base"), Verdict::Held);
        let tool = with(|f| {
            f.mmdebstrap = true;
            f.image.as_mut().unwrap().base = None;
        });
        assert_eq!(verdict(&tool, "project.base"), Verdict::Held);
        let built = image(|i| (i.built, i.free) = (Some("codex-sandbox:1-u1".into()), Some(0)));
        assert_eq!(verdict(&built, "project.image"), Verdict::Held);
        assert!(built.iter().all(|f| f.id != "project.room"));
        assert_eq!(verdict(&image(|i| i.free = None), "project.room"), Verdict::NotProvable);
        let silent = with(|f| f.image = Err("no engine answers".into()));
        assert_eq!(verdict(&silent, "project.image"), Verdict::NotProvable);
    }
}
