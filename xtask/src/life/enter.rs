//! Enters the sandbox, and reports what changed after the session.

use super::changes::Decision;
use super::exec_command::{Entry, Left, Program};
use super::gather::{Gathered, find};
use super::lease::Keeper;
use super::leave::{self, leave};
use super::leftovers::{self, Policy};
use super::locks::free_lock;
use super::running::Running;
use super::session::Session;
use super::silent::After;
use super::stall::{Held, Stall};
use super::standing::{KILLED, Standing};
use super::used::{self, Used};
use crate::clock::Clock;
use crate::codex::login;
use crate::engine::alive::Alive;
use crate::engine::docker::{self, Entrance, Whose};
use crate::engine::inspect::Container;
use crate::error::failed;
use crate::signals::Signals;
use crate::spec::codex_command;
use crate::spec::inside::{PYTHON, REAP};
use crate::spec::words::{Leftovers, Mode, Network};
use crate::{exec, ui};
use anyhow::Result;
use std::fs::File;
use std::time::{Duration, Instant, SystemTime};

/// For this long after its start, another call may not see the session yet, and could recreate the container.
const UNSEEN: Duration = Duration::from_secs(1);

/// The same where a busy engine has not started the program by then.
const LATEST: Duration = Duration::from_secs(10);

impl Running<'_> {
    /// Asks whether to enter, unless the user has said so already.
    fn asks(&self, yes: bool, program: &Program) -> bool {
        let question = match program {
            Program::Codex(_) => "Enter Codex?",
            Program::Shell => "Enter a shell?",
        };
        let asked = Instant::now();
        if yes || self.call.signals.ask(|| ui::confirm(question)) {
            return true;
        }
        // It was proven just before the question.
        let standing = match asked.elapsed() < UNSEEN {
            true => Standing::Runs,
            false => Standing::look(&self.name, &self.record.container),
        };
        ui::say(format_args!("not entered; {}", standing.line(&self.name)));
        false
    }

    /// Enters, waits for the end of the session, and reports what it left and what changed.
    ///
    /// # Errors
    /// The program cannot be started, or the host cannot be tidied afterwards.
    pub(super) fn go_in(self, missing: &[String], yes: bool, program: &Program) -> Result<Left> {
        if !self.asks(yes, program) {
            return Ok(Left { code: 0 });
        }
        let Running { call, name, record, container, .. } = self;
        let mark = crate::nonce::nonce()?;
        for server in missing {
            ui::say(format_args!("the MCP server `{server}` is disabled: its program is not in the container"));
        }
        let gathered = &call.gathered;
        let entrance = Entrance::new(&record.container, record.spec.denials());
        let entry = Entry { entrance, carried: record.carried(), env: &gathered.ground.settings.env };
        let command = entry.command(call.cx, missing, &mark, program);
        let mut clock = Clock::begin(SystemTime::now(), Instant::now());
        let since = gathered.look_again(call.signals)?;
        gathered.note_entered()?;
        let mut session = Session::begin(&gathered.ground.places, &mark, Alive::read(&container).ok().as_ref())?;
        let fills = used::filled(&gathered.ground.places, &record.spec);
        let (used, memory) = (Used::read(&container, &fills), record.spec.shape.memory);
        if matches!(program, Program::Codex(_)) && record.spec.shape.network == Network::None {
            ui::warn("with `network: none` Codex reaches no model: a session can ask nothing");
        }
        ui::echo(&command);
        let (start, mut lock) = (Instant::now(), Some(call.lock));
        let mut keeper = Keeper::of(call.cx, gathered);
        let signals = call.signals;
        let (mut stall, mut held_up) = (Stall::new(start), None);
        let lent = ui::lend(call.cx);
        let code = exec::attach(&command, || {
            if lock.is_some() {
                session.note(|| Alive::read(&container).ok());
            }
            if start.elapsed() > if session.is_noted() { UNSEEN } else { LATEST } {
                // From here on another call may enter the same container.
                drop(lock.take());
            }
            clock.look(SystemTime::now(), Instant::now());
            // While Codex owns the terminal nothing is printed; the user is told afterwards.
            keeper.iter_mut().for_each(Keeper::tick);
            match stall.look(session.stopped(), Instant::now()) {
                Held::No => {}
                Held::Tell(pid) => ui::warn(stopped(pid)),
                Held::End(pid) => held_up = Some(pid),
            }
            !signals.end() && held_up.is_none()
        });
        lent.take_back();
        let code = code?;
        clock.look(SystemTime::now(), Instant::now());
        // What such a session made may have times of before it: then nothing counts as older than it.
        let since = since.filter(|_| !clock.was_set_back());
        let after = After::ask(call.cx, &gathered.ground.settings.host_codex_home, code);
        let fills = after.looks(|| Some(fills)).unwrap_or_default();
        if after == After::Nothing {
            // To let go of it would be a call that may never return.
            std::mem::forget((session, lock));
            keeper.into_iter().for_each(Keeper::leave);
            ui::say(Standing::look(&name, &record.container).line(&name));
            return Ok(Left { code: u8::try_from(code).unwrap_or(1) });
        }
        if signals.end() {
            exec::doubt();
            reap(entrance, Whose::Agents, &mark);
        }
        if held_up.is_some() {
            session.end(&container)?;
        } else {
            drop(session);
        }
        signals.forget_keys();
        if code == 0
            && let Program::Codex(args) = program
        {
            note_login(gathered, args);
        }
        let decision = Decision::new(call.on_change, call.can_ask, signals);
        keeper.into_iter().filter_map(|keeper| keeper.end(signals)).for_each(ui::warn);
        let says = |ended| used::since(&used, &Used::read(&container, &fills), memory, ended).iter().for_each(ui::warn);
        // What ended the session may have ended the container, and the engine with it.
        let standing = match code {
            0 => Standing::Runs,
            _ => Standing::look(&name, &record.container),
        };
        let ended = (code == KILLED || standing.has_ended())
            && was_ended(gathered, &name, &record.container, &mut lock, signals);
        if let Some(why) = standing.reason(code).filter(|_| !ended) {
            ui::say(why);
        }
        if ended {
            ui::say(format_args!("`{name}` was ended meanwhile, and this session (code {code}) with it"));
            says(
                find(&record.container).is_ok_and(|found| found.is_some_and(|there| there.container.state.oom_killed)),
            );
            if gathered.ground.places.record.exists() {
                // It was not `down`, which looks itself: perhaps the agent did it, so that nobody would look.
                let alone = lock.is_some();
                let seen = after.looks(|| gathered.look_after_end(alone, since, &decision));
                drop(lock);
                leave(gathered, after, &|| signals.any());
                gathered.settle_changes(seen, &decision);
            } else if after == After::All {
                leave::commits(gathered, &|| signals.any());
            }
            return Ok(Left { code: u8::try_from(code).unwrap_or(1) });
        }
        says(false);
        let alive = wind_down(gathered, &container, call.leftovers, signals, lock)
            .inspect_err(|err| ui::warn(format_args!("what still runs inside is not known: {err:#}")));
        let seen = after.looks(|| gathered.look_at_exit(alive.ok().as_ref(), since, &decision));
        leave(gathered, after, &|| signals.any());
        let asked = Instant::now();
        gathered.settle_changes(seen, &decision);
        // While the user thought, another call may have removed it. Where the host sees its main process, the engine need
        // not be asked whether that is there.
        let is_seen = code == 0 && asked.elapsed() < UNSEEN && record.init.is_ok_and(|init| init.is_of(&container));
        let standing = match (gathered.ground.places.record.exists(), is_seen) {
            (false, _) => Standing::Ended,
            (true, true) => Standing::Runs,
            (true, false) => Standing::look(&name, &record.container),
        };
        ui::say(standing.line(&name));
        match held_up {
            None => Ok(Left { code: u8::try_from(code).unwrap_or(1) }),
            Some(pid) => Err(failed(format!("{} before it began, and was ended", stopped(pid)))
                .hint("`cargo xtask down` ends what was left running inside, and so does `cargo xtask sandbox --leftovers end`")
                .into()),
        }
    }
}

