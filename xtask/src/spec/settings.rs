//! The settings of a sandbox, resolved: flag > environment > `sandbox.local.yaml` > `sandbox.yaml` > default.
//!
//! All of it is pure, texts and values in and settings out, but for `load`, which reads the two files.

mod flags;
pub mod keys;
mod layer;
mod load;
mod passed;
mod resolve;
pub(crate) mod sizes;
mod values;

pub use flags::{Flags, ProjectFlags};
pub use keys::{Memlock, Ptrace, Shape};
pub use layer::{Layer, parse, with_dataset};
pub(crate) use load::{FILES, load_without_data};
pub use load::{load, load_what_is_right, no_source};
pub use resolve::resolve;
pub(crate) use resolve::{NO_DATASET, is_none};
pub(crate) use values::valid_name;

use crate::context::{Context, directory};
use crate::exposed::Exposed;
use crate::spec::inside::Role;
use crate::spec::mount::Mount;
use crate::spec::words::{Cache, ConfigSecrets, Gpus, Login, Memories};
use anyhow::Result;
use keys::ValueKind;
use std::path::PathBuf;

/// A data set by name; without a source it is declared but not given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// `[a-z0-9][a-z0-9._-]*`
    pub name: String,
    /// The directory on the host, absolute, as the user wrote it otherwise.
    pub source: Option<PathBuf>,
}

impl Dataset {
    /// Its mount, where it has a source; that must be there.
    ///
    /// # Errors
    /// It is not there, or is reached through a directory that a sandbox can write.
    pub(crate) fn mount(&self, exposed: &Exposed) -> Result<Option<Mount>> {
        let Some(source) = &self.source else { return Ok(None) };
        directory(&format!("the data set `{}` at", self.name), source)?;
        let source = exposed.unwritten(source)?;
        Ok(Some(Mount::new(Role::Dataset(self.name.clone()), source.real())))
    }
}

/// A resolved setting for `--dry-run`: what, which value, and who said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The key of `sandbox.yaml`.
    pub key: String,
    /// The value as text.
    pub value: String,
    /// `flag`, a variable's name, a file's name, or `default`.
    pub from: String,
}

/// The settings of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The research project, absolute.
    pub workspace: PathBuf,
    /// The data sets, by name.
    pub datasets: Vec<Dataset>,
    /// The base image; `None` means the CPU base that is made from Debian packages.
    pub base: Option<String>,
    /// The value of `TORCH_CUDA_ARCH_LIST` in the image.
    pub arch_list: String,
    /// What they say of the container itself.
    pub shape: Shape,
    /// The host's Codex, where it is not the one on `PATH`.
    pub codex: Option<PathBuf>,
    /// The host's Codex home: `CODEX_HOME` or `~/.codex`.
    pub host_codex_home: PathBuf,
    /// Which login of it a mirrored home gets.
    pub login: Login,
    /// What happens to the memories of Codex at the next entry.
    pub memories: Memories,
    /// What becomes of the secrets in the configuration of Codex; `None` where that follows from the login.
    pub config_secrets: Option<ConfigSecrets>,
    /// The caches that outlive the container.
    pub caches: Vec<Cache>,
    /// Variables that pass from the user's environment to Codex, by name.
    pub env: Vec<String>,
    /// Directories that are handed out although a rule refuses them.
    pub allow_ground: Vec<PathBuf>,
    /// Object directories outside the workspace that the agent may read, absolute.
    pub git_alternates: Vec<PathBuf>,
    /// What is said and has no effect, as a sentence.
    pub overruled: Option<String>,
    /// Where each setting came from.
    pub origins: Vec<Origin>,
}

/// Notes that the directory of a data set is the one of the sandbox that was started last.
pub(crate) fn from_record(origins: &mut [Origin], name: &str, dir: &std::path::Path) {
    let key = format!("datasets.{name}");
    for origin in origins.iter_mut().filter(|origin| origin.key == key) {
        origin.value = dir.to_string_lossy().into_owned();
        origin.from = "the last start".into();
    }
}

