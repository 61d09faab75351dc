//! The login of the sandbox. Nothing inside is read for it: the host knows what it wrote, and looks whether that very file is
//! still there. No witness inside could say more, since the agent may write the file.

use crate::codex::login::{self, Gift, Held, InHome};
use crate::error;
use crate::finding::{Evidence, Finding, Verdict};
use anyhow::Result;
use std::time::SystemTime;

/// The claim about what a sandbox has of the host's login, where not all of it is wanted inside; none where it has nothing of
/// it. Pure.
pub(crate) fn claim(held: &Result<Held>, now: SystemTime) -> Option<Finding> {
    let claim = Finding::new("login.lease", "of your ChatGPT login, the sandbox has no refresh token");
    let again = "`cargo xtask down`, then `cargo xtask sandbox`";
    let held = match held {
        Ok(held) => held,
        Err(err) => return Some(claim.with(Verdict::NotProvable, error::failed(format!("{err:#}")))),
    };
    let failure = match (held.file, held.whole) {
        (InHome::Given(Gift::Full, _), _) => {
            let failure = error::failed("the host's whole login lies in the sandbox").hint(again);
            return Some(claim.with(Verdict::Broken, failure));
        }
        (_, true) => error::failed(login::WHOLE).hint(
            "`codex logout` and `codex login` on the host make every copy useless; then `cargo xtask down --all` makes the \
             home of the sandbox anew, without its sessions",
        ),
        (InHome::Foreign, false) => error::failed(login::FOREIGN).hint(again),
        (InHome::Given(Gift::Lease, Some(ends)), false) => {
            let host =
                format!("the file is the one that the host wrote: an access token until {}", login::until(ends, now));
            return Some(Finding { evidence: Evidence { host, ..Evidence::default() }, ..claim });
        }
        (InHome::Given(Gift::Lease, None), false) => error::failed("the lease has no end").hint(again),
        // A key has no refresh token; and of what a login made inside nothing is claimed, which the user is told.
        (InHome::None | InHome::Given(Gift::ApiKey, _) | InHome::Own, false) => return None,
    };
    Some(claim.with(Verdict::NotProvable, failure))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_token_inside_breaks_the_claim() {
        let now = SystemTime::UNIX_EPOCH;
        let verdict = |file: InHome, whole| claim(&Ok(Held { file, whole }), now).map(|claim| claim.verdict);
        assert_eq!(verdict(InHome::Given(Gift::Lease, Some(now)), false), Some(Verdict::Held));
        for whole in [false, true] {
            assert_eq!(verdict(InHome::Given(Gift::Full, None), whole), Some(Verdict::Broken));
        }
        assert_eq!(verdict(InHome::Foreign, false), Some(Verdict::NotProvable));
        for other in [InHome::None, InHome::Own, InHome::Given(Gift::ApiKey, None)] {
            assert_eq!(verdict(other, false), None);
        }
        let unseen = claim(&Err(anyhow::anyhow!("no directory")), now);
        assert_eq!(unseen.map(|claim| claim.verdict), Some(Verdict::NotProvable));
    }

    #[test]
    fn the_host_says_what_it_gave_and_until_when() {
        let now = SystemTime::UNIX_EPOCH;
        let held = claim(&Ok(Held { file: InHome::Given(Gift::Lease, Some(now)), whole: false }), now).unwrap();
        assert!(
            held.seen().starts_with("the file is the one that the host wrote: an access token until 1970-01-01"),
            "{held:?}"
        );
    }

    #[test]
    fn where_all_of_it_was_once_nothing_can_be_promised_of_the_same_home() {
        let now = SystemTime::UNIX_EPOCH;
        for file in [InHome::Given(Gift::Lease, Some(now)), InHome::None, InHome::Own, InHome::Foreign] {
            let claim = claim(&Ok(Held { file, whole: true }), now).unwrap();
            assert_eq!(claim.verdict, Verdict::NotProvable, "{file:?}");
        }
    }
}
