//! The states of a container on the way to Codex. Only [`Proven`] has `enter`; [`Unproven`] has `shell`, and nothing else
//! makes either than [`Running::prove`].
//!
//! These types leave room for a `docker exec` that is prepared before the proof and let through by it: that would be
//! `Running::arm`, and only `Proven` would let its result through.

use super::call::Call;
use super::early::{self, Early};
use super::exec_command::{Left, Program};
use super::record::{self, Record};
use super::{gather, guest, lease, native, ready};
use crate::codex::home::McpServer;
use crate::codex::login::Inside;
use crate::context::Context;
use crate::engine::alive::Alive;
use crate::engine::compose;
use crate::engine::inspect::Container;
use crate::engine::running;
use crate::engine::running::Taken;
use crate::error::{failed, interrupted};
use crate::proof::ask::{self, Reply};
use crate::proof::probe::{InsideWitness, ProbeRequest};
use crate::proof::{self, CodexFile, Proof, Seen};
use crate::spec::words::{Gpus, Mode};
use crate::{codex, exec, finding, text, ui};
use anyhow::Result;
use std::path::PathBuf;

/// A container that runs and is what is wanted, as the engine reports it: nothing is proven yet.
pub(crate) struct Running<'a> {
    pub(super) call: Call<'a>,
    /// The container's name.
    pub(super) name: String,
    /// Whether this call started it.
    pub(super) ours: bool,
    /// What it is checked against, and what was read of it before any agent ran inside.
    pub(super) record: Record,
    /// What the engine says of it.
    pub(super) container: Container,
    /// The answer of its probe, where that was asked already.
    pub(super) early: Option<Early>,
}

/// A container whose every promise was just seen to hold.
pub struct Proven<'a> {
    running: Running<'a>,
    /// MCP servers of the user's configuration whose program is not inside.
    missing: Vec<String>,
}

/// A container of which a promise does not hold, or could not be seen to hold.
pub struct Unproven<'a> {
    running: Running<'a>,
    missing: Vec<String>,
    proof: Proof,
}

/// The result of a proof.
pub(crate) enum Outcome<'a> {
    /// Every promise holds.
    Proven(Proven<'a>),
    /// One does not.
    Unproven(Unproven<'a>),
}

impl<'a> Running<'a> {
    /// Proves the container, saves the proof and shows it. A container of this call that cannot be proven at all is
    /// removed again.
    ///
    /// # Errors
    /// A witness cannot be asked, the proof cannot be saved, or a signal asked for an end.
    pub(crate) fn prove(mut self) -> Result<Outcome<'a>> {
        let (proof, missing) = match self.witness() {
            Ok(_) if self.call.signals.any() => Err(interrupted("interrupted before Codex was entered").into()),
            proven => proven,
        }
        .inspect_err(|_| self.discard())?;
        ui::say(proof.table(ui::stderr().width).trim_end());
        Ok(if proof.holds() {
            Outcome::Proven(Proven { running: self, missing })
        } else {
            Outcome::Unproven(Unproven { running: self, missing, proof })
        })
    }

    fn witness(&mut self) -> Result<(Proof, Vec<String>)> {
        let (asked, request) = self.ask()?;
        let Running { call, record, container, ours, .. } = self;
        let (cx, answered) = (call.cx, asked.answer.is_ok());
        // Taken after the probe's answer: if another program took the interpreter's place to give it, the ctimes of the
        // files show that from then on.
        let programs = || match *ours {
            true => record.programs.clone(),
            false => record::programs_now(&record.spec, container),
        };
        let refreshed = || match *ours || !answered {
            true => Ok(Vec::new()),
            false => refresh(call, container),
        };
        let judge = || proof::conclude(asked, container, record.promised(), &request);
        let (seen, (programs, refreshed)) = exec::both(judge, || exec::both(programs, refreshed));
        // The probe's file in the workspace is removed where that was not done yet.
        self.early = None;
        let Seen { mut proof, inside } = seen?;
        if self.ours && self.record.spec.shape.gpus != Gpus::None {
            self.record.native = Some(native::prove(cx, &self.call.gathered, &self.record)?);
        }
        proof.claims.extend(native::claim(&self.record));
        proof.claims.extend(record::programs_claim(&self.record, programs.as_deref()));
        let refreshed = refreshed?;
        proof.claims.extend(lease::claim(&self.call.gathered));
        let text = format!("{}\n", text::json(&proof)?);
        exec::write_file(&self.call.gathered.ground.places.proof, text.as_bytes(), 0o600)?;
        exec::write_file(&copy_of_proof(cx), text.as_bytes(), 0o644)?;
        refreshed.iter().for_each(ui::say);
        if self.ours {
            self.keep(&proof)?;
        }
        Ok((proof, missing(&self.call.gathered.mirror.mcp, &inside)))
    }

    /// Asks the inside witness, unless it has answered already.
    fn ask(&mut self) -> Result<(Reply, ProbeRequest)> {
        if let Some(early) = &mut self.early
            && let Some(asked) = early.asked.take()
        {
            return Ok((asked, early.request.clone()));
        }
        let gathered = &self.call.gathered;
        let (ground, denials) = (&gathered.ground, self.record.spec.denials());
        guest::fill(&ground.places, &ground.network, &ground.exposed, denials)?;
        let request = early::request(&self.record, &gathered.mirror)?;
        let (workspace, init) = (self.record.spec.workspace(), self.container.init().unwrap_or_default());
        let asked = ask::again(&request, workspace, &self.container.id, init);
        Ok((asked, request))
    }

    /// Keeps what was seen before any agent ran inside, and which Codex answered.
    fn keep(&mut self, proof: &Proof) -> Result<()> {
        let answered = record::answered(&proof.claims);
        self.record.codex = answered.then(|| CodexFile::of(&self.record.spec)).flatten();
        self.record.write(&self.call.gathered.ground.places)?;
        let Some(used) = record::mounted(self.call.cx) else { return Ok(()) };
        for old in codex::prune(self.call.cx, &used) {
            ui::say(format_args!("removed `{}`: an older Codex that nothing mounts", old.display()));
        }
        Ok(())
    }

    /// Removes a container that this call started, with its network; one that ran before is left as it was.
    fn discard(&self) {
        if !self.ours {
            return;
        }
        if running::take_back(Taken::This(&self.record.container), compose::project_of(&self.name)) {
            ui::say(format_args!("removed `{}` again", self.name));
        } else {
            ui::warn(format_args!("`{}` could not be removed: run `cargo xtask down`", self.name));
        }
    }
}

