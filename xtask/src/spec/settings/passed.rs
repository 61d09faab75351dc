//! Which variables the setting `env` may name. What is named reaches Codex through the environment of a `docker` of this
//! host, so a name that changes what a program does would act on both sides. Pure.

use crate::error::{Failure, usage};
use crate::spec::codex_command;
use crate::spec::words::Cache;
use crate::text;

/// Names that are refused for one reason. A name that ends in `*` is the start of a name.
struct Refusal {
    names: &'static [&'static str],
    /// Names that one of those would hold, and that do nothing of the kind.
    but: &'static [&'static str],
    /// What such a variable does: `a variable that …`.
    why: &'static str,
}

const REFUSED: &[Refusal] = &[
    Refusal {
        names: &["LD_*", "GCONV_PATH", "LOCPATH", "NLSPATH", "GLIBC_TUNABLES", "MALLOC_TRACE", "HOSTALIASES"],
        but: &[],
        why: "acts on every program, also on the `docker` of this host that hands it in",
    },
    Refusal {
        names: &[
            "DOCKER_*", "COMPOSE_*", "BUILDKIT_*", "BUILDX_*", "CONTAINERD_*", "OTEL_*", "GOCOVERDIR", "GODEBUG",
            "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GORACE", "GOTRACEBACK",
        ],
        but: &[],
        why: "acts on the `docker` of this host that hands it in",
    },
    Refusal {
        names: &["CODEX_*"],
        but: &["CODEX_API_KEY", "CODEX_ACCESS_TOKEN"],
        why: "changes where Codex's home lies or what Codex takes itself to be",
    },
    Refusal {
        names: &[
            "BASH_*", "BASHOPTS", "SHELLOPTS", "ENV", "PROMPT_COMMAND", "PS4", "IFS", "CDPATH", "FPATH", "ZDOTDIR",
        ],
        but: &[],
        why: "a shell runs or obeys",
    },
    Refusal {
        names: &[
            "PYTHON*", "NODE_OPTIONS", "NODE_PATH", "NODE_REPL_*", "PERL5*", "PERLLIB", "RUBYLIB", "RUBYOPT",
            "GEM_HOME", "GEM_PATH", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "LUA_*", "R_PROFILE*",
            "R_ENVIRON*", "PHPRC", "PHP_INI_SCAN_DIR", "OPENSSL_CONF", "OPENSSL_MODULES", "OPENSSL_ENGINES",
            "SSLKEYLOGFILE",
        ],
        but: &[
            "PYTHONASYNCIODEBUG",
            "PYTHONDEVMODE",
            "PYTHONDONTWRITEBYTECODE",
            "PYTHONFAULTHANDLER",
            "PYTHONHASHSEED",
            "PYTHONIOENCODING",
            "PYTHONMALLOC",
            "PYTHONNOUSERSITE",
            "PYTHONTRACEMALLOC",
            "PYTHONUNBUFFERED",
            "PYTHONUTF8",
        ],
        why: "makes an interpreter or a library load other code or settings",
    },
    Refusal {
        names: &["GIT_*"],
        but: &[
            "GIT_AUTHOR_DATE", "GIT_AUTHOR_EMAIL", "GIT_AUTHOR_NAME", "GIT_COMMITTER_DATE", "GIT_COMMITTER_EMAIL",
            "GIT_COMMITTER_NAME",
        ],
        why: "changes which repository, settings or programs git uses",
    },
    Refusal {
        names: &["XDG_*", "TMPDIR", "TMP", "TEMP"],
        but: &["XDG_CACHE_HOME"],
        why: "names a directory of this host, in whose place programs inside would find others",
    },
];

