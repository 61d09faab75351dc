use super::*;
use crate::codex::Layout;
use crate::context::Context;
use crate::engine::Component;
use crate::gpu::{CdiSpec, Gpu, Pci};
use crate::spec::settings::{self, Flags};
use crate::{codex as host_codex, distro, error};

/// A host on which a sandbox can run: Debian 13, Docker's own engine, a Blackwell card, Codex by npm.
pub(super) fn facts() -> AboutHost {
    let distro = distro::parse("ID=debian\nVERSION_ID=13\n");
    let cx = Context { root: "/r".into(), home: "/home/ada".into(), memory: Some(64 << 30), ..Context::default() };
    let settings = settings::resolve(&cx, &Flags::default(), &[]).unwrap();
    AboutHost {
        settings: Settings { workspace: "/home/ada/project".into(), ..settings },
        errors: Vec::new(),
        engine: Ok(engine(&distro)),
        local: Local {
            daemon: true,
            user: "ada".into(),
            group: "docker".into(),
            distro: distro.clone(),
            ..Local::default()
        },
        distro,
        devices: devices(),
        toolkit: Some("1.19.1".into()),
        codex: Ok(Codex {
            launcher: "/usr/bin/codex".into(),
            binary: "/usr/lib/node_modules/x/bin/codex".into(),
            layout: Layout::Npm,
            version: "0.169.0".into(),
            root: Some("/usr/lib/node_modules/x".into()),
            helper: true,
            package: "/state/codex/0.169.0-0123456789ab".into(),
            items: Vec::new(),
            notes: Vec::new(),
        }),
        codex_present: true,
        npm: true,
        home_exists: true,
        login: HostLogin::ChatGpt,
        keys: Vec::new(),
        files: Ok(Files {
            sets: vec![data::DataSet {
                name: "ssv2".into(),
                source: Some("/data/ssv2".into()),
                served: Vec::new(),
                ..Default::default()
            }],
            workspace: Vec::new(),
        }),
        state: AboutState { dir: "/home/ada/.local/state/codex-sandbox".into(), closed: None, free: Some(90 << 30) },
        image: Ok(AboutImage { root: "/var/lib/docker".into(), free: Some(90 << 30), ..AboutImage::default() }),
        mmdebstrap: false,
    }
}

fn engine(distro: &Distro) -> Engine {
    Engine {
        version: "29.7.2".into(),
        platform: "Docker Engine - Community".into(),
        components: vec![Component { name: "runc".into(), version: "1.3.6".into(), commit: "v1.3.6-0-gabc".into() }],
        api: "1.50".into(),
        compose: "2.40.0".into(),
        buildx: "0.25.0".into(),
        os: "Debian GNU/Linux 13 (trixie)".into(),
        kernel: "6.12.0".into(),
        endpoint: "unix:///var/run/docker.sock".into(),
        rro: Some(true),
        cdi_dirs: vec!["/etc/cdi".into(), "/var/run/cdi".into()],
        cgroup_driver: "systemd".into(),
        distro: distro.clone(),
        ..Engine::default()
    }
}

fn devices() -> GpuFacts {
    GpuFacts {
        driver: Some("595.71.05".into()),
        open_module: Some(true),
        pci: vec![Pci { address: "0000:01:00.0".into(), device: 0x2b85, driver: Some("nvidia".into()) }],
        gpus: vec![Gpu {
            index: "0".into(),
            uuid: "GPU-aaaa".into(),
            name: "NVIDIA GeForce RTX 5090".into(),
            capability: "12.0".into(),
        }],
        hook: true,
        ctk: true,
        spec: Some(CdiSpec { file: "/etc/cdi/nvidia.yaml".into(), driver: Some("595.71.05".into()) }),
        ..GpuFacts::default()
    }
}

/// The verdict on one id.
#[track_caller]
pub(super) fn verdict(findings: &[Finding], id: &str) -> Verdict {
    one(findings, id).verdict
}

