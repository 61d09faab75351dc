//! Claims about what holds everything inside: capabilities, privileges, system calls, namespaces.

use super::witness::NAMESPACES;
use super::{Draft, HostWitness, some};
use crate::finding::Finding;
use crate::proof::probe::InsideWitness;

pub(super) fn judge(inside: &InsideWitness, host: &HostWitness) -> Vec<Finding> {
    vec![capabilities(inside, host), no_new_privileges(inside, host), seccomp(inside, host), namespaces(inside, host)]
}

/// A field of `/proc/PID/status`.
pub(super) fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

pub(super) fn same(a: Option<&String>, b: Option<&String>) -> bool {
    a.is_some() && a == b
}

fn capabilities(inside: &InsideWitness, host: &HostWitness) -> Finding {
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
    let asked = &host.container.host_config;
    if let Some(added) = draft.told("which capabilities were added", asked.cap_add.as_deref()) {
        draft.host(format!("added: {}", some(added)));
        draft.check(added.is_empty(), || format!("added capabilities: {}", some(added)));
    }
    if let Some(privileged) = draft.told("whether the container is privileged", asked.privileged) {
        draft.host(format!("privileged: {privileged}"));
        draft.check(!privileged, || "the container is privileged".into());
    }
    draft.done()
}

fn no_new_privileges(inside: &InsideWitness, host: &HostWitness) -> Finding {
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

fn seccomp(inside: &InsideWitness, host: &HostWitness) -> Finding {
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
    if let Some(options) = draft.told("its security options", host.container.host_config.security_opt.as_deref()) {
        draft.check(!options.iter().any(|option| option.ends_with("unconfined")), || {
            format!("security options: {}", some(options))
        });
    }
    draft.done()
}

fn namespaces(inside: &InsideWitness, host: &HostWitness) -> Finding {
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
    for (mode, value) in host.container.host_config.modes() {
        if let Some(value) = draft.told(mode, value) {
            draft.check(value != "host" && !value.starts_with("container:"), || format!("{mode} is `{value}`"));
        }
    }
    draft.done()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{asked, breaks, proc, status};

    #[test]
    fn each_fact_about_the_confinement_breaks_its_claim() {
        breaks(
            "user.capabilities",
            vec![
                status("CapBnd", "0000000000200000"),
                status("CapAmb", ""),
                proc("CapEff", "0000000000000001"),
                asked(|asked| asked.cap_add = Some(vec!["SYS_ADMIN".into()])),
                asked(|asked| asked.privileged = Some(true)),
            ],
        );
        breaks("user.no-new-privileges", vec![status("NoNewPrivs", "0"), proc("NoNewPrivs", "0")]);
        breaks(
            "user.seccomp",
            vec![
                status("Seccomp", "0"),
                proc("Seccomp", "0"),
                asked(|asked| asked.security_opt = Some(vec!["seccomp=unconfined".into()])),
            ],
        );
        breaks(
            "container.namespaces",
            vec![
                asked(|asked| asked.pid_mode = Some("host".into())),
                asked(|asked| asked.ipc_mode = Some("container:x".into())),
                asked(|asked| asked.uts_mode = Some("host".into())),
                Box::new(|_, _, host| {
                    let pid = host.process.as_ref().unwrap().namespaces["pid"].clone();
                    host.own_namespaces.insert("pid".into(), pid);
                }),
                Box::new(|_, inside, _| _ = inside.namespaces.insert("ipc".into(), "ipc:[1]".into())),
            ],
        );
    }
}
