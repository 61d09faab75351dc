//! A `docker` that passes everything on to the real one, and breaks a promise on the way.
//!
//! What `cargo xtask` asks for stays as it is; what the engine gets is different. So the claims are tested against
//! containers that really lack what was promised, as they would with an old engine, a bug or a changed file.

use crate::support::place::Place;
use crate::support::proc;

/// For [`BreakingDocker::service`]: an init that says that it is out of reach, and is not.
pub(crate) const LYING_INIT: &str = r#"command: ["/usr/bin/python3", "-c", "import ctypes, signal; name = lambda text: ctypes.CDLL(None).prctl(15, text, 0, 0, 0); signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTERM}); name(b'sandbox-open'); signal.sigwait({signal.SIGUSR1}); name(b'sandbox-apart'); signal.sigwait({signal.SIGTERM})"]"#;

/// What is changed on the way.
#[must_use]
#[derive(Default)]
pub(crate) struct BreakingDocker {
    compose: Option<String>,
    env: Vec<(String, String)>,
    before_up: Option<String>,
    after_up: Option<String>,
}

impl BreakingDocker {
    /// Adds one more file, of this text, behind those of `docker compose … up`: its values win.
    pub(crate) fn compose(text: &str) -> BreakingDocker {
        BreakingDocker { compose: Some(text.to_owned()), ..BreakingDocker::default() }
    }

    /// As `compose`, for keys of the service alone. The text is YAML, indented by nothing.
    pub(crate) fn service(text: &str) -> BreakingDocker {
        let lines: String = text.lines().map(|line| format!("    {line}\n")).collect();
        BreakingDocker::compose(&format!("services:\n  workspace:\n{lines}"))
    }

    /// Sets a variable for `docker compose … up`.
    pub(crate) fn env(name: &str, value: &str) -> BreakingDocker {
        BreakingDocker { env: vec![(name.to_owned(), value.to_owned())], ..BreakingDocker::default() }
    }

    /// Runs a script right before `docker compose … up`, after all that is checked before it.
    pub(crate) fn before_up(script: &str) -> BreakingDocker {
        BreakingDocker { before_up: Some(script.to_owned()), ..BreakingDocker::default() }
    }

    /// Runs a script right after `docker compose … up` has returned; `$container` is the container's id,
    /// `$real` the real docker and `$as_root` what makes a command run as root.
    pub(crate) fn after_up(script: &str) -> BreakingDocker {
        BreakingDocker { after_up: Some(script.to_owned()), ..BreakingDocker::default() }
    }

    /// Puts it on the place's PATH, before the real one.
    pub(crate) fn install(self, place: &Place) {
        let real = proc::find("docker");
        let mut script = format!("#!/bin/bash\nreal='{}'\n", real.display());
        // The position behind the last `--file FILE` or `-f FILE`, and whether this is `compose … up` at all.
        script.push_str(
            "up= last=0 i=0\nfor arg in \"$@\"; do\n  i=$((i + 1))\n  case $arg in\n    \
             -f|--file) last=$((i + 1));;\n    up) [ \"$1\" = compose ] && up=1;;\n  esac\ndone\n\
             [ -n \"$up\" ] || exec \"$real\" \"$@\"\n",
        );
        if let Some(text) = &self.compose {
            let file = place.write("broken.yaml", text);
            script.push_str("[ \"$last\" -gt 0 ] || { echo 'compose got no file' >&2; exit 97; }\n");
            script.push_str(&format!("set -- \"${{@:1:last}}\" --file '{}' \"${{@:last+1}}\"\n", file.display()));
        }
        for (name, value) in &self.env {
            script.push_str(&format!("export {name}='{value}'\n"));
        }
        if let Some(before) = &self.before_up {
            script.push_str(&format!("{before}\n"));
        }
        script.push_str("\"$real\" \"$@\" || exit\n");
        if let Some(after) = &self.after_up {
            // The project is named in the arguments: the container is asked for as Compose labels it.
            script.push_str(
                "for arg in \"$@\"; do [ \"$before\" = --project-name ] && project=$arg; before=$arg; done\n\
                 container=$(\"$real\" ps -q --no-trunc --filter \"label=com.docker.compose.project=$project\")\n\
                 [ -n \"$container\" ] || { echo 'up left no container' >&2; exit 97; }\n",
            );
            script.push_str("as_root=; [ \"$(id -u)\" = 0 ] || as_root='sudo -n'\nset -e\n");
            script.push_str(after);
            script.push('\n');
        }
        script.push_str(&format!("touch '{}'\n", place.path("broken").display()));
        place.program("docker", script);
    }

    /// Fails where `up` was never reached: then nothing was broken, and the test would say nothing.
    #[track_caller]
    pub(crate) fn assert_used(place: &Place) {
        assert!(place.path("broken").exists(), "`docker compose up` was never called: nothing was broken");
    }
}
