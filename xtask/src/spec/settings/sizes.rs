//! Sizes, and what the memory of a sandbox comes to on a machine: of `auto` for itself and for `/dev/shm`. Pure.

use crate::error::{Failure, host, usage};
use crate::text::bytes as shown;
use anyhow::Result;
use serde_json::{Value, json};

/// The word for a size that follows from the machine's memory.
pub(super) const AUTO: &str = "auto";

/// The word for no limit.
pub(super) const NONE: &str = "none";

/// The least that a size can mean, in bytes. Whoever writes `32` means gigabytes, and a container cannot run with less.
pub(super) const LEAST: u64 = 1_000_000;

/// The least memory in which a session can start, in bytes.
const LEAST_MEMORY: u64 = 64 << 20;

/// What `auto` gives `/dev/shm` at most.
const USUAL_SHM: u64 = 32 << 30;

/// What `auto` leaves to the rest of the machine at least, unless that were more than half of it.
const KEPT: u64 = 4 << 30;

/// What `auto` is a multiple of, so that a machine whose kernel reports a few pages less after an update is the same one.
const STEP: u64 = 256 << 20;

/// Reads a size as Docker does: `32gb`, `512m`, bytes; a unit is a power of 1024.
///
/// # Errors
/// The text is none, or means less than anybody can want (exit code 2); `given` is how it was written.
pub(super) fn read(given: &str, text: &str) -> Result<u64> {
    let Some(bytes) = parse(text) else {
        return Err(usage(format!("{given} is not a size")).hint("write it as Docker does: `32gb`, `512m`").into());
    };
    if bytes >= LEAST {
        return Ok(bytes);
    }
    let digits: String = text.trim().chars().take_while(char::is_ascii_digit).collect();
    let hint = match text.trim().len() == digits.len() {
        true => format!("write the unit: `{digits}gb` or `{digits}mb`; without one it is bytes, and the least is 1 MB"),
        false => format!("the least is 1 MB: write a larger one, such as `{digits}mb` or `{digits}gb`"),
    };
    Err(usage(format!("{given} is {bytes} bytes, too few for anything")).hint(hint).into())
}

fn parse(text: &str) -> Option<u64> {
    let lower = text.trim().to_lowercase();
    let digits: String = lower.chars().take_while(char::is_ascii_digit).collect();
    let factor: Option<u64> = match lower[digits.len()..].trim() {
        "" | "b" => Some(1),
        "k" | "kb" => Some(1 << 10),
        "m" | "mb" => Some(1 << 20),
        "g" | "gb" => Some(1 << 30),
        "t" | "tb" => Some(1 << 40),
        _ => None,
    };
    let bytes = digits.parse::<u64>().ok().zip(factor).and_then(|(n, factor)| n.checked_mul(factor));
    bytes.filter(|bytes| *bytes > 0)
}

/// The same of a setting that also takes words, which stay as they are.
///
/// # Errors
/// As [`read`].
pub(super) fn or_word(given: &str, text: &str, words: &[&str]) -> Result<Value> {
    if words.contains(&text) {
        return Ok(Value::from(text));
    }
    if parse(text).is_none() {
        let words = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        return Err(usage(format!("{given} is not a size, nor {words}"))
            .hint("write it as Docker does: `32gb`, `512m`")
            .into());
    }
    read(given, text).map(Value::from)
}

/// The pattern of the texts that [`read`] takes, for the schema of the settings file.
#[cfg(test)]
pub(super) fn pattern(words: &[&str]) -> String {
    let size = r"\s*0*([1-9][0-9]*\s*[mMgGtT][bB]?|[1-9][0-9]{3,}\s*[kK][bB]?|[1-9][0-9]{6,}\s*[bB]?)\s*";
    let alternatives: Vec<&str> = words.iter().copied().chain([size]).collect();
    format!("^({})$", alternatives.join("|"))
}

/// How the settings of the memory and of `/dev/shm` were written.
pub(super) struct Written<'a> {
    pub(super) memory: &'a str,
    pub(super) shm: &'a str,
}

/// The memory of a sandbox and the size of its `/dev/shm`, in bytes, where `auto` is replaced by what it comes to. `machine`
/// is the memory of this machine; where it is not known, `auto` is none yet, which [`known`] refuses.
///
/// # Errors
/// They do not fit each other or this machine.
pub(super) fn settled(
    memory: &Value,
    shm: &Value,
    machine: Option<u64>,
    written: &Written,
) -> Result<(Option<u64>, u64)> {
    let memory = match memory.as_u64() {
        Some(bytes) => Some(fitting(bytes, machine, written.memory)?),
        None if *memory == json!(NONE) => None,
        None => machine.map(usual),
    };
    let shm = match (shm.as_u64(), memory) {
        (Some(shm), Some(memory)) if shm > memory => {
            return Err(usage(format!("{} is more than the sandbox's memory, {}", written.shm, shown(memory)))
                .hint(format!(
                    "what lies in /dev/shm is memory: where it is larger, a full one is a killed process and not an error; \
                     write `shm_size: {AUTO}`, or raise `memory`"
                ))
                .into());
        }
        (Some(shm), _) => shm,
        (None, Some(memory)) => USUAL_SHM.min(memory / 2),
        (None, None) => machine.map_or(USUAL_SHM, |machine| USUAL_SHM.min(machine / 2)),
    };
    Ok((memory, shm))
}

