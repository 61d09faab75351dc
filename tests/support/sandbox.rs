//! A sandbox of a test's own: a place with the real Codex, a data set and a stand-in for the model, removed at the end.

use crate::support::model::{KEY, Model};
use crate::support::place::{Place, User};
use crate::support::run::{Run, Xtask};
use crate::support::{codex, engine, proc};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// All that one test of the main path needs. `KEEP_CONTAINER=1` keeps its container for a look inside.
pub(crate) struct Sandbox {
    pub(crate) place: Place,
    pub(crate) model: Model,
    codex: PathBuf,
}

impl Sandbox {
    /// A sandbox of the user who runs the tests; nothing is started yet.
    pub(crate) fn new() -> Sandbox {
        engine::image(None);
        Sandbox::in_place(Place::new())
    }

    /// A sandbox of another user.
    pub(crate) fn of(user: User) -> Sandbox {
        engine::image(Some(user));
        Sandbox::in_place(Place::of(user))
    }

    fn in_place(place: Place) -> Sandbox {
        proc::copy(&engine::clips(), &place.path("ssv2"));
        let codex = codex::real_for(&place);
        let model = Model::start(&place);
        model.configure(&place);
        place.write("repo/sandbox.local.yaml", format!("env: [{KEY}]\n"));
        place.give();
        Sandbox { place, model, codex }
    }

    /// The data set on the host.
    pub(crate) fn dataset(&self) -> PathBuf {
        self.place.path("ssv2")
    }

    /// The directory of the Codex that is used.
    pub(crate) fn codex_dir(&self) -> &Path {
        &self.codex
    }

    /// The project on the host.
    pub(crate) fn workspace(&self) -> PathBuf {
        self.place.root().join("workspace")
    }

    /// A task of the tool with the flags that lead to this sandbox.
    pub(crate) fn task(&self, task: &str) -> Xtask<'_> {
        let dataset = format!("ssv2={}", self.dataset().display());
        self.task_without_data(task).args(["--dataset", &dataset])
    }

    /// The same, and nobody says where the data set is.
    pub(crate) fn task_without_data(&self, task: &str) -> Xtask<'_> {
        self.task_by_settings(task).args(["--cpu"])
    }

    /// The same without any flag: what leads to this sandbox is the settings' own business.
    pub(crate) fn task_by_settings(&self, task: &str) -> Xtask<'_> {
        let mut run = Xtask::at(&self.place).on_path(&self.codex).env(KEY, "x").within(240);
        if self.place.owner.is_some() {
            run = run.groups(&[engine::socket_group()]);
        }
        run.args([task])
    }

    /// `sandbox --yes -- ARGS`.
    pub(crate) fn enter<const N: usize>(&self, args: [&str; N]) -> Run<'_> {
        self.task("sandbox").args(["--yes", "--"]).args(args).run()
    }

    /// Lets the real Codex, inside, run a shell command, and returns what the command printed.
    #[track_caller]
    pub(crate) fn codex_runs(&self, command: &str) -> String {
        let prompt = format!("RUN: {command}");
        let run = self.enter(["exec", "--skip-git-repo-check", &prompt]).ok();
        // Codex tells the model about the command before it gives its output.
        let (_, said) = run
            .stdout
            .split_once("\nOutput:\n")
            .unwrap_or_else(|| panic!("Codex ran nothing:\n{}\n{}", run.stdout, run.stderr));
        said.to_owned()
    }

    /// The proof that the last entry left behind.
    #[track_caller]
    pub(crate) fn proof(&self) -> Proof {
        let text = self.place.read("repo/target/sandbox/proof.json");
        Proof(serde_json::from_str(&text).expect("proof.json"))
    }

    /// The containers that mount this sandbox's workspace, running or not.
    pub(crate) fn containers(&self) -> Vec<String> {
        containers_of(&self.workspace())
    }
}

/// The containers that mount a workspace.
pub(crate) fn containers_of(workspace: &Path) -> Vec<String> {
    let all = engine::docker(["ps", "--all", "--quiet", "--no-trunc"]);
    all.lines()
        .filter(|id| {
            let format = "{{range .Mounts}}{{.Source}}\n{{end}}";
            let (_, mounts, _) = proc::outcome(proc::find("docker"), ["inspect", "--format", format, id]);
            mounts.lines().any(|source| Path::new(source) == workspace)
        })
        .map(str::to_owned)
        .collect()
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if std::env::var_os("KEEP_CONTAINER").is_some() {
            return;
        }
        for id in self.containers() {
            proc::outcome(proc::find("docker"), ["rm", "--force", "--volumes", &id]);
        }
        // Also where the container was removed already: the engine has address ranges for about thirty networks only.
        let keys = ["repo/target/sandbox", "state/codex-sandbox/workspaces"].map(|dir| self.place.path(dir));
        let keys = keys.into_iter().flat_map(std::fs::read_dir).flatten().flatten().map(|entry| entry.file_name());
        let (_, volumes, _) = proc::outcome(proc::find("docker"), ["volume", "ls", "--quiet"]);
        for key in keys.collect::<std::collections::BTreeSet<_>>() {
            let network = format!("codex-sandbox-{}_default", key.display());
            proc::outcome(proc::find("docker"), ["network", "rm", "--force", &network]);
            // The settings of a test's sandbox name a variable, so that its caches are its own.
            let own = format!("-{}-u", key.display());
            let is_own = |name: &&str| name.starts_with("codex-sandbox-cache-") && name.contains(&own);
            for volume in volumes.lines().filter(is_own) {
                proc::outcome(proc::find("docker"), ["volume", "rm", "--force", volume]);
            }
        }
    }
}

/// What `proof.json` says.
pub(crate) struct Proof(pub(crate) Value);

impl Proof {
    /// The ids of the claims with this verdict.
    pub(crate) fn with(&self, verdict: &str) -> Vec<String> {
        let claims = self.0["claims"].as_array().expect("claims");
        let ids = claims.iter().filter(|claim| claim["verdict"] == verdict);
        ids.map(|claim| claim["id"].as_str().expect("an id").to_owned()).collect()
    }
}
