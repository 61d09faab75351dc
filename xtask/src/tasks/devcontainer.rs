//! `cargo xtask devcontainer`: `.devcontainer/devcontainer.json` runs it on the host before an editor opens the container.

use crate::context::Context;
use crate::engine::compose::container_name;
use crate::engine::devcontainer::{self, FOLDER_LABEL};
use crate::engine::docker;
use crate::error::{Failure, failed, usage};
use crate::life::{Call, Ground, Outcome, Policy};
use crate::spec::denials::Denials;
use crate::spec::places::Places;
use crate::spec::settings::Flags;
use crate::spec::words::Leftovers;
use crate::step::Step;
use crate::{exec, ui};
use anyhow::Result;

/// Starts and proves the sandbox, then writes the variables by which the dev container's Compose file finds it.
pub(crate) fn run(cx: &Context) -> Result<u8> {
    let file = devcontainer::env_file(&cx.root);
    // Where this run fails, the file of an earlier run must not lead an editor to an unproven container.
    exec::all(&[Step::Remove { path: file.clone() }])?;
    let ground = Ground::read(cx, &Flags::default(), None)?;
    refuse_denials(Denials::of(ground.user.uid, &ground.settings.shape))?;
    refuse_others(cx, &ground.places)?;
    let standing = match Call::begin(cx, ground, Policy::Do(Leftovers::Keep))?.start()?.prove()? {
        Outcome::Proven(proven) => proven.stand()?,
        Outcome::Unproven(unproven) => return Err(unproven.refuse("the dev container was not opened:")),
    };
    let text = devcontainer::env_text(&standing.project, &standing.image);
    exec::write_file(&file, text.as_bytes(), 0o644)?;
    ui::result(standing.id);
    ui::say(format_args!("`{}` is proven and ready to be opened; `cargo xtask down` stops it", standing.container));
    Ok(0)
}

/// An editor starts its programs itself, and not as a session is started. What the filter of a session denies, the programs
/// of an editor could do, so that the container that was proven would not be the one that is used.
fn refuse_denials(Denials { setuid, tracing }: Denials) -> Result<(), Failure> {
    if tracing {
        return Err(usage("`ptrace: deny` cannot be kept in a dev container: an editor starts programs in it itself")
            .hint("use `cargo xtask sandbox`, or `ptrace: allow`"));
    }
    if setuid {
        return Err(usage(
            "root cannot be kept from making setuid files in a dev container: an editor starts programs in it itself",
        )
        .hint("use `cargo xtask sandbox`, or open it as an ordinary user"));
    }
    Ok(())
}

/// Editors find a dev container by the label with the directory that was opened. No other container may have that label.
fn refuse_others(cx: &Context, places: &Places) -> Result<()> {
    let root = cx.root.display();
    let listed = exec::stdout_of(&docker::labelled(&format!("{FOLDER_LABEL}={root}")))?;
    let others = devcontainer::others(&listed, &container_name(&places.project));
    if others.is_empty() {
        return Ok(());
    }
    Err(failed(format!("another container is marked as the dev container of `{root}`: `{}`", others.join("`, `")))
        .hint("the sandbox of another workspace was opened from here: `cargo xtask down --workspace DIR` removes it")
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_session_is_denied_an_editor_is_not_given() {
        let refused = |setuid, tracing| refuse_denials(Denials { setuid, tracing }).err().map(|why| why.message);
        assert_eq!(refused(false, false), None);
        assert!(refused(true, false).is_some_and(|why| why.starts_with("root cannot be kept from")));
        for setuid in [false, true] {
            assert!(refused(setuid, true).is_some_and(|why| why.starts_with("`ptrace: deny` cannot be kept")));
        }
    }
}
