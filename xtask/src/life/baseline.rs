//! The last known state of what the host would run in a workspace (`baseline.json`), compared at every look: before an
//! entry, at its end, and at `down`. So what is written between two calls, or by what a killed call left running, is
//! told at the next look, whoever wrote it.

use super::audit::{self, Snapshot};
use crate::spec::SCHEMA;
use crate::spec::places::Places;
use crate::{exec, ui};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::Path;

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Baseline {
    schema: u32,
    files: Snapshot,
}

/// One workspace, to be looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watched<'a> {
    pub(super) places: &'a Places,
    pub(super) workspace: &'a Path,
}

impl Watched<'_> {
    /// Compares with the last look, tells what changed, and only then keeps the new state.
    ///
    /// # Errors
    /// The workspace cannot be read, or the state folder cannot be written.
    pub(super) fn look(self) -> Result<Snapshot> {
        let known = match self.kept() {
            Ok(Some(kept)) => Some(kept.files),
            Ok(None) => None,
            Err(why) => {
                ui::warn(format_args!(
                    "what changed in the workspace since the sandbox was last looked at is not known: {why}; it is \
                     compared from now on"
                ));
                None
            }
        };
        let now = audit::snapshot(self.workspace)?;
        for line in known.map(|known| audit::changes(&known, &now)).into_iter().flatten() {
            ui::warn(format_args!(
                "since the sandbox was last looked at, in the workspace, {line} (you or the sandbox did it)"
            ));
        }
        self.keep(&now)?;
        Ok(now)
    }

    /// The same at the end of a session that began with these files.
    ///
    /// # Errors
    /// As [`Watched::look`].
    pub(super) fn leave(self, before: &Snapshot) -> Result<()> {
        let now = audit::snapshot(self.workspace)?;
        for line in audit::changes(before, &now) {
            ui::warn(format_args!("in the workspace, {line}"));
        }
        self.keep(&now)
    }

    fn kept(self) -> Result<Option<Baseline>, String> {
        let path = &self.places.baseline;
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(err) if err.kind() == ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(format!("`{}` cannot be read: {err}", path.display())),
        };
        let kept = serde_json::from_slice::<Baseline>(&text).ok().filter(|kept| kept.schema <= SCHEMA);
        kept.map(Some).ok_or_else(|| format!("`{}` is damaged, or of another version of this tool", path.display()))
    }

    fn keep(self, files: &Snapshot) -> Result<()> {
        let baseline = Baseline { schema: SCHEMA, files: files.clone() };
        exec::write_file(&self.places.baseline, serde_json::to_string(&baseline)?.as_bytes(), 0o600)
    }
}

/// For the fuzzer. What is kept reads back as it was.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let Ok(kept) = serde_json::from_slice::<Baseline>(bytes) else { return };
    let again = serde_json::to_vec(&kept).and_then(|text| serde_json::from_slice::<Baseline>(&text));
    assert_eq!(again.ok(), Some(kept));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;
    use crate::spec::places;
    use std::fs;

    struct Ground {
        dir: tempfile::TempDir,
        places: Places,
    }

    impl Ground {
        fn new() -> Ground {
            let dir = tempfile::tempdir().unwrap();
            let cx = Context { state: dir.path().join("state"), ..Context::default() };
            fs::create_dir(dir.path().join("project")).unwrap();
            Ground { places: places::of(&cx, &dir.path().join("project"), 0), dir }
        }

        fn project(&self) -> std::path::PathBuf {
            self.dir.path().join("project")
        }

        fn look(&self) -> Result<Snapshot> {
            Watched { places: &self.places, workspace: &self.project() }.look()
        }

        fn kept(&self) -> Result<Option<Baseline>, String> {
            Watched { places: &self.places, workspace: &self.project() }.kept()
        }
    }

    #[test]
    fn a_look_keeps_what_it_saw_and_the_last_state_survives_until_then() {
        let ground = Ground::new();
        assert_eq!(ground.kept(), Ok(None));
        let before = ground.look().unwrap();
        fs::write(ground.project().join(".envrc"), "a").unwrap();
        assert_eq!(ground.kept().unwrap().unwrap().files, before, "nothing is kept before it was compared");
        let after = ground.look().unwrap();
        assert_eq!(audit::changes(&before, &after).len(), 1);
        assert_eq!(ground.kept().unwrap().unwrap(), Baseline { schema: SCHEMA, files: after });
        // A workspace that cannot be looked at is not one from which everything was removed.
        let kept = ground.kept();
        fs::remove_dir_all(ground.project()).unwrap();
        assert!(ground.look().is_err());
        assert_eq!(ground.kept(), kept);
    }

    #[test]
    fn a_state_that_cannot_be_understood_is_no_empty_state() {
        let ground = Ground::new();
        let path = &ground.places.baseline;
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        for odd in ["", "{}", r#"{"schema":99,"files":{}}"#, r#"{"schema":2,"files":{},"more":1}"#] {
            fs::write(path, odd).unwrap();
            assert!(ground.kept().unwrap_err().contains("is damaged, or of another version"), "{odd}");
        }
        fs::write(path, r#"{"schema":2,"files":{"Makefile":"directory"}}"#).unwrap();
        assert_eq!(ground.kept().unwrap().unwrap().files["Makefile"], "directory");
    }
}
