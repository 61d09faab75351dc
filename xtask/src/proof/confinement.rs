//! Claims about what holds everything inside: capabilities, privileges, system calls, namespaces.

use super::witness::NAMESPACES;
use super::{Draft, HostWitness, some};
use crate::finding::Finding;
use crate::proof::probe::Inside;
use serde_json::Value;

pub(super) fn judge(inside: &Inside, host: &HostWitness) -> Vec<Finding> {
    vec![capabilities(inside, host), no_new_privileges(inside, host), seccomp(inside, host), namespaces(inside, host)]
}

/// A field of `/proc/PID/status`.
pub(super) fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

/// The texts of an array of the engine's answer; `null` is an empty one.
pub(super) fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

pub(super) fn same(a: Option<&String>, b: Option<&String>) -> bool {
    a.is_some() && a == b
}

fn capabilities(inside: &Inside, host: &HostWitness) -> Finding {
    let mut draft = Draft::new("user.capabilities", "nothing inside has, or can get, a capability");
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    let held = |status: &str| {
        sets.iter()
            .map(|set| (*set, field(status, set).unwrap_or("missing").to_owned()))
            .filter(|(_, value)| !value.trim_matches('0').is_empty() || value.is_empty())
            .map(|(set, value)| format!("{set} {value}"))
            .collect::<Vec<_>>()
    };
    let mine = held(&inside.status);
    draft.inside(format!("not empty: {}", some(&mine)));
    draft.check(mine.is_empty(), || format!("inside: {}", mine.join(", ")));
    if let Some(process) = draft.process(host) {
        let theirs = held(&process.status);
        draft.host(format!("not empty: {}", some(&theirs)));
        draft.check(theirs.is_empty(), || format!("seen from the host: {}", theirs.join(", ")));
    }
    let added = texts(host.setting("CapAdd"));
    draft.host(format!("added: {}; privileged: {}", some(&added), host.setting("Privileged")));
    draft.check(added.is_empty(), || format!("added capabilities: {}", some(&added)));
    draft.check(host.setting("Privileged") == false, || "the container is privileged".into());
    draft.done()
}

fn no_new_privileges(inside: &Inside, host: &HostWitness) -> Finding {
    let mut draft = Draft::new("user.no-new-privileges", "no program inside gains privileges (setuid has no effect)");
    let mine = field(&inside.status, "NoNewPrivs").unwrap_or("missing");
    draft.inside(format!("NoNewPrivs {mine}"));
    draft.check(mine == "1", || format!("inside, NoNewPrivs is {mine}"));
    if let Some(process) = draft.process(host) {
        let theirs = field(&process.status, "NoNewPrivs").unwrap_or("missing");
        draft.host(format!("NoNewPrivs {theirs}"));
        draft.check(theirs == "1", || format!("seen from the host, NoNewPrivs is {theirs}"));
    }
    draft.done()
}

fn seccomp(inside: &Inside, host: &HostWitness) -> Finding {
    let mut draft = Draft::new("user.seccomp", "system calls go through the engine's filter")
        .hint("the engine runs without seccomp, or the container was started with `seccomp=unconfined`");
    let mine = field(&inside.status, "Seccomp").unwrap_or("missing");
    draft.inside(format!("Seccomp {mine}"));
    draft.check(mine == "2", || format!("inside, Seccomp is {mine}, not 2"));
    if let Some(process) = draft.process(host) {
        let theirs = field(&process.status, "Seccomp").unwrap_or("missing");
        draft.host(format!("Seccomp {theirs}"));
        draft.check(theirs == "2", || format!("seen from the host, Seccomp is {theirs}, not 2"));
    }
    let options = texts(host.setting("SecurityOpt"));
    draft.check(!options.iter().any(|option| option.ends_with("unconfined")), || {
        format!("security options: {}", some(&options))
    });
    draft.done()
}

fn namespaces(inside: &Inside, host: &HostWitness) -> Finding {
    let mut draft =
        Draft::new("container.namespaces", format!("the container has its own {} namespaces", NAMESPACES.join(", ")));
    if let Some(process) = draft.process(host) {
        for kind in NAMESPACES {
            let theirs = process.namespaces.get(kind);
            draft.check(same(theirs, inside.namespaces.get(kind)), || {
                format!("the witnesses do not agree on the {kind} namespace")
            });
            draft.check(theirs != host.own_namespaces.get(kind), || format!("it shares the host's {kind} namespace"));
        }
        let shared = same(process.namespaces.get("user"), host.own_namespaces.get("user"));
        let user = if shared { "the host's own" } else { "mapped" };
        draft.host(format!("all differ from the host's; user ids are {user}"));
    }
    let own: Vec<&str> =
        NAMESPACES.iter().filter_map(|kind| inside.namespaces.get(*kind)).map(String::as_str).collect();
    draft.inside(own.join(" "));
    for mode in ["PidMode", "IpcMode", "NetworkMode", "UTSMode"] {
        let value = host.setting(mode).as_str().unwrap_or_default();
        draft.check(value != "host" && !value.starts_with("container:"), || format!("{mode} is `{value}`"));
    }
    draft.done()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{breaks, proc, setting, status};
    use serde_json::json;

    #[test]
    fn each_fact_about_the_confinement_breaks_its_claim() {
        breaks(
            "user.capabilities",
            vec![
                status("CapBnd", "0000000000200000"),
                status("CapAmb", ""),
                proc("CapEff", "0000000000000001"),
                setting("CapAdd", json!(["SYS_ADMIN"])),
                setting("Privileged", json!(true)),
            ],
        );
        breaks("user.no-new-privileges", vec![status("NoNewPrivs", "0"), proc("NoNewPrivs", "0")]);
        breaks(
            "user.seccomp",
            vec![status("Seccomp", "0"), proc("Seccomp", "0"), setting("SecurityOpt", json!(["seccomp=unconfined"]))],
        );
        breaks(
            "container.namespaces",
            vec![
                setting("PidMode", json!("host")),
                setting("IpcMode", json!("container:x")),
                setting("UTSMode", json!("host")),
                Box::new(|_, _, host| {
                    let pid = host.process.as_ref().unwrap().namespaces["pid"].clone();
                    host.own_namespaces.insert("pid".into(), pid);
                }),
                Box::new(|_, inside, _| _ = inside.namespaces.insert("ipc".into(), "ipc:[1]".into())),
            ],
        );
    }
}
