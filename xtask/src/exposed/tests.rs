use super::*;
use std::fs;
use std::os::unix::fs::symlink;

/// A host: `state`, and whatever a test makes.
struct Host {
    _temp: tempfile::TempDir,
    dir: PathBuf,
}

impl Host {
    fn new(dirs: &[&str]) -> Host {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().canonicalize().unwrap();
        dirs.iter().for_each(|name| fs::create_dir_all(dir.join(name)).unwrap());
        Host { _temp: temp, dir }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn link(&self, name: &str, to: &str) {
        let _ = fs::remove_file(self.at(name));
        symlink(self.at(to), self.at(name)).unwrap();
    }

    fn exposed(&self) -> Exposed {
        self.naming(&[])
    }

    fn naming(&self, named: &[&str]) -> Exposed {
        let named: Vec<PathBuf> = named.iter().map(|name| self.at(name)).collect();
        Exposed::read(&self.at("state"), Vec::new()).and_then(|list| list.naming(&named)).unwrap()
    }

    /// A start: these sources are looked at, then this directory is given for writing.
    fn start(&self, workspace: &str, sources: &[&str]) {
        let exposed = self.exposed();
        sources.iter().for_each(|name| drop(exposed.open(&self.at(name)).unwrap()));
        exposed.save(&[&exposed.open(&self.at(workspace)).unwrap()]).unwrap();
    }

    fn refused(&self, name: &str) -> String {
        match self.exposed().open(&self.at(name)) {
            Err(NotOpened::Exposed(failure)) => {
                crate::error::render(&failure.into()).replace(&self.dir.display().to_string(), "")
            }
            other => panic!("`{name}` was not refused: {other:?}"),
        }
    }

    fn opens(&self, name: &str) -> bool {
        self.exposed().open(&self.at(name)).is_ok()
    }
}

#[test]
fn a_link_that_an_agent_turned_is_refused_with_the_path_and_the_remedy() {
    let host = Host::new(&["state", "project/skills/x", "home/.codex/skills", "home/.ssh"]);
    host.link("home/.codex/skills/x", "project/skills/x");
    host.start("project", &["home/.codex/skills/x"]);
    assert!(host.opens("home/.codex/skills/x"), "it is what it was before an agent ran there");

    fs::remove_dir(host.at("project/skills/x")).unwrap();
    host.link("project/skills/x", "home/.ssh");
    let said = host.refused("home/.codex/skills/x");
    for part in ["`/home/.codex/skills/x` leads through `/project`", "to `/home/.ssh`", "--confirm /home/.ssh"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // Another directory in its place is not what was confirmed either, whatever lies there.
    fs::remove_file(host.at("project/skills/x")).unwrap();
    fs::create_dir(host.at("project/skills/x")).unwrap();
    assert!(host.refused("home/.codex/skills/x").contains("was not seen there before"));
}

#[test]
fn chains_of_links_and_parents_lead_through_too() {
    let host = Host::new(&["state", "a/b/data", "other", "data/set"]);
    host.start("a", &["other"]);
    host.link("other/one", "other/two");
    host.link("other/two", "a/b/out");
    host.link("a/b/out", "data/set");
    for name in ["a/b/data", "a/b", "other/one", "other/two", "a/b/../b/out", "other/../a/b/data"] {
        assert!(host.refused(name).contains("leads through `/a`"), "{name}");
    }
    // The directory itself is a source of its own, and what lies elsewhere is free.
    for name in ["a", "data/set", "other"] {
        assert!(host.opens(name), "{name}");
    }
}

#[test]
fn a_directory_that_was_moved_is_named_as_that() {
    let host = Host::new(&["state", "project/.git"]);
    host.start("project", &["project/.git"]);
    fs::rename(host.at("project"), host.at("moved")).unwrap();
    let said = host.refused("moved/.git");
    assert!(
        said.contains("the directory that was at `/project` when a sandbox could write it: it was moved"),
        "{said}"
    );
    assert!(said.contains("commits --workspace /project --take") && said.contains("--confirm /moved/.git"), "{said}");
    // Another directory at the old path is no reason for other words about what leads through it.
    fs::create_dir(host.at("project")).unwrap();
    assert!(host.refused("moved/.git").contains("leads through"));
}

#[test]
fn a_data_set_that_a_sandbox_was_given_since_is_refused_though_it_is_the_one_that_was_seen() {
    let host = Host::new(&["state", "a/data", "b", "free"]);
    host.start("b", &["a/data"]);
    let read = |exposed: Exposed, name: &str| exposed.unwritten(&host.at(name)).map(drop);
    read(host.exposed(), "a/data").unwrap();
    host.start("a", &[]);
    for name in ["a/data", "a"] {
        let said = match read(host.exposed(), name) {
            Err(NotOpened::Exposed(failure)) => crate::error::render(&failure.into()),
            other => panic!("{name}: {other:?}"),
        };
        assert!(said.contains("which a sandbox can write") && said.contains("--confirm "), "{said}");
    }
    read(host.naming(&["a/data"]), "a/data").unwrap();
    read(host.exposed(), "a/data").unwrap_err();
    read(host.exposed(), "free").unwrap();
}

#[test]
fn what_was_seen_before_is_confirmed_and_what_appears_is_not() {
    let host = Host::new(&["state", "ws/.git/objects", "new"]);
    host.start("ws", &["ws/.git", "ws/.git/objects"]);
    assert!(host.opens("ws/.git") && host.opens("ws/.git/objects"));
    host.start("new", &[]);
    fs::create_dir_all(host.at("new/.git/objects")).unwrap();
    assert!(host.refused("new/.git").contains("leads through `/new`"));

    // The user names the outer one: the inner ones are meant too, in this call and, once they were looked at, later.
    let exposed = host.naming(&["new/.git"]);
    exposed.open(&host.at("new/.git")).unwrap();
    exposed.open(&host.at("new/.git/objects")).unwrap();
    exposed.save_named().unwrap();
    assert!(host.opens("new/.git") && host.opens("new/.git/objects"));
    // By another way, what was named for one is refused.
    host.link("new/way", "ws/.git");
    assert!(host.refused("new/way").contains("leads through"));
}

#[test]
fn a_directory_is_recognized_under_another_name_and_without_its_list() {
    let host = Host::new(&["state", "ws/data", "moved"]);
    host.start("ws", &[]);
    fs::rename(host.at("ws"), host.at("moved/ws")).unwrap();
    assert!(host.refused("moved/ws/data").contains("that was at `/ws`"));
    // What the user makes anew under the old name is not what a sandbox had.
    fs::create_dir_all(host.at("ws/data")).unwrap();
    assert!(host.opens("ws/data"));
    // An earlier version of this tool knew only paths.
    let earlier = Exposed::read(&host.at("none"), vec![host.at("ws")]).unwrap();
    assert!(matches!(earlier.open(&host.at("ws/data")), Err(NotOpened::Exposed(_))));
}

#[test]
fn a_program_is_never_confirmed() {
    let host = Host::new(&["state", "ws", "bin"]);
    fs::write(host.at("ws/codex"), "").unwrap();
    host.start("ws", &["ws/codex"]);
    host.link("bin/codex", "ws/codex");
    let said = host.exposed().refuse_written("the program", &host.at("bin/codex")).unwrap_err().to_string();
    assert!(said.contains("an agent can have made it"), "{said}");
    assert!(host.exposed().refuse_written("the program", &host.at("bin/none")).is_ok());
    let named = host.naming(&["ws/codex"]);
    assert!(named.refuse_written("the program", &host.at("bin/codex")).is_ok());
    named.save_named().unwrap();
    assert!(host.exposed().refuse_written("the program", &host.at("bin/codex")).is_err(), "in each call");
}

#[test]
fn the_object_is_named_by_its_own_path() {
    let host = Host::new(&["state", "ws", "data"]);
    host.link("ws/out", "data");
    let err =
        Exposed::read(&host.at("state"), Vec::new()).and_then(|list| list.naming(&[host.at("ws/out")])).unwrap_err();
    assert!(err.to_string().contains("is a way to"), "{err}");
}

/// A bind mount shows what lies in the directory under another name.
#[test]
fn engine_a_bind_mount_of_a_part_is_the_directory() {
    let host = Host::new(&["state", "ws/sub/data", "alias"]);
    host.start("ws", &[]);
    let mount = |words: &[&str]| {
        let command = crate::step::Command::new(words[0]).args(words[1..].iter().copied());
        crate::exec::stdout_of(&command).expect("this test needs root: it makes bind mounts")
    };
    let [part, alias] = ["ws/sub", "alias"].map(|name| host.at(name).display().to_string());
    mount(&["mount", "--bind", &part, &alias]);
    let opened = ["alias", "alias/data"].map(|name| host.exposed().open(&host.at(name)).map(drop));
    mount(&["umount", &alias]);
    for opened in opened {
        assert!(matches!(opened, Err(NotOpened::Exposed(_))), "{opened:?}");
    }
}
