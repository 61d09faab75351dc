//! The airlock with real git and no engine: the container is played by git with the private git directory and a
//! folder that stands for `/sandbox`.

mod flow;
mod hostile;
mod large;
mod shapes;
mod unread;
mod written;

use super::prepare::prepare_at;
use super::*;
use crate::exec;
use crate::step::Command;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What a sandbox gets.
struct Prepared {
    mounts: Vec<Mount>,
    mount_points: Vec<String>,
    notes: Vec<String>,
}

/// A program that leaves a mark when it runs.
pub(super) fn trap(f: &Fixture) -> (String, PathBuf) {
    use std::os::unix::fs::PermissionsExt as _;
    let (trap, mark) = (f.path("trap"), f.path("mark"));
    std::fs::write(&trap, format!("#!/bin/sh\ntouch '{}'\n", mark.display())).unwrap();
    std::fs::set_permissions(&trap, std::fs::Permissions::from_mode(0o755)).unwrap();
    (trap.display().to_string(), mark)
}

/// A host's repository, its workspace, and a sandbox beside it.
pub(super) struct Fixture {
    temp: TempDir,
    pub(super) workspace: PathBuf,
}

impl Fixture {
    /// A repository with one commit on `main`.
    pub(super) fn new() -> Fixture {
        let fixture = Fixture::empty(&[]);
        fixture.commit("a", "one\n", "first");
        fixture
    }

    /// A repository without commits.
    fn empty(options: &[&str]) -> Fixture {
        let temp = tempfile::tempdir().unwrap();
        let workspace = temp.path().canonicalize().unwrap().join("my project");
        std::fs::create_dir_all(&workspace).unwrap();
        let fixture = Fixture { temp, workspace };
        fixture.host(&[&["init", "-q", "-b", "main"], options].concat());
        fixture
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.temp.path().canonicalize().unwrap().join(name)
    }

    fn git(&self) -> PathBuf {
        self.private().join("git")
    }

    fn private(&self) -> PathBuf {
        self.path("state")
    }

    pub(super) fn command(&self) -> Command {
        let home = self.path("home");
        std::fs::create_dir_all(&home).unwrap();
        Command::new("env")
            .args(["-u", "GIT_DIR", "-u", "GIT_INDEX_FILE", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null"])
            .arg(format!("HOME={}", home.display()))
            .args(["GIT_AUTHOR_NAME=h", "GIT_AUTHOR_EMAIL=h@h", "GIT_COMMITTER_NAME=h", "GIT_COMMITTER_EMAIL=h@h"])
    }

    /// Git as the user runs it on the host, in the workspace.
    pub(super) fn host(&self, args: &[&str]) -> String {
        self.host_in(&self.workspace, args)
    }

    pub(super) fn host_in(&self, dir: &Path, args: &[&str]) -> String {
        let command = self.command().args(["git", "-c", "protocol.file.allow=always"]);
        exec::stdout_of(&command.args(args.iter().copied()).dir(dir)).unwrap()
    }

    /// Git as the agent runs it inside.
    fn agent(&self, args: &[&str]) -> String {
        let command = Command::new("env")
            .args(["GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null"])
            .arg(format!("GIT_DIR={}", self.git().display()))
            .arg(format!("GIT_WORK_TREE={}", self.workspace.display()))
            .arg("git");
        let output = exec::capture(&command.args(args.iter().copied()).dir(&self.workspace)).unwrap();
        assert!(output.ok(), "{args:?}: {}", output.stderr);
        assert_eq!(output.stderr.replace("warning: ", ""), output.stderr, "{args:?}");
        output.stdout
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.workspace.join(name), text).unwrap();
    }

    /// A commit on the host.
    fn commit(&self, file: &str, text: &str, message: &str) {
        self.write(file, text);
        self.host(&["add", file]);
        self.host(&["commit", "-q", "-m", message]);
    }

    /// A commit inside.
    fn agent_commit(&self, file: &str, text: &str, message: &str) {
        self.write(file, text);
        self.agent(&["add", file]);
        self.agent(&["commit", "-q", "-m", message]);
    }

    pub(super) fn repo(&self) -> Repository {
        detect(&self.workspace).unwrap().unwrap()
    }

    pub(super) fn repo_root(&self) -> crate::beneath::Beneath {
        crate::beneath::Beneath::root(&self.workspace).unwrap()
    }

    fn prepare(&self) -> Prepared {
        let repo = self.repo();
        let inside = self.path("sandbox");
        let identity = Identity { name: Some("An \"AI\" Agent".into()), email: Some("a@example.org".into()) };
        let sandbox = inside.display().to_string();
        let Airlock { mount_points, notes } =
            prepare_at(&repo, &self.private(), &identity, &sandbox, &|| false).unwrap();
        let mounts = mounts::of(&repo, &self.private(), &sandbox).unwrap();
        // What the mounts at `/sandbox` would do.
        let _ = std::fs::remove_dir_all(&inside);
        std::fs::create_dir_all(&inside).unwrap();
        for mount in mounts.iter().filter(|mount| mount.role == crate::spec::inside::Role::GitObjects) {
            if !mount.target.ends_with("/info") {
                std::os::unix::fs::symlink(&mount.source, &mount.target).unwrap();
            }
        }
        Prepared { mounts, mount_points, notes }
    }

    fn list(&self) -> Listing {
        list(&self.repo(), &self.private(), &|| false).unwrap()
    }

    /// `NAME STATE: SUBJECTS` of each branch.
    fn listed(&self) -> Vec<String> {
        let listing = self.list();
        assert_eq!(listing.notes, Vec::<String>::new());
        let subjects =
            |branch: &Branch| branch.commits.iter().map(|c| c.subject.clone()).collect::<Vec<_>>().join(", ");
        listing
            .branches
            .iter()
            .map(|branch| format!("{} {:?}: {}", branch.name, branch.state, subjects(branch)))
            .collect()
    }

    fn take(&self) -> Vec<String> {
        let lines = take(&self.repo(), &self.private(), &|| false).unwrap();
        let left: Vec<_> = std::fs::read_dir(self.private())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("quarantine"))
            .collect();
        assert_eq!(left, Vec::<String>::new());
        lines.iter().map(|line| self.masked(line)).collect()
    }

    /// Ids replaced, so that lines can be compared whole.
    fn masked(&self, line: &str) -> String {
        let is_id = |word: &str| word.len() >= 10 && word.chars().all(|c| c.is_ascii_hexdigit());
        line.split(' ')
            .map(|word| {
                if is_id(word.trim_end_matches(',')) {
                    word.replace(word.trim_end_matches(','), "ID")
                } else {
                    word.into()
                }
            })
            .collect::<Vec<String>>()
            .join(" ")
    }
}
