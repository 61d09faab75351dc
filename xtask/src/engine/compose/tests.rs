//! What Compose is told.

use super::*;
use crate::spec::Schema;
use crate::spec::settings::{Memlock, Shape, usual};
use crate::spec::words::{Cache, GpuRoute, Network};

/// A project with one of everything, for tests.
pub(crate) fn project() -> Project {
    let mount = |role, source: &str, target: &str, read_only| Mount {
        role,
        source: source.into(),
        target: target.into(),
        read_only,
    };
    Project {
        name: "codex-sandbox-p".into(),
        root: "/repo/$x".into(),
        override_file: "/repo/target/sandbox/p/override.yaml".into(),
        spec: Spec {
            schema: Schema,
            uid: 1000,
            gid: 1000,
            groups: vec![2000],
            mounts: vec![
                mount(Role::Workspace, "/home/me/project", "/workspace", false),
                mount(Role::Dataset("ssv2".into()), "/data/ssv2", "/datasets/ssv2", true),
                mount(Role::Dataset("k400".into()), "/data/k 400:$x,'\"é", "/datasets/k400", true),
                mount(Role::CodexPackage, "/state/codex/0.169.0", "/opt/codex", true),
                mount(Role::CodexHome, "/state/p/codex-home", "/home/codex/.codex", false),
                mount(Role::Guest, "/state/p/guest", "/sandbox", true),
                mount(
                    Role::Cache(Cache::Pip),
                    "/var/lib/docker/volumes/codex-sandbox-cache-pip-none-u1000/_data",
                    "/home/codex/.cache/pip",
                    false,
                ),
            ],
            out_of_reach: vec!["/repo".into()],
            shape: Shape { network: Network::None, ..usual() },
            gpu_route: Some(GpuRoute::Nvidia),
            codex_version: "0.169.0".into(),
            image: "codex-sandbox:abc-1000".into(),
            image_id: None,
            image_inputs: "0123456789ab".into(),
            codex_bin: "/usr/lib/codex".into(),
            ca_bundle: false,
            env: Vec::new(),
            handed: Vec::new(),
            compose_file: "ba9876543210".into(),
            dev_container: true,
        },
    }
}

#[test]
fn the_override_has_what_differs_by_host_and_escapes_dollars() {
    let text = project().override_text();
    let value: Value = serde_yaml::from_str(&text).unwrap();
    let service = &value["services"]["workspace"];
    assert_eq!(service["volumes"].as_array().unwrap().len(), 3, "the base file has the others");
    assert_eq!(service["volumes"][0]["source"], "/data/k 400:$$x,'\"é");
    assert_eq!(service["volumes"][0]["bind"]["create_host_path"], false);
    let cache = json!({"type": "volume", "source": "cache-pip", "target": "/home/codex/.cache/pip"});
    assert_eq!(service["volumes"][2], cache);
    let cache = json!({"name": "codex-sandbox-cache-pip-none-u1000", "external": true});
    assert_eq!(value["volumes"], json!({"cache-pip": cache}));
    assert_eq!(service["environment"], json!({"PIP_CACHE_DIR": "/home/codex/.cache/pip"}));
    assert_eq!(service["network_mode"], "none");
    let label = service["labels"][SPEC_LABEL].as_str().unwrap();
    assert!(label.contains("/data/k 400:$$x"), "{label}");
    // What Compose makes of it is what a later call reads.
    assert_eq!(Spec::read(&label.replace("$$", "$")), Ok(project().spec));
    assert_eq!(service["labels"]["devcontainer.local_folder"], "/repo/$$x");
    assert_eq!(service["deploy"]["resources"]["reservations"]["devices"][0]["count"], "all");
    assert_eq!(service["ulimits"]["memlock"], -1);
}

#[test]
fn an_engine_that_may_not_raise_the_limit_of_locked_memory_is_not_asked_to() {
    let mut project = project();
    project.spec.shape.memlock = Memlock::Engine;
    let value: Value = serde_yaml::from_str(&project.override_text()).unwrap();
    let service = &value["services"]["workspace"];
    assert_eq!(service["ulimits"], Value::Null);
    assert!(service["deploy"].is_object(), "the GPUs are asked for all the same");
}

#[test]
fn every_variable_that_the_compose_file_requires_is_exported() {
    let file = include_str!("../../../../docker/docker-compose.yaml");
    let mut required: Vec<&str> = file
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|line| line.split("${").skip(1))
        .filter_map(|rest| rest.split_once(":?").map(|(name, _)| name))
        .collect();
    required.sort_unstable();
    required.dedup();
    let mut exported: Vec<&str> = project().exports().into_iter().map(|(name, _)| name).collect();
    exported.sort_unstable();
    assert_eq!(required, exported);
}