/// Variables that lead the tool of a cache elsewhere than to what is mounted for it.
const MOVES: &[(&str, Cache)] = &[
    ("HF_HOME", Cache::Huggingface),
    ("HF_HUB_CACHE", Cache::Huggingface),
    ("HF_DATASETS_CACHE", Cache::Huggingface),
    ("HF_ASSETS_CACHE", Cache::Huggingface),
    ("HF_XET_CACHE", Cache::Huggingface),
    ("HUGGINGFACE_HUB_CACHE", Cache::Huggingface),
    ("TRANSFORMERS_CACHE", Cache::Huggingface),
    ("TORCH_HOME", Cache::Torch),
    ("PIP_CACHE_DIR", Cache::Pip),
    ("UV_CACHE_DIR", Cache::Uv),
];

/// Whether a name is rather a token that was pasted into its place.
fn is_token(name: &str) -> bool {
    let rest = text::TOKENS.iter().find_map(|start| name.strip_prefix(start));
    rest.is_some_and(|rest| rest.len() >= 10 && rest.bytes().any(|byte| byte.is_ascii_digit()) && !rest.contains('_'))
}

fn is(name: &str, listed: &str) -> bool {
    listed.strip_suffix('*').map_or(name == listed, |start| name.starts_with(start))
}

/// Why a name is refused, as the rest of `a variable that …`.
fn refusal(name: &str) -> Option<&'static str> {
    if codex_command::own().contains(&name) {
        return Some("the sandbox sets itself");
    }
    let holds =
        |refusal: &&Refusal| refusal.names.iter().any(|listed| is(name, listed)) && !refusal.but.contains(&name);
    REFUSED.iter().find(holds).map(|refusal| refusal.why)
}

/// Refuses a name of the list `env` in a file, which is the entry of this number. What stands there and is no name may be
/// a value that was pasted into the wrong place: it is not shown.
pub(super) fn check(file: &str, number: usize, text: &str) -> Result<(), Failure> {
    let hint = "list names only; the values come from your environment";
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    if let (true, Some(_)) = (super::values::is_variable(name), value) {
        return Err(usage(format!("`env` of `{file}` gives `{name}` a value, which is not shown here")).hint(hint));
    }
    if !super::values::is_variable(text) || is_token(text) {
        return Err(usage(format!("entry {number} of `env` in `{file}` is not a variable's name")).hint(hint));
    }
    match refusal(text) {
        Some(why) => Err(usage(format!("`{text}` in `env` of `{file}` is a variable that {why}")).hint(
            "leave it out: your value would break or change what runs; a script of the project can set it for what it starts",
        )),
        None => Ok(()),
    }
}

/// The lines about variables that are handed in and lead a tool past the volume that is mounted for its cache.
pub(super) fn moved<'a>(names: impl Iterator<Item = &'a str>, caches: &[Cache]) -> Vec<String> {
    let mut lines = Vec::new();
    for name in names {
        let moved = MOVES.iter().find(|(moves, cache)| *moves == name && caches.contains(cache));
        lines.extend(moved.map(|(_, cache)| {
            format!(
                "`{name}` of the list `env` moves the cache `{cache}`: the volume that is mounted for it is not used"
            )
        }));
        if name == "CODEX_ACCESS_TOKEN" {
            lines.push(format!("`{name}` of the list `env` takes the place of your login inside"));
        }
        if name == "XDG_CACHE_HOME" {
            lines.push(format!(
                "`{name}` of the list `env` moves the caches of tools inside to a path of this host, which is not there"
            ));
        }
    }
    lines
}

