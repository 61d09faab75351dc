//! The one table of the variables that this tool hands on to what it starts, or that decide what answers it: an environment
//! is built from nothing but these, and a value that names something is looked at before anything is started.

/// What the value of a variable is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// Nothing that could be read or started.
    Nothing,
    /// A file or a directory.
    Path,
    /// Several, with a colon or a space between two.
    Paths,
    /// One or several, of which those without a slash are looked for by their name elsewhere.
    Programs,
    /// A socket, where it begins with `unix://`.
    Address,
    /// D-Bus addresses: `unix:path=/run/user/1000/bus,guid=…;…`.
    Bus,
}

/// Who gets a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    /// Everything that is started.
    All,
    /// Nothing that is started. It is looked at because it acts on this process or on what started it, or because without
    /// it another program would answer than the user means.
    None,
}

/// Variables with one reason, which stands above each group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) to: To,
    pub(super) rows: &'static [(&'static str, Names)],
}

use Names::{Address, Bus, Nothing, Path, Paths, Programs};

/// A name that ends in `*` is the start of a name. Those by which git finds settings in a workspace are the business of
/// `git::watch`, which has those files read-only inside; `PATH` is that of `Context::path_outside`.
pub(super) const TABLE: &[Group] = &[
    // Who you are and where your files lie.
    Group {
        to: To::All,
        rows: &[
            ("HOME", Path),
            ("USER", Nothing),
            ("LOGNAME", Nothing),
            ("XDG_CONFIG_HOME", Path),
            ("XDG_STATE_HOME", Path),
            ("XDG_CACHE_HOME", Path),
            ("XDG_DATA_HOME", Path),
            ("XDG_RUNTIME_DIR", Path),
            ("XDG_CONFIG_DIRS", Paths),
            ("XDG_DATA_DIRS", Paths),
            ("TMPDIR", Path),
        ],
    },
    // Where programs are found, without the parts in which a sandbox can write.
    Group { to: To::All, rows: &[("PATH", Nothing)] },
    // Language, time zone and terminal.
    Group {
        to: To::All,
        rows: &[
            ("LANG", Nothing),
            ("LC_*", Nothing),
            ("TZ", Nothing),
            ("TERM", Nothing),
            ("TERM_PROGRAM", Nothing),
            ("COLORTERM", Nothing),
            ("COLUMNS", Nothing),
            ("LINES", Nothing),
            ("TERMINFO", Path),
            ("TERMINFO_DIRS", Paths),
            ("NO_COLOR", Nothing),
            ("CLICOLOR", Nothing),
            ("CLICOLOR_FORCE", Nothing),
        ],
    },
    // The way into the network: proxies, and whom to trust.
    Group {
        to: To::All,
        rows: &[
            ("http_proxy", Nothing),
            ("https_proxy", Nothing),
            ("ftp_proxy", Nothing),
            ("all_proxy", Nothing),
            ("no_proxy", Nothing),
            ("HTTP_PROXY", Nothing),
            ("HTTPS_PROXY", Nothing),
            ("FTP_PROXY", Nothing),
            ("ALL_PROXY", Nothing),
            ("NO_PROXY", Nothing),
            ("SSL_CERT_FILE", Path),
            ("SSL_CERT_DIR", Paths),
            ("REQUESTS_CA_BUNDLE", Path),
            ("CURL_CA_BUNDLE", Path),
            ("NODE_EXTRA_CA_CERTS", Path),
            ("CODEX_CA_CERTIFICATE", Path),
        ],
    },
    // Docker's client, its plugins, and the way to the engine.
    Group {
        to: To::All,
        rows: &[
            ("DOCKER_CONFIG", Path),
            ("DOCKER_CERT_PATH", Path),
            ("DOCKER_HOST", Address),
            ("DOCKER_CONTEXT", Nothing),
            ("DOCKER_TLS", Nothing),
            ("DOCKER_TLS_VERIFY", Nothing),
            ("DOCKER_API_VERSION", Nothing),
            ("DOCKER_CONTENT_TRUST", Nothing),
            ("DOCKER_CUSTOM_HEADERS", Nothing),
            ("DOCKER_CLI_HINTS", Nothing),
            ("BUILDKIT_HOST", Address),
            ("BUILDKIT_PROGRESS", Nothing),
            ("BUILDKIT_COLORS", Nothing),
            ("BUILDX_BUILDER", Nothing),
            ("BUILDX_CONFIG", Path),
            ("BUILDX_METADATA_FILE", Path),
            ("CONTAINERD_ADDRESS", Path),
            ("SSH_AUTH_SOCK", Path),
        ],
    },
    // Where the programs find secrets that keep a login: the registry's and Codex's own.
    Group {
        to: To::All,
        rows: &[("DBUS_SESSION_BUS_ADDRESS", Bus), ("GNUPGHOME", Path), ("PASSWORD_STORE_DIR", Path)],
    },
    // Your Codex, and the version managers whose shims may start it.
    Group {
        to: To::All,
        rows: &[
            ("CODEX_HOME", Path),
            ("NVM_DIR", Path),
            ("FNM_DIR", Path),
            ("VOLTA_HOME", Path),
            ("ASDF_DIR", Path),
            ("ASDF_DATA_DIR", Path),
            ("MISE_DATA_DIR", Path),
            ("MISE_CONFIG_DIR", Path),
            ("PNPM_HOME", Path),
            ("BUN_INSTALL", Path),
            ("npm_config_registry", Nothing),
            ("NPM_CONFIG_REGISTRY", Nothing),
        ],
    },
    // Cargo, which started this tool and builds its tests.
    Group {
        to: To::None,
        rows: &[
            ("CARGO_HOME", Path),
            ("RUSTUP_HOME", Path),
            ("CARGO_BUILD_RUSTC", Programs),
            ("CARGO_BUILD_RUSTC_WRAPPER", Programs),
            ("RUSTC", Programs),
            ("RUSTC_WRAPPER", Programs),
            ("RUSTC_WORKSPACE_WRAPPER", Programs),
        ],
    },
    // Settings and code of libraries, which nothing that is started needs.
    Group {
        to: To::None,
        rows: &[
            ("CURL_HOME", Path),
            ("GIT_SSL_CAINFO", Path),
            ("GIT_SSL_CAPATH", Path),
            ("OPENSSL_CONF", Path),
            ("OPENSSL_MODULES", Path),
            ("OPENSSL_ENGINES", Path),
            ("GIT_EXEC_PATH", Path),
            ("APT_CONFIG", Path),
        ],
    },
    // What the loader and the C library load into a program: into this one before it can look.
    Group {
        to: To::None,
        rows: &[
            ("LD_PRELOAD", Programs),
            ("LD_LIBRARY_PATH", Paths),
            ("LD_AUDIT", Programs),
            ("GCONV_PATH", Paths),
            ("LOCPATH", Paths),
            ("NLSPATH", Paths),
        ],
    },
];

/// What the user may have wanted of a program that is started: said where it is not handed on.
pub(super) const WANTED: &[&str] = &["BUILDKIT_*", "BUILDX_*", "COMPOSE_*", "DOCKER_*", "GIT_CONFIG*"];

/// What this tool sets for its own calls whatever the user has.
pub(super) const SET: &[&str] = &["DOCKER_BUILDKIT"];

/// All rows, with who gets them.
pub(super) fn rows() -> impl Iterator<Item = (&'static str, Names, To)> {
    TABLE.iter().flat_map(|group| group.rows.iter().map(move |(name, names)| (*name, *names, group.to)))
}

/// Whether a name is this one of a list.
pub(super) fn is(name: &str, listed: &str) -> bool {
    match listed.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == listed,
    }
}
