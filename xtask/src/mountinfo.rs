//! The kernel's table of mounts (`/proc/PID/mountinfo`, see proc_pid_mountinfo(5)), as values.

use serde::Deserialize;
use std::fs;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountLine {
    pub(crate) id: u64,
    /// The id of the mount on which this one lies.
    pub(crate) parent: u64,
    /// `major:minor` of the file system.
    pub(crate) device: String,
    /// The directory or file of that file system which is seen here.
    pub(crate) root: String,
    /// Where it is seen.
    pub(crate) point: String,
    /// The options of this mount, such as `ro`. They decide; those of the file system do not.
    pub(crate) options: Vec<String>,
    /// The propagation: `shared:N`, `master:N`, and so on. Empty for a private mount.
    pub(crate) tags: Vec<String>,
    pub(crate) fstype: String,
    /// What it is made from: a device, a server's name, or any text of the file system's own.
    pub(crate) source: String,
    /// The options of the file system.
    pub(crate) super_options: Vec<String>,
}

impl MountLine {
    /// Whether this mount refuses writes.
    pub(crate) fn read_only(&self) -> bool {
        self.options.iter().any(|option| option == "ro")
    }

    /// Whether mounts that are made elsewhere appear below this one, or the other way round.
    pub(crate) fn propagates(&self) -> bool {
        self.tags.iter().any(|tag| tag.starts_with("shared:") || tag.starts_with("master:"))
    }

    /// The value of an option of the file system, such as overlay's `upperdir`.
    pub(crate) fn super_option(&self, name: &str) -> Option<&str> {
        self.super_options.iter().find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    }

    /// Where this mount's content lies in its file system.
    pub(crate) fn place(&self) -> DevicePath {
        DevicePath { device: self.device.clone(), path: self.root.clone() }
    }
}

/// A directory or file, named by its file system and its path there: the same for every bind mount of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DevicePath {
    /// `major:minor` of the file system.
    pub(crate) device: String,
    /// The path from the root of that file system.
    pub(crate) path: String,
}

impl DevicePath {
    /// Whether the other is this one, or lies in it.
    pub(crate) fn contains(&self, other: &DevicePath) -> bool {
        self.device == other.device && within(&other.path, &self.path)
    }

    /// Whether one is, contains or lies in the other.
    pub(crate) fn touches(&self, other: &DevicePath) -> bool {
        self.contains(other) || other.contains(self)
    }

    /// A path below this place.
    #[must_use]
    pub(crate) fn join(&self, rest: &str) -> DevicePath {
        DevicePath { device: self.device.clone(), path: join(&self.path, rest) }
    }
}

impl std::fmt::Display for DevicePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.device, self.path)
    }
}

/// Whether `path` is `dir` or lies in it, component by component. Both absolute and without a trailing slash.
pub(crate) fn within(path: &str, dir: &str) -> bool {
    rest(path, dir).is_some()
}

/// Whether one path is, contains or lies in the other.
pub(crate) fn touches(a: &str, b: &str) -> bool {
    within(a, b) || within(b, a)
}

/// What follows `dir` in `path`: empty where they are equal, `None` where `path` lies elsewhere.
pub(crate) fn rest<'a>(path: &'a str, dir: &str) -> Option<&'a str> {
    let dir = dir.trim_end_matches('/');
    let rest = path.strip_prefix(dir)?;
    (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/'))
}

/// A path below a directory, or the directory where nothing follows.
pub(crate) fn join(dir: &str, rest: &str) -> String {
    match rest.trim_start_matches('/') {
        "" => dir.to_owned(),
        rest => format!("{}/{rest}", dir.trim_end_matches('/')),
    }
}

/// A path that was written by others, as the kernel writes it: without a trailing slash.
pub(crate) fn clean(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" => "/",
        path => path,
    }
}

/// The mounts that one process sees, in the kernel's order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct MountTable {
    pub(crate) lines: Vec<MountLine>,
}

impl TryFrom<String> for MountTable {
    type Error = String;

    fn try_from(text: String) -> Result<MountTable, String> {
        MountTable::parse(&text)
    }
}

