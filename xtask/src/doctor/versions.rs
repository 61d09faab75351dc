//! The least versions without a known way out of a container, for builds of the makers themselves. As of August 2026.
//!
//! A distribution mends its builds without a new number, so these say nothing about them. Sources: the advisories of
//! moby and runc on GitHub, the security bulletins of NVIDIA, and its minimum versions per driver branch.

/// A version as three numbers; missing ones are 0.
pub(super) type Version = (u32, u32, u32);

/// Docker Engine: CVE-2026-17106.
pub(super) const ENGINE: &[Version] = &[(29, 7, 0)];
/// runc: CVE-2026-41579.
pub(super) const RUNC: &[Version] = &[(1, 3, 6), (1, 4, 3), (1, 5, 0)];
/// The NVIDIA Container Toolkit: CVE-2026-24260.
pub(super) const TOOLKIT: &[Version] = &[(1, 19, 1)];
/// NVIDIA's driver, by branch.
pub(super) const DRIVER: &[Version] = &[(535, 309, 1), (570, 211, 1), (580, 159, 3), (590, 48, 1), (595, 71, 5)];

/// The numbers at the start of a version.
pub(super) fn numbers(version: &str) -> Option<Version> {
    let mut parts = version.trim_start_matches('v').split(|c: char| !c.is_ascii_digit());
    let first = parts.next()?.parse().ok()?;
    let mut next = || parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
    Some((first, next(), next()))
}

/// Which branch of versions a version belongs to.
pub(super) enum Series {
    /// By the first two numbers.
    Minor,
    /// By the first.
    Major,
}

/// The floor that a version is below: that of its own branch, or else the newest. `None` where it is at or above it.
pub(super) fn below(version: &str, floors: &[Version], branch: Series) -> Option<String> {
    let version = numbers(version)?;
    let same = |floor: &&Version| match branch {
        Series::Minor => (floor.0, floor.1) == (version.0, version.1),
        Series::Major => floor.0 == version.0,
    };
    let floor = floors.iter().find(same).or(floors.last())?;
    (version < *floor).then(|| format!("{}.{}.{}", floor.0, floor.1, floor.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_held_against_the_floor_of_its_own_branch() {
        assert_eq!(below("29.6.9", ENGINE, Series::Minor).as_deref(), Some("29.7.0"));
        assert_eq!(below("29.7.2", ENGINE, Series::Minor), None);
        assert_eq!(below("30.0.0", ENGINE, Series::Minor), None);
        assert_eq!(below("1.3.5", RUNC, Series::Minor).as_deref(), Some("1.3.6"));
        assert_eq!(below("1.3.6", RUNC, Series::Minor), None);
        assert_eq!(below("1.2.9", RUNC, Series::Minor).as_deref(), Some("1.5.0"));
        assert_eq!(below("570.86.10", DRIVER, Series::Major).as_deref(), Some("570.211.1"));
        assert_eq!(below("570.211.01", DRIVER, Series::Major), None);
        assert_eq!(below("610.43.02", DRIVER, Series::Major), None);
        assert_eq!(below("dev", ENGINE, Series::Minor), None);
    }
}
