//! How a look is kept: in place of the last one, or merged into what another call has written meanwhile.

use super::super::changes::Change;
use super::super::undecided::Undecided;
use super::Look;

impl Look {
    /// Whether a change that was asked about still waits for an answer: another call may have decided meanwhile.
    pub(crate) fn is_open(&self, change: &Change) -> bool {
        !self.record.is_anothers() || Undecided::read(self.record.folder()).covers(&change.path)
    }

    /// Keeps what this look has seen, in place of the last one. What is undecided is kept as it was before, so that the next
    /// look tells of it again. Where another call has written meanwhile, all that it noted stays, and only what was asked
    /// about is noted. Says how many files were too much to be kept.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub(crate) fn keep(&self, asked: &[&Change], undecided: &[&Change]) -> anyhow::Result<usize> {
        if self.record.is_anothers() {
            return self.merge(asked, undecided).map(|()| 0);
        }
        let kept = self.replace(undecided);
        self.record.mark();
        kept
    }

    fn merge(&self, asked: &[&Change], undecided: &[&Change]) -> anyhow::Result<()> {
        let folder = self.record.folder();
        // Where there is no record any more, `down` has removed it, and looked itself.
        let Ok(Some(last)) = self.record.read() else { return Ok(()) };
        let (mut now, mut left) = (last.clone(), Undecided::read(folder));
        let decided = |change: &Change| undecided.iter().all(|other| other.path != change.path);
        for change in asked.iter().chain(undecided) {
            let entry = match decided(change) {
                true => self.now.get(change.path.as_path()),
                false => change.before.as_ref(),
            };
            match entry {
                Some(entry) => _ = now.insert(change.path.as_path().into(), entry.clone()),
                None => _ = now.remove(change.path.as_path()),
            }
            if decided(change) {
                left.remove(&change.path);
            }
        }
        left.add(undecided);
        if !left.is_empty() {
            left.write(folder)?;
        }
        self.record.write(Some(&last), &now)?;
        left.write(folder)
    }

    fn replace(&self, undecided: &[&Change]) -> anyhow::Result<usize> {
        let last = self.last.as_ref().ok().and_then(Option::as_ref);
        if self.no_walk {
            return self.record.write(last, &self.now);
        }
        let mut now = self.now.clone();
        for change in undecided {
            match &change.before {
                Some(before) => _ = now.insert(change.path.as_path().into(), before.clone()),
                None => _ = now.remove(change.path.as_path()),
            }
        }
        let kept = || {
            let not_kept = self.record.write(last, &now)?;
            self.record.note_gaps(self.has_gaps() || not_kept > 0)?;
            Ok::<_, anyhow::Error>(not_kept)
        };
        let said = || Undecided::of(undecided).write(self.record.folder());
        // Where this process ends in between, more counts as undecided, and never less.
        if undecided.is_empty() {
            let not_kept = kept()?;
            said()?;
            return Ok(not_kept);
        }
        said()?;
        kept()
    }
}
