//! The status as a screen for people. Pure.

use crate::ui;
use serde_json::Value;
use std::time::Duration;

/// Lays the report out; on a terminal of so many columns, long paths lose their middle and no line is longer.
pub fn screen(report: &Value, width: Option<usize>) -> String {
    let text = |key: &str| report[key].as_str().unwrap_or("-").to_owned();
    let mut rows: Vec<(&str, String)> = vec![("container", text("container")), ("state", state(report))];
    if report["state"] != "none" {
        let setting = |key: &str| {
            report["spec"][key].as_str().or(report["spec"]["shape"][key].as_str()).unwrap_or("-").to_owned()
        };
        rows.push(("image", text("image")));
        rows.extend(report["unreadable"].as_str().map(|why| ("label", format!("cannot be read: {why}"))));
        rows.push(("codex", setting("codex_version")));
        rows.push(("network", setting("network")));
        rows.push(("gpus", setting("gpus")));
        rows.extend(list(&report["gpus"]).map(|gpu| ("", gpu_line(gpu))));
        rows.extend(shm_line(&report["shm"]).map(|line| ("shm", line)));
        let mounts = mount_lines(report, width.map(|width| width.saturating_sub(INDENT)));
        rows.extend(mounts.into_iter().enumerate().map(|(i, line)| (if i == 0 { "mounts" } else { "" }, line)));
        rows.push(("sessions", list(&report["sessions"]).count().to_string()));
        let line = |line: &Value| ui::printable(line.as_str().unwrap_or_default());
        rows.extend(list(&report["sessions"]).map(|session| ("", line(session))));
    }
    let caches = list(&report["caches"]).filter_map(Value::as_str);
    rows.extend(caches.enumerate().map(|(i, volume)| (if i == 0 { "caches" } else { "" }, volume.to_owned())));
    rows.push(("state folder", text("state_folder")));
    let fit = |text: &str| match width {
        Some(width) => ui::shortened(text, width.saturating_sub(INDENT)),
        None => text.to_owned(),
    };
    let rows: Vec<Vec<String>> = rows.iter().map(|(name, text)| vec![(*name).to_owned(), fit(text)]).collect();
    ui::columns(&rows).trim_end().to_owned()
}

/// The widest name, and the gap behind it.
const INDENT: usize = "state folder".len() + 2;

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn state(report: &Value) -> String {
    let state = report["state"].as_str().unwrap_or("-");
    match report["uptime_s"].as_u64() {
        Some(seconds) => format!("{state} for {}", span(seconds)),
        None => state.to_owned(),
    }
}