/// What `auto` comes to: the machine's memory less the larger of 4 GiB and a tenth, but at least half of it.
fn usual(machine: u64) -> u64 {
    let rest = machine.saturating_sub(KEPT.max(machine / 10)).max(machine / 2);
    (rest / STEP * STEP).max(LEAST_MEMORY)
}

/// Whether a limit that followed from this machine earlier is as good as what follows now: it leaves the machine at least half
/// of what it should keep, and takes no more than a quarter less. A balloon in a virtual machine and an update of the kernel
/// move `MemTotal`; a container that runs is not recreated for that.
fn is_kept(was: u64, machine: u64) -> bool {
    let now = usual(machine);
    was <= now + machine.saturating_sub(now) / 2 && was >= now / 4 * 3
}

/// The memory and the size of `/dev/shm` of a container that runs, where these follow from the machine (`auto`) and may stay, else
/// what is wanted now.
pub(super) fn kept(
    was: (Option<u64>, u64),
    now: (Option<u64>, u64),
    auto: (bool, bool),
    machine: Option<u64>,
) -> (Option<u64>, u64) {
    let memory = match (was.0, machine) {
        (Some(was), Some(machine)) if auto.0 && is_kept(was, machine) => Some(was),
        _ => now.0,
    };
    let fits = memory.is_none_or(|memory| was.1 <= memory) && (now.1 / 4 * 3..=now.1 / 4 * 5).contains(&was.1);
    (memory, if auto.1 && fits { was.1 } else { now.1 })
}

fn fitting(bytes: u64, machine: Option<u64>, given: &str) -> Result<u64> {
    let least = (bytes < LEAST_MEMORY).then(|| format!("less than {}, in which nothing starts", shown(LEAST_MEMORY)));
    let most = machine.filter(|machine| bytes > *machine);
    let most =
        most.map(|machine| format!("more than this machine has, {}, so that it would limit nothing", shown(machine)));
    match least.or(most) {
        None => Ok(bytes),
        Some(why) => Err(usage(format!("{given} is {why}"))
            .hint(format!("write `memory: {AUTO}`, a size such as `16gb`, or `memory: {NONE}` for no limit"))
            .into()),
    }
}

/// # Errors
/// The memory follows from that of this machine, which is not known (exit code 3).
pub(super) fn known(written: &str, machine: Option<u64>) -> Result<(), Failure> {
    if machine.is_some() || !written.starts_with(AUTO) {
        return Ok(());
    }
    Err(host("the memory of this machine is not known: `/proc/meminfo` has no `MemTotal`")
        .hint("say how much the sandbox may use, such as `memory: 16gb`, in sandbox.local.yaml"))
}

