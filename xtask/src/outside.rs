//! The one reader of files whose path comes from outside: settings, state, records, and what other programs keep.
//!
//! Whatever lies at the path, the answer comes at once and takes no more memory than the caller allows: a pipe has no writer
//! to wait for, a device such as `/dev/zero` has no end, and opening one can do something. `tests/reads.rs` holds that nothing
//! else reads by a path. Files below a directory that an agent can write are read by `beneath`, which follows no link.

use crate::text;
use std::fs::{File, FileType};
use std::io::{Error, ErrorKind, Read as _, Result};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

/// The most bytes of a file that a person writes, such as `sandbox.yaml` or Codex's `config.toml`.
pub(crate) const WRITTEN: u64 = 1 << 20;

/// The most bytes of a file that this tool keeps.
pub(crate) const STATE: u64 = 64 << 20;

/// Opens a regular file for reading; links are followed. An error of the kind `NotFound` says that nothing at all is there.
pub(crate) fn open(path: &Path) -> Result<File> {
    let meta = path.metadata().map_err(|err| match path.read_link() {
        Ok(to) if err.kind() == ErrorKind::NotFound => {
            odd(format!("it is a link to `{}`, which does not exist", text::path(&to)))
        }
        _ => err,
    })?;
    // Before it is opened, because that can do something to a device.
    regular(meta.file_type())?;
    // Another process can put a pipe in its place meanwhile.
    let flags = rustix::fs::OFlags::NONBLOCK.union(rustix::fs::OFlags::NOCTTY);
    let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    regular(file.metadata()?.file_type())?;
    Ok(file)
}

/// All of a file, unless it has more than so many bytes.
pub(crate) fn bytes(path: &Path, most: u64) -> Result<Vec<u8>> {
    all_of(&open(path)?, most)
}

/// All of a file that is open, unless it has more than so many bytes.
pub(crate) fn all_of(file: &File, most: u64) -> Result<Vec<u8>> {
    let too_large = || Error::new(ErrorKind::FileTooLarge, format!("it has more than {}", text::bytes(most)));
    let length = file.metadata()?.len();
    if length > most {
        return Err(too_large());
    }
    // With room for one byte more, so that its end is seen without a larger buffer: by itself this takes a call for every 32 bytes.
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default().saturating_add(1));
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(too_large()) } else { Ok(bytes) }
}

/// The same as text. Neither what is not UTF-8 nor a NUL, which editors do not show, is part of one.
pub(crate) fn text(path: &Path, most: u64) -> Result<String> {
    let text = String::from_utf8(bytes(path, most)?);
    let text = text.map_err(|_| Error::new(ErrorKind::InvalidData, "it is not text in UTF-8"))?;
    match text.as_bytes().contains(&0).then(|| text.lines().position(|line| line.contains('\0'))).flatten() {
        Some(line) => Err(Error::new(ErrorKind::InvalidData, format!("line {} has a NUL byte", line + 1))),
        None => Ok(text),
    }
}

/// How a file begins: at most so many bytes.
pub(crate) fn head(path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn regular(kind: FileType) -> Result<()> {
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(odd(format!("it is {what} and not a file")))
}

fn odd(why: String) -> Error {
    Error::new(ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_a_regular_file_is_read_and_nothing_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), 0o600.into()).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for (name, to) in [("dangling", "missing"), ("loop", "loop"), ("zero", "/dev/zero"), ("link", "file")] {
            symlink(to, at(name)).unwrap();
        }
        std::fs::write(at("file"), "text").unwrap();
        for (name, why) in [
            (".", "it is a directory and not a file"),
            ("pipe", "it is a pipe and not a file"),
            ("socket", "it is a socket and not a file"),
            ("zero", "it is a device and not a file"),
            ("dangling", "it is a link to `missing`, which does not exist"),
        ] {
            assert_eq!(bytes(&at(name), 10).unwrap_err().to_string(), why, "{name}");
            assert_eq!(head(&at(name), 10).unwrap_err().to_string(), why, "{name}");
        }
        assert!(text(&at("loop"), 10).is_err());
        assert_eq!(text(&at("missing"), 10).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(text(&at("link"), 10).unwrap(), "text");
    }

    #[test]
    fn no_more_is_read_than_the_caller_allows() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        // It takes no room on the disk, and would take all of the memory.
        File::create(&file).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(bytes(&file, WRITTEN).unwrap_err().to_string(), "it has more than 1.0 MiB");
        assert_eq!(head(&file, 3).unwrap(), [0; 3]);
        std::fs::write(&file, "1234").unwrap();
        assert_eq!(text(&file, 4).unwrap(), "1234");
        assert_eq!(text(&file, 3).unwrap_err().to_string(), "it has more than 3 B");
        // The size of a file of the kernel's is told as 0.
        assert!(bytes(Path::new("/proc/self/status"), 3).is_err());
    }

    #[test]
    fn what_is_no_text_is_not_taken_for_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        for (bytes, why) in [(&b"a\xff"[..], "it is not text in UTF-8"), (b"a\n\0b", "line 2 has a NUL byte")] {
            std::fs::write(&file, bytes).unwrap();
            assert_eq!(text(&file, 10).unwrap_err().to_string(), why);
        }
    }
}
