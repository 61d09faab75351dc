//! [`Spec`]: the wanted sandbox, whole. Nothing else describes one: it is the label of the container, the record that is
//! kept of it, the table of a dry run, what `status --json` shows, and what a re-entry compares.

use super::inside::{Role, Taken, ToldBy};
use super::mount::{Mount, ids};
use super::settings::{NO_DATASET, Shape};
use super::words::{Cache, GpuRoute, Handed};
use crate::text;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The layout of what is kept: of the label, the record, and the state folder. Version 1, which had no number, was
/// that of the first release.
pub const SCHEMA: u32 = 5;

/// Stands for [`SCHEMA`] in what is kept: no other number can be read into it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Schema;

impl TryFrom<u32> for Schema {
    type Error = String;

    fn try_from(number: u32) -> Result<Schema, String> {
        if number == SCHEMA { Ok(Schema) } else { Err(format!("schema version {number}, this tool reads {SCHEMA}")) }
    }
}

impl From<Schema> for u32 {
    fn from(_: Schema) -> u32 {
        SCHEMA
    }
}

/// The wanted sandbox. Of variables it has the names only, never a value. Every key must be there to be read: a missing
/// one would read as less than was promised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The layout of this very description.
    pub schema: Schema,
    /// The user id that everything inside runs as, the host user's own.
    pub uid: u32,
    /// The group id, the host user's own.
    pub gid: u32,
    /// Supplementary groups, sorted: those that own a mount.
    pub groups: Vec<u32>,
    /// The image, by tag.
    pub image: String,
    /// The id of that image, `sha256:…`, where the engine has told it.
    #[serde(deserialize_with = "Option::deserialize")]
    pub image_id: Option<String>,
    /// The fingerprint of what decides what is in the image, without the base's id.
    pub image_inputs: String,
    /// Every mount, and no other may be there. Outer ones stand before those that lie in them.
    pub mounts: Vec<Mount>,
    /// Directories of the host that no mount may reach for writing: this repository, the state folder, the host's
    /// Codex home, the host's git directory.
    pub out_of_reach: Vec<PathBuf>,
    /// What the settings say of the container itself.
    pub shape: Shape,
    /// How the GPUs are asked for; `None` with `Gpus::None`.
    #[serde(deserialize_with = "Option::deserialize")]
    pub gpu_route: Option<GpuRoute>,
    /// The version that the mounted Codex gave on the host, such as `0.169.0`.
    pub codex_version: String,
    /// The resolved native binary on the host; recorded, not mounted (the package is).
    pub codex_bin: PathBuf,
    /// Whether the container gets the host's CA bundle.
    pub ca_bundle: bool,
    /// Variables that pass from the user's environment to Codex, by name.
    pub env: Vec<String>,
    /// Secrets that go in beside those and a lease, by their kinds.
    pub handed: Vec<Handed>,
    /// The fingerprint of `docker/docker-compose.yaml`.
    pub compose_file: String,
    /// Whether this is the sandbox that `.devcontainer/devcontainer.json` opens.
    pub dev_container: bool,
}

/// One line of the table: a setting or a mount, by the name that the user knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The key of `sandbox.yaml`, or the id of a mount.
    pub name: String,
    /// The value as text.
    pub value: String,
    /// When another value reaches a running container.
    pub taken: Taken,
}

/// What differs between a running container and what is wanted now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// These take effect at the next start; the running container may still be entered.
    pub deferred: Vec<String>,
    /// The container lacks these, which are asked for now, and must be recreated.
    pub blocking: Vec<String>,
    /// The flags that ask for what of that the container has, as words of a shell. Not everything has a flag.
    pub has: Vec<String>,
}

impl Spec {
    /// Reads what was kept of a sandbox.
    ///
    /// # Errors
    /// Why this tool cannot read it, as a clause: an older or a newer version made it, or it is damaged.
    pub fn read(text: &str) -> Result<Spec, String> {
        let value: Value = serde_json::from_str(text).map_err(|err| format!("it is damaged: {err}"))?;
        match value["schema"].as_u64() {
            None => Err("an earlier version of this tool made it".to_owned()),
            Some(number) if number < u64::from(SCHEMA) => {
                Err(format!("an earlier version of this tool made it (schema version {number})"))
            }
            Some(number) if number > u64::from(SCHEMA) => {
                Err(format!("a newer version of this tool made it (schema version {number})"))
            }
            // A setting more or less is no other layout: the error names it.
            Some(_) => serde_json::from_value(value)
                .map_err(|err| format!("it is damaged, or a version of this tool with other settings made it: {err}")),
        }
    }

