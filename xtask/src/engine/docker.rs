//! Every command line of the Docker client that this tool runs. Pure: the command that is shown is the command that runs.

use crate::engine::own::{SMOKE, Smoke, USER};
use crate::spec::denials::Denials;
use crate::spec::insider::Insider;
use crate::step::{Command, Lifeline};
use std::path::Path;

/// Every command of the client is ended where the engine answers nobody any more.
fn docker<S: Into<String>>(words: impl IntoIterator<Item = S>) -> Command {
    Command::new("docker").args(words).lifeline(lifeline())
}

/// The engine asks containerd for its version on the way, so that both are seen.
fn lifeline() -> Lifeline {
    Lifeline {
        question: server_version(),
        silent: "the engine does not answer any more",
        remedy: "restart the engine (`sudo systemctl restart docker`), then try again: the next call removes what is left",
    }
}

// -- the engine itself -----------------------------------------------------------------------------------------------

/// All versions of client and engine, as JSON.
pub(crate) fn version() -> Command {
    docker(["version", "--format", "{{json .}}"])
}

/// Whether the engine answers, by its version.
pub(crate) fn server_version() -> Command {
    Command::new("docker").args(["version", "--format", "{{.Server.Version}}"])
}

/// The names of the parts of the engine that answer it, such as `containerd`, a line each.
pub(crate) fn parts() -> Command {
    Command::new("docker").args(["version", "--format", "{{range .Server.Components}}{{println .Name}}{{end}}"])
}

/// The properties of the engine and of the client's plugins, as JSON.
pub(crate) fn info() -> Command {
    docker(["info", "--format", "{{json .}}"])
}

/// The endpoint of the client's context.
pub(crate) fn endpoint() -> Command {
    docker(["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"])
}

/// Whether the client has a plugin, such as `compose`; where it has not, the exit code is not 0.
pub(crate) fn plugin(name: &str) -> Command {
    docker([name, "version"])
}

// -- containers ------------------------------------------------------------------------------------------------------

/// Compose, with the options that come before its own command.
pub(crate) fn compose(project: Option<&str>, files: &[&Path]) -> Command {
    let project = project.into_iter().flat_map(|name| ["--project-name".to_owned(), name.to_owned()]);
    let files = files.iter().flat_map(|file| ["--file".to_owned(), file.to_string_lossy().into_owned()]);
    // Else newer versions take variables from a file `.env` of the working directory too, which can be a workspace.
    docker(["compose", "--env-file", "/dev/null"]).args(project).args(files)
}

/// The properties of a container, for `Container::parse`. The exit code is 1 where there is no such container.
pub(crate) fn inspect(container: &str) -> Command {
    docker(["container", "inspect", container])
}

/// The names of all containers with this label, running or not.
pub(crate) fn labelled(label: &str) -> Command {
    docker(["ps", "--all", "--format", "{{.Names}}", "--filter", &format!("label={label}")])
}

/// The containers of this user's smoke tests, running or not, a line each for [`Smoke::read`].
pub(crate) fn smokes(uid: u32) -> Command {
    let own = [format!("label={USER}={uid}"), format!("label={SMOKE}")].map(|label| ["--filter".to_owned(), label]);
    docker(["ps", "--all", "--no-trunc", "--format", &Smoke::format()]).args(own.concat())
}

/// The processes of a container; `alive` reads the answer.
pub(crate) fn top(container: &str) -> Command {
    docker(["top", container, "-eo", "pid,ppid,etimes,args"])
}

/// Stops a container that is ours, with all that runs in it. It has its own grace period.
pub(crate) fn stop(container: &str) -> Command {
    docker(["container", "stop", container]).timeout(60)
}

/// Freezes all that runs in a container that is ours.
pub(crate) fn pause(container: &str) -> Command {
    docker(["container", "pause", container]).timeout(20)
}

/// Lets it go on.
pub(crate) fn unpause(container: &str) -> Command {
    docker(["container", "unpause", container]).timeout(20)
}

/// Stops and removes a container that is ours.
pub(crate) fn remove(container: &str) -> Command {
    docker(["container", "rm", "--force", "--volumes", container]).timeout(60)
}

/// What Compose adds to a project's name for its network.
pub(crate) const DEFAULT_NETWORK: &str = "_default";

/// The networks that Compose made, a line each: the id, the name, the project that it was made for.
pub(crate) fn networks() -> Command {
    let format = format!("{{{{.ID}}}}\t{{{{.Name}}}}\t{{{{.Label \"{PROJECT}\"}}}}");
    docker(["network", "ls", "--no-trunc", "--format", &format, "--filter", &format!("label={PROJECT}")])
}

/// The ids of the containers of a project of Compose's, running or not.
pub(crate) fn of_project(project: &str) -> Command {
    docker(["ps", "--all", "--quiet", "--filter", &format!("label={PROJECT}={project}")])
}

/// Compose's own label of all that it makes.
const PROJECT: &str = "com.docker.compose.project";

