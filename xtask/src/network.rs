//! How this host reaches the network: its CA bundle and its proxies. Reads only.

use crate::context::Context;
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

/// A line for each proxy variable that holds a password: Codex reaches no model without its proxy, so it goes in.
pub(crate) fn passwords(cx: &Context) -> Vec<String> {
    let has_password = |name: &&&str| {
        let host = cx.var(name).map(|value| value.split_once("://").map_or(value, |(_, rest)| rest));
        let user = host.and_then(|host| host.split('/').next()?.rsplit_once('@')).map(|(user, _)| user);
        user.is_some_and(|user| user.split_once(':').is_some_and(|(_, password)| !password.is_empty()))
    };
    let names = PROXY_VARIABLES.iter().filter(has_password);
    names.map(|name| format!("`{name}` holds a password, and it goes in: the agent can read it")).collect()
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
        for with in ["http://me:v4lue@proxy:3128", "me:v4lue@proxy:3128/", "socks5h://me:v4@lue@proxy"] {
            assert_eq!(said(with), ["`https_proxy` holds a password, and it goes in: the agent can read it"], "{with}");
        }
        for without in ["", "http://proxy:3128", "proxy:3128", "http://me@proxy:3128", "http://proxy/a:b@c"] {
            assert_eq!(said(without), Vec::<String>::new(), "{without}");
        }
    }
}
