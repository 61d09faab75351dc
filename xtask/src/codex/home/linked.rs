//! Symlinks and second names in the host's Codex home which lead to what a sandbox can write: the Codex of this host obeys what is there.

use crate::context::{led_into, resolved};
use crate::error::{Failure, failed, usage};
use crate::exposed::Exposed;
use crate::second_name::Writers;
use crate::text;
use anyhow::Result;
use std::fs::{self, FileType};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What Codex hands to the model as text, and starts or permits nothing by. A skill that lies in the project is usual.
const TEXT: &[&str] = &["AGENTS.md", "AGENTS.override.md", "prompts", "skills"];

/// What Codex keeps for itself and only reads back as text.
const STATE: &[&str] = &["sessions", "archived_sessions", "history.jsonl", "log"];

/// What Codex starts programs by, or takes permissions from, however deep it lies.
const OBEYED: &[&str] = &["agents", "hooks", "packages", "plugins", "rules"];

/// How deep that is looked through.
const DEEPEST: usize = 16;

/// The most names that are looked at.
const MOST_NAMES: usize = 20_000;

/// Refuses a symlink at the top of these directories, one level below, or anywhere below what Codex obeys, whose way leads
/// into `grounds` (which the sandbox is given for writing, without symlinks) or through what another sandbox can write. It
/// need not lead to anything yet. Returns a line for each that is only read as text.
///
/// # Errors
/// There is such a link, or it cannot be seen whether there is.
pub(crate) fn refuse_linked(homes: &[PathBuf], grounds: &[PathBuf], exposed: &Exposed) -> Result<Vec<String>> {
    let others = exposed.paths();
    let writers = writers(grounds, &others);
    let (mut said, mut left) = (Vec::new(), MOST_NAMES);
    for home in homes {
        for (top, kind) in entries(home, &mut left)? {
            let is = |names: &[&str]| names.iter().any(|name| top.ends_with(name));
            if kind.is_file() && !is(TEXT) && !is(STATE) {
                writers.refuse(&top, &[]).map_err(|why| second_name("the Codex of this host", why))?;
            }
            let mut links: Vec<PathBuf> = Vec::new();
            if !is(STATE) {
                let depth = if is(OBEYED) { DEEPEST } else { 1 };
                below(&top, kind, depth, &mut left, &mut Vec::new(), &mut links)?;
            }
            links.extend(kind.is_symlink().then(|| top.clone()));
            for link in links {
                let Some(leads) = leads(grounds, &link) else {
                    if !is(TEXT) && !is(STATE) && led_into(&others, &[], &link).is_some() {
                        exposed.refuse_written("the Codex of this host obeys what it reads, and", &link)?;
                    }
                    continue;
                };
                if is(TEXT) || is(STATE) {
                    said.push(format!("{leads}: the Codex of this host reads what an agent writes there"));
                    continue;
                }
                return Err(obeyed(&format!("{leads}: the Codex of this host would obey what an agent writes there")));
            }
        }
    }
    Ok(said)
}

/// Refuses a file or directory of the user's own settings (what begins with a dot in the home, and what lies in `config` and
/// in git's part of it) that has another name there, or is a symlink into `grounds`. It need not lead to anything yet: shells, git and other programs of
/// this host obey what an agent makes there. A settings file of git that is there is left to the watch on git, which has it
/// mounted read-only.
///
/// # Errors
/// There is such a link, or it cannot be seen whether there is.
pub(crate) fn refuse_linked_settings(home: &Path, config: &Path, grounds: &[PathBuf]) -> Result<()> {
    let writers = writers(grounds, &[]);
    let (git, mut left) = (config.join("git"), MOST_NAMES);
    let own = [home.join(".gitconfig"), git.join("config")];
    for dir in [home, config, &git] {
        for (link, kind) in entries(dir, &mut left)? {
            let is_hidden = link.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if kind.is_file() && (dir != home || is_hidden) {
                writers.refuse(&link, &[]).map_err(|why| second_name("programs of this host", why))?;
            }
            if !kind.is_symlink() || (dir == home && !is_hidden) || (own.contains(&link) && link.exists()) {
                continue;
            }
            if let Some(leads) = leads(grounds, &link) {
                return Err(obeyed(&format!("{leads}: programs of this host would obey what an agent writes there")));
            }
        }
    }
    Ok(())
}

