//! The rows that have two sides, measured with two projects outside this repository.

use super::{Measured, median, timed};
use crate::context::Context;
use crate::dev::shell;
use crate::engine::compose::Project;
use crate::image::build;
use crate::life::{self, Purpose, plan};
use crate::spec::settings::{self, Flags, ProjectFlags};
use crate::step::Command;
use crate::user::User;
use crate::{exec, ui};
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xshell::{Cmd, Shell, cmd};

/// Two projects outside this repository, with data sets of 10 and of 200,000 files.
pub(super) struct BenchGround<'a> {
    cx: &'a Context,
    flags: Flags,
    sh: Shell,
    pairs: usize,
    dir: tempfile::TempDir,
    /// The time that cargo takes before it starts this tool.
    cargo: Duration,
}

const SIZES: [(&str, usize); 2] = [("few", 10), ("many", 200_000)];

/// Two more, whose workspaces have so many files.
const WORKSPACES: [(&str, usize); 2] = [("small", 100), ("large", 100_000)];

/// How much longer it may take to leave the larger of them.
const LEAVING: Duration = Duration::from_millis(1500);

impl<'a> BenchGround<'a> {
    pub(super) fn new(cx: &'a Context, flags: Flags, pairs: usize) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("codex-sandbox-bench-").tempdir()?;
        let mut ground = BenchGround { cx, flags, sh: shell(cx)?, pairs, dir, cargo: Duration::ZERO };
        for (name, _) in SIZES {
            ground.sh.create_dir(ground.project(name))?;
        }
        ground.fill(SIZES[0])?;
        let (sh, exe) = (&ground.sh, &cx.exe);
        let through = || timed(cmd!(sh, "cargo xtask --help"));
        let [through, alone] = ground.medians(through, || timed(cmd!(sh, "{exe} --help")))?;
        ground.cargo = through.saturating_sub(alone);
        ui::say(format_args!("cargo itself takes {} ms before each call of `cargo xtask`", ground.cargo.as_millis()));
        Ok(ground)
    }

    /// Makes empty files in directories of a thousand: only the number of names is measured.
    fn fill(&self, (name, count): (&str, usize)) -> Result<()> {
        let file = |i: usize| self.data(name).join(format!("{}/{i}.webm", i / 1000));
        Ok((0..count).try_for_each(|i| self.sh.write_file(file(i), ""))?)
    }