    /// The caches among the mounts, each with its volume.
    pub fn caches(&self) -> impl Iterator<Item = (Cache, &str)> + '_ {
        self.mounts
            .iter()
            .filter_map(|mount| if let Role::Cache(cache) = mount.role { Some((cache, mount.volume()?)) } else { None })
    }

    /// The mount of a role, the first where there are several.
    pub fn mount(&self, role: &Role) -> Option<&Mount> {
        self.mounts.iter().find(|mount| mount.role == *role)
    }

    /// The workspace on this host.
    pub(crate) fn workspace(&self) -> Option<&Path> {
        self.mount(&Role::Workspace).map(|mount| mount.source.as_path())
    }

    /// The table of all that is compared. What is not in it follows from the engine (the route to the GPUs, the image's
    /// id, its tag with the base's id in it) or from this checkout, and is held by the proof instead. The pattern names
    /// every field: a new one does not compile until it has a line here or is left out on purpose.
    pub fn rows(&self) -> Vec<Row> {
        use Taken::{EachEntry, NextStart, Now};
        let Spec {
            schema: Schema,
            uid,
            gid,
            groups,
            image: _,
            image_id: _,
            image_inputs,
            mounts,
            out_of_reach: _,
            shape,
            gpu_route: _,
            codex_version,
            codex_bin: _,
            ca_bundle,
            env,
            handed,
            compose_file,
            dev_container,
        } = self;
        let row = |name: &str, value: String, taken| Row { name: name.to_owned(), value, taken };
        let groups: String = groups.iter().map(|gid| format!(" {gid}")).collect();
        let mut rows = vec![
            row("user", format!("{uid}:{gid}{groups}"), Now),
            row("image inputs", image_inputs.clone(), NextStart),
            row(
                "codex",
                self.codex_copy().map_or(codex_version.clone(), |copy| format!("{codex_version} ({copy})")),
                NextStart,
            ),
            row("CA bundle", if *ca_bundle { "the host's" } else { "the image's" }.into(), Now),
            row("env", env.join(", "), EachEntry),
            row("secrets", handed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "), EachEntry),
            row("compose file", compose_file.clone(), NextStart),
            row("dev container", if *dev_container { "yes" } else { "no" }.into(), NextStart),
        ];
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            // Of what the settings say, only a limit can be missing.
            Value::Null => "none".to_owned(),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
        };
        let shape = json!(shape);
        rows.extend(shape.as_object().into_iter().flatten().map(|(name, value)| row(name, text(value), Now)));
        rows.extend(ids(mounts).into_iter().zip(mounts).map(|(id, mount)| mount_row(id, mount)));
        rows
    }

    /// What tells the copy of Codex from others of the same version: the name of its folder is `VERSION-FINGERPRINT`, and
    /// another file on the host makes another copy.
    fn codex_copy(&self) -> Option<&str> {
        let name = self.mount(&Role::CodexPackage)?.source.file_name()?.to_str()?;
        name.strip_prefix(&self.codex_version)?.strip_prefix('-')
    }

    /// What differs between this sandbox, which runs, and what is wanted now.
    pub fn differences(&self, wanted: &Spec) -> Differences {
        let (was, now) = (self.rows(), wanted.rows());
        let find = |rows: &[Row], name: &str| rows.iter().find(|row| row.name == name).cloned();
        let gone = was.iter().filter(|row| find(&now, &row.name).is_none());
        let mut differences = Differences::default();
        let others = self.other_caches(wanted);
        for row in now.iter().chain(gone) {
            let (old, new) = (find(&was, &row.name), find(&now, &row.name));
            if old == new {
                continue;
            }
            if others.is_some() && row.name.starts_with("cache.") && old.is_some() && new.is_some() {
                continue;
            }
            let show = |row: Option<Row>| row.map_or("none".to_owned(), |row| format!("`{}`", row.value));
            let line = format!("{}: the container has {}, now it is {}", row.name, show(old), show(new));
            match row.taken {
                Taken::Now => differences.blocking.push(line),
                Taken::NextStart => differences.deferred.push(line),
                Taken::EachEntry => {}
            }
        }
        differences.blocking.extend(others.map(|why| format!("caches: the container has others, because {why}")));
        differences.has = self.flags_beside(wanted);
        differences
    }

    /// Why this sandbox, which runs, has other volumes for the same caches than the wanted one; `None` where it has the same, or
    /// for a reason of none of these kinds.
    fn other_caches(&self, wanted: &Spec) -> Option<&'static str> {
        let volumes =
            |spec: &Spec| spec.caches().map(|(cache, volume)| (cache, volume.to_owned())).collect::<BTreeMap<_, _>>();
        let (was, now) = (volumes(self), volumes(wanted));
        let has_own = |spec: &Spec| !spec.env.is_empty() || !spec.handed.is_empty();
        if !was.iter().any(|(cache, volume)| now.get(cache).is_some_and(|other| other != volume)) {
            None
        } else if self.shape.network != wanted.shape.network {
            Some("another network has others")
        } else if self.shape.cache_sharing != wanted.shape.cache_sharing {
            Some("`cache_sharing` is another")
        } else {
            match (has_own(self), has_own(wanted)) {
                (true, false) => Some("it was handed secrets or variables, and is handed none now"),
                (false, true) => Some("it was handed no secret and no variable, and is handed some now"),
                (true, true) | (false, false) => None,
            }
        }
    }

    /// The flags that ask for what this sandbox has, of what differs from the wanted one.
    fn flags_beside(&self, wanted: &Spec) -> Vec<String> {
        let (was, now) = (&self.shape, &wanted.shape);
        let flag =
            |name: &str, was: String, now: String| (was != now).then(|| format!("--{name} {}", text::word(&was)));
        let shape = [
            flag("network", was.network.to_string(), now.network.to_string()),
            flag("gpus", was.gpus.to_string(), now.gpus.to_string()),
            flag("codex-home", was.codex_home.to_string(), now.codex_home.to_string()),
        ];
        let sets = |spec: &Spec| -> BTreeMap<String, String> {
            let set = |mount: &Mount| {
                let Role::Dataset(name) = &mount.role else { return None };
                Some((name.clone(), mount.source.to_string_lossy().into_owned()))
            };
            spec.mounts.iter().filter_map(set).collect()
        };
        let (was, now) = (sets(self), sets(wanted));
        let given = was.iter().map(|(name, dir)| format!("{name}={dir}"));
        let without = now.keys().filter(|name| !was.contains_key(*name)).map(|name| format!("{name}={NO_DATASET}"));
        let datasets = given.chain(without).filter(|_| was != now).map(|set| format!("--dataset {}", text::word(&set)));
        shape.into_iter().flatten().chain(datasets).collect()
    }
}

