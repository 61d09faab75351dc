//! What has changed in files that tools on this host obey: told at every look, whoever wrote it, and what acts by itself
//! shown, asked about, and undone where the user wants that.

use super::gather::Gathered;
use super::locks::free_lock;
use crate::beneath::{Beneath, Born};
use crate::error::failed;
use crate::git::watch;
use crate::obeyed::{Change, Look, Told, Undecided, Undo, Undone};
use crate::signals::Signals;
use crate::spec::places::Places;
use crate::spec::words::OnChange;
use crate::ui;
use anyhow::Result;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often the question is asked where the answer is none of its words.
const TRIES: usize = 3;

/// How what is undecided is decided.
pub(super) const DECIDES: &str =
    "`cargo xtask down --on-change keep` (or `restore`, or `aside`) decides, and so does the next entry";

const QUESTION: &str = "Keep what acts by itself, restore what was there, or set it aside? [K/r/a] ";

/// The most lines about what was undone, and about what was not.
const NAMED: usize = 20;

/// How long another call is waited for that starts, proves or removes the sandbox.
const WAIT: Duration = Duration::from_secs(10);

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
    /// Whether what was there before is removed afterwards: nothing can be decided later.
    is_last: bool,
    /// Whether an end was asked for before: where a terminal was closed it is looked all the same, but nobody is asked.
    had_ended: bool,
    /// What is done before the user is asked.
    before: Option<&'a dyn Fn()>,
}

impl<'a> Decision<'a> {
    pub(crate) fn new(said: Option<OnChange>, can_ask: bool, signals: &'a Signals) -> Decision<'a> {
        Decision { said, can_ask, signals, is_last: false, had_ended: signals.end(), before: None }
    }

    /// Says that nothing can be decided later.
    pub(crate) fn last(self) -> Decision<'a> {
        Decision { is_last: true, ..self }
    }

    /// Does this before the user is asked.
    pub(super) fn before(self, before: &'a dyn Fn()) -> Decision<'a> {
        Decision { before: Some(before), ..self }
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
                self.before.into_iter().for_each(|before| before());
                self.signals.ask(|| by_answer(|| ui::ask(QUESTION)))
            }
            (None, false) => Err("nobody could be asked"),
        };
        made.inspect_err(|why| {
            ui::warn(match self.is_last {
                true => format!("what acts by itself is kept, because {why}"),
                false => format!(
                    "what acts by itself is kept, because {why}, and stays undecided: `cargo xtask status` names it, and {DECIDES}"
                ),
            });
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
            let is_open = when != When::Settled || look.undecided().covers(change.path());
            change.acts_by_itself() && is_open && !change.is_older()
        };
        let acting: Vec<&Change> = changes.iter().filter(is_asked).collect();
        let (mut asked, mut left) = (Vec::new(), Vec::new());
        let mut held = self.hold(places, when)?;
        if !acting.is_empty() {
            look.keep(&acting, &acting)?;
            // The user may think for long: meanwhile other calls go on.
            drop(held.take());
            let made = self.make(told.beyond.as_deref());
            held = self.hold(places, when)?;
            let (open, decided): (Vec<&Change>, Vec<&Change>) = acting.iter().partition(|change| look.is_open(change));
            if !decided.is_empty() {
                ui::say(format_args!(
                    "{} of these files were decided meanwhile by another `cargo xtask`, and stay as that left them",
                    decided.len()
                ));
            }
            asked = open;
            left = match made {
                None => asked.iter().copied().cloned().collect(),
                Some(OnChange::Keep) => Vec::new(),
                Some(OnChange::Restore) => self.undo(&mut look, workspace, &asked, Undo::Restore)?,
                Some(OnChange::Aside) => self.undo(&mut look, workspace, &asked, Undo::Aside)?,
            };
        }
        let left: Vec<&Change> = left.iter().collect();
        let not_kept = look.keep(&asked, &left)?;
        if not_kept > 0 {
            ui::warn(format_args!(
                "{not_kept} more files that tools obey are not kept, because they are too many or their names too long: \
                 the next look takes them for new"
            ));
        }
        watch::note_told(&places.git_state)?;
        drop(held);
        Ok(left.is_empty() && !look.has_gaps())
    }

