//! The head of an ELF file: for which machine it is, and which program loads it. Only three small pieces are read.

use crate::outside;
use object::elf::{EM_386, EM_AARCH64, EM_ARM, EM_X86_64, FileHeader64, Machine, PN_XNUM, PT_INTERP, ProgramHeader64};
use object::read::ReadCache;
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use object::{LittleEndian, pod};
use std::io::{Error, ErrorKind, Read, Result, Seek};
use std::path::Path;

/// No path on Linux is longer: a file that claims a longer one is damaged.
const PATH_MAX: u64 = 4096;

/// What the head of an ELF file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Elf {
    /// 64-bit and little-endian, as the machines are that NVIDIA makes images for.
    modern: bool,
    machine: Machine,
    /// The program that loads it (`PT_INTERP`); a static program has none.
    pub(super) interpreter: Option<String>,
}

/// Reads the head of a file. `None` where the file is not ELF; an error of kind `InvalidData` where it is a damaged one.
pub(super) fn read(path: &Path) -> Result<Option<Elf>> {
    head(outside::open(path)?)
}

fn head(mut file: impl Read + Seek) -> Result<Option<Elf>> {
    let mut head = Vec::new();
    (&mut file).take(size_of::<FileHeader64<LittleEndian>>() as u64).read_to_end(&mut head)?;
    if !head.starts_with(b"\x7fELF") {
        return Ok(None);
    }
    let (header, _) =
        pod::from_bytes::<FileHeader64<LittleEndian>>(&head).map_err(|()| damaged("its header is cut short"))?;
    // In a 32-bit header the machine stands at the same place.
    let machine = header.e_machine(LittleEndian);
    let modern = header.is_class_64() && header.is_little_endian();
    let interpreter = if modern { interpreter(header, &ReadCache::new(file))? } else { None };
    Ok(Some(Elf { modern, machine, interpreter }))
}

/// `ReadCache` reads no more than the file has, but a sparse file can claim any size: each length that the file states is
/// checked against a bound of ours before anything is read.
fn interpreter(header: &FileHeader64<LittleEndian>, file: &ReadCache<impl Read + Seek>) -> Result<Option<String>> {
    if header.e_phnum(LittleEndian) == PN_XNUM {
        return Err(damaged("it has too many program headers"));
    }
    let sensible = usize::from(header.e_phentsize(LittleEndian)) == size_of::<ProgramHeader64<LittleEndian>>();
    let unreadable =
        |_| damaged(if sensible { "it is cut short" } else { "its program headers have no sensible size" });
    for segment in header.program_headers(LittleEndian, file).map_err(unreadable)? {
        if segment.p_type(LittleEndian) == PT_INTERP && segment.p_filesz(LittleEndian) > PATH_MAX {
            return Err(damaged("the path of its loader is too long"));
        }
        let text = segment.interpreter(LittleEndian, file);
        if let Some(text) = text.map_err(|_| damaged("the path of its loader is cut short"))? {
            return Ok(Some(String::from_utf8_lossy(text).into_owned()));
        }
    }
    Ok(None)
}

fn damaged(why: &str) -> Error {
    Error::new(ErrorKind::InvalidData, why)
}

impl Elf {
    /// Whether this machine's processor can run it; the error is a phrase that says for which machine it is.
    pub(super) fn for_this_machine(&self) -> std::result::Result<(), String> {
        let own = match std::env::consts::ARCH {
            "x86_64" => EM_X86_64,
            "aarch64" => EM_AARCH64,
            other => return Err(format!("a program, and Codex has none for this machine's `{other}`")),
        };
        let name = match (self.modern, self.machine) {
            (true, machine) if machine == own => return Ok(()),
            (true, EM_X86_64) => "x86_64".to_owned(),
            (true, EM_AARCH64) => "aarch64".to_owned(),
            (_, EM_386) => "32-bit x86".to_owned(),
            (_, EM_ARM) => "32-bit arm".to_owned(),
            (_, other) => format!("ELF machine {}", other.0),
        };
        Err(format!("a program for {name}, and this machine is {}", std::env::consts::ARCH))
    }

    /// Whether a Debian-like image can load it: it is static or has glibc's own loader. The error is the loader it needs.
    pub(super) fn loads_in_image(&self) -> std::result::Result<(), &str> {
        match self.interpreter.as_deref() {
            None | Some("/lib64/ld-linux-x86-64.so.2" | "/lib/ld-linux-aarch64.so.1") => Ok(()),
            Some(other) => Err(other),
        }
    }
}

/// For the fuzzer. What is no damaged ELF file is none, or can be judged; no error is of another kind.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    match head(std::io::Cursor::new(bytes)) {
        Ok(None) => assert!(!bytes.starts_with(b"\x7fELF")),
        Ok(Some(elf)) => {
            _ = (elf.for_this_machine(), elf.loads_in_image().map_err(str::len));
            assert!(elf.interpreter.is_none_or(|path| path.len() as u64 <= 3 * PATH_MAX));
        }
        Err(err) => assert_eq!(err.kind(), ErrorKind::InvalidData, "{err}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{OTHER_MACHINE, OWN_MACHINE, elf};
    use super::*;
    use std::fs::File;

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
        // What would have to be read whole to be judged is not read: such a file claims far more than memory has.
        let dir = tempfile::tempdir().unwrap();
        let huge = dir.path().join("huge");
        for (at, claim) in [(56, &0xffff_u16.to_le_bytes()[..]), (64 + 32, &(1_u64 << 41).to_le_bytes())] {
            let mut bytes = whole.clone();
            bytes[40] = 64; // the section header that tells how many program headers there are
            bytes[at..at + claim.len()].copy_from_slice(claim);
            bytes.resize(64 + 128, 0xff);
            std::fs::write(&huge, bytes).unwrap();
            File::options().write(true).open(&huge).unwrap().set_len(1 << 42).unwrap();
            let text = read(&huge).unwrap_err().to_string();
            assert!(text.contains("too many program headers") || text.contains("too long"), "{text}");
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