impl MountTable {
    /// Parses the text of a mountinfo file. A line that does not have the documented shape is an error that shows it:
    /// a mount that was left out could be the writable one.
    pub(crate) fn parse(text: &str) -> Result<MountTable, String> {
        let lines = text
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| {
                parse_line(line).ok_or_else(|| format!("cannot read the mount table: unexpected line `{line}`"))
            })
            .collect::<Result<_, _>>()?;
        Ok(MountTable { lines })
    }

    /// The table of this process, by which paths of the host are translated.
    pub(crate) fn of_this_process() -> Result<MountTable, String> {
        let text = fs::read("/proc/self/mountinfo").map_err(|err| err.to_string())?;
        MountTable::parse(&String::from_utf8_lossy(&text))
    }

    /// The mount on which a path lies. The walk is the kernel's own: from the root, onto the nearest mount on the way,
    /// and so on. A mount that another one hides is therefore never the answer.
    pub(crate) fn covering(&self, path: &str) -> Option<&MountLine> {
        let is_seen = |id: u64| self.lines.iter().any(|line| line.id == id);
        let is_root = |line: &&MountLine| line.point == "/" && (line.parent == line.id || !is_seen(line.parent));
        let mut here = self.lines.iter().find(is_root)?;
        // Each turn goes to another mount; the bound serves tables that no kernel wrote.
        for _ in 0..self.lines.len() {
            let on_the_way =
                |line: &&MountLine| line.parent == here.id && line.id != here.id && within(path, &line.point);
            let Some(next) = self.lines.iter().filter(on_the_way).min_by_key(|line| line.point.len()) else { break };
            here = next;
        }
        Some(here)
    }

    /// The mount whose mount point is exactly this path, if it can be seen.
    pub(crate) fn at(&self, path: &str) -> Option<&MountLine> {
        self.covering(path).filter(|line| line.point == path)
    }

    /// The mounts below a path, without that of the path itself and without those that are hidden.
    pub(crate) fn below(&self, path: &str) -> Vec<&MountLine> {
        self.lines
            .iter()
            .filter(|line| line.point != path && within(&line.point, path))
            .filter(|line| self.covering(&line.point).is_some_and(|seen| seen.id == line.id))
            .collect()
    }

    /// Names a path by its file system.
    pub(crate) fn place_of(&self, path: &str) -> Option<DevicePath> {
        let line = self.covering(path)?;
        Some(line.place().join(rest(path, &line.point)?))
    }

    /// Names what was opened at a path: by the mount in which the kernel found it, where that is known. The path alone
    /// may have become another file's since.
    pub(crate) fn place_in(&self, mount: Option<u64>, path: &str) -> Option<DevicePath> {
        let Some(id) = mount else { return self.place_of(path) };
        let line = self.lines.iter().find(|line| line.id == id)?;
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
    let source = unescaped(fs.next()?)?;
    let super_options = list(fs.next()?);
    Some(MountLine { id, parent, device, root, point, options, tags, fstype, source, super_options })
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
            let digits = tail.get(..3).filter(|digits| digits.iter().all(|digit| (b'0'..=b'7').contains(digit)))?;
            let digits = std::str::from_utf8(digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 8).ok()?);
            rest = &tail[3..];
        } else {
            bytes.push(byte);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

/// For the fuzzer. A table that is written out and read again is the same one, and any path can be looked for in it.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    let Ok(table) = MountTable::parse(text) else { return };
    let field = |text: &str| {
        let escaped = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' => char::from(byte).to_string(),
            odd => format!("\\{odd:03o}"),
        };
        text.bytes().map(escaped).collect::<String>()
    };
    let all = |fields: &[String]| fields.iter().map(|text| field(text)).collect::<Vec<_>>().join(",");
    let written = |line: &MountLine| {
        let tags: String = line.tags.iter().map(|tag| format!(" {tag}")).collect();
        let (root, point, source) = (field(&line.root), field(&line.point), field(&line.source));
        let MountLine { id, parent, device, fstype, .. } = line;
        let (options, more) = (all(&line.options), all(&line.super_options));
        format!("{id} {parent} {device} {root} {point} {options}{tags} - {fstype} {source} {more}\n")
    };
    let again: String = table.lines.iter().map(written).collect();
    assert_eq!(MountTable::parse(&again).as_ref(), Ok(&table), "{again}");
    for line in table.lines.iter().take(4) {
        let place = table.place_of(&line.point);
        assert!(table.covering(&line.point).is_none_or(|seen| place.is_some() == within(&line.point, &seen.point)));
        assert!(table.below(&line.point).iter().all(|below| within(&below.point, &line.point)));
    }
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
    fn the_root_is_the_mount_at_the_top_whose_parent_is_not_seen_or_itself() {
        for parent in [1, 7] {
            let text = format!(
                "5 99 8:9 / /other rw - ext4 d rw\n1 {parent} 8:1 / / rw - ext4 d rw\n2 1 8:2 / /a rw - ext4 d rw\n"
            );
            let table = MountTable::parse(&text).unwrap();
            assert_eq!(table.covering("/x").map(|line| line.id), Some(1), "{text}");
            assert_eq!(table.covering("/a/b").map(|line| line.id), Some(2), "{text}");
        }
    }

    #[test]
    fn an_odd_line_is_an_error_that_shows_it() {
        for odd in [
            "nonsense",
            "1 0 8:1 / /",
            "1 0 8:1 / / rw - ext4",
            "x 0 8:1 / / rw - ext4 d rw",
            r"1 0 8:1 / /\9 rw - ext4 d rw",
            r"1 0 8:1 / /\+12 rw - ext4 d rw",
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
