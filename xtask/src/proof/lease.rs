//! The login of the sandbox. Nothing inside is read for it: the host knows what it wrote, and looks whether that very file is
//! still there. No witness inside could say more, since the agent may write the file.

use crate::codex::login::{self, Gift, InHome};
use crate::error;
use crate::finding::{Evidence, Finding, Verdict};
use anyhow::Result;
use std::time::SystemTime;

/// The claim about what a sandbox has of the host's login, where a lease is asked for; none where it has nothing of it. Pure.
pub(crate) fn claim(held: &Result<InHome>, now: SystemTime) -> Option<Finding> {
    let claim = Finding::new("login.lease", "of your ChatGPT login, the sandbox has no refresh token");
    match held {
        Ok(InHome::Given(Gift::Lease, Some(ends))) => {
            let host =
                format!("the file is the one that the host wrote: an access token until {}", login::until(*ends, now));
            Some(Finding { evidence: Evidence { host, ..Evidence::default() }, ..claim })
        }
        Ok(InHome::Given(Gift::Full | Gift::Lease, _)) => {
            let hint = "`cargo xtask down`, then `cargo xtask sandbox`";
            Some(claim.with(Verdict::Broken, error::failed("the host's whole login lies in the sandbox").hint(hint)))
        }
        // A key has no refresh token; and what somebody made inside is not the user's login on this host.
        Ok(InHome::None | InHome::Given(Gift::ApiKey, _) | InHome::Own) => None,
        Err(err) => Some(claim.with(Verdict::NotProvable, error::failed(format!("{err:#}")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_token_inside_breaks_the_claim() {
        let now = SystemTime::UNIX_EPOCH;
        let verdict = |held: InHome| claim(&Ok(held), now).map(|claim| claim.verdict);
        assert_eq!(verdict(InHome::Given(Gift::Lease, Some(now))), Some(Verdict::Held));
        assert_eq!(verdict(InHome::Given(Gift::Full, None)), Some(Verdict::Broken));
        for other in [InHome::None, InHome::Own, InHome::Given(Gift::ApiKey, None)] {
            assert_eq!(verdict(other), None);
        }
        let unseen = claim(&Err(anyhow::anyhow!("no directory")), now);
        assert_eq!(unseen.map(|claim| claim.verdict), Some(Verdict::NotProvable));
    }

    #[test]
    fn the_host_says_what_it_gave_and_until_when() {
        let now = SystemTime::UNIX_EPOCH;
        let held = claim(&Ok(InHome::Given(Gift::Lease, Some(now))), now).unwrap();
        assert!(
            held.seen().starts_with("the file is the one that the host wrote: an access token until 1970-01-01"),
            "{held:?}"
        );
    }
}
