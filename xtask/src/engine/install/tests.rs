use super::*;
use crate::distro::{self, Family};

fn lacks(parts: &[Part], programs: &[&str]) -> Lacks {
    Lacks { parts: parts.to_vec(), programs: programs.iter().map(|name| (*name).to_owned()).collect(), silent: None }
}

fn distribution(id: &str, codename: &str) -> Distro {
    distro::parse(&format!("PRETTY_NAME=\"Some {id}\"\nID={id}\nVERSION_CODENAME={codename}\n"))
}

const ALL: &[Part] = &[Part::Engine, Part::Client, Part::Compose, Part::Buildx];
const TARGETS: &str = "http://m.example/debian bookworm-updates bookworm-updates main Packages /k.gpg\n\
                       http://m.example/debian-security bookworm-security bookworm-security main Packages /k.gpg\n\
                       http://m.example/debian bookworm bookworm main Packages /usr/share/keyrings/d.gpg\n";

#[test]
fn on_debian_12_the_engine_comes_from_the_next_release_by_name() {
    let plan = plan(&lacks(ALL, &["npm", "ps"]), &distribution("debian", "bookworm"), true).unwrap();
    let mut steps = plan.first();
    steps.extend(plan.prepare(TARGETS).unwrap());
    steps.push(Step::Run(plan.second()));
    let text = steps.iter().map(Step::to_string).collect::<Vec<_>>().join("\n");
    let flags = "-q -y --no-install-recommends --no-remove -o 'DPkg::Lock::Timeout=300'";
    let apt = "env 'DEBIAN_FRONTEND=noninteractive' apt-get";
    let write = r#"sh -c 'printf %s "$1" >"$0"'"#;
    assert_eq!(
        text,
        format!(
            "{apt} update -q\n{apt} install {flags} npm procps\n\
             {write} /etc/apt/sources.list.d/codex-sandbox-next.list \
             'deb [signed-by=/usr/share/keyrings/d.gpg] http://m.example/debian trixie main\n'\n\
             {write} /etc/apt/preferences.d/codex-sandbox-next \
             'Package: *\nPin: release n=trixie\nPin-Priority: 100\n'\n\
             {apt} update -q\n\
             {apt} install {flags} docker.io/trixie containerd/trixie docker-cli/trixie docker-compose/trixie \
             docker-buildx/trixie"
        )
    );
}

#[test]
fn what_is_there_is_not_installed_again_and_others_go_through_sudo() {
    let debian = distribution("debian", "trixie");
    let plan = plan(&lacks(&[Part::Compose], &[]), &debian, false).unwrap();
    assert!(plan.second().to_string().ends_with("=300' docker-compose"), "{}", plan.second());
    assert_eq!(plan.prepare(TARGETS).unwrap(), []);
    assert!(plan.second().to_string().starts_with("sudo env "));
    let ubuntu = super::plan(&lacks(ALL, &[]), &distribution("ubuntu", "noble"), true).unwrap();
    assert_eq!(ubuntu.engine, ["docker.io", "docker-compose-v2", "docker-buildx"]);
}

#[test]
fn elsewhere_the_commands_are_said_and_nothing_is_done() {
    for (id, family, word) in
        [("fedora", Family::Fedora, "dnf"), ("arch", Family::Arch, "pacman"), ("linuxmint", Family::Ubuntu, "apt-get")]
    {
        let distro = Distro { family, ..distribution(id, "x") };
        let failure = plan(&lacks(ALL, &["npm"]), &distro, true).unwrap_err();
        assert_eq!(failure.kind.code(), 3);
        assert!(failure.remedies.iter().any(|way| way.to_string().contains(word)), "{failure:?}");
        assert!(failure.remedies.iter().any(|way| way.to_string().contains("npm")), "{failure:?}");
    }
    let old = plan(&lacks(ALL, &[]), &distribution("debian", "bullseye"), true);
    assert!(old.is_err());
}

#[test]
fn an_installation_that_would_upgrade_or_remove_something_is_seen() {
    let fine = "Reading...\nInst docker-cli (26.1 Debian:13/testing [amd64])\nConf docker-cli (26.1)\n";
    assert_eq!(upgraded(fine), [""; 0]);
    let bad = "Inst libc6 [2.36-9] (2.41-12 Debian [amd64])\nRemv podman-docker [4.3]\n";
    assert_eq!(upgraded(bad), ["libc6", "podman-docker"]);
}

#[test]
fn a_source_of_updates_is_none_of_the_release() {
    assert_eq!(source(TARGETS, "bookworm"), Some(("http://m.example/debian", "/usr/share/keyrings/d.gpg")));
    let stable = "http://m.example/debian stable bookworm main Packages \n";
    assert_eq!(source(stable, "bookworm"), Some(("http://m.example/debian", DEBIAN_KEY)));
    assert_eq!(source("http://m.example/ubuntu noble noble main Packages \n", "bookworm"), None);
}
