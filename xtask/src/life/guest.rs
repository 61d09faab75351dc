//! What is mounted read-only at `/sandbox`: the container's init, the inside witness, the smoke test, and the CA bundle.

use super::certificates;
use crate::engine::launcher::{self, Machine};
use crate::error::failed;
use crate::exposed::Exposed;
use crate::network::HostNetwork;
use crate::outside;
use crate::spec::Role;
use crate::spec::denials::Denials;
use crate::spec::inside::{self, in_guest};
use crate::spec::places::Places;
use crate::step::Step;
use crate::{exec, smoke, text};
use anyhow::{Context as _, Result};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The container's init, the inside witness and its helper, which the container may only read; the checks of the GPU are added to them.
const GUEST_FILES: &[(&str, &str)] = &[
    (inside::PROBE, include_str!("../../../docker/probe.py")),
    (inside::INIT, include_str!("../../../docker/init.py")),
    (inside::REAP, include_str!("../../../docker/reap.py")),
];

/// Fills the directory that is mounted read-only at `/sandbox`: the container never writes there.
///
/// # Errors
/// The CA bundle cannot be read, holds no certificate, or lies where a sandbox can write, or the state folder cannot be written.
pub(crate) fn fill(places: &Places, network: &HostNetwork, exposed: &Exposed, denials: Denials) -> Result<()> {
    let guest = &places.filled(&Role::Guest);
    exec::create_dir(guest, 0o755)?;
    exec::create_dir(&guest.join("smoke"), 0o755)?;
    for (path, text) in GUEST_FILES.iter().chain(smoke::request::FILES) {
        write_new(&guest.join(in_guest(path)), text.as_bytes())?;
    }
    link_new(&guest.join(in_guest(inside::PYTHON_LINK)), inside::PYTHON)?;
    if let Some(path) = denials.launcher() {
        // Users who may not read it either cannot see whether it is the same: then it is written at each entry.
        let launcher = launcher::executable(Machine::here()?, denials);
        let file = guest.join(in_guest(path));
        file.parent().map_or(Ok(()), |dir| exec::create_dir(dir, 0o755))?;
        let mode = std::fs::symlink_metadata(&file).map(|meta| meta.mode() & 0o7777);
        if !(mode.is_ok_and(|mode| mode == launcher::MODE) && is_text_of(&file, &launcher)) {
            exec::write_file(&file, &launcher, launcher::MODE)?;
        }
    }
    let Some(ca) = &network.ca else { return Ok(()) };
    let read = || -> Result<Vec<u8>> {
        let (file, _) = exposed.open(ca)?.file()?;
        let mut bytes = Vec::new();
        file.take(certificates::MOST_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().with_context(|| format!("cannot read the CA bundle `{}`", ca.display()))?;
    let certificates = certificates::of(&bytes).map_err(|why| {
        failed(format!("the CA bundle `{}` does not go in: {why}", text::path(ca)))
            .hint("let `SSL_CERT_FILE`, or the variable that names it, name a file of certificates in PEM form")
    })?;
    write_new(&guest.join(in_guest(inside::CA)), certificates.as_bytes())
}

/// Makes a link, with its directory, where it is not there.
fn link_new(path: &Path, to: &str) -> Result<()> {
    if std::fs::read_link(path).is_ok_and(|old| old == Path::new(to)) {
        return Ok(());
    }
    exec::all(&[Step::Remove { path: path.to_path_buf() }])?;
    path.parent().map_or(Ok(()), |dir| exec::create_dir(dir, 0o755))?;
    std::os::unix::fs::symlink(to, path).with_context(|| format!("cannot make the link `{}`", path.display()))
}

/// Writes a file only where its text differs: a running container reads these.
fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    if is_text_of(path, bytes) { Ok(()) } else { exec::write_file(path, bytes, 0o644) }
}

fn is_text_of(path: &Path, bytes: &[u8]) -> bool {
    outside::bytes(path, bytes.len() as u64).is_ok_and(|old| old == bytes)
}
