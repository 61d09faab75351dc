//! The draft in which a judge puts a claim together from what the two witnesses saw.

use super::probe::{InsideWitness, ProcessFacts};
use super::witness::HostWitness;
use crate::error::Remedy;
use crate::file_systems::SAMPLED;
use crate::finding::{Finding, Verdict};
use std::collections::BTreeSet;
use std::fmt;

/// What to do where only a new container can be right.
pub(super) const RECREATE: &str = "recreate the container: `cargo xtask down`, then `cargo xtask sandbox`";

/// Which witness saw something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Inside,
    Host,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Inside => "inside",
            Side::Host => "seen from the host",
        })
    }
}

/// A claim whose judge is still weighing the evidence. It holds unless something is said against it; anything broken
/// outweighs anything unseen, and that anything sampled.
#[derive(Debug)]
pub(crate) struct Draft {
    claim: Finding,
    broken: Vec<String>,
    unseen: Vec<String>,
    sampled: Vec<String>,
}

impl Draft {
    pub(crate) fn new(id: impl Into<String>, promise: impl Into<String>) -> Draft {
        Draft { claim: Finding::new(id, promise), broken: Vec::new(), unseen: Vec::new(), sampled: Vec::new() }
    }

    /// Adds to the evidence of one witness.
    pub(super) fn saw(&mut self, side: Side, text: impl AsRef<str>) {
        let seen = match side {
            Side::Inside => &mut self.claim.evidence.inside,
            Side::Host => &mut self.claim.evidence.host,
        };
        if !seen.is_empty() {
            seen.push_str("; ");
        }
        seen.push_str(text.as_ref());
    }

    pub(crate) fn inside(&mut self, text: impl AsRef<str>) {
        self.saw(Side::Inside, text);
    }

    pub(crate) fn host(&mut self, text: impl AsRef<str>) {
        self.saw(Side::Host, text);
    }

    /// A reason why the promise does not hold.
    pub(crate) fn broken(&mut self, why: impl Into<String>) {
        add(&mut self.broken, why.into());
    }

    /// The promise does not hold unless `ok`.
    pub(crate) fn check(&mut self, ok: bool, why: impl FnOnce() -> String) {
        if !ok {
            self.broken(why());
        }
    }

    /// A reason why a witness could not see whether the promise holds.
    pub(crate) fn unseen(&mut self, why: impl Into<String>) {
        add(&mut self.unseen, why.into());
    }

    /// A reason why what was seen is only a sample.
    fn sampled(&mut self, why: impl Into<String>) {
        add(&mut self.sampled, why.into());
    }

    /// Where others than this kernel answer for the data, what was looked at is what they showed at that time.
    pub(super) fn served(&mut self, dir: &dyn fmt::Display, types: &BTreeSet<&str>) {
        if !types.is_empty() {
            self.sampled(format!("{SAMPLED} (`{dir}` is on {})", some(types)));
        }
    }

    /// What the host knows of the container's init; where it knows nothing, the reason is noted as unseen.
    pub(super) fn process<'a>(&mut self, host: &'a HostWitness) -> Option<&'a ProcessFacts> {
        host.process.as_ref().map_err(|why| self.unseen(why)).ok()
    }

    /// The container's processes as each witness sees them: the probe itself, and the init where the host can see it.
    pub(super) fn views<'a>(
        &mut self,
        inside: &'a InsideWitness,
        host: &'a HostWitness,
    ) -> Vec<(Side, &'a ProcessFacts)> {
        let from_host = self.process(host).map(|process| (Side::Host, process));
        [(Side::Inside, &inside.process)].into_iter().chain(from_host).collect()
    }

    /// What the engine reports of something; where it reports nothing, that is noted as unseen.
    pub(super) fn told<T>(&mut self, what: &str, said: Option<T>) -> Option<T> {
        if said.is_none() {
            self.unseen(format!("the engine does not say {what}"));
        }
        said
    }

    /// What to do where the promise does not hold.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Draft {
        self.claim.remedies = vec![Remedy::Do(hint.into())];
        self
    }

    pub(crate) fn done(self) -> Finding {
        let (verdict, reasons) = match (self.broken.is_empty(), self.unseen.is_empty(), self.sampled.is_empty()) {
            (false, _, _) => (Verdict::Broken, self.broken),
            (true, false, _) => (Verdict::NotProvable, self.unseen),
            (true, true, false) => {
                let why = Some(self.sampled.join("; "));
                return Finding { verdict: Verdict::Sampled, why, remedies: Vec::new(), ..self.claim };
            }
            (true, true, true) => return Finding { remedies: Vec::new(), ..self.claim },
        };
        Finding { verdict, why: Some(reasons.join("; ")), ..self.claim }
    }
}

