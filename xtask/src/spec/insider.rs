//! Who this tool's own programs are inside a sandbox. Pure.

use super::Spec;

/// The groups of which one is chosen, each time another. No distribution and no directory service gives such a number to
/// anybody, and they are no subordinate ids: no file belongs to such a group, so that what the witness may read and write
/// is what the agent may.
const LOWEST: u32 = 2_010_000_000;
const COUNT: u32 = 1 << 27;

/// A user and a primary group inside.
///
/// The agent has the same user, which is necessary: what the witness finds out about files must be true of the agent.
/// The kernel lets a process look into another one, or change it, only where all user ids *and* all group ids of the other
/// are its own, or where it has a capability. The agent has none, and it cannot get into a group that it is not in. The
/// agent's own group is among the supplementary groups of everything inside (`group_add`), so the files that the agent
/// may use are those that the witness may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Insider {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Insider {
    /// For one program of this tool, which looks or shows something. `number` is by chance.
    pub(crate) fn apart(spec: &Spec, number: u32) -> Insider {
        Insider { uid: spec.uid, gid: foreign(number, spec.gid, &spec.groups) }
    }
}

/// A group that the agent is not in.
fn foreign(number: u32, own: u32, groups: &[u32]) -> u32 {
    let mut offset = number % COUNT;
    while LOWEST + offset == own || groups.contains(&(LOWEST + offset)) {
        offset = (offset + 1) % COUNT;
    }
    LOWEST + offset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_one_that_the_agent_is_not_in_and_another_each_time() {
        assert_eq!(foreign(7, 1000, &[44]), LOWEST + 7);
        assert_eq!(foreign(8, 1000, &[44]), LOWEST + 8);
        assert_eq!(foreign(7, LOWEST + 7, &[LOWEST + 9, LOWEST + 8]), LOWEST + 10);
        let highest = LOWEST + COUNT - 1;
        assert_eq!((foreign(u32::MAX, 0, &[]), foreign(u32::MAX, highest, &[])), (highest, LOWEST));
        // systemd has the next users and groups above for itself.
        assert!(highest < 0x7ffe_0000);
    }
}