    fn data(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("data-{name}"))
    }

    fn project(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("project-{name}"))
    }

    /// The flags of one of the two projects.
    fn flags(&self, name: &str) -> Flags {
        let project = ProjectFlags {
            workspace: Some(self.project(name)),
            datasets: vec![("ssv2".into(), self.data(name))],
            ..self.flags.project.clone()
        };
        Flags { project, ..self.flags.clone() }
    }

    /// A task for one of the two projects. The binary is called directly, so that cargo's own time is not measured.
    fn task(&self, name: &str, task: &str, more: &[&str]) -> Cmd<'_> {
        let (sh, exe, project, data) = (&self.sh, &self.cx.exe, self.project(name), self.data(name));
        let cpu = self.flags.project.cpu.then_some("--cpu");
        let codex = self.flags.codex.iter().flat_map(|codex| [Path::new("--codex"), codex]);
        cmd!(sh, "{exe} {task} --workspace {project} --dataset ssv2={data} {cpu...} {codex...} {more...}")
    }

    fn sandbox(&self, name: &str) -> Result<Duration> {
        timed(self.task(name, "sandbox", &["--yes", "--", "--version"]))
    }

    /// The bare commands for the same project: the same files, the same variables, the same mounts.
    fn bare(&self) -> Result<Project> {
        let gathered = life::Ground::read(self.cx, &self.flags("few"), None)?.gather(self.cx, Purpose::DryRun, None)?;
        Ok(plan(self.cx, &gathered).project)
    }

    fn compose(&self, up: &Command) -> Result<Duration> {
        let sh = &self.sh;
        let options: Vec<&String> = up.args.iter().take_while(|arg| *arg != "up").collect();
        let compose = |rest: &str| {
            let rest = rest.split(' ');
            timed(cmd!(sh, "docker").args(&options).args(rest).envs(up.env.iter().cloned()))
        };
        Ok(compose("up -d")? + compose("exec -T workspace codex --version")?)
    }

    fn down(&self) -> Result<()> {
        timed(self.task("few", "down", &[])).map(drop)
    }

    /// Entering a running sandbox.
    pub(super) fn enter(&self) -> Result<Measured> {
        self.sandbox("few")?;
        let up = self.bare()?.up();
        self.pair(1.0, false, || self.sandbox("few"), || self.compose(&up))
    }

    /// Entering with no container yet. `down` is part of neither side.
    pub(super) fn start(&self) -> Result<Measured> {
        self.sandbox("few")?;
        let project = self.bare()?;
        let up = project.up();
        let mine = || self.down().and_then(|()| self.sandbox("few"));
        // `down` removes what the bare commands mount. Without this tool those files would still be there.
        let (sh, kept) = (&self.sh, self.dir.path().join("kept"));
        sh.create_dir(&kept)?;
        let mut copies = Vec::new();
        for mount in project.spec.mounts.iter().filter(|mount| mount.source.starts_with(&self.cx.state)) {
            let (source, copy) = (&mount.source, kept.join(copies.len().to_string()));
            cmd!(sh, "cp -a {source} {copy}").quiet().run()?;
            copies.push((source.clone(), copy.join(".")));
        }
        self.pair(1.3, false, mine, || {
            self.down()?;
            for (source, copy) in &copies {
                sh.create_dir(source)?;
                cmd!(sh, "cp -a {copy} {source}").quiet().run()?;
            }
            exec::write_file(&project.override_file, project.override_text().as_bytes(), 0o644)?;
            self.compose(&up)
        })
    }

    /// A data set of many files. Both sides are this tool, so cargo comes before both.
    pub(super) fn mounts(&self) -> Result<Measured> {
        self.fill(SIZES[1])?;
        SIZES.iter().try_for_each(|(name, _)| self.sandbox(name).map(drop))?;
        let mounts = |name| timed(self.task(name, "mounts", &[]));
        self.pair(1.1, true, || mounts("many"), || mounts("few"))
    }

    /// A workspace of many files, with one file in each directory that tools obey. Both are entered while nothing runs inside,
    /// so that only leaving depends on their sizes.
    pub(super) fn leave(&self) -> Result<Measured> {
        for (name, count) in WORKSPACES {
            self.fill((name, SIZES[0].1))?;
            for i in 0..count {
                let file = if i % 100 == 0 { "Makefile".to_owned() } else { format!("{i}.txt") };
                self.sh.write_file(self.project(name).join(format!("{}/{file}", i / 100)), "")?;
            }
            self.sandbox(name)?;
        }
        let [small, large] = WORKSPACES.map(|(name, _)| name);
        let [mine, other] = self.medians(|| self.sandbox(large), || self.sandbox(small))?;
        Ok(Measured::difference(mine, other, LEAVING, self.pairs))
    }

    /// `image --check`, and `docker compose build` of the same Dockerfile with all its layers cached.
    pub(super) fn check(&self) -> Result<Measured> {
        let settings = settings::load(self.cx, &self.flags)?;
        let user = User::read();
        let state = build::state(self.cx, &settings, &user)?;
        let inputs = build::ensure(self.cx, &settings, &user, &state)?.inputs;
        let args = BTreeMap::from(inputs.args());
        let build = serde_json::json!({"context": self.cx.root.join("docker"), "args": args});
        let file = serde_json::json!({"services": {"workspace": {"image": self.image(), "build": build}}});
        let (sh, exe, path) = (&self.sh, &self.cx.exe, self.dir.path().join("build.yaml"));
        // JSON is YAML too.
        sh.write_file(&path, file.to_string())?;
        let cpu = self.flags.project.cpu.then_some("--cpu");
        let mine = || timed(cmd!(sh, "{exe} image --check {cpu...}"));
        self.pair(0.3, false, mine, || timed(cmd!(sh, "docker compose --file {path} build")))
    }

    /// The image that the bare commands build. Its name is unique to this run.
    fn image(&self) -> String {
        format!("codex-sandbox-bench:{}", self.dir.path().file_name().unwrap_or_default().display())
    }

    fn pair(
        &self,
        most: f64,
        cargo_beside: bool,
        mine: impl FnMut() -> Result<Duration>,
        other: impl FnMut() -> Result<Duration>,
    ) -> Result<Measured> {
        let [mine, other] = self.medians(mine, other)?;
        let cargo = [self.cargo, self.cargo * u32::from(cargo_beside)];
        Ok(Measured::pair(mine, other, cargo, most, self.pairs))
    }

    /// The medians of both sides, which take turns.
    fn medians(
        &self,
        mut mine: impl FnMut() -> Result<Duration>,
        mut other: impl FnMut() -> Result<Duration>,
    ) -> Result<[Duration; 2]> {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for _ in 0..=self.pairs {
            a.push(mine()?);
            b.push(other()?);
        }
        // The first round only fills the caches.
        Ok([a.split_off(1), b.split_off(1)].map(median))
    }
}

impl Drop for BenchGround<'_> {
    fn drop(&mut self) {
        for (name, _) in SIZES.into_iter().chain(WORKSPACES) {
            let _ = timed(self.task(name, "down", &["--all", "--yes"]));
        }
        let (sh, image) = (&self.sh, self.image());
        let _ = timed(cmd!(sh, "docker image rm {image}"));
    }
}
