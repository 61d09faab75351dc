//! The checks on real directories. What needs root (bind mounts) is named `engine_`: the default profile leaves it out,
//! and where it runs it does not pass without root.

use super::*;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

/// A host in a directory: `home`, `home/repo`, `ws`, `data`, `state`.
struct TestHost {
    dir: tempfile::TempDir,
    rules: Rules,
}

impl TestHost {
    fn new() -> TestHost {
        let dir = tempfile::tempdir().unwrap();
        for path in
            ["home/repo/workspace", "home/repo/docker", "ws/sub", "data/clips", "state/home", "private/login", "run"]
        {
            fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        let meta = fs::metadata(dir.path()).unwrap();
        let rules = Rules {
            uid: meta.uid(),
            gid: meta.gid(),
            groups: Vec::new(),
            home: dir.path().join("home"),
            repository: dir.path().join("home/repo"),
            private: vec![dir.path().join("private"), dir.path().join("state/tool")],
            allow_ground: Vec::new(),
            sockets: vec![dir.path().join("run/docker.sock")],
        };
        fs::write(dir.path().join("run/docker.sock"), "").unwrap();
        TestHost { dir, rules }
    }

    fn path(&self, path: &str) -> PathBuf {
        match path {
            path if path.starts_with('/') => path.into(),
            path => self.dir.path().join(path),
        }
    }

    fn mount(&self, role: Role, source: &str) -> Mount {
        let target = match &role {
            Role::Workspace => "/workspace".into(),
            Role::Dataset(name) => format!("/datasets/{name}"),
            other => format!("/{}", other.id()),
        };
        let read_only = matches!(role, Role::Dataset(_));
        let source = self.path(source);
        Mount { role, source, target, read_only }
    }

    /// The problems of a workspace and a data set, with this host's own paths left out.
    fn problems(&self, workspace: &str, data: &str) -> Vec<String> {
        let mounts = [self.mount(Role::Workspace, workspace), self.mount(ssv2(), data)];
        self.said(&check(&mounts, &self.rules, &Exposed::nothing()))
    }

    fn said(&self, problems: &[Finding]) -> Vec<String> {
        let dir = self.dir.path().canonicalize().unwrap().display().to_string();
        let said = problems.iter().filter_map(|problem| problem.why.as_ref());
        said.map(|what| what.replace(&format!("{dir}/"), "").replace(&dir, "DIR")).collect()
    }
}

fn ssv2() -> Role {
    Role::Dataset("ssv2".into())
}

#[test]
fn directories_apart_from_each_other_are_fine() {
    let host = TestHost::new();
    assert_eq!(host.problems("ws", "data"), Vec::<String>::new());
    assert_eq!(host.problems("home/repo/workspace", "data/"), Vec::<String>::new());
    for name in ["with space", "a:b,c", "it's \"q\"", "$HOME ${x}", "größe-データ", "ssv2\\040"] {
        fs::create_dir(host.path(name)).unwrap();
        assert_eq!(host.problems("ws", name), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn sources_that_no_mount_may_show_are_refused() {
    let host = TestHost::new();
    symlink(host.path("home"), host.path("to-home")).unwrap();
    fs::write(host.path("file"), "").unwrap();
    for (workspace, says) in [
        ("/", "is the whole host"),
        ("/proc", "lies in the kernel's `/proc`"),
        ("/sys/kernel", "lies in the kernel's `/sys`"),
        ("/dev", "lies in the kernel's `/dev`"),
        ("/dev/shm", "lies in the kernel's `/dev`"),
        ("home", "`home` shows your whole home directory"),
        ("to-home", "`home` shows your whole home directory"),
        ("", "shows your whole home directory"),
        ("home/repo", "`home/repo` is or contains this repository"),
        ("home/repo/docker", "`home/repo/docker` lies in this repository"),
        ("run", "`run` shows the engine's socket `run/docker.sock`"),
        ("private", "`private` shows something of `private`, where logins of yours lie"),
        ("private/login", "`private/login` shows something of `private`"),
        ("missing", "missing` does not exist"),
        ("file", "`file` is not a directory"),
    ] {
        let problems = host.problems(workspace, "data");
        assert!(problems.iter().any(|problem| problem.contains(says)), "{workspace}: {says}: {problems:?}");
    }
}

/// What is mounted read-only is shown as well: the objects of a repository, and a data set.
#[test]
fn no_read_only_mount_shows_what_none_may_show() {
    let host = TestHost::new();
    for (source, says) in [
        ("run", "shows the engine's socket"),
        ("home", "shows your whole home directory"),
        ("private", "where logins of yours lie"),
        ("/run", "is where the host's services listen"),
        ("/proc", "lies in the kernel's `/proc`"),
        ("/", "is the whole host"),
    ] {
        for role in [Role::GitObjects, ssv2()] {
            let mut mount = host.mount(role.clone(), source);
            mount.read_only = true;
            let problems = host.said(&check(&[mount], &host.rules, &Exposed::nothing()));
            assert!(problems.iter().any(|problem| problem.contains(says)), "{role:?} {source}: {problems:?}");
        }
    }
}

#[test]
fn ground_that_holds_other_things_trust_is_refused_unless_it_is_named() {
    let mut host = TestHost::new();
    for path in ["home/.ssh", "home/.vim/pack", "state/tool/workspaces", "scratch/mine", "home/.cache/sets"] {
        fs::create_dir_all(host.path(path)).unwrap();
    }
    fs::set_permissions(host.path("scratch"), fs::Permissions::from_mode(0o1777)).unwrap();
    symlink(host.path("home/.vim"), host.path("to-vim")).unwrap();
    for (workspace, says) in [
        ("/etc", "`/etc` holds the settings and secrets of this host"),
        ("/usr/bin", "`/usr/bin` holds programs that this host runs"),
        ("/var/tmp", "`/var/tmp` is the directory in which everybody keeps temporary files"),
        ("home/.ssh", "`home/.ssh` shows `home/.ssh`, where programs keep their settings and secrets"),
        ("home/.vim/pack", "lies in a dot directory of your home"),
        ("to-vim", "`home/.vim` lies in a dot directory of your home"),
        ("state", "shows something of `state/tool`, where logins of yours lie"),
        ("state/tool/workspaces", "shows something of `state/tool`, where logins of yours lie"),
        ("scratch", "`scratch` is a directory that all users of this host share"),
    ] {
        let problems = host.problems(workspace, "data");
        assert!(problems.iter().any(|problem| problem.contains(says)), "{workspace}: {says}: {problems:?}");
    }
    for data in ["/etc", "home/.ssh", "state/tool"] {
        assert_eq!(host.problems("ws", data).len(), 1, "{data}");
    }
    assert_eq!(host.problems("scratch/mine", "home/.cache/sets"), Vec::<String>::new());
    host.rules.allow_ground = vec![host.path("to-vim"), host.path("state/tool")];
    assert_eq!(host.problems("home/.vim", "data"), Vec::<String>::new());
    assert_eq!(host.problems("home/.vim/pack", "data").len(), 1);
    assert_eq!(host.problems("state/tool", "data").len(), 1, "no word opens it");
}

#[test]
fn a_data_set_that_a_writable_mount_shows_is_refused() {
    let host = TestHost::new();
    symlink(host.path("data"), host.path("to-data")).unwrap();
    symlink(host.path("ws/sub"), host.path("to-sub")).unwrap();
    for (workspace, data, says) in [
        ("data", "data", "the same directory"),
        ("to-data", "data", "the same directory"),
        ("ws", "to-sub", "the data set lies in it"),
        ("data/clips", "to-data", "it lies in the data set"),
    ] {
        let problems = host.problems(workspace, data);
        assert!(problems.iter().any(|problem| problem.contains(says)), "{workspace} {data}: {problems:?}");
    }
    let mounts = [host.mount(ssv2(), "state"), host.mount(Role::CodexHome, "state/home")];
    let problems = host.said(&check(&mounts, &host.rules, &Exposed::nothing()));
    assert!(problems[0].contains("it lies in the data set"), "{problems:?}");
}

#[test]
fn the_containers_user_must_be_let_in() {
    let mut host = TestHost::new();
    fs::set_permissions(host.path("data"), fs::Permissions::from_mode(0o750)).unwrap();
    fs::set_permissions(host.path("ws"), fs::Permissions::from_mode(0o755)).unwrap();
    let group = host.rules.gid;
    (host.rules.uid, host.rules.gid) = (54321, 54321);
    let problems = host.problems("ws", "data");
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("user 54321:54321 cannot write `ws`"), "{problems:?}");
    assert!(problems[1].starts_with("user 54321:54321 cannot read `data`"), "{problems:?}");
    host.rules.groups.push(group);
    assert_eq!(host.problems("ws", "data").len(), 1, "its group may read the data");
}

#[test]
fn names_and_targets_are_held_to_their_rules() {
    for good in ["ssv2", "0", "a.b_c-d"] {
        assert!(valid_name(good), "{good}");
    }
    for bad in ["", "A", ".a", "-a", "a/b", "a b", "ä", "a\n"] {
        assert!(!valid_name(bad), "{bad:?}");
    }
    let host = TestHost::new();
    let twice = [host.mount(ssv2(), "data"), host.mount(ssv2(), "data")];
    assert_eq!(
        host.said(&check(&twice, &host.rules, &Exposed::nothing())),
        ["two mounts have the target `/datasets/ssv2`"]
    );
    let mut odd = host.mount(Role::Dataset("../x".into()), "data");
    odd.source = PathBuf::from(std::ffi::OsString::from_vec(b"/tmp/\xff".to_vec()));
    let problems = host.said(&check(&[odd], &host.rules, &Exposed::nothing()));
    assert_eq!(problems.len(), 4, "name, path, target and existence: {problems:?}");
    fs::create_dir(host.path("new\nline")).unwrap();
    assert!(host.problems("ws", "new\nline")[0].ends_with("has a control character"));
}

#[test]
fn all_problems_are_told_at_once_with_their_hints() {
    let host = TestHost::new();
    let mounts = [host.mount(Role::Workspace, "gone"), host.mount(ssv2(), "away")];
    let problems = check(&mounts, &host.rules, &Exposed::nothing());
    let text = crate::error::render(&failure(&problems).unwrap().into());
    let dir = host.dir.path().display();
    assert_eq!(
        text,
        format!(
            "error: 2 mounts cannot be made:\n  `{dir}/gone` does not exist\n  `{dir}/away` does not exist\n\
             hint: give the project's directory with `--workspace DIR`\nhint: give the directory with `--dataset ssv2=DIR`\n"
        )
    );
    let claims = claims(&mounts, &problems);
    assert_eq!((claims[1].id.as_str(), claims[1].verdict), ("dataset.ssv2.host", Verdict::Broken));
    assert!(failure(&[]).is_none());
}

/// A bind mount, removed at the end of its test.
struct Bound(PathBuf);

impl Bound {
    fn new(host: &TestHost, what: &str, at: &str) -> Bound {
        let at = host.path(at);
        fs::create_dir_all(&at).unwrap();
        let mount = crate::step::Command::new("mount").arg("--bind");
        let mount = mount.args([host.path(what).display().to_string(), at.display().to_string()]);
        crate::exec::stdout_of(&mount).expect("this test needs root: it makes bind mounts");
        Bound(at)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = crate::exec::capture(&crate::step::Command::new("umount").arg(self.0.display().to_string()));
    }
}

#[test]
fn engine_bind_mounts_of_the_same_data_are_recognized() {
    let host = TestHost::new();
    for (what, at, workspace, data) in [
        // The data set by another path; a part of it; a directory around it.
        ("data", "other", "other", "data"),
        ("data/clips", "part", "part", "data"),
        ("data", "whole", "whole/clips", "data"),
        // What is mounted below the workspace, or below the data set, is shown with it.
        ("data/clips", "ws/mnt", "ws", "data"),
        ("ws/sub", "data/mnt", "ws", "data"),
    ] {
        let bound = Bound::new(&host, what, at);
        let problems = host.problems(workspace, data);
        assert!(
            problems.iter().any(|problem| problem.contains("could be written through")),
            "{what} at {at}: {problems:?}"
        );
        drop(bound);
    }
    let bound = Bound::new(&host, "home", "elsewhere");
    let problems = host.problems("elsewhere", "data");
    assert!(problems.iter().any(|problem| problem.contains("whole home directory")), "{problems:?}");
    let problems = host.problems("elsewhere/repo/docker", "data");
    assert!(problems.iter().any(|problem| problem.contains("lies in this repository")), "{problems:?}");
    assert_eq!(host.problems("elsewhere/repo/workspace", "data"), Vec::<String>::new());
    drop(bound);
}

/// A mount of a kind that needs root, removed at the end of its test.
fn mounted<const N: usize>(host: &TestHost, args: [&str; N], at: &str) -> Bound {
    let at = host.path(at);
    fs::create_dir_all(&at).unwrap();
    let command = crate::step::Command::new("mount").args(args.map(str::to_owned)).arg(at.display().to_string());
    crate::exec::stdout_of(&command).expect("this test needs root: it mounts file systems");
    Bound(at)
}

#[test]
fn engine_the_image_of_a_data_set_is_found_wherever_it_is_moved() {
    let host = TestHost::new();
    let image = host.path("ws/image").display().to_string();
    let make = crate::step::Command::new("mke2fs").args(["-q", "-t", "ext4", &image, "8M"].map(str::to_owned));
    crate::exec::stdout_of(&make).unwrap();
    let _bound = mounted(&host, ["-o", "loop,ro", &image], "on-image");
    let found = |host: &TestHost| {
        let problems = host.problems("ws", "on-image");
        problems.iter().filter(|problem| problem.contains("below its file system lies")).count()
    };
    assert_eq!(found(&host), 1);
    // The agent gives it another name.
    fs::rename(host.path("ws/image"), host.path("ws/sub/other")).unwrap();
    assert_eq!(found(&host), 1);
    fs::create_dir(host.path("apart")).unwrap();
    fs::hard_link(host.path("ws/sub/other"), host.path("ws/second")).unwrap();
    fs::rename(host.path("ws/sub/other"), host.path("apart/image")).unwrap();
    let problems = host.problems("ws", "on-image");
    assert!(problems.iter().any(|problem| problem.contains("it has a second name")), "{problems:?}");
    fs::remove_file(host.path("ws/second")).unwrap();
    assert_eq!(host.problems("ws", "on-image"), Vec::<String>::new());
    // Nobody knows any more who else has it open.
    fs::remove_file(host.path("apart/image")).unwrap();
    let problems = host.problems("ws", "on-image");
    assert!(problems.iter().any(|problem| problem.contains("is not provable")), "{problems:?}");
}

#[test]
fn engine_an_overlay_of_a_directory_in_the_workspace_is_found() {
    let host = TestHost::new();
    fs::create_dir_all(host.path("lower")).unwrap();
    for (lower, problems) in [("ws/sub", 1), ("lower", 0)] {
        let both = format!("lowerdir={}:{}", host.path(lower).display(), host.path("home").display());
        let bound = mounted(&host, ["-t", "overlay", "-o", &both, "overlay"], "laid-over");
        assert_eq!(host.problems("ws", "laid-over").len(), problems, "{:?}", host.problems("ws", "laid-over"));
        drop(bound);
    }
}

#[test]
fn engine_what_lies_below_what_another_sandbox_is_given_is_compared_too() {
    let host = TestHost::new();
    for dir in ["shown", "ws/sub/clips"] {
        fs::create_dir_all(host.path(dir)).unwrap();
    }
    let paths = ["ws/sub", "shown"].map(|path| host.path(path).display().to_string());
    crate::exec::stdout_of(&crate::step::Command::new("bindfs").args(paths)).expect("bindfs is installed");
    let _bound = Bound(host.path("shown"));
    let table = MountTable::of_this_process().unwrap();
    let by = |open: &str, read_only| written_by(&host.path(open), &host.path("shown"), read_only, &table);
    let how = by("ws", true).unwrap_or_default();
    assert!(how.starts_with("below the file system of the first lies"), "{how}");
    assert_eq!((by("data", true), by("ws", false)), (None, None));
}

#[test]
fn a_mount_is_made_at_a_whole_path_and_nowhere_else() {
    let host = TestHost::new();
    for target in ["data", "/a/../b", "/a/./b", "/a\tb", "/"] {
        let mount = Mount { target: target.into(), ..host.mount(ssv2(), "data") };
        let problems = check(&[mount], &host.rules, &Exposed::nothing());
        assert!(host.said(&problems)[0].starts_with("nothing can be mounted at"), "{target}: {problems:?}");
        let promise = format!("`{}` is fit to be mounted at `{target}`", host.path("data").display());
        assert_eq!(problems[0].promise, promise);
    }
}

#[test]
fn each_mount_has_the_claim_about_its_own_problems() {
    let host = TestHost::new();
    let mounts = [host.mount(Role::Workspace, "gone"), host.mount(ssv2(), "data")];
    let claims = claims(&mounts, &check(&mounts, &host.rules, &Exposed::nothing()));
    let verdicts: Vec<_> = claims.iter().map(|claim| (claim.id.as_str(), claim.verdict)).collect();
    assert_eq!(verdicts, [("workspace.host", Verdict::Broken), ("dataset.ssv2.host", Verdict::Held)]);
    assert_eq!((claims[0].remedies.len(), claims[1].remedies.len()), (1, 0));
}

#[test]
fn what_this_tool_mounts_to_be_read_may_be_a_part_of_this_repository() {
    let host = TestHost::new();
    for (read_only, refused) in [(true, false), (false, true)] {
        let mount = Mount { read_only, ..host.mount(Role::GitObjects, "home/repo/docker") };
        let problems = host.said(&check(&[mount], &host.rules, &Exposed::nothing()));
        assert_eq!(problems.iter().any(|problem| problem.contains("lies in this repository")), refused, "{problems:?}");
    }
}

#[test]
fn what_one_sandbox_writes_of_what_another_is_given_is_told() {
    let host = TestHost::new();
    let by = |open: &str, other: &str, read_only| {
        written_by(&host.path(open), &host.path(other), read_only, &MountTable::default())
    };
    for read_only in [true, false] {
        assert_eq!((by("ws", "data", read_only), by("ws", "gone", read_only)), (None, None));
        assert_eq!(by("ws", "ws/sub", read_only).as_deref(), Some("the first lies in it"));
    }
    assert_eq!(by("ws", "ws", true).as_deref(), Some("they are the same directory"));
    assert_eq!(by("ws/sub", "ws", true).as_deref(), Some("it lies in the first"));
    assert_eq!((by("ws", "ws", false), by("ws/sub", "ws", false)), (None, None), "both may write one directory");
}
