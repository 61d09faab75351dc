//! What has changed in files that tools on this host obey: told at every look, whoever wrote it, and what acts by itself
//! shown, asked about, and undone where the user wants that.

use super::gather::Gathered;
use super::signals::Signals;
use crate::beneath::Beneath;
use crate::git::watch;
use crate::obeyed::{Change, Look, Told, Undo};
use crate::spec::places::Places;
use crate::spec::words::OnChange;
use crate::ui;
use anyhow::Result;
use std::path::Path;

/// How often the question is asked where the answer is none of its words.
const TRIES: usize = 3;

/// The most lines about what was undone.
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
    pub(crate) said: Option<OnChange>,
    /// The user can be asked; meanwhile signals end this process.
    pub(crate) ask: Option<&'a Signals>,
}

impl Decision<'_> {
    /// `beyond` says what is not shown of what is asked about.
    fn make(self, beyond: Option<&str>) -> OnChange {
        match (self.said, self.ask.filter(|signals| !signals.end())) {
            (Some(said), _) => said,
            (None, Some(signals)) => {
                beyond.into_iter().for_each(ui::warn);
                let question = "Keep what acts by itself, restore what was there, or set it aside? [K/r/a] ";
                let asked = || (0..TRIES).find_map(|_| answered(ui::ask(question).as_deref()));
                signals.ask(asked).unwrap_or_else(|| {
                    ui::say("what acts by itself is kept, because the answer was none of these words");
                    OnChange::Keep
                })
            }
            (None, None) => {
                ui::say(
                    "what acts by itself is kept, because nobody could be asked; `--on-change restore` puts back what was \
                     there, `--on-change aside` renames what is new or changed",
                );
                OnChange::Keep
            }
        }
    }

    /// Tells what has changed since the last look, and only then keeps the new state.
    ///
    /// # Errors
    /// The workspace cannot be opened, or the state folder cannot be written.
    pub(super) fn settle(self, mut look: Look, workspace: &Path, when: When) -> Result<()> {
        if !look.is_complete() {
            ui::warn(
                "what tools on this host obey in the workspace was not compared, because the look did not come to its end; \
                 the last one stays the one to compare with",
            );
            return Ok(());
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
        let acting: Vec<&Change> = changes.iter().filter(|change| change.acts_by_itself()).collect();
        if !acting.is_empty() && when != When::Settled {
            let undo = match self.make(told.beyond.as_deref()) {
                OnChange::Keep => None,
                OnChange::Restore => Some(Undo::Restore),
                OnChange::Aside => Some(Undo::Aside),
            };
            if let Some(how) = undo {
                undo_all(&mut look, &Beneath::root(workspace)?, &acting, how);
            }
        }
        look.keep()
    }
}

/// `None` where it is none of the words.
fn answered(answer: Option<&str>) -> Option<OnChange> {
    match answer.unwrap_or_default().to_lowercase().as_str() {
        "r" | "restore" => Some(OnChange::Restore),
        "a" | "aside" => Some(OnChange::Aside),
        "" | "k" | "keep" => Some(OnChange::Keep),
        _ => None,
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

fn undo_all(look: &mut Look, root: &Beneath, changes: &[&Change], how: Undo) {
    let (mut said, mut more) = (0, 0);
    for change in changes {
        let done = look.undo(root, change, how);
        if done.is_ok() && said == NAMED {
            more += 1;
            continue;
        }
        match done {
            Ok(line) => {
                said += 1;
                ui::say(line);
            }
            Err(err) => ui::warn(ui::printable(&format!("{err:#}; it stays as it is"))),
        }
    }
    if more > 0 {
        ui::say(format_args!("the same was done with {more} more"));
    }
}

/// The look that a walk fills. `quiet` says that nothing of an agent's can write meanwhile.
pub(super) fn begin(places: &Places, quiet: bool) -> Option<Look> {
    Some(Look::begin(&places.obeyed, quiet))
}

impl Gathered {
    /// Before an agent is let in where none can have run since the last look: only what acts by itself, and was there, is
    /// looked at again, so that what the user has changed meanwhile is not taken for the agent's afterwards.
    ///
    /// # Errors
    /// The state folder cannot be read or written.
    pub(super) fn look_again(&self) -> Result<()> {
        let ground = &self.ground;
        if !watch::is_quiet(&ground.places.git_state)? {
            return Ok(());
        }
        let root = Beneath::root(&ground.workspace)?;
        match Look::again_at(&ground.places.obeyed, &root).filter(|look| !look.changes().is_empty()) {
            Some(look) => Decision { said: None, ask: None }.settle(look, &ground.workspace, When::Settled),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_did_not_come_to_its_end_is_compared_with_nothing_and_kept_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let (workspace, folder) = (dir.path().join("project"), dir.path().join("kept"));
        std::fs::create_dir(&workspace).unwrap();
        let settle =
            |look: Look| Decision { said: Some(OnChange::Restore), ask: None }.settle(look, &workspace, When::Exit);
        settle(Look::begin(&folder, true)).unwrap();
        assert!(!folder.exists());
        let mut look = Look::begin(&folder, true);
        look.finish(&Beneath::root(&workspace).unwrap());
        settle(look).unwrap();
        assert!(folder.exists());
    }

    #[test]
    fn nothing_but_the_word_itself_undoes_anything() {
        for answer in [None, Some(""), Some("k"), Some("keep")] {
            assert_eq!(answered(answer), Some(OnChange::Keep), "{answer:?}");
        }
        for answer in ["y", "yes", "res", "all", "\u{1b}[24;1Rr"] {
            assert_eq!(answered(Some(answer)), None, "{answer:?}");
        }
        assert_eq!((answered(Some("R")), answered(Some("aside"))), (Some(OnChange::Restore), Some(OnChange::Aside)));
        assert_eq!(Decision { said: None, ask: None }.make(None), OnChange::Keep);
        assert_eq!(Decision { said: Some(OnChange::Restore), ask: None }.make(None), OnChange::Restore);
    }
}
