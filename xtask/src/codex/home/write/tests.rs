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
        write(&mirror, &self.at("home"), &self.at("agents"), &|| false).unwrap();
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
    let expected =
        ["auth.json=o", "config.toml=c", "sessions/f=o", "skills/.system/f=o", "skills/s/run.sh=r", "state_5.sqlite=o"];
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
    let err = write(&Mirror::default(), &place.at("linked"), &place.at("agents"), &|| false).unwrap_err();
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
    let err = write(&Mirror::default(), &place.at("home"), &place.at("agents"), &stop).unwrap_err();
    assert_eq!(err.root_cause().to_string(), "interrupted");
    assert!(asked.get() < 25, "{}", asked.get());
    place.write(vec![item("config.toml", "c")]);
    assert_eq!(fs::read_dir(place.at("home/skills")).unwrap().count(), 0);
}
