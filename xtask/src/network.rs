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

fn is_bundle(path: &Path) -> bool {
    path.is_absolute() && std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() > 0)
}
