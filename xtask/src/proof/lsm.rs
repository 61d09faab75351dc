//! The claim about the Linux security module: AppArmor or SELinux, whichever the engine uses, confines everything inside.
//!
//! Which module a host has, and whether its engine uses it, is the administrator's choice, and this tool changes no setting
//! of an engine. So the promise says which it is: the module in force, or that there is none. What breaks it is a container
//! that is exempt from the module that its engine uses, a profile that only complains, and witnesses who do not agree.

use super::claim::{Draft, some};
use super::modules::Modules;
use super::probe::InsideWitness;
use super::witness::HostWitness;
use crate::finding::Finding;

/// What the engine says that it uses for this container.
enum Used<'a> {
    AppArmor(&'a str),
    SeLinux(&'a str),
    Neither,
}

pub(super) fn judge(inside: &InsideWitness, host: &HostWitness) -> Finding {
    let container = &host.container;
    let modules = &host.kernel.modules;
    let (apparmor, selinux) = (container.apparmor.as_deref(), container.selinux.as_deref());
    let used = match (apparmor.unwrap_or_default(), selinux.unwrap_or_default()) {
        ("", "") => Used::Neither,
        ("", label) => Used::SeLinux(label),
        (profile, _) => Used::AppArmor(profile),
    };
    let mut draft = Draft::new("user.lsm", promise(&used, modules))
        .hint("start the container without security options of its own, with the module that this engine uses");
    draft.host(format!("modules of this host: {}", some(modules.names())));
    draft.told("which AppArmor profile it has", apparmor);
    draft.told("which SELinux label it has", selinux);
    // Where there is no SELinux, `label=disable` says nothing: the engine adds it by itself to a container that shares a
    // namespace of the host.
    let labels = modules.selinux_enforces.is_some() || matches!(used, Used::SeLinux(_));
    let exempt = |option: &&String| option.starts_with("apparmor") || labels && option.starts_with("label");
    if let Some(options) = draft.told("its security options", container.host_config.security_opt.as_deref()) {
        let own: Vec<&String> = options.iter().filter(exempt).collect();
        draft.check(own.is_empty(), || format!("it was started with {}", some(own)));
    }
    let wanted = match used {
        Used::Neither => None,
        Used::SeLinux(label) => Some(label.to_owned()),
        Used::AppArmor(profile) => Some(format!("{profile} (enforce)")),
    };
    draft.check(!matches!(used, Used::AppArmor("unconfined")), || "AppArmor does not confine it".into());
    for (side, process) in draft.views(inside, host) {
        draft.saw(side, format!("label {}", some(&process.label)));
        if let Some(wanted) = &wanted {
            match &process.label {
                Some(label) => {
                    draft.check(label == wanted, || format!("{side}: the label is `{label}`, not `{wanted}`"))
                }
                None => draft.unseen(format!("{side}: the label cannot be read")),
            }
        }
    }
    draft.done()
}

fn promise(used: &Used<'_>, modules: &Modules) -> String {
    match used {
        Used::AppArmor(profile) => format!("AppArmor's profile `{profile}` is enforced on everything inside"),
        Used::SeLinux(label) if modules.selinux_enforces == Some(false) => {
            format!("everything inside has SELinux' label `{label}`, which this host does not enforce (permissive)")
        }
        Used::SeLinux(label) => format!("everything inside has SELinux' label `{label}`"),
        Used::Neither if *modules == Modules::default() => {
            "this host has neither AppArmor nor SELinux: no such module was set aside for this container".into()
        }
        Used::Neither => format!(
            "this engine uses no security module, though this host has {}: none was set aside for this container",
            some(modules.names())
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Case, asked, breaks, good};
    use super::*;
    use crate::finding::Verdict;

    #[test]
    fn the_promise_says_what_there_is() {
        let debian = Modules { apparmor: true, selinux_enforces: None };
        assert!(promise(&Used::Neither, &debian).contains("uses no security module"));
        assert!(promise(&Used::Neither, &Modules::default()).contains("neither AppArmor nor SELinux"));
        for (enforces, permissive) in [(None, false), (Some(true), false), (Some(false), true)] {
            let modules = Modules { apparmor: false, selinux_enforces: enforces };
            assert_eq!(promise(&Used::SeLinux("l"), &modules).contains("permissive"), permissive, "{enforces:?}");
        }
    }

    /// A host with this module, and a container that it confines.
    fn with(profile: &str, selinux: &str, label: Option<&str>) -> (InsideWitness, HostWitness) {
        let (_, mut inside, mut host) = good();
        host.container.apparmor = Some(profile.into());
        host.container.selinux = Some(selinux.into());
        for process in [&mut inside.process, host.process.as_mut().unwrap()] {
            process.label = label.map(str::to_owned);
        }
        (inside, host)
    }

    const SELINUX: &str = "system_u:system_r:container_t:s0:c57,c891";

    #[test]
    fn the_module_that_the_engine_uses_is_in_force_or_the_promise_says_that_there_is_none() {
        for (profile, label, seen) in [
            ("docker-default", "", Some("docker-default (enforce)")),
            ("", SELINUX, Some(SELINUX)),
            ("", "", None),
            ("", "", Some("unconfined")),
        ] {
            let (inside, host) = with(profile, label, seen);
            assert_eq!(judge(&inside, &host).why, None, "{profile} {label}");
        }
        for (profile, label, seen) in [
            ("docker-default", "", Some("docker-default (complain)")),
            ("docker-default", "", Some("unconfined")),
            ("unconfined", "", Some("unconfined")),
            ("", SELINUX, Some("system_u:system_r:spc_t:s0")),
        ] {
            let (inside, host) = with(profile, label, seen);
            assert_eq!(judge(&inside, &host).verdict, Verdict::Broken, "{profile} {label}");
        }
        let (inside, host) = with("docker-default", "", None);
        assert_eq!(judge(&inside, &host).verdict, Verdict::NotProvable);
    }

    #[test]
    fn an_exempt_container_breaks_the_claim() {
        let exempt = |option: &'static str| -> Case {
            Box::new(move |_, _, host| {
                host.kernel.modules.selinux_enforces = Some(true);
                host.container.host_config.security_opt = Some(vec![option.into()]);
            })
        };
        breaks(
            "user.lsm",
            vec![
                exempt("apparmor=unconfined"),
                exempt("label=disable"),
                exempt("label:type:spc_t"),
                Box::new(|_, _, host| host.container.apparmor = Some("unconfined".into())),
                Box::new(|_, inside, host| {
                    host.container.apparmor = Some("docker-default".into());
                    inside.process.label = Some("docker-default (enforce)".into());
                    host.process.as_mut().unwrap().label = Some("unconfined".into());
                }),
            ],
        );
        let (mut spec, mut inside, mut host) = good();
        asked(|asked| asked.security_opt = None)(&mut spec, &mut inside, &mut host);
        assert_eq!(judge(&inside, &host).verdict, Verdict::NotProvable);
    }
}
