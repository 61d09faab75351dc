//! What is measured of the build: a copy of the working tree, with a target directory of its own.

use super::{Measured, median, timed};
use crate::context::Context;
use crate::dev::shell;
use anyhow::Result;
use std::collections::BTreeSet;
use tempfile::TempDir;
use xshell::{Shell, cmd};

/// How often an edit is measured: the first one after a build is slower than the others.
const EDITS: usize = 5;

/// The file that is edited: the library is compiled again and the binary is linked again.
const EDITED: &str = "xtask/src/ui.rs";

/// The copy. The working tree itself is left as it is, bytes and times.
pub(super) struct Scratch {
    sh: Shell,
    _dir: TempDir,
}

impl Scratch {
    pub(super) fn new(cx: &Context) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("codex-sandbox-bench-build-").tempdir()?;
        let (sh, to) = (shell(cx)?, dir.path());
        let files = cmd!(sh, "git ls-files --cached --others --exclude-standard --deduplicate").quiet().read()?;
        let files = files.lines().filter(|file| sh.path_exists(file));
        cmd!(sh, "cp --parents --no-dereference {files...} {to}").quiet().run()?;
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
        let tree = cmd!(sh, "cargo tree --locked --package xtask --edges normal,build --prefix none").quiet().read()?;
        let crates: BTreeSet<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
        let what = format!("{} crates", crates.iter().filter(|line| !line.is_empty()).count());
        Ok(Measured::Alone { took, what, most: 45, rounds: 1 })
    }

    /// Edits a source file and lets cargo build and run what came of it.
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
        Ok(Measured::Alone { took, what: format!("`{EDITED}`"), most: 5, rounds: EDITS })
    }
}
