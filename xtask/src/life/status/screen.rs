//! The status as a screen for people. Pure.

use super::{Activity, BindMount, GpuUse, Sandbox, SharedMemory, Status};
use crate::codex::home::Secrets;
use crate::life::changes::DECIDES;
use crate::spec::Spec;
use crate::text::{self, bytes};
use crate::ui;
use std::time::Duration;

/// The widest name, and the gap behind it.
const INDENT: usize = "state folder".len() + 2;

/// The most unused caches that are named.
const NAMED: usize = 5;

const ALL: &str = "`cargo xtask status --json` names all";

type ScreenRow = (&'static str, String);

impl Status {
    /// Lays the status out. On a terminal of this many columns, long paths lose their middle and no line is longer but one with
    /// a command.
    pub(crate) fn screen(&self, width: Option<usize>) -> String {
        let room = width.map(|width| width.saturating_sub(INDENT));
        let mut rows: Vec<ScreenRow> = vec![("container", self.container.clone()), ("state", self.state())];
        let gone =
            format!("`{}` is not there any more; `cargo xtask down` removes its sandbox", text::path(&self.workspace));
        rows.extend(self.is_gone.then_some(("workspace", gone)));
        if let Some(sandbox) = &self.sandbox {
            rows.extend(sandbox.rows(room));
        }
        let undecided = self.undecided.iter().cloned().chain([DECIDES.to_owned()]).collect();
        rows.extend(named("undecided", undecided).filter(|_| !self.undecided.is_empty()));
        rows.extend(named("secrets", self.config_secrets.iter().flat_map(Secrets::places).collect()));
        let others = self.caches.len().saturating_sub(self.own_caches.len());
        let others = (others > 0).then(|| format!("{others} of other sandboxes: {ALL}"));
        rows.extend(named("caches", self.own_caches.iter().cloned().chain(others).collect()));
        let more = self.unused_caches.len().saturating_sub(NAMED);
        let more = (more > 0).then(|| format!("and {more} more: {ALL}"));
        let unused = self.unused_caches.iter().take(NAMED).cloned().chain(more);
        let unused = unused.chain(["`docker volume rm NAME` removes one".to_owned()]);
        rows.extend(named("unused", unused.collect()).filter(|_| !self.unused_caches.is_empty()));
        rows.push(("state folder", self.state_folder.display().to_string()));
        // A command that has lost its middle is none.
        let fit = |text: &str| match room.filter(|_| !text.contains("`cargo xtask ")) {
            Some(room) => ui::shortened(text, room),
            None => text.to_owned(),
        };
        let rows: Vec<_> = rows.iter().map(|(name, text)| vec![(*name).to_owned(), fit(text)]).collect();
        ui::columns(&rows).trim_end().to_owned()
    }

    fn state(&self) -> String {
        let state = self.state;
        if state == Activity::None {
            return format!("{state}: `cargo xtask sandbox` starts one");
        }
        match self.sandbox.as_ref().and_then(|sandbox| sandbox.uptime_s) {
            Some(seconds) => format!("{state} for {}", span(seconds)),
            None => state.to_string(),
        }
    }
}

impl Sandbox {
    fn rows(&self, room: Option<usize>) -> Vec<ScreenRow> {
        let mut rows = vec![("image", self.image.clone())];
        rows.extend(self.unreadable.iter().map(|why| ("label", format!("cannot be read: {why}"))));
        let setting = |of: fn(&Spec) -> String| self.spec.as_ref().map_or("-".to_owned(), of);
        rows.push(("codex", setting(|spec| spec.codex_version.clone())));
        rows.push(("network", setting(|spec| spec.shape.network.to_string())));
        rows.push(("gpus", setting(|spec| spec.shape.gpus.to_string())));
        rows.extend(self.gpus.iter().flatten().map(|gpu| ("", gpu_line(gpu))));
        rows.extend(
            self.shm.map(|SharedMemory { used, size }| ("shm", format!("{} of {} used", bytes(used), bytes(size)))),
        );
        let used = self.used.iter();
        let killed = used.clone().filter_map(|used| used.oom_kills.filter(|kills| *kills > 0));
        rows.extend(killed.map(|kills| ("killed", format!("{kills} for want of memory since its start"))));
        let memory = self.spec.as_ref().and_then(|spec| spec.shape.memory);
        rows.extend(memory.map(|limit| ("memory", format!("at most {}", bytes(limit)))));
        let written = used.clone().filter_map(|used| used.written_bytes);
        rows.extend(written.map(|count| ("written", format!("{} to disks since its start", bytes(count)))));
        let free = used.flat_map(|used| &used.free);
        let free =
            free.map(|free| format!("{} on the file system of {}", bytes(free.free_bytes), text::path(&free.dir)));
        rows.extend(named("room", free.collect()));
        rows.extend(self.login.iter().map(|login| ("login", ui::printable(login))));
        rows.extend(named("mounts", mount_lines(&self.mounts, room)));
        let sessions: Vec<String> = self.sessions.iter().map(|program| ui::printable(program)).collect();
        rows.extend(named("sessions", if sessions.is_empty() { vec!["none".to_owned()] } else { sessions }));
        rows.extend(named("in doubt", self.in_doubt.iter().map(ToString::to_string).collect()));
        rows.extend(named("leftovers", self.leftovers.iter().map(ToString::to_string).collect()));
        rows
    }
}

/// Several lines, of which the first has the name before it.
fn named(name: &'static str, lines: Vec<String>) -> impl Iterator<Item = ScreenRow> {
    lines.into_iter().enumerate().map(move |(i, line)| (if i == 0 { name } else { "" }, line))
}

/// A span of time in its two largest units.
fn span(seconds: u64) -> String {
    let all = humantime::format_duration(Duration::from_secs(seconds)).to_string();
    all.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

fn gpu_line(gpu: &GpuUse) -> String {
    let number = |number: Option<u64>| number.map_or("?".to_owned(), |number| number.to_string());
    let [percent, used, total] = [gpu.percent, gpu.used_mib, gpu.total_mib].map(number);
    let [index, name] = [&gpu.index, &gpu.name].map(|text| ui::printable(text));
    format!("{index} {name}: {percent} % busy, {used} of {total} MiB used")
}

/// Where each mount comes from. The target says more than the source, so it is the source that is shortened.
fn mount_lines(mounts: &[BindMount], room: Option<usize>) -> Vec<String> {
    let widest = mounts.iter().map(|mount| mount.target.chars().count()).max().unwrap_or(0);
    // What stands before the source: "read-only", two spaces, the column of the targets and " <- ".
    let before = "read-only".len() + 2 + widest + 4;
    let line = |mount: &BindMount| {
        let access = if mount.writable == Some(true) { "writable" } else { "read-only" };
        let source = match room {
            Some(room) => ui::shortened(&mount.source, room.saturating_sub(before).max(12)),
            None => mount.source.clone(),
        };
        format!("{access:9}  {:widest$} <- {source}", mount.target)
    };
    mounts.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::life::leftovers::Leftover;
    use crate::life::used::{Free, Used};
    use crate::proof::fixture;

    fn report() -> Status {
        let mount = |target: &str, source: &str, writable| BindMount {
            target: target.into(),
            source: source.into(),
            writable: Some(writable),
        };
        let mut spec = Spec { codex_version: "0.169.0".into(), ..fixture::spec() };
        spec.shape.gpus = crate::spec::words::Gpus::All;
        let sandbox = Sandbox {
            id: "0a1b".into(),
            image: "codex-sandbox:0123456789ab-u1000".into(),
            image_id: "sha256:0a".into(),
            started: "2026-01-01T00:00:00Z".into(),
            uptime_s: Some(7503),
            spec: Some(spec),
            unreadable: None,
            mounts: vec![
                mount("/workspace", "/home/me/project", true),
                mount(
                    "/home/codex/.codex",
                    "/home/me/.local/state/codex-sandbox/workspaces/project-0a1b2c3d/codex-home",
                    true,
                ),
                mount("/datasets/ssv2", "/data/ssv2", false),
            ],
            login: Some("its own; what is in it is not known".into()),
            sessions: vec![
                "/opt/codex/bin/codex -c sandbox_mode=\"danger-full-access\" exec a very long prompt that goes on"
                    .into(),
            ],
            in_doubt: vec![Leftover {
                pid: 4710,
                since: Some("2026-01-01T01:00:00Z".into()),
                stopped: true,
                args: "codex".into(),
            }],
            leftovers: vec![Leftover {
                pid: 4711,
                since: Some("2026-01-01T01:00:00Z".into()),
                stopped: false,
                args: "x\u{1b}[2J -- sleep infinity".into(),
            }],
            used: Some(Used {
                oom_kills: Some(2),
                limit_hits: Some(1),
                was_full: false,
                written_bytes: Some(3 << 30),
                free: vec![Free { dir: "/home/me/project".into(), free_bytes: 100 << 30 }],
            }),
            shm: Some(SharedMemory { used: 1_288_490_188, size: 34_359_738_368 }),
            gpus: Some(vec![GpuUse {
                index: "0".into(),
                name: "NVIDIA RTX\u{1b}[2J".into(),
                percent: Some(37),
                used_mib: Some(10240),
                total_mib: None,
            }]),
        };
        Status {
            container: "codex-sandbox-project-0a1b2c3d-workspace-1".into(),
            state: Activity::Running,
            sandbox: Some(sandbox),
            workspace: "/home/me/project".into(),
            is_gone: false,
            config_secrets: None,
            state_folder: "/home/me/.local/state/codex-sandbox/workspaces/project-0a1b2c3d".into(),
            untrusted: None,
            undecided: vec!["`.envrc` changed".into(), "`.mcp.json` is new".into()],
            caches: vec!["codex-sandbox-cache-pip-open-u1000".into(), "codex-sandbox-cache-uv-u1000".into()],
            own_caches: vec!["codex-sandbox-cache-pip-open-u1000".into()],
            unused_caches: vec!["codex-sandbox-cache-uv-u1000".into()],
        }
    }

    fn screen(status: &Status, width: Option<usize>) -> String {
        status.screen(width)
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
killed        2 for want of memory since its start
memory        at most 115.0 GiB
written       3.0 GiB to disks since its start
room          100.0 GiB on the file system of /home/me/project
login         its own; what is in it is not known
mounts        writable   /workspace         <- /home/me/project
              writable   /home/codex/.codex <- /home/me/.local/state/codex-sandbox/workspaces/project-0a1b2c3d/codex-home
              read-only  /datasets/ssv2     <- /data/ssv2
sessions      /opt/codex/bin/codex -c sandbox_mode=\"danger-full-access\" exec a very long prompt that goes on
in doubt      pid 4710 since 2026-01-01T01:00:00Z (stopped): codex
leftovers     pid 4711 since 2026-01-01T01:00:00Z: x\\u{1b}[2J -- sleep infinity
undecided     `.envrc` changed
              `.mcp.json` is new
              `cargo xtask down --on-change keep` (or `restore`, or `aside`) decides, and so does the next entry
caches        codex-sandbox-cache-pip-open-u1000
              1 of other sandboxes: `cargo xtask status --json` names all
unused        codex-sandbox-cache-uv-u1000
              `docker volume rm NAME` removes one
state folder  /home/me/.local/state/codex-sandbox/workspaces/project-0a1b2c3d"
        );
    }

    #[test]
    fn on_a_terminal_no_line_is_longer_than_it() {
        for width in [60, 80, 100] {
            let text = screen(&report(), Some(width));
            let fits = |line: &str| line.chars().count() <= width || line.contains("`cargo xtask ");
            assert!(text.lines().all(fits), "{width}:\n{text}");
            assert!(text.contains(DECIDES) && text.contains(ALL), "{text}");
            assert!(text.contains("/workspace ") && text.contains("/datasets/ssv2 "), "{text}");
        }
        let text = screen(&report(), Some(80));
        assert!(text.contains("writable   /home/codex/.codex <- /home/me/"), "{text}");
        assert!(text.contains("…"), "{text}");
        assert!(text.contains("<- /data/ssv2\n"), "what has room stays whole: {text}");
    }

    fn nothing() -> Status {
        let (container, state_folder) = ("c".into(), "/s".into());
        Status {
            container,
            state: Activity::None,
            sandbox: None,
            workspace: "/home/me/`project".into(),
            is_gone: false,
            config_secrets: None,
            state_folder,
            untrusted: None,
            undecided: Vec::new(),
            caches: Vec::new(),
            own_caches: Vec::new(),
            unused_caches: Vec::new(),
        }
    }

    #[test]
    fn where_nothing_runs_it_is_short() {
        let text = screen(&nothing(), Some(80));
        assert_eq!(text, "container     c\nstate         none: `cargo xtask sandbox` starts one\nstate folder  /s");
        let text = screen(&Status { is_gone: true, ..nothing() }, None);
        assert!(text.contains("\nworkspace     `/home/me/\\u{60}project` is not there any more; "), "{text}");
    }

    #[test]
    fn the_caches_of_others_are_counted_and_not_named() {
        let caches: Vec<String> = (0..40).map(|n| format!("cache-{n}")).collect();
        let status = Status { unused_caches: caches[..7].to_vec(), caches, ..nothing() };
        let text = screen(&status, None);
        assert!(text.contains("\ncaches        40 of other sandboxes: "), "{text}");
        assert!(text.contains("cache-4\n              and 2 more: ") && !text.contains("cache-5"), "{text}");
    }

    #[test]
    fn the_json_has_the_whole_spec_and_no_layer_for_the_container() {
        let value = serde_json::to_value(report()).unwrap();
        assert_eq!(value["spec"], serde_json::to_value(report().sandbox.unwrap().spec).unwrap());
        assert_eq!((&value["state"], &value["uptime_s"]), (&"running".into(), &7503.into()));
        let nothing = serde_json::to_value(nothing()).unwrap();
        assert_eq!(nothing, serde_json::json!({"container": "c", "state": "none", "state_folder": "/s", "caches": []}));
    }
}
