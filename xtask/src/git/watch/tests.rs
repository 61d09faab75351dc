//! The looks with real git and no engine: an agent writes what it likes into the workspace, except into what a container
//! would have mounted read-only, and the user then runs git on the host.

use super::super::tests::{Fixture, trap};
use super::places::lookup;
use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::time::Duration;

mod interpreters;
mod moved;
mod obeyed;
mod outward;
mod second_names;
mod settings;

/// An environment that says nothing: git has that of this process.
fn none() -> Environment {
    Environment::default()
}

/// The reason alone, where what was seen does not matter.
fn protect(workspace: &Path, repo: Option<&Repository>, state: &Path, env: &Environment, doubt: Doubt) -> Result<Told> {
    Ok(super::protect(Visit::new(workspace, repo, env, state, &|| false), doubt)?)
}

fn protect_within(bound: Bound, workspace: &Path, repo: Option<&Repository>, state: &Path) -> Result<Told> {
    let env = none();
    let visit = Visit { bound, ..Visit::new(workspace, repo, &env, state, &|| false) };
    Ok(super::protect(visit, Doubt::default())?)
}

fn look(
    workspace: &Path,
    repo: Option<&Repository>,
    state: &Path,
    env: &Environment,
    now: Now,
) -> Result<Told, Unfinished> {
    super::look(Visit::new(workspace, repo, env, state, &|| false), now)
}

fn look_within(
    bound: Bound,
    workspace: &Path,
    repo: Option<&Repository>,
    state: &Path,
    now: Now,
    obeyed: Option<Look>,
) -> Result<Told, Unfinished> {
    let env = none();
    let visit = Visit { bound, obeyed, ..Visit::new(workspace, repo, &env, state, &|| false) };
    super::look(visit, now)
}

struct Watched {
    f: Fixture,
    trap: String,
    mark: PathBuf,
}

impl Watched {
    /// A repository with a submodule `sub`, and a nested repository `vendor/tool` of which its own git knows nothing.
    fn new() -> Watched {
        let f = Fixture::new();
        let other = f.path("other");
        f.host(&["init", "-q", "-b", "main", &other.display().to_string()]);
        f.host_in(&other, &["commit", "-q", "--allow-empty", "-m", "other"]);
        f.host(&["submodule", "--quiet", "add", &other.display().to_string(), "sub"]);
        f.host(&["commit", "-q", "-m", "sub"]);
        f.host(&["clone", "-q", &other.display().to_string(), "vendor/tool"]);
        let (trap, mark) = trap(&f);
        Watched { f, trap, mark }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.f.workspace.join(name)
    }

    fn state(&self) -> PathBuf {
        self.f.path("git-state.json")
    }

    fn protect(&self) -> Told {
        let repo = super::super::detect(&self.f.workspace).unwrap();
        let seen = protect(&self.f.workspace, repo.as_ref(), &self.state(), &none(), Doubt::default()).unwrap();
        note_entered(&self.state()).unwrap();
        seen
    }

    /// What a look warns of.
    fn look(&self) -> Vec<String> {
        let repo = super::super::detect(&self.f.workspace).unwrap();
        look(&self.f.workspace, repo.as_ref(), &self.state(), &none(), Now::Busy).unwrap().warnings
    }

    fn mounted(&self) -> Vec<String> {
        let mounts = mounts(&self.f.workspace, &self.state()).unwrap();
        assert!(mounts.iter().all(|mount| mount.read_only));
        mounts.iter().map(|mount| mount.target.clone()).collect()
    }

    /// A repository in which git runs the trap, as the agent makes one.
    fn evil(&self, name: &str) {
        let dir = self.at(name);
        fs::create_dir_all(&dir).unwrap();
        self.f.host_in(&dir, &["init", "-q"]);
        self.f.host_in(&dir, &["commit", "-q", "--allow-empty", "-m", "evil"]);
        self.f.host_in(&dir, &["config", "core.fsmonitor", &self.trap]);
    }

    /// Whether git on the host, run here, runs the trap.
    fn runs(&self, dir: &str) -> bool {
        let _ = fs::remove_file(&self.mark);
        let command = self.f.command().args(["git", "status", "--short"]).dir(self.at(dir));
        let _ = crate::exec::capture(&command).unwrap();
        self.mark.exists()
    }

