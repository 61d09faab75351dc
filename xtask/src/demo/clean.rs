//! `cargo xtask demo --clean`: removes all that the demo made, and says what it leaves.

use super::ground::{DemoGround, MadeByDemo};
use crate::context::Context;
use crate::engine::{docker, errors, install, provide};
use crate::life::{self, down};
use crate::step::Step;
use crate::{exec, ui};
use anyhow::Result;
use serde_json::Value;

/// Runs it.
///
/// # Errors
/// Something cannot be removed, such as a container whose engine does not answer.
pub fn run(cx: &Context, ground: &DemoGround) -> Result<u8> {
    let record = ground.read();
    let own = ground.context(cx, true);
    let flags = ground.flags(true, None, None);
    if ground.project.exists() || ground.state.exists() {
        let copy = life::copy_of_proof(cx);
        let found = life::find(&ground.container(&own))?;
        down::run(&own, &down::Args { flags, all: true, yes: true, ..down::Args::default() })?;
        if found.is_some_and(|running| names(&copy, &running.id)) {
            exec::all(&[Step::Remove { path: copy }])?;
        }
    }
    // The newest first: an image is built on an older one.
    let mut kept: Vec<String> = Vec::new();
    for image in record.images.iter().rev() {
        if !remove_image(image)? {
            kept.push(image.clone());
        }
    }
    let codex = ground.codex.parent().unwrap_or(&ground.codex).to_path_buf();
    let stopped = provide::stop(cx)?;
    if kept.is_empty() {
        exec::all(&[ground.root.clone(), codex].map(|path| Step::Remove { path }))?;
    } else {
        let left = MadeByDemo { images: kept.iter().rev().cloned().collect(), ..record.clone() };
        ground.write(&left)?;
    }
    for line in lines(&record, &kept, stopped) {
        ui::say(line);
    }
    Ok(u8::from(!kept.is_empty()))
}

fn names(proof: &std::path::Path, container: &str) -> bool {
    let text = std::fs::read(proof).unwrap_or_default();
    serde_json::from_slice::<Value>(&text).is_ok_and(|proof| proof["container"] == container)
}

/// Removes an image; one that is gone counts as removed, one that somebody uses is kept.
fn remove_image(image: &str) -> Result<bool> {
    let command = docker::remove_image(image);
    ui::echo(&command);
    let said = exec::capture(&command)?;
    Ok(said.ok() || errors::is_no_image(&said.stderr))
}

/// What was done and what is left. Pure.
fn lines(record: &MadeByDemo, kept: &[String], stopped: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for image in kept {
        lines.push(format!("kept the image `{image}`: a container uses it; `docker ps --all` shows which"));
    }
    if stopped {
        lines.push("stopped the engine that the demo had started; its images lie in /var/lib/docker".to_owned());
    }
    if !record.images.is_empty() {
        lines.push("the engine's build cache is everyone's and was left: `docker builder prune`".to_owned());
    }
    if !record.packages.is_empty() {
        lines.push(format!(
            "the packages that were installed stay; to remove them: {}",
            install::removal(&record.packages, record.next)
        ));
    }
    if kept.is_empty() {
        lines.push("nothing else of the demo is left".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_said() {
        assert_eq!(lines(&MadeByDemo::default(), &[], false), ["nothing else of the demo is left"]);
        let record =
            MadeByDemo { images: vec!["a".into()], packages: vec!["docker.io".into(), "npm".into()], next: true };
        let lines = lines(&record, &["a".into()], true).join("\n");
        for text in [
            "kept the image `a`",
            "stopped the engine",
            "builder prune",
            "purge --autoremove docker.io npm",
            "codex-sandbox-next",
        ] {
            assert!(lines.contains(text), "{lines}");
        }
    }
}
