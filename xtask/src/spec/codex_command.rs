//! How Codex is started inside: its arguments and its environment. Pure.

use crate::context::Context;
use crate::network::PROXY_VARIABLES;
use std::collections::BTreeMap;

/// The mark by which the processes of one session are found again.
pub const MARK: &str = "CODEX_SANDBOX_SESSION";

/// What Codex needs to behave as in the user's own terminal.
const TERMINAL_VARIABLES: &[&str] = &["TERM", "COLORTERM", "TERM_PROGRAM", "LANG"];

/// What the base image's entry point sets up and `docker exec` would skip: CUDA forward compatibility.
pub const CARRIED: &[&str] = &["LD_LIBRARY_PATH", "_CUDA_COMPAT_STATUS"];

/// What the image, the Compose file or this tool sets for everything inside. A value of the host would break it.
const OWN: &[&str] = &[
    "PATH",
    "HOME",
    "PWD",
    "HOSTNAME",
    "CODEX_HOME",
    "TORCH_CUDA_ARCH_LIST",
    "NCCL_CUMEM_HOST_ENABLE",
    "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES",
    MARK,
    LINK_MODE,
];

/// By which uv is told not to try hard links first: its cache is a file system of its own.
pub(crate) const LINK_MODE: &str = "UV_LINK_MODE";

/// Variables by which programs inside find the host's CA bundle. Codex reads the first two.
pub(crate) const CA_VARIABLES: &[&str] = &[
    "CODEX_CA_CERTIFICATE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT", "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
];

/// Every variable that the sandbox sets itself and that none of the host may take the place of. Those of the caches are not
/// among them: the user is told that they lead past the volumes.
pub(crate) fn own() -> Vec<&'static str> {
    [OWN, CARRIED, CA_VARIABLES].concat()
}

/// Codex as it is entered: on its read-only mount. By its name alone, root inside could put another program before it
/// on the PATH.
pub const BINARY: &str = "/opt/codex/bin/codex";

/// Codex with the sandbox's own settings first and the user's arguments last, so that theirs win.
///
/// The container is the sandbox: Codex's inner one cannot start under Docker's default seccomp profile and would hide
/// the GPU. The bypass flag would overrule `-s` and `-a` of the user; this setting does not. A `-c` is accepted by
/// every subcommand and by old versions, other than `--no-daemon`.
pub fn codex(disable: &[String], user: &[String]) -> Vec<String> {
    let settings = [
        r#"sandbox_mode="danger-full-access""#,
        "features.daemon_auto_start=false",
        "check_for_update_on_startup=false",
        r#"projects={"/workspace"={trust_level="trusted"}}"#,
    ];
    let mut words = vec![BINARY.to_owned()];
    words.extend(settings.iter().flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]));
    words.extend(disable.iter().cloned());
    words.extend(user.iter().cloned());
    words
}

/// What the user has Codex do with the login inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoginCommand {
    In,
    Out,
}

/// Codex's own options before a command that take a value in the next word (`codex --help`, 0.145.0 to 0.171.0).
const WITH_VALUE: &[&str] = &[
    "-c",
    "--config",
    "--enable",
    "--disable",
    "-i",
    "--image",
    "-m",
    "--model",
    "--local-provider",
    "-p",
    "--profile",
    "-s",
    "--sandbox",
    "-a",
    "--ask-for-approval",
    "-C",
    "--cd",
    "--add-dir",
    "--remote",
    "--remote-auth-token-env",
];

/// Whether the user's arguments log in or out: `login`, and not `login status` or its help. What is not understood does not.
pub(crate) fn login_command(user: &[String]) -> Option<LoginCommand> {
    let mut words = user.iter().map(String::as_str);
    let tells = |word: &str| matches!(word, "status" | "help" | "-h" | "--help" | "-V" | "--version");
    if words.clone().any(tells) {
        return None;
    }
    let command = loop {
        match words.next()? {
            option if WITH_VALUE.contains(&option) => drop(words.next()),
            "--" => return None,
            option if option.starts_with('-') => {}
            word => break word,
        }
    };
    match command {
        "login" => Some(LoginCommand::In),
        "logout" => Some(LoginCommand::Out),
        _another => None,
    }
}

/// The environment of Codex: shown by value (terminal, mark, what is carried), and by name only (proxies, the user's
/// allow-list).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// Passed and shown by value.
    pub shown: Vec<(String, String)>,
    /// Passed by name: the values are in the environment of `docker exec` and nowhere else.
    pub named: Vec<(String, String)>,
}

/// Gathers the environment. `carried` is what was read inside before any agent ran there.
pub fn environment(cx: &Context, allowed: &[String], carried: &BTreeMap<String, String>, mark: &str) -> Environment {
    let set = |name: &str| cx.var(name).map(|value| (name.to_owned(), value.to_owned()));
    let mut shown: Vec<(String, String)> = TERMINAL_VARIABLES.iter().filter_map(|name| set(name)).collect();
    shown.extend(carried.iter().map(|(name, value)| (name.clone(), value.clone())));
    shown.push((MARK.to_owned(), mark.to_owned()));
    let names = PROXY_VARIABLES.iter().copied().chain(allowed.iter().map(String::as_str));
    Environment { shown, named: names.filter_map(set).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_arguments_come_last() {
        let words = codex(&["-c".into(), "mcp_servers.a.enabled=false".into()], &["-s".into(), "read-only".into()]);
        assert_eq!(words[..3], ["/opt/codex/bin/codex", "-c", r#"sandbox_mode="danger-full-access""#]);
        assert_eq!(words[words.len() - 2..], ["-s", "read-only"]);
    }

    #[test]
    fn a_login_is_known_by_its_command_alone() {
        let of = |line: &str| login_command(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        for line in
            ["login", "login --device-auth", "-c a=b login", "--search -p work login --with-api-key", "--model=m login"]
        {
            assert_eq!(of(line), Some(LoginCommand::In), "{line}");
        }
        assert_eq!((of("logout"), of("-c login logout")), (Some(LoginCommand::Out), Some(LoginCommand::Out)));
        for line in
            ["", "exec login", "-- login", "login status", "login --help", "--help login", "-m login", "resume", "-c"]
        {
            assert_eq!(of(line), None, "{line}");
        }
    }
}