    fn touch(&self, name: &str, seconds: u64) {
        let file = fs::File::options().write(true).open(self.at(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    }

    /// The agent made something: git runs it before the look, nothing of it afterwards, and the look named these.
    #[track_caller]
    fn is_set_aside(&self, from: &[&str], named: &[&str]) {
        assert!(from.iter().all(|dir| self.runs(dir)), "the attack is none");
        let warnings = self.look();
        for name in named {
            assert!(warnings.iter().any(|line| line.starts_with(&format!("`{name}` was not there"))), "{warnings:#?}");
        }
        assert_eq!(warnings.len(), named.len(), "{warnings:#?}");
        for dir in from.iter().chain(&["", "vendor/tool"]) {
            assert!(!self.runs(dir), "git in `{dir}` still runs it");
        }
        assert_eq!(self.look(), Vec::<String>::new(), "the second look finds nothing more");
    }
}

#[test]
fn what_is_there_before_an_agent_runs_is_mounted_read_only_and_stays() {
    let w = Watched::new();
    w.f.host(&["worktree", "add", "-q", "-b", "side", "trees/side"]);
    w.f.host(&["init", "-q", "--bare", "store.git"]);
    let notes = w.protect().notes;
    let expected = ["store.git", "sub/.git", "trees/side/.git", "vendor/tool/.git"];
    assert_eq!(w.mounted(), expected.map(|path| format!("/workspace/{path}")));
    assert_eq!(notes.len(), 1, "{notes:#?}");
    assert!(notes[0].ends_with(
        ": `/workspace/store.git`, `/workspace/sub/.git`, `/workspace/trees/side/.git`, `/workspace/vendor/tool/.git`"
    ));
    // Work of the user's in them is not taken for the agent's.
    w.f.host_in(&w.at("vendor/tool"), &["config", "user.name", "me"]);
    w.f.host_in(&w.at("vendor/tool"), &["commit", "-q", "--allow-empty", "-m", "more"]);
    w.f.host_in(&w.at("trees/side"), &["commit", "-q", "--allow-empty", "-m", "more"]);
    w.f.host(&["push", "-q", "store.git", "main"]);
    assert_eq!(w.look(), Vec::<String>::new());
    assert_eq!(w.f.host_in(&w.at("sub"), &["log", "--format=%s"]), "other\n");
}

#[test]
fn a_submodule_that_is_made_anew_runs_nothing_at_the_top_level() {
    let w = Watched::new();
    w.protect();
    fs::remove_file(w.at("sub/.git")).unwrap();
    w.evil("sub");
    w.is_set_aside(&["", "sub"], &["sub/.git"]);
    // Never deleted.
    assert!(w.at("sub/.git.set-aside-1/config").exists());
}

#[test]
fn a_parent_that_is_moved_takes_the_guard_along_and_what_took_its_place_is_found() {
    let w = Watched::new();
    w.protect();
    fs::rename(w.at("sub"), w.at("sub2")).unwrap();
    fs::rename(w.at("vendor"), w.at("elsewhere")).unwrap();
    w.evil("sub");
    w.evil("vendor/tool");
    // The directory is itself wherever it lies; the file would lead elsewhere.
    w.is_set_aside(&["", "sub", "vendor/tool"], &["sub/.git", "vendor/tool/.git", "sub2/.git"]);
    assert!(w.at("elsewhere/tool/.git/HEAD").exists());
}

#[test]
fn a_git_directory_is_found_under_every_name_that_git_takes() {
    let w = Watched::new();
    w.protect();
    w.evil("plain/deep");
    w.evil("far");
    fs::create_dir_all(w.at("file")).unwrap();
    fs::write(w.at("file/.git"), "gitdir: ../far/.git\n").unwrap();
    fs::create_dir_all(w.at("link")).unwrap();
    symlink("../far/.git", w.at("link/.git")).unwrap();
    // A bare layout, and a worktree's, whose parts are links.
    w.evil("made");
    fs::rename(w.at("made/.git"), w.at("bare")).unwrap();
    fs::create_dir_all(w.at("split")).unwrap();
    for part in ["HEAD", "objects", "refs", "config"] {
        symlink(format!("../bare/{part}"), w.at("split").join(part)).unwrap();
    }
    fs::create_dir_all(w.at("common")).unwrap();
    fs::write(w.at("common/HEAD"), "ref: refs/heads/main\n").unwrap();
    fs::write(w.at("common/commondir"), "../bare\n").unwrap();
    fs::write(w.at("common/gitdir"), "../bare\n").unwrap();
    // Below a name that looks like one of git's, and one that is closed.
    w.evil(".GIT/x");
    w.evil("closed");
    fs::set_permissions(w.at("closed"), fs::Permissions::from_mode(0o500)).unwrap();
    w.is_set_aside(
        &["plain/deep", "far", "file", "link", ".GIT/x", "closed"],
        &[
            "plain/deep/.git", "far/.git", "file/.git", "link/.git", "bare", "split", "common", ".GIT/x/.git",
            "closed/.git",
        ],
    );
    let mode = fs::metadata(w.at("closed")).unwrap().permissions().mode() & 0o777;
    assert!(matches!(mode, 0o500 | 0o700), "{mode:o}");
}

#[test]
fn what_was_set_aside_is_no_git_directory_from_within_either() {
    let w = Watched::new();
    w.protect();
    w.evil("new");
    fs::create_dir_all(w.at("new/.git/modules")).unwrap();
    w.evil("inner");
    fs::rename(w.at("inner/.git"), w.at("new/.git/modules/inner")).unwrap();
    w.is_set_aside(&["new"], &["new/.git", "new/.git.set-aside-1/modules/inner"]);
    for dir in ["new/.git.set-aside-1", "new/.git.set-aside-1/modules/inner"] {
        assert!(!w.runs(dir), "{dir}");
        assert!(w.at(dir).join("HEAD.set-aside-1").exists());
    }
    // A second one gets another name.
    w.evil("new");
    w.is_set_aside(&["new"], &["new/.git"]);
    assert!(w.at("new/.git.set-aside-2").exists());
}

#[test]
fn what_the_users_configuration_runs_in_the_workspace_is_read_only_and_watched() {
    let w = Watched::new();
    fs::create_dir_all(w.at("hooks")).unwrap();
    fs::create_dir_all(w.at("tools")).unwrap();
    fs::write(w.at("tools/monitor"), "#!/bin/sh\n").unwrap();
    fs::write(w.at("shared.gitconfig"), "[core]\n\tquotePath = true\n").unwrap();
    w.f.host(&["config", "core.hooksPath", "hooks"]);
    w.f.host(&["config", "filter.x.clean", "sh tools/monitor"]);
    w.f.host(&["config", "include.path", "../shared.gitconfig"]);
    w.f.host(&["config", "--add", "include.path", "../missing.gitconfig"]);
    w.protect();
    let mounted = w.mounted();
    for name in ["hooks", "shared.gitconfig", "tools/monitor"] {
        assert!(mounted.contains(&format!("/workspace/{name}")), "{mounted:?}");
    }
    assert_eq!(w.look(), Vec::<String>::new());
    // Its parent is moved and made anew, or the name was free.
    fs::rename(w.at("hooks"), w.at("old")).unwrap();
    fs::create_dir(w.at("hooks")).unwrap();
    fs::copy(&w.trap, w.at("hooks/post-index-change")).unwrap();
    fs::write(w.at("missing.gitconfig"), format!("[core]\n\tfsmonitor = {}\n", w.trap)).unwrap();
    w.is_set_aside(&[""], &["hooks", "missing.gitconfig"]);
    // A link on the way.
    fs::create_dir(w.at("evil")).unwrap();
    fs::copy(&w.trap, w.at("evil/post-index-change")).unwrap();
    symlink("evil", w.at("hooks")).unwrap();
    fs::write(w.at("a"), "changed\n").unwrap();
    w.f.host(&["-c", "core.hooksPath=/dev/null", "add", "a"]);
    assert_eq!(w.look().len(), 1);
    assert!(!w.at("hooks").exists() && w.at("evil").exists());
}

#[test]
fn what_a_submodules_own_configuration_runs_in_it_is_guarded_too() {
    let w = Watched::new();
    w.f.host_in(&w.at("sub"), &["config", "core.hooksPath", ".husky"]);
    fs::write(w.at("sub/file"), "").unwrap();
    w.f.host_in(&w.at("sub"), &["add", "file"]);
    w.protect();
    fs::create_dir(w.at("sub/.husky")).unwrap();
    fs::copy(&w.trap, w.at("sub/.husky/post-index-change")).unwrap();
    // Git writes the index again where the times of a file have changed.
    w.touch("sub/file", 1);
    assert!(w.runs(""), "the attack is none");
    assert_eq!(w.look().len(), 1);
    w.touch("sub/file", 2);
    assert!(!w.runs(""));
    assert!(w.at("sub/.husky.set-aside-1/post-index-change").exists());
}

#[test]
fn git_is_not_run_in_an_own_git_directory_that_was_replaced() {
    let w = Watched::new();
    w.protect();
    let repo = w.f.repo();
    // The user removed it on the host, so that its mount is gone inside, and the agent makes another.
    fs::rename(w.at(".git"), w.f.path("old")).unwrap();
    w.evil("made");
    fs::rename(w.at("made/.git"), w.at(".git")).unwrap();
    let _ = fs::remove_file(&w.mark);
    let warnings = look(&w.f.workspace, Some(&repo), &w.state(), &none(), Now::Busy).unwrap().warnings;
    assert!(warnings[0].starts_with("`.git` was not there"), "{warnings:#?}");
    assert!(!w.mark.exists() && !w.at(".git").exists());
}

#[test]
fn no_link_is_followed_and_nothing_outside_is_touched() {
    let w = Watched::new();
    w.protect();
    symlink(w.f.path("other"), w.at("outside")).unwrap();
    symlink("/", w.at("root")).unwrap();
    assert_eq!(w.look(), Vec::<String>::new());
    assert!(w.f.path("other/.git/HEAD").exists());
}

#[test]
fn submodules_are_looked_at_first_and_the_bound_is_told() {
    let w = Watched::new();
    w.protect();
    for n in 0..50 {
        fs::create_dir_all(w.at(&format!("a-{n}/x"))).unwrap();
    }
    fs::remove_file(w.at("sub/.git")).unwrap();
    w.evil("sub");
    w.evil("zz");
    let known = WatchState::read(&w.state()).unwrap().unwrap();
    let repo = w.f.repo();
    let bounded = |entries, time| {
        let none = none();
        let finder = Finder::new(&w.f.workspace, Some(&repo), &none, Some(&known)).unwrap();
        finder.find(&Bound { entries, time }).unwrap()
    };
    for bound in [(20, Duration::from_secs(60)), (1_000_000, Duration::ZERO)] {
        let found = bounded(bound.0, bound.1);
        assert!(found.unresolved.iter().any(|left| left.line.contains("too many files")), "{:?}", found.unresolved);
        assert!(w.at("zz/.git").exists() && !w.at("sub/.git").exists());
    }
    assert_eq!(w.look().len(), 1, "the usual bound reaches it");
    assert!(!w.at("zz/.git").exists());
}

#[test]
fn what_cannot_be_protected_is_refused_at_the_start() {
    let refused = |spoil: fn(&Watched)| {
        let w = Watched::new();
        spoil(&w);
        let repo = w.f.repo();
        let text = crate::error::render(
            &protect(&w.f.workspace, Some(&repo), &w.state(), &none(), Doubt::default()).unwrap_err(),
        );
        assert!(text.contains("hint: "), "{text}");
        text
    };
    let text = refused(|w| {
        fs::create_dir(w.at("x")).unwrap();
        symlink("../vendor/tool/.git", w.at("x/.git")).unwrap();
    });
    assert!(text.contains("x/.git` is or leads through a symlink"), "{text}");
    let text = refused(|w| w.evil("line\nbreak"));
    assert!(text.contains("has a name that cannot be mounted"), "{text}");
    let text = refused(|w| _ = w.f.host(&["config", "core.hooksPath", "."]));
    assert!(text.contains("`core.hookspath` in `"), "{text}");
    let text = refused(|w| {
        for n in 0..MOST_MOUNTS {
            fs::create_dir_all(w.at(&format!("many/{n}/.git"))).unwrap();
        }
    });
    assert!(text.contains("at most 200 can be protected"), "{text}");
}

#[test]
fn a_start_takes_what_is_there_for_the_users_only_where_no_agent_can_have_run() {
    let w = Watched::new();
    w.protect();
    w.evil("mine");
    // The session was killed before its look: nobody knows who made it.
    assert!(!is_quiet(&w.state()).unwrap());
    assert_eq!(w.protect().warnings.len(), 1);
    assert!(!w.at("mine/.git").exists());
    let repo = w.f.repo();
    look(&w.f.workspace, Some(&repo), &w.state(), &none(), Now::Ended).unwrap();
    note_told(&w.state()).unwrap();
    w.evil("mine");
    assert!(is_quiet(&w.state()).unwrap());
    assert_eq!(w.protect().warnings, Vec::<String>::new());
    assert!(w.mounted().contains(&"/workspace/mine/.git".to_owned()));
    // A record that cannot be read does not count as none.
    fs::write(w.state(), "{").unwrap();
    let text =
        crate::error::render(&protect(&w.f.workspace, Some(&repo), &w.state(), &none(), Doubt::default()).unwrap_err());
    assert!(text.contains("is damaged") && text.contains("hint: "), "{text}");
}

#[test]
fn an_inode_number_that_was_freed_and_given_away_is_not_the_old_directory() {
    let w = Watched::new();
    let place = lookup(&w.f.repo_root(), Path::new("vendor/tool/.git")).unwrap().unwrap().2;
    assert!(place.same(&place) && place.born.is_some());
    let reused = Place { born: place.born.map(|born| crate::beneath::Born(born.0, born.1 ^ 1)), ..place.clone() };
    assert!(!place.may_stay(&reused));
    // Where the file system does not keep when it was made, what git obeys in it must be the same.
    let blind = || {
        let (dir, name, place) = lookup(&w.f.repo_root(), Path::new("vendor/tool/.git")).unwrap().unwrap();
        Place { born: None, ..place }.read(&dir, &name)
    };
    let before = blind();
    w.f.host_in(&w.at("vendor/tool"), &["commit", "-q", "--allow-empty", "-m", "more"]);
    assert!(before.may_stay(&blind()));
    fs::copy(&w.trap, w.at("vendor/tool/.git/hooks/post-index-change")).unwrap();
    assert!(!before.may_stay(&blind()));
    assert!(!Place { born: None, ..place.clone() }.same(&Place { born: None, ..place }));
}

#[test]
fn gitmodules_and_attributes_that_gain_are_told() {
    let w = Watched::new();
    w.f.host(&["config", "filter.lfs.clean", "cat"]);
    fs::write(w.at("vendor/.gitattributes"), "*.bin filter=lfs\n").unwrap();
    w.protect();
    assert_eq!(w.look(), Vec::<String>::new());
    fs::write(w.at("sub/.gitattributes"), "* filter=lfs\n* filter=unknown\n").unwrap();
    let modules = w.at(".gitmodules");
    let text = fs::read_to_string(&modules).unwrap() + "[submodule \"x\"]\n\tpath = x\n\turl = ../other\n";
    fs::write(&modules, text).unwrap();
    let warnings = w.look();
    assert_eq!(warnings.len(), 3, "{warnings:#?}");
    assert!(warnings[0].contains("submodule.x.path = x") && warnings[1].contains("submodule.x.url"), "{warnings:#?}");
    assert!(warnings[2].starts_with("`sub/.gitattributes` names `filter=lfs` now"), "{warnings:#?}");
    assert_eq!(w.look(), Vec::<String>::new(), "told once");
}

/// Git reads what is not UTF-8, what is long, and waits for a fifo.
#[test]
fn a_macro_of_the_users_own_attributes_and_names_beside_each_other_hide_no_driver() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let w = Watched::new();
    w.f.host(&["config", "filter.mine.clean", "cat"]);
    let own = w.f.path("attributes");
    fs::write(&own, "[attr]image filter=mine\n").unwrap();
    w.f.host(&["config", "core.attributesFile", &own.display().to_string()]);
    fs::write(w.at(".git/info/attributes"), "[attr]other filter=mine\n").unwrap();
    w.protect();
    // Two names that are the same once what is no text is replaced.
    for (name, text) in [(&b"m\xfe"[..], "* image\n"), (b"m\xff", "* -image\n"), (b"n", "* other\n")] {
        let dir = w.f.workspace.join(OsStr::from_bytes(name));
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join(".gitattributes"), text).unwrap();
    }
    let warnings = w.look();
    let says = "now (by your own attributes that is `filter=mine`): git on this host runs that program";
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    assert!(warnings[0].starts_with(&format!("`m\\xfe/.gitattributes` names `image` {says}")), "{warnings:#?}");
    assert!(warnings[1].starts_with(&format!("`n/.gitattributes` names `other` {says}")), "{warnings:#?}");
    assert_eq!(w.look(), Vec::<String>::new());
}

