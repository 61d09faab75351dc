//! What is measured on: two projects outside this repository, and the two sides of each row.

use super::{COMMAND_BOUND, median, quiet};
use crate::context::Context;
use crate::engine::docker;
use crate::exec;
use crate::image::build;
use crate::life::{gather, plan};
use crate::spec::settings::{self, Flags, ProjectFlags};
use crate::step::Command;
use crate::user::User;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Two projects outside this repository, with data sets of 10 and of 200,000 files.
pub(super) struct Ground<'a> {
    cx: &'a Context,
    flags: Flags,
    dir: tempfile::TempDir,
    exe: String,
}

const SIZES: [(&str, usize); 2] = [("few", 10), ("many", 200_000)];

impl<'a> Ground<'a> {
    pub(super) fn new(cx: &'a Context, flags: Flags) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("codex-sandbox-bench-").tempdir()?;
        for (name, _) in SIZES {
            exec::create_dir(&dir.path().join(format!("project-{name}")), 0o755)?;
        }
        let exe = std::env::current_exe()?.to_string_lossy().into_owned();
        let ground = Ground { cx, flags, dir, exe };
        ground.fill(SIZES[0])?;
        Ok(ground)
    }

    /// Empty files in folders of a thousand: what is measured is the number of names.
    fn fill(&self, (name, count): (&str, usize)) -> Result<()> {
        let data = self.data(name);
        for i in 0..count {
            let folder = data.join((i / 1000).to_string());
            if i % 1000 == 0 {
                exec::create_dir(&folder, 0o755)?;
            }
            std::fs::write(folder.join(format!("{i}.webm")), "").context("cannot make the files of the benchmark")?;
        }
        Ok(())
    }

