//! Keeps the lease of the login good while a session is waited for.

use super::gather::Gathered;
use crate::codex::login::{self, Asker, Form, FromHost, Leases, RETRY, Renewal};
use crate::context::Context;
use crate::finding::Finding;
use crate::proof::lease;
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

/// Where a renewed lease goes.
#[derive(Clone)]
struct LeaseTarget {
    leases: Leases,
    form: Form,
    home: PathBuf,
    record: PathBuf,
}

/// Asks the host's Codex again in time, beside the session, and pushes what it says into the sandbox.
pub(super) struct Keeper {
    target: LeaseTarget,
    /// The request that is under way.
    asking: Option<JoinHandle<Result<Option<String>>>>,
    /// When it is looked next.
    next: Instant,
    stop: Arc<AtomicBool>,
    /// What the user should know of the last attempt.
    trouble: Option<String>,
}

impl Keeper {
    /// For a sandbox that has a lease; any other has nothing to be renewed.
    pub(super) fn of(cx: &Context, gathered: &Gathered) -> Option<Keeper> {
        let FromHost::Lease(_, form) = gathered.login else { return None };
        let (home, places) = (&gathered.ground.settings.host_codex_home, &gathered.ground.places);
        let leases = Leases::new(&places.leases, home, Asker::new(cx, &gathered.codex.binary, home));
        let target = LeaseTarget { leases, form, home: places.codex_home.clone(), record: places.login.clone() };
        let (next, stop) = (Instant::now() + INTERVAL, Arc::default());
        Some(Keeper { target, asking: None, next, stop, trouble: None })
    }

    /// To be called often while the session goes on. Never waits for Codex.
    pub(super) fn tick(&mut self) {
        if self.asking.as_ref().is_some_and(|asking| !asking.is_finished()) || Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + INTERVAL;
        if self.asking.is_some() {
            self.take();
        } else if let Some(token) = self.target.leases.good(RETRY) {
            // Another sandbox may have had it renewed.
            let pushed = login::push(&token, self.target.form, &self.target.home, &self.target.record);
            self.trouble = pushed.err().map(|err| failed(&err));
        } else {
            let (target, stop) = (self.target.clone(), Arc::clone(&self.stop));
            self.asking = Some(std::thread::spawn(move || target.renew(&stop)));
        }
    }

    fn take(&mut self) {
        let Some(asked) = self.asking.take().map(JoinHandle::join) else { return };
        self.trouble = match asked {
            Ok(Ok(trouble)) => trouble,
            Ok(Err(err)) => Some(failed(&err)),
            Err(_) => Some("login: it could not be renewed".to_owned()),
        };
        if self.trouble.is_some() {
            self.next = Instant::now() + RETRY;
        }
    }

    /// Ends what is under way, and says what the user should know.
    pub(super) fn end(mut self) -> Option<String> {
        self.stop.store(true, Ordering::Relaxed);
        match self.asking.as_ref().is_some_and(|asking| !asking.is_finished()) {
            // It was interrupted just now, which is no trouble.
            true => drop(self.asking.take().map(JoinHandle::join)),
            false => self.take(),
        }
        self.trouble
    }
}

/// The claim about what the sandbox has of the host's login, where the setting asks for a lease.
pub(super) fn claim(gathered: &Gathered) -> Option<Finding> {
    let (places, settings) = (&gathered.ground.places, &gathered.ground.settings);
    if (settings.login, settings.shape.codex_home) != (Login::Lease, Mode::Mirror) {
        return None;
    }
    lease::claim(&login::held(&places.codex_home, &places.login), SystemTime::now())
}

fn failed(err: &anyhow::Error) -> String {
    format!("login: it could not be renewed: {err:#}")
}

impl LeaseTarget {
    /// Gives what the user should know.
    fn renew(&self, stop: &AtomicBool) -> Result<Option<String>> {
        match login::renew(&self.leases, || stop.load(Ordering::Relaxed))? {
            Renewal::Lease(token) => login::push(&token, self.form, &self.home, &self.record).map(|_| None),
            Renewal::Trouble(why) => Ok(Some(format!("login: {why}"))),
            Renewal::LoggedOut => {
                Ok(Some("login: the host has logged out; the next start takes the login from the sandbox".to_owned()))
            }
        }
    }
}
