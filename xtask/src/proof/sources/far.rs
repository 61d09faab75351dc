//! Where a remote file system lies, by the source in the mount table. Pure.

use super::here::Here;
use crate::file_systems::Far;
use crate::mountinfo::{MountLine, clean, join, touches};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// A place on other machines, as far as the mount table says where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FarPlace {
    /// The names and addresses of the server.
    hosts: BTreeSet<String>,
    /// What the path begins at: the root of that machine, or a name of the server's own for file systems of this type.
    space: Option<String>,
    path: String,
}

/// What the source says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Far(FarPlace),
    /// This directory of this host.
    Here(PathBuf),
    /// Nothing by which it could be compared.
    Unsaid,
    /// Why it cannot be known, a clause.
    Unknown(String),
}

impl FarPlace {
    /// Whether one is, contains or lies in the other.
    pub(super) fn touches(&self, other: &FarPlace) -> bool {
        self.space == other.space && !self.hosts.is_disjoint(&other.hosts) && touches(&self.path, &other.path)
    }
}

impl std::fmt::Display for FarPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.hosts.first().map(String::as_str).unwrap_or_default(), self.path)
    }
}

/// Backends of rclone that show what another one has: its documentation's "virtual providers".
const WRAPPERS: &[&str] = &["alias", "archive", "cache", "chunker", "combine", "compress", "crypt", "hasher", "union"];

/// The port of NFS.
const NFS: &str = "2049";

/// Where this part of a file system lies.
pub(super) fn place(line: &MountLine, far: Far, part: &str, here: &Here) -> Place {
    let source = line.source.as_str();
    let at = format!("`{}` ({}, `{source}`)", line.point, line.fstype);
    let unknown = |what: &str| Place::Unknown(format!("{at} {what}, and where from is not known"));
    let by_this_host = "is served by this host itself";
    match far {
        Far::Nothing => Place::Unsaid,
        Far::Export => {
            let Some((host, path)) = host_and_path(source) else { return Place::Unsaid };
            let place = FarPlace::new(line, host, None, join(path, part));
            if !place.is(here) {
                return Place::Far(place);
            }
            // At another port it is another server, or a way to another machine.
            let own_server = line.super_option("port").is_none_or(|port| matches!(port, NFS | "0"));
            let shown = own_server.then(|| here.exported(clean(path), line.fstype == "nfs4")).flatten();
            match shown.and_then(|dir| Some(join(dir.to_str()?, part))) {
                Some(dir) => Place::Here(dir.into()),
                None => unknown(by_this_host),
            }
        }
        Far::Path => {
            let Some((host, path)) = host_and_path(source) else { return Place::Unsaid };
            // What is not absolute begins at the home of that user.
            let user = host.rsplit_once('@').map(|(user, _)| user);
            let absolute = path.starts_with('/');
            let space = (!absolute).then(|| format!("~{}", user.unwrap_or_default()));
            let whole = if absolute { join(path, part) } else { join("/", &join(path, part)) };
            let host = host.rsplit('@').next().unwrap_or(host);
            let place = FarPlace::new(line, host, space, whole.clone());
            match (place.is(here), absolute) {
                (false, _) => Place::Far(place),
                (true, true) => Place::Here(whole.into()),
                (true, false) => unknown(by_this_host),
            }
        }
        Far::Share => named(line, share(source), part, here, || unknown(by_this_host)),
        Far::Volume => named(line, volume(line), part, here, || unknown(by_this_host)),
        Far::Plan9 => match line.super_option("trans") {
            Some("unix") => unknown("is served by a program of this host"),
            Some("fd") if !line.super_option("aname").is_some_and(|name| name.starts_with("drvfs")) => {
                unknown("is served by a program of this host")
            }
            Some("tcp") => {
                let path = line.super_option("aname").unwrap_or_default();
                named(line, Some((source, path)), part, here, || unknown(by_this_host))
            }
            // By the machine around this one.
            Some(_) | None => Place::Unsaid,
        },
        Far::Rclone => rclone(source, part).unwrap_or_else(|| unknown("shows what another backend of rclone has")),
    }
}

impl FarPlace {
    fn new(line: &MountLine, host: &str, space: Option<String>, path: String) -> FarPlace {
        let hosts = [Some(host), line.super_option("addr")].into_iter().flatten();
        let hosts = hosts.map(|host| host.trim_matches(['[', ']']).to_ascii_lowercase()).collect();
        FarPlace { hosts, space, path }
    }

    fn is(&self, here: &Here) -> bool {
        self.hosts.iter().any(|host| here.is(host))
    }
}

/// A share or a volume. Only the server knows in which of its directories one lies.
fn named(line: &MountLine, said: Option<(&str, &str)>, part: &str, here: &Here, own: impl Fn() -> Place) -> Place {
    let Some((hosts, path)) = said else { return Place::Unsaid };
    let mut place = FarPlace::new(line, "", Some(line.fstype.clone()), join(&join("/", path), part));
    place.hosts.extend(hosts.split(',').map(|host| without_port(host).to_ascii_lowercase()));
    place.hosts.remove("");
    if place.is(here) { own() } else { Place::Far(place) }
}

/// `host:path`, where the host may be an address in brackets.
fn host_and_path(source: &str) -> Option<(&str, &str)> {
    let after = source.find("]:").map_or(0, |at| at + 1);
    let colon = after + source[after..].find(':')?;
    Some((&source[..colon], &source[colon + 1..]))
}

/// `//host/share`, or an address with a scheme.
fn share(source: &str) -> Option<(&str, &str)> {
    let rest = source.split_once("//")?.1;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    Some((host.rsplit('@').next().unwrap_or(host), path))
}

