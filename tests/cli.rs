//! Mistakes on the command line: each is answered with what, which value, why, and what to do.

use crate::support::codex;
use crate::support::place::Place;
use crate::support::run::Xtask;
use snapbox::str;

#[test]
fn the_whole_host_is_no_workspace() {
    let place = Place::new();
    codex::stand_in(&place, "0.169.0");
    let dataset = format!("ssv2={}", place.path("ssv2").display());
    place.write("ssv2/1.webm", "a clip");
    Xtask::at(&place).args(["sandbox", "--cpu", "--yes", "--workspace", "/", "--dataset", &dataset]).run().exactly(
        2,
        "",
        str![[r#"
error: the workspace `/` is this whole host
hint: give the project's directory with `--workspace DIR`

"#]],
    );
}

#[test]
fn commits_of_a_workspace_that_is_not_there_name_it() {
    let place = Place::new();
    Xtask::at(&place).args(["commits", "--workspace", "/there/is/none"]).run().exactly(
        2,
        "",
        str![[r#"
error: the workspace `/there/is/none` cannot be used: No such file or directory (os error 2)
hint: check the path; a directory must exist before it is mounted

"#]],
    );
}
