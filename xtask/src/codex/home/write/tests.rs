use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

fn item(path: &str, text: &str) -> Item {
    Item { path: path.into(), bytes: text.into(), executable: path.ends_with(".sh") }
}

struct TestHomes {
    temp: tempfile::TempDir,
}

impl TestHomes {
    fn new() -> TestHomes {
        let place = TestHomes { temp: tempfile::tempdir().unwrap() };
        fs::create_dir(place.at("victim")).unwrap();
        fs::write(place.at("victim/config.toml"), "v").unwrap();
        fs::create_dir(place.at("home")).unwrap();
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn write(&self, files: Vec<Item>) {
        let mirror = Mirror { files, ..Mirror::default() };
        write(&mirror, Memories::Drop, &self.at("home"), &self.at("agents"), &|| false).unwrap();
    }

    /// The files of the home, with what they hold; and the proof that nothing else was touched.
    fn files(&self) -> Vec<String> {
        assert_eq!(fs::read_to_string(self.at("victim/config.toml")).unwrap(), "v");
        assert_eq!(fs::read_dir(self.at("victim")).unwrap().count(), 1);
        let (mut found, mut todo) = (Vec::new(), vec![self.at("home")]);
        while let Some(dir) = todo.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let (path, kind) = entry.map(|entry| (entry.path(), entry.file_type().unwrap())).unwrap();
                let name = path.strip_prefix(self.at("home")).unwrap().display().to_string();
                if kind.is_dir() {
                    todo.push(path);
                } else if kind.is_file() {
                    found.push(format!("{name}={}", fs::read_to_string(&path).unwrap()));
                } else {
                    found.push(format!("{name}: odd"));
                }
            }
        }
        found.sort();
        found
    }
}

#[test]
fn configuration_is_replaced_and_state_is_kept() {
    let place = TestHomes::new();
    for name in ["skills/.system", "skills/gone", "sessions", "plugins/data"] {
        fs::create_dir_all(place.at("home").join(name)).unwrap();
        fs::write(place.at("home").join(name).join("f"), "o").unwrap();
    }
    for name in ["auth.json", "state_5.sqlite", "old.config.toml", ".env", "AGENTS.md"] {
        fs::write(place.at("home").join(name), "o").unwrap();
    }
    place.write(vec![item("config.toml", "c"), item("skills/s/run.sh", "r")]);
    let expected = ["auth.json=o", "config.toml=c", "sessions/f=o", "skills/s/run.sh=r", "state_5.sqlite=o"];
    assert_eq!(place.files(), expected);
    let mode = |name: &str| fs::metadata(place.at(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("home"), mode("home/skills/s")), (0o700, 0o700));
    assert_eq!((mode("home/config.toml"), mode("home/skills/s/run.sh")), (0o600, 0o700));
    let before = fs::metadata(place.at("home/config.toml")).unwrap().ino();
    place.write(vec![item("config.toml", "c"), item("skills/s/run.sh", "r")]);
    assert_eq!(place.files(), expected);
    assert_eq!(fs::metadata(place.at("home/config.toml")).unwrap().ino(), before);
}

#[test]
fn a_planted_link_at_a_file_or_a_directory_leads_nowhere() {
    let place = TestHomes::new();
    symlink("../victim/config.toml", place.at("home/config.toml")).unwrap();
    symlink("../victim", place.at("home/rules")).unwrap();
    fs::create_dir(place.at("home/skills")).unwrap();
    symlink("../../victim", place.at("home/skills/s")).unwrap();
    symlink("../victim", place.at("home/prompts")).unwrap();
    place.write(vec![item("config.toml", "c"), item("rules/config.toml", "r"), item("skills/s/config.toml", "s")]);
    assert_eq!(place.files(), ["config.toml=c", "rules/config.toml=r", "skills/s/config.toml=s"]);
}

#[test]
fn a_hard_link_is_cut_even_where_the_content_is_the_same() {
    let place = TestHomes::new();
    fs::hard_link(place.at("victim/config.toml"), place.at("home/config.toml")).unwrap();
    place.write(vec![item("config.toml", "v")]);
    assert_eq!(place.files(), ["config.toml=v"]);
    assert_eq!(fs::metadata(place.at("home/config.toml")).unwrap().nlink(), 1);
    assert_eq!(fs::metadata(place.at("victim/config.toml")).unwrap().nlink(), 1);
}

#[test]
fn pipes_sockets_and_things_of_the_wrong_kind_give_way() {
    let place = TestHomes::new();
    let fifo = |name: &str| {
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600));
        rustix::fs::mknodat(rustix::fs::CWD, place.at(name), kind, mode, 0).unwrap();
    };
    fifo("home/config.toml");
    fifo("home/rules");
    let _socket = std::os::unix::net::UnixListener::bind(place.at("home/hooks.json")).unwrap();
    fs::create_dir_all(place.at("home/AGENTS.md/deep")).unwrap();
    fs::write(place.at("home/prompts"), "a file").unwrap();
    place.write(vec![
        item("AGENTS.md", "a"),
        item("config.toml", "c"),
        item("hooks.json", "h"),
        item("prompts/p.md", "p"),
        item("rules/r.rules", "r"),
    ]);
    assert_eq!(place.files(), ["AGENTS.md=a", "config.toml=c", "hooks.json=h", "prompts/p.md=p", "rules/r.rules=r"]);
}

