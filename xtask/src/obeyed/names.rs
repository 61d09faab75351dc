//! Which row of the table a name in a directory has.

use super::{Class, Name, Obeyed, table};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};
use std::sync::LazyLock;

/// The rows by what is looked up.
struct Names {
    files: HashMap<&'static [u8], &'static Obeyed>,
    endings: HashMap<&'static [u8], &'static Obeyed>,
    /// By the last part of the path.
    paths: HashMap<&'static [u8], Vec<(&'static Path, &'static Obeyed)>>,
    below: HashMap<&'static [u8], Vec<(&'static Path, &'static Obeyed)>>,
    /// By their first two bytes, or by their last two where they begin with the star.
    likes: HashMap<(bool, [u8; 2]), Vec<Like>>,
    /// What lets most names of a large workspace pass without a look into any of the others.
    sieve: Sieve,
    /// The directories that a row names, each as the beginning of its path.
    ways: HashMap<&'static [u8], Vec<(&'static Path, &'static Obeyed)>>,
}

/// A name with a star in it.
struct Like {
    path: &'static Path,
    before: &'static [u8],
    after: &'static [u8],
    row: &'static Obeyed,
}

impl Like {
    fn of(path: &'static str, row: &'static Obeyed) -> Option<Like> {
        let (before, after) = path.rsplit('/').next()?.split_once('*')?;
        Some(Like { path: Path::new(path), before: before.as_bytes(), after: after.as_bytes(), row })
    }

    fn key(&self) -> Option<(bool, [u8; 2])> {
        match (self.before, self.after) {
            ([one, two, ..], _) => Some((true, [*one, *two])),
            (_, [.., one, two]) => Some((false, [*one, *two])),
            _ => None,
        }
    }

    fn fits(&self, name: &[u8]) -> bool {
        name.strip_prefix(self.before).is_some_and(|rest| rest.ends_with(self.after))
    }
}

/// Which lengths, first and last bytes whole names have, which last two bytes endings have, and by which two bytes names with
/// a star are looked up.
struct Sieve {
    whole: Vec<bool>,
    ends: Vec<bool>,
    likes: Vec<bool>,
}

impl Sieve {
    const SIZE: usize = 4096;

    fn of_whole(name: &[u8]) -> usize {
        let (first, last) = (name.first().copied().unwrap_or(0), name.last().copied().unwrap_or(0));
        (name.len() * 131 + usize::from(first) * 31 + usize::from(last) * 7) % Sieve::SIZE
    }

    fn of_end(name: &[u8]) -> usize {
        match name {
            [.., one, two] => (usize::from(*one) * 256 + usize::from(*two)) % Sieve::SIZE,
            _ => 0,
        }
    }
}

static NAMES: LazyLock<Names> = LazyLock::new(|| {
    let (files, endings, paths, below, ways) = Default::default();
    let likes: HashMap<_, Vec<Like>> = HashMap::new();
    let sieve =
        Sieve { whole: vec![false; Sieve::SIZE], ends: vec![false; Sieve::SIZE], likes: vec![false; Sieve::SIZE] };
    let mut names = Names { files, endings, paths, below, likes, sieve, ways };
    let rows: &'static [Obeyed] = Vec::leak(table::rows().collect());
    for row in rows {
        let last = |path: &'static str| path.rsplit('/').next().unwrap_or(path).as_bytes();
        let way = |dir: &'static Path| Some((dir.file_name()?.as_bytes(), dir));
        let outer = |path: &'static str| Path::new(path).ancestors().skip(1).filter_map(way);
        let itself = |path: &'static str| way(Path::new(path));
        match row.name {
            Name::File(name) => _ = names.files.insert(name.as_bytes(), row),
            Name::Ending(end) => _ = names.endings.insert(end.as_bytes(), row),
            Name::Path(path) => {
                names.paths.entry(last(path)).or_default().push((Path::new(path), row));
                outer(path).for_each(|(name, dir)| names.ways.entry(name).or_default().push((dir, row)));
            }
            Name::Like(path) => {
                if let Some((key, like)) = Like::of(path, row).and_then(|like| Some((like.key()?, like))) {
                    names.likes.entry(key).or_default().push(like);
                }
                outer(path).for_each(|(name, dir)| names.ways.entry(name).or_default().push((dir, row)));
            }
            Name::Below(path) => {
                names.below.entry(last(path)).or_default().push((Path::new(path), row));
                let dirs = outer(path).chain(itself(path));
                dirs.for_each(|(name, dir)| names.ways.entry(name).or_default().push((dir, row)));
            }
        }
    }
    let whole = names.files.keys().chain(names.paths.keys()).chain(names.ways.keys());
    whole.for_each(|name| names.sieve.whole[Sieve::of_whole(name)] = true);
    names.likes.keys().for_each(|(_, two)| names.sieve.likes[Sieve::of_end(two)] = true);
    names.endings.keys().for_each(|end| names.sieve.ends[Sieve::of_end(end)] = true);
    names
});

