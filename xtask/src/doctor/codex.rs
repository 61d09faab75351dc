//! The host's Codex: whether there is one that the image can run, whether it is complete, and whether it is logged in.

use crate::codex::Codex;
use crate::codex::home::{self, Mode};
use crate::codex::login::HostLogin;
use crate::distro::Package;
use crate::doctor::AboutHost;
use crate::error::{Failure, Remedy};
use crate::finding::{Finding, Subject, subject};
use crate::spec::words::Login;

const PROGRAM: Subject =
    subject("codex.program", "Codex", "Codex on this host, a native program that the image can run");
const PACKAGE: Subject =
    subject("codex.package", "its package", "the directory around it, with `rg` and other helpers");
const HELPER: Subject =
    subject("codex.helper", "codex-code-mode-host", "the helper beside it: without it, current models get no tools");
const NOTE: Subject = subject("codex.note", "its parts", "");
const HOME: Subject = subject("codex.home", "Codex home", "`codex_home: mirror`, `shared` or `none`");
const LOGIN: Subject = subject("codex.login", "login", "a login in a file, or one made inside");

pub(super) fn findings(facts: &AboutHost) -> Vec<Finding> {
    let mut found = match &facts.codex {
        Err(failure) => vec![program_error(facts, failure)],
        Ok(codex) => program(codex),
    };
    found.push(home(facts));
    if facts.settings.shape.codex_home != Mode::None {
        found.push(login(facts));
    }
    found
}

fn program_error(facts: &AboutHost, failure: &Failure) -> Finding {
    if facts.codex_present {
        return PROGRAM.broken(failure.clone());
    }
    let mut finding = PROGRAM.missing(failure.clone());
    if !facts.npm {
        let npm = facts.distro.install(Package::Npm, false);
        finding.remedies.splice(0..0, npm);
    }
    finding
}

fn program(codex: &Codex) -> Vec<Finding> {
    let again = || [Remedy::Run("npm install -g @openai/codex".into())];
    let mut found = vec![PROGRAM.ok(format!("{} ({}), `{}`", codex.version, codex.layout, codex.binary.display()))];
    found.push(match &codex.root {
        Some(root) => PACKAGE.ok(format!("`{}`", root.display())),
        None => PACKAGE.warning("a single program without its package", again()),
    });
    found.push(match codex.helper {
        true => HELPER.ok("is mounted too, or this version does not need it"),
        false => HELPER.warning("is not beside it", again()),
    });
    let known = |note: &&String| !note.starts_with("there is no `codex-code-mode-host`");
    found.extend(codex.notes.iter().filter(known).map(|note| NOTE.warning(note, [])));
    found
}

fn home(facts: &AboutHost) -> Finding {
    let home = facts.settings.host_codex_home.display();
    match facts.settings.shape.codex_home {
        Mode::None => HOME.ok("your Codex home is not passed on"),
        Mode::Mirror if facts.home_exists => HOME.ok(format!("a private one, set up from `{home}`")),
        Mode::Mirror => HOME.ok(format!("a private one; there is no `{home}` to set it up from")),
        Mode::Shared if !facts.home_exists => HOME.missing(home::no_shared(&facts.settings.host_codex_home)),
        Mode::Shared => HOME.warning(
            format!("`{home}` is shared: the agent can change what your own Codex runs on this host"),
            [Remedy::Do("`codex_home: mirror` keeps it apart".into())],
        ),
    }
}