#[test]
fn a_home_that_is_itself_a_link_is_refused() {
    let place = TestHomes::new();
    symlink("victim", place.at("linked")).unwrap();
    let err =
        write(&Mirror::default(), Memories::Drop, &place.at("linked"), &place.at("agents"), &|| false).unwrap_err();
    assert_eq!(err.to_string(), format!("cannot fill `{}`", place.at("linked").display()));
    assert_eq!(place.files(), Vec::<String>::new());
}

#[test]
fn removing_what_an_agent_left_ends_where_the_user_wants_that_and_is_finished_by_the_next_call() {
    let place = TestHomes::new();
    let deep: PathBuf = std::iter::repeat_n("d", 200).collect();
    fs::create_dir_all(place.at("home/skills").join(deep)).unwrap();
    fs::create_dir_all(place.at("agents")).unwrap();
    let asked = std::cell::Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() > 20
    };
    let err = write(&Mirror::default(), Memories::Drop, &place.at("home"), &place.at("agents"), &stop).unwrap_err();
    assert_eq!(err.root_cause().to_string(), "interrupted");
    assert!(asked.get() < 25, "{}", asked.get());
    place.write(vec![item("config.toml", "c")]);
    assert_eq!(fs::read_dir(place.at("home/skills")).unwrap().count(), 0);
}

/// Every place that Codex obeys, and what an agent could make of a name.
#[test]
fn nothing_that_was_planted_survives_in_whatever_shape() {
    use std::os::unix::ffi::OsStrExt as _;
    let place = TestHomes::new();
    let home = place.at("home");
    for dir in [
        "skills/a/b/c", "skills/.system/evil", "memories/deep", "prompts", "hooks", "rules", "agents",
        "plugins/cache/m/p/1", ".tmp/plugins/p", ".tmp/marketplaces/m", "packages/standalone", "app-server-daemon",
        "tmp/arg0-linux/x", ".agents/skills/s", ".codex/skills/s", "history.jsonl", "auth.json/x",
    ] {
        fs::create_dir_all(home.join(dir)).unwrap();
        fs::write(home.join(dir).join("SKILL.md"), "obey").unwrap();
    }
    for file in [
        "AGENTS.md", "AGENTS.override.md", "config.toml", "evil.config.toml", ".env", "environments.toml",
        "hooks.json", "models_cache.json", "memories_1.sqlite", "goals_1.sqlite", "queue_1.sqlite",
        "requirements.toml", "unheard-of", "sessions", "state_5.sqlite",
    ] {
        fs::write(home.join(file), "obey").unwrap();
    }
    symlink("../victim", home.join("log")).unwrap();
    symlink("../victim", home.join("archived_sessions")).unwrap();
    symlink("../victim/config.toml", home.join("session_index.jsonl")).unwrap();
    fs::hard_link(home.join("state_5.sqlite"), home.join("skills.toml")).unwrap();
    fs::create_dir(home.join(std::ffi::OsStr::from_bytes(b"skills\xff"))).unwrap();
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600));
    rustix::fs::mknodat(rustix::fs::CWD, home.join("installation_id"), kind, mode, 0).unwrap();
    fs::set_permissions(home.join("memories"), fs::Permissions::from_mode(0o000)).unwrap();
    let mirror = Mirror { files: vec![item("config.toml", "c"), item("skills/s/run.sh", "r")], ..Mirror::default() };
    let removed = write(&mirror, Memories::Drop, &home, &place.at("agents"), &|| false).unwrap();
    assert_eq!(place.files(), ["config.toml=c", "skills/s/run.sh=r", "state_5.sqlite=obey"]);
    let mut names: Vec<_> = fs::read_dir(&home).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["config.toml", "skills", "state_5.sqlite"]);
    for said in ["memories", "skills/a", "AGENTS.md", "unheard-of", "history.jsonl", "sessions"] {
        assert!(removed.iter().any(|path| path == Path::new(said)), "{said}: {removed:?}");
    }
    for everyday in ["skills/.system", "tmp", ".tmp", "models_cache.json"] {
        assert!(!removed.iter().any(|path| path == Path::new(everyday)), "{everyday}: {removed:?}");
    }
}

#[test]
fn more_names_than_are_listed_at_once_go_too() {
    let place = TestHomes::new();
    for n in 0..AT_ONCE + 5 {
        fs::write(place.at(&format!("home/{n}")), "").unwrap();
    }
    place.write(vec![item("config.toml", "c")]);
    assert_eq!(place.files(), ["config.toml=c"]);
}
