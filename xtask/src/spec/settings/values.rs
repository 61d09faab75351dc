//! The values of settings, from their texts. Pure.

use crate::error::usage;
use crate::spec::words::{self, Gpus};
use anyhow::Result;

/// The nearest of some names, if it is near.
pub fn nearest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    names
        .iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), *candidate))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Parses `all`, `none` or a list of GPU ids.
///
/// # Errors
/// An empty list, an id with characters that no id has, or a word that is no id (exit code 2).
pub fn parse_gpus(text: &str) -> Result<Gpus> {
    if let Some(gpus) = words::parse(text) {
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
        }
        .into());
    }
    let plain = |id: &String| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || "-:/.".contains(c));
    if ids.iter().all(plain) {
        Ok(Gpus::Ids(ids))
    } else {
        Err(usage(format!("`{text}` names no GPUs")).hint(GPU_IDS).into())
    }
}

const GPU_IDS: &str = "use `all`, `none`, or ids as `nvidia-smi -L` shows them: `0,1` or `GPU-<uuid>`";

/// Parses a size as Docker does: `32gb`, `512m`, bytes; a unit is a power of 1024.
///
/// # Errors
/// Not a size (exit code 2).
pub fn parse_bytes(text: &str) -> Result<u64> {
    let lower = text.trim().to_lowercase();
    let digits: String = lower.chars().take_while(char::is_ascii_digit).collect();
    let factor: Option<u64> = match lower[digits.len()..].trim() {
        "" | "b" => Some(1),
        "k" | "kb" => Some(1 << 10),
        "m" | "mb" => Some(1 << 20),
        "g" | "gb" => Some(1 << 30),
        "t" | "tb" => Some(1 << 40),
        _ => None,
    };
    let bytes = digits.parse::<u64>().ok().zip(factor).and_then(|(n, factor)| n.checked_mul(factor));
    bytes
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| usage(format!("`{text}` is not a size")).hint("write it as Docker does: `32gb`, `512m`").into())
}

/// Parses a whole number above 0.
///
/// # Errors
/// Not one (exit code 2).
pub fn parse_number(key: &str, text: &str) -> Result<u64> {
    text.parse::<u64>()
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| usage(format!("`{key}: {text}` is not a number above 0")).into())
}

/// Whether a text is the name of a variable.
pub fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_docker_reads_them() {
        assert_eq!(parse_bytes("32gb").unwrap(), 32 << 30);
        assert_eq!(parse_bytes("64M").unwrap(), 64 << 20);
        assert!(parse_bytes("0").is_err() && parse_bytes("-1g").is_err() && parse_bytes("99999999999t").is_err());
    }

    #[test]
    fn a_misspelt_word_is_no_id_of_a_gpu() {
        let error = |text: &str| crate::error::render(&parse_gpus(text).unwrap_err());
        for (text, near) in [("nnoe", "`none`"), ("al", "`all`"), ("None", "`none`"), ("alll", "`all`")] {
            assert!(error(text).ends_with(&format!("did you mean {near}?\n")), "{}", error(text));
        }
        assert!(error("0,all").contains("`all` stands alone"), "{}", error("0,all"));
        assert!(error("both").contains("ids as `nvidia-smi -L` shows them"));
        for ids in ["0", "0,1", "GPU-aaaa", "MIG-abc,1:0", "gpu0"] {
            assert!(matches!(parse_gpus(ids), Ok(Gpus::Ids(_))), "{ids}");
        }
    }
}
