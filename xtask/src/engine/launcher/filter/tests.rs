use super::*;

/// What the kernel would do with a call: the small part of its interpreter that the filter uses. Anything else is an error,
/// as it would be for the kernel: a jump out of the program, or a program that does not end.
fn run(program: &[Instruction], arch: u32, number: u32, args: [u64; 6]) -> u32 {
    let mut data = [number.to_le_bytes(), arch.to_le_bytes()].concat();
    data.extend([0; 8]);
    data.extend(args.iter().flat_map(|arg| arg.to_le_bytes()));
    let (mut at, mut register) = (0, 0);
    loop {
        let one = program.get(at).expect("an instruction");
        at += 1;
        match one.code {
            LOAD => {
                let offset = one.value as usize;
                assert_eq!(offset % 4, 0);
                register = u32::from_le_bytes(data[offset..offset + 4].try_into().unwrap());
            }
            JUMP => at += one.value as usize,
            EQUAL => at += usize::from(if register == one.value { one.yes } else { one.no }),
            ANY_BIT => at += usize::from(if register & one.value != 0 { one.yes } else { one.no }),
            RETURN => return one.value,
            other => panic!("the code {other:#x}"),
        }
    }
}

const EPERM: u32 = ERRNO | 1;
const ENOSYS: u32 = ERRNO | 38;
const BOTH: Denials = Denials { setuid: true, tracing: true };

const X86_64: u32 = 0xC000_003E;
const I386: u32 = 0x4000_0003;
const AARCH64: u32 = 0xC000_00B7;

/// The number of a call on x86_64, i386 and aarch64, as the headers of Linux 6.12 have them.
const CHMOD: [Option<u32>; 3] = [Some(90), Some(15), None];
const FCHMOD: [Option<u32>; 3] = [Some(91), Some(94), Some(52)];
const FCHMODAT: [Option<u32>; 3] = [Some(268), Some(306), Some(53)];
const FCHMODAT2: [Option<u32>; 3] = [Some(452); 3];
const CREAT: [Option<u32>; 3] = [Some(85), Some(8), None];
const OPEN: [Option<u32>; 3] = [Some(2), Some(5), None];
const OPENAT: [Option<u32>; 3] = [Some(257), Some(295), Some(56)];
const MKNOD: [Option<u32>; 3] = [Some(133), Some(14), None];
const MKNODAT: [Option<u32>; 3] = [Some(259), Some(297), Some(33)];
const MKDIR: [Option<u32>; 3] = [Some(83), Some(39), Some(34)];

/// The answers to a call by every way into the kernel that has it.
fn answers(denials: Denials, numbers: [Option<u32>; 3], args: [u64; 6]) -> Vec<u32> {
    let program = filter(denials);
    let ways = [X86_64, I386, AARCH64].into_iter().zip(numbers);
    ways.filter_map(|(arch, number)| Some(run(&program, arch, number?, args))).collect()
}

#[track_caller]
fn all_answer(denials: Denials, numbers: [Option<u32>; 3], args: [u64; 6], answer: u32) {
    let answers = answers(denials, numbers, args);
    assert!(!answers.is_empty() && answers.iter().all(|one| *one == answer), "{answers:x?}");
}

#[test]
fn a_mode_with_the_setuid_or_setgid_bit_is_refused_and_no_other() {
    for (numbers, at) in [(CHMOD, 1), (FCHMOD, 1), (FCHMODAT, 2), (FCHMODAT2, 2), (CREAT, 1), (MKNOD, 1), (MKNODAT, 2)]
    {
        let with = |mode: u64| {
            let mut args = [u64::MAX; 6];
            args[at] = mode;
            args
        };
        for mode in [0o4755, 0o2755, 0o6000, 0o104_755, 0xFFFF_FFFF_0000_0800] {
            all_answer(BOTH, numbers, with(mode), EPERM);
        }
        for mode in [0o755, 0o1777, 0, 0o100_644, 0xFFFF_FFFF_0000_01ED] {
            all_answer(BOTH, numbers, with(mode), ALLOW);
        }
    }
}

