//! A network that inspects TLS: the host trusts one more authority, and so must the build and what runs inside.

use crate::support::engine;
use crate::support::place::Place;
use crate::support::proc;
use crate::support::run::{Run, Xtask};
use crate::support::sandbox::Sandbox;
use crate::support::tls::Inspector;

/// Asks the inspector from inside, by a program that knows nothing of the sandbox.
fn ask<'a>(sandbox: &'a Sandbox, bundle: Option<&Inspector>) -> Run<'a> {
    let mut run = sandbox.task("sandbox").args(["--yes", "--shell"]);
    if let Some(inspector) = bundle {
        run = run.env("SSL_CERT_FILE", inspector.bundle());
    }
    run.stdin("python3 -I /workspace/ask.py\n").run()
}

#[test]
fn what_the_host_trusts_is_trusted_inside() {
    let sandbox = Sandbox::new();
    let inspector = Inspector::start(&sandbox.place);
    let script = format!(
        "import urllib.request\nprint(urllib.request.urlopen('https://{}/').read().decode())\n",
        inspector.address
    );
    std::fs::write(sandbox.workspace().join("ask.py"), script).expect("a script in the workspace");

    let without = ask(&sandbox, None).ended(1);
    assert!(without.stderr.contains("CERTIFICATE_VERIFY_FAILED"), "{}", without.stderr);
    assert_eq!(inspector.log("opened"), Vec::<String>::new());
    // The host comes to trust it while the container runs.
    let with = ask(&sandbox, Some(&inspector)).ok();
    assert_eq!(with.stdout, "hello\n", "{}", with.stderr);
}

/// Removes the image that a test has built for itself.
struct Built(String);

impl Drop for Built {
    fn drop(&mut self) {
        proc::outcome(proc::find("docker"), ["image", "rm", "--force", &self.0]);
    }
}

#[test]
fn the_build_downloads_through_a_proxy_that_inspects_and_keeps_nothing_of_it() {
    engine::image(None);
    let place = Place::new();
    let inspector = Inspector::start(&place);
    // A comment of this run's own: the step that downloads is not taken from the cache, those before it are.
    let lock = place.read("repo/docker/requirements.lock");
    let comment = format!("# {}\n", place.dir().display());
    place.write("repo/docker/requirements.lock", comment + &lock);
    let build = || {
        let proxy = format!("http://{}", inspector.address);
        Xtask::at(&place).args(["image", "--cpu"]).env("HTTPS_PROXY", proxy).within(600)
    };

    let without = build().run().ended(1);
    assert!(without.stderr.contains("on a certificate error"), "{}", without.stderr);
    assert_eq!(inspector.log("opened"), Vec::<String>::new(), "something was downloaded");
    assert_ne!(inspector.log("refused"), Vec::<String>::new(), "the proxy was passed by");

    let with = build().env("SSL_CERT_FILE", inspector.bundle()).run().ok();
    let built = Built(with.stdout.trim().to_owned());
    assert!(inspector.log("opened").len() >= 2, "{:?}", inspector.log("opened"));
    // Neither the address nor the authority is in what everyone who has the image can read.
    let history = engine::docker(["history", "--no-trunc", "--format", "{{.CreatedBy}}", &built.0]);
    let config = engine::docker(["image", "inspect", &built.0]);
    assert!(!format!("{history}{config}").contains(&inspector.address), "{history}{config}");
    let script = "env; ls -A /run/secrets 2>/dev/null; grep -rlis -e _proxy -e Acquire::https /etc/apt /etc/pip.conf";
    let left = proc::outcome(
        proc::find("docker"),
        ["run", "--rm", "--network", "none", "--entrypoint", "sh", &built.0, "-c", script],
    );
    assert!(!left.1.contains(&inspector.address) && left.1.contains("HOME="), "{left:?}");
    assert!(!left.1.to_lowercase().contains("_proxy") && !left.1.contains("/etc/apt"), "{left:?}");
}
