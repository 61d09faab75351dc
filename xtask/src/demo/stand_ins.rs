//! What this machine has and what stands in for the rest: one line each. Pure.

use crate::codex::pinned;
use crate::ui;
use std::path::PathBuf;

/// What the main path needs: each with the reason where this machine lacks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandIns {
    /// Why there is no engine to use; `None` where one answers.
    pub no_engine: Option<String>,
    /// Why NVIDIA's image cannot serve; `None` where it can.
    pub no_gpu: Option<String>,
    /// The base image of a machine that has a GPU.
    pub base: String,
    /// The directory of the user's own data set.
    pub dataset: Option<PathBuf>,
    /// The user's own Codex.
    pub codex: Option<PathBuf>,
    /// Why no session of the user's own is entered; `None` where one is.
    pub no_login: Option<String>,
}

impl StandIns {
    /// Whether the session is scripted.
    pub fn scripted(&self) -> bool {
        self.no_login.is_some()
    }

    /// The table at the top: what is used, and why not the thing itself.
    pub fn table(&self, codex_dir: &str, data_dir: &str) -> String {
        let own = |what: String| (what, "yours".to_owned());
        let rows = [
            (
                "engine",
                match &self.no_engine {
                    None => own("the Docker Engine that answers".into()),
                    Some(why) => ("STAND-IN: one from your distribution's packages".into(), why.clone()),
                },
            ),
            (
                "image",
                match &self.no_gpu {
                    None => own(format!("`{}`, about 20 GB", self.base)),
                    Some(why) => ("STAND-IN: the CPU image, made from Debian packages".into(), why.clone()),
                },
            ),
            (
                "data set",
                match &self.dataset {
                    Some(dir) => own(format!("`{}`", dir.display())),
                    None => (
                        format!("STAND-IN: four clips and their labels, in `{data_dir}`"),
                        "no directory is set for `ssv2`".into(),
                    ),
                },
            ),
            (
                "codex",
                match &self.codex {
                    Some(path) => own(format!("`{}`", path.display())),
                    None => (
                        format!("STAND-IN: {} from npm, in `{codex_dir}`", pinned::VERSION),
                        "there is no `codex` on PATH".into(),
                    ),
                },
            ),
            (
                "model",
                match &self.no_login {
                    None => own("your login, in Codex itself".into()),
                    Some(why) => ("STAND-IN: SCRIPTED replies, no model is asked".into(), why.clone()),
                },
            ),
        ];
        let rows =
            rows.map(|(name, (what, why))| vec![format!("  {name}"), what, format!("({})", ui::printable(&why))]);
        ui::columns(&rows).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_the_users_own_is_called_a_stand_in() {
        let bare = StandIns {
            no_engine: Some("none".into()),
            no_gpu: Some("no GPU".into()),
            base: "base".into(),
            dataset: None,
            codex: None,
            no_login: Some("no login".into()),
        };
        let rich = StandIns {
            no_engine: None,
            no_gpu: None,
            dataset: Some("/data/ssv2".into()),
            codex: Some("/usr/bin/codex".into()),
            no_login: None,
            ..bare.clone()
        };
        let count = |facts: &StandIns| facts.table("c", "d").matches("STAND-IN").count();
        assert_eq!((count(&bare), count(&rich)), (5, 0));
        assert!(bare.scripted() && !rich.scripted());
        assert_eq!(bare.table("c", "d").lines().count(), 5);
    }
}