/// Notes a login of the sandbox's own, or its end: only what the user had Codex do by this tool is one.
fn note_login(gathered: &Gathered, args: &[String]) {
    let (places, home) = (&gathered.ground.places, gathered.ground.settings.shape.codex_home);
    let command = codex_command::login_command(args).filter(|_| home == Mode::Mirror);
    let noted = command.map_or(Ok(()), |command| login::note(command, &places.codex_home, &places.login));
    if let Err(err) = noted {
        ui::warn(format_args!("login: it was not noted, and the next entry takes it away: {err:#}"));
    }
}

fn stopped(pid: u32) -> String {
    format!("the session was stopped by something inside (its process is {pid} on this host)")
}

/// Whether the container has gone with a session that was killed. `down` holds the lock of the workspace until it has
/// removed it; where that takes too long, nothing is known, and nothing is claimed.
fn was_ended(gathered: &Gathered, name: &str, id: &str, lock: &mut Option<File>, signals: &Signals) -> bool {
    let places = &gathered.ground.places;
    let since = Instant::now();
    while lock.is_none() && places.lock.exists() && since.elapsed() < LATEST && !signals.end() {
        *lock = free_lock(places);
        if lock.is_none() {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    find(name).is_ok_and(|found| found.is_none_or(|there| !there.up || there.id != id))
}

/// Names what the session left running, and ends it where the user wants that. Returns what is alive inside then.
fn wind_down(
    gathered: &Gathered,
    container: &Container,
    leftovers: Policy,
    signals: &Signals,
    lock: Option<File>,
) -> Result<Alive> {
    let places = &gathered.ground.places;
    // Nothing is ended while another call starts a session, which nobody can tell from what was left.
    let lock = lock.or_else(|| free_lock(places));
    let policy = if lock.is_some() && !signals.end() { leftovers } else { Policy::Do(Leftovers::Keep) };
    let alive = leftovers::let_end(container, places)?;
    // The session is over: where nobody answers, nothing is ended.
    let ask = || Ok(signals.ask(|| ui::agree("End them?")).unwrap_or(false));
    leftovers::settle(container, places, alive, policy, ask, || signals.end())
}

/// Ends the Codex or the shell of a session whose terminal was closed: the engine would leave it running. Whose program it
/// is, the same does this, since nobody else inside may read the mark in its environment. Where that is the agent, nothing
/// is concluded from what it answers but whether the user is warned.
pub(crate) fn reap(entrance: Entrance, whose: Whose, mark: &str) {
    let program = ["/usr/bin/env", "-i", PYTHON, "-I", "-S", REAP, mark];
    let command = match whose {
        Whose::Agents => docker::exec(entrance, program),
        Whose::Tools(who) => docker::exec_trusted(entrance, who, &[], program),
    };
    let command = command.timeout(20);
    if !exec::capture(&command).is_ok_and(|said| said.ok()) {
        ui::warn(format_args!("what ran in that session may still run inside: `cargo xtask down` ends it"));
    }
}
