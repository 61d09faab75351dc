//! One call for one workspace: what was gathered, the lock that other calls wait for, and the signals that end it.

use super::changes::Decision;
use super::elsewhere::Elsewhere;
use super::gather::{Gathered, Purpose};
use super::ground::Ground;
use super::leftovers::Policy;
use super::locks::lock;
use super::sources::Sources;
use crate::context::Context;
use crate::engine::cgroup::ProcessId;
use crate::signals::Signals;
use crate::spec::words::OnChange;
use anyhow::Result;
use std::collections::BTreeSet;
use std::fs::File;

/// A call that has begun: it alone starts and proves the sandbox of this workspace.
pub(crate) struct Call<'a> {
    /// The surroundings of this process.
    pub cx: &'a Context,
    /// What was gathered.
    pub gathered: Gathered,
    /// The signals that have arrived since it began.
    pub signals: &'static Signals,
    /// The sources of the mounts, from the last check until the container is compared with them.
    pub(super) held: Sources,
    /// What is done with processes that no session holds.
    pub(super) leftovers: Policy,
    /// What is done with changes that act by themselves, where the user has said so, and whether the user can be asked.
    pub(super) on_change: Option<OnChange>,
    pub(super) can_ask: bool,
    /// Programs that this tool itself runs inside, beside the session.
    pub(super) beside: BTreeSet<ProcessId>,
    /// Held until another call may enter the same container.
    pub(super) lock: File,
}

impl<'a> Call<'a> {
    /// Takes the lock, catches signals, and gathers.
    ///
    /// # Errors
    /// No engine, no Codex, or the state folder cannot be written.
    pub(crate) fn begin(cx: &'a Context, ground: Ground, leftovers: Policy) -> Result<Call<'a>> {
        Elsewhere::of(cx, &ground.settings.workspace, ground.user.uid)?.map_or(Ok(()), |there| there.refuse())?;
        let lock = lock(&ground.places)?;
        let signals = Signals::making();
        let gathered = ground.gather(cx, Purpose::Enter, Some(signals))?;
        gathered.ground.exposed.save_named()?;
        let (on_change, can_ask) = (None, false);
        let (held, beside) = (Sources::new(), BTreeSet::new());
        Ok(Call { cx, gathered, signals, held, leftovers, on_change, can_ask, beside, lock })
    }

    /// Says what is done with changes that act by themselves, or that the user can be asked.
    pub(crate) fn on_change(self, said: Option<OnChange>, can_ask: bool) -> Call<'a> {
        Call { on_change: said, can_ask, ..self }
    }

    /// Names the programs that this tool itself runs inside.
    pub(crate) fn beside(self, beside: &BTreeSet<ProcessId>) -> Call<'a> {
        Call { beside: beside.clone(), ..self }
    }

    pub(super) fn decision(&self) -> Decision<'_> {
        Decision::new(self.on_change, self.can_ask, self.signals)
    }
}