/// What a name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// A tool obeys the file that has it.
    Row(&'static Obeyed),
    /// It can be a directory with such files in it: where it is a symlink, it counts itself, and what it leads to is looked
    /// at.
    Way(&'static Obeyed),
}

/// One directory, by its path below the workspace.
pub(crate) struct Here<'p> {
    path: &'p Path,
    /// All that lies here counts.
    below: Option<&'static Obeyed>,
}

impl<'p> Here<'p> {
    pub(crate) fn of(path: &'p Path) -> Here<'p> {
        let mut below = None;
        let mut at = path;
        // The strictest row counts: `.claude` in `.github/workflows` is one of an agent.
        while let Some(last) = at.file_name() {
            let rows = NAMES.below.get(last.as_bytes()).into_iter().flatten();
            let row = rows.filter(|(end, _)| at.ends_with(end)).map(|(_, row)| *row).next();
            below = stricter(below, row);
            at = at.parent().unwrap_or(Path::new(""));
        }
        Here { path, below }
    }

    pub(crate) fn found(&self, name: &OsStr) -> Option<Found> {
        let bytes = name.as_bytes();
        let names = &*NAMES;
        let is_end = names.sieve.ends[Sieve::of_end(bytes)];
        let like = self.like(bytes);
        if self.below.is_none() && like.is_none() && !is_end && !names.sieve.whole[Sieve::of_whole(bytes)] {
            return None;
        }
        let file = NAMES.files.get(bytes).copied();
        let by_path = self.by_path(NAMES.paths.get(bytes));
        let row = [file, by_path, like, ending(bytes), self.below].into_iter().fold(None, stricter);
        row.map(Found::Row).or_else(|| self.way(name).map(Found::Way))
    }

    fn like(&self, name: &[u8]) -> Option<&'static Obeyed> {
        let ([one, two, ..], [.., third, last]) = (name, name) else { return None };
        let (begin, end) = ([*one, *two], [*third, *last]);
        if !NAMES.sieve.likes[Sieve::of_end(&begin)] && !NAMES.sieve.likes[Sieve::of_end(&end)] {
            return None;
        }
        let by = |key| NAMES.likes.get(&key).into_iter().flatten();
        let likes = by((true, begin)).chain(by((false, end)));
        let fitting = likes.filter(|like| like.fits(name) && ends_with(self.path, like.path));
        fitting.map(|like| Some(like.row)).fold(None, stricter)
    }

    fn way(&self, name: &OsStr) -> Option<&'static Obeyed> {
        self.by_path(NAMES.ways.get(name.as_bytes()))
    }

    /// The strictest of the rows whose last part is known to fit.
    fn by_path(&self, rows: Option<&Vec<(&Path, &'static Obeyed)>>) -> Option<&'static Obeyed> {
        let rows = rows.into_iter().flatten().filter(|(end, _)| ends_with(self.path, end));
        rows.map(|(_, row)| Some(*row)).fold(None, stricter)
    }
}

/// The row of a path.
pub(super) fn row(path: &Path) -> Option<&'static Obeyed> {
    match Here::of(path.parent()?).found(path.file_name()?)? {
        Found::Row(row) | Found::Way(row) => Some(row),
    }
}

/// Whether what a tool obeys can lie below a path.
pub(super) fn is_way(path: &Path) -> bool {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return false };
    Here::of(dir).below.is_some() || Here::of(dir).way(name).is_some()
}

/// How the names of what was set aside go on.
pub(super) const SUFFIX: &str = "set-aside";

/// Whether a name is one that this tool gives to what it sets aside.
pub(super) fn is_set_aside(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let end = name.rsplit_once(&format!("{SUFFIX}-")).filter(|(start, _)| start.is_empty() || start.ends_with('.'));
    end.is_some_and(|(_, end)| end.parse::<u16>().is_ok() || crate::nonce::is_one(end))
}

