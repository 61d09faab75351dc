//! Data sets on file systems that a program of this host or another machine serves, mounted for real: known ones are taken, and
//! their claims say that they are sampled; whatever has something of a sandbox below it, or of which nothing is known, is
//! refused before anything is started.
//!
//! Servers that are not packaged are played by `sshfs` under their type. NFS, Lustre, CIFS and the other kernel's own clients
//! have their rows in the unit tests: a kernel without them has no mount to show.

use crate::support::place::User;
use crate::support::proc;
use crate::support::run::{Run, Xtask};
use crate::support::sandbox::Sandbox;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A file system that programs of the test's own serve.
struct Served {
    at: PathBuf,
    servers: Vec<Child>,
}

impl Served {
    /// `command` stays in the foreground.
    fn new(at: &Path, mut command: Command) -> Served {
        let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the server is installed");
        Served { at: at.to_owned(), servers: vec![server] }.ready()
    }

    fn ready(self) -> Served {
        let at = self.at.display().to_string();
        proc::wait_for("the mount", 60, || {
            let table = std::fs::read_to_string("/proc/self/mountinfo").expect("the mounts");
            table.lines().any(|line| line.split(' ').nth(4) == Some(&at)).then_some(())
        });
        self
    }

    fn bindfs(from: &Path, at: &Path, options: &[&str]) -> Served {
        let mut command = Command::new("bindfs");
        command.arg("-f").args(options).args([from, at]);
        Served::new(at, command)
    }

    fn mergerfs(branches: &[&Path], at: &Path) -> Served {
        let branches: Vec<String> = branches.iter().map(|branch| branch.display().to_string()).collect();
        let mut command = Command::new("mergerfs");
        command.args(["-f", "-o", "allow_other"]).arg(branches.join(":")).arg(at);
        Served::new(at, command)
    }

    fn rclone(remote: &str, at: &Path) -> Served {
        let mut command = Command::new("rclone");
        command.args(["mount", "--allow-other", "--config", "/dev/null", remote]).arg(at);
        Served::new(at, command)
    }

