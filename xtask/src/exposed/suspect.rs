//! What of a workspace agents can have made, although its own last look says nothing of it: the workspace was moved, or it
//! lies around or inside of what another sandbox was given. The directories are known by their identity, because a path says
//! nothing of what was moved.

use super::{Exposed, GivenDir, LastingId};
use crate::beneath::{Beneath, Held, Node};
use crate::context::{led_into, resolved};
use std::path::{Path, PathBuf};

/// The given directories that were not looked through since an agent could write there, as far as a workspace is concerned.
#[derive(Debug, Default)]
pub(crate) struct Suspect {
    /// Whether the workspace itself is one, or lies in one.
    whole: bool,
    /// The others, which may lie in the workspace.
    grounds: Vec<GivenDir>,
    /// What the user names in this call.
    named: Vec<LastingId>,
    /// The paths by which they were given, each with whether it was this very workspace.
    pub(crate) given_as: Vec<(PathBuf, bool)>,
    boot: String,
}

impl Exposed {
    /// For a workspace; `looked` says whether a look of its own, at its path, is kept, which says more.
    pub(crate) fn suspect(&self, workspace: &Held, looked: bool) -> Suspect {
        let own = self.identity(workspace.node());
        let place = self.table.place_in(workspace.node().mount, &workspace.real().to_string_lossy());
        let around: Vec<LastingId> = workspace.real().ancestors().skip(1).filter_map(|dir| self.seen_at(dir)).collect();
        let above = |ground: &GivenDir| {
            around.iter().any(|dir| ground.is(dir))
                || place.as_ref().zip(ground.place()).is_some_and(|(place, outer)| outer.contains(place))
        };
        let is_own = |ground: &GivenDir| {
            looked && ground.path == workspace.real() && (ground.given.is_none() || ground.is(&own))
        };
        let mut suspect = Suspect { boot: self.boot.clone(), named: self.named.clone(), ..Suspect::default() };
        for ground in self.grounds.iter().filter(|ground| !ground.settled && !is_own(ground)) {
            let is_this = ground.is(&own);
            suspect.whole |= is_this || above(ground);
            suspect.given_as.push((ground.path.clone(), is_this));
            suspect.grounds.push(ground.clone());
        }
        suspect
    }

    fn seen_at(&self, dir: &Path) -> Option<LastingId> {
        Held::open(dir).ok().map(|held| self.identity(held.node()))
    }
}

impl Suspect {
    /// Whether there is nothing of the kind anywhere.
    pub(crate) fn is_none(&self) -> bool {
        self.grounds.is_empty()
    }

    /// The paths of all that is there.
    pub(crate) fn paths(&self) -> Vec<&Path> {
        self.grounds.iter().filter(|ground| ground.now.is_some()).map(|ground| ground.path.as_path()).collect()
    }

    /// Whether an agent can have made what lies at a path below the workspace.
    pub(crate) fn covers(&self, workspace: &Beneath, path: &Path) -> bool {
        let is_ground = |dir: &Path| match workspace.look(dir) {
            Ok(None) => false,
            Ok(Some(node)) => self.grounds.iter().any(|ground| ground.is(&LastingId::of(&node, &self.boot))),
            // What cannot be looked at is not known for anybody's.
            Err(_) => true,
        };
        let mut dirs = path.ancestors().filter(|dir| !dir.as_os_str().is_empty());
        !self.is_none() && (self.whole || dirs.any(is_ground))
    }

    /// The given directory in which something outside of the workspace lies, unless the user names that very thing.
    pub(crate) fn around(&self, path: &Path) -> Option<&Path> {
        let there: Vec<&GivenDir> = self.grounds.iter().filter(|ground| ground.now.is_some()).collect();
        let dirs: Vec<PathBuf> = there.iter().map(|ground| ground.path.clone()).collect();
        let real = resolved(path);
        let led = led_into(&dirs, &[], path).map(|(dir, _)| dir);
        let inside = |ground: &&&GivenDir| {
            led == Some(&ground.path) || path.starts_with(&ground.path) || real.starts_with(&ground.path)
        };
        let is_named = || {
            let own = Held::open(path).ok().map(|held| LastingId::of(held.node(), &self.boot));
            own.is_some_and(|own| self.named.iter().any(|named| named.is(&own)))
        };
        there.iter().find(inside).filter(|_| !is_named()).map(|ground| ground.path.as_path())
    }

    /// Whether the user names the object in this call, or a directory of the workspace in which it lies. That the workspace
    /// itself is named says that it may be used, and nothing of what agents made in it.
    pub(crate) fn is_vouched(&self, workspace: &Beneath, path: &Path) -> bool {
        let is_named = |node: &Node| self.named.iter().any(|named| named.is(&LastingId::of(node, &self.boot)));
        let named = |dir: &Path| workspace.look(dir).ok().flatten().as_ref().is_some_and(is_named);
        !self.named.is_empty() && path.ancestors().filter(|dir| !dir.as_os_str().is_empty()).any(named)
    }
}
