//! The `docker build` of the image, as a step. Pure.

use super::{INPUTS_LABEL, Inputs};
use crate::engine::docker;
use crate::network::HostNetwork;
use crate::step::Step;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

// What the user asked of the build. A comment for rustdoc would be taken for the help of the task.
#[derive(clap::Args, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// Ask the registry for a newer base image
    #[arg(long)]
    pub(crate) pull: bool,
    /// Build every layer again
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// The longest that each step of the build may take [default: 7200]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout: Option<u64>,
}

/// The bound on each step of a build, in seconds: a base image of 20 GB takes an hour on a slow line.
const USUAL: u64 = 7200;

impl Wishes {
    /// Whether an image that is up to date is built again.
    pub(crate) fn builds_anyway(self) -> bool {
        self.pull || self.no_cache
    }

    /// The steps, each within the bound, and none longer than this process.
    pub(super) fn bound(self, mut steps: Vec<Step>) -> Vec<Step> {
        for step in &mut steps {
            if let Step::Run(command) = step {
                command.timeout = Some(Duration::from_secs(self.timeout.unwrap_or(USUAL)));
                command.tied = true;
                command.longer = Some("`cargo xtask image --timeout SECONDS` gives it longer");
            }
        }
        steps
    }
}

/// The `docker build` of these inputs. The CA bundle and the proxies are BuildKit secrets, so that the image keeps nothing
/// of them.
pub(super) fn build(docker: &Path, inputs: &Inputs, wishes: Wishes, network: &HostNetwork) -> Step {
    let table = Value::Object(inputs.table()).to_string();
    let mut command = docker::build()
        .args(["--file", &docker.join("Dockerfile").to_string_lossy(), "--tag", &inputs.tag()])
        .args(inputs.args().map(|(name, value)| ["--build-arg".to_owned(), format!("{name}={value}")]).concat())
        .args(["--label", &format!("{INPUTS_LABEL}={table}")]);
    if let Some(ca) = &network.ca {
        // A comma would end the field: such a path is quoted as in CSV.
        let field = format!("src={}", ca.display());
        let field = if field.contains([',', '"']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field };
        command = command.args(["--secret", &format!("id=ca,{field}")]);
    }
    for name in &network.proxies {
        command = command.args(["--secret", &format!("id={},env={name}", name.to_lowercase())]);
    }
    let flags = [wishes.pull.then_some("--pull"), wishes.no_cache.then_some("--no-cache")];
    Step::Run(command.args(flags.into_iter().flatten()).arg(docker.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_takes_the_bundle_and_the_proxies_as_secrets_by_name() {
        let network = HostNetwork { ca: Some("/etc/ssl/a,b.pem".into()), proxies: vec!["HTTPS_PROXY".into()] };
        let wishes = Wishes { pull: true, no_cache: true, timeout: None };
        let text = build(Path::new("/r/docker"), &crate::image::tests::inputs(), wishes, &network).to_string();
        for part in
            ["'id=ca,\"src=/etc/ssl/a,b.pem\"'", "id=https_proxy,env=HTTPS_PROXY", "--pull --no-cache /r/docker"]
        {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert!(!text.contains("http://"), "no address of a proxy stands in the arguments");
    }
}
