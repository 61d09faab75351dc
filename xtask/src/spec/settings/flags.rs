//! The flags that stand above the settings of the same name. Their comments are their help texts.

use super::is_none;
use crate::context::Context;
use crate::spec::words::{self, Gpus, Mode, Network};
use crate::text;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, ValueHint};
use serde::Serialize;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// The flags of all that has to do with a sandbox. A word is kept as it was typed: the resolver refuses a wrong one in
/// the same way wherever it was written, and the doctor shows it beside everything else.
#[derive(Args, Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Flags {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs, reason = "a comment here would be taken for the help of the task")]
    pub project: ProjectFlags,
    /// open, or none [default: open]
    #[arg(long, value_name = "NETWORK", add = words::completer::<Network>())]
    pub network: Option<String>,
    /// The host's Codex [default: codex on PATH]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub codex: Option<PathBuf>,
    /// mirror, shared or none [default: mirror]
    #[arg(long, value_name = "MODE", add = words::completer::<Mode>())]
    pub codex_home: Option<String>,
    /// A borrowed git object directory that the agent may read; repeatable
    #[arg(long = "git-alternate", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub git_alternates: Vec<PathBuf>,
    /// An object of yours that lies where a sandbox can write; repeatable
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    #[serde(skip)]
    pub confirm: Vec<PathBuf>,
    /// No caches that outlive the container. On no command line: the demo leaves nothing behind.
    #[arg(skip)]
    pub no_caches: bool,
}

/// The flags that say what is worked on, and with which image and GPUs.
#[derive(Args, Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ProjectFlags {
    /// The research project, mounted at /workspace [default: workspace/]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub workspace: Option<PathBuf>,
    /// A data set, read-only at /datasets/NAME, or `none`; repeatable
    #[arg(long = "dataset", value_name = "NAME=DIR", value_parser = OsStringValueParser::new().map(|text| dataset(&text)))]
    pub datasets: Vec<(String, PathBuf)>,
    /// Mount DIR although a rule refuses it; repeatable
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub allow_ground: Vec<PathBuf>,
    /// `all`, `none` or ids.
    #[arg(
        long,
        value_name = "GPUS",
        add = words::completer::<Gpus>(),
        help = "all, none, or ids: 0,1 or GPU-<uuid> [default: all]"
    )]
    pub gpus: Option<String>,
    /// The base image
    #[arg(long, value_name = "REF")]
    pub base: Option<String>,
    /// Use the CPU base image made from Debian packages; implies --gpus none
    #[arg(long)]
    pub cpu: bool,
}

impl Flags {
    /// What a later call has to repeat to mean the same sandbox, but for the workspace: each flag that was given, with its values
    /// as words of a shell (an empty one where it has none). What the user vouches for (`--confirm`) counts for one call.
    pub(crate) fn given(&self, cx: &Context) -> Vec<(&'static str, Vec<String>)> {
        let Flags { project, network, codex, codex_home, git_alternates, confirm: _, no_caches: _ } = self;
        let ProjectFlags { workspace: _, datasets, allow_ground, gpus, base, cpu } = project;
        let path = |path: &PathBuf| text::word(&cx.absolute(path).display().to_string());
        let paths = |all: &[PathBuf]| all.iter().map(path).collect::<Vec<_>>();
        let word = |said: &Option<String>| said.iter().map(|said| text::word(said)).collect::<Vec<_>>();
        let dir = |dir: &PathBuf| if is_none(dir) { dir.clone() } else { cx.absolute(dir) };
        let set = |(name, at): &(String, PathBuf)| text::word(&format!("{name}={}", dir(at).display()));
        let all = [
            ("--cpu", cpu.then(String::new).into_iter().collect()),
            ("--base", word(base)),
            ("--gpus", word(gpus)),
            ("--network", word(network)),
            ("--codex-home", word(codex_home)),
            ("--codex", codex.iter().map(path).collect()),
            ("--dataset", datasets.iter().map(set).collect()),
            ("--allow-ground", paths(allow_ground)),
            ("--git-alternate", paths(git_alternates)),
        ];
        all.into_iter().filter(|(_, values)| !values.is_empty()).collect()
    }
}

impl From<ProjectFlags> for Flags {
    fn from(project: ProjectFlags) -> Flags {
        Flags { project, ..Flags::default() }
    }
}

/// A name without a directory is kept with an empty one, which the resolver refuses.
fn dataset(text: &OsStr) -> (String, PathBuf) {
    let mut parts = text.as_bytes().splitn(2, |byte| *byte == b'=');
    let mut part = || OsStr::from_bytes(parts.next().unwrap_or_default());
    (part().to_string_lossy().into_owned(), part().into())
}