    /// By SFTP through a pipe: no program has to listen. The options can give it another type and source.
    fn sshfs(host: &str, from: &Path, at: &Path, options: &str) -> Served {
        let (from_server, to_client) = std::io::pipe().expect("a pipe");
        let (from_client, to_server) = std::io::pipe().expect("a pipe");
        let server = Command::new(SFTP).stdin(from_client).stdout(to_client).stderr(Stdio::null()).spawn();
        let server = server.expect("openssh-sftp-server is installed");
        let mut client = Command::new("sshfs");
        let source = format!("me@{host}:{}", from.display());
        client.args(["-f", "-o", &format!("passive,allow_other{options}"), &source]);
        client.arg(at).stderr(Stdio::null());
        let client = client.stdin(from_server).stdout(to_server).spawn().expect("sshfs is installed");
        Served { at: at.to_owned(), servers: vec![client, server] }.ready()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = proc::outcome("umount", ["-l".as_ref(), self.at.as_os_str()]);
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// The server of the package openssh-sftp-server, which `sshd` starts (Debian, Ubuntu).
const SFTP: &str = "/usr/lib/openssh/sftp-server";

const SAMPLED: &str = "sampled: the server can change it";

/// The claims that say it.
const CLAIMS: [&str; 3] = ["dataset.ssv2.no-alias", "dataset.ssv2.hard-links", "dataset.ssv2.symlinks"];

/// Enters a sandbox with this data set, and reads in text and in JSON what is said of it.
#[track_caller]
fn is_taken(sandbox: &Sandbox, at: &Path, fstype: &str) {
    let data = format!("ssv2={}", at.display());
    let task = |task: &str| sandbox.task_without_data(task).args(["--dataset", &data]);
    let run = task("sandbox").args(["--yes", "--", "--version"]).run().ok();
    assert!(run.stderr.contains("promises hold (3 of them sampled)"), "{fstype}: {}", run.stderr);
    let mut sampled = sandbox.proof().with("sampled");
    sampled.sort();
    assert_eq!(sampled, ["dataset.ssv2.hard-links", "dataset.ssv2.no-alias", "dataset.ssv2.symlinks"], "{fstype}");
}

/// What `mounts` says of it inside, in text and in JSON.
#[track_caller]
fn is_said(sandbox: &Sandbox, at: &Path, fstype: &str) {
    let data = format!("ssv2={}", at.display());
    let task = |task: &str| sandbox.task_without_data(task).args(["--dataset", &data]);
    let why = format!("{SAMPLED} (`/datasets/ssv2` is on `{fstype}`)");
    let text = task("mounts").run().ok().stdout;
    let json: Value = serde_json::from_str(&task("mounts").args(["--json"]).run().ok().stdout).expect("JSON");
    for id in CLAIMS {
        let claim = json["claims"].as_array().expect("claims").iter().find(|claim| claim["id"] == id).expect(id);
        assert_eq!((&claim["verdict"], &claim["why"]), (&"sampled".into(), &why.as_str().into()), "{fstype}");
        assert!(
            text.lines().any(|line| line.starts_with("sampled") && line.contains(id) && line.contains(&why)),
            "{text}"
        );
    }
    assert!(
        json["claims"]
            .as_array()
            .expect("claims")
            .iter()
            .any(|claim| { claim["id"] == "dataset.ssv2.read-only" && claim["verdict"] == "held" })
    );
}

#[test]
fn known_servers_are_taken_and_the_claims_say_that_they_are_sampled() {
    let sandbox = Sandbox::new();
    let from = sandbox.dataset();
    let at = |name: &str| sandbox.place.mkdir(name);
    let empty = at("empty");
    let remote = format!(":local:{}", from.display());
    for (fstype, served) in [
        ("fuse", Served::bindfs(&from, &at("bindfs"), &["-o", "ro"])),
        ("fuse.sshfs", Served::sshfs("far.example", &from, &at("sshfs"), "")),
        ("fuse.mergerfs", Served::mergerfs(&[&from, &empty], &at("mergerfs"))),
        ("fuse.rclone", Served::rclone(&remote, &at("rclone"))),
    ] {
        is_taken(&sandbox, &served.at, fstype);
        if fstype == "fuse" {
            is_said(&sandbox, &served.at, fstype);
        }
    }
}

#[test]
fn what_lets_in_its_own_user_alone_is_refused_before_the_engine_fails() {
    let user = User { uid: 1234, gid: 1234 };
    let sandbox = Sandbox::of(user);
    let at = sandbox.place.mkdir("at");
    sandbox.place.give();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "1234", "--regid", "1234", "--clear-groups"]);
    // What the set-user-id program `fusermount3` has, and no more is asked of this host.
    for kind in ["--inh-caps", "--ambient-caps"] {
        command.args([kind, "+sys_admin,+dac_override"]);
    }
    command.args(["mergerfs", "-f"]).args([&sandbox.dataset(), &at]);
    let served = Served::new(&at, command);
    let data = format!("ssv2={}", served.at.display());
    let run =
        sandbox.task_without_data("sandbox").args(["--dataset", &data, "--yes", "--", "--version"]).run().ended(2);
    assert!(run.error().contains("lets in user 1234 alone"), "{}", run.stderr);
    assert!(run.error().contains("allow_other"), "{}", run.stderr);
    assert!(!run.stderr.contains("docker compose"), "{}", run.stderr);
}

/// As CIFS does with `uid=`, and NFS with `all_squash`.
#[test]
fn a_workspace_whose_server_gives_files_to_somebody_else_is_seen() {
    let sandbox = Sandbox::new();
    let (from, at) = (sandbox.place.mkdir("from"), sandbox.place.mkdir("work"));
    let _served = Served::bindfs(&from, &at, &["--create-for-user=4321"]);
    let workspace = at.display().to_string();
    let run = sandbox.task("sandbox").args(["--workspace", &workspace, "--yes", "--", "--version"]).run();
    let down = sandbox.task("down").args(["--workspace", &workspace, "--yes"]).run();
    let run = run.ended(1);
    assert!(run.stderr.contains("workspace.writable"), "{}", run.stderr);
    assert!(run.stderr.contains("the file belongs to 4321:"), "{}", run.stderr);
    down.ok();
}

/// A place with a workspace and a data set that is mounted in no sandbox.
struct Ground(Sandbox);

impl Ground {
    fn new() -> Ground {
        let sandbox = Sandbox::new();
        let place = &sandbox.place;
        for dir in ["work/data", "apart/clips", "work/clips"] {
            place.mkdir(dir);
            place.write(&format!("{dir}/1.webm"), "x");
        }
        Ground(sandbox)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.place.path(name)
    }

    fn at(&self) -> PathBuf {
        self.0.place.mkdir("at")
    }

