//! What tools on this host obey in a workspace: the names of such files as data, what was there at the last look, what has
//! changed since, and how that is undone. All of it is read by handles that follow no link, and nothing of it is run.

mod changes;
mod diff;
mod look;
mod names;
mod record;
mod state;
mod table;
mod told;
mod undecided;
mod undo;

pub(crate) use changes::Change;
pub(crate) use look::Look;
pub(crate) use names::{Found, Here};
pub(crate) use told::Told;
pub(crate) use undecided::Undecided;
pub(crate) use undo::{Undo, Undone};

/// When a file acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// As soon as somebody enters, opens or looks at the directory with the tool: an editor, a shell, git, an agent.
    ByItself,
    /// When somebody builds, tests, installs or runs the project: it is the agent's job to change such files.
    WhenRun,
}

/// Which files a row means. Names are compared byte by byte, as Linux does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    /// A file of this name, in any directory.
    File(&'static str),
    /// A file whose name ends so; it begins with a full stop.
    Ending(&'static str),
    /// A file by the end of its path.
    Path(&'static str),
    /// All that lies in a directory, by the end of its path.
    Below(&'static str),
    /// A file by the end of its path, in whose last part a star stands for anything.
    Like(&'static str),
}

impl Name {
    fn text(self) -> &'static str {
        match self {
            Name::File(text) | Name::Ending(text) | Name::Path(text) | Name::Below(text) | Name::Like(text) => text,
        }
    }
}

/// How a row is known, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noted {
    /// The documentation, or the tool's own code, was read for it.
    Read(&'static str),
    /// It was written from memory, and its source was not opened.
    Remembered(&'static str),
}

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Obeyed {
    pub(crate) name: Name,
    pub(crate) class: Class,
    /// The tool, as it stands in a sentence.
    pub(crate) by: &'static str,
    /// Where its makers document that.
    pub(crate) source: &'static str,
    pub(crate) noted: Noted,
}

/// Whether a tool obeys a file of this path before anybody builds or runs the project.
pub(crate) fn acts_by_itself(path: &std::path::Path) -> bool {
    names::row(path).is_some_and(|row| row.class == Class::ByItself)
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz {
    pub(crate) use super::diff::fuzz as shown;
    pub(crate) use super::names::fuzz as names;
    pub(crate) use super::record::fuzz as kept;
    pub(crate) use super::undecided::fuzz as undecided;
}

#[cfg(test)]
mod tests;
