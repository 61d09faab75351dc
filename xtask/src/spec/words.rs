//! The words of the settings and of the command line. Each list is an enum, whose variants name the words once: clap's
//! derive gives them to the resolver, its error texts, the completions and the schema, and serde's to what is kept.

use crate::error::{Failure, usage};
use clap::ValueEnum;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// How the host's Codex home reaches the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A private home that starts with the host's configuration. The default.
    Mirror,
    /// The host's own home, for reading and writing: the container can then run code on the host.
    Shared,
    /// A private home with nothing of the host in it.
    None,
}

/// Which login of the host's a mirrored home gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Login {
    /// An access token alone, which the host's Codex renews. The default.
    Lease,
    /// All of it, with the refresh token.
    Full,
    /// None.
    None,
}

/// A cache that outlives the container. Its word is the name of its directory in `~/.cache`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cache {
    /// Models and data sets of Hugging Face.
    Huggingface,
    /// Weights that PyTorch has fetched.
    Torch,
    /// Packages of pip.
    Pip,
    /// Packages of uv.
    Uv,
}

impl Cache {
    /// The variable that tells its tool the directory.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Cache::Huggingface => "HF_HOME",
            Cache::Torch => "TORCH_HOME",
            Cache::Pip => "PIP_CACHE_DIR",
            Cache::Uv => "UV_CACHE_DIR",
        }
    }
}

/// Which GPUs a sandbox gets.
#[derive(Debug, Clone, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Gpus {
    /// Every GPU of the host.
    All,
    /// None, by the user's choice.
    None,
    /// These, by index or UUID.
    #[value(skip)]
    Ids(Vec<String>),
}

impl std::fmt::Display for Gpus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Gpus::All | Gpus::None => f.write_str(&word(self).unwrap_or_default()),
            Gpus::Ids(ids) => f.write_str(&ids.join(",")),
        }
    }
}

impl From<Gpus> for String {
    fn from(gpus: Gpus) -> String {
        gpus.to_string()
    }
}

impl TryFrom<String> for Gpus {
    type Error = Failure;

    fn try_from(text: String) -> Result<Gpus, Failure> {
        text.parse()
    }
}

const GPU_IDS: &str = "use `all`, `none`, or ids as `nvidia-smi -L` shows them: `0,1` or `GPU-<uuid>`";

impl FromStr for Gpus {
    type Err = Failure;

    /// Parses `all`, `none` or a list of GPU ids.
    ///
    /// # Errors
    /// An empty list, an id with characters that no id has, or a word that is no id (exit code 2).
    fn from_str(text: &str) -> Result<Gpus, Failure> {
        if let Some(gpus) = parse(text) {
            return Ok(gpus);
        }
        let ids: Vec<String> = text.split(',').map(|id| id.trim().to_owned()).collect();
        // An id is an index, a UUID (`GPU-…`, `MIG-…`) or a device's name with a number in it: a mere word is misspelt.
        let word = |id: &&String| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphabetic());
        if let Some(word) = ids.iter().find(word) {
            let failure = usage(format!("`{word}` is neither `all` nor `none` nor the id of a GPU"));
            return Err(match nearest(word, &["all", "none"]) {
                Some(near) if ids.len() > 1 => failure.hint(format!("`{near}` stands alone")),
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure.hint(GPU_IDS),
            });
        }
        let plain = |id: &String| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || "-:/.".contains(c));
        if ids.iter().all(plain) {
            Ok(Gpus::Ids(ids))
        } else {
            Err(usage(format!("`{text}` names no GPUs")).hint(GPU_IDS))
        }
    }
}

/// How GPUs are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GpuRoute {
    /// `deploy.resources.reservations.devices` with `driver: nvidia`.
    Nvidia,
    /// The same with `driver: cdi` and CDI device names.
    Cdi,
}

/// Which network a sandbox gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// The engine's bridge network.
    Open,
    /// Loopback only.
    None,
}

/// Which sandboxes of a user read what one of them left in a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheSharing {
    /// Those with the same network; of one that secrets are handed to beside a lease, its own workspace alone.
    Network,
    /// Those of the same workspace with the same network.
    Workspace,
    /// All of them.
    All,
}

