//! What the engine tier needs once for all its tests: the engine, the image, the clips. Made when first asked for,
//! under a file lock, because nextest runs each test in a process of its own.

use crate::support::place::{Place, User};
use crate::support::proc;
use crate::support::run::Xtask;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What outlives a test run and can be rebuilt.
pub(crate) fn tools() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let dir = target.parent().expect("the target directory").join("test-tools");
    fs::create_dir_all(&dir).expect("target/test-tools");
    dir
}

/// Runs `make` while no other test does the same.
pub(crate) fn once(name: &str, make: impl FnOnce()) {
    alone(&tools().join(format!("{name}.lock")), make);
}

fn alone(file: &Path, make: impl FnOnce()) {
    // To read is enough for a lock, and all that another user's file in /tmp allows.
    let lock = File::open(file).or_else(|_| File::create_new(file)).or_else(|_| File::open(file));
    let lock = lock.unwrap_or_else(|err| panic!("`{}`: {err}", file.display()));
    lock.lock().expect("a lock on it");
    make();
}

/// The engine must answer: this tier was asked for.
#[track_caller]
pub(crate) fn demand() {
    let (code, _, stderr) = proc::outcome(proc::find("docker"), ["version"]);
    assert_eq!(code, 0, "the engine tier was asked for and no Docker Engine answers: {stderr}");
}

/// Asks the real engine and returns what it says.
#[track_caller]
pub(crate) fn docker<const N: usize>(args: [&str; N]) -> String {
    proc::output(proc::find("docker"), args)
}

/// Runs a program as root, which mounts need.
#[track_caller]
pub(crate) fn as_root<S: AsRef<OsStr>, const N: usize>(words: [S; N]) {
    let sudo: &[&str] = if users::get_effective_uid() == 0 { &[] } else { &["sudo", "-n"] };
    let words: Vec<&OsStr> = sudo.iter().map(OsStr::new).chain(words.iter().map(AsRef::as_ref)).collect();
    proc::output(words[0], &words[1..]);
}

/// The group that may use the engine's socket, for tests that run the tool as somebody else.
pub(crate) fn socket_group() -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    let socket = std::env::var("DOCKER_HOST").unwrap_or_default();
    let socket = socket.strip_prefix("unix://").unwrap_or("/var/run/docker.sock");
    fs::metadata(socket).unwrap_or_else(|err| panic!("`{socket}`: {err}")).gid()
}

/// Builds the CPU image through the tool. The engine keeps it: the second call of a machine's life takes a second.
pub(crate) fn image(user: Option<User>) {
    demand();
    // The engine is one for all clones of this repository, so this lock does not lie in the clone: two that made the
    // base at the same time would give its name to two images, and what is built on the first would be out of date.
    alone(&std::env::temp_dir().join("codex-sandbox-test-image.lock"), || {
        build(&Place::new(), &[]);
        if let Some(user) = user {
            let place = Place::of(user);
            place.give();
            build(&place, &[socket_group()]);
        }
    });
}

fn build(place: &Place, groups: &[u32]) {
    let run = Xtask::at(place).args(["image", "--cpu"]).groups(groups).within(1500);
    run.with_network().run().ok();
}

/// Three clips of 320x240, two seconds each, VP9 in WebM as Something-Something V2 has them. Every frame is grey, and
/// frame N has the brightness 16 + 4 N: a decoder that returns the wrong frame is seen.
pub(crate) fn clips() -> PathBuf {
    let dir = tools().join("clips");
    once("clips", || {
        if dir.exists() {
            return;
        }
        let half = dir.with_extension("half");
        let _ = fs::remove_dir_all(&half);
        fs::create_dir_all(&half).expect("a directory for clips");
        for (number, rate) in [(1, 12), (2, 12), (3, 24)] {
            let source = format!("color=black:size=320x240:rate={rate}:duration=2,geq=lum=16+4*N:cb=128:cr=128");
            let file = half.join(format!("{number}.webm")).display().to_string();
            let args = ["-v", "error", "-f", "lavfi", "-i", &source, "-c:v", "libvpx-vp9", "-lossless", "1", &file];
            proc::output(proc::find("ffmpeg"), args);
        }
        fs::rename(&half, &dir).expect("the finished clips");
    });
    dir
}

/// A mount of the test's own, undone at its end.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    /// Shows a directory at another place too; both must be absolute.
    pub(crate) fn bind(from: &Path, to: &Path) -> Mounted {
        fs::create_dir_all(to).expect("a mount point");
        as_root([OsStr::new("mount"), OsStr::new("--bind"), from.as_os_str(), to.as_os_str()]);
        Mounted(to.to_path_buf())
    }

    /// Shows the file system in a file.
    pub(crate) fn image(file: &str, to: &Path) -> Mounted {
        as_root([OsStr::new("mount"), OsStr::new("-o"), OsStr::new("loop"), OsStr::new(file), to.as_os_str()]);
        Mounted(to.to_path_buf())
    }

    /// Makes a directory a mount of its own, whose later submounts are passed on.
    pub(crate) fn shared(dir: &Path) -> Mounted {
        let mounted = Mounted::bind(dir, dir);
        as_root([OsStr::new("mount"), OsStr::new("--make-shared"), dir.as_os_str()]);
        mounted
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        as_root([OsStr::new("umount"), OsStr::new("--lazy"), self.0.as_os_str()]);
    }
}

/// A place whose image takes for ever to build: the layers before the last one are there.
pub(crate) fn endless() -> Place {
    image(None);
    let place = Place::new();
    let dockerfile = place.read("repo/docker/Dockerfile");
    place.write("repo/docker/Dockerfile", format!("{dockerfile}\nRUN {}\n", proc::endless()));
    place
}
