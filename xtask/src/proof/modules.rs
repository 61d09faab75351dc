//! The security modules of this host's kernel. Pure but for `read`.

use std::fs;

/// The security modules of this host's kernel, by what it shows of them. Empty where it shows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Modules {
    /// Whether AppArmor is on.
    pub(crate) apparmor: bool,
    /// Whether SELinux enforces its policy; `None` where it is off.
    pub(crate) selinux_enforces: Option<bool>,
}

impl Modules {
    pub(super) fn read() -> Modules {
        let text = |path| fs::read_to_string(path).ok();
        let list = text("/sys/kernel/security/lsm").unwrap_or_default();
        Modules::of(
            &list,
            text("/sys/module/apparmor/parameters/enabled").as_deref(),
            text("/sys/fs/selinux/enforce").as_deref(),
        )
    }

    /// From the list of active modules (securityfs need not be mounted), AppArmor's parameter, SELinux' mode.
    pub(super) fn of(list: &str, apparmor: Option<&str>, enforce: Option<&str>) -> Modules {
        let listed = |name| list.trim().split(',').any(|module| module == name);
        Modules {
            apparmor: listed("apparmor") || apparmor.is_some_and(|text| text.trim() == "Y"),
            selinux_enforces: (listed("selinux") || enforce.is_some())
                .then(|| enforce.is_some_and(|text| text.trim() == "1")),
        }
    }

    pub(super) fn names(&self) -> Vec<&'static str> {
        let selinux = self.selinux_enforces.map(|on| if on { "SELinux, enforcing" } else { "SELinux, permissive" });
        self.apparmor.then_some("AppArmor").into_iter().chain(selinux).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modules_of_a_host_are_read() {
        let debian = Modules::of("lockdown,capability,landlock,yama,apparmor,bpf\n", Some("Y\n"), None);
        assert_eq!(debian, Modules { apparmor: true, selinux_enforces: None });
        let fedora = Modules::of("lockdown,capability,yama,selinux,bpf,landlock\n", None, Some("1"));
        assert_eq!(fedora, Modules { apparmor: false, selinux_enforces: Some(true) });
        assert_eq!(Modules::of("", Some("Y\n"), None).names(), ["AppArmor"]);
        assert_eq!(Modules::of("capability,selinux", None, Some("0")).names(), ["SELinux, permissive"]);
        assert_eq!(Modules::of("", None, None), Modules::default());
        assert_eq!(Modules::of("", None, Some("1\n")).names(), ["SELinux, enforcing"], "securityfs is not mounted");
        assert_eq!(Modules::of("apparmor", Some("N\n"), None).names(), ["AppArmor"]);
    }
}
