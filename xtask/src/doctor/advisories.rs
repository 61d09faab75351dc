//! The oldest versions without a known escape from a container, of the builds of the makers themselves. As of August 2026.
//!
//! A distribution fixes security holes in its builds without changing the version, so these numbers say nothing about
//! its builds. Sources: the advisories of moby and runc on GitHub, the security bulletins of NVIDIA, and its minimum
//! versions per driver branch.

use crate::engine::numbers;
use crate::error::Remedy;
use crate::finding::{Finding, Subject};

type Version = (u32, u32, u32);

/// The oldest good version of each branch, and what makes a branch.
pub(super) struct Floors(&'static [Version], ReleaseLine);

enum ReleaseLine {
    /// Versions whose first two numbers are the same.
    Minor,
    /// Versions whose first number is the same.
    Major,
}

/// Docker Engine: CVE-2026-17106.
pub(super) const ENGINE: Floors = Floors(&[(29, 7, 0)], ReleaseLine::Minor);
/// runc: CVE-2026-41579.
pub(super) const RUNC: Floors = Floors(&[(1, 3, 6), (1, 4, 3), (1, 5, 0)], ReleaseLine::Minor);
/// The NVIDIA Container Toolkit: CVE-2026-24260.
pub(super) const TOOLKIT: Floors = Floors(&[(1, 19, 1)], ReleaseLine::Minor);
/// NVIDIA's driver.
pub(super) const DRIVER: Floors =
    Floors(&[(535, 309, 1), (570, 211, 1), (580, 159, 3), (590, 48, 1), (595, 71, 5)], ReleaseLine::Major);

impl Floors {
    /// The floor that a version is below: that of its own branch, or else the newest. `None` where the version is good.
    pub(super) fn above(&self, version: &str) -> Option<String> {
        let Floors(floors, branch) = self;
        let version = numbers(version)?;
        let same = |floor: &&Version| match branch {
            ReleaseLine::Minor => (floor.0, floor.1) == (version.0, version.1),
            ReleaseLine::Major => floor.0 == version.0,
        };
        let floor = floors.iter().find(same).or(floors.last())?;
        (version < *floor).then(|| format!("{}.{}.{}", floor.0, floor.1, floor.2))
    }

    /// What the doctor says of a version: a warning where it has known security holes, else that it is fine.
    pub(super) fn judge(
        &self,
        subject: Subject,
        version: &str,
        fine: impl Into<String>,
        upgrade: impl IntoIterator<Item = Remedy>,
    ) -> Finding {
        match self.above(version) {
            Some(floor) => Subject { needed: &format!("{floor} or later has all known security fixes"), ..subject }
                .warning(format!("{version} has known security holes"), upgrade),
            None => subject.ok(fine),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_held_against_the_floor_of_its_own_branch() {
        assert_eq!(ENGINE.above("29.6.9").as_deref(), Some("29.7.0"));
        assert_eq!(ENGINE.above("29.7.2"), None);
        assert_eq!(ENGINE.above("30.0.0"), None);
        assert_eq!(RUNC.above("1.3.5").as_deref(), Some("1.3.6"));
        assert_eq!(RUNC.above("1.3.6"), None);
        assert_eq!(RUNC.above("1.2.9").as_deref(), Some("1.5.0"));
        assert_eq!(DRIVER.above("570.86.10").as_deref(), Some("570.211.1"));
        assert_eq!(DRIVER.above("570.211.01"), None);
        assert_eq!(DRIVER.above("610.43.02"), None);
        assert_eq!(ENGINE.above("dev"), None);
    }
}
