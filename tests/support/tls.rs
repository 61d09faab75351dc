//! A network that inspects TLS: an authority of the test's own, and a proxy and server with its certificates.

use crate::support::place::{Place, repository};
use crate::support::{model, proc};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The bundle that the machine trusts without the test's authority.
const SYSTEM_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// It ends with the test.
pub(crate) struct Inspector {
    child: Child,
    dir: PathBuf,
    /// Where it listens, on the address of the engine's bridge: `HOST:PORT`.
    pub(crate) address: String,
}

impl Inspector {
    /// Makes the authority and starts the server.
    pub(crate) fn start(place: &Place) -> Inspector {
        let dir = place.mkdir("tls");
        let path = |name: &str| dir.join(name).display().to_string();
        let words = [
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=test authority",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
        ];
        let (key, ca) = (path("ca.key"), path("ca.pem"));
        proc::output("openssl", words.iter().chain(&["-keyout", key.as_str(), "-out", ca.as_str()]));
        let bundle = fs::read(SYSTEM_BUNDLE).expect("the machine's bundle");
        let own = fs::read(&ca).expect("the authority");
        place.write("tls/bundle.pem", [bundle, own].concat());
        let host = model::address();
        let child = Command::new(proc::find("python3"))
            .arg(repository().join("tests/support/tls_server.py"))
            .arg(&host)
            .arg(&dir)
            .stdin(Stdio::null())
            .spawn()
            .expect("the inspector");
        let mut inspector = Inspector { child, dir, address: String::new() };
        let port =
            proc::wait_for("the inspector to listen", 20, || fs::read_to_string(inspector.dir.join("port")).ok());
        inspector.address = format!("{host}:{port}");
        inspector
    }

    /// A bundle in which the authority stands beside those that the machine trusts.
    pub(crate) fn bundle(&self) -> PathBuf {
        self.dir.join("bundle.pem")
    }

    /// The names that were asked for and opened, or refused, in order.
    pub(crate) fn log(&self, what: &str) -> Vec<String> {
        let text = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        let names = text.lines().filter_map(|line| line.strip_prefix(what));
        names.map(|name| name.trim().to_owned()).collect()
    }
}

impl Drop for Inspector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
