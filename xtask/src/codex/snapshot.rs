//! Copies of Codex that no update of the host touches: `STATE/codex/VERSION-FINGERPRINT`, whole or absent.
//!
//! They are copies and not hard links, although a link would cost nothing: a link is the same file. What rewrites the
//! host's program in place (`cp`, `curl -o`, `rsync --inplace`) would change it under a running container, and where
//! the installation lies in a place that a container may write, the read-only mount would have a writable alias. Links
//! to a root-owned `/usr/lib/node_modules` are refused by the kernel anyway. The copy shares blocks where the file
//! system can (btrfs, XFS); on ext4 it was 0.5 s and 410 MB for each version of Codex.

use super::package::{Packaged, What};
use super::version::identity;
use crate::context::Context;
use crate::error::failed;
use crate::scratch::{self, Scratch};
use crate::{clock, exec, fingerprint, ui};
use anyhow::{Context as _, Result};
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The user is told of a copy of this many MiB or more.
const NOTEWORTHY: u64 = 50;
const UNFINISHED: &str = ".new-";

/// A snapshot that no container mounts is kept for this long: another call may just have chosen it.
const UNUSED: Duration = Duration::from_secs(24 * 3600);

/// Where the snapshot of these items lies, or will lie. Its name comes from the metadata of the items, not from their
/// content: that way 410 MB are not read each time, and the worst that follows is a needless copy.
pub(super) fn place(cx: &Context, version: &str, items: &[Packaged]) -> Result<PathBuf> {
    let mut parts = Vec::new();
    for item in items {
        let meta =
            fs::symlink_metadata(&item.from).with_context(|| format!("cannot read `{}`", item.from.display()))?;
        parts.extend([item.to.display().to_string(), identity(&meta), format!("{:?}", item.what)]);
    }
    Ok(cx.state.join("codex").join(format!("{version}-{}", &fingerprint::of(parts)[..12])))
}

/// Removes the snapshots that are a day old and that no container mounts, and returns them. `used` are the sources of
/// the mounts of all containers.
pub(crate) fn prune(cx: &Context, used: &[PathBuf]) -> Vec<PathBuf> {
    let mut unused = snapshots(cx);
    unused.retain(|path| {
        let unused = || is_older(path, UNUSED) && !used.contains(path);
        unused() && scratch::hold(path).is_some_and(|_held| exec::remove(path).is_ok())
    });
    unused
}

/// All whole snapshots, in use or not, sorted by name.
pub(super) fn snapshots(cx: &Context) -> Vec<PathBuf> {
    let is_whole = |copy: &PathBuf| !is_unfinished(copy) && copy.join("bin/codex").is_file();
    let mut whole: Vec<PathBuf> = copies(cx).filter(is_whole).collect();
    whole.sort();
    whole
}

fn copies(cx: &Context) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(cx.state.join("codex")).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn is_unfinished(copy: &Path) -> bool {
    copy.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(UNFINISHED.as_bytes()))
}

fn is_older(copy: &Path, age: Duration) -> bool {
    let modified = fs::metadata(copy).and_then(|meta| meta.modified());
    modified.is_ok_and(|modified| clock::age(modified, SystemTime::now()) > age)
}

