//! The lease that is kept: one for each Codex home of the host, for all sandboxes, in the state folder, which no container
//! reaches. Codex is asked again only where it is no longer good.

use super::ask::{Asker, CodexSays, Patience, home_key};
use super::auth::HostFile;
use super::store::{HostCodex, Store};
use super::token::Token;
use crate::beneath::{Lock, lock_at};
use crate::outside;
use crate::{exec, fingerprint, ui};
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How long a lease is believed where the login lies in a keyring, so that no file tells of a log-out or another login.
const UNSEEN: Duration = Duration::from_secs(600);

/// With less left Codex renews a token at its start: five minutes, and what a start takes.
const BY_ITSELF: Duration = Duration::from_secs(360);

/// The name of a lease in the folder of its home.
const LEASE: &str = "lease.json";

/// How long another sandbox may take to ask.
const WAIT: Duration = Duration::from_secs(90);

/// After which the user is told of it.
const LATE: Duration = Duration::from_secs(2);

const WAITS: &str =
    "login: another call has your Codex on the host asked or its login renewed, for which this one waits";

/// How long the removal waits for that: what it removes may be written anew at any time.
const WAIT_TO_REMOVE: Duration = Duration::from_secs(5);

/// After a renewal that brought nothing, for example because the server could not be reached.
pub(crate) const RETRY: Duration = Duration::from_secs(60);