/// Removes a network, by its id; a missing one is fine.
pub(crate) fn remove_network(id: &str) -> Command {
    docker(["network", "rm", "--force", id]).timeout(30)
}

/// Starts a container that was created, and waits for its end; its output becomes the output of this command.
pub(crate) fn start_attached(container: &str) -> Command {
    docker(["start", "--attach", container]).tied()
}

/// Runs a program in a new container that has no network and no capability, and is removed at its end. The caller adds
/// options, the image and the program.
pub(crate) fn run_apart() -> Command {
    docker(["run", "--rm", "--network", "none", "--cap-drop", "ALL"]).tied()
}

/// Tells the init of a container something.
pub(crate) fn tell_init(container: &str, signal: &str) -> Command {
    docker(["kill", "--signal", signal, container])
}

/// The most bytes that are kept of what a program in a container says: it may be one that the agent has put there. The
/// longest answer is that of the inside witness, with some 30 KB, and 600 KB where 4096 processes choose names that take
/// as much room as they can.
const SAID: usize = 4 << 20;

/// The way into a running container: every program that this tool starts there goes through it, so that none is without
/// the filter that the sandbox promises. One that was, be it this tool's own, could be traced by the agent, or be the
/// agent's own file, and do what is denied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entrance<'a> {
    container: &'a str,
    denials: Denials,
}

impl<'a> Entrance<'a> {
    /// Of a container, by its id or name, and what is denied in its sessions.
    pub(crate) fn new(container: &'a str, denials: Denials) -> Entrance<'a> {
        Entrance { container, denials }
    }

    /// The container, and the words of a program in it.
    fn words<S: Into<String>>(self, program: impl IntoIterator<Item = S>) -> Vec<String> {
        let program: Vec<String> = program.into_iter().map(Into::into).collect();
        let mut words = vec![self.container.to_owned()];
        if let Some(launcher) = self.denials.launcher() {
            words.push(launcher.to_owned());
            // The launcher looks nothing up.
            words.extend(program.first().filter(|name| !name.contains('/')).map(|_| "/usr/bin/env".to_owned()));
        }
        words.extend(program);
        words
    }
}

/// Runs a program without standard input in a container, as the agent itself: what it answers is the agent's word.
pub(crate) fn exec<S: Into<String>>(entrance: Entrance, program: impl IntoIterator<Item = S>) -> Command {
    docker(["exec"]).args(entrance.words(program)).at_most(SAID)
}

/// Runs a program without standard input in a container, out of the agent's reach (see [`Insider`]), with these variables
/// (`NAME=value`) in its environment. Its working directory is none that an agent which is not root can write.
pub(crate) fn exec_trusted<S: Into<String>>(
    entrance: Entrance,
    who: Insider,
    env: &[&str],
    program: impl IntoIterator<Item = S>,
) -> Command {
    docker(["exec", "--user", &format!("{}:{}", who.uid, who.gid), "--workdir", "/"])
        .args(env.iter().flat_map(|variable| ["--env", variable]))
        .args(entrance.words(program))
        .at_most(SAID)
}

/// How a program in the container is connected to the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terminal {
    /// Whether standard input and output are both terminals.
    pub(crate) tty: bool,
}

/// Whose a program in the container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The agent's, with all that the container gives it.
    Agents,
    /// This tool's own: see [`exec_trusted`].
    Tools(Insider),
}

/// Runs a program in the container, connected to the terminal. `env` is passed by value and
/// shown; `secret` is passed by name.
///
/// It is `docker exec` by container id, not `docker compose exec` by service: the container that is entered is then the
/// one that was proven, and it takes half the time.
pub(crate) fn enter(
    entrance: Entrance,
    whose: Whose,
    terminal: Terminal,
    env: &[(String, String)],
    secret: &[(String, String)],
    program: &[String],
) -> Command {
    let mut command = docker(["exec", "--interactive"]);
    if terminal.tty {
        command = command.arg("--tty");
    }
    for (name, value) in env {
        command = command.arg("--env").arg(format!("{name}={value}"));
    }
    for (name, value) in secret {
        command = command.arg("--env").arg(name).secret_env(name, value);
    }
    command = command.arg("--workdir").arg("/workspace");
    if let Whose::Tools(Insider { uid, gid }) = whose {
        command = command.arg("--user").arg(format!("{uid}:{gid}"));
    }
    command.args(entrance.words(program.iter().cloned())).at_most(SAID)
}

// -- images ----------------------------------------------------------------------------------------------------------

/// Builds an image with BuildKit; the caller adds options and the directory.
pub(crate) fn build() -> Command {
    docker(["build"]).env("DOCKER_BUILDKIT", "1")
}

/// Creates an image from the tar archive of a file system.
pub(crate) fn import(tar: &str, reference: &str) -> Command {
    docker(["image", "import", "--change", "CMD [\"/bin/bash\"]", tar, reference])
}