#[test]
fn attributes_that_cannot_be_read_as_text_are_told_and_never_absent() {
    let w = Watched::new();
    w.f.host(&["config", "filter.mine.clean", "cat"]);
    w.protect();
    for name in ["n1", "n2", "n3", "n4"] {
        fs::create_dir(w.at(name)).unwrap();
    }
    fs::write(w.at("n1/.gitattributes"), b"# \xff\n* filter=mine\n").unwrap();
    fs::write(w.at("n2/.gitattributes"), "* filter=mine\n".to_owned() + &"#".repeat(1_100_000)).unwrap();
    let fifo = crate::step::Command::new("mkfifo").args([w.at("n3/.gitattributes").display().to_string()]);
    assert!(crate::exec::capture(&fifo).unwrap().ok());
    std::os::unix::fs::symlink("../n1/.gitattributes", w.at("n4/.gitattributes")).unwrap();
    let warnings = w.look();
    for (line, said) in warnings.iter().zip([
        "`n1/.gitattributes` names `filter=mine` now",
        "`n2/.gitattributes` was not looked at for programs of your configuration: it has more than",
        "`n3/.gitattributes` was not looked at for programs of your configuration: it is no plain file",
        "`n4/.gitattributes` was not looked at for programs of your configuration: it is a symlink",
    ]) {
        assert!(line.starts_with(said), "{warnings:#?}");
    }
    assert_eq!(warnings.len(), 4, "{warnings:#?}");
    let again = w.look();
    assert!(
        again.len() == 1 && again[0].starts_with("`n2/"),
        "what can hide behind the rest is told again: {again:#?}"
    );
}