fn mount_row(name: String, mount: &Mount) -> Row {
    let inside = mount.role.inside();
    let value = match inside.told_by {
        ToldBy::Source => mount.source.to_string_lossy().into_owned(),
        ToldBy::Volume => mount.volume().unwrap_or_default().to_owned(),
        ToldBy::Presence => mount.target.clone(),
    };
    Row { name, value, taken: inside.taken }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::spec::settings::{Memlock, Ptrace};
    use crate::spec::words::{Gpus, Mode, Network};

    #[test]
    fn it_is_read_back_as_it_was_kept_and_nothing_missing_is_made_up() {
        let spec = crate::proof::fixture::spec();
        let kept = serde_json::to_value(&spec).unwrap();
        assert_eq!(Spec::read(&kept.to_string()), Ok(spec));
        for key in kept.as_object().unwrap().keys() {
            let mut cut = kept.clone();
            cut.as_object_mut().unwrap().remove(key);
            assert!(Spec::read(&cut.to_string()).is_err(), "{key}");
        }
        for (key, odd) in
            [("network", "allowlist"), ("memlock", "some"), ("ptrace", "some"), ("gpus", "al"), ("codex_home", "copy")]
        {
            let mut other = kept.clone();
            other["shape"][key] = json!(odd);
            assert!(Spec::read(&other.to_string()).is_err(), "{key}");
        }
        let mut more = kept;
        more["cpus"] = json!(4);
        assert!(Spec::read(&more.to_string()).unwrap_err().contains("cpus"));
    }

    #[test]
    fn another_layout_has_another_number() {
        let kept = json!(crate::proof::fixture::spec());
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
        let spec = "schema uid gid groups image image_id image_inputs mounts out_of_reach shape gpu_route codex_version \
                    codex_bin ca_bundle env handed compose_file dev_container";
        assert_eq!((SCHEMA, keys(&kept).as_str()), (5, spec), "raise SCHEMA with the layout");
    }

    #[test]
    fn a_shape_of_another_versions_settings_is_not_read_and_the_setting_is_named() {
        let kept = json!(crate::proof::fixture::spec());
        let is_refused = |kept: &Value, name: &str| {
            let why = Spec::read(&kept.to_string()).unwrap_err();
            assert!(why.contains("with other settings") && why.contains(&format!("`{name}`")), "{why}");
        };
        for name in kept["shape"].as_object().unwrap().keys() {
            let mut earlier = kept.clone();
            earlier["shape"].as_object_mut().unwrap().remove(name);
            is_refused(&earlier, name);
        }
        let mut newer = kept;
        newer["shape"]["later"] = json!(1);
        is_refused(&newer, "later");
    }

    #[test]
    fn what_another_version_made_is_told_by_its_age() {
        assert!(Spec::read(r#"{"schema": 1}"#).unwrap_err().contains("earlier version"));
        assert!(Spec::read(r#"{"gpus": "all"}"#).unwrap_err().contains("earlier version"));
        assert!(
            Spec::read(r#"{"schema": 4}"#)
                .unwrap_err()
                .contains("earlier version of this tool made it (schema version 4)")
        );
        assert!(Spec::read(r#"{"schema": 6}"#).unwrap_err().contains("newer version"));
        assert!(Spec::read("{").unwrap_err().contains("damaged"));
    }

    #[test]
    fn what_must_wait_is_told_from_what_is_missing_now() {
        let was = crate::proof::fixture::spec();
        let mut now = was.clone();
        now.codex_version = "0.170.0".into();
        now.env.push("WANDB_API_KEY".into());
        now.mounts.push(Mount::new(Role::Dataset("k".into()), "/k"));
        let found = was.differences(&now);
        assert_eq!(found.deferred, ["codex: the container has `0.169.0`, now it is `0.170.0`"]);
        assert_eq!(found.blocking, ["dataset.k: the container has none, now it is `/k`"]);
    }

    #[test]
    fn other_caches_are_one_line_with_the_reason_and_the_flags_ask_for_what_the_container_has() {
        let caches = |spec: &mut Spec, owner: &str| {
            for mount in spec.mounts.iter_mut().filter(|mount| matches!(mount.role, Role::Cache(_))) {
                mount.source = format!("/v/volumes/{owner}/_data").into();
            }
        };
        let mut was = crate::proof::fixture::spec();
        was.mounts.push(Mount::new(Role::Dataset("k".into()), "/k l"));
        caches(&mut was, "a");
        let mut now = was.clone();
        caches(&mut now, "b");
        now.handed.push(Handed::ApiKey);
        let found = was.differences(&now);
        let line =
            "caches: the container has others, because it was handed no secret and no variable, and is handed some now";
        assert_eq!((found.blocking, found.has), (vec![line.to_owned()], Vec::new()));
        now.shape.network = Network::None;
        now.mounts.pop();
        now.mounts.push(Mount::new(Role::Dataset("m".into()), "/m"));
        let found = was.differences(&now);
        assert!(found.blocking.iter().any(|line| line.ends_with("another network has others")), "{found:?}");
        assert_eq!(found.blocking.len(), 4, "{found:?}");
        let flags = ["--network open", "--dataset 'k=/k l'", "--dataset 'm=none'"];
        assert!(flags.iter().all(|flag| found.has.iter().any(|has| has == flag)), "{found:?}");
    }

    #[test]
    fn another_file_of_codex_of_the_same_version_is_told() {
        let mut was = crate::proof::fixture::spec();
        let package = was.mounts.iter().position(|mount| mount.role == Role::CodexPackage).unwrap();
        was.mounts[package].source = "/s/codex/0.169.0-aaa".into();
        let mut now = was.clone();
        assert_eq!(was.differences(&now), Differences::default());
        now.mounts[package].source = "/s/codex/0.169.0-bbb".into();
        let found = was.differences(&now);
        assert_eq!(found.deferred, ["codex: the container has `0.169.0 (aaa)`, now it is `0.169.0 (bbb)`"]);
        assert_eq!(found.blocking, Vec::<String>::new());
    }

    #[test]
    fn every_wish_that_shapes_the_container_is_noticed_at_re_entry() {
        let was = crate::proof::fixture::spec();
        let changes: [fn(&mut Spec); 17] = [
            |spec| spec.uid = 1,
            |spec| spec.gid = 1,
            |spec| spec.groups.push(44),
            |spec| spec.shape.shm_size = 1,
            |spec| spec.shape.pids_limit = 1,
            |spec| spec.shape.memory = None,
            |spec| spec.shape.cpu_weight = 1,
            |spec| spec.shape.log_size = 1,
            |spec| spec.shape.log_files = 1,
            |spec| spec.shape.gpus = Gpus::All,
            |spec| spec.shape.memlock = Memlock::Engine,
            |spec| spec.shape.ptrace = Ptrace::Deny,
            |spec| spec.shape.network = Network::None,
            |spec| spec.shape.codex_home = Mode::None,
            |spec| spec.ca_bundle = !spec.ca_bundle,
            |spec| drop(spec.mounts.pop()),
            |spec| spec.mounts[0].source = "/elsewhere".into(),
        ];
        for (i, change) in changes.iter().enumerate() {
            let mut now = was.clone();
            change(&mut now);
            assert_eq!(was.differences(&now).blocking.len(), 1, "change {i}");
        }
    }
}