fn login(facts: &AboutHost) -> Finding {
    let inside = Remedy::Do("or `cargo xtask sandbox -- login --device-auth`".into());
    let login = Remedy::Run("codex login".into());
    match facts.login {
        _ if facts.settings.login == Login::None => LOGIN.ok("none of yours goes in (`login: none`)"),
        HostLogin::ChatGpt => LOGIN.ok("a ChatGPT account, in a file"),
        HostLogin::ApiKey => LOGIN.ok("an API key, in a file"),
        _ if !facts.keys.is_empty() => LOGIN.ok(format!("by `{}`, which is passed on", facts.keys.join("`, `"))),
        HostLogin::Odd => LOGIN.warning("`auth.json` is not one of Codex's, and is not handed over", [login, inside]),
        HostLogin::Keyring if facts.settings.login == Login::Lease => {
            LOGIN.ok("in a keyring: Codex is asked for an access token at each entry")
        }
        HostLogin::Keyring => LOGIN.warning(
            "none in a file: it lies in a keyring, out of which only `login: lease` takes an access token",
            [Remedy::Run("codex -c cli_auth_credentials_store=file login".into()), inside],
        ),
        HostLogin::Barred => LOGIN.warning(
            "`/etc/codex/requirements.toml` allows no login in a file, and a container has no keyring: yours does not go in",
            [Remedy::Do("name the variable of an API key under `env` in the settings".into())],
        ),
        HostLogin::None => LOGIN.warning("none: Codex will ask for one", [login, inside]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{remedies_of, verdict};
    use super::*;
    use crate::doctor::tests::facts;
    use crate::error::host;
    use crate::finding::Verdict;

    fn with(change: impl FnOnce(&mut AboutHost)) -> Vec<Finding> {
        let mut facts = facts();
        change(&mut facts);
        findings(&facts)
    }

    #[test]
    fn a_whole_codex_with_a_login_has_nothing_to_mend() {
        let found = with(|_| {});
        assert!(found.iter().all(|f| f.verdict == Verdict::Held), "{found:#?}");
        assert_eq!(found.len(), 5);
    }

    #[test]
    fn a_missing_codex_comes_by_npm_and_npm_by_the_distribution() {
        let none = || host("there is no `codex` on PATH").run(["npm install -g @openai/codex"]);
        let found = with(|f| (f.codex, f.codex_present) = (Err(none()), false));
        assert_eq!(verdict(&found, "codex.program"), Verdict::Missing);
        assert_eq!(remedies_of(&found, "codex.program"), "npm install -g @openai/codex");
        let bare = with(|f| (f.codex, f.codex_present, f.npm) = (Err(none()), false, false));
        assert!(remedies_of(&bare, "codex.program").starts_with("sudo apt-get install npm\n"));
        let damaged = with(|f| f.codex = Err(host("`/x` is a damaged program")));
        assert_eq!(verdict(&damaged, "codex.program"), Verdict::Broken);
    }

    #[test]
    fn what_is_not_beside_the_program_is_a_warning() {
        let lone = with(|f| {
            let codex = f.codex.as_mut().unwrap();
            codex.root = None;
            codex.helper = false;
            codex.notes = vec!["there is no `codex-code-mode-host` beside it".into(), "a link is left out".into()];
        });
        assert_eq!(verdict(&lone, "codex.package"), Verdict::Noted);
        assert_eq!(verdict(&lone, "codex.helper"), Verdict::Noted);
        // The helper has a finding of its own.
        assert_eq!(verdict(&lone, "codex.note"), Verdict::Noted);
    }

    #[test]
    fn a_login_may_be_in_a_keyring_or_missing_or_come_by_a_variable() {
        let login = |login| verdict(&with(|f| f.login = login), "codex.login");
        assert_eq!(login(HostLogin::ApiKey), Verdict::Held);
        for bad in [HostLogin::None, HostLogin::Odd] {
            assert_eq!(login(bad), Verdict::Noted);
        }
        assert_eq!(login(HostLogin::Keyring), Verdict::Held, "the host's Codex is asked");
        let keyring = with(|f| (f.login, f.settings.login) = (HostLogin::Keyring, Login::Full));
        assert!(remedies_of(&keyring, "codex.login").contains("cli_auth_credentials_store=file"));
        let key = with(|f| (f.login, f.keys) = (HostLogin::None, vec!["CODEX_API_KEY".into()]));
        assert_eq!(verdict(&key, "codex.login"), Verdict::Held);
        assert!(with(|f| f.settings.shape.codex_home = Mode::None).iter().all(|f| f.id != "codex.login"));
    }

    #[test]
    fn a_shared_home_is_warned_of_and_must_be_there() {
        let shared = |exists| {
            verdict(&with(|f| (f.settings.shape.codex_home, f.home_exists) = (Mode::Shared, exists)), "codex.home")
        };
        assert_eq!((shared(true), shared(false)), (Verdict::Noted, Verdict::Missing));
    }
}
