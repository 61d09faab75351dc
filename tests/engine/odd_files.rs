//! Whatever lies where this tool reads a file: what it keeps itself, and what the user's other programs keep. Nothing is waited
//! for, nothing is taken for what it is not, and at most one error says what to do.

use crate::support::proc;
use crate::support::sandbox::Sandbox;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// What can lie there, by a name and by what makes it.
type Kind = (&'static str, fn(&Path));

fn kinds() -> [Kind; 15] {
    [
        ("a pipe", |file| rustix::fs::mkfifoat(rustix::fs::CWD, file, 0o600.into()).expect("a pipe")),
        ("a directory", |file| fs::create_dir(file).expect("a directory")),
        ("a broken link", |file| symlink("missing", file).expect("a link")),
        ("a link to itself", |file| symlink(file, file).expect("a link")),
        ("a device", |file| symlink("/dev/zero", file).expect("a link")),
        ("100 MB", |file| fs::File::create(file).expect("a file").set_len(100_000_000).expect("its size")),
        ("brackets", |file| fs::write(file, "[".repeat(100_000)).expect("a file")),
        ("braces", |file| fs::write(file, "{\"a\":".repeat(100_000)).expect("a file")),
        ("tables", |file| fs::write(file, format!("[{}]\n", ["a"; 50_000].join("."))).expect("a file")),
        ("not UTF-8", |file| fs::write(file, b"\xff\xfe\x00a = 1\n").expect("a file")),
        ("empty", |file| fs::write(file, "").expect("a file")),
        ("a BOM", |file| fs::write(file, "\u{feff}{}").expect("a file")),
        ("CRLF", |file| fs::write(file, "\r\n\r\n").expect("a file")),
        ("another value", |file| fs::write(file, "17").expect("a file")),
        ("nobody's to read", |file| {
            fs::write(file, "{}").expect("a file");
            fs::set_permissions(file, fs::Permissions::from_mode(0o0)).expect("its mode");
        }),
    ]
}

fn put_back(kept: &Path, file: &Path) {
    let _ = fs::remove_dir_all(file).or_else(|_| fs::remove_file(file));
    proc::copy(kept, file);
}

/// Each of these files with each of the kinds in its place: one task after the other, in turn, so that each meets every file.
fn each(sandbox: &Sandbox, files: &[PathBuf], tasks: &[&[&str]]) {
    let kept = sandbox.place.path("kept");
    for file in files {
        proc::copy(file, &kept);
        for ((kind, make), words) in kinds().into_iter().zip(tasks.iter().cycle()) {
            fs::remove_file(file).or_else(|_| fs::remove_dir_all(file)).expect("what was there");
            make(file);
            let run = sandbox.task(words[0]).args(words[1..].iter().copied()).within(100).run();
            let what = format!("`{}` is {kind}, {words:?}", file.display());
            let said = format!("{}{}", run.stdout, run.stderr);
            assert!(matches!(run.code, Some(0..=3)) && !said.contains("panicked"), "{what}: {:?} {said}", run.code);
            assert!(said.matches("error: ").count() <= 1, "{what}: {said}");
            assert!(run.code == Some(0) || said.contains("hint: ") || words[0] == "doctor", "{what}: {said}");
            assert!(said.len() < 40_000 && !said.contains("[[[[[["), "{what}: {said}");
            put_back(&kept, file);
        }
        fs::remove_file(&kept).expect("the copy");
    }
}

#[test]
fn what_this_tool_keeps() {
    let sandbox = Sandbox::new();
    let workspace = sandbox.workspace().display().to_string();
    proc::output("git", ["-C", &workspace, "init", "-q"]);
    fs::write(sandbox.workspace().join("Makefile"), "all:\n").expect("a file");
    sandbox.enter(["--version"]).ok();
    let state = sandbox.place.path("state/codex-sandbox");
    let found = proc::output("find", [&state.display().to_string(), "-type", "f", "-not", "-path", "*/codex-home/*"]);
    let own = |path: &&str| {
        // The copies of Codex, the git directory that git itself keeps, and what the container reads alone.
        !["/codex/", "/git/git/", "/guest/", "/lock"].iter().any(|part| path.contains(part))
    };
    let files: Vec<PathBuf> = found.lines().filter(own).map(PathBuf::from).collect();
    assert!(files.len() >= 5, "{files:?}");
    each(&sandbox, &files, &[&["status"], &["sandbox", "--dry-run"], &["down", "--dry-run"]]);
    sandbox.enter(["--version"]).ok();
}

#[test]
fn what_other_programs_keep() {
    let sandbox = Sandbox::new();
    let files = [
        ("home/.codex/config.toml", None),
        ("home/.codex/auth.json", Some("{}")),
        ("home/.docker/config.json", Some("{}")),
        ("home/.gitconfig", Some("[user]\nname = A\n")),
        ("repo/docker/docker-compose.yaml", None),
    ];
    let files = files.map(|(name, text)| match text {
        Some(text) => sandbox.place.write(name, text),
        None => sandbox.place.dir().join(name),
    });
    each(&sandbox, &files, &[&["status"], &["sandbox", "--dry-run"], &["doctor"]]);
}
