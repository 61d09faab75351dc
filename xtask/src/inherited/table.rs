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
    /// A name of a time zone, or a file of one, also behind a colon.
    Zone,
    /// A plain value, or one with paths in it: `FILE:/tmp/krb5cc_1000`.
    Any,
}

/// Who gets a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    /// Everything that is started; where it names what a sandbox can write, nothing is started.
    All,
    /// Everything that is started; where it names what a sandbox can write, it is left out with a line. Nobody else answers in
    /// the place of what it names: a login or a window is missing.
    Outside,
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

use Names::{Address, Any, Bus, Nothing, Path, Paths, Programs, Zone};

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
    // Where the credential helpers of a registry, and Codex behind a company's gateway, find a login.
    Group {
        to: To::Outside,
        rows: &[
            ("AWS_CONFIG_FILE", Path),
            ("AWS_SHARED_CREDENTIALS_FILE", Path),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", Path),
            ("AWS_CA_BUNDLE", Path),
            ("AWS_ECR_CACHE_DIR", Path),
            ("AWS_*", Any),
            ("AZURE_CONFIG_DIR", Path),
            ("AZURE_CLIENT_CERTIFICATE_PATH", Path),
            ("AZURE_FEDERATED_TOKEN_FILE", Path),
            ("AZURE_*", Any),
            ("CLOUDSDK_CONFIG", Path),
            ("CLOUDSDK_PYTHON", Programs),
            ("CLOUDSDK_BQ_PYTHON", Programs),
            ("CLOUDSDK_GSUTIL_PYTHON", Programs),
            ("CLOUDSDK_*", Any),
            ("GOOGLE_APPLICATION_CREDENTIALS", Path),
            ("GOOGLE_*", Any),
            ("KRB5CCNAME", Any),
            ("KRB5_CONFIG", Paths),
            ("KRB5_KTNAME", Any),
            ("KRB5_CLIENT_KTNAME", Any),
        ],
    },
    // The time zone, whose file the C library and Go parse in every program.
    Group { to: To::Outside, rows: &[("TZ", Zone)] },
    // Arguments for an interpreter, which can be code of their own: launchers of Google's tools put them behind it.
    Group { to: To::None, rows: &[("CLOUDSDK_PYTHON_ARGS", Nothing)] },
    // Where ssh, gpg, pass and sudo ask for a passphrase.
    Group {
        to: To::Outside,
        rows: &[
            ("GPG_TTY", Path),
            ("PINENTRY_USER_DATA", Any),
            ("DISPLAY", Nothing),
            ("WAYLAND_DISPLAY", Any),
            ("XAUTHORITY", Path),
            ("XDG_SESSION_TYPE", Nothing),
            ("XDG_CURRENT_DESKTOP", Nothing),
            ("SSH_AGENT_PID", Nothing),
            ("SSH_ASKPASS", Path),
            ("SSH_ASKPASS_REQUIRE", Nothing),
            ("SUDO_ASKPASS", Path),
            ("GNOME_KEYRING_CONTROL", Path),
            ("PASSWORD_STORE_KEY", Nothing),
            ("PASSWORD_STORE_EXTENSIONS_DIR", Path),
            ("PASSWORD_STORE_ENABLE_EXTENSIONS", Nothing),
        ],
    },
    // What programs of Nix need to start, and what the version managers choose a program by.
    Group {
        to: To::Outside,
        rows: &[
            ("NIX_SSL_CERT_FILE", Path),
            ("NIX_LD", Path),
            ("NIX_LD_LIBRARY_PATH", Paths),
            ("NIX_*", Any),
            ("LOCALE_ARCHIVE", Path),
            ("NODENV_ROOT", Path),
            ("NODENV_VERSION", Nothing),
            ("ASDF_CONFIG_FILE", Path),
            ("ASDF_NODEJS_VERSION", Nothing),
            ("NVM_BIN", Path),
            ("FNM_MULTISHELL_PATH", Path),
            ("N_PREFIX", Path),
            ("PROTO_HOME", Path),
            ("NODE_USE_ENV_PROXY", Nothing),
            ("NODE_USE_SYSTEM_CA", Nothing),
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

/// What changes what `docker`, `git`, Codex, `ssh`, `gpg` or `pass` do, and what the user may so have wanted: said where it is
/// set and not handed on. The names are those of their manuals.
pub(super) const WANTED: &[&str] = &[
    "ASDF_*",
    "BUILDKIT_*",
    "BUILDX_*",
    "CLOUDSDK_PYTHON_ARGS",
    "CODEX_*",
    "COMPOSE_*",
    "CONTAINERD_*",
    "CONTAINER_HOST",
    "DOCKER_*",
    "GIT_*",
    "GNUPG*",
    "GPG_*",
    "KRB5*",
    "LD_AUDIT",
    "LD_PRELOAD",
    "NODENV_*",
    "NODE_OPTIONS",
    "NODE_PATH",
    "NODE_TLS_REJECT_UNAUTHORIZED",
    "NPM_CONFIG_*",
    "OPENAI_BASE_URL",
    "PASSWORD_STORE_*",
    "SSH_*",
    "SSLKEYLOGFILE",
    "SUDO_*",
    "TZ",
];

/// What is never missed: this tool sets it itself, or no command that it starts obeys it (no git that is started talks to a network). Terminals of editors, `sudo` and a
/// login by ssh set many of them.
pub(super) const QUIET: &[&str] = &[
    // The override has a line of its own where the host's Codex is asked.
    "CODEX_ACCESS_TOKEN",
    "CODEX_API_KEY",
    "CODEX_REFRESH_TOKEN_URL_OVERRIDE",
    "DOCKER_BUILDKIT",
    "GIT_ASKPASS",
    "GIT_AUTHOR_*",
    "GIT_COMMITTER_*",
    "GIT_EDITOR",
    "GIT_MERGE_AUTOEDIT",
    "GIT_PAGER",
    "GIT_PS1_*",
    "GIT_SEQUENCE_EDITOR",
    "GIT_SSL_*",
    "GIT_TERMINAL_PROMPT",
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "SSH_ORIGINAL_COMMAND",
    "SSH_TTY",
    "SUDO_COMMAND",
    "SUDO_EDITOR",
    "SUDO_GID",
    "SUDO_HOME",
    "SUDO_PS1",
    "SUDO_UID",
    "SUDO_USER",
];

/// All rows, with who gets them.
pub(super) fn rows() -> impl Iterator<Item = (&'static str, Names, To)> {
    TABLE.iter().flat_map(|group| group.rows.iter().map(move |(name, names)| (*name, *names, group.to)))
}

/// The row of a name: its own before that of its start.
pub(super) fn row(name: &str) -> Option<(&'static str, Names, To)> {
    let own = rows().find(|(listed, ..)| *listed == name);
    own.or_else(|| rows().find(|(listed, ..)| is(name, listed)))
}

/// Whether a name is this one of a list.
pub(super) fn is(name: &str, listed: &str) -> bool {
    match listed.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == listed,
    }
}