/// All images, a line each: the full id, a space, name and tag. The newest comes first.
pub(crate) fn images() -> Command {
    docker(["image", "ls", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}"])
}

/// Those among them with a label.
pub(crate) fn images_with(label: &str) -> Command {
    images().args(["--filter", &format!("label={label}")])
}

/// A property of an image, chosen by a Go template. The exit code is 1 where there is no such image.
pub(crate) fn image(format: &str, reference: &str) -> Command {
    docker(["image", "inspect", "--format", format, reference])
}

/// Asks the registry of an image for its manifest: whether it could be pulled.
pub(crate) fn manifest(reference: &str) -> Command {
    docker(["manifest", "inspect", reference])
}

/// Removes an image that no container uses.
pub(crate) fn remove_image(reference: &str) -> Command {
    docker(["image", "rm", reference]).timeout(120)
}

// -- volumes ---------------------------------------------------------------------------------------------------------

/// Creates a volume with labels (`NAME=value`); one that exists is left as it is.
pub(crate) fn create_volume(name: &str, labels: &[String]) -> Command {
    let labels = labels.iter().flat_map(|label| ["--label", label]);
    docker(["volume", "create"]).args(labels).arg(name).timeout(30)
}

/// The volumes that have this in their name, a line each: the name, and whose it is by its label.
pub(crate) fn volumes(part: &str) -> Command {
    let format = format!("{{{{.Name}}}}\t{{{{.Label \"{USER}\"}}}}");
    docker(["volume", "ls", "--format", &format, "--filter", &format!("name={part}")])
}

/// For each container, whether it runs or not, its name and the volumes that it has mounted, in a line with commas between.
pub(crate) fn mounted_volumes() -> Command {
    docker(["container", "ls", "--all", "--no-trunc", "--format", "{{.Names}},{{.Mounts}}"])
}

/// Removes volumes. With `--force`, a volume that does not exist is no error; one that a container uses is still refused.
pub(crate) fn remove_volumes(names: &[String]) -> Command {
    docker(["volume", "rm", "--force"]).args(names.iter().cloned()).timeout(120)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Spec;
    use std::path::PathBuf;

    #[test]
    fn a_secret_is_named_in_the_command_and_its_value_is_not() {
        let secret = [("HF_TOKEN".to_owned(), "hf_value".to_owned())];
        let entrance = Entrance::new("c1", crate::proof::fixture::spec().denials());
        let command = enter(entrance, Whose::Agents, Terminal { tty: true }, &[], &secret, &["codex".to_owned()]);
        assert_eq!(command.to_string(), "docker exec --interactive --tty --env HF_TOKEN --workdir /workspace c1 codex");
    }

    #[test]
    fn compose_takes_no_variable_from_a_file_of_the_working_directory() {
        let command = compose(Some("p"), &[Path::new("/f")]).arg("up").to_string();
        assert_eq!(command, "docker compose --env-file /dev/null --project-name p --file /f up");
    }

    #[test]
    fn every_program_that_is_started_inside_goes_through_the_launcher_where_something_is_denied() {
        let spec = Spec { uid: 0, ..crate::proof::fixture::spec() };
        let (entrance, who) = (Entrance::new("c1", spec.denials()), Insider::apart(&spec, 0));
        let program = ["/bin/bash".to_owned()];
        let terminal = Terminal { tty: false };
        let ways = [
            exec(entrance, program.clone()),
            exec_trusted(entrance, who, &[], program.clone()),
            enter(entrance, Whose::Agents, terminal, &[], &[], &program),
            enter(entrance, Whose::Tools(who), terminal, &[], &[], &program),
        ];
        for way in ways.map(|command| command.to_string()) {
            assert!(way.ends_with(" c1 /sandbox/launch/no-setuid /bin/bash"), "{way}");
        }
        let by_name = exec(entrance, ["nvidia-smi"]).to_string();
        assert_eq!(by_name, "docker exec c1 /sandbox/launch/no-setuid /usr/bin/env nvidia-smi");
    }

    fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, into);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                into.push(path);
            }
        }
    }

    /// The files of the source, by their path in it, of which a line before their tests has any of these texts.
    fn with_any(texts: &[String]) -> Vec<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        sources(&root, &mut files);
        let has = |path: &PathBuf| {
            let text = std::fs::read_to_string(path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            texts.iter().any(|text| code.contains(text))
        };
        let name = |path: PathBuf| path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        let mut names: Vec<String> = files.into_iter().filter(has).map(name).collect();
        names.retain(|name| !name.ends_with("tests.rs") && !name.ends_with("/fixture.rs"));
        names.sort();
        names
    }

    #[test]
    fn one_file_spells_the_client_and_one_the_fields_of_its_answer() {
        assert_eq!(with_any(&["Command::new(\"docker\")".into()]), ["engine/docker.rs"]);
        let fields = ["HostConfig", "State", "Mounts", "DeviceRequests", "Destination", "CapAdd", "Pid"];
        let fields = fields.map(|name| format!("[\"{name}\"]"));
        assert_eq!(with_any(&fields), [""; 0]);
    }
}