    fn task(&self, task: &str, workspace: &str, at: &Path) -> Xtask<'_> {
        let data = format!("ssv2={}", at.display());
        let workspace = self.path(workspace).display().to_string();
        self.0.task_without_data(task).args(["--workspace", &workspace, "--dataset", &data])
    }

    /// By the checks of the host alone.
    fn mounts(&self, at: &Path) -> Run<'_> {
        self.task("mounts", "work", at).run()
    }

    /// Every task that looks refuses it, and so does a start before anything is started.
    #[track_caller]
    fn refused(&self, at: &Path, verdict: &str, says: &str) {
        let run = self.mounts(at).ended(1);
        let line = run.stdout.lines().find(|line| line.starts_with(verdict)).unwrap_or_default();
        assert!(line.contains("dataset.ssv2.host"), "{says}: {}", run.stdout);
        assert!(line.contains(says), "{says}: {}", run.stdout);
        let run = self.task("sandbox", "work", at).args(["--yes"]).run().ended(2);
        assert!(run.error().contains(says), "{says}: {}", run.stderr);
        assert!(!run.stderr.contains("docker compose"), "{}", run.stderr);
    }
}

#[test]
fn types_of_other_machines_are_taken() {
    let ground = Ground::new();
    for (subtype, source) in [
        ("s3fs", "s3fs"),
        ("gcsfuse", "bucket"),
        ("goofys", "bucket"),
        ("juicefs", "JuiceFS:mine"),
        ("glusterfs", "server.example:/vol"),
        ("rclone", "remote:bucket"),
        ("sshfs", "me@server.example:"),
    ] {
        let options = format!(",fsname={source},subtype={subtype}");
        let served = Served::sshfs("far.example", &ground.path("apart"), &ground.at(), &options);
        let run = ground.mounts(&served.at);
        assert_eq!(run.code, Some(0), "{subtype}: {}", run.stdout);
        let says = format!("{SAMPLED} (`{}` is on `fuse.{subtype}`)", served.at.display());
        assert!(run.stdout.contains(&says), "{subtype}: {}", run.stdout);
    }
}

#[test]
fn what_has_a_part_of_the_workspace_below_it_is_refused_before_the_start() {
    let ground = Ground::new();
    let (work, apart, at) = (ground.path("work"), ground.path("apart"), ground.at());
    let says = "below its file system lies";
    let local = format!(":local:{}", work.join("data").display());
    let makes: [&dyn Fn() -> Served; 6] = [
        &|| Served::bindfs(&work.join("data"), &at, &[]),
        &|| Served::mergerfs(&[&apart, &work.join("data")], &at),
        // A branch that has no such directory yet, which an agent can make.
        &|| Served::mergerfs(&[&apart, &work], &at),
        &|| Served::rclone(&local, &at),
        &|| Served::sshfs("127.0.0.1", &work.join("data"), &at, ""),
        &|| Served::sshfs("localhost", &work.join("data"), &at, ""),
    ];
    for (number, make) in makes.into_iter().enumerate() {
        let served = make();
        let data = if number == 2 { served.at.join("clips") } else { served.at.clone() };
        ground.refused(&data, "broken", says);
    }
    // One that lies on another.
    let lower = ground.0.place.mkdir("lower");
    let _below = Served::bindfs(&work.join("data"), &lower, &[]);
    let upper = Served::mergerfs(&[&lower], &at);
    ground.refused(&upper.at, "broken", says);
}

#[test]
fn two_mounts_of_one_place_on_one_server_are_refused() {
    let ground = Ground::new();
    let shown = ground.path("apart");
    let work = Served::sshfs(
        "far.example",
        ground.0.place.dir(),
        &ground.0.place.mkdir("far"),
        ",fsname=me@far.example:/srv/all",
    );
    let at = ground.at();
    let workspace = work.at.join("apart").display().to_string();
    for (source, same) in
        [("/srv/all/apart/clips", true), ("/srv/all", true), ("/srv/all/other", false), ("/srv/allx", false)]
    {
        let data = Served::sshfs("far.example", &shown, &at, &format!(",fsname=you@far.example:{source}"));
        let run = ground.task("mounts", "far/apart", &data.at).run();
        assert_eq!(run.code, Some(i32::from(same)), "{source}: {}{}", run.stdout, run.stderr);
        let says = format!(
            "could be written through `{workspace}`, mounted writable at `/workspace`: below its file system lies"
        );
        assert_eq!(run.stdout.contains(&says), same, "{source}: {}", run.stdout);
    }
}

#[test]
fn what_hangs_below_a_server_that_answers_is_waited_for_by_nobody() {
    let ground = Ground::new();
    let lower = Served::bindfs(&ground.path("apart"), &ground.0.place.mkdir("lower"), &[]);
    let source = format!(",fsname=me@127.0.0.1:{}", lower.at.display());
    let served = Served::sshfs("far.example", &ground.path("apart"), &ground.at(), &source);
    ground.mounts(&served.at).ok();
    let pid = Pid::from_raw(i32::try_from(lower.servers[0].id()).expect("a number")).expect("not 0");
    kill_process(pid, Signal::STOP).expect("it runs");
    ground.refused(
        &served.at,
        "not provable",
        &format!("the directory `{}` below it cannot be found", lower.at.display()),
    );
}