#[test]
fn names_that_were_taken_in_advance_keep_nothing_from_being_set_aside() {
    let w = Watched::new();
    w.protect();
    fs::remove_file(w.at("sub/.git")).unwrap();
    w.evil("sub");
    for n in 1..=1100 {
        fs::create_dir(w.at(&format!("sub/.git.set-aside-{n}"))).unwrap();
    }
    w.is_set_aside(&["", "sub"], &["sub/.git"]);
    let names = fs::read_dir(w.at("sub")).unwrap().map(|entry| entry.unwrap().path());
    let moved: Vec<PathBuf> = names.filter(|path| path.join("config").exists()).collect();
    let name = moved[0].file_name().unwrap().to_str().unwrap();
    assert_eq!((moved.len(), name.len()), (1, ".git.set-aside-".len() + 24), "{name}");
}

#[test]
fn a_layout_that_cannot_be_set_aside_hides_nothing_below() {
    let w = Watched::new();
    w.protect();
    w.evil("made");
    fs::rename(w.at("made/.git"), w.at("x")).unwrap();
    for n in 1..=1100 {
        fs::write(w.at(&format!("x/HEAD.set-aside-{n}")), "").unwrap();
    }
    w.evil("x/deep");
    w.is_set_aside(&["x/deep"], &["x", "x/deep/.git"]);
}

