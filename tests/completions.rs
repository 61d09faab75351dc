//! Completions, as a shell asks for them: the script is loaded by a real bash, whose own variables say what was typed.

use crate::support::place::Place;
use crate::support::proc;
use crate::support::run::Xtask;

/// Loads the script as a user's shell would, types a line, and returns what TAB offers. `before` runs first.
#[track_caller]
fn offered(place: &Place, before: &str, line: &str) -> Vec<String> {
    let script = place.path("xtask.bash");
    if !script.exists() {
        let made = Xtask::at(place).args(["completions", "bash"]).run().ok();
        place.write("xtask.bash", made.stdout);
    }
    // As readline splits a line: at blanks, and before and after each `=` and `:`.
    let program = r#"
        cd "$1" || exit; source "$2"
        line=$3; COMP_LINE=$line COMP_POINT=${#line} COMP_WORDS=()
        read -ra parts <<<"${line//[=]/ = }"
        COMP_WORDS=("${parts[@]}"); case $line in *' ') COMP_WORDS+=('') ;; esac
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        command=${COMP_WORDS[0]}
        function=$(complete -p "$command" | sed 's/.* -F \([^ ]*\).*/\1/')
        "$function" "$command" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        [ "${#COMPREPLY[@]}" -eq 0 ] || printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let dir = place.dir().display().to_string();
    let script = script.display().to_string();
    let manifest = format!("CARGO_MANIFEST_DIR={}", place.path("xtask").display());
    let home = format!("HOME={}", place.path("home").display());
    let program = format!("{before}\n{program}");
    let words =
        ["-i", &home, &manifest, "PATH=/usr/bin:/bin", "bash", "--norc", "-c", &program, "bash", &dir, &script, line];
    proc::output("env", words).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_tasks_flags_and_values_after_cargo_xtask() {
    let place = Place::new();
    let of = |line: &str| offered(&place, "", line);
    assert_eq!(of("cargo xtask st"), ["status"]);
    assert_eq!(of("cargo +nightly xtask mou"), ["mounts"]);
    assert_eq!(of("cargo xtask sandbox --work"), ["--workspace"]);
    assert_eq!(of("cargo xtask sandbox --network "), ["open", "none"]);
    assert_eq!(of("cargo xtask sandbox --codex-home=sh"), ["shared"]);
    assert_eq!(of("cargo xtask sandbox -- --mo"), Vec::<String>::new());
    assert_eq!(of("xtask dow"), ["down"], "a function of that name");
}

#[test]
fn bash_completes_data_sets_by_name_and_then_directories() {
    let place = Place::new();
    place.write("repo/sandbox.local.yaml", "datasets: {k400: /data/k400}\n");
    for dir in ["data/one", "data/other two"] {
        place.mkdir(dir);
    }
    place.write("data/a file", "");
    let of = |line: &str| offered(&place, "", line);
    assert_eq!(of("cargo xtask sandbox --dataset "), ["k400=", "ssv2="]);
    assert_eq!(of("cargo xtask sandbox --dataset s"), ["ssv2="]);
    let dirs = ["data/one", "data/other two"];
    let mut seen = of("cargo xtask sandbox --dataset ssv2=data/");
    seen.sort();
    assert_eq!(seen, dirs);
    assert_eq!(of("cargo xtask sandbox --dataset ssv2=dat"), ["data"]);
    assert!(of("cargo xtask sandbox --dataset ssv2=").contains(&"data".to_owned()));
    assert_eq!(of("cargo xtask sandbox --workspace data/on"), ["data/one"]);
    // Settings that cannot be read are no reason to leave a TAB unanswered.
    place.write("repo/sandbox.local.yaml", "nonsense: [\n");
    assert_eq!(of("cargo xtask sandbox --cp"), ["--cpu"]);
}

#[test]
fn what_completed_cargo_before_still_does() {
    let place = Place::new();
    let own = "_own() { COMPREPLY=(build); }; complete -F _own cargo";
    assert_eq!(offered(&place, own, "cargo b"), ["build"]);
    assert_eq!(offered(&place, own, "cargo xtask st"), ["status"]);
    // Loaded twice, as by two start files, it neither calls itself nor forgets what was there.
    let script = place.path("xtask.bash").display().to_string();
    let twice = format!("{own}; source '{script}'");
    assert_eq!(offered(&place, &twice, "cargo b"), ["build"]);
}

#[test]
fn a_tree_that_was_built_elsewhere_is_never_asked() {
    // A program named `xtask` below the current directory could be an agent's: the script names its own, in full.
    let place = Place::new();
    place.write("target/debug/xtask", "#!/bin/sh\ntouch \"$0.ran\"\n");
    place.program("xtask", format!("#!/bin/sh\ntouch '{}'\n", place.path("ran").display()));
    assert_eq!(offered(&place, "", "cargo xtask st"), ["status"]);
    assert!(!place.path("ran").exists() && !place.path("target/debug/xtask.ran").exists());
}
