//! The filter of system calls as the kernel's classic BPF, put together from the table of what is denied. Pure.

use super::calls::{Answer, Denied, Entry, SETUID, TRACING, When};
use crate::spec::denials::Denials;

/// One instruction (`struct sock_filter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    code: u16,
    /// How many instructions are skipped where a comparison is true.
    yes: u8,
    /// The same where it is false.
    no: u8,
    value: u32,
}

// What the instructions are called in linux/bpf_common.h.
const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const ANY_BIT: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

const ALLOW: u32 = 0x7FFF_0000;
const ERRNO: u32 = 0x0005_0000;

// Where `struct seccomp_data` has them.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
/// The lower half of an argument; both machines put it first. Modes and flags have no more.
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

/// The bit by which x32 tells its numbers from those of x86_64.
const X32: u32 = 0x4000_0000;
/// `S_ISUID | S_ISGID`.
const BITS: u32 = 0o6000;
/// `O_CREAT | __O_TMPFILE`: with either of them the kernel uses the mode.
const MADE: u32 = 0o100 | 0o20_000_000;

impl Instruction {
    fn of(code: u16, value: u32) -> Instruction {
        Instruction { code, yes: 0, no: 0, value }
    }

    fn load(offset: u32) -> Instruction {
        Instruction::of(LOAD, offset)
    }

    /// Skips so many instructions.
    fn jump(over: usize) -> Instruction {
        Instruction::of(JUMP, u32::try_from(over).unwrap_or(u32::MAX))
    }

    /// Goes on with the next instruction where the comparison is true, and skips so many where it is not.
    fn compare(code: u16, value: u32, skip_otherwise: u8) -> Instruction {
        Instruction { no: skip_otherwise, ..Instruction::of(code, value) }
    }

    fn deny(answer: Answer) -> Instruction {
        Instruction::of(RETURN, ERRNO | answer.errno())
    }

    fn allow() -> Instruction {
        Instruction::of(RETURN, ALLOW)
    }

    /// As the kernel reads it.
    pub(super) fn bytes(self) -> [u8; 8] {
        let [a, b] = self.code.to_le_bytes();
        let [e, f, g, h] = self.value.to_le_bytes();
        [a, b, self.yes, self.no, e, f, g, h]
    }
}

/// The filter. A way into the kernel that is not in the table answers as a kernel that was built without it, so that none is
/// a way round: x32, and the 32-bit programs of ARM.
pub(super) fn filter(denials: Denials) -> Vec<Instruction> {
    let mut denied: Vec<&Denied> = Vec::new();
    denied.extend(SETUID.iter().filter(|_| denials.setuid));
    denied.extend(TRACING.iter().filter(|_| denials.tracing));
    let mut program = vec![Instruction::load(ARCH)];
    for entry in Entry::ALL {
        let part = part(entry, &denied);
        program.push(Instruction::compare(EQUAL, entry.audit_arch(), 1));
        program.push(Instruction::jump(1));
        program.push(Instruction::jump(part.len()));
        program.extend(part);
    }
    program.push(Instruction::deny(Answer::Enosys));
    program
}

/// The filter for one way into the kernel; it always comes to an end by itself.
fn part(entry: Entry, denied: &[&Denied]) -> Vec<Instruction> {
    let mut part = vec![Instruction::load(NUMBER)];
    match entry {
        Entry::X86_64 => {
            part.extend([Instruction::compare(ANY_BIT, X32, 1), Instruction::deny(Answer::Enosys)]);
        }
        Entry::I386 | Entry::Aarch64 => {}
    }
    for denied in denied {
        let Some(number) = denied.number(entry) else { continue };
        let rule = rule(denied.when, denied.answer);
        part.push(Instruction::compare(EQUAL, number, u8::try_from(rule.len()).unwrap_or(u8::MAX)));
        part.extend(rule);
    }
    part.push(Instruction::allow());
    part
}

/// What follows once the number is that of a denied call.
fn rule(when: When, answer: Answer) -> Vec<Instruction> {
    let bits = |mode: u32| {
        let test = [Instruction::load(argument(mode)), Instruction::compare(ANY_BIT, BITS, 1)];
        test.into_iter().chain([Instruction::deny(answer), Instruction::allow()])
    };
    match when {
        When::Always => vec![Instruction::deny(answer)],
        When::Bits(mode) => bits(mode).collect(),
        When::Made { flags, mode } => {
            // Where nothing is made, the test of the mode is skipped but for its last instruction.
            let made = [Instruction::load(argument(flags)), Instruction::compare(ANY_BIT, MADE, 3)];
            made.into_iter().chain(bits(mode)).collect()
        }
    }
}

#[cfg(test)]
mod tests;
