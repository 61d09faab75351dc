//! What has changed in files that tools on this host obey: told at every look, whoever wrote it, and what acts by itself
//! shown, asked about, and undone where the user wants that.

use super::gather::Gathered;
use super::signals::Signals;
use crate::beneath::Beneath;
use crate::git::watch;
use crate::obeyed::{Change, Look, Told, Undecided, Undo, Undone};
use crate::spec::places::Places;
use crate::spec::words::OnChange;
use crate::ui;
use anyhow::Result;
use std::path::Path;

/// How often the question is asked where the answer is none of its words.
const TRIES: usize = 3;

const QUESTION: &str = "Keep what acts by itself, restore what was there, or set it aside? [K/r/a] ";

/// The most lines about what was undone, and about what was not.
const NAMED: usize = 20;

/// When a look is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Where no agent can have run since the last look: what has changed is the user's own, and only told.
    Settled,
    /// Before an agent is let in, where one can have run since the last look.
    Entry,
    Exit,
    /// When the sandbox is removed.
    End,
}

/// Who decides about what acts by itself.
#[derive(Clone, Copy)]
pub(crate) struct Decision<'a> {
    /// What the user has said already.
    said: Option<OnChange>,
    /// The user can be asked; meanwhile signals end this process.
    can_ask: bool,
    signals: &'a Signals,
    /// Whether an end was asked for before: where a terminal was closed it is looked all the same, but nobody is asked.
    had_ended: bool,
}

impl<'a> Decision<'a> {
    pub(crate) fn new(said: Option<OnChange>, can_ask: bool, signals: &'a Signals) -> Decision<'a> {
        Decision { said, can_ask, signals, had_ended: signals.end() }
    }

    /// Whether the user wants what is being done now to end.
    pub(super) fn stop(&self) -> bool {
        self.signals.key() || (!self.had_ended && self.signals.end())
    }

    /// Whether somebody has decided, or can be asked.
    pub(super) fn is_possible(&self) -> bool {
        self.said.is_some() || (self.can_ask && !self.signals.end())
    }

    /// What the user wants; `None` where there is no answer. `beyond` says what is not shown of what is asked about.
    fn make(&self, beyond: Option<&str>) -> Option<OnChange> {
        let made = match (self.said, self.is_possible()) {
            (Some(said), _) => return Some(said),
            (None, true) => {
                beyond.into_iter().for_each(ui::warn);
                self.signals.ask(|| by_answer(|| ui::ask(QUESTION)))
            }
            (None, false) => Err("nobody could be asked"),
        };
        made.inspect_err(|why| {
            ui::warn(format_args!(
                "what acts by itself is kept, because {why}, and stays undecided: `cargo xtask status` names it until \
                 `--on-change keep` accepts it, `--on-change restore` puts back what was there, or `--on-change aside` \
                 renames what is new or changed"
            ));
        })
        .ok()
    }

    /// Tells what has changed since the last look. What acts by itself is written down as undecided before anybody is asked,
    /// so that it stays so however this call ends. Says whether nothing is left to be decided.
    ///
    /// # Errors
    /// The workspace cannot be opened, or the state folder cannot be written.
    pub(super) fn settle(&self, mut look: Look, workspace: &Path, places: &Places, when: When) -> Result<bool> {
        if !look.is_complete() {
            ui::warn(
                "what tools on this host obey in the workspace was not compared, because the look did not come to its end; \
                 the last one stays the one to compare with",
            );
            return Ok(false);
        }
        if let Some(why) = look.unknown() {
            ui::warn(format_args!(
                "what changed in the workspace since the sandbox was last looked at is not known: {why}; it is compared \
                 from now on"
            ));
        }
        let noted = look.unknown().is_some() || look.has_last();
        if !noted && matches!(when, When::Entry | When::Exit) {
            ui::say("what tools on this host obey in the workspace was not noted before; it is compared from now on");
        }
        look.gaps().into_iter().for_each(ui::warn);
        let changes = look.changes();
        let told = look.told(&changes);
        tell(&told, when);
        let is_asked = |change: &&Change| {
            change.acts_by_itself() && (when != When::Settled || look.undecided().covers(change.path()))
        };
        let acting: Vec<&Change> = changes.iter().filter(is_asked).collect();
        let mut left = Vec::new();
        if !acting.is_empty() {
            look.keep(&acting)?;
            left = match self.make(told.beyond.as_deref()) {
                None => acting,
                Some(OnChange::Keep) => Vec::new(),
                Some(OnChange::Restore) => self.undo(&mut look, workspace, &acting, Undo::Restore)?,
                Some(OnChange::Aside) => self.undo(&mut look, workspace, &acting, Undo::Aside)?,
            };
        }
        let not_kept = look.keep(&left)?;
        if not_kept > 0 {
            ui::warn(format_args!(
                "{not_kept} more files that tools obey are not kept, because they are too many or their names too long: \
                 the next look takes them for new"
            ));
        }
        watch::note_told(&places.git_state)?;
        Ok(left.is_empty())
    }

    /// Undoes what can be undone, and says how. Returns what stays.
    fn undo<'c>(
        &self,
        look: &mut Look,
        workspace: &Path,
        changes: &[&'c Change],
        how: Undo,
    ) -> Result<Vec<&'c Change>> {
        let Undone { done, failed, left } = look.undo_all(&Beneath::root(workspace)?, changes, how, &|| self.stop());
        done.iter().take(NAMED).for_each(ui::say);
        if let Some(more) = done.len().checked_sub(NAMED).filter(|more| *more > 0) {
            ui::say(format_args!("the same was done with {more} more"));
        }
        for err in failed.iter().take(NAMED) {
            ui::warn(ui::printable(&format!("{err:#}; it stays as it is, and undecided")));
        }
        let more = left.len() - failed.len().min(NAMED);
        if more > 0 {
            let why = if self.stop() { "it was interrupted: " } else { "" };
            ui::warn(format_args!("{why}{more} more stay as they are, and undecided"));
        }
        Ok(left)
    }
}

