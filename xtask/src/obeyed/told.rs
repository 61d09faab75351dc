//! How the changes are told: a bounded part on the terminal, and the whole list in a file where that is not all.

use super::changes::Change;
use super::diff;
use super::record::Record;
use crate::text;

/// The most changes that are named one by one, and the most of which the lines are shown.
const NAMED: usize = 20;
const SHOWN: usize = 8;

/// The most lines of one file in the list, and the most bytes of the list.
const LISTED: usize = 200;
const LIST: usize = 4 << 20;

/// What the user is told of the changes.
pub(crate) struct Told {
    /// Each change in a line, with the lines that are shown below it; the last says what is not shown, and where all is.
    pub(crate) lines: Vec<(String, Vec<String>)>,
    /// What belongs to a question about what acts by itself, where more of that changed than is shown.
    pub(crate) beyond: Option<String>,
}

impl Told {
    pub(super) fn of(changes: &[Change], record: &Record) -> Told {
        let acting = changes.iter().filter(|change| change.acts_by_itself()).count();
        let mut lines = Vec::new();
        for (n, change) in changes.iter().enumerate().take(NAMED) {
            let shown = match change.acts_by_itself() && n < SHOWN {
                true => change.shown(record, diff::SHOWN),
                false => Vec::new(),
            };
            lines.push((change.line(), shown));
        }
        if changes.len() <= NAMED && acting <= SHOWN {
            return Told { lines, beyond: None };
        }
        let list = record.list();
        let whole = match crate::exec::write_file(&list, listed(changes, record, LIST).as_bytes(), 0o600) {
            Ok(()) => format!("all that changed is in `{}`", text::path(&list)),
            Err(err) => format!("the list of all could not be written: {}", text::printable(&format!("{err:#}"))),
        };
        let not_named = changes.len().saturating_sub(NAMED);
        let hidden = acting.saturating_sub(NAMED);
        let acting_too = if hidden == 0 { String::new() } else { format!(", {hidden} of which act by themselves") };
        lines.push((
            match not_named {
                0 => format!("more lines differ than are shown: {whole}"),
                more => format!("{more} more files that tools obey are new, changed or removed{acting_too}: {whole}"),
            },
            Vec::new(),
        ));
        let beyond = format!("{acting} files act by themselves, and lines of {SHOWN} are shown: {whole}");
        Told { lines, beyond: (acting > SHOWN).then_some(beyond) }
    }
}

/// All changes, a line each, and then the lines that differ.
fn listed(changes: &[Change], record: &Record, most: usize) -> String {
    let mut list = String::new();
    let names = changes.iter().map(Change::line);
    let texts = changes.iter().filter(|change| change.acts_by_itself()).map(|change| {
        let shown = change.shown(record, LISTED).into_iter().map(|line| format!("\n    {line}"));
        format!("\n{}{}", change.line(), shown.collect::<String>())
    });
    for part in names.chain(texts) {
        if list.len() + part.len() >= most {
            list.push_str("… and more: the list ends here, because it has a bound\n");
            break;
        }
        list.push_str(&part);
        list.push('\n');
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_list_has_a_bound() {
        use crate::obeyed::changes::What;
        let dir = tempfile::tempdir().unwrap();
        let of = |n: usize| Change::of(Path::new(&format!("{n}/.envrc")), What::Removed, None, None).unwrap();
        let changes: Vec<Change> = (0..1000).map(of).collect();
        let record = Record::at(&dir.path().join("obeyed"));
        let list = listed(&changes, &record, 5000);
        assert!(list.len() < 5200 && list.ends_with("because it has a bound\n"), "{}", list.len());
        assert_eq!(listed(&changes[..3], &record, 5000).lines().filter(|line| line.contains("was removed")).count(), 6);
    }
}