/// Where a link leads, if that is into one of these directories.
fn leads(grounds: &[PathBuf], link: &Path) -> Option<String> {
    let (ground, to) = led_into(grounds, &[], link)?;
    let [link, ground, to] = [link, ground, &to].map(text::path);
    Some(format!("`{link}` leads to `{to}`, and the sandbox can write `{ground}`"))
}

/// What is not looked for: that files deep below have other names, because stores of packages are made of such files.
fn writers(grounds: &[PathBuf], others: &[PathBuf]) -> Writers {
    Writers::of(grounds.iter().chain(others).map(PathBuf::as_path), Vec::new())
}

fn second_name(who: &str, why: Failure) -> Failure {
    Failure { message: format!("{who} would obey what an agent writes: {}", why.message), ..why }
}

fn obeyed(what: &str) -> anyhow::Error {
    usage(what).hint("put the file or directory itself in the place of the symlink").into()
}

/// The symlinks below a directory, also one that a symlink leads to. `around` are the directories on the way.
fn below(
    dir: &Path,
    kind: FileType,
    depth: usize,
    left: &mut usize,
    around: &mut Vec<PathBuf>,
    links: &mut Vec<PathBuf>,
) -> Result<()> {
    if depth == 0 || !(kind.is_dir() || kind.is_symlink() && dir.is_dir()) {
        return Ok(());
    }
    let real = resolved(dir);
    if around.contains(&real) {
        return Ok(());
    }
    around.push(real);
    for (path, kind) in entries(dir, left)? {
        if kind.is_symlink() {
            links.push(path.clone());
        }
        below(&path, kind, depth - 1, left, around, links)?;
    }
    around.pop();
    Ok(())
}

