//! What a look has seen and done, which is said also where the look then fails.

use crate::obeyed::Look;
use std::fmt;

/// What was seen and done.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// What the user should know.
    pub(crate) notes: Vec<String>,
    /// What was set aside or lost its setuid bit, or could not; what changed that git on the host obeys.
    pub(crate) warnings: Vec<String>,
    /// Whether it was looked, at everything, and nothing was left that should not stay.
    pub(crate) complete: bool,
    /// The look at what other tools obey, where it was asked for.
    pub(crate) obeyed: Option<Box<Look>>,
}

/// A look that failed after it has begun: what it had done by then is to be said before the reason.
#[derive(Debug)]
pub(crate) struct Unfinished {
    pub(crate) told: Told,
    pub(crate) why: anyhow::Error,
}

impl From<anyhow::Error> for Unfinished {
    fn from(why: anyhow::Error) -> Unfinished {
        Unfinished { told: Told::default(), why }
    }
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

/// Outside of tests this would drop what is to be said.
#[cfg(test)]
impl From<Unfinished> for anyhow::Error {
    fn from(unfinished: Unfinished) -> anyhow::Error {
        unfinished.why
    }
}
