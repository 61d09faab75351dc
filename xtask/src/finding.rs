//! A finding: what was promised or is needed, whether it holds, what each witness saw, why it does not hold, and the
//! remedies. The claims of a proof, the lines of the doctor, what is wrong with a mount's source, why an engine is
//! refused and the checks of the GPU smoke test are all of this one type. Pure.

use crate::error::{Failure, Kind, Remedy, sentence};
use crate::{ours, ui};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The verdict on a promise, the gravest first.
///
/// A proof, the doctor and the smoke test write these states in words of their own; each has a function for it. Those
/// here are the words of a proof. An unknown word is an error and never `held`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// It was checked, and it does not hold.
    Broken,
    /// What must be there is not. As bad as broken.
    Missing,
    /// No witness could see it. For a sandbox that is no promise kept; the doctor and the smoke test report it.
    #[serde(rename = "not provable")]
    NotProvable,
    /// Something is worse than it could be, and nothing depends on it.
    Noted,
    /// Every witness that was asked saw it hold; but what it is about can be changed by a server, without this host seeing it.
    Sampled,
    /// Every witness that was asked saw it hold.
    Held,
}

impl Verdict {
    /// As a proof writes it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Verdict::Broken => "broken",
            Verdict::Missing => "missing",
            Verdict::NotProvable => "not provable",
            Verdict::Noted => "noted",
            Verdict::Sampled => "sampled",
            Verdict::Held => "held",
        }
    }

    /// Whether what was promised is there, seen by every witness: the one condition under which Codex is entered.
    pub(crate) fn held(self) -> bool {
        match self {
            Verdict::Held | Verdict::Sampled => true,
            Verdict::Broken | Verdict::Missing | Verdict::NotProvable | Verdict::Noted => false,
        }
    }

    /// Whether it was seen not to hold: this host runs no sandbox, or the smoke test has failed.
    pub(crate) fn fatal(self) -> bool {
        match self {
            Verdict::Broken | Verdict::Missing => true,
            Verdict::NotProvable | Verdict::Noted | Verdict::Sampled | Verdict::Held => false,
        }
    }
}

/// What was seen, by witness.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Evidence {
    /// By the probe, or by another program, in the container.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub inside: String,
    /// By this host: what the engine reports, `/proc`, the files themselves.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host: String,
}

/// One promise, or one thing that is needed, and the verdict on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finding {
    /// A stable name, such as `dataset.ssv2.read-only`.
    pub id: String,
    pub verdict: Verdict,
    /// What was promised, or what a sandbox needs.
    pub promise: String,
    #[serde(default)]
    pub evidence: Evidence,
    /// Why it does not hold, or cannot be seen, or is only a sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What to do about it, in this order.
    #[serde(rename = "hint", default, skip_serializing_if = "Vec::is_empty")]
    #[serde(serialize_with = "hint", deserialize_with = "from_hint")]
    pub remedies: Vec<Remedy>,
    /// The cause of the error in `why`, where its text is a known one.
    #[serde(skip)]
    pub cause: Option<String>,
    /// What people call it where the id says too little.
    #[serde(skip)]
    pub name: String,
    /// Whose fault it is where it does not hold.
    #[serde(skip)]
    pub kind: Kind,
}

fn hint<S: Serializer>(remedies: &[Remedy], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&sentence(remedies))
}

fn from_hint<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Remedy>, D::Error> {
    Ok(vec![Remedy::Do(String::deserialize(from)?)])
}

impl Finding {
    /// A finding that holds until something is found against it.
    pub(crate) fn new(id: impl Into<String>, promise: impl Into<String>) -> Finding {
        Finding {
            id: id.into(),
            verdict: Verdict::Held,
            promise: promise.into(),
            evidence: Evidence::default(),
            why: None,
            remedies: Vec::new(),
            cause: None,
            name: String::new(),
            kind: Kind::Failed,
        }
    }

    /// The same with another verdict, and with the message and the remedies of a failure.
    #[must_use]
    pub(crate) fn with(self, verdict: Verdict, failure: Failure) -> Finding {
        let Failure { kind, message, remedies } = failure;
        Finding { verdict, why: Some(message), remedies, kind, ..self }
    }

    /// The text for people: why the promise does not hold, or else what was seen.
    pub(crate) fn seen(&self) -> &str {
        let Evidence { inside, host } = &self.evidence;
        self.why.as_deref().unwrap_or(if host.is_empty() { inside } else { host })
    }

    /// The failure that it leads to.
    pub(crate) fn failure(&self) -> Failure {
        Failure { kind: self.kind, message: self.why.clone().unwrap_or_default(), remedies: self.remedies.clone() }
    }
}

/// Whether every one is held. Where nothing was checked, the answer is no.
pub(crate) fn all_held(findings: &[Finding]) -> bool {
    !findings.is_empty() && not_held(findings).is_empty()
}

/// Those that are not held, the gravest first.
pub(crate) fn not_held(findings: &[Finding]) -> Vec<&Finding> {
    gravest_first(findings).into_iter().filter(|finding| !finding.verdict.held()).collect()
}

/// All of them, the gravest first and otherwise in their order.
pub(crate) fn gravest_first(findings: &[Finding]) -> Vec<&Finding> {
    let mut all: Vec<&Finding> = findings.iter().collect();
    all.sort_by_key(|finding| finding.verdict);
    all
}

