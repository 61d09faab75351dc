//! The build as steps. Pure.

use super::{INPUTS_LABEL, Inputs};
use crate::engine::docker;
use crate::network::HostNetwork;
use crate::step::Step;
use serde_json::Value;
use std::path::Path;

/// What the user asked of the build.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Ask the registry for a newer base image.
    pub pull: bool,
    /// Build every layer again.
    pub no_cache: bool,
}

/// The `docker build` of these inputs. The CA bundle and the proxies go in as BuildKit secrets: nothing of them stays.
pub fn build(docker: &Path, inputs: &Inputs, wishes: Wishes, network: &HostNetwork) -> Step {
    let table = Value::Object(inputs.table()).to_string();
    let mut command = docker::build()
        .args(["--file", &docker.join("Dockerfile").to_string_lossy(), "--tag", &inputs.tag()])
        .args(["--build-arg".to_owned(), format!("BASE_IMAGE={}", inputs.base)])
        .args(["--build-arg".to_owned(), format!("TORCH_CUDA_ARCH_LIST={}", inputs.arch_list)])
        .args(["--build-arg".to_owned(), format!("HOST_UID={}", inputs.uid)])
        .args(["--build-arg".to_owned(), format!("HOST_GID={}", inputs.gid)])
        .args(["--label".to_owned(), format!("{INPUTS_LABEL}={table}")]);
    if let Some(ca) = &network.ca {
        // A comma would end the field; such a path is quoted as CSV does it.
        let field = format!("src={}", ca.display());
        let field = if field.contains([',', '"']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field };
        command = command.args(["--secret".to_owned(), format!("id=ca,{field}")]);
    }
    for name in &network.proxies {
        command = command.args(["--secret".to_owned(), format!("id={},env={name}", name.to_lowercase())]);
    }
    if wishes.pull {
        command = command.arg("--pull");
    }
    if wishes.no_cache {
        command = command.arg("--no-cache");
    }
    Step::Run(command.arg(docker.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_takes_the_bundle_and_the_proxies_as_secrets_by_name() {
        let network = HostNetwork { ca: Some("/etc/ssl/a,b.pem".into()), proxies: vec!["HTTPS_PROXY".into()] };
        let wishes = Wishes { pull: true, no_cache: true };
        let text = build(Path::new("/r/docker"), &crate::image::tests::inputs(), wishes, &network).to_string();
        for part in
            ["'id=ca,\"src=/etc/ssl/a,b.pem\"'", "id=https_proxy,env=HTTPS_PROXY", "--pull --no-cache /r/docker"]
        {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert!(!text.contains("http://"), "no address of a proxy stands in the arguments");
    }
}