/// `host:/name`, `host:port`, or several hosts; those of Lustre have their network behind them.
fn volume(line: &MountLine) -> Option<(&str, &str)> {
    let source = line.source.strip_prefix("mfs#").unwrap_or(&line.source);
    let (hosts, path) = source.split_once(":/").unwrap_or((source, ""));
    let hosts = if line.fstype == "lustre" { hosts.split('@').next().unwrap_or(hosts) } else { hosts };
    Some((hosts, path))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) && !name.contains(':') =>
        {
            name
        }
        _ => host.trim_matches(['[', ']']),
    }
}

/// A path of this host, a backend that is written out (`:s3:bucket`, `:local:/data`), or a name of the user's settings, whose
/// kind is not asked for: these settings can be encrypted.
fn rclone(source: &str, part: &str) -> Option<Place> {
    let Some(written) = source.strip_prefix(':') else {
        return match (source.starts_with('/'), source.contains(':')) {
            (true, _) => Some(Place::Here(join(source, part).into())),
            (false, true) => Some(Place::Unsaid),
            (false, false) => None,
        };
    };
    let backend = written.split([',', ':']).next()?;
    if WRAPPERS.contains(&backend) {
        return None;
    }
    if backend != "local" {
        return Some(Place::Unsaid);
    }
    let path = written.strip_prefix("local:").filter(|path| path.starts_with('/'))?;
    Some(Place::Here(join(path, part).into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_systems::{Kind, kind};
    use crate::mountinfo::MountTable;

    fn at(rest: &str, part: &str) -> Place {
        let table = MountTable::parse(&format!("1 0 0:40 / /mnt rw - {rest}\n")).unwrap();
        let Kind::Remote(far) = kind(&table.lines[0]) else { panic!("{rest}") };
        place(&table.lines[0], far, part, &Here::default())
    }

    fn far(rest: &str) -> FarPlace {
        match at(rest, "/") {
            Place::Far(place) => place,
            other => panic!("{rest}: {other:?}"),
        }
    }

    #[test]
    fn two_mounts_of_one_server_are_compared_by_its_paths() {
        let data = far("nfs4 server:/srv/data rw,addr=192.0.2.1");
        for same in [
            "nfs server:/srv rw",
            "nfs4 192.0.2.1:/srv/data/x rw",
            "nfs4 Other:/srv/data rw,addr=192.0.2.1",
            "fuse.sshfs me@server:/srv/data rw",
        ] {
            assert!(data.touches(&far(same)), "{same}");
        }
        for other in [
            "nfs4 server:/srv/database rw",
            "nfs4 far:/srv/data rw",
            "cifs //server/srv/data rw",
            "fuse.sshfs me@server:srv rw",
        ] {
            assert!(!data.touches(&far(other)), "{other}");
        }
        let share = far("cifs //server/share/sub rw,addr=192.0.2.1");
        assert!(share.touches(&far("cifs //192.0.2.1/share rw")) && !share.touches(&far("cifs //server/other rw")));
        assert!(far("lustre 192.0.2.1@tcp:/one rw").touches(&far("lustre 192.0.2.1@tcp:/one/sub rw")));
        assert!(far("ceph 192.0.2.1:6789,192.0.2.2:6789:/a rw").touches(&far("ceph 192.0.2.2:6789:/a rw")));
        assert_eq!(far("nfs4 [2001:db8::1]:/srv rw").to_string(), "2001:db8::1:/srv");
    }

    #[test]
    fn what_this_host_serves_itself_is_its_own_directory_or_not_known() {
        assert_eq!(at("fuse.sshfs me@localhost:/srv/data rw", "/clips"), Place::Here("/srv/data/clips".into()));
        assert_eq!(at("fuse.rclone :local:/srv/data rw", "/clips"), Place::Here("/srv/data/clips".into()));
        assert_eq!(at("fuse.rclone /srv/data rw", "/"), Place::Here("/srv/data".into()));
        for unknown in [
            "fuse.sshfs me@127.0.0.1:data rw",
            "nfs4 127.0.0.1:/ rw,port=20449",
            "nfs 127.0.0.1:/nowhere/at/all rw",
            "nfs4 alias:/nowhere/at/all rw,addr=127.0.0.1",
            "cifs //localhost/share rw",
            "fuse.glusterfs localhost:/vol rw",
            "fuse.mfs mfs#127.0.0.1:9421 rw",
            "fuse.davfs http://127.0.0.1:8080/x rw",
            "9p 127.0.0.1 rw,trans=tcp,aname=/srv",
            "9p /run/socket rw,trans=unix",
            "9p x rw,trans=fd,rfd=3,wfd=3",
            "fuse.rclone :union,upstreams=/a:/b: rw",
            "fuse.rclone :local,nounc:/srv rw",
            "fuse.rclone data rw",
        ] {
            assert!(matches!(at(unknown, "/"), Place::Unknown(_)), "{unknown}: {:?}", at(unknown, "/"));
        }
    }

    #[test]
    fn what_says_nothing_is_not_compared() {
        for rest in [
            "fuse.s3fs s3fs rw",
            "fuse.gcsfuse bucket rw",
            "beegfs beegfs_nodev rw,cfgFile=/etc/beegfs/c",
            "9p share rw,trans=virtio",
            "9p C: rw,aname=drvfs;path=C:,trans=fd",
            "virtiofs share rw",
            "fuse.rclone mine:bucket rw",
            "fuse.rclone :s3:bucket rw",
            "fuse.rclone :memory: rw",
        ] {
            assert_eq!(at(rest, "/"), Place::Unsaid, "{rest}");
        }
    }
}
