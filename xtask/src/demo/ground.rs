//! Where the demo's things lie, and the record of what it made that lies elsewhere.

use crate::context::Context;
use crate::engine::compose;
use crate::engine::provide::Provided;
use crate::exec;
use crate::spec::places;
use crate::spec::settings::words::Mode;
use crate::spec::settings::{Flags, ProjectFlags};
use crate::user::User;
use anyhow::Result;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The demo's places. The sandbox refuses this repository and the state folder as mounts, so they are in neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoGround {
    /// All of it but `codex`: `$XDG_CACHE_HOME/codex-sandbox-demo`.
    pub root: PathBuf,
    /// The project that Codex works on.
    pub project: PathBuf,
    /// The data set that stands in.
    pub data: PathBuf,
    /// The Codex home of the scripted session.
    pub codex_home: PathBuf,
    /// The sandbox's own state: nothing of the demo goes into the user's.
    pub state: PathBuf,
    /// The Codex that stands in.
    pub codex: PathBuf,
    record: PathBuf,
}

/// What the demo made outside of its places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MadeByDemo {
    /// Images, by tag, in the order in which they were made.
    pub images: Vec<String>,
    /// Packages that were asked of the distribution.
    pub packages: Vec<String>,
    /// Whether Debian's next release was made known to apt.
    pub next: bool,
}

impl MadeByDemo {
    /// Adds what was brought.
    pub fn provided(&mut self, provided: &Provided) {
        self.packages.extend(provided.packages.iter().cloned());
        self.next |= provided.next;
    }

    /// Adds images that were not there before.
    pub fn image(&mut self, tag: &str) {
        if !self.images.iter().any(|have| have == tag) {
            self.images.push(tag.to_owned());
        }
    }
}

impl DemoGround {
    /// The places of this user.
    pub fn of(cx: &Context) -> DemoGround {
        let cache = cx.var("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.filter(|path| path.is_absolute());
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

    /// The surroundings of the demo's sandbox: a state folder of its own, and in a scripted session a Codex home of its
    /// own and no proxy, which would be asked for the container's own loopback.
    pub fn context(&self, cx: &Context, scripted: bool) -> Context {
        let mut cx = Context { state: self.state.clone(), ..cx.clone() };
        if scripted {
            cx.env.retain(|name, _| !name.to_lowercase().ends_with("_proxy"));
            let home = self.codex_home.to_string_lossy().into_owned();
            cx.env.insert("CODEX_HOME".into(), home);
        }
        cx
    }

    /// The flags of the demo's sandbox.
    pub fn flags(&self, cpu: bool, dataset: Option<PathBuf>, codex: Option<PathBuf>) -> Flags {
        let project = ProjectFlags {
            workspace: Some(self.project.clone()),
            datasets: vec![("ssv2".to_owned(), dataset.unwrap_or_else(|| self.data.clone()))],
            cpu,
            ..ProjectFlags::default()
        };
        Flags { codex, codex_home: Some(Mode::Mirror.to_string()), no_caches: true, ..project.into() }
    }

    /// The name of the demo's container; `cx` is the demo's own.
    pub fn container(&self, cx: &Context) -> String {
        compose::container_name(&places::of(cx, &self.project, User::read().uid).project)
    }

    /// A path as a person would write it: from this repository, or from their home.
    pub fn short(&self, cx: &Context, path: &Path) -> String {
        match (path.strip_prefix(&cx.root), path.strip_prefix(&cx.home)) {
            (Ok(rest), _) => rest.display().to_string(),
            (_, Ok(rest)) => format!("~/{}", rest.display()),
            _ => path.display().to_string(),
        }
    }

    /// Reads the record; empty where there is none.
    pub fn read(&self) -> MadeByDemo {
        let text = std::fs::read(&self.record).unwrap_or_default();
        let value: Value = serde_json::from_slice(&text).unwrap_or_default();
        let list = |key: &str| {
            let items = value[key].as_array().into_iter().flatten();
            items.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        MadeByDemo { images: list("images"), packages: list("packages"), next: value["next"] == true }
    }

    /// Keeps the record.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, record: &MadeByDemo) -> Result<()> {
        let value = json!({"images": record.images, "packages": record.packages, "next": record.next});
        exec::create_dir(&self.root, 0o700)?;
        exec::write_file(&self.record, format!("{value:#}\n").as_bytes(), 0o600)
    }
}
