//! The terminal, before and after another program owns it: an agent can leave it so that the user sees nothing of what is
//! said and asked afterwards, or types what nobody sees.

use crate::context::Context;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use std::io::Write as _;

/// Sets back what a program can set, as xterm and ECMA-48 have it. It moves no cursor and clears nothing.
const SANE: &str = concat!(
    // Whatever sequence was begun ends here.
    "\x18\x1b\\",
    // The usual screen, not the alternate one.
    "\x1b[?1047l\x1b[?47l",
    // No reports of the mouse or the focus, and no marks around what is pasted.
    "\x1b[?9l\x1b[?1000l\x1b[?1001l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1005l\x1b[?1006l\x1b[?1015l\x1b[?1016l\x1b[?2004l",
    // Plain keys: no enhanced ones (kitty, xterm), no application mode of the cursor keys and the keypad.
    "\x1b[=0u\x1b[>4m\x1b[?1l\x1b[?66l\x1b>",
    // Output is shown at once, inserts nothing, wraps at the right margin, and the cursor is seen.
    "\x1b[?2026l\x1b[4l\x1b[?5l\x1b[?7h\x1b[?25h",
    // The whole screen scrolls. Setting that moves the cursor, which is put back, perhaps with the origin at the margins:
    // those are the screen's own now.
    "\x1b7\x1b[?69l\x1b[?6l\x1b[r\x1b8",
    // The usual letters, colours and weight, none of them hidden: the colours themselves, too.
    "\x1b(B\x1b)0\x0f\x1b[0m\x1b]104\x1b\\\x1b]110\x1b\\\x1b]111\x1b\\\x1b]112\x1b\\",
);

/// A terminal that another program owns for a while.
pub(crate) struct Lent {
    modes: Option<Termios>,
    is_shown: bool,
}

/// To be called before another program gets the terminal.
pub(crate) fn lend(cx: &Context) -> Lent {
    Lent { modes: tcgetattr(std::io::stdin()).ok(), is_shown: cx.stderr_tty && cx.var("TERM") != Some("dumb") }
}

impl Lent {
    /// To be called when that has ended. What was typed meanwhile is thrown away.
    pub(crate) fn take_back(self) {
        let stdin = std::io::stdin();
        // Only the process group in the foreground may: another one would be stopped.
        let is_ours = tcgetpgrp(&stdin).is_ok_and(|group| group == rustix::process::getpgrp());
        if let Some(modes) = self.modes.filter(|_| is_ours) {
            let _ = tcsetattr(&stdin, OptionalActions::Flush, &modes);
        }
        if self.is_shown {
            let mut stderr = std::io::stderr();
            let _ = stderr.write_all(SANE.as_bytes()).and_then(|()| stderr.flush());
        }
    }
}
