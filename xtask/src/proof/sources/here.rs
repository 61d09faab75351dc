//! Whether a server is this host itself, and which of its directories it then shows. Pure, but for [`Here::read`].
//!
//! Names are not asked for: a question to a name server can take long, and can be answered by anybody. A name of this host
//! that only a name server knows is therefore not seen as one.

use crate::mountinfo::{clean, join, within};
use crate::outside;
use crate::proof::net_tables;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// What this host is called, and what it exports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Here {
    names: BTreeSet<String>,
    addresses: BTreeSet<IpAddr>,
    /// What the kernel's NFS server exports: see exportfs(8). `None` where no such server was set up.
    exports: Option<String>,
}

/// The table of exports, as exportfs(8) keeps it.
const ETAB: &str = "/var/lib/nfs/etab";

impl Here {
    pub(super) fn read() -> Here {
        let text = |path: &str| outside::text(Path::new(path), outside::WRITTEN).ok();
        let hosts = text("/etc/hosts").unwrap_or_default();
        let own = text("/proc/sys/kernel/hostname").unwrap_or_default();
        Here { exports: text(ETAB), ..Here::of(own.trim(), &hosts, net_tables::own_addresses()) }
    }

    /// By the name of this host, `/etc/hosts`, and its addresses.
    fn of(own: &str, hosts: &str, addresses: BTreeSet<IpAddr>) -> Here {
        let mut here = Here { addresses, ..Here::default() };
        let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default().split_whitespace());
        for mut words in lines {
            if words.next().and_then(address).is_some_and(|address| here.has(address)) {
                here.names.extend(words.map(name));
            }
        }
        let own = name(own);
        here.names.extend(own.split_once('.').map(|(short, _)| short.to_owned()));
        here.names.insert(own);
        here.names.remove("");
        here
    }

    /// Whether a server of this name or address is this host.
    pub(super) fn is(&self, host: &str) -> bool {
        let host = name(host);
        let loopback =
            matches!(host.as_str(), "localhost" | "localhost.localdomain" | "ip6-localhost" | "ip6-loopback")
                || host.ends_with(".localhost");
        loopback || self.names.contains(&host) || address(&host).is_some_and(|address| self.has(address))
    }

    fn has(&self, address: IpAddr) -> bool {
        // A connection to the address that means any is one to this host.
        address.is_loopback() || address.is_unspecified() || self.addresses.contains(&address)
    }

    /// The directory that the kernel's NFS server shows under a path; `None` where it exports no such one. Version 4 has one
    /// root for everything, which is an export of its own if one has `fsid=0` (exports(5)).
    pub(super) fn exported(&self, path: &str, version_4: bool) -> Option<PathBuf> {
        let lines = self.exports.as_deref()?.lines();
        let exports: Vec<(String, &str)> = lines.filter_map(export).collect();
        let is_root = |options: &str| options.split([',', '(', ')']).any(|one| matches!(one, "fsid=0" | "fsid=root"));
        let root = exports.iter().find(|(_, options)| version_4 && is_root(options));
        match root {
            Some((root, _)) => Some(join(root, path).into()),
            None => exports.iter().any(|(dir, _)| within(path, dir)).then(|| path.into()),
        }
    }
}

/// A directory that is exported, and to whom with which options.
fn export(line: &str) -> Option<(String, &str)> {
    let (dir, options) = line.split_once('\t').or_else(|| line.split_once(' '))?;
    let dir = dir.replace("\\040", " ");
    dir.starts_with('/').then(|| (clean(&dir).to_owned(), options))
}

/// A name as it is compared.
fn name(text: &str) -> String {
    text.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase()
}

fn address(text: &str) -> Option<IpAddr> {
    // A zone says through which interface, and not to whom.
    let address: IpAddr = text.split('%').next()?.parse().ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Here {
        let hosts = "127.0.1.1 box.example box # mine\n10.0.0.5 store\n10.0.0.9 far\n::1 six\n";
        Here::of("Box.example", hosts, ["10.0.0.5".parse().unwrap(), "fd00::5".parse().unwrap()].into())
    }

    #[test]
    fn this_host_is_known_by_its_names_and_addresses() {
        let here = here();
        for own in [
            "localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "0.0.0.0", "box",
            "box.example", "store", "six", "10.0.0.5", "fd00::5", "fd00:0:0::5%eth0", "::ffff:127.0.0.1",
            "::ffff:10.0.0.5",
        ] {
            assert!(here.is(own), "{own}");
        }
        for other in ["far", "10.0.0.9", "server", "box.other", "fd00::6", "", "localhost.example"] {
            assert!(!here.is(other), "{other}");
        }
        assert!(Here::read().is("127.0.0.1"));
    }

    #[test]
    fn what_the_kernels_server_exports_is_the_directory_of_that_path() {
        let with = |exports: &str| Here { exports: Some(exports.into()), ..here() };
        let plain = with("/srv/data\t10.0.0.0/8(ro,sync,fsid=7)\n/srv/my\\040set\t*(ro)\n");
        assert_eq!(plain.exported("/srv/data/a", false), Some("/srv/data/a".into()));
        assert_eq!(plain.exported("/srv/my set", true), Some("/srv/my set".into()));
        assert_eq!(plain.exported("/srv/other", true), None);
        let root = with("/srv/nfs\t*(ro,fsid=0)\n/srv/nfs/data\t*(ro)\n");
        assert_eq!(root.exported("/data", true), Some("/srv/nfs/data".into()));
        assert_eq!(root.exported("/data", false), None, "version 3 knows no such root");
        assert_eq!(here().exported("/srv/data", false), None, "there is no such server");
    }
}
