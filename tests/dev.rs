//! What this repository's developers and its CI run, with a `cargo` of the test's own: a tier that did not run is red.

use crate::support::docker::FakeDocker;
use crate::support::place::Place;
use crate::support::run::{Run, Xtask};

/// A report of nextest with so many tests.
fn report(tests: usize) -> String {
    let counts = format!("tests=\"{tests}\" failures=\"0\" errors=\"0\"");
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"nextest-run\" {counts}>\n\
         <testsuite name=\"xtask\" {counts} disabled=\"0\">\n</testsuite>\n</testsuites>\n"
    )
}

/// A place in which all that the tiers `default` and `engine` need is installed. The runs of nextest succeed, and leave
/// the reports that the test has written to `NAME.report`.
fn ready() -> Place {
    let place = Place::new();
    FakeDocker::new().answer("compose version", 0, "", "").answer("buildx version", 0, "", "").install(&place);
    for name in [
        "mmdebstrap", "ffmpeg", "ps", "python3", "tmux", "setpriv", "setsid", "npm", "cc", "rustup", "bindfs", "sshfs",
        "mergerfs", "rclone",
    ] {
        place.program(name, "#!/bin/sh\n");
    }
    // The tests of the engine tier act as other users.
    place.program("sudo", "#!/bin/sh\n");
    let cargo = "#!/bin/sh\nline=$*\nprintf '%s\\n' \"$line\" >>'DIR/cargo.log'\n[ \"$line\" != \"$(cat 'DIR/fails' 2>&1)\" ] || exit 101\n\
                 case $line in 'nextest run '*) tier=${line##* }; mkdir -p \"target/nextest/$tier\"\n\
                 [ ! -e \"DIR/$tier.report\" ] || cp \"DIR/$tier.report\" \"target/nextest/$tier/junit.xml\";; esac\n";
    place.program("cargo", cargo.replace("DIR", &place.dir().display().to_string()));
    place
}

fn ci(place: &Place) -> Run<'_> {
    Xtask::at(place).args(["ci"]).run()
}

#[test]
fn ci_is_green_where_both_tiers_ran_tests() {
    let place = ready();
    place.write("default.report", report(7));
    place.write("engine.report", report(3));
    let run = ci(&place).ok();
    for line in
        ["tier default: 7 tests passed\n", "tier engine: 3 tests passed\n", "tier gpu: not run: not asked for\n"]
    {
        assert!(run.stderr.contains(line), "{}", run.stderr);
    }
    let calls = place.read("cargo.log");
    for call in
        ["fmt --all --check\n", "clippy --workspace --all-targets --locked -- --deny warnings\n", "deny check\n"]
    {
        assert!(calls.contains(call), "{calls}");
    }
}

#[test]
fn a_tier_that_ran_no_test_is_red() {
    for (default, engine, named) in
        [(None, Some(3), "default"), (Some(7), None, "engine"), (Some(7), Some(0), "engine")]
    {
        let place = ready();
        // Of an earlier run: it does not count.
        place.write("repo/target/nextest/default/junit.xml", report(7));
        place.write("repo/target/nextest/engine/junit.xml", report(3));
        for (name, tests) in [("default", default), ("engine", engine)] {
            tests.map(|tests| place.write(&format!("{name}.report"), report(tests)));
        }
        let run = ci(&place).ended(1);
        assert!(run.stderr.contains(&format!("the {named} tier ran no tests")), "{}", run.stderr);
        assert!(run.stderr.contains(&format!("tier {named}: FAILED\n")), "{}", run.stderr);
    }
}

#[test]
fn a_tier_that_cannot_run_is_red() {
    let place = ready();
    place.write("default.report", report(7));
    FakeDocker::new().answer("version *", 1, "", "permission denied").install(&place);
    let run = ci(&place).ended(3);
    assert!(run.error().contains("the engine tier was asked for and cannot run here"), "{}", run.error());
}

#[test]
fn the_first_check_that_fails_ends_ci() {
    let place = ready();
    place.write("fails", "fmt --all --check");
    let run = ci(&place).ended(1);
    assert!(run.error().contains("`cargo fmt --all --check`"), "{}", run.error());
    assert_eq!(place.read("cargo.log"), "fmt --all --check\n");
}

#[test]
fn a_row_that_there_is_not_is_said() {
    let place = Place::new();
    let run = Xtask::at(&place).args(["bench", "entre"]).run().ended(2);
    assert!(run.stderr.contains("'entre'") && run.stderr.contains("enter, start, check"), "{}", run.stderr);
}

/// A place with a compiler, whose build makes a program out of `fuzzer`: what libFuzzer would be.
fn with_fuzzer(fuzzer: &str) -> Place {
    let place = Place::new();
    place.program("rustc", "#!/bin/sh\nprintf 'rustc 1\\nhost: x86_64-unknown-linux-gnu\\n'\n");
    place.write(
        "fuzzer",
        format!("#!/bin/sh\nprintf '%s %s\\n' \"$FUZZ_TARGET\" \"$*\" >>'DIR/fuzz.log'\n{fuzzer}")
            .replace("DIR", &place.dir().display().to_string()),
    );
    let cargo = "#!/bin/sh\nprintf '%s %s\\n' \"$RUSTFLAGS\" \"$*\" >'DIR/cargo.log'\nout=target/fuzz/build/x86_64-unknown-linux-gnu/release\n\
                 mkdir -p $out && cp 'DIR/fuzzer' $out/fuzz && chmod +x $out/fuzz\n";
    place.program("cargo", cargo.replace("DIR", &place.dir().display().to_string()));
    place
}

#[test]
fn each_fuzz_target_runs_within_its_bounds_and_is_told() {
    let place = with_fuzzer("printf 'stat::number_of_executed_units: 500\\nstat::peak_rss_mb: 31\\n' >&2\n");
    let run = Xtask::at(&place).args(["fuzz", "mountinfo", "top", "--runs", "500", "--seconds", "9"]).run().ok();
    assert!(run.stdout.contains("mountinfo  500         31 MiB       no crash, no hang"), "{}", run.stdout);
    let calls = place.read("fuzz.log");
    assert_eq!(calls.lines().count(), 2, "{calls}");
    for bound in ["mountinfo target/", "-runs=500", "-max_total_time=9", "-rss_limit_mb=256", "-timeout=5"] {
        assert!(calls.contains(bound), "{calls}");
    }
    // The build is one that nothing else makes, with the stable compiler's own instrumentation.
    let built = place.read("cargo.log");
    for part in ["--cfg fuzzing -C passes=sancov-module", "--manifest-path fuzz/Cargo.toml", "--target-dir"] {
        assert!(built.contains(part), "{built}");
    }
}

#[test]
fn an_input_that_a_parser_fails_on_is_named() {
    let place = with_fuzzer(
        "printf '==1== ERROR: libFuzzer: deadly signal\\nx; Test unit written to t/crash-1\\n' >&2; exit 77\n",
    );
    let run = Xtask::at(&place).args(["fuzz", "elf"]).run().ended(1);
    assert!(run.stdout.contains("a crash: t/crash-1"), "{}", run.stdout);
    assert!(
        run.error().contains("a parser fails: elf") && run.stderr.contains("fuzz/corpus/TARGET/"),
        "{}",
        run.stderr
    );
    // One that says nothing at its end was ended by something else.
    let place = with_fuzzer("exit 1\n");
    let run = Xtask::at(&place).args(["fuzz", "elf"]).run().ended(1);
    assert!(run.stdout.contains("a crash: the input is not known"), "{}", run.stdout);
}
