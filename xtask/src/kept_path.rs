//! A path in a file of the state folder. An agent can give a file any name, so that a path need not be UTF-8, and what is
//! kept must read back as the very same path.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Borrow;
use std::ffi::OsString;
use std::ops::Deref;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

/// What the text of a path begins with that is not UTF-8. No path has this character.
const ESCAPED: char = '\0';

/// A path that is written as text: as it is where it is UTF-8, and else with its other bytes as `\xNN` and backslashes
/// doubled.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeptPath(PathBuf);

impl KeptPath {
    pub(crate) fn into_path(self) -> PathBuf {
        self.0
    }
}

impl From<PathBuf> for KeptPath {
    fn from(path: PathBuf) -> KeptPath {
        KeptPath(path)
    }
}

impl From<&Path> for KeptPath {
    fn from(path: &Path) -> KeptPath {
        KeptPath(path.to_owned())
    }
}

impl From<&str> for KeptPath {
    fn from(path: &str) -> KeptPath {
        KeptPath(path.into())
    }
}

impl Deref for KeptPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for KeptPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Borrow<Path> for KeptPath {
    fn borrow(&self) -> &Path {
        &self.0
    }
}

impl Serialize for KeptPath {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, to)
    }
}

impl<'de> Deserialize<'de> for KeptPath {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<KeptPath, D::Error> {
        deserialize(from).map(KeptPath)
    }
}

/// For a field that is a path: `#[serde(with = "crate::kept_path")]`.
pub(crate) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    match path.to_str() {
        Some(text) => to.serialize_str(text),
        None => to.serialize_str(&escaped(path)),
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    let text = String::deserialize(from)?;
    let path = match text.strip_prefix(ESCAPED) {
        None => Some(PathBuf::from(&text)),
        Some(escaped) => read(escaped),
    };
    let path = path.filter(|path| !path.as_os_str().as_bytes().contains(&0));
    path.ok_or_else(|| serde::de::Error::custom(format!("`{}` is not a path", crate::text::name(&text))))
}

fn escaped(path: &Path) -> String {
    let mut text = ESCAPED.to_string();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', r"\\"));
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

fn read(escaped: &str) -> Option<PathBuf> {
    let mut bytes = Vec::new();
    let mut rest = escaped;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend(before.as_bytes());
        rest = match after.strip_prefix('\\') {
            Some(after) => {
                bytes.push(b'\\');
                after
            }
            None => {
                let digits = after.strip_prefix('x')?;
                let byte = digits.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
                bytes.push(u8::from_str_radix(byte, 16).ok()?);
                &digits[2..]
            }
        };
    }
    bytes.extend(rest.as_bytes());
    Some(OsString::from_vec(bytes).into())
}

/// For the fuzzer. Every path reads back as it was, and every text that is read is written as one.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let read = |text: String| serde_json::from_str::<KeptPath>(&text);
    let path = KeptPath::from(Path::new(std::ffi::OsStr::from_bytes(bytes)));
    if !bytes.contains(&0) {
        assert_eq!(serde_json::to_string(&path).and_then(read).ok(), Some(path));
    }
    if let Ok(path) = serde_json::from_slice::<KeptPath>(bytes) {
        assert!(!path.as_os_str().as_bytes().contains(&0), "no path has a zero byte");
        assert_eq!(serde_json::to_string(&path).and_then(read).ok(), Some(path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::ffi::OsStr;

    #[test]
    fn every_path_reads_back_as_it_was_also_as_a_key() {
        let odd: [&[u8]; 6] = [b"", b"/a b/\xc3\xa4", b"a\\x41", b"\xff", b"a\\x41/\xff\\\xfe\\", b"\n\xc3(\\\\"];
        let all: BTreeMap<KeptPath, KeptPath> = odd
            .iter()
            .map(|bytes| KeptPath::from(Path::new(OsStr::from_bytes(bytes))))
            .map(|path| (path.clone(), path))
            .collect();
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<BTreeMap<KeptPath, KeptPath>>(&text).unwrap(), all, "{text}");
    }

    #[test]
    fn a_path_that_is_text_is_written_as_before_and_what_is_no_path_is_refused() {
        let text = r#""/a\\x41/ä""#;
        assert_eq!(serde_json::to_string(&KeptPath::from(r"/a\x41/ä")).unwrap(), text);
        assert_eq!(serde_json::from_str::<KeptPath>(text).unwrap(), KeptPath::from(r"/a\x41/ä"));
        for odd in [
            r#""a\u0000b""#, r#""\u0000\\x00""#, r#""\u0000\\x+f""#, r#""\u0000\\""#, r#""\u0000\\y""#,
            r#""\u0000\\xf""#, r#""\u0000\\xäb""#,
        ] {
            assert!(serde_json::from_str::<KeptPath>(odd).is_err(), "{odd}");
        }
    }
}
