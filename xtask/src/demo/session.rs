//! The scripted session: what the stand-in for the model says, and how Codex is configured to use it. Pure.
//!
//! The commands are real, and so is what they print. The replies come from a script, and each of them says so.

use crate::engine::docker::{self, Entrance};
use crate::step::Command;
use serde_json::{Value, json};

/// The stand-in itself. It runs inside, on the loopback of the container, where no firewall of the host can block it.
const SERVER: &str = include_str!("../../../docker/stand_in_model.py");
const PORT: &str = "8765";

/// The file that the session writes into the project.
pub(super) const FILE: &str = "from-codex.txt";
/// The file that the session tries to write into the data set, and may not.
pub(super) const FORBIDDEN: &str = "mine";

/// The prompt of `codex exec`.
const PROMPT: &str = "Show where you are and what you can do. (No model is asked: these replies are scripted.)";

const DECODE: &str = r#"python3 -c '
import glob, decord
clip = sorted(glob.glob("/datasets/ssv2/**/*.webm", recursive=True))[0]
frames = decord.VideoReader(clip)
print(clip, len(frames), "frames of", frames[0].shape)'"#;

/// The script, as the stand-in reads it.
fn script() -> Value {
    let step = |say: &str, run: &str| json!({"say": format!("[scripted] {say}"), "run": run});
    json!({
        "steps": [
            step("Who am I here?", "id"),
            step("What data is there?", "find /datasets/ssv2 | sort | head -n 12"),
            step("May I write to it?", &format!("touch /datasets/ssv2/{FORBIDDEN}")),
            step("I may not. I can read it: decord decodes a clip.", DECODE),
            step(
                "My project is mine to write.",
                &format!("echo 'written by Codex in the sandbox' > /workspace/{FILE} && stat -c '%u:%g %n' /workspace/{FILE}"),
            ),
        ],
        "end": "[scripted] That was the real Codex in the sandbox. The commands and their output are real; the replies \
                were a script, no model was asked.",
    })
}

/// Starts the stand-in in a container. It answers once this command returns, and ends by itself after the session.
pub(super) fn serve(entrance: Entrance) -> Command {
    let python = ["/usr/bin/env", "-i", "/usr/bin/python3", "-I", "-S", "-c", SERVER];
    docker::exec(entrance, python).args(["--port", PORT, "--script", &script().to_string()]).timeout(30)
}

/// A Codex configuration with the stand-in as the provider of the model.
pub(super) fn config() -> String {
    format!(
        "model = \"scripted\"\nmodel_provider = \"scripted\"\napproval_policy = \"never\"\n\n[analytics]\nenabled = false\n\n\
         [model_providers.scripted]\nname = \"scripted replies, no model\"\nbase_url = \"http://127.0.0.1:{PORT}/v1\"\n\
         wire_api = \"responses\"\n"
    )
}

pub(super) fn args() -> Vec<String> {
    ["exec", "--skip-git-repo-check", PROMPT].map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reply_says_that_it_is_scripted() {
        let script = script();
        let steps = script["steps"].as_array().unwrap();
        assert_eq!(steps.len(), 5);
        let said = steps.iter().map(|step| &step["say"]).chain([&script["end"]]);
        for text in said {
            assert!(text.as_str().unwrap().starts_with("[scripted] "), "{text}");
        }
    }

    #[test]
    fn the_configuration_is_one_that_codex_reads() {
        let table: toml_edit::DocumentMut = config().parse().unwrap();
        assert_eq!(table["model_providers"]["scripted"]["wire_api"].as_str(), Some("responses"));
    }
}
