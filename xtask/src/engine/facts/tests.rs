use super::*;
use crate::engine::refuse;

const VERSION: &str =
    r#"{"Client":{"ApiVersion":"1.45"},"Server":{"Version":"26.1.5","Components":[{"Name":"Engine"}]}}"#;

fn engine(info: &str, endpoint: &str) -> Engine {
    parse(VERSION, info, endpoint).unwrap()
}

fn refusal(info: &str, endpoint: &str) -> String {
    refuse(&engine(info, endpoint)).map_or_else(|err| crate::error::render(&err), |()| "accepted".into())
}

#[test]
fn an_engine_that_cannot_keep_the_promises_is_refused_with_one_line() {
    let good = r#"{"OperatingSystem":"Debian","SecurityOptions":["name=seccomp,profile=builtin"],
        "ClientInfo":{"Plugins":[{"Name":"compose","Version":"v2.26.1"}]},"CDISpecDirs":[]}"#;
    assert_eq!(refusal(good, "unix:///var/run/docker.sock"), "accepted");
    assert!(refusal(good, "ssh://far").contains("is remote"));
    assert!(refusal(good, "tcp://127.0.0.1:2375").contains("is remote"));
    assert!(refusal(&good.replace("Debian", "Docker Desktop"), "").contains("virtual machine"));
    assert!(refusal(&good.replace("name=seccomp", "name=rootless"), "").contains("rootless"));
    assert!(refusal(&good.replace("name=seccomp", "name=userns"), "").contains("userns-remap"));
    assert!(refusal(&good.replace("compose", "buildx"), "").contains("no Compose v2"));
}

#[test]
fn podman_posing_as_docker_is_refused() {
    let version = VERSION.replace("Engine", "Podman Engine");
    let engine = parse(&version, "{}", "").unwrap();
    assert!(crate::error::render(&refuse(&engine).unwrap_err()).contains("Podman Engine"));
}

#[test]
fn versions_with_suffixes_compare() {
    assert_eq!(major_minor("v2.26.1-4"), Some((2, 26)));
    assert_eq!(major_minor("26.1.5+dfsg1"), Some((26, 1)));
    assert_eq!(major_minor("dev"), None);
}

#[test]
fn podmans_and_nerdctls_own_clients_are_known_by_what_only_they_answer() {
    let posing = |version: &str, info: &str| parse(version, info, "").unwrap().posing;
    // Podman 4.3.1 asked; it names no server.
    let podman = r#"{"Client":{"APIVersion":"4.3.1","Version":"4.3.1","OsArch":"linux/amd64","Os":"linux"}}"#;
    assert_eq!(posing(podman, "{}").as_deref(), Some("Podman"));
    assert_eq!(posing(VERSION, r#"{"host":{"buildahVersion":"1.28.2"}}"#).as_deref(), Some("Podman"));
    let nerdctl = r#"{"Client":{"Version":"v2.0.2","Components":[{"Name":"buildctl"}]},"Server":{"Components":[{"Name":"containerd"}]}}"#;
    assert_eq!(posing(nerdctl, "{}").as_deref(), Some("nerdctl"));
    assert_eq!(posing(VERSION, "{}"), None);
}

#[test]
fn the_runtimes_features_are_read_where_the_engine_tells_them() {
    let info = |options: &str| {
        let features = serde_json::json!({"mountOptions": options.split(' ').collect::<Vec<_>>()}).to_string();
        serde_json::json!({
            "DefaultRuntime": "runc",
            "Runtimes": {"runc": {"status": {"org.opencontainers.runtime-spec.features": features}}},
        })
        .to_string()
    };
    let rro = |info: &str| engine(info, "").rro;
    assert_eq!(rro(&info("ro rro rw")), Some(true));
    assert_eq!(rro(&info("ro rw")), Some(false));
    assert_eq!(rro(r#"{"Runtimes":{"runc":{"path":"runc"}}}"#), None);
}
