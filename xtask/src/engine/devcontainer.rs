//! The dev container: the same sandbox, opened by VS Code or the `devcontainer` program in place of `cargo xtask
//! sandbox`. Both take a container that runs as it is, and know it by its Compose project and by two labels. Pure.

use std::path::{Path, PathBuf};

/// The label by which a dev container is found again from the directory that was opened.
pub(crate) const FOLDER_LABEL: &str = "devcontainer.local_folder";

/// The label that names the configuration that it was opened by.
const CONFIG_LABEL: &str = "devcontainer.config_file";

/// The labels of the container that this repository's `.devcontainer/devcontainer.json` opens.
pub(crate) fn labels(root: &Path) -> Vec<(String, String)> {
    let config = root.join(".devcontainer/devcontainer.json");
    [(FOLDER_LABEL, root), (CONFIG_LABEL, config.as_path())]
        .map(|(label, path)| (label.to_owned(), path.to_string_lossy().into_owned()))
        .into()
}

/// The file in which `.devcontainer/compose.yaml` looks for the sandbox.
pub(crate) fn env_file(root: &Path) -> PathBuf {
    root.join(".devcontainer/.env")
}

/// Its text. Neither value has a character that would need quotes.
pub(crate) fn env_text(project: &str, image: &str) -> String {
    format!("# Made by `cargo xtask devcontainer`.\nSANDBOX_PROJECT={project}\nSANDBOX_IMAGE={image}\n")
}

/// The containers of a list of names that are not this one.
pub(crate) fn others<'a>(listed: &'a str, name: &str) -> Vec<&'a str> {
    listed.split_whitespace().filter(|other| *other != name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_is_labelled_as_the_dev_container_of_the_repository() {
        let labels = labels(Path::new("/repo"));
        let labels: Vec<(&str, &str)> = labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(
            labels,
            [
                ("devcontainer.local_folder", "/repo"),
                ("devcontainer.config_file", "/repo/.devcontainer/devcontainer.json"),
            ]
        );
    }

    #[test]
    fn every_other_container_of_the_list_is_told() {
        assert_eq!(others("a\nb\n\nc\n", "b"), ["a", "c"]);
        assert_eq!(others("b\n", "b"), Vec::<&str>::new());
    }
}