/// What to do about one id, a line each.
#[track_caller]
pub(super) fn remedies_of(findings: &[Finding], id: &str) -> String {
    let lines: Vec<String> = one(findings, id).remedies.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[track_caller]
fn one<'a>(findings: &'a [Finding], id: &str) -> &'a Finding {
    let mut found = findings.iter().filter(|finding| finding.id == id);
    match (found.next(), found.next()) {
        (Some(finding), None) => finding,
        _ => panic!("not one `{id}` in {findings:#?}"),
    }
}

fn finding(verdict: Verdict, kind: Kind) -> Finding {
    let failure = Failure::new(kind, "none\u{1b}[0m");
    Finding { name: "ssv2".into(), ..Finding::new("data.ssv2", "a directory").with(verdict, failure) }
}

#[test]
fn the_exit_code_is_the_hosts_before_that_of_the_settings() {
    let code = |list: &[(Verdict, Kind)]| {
        let list: Vec<Finding> = list.iter().map(|(verdict, kind)| finding(*verdict, *kind)).collect();
        exit_code(&list)
    };
    assert_eq!(code(&[]), 0);
    assert_eq!(code(&[(Verdict::Noted, Kind::Host), (Verdict::NotProvable, Kind::Host)]), 0);
    assert_eq!(code(&[(Verdict::Missing, Kind::Usage)]), 2);
    assert_eq!(code(&[(Verdict::Broken, Kind::Usage), (Verdict::Missing, Kind::Host)]), 3);
    // Too little room fails a build with 1; the host still cannot run it.
    assert_eq!(code(&[(Verdict::Broken, Kind::Failed)]), 3);
}

#[test]
fn json_has_every_field_and_lines_that_a_shell_takes() {
    let mut finding = finding(Verdict::Missing, Kind::Usage);
    finding.remedies = vec![Remedy::Run("a 'b'".into()), Remedy::Do("then c".into())];
    let value = json(&[finding]);
    assert_eq!(
        value,
        json!({"schema": 1, "findings": [{
            "group": "data", "id": "data.ssv2", "verdict": "missing", "what": "ssv2", "found": "none\u{1b}[0m",
            "needed": "a directory", "mend": ["a 'b'", "# then c"],
        }]})
    );
}

#[test]
fn what_is_not_well_says_what_is_needed_and_what_to_do() {
    let mut bad = finding(Verdict::NotProvable, Kind::Host);
    bad.remedies = vec![Remedy::Run("cmd".into()), Remedy::Do("a sentence".into())];
    let good = finding(Verdict::Held, Kind::Host);
    let text = table(&[good, bad.clone()]);
    let expected = "data\n  ok           ssv2  none\\u{1b}[0m\n  not checked  ssv2  none\\u{1b}[0m\n                     \
                    needed: a directory\n                     $ cmd\n                     a sentence\n";
    assert_eq!(text, expected);
    assert_eq!(summary(&[bad]), "a sandbox with these settings can run here");
}

