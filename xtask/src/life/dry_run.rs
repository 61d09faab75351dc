//! What would be done: the settings, the exports and every step, printed and not run.

use super::start::Started;
use super::{home, native};
use crate::context::Context;
use crate::engine::inspect::Container;
use crate::image::build;
use crate::life::gather::Wish;
use crate::life::record::Entry;
use crate::proof::probe::ProbeRequest;
use crate::spec::promise::Role;
use crate::step::Step;
use crate::ui;
use anyhow::Result;

/// Prints what would be done: settings with their origin, exports, override, steps. Runs nothing.
///
/// # Errors
/// What is wanted cannot be planned.
pub fn dry_run(cx: &Context, wish: &Wish, shell: bool, args: &[String]) -> Result<u8> {
    ui::result("# settings");
    let row =
        |o: &crate::spec::settings::Origin| vec![format!("#   {}", o.key), o.value.clone(), format!("({})", o.from)];
    ui::result(ui::columns(&wish.settings.origins.iter().map(row).collect::<Vec<_>>()).trim_end());
    for note in home::notes(cx, wish)? {
        ui::result(format_args!("# codex home: {note}"));
    }
    // What the host's GPUs would be asked through is found at start: a dry run asks the engine nothing.
    let image = build::state(cx, &wish.settings, &wish.user)?;
    let project = super::plan(cx, wish, &image)?;
    for step in image_steps(cx, wish, &image) {
        ui::result(step);
    }
    for (name, value) in project.exports() {
        ui::result(format_args!("export {name}={}", shell_words::quote(&value)));
    }
    ui::result(Step::WriteFile { path: project.override_file.clone(), text: project.override_text() });
    for step in project.cache_steps() {
        ui::result(step);
    }
    for mount in &project.promise.mounts {
        if !matches!(mount.role, Role::Cache(_)) && !mount.source.exists() {
            let source = mount.source.display();
            ui::result(format_args!("# before this, `sandbox` fills `{source}`; where it is missing, nothing starts"));
        }
    }
    ui::result(project.up());
    let name = project.container();
    ui::result(ProbeRequest::new(&project.promise, "NONCE").command(&name));
    if let Some(command) = native::dry_run(cx, wish, &name) {
        ui::result(command);
    }
    let entry = Entry::new(project.promise);
    let started = Started {
        container: name.clone(),
        id: name,
        ours: false,
        entry,
        described: Container::default(),
        missing: Vec::new(),
        early: None,
    };
    ui::result(super::enter::command(cx, wish, &started, "SESSION", shell, args));
    Ok(0)
}

fn image_steps(cx: &Context, wish: &Wish, image: &build::State) -> Vec<Step> {
    if image.id.is_some() {
        return Vec::new();
    }
    build::steps(cx, &wish.settings, image, crate::image::plan::Wishes::default())
}
