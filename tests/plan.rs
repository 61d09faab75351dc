//! What a sandbox would be started with: as Compose is told, and as a dry run prints it. No engine.

use crate::fake_engine::{RTX, changes_nothing, empty, ready, sandbox};
use crate::support::docker::FakeDocker;
use crate::support::place::Place;
use crate::support::proc;
use crate::support::run::Xtask;
use serde_json::{Value, json};

/// The tag of the image that the tool wants here, by its own plan.
#[track_caller]
fn tag(place: &Place) -> String {
    empty(FakeDocker::new()).install(place);
    let plan = Xtask::at(place).args(["image", "--dry-run"]).run().ok().stdout;
    let mut words =
        shell_words::split(plan.lines().next_back().expect("a build")).expect("a pasteable line").into_iter();
    words.find(|word| word == "--tag");
    words.next().unwrap_or_else(|| panic!("no tag in: {plan}"))
}

/// Starts a sandbox up to the point where the engine would have a container, and returns what Compose was told.
#[track_caller]
fn told(place: &Place, docker: FakeDocker, flags: &[&str]) -> Value {
    let image = docker.answer("image ls *", 0, &format!("sha256:0123 {}\n", tag(place)), "");
    let calls = empty(image).answer("compose *", 0, "", "").install(place);
    let run = sandbox(place, flags).run().ended(1);
    assert!(run.error().contains("there is no container"), "{}", run.error());
    assert!(run.stderr.contains("\nstarting the container: "), "{}", run.stderr);
    let up = calls.of(&["compose"]).remove(0);
    let file = up.split("[--file][").last().and_then(|rest| rest.split(']').next());
    let text = std::fs::read_to_string(file.expect("an override")).expect("the override");
    let told: Value = serde_yaml::from_str(&text).expect("the override in YAML");
    told["services"]["workspace"].clone()
}

#[test]
fn gpus_are_asked_for_by_the_toolkits_hook_where_there_is_no_cdi() {
    let place = ready();
    place.program("nvidia-smi", RTX);
    place.program("nvidia-container-runtime-hook", "#!/bin/sh\n");
    let service = told(&place, FakeDocker::new(), &["--gpus", "GPU-aaaa"]);
    let expected = json!([{"driver": "nvidia", "device_ids": ["GPU-aaaa"], "capabilities": ["gpu"]}]);
    assert_eq!(service["deploy"]["resources"]["reservations"]["devices"], expected);
}

#[test]
fn gpus_are_asked_for_by_cdi_where_the_engine_has_it() {
    let place = ready();
    place.program("nvidia-smi", RTX);
    place.write("cdi/nvidia.yaml", "cdiVersion: 0.6.0\nkind: nvidia.com/gpu\n");
    let mut docker = FakeDocker::new();
    docker.info["CDISpecDirs"] = json!([place.path("cdi")]);
    let service = told(&place, docker, &[]);
    let expected = json!([{"driver": "cdi", "device_ids": ["nvidia.com/gpu=all"], "capabilities": ["gpu"]}]);
    assert_eq!(service["deploy"]["resources"]["reservations"]["devices"], expected);
}

#[test]
fn without_gpus_none_is_asked_for() {
    let place = ready();
    let service = told(&place, FakeDocker::new(), &["--gpus", "none"]);
    assert_eq!(service["deploy"], Value::Null);
}

#[test]
fn a_dry_run_changes_nothing_and_ends_with_the_command_that_enters() {
    let place = ready();
    let calls = empty(FakeDocker::new()).install(&place);
    let before = listing(&place);
    let run = sandbox(&place, &["--gpus", "none", "--dry-run", "--", "-m", "it's"]).run().ok();
    changes_nothing(&calls);
    assert_eq!(listing(&place), before);
    assert!(!place.path("state/codex-sandbox/workspaces").exists(), "a sandbox was begun");
    assert_eq!(run.stderr, "");
    let last = run.stdout.lines().next_back().expect("a plan");
    assert!(last.starts_with("docker exec ") && last.ends_with(r"-m 'it'\''s'"), "{last}");
    for never in ["--privileged", "docker.sock", "bypass"] {
        assert!(!run.stdout.contains(never), "the plan has `{never}`:\n{}", run.stdout);
    }
}