/// A new workstation: Debian 13, the engine installed and the user not in its group, a Blackwell card that nouveau is
/// bound to, no Codex, a data set on a network.
#[test]
fn a_bare_workstation_is_told_everything_at_once() {
    use snapbox::IntoData as _;
    let mut host = facts();
    host.engine = Err(Silence::NoAnswer {
        endpoint: "unix:///var/run/docker.sock".into(),
        said: "permission denied while trying to connect to the Docker daemon socket".into(),
    });
    host.toolkit = None;
    host.devices = GpuFacts {
        silent: Some("`nvidia-smi` is not on PATH".into()),
        pci: host.devices.pci.clone(),
        ..Default::default()
    };
    host.devices.pci[0].driver = Some("nouveau".into());
    let nowhere =
        Context { root: "/r".into(), cwd: "/r".into(), state: "/s".into(), home: "/h".into(), ..Context::default() };
    host.codex = Err(error::flatten(&host_codex::find(&nowhere, None).unwrap_err()));
    (host.codex_present, host.npm) = (false, false);
    host.login = HostLogin::None;
    host.files.as_mut().unwrap().sets[0].served = vec!["nfs4".into()];
    host.image = Err("no engine answers".into());
    let findings = doctor(&host);
    let text = format!("{}{}\n", table(&findings), summary(&findings));
    snapbox::assert_data_eq!(text, snapbox::str![[r#"
engine
  broken       Docker Engine             no Docker Engine answers: permission denied while trying to connect to the Docker daemon socket
                                         needed: a rootful Docker Engine on this machine, with Compose v2
                                         $ sudo usermod -aG docker ada
                                         then log out and in again; whoever is in that group is as powerful as root on this host
  not checked  all else of the engine    no engine answers
gpu
  broken       GPUs                      `--gpus all` was asked for and this host has no GPU that answers: `nvidia-smi` is not on PATH
                                         needed: GPUs that `nvidia-smi` names, or `--gpus none`
                                         pass `--gpus none`, or `--cpu`, to work without a GPU
  broken       kernel driver             nouveau is bound to 0000:01:00.0: it cannot run CUDA
                                         needed: `nvidia` is bound to the devices
                                         $ printf 'blacklist nouveau\noptions nouveau modeset=0\n' | sudo tee /etc/modprobe.d/nouveau.conf
                                         $ sudo update-initramfs -u
                                         $ sudo reboot
  missing      NVIDIA driver             none is loaded
                                         needed: 570.26 or later for Blackwell and CUDA 12.8
                                         $ curl -fsSLO https://developer.download.nvidia.com/compute/cuda/repos/debian13/x86_64/cuda-keyring_1.1-1_all.deb
                                         $ sudo dpkg -i cuda-keyring_1.1-1_all.deb
                                         $ sudo apt-get update
                                         $ sudo apt-get install linux-headers-$(uname -r) nvidia-open
                                         $ sudo reboot
  not checked  the image for these GPUs  no GPU answers
                                         needed: a base and an `arch_list` with native code for them
  not checked  NVIDIA Container Toolkit  no engine answers
                                         needed: 1.19.1 or later, and a CDI specification
codex
  missing      Codex                     there is no `codex` on PATH
                                         needed: Codex on this host, a native program that the image can run
                                         $ sudo apt-get install npm
                                         $ npm install -g @openai/codex
                                         or give the program with `--codex PATH`
  ok           Codex home                a private one, set up from `/home/ada/.codex`
  warning      login                     none: Codex will ask for one
                                         needed: a login in a file, or one made inside
                                         $ codex login
                                         or `cargo xtask sandbox -- login --device-auth`
data
  warning      ssv2                      `/data/ssv2` is on nfs4: sampled: the server can change it
                                         needed: a directory that you may read, apart from what the sandbox may write
project
  ok           settings                  as they should be
  ok           workspace                 `/home/ada/project`
  ok           state folder              `/home/ada/.local/state/codex-sandbox`, 90 GiB free
  not checked  image                     no engine answers
                                         needed: built, or the means to build it
no sandbox with these settings can run here yet: 5 problems; 2 warnings

"#]].raw());
    assert_eq!(exit_code(&findings), 3);
}

#[test]
fn a_good_host_has_one_ok_line_a_finding() {
    let mut facts = facts();
    facts.image.as_mut().unwrap().built = Some("codex-sandbox:1-u1".into());
    let findings = doctor(&facts);
    assert_eq!(table(&findings).lines().count(), findings.len() + 5);
    assert_eq!(exit_code(&findings), 0);
    assert_eq!(summary(&findings), "a sandbox with these settings can run here");
    // Each has a name of its own: scripts look for it.
    let ids: std::collections::BTreeSet<&str> = findings.iter().map(|finding| finding.id.as_str()).collect();
    assert_eq!(ids.len(), findings.len());
}
