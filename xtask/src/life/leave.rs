//! What the user is told after a session: what happened to the login, and which commits were made.

use super::gather::Gathered;
use super::ready;
use crate::codex::login::{self, LoginOutcome};
use crate::spec::words::Mode;
use crate::{git, ui};
use std::time::SystemTime;

/// Tells the user all of it. `stop` says whether the user wants no more of it.
pub(super) fn leave(gathered: &Gathered, since: SystemTime, stop: &dyn Fn() -> bool) {
    match gathered.ground.settings.shape.codex_home {
        Mode::Mirror => login(gathered, since),
        Mode::Shared | Mode::None => {}
    }
    commits(gathered, stop);
}

/// The commits that were made inside.
pub(super) fn commits(gathered: &Gathered, stop: &dyn Fn() -> bool) {
    if let Some(repository) = &gathered.ground.repository {
        match git::list(repository, &gathered.ground.places.git, stop) {
            Ok(listing) => {
                git::summary(&listing).into_iter().chain(git::waiting(&listing)).for_each(ui::say);
                listing.notes.into_iter().for_each(ui::say);
            }
            Err(err) => ui::warn(format_args!("the commits of the sandbox could not be read: {err:#}")),
        }
    }
}

/// A login that cannot be read is only a warning: the exit code of the session must still be returned.
fn login(gathered: &Gathered, since: SystemTime) {
    let (host, places) = (&gathered.ground.settings.host_codex_home, &gathered.ground.places);
    let burnt = login::burnt(host, &places.codex_home, &places.login, since);
    match ready::reconcile(gathered) {
        // The user was told of every other state when Codex was entered.
        Ok(outcome @ (LoginOutcome::ToHost | LoginOutcome::Refused(_) | LoginOutcome::Busy)) => ui::say(outcome),
        Ok(_) => {}
        Err(err) => ui::warn(format_args!("the login was not carried over: {err:#}")),
    }
    if let Ok(Some(burnt)) = burnt {
        ui::warn(burnt);
    }
}
