//! What this machine has, and what stands in for what it lacks. Pure.

use crate::codex::pinned;
use crate::ui;
use std::path::PathBuf;

/// What the main path needs. Where this machine lacks something, the reason is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StandIns {
    /// Why there is no engine to use; `None` where one answers.
    pub(super) no_engine: Option<String>,
    /// Why NVIDIA's image cannot serve; `None` where it can.
    pub(super) no_gpu: Option<String>,
    /// The base image of a machine that has a GPU.
    pub(super) base: String,
    /// The directory of the user's own data set.
    pub(super) dataset: Option<PathBuf>,
    /// The user's own Codex.
    pub(super) codex: Option<PathBuf>,
    /// Why the user's own login is not used; `None` where it is.
    pub(super) no_login: Option<String>,
}

impl StandIns {
    pub(super) fn scripted(&self) -> bool {
        self.no_login.is_some()
    }

    /// The table at the top: what is used, and why a stand-in is.
    pub(super) fn table(&self, codex_dir: &str, data_dir: &str) -> String {
        let path = |path: &Option<PathBuf>| path.iter().map(|path| format!("`{}`", path.display())).collect::<String>();
        let without = |path: &Option<PathBuf>, why: &str| path.is_none().then(|| why.to_owned());
        let no_dataset = without(&self.dataset, "no directory is set for `ssv2`");
        let no_codex = without(&self.codex, "there is no `codex` on PATH");
        let clips = format!("four clips and their labels, in `{data_dir}`");
        let npm = format!("{} from npm, in `{codex_dir}`", pinned::VERSION);
        let image = format!("`{}`, about 20 GB", self.base);
        let row = |name: &str, why: &Option<String>, own: &str, stand_in: &str| match why {
            None => vec![format!("  {name}"), own.to_owned(), "(yours)".to_owned()],
            Some(why) => {
                vec![format!("  {name}"), format!("STAND-IN: {stand_in}"), format!("({})", ui::printable(why))]
            }
        };
        let rows = [
            row("engine", &self.no_engine, "the Docker Engine that answers", "one from your distribution's packages"),
            row("image", &self.no_gpu, &image, "the CPU image, made from Debian packages"),
            row("data set", &no_dataset, &path(&self.dataset), &clips),
            row("codex", &no_codex, &path(&self.codex), &npm),
            row("model", &self.no_login, "your login, in Codex itself", "SCRIPTED replies, no model is asked"),
        ];
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
