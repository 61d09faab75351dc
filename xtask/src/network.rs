//! How this host reaches the network: its CA bundle and its proxies. Reads only.

use crate::context::Context;
use crate::text;
use std::path::{Path, PathBuf};

/// For the build and for the running container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HostNetwork {
    /// The CA bundle that the host trusts.
    pub(crate) ca: Option<PathBuf>,
    /// The names of the proxy variables that are set: `HTTP_PROXY`, `https_proxy`, …, each in one spelling.
    pub(crate) proxies: Vec<String>,
}

/// Variables that name a whole CA bundle, strongest first.
const BUNDLE_VARIABLES: &[&str] = &["CODEX_CA_CERTIFICATE", "SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"];

/// Where distributions keep the bundle: Debian and Ubuntu, Fedora and RHEL, openSUSE, Alpine.
const BUNDLE_PATHS: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The proxy variables, in both spellings; the lower-case one wins where programs disagree.
pub(crate) const PROXY_VARIABLES: &[&str] =
    &["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

/// Reads the CA bundle and the names of the proxy variables that are set.
pub(crate) fn read(cx: &Context) -> HostNetwork {
    let named = BUNDLE_VARIABLES.iter().filter_map(|name| cx.var(name)).map(PathBuf::from);
    let usual = BUNDLE_PATHS.iter().map(PathBuf::from);
    let ca = named.chain(usual).find(|path| is_bundle(path));
    let mut proxies: Vec<String> = Vec::new();
    for name in PROXY_VARIABLES {
        let twin = proxies.iter().any(|other| other.eq_ignore_ascii_case(name));
        if cx.var(name).is_some() && !twin {
            proxies.push((*name).to_owned());
        }
    }
    HostNetwork { ca, proxies }
}

/// The fewest characters of a user of a proxy without a password that may be a token: a name has no digit in so many.
const LEAST_OF_A_TOKEN: usize = 16;

/// The proxy variables that hold a password, or a token in the place of the user.
fn with_password(cx: &Context) -> impl Iterator<Item = &'static str> {
    let is_token = |user: &str| user.len() >= LEAST_OF_A_TOKEN && user.bytes().any(|b| b.is_ascii_digit());
    let has_password = move |name: &&str| {
        let host = cx.var(name).map(|value| value.split_once("://").map_or(value, |(_, rest)| rest));
        host.and_then(text::login_of).is_some_and(|(user, password)| password.is_some() || is_token(user))
    };
    PROXY_VARIABLES.iter().copied().filter(has_password)
}

/// A line for each proxy variable that holds a password: Codex reaches no model without its proxy, so it goes in.
pub(crate) fn passwords(cx: &Context) -> Vec<String> {
    let line = |name| format!("`{name}` holds a password, and it goes in: the agent can read it");
    with_password(cx).map(line).collect()
}

/// Whether one goes in.
pub(crate) fn has_password(cx: &Context) -> bool {
    with_password(cx).next().is_some()
}

fn is_bundle(path: &Path) -> bool {
    path.is_absolute() && std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_of_a_proxy_is_said_and_not_shown() {
        let said = |value: &str| {
            let env = [("https_proxy".to_owned(), value.to_owned())].into();
            passwords(&Context { env, ..Context::default() })
        };
        for with in [
            "http://me:v4lue@proxy:3128",
            "me:v4lue@proxy:3128/",
            "socks5h://me:v4@lue@proxy",
            "http://me:v4/lue@proxy:1",
            "http://ghp0123456789abcdef@proxy:8080",
        ] {
            assert_eq!(said(with), ["`https_proxy` holds a password, and it goes in: the agent can read it"], "{with}");
        }
        for without in
            ["", "http://proxy:3128", "proxy:3128", "http://me@proxy:3128", "http://proxy/a:b@c", "http://proxy:80/a@b"]
        {
            assert_eq!(said(without), Vec::<String>::new(), "{without}");
        }
    }
}
