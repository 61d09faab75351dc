//! What is denied to sessions beyond what the engine's own filter of system calls refuses. Pure.

use super::Spec;
use super::inside;
use super::settings::{Ptrace, Shape};

/// What everything that this tool starts in a sandbox is kept from, by a filter of system calls that is stacked on the
/// engine's own. The engine's is never replaced: an administrator may have made it stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Denials {
    /// To give a file the setuid or the setgid bit: whoever on the host can reach it would become its owner, and the agent
    /// is root. For any other user the bits are looked for and removed when a session is left, as for root.
    pub(crate) setuid: bool,
    /// To trace, or to read or change the memory of others by system calls.
    pub(crate) tracing: bool,
}

impl Denials {
    pub(crate) fn of(uid: u32, shape: &Shape) -> Denials {
        Denials {
            setuid: uid == 0,
            tracing: match shape.ptrace {
                Ptrace::Allow => false,
                Ptrace::Deny => true,
            },
        }
    }

    /// The program inside that sets the filter and then becomes the program that it is given; none where nothing is denied.
    pub(crate) fn launcher(self) -> Option<&'static str> {
        match (self.setuid, self.tracing) {
            (false, false) => None,
            (true, false) => Some(inside::NO_SETUID),
            (false, true) => Some(inside::NO_PTRACE),
            (true, true) => Some(inside::NO_SETUID_NO_PTRACE),
        }
    }
}

impl Spec {
    /// What is denied in the sessions of this sandbox.
    pub(crate) fn denials(&self) -> Denials {
        Denials::of(self.uid, &self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::settings::usual;

    #[test]
    fn an_ordinary_user_is_denied_nothing_unless_the_settings_say_so() {
        let launcher = |uid, ptrace| Denials::of(uid, &Shape { ptrace, ..usual() }).launcher();
        assert_eq!(launcher(1000, Ptrace::Allow), None);
        assert_eq!(launcher(1000, Ptrace::Deny), Some("/sandbox/launch/no-ptrace"));
        assert_eq!(launcher(0, Ptrace::Allow), Some("/sandbox/launch/no-setuid"));
        assert_eq!(launcher(0, Ptrace::Deny), Some("/sandbox/launch/no-setuid-no-ptrace"));
    }
}
