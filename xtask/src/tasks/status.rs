//! `cargo xtask status`: what runs, in one screen.

use crate::cli::Flags;
use crate::context::Context;
use crate::exec;
use crate::host::user::User;
use crate::sandbox::running::{Running, sessions};
use crate::sandbox::{compose, places, settings};
use crate::step::Command;
use crate::tasks::down::workspace;
use crate::tasks::sandbox::find;
use crate::ui;
use anyhow::Result;
use serde_json::{Value, json};

/// Runs the task. Exit code 0 also where nothing runs: that is an answer.
///
/// # Errors
/// The engine does not answer.
pub fn run(cx: &Context, flags: &Flags) -> Result<u8> {
    let settings = settings::load(cx, flags)?;
    let places = places::of(cx, &workspace(&settings.workspace), User::read().uid);
    let container = compose::container_name(&places.project);
    let running = find(&container)?;
    let live = match &running {
        Some(running) if running.up => {
            let top = Command::new("docker").args(["top", &running.id, "-eo", "pid,args"]);
            sessions(&exec::stdout_of(&top)?)
        }
        _ => Vec::new(),
    };
    let report = report(&container, running.as_ref(), &live, &places);
    ui::result(if flags.json {
        format!("{report:#}")
    } else {
        screen(&report)
    });
    Ok(0)
}

/// The status as JSON; `state` is `running`, `stopped` or `none`.
pub fn report(container: &str, running: Option<&Running>, live: &[String], places: &places::Places) -> Value {
    let Some(running) = running else {
        return json!({"container": container, "state": "none", "state_folder": places.dir});
    };
    let mounts: Vec<Value> = running.inspect["Mounts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|mount| mount["Type"] == "bind")
        .map(|mount| json!({"target": mount["Destination"], "source": mount["Source"], "writable": mount["RW"]}))
        .collect();
    json!({
        "container": container,
        "state": if running.up { "running" } else { "stopped" },
        "id": running.id,
        "image": running.inspect["Config"]["Image"],
        "image_id": running.inspect["Image"],
        "started": running.started,
        "settings": running.settings,
        "mounts": mounts,
        "sessions": live,
        "state_folder": places.dir,
    })
}

fn screen(report: &Value) -> String {
    let text = |key: &str| report[key].as_str().unwrap_or("-").to_owned();
    let setting = |key: &str| report["settings"][key].as_str().unwrap_or("-").to_owned();
    let mut rows = vec![
        vec!["container".to_owned(), text("container")],
        vec!["state".to_owned(), text("state")],
    ];
    if report["state"] != "none" {
        rows.push(vec!["started".into(), text("started")]);
        rows.push(vec!["image".into(), text("image")]);
        rows.push(vec!["codex".into(), setting("codex")]);
        rows.push(vec!["gpus".into(), setting("gpus")]);
        rows.push(vec!["network".into(), setting("network")]);
        for mount in report["mounts"].as_array().into_iter().flatten() {
            let access = if mount["writable"] == true {
                "writable"
            } else {
                "read-only"
            };
            let (target, source) = (mount["target"].as_str(), mount["source"].as_str());
            rows.push(vec![
                "mount".into(),
                format!("{} <- {} ({access})", target.unwrap_or("-"), source.unwrap_or("-")),
            ]);
        }
        let live: Vec<&str> = report["sessions"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        rows.push(vec!["sessions".into(), live.len().to_string()]);
        rows.extend(live.iter().map(|line| vec![String::new(), ui::printable(line)]));
    }
    rows.push(vec!["state folder".into(), text("state_folder")]);
    ui::columns(&rows).trim_end().to_owned()
}
