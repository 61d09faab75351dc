//! The words of the settings and of the command line. Each list is an enum, whose variants name the words once: clap's
//! derive gives them to the resolver, its error texts, the completions and the schema, and serde's to what is kept.

use clap::ValueEnum;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use serde::{Deserialize, Serialize};

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
                f.write_str(&$crate::spec::settings::words::word(self).unwrap_or_default())
            }
        }
    )+};
}

display!(Mode, Cache, crate::spec::promise::Network, crate::spec::promise::Memlock);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::promise::{GpuRoute, Gpus, Memlock, Network};

    fn as_clap<T: ValueEnum + Serialize>() {
        for value in T::value_variants() {
            assert_eq!(serde_json::json!(value), serde_json::json!(word(value)));
        }
    }

    #[test]
    fn what_is_kept_is_spelt_as_what_is_typed() {
        as_clap::<Mode>();
        as_clap::<Cache>();
        as_clap::<Network>();
        as_clap::<Memlock>();
        assert_eq!(words::<Network>(), ["open", "none"]);
        assert_eq!(words::<Cache>(), ["huggingface", "torch", "pip", "uv"]);
        assert_eq!(words::<Gpus>(), ["all", "none"]);
        assert_eq!(serde_json::json!([GpuRoute::Nvidia, GpuRoute::Cdi]), serde_json::json!(["nvidia", "cdi"]));
        assert_eq!(parse::<Network>("None"), None);
    }
}
