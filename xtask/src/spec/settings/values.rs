//! The names that settings may have in them. Pure.

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
