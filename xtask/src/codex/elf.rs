//! The head of an ELF file: for which machine it is, and who loads it. Reads three small pieces of the file.
//!
//! A parser of our own: sixty lines, of which we need five fields, against a crate in every clean build.

use std::fs::File;
use std::io::{Error, ErrorKind, Read as _, Result, Seek as _, SeekFrom};
use std::path::Path;

const PT_INTERP: u32 = 3;
/// No Linux path is longer; what claims to be is damaged.
const PATH_MAX: u64 = 4096;

/// What the head of an ELF file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    /// 64-bit and little-endian, as the machines that NVIDIA's images are made for.
    pub modern: bool,
    /// `e_machine`: 62 is x86-64, 183 is AArch64.
    pub machine: u16,
    /// The program that loads it (`PT_INTERP`); a static program has none.
    pub interpreter: Option<String>,
}

/// Reads the head of a file. `None` where it is not ELF at all; an error of kind `InvalidData` where it is a damaged one.
pub fn read(path: &Path) -> Result<Option<Elf>> {
    let mut file = File::open(path)?;
    let mut head = Vec::new();
    (&mut file).take(64).read_to_end(&mut head)?;
    if !head.starts_with(b"\x7fELF") {
        return Ok(None);
    }
    if head.len() < 64 {
        return Err(damaged("its header is cut short"));
    }
    let mut elf = Elf { modern: head[4] == 2 && head[5] == 1, machine: number(&head, 18, 2) as u16, interpreter: None };
    if !elf.modern {
        return Ok(Some(elf));
    }
    let (table, size, count) = (number(&head, 32, 8), number(&head, 54, 2), number(&head, 56, 2));
    if count > 0 && !(56..=1024).contains(&size) {
        return Err(damaged("its program headers have no sensible size"));
    }
    let headers = piece(&mut file, table, size * count)?;
    for header in headers.chunks_exact(size.max(56) as usize) {
        if number(header, 0, 4) as u32 == PT_INTERP {
            let length = number(header, 32, 8);
            if length > PATH_MAX {
                return Err(damaged("the path of its loader is too long"));
            }
            let text = piece(&mut file, number(header, 8, 8), length)?;
            let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
            elf.interpreter = Some(String::from_utf8_lossy(text).into_owned());
            break;
        }
    }
    Ok(Some(elf))
}

/// A little-endian number of up to 8 bytes. The caller has made sure that they are there.
fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    let bytes = bytes.get(at..at + length).unwrap_or_default();
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// Exactly `length` bytes of the file. No memory is set aside for more than the file has.
fn piece(file: &mut File, at: u64, length: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(at)).map_err(|_| damaged("it points outside of itself"))?;
    file.take(length).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < length {
        return Err(damaged("it is cut short"));
    }
    Ok(bytes)
}

fn damaged(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

impl Elf {
    /// Whether this machine's processor can run it, or else for what it is, as a phrase.
    pub fn for_this_machine(&self) -> std::result::Result<(), String> {
        let own = match std::env::consts::ARCH {
            "x86_64" => 62,
            "aarch64" => 183,
            other => return Err(format!("a program, and Codex has none for this machine's `{other}`")),
        };
        if self.modern && self.machine == own {
            return Ok(());
        }
        let name = match (self.modern, self.machine) {
            (true, 62) => "x86_64".to_owned(),
            (true, 183) => "aarch64".to_owned(),
            (_, 3) => "32-bit x86".to_owned(),
            (_, 40) => "32-bit arm".to_owned(),
            (_, other) => format!("ELF machine {other}"),
        };
        Err(format!("a program for {name}, and this machine is {}", std::env::consts::ARCH))
    }

    /// Whether a Debian-like image can load it: static, or by glibc's own loader. Otherwise the loader that it wants.
    pub fn loads_in_image(&self) -> std::result::Result<(), &str> {
        match self.interpreter.as_deref() {
            None | Some("/lib64/ld-linux-x86-64.so.2" | "/lib/ld-linux-aarch64.so.1") => Ok(()),
            Some(other) => Err(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{OTHER_MACHINE, OWN_MACHINE, elf};
    use super::*;

    fn parse(bytes: &[u8]) -> Result<Option<Elf>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        read(&path)
    }

    #[test]
    fn static_dynamic_and_foreign_programs_are_told_apart() {
        let own = parse(&elf(OWN_MACHINE, None)).unwrap().unwrap();
        assert_eq!((own.for_this_machine(), own.loads_in_image()), (Ok(()), Ok(())));
        let glibc = parse(&elf(OWN_MACHINE, Some("/lib64/ld-linux-x86-64.so.2"))).unwrap().unwrap();
        assert_eq!(glibc.interpreter.as_deref(), Some("/lib64/ld-linux-x86-64.so.2"));
        assert_eq!(glibc.loads_in_image(), Ok(()));
        let nix = parse(&elf(OWN_MACHINE, Some("/nix/store/abc/ld.so"))).unwrap().unwrap();
        assert_eq!(nix.loads_in_image(), Err("/nix/store/abc/ld.so"));
        let other = parse(&elf(OTHER_MACHINE, None)).unwrap().unwrap();
        assert!(other.for_this_machine().is_err());
    }

    #[test]
    fn damaged_files_are_errors_and_never_a_panic() {
        for text in [&b""[..], b"#!/bin/sh\n", b"\x7fEL"] {
            assert_eq!(parse(text).unwrap(), None);
        }
        let whole = elf(OWN_MACHINE, Some("/lib64/ld-linux-x86-64.so.2"));
        for length in 4..whole.len() {
            assert_eq!(parse(&whole[..length]).unwrap_err().kind(), ErrorKind::InvalidData, "{length}");
        }
        // Every byte of the header and the program header, at its extremes.
        for at in 4..120 {
            for value in [0, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let _ = parse(&bytes);
            }
        }
    }
}