impl Proven<'_> {
    /// Enters Codex with these arguments, waits, and says what was left and what changed.
    ///
    /// # Errors
    /// Codex cannot be started.
    pub fn enter(self, yes: bool, args: &[String]) -> Result<Left> {
        self.running.go_in(&self.missing, yes, &Program::Codex(args.to_vec()))
    }

    /// Enters a shell in place of Codex.
    ///
    /// # Errors
    /// The shell cannot be started.
    pub(crate) fn shell(self, yes: bool) -> Result<Left> {
        self.running.go_in(&self.missing, yes, &Program::Shell)
    }

    /// Leaves it to be entered by somebody else: a dev container.
    ///
    /// # Errors
    /// The state of the workspace cannot be kept for the next comparison.
    pub(crate) fn stand(self) -> Result<Standing> {
        self.running.call.gathered.look_again(self.running.call.signals)?;
        self.running.call.gathered.note_entered()?;
        Ok(Standing {
            project: self.running.call.gathered.ground.places.project,
            container: self.running.name,
            id: self.running.record.container,
            image: self.running.record.spec.image,
        })
    }
}

impl Unproven<'_> {
    /// Enters a shell, after saying what it is for.
    ///
    /// # Errors
    /// The shell cannot be started.
    pub(crate) fn shell(self, yes: bool) -> Result<Left> {
        ui::warn("a promise does not hold: use this shell to find out why, and do not rely on the sandbox");
        self.running.go_in(&self.missing, yes, &Program::Shell)
    }

    /// Removes what this call started, and says what does not hold.
    pub(crate) fn refuse(self, outcome: &str) -> anyhow::Error {
        self.running.discard();
        let ids: Vec<&str> = finding::not_held(&self.proof.claims).iter().map(|claim| claim.id.as_str()).collect();
        let verb = if ids.len() == 1 { "does not hold" } else { "do not hold" };
        failed(format!("{outcome} `{}` {verb}", ids.join("`, `")))
            .hint(format!(
                "the evidence is in `{}`; `cargo xtask sandbox --shell` enters a shell to investigate",
                copy_of_proof(self.running.call.cx).display()
            ))
            .into()
    }
}

/// Fills what is mounted of the host's Codex set-up again, where no agent runs: it could redirect the paths through which
/// the files are written. Nor is written what was read while one ran, which may have ended since.
///
/// # Errors
/// The host's configuration cannot be read, or the state folder cannot be written.
fn refresh(call: &mut Call<'_>, container: &Container) -> Result<Vec<String>> {
    let alive = Alive::read(container)?;
    if alive.others().iter().any(|process| !call.beside.contains(&process.id())) {
        let lines = ready::login(&call.gathered, Inside::Alive)?;
        return Ok(stays(call.gathered.ground.settings.shape.codex_home).into_iter().chain(lines).collect());
    }
    let Call { cx, gathered, signals, .. } = call;
    gathered.mirror = gather::mirror(cx, &gathered.ground)?;
    ready::refresh(gathered, &|| signals.any())
}

/// What the user should know of a home that is not set anew beside a live agent, which could redirect what is written.
fn stays(mode: Mode) -> Option<String> {
    match mode {
        Mode::Mirror => Some(
            "warning: the Codex home of the sandbox stays as it is, because processes run inside: Codex obeys what an earlier \
             session has left there, and changes of your own configuration are not in it; `cargo xtask sandbox --leftovers \
             end` ends what was left, and sets it anew"
                .to_owned(),
        ),
        Mode::Shared | Mode::None => None,
    }
}

/// A proven sandbox that somebody else enters.
pub(crate) struct Standing {
    /// Compose's project name.
    pub project: String,
    /// The container's name.
    pub container: String,
    /// Its full id.
    pub id: String,
    /// The image that it was made from, by tag.
    pub image: String,
}

/// Where the newest proof can be read by hand and by scripts.
pub(crate) fn copy_of_proof(cx: &Context) -> PathBuf {
    cx.scratch().join("proof.json")
}

fn missing(mcp: &[McpServer], inside: &InsideWitness) -> Vec<String> {
    let lacks = |server: &&McpServer| inside.programs.get(&server.command).is_none_or(Option::is_none);
    mcp.iter().filter(lacks).map(|server| server.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_that_stays_as_it_is_beside_processes_is_said() {
        assert!(stays(Mode::Mirror).is_some_and(|line| line.contains("stays as it is, because processes run inside")));
        assert_eq!((stays(Mode::Shared), stays(Mode::None)), (None, None), "nothing is set anew there");
    }
}