#[test]
fn a_dry_run_without_docker_says_what_is_not_known_and_plans_the_rest() {
    let place = ready();
    let run = sandbox(&place, &["--cpu", "--dry-run", "--", "exec", "x"]).run().ok();
    assert!(run.stdout.contains("\n# not known: `docker` is not on PATH\n"), "{}", run.stdout);
    assert!(!run.stdout.contains("nvcr.io"), "the base is not the one of --cpu:\n{}", run.stdout);
    for step in ["\nmmdebstrap ", "--build-arg BASE_IMAGE=codex-sandbox-cpu-base:", " up --detach ", " exec x"] {
        assert!(run.stdout.replace('\'', "").contains(step), "no `{step}` in:\n{}", run.stdout);
    }
}

#[test]
fn a_dry_run_says_what_a_run_is_refused_for_and_prints_the_plan_all_the_same() {
    let foreign = r#"[{"Id":"a","Config":{"Labels":{}},"State":{"Running":true}}]"#;
    let other = FakeDocker::new().answer("container inspect *", 0, foreign, "");
    for (docker, flags, code, why) in [
        (empty(FakeDocker::new()), &[][..], 3, "`--gpus all` was asked for"),
        (empty(FakeDocker::new()), &["--gpus", "none", "--dataset", "b=/"][..], 2, "`/` is the whole host"),
        (other, &["--gpus", "none"][..], 1, "was not made by this tool"),
    ] {
        let place = ready();
        docker.install(&place);
        let run = sandbox(&place, &[flags, &["--dry-run"]].concat()).run().ended(code);
        let last = run.stderr.lines().next_back().unwrap_or_default();
        assert_eq!(last, format!("a run is refused, with exit code {code}"), "{flags:?}: {}", run.stderr);
        let is_said = |mark: &str| run.stderr.lines().any(|line| line.starts_with(mark));
        assert!(is_said("error: ") && is_said("hint: "), "{flags:?}: {}", run.stderr);
        let refused = run.stdout.split("\n# a run is refused: ").nth(1).unwrap_or_default();
        let reason = refused.lines().enumerate().take_while(|(i, line)| *i == 0 || line.starts_with("#  "));
        assert!(reason.into_iter().any(|(_, line)| line.contains(why)), "{flags:?}:\n{}", run.stdout);
        assert!(run.stdout.contains(" up --detach "), "{flags:?}:\n{}", run.stdout);
    }
}

#[test]
fn a_dry_run_plans_without_a_data_set_that_has_no_directory_and_says_that_a_run_is_refused() {
    let place = ready();
    empty(FakeDocker::new()).install(&place);
    let task = |flags: &[&str]| Xtask::at(&place).args(["sandbox", "--cpu"]).args(flags.iter().copied()).run();
    let run = task(&["--dry-run"]).ended(2);
    let last = run.stderr.lines().next_back().unwrap_or_default();
    assert_eq!(last, "a run is refused, with exit code 2", "{}", run.stderr);
    assert!(run.stderr.contains("error: the data set `ssv2` has no directory\nhint: "), "{}", run.stderr);
    assert!(run.stdout.contains(" up --detach ") && !run.stdout.contains("/datasets/ssv2"), "{}", run.stdout);
    // All that can be seen at once is said at once.
    let run = task(&[]).ended(2);
    for said in ["add `--yes`", "the data set `ssv2` has no directory", "`--dataset ssv2=DIR`"] {
        assert!(run.stderr.contains(said), "no {said}: {}", run.stderr);
    }
    place.write("repo/sandbox.local.yaml", "datasets: {ssv2: none}\n");
    let run = task(&["--dry-run"]).ok();
    assert!(run.stdout.contains(" up --detach ") && !run.stdout.contains("/datasets/ssv2"), "{}", run.stdout);
}

