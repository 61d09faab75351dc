//! The host's own login, as what it must not go in by: a copy of something else. A symlink of another name, a hard link, a copy
//! in a directory of skills or of rules would hand over the refresh token without a word.

use crate::beneath::FileId;
use crate::outside;
use serde_json::Value;
use std::fs::{self, Metadata};
use std::path::Path;

/// The files of a Codex home that hold logins: of Codex, and of MCP servers.
const FILES: [&str; 2] = ["auth.json", ".credentials.json"];

/// The most bytes of such a file that are looked through for what renews a login.
const MOST_BYTES: u64 = 1 << 20;

/// The key of what renews a login.
const RENEWS: &str = "refresh_token";

/// The fewest bytes of what is looked for in other files.
const LEAST: usize = 8;

/// What a line says of a file that it is.
pub(crate) const WITHHELD: &str =
    "it is a login of this host's Codex, or holds what renews one, which goes in by no copy";

/// It has no `Debug`, because it holds tokens.
#[derive(Clone, Default)]
pub(crate) struct OwnLogin {
    ids: Vec<FileId>,
    refresh_tokens: Vec<String>,
}

impl OwnLogin {
    /// Of a Codex home of the host. Symlinks are followed: the user keeps it elsewhere.
    pub(crate) fn of(home: &Path) -> OwnLogin {
        let mut own = OwnLogin::default();
        for path in FILES.map(|name| home.join(name)) {
            own.ids.extend(fs::metadata(&path).ok().as_ref().filter(|meta| meta.is_file()).map(FileId::from));
            let Ok(bytes) = outside::head(&path, MOST_BYTES) else { continue };
            if let Ok(value) = serde_json::from_slice(&bytes) {
                collect(&value, &mut own.refresh_tokens);
            }
        }
        own
    }

    /// Whether a file is one of them, or has what renews one of them somewhere in it.
    pub(crate) fn is_in(&self, meta: &Metadata, bytes: &[u8]) -> bool {
        self.ids.contains(&FileId::from(meta)) || self.refresh_tokens.iter().any(|token| has(bytes, token))
    }
}

fn has(bytes: &[u8], token: &str) -> bool {
    match str::from_utf8(bytes) {
        Ok(text) => text.contains(token),
        Err(_) => bytes.windows(token.len()).any(|part| part == token.as_bytes()),
    }
}

/// All texts under that key, however deep: the parser bounds the depth.
fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(inner) => inner.iter().for_each(|(key, value)| match value {
            Value::String(text) if key == RENEWS && text.len() >= LEAST => found.push(text.clone()),
            value => collect(value, found),
        }),
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_known_by_its_object_and_by_what_renews_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let is = |own: &OwnLogin, name: &str| own.is_in(&fs::metadata(at(name)).unwrap(), &fs::read(at(name)).unwrap());
        fs::write(at("other"), "{}").unwrap();
        assert!(!is(&OwnLogin::of(dir.path()), "other"), "there is no login");
        fs::write(at("auth.json"), r#"{"tokens": {"refresh_token": "refresh-secret-1"}}"#).unwrap();
        fs::write(at(".credentials.json"), r#"{"s|1": {"refresh_token": "mcp-secret-1"}}"#).unwrap();
        let own = OwnLogin::of(dir.path());
        fs::hard_link(at("auth.json"), at("linked")).unwrap();
        std::os::unix::fs::symlink(at("auth.json"), at("link")).unwrap();
        fs::write(at("copy"), "x refresh-secret-1 y").unwrap();
        fs::write(at("binary"), b"\xff\xferefresh-secret-1").unwrap();
        fs::write(at("mcp"), "mcp-secret-1").unwrap();
        for name in ["auth.json", "linked", "link", "copy", "binary", "mcp"] {
            assert!(is(&own, name), "{name}");
        }
        assert!(!is(&own, "other"));
        // What cannot be parsed is known by its object.
        fs::write(at("auth.json"), "refresh").unwrap();
        assert!(is(&OwnLogin::of(dir.path()), "linked") && !is(&OwnLogin::of(dir.path()), "copy"));
    }
}
