//! Keeps the lease of the login good while a session is waited for.

use super::gather::Gathered;
use crate::answers;
use crate::codex::login::{self, Asker, Form, FromHost, HostCodex, Leases, Patience, RETRY, Renewal};
use crate::context::Context;
use crate::finding::Finding;
use crate::proof::lease;
use crate::signals::Signals;
use crate::spec::words::{Login, Mode};
use anyhow::Result;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// How often it is looked whether there is a newer one: a few reads of small files. What Codex inside is refused it asks for
/// again for 7.5 s (seen with 0.171.0).
const INTERVAL: Duration = Duration::from_secs(5);

/// How long a renewal that was to end may go on before the file systems are asked whether they answer.
const UNHEARD: Duration = Duration::from_secs(10);

/// How often it is looked whether a renewal that outlives its session has come to its end.
const TICK: Duration = Duration::from_millis(50);

/// Where a renewed lease goes.
#[derive(Clone)]
struct LeaseTarget {
    cx: Context,
    leases: Leases,
    /// The host's Codex, and its version.
    codex: (PathBuf, String),
    home: PathBuf,
    record: PathBuf,
}

/// What an attempt has brought.
#[derive(Default)]
struct Attempt {
    /// In which form Codex takes a lease, where that is known by now.
    form: Option<Form>,
    /// What the user should know of it.
    trouble: Option<String>,
}

/// Asks the host's Codex again in time, beside the session, and pushes what it says into the sandbox.
pub(super) struct Keeper {
    target: LeaseTarget,
    form: Option<Form>,
    /// The request that is under way.
    asking: Option<JoinHandle<Result<Attempt>>>,
    /// When it is looked next.
    next: Instant,
    stop: Arc<AtomicBool>,
    insists: Arc<AtomicBool>,
    /// What the user should know of the last attempt.
    trouble: Option<String>,
}

impl Keeper {
    /// For a sandbox that has a lease, or would have one if the host's Codex had said so: any other has nothing to be renewed.
    pub(super) fn of(cx: &Context, gathered: &Gathered) -> Option<Keeper> {
        let form = match gathered.login {
            FromHost::Lease(_, form) => Some(form),
            FromHost::Unsure(_) => None,
            FromHost::Whole(..) | FromHost::Nothing(_) | FromHost::Unasked => return None,
        };
        let (home, places) = (&gathered.ground.settings.host_codex_home, &gathered.ground.places);
        let codex = &gathered.codex;
        let leases = Leases::new(&places.leases, &HostCodex::new(home), Asker::new(cx, &codex.binary, home));
        let target = LeaseTarget {
            cx: cx.clone(),
            leases,
            codex: (codex.binary.clone(), codex.version.clone()),
            home: places.codex_home.clone(),
            record: places.login.clone(),
        };
        Some(Keeper::new(target, form))
    }

    fn new(target: LeaseTarget, form: Option<Form>) -> Keeper {
        let next = Instant::now() + INTERVAL;
        let (stop, insists) = (Arc::default(), Arc::default());
        Keeper { target, form, asking: None, next, stop, insists, trouble: None }
    }

    /// Whatever file system does not answer: nothing is waited for any more.
    pub(super) fn leave(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Its thread ends with this process.
        self.asking = None;
    }

    /// To be called often while the session goes on. Never waits for Codex, nor for a file system.
    pub(super) fn tick(&mut self) {
        match &self.asking {
            Some(asking) if asking.is_finished() => self.take(),
            None if Instant::now() >= self.next => {
                self.next = Instant::now() + INTERVAL;
                // Never in this thread, which waits for the session: the file system of the host's login may not answer any more.
                let (target, form) = (self.target.clone(), self.form);
                let (stop, insists) = (Arc::clone(&self.stop), Arc::clone(&self.insists));
                self.asking = Some(std::thread::spawn(move || target.keep(form, &stop, &insists)));
            }
            Some(_) | None => {}
        }
    }

    fn take(&mut self) {
        let Some(asked) = self.asking.take().map(JoinHandle::join) else { return };
        let attempt = match asked {
            Ok(Ok(attempt)) => attempt,
            Ok(Err(err)) => Attempt { trouble: Some(failed(&err)), ..Attempt::default() },
            Err(_) => Attempt { trouble: Some("login: it could not be renewed".to_owned()), ..Attempt::default() },
        };
        self.form = attempt.form.or(self.form);
        self.trouble = attempt.trouble;
        if self.trouble.is_some() {
            self.next = Instant::now() + RETRY;
        }
    }

    /// Ends what is under way, and says what the user should know. A renewal that was begun is waited for, as long as the user
    /// does not press Ctrl-C twice: it says so itself.
    pub(super) fn end(mut self, signals: &Signals) -> Option<String> {
        let under_way = self.asking.as_ref().is_some_and(|asking| !asking.is_finished());
        self.stop.store(true, Ordering::Relaxed);
        let mut next = Instant::now() + UNHEARD;
        while self.asking.as_ref().is_some_and(|asking| !asking.is_finished()) {
            if signals.insists() {
                self.insists.store(true, Ordering::Relaxed);
            }
            if Instant::now() >= next {
                next = Instant::now() + UNHEARD;
                if let Some(silent) = answers::again().ok().and_then(|silent| silent.into_iter().next()) {
                    // Its thread ends with this process.
                    self.asking = None;
                    return Some(format!("login: it may not have been renewed: {}", silent.why.message));
                }
            }
            std::thread::sleep(TICK);
        }
        match under_way {
            // It was interrupted just now, which is no trouble.
            true => drop(self.asking.take().map(JoinHandle::join)),
            false => self.take(),
        }
        self.trouble.take()
    }
}