    /// The lock of the workspace, where this call does not hold it already. It is waited for, but not for ever.
    ///
    /// # Errors
    /// Another call holds it, or has removed the state folder: then nothing is made anew.
    fn hold(&self, places: &Places, when: When) -> Result<Option<File>> {
        if matches!(when, When::Settled | When::Entry | When::End) {
            return Ok(None);
        }
        let end = Instant::now() + WAIT;
        loop {
            if !places.lock.exists() {
                return Err(
                    failed("the state folder was removed meanwhile, and nothing more is noted or undone").into()
                );
            }
            match free_lock(places) {
                Some(lock) => return Ok(Some(lock)),
                None if Instant::now() < end && !self.stop() => std::thread::sleep(Duration::from_millis(50)),
                None => {
                    return Err(failed(
                        "another `cargo xtask` works on this sandbox: what is not noted is told again, and what was asked \
                         about stays undecided",
                    )
                    .into());
                }
            }
        }
    }

    /// Undoes what can be undone, and says how. Returns what stays.
    fn undo(&self, look: &mut Look, workspace: &Path, changes: &[&Change], how: Undo) -> Result<Vec<Change>> {
        let Undone { done, warned, still, failed, left } =
            look.undo_all(&Beneath::root(workspace)?, changes, how, &|| self.stop());
        warned.iter().take(NAMED).for_each(ui::warn);
        if let Some(more) = warned.len().checked_sub(NAMED).filter(|more| *more > 0) {
            ui::warn(format_args!("a tool may obey {more} more where they lie now: `cargo xtask status` names them"));
        }
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
        Ok(left.into_iter().cloned().chain(still).collect())
    }
}

/// What the user answers, asked again where it is none of the words.
fn by_answer(mut ask: impl FnMut() -> Option<String>) -> Result<OnChange, &'static str> {
    for _ in 0..TRIES {
        let Some(answer) = ask() else { return Err("there was no answer") };
        match answered(&answer) {
            Some(said) => return Ok(said),
            None => ui::say(
                "k, or Enter, keeps it all as it is; r puts back what was there before, and sets aside what is new; a renames \
                 what is new or changed; nothing is deleted",
            ),
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
            "this acts by itself on this host, changed in an earlier session, and is undecided: {}; {DECIDES}",
            lines.join(", ")
        ));
    }
}

fn tell(told: &Told, when: When) {
    if !told.lines.is_empty() {
        ui::warn(match when {
            When::Exit => {
                "in the workspace, this has changed of what tools on this host obey; check it before you run them there:"
            }
            When::Settled | When::Entry | When::End => {
                "since the sandbox was last looked at, this has changed in the workspace of what tools on this host obey (you \
                 or the sandbox did it); check it before you run them there:"
            }
        });
    }
    for (line, shown) in &told.lines {
        ui::say(format_args!("  {line}"));
        shown.iter().for_each(|line| ui::say(format_args!("    {line}")));
    }
}

impl Gathered {
    /// Before an agent is let in where none can have run since the last look: only what acts by itself, and was there, is
    /// looked at again, so that what the user has changed meanwhile is not taken for the agent's afterwards. Gives the time by
    /// the workspace's clock: what is older then, and new, is not the session's.
    ///
    /// # Errors
    /// The state folder cannot be read or written.
    pub(super) fn look_again(&self, signals: &Signals) -> Result<Option<Born>> {
        let ground = &self.ground;
        if !watch::is_quiet(&ground.places.git_state)? {
            return Ok(None);
        }
        let root = Beneath::root(&ground.workspace)?;
        if let Some(look) = Look::again_at(&ground.places.obeyed, &root).filter(|look| !look.changes().is_empty()) {
            let decision = Decision::new(None, false, signals);
            decision.settle(look, &ground.workspace, &ground.places, When::Settled)?;
        }
        Ok(root.time())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;
    use crate::spec::places;
    use std::fs;

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
        fs::create_dir_all(&places.dir).unwrap();
        fs::write(&places.lock, "").unwrap();
        let settle = |look: Look| {
            Decision::new(Some(OnChange::Restore), false, &signals).settle(look, &workspace, &places, When::Exit)
        };
        assert!(!settle(Look::begin(folder, true)).unwrap());
        assert!(!folder.exists());
        let looked = || {
            let mut look = Look::begin(folder, true);
            look.finish(&Beneath::root(&workspace).unwrap(), &|| false);
            look
        };
        assert!(settle(looked()).unwrap());
        assert!(folder.exists());
        let mut look = looked();
        look.cut();
        assert!(!settle(look).unwrap(), "what was not compared is not decided, so that `down` keeps the record");
        // `down --all` has removed it while the user thought: nothing is made anew.
        fs::remove_dir_all(&places.dir).unwrap();
        assert!(settle(looked()).is_err() && !places.dir.exists());
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