/// The state of the host's `auth.json`: Codex replaces it at each renewal and each login. A symlink is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Source {
    dev: u64,
    ino: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Source {
    /// `None` where it lies in no file.
    fn of(host: &HostCodex) -> Option<Source> {
        let meta = fs::metadata(host.home.join("auth.json")).ok().filter(|_| Store::of(host) != Store::Keyring)?;
        Some(Source {
            dev: meta.dev(),
            ino: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct KeptLease {
    token: Token,
    /// When Codex was asked last.
    asked: SystemTime,
    /// What it had then; nothing where the login lies in a keyring.
    source: Option<Source>,
}

impl KeptLease {
    /// Whether it can be handed out without asking. After a renewal that brought nothing, `retry` has to pass. Pure.
    fn is_good(&self, source: Option<Source>, now: SystemTime, retry: Duration) -> bool {
        // A clock that was set back makes it old.
        let age = now.duration_since(self.asked).unwrap_or(Duration::MAX);
        self.source == source
            && (source.is_some() || age < UNSEEN)
            && (!self.token.is_late(now)
                || (self.token.is_late(self.asked) && age < retry && !self.token.left(now).is_zero()))
    }
}

/// For the fuzzer: a lease as it is kept. One that has ended is never handed out.
#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(bytes: &[u8]) {
    let Ok(kept) = serde_json::from_slice::<KeptLease>(bytes) else { return };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    if kept.is_good(kept.source, now, RETRY) {
        assert!(kept.token.left(now) > Duration::ZERO || !kept.token.is_late(now));
    }
}

/// The leases of one Codex home of the host.
#[derive(Clone)]
pub(crate) struct Leases {
    asker: Asker,
    host: HostCodex,
    /// Where its lease is kept.
    dir: PathBuf,
}

impl Leases {
    /// `kept` is where those of all homes lie.
    pub(crate) fn new(kept: &Path, host: &HostCodex, asker: Asker) -> Leases {
        let key = fingerprint::of([home_key(&host.home).as_os_str().as_encoded_bytes()]);
        let dir = kept.join(key.get(..16).unwrap_or_default());
        Leases { asker, host: host.clone(), dir }
    }

    fn kept(&self) -> Option<KeptLease> {
        serde_json::from_slice(&outside::bytes(&self.dir.join(LEASE), outside::WRITTEN).ok()?).ok()
    }

    /// The kept lease, where nothing has to be asked.
    pub(crate) fn good(&self, retry: Duration) -> Option<Token> {
        let kept = self.kept()?;
        kept.is_good(Source::of(&self.host), SystemTime::now(), retry).then_some(kept.token)
    }

    /// The kept lease, or else what the host's Codex says; one sandbox at a time asks it.
    ///
    /// # Errors
    /// Codex cannot be started, or the state folder cannot be written.
    pub(crate) fn get(&self, retry: Duration, patience: Patience<'_>) -> Result<CodexSays> {
        if let Some(token) = self.good(retry) {
            return Ok(CodexSays::Token(token));
        }
        exec::create_dir(&self.dir, 0o700)?;
        let late = ui::late(LATE, WAITS);
        let lock = lock(&self.dir, WAIT, patience.stop)?;
        drop(late);
        let Some(lock) = lock else {
            return Ok(CodexSays::Silent("another sandbox was asking it"));
        };
        // The one that had the lock may have renewed it.
        if let Some(token) = self.good(retry) {
            return Ok(CodexSays::Token(token));
        }
        let before = Source::of(&self.host);
        let answer = self.asker.token_under(Some(&lock), true, self.renews_itself(), patience)?;
        let source = Source::of(&self.host);
        let answer = match source == before {
            true => answer,
            // It was renewed just now, or somebody logged in: what the file has now is what counts.
            false => match self.asker.token_under(Some(&lock), false, false, patience)? {
                // Nor is it kept: whose it is was not asked.
                CodexSays::Silent(_) => return Ok(answer),
                now => now,
            },
        };
        match &answer {
            CodexSays::Token(token) => {
                let kept = KeptLease { token: token.clone(), asked: SystemTime::now(), source };
                exec::write_file(&self.dir.join(LEASE), &serde_json::to_vec(&kept)?, 0o600)?;
            }
            CodexSays::NoLogin | CodexSays::ApiKey | CodexSays::OtherKind => self.forget()?,
            CodexSays::Dead | CodexSays::OtherProvider | CodexSays::Unknown | CodexSays::Silent(_) => {}
        }
        Ok(answer)
    }

    /// Whether Codex may renew the token as soon as it starts. Where it is not known how much of its life is left, it may.
    pub(super) fn renews_itself(&self) -> bool {
        let file = match (Store::of(&self.host), HostFile::read(&self.host.home)) {
            (Store::File | Store::Auto, Ok(HostFile::Login(_, bytes))) => super::auth::access_token(&bytes),
            (Store::Keyring | Store::Ephemeral, _) | (_, Err(_) | Ok(HostFile::Missing | HostFile::Odd)) => None,
        };
        let token = file.or_else(|| self.kept().map(|kept| kept.token));
        token.is_none_or(|token| token.left(SystemTime::now()) < BY_ITSELF)
    }

    /// Removes it: the host has no such login any more.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(crate) fn forget(&self) -> Result<()> {
        exec::remove(&self.dir.join(LEASE))
    }
}

/// What is kept in the folders of all Codex homes of the host: the leases, which `down --all` removes under their locks. The
/// locks stay: under another file of that name a second renewal could begin while one goes on.
pub(crate) fn all_kept(kept: &Path) -> Vec<PathBuf> {
    let dirs = fs::read_dir(kept).into_iter().flatten().filter_map(Result::ok).map(|dir| dir.path());
    dirs.map(|dir| dir.join(LEASE)).filter(|lease| lease.exists()).collect()
}

/// Takes the locks of leases that are to be removed. One that a renewal holds for longer than `WAIT_TO_REMOVE` is passed over:
/// a new lease is written there, which is that of another sandbox.
///
/// # Errors
/// A lock cannot be opened.
pub(crate) fn lock_all(leases: &[PathBuf], stop: &dyn Fn() -> bool) -> Result<Vec<Lock>> {
    let dirs = leases.iter().filter_map(|lease| lease.parent());
    let locks: Result<Vec<Option<Lock>>> = dirs.map(|dir| lock(dir, WAIT_TO_REMOVE, stop)).collect();
    Ok(locks?.into_iter().flatten().collect())
}

/// Takes the lock of a folder.
fn lock(dir: &Path, wait: Duration, stop: impl Fn() -> bool) -> Result<Option<Lock>> {
    let path = dir.join("lock");
    lock_at(&path, wait, stop).with_context(|| format!("cannot lock `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::token::{made_up, unsigned};
    use super::*;

    #[test]
    fn a_lock_counts_as_long_as_it_is_the_file_of_that_name_and_a_removal_keeps_it() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("home");
        fs::create_dir(&dir).unwrap();
        let short = Duration::from_millis(1);
        let held = lock(&dir, WAIT, || false).unwrap().unwrap();
        assert!(lock(&dir, short, || false).unwrap().is_none());
        assert!(held.is_at(&dir.join("lock")).unwrap());
        // Another file takes the place of what somebody waits for: what he gets is of no use.
        fs::rename(dir.join("lock"), dir.join("old")).unwrap();
        assert!(!held.is_at(&dir.join("lock")).unwrap());
        fs::write(dir.join("lock"), "").unwrap();
        assert!(!held.is_at(&dir.join("lock")).unwrap());
        drop(held);
        fs::write(dir.join(LEASE), "{}").unwrap();
        let leases = all_kept(temp.path());
        assert_eq!(leases, [dir.join(LEASE)], "the lock is not among them");
        let locks = lock_all(&leases, &|| false).unwrap();
        assert_eq!(locks.len(), 1);
        assert!(lock(&dir, short, || false).unwrap().is_none(), "no renewal begins during the removal");
        assert!(lock(&dir, WAIT, || true).unwrap().is_none(), "it is not waited for whoever wants to end");
    }

    #[test]
    fn codex_is_asked_again_only_where_it_must_be() {
        let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let source = |ino| Some(Source { dev: 1, ino, size: 1, modified: (1, 1), changed: (1, 1) });
        let token = Token::parse(&unsigned(&made_up(0, 100_000, "t"))).unwrap();
        let kept = |source| KeptLease { token: token.clone(), asked: at(1000), source };
        let file = kept(source(1));
        assert!(file.is_good(source(1), at(90_000), RETRY), "a file tells of every change");
        assert!(!file.is_good(source(2), at(1001), RETRY), "another login");
        assert!(!file.is_good(None, at(1001), RETRY), "logged out");
        assert!(!file.is_good(source(1), at(96_500), RETRY), "under an hour");
        let in_time = KeptLease { asked: at(96_390), ..file.clone() };
        assert!(!in_time.is_good(source(1), at(96_410), RETRY), "it was late only afterwards");
        let asked = KeptLease { asked: at(96_490), ..file };
        assert!(asked.is_good(source(1), at(96_500), RETRY), "it was asked just now");
        assert!(!asked.is_good(source(1), at(96_500), Duration::ZERO), "at an entry it is asked all the same");
        let keyring = kept(None);
        assert!(keyring.is_good(None, at(1599), RETRY) && !keyring.is_good(None, at(1600), RETRY));
        assert!(!keyring.is_good(None, at(999), RETRY), "a clock that was set back");
        let ended = KeptLease { asked: at(100_001), ..kept(source(1)) };
        assert!(!ended.is_good(source(1), at(100_002), RETRY));
    }
}
