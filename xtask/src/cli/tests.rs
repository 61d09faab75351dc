//! What a command line comes to.

use super::*;

fn parsed(args: &str) -> (Task, Flags) {
    parse(format!("xtask {args}").split(' ').map(Into::into)).unwrap().unwrap()
}

#[test]
fn the_command_line_is_well_formed() {
    command().debug_assert();
}

#[test]
fn codex_arguments_come_after_two_dashes() {
    let (task, flags) = parsed("sandbox --cpu --yes --dataset ssv2=/d --dataset k=a=b -- --version -m x");
    assert_eq!(task, Task::Sandbox { shell: false, args: vec!["--version".into(), "-m".into(), "x".into()] });
    assert_eq!(flags.datasets, [("ssv2".into(), "/d".into()), ("k".into(), "a=b".into())]);
    assert!(flags.cpu && flags.yes && !flags.dry_run);
}

#[test]
fn a_data_set_without_a_directory_is_a_usage_error() {
    let err = parse(["xtask", "mounts", "--dataset", "ssv2"].map(Into::into)).unwrap().unwrap_err();
    assert_eq!(crate::error::exit_code(&err), 2);
}