/// What the user answers, asked again where it is none of the words.
fn by_answer(mut ask: impl FnMut() -> Option<String>) -> Result<OnChange, &'static str> {
    for _ in 0..TRIES {
        let Some(answer) = ask() else { return Err("there was no answer") };
        if let Some(said) = answered(&answer) {
            return Ok(said);
        }
    }
    Err("the answer was none of these words")
}

/// `None` where it is none of the words.
fn answered(answer: &str) -> Option<OnChange> {
    match answer.to_lowercase().as_str() {
        "r" | "restore" => Some(OnChange::Restore),
        "a" | "aside" => Some(OnChange::Aside),
        "" | "k" | "keep" => Some(OnChange::Keep),
        _ => None,
    }
}

/// Names what is undecided, where nothing is looked at.
pub(super) fn name(undecided: &Undecided) {
    let lines = undecided.lines();
    if !lines.is_empty() {
        ui::warn(format_args!(
            "this acts by itself on this host, changed in an earlier session, and is undecided: {}; `--on-change` decides",
            lines.join(", ")
        ));
    }
}

fn tell(told: &Told, when: When) {
    for (line, shown) in &told.lines {
        match when {
            When::Exit => ui::warn(format_args!("in the workspace, {line}")),
            When::Settled | When::Entry | When::End => ui::warn(format_args!(
                "since the sandbox was last looked at, in the workspace, {line} (you or the sandbox did it)"
            )),
        }
        shown.iter().for_each(|line| ui::say(format_args!("    {line}")));
    }
}

impl Gathered {
    /// Before an agent is let in where none can have run since the last look: only what acts by itself, and was there, is
    /// looked at again, so that what the user has changed meanwhile is not taken for the agent's afterwards.
    ///
    /// # Errors
    /// The state folder cannot be read or written.
    pub(super) fn look_again(&self, signals: &Signals) -> Result<()> {
        let ground = &self.ground;
        if !watch::is_quiet(&ground.places.git_state)? {
            return Ok(());
        }
        let root = Beneath::root(&ground.workspace)?;
        match Look::again_at(&ground.places.obeyed, &root).filter(|look| !look.changes().is_empty()) {
            Some(look) => {
                let decision = Decision::new(None, false, signals);
                decision.settle(look, &ground.workspace, &ground.places, When::Settled).map(drop)
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;
    use crate::spec::places;

    fn places(state: &Path, workspace: &Path) -> Places {
        places::of(&Context { state: state.into(), ..Context::default() }, workspace, 1000)
    }

    #[test]
    fn a_look_that_did_not_come_to_its_end_is_compared_with_nothing_and_kept_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = dir.path().join("project");
        std::fs::create_dir(&workspace).unwrap();
        let (places, signals) = (places(dir.path(), &workspace), Signals::none());
        let folder = &places.obeyed;
        let settle = |look: Look| {
            Decision::new(Some(OnChange::Restore), false, &signals).settle(look, &workspace, &places, When::Exit)
        };
        assert!(!settle(Look::begin(folder, true)).unwrap());
        assert!(!folder.exists());
        let mut look = Look::begin(folder, true);
        look.finish(&Beneath::root(&workspace).unwrap(), &|| false);
        assert!(settle(look).unwrap());
        assert!(folder.exists());
    }

    #[test]
    fn nothing_but_the_word_itself_undoes_anything_and_no_answer_is_none() {
        for answer in ["", "k", "keep"] {
            assert_eq!(answered(answer), Some(OnChange::Keep), "{answer:?}");
        }
        for answer in ["y", "yes", "res", "all", "\u{1b}[24;1Rr"] {
            assert_eq!(answered(answer), None, "{answer:?}");
        }
        assert_eq!((answered("R"), answered("aside")), (Some(OnChange::Restore), Some(OnChange::Aside)));
        let signals = Signals::none();
        assert_eq!(Decision::new(None, false, &signals).make(None), None);
        assert_eq!(Decision::new(Some(OnChange::Restore), false, &signals).make(None), Some(OnChange::Restore));
        let asked = |answers: &[Option<&str>]| {
            let mut answers = answers.iter().map(|answer| answer.map(str::to_owned));
            by_answer(|| answers.next().flatten())
        };
        assert_eq!(asked(&[None, Some("r")]), Err("there was no answer"));
        assert_eq!(asked(&[Some("?"), Some("r")]), Ok(OnChange::Restore));
        assert_eq!(asked(&[Some("?"), Some("!"), Some("y"), Some("r")]), Err("the answer was none of these words"));
    }
}
