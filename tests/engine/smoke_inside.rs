//! The inside half of the GPU smoke in the image: its numerics against sabotage, where torch is.

use crate::support::engine;
use crate::support::place::{Place, repository};
use crate::support::proc;
use crate::support::run::Xtask;

#[test]
fn the_smokes_numerics_see_sabotage() {
    engine::image(None);
    let place = Place::new();
    let run = Xtask::at(&place).args(["image", "--cpu"]).run().ok();
    let bind = |from: &str, to: &str| format!("type=bind,src={},dst={to},readonly", repository().join(from).display());
    let script = "import sys, unittest; sys.path[:0] = ['/sandbox', '/tests']; \
                  unittest.main(module='test_smoke_torch', argv=['python3'])";
    let mounts = [bind("docker", "/sandbox"), bind("tests/python", "/tests")];
    let args = [
        "run",
        "--rm",
        "--network=none",
        "--shm-size=256m",
        "--mount",
        &mounts[0],
        "--mount",
        &mounts[1],
        run.stdout.trim(),
        "python3",
        "-I",
        "-B",
        "-c",
        script,
    ];
    let (code, stdout, stderr) = proc::outcome(proc::find("docker"), args);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stderr.contains("\nRan ") && !stderr.contains("Ran 0 "), "{stderr}");
}
