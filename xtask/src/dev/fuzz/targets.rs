//! The fuzz targets: each gives an input to every parser that reads texts of one kind.

use clap::ValueEnum;

/// Whose texts are read. The help of each names the texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// `/proc/PID/mountinfo`
    Mountinfo,
    /// `/proc/PID/stat`, `status`, `cgroup`, `net/…`, `/proc/swaps`, `/proc/meminfo`, cgroup files
    Proc,
    /// the answer of `docker top`
    Top,
    /// os-release
    OsRelease,
    /// the answers of `docker version` and `docker info`
    Info,
    /// the answers of `docker inspect`, with the label
    Inspect,
    /// what Docker, Compose and apt-get say
    Said,
    /// CDI specifications, `nvidia-smi`, the driver's version
    Gpu,
    /// the answer of the probe inside
    Answer,
    /// the answers of both witnesses, as they are judged
    Judge,
    /// the report of the smoke test
    Report,
    /// sandbox.yaml and sandbox.local.yaml
    Settings,
    /// the values of settings, flags and variables
    Words,
    /// the head of a program
    Elf,
    /// Codex's config.toml, with its hooks
    Config,
    /// the script that starts Codex, and its version
    Launcher,
    /// auth.json, the answers of Codex's app-server, tokens, what is kept of a login
    Login,
    /// .git/config, .gitmodules
    GitConfig,
    /// HEAD, packed-refs
    Refs,
    /// the listing of git's configuration
    Listing,
    /// the commands in git's configuration, the heads of scripts
    Command,
    /// .gitattributes, links, what git says of objects
    Attributes,
    /// what is kept in the state folder
    Kept,
    /// paths as they are kept, and as the agent made them
    Path,
    /// what is shown of others' texts
    Shown,
}

impl Target {
    /// The files of this repository that inputs are made from, beside those in `fuzz/corpus/`.
    pub(crate) fn seeds(self) -> &'static [&'static str] {
        match self {
            Target::Proc => &["xtask/src/engine/fixtures/cgroup-v1.txt"],
            Target::Inspect => &["xtask/src/engine/asked/engine-26.1.json", "xtask/src/engine/fixtures/labels-1.json"],
            Target::Settings => &["sandbox.yaml", "docker/docker-compose.yaml"],
            Target::Launcher => &["xtask/src/codex/fixtures/pnpm-10.sh", "xtask/src/codex/fixtures/pnpm-12.sh"],
            Target::Kept => &[
                "xtask/src/life/fixtures/entry-1.json",
                "xtask/src/life/fixtures/entry-2.json",
                "xtask/src/life/fixtures/entry-3.json",
                "xtask/src/life/fixtures/entry-4.json",
                "xtask/src/engine/fixtures/labels-1.json",
            ],
            Target::Mountinfo
            | Target::Top
            | Target::OsRelease
            | Target::Info
            | Target::Said
            | Target::Gpu
            | Target::Answer
            | Target::Judge
            | Target::Report
            | Target::Words
            | Target::Elf
            | Target::Config
            | Target::Login
            | Target::GitConfig
            | Target::Refs
            | Target::Listing
            | Target::Command
            | Target::Attributes
            | Target::Path
            | Target::Shown => &[],
        }
    }

    /// Gives an input to the parsers.
    ///
    /// # Panics
    /// It is read wrongly.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn read(self, bytes: &[u8]) {
        use crate::{
            codex, context, distro, engine, exposed, git, gpu, image, inherited, kept_path, life, mountinfo, obeyed,
            proof, smoke, spec,
        };
        let text = &*String::from_utf8_lossy(bytes);
        match self {
            Target::Mountinfo => mountinfo::fuzz(text),
            Target::Proc => {
                engine::fuzz::process(text);
                proof::fuzz::net_tables(text);
                proof::fuzz::cgroup_limits(text);
                proof::fuzz::backing(text);
                proof::fuzz::group(text);
                context::fuzz(text);
                life::fuzz::used(text);
            }
            Target::Top => engine::fuzz::top(text),
            Target::OsRelease => distro::fuzz(text),
            Target::Info => engine::fuzz::facts(text),
            Target::Inspect => {
                engine::fuzz::inspect(text);
                _ = engine::running::parse("n", 0, text, "");
                _ = spec::Spec::read(text);
            }
            Target::Said => {
                _ = (engine::errors::not_started(text, &spec::words::Gpus::All), engine::caches::is_missing(text));
                _ = (engine::caches::parse_list(text, 1000), engine::running::parse("n", 1, "", text).is_ok());
                engine::fuzz::apt(text);
                image::base::fuzz(text);
            }
            Target::Gpu => {
                gpu::fuzz(text);
                gpu::parse_smi(text);
                life::fuzz::status(text);
            }
            Target::Answer => proof::fuzz::answer(text),
            Target::Judge => proof::fuzz::judge(text),
            Target::Report => smoke::fuzz(text),
            Target::Settings => spec::settings::fuzz(text),
            Target::Words => {
                spec::settings::keys::fuzz(text);
                inherited::fuzz(text);
                let gpus = text.parse::<spec::words::Gpus>();
                assert!(gpus.ok().is_none_or(|gpus| gpus.to_string().parse().ok() == Some(gpus)));
                let arch = smoke::Arch::parse(text);
                assert!(arch.is_none_or(|arch| smoke::Arch::parse(&arch.to_string()) == Some(arch)));
            }
            Target::Elf => codex::fuzz::elf(bytes),
            Target::Config => codex::fuzz::config(text),
            Target::Launcher => {
                codex::fuzz::launcher(text);
                codex::fuzz::version(text);
            }
            Target::Login => codex::fuzz::login(bytes),
            Target::GitConfig => {
                git::fuzz::config(text);
                git::fuzz::format(text);
            }
            Target::Refs => git::fuzz::refs(text),
            Target::Listing => git::fuzz::watch::settings(text),
            Target::Command => {
                git::fuzz::watch::command(text);
                git::fuzz::watch::interpreter(bytes);
            }
            Target::Attributes => {
                git::fuzz::watch::attributes(text);
                git::fuzz::watch::link(text);
                git::fuzz::objects(text);
                git::fuzz::changes(text);
            }
            Target::Kept => {
                exposed::fuzz(bytes);
                life::fuzz::record(bytes);
                life::fuzz::session(bytes);
                obeyed::fuzz::kept(bytes);
                obeyed::fuzz::undecided(bytes);
                git::fuzz::watch::state(bytes);
            }
            Target::Path => {
                kept_path::fuzz(bytes);
                obeyed::fuzz::names(bytes);
            }
            Target::Shown => {
                crate::text::fuzz(bytes);
                obeyed::fuzz::shown(bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    /// The corpus has the seeds, and every input that a parser once failed on.
    #[test]
    fn every_input_of_the_corpus_is_read() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for target in Target::value_variants() {
            let name = target.to_possible_value().unwrap().get_name().to_owned();
            let inputs: Vec<_> = fs::read_dir(root.join("fuzz/corpus").join(&name)).unwrap().flatten().collect();
            assert!(!inputs.is_empty(), "`{name}` has no inputs");
            let kept = inputs.iter().map(fs::DirEntry::path);
            for path in kept.chain(target.seeds().iter().map(|seed| root.join(seed))) {
                let bytes = fs::read(&path).unwrap_or_else(|err| panic!("{}: {err}", path.display()));
                target.read(&bytes);
                // What is cut off is read too.
                target.read(&bytes[..bytes.len() / 2]);
            }
        }
    }
}