impl Settings {
    /// Who gave the paths that stand in a text between backticks, a sentence each.
    pub(crate) fn givers(&self, text: &str) -> Vec<String> {
        let flag = |key: &str| match key.split_once('.') {
            Some((_, name)) => format!("--dataset {name}=…"),
            None => format!("--{}", key.trim_end_matches('s').replace('_', "-")),
        };
        let is_path = |key: &str| match keys::key(key.split('.').next().unwrap_or_default()).map(|key| key.kind) {
            Some(ValueKind::Path | ValueKind::Datasets | ValueKind::LocalPaths) => true,
            Some(ValueKind::Text(_) | ValueKind::Shape(_) | ValueKind::Variables | ValueKind::Some(_)) | None => false,
        };
        let said = |origin: &&Origin| is_path(&origin.key) && text.contains(&format!("`{}`", origin.value));
        let sentence = |origin: &Origin| match origin.from.as_str() {
            "flag" => format!("`{}` was given by `{}`", origin.value, flag(&origin.key)),
            from => format!("`{}` was given by `{from}`", origin.value),
        };
        self.origins.iter().filter(said).map(sentence).collect()
    }

    /// What becomes of the secrets in the configuration. Nobody who hands in no login expects other credentials to go in.
    pub(crate) fn config_secrets(&self) -> ConfigSecrets {
        self.config_secrets.unwrap_or(match self.login {
            Login::None => ConfigSecrets::Drop,
            Login::Lease | Login::Full => ConfigSecrets::Pass,
        })
    }

    /// What `/dev/shm` lacks of its usual size because the memory is limited.
    pub(crate) fn lowered(&self) -> Option<String> {
        sizes::lowered(self.shape.memory, self.shape.shm_size, self.is_auto("shm_size"))
    }

    fn is_auto(&self, key: &str) -> bool {
        self.origins.iter().any(|origin| origin.key == key && origin.value.starts_with(sizes::AUTO))
    }

    /// What is wanted of a container that runs with this shape: where sizes follow from the `machine`'s memory, those that it has
    /// may stay.
    pub(crate) fn shape_beside(&self, was: &Shape, machine: Option<u64>) -> Shape {
        let (was, now) = ((was.memory, was.shm_size), (self.shape.memory, self.shape.shm_size));
        let auto = (self.is_auto("memory"), self.is_auto("shm_size"));
        let (memory, shm_size) = sizes::kept(was, now, auto, machine);
        Shape { memory, shm_size, ..self.shape.clone() }
    }

    /// What a user may not expect of these settings, a line each.
    pub(crate) fn remarks(&self, cx: &Context) -> Vec<String> {
        let (set, unset): (Vec<&String>, Vec<&String>) = self.env.iter().partition(|name| cx.var(name).is_some());
        let moved = passed::moved(set.into_iter().map(String::as_str), &self.caches);
        let unset = unset.into_iter();
        let unset = unset.map(|name| format!("`{name}` of the list `env` is not set here: Codex does not get it"));
        let cpu = self.base.is_none() && self.shape.gpus != Gpus::None;
        let cpu = cpu.then(|| {
            format!(
                "`--gpus {}` hands GPUs to the CPU base image, which cannot use them: leave it out",
                self.shape.gpus
            )
        });
        let proxies = crate::network::passwords(cx);
        unset.chain(moved).chain(proxies).chain(cpu).chain(self.overruled.clone()).collect()
    }
}

/// The name of the settings file of this host.
pub const LOCAL_FILE: &str = "sandbox.local.yaml";

/// For the fuzzer: the two files, a line `---` between them. Every error is said in words, and a data set that is added to
/// a text is in it.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    let (local, project) = text.split_once("\n---\n").unwrap_or((text, ""));
    let cx = Context { root: "/repo".into(), cwd: "/cwd".into(), home: "/home/me".into(), ..Context::default() };
    let base = std::path::Path::new("/repo");
    if let (Ok(local), Ok(project)) = (parse(LOCAL_FILE, base, local), parse("sandbox.yaml", base, project)) {
        let settings = resolve(&cx, &Flags::default(), &[local, project]).ok();
        assert!(settings.is_none_or(|all| all.datasets.iter().all(|set| valid_name(&set.name))));
    }
    if let Ok(more) = with_dataset(local, "added", base) {
        assert!(parse(LOCAL_FILE, base, &more).is_ok());
    }
}

#[cfg(test)]
mod tests;

/// The built-in defaults of all that shapes a container.
#[cfg(any(test, fuzzing))]
pub(crate) fn usual() -> Shape {
    let cx = Context { memory: Some(128 << 30), ..Context::default() };
    resolve(&cx, &Flags::default(), &[]).expect("the defaults").shape
}
