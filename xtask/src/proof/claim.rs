//! The draft in which a judge puts a claim together from what the two witnesses saw.

use super::witness::{HostWitness, ProcessFacts};
use crate::error::Remedy;
use crate::finding::{Finding, Verdict};
use std::fmt;

/// A claim while its judge looks at the evidence. It starts as held; anything broken outweighs anything unseen.
#[derive(Debug)]
pub(crate) struct Draft {
    claim: Finding,
    broken: Vec<String>,
    unseen: Vec<String>,
}

impl Draft {
    pub(crate) fn new(id: impl Into<String>, promise: impl Into<String>) -> Draft {
        Draft { claim: Finding::new(id, promise), broken: Vec::new(), unseen: Vec::new() }
    }

    pub(crate) fn inside(&mut self, text: impl Into<String>) {
        add(&mut self.claim.evidence.inside, &text.into());
    }

    pub(crate) fn host(&mut self, text: impl Into<String>) {
        add(&mut self.claim.evidence.host, &text.into());
    }

    /// A reason why the promise does not hold.
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

    /// A reason why a witness could not see it.
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
        self.claim.remedies = vec![Remedy::Do(hint.into())];
        self
    }

    pub(crate) fn done(self) -> Finding {
        let (verdict, why) = match (self.broken.is_empty(), self.unseen.is_empty()) {
            (false, _) => (Verdict::Broken, Some(self.broken.join("; "))),
            (true, false) => (Verdict::NotProvable, Some(self.unseen.join("; "))),
            (true, true) => (Verdict::Held, None),
        };
        // What holds needs no mending.
        let remedies = if verdict.held() { Vec::new() } else { self.claim.remedies };
        Finding { verdict, why, remedies, ..self.claim }
    }
}

/// Evidence is added to: a witness may have seen several things.
fn add(seen: &mut String, text: &str) {
    if !seen.is_empty() {
        seen.push_str("; ");
    }
    seen.push_str(text);
}

/// The items of a list in backticks, at most four of them, with the number of the others.
pub(crate) fn some<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    const MOST: usize = 4;
    let texts: Vec<String> = items.into_iter().map(|item| format!("`{item}`")).collect();
    match texts.len() {
        0 => "none".into(),
        n if n <= MOST => texts.join(", "),
        n => format!("{} and {} more", texts[..MOST].join(", "), n - MOST),
    }
}
