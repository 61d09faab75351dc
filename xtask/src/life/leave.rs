//! What the user is told after a session: what happened to the login, and which commits were made.

use super::gather::Gathered;
use super::silent::After;
use crate::codex::login::{self, Gift, Held, InHome};
use crate::spec::words::Mode;
use crate::{git, ui};
use std::time::SystemTime;

/// Tells the user all of it. `stop` says whether the user wants no more of it.
pub(super) fn leave(gathered: &Gathered, after: After, stop: &dyn Fn() -> bool) {
    match gathered.ground.settings.shape.codex_home {
        Mode::Mirror => login(gathered),
        Mode::Shared | Mode::None => {}
    }
    match after {
        After::All => commits(gathered, stop),
        After::NoLook | After::Nothing => {}
    }
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

/// Until when what the sandbox has is good: nobody renews it now. That it cannot be told is no reason to lose the exit code
/// of the session.
fn login(gathered: &Gathered) {
    let places = &gathered.ground.places;
    match login::held(&places.codex_home, &places.login) {
        Ok(Held { file: InHome::Given(Gift::Lease, Some(ends)), .. }) => {
            let until = login::until(ends, SystemTime::now());
            ui::say(format_args!(
                "login: the access token inside is good until {until}; it is renewed only while a session is open"
            ));
        }
        // The user was told of every other state when Codex was entered.
        Ok(Held {
            file:
                InHome::Given(Gift::Lease, None)
                | InHome::Given(Gift::ApiKey | Gift::Full, _)
                | InHome::None
                | InHome::Own
                | InHome::Foreign,
            ..
        }) => {}
        Err(err) => ui::warn(format_args!("what login the sandbox has is not known: {err:#}")),
    }
}
