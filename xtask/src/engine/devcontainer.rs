//! The dev container: the same sandbox, opened by VS Code or the `devcontainer` program in place of `cargo xtask
//! sandbox`. Both use a container that already runs, and find it by its Compose project and by two labels. Pure.

use std::path::{Path, PathBuf};

/// The label with the directory that was opened: by it the dev container is found again.
pub(crate) const FOLDER_LABEL: &str = "devcontainer.local_folder";

/// The label with the path of its `devcontainer.json`.
const CONFIG_LABEL: &str = "devcontainer.config_file";

/// The labels of the dev container of this repository.
pub(crate) fn labels(root: &Path) -> [(&'static str, String); 2] {
    let config = root.join(".devcontainer/devcontainer.json");
    let text = |path: &Path| path.to_string_lossy().into_owned();
    [(FOLDER_LABEL, text(root)), (CONFIG_LABEL, text(&config))]
}

/// The file from which `.devcontainer/compose.yaml` takes the names of the sandbox.
pub(crate) fn env_file(root: &Path) -> PathBuf {
    root.join(".devcontainer/.env")
}

/// The text of that file. Neither value contains a character that would need quotes.
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
        let labels: Vec<(&str, &str)> = labels.iter().map(|(k, v)| (*k, v.as_str())).collect();
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