/// For the fuzzer: a path as the agent made it. What counts at the top counts at every depth.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let path = Path::new(OsStr::from_bytes(bytes));
    if path.components().all(|part| matches!(part, std::path::Component::Normal(_))) && row(path).is_some() {
        assert!(row(&Path::new("any/where").join(path)).is_some(), "{path:?} counts at every depth");
    }
    is_way(path);
}

/// Whether something in this directory ends as the path does without its last part.
fn ends_with(dir: &Path, end: &Path) -> bool {
    end.parent().is_some_and(|outer| dir.ends_with(outer))
}

/// A file is looked up by its last extension and by its last two.
fn ending(name: &[u8]) -> Option<&'static Obeyed> {
    let mut dots = name.iter().enumerate().rev().filter(|(_, byte)| **byte == b'.').map(|(n, _)| n);
    let (last, two) = (dots.next()?, dots.next());
    let by = |from: usize| NAMES.endings.get(&name[from..]).copied();
    by(last).or_else(|| two.and_then(by))
}

fn stricter(one: Option<&'static Obeyed>, other: Option<&'static Obeyed>) -> Option<&'static Obeyed> {
    match (one, other) {
        (Some(one), Some(other)) if other.class == Class::ByItself && one.class == Class::WhenRun => Some(other),
        (Some(one), _) => Some(one),
        (None, other) => other,
    }
}

/// The parts of a path below a directory; nothing where it is none.
pub(super) fn parts(path: &Path) -> Option<Vec<OsString>> {
    let part = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
    };
    path.components().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_at_every_depth_by_itself_by_its_end_or_by_where_it_lies() {
        let class = |path: &str| match Here::of(Path::new(path).parent()?).found(Path::new(path).file_name()?)? {
            Found::Row(row) => Some(row.class),
            Found::Way(_) => None,
        };
        let by_itself = ".envrc a/b/.envrc AGENTS.md deep/er/CLAUDE.md x/.vscode/tasks.json .husky/_/h .claude/a/b/c.md \
                         .github/copilot-instructions.md a/.github/copilot-instructions.md p.code-workspace .mcp.json \
                         .github/workflows/AGENTS.md .cursorrules .hg/hgrc .config/mise/conf.d/a.toml .gitattributes \
                         lefthook.yml .gdbinit .tool-versions .idea/workspace.xml x.sublime-project .cargo/.vscode/a \
                         .hg/sharedpath .jj/repo .bsp/sbt.json hie.yaml .factorypath .venv/bin/python pyvenv.cfg \
                         .venv/lib/python3.12/site-packages/a.pth .pi/settings.json .vibe/config.toml gptme.toml \
                         .serena/project.yml .rovodev/a .roorules-code .luarc.json .ycm_extra_conf.py mise.dev.toml \
                         .shadowenv.d/1.lisp a/program-gdb.py skills/x/SKILL.md .venv/bin/activate \
                         .roorules-code.set-aside-1";
        let when_run = "Makefile a/GNUmakefile pyproject.toml .github/workflows/ci.yml a/.github/workflows/ci.yml .npmrc \
                        .cargo/config.toml conftest.py build.rs .env vite.config.ts tools/bazel .nvmrc tsconfig.json \
                        .rubocop.yml .pdm-python .vimspector.json requirements-dev.txt requirements.txt .env.test.local \
                        Dockerfile.dev compose.override.yaml .eslintrc.json project/Build.scala .python-version \
                        gradle/wrapper/gradle-wrapper.properties node_modules/a/package.json .pre-commit-config.yaml";
        let neither = "README.md src/main.rs workflows/ci.yml bazel pth config.js AGENTS.mdx .envrc.set-aside-1 makefiles \
                       .github/README.md p.code-workspace.set-aside-1 a.config.js.txt agents.md ENVRC model.pth bin/python3.12 \
                       site-packages/a/b.pth src/Build.scala sharedpath .hg/store";
        let all = |names: &str, expected| {
            names.split_whitespace().for_each(|name| assert_eq!(class(name), expected, "{name}"));
        };
        all(by_itself, Some(Class::ByItself));
        all(when_run, Some(Class::WhenRun));
        all(neither, None);
        let way = |path: &str| {
            matches!(
                Here::of(Path::new(path).parent().unwrap()).found(Path::new(path).file_name().unwrap()),
                Some(Found::Way(_))
            )
        };
        assert!(
            way(".github")
                && way("a/.vscode")
                && way(".jj")
                && way("lib/site-packages")
                && !way("repo")
                && !way("workflows")
        );
    }
}