#[test]
fn a_part_that_is_apart_is_taken_though_the_workspace_lies_beside_it() {
    let ground = Ground::new();
    let served = Served::bindfs(ground.0.place.dir(), &ground.at(), &[]);
    ground.mounts(&served.at.join("apart")).ok();
    ground.refused(&served.at.join("work/data"), "broken", "below its file system lies");
}

#[test]
fn what_nobody_knows_is_refused_before_the_start_unless_the_user_names_it() {
    let ground = Ground::new();
    let (apart, at) = (ground.path("apart"), ground.at());
    for options in [
        "fsname=archivemount,subtype=archivemount",
        "fsname=/usr,subtype=new",
        "fsname=localhost:/vol,subtype=glusterfs",
        "fsname=:union:,subtype=rclone",
        "fsname=me@127.0.0.1:",
    ] {
        let served = Served::sshfs("far.example", &apart, &at, &format!(",{options}"));
        ground.refused(&served.at, "not provable", "is not known");
        let run = ground.task("sandbox", "work", &served.at).args(["--yes"]).run().ended(2);
        assert!(run.error().contains("--allow-ground"), "{options}: {}", run.stderr);
        let named = ground.task("mounts", "work", &served.at).args(["--allow-ground", &at.display().to_string()]).run();
        assert_eq!(named.code, Some(0), "{options}: {}", named.stdout);
    }
}

#[test]
fn what_another_sandbox_was_given_lies_below_nothing_that_is_taken() {
    let sandbox = Sandbox::new();
    sandbox.enter(["--version"]).ok();
    sandbox.task("down").args(["--yes"]).run().ok();
    let (other, at) = (sandbox.place.mkdir("other"), sandbox.place.mkdir("at"));
    sandbox.place.mkdir("clips");
    std::fs::create_dir_all(sandbox.workspace().join("clips")).expect("a directory");
    let served = Served::bindfs(&sandbox.workspace().join("clips"), &at, &[]);
    let data = format!("ssv2={}", served.at.display());
    let other = other.display().to_string();
    let run = sandbox.task_without_data("mounts").args(["--workspace", &other, "--dataset", &data]).run().ended(1);
    assert!(run.stdout.contains("which a sandbox was given for writing"), "{}", run.stdout);
}

#[test]
fn what_another_sandbox_shows_through_a_server_is_taken_by_none() {
    let sandbox = Sandbox::new();
    let (shown, at) = (sandbox.place.mkdir("shown"), sandbox.place.mkdir("at"));
    sandbox.place.mkdir("shown/clips");
    let _server = Served::bindfs(&shown, &at, &[]);
    let first = |task: &str| sandbox.task(task).args(["--workspace", &at.display().to_string()]);
    let other = sandbox.place.mkdir("other").display().to_string();
    let data = format!("ssv2={}", shown.display());
    let second = |task: &str| sandbox.task_without_data(task).args(["--workspace", &other, "--dataset", &data]);
    // The one that only reads was there first, then the other one.
    second("sandbox").args(["--yes", "--", "--version"]).run().ok();
    let run = first("sandbox").args(["--yes", "--", "--version"]).run();
    assert!(run.code != Some(0) && run.error().contains(&format!("shows `{}`", shown.display())), "{}", run.stderr);
    second("down").args(["--yes", "--all"]).run().ok();
    first("sandbox").args(["--yes", "--", "--version"]).run().ok();
    let run = second("mounts").run().ended(2);
    assert!(run.error().contains("which a sandbox can write"), "{}", run.stderr);
    first("down").args(["--yes"]).run().ok();
}

/// Whoever writes through a server writes what it shows: no rule about workspaces is got round by one.
#[test]
fn what_a_workspace_shows_through_a_server_is_what_it_is() {
    let sandbox = Sandbox::new();
    let place = &sandbox.place;
    let at = place.mkdir("shown");
    let home = place.path("home");
    let repository = place.path("repo");
    let run = || sandbox.task("sandbox").args(["--dry-run", "--workspace", &at.display().to_string()]).run();
    for (from, says) in [
        (sandbox.dataset(), "could be written there: they are the same directory"),
        (home, "shows your whole home directory"),
        (repository, "is or contains this repository"),
        (PathBuf::from("/etc"), "holds the settings and secrets of this host"),
    ] {
        let _server = Served::bindfs(&from, &at, &[]);
        let error = run().ended(2).error().to_owned();
        assert!(error.contains(&format!("shows `{}`", from.display())) && error.contains(says), "{error}");
    }
    // The project of this repository, and a branch of mergerfs that nobody else has.
    let _server = Served::mergerfs(&[&place.mkdir("branch"), &sandbox.workspace()], &at);
    run().ok();
}
