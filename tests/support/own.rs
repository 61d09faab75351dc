//! What is a test's own on an engine that is one for all: for the tests that run beside it, for a second run of the tests
//! in another clone, and for the developer's own sandboxes.
//!
//! A name is not enough where the engine knows a thing by its content: two images of the same content are one image,
//! and whoever asks for the containers of the one is told of the other's. So the nonce goes into what is named, too.

use crate::support::place::User;
use crate::support::{engine, proc};
use std::fs::File;
use std::io::Read as _;
use std::ops::Deref;

/// Letters and digits that nobody else has.
pub(crate) fn nonce() -> String {
    let mut bytes = [0; 6];
    File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes)).expect("random numbers");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A user whom no other test has. What the engine keeps by user, caches and images, is theirs alone, and removed at the
/// end: declared before the sandboxes, it outlives their containers.
pub(crate) struct OwnUser(User);

impl OwnUser {
    /// Any number between those of people and those of the system that nothing on the engine is named after.
    pub(crate) fn new() -> OwnUser {
        let known = named();
        let number = || 20_000 + u32::from_str_radix(&nonce()[..8], 16).expect("a number") % 40_000;
        let mut numbers = std::iter::repeat_with(number);
        let uid = numbers.find(|uid| !known.iter().any(|name| is_of(name, *uid))).expect("one without an end");
        OwnUser(User { uid, gid: uid })
    }
}

impl Deref for OwnUser {
    type Target = User;

    fn deref(&self) -> &User {
        &self.0
    }
}

/// Every volume and image of the engine, by name.
fn named() -> Vec<String> {
    let volumes = engine::docker(["volume", "ls", "--quiet"]);
    let images = engine::docker(["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "codex-sandbox"]);
    volumes.lines().chain(images.lines()).map(str::to_owned).collect()
}

fn is_of(name: &str, uid: u32) -> bool {
    name.ends_with(&format!("-u{uid}"))
}

impl Drop for OwnUser {
    fn drop(&mut self) {
        for name in named().iter().filter(|name| is_of(name, self.uid)) {
            let kind = if name.contains(':') { "image" } else { "volume" };
            proc::outcome(proc::find("docker"), [kind, "rm", "--force", name]);
        }
    }
}

/// An image of a test's own on top of another, removed at the end.
pub(crate) struct Image {
    pub(crate) name: String,
    /// The engine that has it; `None` is the usual one.
    host: Option<String>,
}

impl Image {
    /// What these commands, as root, make of the image.
    pub(crate) fn on(base: &str, commands: &str) -> Image {
        Image::build(None, base, commands)
    }

    /// The same on the engine that DOCKER_HOST would lead to.
    pub(crate) fn on_engine(host: &str, base: &str, commands: &str) -> Image {
        Image::build(Some(host.to_owned()), base, commands)
    }

    fn build(host: Option<String>, base: &str, commands: &str) -> Image {
        let nonce = nonce();
        let image = Image { name: format!("codex-sandbox-test-{nonce}"), host };
        let user = image.docker(&["image", "inspect", "--format", "{{.Config.User}}", base]);
        let user = user.1.trim();
        // The label makes it an image of its own, also where another test gives the same commands.
        let text = format!("FROM {base}\nUSER 0:0\nRUN {commands}\nUSER {user}\nLABEL codex-sandbox.test={nonce}\n");
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("Dockerfile"), text).expect("a Dockerfile");
        let dir = dir.path().display().to_string();
        let built = image.docker(&["build", "--quiet", "--network", "none", "--tag", &image.name, &dir]);
        assert_eq!(built.0, 0, "{built:?}");
        image
    }

    fn docker(&self, args: &[&str]) -> (i32, String, String) {
        let host = self.host.iter().flat_map(|host| ["--host", host]);
        proc::outcome(proc::find("docker"), host.chain(args.iter().copied()))
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        self.docker(&["image", "rm", "--force", &self.name]);
    }
}
