//! Setuid and setgid files: whoever on the host can reach one becomes its owner, or gets its group. An agent can give the
//! bits to any file of its own, that is of the user's, also where no program inside gains anything by them.

use super::MOST_NAMED;
use super::walk::{SETGID, SETUID};
use crate::beneath::{Beneath, Node};
use crate::ui::printable;
use rustix::process::geteuid;
use std::ffi::OsString;
use std::path::PathBuf;

/// From which files the bits were removed, and where that failed.
#[derive(Debug, Default)]
pub(super) struct Bits {
    /// The first of them, a line each.
    named: Vec<String>,
    count: usize,
}

impl Bits {
    /// Removes the bits of one file. Those of another user's file are that user's: only the owner can set them, and root,
    /// who is asked for all of them.
    pub(super) fn take(&mut self, dir: &Beneath, name: &OsString, path: PathBuf, node: &Node) {
        let me = geteuid();
        if !me.is_root() && node.uid != me.as_raw() {
            return;
        }
        let path = super::places::shown(&path);
        let line = match dir.take_bits(name, SETUID | SETGID) {
            // It was changed or removed since it was listed.
            Ok(0) => return,
            Ok(had) => {
                let what = bits(had);
                let gain = if had & SETUID != 0 { "user" } else { "group" };
                format!("removed the {what} of `{path}`: whoever can start it would have had the rights of its {gain}")
            }
            Err(err) => {
                let err = printable(&err.to_string());
                format!(
                    "the {} of `{path}` could not be removed, which gives others its rights: {err}",
                    bits(node.mode)
                )
            }
        };
        self.count += 1;
        if self.named.len() < MOST_NAMED {
            self.named.push(line);
        }
    }

    /// What was done, a line each.
    pub(super) fn lines(self) -> Vec<String> {
        let more = self.count.checked_sub(self.named.len()).filter(|more| *more > 0);
        let more = more.map(|more| format!("the same of {more} files more with setuid or setgid bits"));
        self.named.into_iter().chain(more).collect()
    }
}