#[test]
fn a_dry_run_prints_what_is_filled_for_the_container() {
    let place = ready();
    empty(FakeDocker::new()).install(&place);
    let run = sandbox(&place, &["--gpus", "none", "--dry-run"]).run().ok();
    for filled in ["codex-home` with copies of your", "guest` with the probe", "# copy the Codex of `"] {
        assert!(run.stdout.contains(filled), "no `{filled}` in:\n{}", run.stdout);
    }
}

/// What is filled anew at each start goes with the container; the sandbox's own home and its commits stay.
#[test]
fn what_is_filled_for_the_container_is_removed_with_it() {
    let place = ready();
    empty(FakeDocker::new()).install(&place);
    let filled = sandbox(&place, &["--gpus", "none", "--dry-run"]).run().ok().stdout;
    let removed = Xtask::at(&place).args(["down", "--dry-run"]).run().ok().stdout;
    let filled: Vec<&str> =
        filled.lines().filter_map(|line| line.strip_prefix("# fill `")?.split('`').next()).collect();
    assert!(filled.len() > 3, "{filled:?}");
    for path in filled {
        let kept = path.ends_with("/codex-home") || path.ends_with("/git");
        assert_eq!(removed.contains(path), !kept, "`{path}` in:\n{removed}");
    }
}

#[test]
fn no_dry_run_writes_anything() {
    let place = ready();
    let git = |args: &[&str]| {
        proc::output("git", [&["-C", &place.root().join("workspace").display().to_string()], args].concat())
    };
    git(&["init", "--quiet"]);
    place.write("repo/workspace/a", "a file");
    empty(FakeDocker::new()).install(&place);
    let before = listing(&place);
    let dataset = format!("ssv2={}", place.path("ssv2").display());
    let cpu = ["--cpu", "--dataset", &dataset];
    for (task, flags) in
        [("sandbox", &cpu[..]), ("image", &cpu[..1]), ("gpu-smoke", &cpu[..]), ("down", &["--all", "--caches"][..])]
    {
        Xtask::at(&place).args([task, "--dry-run"]).args(flags.iter().copied()).run().ok();
        assert_eq!(listing(&place), before, "{task}");
    }
}

#[test]
fn what_a_user_may_not_expect_of_the_settings_is_said() {
    let place = ready();
    place.write("repo/sandbox.local.yaml", "env: [FOO, BAR]\n");
    empty(FakeDocker::new()).install(&place);
    let run = sandbox(&place, &["--gpus", "none", "--dry-run"]).env("FOO", "1").run().ok();
    assert_eq!(run.stderr, "warning: `BAR` of the list `env` is not set here: Codex does not get it\n");
    let place = ready();
    empty(FakeDocker::new()).install(&place);
    let run = sandbox(&place, &["--cpu", "--gpus", "all", "--dry-run"]).run().ended(3);
    assert!(
        run.stderr.starts_with("warning: `--gpus all` hands GPUs to the CPU base image, which cannot use them"),
        "{}",
        run.stderr
    );
}

/// Every file of the repository, the home and the state folder.
fn listing(place: &Place) -> String {
    let dir = place.dir().display().to_string();
    let find = r#"cd "$1" && find repo home state -printf '%p %s %T@\n' | sort"#;
    proc::output("sh", ["-c", find, "sh", &dir])
}

#[test]
fn the_value_of_an_allowed_variable_is_in_no_text() {
    let place = ready();
    place.write("repo/sandbox.local.yaml", "env: [WANDB_API_KEY]\n");
    empty(FakeDocker::new()).install(&place);
    let run = sandbox(&place, &["--gpus", "none", "--dry-run"]).env("WANDB_API_KEY", "s3cret").run().ok();
    assert!(run.stdout.contains("--env WANDB_API_KEY "), "{}", run.stdout);
    assert!(!run.stdout.contains("s3cret"), "{}", run.stdout);
}