/// What is said where `/dev/shm` is smaller than it usually is, because of the memory.
pub(crate) fn lowered(memory: Option<u64>, shm: u64, by_itself: bool) -> Option<String> {
    if !by_itself || shm >= USUAL_SHM {
        return None;
    }
    let whose =
        memory.map_or("this machine's memory".to_owned(), |memory| format!("the sandbox's memory, {}", shown(memory)));
    let (shm, usual) = (shown(shm), shown(USUAL_SHM));
    Some(format!("/dev/shm has {shm} and not {usual}: half of {whose} (`shm_size`, `memory`)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn sizes_are_read_as_docker_reads_them() {
        let read = |text| read("`shm_size`", text);
        assert_eq!(read("32gb").unwrap(), 32 * GIB);
        assert_eq!(read("64M").unwrap(), 64 << 20);
        assert_eq!(read("1073741824").unwrap(), GIB);
        for odd in ["0", "-1g", "99999999999t", "", "g", "1.5gb"] {
            assert!(read(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_size_without_its_unit_is_refused_with_the_one_that_was_meant() {
        for text in ["32", "32b", "900k", "999999"] {
            let why = crate::error::render(&read("`shm_size: x`", text).unwrap_err());
            let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
            let hint = match text.len() == digits.len() {
                true => format!("hint: write the unit: `{digits}gb`"),
                false => format!("hint: the least is 1 MB: write a larger one, such as `{digits}mb`"),
            };
            assert!(why.contains(&hint), "{why}");
        }
        assert!(or_word("x", "32", &[AUTO]).is_err());
        assert_eq!(or_word("x", AUTO, &[AUTO]).unwrap(), json!(AUTO));
    }

    fn both(memory: Value, shm: Value, machine: u64) -> Result<(Option<u64>, u64)> {
        let written = Written { memory: "`memory: x`", shm: "`shm_size: x`" };
        settled(&memory, &shm, Some(machine), &written)
    }

    #[test]
    fn the_machine_keeps_the_larger_of_four_gibibytes_and_a_tenth_and_no_more_than_half() {
        let auto = |machine| both(json!(AUTO), json!(AUTO), machine).unwrap();
        assert_eq!(auto(24 * GIB), (Some(20 * GIB), 10 * GIB));
        assert_eq!(auto(128 * GIB), (Some(115 * GIB), 32 * GIB));
        assert_eq!(auto(1024 * GIB).0, Some(921 * GIB + 2 * (GIB / 4)));
        assert_eq!(auto(4 * GIB).0, Some(2 * GIB), "half of a small machine");
        // What the kernel keeps for itself differs by some pages between two starts.
        for less in [0, 4096, 64 << 10, 12 << 20] {
            assert_eq!(auto(24 * GIB - (100 << 20) - less), auto(24 * GIB - (100 << 20)));
        }
        assert_eq!(known(AUTO, None).unwrap_err().kind.code(), 3);
        assert_eq!(
            (known("auto (20.0 GiB)", Some(GIB)), known("16gb", None), known(NONE, None)),
            (Ok(()), Ok(()), Ok(()))
        );
    }

    #[test]
    fn what_a_running_container_has_stays_while_the_machine_is_nearly_the_same() {
        let auto =
            |machine| settled(&json!(AUTO), &json!(AUTO), Some(machine), &Written { memory: "", shm: "" }).unwrap();
        let now = |was: u64, machine: u64| kept(auto(was), auto(machine), (true, true), Some(machine));
        let was = auto(24 * GIB);
        // A kernel that keeps some pages more, over a step; a balloon.
        for machine in [24 * GIB - 4096, 24 * GIB - (300 << 20), 25 * GIB, 23 * GIB, 26 * GIB] {
            assert_eq!(now(24 * GIB, machine), was, "{machine}");
        }
        for machine in [12 * GIB, 20 * GIB, 48 * GIB, GIB] {
            assert_eq!(
                now(24 * GIB, machine).0,
                auto(machine).0,
                "{machine}: another machine, or too little is left to it"
            );
        }
        for machine in (2..600).map(|n| n * GIB / 2) {
            for earlier in (2..600).map(|n| n * GIB / 2) {
                let (memory, shm) = now(earlier, machine);
                let left = machine - memory.unwrap();
                assert!(
                    left * 2 >= machine - auto(machine).0.unwrap() && shm <= memory.unwrap(),
                    "{earlier} {machine}"
                );
            }
        }
        // What the user wrote is what is wanted.
        assert_eq!(kept(was, (Some(8 * GIB), 4 * GIB), (false, true), Some(24 * GIB)), (Some(8 * GIB), 4 * GIB));
        assert_eq!(kept(was, (Some(20 * GIB), GIB), (true, false), Some(24 * GIB)), (Some(20 * GIB), GIB));
        // Without a limit, half of the machine's memory is a few pages less after an update.
        assert_eq!(kept((None, 12 * GIB), (None, 12 * GIB - 4096), (false, true), Some(24 * GIB)), (None, 12 * GIB));
        assert_eq!(kept(was, (None, 12 * GIB), (false, true), Some(24 * GIB)).0, None);
    }

    #[test]
    fn shared_memory_fits_into_the_memory_or_is_refused() {
        assert_eq!(both(json!(8 * GIB), json!(AUTO), 24 * GIB).unwrap(), (Some(8 * GIB), 4 * GIB));
        assert_eq!(both(json!(8 * GIB), json!(8 * GIB), 24 * GIB).unwrap(), (Some(8 * GIB), 8 * GIB));
        assert_eq!(both(json!(NONE), json!(64 * GIB), 24 * GIB).unwrap(), (None, 64 * GIB));
        assert_eq!(both(json!(NONE), json!(AUTO), 24 * GIB).unwrap(), (None, 12 * GIB));
        assert_eq!(both(json!(NONE), json!(AUTO), 240 * GIB).unwrap(), (None, 32 * GIB));
        let why = both(json!(8 * GIB), json!(9 * GIB), 24 * GIB).unwrap_err();
        assert!(crate::error::render(&why).contains("is more than the sandbox's memory, 8.0 GiB\nhint: "), "{why}");
        assert!(both(json!(AUTO), json!(23 * GIB), 24 * GIB).is_err());
        assert!(
            both(json!(25 * GIB), json!(AUTO), 24 * GIB).unwrap_err().to_string().contains("more than this machine")
        );
        assert!(both(json!(2_000_000), json!(AUTO), 24 * GIB).unwrap_err().to_string().contains("nothing starts"));
    }

    #[test]
    fn what_was_lowered_is_said() {
        let said = lowered(Some(20 * GIB), 10 * GIB, true).unwrap();
        assert_eq!(
            said,
            "/dev/shm has 10.0 GiB and not 32.0 GiB: half of the sandbox's memory, 20.0 GiB (`shm_size`, `memory`)"
        );
        assert_eq!(lowered(Some(115 * GIB), 32 * GIB, true), None);
        assert_eq!(lowered(Some(20 * GIB), 10 * GIB, false), None, "the user wants it so");
        assert_eq!(lowered(None, 32 * GIB, true), None);
        assert!(
            lowered(None, 12 * GIB, true).unwrap().ends_with("half of this machine's memory (`shm_size`, `memory`)")
        );
    }
}
