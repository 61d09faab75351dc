//! Which settings of git, and which variables of the environment, name something that git on the host runs or obeys: one
//! table, and nowhere else. Source: git-config(1) and git(1) of git 2.47, gitattributes(5), git-lfs-config(5).

/// What a value names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// A directory of hooks.
    Hooks,
    /// A file with further settings, relative to the one that names it.
    Included,
    /// A file or directory that git obeys or takes programs from.
    Path,
    /// A directory from which new repositories have their hooks.
    Template,
    /// A command with its arguments, which a shell may run.
    Command,
    /// A command where it begins with `!`, and a word of git's otherwise.
    MarkedCommand,
    /// An address, which can name a command.
    Address,
}

/// The keys, as git prints them; `*` stands for anything.
const KEYS: &[(&str, Names)] = &[
    ("core.hookspath", Names::Hooks),
    ("include.path", Names::Included),
    ("includeif.*.path", Names::Included),
    ("alias.*", Names::Command),
    ("pager.*", Names::Command),
    ("core.gitproxy", Names::Command),
    ("core.alternaterefscommand", Names::Command),
    ("core.attributesfile", Names::Path),
    ("init.templatedir", Names::Template),
    ("interactive.difffilter", Names::Command),
    ("imap.tunnel", Names::Command),
    ("instaweb.httpd", Names::Command),
    ("instaweb.modulepath", Names::Path),
    ("gitcvs.dbdriver", Names::Command),
    ("browser.*.path", Names::Path),
    ("man.*.path", Names::Path),
    ("difftool.*.path", Names::Path),
    ("mergetool.*.path", Names::Path),
    ("lfs.customtransfer.*.path", Names::Path),
    ("lfs.customtransfer.*.args", Names::Command),
    ("remote.*.uploadpack", Names::Command),
    ("remote.*.receivepack", Names::Command),
    ("remote.*.url", Names::Address),
    ("remote.*.pushurl", Names::Address),
    ("submodule.*.url", Names::Address),
    ("submodule.*.update", Names::MarkedCommand),
    ("sendemail.*smtpserver", Names::Command),
    ("sendemail.*sendmailcmd", Names::Command),
    // Only read, and trusted: which objects are not checked, whose signatures count, which server is the right one.
    ("fsck.skiplist", Names::Path),
    ("fetch.fsck.skiplist", Names::Path),
    ("receive.fsck.skiplist", Names::Path),
    ("gpg.ssh.allowedsignersfile", Names::Path),
    ("gpg.ssh.revocationfile", Names::Path),
    ("http.*sslcainfo", Names::Path),
    ("http.*sslcapath", Names::Path),
];

/// The last parts of all other keys whose value is a command: `core.editor`, `gpg.x509.program`, `credential.*.helper`.
const LAST: &[&str] = &[
    "askpass", "clean", "driver", "editor", "external", "fsmonitor", "pager", "process", "smudge", "textconv", "tool",
];

/// The ends of the last parts of further ones: `trailer.*.cmd`, `gpg.ssh.defaultKeyCommand`, `uploadpack.packObjectsHook`.
const ENDS: &[&str] = &["cmd", "command", "helper", "hook", "program"];

/// The variables. `GIT_CONFIG_COUNT` and the like are settings, and git lists them among these.
pub(super) const VARIABLES: &[(&str, Names)] = &[
    ("GIT_CONFIG_GLOBAL", Names::Path),
    ("GIT_CONFIG_SYSTEM", Names::Path),
    ("GIT_EXEC_PATH", Names::Path),
    ("GIT_TEMPLATE_DIR", Names::Template),
    ("BROWSER", Names::Command),
    ("EDITOR", Names::Command),
    ("GIT_ASKPASS", Names::Command),
    ("GIT_EDITOR", Names::Command),
    ("GIT_EXTERNAL_DIFF", Names::Command),
    ("GIT_PAGER", Names::Command),
    ("GIT_PROXY_COMMAND", Names::Command),
    ("GIT_SEQUENCE_EDITOR", Names::Command),
    ("GIT_SSH", Names::Command),
    ("GIT_SSH_COMMAND", Names::Command),
    ("LESSOPEN", Names::Command),
    ("LESSCLOSE", Names::Command),
    ("PAGER", Names::Command),
    ("SSH_ASKPASS", Names::Command),
    ("VISUAL", Names::Command),
];

