//! The rows of the build, measured in a copy of the working tree with a target directory of its own.

use super::{Measured, bounded, median, timed};
use crate::context::Context;
use crate::dev::shell;
use crate::exec;
use anyhow::Result;
use std::collections::BTreeSet;
use tempfile::TempDir;
use xshell::{Shell, cmd};

/// How often an edit is measured: the first one after a build is slower than the others.
const EDITS: usize = 5;

/// The file that is edited. After an edit the library is compiled again and the binary is linked again.
const EDITED: &str = "xtask/src/ui.rs";

/// The copy. In the working tree itself no file is changed, not even its modification time.
pub(super) struct Scratch {
    sh: Shell,
    _dir: TempDir,
}

impl Scratch {
    pub(super) fn new(cx: &Context) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("codex-sandbox-bench-build-").tempdir()?;
        let (sh, to) = (shell(cx)?, dir.path());
        let listed = cmd!(sh, "git ls-files --cached --others --exclude-standard --deduplicate");
        let listed = exec::stdout_of(&bounded(listed))?;
        let files = listed.lines().filter(|file| sh.path_exists(file));
        timed(cmd!(sh, "cp --parents --no-dereference {files...} {to}"))?;
        sh.change_dir(to);
        sh.set_var("CARGO_TARGET_DIR", to.join("target"));
        timed(cmd!(sh, "cargo fetch --locked"))?;
        Ok(Scratch { sh, _dir: dir })
    }

    /// Builds xtask from nothing, and counts the crates.
    pub(super) fn clean(&self) -> Result<Measured> {
        let sh = &self.sh;
        sh.remove_path("target")?;
        let took = timed(cmd!(sh, "cargo build --locked --package xtask --bin xtask"))?;
        let tree = cmd!(sh, "cargo tree --locked --package xtask --edges normal,build --prefix none");
        let tree = exec::stdout_of(&bounded(tree))?;
        let crates: BTreeSet<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
        let what = format!("{} crates", crates.iter().filter(|line| !line.is_empty()).count());
        Ok(Measured::alone(took, what, 45, 1))
    }

    /// Edits a source file, and lets cargo build and run the tool.
    pub(super) fn edit(&self) -> Result<Measured> {
        let sh = &self.sh;
        let text = sh.read_file(EDITED)?;
        let round = |number: usize| {
            let function = format!("\n/// Of this round.\npub fn edited() -> usize {{\n    {number}\n}}\n");
            sh.write_file(EDITED, text.clone() + &function)?;
            timed(cmd!(sh, "cargo xtask --help"))
        };
        round(0)?;
        let took = median((1..=EDITS).map(round).collect::<Result<_>>()?);
        Ok(Measured::alone(took, format!("`{EDITED}`"), 5, EDITS))
    }
}