fn entries(dir: &Path, left: &mut usize) -> Result<Vec<(PathBuf, FileType)>> {
    let unreadable =
        |err: std::io::Error| failed(format!("cannot look for symlinks in `{}`: {err}", crate::text::path(dir)));
    let entries = match fs::read_dir(dir) {
        Err(err) if matches!(err.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        *left = left.checked_sub(1).ok_or_else(|| {
            failed(format!(
                "`{}` is too large to look through it for symlinks that a sandbox can write",
                crate::text::path(dir)
            ))
            .hint("the Codex of this host would obey what they lead to: make it smaller")
        })?;
        found.push((entry.path(), entry.file_type().map_err(unreadable)?));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_of_the_codex_home_into_what_the_sandbox_can_write_is_refused_and_text_is_told() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().canonicalize().unwrap().join(name);
        for dir in [".codex/skills", ".codex/prompts", ".agents/skills", "work/rules", "dotfiles"] {
            fs::create_dir_all(at(dir)).unwrap();
        }
        fs::write(at("work/config.toml"), "").unwrap();
        symlink(at("work/config.toml"), at("dotfiles/chained")).unwrap();
        let work = [at("work")];
        let look = || refuse_linked(&[at(".codex"), at(".agents")], &work, &Exposed::nothing());
        symlink(at("dotfiles"), at(".codex/plugins")).unwrap();
        let chained = look().unwrap_err().to_string();
        assert!(
            chained.contains("plugins/chained` leads to"),
            "a link one level below, in what a link leads to: {chained}"
        );
        fs::remove_file(at("dotfiles/chained")).unwrap();
        assert_eq!(look().unwrap(), Vec::<String>::new());
        for (link, to) in [
            (".codex/config.toml", "work/config.toml"),
            (".codex/rules", "work/rules"),
            (".codex/hooks.json", "work/not/there"),
            (".codex/agents", "work"),
            (".agents/plugins", "work/rules"),
        ] {
            symlink(at(to), at(link)).unwrap();
            let text = crate::error::render(&look().unwrap_err());
            assert!(text.contains(link) && text.contains("would obey") && text.contains("hint: "), "{text}");
            fs::remove_file(at(link)).unwrap();
        }
        symlink(at("work/AGENTS.md"), at(".codex/AGENTS.md")).unwrap();
        symlink(at("work/p.md"), at(".codex/prompts/p.md")).unwrap();
        symlink(at("work/rules"), at(".agents/skills/s")).unwrap();
        assert_eq!(look().unwrap().len(), 3);
    }

    #[test]
    fn a_file_of_the_home_with_a_second_name_in_what_the_sandbox_can_write_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().canonicalize().unwrap().join(name);
        for dir in [".codex", ".config", "work"] {
            fs::create_dir(at(dir)).unwrap();
        }
        let codex = || refuse_linked(&[at(".codex")], &[at("work")], &Exposed::nothing()).map(drop);
        let settings = || refuse_linked_settings(&at(""), &at(".config"), &[at("work")]);
        let all: [(&str, &dyn Fn() -> Result<()>); 3] =
            [(".codex/config.toml", &codex), (".bashrc", &settings), (".config/tool", &settings)];
        for (name, look) in all {
            fs::write(at(name), "").unwrap();
            look().unwrap();
            fs::hard_link(at(name), at("work/other")).unwrap();
            let text = crate::error::render(&look().unwrap_err());
            assert!(text.contains(&format!("{name}` is a file with 2 names")) && text.contains("hint: "), "{text}");
            fs::remove_file(at("work/other")).unwrap();
        }
    }

    #[test]
    fn a_link_deep_below_what_codex_obeys_is_refused_and_a_circle_ends() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().canonicalize().unwrap().join(name);
        for dir in [".codex/plugins/cache/m/p/1", ".codex/worktrees/w/deep", "dotfiles/x/y", "work"] {
            fs::create_dir_all(at(dir)).unwrap();
        }
        symlink(at(".codex/plugins"), at(".codex/plugins/cache/m/round")).unwrap();
        symlink(at("dotfiles"), at(".codex/hooks")).unwrap();
        symlink(at("work/x"), at(".codex/worktrees/w/deep/l")).unwrap();
        let look = || refuse_linked(&[at(".codex")], &[at("work")], &Exposed::nothing());
        assert_eq!(look().unwrap(), Vec::<String>::new(), "what Codex does not obey may be large");
        for link in [".codex/plugins/cache/m/p/1/run", "dotfiles/x/y/run"] {
            symlink(at("work/not/there"), at(link)).unwrap();
            let text = look().unwrap_err().to_string();
            assert!(text.contains("/run` leads to") && text.contains("work/not/there"), "{text}");
            fs::remove_file(at(link)).unwrap();
        }
    }

    #[test]
    fn a_link_of_the_users_settings_into_what_the_sandbox_can_write_is_refused_also_where_it_leads_nowhere_yet() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().canonicalize().unwrap().join(name);
        for dir in [".config/git", "work"] {
            fs::create_dir_all(at(dir)).unwrap();
        }
        let look = || refuse_linked_settings(&at(""), &at(".config"), &[at("work")]);
        for link in [".gitconfig", ".bashrc", ".config/tool", ".config/git/config", ".config/git/attributes"] {
            symlink(at("work/made/later"), at(link)).unwrap();
            let text = crate::error::render(&look().unwrap_err());
            assert!(text.contains(&format!("{link}` leads to")) && text.contains("hint: "), "{text}");
            fs::remove_file(at(link)).unwrap();
        }
        fs::write(at("work/gitconfig"), "").unwrap();
        symlink(at("work/gitconfig"), at(".gitconfig")).unwrap();
        symlink(at("work"), at("project")).unwrap();
        look().unwrap();
    }

    #[test]
    fn a_link_of_the_codex_home_into_what_another_sandbox_can_write_is_refused_unless_it_is_named() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().canonicalize().unwrap().join(name);
        for dir in [".codex", "state", "other", "work"] {
            fs::create_dir(at(dir)).unwrap();
        }
        fs::write(at("other/config.toml"), "").unwrap();
        symlink(at("other/config.toml"), at(".codex/config.toml")).unwrap();
        let look = |named: &[PathBuf]| {
            let exposed = Exposed::read(&at("state"), vec![at("other")]).and_then(|list| list.naming(named)).unwrap();
            refuse_linked(&[at(".codex")], &[at("work")], &exposed)
        };
        assert!(look(&[]).unwrap_err().to_string().contains("which a sandbox can write"));
        assert_eq!(look(&[at("other/config.toml")]).unwrap(), Vec::<String>::new());
    }
}