/// Whatever else fails: a renewal that was begun is waited for.
impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.asking.take().map(JoinHandle::join));
    }
}

/// The claim about what the sandbox has of the host's login, where the setting does not ask for all of it.
pub(super) fn claim(gathered: &Gathered) -> Option<Finding> {
    let (places, settings) = (&gathered.ground.places, &gathered.ground.settings);
    match (settings.login, settings.shape.codex_home) {
        (Login::Full, _) | (Login::Lease | Login::None, Mode::Shared | Mode::None) => return None,
        (Login::Lease | Login::None, Mode::Mirror) => {}
    }
    lease::claim(&login::held(&places.codex_home, &places.login), SystemTime::now())
}

fn failed(err: &anyhow::Error) -> String {
    format!("login: it could not be renewed: {err:#}")
}

impl LeaseTarget {
    /// Pushes what another sandbox may have had renewed, or has it renewed.
    fn keep(&self, form: Option<Form>, stop: &AtomicBool, insists: &AtomicBool) -> Result<Attempt> {
        match (form, self.leases.good(RETRY)) {
            (Some(form), Some(token)) => {
                login::push(&token, form, &self.home, &self.record)?;
                Ok(Attempt { form: Some(form), trouble: None })
            }
            (None, _) | (_, None) => self.renew(form, stop, insists),
        }
    }

    fn renew(&self, form: Option<Form>, stop: &AtomicBool, insists: &AtomicBool) -> Result<Attempt> {
        let patience =
            Patience { stop: &|| stop.load(Ordering::Relaxed), insists: &|| insists.load(Ordering::Relaxed) };
        let trouble = |why: String| Ok(Attempt { form, trouble: Some(format!("login: {why}")) });
        match login::renew(&self.leases, patience)? {
            Renewal::Lease(token) => {
                let (binary, version) = &self.codex;
                let form = form.map_or_else(|| login::form(&self.cx, binary, version), Ok)?;
                login::push(&token, form, &self.home, &self.record)?;
                Ok(Attempt { form: Some(form), trouble: None })
            }
            Renewal::Trouble(why) => trouble(why.to_string()),
            Renewal::LoggedOut => {
                trouble("the host has logged out; the next start takes the login from the sandbox".to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codex::login::tests::{STAND_IN, says, token};
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    /// A stand-in of Codex which says that its refresh token is dead.
    fn keeper(dir: &std::path::Path) -> Keeper {
        for name in ["host", "private"] {
            fs::create_dir(dir.join(name)).unwrap();
        }
        let binary = dir.join("codex");
        fs::write(&binary, STAND_IN).unwrap();
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(dir.join("answer"), says("chatgpt", None)).unwrap();
        let cx = Context { state: dir.join("state"), ..Context::default() };
        let host = dir.join("host");
        let leases = Leases::new(&dir.join("logins"), &HostCodex::new(&host), Asker::new(&cx, &binary, &host));
        let codex = (binary, "0.171.0".to_owned());
        let target = LeaseTarget { cx, leases, codex, home: dir.join("private"), record: dir.join("record.json") };
        let mut keeper = Keeper::new(target, None);
        keeper.next = Instant::now();
        keeper
    }

    /// Until an attempt has come to its end.
    fn attempt(keeper: &mut Keeper) {
        keeper.next = Instant::now();
        keeper.tick();
        while keeper.asking.is_some() {
            keeper.next = Instant::now();
            keeper.tick();
            std::thread::sleep(TICK);
        }
    }

    #[test]
    fn a_session_that_began_without_a_lease_tries_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut keeper = keeper(dir.path());
        attempt(&mut keeper);
        assert!(keeper.trouble.as_ref().is_some_and(|why| why.contains("run `codex login` on the host")));
        assert!(keeper.next > Instant::now() + INTERVAL, "not all the time");
        // The user has logged in on the host.
        fs::write(dir.path().join("host/auth.json"), "{}").unwrap();
        fs::write(dir.path().join("answer"), says("chatgpt", Some(&token("new", 800_000)))).unwrap();
        attempt(&mut keeper);
        assert_eq!(keeper.trouble, None);
        let inside = fs::read_to_string(dir.path().join("private/auth.json")).unwrap();
        assert!(inside.contains(&token("new", 800_000)) && keeper.form.is_some());
    }

    #[test]
    fn a_renewal_outlives_its_session() {
        let dir = tempfile::tempdir().unwrap();
        let mut keeper = keeper(dir.path());
        fs::write(dir.path().join("answer"), says("chatgpt", Some(&token("old", 240)))).unwrap();
        fs::write(dir.path().join("renewed"), says("chatgpt", Some(&token("new", 800_000)))).unwrap();
        fs::write(dir.path().join("slow"), "").unwrap();
        keeper.tick();
        while !fs::read_to_string(dir.path().join("asked")).is_ok_and(|text| text.contains("renewed")) {
            std::thread::sleep(TICK);
        }
        assert_eq!(keeper.end(&Signals::none()), None);
        let inside = fs::read_to_string(dir.path().join("private/auth.json")).unwrap();
        assert!(inside.contains(&token("new", 800_000)), "it was waited for, and pushed");
    }
}