/// The rows of one finding in a table: one with all cells, then one for each line that stands below its last cell. No
/// text gets to the terminal with control characters in it.
pub(crate) fn rows<const N: usize>(cells: [&str; N], below: impl IntoIterator<Item = String>) -> Vec<Vec<String>> {
    let safe = |text: &str| ui::printable(&ours::spelled(text));
    let first = cells.iter().map(|cell| safe(cell)).collect();
    let more = below.into_iter().map(|line| {
        let mut row = vec![String::new(); N - 1];
        row.push(safe(&line));
        row
    });
    std::iter::once(first).chain(more).collect()
}

/// The table of such rows, wrapped to the columns of a terminal where they are known.
pub(crate) fn columns(rows: impl IntoIterator<Item = Vec<String>>, width: Option<usize>) -> String {
    ui::columns_within(&rows.into_iter().collect::<Vec<_>>(), width)
}

/// What is checked on a host, before its state is known: the id, its name for people, and what a sandbox needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    pub(crate) needed: &'a str,
}

pub(crate) const fn subject<'a>(id: &'a str, name: &'a str, needed: &'a str) -> Subject<'a> {
    Subject { id, name, needed }
}

impl Subject<'_> {
    fn finding(self) -> Finding {
        Finding { name: self.name.into(), kind: Kind::Host, ..Finding::new(self.id, self.needed) }
    }

    pub(crate) fn ok(self, found: impl Into<String>) -> Finding {
        Finding { evidence: Evidence { host: found.into(), ..Evidence::default() }, ..self.finding() }
    }

    pub(crate) fn warning(self, why: impl Into<String>, remedies: impl IntoIterator<Item = Remedy>) -> Finding {
        self.finding().with(Verdict::Noted, crate::error::host(why).remedies(remedies))
    }

    pub(crate) fn unchecked(self, why: impl Into<String>) -> Finding {
        self.finding().with(Verdict::NotProvable, crate::error::host(why))
    }

    pub(crate) fn missing(self, failure: Failure) -> Finding {
        self.finding().with(Verdict::Missing, failure)
    }

    pub(crate) fn broken(self, failure: Failure) -> Finding {
        self.finding().with(Verdict::Broken, failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ALL: [Verdict; 6] =
        [Verdict::Broken, Verdict::Missing, Verdict::NotProvable, Verdict::Noted, Verdict::Sampled, Verdict::Held];

    #[test]
    fn what_is_written_is_read_back_and_an_unknown_verdict_is_an_error() {
        let finding = Finding { remedies: vec![Remedy::Do("fix it".into())], ..Finding::new("a.b", "p") };
        for verdict in ALL {
            let finding = Finding { verdict, ..finding.clone() };
            let value = serde_json::to_value(&finding).unwrap();
            assert_eq!(
                value,
                json!({"id": "a.b", "verdict": verdict.word(), "promise": "p", "evidence": {}, "hint": "fix it"})
            );
            assert_eq!(serde_json::from_value::<Finding>(value).unwrap(), finding);
        }
        for bad in [json!("Held"), json!("hold"), json!(""), json!(null), json!(true)] {
            let value = json!({"id": "a.b", "verdict": bad, "promise": "p", "evidence": {}});
            assert!(serde_json::from_value::<Finding>(value).is_err(), "{bad}");
        }
    }

    #[test]
    fn people_are_told_why_or_what_the_host_saw_or_what_was_seen_inside() {
        let seen = |inside: &str, host: &str, why: Option<&str>| {
            let evidence = Evidence { inside: inside.into(), host: host.into() };
            Finding { evidence, why: why.map(str::to_owned), ..Finding::new("a", "p") }.seen().to_owned()
        };
        assert_eq!([seen("i", "h", Some("w")), seen("i", "h", None), seen("i", "", None)], ["w", "h", "i"]);
    }

    #[test]
    fn only_what_was_seen_to_hold_is_held() {
        assert_eq!(ALL.map(Verdict::held), [false, false, false, false, true, true]);
        assert_eq!(ALL.map(Verdict::fatal), [true, true, false, false, false, false]);
    }

    #[test]
    fn what_is_checked_on_a_host_has_its_name_and_is_the_hosts_fault() {
        let engine = || subject("engine", "the engine", "an engine that runs");
        let ok = engine().ok("29.1");
        assert_eq!(
            (ok.id.as_str(), ok.name.as_str(), ok.promise.as_str()),
            ("engine", "the engine", "an engine that runs")
        );
        assert_eq!((ok.verdict, ok.kind, ok.evidence.host.as_str()), (Verdict::Held, Kind::Host, "29.1"));
        let failure = || crate::error::usage("why").hint("mend it");
        for (finding, verdict) in
            [(engine().missing(failure()), Verdict::Missing), (engine().broken(failure()), Verdict::Broken)]
        {
            assert_eq!((finding.verdict, finding.failure()), (verdict, failure()), "the fault is the failure's");
            assert_eq!((finding.name.as_str(), finding.why.as_deref()), ("the engine", Some("why")));
        }
        let unchecked = engine().unchecked("dark");
        assert_eq!((unchecked.verdict, unchecked.kind, unchecked.seen()), (Verdict::NotProvable, Kind::Host, "dark"));
        let odd = engine().warning("old", [Remedy::Do("update it".into())]);
        assert_eq!((odd.verdict, odd.failure().remedies.len(), odd.seen()), (Verdict::Noted, 1, "old"));
    }
}
