//! Removes everything that the demo made, and says what it leaves.

use super::ground::{DemoGround, MadeByDemo};
use crate::context::Context;
use crate::engine::{docker, errors, install, provide};
use crate::life::changes::Decision;
use crate::life::down::Removal;
use crate::outside;
use crate::proof::Proof;
use crate::signals::Signals;
use crate::step::Step;
use crate::{exec, life, ui};
use anyhow::Result;
use std::path::Path;

/// Exit code 1 where an image had to be kept.
pub(crate) fn clean(cx: &Context) -> Result<u8> {
    let ground = DemoGround::of(cx);
    let record = ground.read();
    if ground.project.exists() || ground.state.exists() {
        let flags = ground.flags(true, None, None);
        let removed = Removal::read(&ground.context(cx, true), &flags, true, false, false, &|| false)?
            .run(&Decision::new(None, false, &Signals::none()), &|| false)?;
        let copy = life::copy_of_proof(cx);
        if removed.is_some_and(|container| is_of(&copy, &container.id)) {
            exec::all(&[Step::Remove { path: copy }])?;
        }
    }
    let mut kept: Vec<String> = Vec::new();
    // The newest image is removed first, because an image is built on an older one.
    for image in record.images.iter().rev() {
        if !remove_image(image)? {
            kept.insert(0, image.clone());
        }
    }
    let stopped = provide::stop(cx)?;
    if kept.is_empty() {
        let codex = ground.codex.parent().unwrap_or(&ground.codex).to_path_buf();
        let there: Vec<_> = [ground.root.clone(), codex].into_iter().filter(|path| path.exists()).collect();
        exec::all(&there.iter().map(|path| Step::Remove { path: path.clone() }).collect::<Vec<_>>())?;
        for path in there {
            ui::say(format_args!("removed `{}`", path.display()));
        }
    } else {
        ground.write(&MadeByDemo { images: kept.clone(), ..record.clone() })?;
    }
    for line in lines(&record, &kept, stopped) {
        ui::say(line);
    }
    Ok(u8::from(!kept.is_empty()))
}

/// Whether a saved proof is about this container.
fn is_of(proof: &Path, container: &str) -> bool {
    let text = outside::bytes(proof, outside::STATE).unwrap_or_default();
    serde_json::from_slice::<Proof>(&text).is_ok_and(|proof| proof.container == container)
}

/// Removes an image. One that is already gone counts as removed; one that a container uses is kept.
fn remove_image(image: &str) -> Result<bool> {
    let command = docker::remove_image(image);
    ui::echo(&command);
    let said = exec::capture(&command)?;
    Ok(said.ok() || errors::is_no_image(&said.stderr))
}

/// What was done and what is left. Pure.
fn lines(record: &MadeByDemo, kept: &[String], stopped: bool) -> Vec<String> {
    let image =
        |image: &String| format!("kept the image `{image}`: a container uses it; `docker ps --all` shows which");
    let engine = "stopped the engine that the demo had started; its images are still in /var/lib/docker";
    let cache =
        "the engine's build cache was kept, because other projects use it too; `docker builder prune` empties it";
    let removal = install::removal(&record.packages, record.next);
    let rest = [
        (stopped, engine.to_owned()),
        (!record.images.is_empty(), cache.to_owned()),
        (!record.packages.is_empty(), format!("the packages that were installed stay; to remove them: {removal}")),
        (kept.is_empty(), "nothing of the demo is left".to_owned()),
    ];
    kept.iter().map(image).chain(rest.into_iter().filter_map(|(said, line)| said.then_some(line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_said() {
        assert_eq!(lines(&MadeByDemo::default(), &[], false), ["nothing of the demo is left"]);
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
