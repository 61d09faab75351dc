//! Claims about what confines everything inside: capabilities, privileges, system calls, namespaces.

use super::claim::{Draft, some};
use super::init::NAMESPACES;
use super::probe::{Attempted, InsideWitness, Refusal};
use super::witness::HostWitness;
use crate::finding::Finding;

const CAPABILITY_SETS: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

pub(super) fn judge(inside: &InsideWitness, host: &HostWitness) -> Vec<Finding> {
    vec![
        capabilities(inside, host),
        no_new_privileges(inside, host),
        seccomp(inside, host),
        user_namespace(inside, host),
        namespaces(inside, host),
    ]
}

/// Whether both witnesses know it, and the same.
pub(super) fn same(a: Option<&String>, b: Option<&String>) -> bool {
    a.is_some() && a == b
}

fn capabilities(inside: &InsideWitness, host: &HostWitness) -> Finding {
    let mut draft = Draft::new("user.capabilities", "nothing inside has a capability or can get one");
    for (side, process) in draft.views(inside, host) {
        let sets = CAPABILITY_SETS.map(|set| (set, process.status(set).unwrap_or("missing")));
        let is_empty = |value: &str| !value.is_empty() && value.bytes().all(|digit| digit == b'0');
        let held = sets.iter().filter(|(_, value)| !is_empty(value)).map(|(set, value)| format!("{set} {value}"));
        let held: Vec<String> = held.collect();
        draft.saw(side, format!("not empty: {}", some(&held)));
        draft.check(held.is_empty(), || format!("{side}: {}", held.join(", ")));
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

/// Holds a field of `/proc/PID/status` against the value that it must have.
fn status(draft: &mut Draft, name: &str, wanted: &str, inside: &InsideWitness, host: &HostWitness) {
    for (side, process) in draft.views(inside, host) {
        let value = process.status(name).unwrap_or("missing");
        draft.saw(side, format!("{name} {value}"));
        draft.check(value == wanted, || format!("{side}: {name} is {value}, not {wanted}"));
    }
}

fn no_new_privileges(inside: &InsideWitness, host: &HostWitness) -> Finding {
    let mut draft =
        Draft::new("user.no-new-privileges", "no program inside can gain privileges (setuid has no effect)");
    status(&mut draft, "NoNewPrivs", "1", inside, host);
    draft.done()
}

fn seccomp(inside: &InsideWitness, host: &HostWitness) -> Finding {
    let mut draft = Draft::new("user.seccomp", "system calls go through the engine's seccomp filter")
        .hint("the engine runs without seccomp, or the container was started with `seccomp=unconfined`");
    status(&mut draft, "Seccomp", "2", inside, host);
    if let Some(options) = draft.told("its security options", host.container.host_config.security_opt.as_deref()) {
        let open = options.iter().any(|option| option.starts_with("seccomp") && option.ends_with("unconfined"));
        draft.check(!open, || format!("security options: {}", some(options)));
    }
    filtered(&mut draft, inside);
    draft.done()
}

/// The least number of refused calls that shows a filter: a kernel that was built without a call refuses it by itself.
const REFUSED: usize = 3;

/// Judges the filter by what it does. Each call is made with arguments to which the kernel itself answers something else
/// than EPERM, also to a process without capabilities, so that an EPERM is the filter's. A filter may kill, too.
fn filtered(draft: &mut Draft, inside: &InsideWitness) {
    let Some(tried) = attempts(draft, inside, Attempted::Filter) else { return };
    let (mut refused, mut reached) = (0, Vec::new());
    for Refusal(_, call, answer) in tried {
        match answer.as_str() {
            "EPERM" | "EACCES" | KILLED => refused += 1,
            // The call is not in this kernel, or the filter says so: it shows nothing.
            "ENOSYS" => {}
            _ => reached.push(format!("{call}: {answer}")),
        }
    }
    draft.inside(format!("{refused} calls refused, not refused: {}", some(&reached)));
    draft.check(reached.is_empty(), || format!("inside these calls reach the kernel: {}", some(&reached)));
    if refused < REFUSED && reached.is_empty() {
        draft.unseen(format!("only {refused} calls were refused, which shows no filter"));
    }
}

/// The signal of a filter that kills (SIGSYS); nothing after it was tried.
const KILLED: &str = "signal 31";

fn attempts<'a>(draft: &mut Draft, inside: &'a InsideWitness, what: Attempted) -> Option<Vec<&'a Refusal>> {
    let tried = inside.refusals.iter().flatten().filter(|Refusal(group, ..)| *group == what);
    let tried: Vec<&Refusal> = tried.collect();
    let killed = || inside.refusals.iter().flatten().any(|Refusal(_, _, answer)| answer == KILLED);
    if tried.is_empty() && !killed() {
        draft.unseen("inside, no system call could be tried");
        return None;
    }
    Some(tried)
}

fn user_namespace(inside: &InsideWitness, host: &HostWitness) -> Finding {
    let mut draft = Draft::new(
        "user.no-user-namespace",
        "no user namespace can be made inside, in which a process would have every capability",
    )
    .hint("the engine's seccomp filter refuses it: start the container without a profile of its own");
    // The filter that refuses it is what the host can see of this.
    status(&mut draft, "Seccomp", "2", inside, host);
    if let Some(tried) = attempts(&mut draft, inside, Attempted::UserNamespace) {
        let made: Vec<&str> =
            tried.iter().filter(|Refusal(.., answer)| answer == "done").map(|one| one.1.as_str()).collect();
        let answers = tried.iter().map(|Refusal(_, call, answer)| format!("{call}: {answer}"));
        draft.inside(some(answers));
        draft.check(made.is_empty(), || format!("inside one can be made by {}", some(&made)));
        let unshare = tried.iter().any(|one| one.1 == "unshare");
        if !unshare && !inside.refusals.iter().flatten().any(|one| one.2 == KILLED) {
            draft.unseen("inside, nobody has tried to make one");
        }
    }
    draft.done()
}

