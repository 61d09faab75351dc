//! Who this tool's own programs are inside a sandbox. Pure.

use super::Spec;

/// The highest group that is chosen. No distribution and no directory service gives such a number to anybody, so that no
/// file belongs to it: what the witness may read and write is then what the agent may.
const HIGHEST: u32 = 2_147_483_000;

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
    /// The inside witness of a proof.
    pub(crate) fn witness(spec: &Spec) -> Insider {
        Insider { uid: spec.uid, gid: foreign(spec.gid, &spec.groups)[0] }
    }

    /// What only shows something to the user. It is not the witness, because where the agent is root it may run a
    /// program that the agent has put there: that program must not get into the witness's group.
    pub(crate) fn onlooker(spec: &Spec) -> Insider {
        Insider { uid: spec.uid, gid: foreign(spec.gid, &spec.groups)[1] }
    }
}

/// Two groups that the agent is not in.
fn foreign(own: u32, groups: &[u32]) -> [u32; 2] {
    let below = |from: u32| {
        let mut gid = from;
        while gid == own || groups.contains(&gid) {
            gid -= 1;
        }
        gid
    };
    let first = below(HIGHEST);
    [first, below(first - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_witness_is_in_a_group_that_the_agent_is_not_in() {
        assert_eq!(foreign(1000, &[44]), [HIGHEST, HIGHEST - 1]);
        assert_eq!(foreign(HIGHEST, &[]), [HIGHEST - 1, HIGHEST - 2]);
        assert_eq!(foreign(0, &[HIGHEST - 1, HIGHEST]), [HIGHEST - 2, HIGHEST - 3]);
        assert_eq!(foreign(HIGHEST - 1, &[HIGHEST - 2]), [HIGHEST, HIGHEST - 3]);
    }
}
