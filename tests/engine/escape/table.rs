//! The attempts of the suite, as their files have them: the ids that `docs/threat-model.md` must have too.

/// What every program of attempts starts with.
const INSIDE: &str = include_str!("inside.py");

/// One file of attempts, made in one run.
pub(crate) struct Theme {
    pub(crate) name: &'static str,
    text: &'static str,
}

/// Every attempt that is made in a running sandbox.
pub(crate) const THEMES: [Theme; 6] = [
    Theme { name: "init", text: include_str!("init.py") },
    Theme { name: "dataset", text: include_str!("dataset.py") },
    Theme { name: "mounts", text: include_str!("mounts.py") },
    Theme { name: "kernel", text: include_str!("kernel.py") },
    Theme { name: "filter", text: include_str!("filter.py") },
    Theme { name: "reach", text: include_str!("reach.py") },
];

impl Theme {
    /// The ids of its attempts, in order.
    pub(crate) fn ids(&self) -> Vec<&'static str> {
        let registered = self.text.lines().filter_map(|line| line.trim_start_matches('@').strip_prefix("attempt(\""));
        registered.filter_map(|rest| rest.split_once('"')).map(|(id, _)| id).collect()
    }

    /// The program that makes them.
    pub(super) fn program(&self) -> String {
        format!("{INSIDE}\n\n{}\n\nall_made()\n", self.text)
    }
}