/// A directory that the user's configuration names and that cannot be renamed.
fn stuck(w: &Watched) -> String {
    let name = crate::beneath::STUCK.to_owned();
    w.f.host(&["config", "core.hooksPath", &name]);
    w.protect();
    fs::create_dir_all(w.at(&name)).unwrap();
    name
}

#[test]
fn what_could_not_be_set_aside_is_said_until_it_is_gone_and_no_start_takes_it_for_the_users() {
    let w = Watched::new();
    let name = stuck(&w);
    let repo = w.f.repo();
    let stays = format!("`{name}` is new and could not be set aside");
    // The end of the session, of another, and `down`.
    for now in [Now::Busy, Now::Quiet, Now::Ended] {
        let said = look(&w.f.workspace, Some(&repo), &w.state(), &none(), now).unwrap().warnings;
        assert!(said.len() == 1 && said[0].starts_with(&stays), "{said:#?}");
        assert_eq!(unresolved(&w.state()).unwrap().warnings, said, "an entry without a look");
    }
    for _ in 0..2 {
        let text = crate::error::render(
            &protect(&w.f.workspace, Some(&repo), &w.state(), &none(), Doubt::default()).unwrap_err(),
        );
        assert!(text.contains(&stays) && text.contains("hint: "), "{text}");
    }
    // The user's own, made after the agent's was removed.
    fs::rename(w.at(&name), w.f.path("away")).unwrap();
    fs::create_dir(w.at(&name)).unwrap();
    assert_eq!(w.protect().warnings, Vec::<String>::new());
    assert_eq!(unresolved(&w.state()).unwrap().warnings, Vec::<String>::new());
    assert!(w.mounted().contains(&format!("/workspace/{name}")));
}