#[test]
fn a_file_is_made_without_the_bits_and_what_is_only_opened_has_no_mode() {
    for (numbers, flags) in [(OPEN, 1), (OPENAT, 2)] {
        let with = |flag: u64, mode: u64| {
            let mut args = [u64::MAX; 6];
            args[flags] = flag;
            args[flags + 1] = mode;
            args
        };
        // O_CREAT; O_TMPFILE of both machines; __O_TMPFILE alone.
        for made in [0o102, 0o20_200_002, 0o20_040_002, 0o20_000_000] {
            all_answer(BOTH, numbers, with(made, 0o4755), EPERM);
            all_answer(BOTH, numbers, with(made, 0o2711), EPERM);
            all_answer(BOTH, numbers, with(made, 0o755), ALLOW);
        }
        all_answer(BOTH, numbers, with(0o2, 0o7777), ALLOW);
        all_answer(BOTH, numbers, with(0o200_000, u64::MAX), ALLOW);
    }
    all_answer(BOTH, MKDIR, [0o7777; 6], ALLOW);
}

#[test]
fn what_hides_its_mode_in_memory_is_not_there() {
    all_answer(BOTH, [Some(437); 3], [0; 6], ENOSYS);
    for io_uring in [425, 426, 427] {
        all_answer(BOTH, [Some(io_uring); 3], [0; 6], EPERM);
    }
}

#[test]
fn tracing_is_refused_where_it_is_denied() {
    let calls = [
        [Some(101), Some(26), Some(117)],
        [Some(310), Some(347), Some(270)],
        [Some(311), Some(348), Some(271)],
        [Some(312), Some(349), Some(272)],
        [Some(438); 3],
    ];
    for numbers in calls {
        all_answer(Denials { setuid: false, tracing: true }, numbers, [0; 6], EPERM);
        all_answer(Denials { setuid: true, tracing: false }, numbers, [0; 6], ALLOW);
    }
    all_answer(Denials { setuid: false, tracing: true }, CHMOD, [0o4755; 6], ALLOW);
    all_answer(Denials { setuid: false, tracing: true }, [Some(437); 3], [0; 6], ALLOW);
}

#[test]
fn no_other_way_into_the_kernel_is_a_way_round() {
    let program = filter(BOTH);
    for number in [90, 521, 59, 0x3FFF_FFFF] {
        assert_eq!(run(&program, X86_64, number | 0x4000_0000, [0; 6]), ENOSYS);
    }
    // 32-bit ARM, big-endian ARM, RISC-V, and what is no machine.
    for arch in [0x4000_0028, 0x8000_00B7, 0xC000_00F3, 0, u32::MAX] {
        assert_eq!(run(&program, arch, 52, [0o4755; 6]), ENOSYS);
        assert_eq!(run(&program, arch, 1, [0; 6]), ENOSYS);
    }
}

#[test]
fn every_other_call_goes_through() {
    let program = filter(BOTH);
    let denied: Vec<u32> = [X86_64, I386, AARCH64]
        .into_iter()
        .flat_map(|arch| (0..1000).map(move |number| (arch, number)))
        .filter(|(arch, number)| run(&program, *arch, *number, [0; 6]) != ALLOW)
        .map(|(_, number)| number)
        .collect();
    let on_one = |own: [u32; 4]| own.into_iter().chain([425, 426, 427, 437, 438]).collect::<Vec<u32>>();
    let expected = [on_one([101, 310, 311, 312]), on_one([26, 347, 348, 349]), on_one([117, 270, 271, 272])].concat();
    assert_eq!(denied, expected);
}

#[test]
fn the_kernel_takes_a_program_of_this_length() {
    let program = filter(BOTH);
    assert!(program.len() < 4096, "{}", program.len());
}
