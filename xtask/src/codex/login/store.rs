//! Where the host's Codex keeps its login.

use crate::outside;
use crate::spec::inside::SYSTEM_CODEX;
use std::path::{Path, PathBuf};

/// The largest configuration that is read.
const MOST_BYTES: u64 = 4 << 20;

const REQUIRED: &str = "requirements.toml";

/// The host's Codex home, and the directory of its administrator.
#[derive(Debug, Clone)]
pub(crate) struct HostCodex {
    pub(super) home: PathBuf,
    pub(super) system: PathBuf,
}

impl HostCodex {
    pub(crate) fn new(home: &Path) -> HostCodex {
        HostCodex { home: home.to_owned(), system: SYSTEM_CODEX.into() }
    }
}

/// Codex's words for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Store {
    File,
    /// A file in the home counts for nothing.
    Keyring,
    /// A keyring where one can be opened, else the file.
    Auto,
    /// In the memory of each Codex.
    Ephemeral,
}

impl Store {
    /// By the first layer of Codex's configuration that says so. The order was measured with 0.169.0: what an administrator
    /// requires, what he manages, the user's own, what holds for the whole system. A layer of a project counts only where
    /// Codex is started in it, and this tool asks it elsewhere; what comes over the network from an organisation is not seen.
    pub(super) fn of(host: &HostCodex) -> Store {
        let HostCodex { home, system } = host;
        let layers = [
            system.join(REQUIRED),
            system.join("managed_config.toml"),
            home.join("config.toml"),
            system.join("config.toml"),
        ];
        layers.iter().find_map(|layer| parse(&read(layer)?)).unwrap_or(Store::File)
    }

    /// Whether an administrator requires that no login lies in a file, as one in a sandbox does.
    pub(super) fn no_file_may_be(host: &HostCodex) -> bool {
        match read(&host.system.join(REQUIRED)).and_then(|text| parse(&text)) {
            Some(Store::Keyring | Store::Ephemeral) => true,
            Some(Store::File | Store::Auto) | None => false,
        }
    }

    pub(super) fn may_be_keyring(self) -> bool {
        match self {
            Store::Keyring | Store::Auto => true,
            Store::File | Store::Ephemeral => false,
        }
    }
}

fn read(path: &Path) -> Option<String> {
    outside::text(path, MOST_BYTES).ok()
}

/// Pure. Codex does not start with a word that it does not know, so that such a layer need not be understood here.
fn parse(text: &str) -> Option<Store> {
    let config = text.parse::<toml_edit::DocumentMut>().ok()?;
    match config.get("cli_auth_credentials_store")?.as_str()? {
        "file" => Some(Store::File),
        "keyring" => Some(Store::Keyring),
        "auto" => Some(Store::Auto),
        "ephemeral" => Some(Store::Ephemeral),
        _unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layer_of_the_configuration_is_asked_in_the_order_of_codex() {
        let dir = tempfile::tempdir().unwrap();
        let host = HostCodex { home: dir.path().join("home"), system: dir.path().join("etc") };
        assert_eq!(Store::of(&host), Store::File);
        for made in [&host.home, &host.system] {
            std::fs::create_dir(made).unwrap();
        }
        let layers = [
            (host.system.join("config.toml"), "keyring", Store::Keyring),
            (host.home.join("config.toml"), "file", Store::File),
            (host.system.join("managed_config.toml"), "auto", Store::Auto),
            (host.system.join("requirements.toml"), "ephemeral", Store::Ephemeral),
        ];
        for (path, word, store) in layers {
            std::fs::write(
                &path,
                format!("cli_auth_credentials_store = \"{word}\"\n[mcp_servers.x]\ncommand = \"y\"\n"),
            )
            .unwrap();
            assert_eq!(Store::of(&host), store, "{}", path.display());
            assert_eq!(Store::no_file_may_be(&host), path.ends_with(REQUIRED), "{}", path.display());
        }
        for odd in ["", "cli_auth_credentials_store = 1", "cli_auth_credentials_store = \"other\"", "{"] {
            assert_eq!(parse(odd), None, "{odd}");
        }
    }
}
