//! A terminal for the tool, with a screen that can be read: tmux, on a socket of the test's own.

use crate::support::place::Place;
use crate::support::proc;
use crate::support::run::Xtask;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

static OPENED: AtomicU32 = AtomicU32::new(0);

/// A terminal of 100 by 30 with one program in it. It closes with the test.
pub(crate) struct Terminal {
    socket: PathBuf,
    code: PathBuf,
}

impl Terminal {
    /// Opens it and starts the run in it.
    pub(crate) fn open(place: &Place, run: Xtask) -> Terminal {
        // A test can open one after the other: a server that is just ending would not start the next one's program.
        let n = OPENED.fetch_add(1, Ordering::Relaxed);
        let terminal =
            Terminal { socket: place.path(&format!("tmux-{n}")), code: place.path(&format!("tmux-{n}.code")) };
        let config = "set -g remain-on-exit on\nset -g default-terminal tmux-256color\nset -g status off\n";
        let config = place.write("tmux.conf", config).display().to_string();
        let run = run.env("TERM", "tmux-256color").env("COLORTERM", "truecolor").env("LANG", "C.UTF-8");
        // A shell writes the exit code down: tmux itself sometimes loses it, where the terminal closes before the
        // program has ended. Without job control it is in the program's own process group, as `cargo` would be.
        let note = r#"trap : INT; "$@"; echo $? >"$0""#;
        let code = terminal.code.display().to_string();
        let size = ["-x", "100", "-y", "30", "--", "sh", "-c", note, &code];
        let start = ["-f", &config, "new-session", "-d", "-s", "t"].into_iter().chain(size);
        terminal.tmux(start.map(Into::into).chain(run.words()));
        terminal
    }

    fn tmux(&self, args: impl IntoIterator<Item = std::ffi::OsString>) -> String {
        let socket = ["-S".into(), self.socket.clone().into_os_string()];
        proc::output(proc::find("tmux"), socket.into_iter().chain(args))
    }

    fn command<const N: usize>(&self, args: [&str; N]) -> String {
        self.tmux(args.map(Into::into))
    }

    /// What the screen shows.
    pub(crate) fn screen(&self) -> String {
        self.command(["capture-pane", "-p", "-t", "t"])
    }

    /// What tmux says of the terminal in this format.
    pub(crate) fn format(&self, format: &str) -> String {
        self.command(["display-message", "-p", "-t", "t", format]).trim().to_owned()
    }

    /// Waits until the screen shows a text.
    #[track_caller]
    pub(crate) fn shows(&self, text: &str, seconds: u64) -> String {
        let end = Instant::now() + Duration::from_secs(seconds);
        loop {
            let screen = self.screen();
            if screen.contains(text) {
                return screen;
            }
            assert!(Instant::now() < end, "the terminal did not show `{text}` within {seconds} s; it shows:\n{screen}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Types a text as it is.
    pub(crate) fn types(&self, text: &str) {
        self.command(["send-keys", "-t", "t", "-l", text]);
    }

    /// Presses a key by tmux's name for it, such as `Enter` or `C-c`.
    pub(crate) fn press(&self, key: &str) {
        self.command(["send-keys", "-t", "t", key]);
    }

    /// Sends a signal to the program itself, and to nothing around it.
    pub(crate) fn signals(&self, name: &str) {
        let shell = self.format("#{pane_pid}");
        let program = proc::output(proc::find("pgrep"), ["--parent", &shell]);
        proc::output("kill", [&format!("-{name}"), program.trim()]);
    }

    /// Changes the size of the window.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.command(["resize-window", "-t", "t", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// Waits for the program to end and returns its exit code.
    #[track_caller]
    pub(crate) fn ended(&self, seconds: u64) -> i32 {
        let end = Instant::now() + Duration::from_secs(seconds);
        loop {
            let code = std::fs::read_to_string(&self.code).unwrap_or_default();
            if let Some(code) = code.strip_suffix('\n') {
                return code.parse().expect("an exit code");
            }
            assert!(
                Instant::now() < end,
                "the program did not end within {seconds} s; the terminal shows:\n{}",
                self.screen()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Closes the window, as a user does who has had enough: whatever runs in it gets SIGHUP.
    pub(crate) fn close(&self) {
        self.command(["kill-session", "-t", "t"]);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The server has ended already where the window was closed.
        let socket = self.socket.display().to_string();
        proc::outcome(proc::find("tmux"), ["-S", &socket, "kill-server"]);
    }
}
