//! The image: its inputs, its fingerprint and tag, and why it is stale. Pure, but for `read_files`.

pub(crate) mod base;
pub(crate) mod build;
pub(crate) mod command;

use crate::fingerprint;
use crate::outside;
use anyhow::{Context as _, Result};
use serde_json::{Map, Value};
use std::path::Path;

/// The repository name of the images that this tool builds.
const REPOSITORY: &str = "codex-sandbox";

/// The label that holds an image's inputs, as JSON.
const INPUTS_LABEL: &str = "codex-sandbox.inputs";

/// Everything that determines the content of an image.
#[derive(Debug, Clone)]
pub(crate) struct Inputs {
    /// The base image's reference.
    pub(crate) base: String,
    /// The base image's id, where the engine has it; a registry is not asked.
    pub(crate) base_id: Option<String>,
    /// `TORCH_CUDA_ARCH_LIST`.
    pub(crate) arch_list: String,
    /// The user that the last layer makes.
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The files of the build context: name and text.
    pub(crate) files: Vec<(String, String)>,
}

impl Inputs {
    /// The arguments of the build, by their names in the Dockerfile.
    pub(crate) fn args(&self) -> [(&'static str, String); 4] {
        [
            ("BASE_IMAGE", self.base.clone()),
            ("TORCH_CUDA_ARCH_LIST", self.arch_list.clone()),
            ("HOST_UID", self.uid.to_string()),
            ("HOST_GID", self.gid.to_string()),
        ]
    }

    /// The inputs by name, each as a short text. The label holds them, and [`reasons`] compares them.
    pub(crate) fn table(&self) -> Map<String, Value> {
        let [base, others @ ..] = self.args();
        let base_id = ("base image id", self.base_id.clone().unwrap_or_else(|| "not known".into()));
        let fixed = [base, base_id].into_iter().chain(others).map(|(name, value)| (name.to_owned(), value.into()));
        let of_file = |(name, text): &(String, String)| (format!("docker/{name}"), fingerprint::of([text]).into());
        fixed.chain(self.files.iter().map(of_file)).collect()
    }

    /// The tag: the fingerprint of all inputs, and the UID, so that two users of one host do not replace each other's
    /// image.
    pub(crate) fn tag(&self) -> String {
        let parts = self.table().into_iter().map(|(name, value)| format!("{name}={value}"));
        format!("{REPOSITORY}:{}-u{}", &fingerprint::of(parts)[..12], self.uid)
    }
}

/// Why there is no image for these inputs, one line a reason. `newest` is the table of the user's newest other image.
fn reasons(inputs: &Inputs, newest: Option<&Map<String, Value>>) -> Vec<String> {
    let Some(old) = newest else {
        return vec!["no image has been built yet".into()];
    };
    let now = inputs.table();
    // Another clone of this repository, or an earlier state of this one, has made the one that is compared with.
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = Vec::new();
    for (name, value) in &now {
        match old.get(name) {
            Some(was) if was == value => {}
            Some(_) if name.starts_with("docker/") => lines.push(format!("`{name}` changed")),
            Some(was) => lines.push(format!("`{name}` was `{}` and is `{}`", text(was), text(value))),
            None => lines.push(format!("`{name}` is new")),
        }
    }
    lines.extend(old.keys().filter(|name| !now.contains_key(*name)).map(|name| format!("`{name}` was removed")));
    if lines.is_empty() {
        // The inputs are the same, and yet there is no such tag: somebody has removed the tag or the image.
        lines.push("the image was removed from the engine".into());
    }
    lines
}

/// Reads the files of the build context: `.dockerignore` excludes everything and then includes each file by name.
fn read_files(docker: &Path) -> Result<Vec<(String, String)>> {
    let read = |name: &str| {
        let path = docker.join(name);
        outside::text(&path, outside::WRITTEN).with_context(|| format!("cannot read `{}`", path.display()))
    };
    let ignore = read(".dockerignore")?;
    let mut names: Vec<String> =
        ignore.lines().filter_map(|line| line.trim().strip_prefix('!')).map(str::to_owned).collect();
    names.push("Dockerfile".into());
    names.sort();
    names.dedup();
    names.into_iter().map(|name| read(&name).map(|text| (name, text))).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn inputs() -> Inputs {
        Inputs {
            base: "base:1".into(),
            base_id: Some("sha256:aa".into()),
            arch_list: "12.0".into(),
            uid: 1000,
            gid: 1000,
            files: vec![("Dockerfile".into(), "FROM x".into())],
        }
    }

    #[test]
    fn every_input_changes_the_tag_and_the_uid_stands_in_it() {
        let tag = inputs().tag();
        assert!(tag.starts_with("codex-sandbox:") && tag.ends_with("-u1000"), "{tag}");
        let changes: [fn(&mut Inputs); 6] = [
            |i| i.base = "base:2".into(),
            |i| i.base_id = None,
            |i| i.arch_list = "9.0".into(),
            |i| i.uid = 1001,
            |i| i.gid = 1001,
            |i| i.files[0].1 = "FROM y".into(),
        ];
        for (n, change) in changes.iter().enumerate() {
            let mut other = inputs();
            change(&mut other);
            assert_ne!(other.tag(), tag, "change {n}");
        }
    }

    #[test]
    fn each_reason_for_staleness_is_named() {
        let mut old = inputs();
        old.arch_list = "9.0".into();
        old.files[0].1 = "FROM old".into();
        old.files.push(("gone.py".into(), String::new()));
        assert_eq!(
            reasons(&inputs(), Some(&old.table())),
            [
                "`TORCH_CUDA_ARCH_LIST` was `9.0` and is `12.0`",
                "`docker/Dockerfile` changed",
                "`docker/gone.py` was removed"
            ]
        );
        assert_eq!(reasons(&inputs(), None), ["no image has been built yet"]);
    }
}