/// What the value of a key names; `None` where git neither runs nor obeys it.
pub(super) fn names(key: &str) -> Option<Names> {
    let matches = |pattern: &str| match pattern.split_once('*') {
        Some((start, end)) => key.len() >= start.len() + end.len() && key.starts_with(start) && key.ends_with(end),
        None => key == pattern,
    };
    if let Some((_, names)) = KEYS.iter().find(|(pattern, _)| matches(pattern)) {
        return Some(*names);
    }
    let last = key.rsplit('.').next().unwrap_or(key);
    (LAST.contains(&last) || ENDS.iter().any(|end| last.ends_with(end))).then_some(Names::Command)
}

/// Whether settings that are included by a condition can become valid without any change of a setting. Git evaluates the
/// other conditions, where there is a repository for which it can.
pub(super) fn is_passing_condition(key: &str, has_repository: bool) -> bool {
    key.strip_prefix("includeif.").is_some_and(|condition| {
        !has_repository || condition.starts_with("onbranch:") || condition.starts_with("hasconfig:")
    })
}

/// The address in the key itself: `url.ADDRESS.insteadOf`.
pub(super) fn address(key: &str) -> Option<&str> {
    let rest = key.strip_prefix("url.")?;
    rest.strip_suffix(".insteadof").or_else(|| rest.strip_suffix(".pushinsteadof"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_by_which_git_runs_or_obeys_something_is_known() {
        let commands = [
            "alias.st",
            "browser.x.cmd",
            "core.alternaterefscommand",
            "core.askpass",
            "core.editor",
            "core.fsmonitor",
            "core.gitproxy",
            "core.pager",
            "core.sshcommand",
            "credential.helper",
            "credential.https://x.y.helper",
            "diff.external",
            "diff.x.command",
            "diff.x.textconv",
            "difftool.x.cmd",
            "filter.x.clean",
            "filter.x.process",
            "filter.x.smudge",
            "gc.recentobjectshook",
            "gpg.program",
            "gpg.ssh.defaultkeycommand",
            "gpg.x509.program",
            "guitool.x.cmd",
            "imap.tunnel",
            "instaweb.httpd",
            "interactive.difffilter",
            "man.x.cmd",
            "merge.x.driver",
            "mergetool.x.cmd",
            "pager.log",
            "remote.a.b.receivepack",
            "remote.x.uploadpack",
            "sendemail.cccmd",
            "sendemail.headercmd",
            "sendemail.sendmailcmd",
            "sendemail.smtpserver",
            "sendemail.me.smtpserver",
            "sendemail.tocmd",
            "sequence.editor",
            "tar.x.command",
            "trailer.x.cmd",
            "trailer.x.command",
            "uploadpack.packobjectshook",
        ];
        for key in commands {
            assert_eq!(names(key), Some(Names::Command), "{key}");
        }
        let paths = [
            "core.attributesfile",
            "difftool.x.path",
            "fsck.skiplist",
            "man.x.path",
            "mergetool.x.path",
            "http.https://x.y/.sslcainfo",
            "http.sslcainfo",
        ];
        for key in paths {
            assert_eq!(names(key), Some(Names::Path), "{key}");
        }
        assert_eq!(names("includeif.gitdir:~/x/.path"), Some(Names::Included));
        assert_eq!(names("init.templatedir"), Some(Names::Template));
        assert_eq!(names("submodule.a/b.update"), Some(Names::MarkedCommand));
        for key in ["user.name", "core.excludesfile", "commit.template", "branch.x.remote", "diff.x.cachetextconv"] {
            assert_eq!(names(key), None, "{key}");
        }
        assert_eq!(address("url.ext::x %S.insteadof"), Some("ext::x %S"));
    }

    /// New versions of git have new keys: whoever meets one here decides what it names.
    #[test]
    fn no_key_of_the_installed_git_that_sounds_like_a_program_is_unknown() {
        let said = crate::exec::stdout_of(&crate::step::Command::new("git").args(["help", "--config"])).unwrap();
        let suspicious =
            ["cmd", "command", "program", "hook", "helper", "driver", "textconv", "editor", "pager", "path"];
        // Switches, names and places where nothing is taken from.
        let not = |key: &str| {
            let starts =
                ["advice.", "color.", "completion.", "safe.", "status.", "fsck.", "receive.fsck.", "fetch.fsck."];
            let ends =
                ["usehttppath", "help.htmlpath", "sslcertpath", "fsmonitorhookversion", "quotepath", "cachetextconv"];
            starts.iter().any(|start| key.starts_with(start)) || ends.iter().any(|end| key.ends_with(end))
        };
        for key in said.lines().map(str::to_lowercase).filter(|key| !not(key)) {
            let last = key.rsplit('.').next().unwrap_or(&key);
            let key = key.replace(['<', '>'], "");
            if suspicious.iter().any(|word| last.ends_with(word)) && !last.contains('<') {
                assert!(names(&key).is_some(), "{key}");
            }
        }
    }
}
