//! What a sandbox may use up: the limits run into, and what the user is told of it.

use crate::support::engine;
use crate::support::sandbox::Sandbox;
use serde_json::Value;

fn with(settings: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let own = sandbox.place.read("repo/sandbox.local.yaml");
    sandbox.place.write("repo/sandbox.local.yaml", format!("{own}{settings}"));
    sandbox
}

/// Memory, and memory through /dev/shm, which has less room than the sandbox has memory: there it is an error and no kill.
#[test]
fn a_process_that_wants_more_memory_is_killed_and_the_user_is_told_by_which_limit() {
    let sandbox = with("memory: 512mb\ncpu_weight: 20\nlog_size: 3mb\nlog_files: 1\n");
    let hungry = "python3 -c 'print(len(bytearray(1 << 30)))'; echo ended $?; \
                  dd if=/dev/zero of=/dev/shm/full bs=1M 2>&1 | tail -n 4; rm /dev/shm/full";
    let run = sandbox.enter(["exec", "--skip-git-repo-check", &format!("RUN: {hungry}")]).ok();
    assert!(run.stdout.contains("ended 137"), "{}", run.stdout);
    assert!(run.stdout.contains("No space left on device"), "a full /dev/shm is an error: {}", run.stdout);
    let told = "warning: a process of the sandbox was killed because its memory was used up: the limit is 512.0 MiB";
    assert!(run.stderr.contains(told), "{}", run.stderr);
    assert!(
        run.stderr.contains("/dev/shm has 256.0 MiB and not 32.0 GiB: half of the sandbox's memory"),
        "{}",
        run.stderr
    );
    let seen = sandbox.task("status").args(["--json"]).run().ok().stdout;
    let seen: Value = serde_json::from_str(&seen).expect("JSON");
    assert_eq!(seen["used"]["oom_kills"], 1, "{seen}");
    let id = &sandbox.containers()[0];
    let format =
        "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.CpuShares}} {{.HostConfig.LogConfig.Config}}";
    let asked = engine::docker(["inspect", "--format", format, id]);
    assert_eq!(asked.trim(), "536870912 536870912 204 map[max-file:1 max-size:3145728]");
    // The next session is not told of what the last one was.
    let run = sandbox.enter(["--version"]).ok();
    assert!(!run.stderr.contains("was killed because"), "{}", run.stderr);
}

/// The container is entered again as it is: what `auto` comes to is the same.
#[test]
fn a_limit_that_follows_from_the_machine_is_the_same_at_the_next_entry_and_what_is_written_is_said() {
    let sandbox = Sandbox::new();
    sandbox.enter(["--version"]).ok();
    let first = sandbox.containers();
    // Whatever else runs on this machine may free room meanwhile: then it is tried again.
    let told = (0..8).any(|n| {
        let fill = format!("dd if=/dev/zero of=/workspace/big-{n} bs=1M count=300 conv=fsync 2>&1 | tail -n 1");
        let run = sandbox.enter(["exec", "--skip-git-repo-check", &format!("RUN: {fill}")]).ok();
        assert_eq!(sandbox.containers(), first);
        let told = run.stderr.lines().find(|line| line.contains("less room than at the beginning of the session"));
        told.is_some_and(|line| line.starts_with("warning: the file system of `"))
    });
    assert!(told, "300 MB were written, and nothing was said");
    let seen = sandbox.task("status").run().ok().stdout;
    assert!(seen.contains("\nroom  ") && seen.contains(" on the file system of "), "{seen}");
}

/// Refused before anything is started.
#[test]
fn sizes_that_cannot_be_meant_are_refused() {
    for (settings, said) in [
        ("shm_size: 32\n", "hint: write the unit: `32gb`"),
        ("memory: 1gb\nshm_size: 2gb\n", "is more than the sandbox's memory, 1.0 GiB"),
        ("memory: 900tb\n", "is more than this machine has"),
        ("memory: 2mb\n", "in which nothing starts"),
    ] {
        let sandbox = with(settings);
        let run = sandbox.enter(["--version"]).ended(2);
        assert!(run.stderr.contains(said), "{settings}: {}", run.stderr);
        assert_eq!(sandbox.containers(), Vec::<String>::new());
    }
}