/// What happens at the next entry to the memories that Codex keeps of its sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Memories {
    /// They are removed: Codex obeys what an agent may have written there.
    Drop,
    /// They are kept.
    Keep,
}

/// What becomes of the secrets that the configuration of Codex holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigSecrets {
    /// They go in: Codex needs them.
    #[default]
    Pass,
    /// They are left out.
    Drop,
}

/// A secret that goes in beside a lease and what `env` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Handed {
    /// The whole login of the host.
    FullLogin,
    /// An API key, in the place of a login.
    ApiKey,
    /// Secrets that the configuration of Codex holds.
    Configuration,
    /// A login of the sandbox's own.
    OwnLogin,
    /// A password in the address of a proxy.
    Proxy,
}

/// What happens to the processes that ended sessions have left running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Leftovers {
    /// They go on.
    Keep,
    /// They are ended.
    End,
}

/// What happens to what has changed and acts by itself on this host, such as `.envrc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnChange {
    /// It stays as it is.
    Keep,
    /// What was there before is put back, and what took its place is renamed.
    Restore,
    /// What is new or changed is renamed, so that no tool obeys it.
    Aside,
}

/// The nearest of some names, if it is near.
pub(crate) fn nearest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    names
        .iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), *candidate))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// The words of an enum, in the order of its variants.
pub fn words<T: ValueEnum>() -> Vec<String> {
    T::value_variants().iter().filter_map(word).collect()
}

/// The word of a variant; a variant that holds more than a word has none.
pub(crate) fn word<T: ValueEnum>(value: &T) -> Option<String> {
    value.to_possible_value().map(|value| value.get_name().to_owned())
}

/// The variant of a word, as it is spelt.
pub(crate) fn parse<T: ValueEnum>(word: &str) -> Option<T> {
    T::from_str(word, false).ok()
}

/// Completes a flag that takes one of the words.
pub(crate) fn completer<T: ValueEnum>() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &std::ffi::OsStr| {
        let current = current.to_string_lossy();
        let fits = words::<T>().into_iter().filter(|word| word.starts_with(&*current));
        fits.map(CompletionCandidate::new).collect()
    })
}

/// The text of each enum is its word.
macro_rules! display {
    ($($name:ty),+) => {$(
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&$crate::spec::words::word(self).unwrap_or_default())
            }
        }
    )+};
}

pub(crate) use display;

display!(Mode, Login, Cache, Network, CacheSharing, ConfigSecrets, Handed);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::settings::Memlock;

    fn as_clap<T: ValueEnum + Serialize>() {
        for value in T::value_variants() {
            assert_eq!(serde_json::json!(value), serde_json::json!(word(value)));
        }
    }

    #[test]
    fn what_is_kept_is_spelt_as_what_is_typed() {
        as_clap::<Mode>();
        as_clap::<Login>();
        as_clap::<Cache>();
        as_clap::<Network>();
        as_clap::<Memlock>();
        as_clap::<CacheSharing>();
        as_clap::<Memories>();
        as_clap::<ConfigSecrets>();
        as_clap::<Handed>();
        assert_eq!(words::<Network>(), ["open", "none"]);
        assert_eq!(words::<Cache>(), ["huggingface", "torch", "pip", "uv"]);
        assert_eq!(words::<Gpus>(), ["all", "none"]);
        assert_eq!(serde_json::json!([GpuRoute::Nvidia, GpuRoute::Cdi]), serde_json::json!(["nvidia", "cdi"]));
        assert_eq!(parse::<Network>("None"), None);
    }

    #[test]
    fn a_misspelt_word_is_no_id_of_a_gpu() {
        let error = |text: &str| crate::error::render(&text.parse::<Gpus>().unwrap_err().into());
        for (text, near) in [("nnoe", "`none`"), ("al", "`all`"), ("None", "`none`"), ("alll", "`all`")] {
            assert!(error(text).ends_with(&format!("did you mean {near}?\n")), "{}", error(text));
        }
        assert!(error("0,all").contains("`all` stands alone"), "{}", error("0,all"));
        assert!(error("both").contains("ids as `nvidia-smi -L` shows them"));
        for ids in ["0", "0,1", "GPU-aaaa", "MIG-abc,1:0", "gpu0"] {
            assert!(matches!(ids.parse(), Ok(Gpus::Ids(_))), "{ids}");
        }
    }
}
