//! Wrong settings on the command line and in the files.

#[test]
fn a_misspelt_setting_or_value_is_answered_with_the_nearest() {
    use crate::support::place::Place;
    use crate::support::run::Xtask;
    use snapbox::str;
    let place = Place::new();
    let run = |args: &[&str]| Xtask::at(&place).args(args.iter().copied()).run();
    run(&["sandbox", "--yes", "--network", "opn"]).exactly(
        2,
        "",
        str![[r#"
error: `--network opn` is none of `open`, `none`
hint: did you mean `open`?

"#]],
    );
    run(&["sandbox", "--yes", "--gpus", "nnoe"]).exactly(
        2,
        "",
        str![[r#"
error: `--gpus nnoe`: `nnoe` is neither `all` nor `none` nor the id of a GPU
hint: did you mean `none`?

"#]],
    );
    place.write("repo/sandbox.local.yaml", "codex_home: mirorr\n");
    run(&["status"]).exactly(
        2,
        "",
        str![[r#"
error: `codex_home: mirorr` in `sandbox.local.yaml` is none of `mirror`, `shared`, `none`
hint: did you mean `mirror`?

"#]],
    );
}