/// The snapshot of these items: the one there is, or a new one. Safe to call from several processes at once.
pub(super) fn take(cx: &Context, version: &str, items: &[Packaged]) -> Result<PathBuf> {
    let place = place(cx, version, items)?;
    let dir = cx.state.join("codex");
    // Whatever the clock says meanwhile, no other call takes it for unused.
    scratch::use_to_the_end(&place);
    if is_whole(&place, items) {
        return Ok(place);
    }
    exec::create_dir(&cx.state, 0o700)?;
    exec::create_dir(&dir, 0o700)?;
    // Unfinished copies of killed processes are removed: each takes hundreds of megabytes.
    let _ = scratch::sweep(&dir, UNFINISHED);
    let make = || Scratch::make(&dir, UNFINISHED);
    let fresh = make().with_context(|| format!("cannot make a directory in `{}`", dir.display()))?;
    if let Some(note) = note(version, items) {
        ui::say(note);
    }
    copy(items, fresh.path())?;
    if self::place(cx, version, items)? != place {
        return Err(failed("Codex changed on the host while it was copied")
            .hint("wait until the update has ended, then run it again")
            .into());
    }
    // Tried twice: a damaged snapshot of this name is moved aside, and another process may do the same at the same time.
    for _ in 0..2 {
        match fs::rename(fresh.path(), &place) {
            Ok(()) => {
                fresh.keep();
                scratch::use_to_the_end(&place);
                return Ok(place);
            }
            Err(_) if is_whole(&place, items) => return Ok(place),
            Err(err) if matches!(err.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) => {
                let _ = fs::rename(&place, make()?.path().join("damaged"));
            }
            Err(err) => return Err(err).with_context(|| format!("cannot put Codex into `{}`", place.display())),
        }
    }
    Err(failed(format!(
        "cannot put Codex into `{}`: a damaged copy is there and cannot be moved aside",
        place.display()
    ))
    .hint("remove that directory, then run it again")
    .into())
}

/// What the user is told before a copy that takes a while.
fn note(version: &str, items: &[Packaged]) -> Option<String> {
    let length = |item: &Packaged| fs::metadata(&item.from).map_or(0, |meta| meta.len());
    let files = items.iter().filter(|item| matches!(item.what, What::File { .. }));
    let mib = files.map(length).sum::<u64>() >> 20;
    (mib >= NOTEWORTHY).then(|| {
        format!("copying Codex {version} ({mib} MiB), once for this version: a second or two, more on a slow disk")
    })
}

/// Whether a snapshot has every item in its full length. A crash of the machine right after the copy can leave files
/// empty under their final names.
pub(super) fn is_whole(place: &Path, items: &[Packaged]) -> bool {
    items.iter().all(|item| {
        let copy = place.join(&item.to);
        match &item.what {
            What::Link(target) => fs::read_link(copy).is_ok_and(|there| there == *target),
            What::File { executable } => match (fs::symlink_metadata(copy), fs::metadata(&item.from)) {
                (Ok(copy), Ok(original)) => {
                    let runs = copy.permissions().mode() & 0o111 != 0;
                    copy.is_file() && copy.len() == original.len() && runs == *executable
                }
                _ => false,
            },
        }
    })
}