fn bits(mode: u32) -> &'static str {
    match (mode & SETUID != 0, mode & SETGID != 0) {
        (true, true) => "setuid bit and the setgid bit",
        (true, false) => "setuid bit",
        (false, _) => "setgid bit",
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Environment;
    use super::super::find::Finder;
    use super::super::found::Found;
    use super::super::state::WatchState;
    use super::super::walk::Bound;
    use super::super::{Doubt, Now, Visit, look, note_entered, protect};
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn file(path: &Path, mode: u32) {
        fs::write(path, "").unwrap();
        set(path, mode);
    }

    /// One walk where an agent can have written.
    fn walked(workspace: &Path) -> Found {
        let none = (Vec::new(), Default::default(), Default::default(), Default::default());
        let known = WatchState {
            quiet: false,
            ended: false,
            owed: false,
            places: none.0,
            attributes: none.1,
            modules: none.2,
            led_out: Default::default(),
            unresolved: none.3,
        };
        Finder::new(workspace, None, &Environment::default(), Some(&known)).unwrap().find(&Bound::USUAL).unwrap()
    }

    #[test]
    fn setuid_and_setgid_bits_go_and_links_are_left_alone() {
        let (dir, host) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("sub/shared")).unwrap();
        set(&at("sub/shared"), 0o2775);
        file(&at("sub/suid"), 0o4755);
        file(&at("sgid"), 0o2711);
        // One that its owner cannot read, in a directory that its owner can list and not enter: others can do both.
        fs::create_dir(at("odd")).unwrap();
        file(&at("odd/unread"), 0o6011);
        set(&at("odd"), 0o405);
        let su = host.path().join("su");
        file(&su, 0o4755);
        symlink(&su, at("sub/link")).unwrap();
        symlink(host.path(), at("bin")).unwrap();
        let warnings = walked(dir.path()).warnings;
        assert_eq!(
            warnings,
            [
                "removed the setgid bit of `sgid`: whoever can start it would have had the rights of its group",
                "removed the setuid bit and the setgid bit of `odd/unread`: whoever can start it would have had the \
                 rights of its user",
                "removed the setuid bit of `sub/suid`: whoever can start it would have had the rights of its user",
            ]
        );
        set(&at("odd"), 0o700);
        let modes = ["sub/shared", "sub/suid", "sgid", "odd/unread"].map(|name| mode(&at(name)));
        assert_eq!(modes, [0o2775, 0o755, 0o711, 0o011]);
        assert_eq!(mode(&su), 0o4755);
        assert_eq!(walked(dir.path()).warnings, Vec::<String>::new());
    }

    #[test]
    fn a_path_that_is_longer_than_the_kernel_takes_hides_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let top = crate::beneath::Beneath::root(dir.path()).unwrap();
        let mut at = top.make_dir("d".repeat(200), 0o700).unwrap();
        for _ in 0..30 {
            at = at.make_dir("d".repeat(200), 0o700).unwrap();
        }
        drop(at.create("su", 0o4755).unwrap());
        // The mode at creation lacks what the mask takes away.
        let had = at.stat("su").unwrap().mode;
        let found = walked(dir.path());
        assert_eq!(had & 0o4000, 0o4000);
        assert_eq!((found.warnings.len(), found.unresolved.len()), (1, 0), "{found:?}");
        assert_eq!(at.stat("su").unwrap().mode & 0o6000, 0);
        drop(at);
        top.remove_unless("d".repeat(200), &|| false).unwrap();
    }

    #[test]
    fn many_files_do_not_fill_the_terminal() {
        let dir = tempfile::tempdir().unwrap();
        (0..25).for_each(|n| file(&dir.path().join(format!("su-{n}")), 0o4755));
        let warnings = walked(dir.path()).warnings;
        assert_eq!(warnings.len(), 21);
        assert_eq!(warnings[20], "the same of 5 files more with setuid or setgid bits");
        assert_eq!(walked(dir.path()).warnings, Vec::<String>::new());
    }

    #[test]
    fn a_directory_that_becomes_a_link_while_it_is_looked_at_leads_nowhere() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let (dir, host) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let su = host.path().join("su");
        file(&su, 0o4755);
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::create_dir(&real).unwrap();
        file(&real.join("su"), 0o755);
        symlink(host.path(), &link).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let flags = rustix::fs::RenameFlags::EXCHANGE;
                    let _ = rustix::fs::renameat_with(rustix::fs::CWD, &real, rustix::fs::CWD, &link, flags);
                }
            });
            for _ in 0..2000 {
                walked(dir.path());
            }
            done.store(true, Ordering::Relaxed);
        });
        assert_eq!(mode(&su), 0o4755, "a program of the host lost its bit");
    }

    #[test]
    fn setuid_bits_go_at_the_next_look_unless_nothing_can_have_set_any() {
        let dir = tempfile::tempdir().unwrap();
        let (workspace, state) = (dir.path().join("project"), dir.path().join("git-state.json"));
        fs::create_dir(&workspace).unwrap();
        let su = workspace.join("su");
        file(&su, 0o4755);
        let env = Environment::default();
        let visit = || Visit::new(&workspace, None, &env, &state, &|| false);
        protect(visit(), Doubt::default()).unwrap();
        assert_eq!(mode(&su), 0o4755, "before the first session it is the user's own");
        note_entered(&state).unwrap();
        protect(visit(), Doubt::default()).unwrap();
        assert_eq!(mode(&su), 0o755, "since an entry");
        set(&su, 0o4755);
        protect(visit(), Doubt::default()).unwrap();
        assert_eq!(mode(&su), 0o4755, "nothing was alive: the user has set it");
        look(visit(), Now::Busy).unwrap();
        assert_eq!(mode(&su), 0o755, "the end of a session");
        set(&su, 0o4755);
        protect(visit(), Doubt::default()).unwrap();
        assert_eq!(mode(&su), 0o755, "a leftover was alive");
    }
}
