//! Whose a thing of the engine is. An engine is one for all users of a host, and may be one for several hosts: a name can be
//! anybody's, so that what is used or removed is known by its labels. Pure.

use std::path::PathBuf;

/// The label with the user id of the owner.
pub(crate) const USER: &str = "codex-sandbox.user";

/// The label of a smoke test's container: the directory that its call has locked, as long as it goes on.
pub(crate) const SMOKE: &str = "codex-sandbox.smoke";

/// The label with the time (seconds since 1970) until which that call can go on.
pub(crate) const UNTIL: &str = "codex-sandbox.until";

/// A container of a smoke test, by a line of the engine's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Smoke {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) until: Option<u64>,
    pub(crate) dir: PathBuf,
}

impl Smoke {
    /// The format of a line that is read here.
    pub(crate) fn format() -> String {
        format!("{{{{.ID}}}}\t{{{{.Names}}}}\t{{{{.Label \"{UNTIL}\"}}}}\t{{{{.Label \"{SMOKE}\"}}}}")
    }

    pub(crate) fn read(line: &str) -> Option<Smoke> {
        let [id, name, until, dir] = line.splitn(4, '\t').collect::<Vec<_>>()[..] else { return None };
        let dir = PathBuf::from(dir);
        let smoke = Smoke { id: id.to_owned(), name: name.to_owned(), until: until.parse().ok(), dir };
        (!id.is_empty() && smoke.dir.is_absolute()).then_some(smoke)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_names_no_directory_is_no_smoke_test() {
        let smoke = Smoke::read("0a\tn\t17\t/r/target/sandbox/a\tb").unwrap();
        assert_eq!((smoke.until, smoke.dir), (Some(17), PathBuf::from("/r/target/sandbox/a\tb")));
        assert_eq!(Smoke::read("0a\tn\t\t/r").unwrap().until, None);
        for odd in ["", "0a", "0a\tn\t17\t", "0a\tn\t17\trelative", "\tn\t17\t/r"] {
            assert_eq!(Smoke::read(odd), None, "{odd:?}");
        }
    }
}