#[test]
fn what_was_not_looked_at_is_said_each_time_and_is_not_the_users_at_the_next_start() {
    let w = Watched::new();
    let repo = w.f.repo();
    let bound = || Bound { entries: 20, time: Duration::from_secs(60) };
    for n in 0..30 {
        fs::create_dir_all(w.at(&format!("a-{n}"))).unwrap();
    }
    let seen = protect_within(bound(), &w.f.workspace, Some(&repo), &w.state()).unwrap();
    assert!(seen.notes[0].contains("too many files") && seen.warnings.is_empty(), "no agent ran yet: {seen:#?}");
    w.evil("zz");
    fs::write(w.at("zz/su"), "").unwrap();
    fs::set_permissions(w.at("zz/su"), fs::Permissions::from_mode(0o4755)).unwrap();
    for now in [Now::Busy, Now::Ended] {
        let said = look_within(bound(), &w.f.workspace, Some(&repo), &w.state(), now, None).unwrap().warnings;
        assert!(said.iter().all(|line| line.contains("an agent can have made git directories")), "{said:#?}");
        assert!(!said.is_empty() && unresolved(&w.state()).unwrap().warnings == said);
    }
    let again = protect_within(bound(), &w.f.workspace, Some(&repo), &w.state()).unwrap().warnings;
    assert!(again.iter().any(|line| line.contains("an agent can have made git directories")), "{again:#?}");
    assert!(w.at("zz/.git").exists(), "the bound still hides it");
    // A start that sees all of it: what was there before any agent stays, the rest is set aside.
    let seen = protect(&w.f.workspace, Some(&repo), &w.state(), &none(), Doubt::default()).unwrap();
    assert!(seen.warnings.iter().any(|line| line.starts_with("`zz/.git` was not there")), "{seen:#?}");
    assert!(seen.warnings.iter().any(|line| line.starts_with("removed the setuid bit of `zz/su`")), "{seen:#?}");
    assert!(!w.at("zz/.git").exists() && w.at("sub/.git").exists());
    assert_eq!(unresolved(&w.state()).unwrap().warnings, Vec::<String>::new());
    // Nothing is in doubt any more.
    w.evil("mine");
    assert_eq!(w.protect().warnings, Vec::<String>::new());
}

