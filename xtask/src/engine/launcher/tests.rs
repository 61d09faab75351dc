use super::*;
use crate::exec::{self, Output};
use crate::step::Command;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

const BOTH: Denials = Denials { setuid: true, tracing: true };

/// Starts a program by the launcher of this machine.
fn launched(denials: Denials, program: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("launcher");
    exec::write_file(&file, &executable(Machine::here().unwrap(), denials), MODE).unwrap();
    let command = Command::new(file.to_str().unwrap()).args(program.iter().copied()).dir(dir.path());
    exec::capture(&command).unwrap()
}

/// What a few lines of Python print under the filter.
fn python(denials: Denials, lines: &str) -> String {
    let said = launched(denials, &["/usr/bin/env", "python3", "-I", "-c", lines]);
    assert!(said.ok(), "{}", said.stderr);
    said.stdout
}

#[test]
fn it_becomes_the_program_with_its_arguments_and_environment() {
    let said = launched(BOTH, &["/bin/sh", "-c", "echo \"$0-$1-${PATH:+path}\"; exit 7", "a b", "c"]);
    assert_eq!((said.stdout.as_str(), said.code), ("a b-c-path\n", 7));
}

#[test]
fn it_says_what_it_could_not_do() {
    for program in [&["/no/such/program"][..], &[]] {
        let said = launched(BOTH, program);
        assert_eq!((said.code, said.stderr.as_bytes()), (127, NO_PROGRAM));
    }
}

/// What each call answers, by its name: the kernel's own word, with the filter in force.
const TRIED: &str = r#"
import ctypes, errno, os, platform
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def said(name, function):
    try:
        function()
        print(name, "done")
    except OSError as err:
        print(name, errno.errorcode[err.errno])
def call(number, *args):
    if libc.syscall(ctypes.c_long(number), *args) < 0:
        raise OSError(ctypes.get_errno(), "")
open("file", "w").close()
said("chmod", lambda: os.chmod("file", 0o4755))
said("chmod-plain", lambda: os.chmod("file", 0o755))
said("fchmod", lambda: os.fchmod(os.open("file", os.O_RDWR), 0o2755))
said("create", lambda: os.open("new", os.O_CREAT | os.O_WRONLY, 0o4755))
said("create-plain", lambda: os.open("new", os.O_CREAT | os.O_WRONLY, 0o755))
said("tmpfile", lambda: os.open(".", os.O_TMPFILE | os.O_WRONLY, 0o4755))
said("mknod", lambda: os.mknod("node", 0o104755))
said("mkdir", lambda: os.mkdir("folder", 0o7755))
said("openat2", lambda: call(437, -1, None, None, 0))
said("ptrace", lambda: call(101 if platform.machine() == "x86_64" else 117, 0, 0, None, None))
print("folder", oct(os.stat("folder").st_mode & 0o7777))
"#;

#[test]
fn the_kernel_does_what_the_filter_says() {
    let setuid = python(Denials { setuid: true, tracing: false }, TRIED);
    let expected = "chmod EPERM\nchmod-plain done\nfchmod EPERM\ncreate EPERM\ncreate-plain done\ntmpfile EPERM\nmknod EPERM\n\
                    mkdir done\nopenat2 ENOSYS\nptrace done\nfolder 0o1755\n";
    assert_eq!(setuid, expected);
    let tracing = python(Denials { setuid: false, tracing: true }, TRIED);
    let expected = "chmod done\nchmod-plain done\nfchmod done\ncreate done\ncreate-plain done\ntmpfile done\nmknod done\n\
                    mkdir done\nopenat2 EINVAL\nptrace EPERM\nfolder 0o1755\n";
    assert_eq!(tracing, expected);
}

#[test]
fn the_filter_is_one_more_and_stays_with_whatever_is_started() {
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let count = |status: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:"));
        line.map(|text| text.trim().parse::<u32>().unwrap())
    };
    let said = launched(BOTH, &["/bin/sh", "-c", "sh -c 'cat /proc/self/status'"]).stdout;
    assert_eq!(count(&said), count(&own).map(|count| count + 1));
    assert!(said.contains("NoNewPrivs:\t1\n") && said.contains("Seccomp:\t2\n"), "{said}");
}

/// Each has the same layout; of the one that cannot run here, the places that its code names are held against it.
#[test]
fn the_code_of_both_machines_names_its_filter_and_its_texts() {
    for machine in [Machine::X86_64, Machine::Aarch64] {
        let file = executable(machine, BOTH);
        let at = |address: i64| &file[usize::try_from(address).unwrap()..];
        let start = HEADERS + SOCK_FPROG;
        let code = machine.code();
        let named: Vec<i64> = match machine {
            // `lea`, relative to the next instruction.
            Machine::X86_64 => (0..code.len() - 7)
                .filter(|n| code[*n] == 0x48 && code[n + 1] == 0x8D && code[n + 2] & 0xC7 == 0x05)
                .map(|n| (start + n + 7) as i64 + i64::from(i32::from_le_bytes(code[n + 3..n + 7].try_into().unwrap())))
                .collect(),
            // `adr`: 21 bits with a sign, relative to itself.
            Machine::Aarch64 => (0..code.len())
                .step_by(4)
                .map(|n| (n, u32::from_le_bytes(code[n..n + 4].try_into().unwrap())))
                .filter(|(_, word)| word & 0x9F00_0000 == 0x1000_0000)
                .map(|(n, word)| {
                    let distance = (word >> 5 & 0x7_FFFF) << 2 | word >> 29 & 3;
                    (start + n) as i64 + i64::from((distance << 11).cast_signed() >> 11)
                })
                .collect(),
        };
        assert_eq!(named.len(), 3, "{machine:?}");
        assert_eq!(named[0], HEADERS as i64);
        assert!(at(named[1]).starts_with(NO_PROGRAM) && at(named[2]).starts_with(NO_FILTER), "{machine:?}");
        let number = |from: usize| u64::from_le_bytes(file[from..from + 8].try_into().unwrap());
        assert_eq!(number(HEADERS) * 8 + (number(HEADERS + 8) - BASE), file.len() as u64);
        assert_eq!(number(24), BASE + start as u64, "the entry");
        assert_eq!(code.len() % 8, 0);
    }
}

#[test]
fn its_file_can_be_started_and_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("launcher");
    exec::write_file(&file, &executable(Machine::here().unwrap(), BOTH), MODE).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o111);
}
