//! Codex for the tests: a stand-in of a few hundred bytes for the default tier, the real one for the engine tier.

use crate::support::place::Place;
use crate::support::{engine, proc};
use std::path::{Path, PathBuf};
use xtask::codex::pinned;

/// The version of the real Codex, pinned.
pub(crate) use xtask::codex::pinned::VERSION;

/// Puts a package in the layout of Codex into the place, whose programs only say a version.
pub(crate) fn stand_in_package(place: &Place, version: &str) -> PathBuf {
    let program = place.write("codex-package/bin/codex", static_elf(&format!("codex-cli {version}\n")));
    let host = place.write("codex-package/bin/codex-code-mode-host", static_elf(""));
    let json = format!("{{\"layoutVersion\": 1, \"version\": \"{version}\"}}\n");
    place.write("codex-package/codex-package.json", json);
    for file in [&program, &host] {
        proc::output("chmod", [Path::new("755"), file]);
    }
    place.path("codex-package")
}

/// The same, with a link to it on PATH.
pub(crate) fn stand_in(place: &Place, version: &str) {
    let program = stand_in_package(place, version).join("bin/codex");
    std::os::unix::fs::symlink(program, place.path("bin/codex")).expect("a link to the stand-in");
}

/// The installation of the real Codex, from npm, made once for all tests; the demo makes its own in the same way.
fn installation() -> PathBuf {
    let dir = engine::tools().join(format!("codex-{VERSION}"));
    engine::once("codex", || {
        let ca = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        pinned::ensure(&dir, ca.as_deref()).expect("the pinned Codex");
    });
    dir
}

/// The directory that holds the launcher of the real Codex.
pub(crate) fn real() -> PathBuf {
    pinned::bin(&installation())
}

/// The directory that holds the launcher of another version of the real Codex, from npm, for what differs by version.
pub(crate) fn real_of(version: &str) -> PathBuf {
    let dir = engine::tools().join(format!("codex-{version}"));
    engine::once(&format!("codex-{version}"), || {
        if pinned::bin(&dir).join("codex").exists() {
            return;
        }
        let half = dir.with_extension("half");
        let _ = std::fs::remove_dir_all(&half);
        std::fs::create_dir_all(&half).expect("a directory for Codex");
        let package = format!("@openai/codex@{version}");
        let prefix = half.display().to_string();
        let quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--prefix"];
        let words = ["install"].into_iter().chain(quiet).chain([prefix.as_str(), package.as_str()]);
        let mut npm = std::process::Command::new(proc::find("npm"));
        if let Some(ca) = std::env::var_os("SSL_CERT_FILE") {
            npm.env("NODE_EXTRA_CA_CERTS", ca);
        }
        let said = npm.args(words).output().expect("npm");
        assert!(said.status.success(), "npm: {}", String::from_utf8_lossy(&said.stderr));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::rename(&half, &dir).expect("Codex in its place");
    });
    pinned::bin(&dir)
}

/// The real Codex where the owner of the place can reach it.
pub(crate) fn real_for(place: &Place) -> PathBuf {
    if place.owner.is_none() {
        return real();
    }
    let copy = place.path("codex");
    proc::copy(&installation(), &copy);
    pinned::bin(&copy)
}

/// A static program for this machine that writes a text to standard output and ends with 0: an ELF header, one
/// segment, and two system calls.
fn static_elf(text: &str) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let (machine, code) = machine_code(text.len() as u32);
    let size = HEADERS + (code.len() + text.len()) as u64;
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let half = |elf: &mut Vec<u8>, value: u16| elf.extend(value.to_le_bytes());
    let word = |elf: &mut Vec<u8>, value: u32| elf.extend(value.to_le_bytes());
    let long = |elf: &mut Vec<u8>, value: u64| elf.extend(value.to_le_bytes());
    half(&mut elf, 2); // ET_EXEC
    half(&mut elf, machine);
    word(&mut elf, 1);
    long(&mut elf, BASE + HEADERS); // entry
    long(&mut elf, 64); // program headers
    long(&mut elf, 0); // no sections
    word(&mut elf, 0);
    for value in [64, 56, 1, 0, 0, 0] {
        half(&mut elf, value);
    }
    word(&mut elf, 1); // PT_LOAD
    word(&mut elf, 5); // readable, executable
    for value in [0, BASE, BASE, size, size, 0x1000] {
        long(&mut elf, value);
    }
    elf.extend(code);
    elf.extend(text.as_bytes());
    elf
}

/// `write(1, text behind the code, len); exit(0)` and the ELF number of the machine.
fn machine_code(len: u32) -> (u16, Vec<u8>) {
    if cfg!(target_arch = "aarch64") {
        let movz = |register: u32, value: u32| 0xd280_0000 | (value << 5) | register;
        // `adr` counts from itself: the third of eight words, so the text is six words on.
        let adr = 0x1000_0000 | (6 << 5) | 1;
        let svc = 0xd400_0001;
        let words = [movz(8, 64), movz(0, 1), adr, movz(2, len), svc, movz(8, 93), movz(0, 0), svc];
        return (183, words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect());
    }
    let mut code = vec![0xb8, 1, 0, 0, 0, 0xbf, 1, 0, 0, 0]; // eax = write, edi = stdout
    code.extend([0x48, 0x8d, 0x35, 16, 0, 0, 0]); // rsi = the text, 16 bytes behind this instruction
    code.push(0xba); // edx = len
    code.extend(len.to_le_bytes());
    code.extend([0x0f, 0x05, 0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05]); // syscall; eax = exit, edi = 0; syscall
    (62, code)
}

#[test]
fn the_stand_in_says_its_version() {
    let place = Place::new();
    stand_in(&place, "1.2.3");
    assert_eq!(proc::output(place.path("bin/codex"), ["--version"]), "codex-cli 1.2.3\n");
}