/// The hook that `git status` runs.
const HOOK: &str = "post-index-change";

impl Watched {
    /// A link of the host's, out of the agent's reach, that leads to a program in the workspace.
    fn hook(&self, hooks: &Path, to: &Path) {
        fs::create_dir_all(hooks).unwrap();
        symlink(to, hooks.join(HOOK)).unwrap();
    }

    fn program(&self, name: &str) {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        fs::write(self.at(name), "#!/bin/sh\n").unwrap();
    }

    #[track_caller]
    fn has_mounted(&self, name: &str) {
        let mounted = self.mounted();
        assert!(mounted.contains(&format!("/workspace/{name}")), "{mounted:?}");
    }

    #[track_caller]
    fn is_refused(&self, text: &str) {
        let repo = super::super::detect(&self.f.workspace).unwrap();
        let refused = protect(&self.f.workspace, repo.as_ref(), &self.state(), &none(), Doubt::default()).unwrap_err();
        let said = crate::error::render(&refused);
        assert!(said.contains(text) && said.contains("hint: "), "{said}");
        assert!(preview(&self.f.workspace, repo.as_ref(), &none()).is_err(), "a dry run says so too");
    }
}

#[test]
fn what_a_link_among_the_hooks_leads_to_is_read_only_or_starts_nothing() {
    let w = Watched::new();
    let link = w.at(".git/hooks").join(HOOK);
    w.hook(&w.at(".git/hooks"), Path::new("../../scripts/pic"));
    // Git on the host runs what the agent makes there.
    fs::create_dir_all(w.at("scripts")).unwrap();
    fs::copy(&w.trap, w.at("scripts/pic")).unwrap();
    w.touch("a", 1);
    assert!(w.runs(""), "the attack is none");
    fs::remove_file(w.at("scripts/pic")).unwrap();
    w.is_refused("scripts/pic`, which is not there");
    w.program("scripts/pic");
    w.protect();
    w.has_mounted("scripts/pic");
    assert_eq!(w.look(), Vec::<String>::new());
    // By a link outside, which leads in; and by way of a link that the agent can change.
    fs::remove_file(&link).unwrap();
    symlink(w.at("scripts/pic"), w.f.path("outer")).unwrap();
    symlink(w.f.path("outer"), &link).unwrap();
    w.protect();
    w.has_mounted("scripts/pic");
    fs::remove_file(&link).unwrap();
    note_quiet(&w);
    symlink(&w.trap, w.at("way")).unwrap();
    symlink("../../way", &link).unwrap();
    w.is_refused("way` is or leads through a symlink");
    for (to, text) in [("../..", "the top of the workspace"), ("../../scripts/../x", "a path with `..`")] {
        fs::remove_file(&link).unwrap();
        symlink(to, &link).unwrap();
        w.is_refused(text);
    }
    // What lies in the git directory is out of reach.
    fs::remove_file(&link).unwrap();
    symlink("../description", &link).unwrap();
    w.protect();
}

/// As after a session of which nothing is left.
fn note_quiet(w: &Watched) {
    look(&w.f.workspace, Some(&w.f.repo()), &w.state(), &none(), Now::Ended).unwrap();
    fs::remove_file(w.state()).unwrap();
}

