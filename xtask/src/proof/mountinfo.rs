//! The kernel's table of mounts (`/proc/PID/mountinfo`, see proc(5)), as values. Reads nothing.

use std::collections::BTreeSet;

/// One line of mountinfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountLine {
    /// The mount's id.
    pub id: u64,
    /// The id of the mount it lies on.
    pub parent: u64,
    /// `major:minor` of the file system.
    pub device: String,
    /// The directory or file of that file system which is seen here.
    pub root: String,
    /// Where it is seen.
    pub point: String,
    /// The options of this mount, such as `ro`. They decide; those of the file system do not.
    pub options: Vec<String>,
    /// Propagation: `shared:N`, `master:N`, ... Empty for a private mount.
    pub tags: Vec<String>,
    /// The type of the file system.
    pub fstype: String,
    /// The options of the file system.
    pub super_options: Vec<String>,
}

impl MountLine {
    /// Whether this mount refuses writes.
    pub fn read_only(&self) -> bool {
        self.options.iter().any(|option| option == "ro")
    }

    /// Whether mounts made elsewhere appear below this one, or the other way round.
    pub fn propagates(&self) -> bool {
        self.tags.iter().any(|tag| tag.starts_with("shared:") || tag.starts_with("master:"))
    }

    /// The value of an option of the file system, such as overlay's `upperdir`.
    pub fn super_option(&self, name: &str) -> Option<&str> {
        self.super_options.iter().find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    }

    /// Where this mount's content lies in its file system.
    pub fn place(&self) -> DevicePath {
        DevicePath { device: self.device.clone(), path: self.root.clone() }
    }
}

/// A directory or file, named by its file system and its path therein: the same for every bind mount of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePath {
    /// `major:minor` of the file system.
    pub device: String,
    /// The path from the root of that file system.
    pub path: String,
}

impl DevicePath {
    /// Whether one is, contains or lies in the other.
    pub fn touches(&self, other: &DevicePath) -> bool {
        self.device == other.device && touches(&self.path, &other.path)
    }

    /// A path below this place.
    #[must_use]
    pub fn join(&self, rest: &str) -> DevicePath {
        let path = match (self.path.as_str(), rest.trim_start_matches('/')) {
            (path, "") => path.to_owned(),
            (path, rest) => format!("{}/{rest}", path.trim_end_matches('/')),
        };
        let device = self.device.clone();
        DevicePath { device, path }
    }
}

impl std::fmt::Display for DevicePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.device, self.path)
    }
}

/// Whether `path` is `dir` or lies in it, component by component. Both absolute and without a trailing slash.
pub fn within(path: &str, dir: &str) -> bool {
    rest(path, dir).is_some()
}

/// Whether one path is, contains or lies in the other.
pub fn touches(a: &str, b: &str) -> bool {
    within(a, b) || within(b, a)
}

/// What follows `dir` in `path`: empty where they are equal, `None` where `path` lies elsewhere.
pub fn rest<'a>(path: &'a str, dir: &str) -> Option<&'a str> {
    let dir = dir.trim_end_matches('/');
    let rest = path.strip_prefix(dir)?;
    (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/'))
}

/// The mounts that one process sees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountTable {
    /// The lines, in the kernel's order.
    pub lines: Vec<MountLine>,
}

impl MountTable {
    /// Parses the text of a mountinfo file. A line that does not have the documented shape is an error that shows it:
    /// a mount that was passed over could be the writable one.
    pub fn parse(text: &str) -> Result<MountTable, String> {
        let lines = text
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| parse_line(line).ok_or_else(|| format!("cannot read the mount table: odd line `{line}`")))
            .collect::<Result<_, _>>()?;
        Ok(MountTable { lines })
    }

    /// The mount on which a path lies: the kernel's own walk, from the root, over each mount that is met first. A mount
    /// that another one hides is never the answer.
    pub fn covering(&self, path: &str) -> Option<&MountLine> {
        let ids: BTreeSet<u64> = self.lines.iter().map(|line| line.id).collect();
        let mut here = self
            .lines
            .iter()
            .find(|line| line.point == "/" && (!ids.contains(&line.parent) || line.parent == line.id))?;
        // Each turn goes to another mount; the bound serves tables that no kernel wrote.
        for _ in 0..self.lines.len() {
            let next = self
                .lines
                .iter()
                .filter(|line| line.parent == here.id && line.id != here.id && within(path, &line.point))
                .min_by_key(|line| line.point.len());
            match next {
                Some(line) => here = line,
                None => break,
            }
        }
        Some(here)
    }

    /// The mount whose mount point is exactly this path, if it can be seen.
    pub fn at(&self, path: &str) -> Option<&MountLine> {
        self.covering(path).filter(|line| line.point == path)
    }

    /// The mounts below a path, without that of the path itself and without those that are hidden.
    pub fn below(&self, path: &str) -> Vec<&MountLine> {
        self.lines
            .iter()
            .filter(|line| line.point != path && within(&line.point, path))
            .filter(|line| self.covering(&line.point).is_some_and(|seen| seen.id == line.id))
            .collect()
    }

    /// Names a path by its file system.
    pub fn place_of(&self, path: &str) -> Option<DevicePath> {
        let line = self.covering(path)?;
        Some(line.place().join(rest(path, &line.point)?))
    }
}

