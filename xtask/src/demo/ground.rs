//! Where the demo keeps its files, and the record of what it made elsewhere.

use crate::context::Context;
use crate::engine::compose;
use crate::engine::provide::Provided;
use crate::exec;
use crate::outside;
use crate::spec::places;
use crate::spec::settings::{Flags, ProjectFlags};
use crate::spec::words::Mode;
use crate::user::User;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The demo's paths. What the sandbox mounts is neither in this repository nor in the user's state folder, because both are
/// refused as mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DemoGround {
    /// Holds everything except `codex`: `$XDG_CACHE_HOME/codex-sandbox-demo`.
    pub(super) root: PathBuf,
    /// The project that Codex works on.
    pub(super) project: PathBuf,
    /// The data set that stands in for the user's.
    pub(super) data: PathBuf,
    /// The Codex home of the scripted session.
    pub(super) codex_home: PathBuf,
    /// The state folder of the demo's sandbox, so that nothing of the demo goes into the user's.
    pub(super) state: PathBuf,
    /// The Codex that stands in for the user's.
    pub(super) codex: PathBuf,
    record: PathBuf,
}

/// What the demo made outside of its own directories.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct MadeByDemo {
    /// Images, by tag, in the order in which they were made.
    pub(super) images: Vec<String>,
    /// Packages that apt was asked to install.
    pub(super) packages: Vec<String>,
    /// Whether Debian's next release was added to the sources of apt.
    pub(super) next: bool,
}

impl MadeByDemo {
    /// Adds what was installed.
    pub(super) fn provided(&mut self, provided: &Provided) {
        self.packages.extend(provided.packages.iter().cloned());
        self.next |= provided.next;
    }

    /// Adds an image that was not there before.
    pub(super) fn image(&mut self, tag: &str) {
        if !self.images.iter().any(|have| have == tag) {
            self.images.push(tag.to_owned());
        }
    }
}

impl DemoGround {
    pub(super) fn of(cx: &Context) -> DemoGround {
        let cache = cx.var("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let root = cache.unwrap_or_else(|| cx.home.join(".cache")).join("codex-sandbox-demo");
        DemoGround {
            project: root.join("project"),
            data: root.join("ssv2"),
            codex_home: root.join("codex-home"),
            state: root.join("state"),
            codex: cx.root.join("target/demo/codex"),
            record: root.join("made.json"),
            root,
        }
    }

    /// The context of the demo's sandbox. It has a state folder of its own. A scripted session also has a Codex home of its
    /// own and no proxy: a proxy would receive the requests to the stand-in model on the container's loopback.
    pub(super) fn context(&self, cx: &Context, scripted: bool) -> Context {
        let mut cx = Context { state: self.state.clone(), ..cx.clone() };
        if scripted {
            cx.env.retain(|name, _| !name.to_lowercase().ends_with("_proxy"));
            cx.env.insert("CODEX_HOME".into(), self.codex_home.to_string_lossy().into_owned());
        }
        cx
    }

    /// The flags of the demo's sandbox.
    pub(super) fn flags(&self, cpu: bool, dataset: Option<PathBuf>, codex: Option<PathBuf>) -> Flags {
        let project = ProjectFlags {
            workspace: Some(self.project.clone()),
            datasets: vec![("ssv2".to_owned(), dataset.unwrap_or_else(|| self.data.clone()))],
            // The demo makes its project itself, below `~/.cache`.
            allow_ground: vec![self.project.clone()],
            cpu,
            ..ProjectFlags::default()
        };
        Flags { codex, codex_home: Some(Mode::Mirror.to_string()), no_caches: true, ..project.into() }
    }

    /// The name of the demo's container; `cx` is the demo's own.
    pub(super) fn container(&self, cx: &Context) -> String {
        compose::container_name(&places::of(cx, &self.project, User::read().uid).project)
    }

    /// A path as a person would write it: from this repository, or from their home.
    pub(super) fn short(&self, cx: &Context, path: &Path) -> String {
        match (path.strip_prefix(&cx.root), path.strip_prefix(&cx.home)) {
            (Ok(rest), _) => rest.display().to_string(),
            (_, Ok(rest)) => format!("~/{}", rest.display()),
            _ => path.display().to_string(),
        }
    }

    /// The record; empty where there is none.
    pub(super) fn read(&self) -> MadeByDemo {
        serde_json::from_slice(&outside::bytes(&self.record, outside::STATE).unwrap_or_default()).unwrap_or_default()
    }

    pub(super) fn write(&self, record: &MadeByDemo) -> Result<()> {
        exec::create_dir(&self.root, 0o700)?;
        exec::write_file(&self.record, format!("{}\n", serde_json::to_string_pretty(record)?).as_bytes(), 0o600)
    }
}