#[test]
fn a_directory_of_hooks_that_is_a_link_is_read_only_and_so_is_what_links_in_it_lead_to() {
    let w = Watched::new();
    fs::remove_dir_all(w.at(".git/hooks")).unwrap();
    w.program("tools/hooks/README");
    w.program("scripts/pic");
    w.hook(&w.at("tools/hooks"), Path::new("../../scripts/pic"));
    symlink("../tools/hooks", w.at(".git/hooks")).unwrap();
    w.protect();
    w.has_mounted("tools/hooks");
    w.has_mounted("scripts/pic");
    // The same of a directory that the configuration names, elsewhere on the host.
    let w = Watched::new();
    w.program("scripts/pic");
    w.hook(&w.f.path("githooks"), &w.at("scripts/pic"));
    w.f.host(&["config", "core.hooksPath", &w.f.path("githooks").display().to_string()]);
    w.protect();
    w.has_mounted("scripts/pic");
}

#[test]
fn links_among_the_hooks_of_a_submodule_and_in_the_place_of_its_configuration_are_followed() {
    let w = Watched::new();
    w.program("sub/tool");
    w.hook(&w.at(".git/modules/sub/hooks"), &w.at("sub/tool"));
    // One that is not checked out, with a name that has a slash.
    w.program("config");
    fs::create_dir_all(w.at(".git/modules/a/b")).unwrap();
    fs::write(w.at(".git/modules/a/b/HEAD"), "").unwrap();
    symlink("../../../../config", w.at(".git/modules/a/b/config")).unwrap();
    w.protect();
    w.has_mounted("sub/tool");
    w.has_mounted("config");
}

#[test]
fn hooks_of_a_repository_in_which_the_workspace_lies_are_followed() {
    let w = Watched::new();
    w.program("tool");
    let outer = w.f.path("");
    w.f.host_in(&outer, &["init", "-q"]);
    w.hook(&outer.join(".git/hooks"), Path::new("../../my project/tool"));
    w.f.host_in(&outer, &["config", "core.fsmonitor", "'my project/sub/monitor'"]);
    w.program("sub/monitor");
    w.protect();
    w.has_mounted("tool");
    w.has_mounted("sub/monitor");
    // Also where the workspace has no repository of its own.
    fs::remove_dir_all(w.at(".git")).unwrap();
    fs::remove_file(w.at("tool")).unwrap();
    fs::remove_file(w.state()).unwrap();
    w.is_refused("tool`, which is not there");
}

#[test]
fn what_was_done_is_told_where_a_name_is_no_text_and_where_the_state_cannot_be_written() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let bound = Bound { entries: 30, time: Duration::from_secs(60) };
    let odd = || -> Watched {
        let w = Watched::new();
        w.protect();
        let dir = w.f.workspace.join(OsStr::from_bytes(b"zz\xff\\x41"));
        fs::create_dir(&dir).unwrap();
        w.f.host_in(&dir, &["init", "-q"]);
        let su = w.at("su");
        fs::write(&su, "").unwrap();
        fs::set_permissions(&su, fs::Permissions::from_mode(0o4755)).unwrap();
        for n in 0..40 {
            fs::create_dir(dir.join(format!("d{n:02}"))).unwrap();
        }
        w
    };
    let told =
        |lines: &[String], what: &str| assert!(lines.iter().any(|line| line.contains(what)), "{what}: {lines:#?}");
    let w = odd();
    let seen = look_within(bound, &w.f.workspace, None, &w.state(), Now::Busy, None).unwrap();
    told(&seen.warnings, "removed the setuid bit of `su`");
    told(&seen.warnings, "`zz\\xff\\\\x41/.git` was not there when the sandbox was started: it is set aside");
    assert!(!seen.complete, "{seen:#?}");
    told(&seen.warnings, "`zz\\xff\\\\x41` in the workspace was not looked at");
    // The next calls read what was kept, and know the very path.
    let kept = WatchState::read(&w.state()).unwrap().unwrap();
    let path = Path::new(OsStr::from_bytes(b"zz\xff\\x41"));
    assert!(kept.unresolved.iter().any(|left| left.path == path), "{kept:#?}");
    note_entered(&w.state()).unwrap();
    assert!(!unresolved(&w.state()).unwrap().warnings.is_empty());
    // The kept state can be read and not be written.
    let w = odd();
    let open = fs::File::open(w.state()).unwrap();
    let beside = PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&open)));
    let cut = look_within(Bound::USUAL, &w.f.workspace, None, &beside, Now::Busy, None).unwrap_err();
    told(&cut.told.warnings, "removed the setuid bit of `su`");
    told(&cut.told.warnings, "it is set aside");
    assert!(cut.to_string().starts_with("cannot write `/proc/self/fd/"), "{cut}");
}