/// Each reason is given once, however many witnesses have it.
fn add(reasons: &mut Vec<String>, why: String) {
    if !reasons.contains(&why) {
        reasons.push(why);
    }
}

/// The items of a list in backticks, at most four of them, with the number of the others.
pub(super) fn some<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    const MOST: usize = 4;
    let texts: Vec<String> = items.into_iter().map(|item| format!("`{item}`")).collect();
    match texts.len() {
        0 => "none".into(),
        n if n <= MOST => texts.join(", "),
        n => format!("{} and {} more", texts[..MOST].join(", "), n - MOST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_kept_by_the_side_that_saw_it() {
        let mut draft = Draft::new("a", "p");
        draft.inside("one");
        draft.inside("two");
        draft.host("three");
        let evidence = draft.done().evidence;
        assert_eq!((evidence.inside.as_str(), evidence.host.as_str()), ("one; two", "three"));
        assert_eq!(format!("{}, {}", Side::Inside, Side::Host), "inside, seen from the host");
    }

    #[test]
    fn what_is_broken_outweighs_what_is_unseen_and_each_reason_is_given_once() {
        let mut draft = Draft::new("a", "p").hint("mend it");
        assert_eq!(draft.told("x", None::<u32>), None);
        let mut both = Draft::new("a", "p").hint("mend it");
        both.unseen("dark");
        both.check(false, || "wrong".into());
        both.check(false, || "wrong".into());
        both.check(true, || "right".into());
        let (unseen, broken, held) = (draft.done(), both.done(), Draft::new("a", "p").hint("mend it").done());
        assert_eq!((unseen.verdict, unseen.why.as_deref()), (Verdict::NotProvable, Some("the engine does not say x")));
        assert_eq!((broken.verdict, broken.why.as_deref()), (Verdict::Broken, Some("wrong")));
        assert_eq!((broken.remedies.len(), held.remedies.len()), (1, 0), "only what does not hold has a remedy");
        assert_eq!((held.verdict, held.why), (Verdict::Held, None));
        let sampled = |change: fn(&mut Draft)| {
            let mut draft = Draft::new("a", "p").hint("mend it");
            draft.sampled("elsewhere");
            change(&mut draft);
            draft.done()
        };
        let (only, dark) = (sampled(|_| ()), sampled(|draft| draft.unseen("dark")));
        assert_eq!((only.verdict, only.why.as_deref(), only.remedies.len()), (Verdict::Sampled, Some("elsewhere"), 0));
        assert_eq!((dark.verdict, dark.why.as_deref()), (Verdict::NotProvable, Some("dark")));
        assert_eq!(sampled(|draft| draft.broken("wrong")).verdict, Verdict::Broken);
    }

    #[test]
    fn a_list_is_shown_in_part_with_the_number_of_the_rest() {
        let list = |n: usize| some(0..n);
        assert_eq!(
            [list(0), list(2), list(4), list(7)],
            ["none", "`0`, `1`", "`0`, `1`, `2`, `3`", "`0`, `1`, `2`, `3` and 3 more"]
        );
    }
}
