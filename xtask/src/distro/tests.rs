use super::*;

const TRIXIE: &str = "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"13\"\nID=debian\n";

fn distro(text: &str) -> (Family, String) {
    let distro = parse(text);
    (distro.family, distro.version)
}

fn commands(text: &str, package: Package) -> Vec<String> {
    let remedies = parse(text).install(package, false);
    remedies.iter().map(ToString::to_string).collect()
}

#[test]
fn distributions_are_known_by_themselves_or_by_what_they_are_made_from() {
    assert_eq!(distro(TRIXIE), (Family::Debian, "13".into()));
    let mint = "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\nVERSION_ID=\"22\"\n";
    assert_eq!(distro(mint), (Family::Ubuntu, String::new()));
    let rocky = "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"9.4\"\n";
    assert_eq!(distro(rocky), (Family::Rhel, "9.4".into()));
    assert_eq!(distro("ID=fedora\nVERSION_ID=42\n"), (Family::Fedora, "42".into()));
    assert_eq!(distro("ID=manjaro\nID_LIKE=arch\n"), (Family::Arch, String::new()));
    assert_eq!(distro("ID=nixos\n"), (Family::Other, String::new()));
    assert_eq!(distro(""), (Family::Other, String::new()));
}

#[test]
fn a_value_is_read_as_a_shell_would() {
    let text = "NAME=\"A \\\"B\\\"  \\$1\"\nID='x y'\nVERSION=1\nODD=\"open\n";
    assert_eq!(field(text, "NAME"), "A \"B\"  $1");
    assert_eq!((field(text, "ID"), field(text, "VERSION")), ("x y".into(), "1".into()));
    assert_eq!((field(text, "ODD"), field(text, "VERS")), (String::new(), String::new()));
}

#[test]
fn each_package_manager_has_its_commands_and_other_systems_a_sentence() {
    let engine = |text: &str| commands(text, Package::Engine);
    assert_eq!(engine(TRIXIE), ["sudo apt-get install docker.io docker-cli docker-compose docker-buildx"]);
    let bookworm = engine(&TRIXIE.replace("13", "12"));
    assert!(bookworm[3].contains("docker.io/trixie") && bookworm[0].contains("Pin-Priority: 100"));
    assert_eq!(
        engine("ID=ubuntu\nVERSION_ID=24.04\n"),
        ["sudo apt-get install docker.io docker-compose-v2 docker-buildx"]
    );
    assert!(engine("ID=fedora\nVERSION_ID=42\n")[0].starts_with("sudo dnf install moby-engine"));
    assert!(engine("ID=rhel\nVERSION_ID=9.4\n")[0].contains("--add-repo"));
    assert!(engine("ID=arch\n")[0].starts_with("sudo pacman -S docker "));
    assert_eq!(parse("ID=nixos").install(Package::Engine, false).len(), 1);
    assert!(matches!(parse("ID=nixos").install(Package::Driver, false)[0], Remedy::Do(_)));
    assert!(commands("ID=rhel\nVERSION_ID=9.4\n", Package::Driver)[0].ends_with("cuda-rhel9.repo"));
    assert!(matches!(parse("ID=arch").install(Package::Mmdebstrap, false)[0], Remedy::Do(_)));
}

#[test]
fn parts_of_the_engine_come_from_where_the_engine_came_from() {
    let compose = |upstream| parse(TRIXIE).install(Package::Compose, upstream)[0].to_string();
    assert_eq!(compose(false), "sudo apt-get install docker-compose");
    assert_eq!(compose(true), "sudo apt-get install docker-compose-plugin");
}

#[test]
fn the_commands_are_words_that_a_shell_can_read() {
    let systems = ["debian", "ubuntu", "fedora", "rhel", "arch"];
    let packages = [
        Package::Engine,
        Package::Compose,
        Package::Buildx,
        Package::Driver,
        Package::Toolkit,
        Package::Mmdebstrap,
        Package::Npm,
    ];
    for id in systems {
        for package in packages {
            for remedy in parse(&format!("ID={id}\nVERSION_ID=12\n")).install(package, false) {
                if let Remedy::Run(command) = remedy {
                    let words = shell_words::split(&command).unwrap_or_else(|err| panic!("{command}: {err}"));
                    assert!(words.len() > 1, "{command}");
                }
            }
        }
    }
}