/// What an editor is told of the names, so that it refuses the same.
#[cfg(test)]
pub(super) fn schema() -> serde_json::Value {
    let mut refused = vec![serde_json::json!({"enum": codex_command::own()})];
    for Refusal { names, but, .. } in REFUSED {
        let names: Vec<String> = names.iter().map(|name| pattern(name)).collect();
        let but = if but.is_empty() { String::new() } else { format!("(?!({})$)", but.join("|")) };
        refused.push(serde_json::json!({"pattern": format!("^{but}({})$", names.join("|"))}));
    }
    serde_json::json!({"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "not": {"anyOf": refused}})
}

#[cfg(test)]
fn pattern(name: &str) -> String {
    name.strip_suffix('*').map_or_else(|| name.to_owned(), |start| format!("{start}.*"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_which_program_answers_is_refused_with_the_reason() {
        for name in [
            "HOME",
            "PATH",
            "CODEX_HOME",
            "LD_PRELOAD",
            "LD_AUDIT",
            "LD_LIBRARY_PATH",
            "LD_BIND_NOW",
            "GCONV_PATH",
            "PYTHONPATH",
            "PYTHONSTARTUP",
            "PYTHONWARNINGS",
            "BASH_ENV",
            "ENV",
            "NODE_OPTIONS",
            "GIT_DIR",
            "GIT_SSH_COMMAND",
            "DOCKER_HOST",
            "COMPOSE_FILE",
            "CODEX_SANDBOX_NETWORK_DISABLED",
            "CODEX_SQLITE_HOME",
            "CODEX_SANDBOX_SESSION",
            "SSL_CERT_FILE",
            "XDG_CONFIG_HOME",
            "PERL5OPT",
            "RUBYOPT",
            "OPENSSL_CONF",
            "ZDOTDIR",
            "GLIBC_TUNABLES",
            "UV_LINK_MODE",
            "TORCH_CUDA_ARCH_LIST",
            "TMPDIR",
            "GOMEMLIMIT",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
        ] {
            let why = check("f", 1, name).unwrap_err();
            assert!(
                why.message.starts_with(&format!("`{name}` in `env` of `f` is a variable that ")),
                "{}",
                why.message
            );
            assert_eq!((why.kind.code(), why.remedies.len()), (2, 1));
        }
        for name in [
            "HF_TOKEN",
            "WANDB_API_KEY",
            "OPENAI_API_KEY",
            "CODEX_API_KEY",
            "CODEX_ACCESS_TOKEN",
            "PYTHONHASHSEED",
            "GIT_AUTHOR_NAME",
            "HF_HOME",
            "XDG_CACHE_HOME",
            "CUDA_VISIBLE_DEVICES",
            "OMP_NUM_THREADS",
            "LDFLAGS",
            "ENVIRONMENT",
            "https_proxy",
            "npm_config_registry",
            "HF_HUB_ENABLE_HF_TRANSFER",
        ] {
            assert_eq!(check("f", 1, name), Ok(()), "{name}");
        }
    }

    #[test]
    fn what_stands_in_the_place_of_a_name_is_not_shown() {
        for text in [
            "hf_secret1234", "ghp_secret1234567", "HF_TOKEN=hf_secret", "hf-secret", "hf secret", "=hf_secret",
            "a.b=hf_secret", "", "hf_secret\u{1b}",
        ] {
            let why = check("f", 3, text).unwrap_err();
            assert!(!why.message.contains("secret") && why.message.contains("`f`"), "{}", why.message);
        }
        let why = check("f", 3, "HF_TOKEN=hf_secret").unwrap_err().message;
        assert_eq!(why, "`env` of `f` gives `HF_TOKEN` a value, which is not shown here");
        assert_eq!(check("f", 3, "a b").unwrap_err().message, "entry 3 of `env` in `f` is not a variable's name");
    }

    #[test]
    fn what_moves_a_mounted_cache_is_said() {
        let moved = |names: &[&str], caches: &[Cache]| moved(names.iter().copied(), caches);
        let all = [Cache::Huggingface, Cache::Torch, Cache::Pip, Cache::Uv];
        let said = moved(&["HF_TOKEN", "HF_HOME", "UV_CACHE_DIR", "XDG_CACHE_HOME"], &all);
        assert_eq!(said.len(), 3, "{said:#?}");
        assert!(said[0].starts_with("`HF_HOME` of the list `env` moves the cache `huggingface`"), "{said:#?}");
        assert_eq!(moved(&["HF_HOME"], &[Cache::Pip]), Vec::<String>::new());
        assert!(moved(&["CODEX_ACCESS_TOKEN"], &all)[0].contains("takes the place of your login"));
        for cache in all {
            assert_eq!(moved(&[cache.variable()], &all).len(), 1, "{cache}");
        }
    }
}