/// Copies the items into an existing directory. Everything in it is readable for all users, so that the container's user
/// can read it whatever its UID is; the state directory above it is closed to other users of the host.
fn copy(items: &[Packaged], root: &Path) -> Result<()> {
    exec::create_dir(root, 0o755)?;
    for item in items {
        let copy = root.join(&item.to);
        let mut parent = root.to_path_buf();
        // One by one: each gets its mode whatever the umask is.
        for part in item.to.parent().into_iter().flatten() {
            parent.push(part);
            exec::create_dir(&parent, 0o755)?;
        }
        let copied = match &item.what {
            What::Link(target) => symlink(target, &copy),
            // Of the mode only the executable bit is kept: no setuid bit, no group that may write.
            What::File { executable } => fs::copy(&item.from, &copy).and_then(|_| {
                fs::set_permissions(&copy, Permissions::from_mode(if *executable { 0o755 } else { 0o644 }))
            }),
        };
        copied.with_context(|| format!("cannot copy `{}` to `{}`", item.from.display(), copy.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::package::items;
    use super::super::testing::World;
    use super::*;
    use std::time::SystemTime;

    fn mode(path: PathBuf) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_snapshot_is_whole_readable_and_its_own() {
        let (world, cx) = (World::new(), World::cx as fn(&World) -> Context);
        let cx = cx(&world);
        let binary = world.package("pkg");
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o4775)).unwrap();
        let (list, _) = items(&binary).unwrap();
        let place = take(&cx, "0.169.0", &list).unwrap();

        assert!(place.file_name().unwrap().to_str().unwrap().starts_with("0.169.0-"));
        assert_eq!((mode(cx.state.clone()), mode(cx.state.join("codex"))), (0o700, 0o700));
        assert_eq!((mode(place.clone()), mode(place.join("codex-resources/voice"))), (0o755, 0o755));
        assert_eq!((mode(place.join("bin/codex")), mode(place.join("codex-package.json"))), (0o755, 0o644));
        assert_eq!(fs::read_link(place.join("codex-resources/voice/lib/libz.so.1")).unwrap(), Path::new("libz.so"));

        // An update in place does not change the snapshot; the next snapshot is another one.
        fs::write(&binary, "rewritten").unwrap();
        assert_ne!(fs::read(place.join("bin/codex")).unwrap(), b"rewritten");
        let next = take(&cx, "0.170.0", &items(&binary).unwrap().0).unwrap();
        assert_eq!(snapshots(&cx), [place, next]);
    }

    #[test]
    fn an_old_snapshot_that_nothing_mounts_is_removed() {
        let (world, list) = (World::new(), |binary: &Path| items(binary).unwrap().0);
        let cx = world.cx();
        let binary = world.package("pkg");
        let take = |version: &str| {
            let place = take(&cx, version, &list(&binary)).unwrap();
            let two_days_ago = SystemTime::now() - 2 * UNUSED;
            fs::File::open(&place).unwrap().set_modified(two_days_ago).unwrap();
            place
        };
        let (used, unused, young) = (take("1.0"), take("2.0"), take("3.0"));
        fs::File::open(&young).unwrap().set_modified(SystemTime::now()).unwrap();
        assert_eq!(
            prune(&cx, std::slice::from_ref(&used)),
            [] as [PathBuf; 0],
            "a call that goes on has just chosen each"
        );
        [&used, &unused, &young].iter().for_each(|copy| scratch::let_go(copy));
        assert_eq!(prune(&cx, std::slice::from_ref(&used)), [unused]);
        // The clock was set back since, by years.
        fs::File::open(&young).unwrap().set_modified(SystemTime::now() + 1000 * UNUSED).unwrap();
        assert_eq!(prune(&cx, std::slice::from_ref(&used)), [young]);
        assert_eq!(snapshots(&cx), [used]);
    }

    #[test]
    fn a_damaged_snapshot_is_copied_again_and_old_leftovers_are_removed() {
        let world = World::new();
        let cx = world.cx();
        let (list, _) = items(&world.package("pkg")).unwrap();
        let place = take(&cx, "1.0", &list).unwrap();
        fs::write(place.join("codex-path/rg"), "").unwrap();
        let (old, young) = (cx.state.join("codex/.new-old"), cx.state.join("codex/.new-young"));
        for dir in [&old, &young] {
            fs::create_dir_all(dir.join("bin")).unwrap();
        }
        let long_ago = SystemTime::now() - Duration::from_secs(7200);
        fs::File::open(&old).unwrap().set_modified(long_ago).unwrap();

        assert_eq!(take(&cx, "1.0", &list).unwrap(), place);
        assert!(is_whole(&place, &list));
        assert_eq!((old.exists(), young.exists()), (false, true));
    }

    #[test]
    fn a_copy_that_takes_a_while_is_told_of_and_a_small_one_is_not() {
        let world = World::new();
        let binary = world.package("pkg");
        assert_eq!(note("1.0", &items(&binary).unwrap().0), None);
        let grown = fs::File::options().write(true).open(world.path("pkg/codex-path/rg")).unwrap();
        grown.set_len(60 << 20).unwrap();
        let text = note("1.0", &items(&binary).unwrap().0).unwrap();
        assert!(text.starts_with("copying Codex 1.0 (60 MiB), once"), "{text}");
    }

    #[test]
    fn callers_at_the_same_time_share_one() {
        let world = World::new();
        let cx = world.cx();
        let (list, _) = items(&world.package("pkg")).unwrap();
        let places: Vec<PathBuf> = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..8).map(|_| scope.spawn(|| take(&cx, "1.0", &list).unwrap())).collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).collect()
        });
        assert!(places.iter().all(|place| *place == places[0] && is_whole(place, &list)));
        assert_eq!(fs::read_dir(cx.state.join("codex")).unwrap().count(), 1);
    }
}
