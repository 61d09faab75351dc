//! The stand-in for the model's API, on this host, where the container reaches it. No model and no internet.

use crate::support::place::Place;
use crate::support::{engine, proc};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The variable that the provider of the test's configuration takes its key from.
pub(crate) const KEY: &str = "FAKE_KEY";

/// A running stand-in; it ends with the test.
pub(crate) struct Model {
    child: Child,
    log: PathBuf,
    port: String,
}

impl Model {
    /// Starts it on the address of the engine's bridge, which every container with a network can reach.
    pub(crate) fn start(place: &Place) -> Model {
        let port_file = place.path("model.port");
        let log = place.path("model.log");
        let script = crate::support::place::repository().join("docker/stand_in_model.py");
        let child = Command::new(proc::find("python3"))
            .arg(script)
            .args(["--host", &address(), "--log"])
            .arg(&log)
            .arg("--port-file")
            .arg(&port_file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the stand-in for the model");
        let mut model = Model { child, log, port: String::new() };
        model.port = proc::wait_for("the stand-in for the model to listen", 20, || {
            fs::read_to_string(&port_file).ok().filter(|port| !port.is_empty())
        });
        model
    }

    /// Writes a Codex configuration of the host, in the place's home, that leads to it.
    pub(crate) fn configure(&self, place: &Place) {
        place.write("home/.codex/config.toml", config(&format!("http://{}:{}/v1", address(), self.port)));
    }

    /// What it was asked, in order.
    pub(crate) fn requests(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a line of the stand-in's log")).collect()
    }
}

/// A Codex configuration with the stand-in as its one provider.
fn config(base_url: &str) -> String {
    format!(
        "model = \"fake-model\"\nmodel_provider = \"fake\"\napproval_policy = \"never\"\n\n\
         [analytics]\nenabled = false\n\n[model_providers.fake]\nname = \"fake\"\n\
         base_url = \"{base_url}\"\nwire_api = \"responses\"\nenv_key = \"{KEY}\"\n"
    )
}

/// The address of the engine's bridge, which is this host for every container with a network.
pub(crate) fn address() -> String {
    let format = "{{range .IPAM.Config}}{{.Gateway}} {{end}}";
    let gateways = engine::docker(["network", "inspect", "bridge", "--format", format]);
    let v4 = gateways.split_whitespace().find(|address| address.contains('.'));
    v4.unwrap_or_else(|| panic!("the engine's bridge has no IPv4 gateway: {gateways}")).to_owned()
}

impl Drop for Model {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
