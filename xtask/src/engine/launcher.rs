//! The program that sets the filter of system calls inside and then becomes the program that it is given, such as Codex:
//! a static executable of a few hundred bytes, which this tool writes itself. Pure.
//!
//! Between its start and the moment at which the filter is in force, a process that an earlier session left running could
//! trace it, as both run as the same user and group, and be free of the filter by it. Therefore its file may be started and
//! not read (mode 0111, on a read-only mount): the kernel lets nobody without a capability look into a process whose
//! program its user may not read. An interpreter of the image cannot do this, because it must be readable, and for root
//! inside it would be the agent's own file besides.

mod calls;
mod filter;

use crate::error::{Failure, host};
use crate::spec::denials::Denials;

/// The mode of its file: see above.
pub(crate) const MODE: u32 = 0o111;

/// The machines for which there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Machine {
    X86_64,
    Aarch64,
}

impl Machine {
    /// This host's.
    ///
    /// # Errors
    /// It is another one.
    pub(crate) fn here() -> Result<Machine, Failure> {
        match std::env::consts::ARCH {
            "x86_64" => Ok(Machine::X86_64),
            "aarch64" => Ok(Machine::Aarch64),
            other => {
                Err(host(format!("the filter of system calls for sessions is not known for the machine `{other}`"))
                    .hint("use x86_64 or aarch64; as an ordinary user with `ptrace: allow` no filter is needed"))
            }
        }
    }

    /// `e_machine` of an ELF file.
    fn elf(self) -> u16 {
        match self {
            Machine::X86_64 => 62,
            Machine::Aarch64 => 183,
        }
    }

    fn code(self) -> &'static [u8] {
        match self {
            Machine::X86_64 => X86_64,
            Machine::Aarch64 => AARCH64,
        }
    }
}

/// Where the file is loaded.
const BASE: u64 = 0x40_0000;
/// An ELF header and two program headers.
const HEADERS: usize = 64 + 2 * 56;
/// `struct sock_fprog`: the length and the address of the filter. The code follows.
const SOCK_FPROG: usize = 16;

/// What it says where the kernel does not take the filter; it ends with 126.
const NO_FILTER: &[u8] = b"sandbox: the filter of system calls cannot be set\n";
/// What it says where the program does not start; it ends with 127.
const NO_PROGRAM: &[u8] = b"sandbox: the program cannot be started\n";

/// `prctl(PR_SET_NO_NEW_PRIVS, 1)`, `seccomp(SECCOMP_SET_MODE_FILTER, 0, sock_fprog)`, `execve(argv[1], argv + 1, envp)`;
/// where one of them fails, `write` and `exit_group`. The two texts follow the code at once.
#[rustfmt::skip]
const X86_64: &[u8] = &[
    0x49, 0x89, 0xE4, // mov r12, rsp
    0xBF, 0x26, 0x00, 0x00, 0x00, // mov edi, PR_SET_NO_NEW_PRIVS
    0xBE, 0x01, 0x00, 0x00, 0x00, // mov esi, 0x1
    0x31, 0xD2, // xor edx, edx
    0x45, 0x31, 0xD2, // xor r10d, r10d
    0x45, 0x31, 0xC0, // xor r8d, r8d
    0xB8, 0x9D, 0x00, 0x00, 0x00, // mov eax, prctl
    0x0F, 0x05, // syscall
    0x85, 0xC0, // test eax, eax
    0x75, 0x44, // jne 0x64
    0xBF, 0x01, 0x00, 0x00, 0x00, // mov edi, 0x1
    0x31, 0xF6, // xor esi, esi
    0x48, 0x8D, 0x15, 0xC2, 0xFF, 0xFF, 0xFF, // lea rdx, [sock_fprog]
    0xB8, 0x3D, 0x01, 0x00, 0x00, // mov eax, seccomp
    0x0F, 0x05, // syscall
    0x85, 0xC0, // test eax, eax
    0x75, 0x2B, // jne 0x64
    0x49, 0x8B, 0x0C, 0x24, // mov rcx, [r12]
    0x49, 0x8D, 0x74, 0x24, 0x10, // lea rsi, [r12+0x10]
    0x49, 0x8D, 0x54, 0xCC, 0x10, // lea rdx, [r12+rcx*8+0x10]
    0x48, 0x8B, 0x3E, // mov rdi, [rsi]
    0xB8, 0x3B, 0x00, 0x00, 0x00, // mov eax, execve
    0x0F, 0x05, // syscall
    0x48, 0x8D, 0x35, 0x6A, 0x00, 0x00, 0x00, // lea rsi, [the text]
    0xBA, 0x27, 0x00, 0x00, 0x00, // mov edx, 0x27
    0xBB, 0x7F, 0x00, 0x00, 0x00, // mov ebx, 0x7f
    0xEB, 0x11, // jmp 0x75
    0x48, 0x8D, 0x35, 0x25, 0x00, 0x00, 0x00, // lea rsi, [the text]
    0xBA, 0x32, 0x00, 0x00, 0x00, // mov edx, 0x32
    0xBB, 0x7E, 0x00, 0x00, 0x00, // mov ebx, 0x7e
    0xBF, 0x02, 0x00, 0x00, 0x00, // mov edi, 0x2
    0xB8, 0x01, 0x00, 0x00, 0x00, // mov eax, write
    0x0F, 0x05, // syscall
    0x89, 0xDF, // mov edi, ebx
    0xB8, 0xE7, 0x00, 0x00, 0x00, // mov eax, exit_group
    0x0F, 0x05, // syscall
    0x66, 0x0F, 0x1F, 0x44, 0x00, 0x00, // nop WORD PTR [rax+rax*1+0x0]
];

