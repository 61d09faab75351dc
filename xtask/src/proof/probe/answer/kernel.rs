//! What the probe saw of the kernel: which system calls and files it refuses, and which addresses answer.

use serde::Deserialize;

/// What an attempt was meant to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Attempted {
    /// To make a user namespace.
    #[serde(rename = "user namespace")]
    UserNamespace,
    /// A call that Docker's default filter refuses, with arguments to which the kernel itself answers something else.
    #[serde(rename = "filter")]
    Filter,
    /// To give a file the setuid or the setgid bit; with arguments to which the kernel itself answers something else.
    #[serde(rename = "setuid")]
    Setuid,
    /// To trace; in the same way.
    #[serde(rename = "tracing")]
    Tracing,
}

/// One system call that was tried, and its answer: `done`, the name of an error, or the signal that it ended with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Refusal(pub(crate) Attempted, pub(crate) String, pub(crate) String);

/// What a file or directory of the kernel answers: `opened` and `written`, or the names of errors.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Door {
    /// To being opened for writing.
    pub(crate) open: String,
    /// To having its times set to those that it has: a read-only mount refuses that whoever asks.
    pub(crate) touch: String,
}

/// One attempt to reach an address outside a container that has no network.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Outside {
    /// `connect`, `IP_PKTINFO` or `broadcast`.
    pub(crate) way: String,
    /// The interface that the attempt was bound to.
    pub(crate) interface: Option<String>,
    pub(crate) to: String,
    /// `connected`, `sent`, `silence`, or the name of an error.
    pub(crate) answer: String,
}

impl Outside {
    /// Whether something was reached. Only a machine that was reached can refuse a connection. What is sent through the
    /// loopback device stays in the container.
    pub(crate) fn reached(&self) -> bool {
        match self.answer.as_str() {
            "connected" | "ECONNREFUSED" => true,
            "sent" => self.interface.as_deref() != Some("lo"),
            _ => false,
        }
    }
}
