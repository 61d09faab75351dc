//! What can be asked for, as values.

use crate::dev::bench::Row;
use crate::dev::test::Demand;
use std::path::PathBuf;

/// The flags that all tasks spell alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--workspace DIR`
    pub workspace: Option<PathBuf>,
    /// `--dataset NAME=DIR`, in the order given.
    pub datasets: Vec<(String, PathBuf)>,
    /// `--gpus all|none|ID[,ID…]`
    pub gpus: Option<String>,
    /// `--base REF`
    pub base: Option<String>,
    /// `--cpu`
    pub cpu: bool,
    /// `--network open|none`
    pub network: Option<String>,
    /// `--codex PATH`
    pub codex: Option<PathBuf>,
    /// `--codex-home mirror|shared|none`
    pub codex_home: Option<String>,
    /// `--yes`
    pub yes: bool,
    /// No caches that outlive the container. On no command line: the demo leaves nothing behind.
    pub no_caches: bool,
    /// `--dry-run`
    pub dry_run: bool,
    /// `--json`
    pub json: bool,
}

/// One task with its own flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Build, start, prove, enter.
    Sandbox {
        /// Enter a shell in place of Codex.
        shell: bool,
        /// Codex's own arguments.
        args: Vec<String>,
    },
    /// Build the image.
    Image {
        /// Only say whether it is up to date.
        check: bool,
        /// Ask the registry for a newer base.
        pull: bool,
        /// Build every layer anew.
        no_cache: bool,
    },
    /// Prove that the GPU runs the image.
    GpuSmoke(GpuSmoke),
    /// Validate every mount.
    Mounts,
    /// Everything that this host lacks.
    Doctor,
    /// What runs.
    Status,
    /// Stop it.
    Down {
        /// Also remove the Codex home and the git directory of this workspace.
        all: bool,
        /// Also remove the caches, which all workspaces of this user share.
        caches: bool,
    },
    /// The commits that were made in the sandbox.
    Commits {
        /// Take them over.
        take: bool,
    },
    /// Print the completions for a shell.
    Completions {
        /// The shell.
        shell: String,
    },
    /// Answer a shell's completions (hidden).
    Complete {
        /// The command line up to the cursor.
        line: String,
    },
    /// Run the tests of this repository.
    Test {
        /// The tiers that are demanded: `default`, `engine`, `gpu`, `all`; without it those that the machine can run.
        tier: Option<Demand>,
        /// Install and start what the engine tier needs.
        install: bool,
    },
    /// What CI runs.
    Ci {
        /// Install and start what the engine tier needs.
        install: bool,
    },
    /// The main path with stand-ins for what this machine lacks.
    Demo {
        /// Install and start an engine without asking.
        install: bool,
        /// Remove all that the demo made.
        clean: bool,
    },
    /// What a dev container opens: started and proven, not entered.
    Devcontainer,
    /// Measure against the bare commands.
    Bench {
        /// The rows to measure; empty means all.
        rows: Vec<Row>,
        /// Pairs per row.
        pairs: usize,
    },
}

/// The flags of `gpu-smoke` alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GpuSmoke {
    /// An image of the user's own, in place of the sandbox's.
    pub image: Option<String>,
    /// What kernels must be native for.
    pub arch: Option<String>,
    /// Where the report is written as JSON.
    pub json: Option<PathBuf>,
    /// Where it is written as JUnit XML.
    pub junit: Option<PathBuf>,
    /// The bound on the run, in seconds.
    pub seconds: u64,
    /// Also what takes minutes.
    pub full: bool,
    /// In the running sandbox.
    pub here: bool,
}