fn namespaces(inside: &InsideWitness, host: &HostWitness) -> Finding {
    let mut draft =
        Draft::new("container.namespaces", format!("the container has its own {} namespaces", NAMESPACES.join(", ")));
    let own = &inside.process.namespaces;
    if let Some(process) = draft.process(host) {
        for kind in NAMESPACES {
            let theirs = process.namespaces.get(kind);
            draft.check(same(theirs, own.get(kind)), || format!("the witnesses do not agree on the {kind} namespace"));
            match host.own_namespaces.get(kind) {
                Some(hosts) => {
                    draft.check(theirs != Some(hosts), || format!("it shares the host's {kind} namespace"));
                }
                None => draft.unseen(format!("the host cannot see its own {kind} namespace")),
            }
        }
        let shared = same(process.namespaces.get("user"), host.own_namespaces.get("user"));
        let user = if shared { "the host's own" } else { "mapped" };
        draft.host(format!("all differ from the host's; user ids are {user}"));
    }
    let names: Vec<&str> = NAMESPACES.iter().filter_map(|kind| own.get(*kind)).map(String::as_str).collect();
    draft.inside(names.join(" "));
    for (mode, value) in host.container.host_config.modes() {
        if let Some(value) = draft.told(mode, value) {
            draft.check(value != "host" && !value.starts_with("container:"), || format!("{mode} is `{value}`"));
        }
    }
    draft.done()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Case, asked, breaks, good, proc, status};
    use super::*;
    use crate::finding::Verdict;

    fn answers(group: Attempted, call: &'static str, answer: &'static str) -> Case {
        Box::new(move |_, inside, _| {
            inside.refusals.as_mut().unwrap().push(Refusal(group, call.into(), answer.into()));
        })
    }

    #[test]
    fn a_filter_is_judged_by_what_it_does() {
        let (_, mut inside, host) = good();
        let with = |inside: &mut InsideWitness, answers: &[&str]| {
            let calls = answers.iter().map(|answer| Refusal(Attempted::Filter, "a".into(), (*answer).into()));
            inside.refusals = Some(calls.collect());
        };
        with(&mut inside, &["EPERM", "ENOSYS", "EPERM", "EACCES"]);
        assert_eq!(seccomp(&inside, &host).why, None);
        with(&mut inside, &["ENOSYS"; 9]);
        assert_eq!(seccomp(&inside, &host).verdict, Verdict::NotProvable);
        // A stricter filter than the engine's may kill.
        with(&mut inside, &["EPERM", "EPERM", KILLED]);
        assert_eq!(seccomp(&inside, &host).why, None);
        assert_eq!(user_namespace(&inside, &host).why, None);
        inside.refusals = None;
        assert_eq!(seccomp(&inside, &host).verdict, Verdict::NotProvable);
        assert_eq!(user_namespace(&inside, &host).verdict, Verdict::NotProvable);
    }

    #[test]
    fn what_was_not_tried_shows_nothing() {
        let (_, mut inside, mut host) = good();
        let only = |calls: &[(Attempted, &str)]| {
            let refused = |&(group, call): &(Attempted, &str)| Refusal(group, call.into(), "EPERM".into());
            Some(calls.iter().map(refused).collect())
        };
        let no_call = Some("inside, no system call could be tried");
        inside.refusals = only(&[(Attempted::UserNamespace, "clone")]);
        let why = seccomp(&inside, &host).why.unwrap();
        assert!(why.starts_with("inside, no system call could be tried"), "{why}");
        let nobody = Some("inside, nobody has tried to make one");
        assert_eq!(user_namespace(&inside, &host).why.as_deref(), nobody, "`unshare` was not tried");
        inside.refusals = only(&[(Attempted::Filter, "a"), (Attempted::Filter, "b"), (Attempted::Filter, "c")]);
        assert_eq!(user_namespace(&inside, &host).why.as_deref(), no_call);
        assert_eq!(seccomp(&inside, &host).why, None);
        // An option about another module is none about the filter.
        let options = ["apparmor=unconfined", "seccomp=/profile.json"].map(str::to_owned);
        host.container.host_config.security_opt = Some(options.into());
        assert_eq!(seccomp(&inside, &host).why, None);
    }

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
                // A filter is there, and lets through what the engine's own refuses.
                answers(Attempted::Filter, "keyctl", "ENOTSUP"),
                answers(Attempted::Filter, "unshare", "done"),
            ],
        );
        breaks(
            "user.no-user-namespace",
            vec![
                answers(Attempted::UserNamespace, "unshare", "done"),
                answers(Attempted::UserNamespace, "clone3", "done"),
                proc("Seccomp", "0"),
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
                Box::new(|_, inside, _| _ = inside.process.namespaces.insert("ipc".into(), "ipc:[1]".into())),
            ],
        );
    }

    #[test]
    fn a_host_that_does_not_see_its_own_namespaces_proves_nothing() {
        let (_, inside, mut host) = good();
        host.own_namespaces.remove("net");
        let claim = namespaces(&inside, &host);
        assert_eq!(
            (claim.verdict, claim.why.as_deref()),
            (Verdict::NotProvable, Some("the host cannot see its own net namespace"))
        );
    }
}
