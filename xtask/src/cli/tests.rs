//! What a command line comes to.

use super::*;

fn parsed(args: &str) -> Task {
    parse(format!("xtask {args}").split(' ').map(Into::into)).unwrap()
}

#[test]
fn the_command_line_is_well_formed() {
    command().debug_assert();
}

#[test]
fn a_task_that_the_help_does_not_name_is_not_proposed() {
    let said = parse(["xtask", "commit"].map(Into::into)).unwrap_err().to_string();
    assert!(said.contains("'commits'") && !said.contains("complete"), "{said}");
}

#[test]
fn codex_arguments_come_after_two_dashes() {
    let task = parsed("sandbox --cpu --yes --dataset ssv2=/d --dataset k=a=b -- --version -m x");
    let Task::Sandbox(args) = task else { panic!("{task:?}") };
    assert_eq!(args.args, ["--version", "-m", "x"]);
    assert_eq!(args.flags.project.datasets, [("ssv2".into(), "/d".into()), ("k".into(), "a=b".into())]);
    assert!(args.flags.project.cpu && args.yes && !args.dry_run && !args.shell);
}

#[test]
fn a_data_set_without_a_directory_is_known_as_one() {
    for line in ["mounts --dataset ssv2", "mounts --dataset ssv2="] {
        let flags = parsed(line).flags().unwrap();
        assert_eq!(flags.project.datasets, [("ssv2".into(), "".into())], "{line}");
    }
}
