//! Symlinks out of the workspace into other ground in which agents can make git directories: the sandbox's own state, the
//! engine's files of containers, processes, and what other sandboxes were given. The walk follows no link, and whoever
//! enters one by `cd` does.

use super::super::Environment;
use crate::context::{led_into, resolved};
use crate::exposed::Exposed;
use anyhow::Result;
use std::path::{Component, Path, PathBuf};

/// Where the files of containers and processes lie, and the way into them. Source: the manuals of dockerd, containerd and
/// podman.
const USUAL: &[&str] = &[
    "/proc", "/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/run/docker", "/run/containerd",
    "/var/snap/docker",
];

/// The same below the directory of the user's data, of engines that run without root.
const OF_THE_USER: &[&str] = &["docker", "containerd", "containers"];

/// What is usual for logs, and no directory.
const STREAMS: &[&str] = &["/dev/stdin", "/dev/stdout", "/dev/stderr"];

pub(super) struct Outward {
    workspace: [PathBuf; 1],
    grounds: Vec<PathBuf>,
}

impl Outward {
    /// # Errors
    /// The list of what sandboxes were given cannot be read.
    pub(super) fn of(workspace: &Path, env: &Environment) -> Result<Outward> {
        let data = env.data();
        let mut all: Vec<PathBuf> = USUAL.iter().map(PathBuf::from).collect();
        all.extend(OF_THE_USER.iter().map(|name| data.join(name)));
        if !env.state.as_os_str().is_empty() {
            all.push(env.state.clone());
            all.extend(Exposed::given(&env.state)?);
        }
        // A user without a home has no data of such engines.
        let grounds = all.iter().filter(|dir| dir.is_absolute()).map(|dir| resolved(dir));
        // What lies in the workspace is walked.
        let grounds = grounds.filter(|dir| !dir.starts_with(workspace)).collect();
        Ok(Outward { workspace: [workspace.to_owned()], grounds })
    }

    /// Into which of these directories a link at a path below the workspace leads, by its text. What stays in the workspace
    /// is not followed: the links in it are looked at themselves.
    pub(super) fn leads(&self, link: &Path, text: &Path) -> Option<&Path> {
        if stays(link, text) || STREAMS.iter().any(|stream| text == Path::new(stream)) {
            return None;
        }
        let [workspace] = &self.workspace;
        // Of the text that was read, whatever lies at the link by now.
        let way = workspace.join(link.parent()?).join(text);
        led_into(&self.grounds, &self.workspace, &way).map(|(ground, _)| ground)
    }
}

/// Whether a link cannot leave the workspace but by other links in it.
fn stays(link: &Path, text: &Path) -> bool {
    let (mut depth, mut is_below) = (link.components().count() - 1, false);
    for part in text.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(_) => is_below = true,
            // Behind a link, that is the parent of what it leads to.
            Component::ParentDir if is_below || depth == 0 => return false,
            Component::ParentDir => depth -= 1,
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

/// For the fuzzer: the text of a link.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    assert!(!(stays(Path::new("a/b/link"), Path::new(text)) && text.starts_with('/')));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_what_leaves_the_workspace_is_followed_and_only_other_ground_of_agents_counts() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().canonicalize().unwrap().join(name);
        for dir in ["g/w/a/b", "state/home", "other"] {
            std::fs::create_dir_all(at(dir)).unwrap();
        }
        symlink(at("state"), at("other/way")).unwrap();
        // A directory around the workspace was given, too.
        let outward = Outward { workspace: [at("g/w")], grounds: vec![at("state"), at("g"), PathBuf::from("/proc")] };
        let leads = |link: &str, text: &str| outward.leads(Path::new(link), Path::new(text)).map(Path::to_path_buf);
        let state = at("state").display().to_string();
        for (link, text) in [
            ("x", state.as_str()),
            ("x", "../../state/home/later"),
            ("a/b/x", "../../../../other/way/home"),
            ("a/x", "b/../../../../state"),
        ] {
            assert_eq!(leads(link, text), Some(at("state")), "{link} -> {text}");
        }
        assert_eq!(leads("x", "../beside"), Some(at("g")));
        assert_eq!(leads("x", "/proc/1/root/tmp"), Some("/proc".into()));
        let own = at("g/w/a").display().to_string();
        for (link, text) in [
            ("x", "a/b"),
            ("a/b/x", "../../a"),
            ("x", own.as_str()),
            ("a/x", "../../w/a"),
            ("x", "../../other"),
            ("x", "/usr/bin/env"),
            ("x", "/dev/stdout"),
        ] {
            assert_eq!(leads(link, text), None, "{link} -> {text}");
        }
    }
}
