//! Claims about who and where: the container itself, its user, capabilities, namespaces.

use super::witness::NAMESPACES;
use super::{Claim, Draft, HostWitness, some};
use crate::sandbox::probe::{HOME_INSIDE, Inside};
use crate::sandbox::promise::Promise;
use serde_json::Value;

/// The name of the container's user, unless that is root.
const USER: &str = "codex";

pub(super) fn judge(promise: &Promise, inside: &Inside, host: &HostWitness) -> Vec<Claim> {
    vec![
        container(promise, inside, host),
        user(promise, inside, host),
        capabilities(inside, host),
        no_new_privileges(inside, host),
        seccomp(inside, host),
        namespaces(inside, host),
    ]
}

/// A field of `/proc/PID/status`.
fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status
        .lines()
        .find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

fn numbers(text: Option<&str>) -> Vec<u64> {
    text.unwrap_or_default()
        .split_whitespace()
        .filter_map(|number| number.parse().ok())
        .collect()
}

/// The texts of an array of the engine's answer; `null` is an empty one.
pub(super) fn texts(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn container(promise: &Promise, inside: &Inside, host: &HostWitness) -> Claim {
    let config = &host.inspect["Config"];
    let image = config["Image"].as_str().unwrap_or_default();
    let image_id = host.inspect["Image"].as_str().unwrap_or_default();
    let mut draft = Draft::new(
        "container.identity",
        format!(
            "both witnesses look at one running container of the image `{}`",
            promise.image
        ),
    )
    .hint("start it anew: `cargo xtask down`, then `cargo xtask sandbox`");
    draft.inside(format!(
        "host name {}, nonce {} repeated",
        inside.hostname, inside.nonce
    ));
    draft.host(format!("container {}, image {image} ({image_id})", host.id()));
    draft.check(host.inspect["State"]["Running"] == true, || "it does not run".into());
    draft.check(config["Hostname"].as_str() == Some(&inside.hostname), || {
        format!(
            "the host name inside is `{}`, the engine says {}",
            inside.hostname, config["Hostname"]
        )
    });
    draft.check(image == promise.image, || {
        format!("it was made from the image `{image}`")
    });
    draft.check(promise.image_id.as_deref().is_none_or(|id| id == image_id), || {
        format!("it was made from another build of `{image}`: {image_id}")
    });
    if let Some(process) = draft.process(host) {
        draft.check(
            same(process.namespaces.get("mnt"), inside.namespaces.get("mnt")),
            || "the probe does not run beside the container's main process".into(),
        );
    }
    draft.done()
}

fn same(a: Option<&String>, b: Option<&String>) -> bool {
    a.is_some() && a == b
}

fn user(promise: &Promise, inside: &Inside, host: &HostWitness) -> Claim {
    let (uid, gid) = (u64::from(promise.uid), u64::from(promise.gid));
    let promised: Vec<u64> = promise.groups.iter().map(|gid| u64::from(*gid)).collect();
    let others = |groups: &[u64]| {
        let mut others: Vec<u64> = groups.iter().copied().filter(|group| *group != gid).collect();
        others.sort_unstable();
        others.dedup();
        others
    };
    let mut draft = Draft::new(
        "user.identity",
        format!("everything runs as {uid}:{gid}, with the home {HOME_INSIDE}"),
    )
    .hint("the image belongs to another user: `cargo xtask image`");
    let name = inside.passwd.as_ref().map_or("no name", |(name, _)| name);
    draft.inside(format!(
        "{}:{} ({name}), groups {:?}",
        inside.uid, inside.gid, inside.groups
    ));
    draft.host(format!(
        "started as user `{}`",
        host.inspect["Config"]["User"].as_str().unwrap_or_default()
    ));
    draft.check(inside.uid == uid && inside.gid == gid, || {
        format!("inside it is {}:{}", inside.uid, inside.gid)
    });
    draft.check(others(&inside.groups) == others(&promised), || {
        format!("the groups inside are {:?}, promised were {promised:?}", inside.groups)
    });
    draft.check(uid == 0 || name == USER, || {
        format!("the user's name inside is `{name}`")
    });
    draft.check(inside.home_access && inside.home_owner == Some(uid), || {
        format!("{HOME_INSIDE} is not the user's own to write")
    });
    if let Some(process) = draft.process(host) {
        let uids = numbers(field(&process.status, "Uid"));
        let gids = numbers(field(&process.status, "Gid"));
        let groups = numbers(field(&process.status, "Groups"));
        draft.host(format!("/proc: uid {uids:?}, gid {gids:?}, groups {groups:?}"));
        // An engine that maps user ids shows others here; what they come to is proven by the workspace's file.
        if same(process.namespaces.get("user"), host.own_namespaces.get("user")) {
            let all = |ids: &[u64], id: u64| ids.len() == 4 && ids.iter().all(|other| *other == id);
            draft.check(all(&uids, uid) && all(&gids, gid), || {
                format!("the host sees the main process as uid {uids:?}, gid {gids:?}")
            });
            draft.check(others(&groups) == others(&promised), || {
                format!("the host sees the main process in the groups {groups:?}, promised were {promised:?}")
            });
        }
    }
    draft.done()
}

fn capabilities(inside: &Inside, host: &HostWitness) -> Claim {
    let mut draft = Draft::new("user.capabilities", "nothing inside has, or can get, a capability");
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    let held = |status: &str| {
        sets.iter()
            .map(|set| (*set, field(status, set).unwrap_or("missing").to_owned()))
            .filter(|(_, value)| value.trim_matches('0') != "" || value.is_empty())
            .map(|(set, value)| format!("{set} {value}"))
            .collect::<Vec<_>>()
    };
    let mine = held(&inside.status);
    draft.inside(format!("not empty: {}", some(&mine)));
    draft.check(mine.is_empty(), || format!("inside: {}", mine.join(", ")));
    if let Some(process) = draft.process(host) {
        let theirs = held(&process.status);
        draft.host(format!("not empty: {}", some(&theirs)));
        draft.check(theirs.is_empty(), || {
            format!("seen from the host: {}", theirs.join(", "))
        });
    }
    let added = texts(host.setting("CapAdd"));
    draft.host(format!(
        "added: {}; privileged: {}",
        some(&added),
        host.setting("Privileged")
    ));
    draft.check(added.is_empty(), || format!("added capabilities: {}", some(&added)));
    draft.check(host.setting("Privileged") == false, || {
        "the container is privileged".into()
    });
    draft.done()
}

fn no_new_privileges(inside: &Inside, host: &HostWitness) -> Claim {
    let mut draft = Draft::new(
        "user.no-new-privileges",
        "no program inside gains privileges (setuid has no effect)",
    );
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

fn seccomp(inside: &Inside, host: &HostWitness) -> Claim {
    let mut draft = Draft::new("user.seccomp", "system calls go through the engine's filter")
        .hint("the engine runs without seccomp, or the container was started with `seccomp=unconfined`");
    let mine = field(&inside.status, "Seccomp").unwrap_or("missing");
    draft.inside(format!("Seccomp {mine}"));
    draft.check(mine == "2", || format!("inside, Seccomp is {mine}, not 2"));
    if let Some(process) = draft.process(host) {
        let theirs = field(&process.status, "Seccomp").unwrap_or("missing");
        draft.host(format!("Seccomp {theirs}"));
        draft.check(theirs == "2", || {
            format!("seen from the host, Seccomp is {theirs}, not 2")
        });
    }
    let options = texts(host.setting("SecurityOpt"));
    draft.check(!options.iter().any(|option| option.ends_with("unconfined")), || {
        format!("security options: {}", some(&options))
    });
    draft.done()
}

fn namespaces(inside: &Inside, host: &HostWitness) -> Claim {
    let mut draft = Draft::new(
        "container.namespaces",
        format!("the container has its own {} namespaces", NAMESPACES.join(", ")),
    );
    if let Some(process) = draft.process(host) {
        for kind in NAMESPACES {
            let theirs = process.namespaces.get(kind);
            draft.check(same(theirs, inside.namespaces.get(kind)), || {
                format!("the witnesses do not agree on the {kind} namespace")
            });
            draft.check(theirs != host.own_namespaces.get(kind), || {
                format!("it shares the host's {kind} namespace")
            });
        }
        let shared = same(process.namespaces.get("user"), host.own_namespaces.get("user"));
        let user = if shared { "the host's own" } else { "mapped" };
        draft.host(format!("all differ from the host's; user ids are {user}"));
    }
    let own: Vec<&str> = NAMESPACES
        .iter()
        .filter_map(|kind| inside.namespaces.get(*kind))
        .map(String::as_str)
        .collect();
    draft.inside(own.join(" "));
    for mode in ["PidMode", "IpcMode", "NetworkMode", "UTSMode"] {
        let value = host.setting(mode).as_str().unwrap_or_default();
        draft.check(value != "host" && !value.starts_with("container:"), || {
            format!("{mode} is `{value}`")
        });
    }
    draft.done()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Case, breaks, good};
    use super::*;
    use serde_json::json;

    #[test]
    fn each_fact_about_the_user_and_the_container_breaks_its_claim() {
        let status = |name: &'static str, value: &'static str| -> Case {
            Box::new(move |_, inside, _| inside.status = with(&inside.status, name, value))
        };
        let proc = |name: &'static str, value: &'static str| -> Case {
            Box::new(move |_, _, host| {
                let process = host.process.as_mut().unwrap();
                process.status = with(&process.status, name, value);
            })
        };
        let setting = |name: &'static str, value: Value| -> Case {
            Box::new(move |_, _, host| host.inspect["HostConfig"][name] = value.clone())
        };
        breaks(
            "container.identity",
            vec![
                Box::new(|_, inside, _| inside.hostname = "other".into()),
                Box::new(|_, _, host| host.inspect["State"]["Running"] = json!(false)),
                Box::new(|_, _, host| host.inspect["Image"] = json!("sha256:other")),
                Box::new(|promise, _, _| promise.image = "other:tag".into()),
            ],
        );
        breaks(
            "user.identity",
            vec![
                Box::new(|_, inside, _| inside.uid = 0),
                Box::new(|_, inside, _| inside.gid = 0),
                Box::new(|_, inside, _| inside.groups.push(999)),
                Box::new(|promise, _, _| promise.groups.push(44)),
                Box::new(|_, inside, _| inside.passwd = None),
                Box::new(|_, inside, _| inside.home_access = false),
                proc("Uid", "0\t0\t0\t0"),
                proc("Uid", "1000\t0\t1000\t1000"),
                proc("Groups", "1000 999"),
            ],
        );
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
        breaks(
            "user.no-new-privileges",
            vec![status("NoNewPrivs", "0"), proc("NoNewPrivs", "0")],
        );
        breaks(
            "user.seccomp",
            vec![
                status("Seccomp", "0"),
                proc("Seccomp", "0"),
                setting("SecurityOpt", json!(["seccomp=unconfined"])),
            ],
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

    #[test]
    fn root_of_the_host_keeps_its_name_inside() {
        let (mut promise, mut inside, mut host) = good();
        (promise.uid, inside.uid, inside.home_owner) = (0, 0, Some(0));
        inside.passwd = Some(("root".into(), HOME_INSIDE.into()));
        let process = host.process.as_mut().unwrap();
        process.status = with(&process.status, "Uid", "0\t0\t0\t0");
        assert_eq!(user(&promise, &inside, &host).why, None);
    }

    fn with(status: &str, name: &str, value: &str) -> String {
        let line = |line: &str| match line.split_once(':') {
            Some((field, _)) if field == name => format!("{name}:\t{value}\n"),
            _ => format!("{line}\n"),
        };
        status.lines().map(line).collect()
    }
}
