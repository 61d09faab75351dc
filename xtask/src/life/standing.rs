//! What has become of the container of a session: it is looked at before anything is said of it.

use super::gather::find;
use crate::engine::running::Existing;
use anyhow::Result;

/// The exit code of a program that was killed by a signal that cannot be caught: its own doing, or the end of its container.
pub(super) const KILLED: i32 = 137;

/// A container, as the engine tells of it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    Runs,
    /// Its processes are frozen.
    Paused,
    Ended,
    /// It has ended, and another one has its name.
    Another,
    /// The engine does not say.
    Unknown(String),
}

impl Standing {
    /// Asks the engine.
    pub(super) fn look(name: &str, id: &str) -> Standing {
        Standing::of(id, find(name))
    }

    fn of(id: &str, found: Result<Option<Existing>>) -> Standing {
        match found {
            Err(err) => Standing::Unknown(format!("{err:#}")),
            Ok(None) => Standing::Ended,
            Ok(Some(there)) if there.id != id => Standing::Another,
            Ok(Some(there)) if !there.up => Standing::Ended,
            Ok(Some(there)) if there.container.state.paused => Standing::Paused,
            Ok(Some(_)) => Standing::Runs,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        match self {
            Standing::Ended | Standing::Another => true,
            Standing::Runs | Standing::Paused | Standing::Unknown(_) => false,
        }
    }

    /// What the user is told of it, and what there is to do.
    pub(super) fn line(&self, name: &str) -> String {
        match self {
            Standing::Runs => format!("`{name}` keeps running; `cargo xtask down` stops it"),
            Standing::Paused => {
                format!("`{name}` is paused: `docker unpause {name}` lets it go on, `cargo xtask down` ends it")
            }
            Standing::Ended => format!("`{name}` was ended meanwhile"),
            Standing::Another => format!("`{name}` was ended meanwhile, and another container has its name"),
            Standing::Unknown(why) => {
                format!("whether `{name}` keeps running is not known: {why}; `cargo xtask status` looks again")
            }
        }
    }

    /// Why a session ended with this code, where that is more than the program's own answer. The codes from 125 on are those
    /// of `docker exec`: <https://docs.docker.com/engine/containers/run/#exit-status>. A program can end with each of them
    /// itself.
    pub(super) fn reason(&self, code: i32) -> Option<String> {
        let why = match (self, code) {
            (_, 0) => return None,
            (Standing::Ended | Standing::Another, _) => "its container was ended",
            (Standing::Paused, _) => "its container was paused meanwhile",
            (Standing::Unknown(_), _) => {
                "the program says so itself, or the connection to it was lost: what became of its container is not known"
            }
            (Standing::Runs, 125) => "the engine could not start it",
            (Standing::Runs, 126) => "what was started, or what it started last, cannot be executed",
            (Standing::Runs, 127) => "what was started, or what it started last, is not in the container",
            (Standing::Runs, KILLED) => "it was killed (SIGKILL), and the container runs on",
            (Standing::Runs, 255) => {
                "the program says so itself, or the connection to it was lost; the container runs on"
            }
            (Standing::Runs, _) => return None,
        };
        Some(format!("the session ended with {code}: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::running::parse;

    fn standing(state: &str) -> Standing {
        let answer = format!(r#"[{{"Id":"a","Config":{{"Labels":{{"codex-sandbox.spec":"{{}}"}}}},"State":{state}}}]"#);
        Standing::of("a", parse("n", 0, &answer, ""))
    }

    #[test]
    fn that_a_container_keeps_running_is_said_of_one_that_does_and_of_no_other() {
        let gone = Standing::of("a", parse("n", 1, "[]", "Error: No such container: n"));
        let silent = Standing::of("a", parse("n", 1, "", "Cannot connect to the Docker daemon"));
        let running = standing(r#"{"Running":true}"#);
        assert_eq!(running, Standing::Runs);
        assert_eq!(standing(r#"{"Running":true,"Paused":true}"#), Standing::Paused);
        assert_eq!((standing(r#"{"Running":false}"#), &gone), (Standing::Ended, &Standing::Ended));
        assert!(matches!(silent, Standing::Unknown(_)));
        let says = |one: &Standing| one.line("n").contains("`n` keeps running; ");
        assert!(says(&running));
        for other in [Standing::Paused, Standing::Another, gone, silent] {
            assert!(!says(&other), "{other:?}");
        }
    }

    #[test]
    fn each_code_that_is_not_the_programs_own_gets_its_reason() {
        for (standing, code, why) in [
            (Standing::Runs, 137, "SIGKILL"),
            (Standing::Runs, 127, "not in the container"),
            (Standing::Runs, 125, "could not start"),
            (Standing::Ended, 255, "its container was ended"),
            (Standing::Ended, 1, "its container was ended"),
            (Standing::Paused, 129, "paused"),
            (Standing::Unknown("x".into()), 1, "is not known"),
        ] {
            let reason = standing.reason(code).unwrap_or_default();
            assert!(reason.contains(why) && reason.contains(&code.to_string()), "{standing:?} {code}: {reason}");
        }
        assert_eq!((Standing::Runs.reason(1), Standing::Ended.reason(0)), (None, None));
    }
}