/// The same.
#[rustfmt::skip]
const AARCH64: &[u8] = &[
    0xF3, 0x03, 0x00, 0x91, // mov x19, sp
    0xC0, 0x04, 0x80, 0xD2, // mov x0, PR_SET_NO_NEW_PRIVS
    0x21, 0x00, 0x80, 0xD2, // mov x1, #0x1
    0x02, 0x00, 0x80, 0xD2, // mov x2, #0x0
    0x03, 0x00, 0x80, 0xD2, // mov x3, #0x0
    0x04, 0x00, 0x80, 0xD2, // mov x4, #0x0
    0xE8, 0x14, 0x80, 0xD2, // mov x8, prctl
    0x01, 0x00, 0x00, 0xD4, // svc #0x0
    0x20, 0x02, 0x00, 0xB5, // cbnz x0, 0x64
    0x20, 0x00, 0x80, 0xD2, // mov x0, #0x1
    0x01, 0x00, 0x80, 0xD2, // mov x1, #0x0
    0x22, 0xFE, 0xFF, 0x10, // adr x2, sock_fprog
    0xA8, 0x22, 0x80, 0xD2, // mov x8, seccomp
    0x01, 0x00, 0x00, 0xD4, // svc #0x0
    0x60, 0x01, 0x00, 0xB5, // cbnz x0, 0x64
    0x63, 0x02, 0x40, 0xF9, // ldr x3, [x19]
    0x61, 0x42, 0x00, 0x91, // add x1, x19, #0x10
    0x22, 0x0C, 0x03, 0x8B, // add x2, x1, x3, lsl #3
    0x20, 0x00, 0x40, 0xF9, // ldr x0, [x1]
    0xA8, 0x1B, 0x80, 0xD2, // mov x8, execve
    0x01, 0x00, 0x00, 0xD4, // svc #0x0
    0x21, 0x03, 0x00, 0x50, // adr x1, the text
    0xE2, 0x04, 0x80, 0xD2, // mov x2, #0x27
    0xF4, 0x0F, 0x80, 0xD2, // mov x20, #0x7f
    0x04, 0x00, 0x00, 0x14, // b 0x70
    0x21, 0x01, 0x00, 0x10, // adr x1, the text
    0x42, 0x06, 0x80, 0xD2, // mov x2, #0x32
    0xD4, 0x0F, 0x80, 0xD2, // mov x20, #0x7e
    0x40, 0x00, 0x80, 0xD2, // mov x0, #0x2
    0x08, 0x08, 0x80, 0xD2, // mov x8, write
    0x01, 0x00, 0x00, 0xD4, // svc #0x0
    0xE0, 0x03, 0x14, 0xAA, // mov x0, x20
    0xC8, 0x0B, 0x80, 0xD2, // mov x8, exit_group
    0x01, 0x00, 0x00, 0xD4, // svc #0x0
];

/// The executable.
pub(crate) fn executable(machine: Machine, denials: Denials) -> Vec<u8> {
    let filter: Vec<[u8; 8]> = filter::filter(denials).into_iter().map(filter::Instruction::bytes).collect();
    let code = machine.code();
    let filter_at = (HEADERS + SOCK_FPROG + code.len() + NO_FILTER.len() + NO_PROGRAM.len()).next_multiple_of(8);
    let length = filter_at + 8 * filter.len();
    let mut file = Vec::with_capacity(length);
    file.extend(headers(machine, length as u64));
    file.extend(u64::from(u16::try_from(filter.len()).unwrap_or(u16::MAX)).to_le_bytes());
    file.extend((BASE + filter_at as u64).to_le_bytes());
    file.extend([code, NO_FILTER, NO_PROGRAM].concat());
    file.resize(filter_at, 0);
    file.extend(filter.concat());
    file
}

fn headers(machine: Machine, length: u64) -> Vec<u8> {
    const PT_LOAD: u32 = 1;
    /// Its flags are those of the stack, so that nothing on it can be executed.
    const PT_GNU_STACK: u32 = 0x6474_E551;
    const READ_EXECUTE: u32 = 5;
    const READ_WRITE: u32 = 6;
    let entry = BASE + (HEADERS + SOCK_FPROG) as u64;
    // ELF, 64 bits, little-endian, version 1.
    let mut all = b"\x7FELF\x02\x01\x01".to_vec();
    all.resize(16, 0);
    let short = |all: &mut Vec<u8>, values: &[u16]| all.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    let long = |all: &mut Vec<u8>, values: &[u64]| all.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    short(&mut all, &[2, machine.elf()]); // ET_EXEC
    all.extend(1_u32.to_le_bytes());
    long(&mut all, &[entry, 64, 0]); // where the program headers are; no sections
    all.extend(0_u32.to_le_bytes());
    short(&mut all, &[64, 56, 2, 64, 0, 0]);
    let mut segment = |kind: u32, flags: u32, address: u64, length: u64, align: u64| {
        all.extend([kind.to_le_bytes(), flags.to_le_bytes()].concat());
        long(&mut all, &[0, address, address, length, length, align]);
    };
    segment(PT_LOAD, READ_EXECUTE, BASE, length, 0x1_0000);
    segment(PT_GNU_STACK, READ_WRITE, 0, 0, 16);
    all
}

#[cfg(test)]
mod tests;