fn parse_line(line: &str) -> Option<MountLine> {
    let (mount, fs) = line.split_once(" - ")?;
    let mut fields = mount.split(' ');
    let id = fields.next()?.parse().ok()?;
    let parent = fields.next()?.parse().ok()?;
    let device = fields.next().filter(|device| device.contains(':'))?.to_owned();
    let root = unescaped(fields.next()?)?;
    let point = unescaped(fields.next()?).filter(|point| point.starts_with('/'))?;
    let options = list(fields.next()?);
    let tags = fields.map(str::to_owned).collect();
    let mut fs = fs.splitn(3, ' ');
    let fstype = fs.next().filter(|fstype| !fstype.is_empty())?.to_owned();
    let _source = fs.next()?;
    let super_options = list(fs.next()?);
    Some(MountLine { id, parent, device, root, point, options, tags, fstype, super_options })
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(|option| unescaped(option).unwrap_or_else(|| option.to_owned())).collect()
}

/// Undoes the kernel's octal escapes (`\040` for a space).
fn unescaped(field: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'\\' {
            let digits = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok())?;
            bytes.push(u8::from_str_radix(digits, 8).ok()?);
            rest = &tail[3..];
        } else {
            bytes.push(byte);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r"80 52 0:41 / / rw,relatime master:2 - overlay overlay rw,lowerdir=/l/A:/l/B,upperdir=/var/lib/docker/up,workdir=/w
82 80 0:45 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
98 80 254:0 /var/my\040data\134x /datasets/ssv2 ro,relatime - ext4 /dev/vda rw,discard
99 98 0:50 / /datasets/ssv2/sub rw,relatime shared:7 master:3 - tmpfs with\040space rw
";

    #[test]
    fn a_table_of_a_real_container_is_read() {
        let table = MountTable::parse(TABLE).unwrap();
        assert_eq!(table.lines.len(), 4);
        let data = table.at("/datasets/ssv2").unwrap();
        assert_eq!((data.device.as_str(), data.root.as_str()), ("254:0", r"/var/my data\x"));
        assert!(data.read_only() && !data.propagates());
        assert_eq!(table.lines[0].super_option("upperdir"), Some("/var/lib/docker/up"));
        let below = table.below("/datasets/ssv2");
        assert_eq!(below.len(), 1);
        assert!(!below[0].read_only() && below[0].propagates());
        assert_eq!(table.place_of("/datasets/ssv2/a/b").unwrap().to_string(), r"254:0 /var/my data\x/a/b");
        assert_eq!(table.covering("/datasets/ssv2x").unwrap().point, "/");
        assert!(table.at("/datasets").is_none());
    }

    #[test]
    fn a_mount_that_is_hidden_by_another_is_not_seen() {
        // /a is mounted, then /a/b on it, then another file system over /a: what lies at /a/b is on the last one.
        let table = MountTable::parse(
            "1 0 8:1 / / rw - ext4 d rw\n2 1 8:2 / /a rw - ext4 d rw\n3 2 8:3 / /a/b rw - ext4 d rw\n4 2 8:4 / /a ro - ext4 d rw\n",
        )
        .unwrap();
        assert_eq!(table.covering("/a/b/c").unwrap().id, 4);
        assert_eq!(table.at("/a").unwrap().id, 4);
        assert!(table.below("/a").is_empty());
    }

    #[test]
    fn an_odd_line_is_an_error_that_shows_it() {
        for odd in [
            "nonsense",
            "1 0 8:1 / /",
            "1 0 8:1 / / rw - ext4",
            "x 0 8:1 / / rw - ext4 d rw",
            r"1 0 8:1 / /\9 rw - ext4 d rw",
        ] {
            let err = MountTable::parse(odd).unwrap_err();
            assert!(err.contains(odd), "{err}");
        }
    }

    #[test]
    fn this_kernels_own_table_is_read() {
        let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let table = MountTable::parse(&text).unwrap();
        assert!(table.place_of("/proc/self").is_some());
    }

    #[test]
    fn paths_are_compared_by_component() {
        assert!(within("/a/b", "/a") && within("/a", "/a") && within("/a", "/"));
        assert!(!within("/ab", "/a") && touches("/a", "/a/b") && !touches("/a/b", "/a/c"));
        assert_eq!(rest("/a/b/c", "/a"), Some("b/c"));
    }
}
