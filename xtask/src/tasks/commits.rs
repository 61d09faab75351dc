//! `cargo xtask commits`: what was committed in the sandbox, and taking it over.

use crate::cli::Flags;
use crate::context::Context;
use crate::error::usage;
use crate::host::user::User;
use crate::sandbox::{airlock, places, settings};
use crate::ui;
use anyhow::Result;

/// Runs the task.
///
/// # Errors
/// The workspace is no repository, or git refuses what the sandbox has.
pub fn run(cx: &Context, flags: &Flags, take: bool) -> Result<u8> {
    let settings = settings::load(cx, flags)?;
    let workspace = settings.workspace.canonicalize()?;
    let places = places::of(cx, &workspace, User::read().uid);
    let repository = airlock::detect(&workspace)?.ok_or_else(|| {
        usage(format!("`{}` is not the root of a git repository", workspace.display()))
            .hint("commits are kept apart only for a workspace that is a repository of its own")
    })?;
    let lines = if take {
        airlock::take(&repository, &places.git, &[])?
    } else {
        let listing = airlock::list(&repository, &places.git)?;
        listing.notes.iter().for_each(ui::warn);
        listing.branches.iter().flat_map(lines_of).collect()
    };
    if lines.is_empty() {
        ui::say("the sandbox has no commits that the host lacks");
    }
    lines.iter().for_each(ui::result);
    Ok(0)
}

fn lines_of(branch: &airlock::Branch) -> Vec<String> {
    let state = match branch.state {
        airlock::State::Ahead => "ahead of the host's",
        airlock::State::Diverged => "the host's has commits of its own",
        airlock::State::New => "new",
    };
    let head = format!("{} ({state}, {} commits)", branch.name, branch.commits.len());
    let commits = branch.commits.iter().map(|commit| format!("  {} {}", &commit.id[..commit.id.len().min(10)], commit.subject));
    [head].into_iter().chain(commits).collect()
}
