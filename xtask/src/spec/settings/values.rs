//! The values of settings, from their texts. Pure.

use crate::error::usage;
use anyhow::Result;

/// Parses a size as Docker does: `32gb`, `512m`, bytes; a unit is a power of 1024.
///
/// # Errors
/// Not a size (exit code 2).
pub(super) fn parse_bytes(text: &str) -> Result<u64> {
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
pub(super) fn parse_number(key: &str, text: &str) -> Result<u64> {
    text.parse::<u64>()
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| usage(format!("`{key}: {text}` is not a number above 0")).into())
}

/// Whether this can be the name of a data set: `[a-z0-9][a-z0-9._-]*`.
pub(crate) fn valid_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    name.starts_with(|c: char| inner(c) && c.is_ascii_alphanumeric()) && name.chars().all(inner)
}

/// Whether a text is the name of a variable.
pub(super) fn is_variable(name: &str) -> bool {
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
}
