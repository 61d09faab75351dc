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
use crate::{exec, fingerprint, ui};
use anyhow::{Context as _, Result};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// An unfinished copy of that age was left by a process that was killed.
const ABANDONED: Duration = Duration::from_secs(3600);
/// A copy of so many MiB is told of.
const NOTEWORTHY: u64 = 50;
const UNFINISHED: &str = ".new-";

/// A snapshot that nothing mentions is kept for that long: another call may have just chosen it.
const UNUSED: Duration = Duration::from_secs(24 * 3600);

/// Where the snapshot of these items lies, or will lie.
pub(super) fn place(cx: &Context, version: &str, items: &[Packaged]) -> Result<PathBuf> {
    let fingerprint = fingerprint_of(items)?;
    Ok(cx.state.join("codex").join(format!("{version}-{}", &fingerprint[..12])))
}

/// Removes the snapshots that are a day old and that no container mounts, and returns them. `used` are the sources of
/// the mounts of all containers.
pub fn prune(cx: &Context, used: &[PathBuf]) -> Vec<PathBuf> {
    let old = |path: &PathBuf| {
        let copied = fs::metadata(path).and_then(|meta| meta.modified()).ok();
        let age = copied.and_then(|copied| SystemTime::now().duration_since(copied).ok());
        age.is_some_and(|age| age > UNUSED)
    };
    let mut unused = snapshots(cx);
    unused.retain(|path| old(path) && !used.contains(path) && fs::remove_dir_all(path).is_ok());
    unused
}

/// All snapshots there are, those in use and those not, oldest name first.
pub(super) fn snapshots(cx: &Context) -> Vec<PathBuf> {
    let entries = fs::read_dir(cx.state.join("codex")).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.join("bin/codex").is_file())
        .filter(|path| path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b".")))
        .collect();
    found.sort();
    found
}

/// The snapshot of these items: the one there is, or a new one. Safe to call from several processes at once.
pub(super) fn take(cx: &Context, version: &str, items: &[Packaged]) -> Result<PathBuf> {
    let place = place(cx, version, items)?;
    let dir = cx.state.join("codex");
    if is_whole(&place, items) {
        return Ok(place);
    }
    exec::create_dir(&cx.state, 0o700)?;
    exec::create_dir(&dir, 0o700)?;
    sweep(&dir);
    let fresh = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempdir_in(&dir)
        .with_context(|| format!("cannot make a directory in `{}`", dir.display()))?;
    if let Some(note) = note(version, items) {
        ui::say(note);
    }
    copy(items, fresh.path())?;
    if self::place(cx, version, items)? != place {
        return Err(failed("Codex changed on the host while it was copied")
            .hint("wait until the update has ended, then run it again")
            .into());
    }
    // Twice: a damaged one in the way is moved aside, and another process may do the same at the same time.
    for _ in 0..2 {
        match fs::rename(fresh.path(), &place) {
            Ok(()) => {
                let _ = fresh.keep();
                return Ok(place);
            }
            Err(_) if is_whole(&place, items) => return Ok(place),
            Err(err) if matches!(err.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) => {
                let aside = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(&dir)?;
                let _ = fs::rename(&place, aside.path().join("damaged"));
            }
            Err(err) => {
                return Err(err).with_context(|| format!("cannot put Codex into `{}`", place.display()));
            }
        }
    }
    Err(failed(format!("`{}` is in the way", place.display())).hint("remove it, then run it again").into())
}

/// What is said before a copy that takes a while.
fn note(version: &str, items: &[Packaged]) -> Option<String> {
    let length = |item: &Packaged| fs::metadata(&item.from).map_or(0, |meta| meta.len());
    let files = items.iter().filter(|item| matches!(item.what, What::File { .. }));
    let mib = files.map(length).sum::<u64>() >> 20;
    (mib >= NOTEWORTHY).then(|| {
        format!("copying Codex {version} ({mib} MiB), once for this version: a second or two, more on a slow disk")
    })
}

/// By metadata, not by content: 410 MB need not be read again, and a needless copy is the worst that follows.
fn fingerprint_of(items: &[Packaged]) -> Result<String> {
    let mut parts = Vec::new();
    for item in items {
        let meta =
            fs::symlink_metadata(&item.from).with_context(|| format!("cannot read `{}`", item.from.display()))?;
        parts.push(item.to.display().to_string());
        parts.push(identity(&meta));
        parts.push(format!("{:?}", item.what));
    }
    Ok(fingerprint::of(parts))
}

/// Whether a snapshot has every item in its full length. A crash of the machine right after the copy can leave files
/// empty under their final names.
fn is_whole(place: &Path, items: &[Packaged]) -> bool {
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

/// Copies the items into a directory that is there. All of it is readable by anybody who can get at it, so that the
/// container's user can whatever its number is; the state directory above is closed to other users of the host.
fn copy(items: &[Packaged], root: &Path) -> Result<()> {
    open_dir(root, root)?;
    for item in items {
        let copy = root.join(&item.to);
        let parent = copy.parent().unwrap_or(root);
        if !parent.is_dir() {
            fs::create_dir_all(parent).with_context(|| format!("cannot make `{}`", parent.display()))?;
            open_dir(parent, root)?;
        }
        let copied = match &item.what {
            What::Link(target) => symlink(target, &copy),
            // Only whether it can be run is taken over: no setuid bit, no group that may write.
            What::File { executable } => fs::copy(&item.from, &copy).and_then(|_| {
                let mode = if *executable { 0o755 } else { 0o644 };
                fs::set_permissions(&copy, fs::Permissions::from_mode(mode))
            }),
        };
        copied.with_context(|| format!("cannot copy `{}` to `{}`", item.from.display(), copy.display()))?;
    }
    Ok(())
}

/// Gives a directory and those above it, up to the root of the package, the mode 0755 whatever the umask is.
fn open_dir(dir: &Path, root: &Path) -> Result<()> {
    for dir in dir.ancestors().take_while(|dir| dir.starts_with(root)) {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("cannot set the mode of `{}`", dir.display()))?;
    }
    Ok(())
}

/// Removes what killed processes have left: hundreds of megabytes each.
fn sweep(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let unfinished = entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes());
        let age = entry
            .metadata()
            .and_then(|meta| meta.modified())
            .ok()
            .and_then(|modified| SystemTime::now().duration_since(modified).ok());
        if unfinished && age.is_some_and(|age| age > ABANDONED) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::package::items;
    use super::super::testing::World;
    use super::*;

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

        // An update in place does not show through; the next snapshot is another one.
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
        assert_eq!(prune(&cx, std::slice::from_ref(&used)), [unused]);
        assert_eq!(snapshots(&cx), [used, young]);
    }

    #[test]
    fn a_damaged_snapshot_is_made_anew_and_old_rubbish_swept() {
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
