//! Which system calls the filter denies, with the numbers that each machine gives them.

/// A way into the kernel: each has numbers of its own, and a program may take any that its machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// `syscall` of a 64-bit x86 program; x32 uses the same with a bit in the number.
    X86_64,
    /// `int 0x80` and `sysenter`, which a 64-bit program may use too.
    I386,
    /// `svc` of a 64-bit ARM program.
    Aarch64,
}

impl Entry {
    pub(super) const ALL: [Entry; 3] = [Entry::X86_64, Entry::I386, Entry::Aarch64];

    /// What the kernel calls it (`AUDIT_ARCH_…`).
    pub(super) fn audit_arch(self) -> u32 {
        match self {
            Entry::X86_64 => 0xC000_003E,
            Entry::I386 => 0x4000_0003,
            Entry::Aarch64 => 0xC000_00B7,
        }
    }
}

/// When a call is denied. Arguments are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Always,
    /// Where this argument, a mode, has the setuid or the setgid bit.
    Bits(u32),
    /// The same where the flags say that a file is made. Without that the kernel ignores the mode, and programs pass
    /// anything.
    Made {
        flags: u32,
        mode: u32,
    },
}

/// What a denied call answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Eperm,
    /// As a kernel that does not have the call: programs then fall back on an older one.
    Enosys,
}

impl Answer {
    pub(super) fn errno(self) -> u32 {
        match self {
            Answer::Eperm => 1,
            Answer::Enosys => 38,
        }
    }
}

/// A system call that is denied.
pub(super) struct Denied {
    /// Its numbers, in the order of [`Entry::ALL`].
    numbers: [Option<u32>; 3],
    pub(super) when: When,
    pub(super) answer: Answer,
}

impl Denied {
    pub(super) fn number(&self, entry: Entry) -> Option<u32> {
        match entry {
            Entry::X86_64 => self.numbers[0],
            Entry::I386 => self.numbers[1],
            Entry::Aarch64 => self.numbers[2],
        }
    }
}

const fn all(x86_64: u32, i386: u32, aarch64: u32, when: When) -> Denied {
    Denied { numbers: [Some(x86_64), Some(i386), Some(aarch64)], when, answer: Answer::Eperm }
}

/// A call that a newer one replaces: ARM has it only in that form.
const fn x86(x86_64: u32, i386: u32, when: When) -> Denied {
    Denied { numbers: [Some(x86_64), Some(i386), None], when, answer: Answer::Eperm }
}

/// Since 2019 a call has the same number everywhere.
const fn new(number: u32, when: When) -> Denied {
    all(number, number, number, when)
}

/// By which a file can get the setuid or the setgid bit. `mkdir` is not among them: the kernel drops both bits from its
/// mode. A directory that has the setgid bit hands its group on by itself.
pub(super) const SETUID: &[Denied] = &[
    x86(90, 15, When::Bits(1)),                          // chmod
    all(91, 94, 52, When::Bits(1)),                      // fchmod
    all(268, 306, 53, When::Bits(2)),                    // fchmodat
    new(452, When::Bits(2)),                             // fchmodat2
    x86(85, 8, When::Bits(1)),                           // creat
    x86(2, 5, When::Made { flags: 1, mode: 2 }),         // open
    all(257, 295, 56, When::Made { flags: 2, mode: 3 }), // openat
    x86(133, 14, When::Bits(1)),                         // mknod
    all(259, 297, 33, When::Bits(2)),                    // mknodat
    // Their modes lie in memory, where a filter cannot look.
    Denied { answer: Answer::Enosys, ..new(437, When::Always) }, // openat2
    new(425, When::Always),                                      // io_uring_setup
    new(426, When::Always),                                      // io_uring_enter
    new(427, When::Always),                                      // io_uring_register
];

/// By which a process looks into another one or changes it.
pub(super) const TRACING: &[Denied] = &[
    all(101, 26, 117, When::Always),  // ptrace
    all(310, 347, 270, When::Always), // process_vm_readv
    all(311, 348, 271, When::Always), // process_vm_writev
    all(312, 349, 272, When::Always), // kcmp
    new(438, When::Always),           // pidfd_getfd
];
