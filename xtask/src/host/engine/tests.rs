use super::*;

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
