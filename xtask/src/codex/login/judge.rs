//! Whose the login in a sandbox is, and what is done about it. Pure.

use super::outcome::{FromHost, Gift};
use super::record::LoginRecord;
use crate::beneath::Stamp;

/// Whether anything but the container's own init may be alive inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inside {
    Quiet,
    Alive,
}

/// What has the name of the login inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum There {
    /// Nothing, or what Codex never makes: a link, a directory, a pipe.
    NoFile,
    /// What this tool wrote, unchanged.
    Ours,
    /// What a call of this tool wrote that ended before it could note so. It may have been changed since.
    Unnoted(Stamp),
    /// What took the place of the host's whole login: Codex renews that inside, so it may hold its refresh token.
    Renewed,
    /// What a login made that this tool started.
    Own,
    /// What somebody else put there.
    Foreign,
}

impl There {
    pub(super) fn of(file: Stamp, record: &LoginRecord) -> There {
        let LoginRecord { given, pending, own, whole: _, barred: _ } = record;
        let wrote = [given, pending].into_iter().flatten();
        if given.as_ref().is_some_and(|given| file.is_still(&given.file)) {
            There::Ours
        } else if pending.as_ref().is_some_and(|new| file.is_but_moved(&new.file)) {
            There::Unnoted(file)
        } else if *own {
            There::Own
        } else if wrote.into_iter().any(|wrote| wrote.what == Gift::Full) {
            There::Renewed
        } else {
            There::Foreign
        }
    }
}

/// What is done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Write,
    Remove,
    Leave,
}

/// What this tool wrote is written again each time. `whole` says whether what somebody put there may hold the host's
/// refresh token: then it does not stay, whatever the host has and whoever is alive. Else it stays beside a live agent, which
/// could be a login that goes on, and breaks the claim until nothing is alive.
pub(super) fn change(host: &FromHost, there: There, inside: Inside, whole: bool) -> Change {
    let stays = inside == Inside::Alive && !whole;
    match (host, there) {
        (FromHost::Unasked, _) | (_, There::Own) | (FromHost::Whole(Gift::Full, _), There::Renewed) => Change::Leave,
        (_, There::Foreign) if stays => Change::Leave,
        (FromHost::Lease(..) | FromHost::Whole(..), _) => Change::Write,
        (FromHost::Nothing(_), There::NoFile)
        | (FromHost::Unsure(_), There::NoFile | There::Ours | There::Unnoted(_)) => Change::Leave,
        (FromHost::Nothing(_), There::Ours | There::Unnoted(_) | There::Renewed | There::Foreign)
        | (FromHost::Unsure(_), There::Renewed | There::Foreign) => Change::Remove,
    }
}

#[cfg(test)]
mod tests {
    use super::super::form::Form;
    use super::super::outcome::{Nothing, Unsure};
    use super::super::record::Given;
    use super::super::token::{Token, made_up, unsigned};
    use super::*;
    use crate::beneath::{Born, FileId};

    fn stamp(ino: u64, changed: i64) -> Stamp {
        Stamp { id: FileId { dev: 1, ino }, size: 1, modified: Born(1, 1), changed: Born(changed, 0) }
    }

    #[test]
    fn what_is_done_is_told_by_the_host_and_by_what_is_there() {
        let token = Token::parse(&unsigned(&made_up(0, 10, "t"))).unwrap();
        let hosts = [
            FromHost::Lease(token.clone(), Form::AuthTokens),
            FromHost::Whole(Gift::Full, Vec::new()),
            FromHost::Nothing(Nothing::NoLogin),
            FromHost::Unsure(Unsure::Dead),
            FromHost::Unasked,
        ];
        let acts = |there: There, inside: Inside, whole: bool| {
            hosts.iter().map(|host| change(host, there, inside, whole)).collect::<Vec<_>>()
        };
        use Change::{Leave, Remove, Write};
        for (inside, whole) in [(Inside::Quiet, false), (Inside::Alive, false), (Inside::Alive, true)] {
            let acts = |there| acts(there, inside, whole);
            assert_eq!(acts(There::Own), [Leave; 5], "a login of the sandbox's own always stays");
            assert_eq!(acts(There::NoFile), [Write, Write, Leave, Leave, Leave]);
            assert_eq!(acts(There::Ours), [Write, Write, Remove, Leave, Leave]);
            assert_eq!(acts(There::Unnoted(stamp(1, 1))), [Write, Write, Remove, Leave, Leave]);
            // Only where all of it is wanted does what Codex renewed inside stay.
            assert_eq!(acts(There::Renewed), [Write, Leave, Remove, Remove, Leave]);
        }
        for (inside, whole) in [(Inside::Quiet, false), (Inside::Quiet, true), (Inside::Alive, true)] {
            assert_eq!(acts(There::Foreign, inside, whole), [Write, Write, Remove, Remove, Leave]);
        }
        assert_eq!(acts(There::Foreign, Inside::Alive, false), [Leave; 5], "it could be a login that goes on");
    }

    #[test]
    fn a_file_is_known_by_all_that_the_kernel_says_of_it() {
        let given =
            |ino| Some(Given { what: Gift::Lease, fingerprint: String::new(), ends: None, file: stamp(ino, 5) });
        let known = LoginRecord { given: given(1), pending: given(2), ..LoginRecord::default() };
        assert_eq!(There::of(stamp(1, 5), &known), There::Ours);
        assert_eq!(There::of(stamp(1, 6), &known), There::Foreign, "somebody wrote to it, and set the other time back");
        assert_eq!(There::of(stamp(2, 6), &known), There::Unnoted(stamp(2, 6)), "the rename moved its last time");
        let moved = Stamp { id: FileId { dev: 2, ino: 1 }, ..stamp(1, 5) };
        assert_eq!(There::of(moved, &known), There::Ours, "the host has started again");
        for other in [Stamp { size: 2, ..stamp(1, 5) }, Stamp { modified: Born(1, 2), ..stamp(1, 5) }, stamp(3, 5)] {
            assert_eq!(There::of(other, &known), There::Foreign);
        }
        assert_eq!(There::of(stamp(3, 5), &LoginRecord { own: true, ..known }), There::Own);
    }
}