    fn data(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("data-{name}"))
    }

    /// The flags of one of the two projects.
    fn flags(&self, name: &str) -> Flags {
        let project = ProjectFlags {
            workspace: Some(self.dir.path().join(format!("project-{name}"))),
            datasets: vec![("ssv2".into(), self.data(name))],
            ..self.flags.project.clone()
        };
        Flags { project, ..self.flags.clone() }
    }

    /// What cargo takes before it starts this tool: the median of `cargo xtask --help` less that of the tool alone.
    pub(super) fn cargo(&self, pairs: usize) -> Result<Duration> {
        let through = Command::new("cargo").args(["xtask", "--help"]).dir(&self.cx.root).timeout(COMMAND_BOUND);
        let alone = Command::new(&self.exe).arg("--help").timeout(COMMAND_BOUND);
        let (through, alone) = self.pairs(pairs, || quiet(&through), || quiet(&alone))?;
        Ok(through.saturating_sub(alone))
    }

    /// A task for one of the two projects. The tool is called as cargo would call it, without cargo's own time.
    fn task(&self, name: &str, task: &str, more: &[&str]) -> Command {
        let flags = self.flags(name);
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let workspace = flags.project.workspace.as_deref().map(text).unwrap_or_default();
        let mut command = Command::new(&self.exe).args([task, "--workspace", &workspace]);
        command = command.args(["--dataset".to_owned(), format!("ssv2={}", text(&self.data(name)))]);
        command = self.cpu(command);
        if let Some(codex) = &flags.codex {
            command = command.args(["--codex".to_owned(), text(codex)]);
        }
        command.args(more.iter().copied()).dir(&self.cx.root).timeout(COMMAND_BOUND)
    }

    fn cpu(&self, command: Command) -> Command {
        if self.flags.project.cpu { command.arg("--cpu") } else { command }
    }

    fn enter(&self, name: &str) -> Command {
        self.task(name, "sandbox", &["--yes", "--", "--version"])
    }

    /// The bare sequence in a shell: the same files, the same variables, the same mounts.
    fn bare(&self, name: &str) -> Result<Command> {
        let wish = gather(self.cx, &self.flags(name))?;
        let image = build::state(self.cx, &wish.settings, &wish.user)?;
        let up = plan(self.cx, &wish, &image)?.up();
        let compose: Vec<String> = up.args.iter().take_while(|arg| *arg != "up").cloned().collect();
        let compose = format!("docker {}", shell_words::join(&compose));
        let script = format!("{compose} up -d && {compose} exec -T workspace codex --version");
        let command = Command::new("sh").args(["-c".to_owned(), script]).timeout(COMMAND_BOUND);
        Ok(up.env.into_iter().fold(command, |command, (name, value)| command.env(name, value)))
    }

    fn down(&self, name: &str) -> Result<()> {
        quiet(&self.task(name, "down", &[])).map(drop)
    }

    pub(super) fn measure(&self, row: &str, pairs: usize) -> Result<(Duration, Duration)> {
        match row {
            "enter" => {
                quiet(&self.enter("few"))?;
                let bare = self.bare("few")?;
                self.pairs(pairs, || quiet(&self.enter("few")), || quiet(&bare))
            }
            "start" => {
                quiet(&self.enter("few"))?;
                let bare = self.bare("few")?;
                // `down` is part of neither side.
                let fresh = |command: &Command| self.down("few").and_then(|()| self.lay_ready(command));
                self.pairs(pairs, || fresh(&self.enter("few")), || fresh(&bare))
            }
            "check" => {
                let (mine, other) = self.check()?;
                self.pairs(pairs, || quiet(&mine), || quiet(&other))
            }
            _ => {
                self.fill(SIZES[1])?;
                SIZES.iter().try_for_each(|(name, _)| quiet(&self.enter(name)).map(drop))?;
                let mounts = |name| self.task(name, "mounts", &[]);
                self.pairs(pairs, || quiet(&mounts("many")), || quiet(&mounts("few")))
            }
        }
    }

    /// `down` removes what the bare commands mount: it is laid ready again, as any person's own files would be there.
    fn lay_ready(&self, command: &Command) -> Result<Duration> {
        if command.program == "sh" {
            let wish = gather(self.cx, &self.flags("few"))?;
            let image = build::state(self.cx, &wish.settings, &wish.user)?;
            let project = plan(self.cx, &wish, &image)?;
            for mount in &project.promise.mounts {
                exec::create_dir(&mount.source, 0o755)?;
            }
            exec::write_file(&project.override_file, project.override_text().as_bytes(), 0o644)?;
        }
        quiet(command)
    }

    /// `image --check`, and `docker compose build` of the same Dockerfile with all its layers cached.
    fn check(&self) -> Result<(Command, Command)> {
        let mine = self.cpu(Command::new(&self.exe).args(["image", "--check"]));
        let settings = settings::load(self.cx, &self.flags)?;
        let user = User::read();
        let state = build::state(self.cx, &settings, &user)?;
        build::ensure(self.cx, &settings, &user, &state)?;
        let inputs = build::state(self.cx, &settings, &user)?.inputs;
        let file = serde_json::json!({"services": {"workspace": {
            "image": "codex-sandbox-bench:cached",
            "build": {
                "context": self.cx.root.join("docker"),
                "args": {
                    "BASE_IMAGE": inputs.base,
                    "TORCH_CUDA_ARCH_LIST": inputs.arch_list,
                    "HOST_UID": inputs.uid.to_string(),
                    "HOST_GID": inputs.gid.to_string(),
                },
            },
        }}});
        let path = self.dir.path().join("build.yaml");
        exec::write_file(&path, serde_yaml::to_string(&file)?.as_bytes(), 0o644)?;
        let other = docker::compose(None, &[&path]).arg("build");
        Ok((mine.dir(&self.cx.root).timeout(COMMAND_BOUND), other.timeout(COMMAND_BOUND)))
    }

    /// Medians of both sides, which take turns after one round to warm up.
    fn pairs(
        &self,
        pairs: usize,
        mut mine: impl FnMut() -> Result<Duration>,
        mut other: impl FnMut() -> Result<Duration>,
    ) -> Result<(Duration, Duration)> {
        mine()?;
        other()?;
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for _ in 0..pairs.max(1) {
            a.push(mine()?);
            b.push(other()?);
        }
        Ok((median(a), median(b)))
    }
}

impl Drop for Ground<'_> {
    fn drop(&mut self) {
        for (name, _) in SIZES {
            let _ = quiet(&self.task(name, "down", &["--all", "--yes"]));
        }
        let _ = exec::capture(&docker::remove_image("codex-sandbox-bench:cached"));
    }
}