/// A span of time in its two largest units.
fn span(seconds: u64) -> String {
    let all = humantime::format_duration(Duration::from_secs(seconds)).to_string();
    all.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

fn gpu_line(gpu: &Value) -> String {
    let number = |key: &str| gpu[key].as_u64().map_or("?".to_owned(), |number| number.to_string());
    let text = |key: &str| ui::printable(gpu[key].as_str().unwrap_or("?"));
    format!(
        "{} {}: {} % busy, {} of {} MiB used",
        text("index"),
        text("name"),
        number("percent"),
        number("used_mib"),
        number("total_mib")
    )
}

fn shm_line(shm: &Value) -> Option<String> {
    Some(format!("{} of {} used", size(shm["used"].as_u64()?), size(shm["size"].as_u64()?)))
}

/// Bytes in the unit in which they are easiest to say.
fn size(bytes: u64) -> String {
    let units = [(1u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        // In tenths, without a float's surprises.
        Some((unit, name)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(unit);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} B"),
    }
}

/// Where each mount comes from; the targets say the most, so it is the sources that give way.
fn mount_lines(report: &Value, room: Option<usize>) -> Vec<String> {
    let text = |mount: &Value, key: &str| mount[key].as_str().unwrap_or("-").to_owned();
    let mounts: Vec<(String, String, &str)> = list(&report["mounts"])
        .map(|mount| {
            let access = if mount["writable"] == true { "writable" } else { "read-only" };
            (text(mount, "target"), text(mount, "source"), access)
        })
        .collect();
    let widest = mounts.iter().map(|(target, ..)| target.chars().count()).max().unwrap_or(0);
    let row = |(target, source, access): &(String, String, &str)| {
        // "read-only", its gap, the target's column and " <- ".
        let source = room.map_or(source.clone(), |room| {
            ui::shortened(source, room.saturating_sub("read-only".len() + 2 + widest + 4).max(12))
        });
        format!("{access:9}  {target:widest$} <- {source}")
    };
    mounts.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report() -> Value {
        json!({
            "container": "codex-sandbox-project-0a1b2c3d-workspace-1", "state": "running", "uptime_s": 7503,
            "image": "codex-sandbox:0123456789ab-u1000",
            "spec": {"codex_version": "0.169.0", "shape": {"network": "open", "gpus": "all"}},
            "gpus": [{"index": "0", "name": "NVIDIA RTX\u{1b}[2J", "percent": 37, "used_mib": 10240, "total_mib": null}],
            "shm": {"used": 1_288_490_188u64, "size": 34_359_738_368u64},
            "mounts": [
                {"target": "/workspace", "source": "/home/me/project", "writable": true},
                {"target": "/home/codex/.codex", "writable": true,
                 "source": "/home/me/.local/state/codex-sandbox/workspaces/project-0a1b2c3d/codex-home"},
                {"target": "/datasets/ssv2", "source": "/data/ssv2", "writable": false},
            ],
            "caches": ["codex-sandbox-cache-pip-u1000", "codex-sandbox-cache-uv-u1000"],
            "sessions": ["/opt/codex/bin/codex -c sandbox_mode=\"danger-full-access\" exec a very long prompt that goes on"],
            "state_folder": "/home/me/.local/state/codex-sandbox/workspaces/project-0a1b2c3d",
        })
    }

    #[test]
    fn all_of_it_is_said_in_full_where_no_terminal_is() {
        assert_eq!(
            screen(&report(), None),
            "\
container     codex-sandbox-project-0a1b2c3d-workspace-1
state         running for 2h 5m
image         codex-sandbox:0123456789ab-u1000
codex         0.169.0
network       open
gpus          all
              0 NVIDIA RTX\\u{1b}[2J: 37 % busy, 10240 of ? MiB used
shm           1.1 GiB of 32.0 GiB used
mounts        writable   /workspace         <- /home/me/project
              writable   /home/codex/.codex <- /home/me/.local/state/codex-sandbox/workspaces/project-0a1b2c3d/codex-home
              read-only  /datasets/ssv2     <- /data/ssv2
sessions      1
              /opt/codex/bin/codex -c sandbox_mode=\"danger-full-access\" exec a very long prompt that goes on
caches        codex-sandbox-cache-pip-u1000
              codex-sandbox-cache-uv-u1000
state folder  /home/me/.local/state/codex-sandbox/workspaces/project-0a1b2c3d"
        );
    }

    #[test]
    fn on_a_terminal_no_line_is_longer_than_it() {
        for width in [60, 80, 100] {
            let text = screen(&report(), Some(width));
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}:\n{text}");
            assert!(text.contains("/workspace ") && text.contains("/datasets/ssv2 "), "{text}");
        }
        let text = screen(&report(), Some(80));
        assert!(text.contains("writable   /home/codex/.codex <- /home/me/"), "{text}");
        assert!(text.contains("…"), "{text}");
        assert!(text.contains("<- /data/ssv2\n"), "what has room stays whole: {text}");
    }

    #[test]
    fn where_nothing_runs_it_is_short() {
        let text = screen(&json!({"container": "c", "state": "none", "state_folder": "/s"}), Some(80));
        assert_eq!(text, "container     c\nstate         none\nstate folder  /s");
    }
}
