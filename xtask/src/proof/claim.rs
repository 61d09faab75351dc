//! A claim: what was promised, what was seen, and the verdict; and the draft in which a judge puts it together.

use super::witness::{HostWitness, ProcessFacts};
use serde_json::{Map, Value};
use std::fmt;

/// What became of a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It does not hold: nobody enters.
    Broken,
    /// A witness could not see it: said as such, with the reason.
    NotProvable,
    /// Every witness that was asked saw it hold.
    Held,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Broken => "broken",
            Verdict::NotProvable => "not provable",
            Verdict::Held => "held",
        })
    }
}

/// Who saw something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// The probe in the container.
    Inside,
    /// This host: the engine's word, `/proc`, the files themselves.
    Host,
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Witness::Inside => "inside",
            Witness::Host => "host",
        })
    }
}

/// One promise, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its name, such as `dataset.ssv2.read-only`.
    pub id: String,
    /// What was promised, in a sentence.
    pub promise: String,
    /// What became of it.
    pub verdict: Verdict,
    /// What was seen, and by whom.
    pub evidence: Vec<(Witness, String)>,
    /// Why it does not hold or cannot be proven.
    pub why: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Claim {
    /// The claim as it is saved; a witness that said nothing is left out.
    pub fn json(&self) -> Value {
        let seen = |by: Witness| {
            let texts: Vec<&str> =
                self.evidence.iter().filter(|(witness, _)| *witness == by).map(|(_, text)| text.as_str()).collect();
            (!texts.is_empty()).then(|| texts.join("; "))
        };
        let mut evidence = Map::new();
        for by in [Witness::Inside, Witness::Host] {
            if let Some(text) = seen(by) {
                evidence.insert(by.to_string(), text.into());
            }
        }
        let mut claim = Map::new();
        claim.insert("id".into(), self.id.clone().into());
        claim.insert("verdict".into(), self.verdict.to_string().into());
        claim.insert("promise".into(), self.promise.clone().into());
        claim.insert("evidence".into(), evidence.into());
        for (key, text) in [("why", &self.why), ("hint", &self.hint)] {
            if let Some(text) = text {
                claim.insert(key.into(), text.clone().into());
            }
        }
        claim.into()
    }
}

impl Claim {
    /// Reads back what `json` wrote; `None` where anything is missing.
    pub fn from_json(value: &Value) -> Option<Claim> {
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let seen = |by: Witness| {
            let text = value["evidence"][by.to_string()].as_str()?;
            Some((by, text.to_owned()))
        };
        let verdicts = [Verdict::Broken, Verdict::NotProvable, Verdict::Held];
        Some(Claim {
            id: text("id")?,
            promise: text("promise")?,
            verdict: verdicts.into_iter().find(|verdict| value["verdict"] == verdict.to_string())?,
            evidence: [Witness::Inside, Witness::Host].into_iter().filter_map(seen).collect(),
            why: text("why"),
            hint: text("hint"),
        })
    }
}

/// A claim while its judge looks at the evidence. It starts as held; anything broken outweighs anything unseen.
#[derive(Debug)]
pub(crate) struct Draft {
    claim: Claim,
    broken: Vec<String>,
    unseen: Vec<String>,
}

impl Draft {
    pub(crate) fn new(id: impl Into<String>, promise: impl Into<String>) -> Draft {
        let claim = Claim {
            id: id.into(),
            promise: promise.into(),
            verdict: Verdict::Held,
            evidence: Vec::new(),
            why: None,
            hint: None,
        };
        Draft { claim, broken: Vec::new(), unseen: Vec::new() }
    }

    pub(crate) fn inside(&mut self, text: impl Into<String>) {
        self.claim.evidence.push((Witness::Inside, text.into()));
    }

    pub(crate) fn host(&mut self, text: impl Into<String>) {
        self.claim.evidence.push((Witness::Host, text.into()));
    }

    /// The promise does not hold, because.
    pub(crate) fn broken(&mut self, why: impl Into<String>) {
        let why = why.into();
        if !self.broken.contains(&why) {
            self.broken.push(why);
        }
    }

    /// The promise does not hold unless `ok`.
    pub(crate) fn check(&mut self, ok: bool, why: impl FnOnce() -> String) {
        if !ok {
            self.broken(why());
        }
    }

    /// A witness could not see, because.
    pub(crate) fn unseen(&mut self, why: impl Into<String>) {
        let why = why.into();
        if !self.unseen.contains(&why) {
            self.unseen.push(why);
        }
    }

    /// What is known about the container's init, noting why where nothing is.
    pub(crate) fn process<'a>(&mut self, host: &'a HostWitness) -> Option<&'a ProcessFacts> {
        host.process.as_ref().map_err(|why| self.unseen(why)).ok()
    }

    /// What the engine says of something, noting that it says nothing where it does not.
    pub(crate) fn told<T>(&mut self, what: &str, said: Option<T>) -> Option<T> {
        if said.is_none() {
            self.unseen(format!("the engine does not say {what}"));
        }
        said
    }

    /// What to do where it does not hold.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Draft {
        self.claim.hint = Some(hint.into());
        self
    }

    pub(crate) fn done(self) -> Claim {
        let mut claim = self.claim;
        let (verdict, why) = match (self.broken.is_empty(), self.unseen.is_empty()) {
            (false, _) => (Verdict::Broken, Some(self.broken.join("; "))),
            (true, false) => (Verdict::NotProvable, Some(self.unseen.join("; "))),
            (true, true) => (Verdict::Held, None),
        };
        claim.verdict = verdict;
        claim.why = why;
        if verdict == Verdict::Held {
            claim.hint = None;
        }
        claim
    }
}

/// Names what a list shows at most this many of.
pub(crate) fn some<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    const MOST: usize = 4;
    let texts: Vec<String> = items.into_iter().map(|item| format!("`{item}`")).collect();
    match texts.len() {
        0 => "none".into(),
        n if n <= MOST => texts.join(", "),
        n => format!("{} and {} more", texts[..MOST].join(", "), n - MOST),
    }
}
