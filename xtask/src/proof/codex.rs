//! Claims about what the sandbox is for: work in the workspace, and a Codex that answers.

use super::claim::{Draft, RECREATE};
use super::probe::InsideWitness;
use super::witness::HostWitness;
use crate::finding::Finding;
use crate::spec::inside::{CODEX, WORKSPACE};
use crate::spec::{Role, Spec};
use crate::text;

pub(super) fn judge(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Vec<Finding> {
    vec![workspace(spec, inside, host), version(spec, inside, host)]
}

fn workspace(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let (uid, gid) = (spec.uid, spec.gid);
    let mut draft = Draft::new(
        "workspace.writable",
        format!("a file that is created in {WORKSPACE} inside belongs to {uid}:{gid} on the host"),
    )
    .hint(advice(spec, inside));
    let made = inside.workspace.as_deref().unwrap_or("not tried");
    draft.inside(format!("new file: {made}"));
    draft.check(made == "written", || format!("inside, creating a file gave {made}"));
    match &host.workspace_file {
        None => draft.unseen("the host did not look for the file"),
        Some(Err(why)) => draft.broken(format!("the host does not find the file: {why}")),
        Some(Ok(file)) => {
            draft.host(format!("owner {}:{}, content as written inside", file.uid, file.gid));
            draft.check(file.text == inside.nonce, || {
                "the content of the file on the host is not what was written inside".into()
            });
            let group = file.gid == gid || file.inherited == Some(file.gid);
            draft.check(file.uid == uid && group, || {
                format!("on the host the file belongs to {}:{}", file.uid, file.gid)
            });
            draft.check(file.removed, || "the host cannot remove the file".into());
        }
    }
    draft.done()
}

/// What to do where no file can be made, by the kernel's own word for why.
fn advice(spec: &Spec, inside: &InsideWitness) -> String {
    let source = spec.mount(&Role::Workspace).map_or_else(String::new, |mount| text::path(&mount.source));
    match inside.workspace.as_deref() {
        Some("ENOSPC" | "EDQUOT") => {
            format!("make room in `{source}`: `df -h` and `df -i` say whether blocks or inodes are used up, `quota` what you may use")
        }
        Some("EROFS") => format!("the file system of `{source}` is read-only: `dmesg` says whether the kernel found it damaged"),
        Some(_) | None => "the workspace must be a directory of yours, on a file system that keeps owners; a rootless engine maps them to \
                           others"
            .to_owned(),
    }
}

fn version(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Finding {
    let version = &spec.codex_version;
    let mut draft =
        Draft::new("codex.version", format!("`codex` inside is the mounted Codex {version}")).hint(RECREATE);
    let seen = inside.codex.as_ref();
    let real = seen.map_or("nothing", |seen| &seen.real);
    draft.check(real == CODEX, || format!("inside, `codex` leads to `{real}`, not `{CODEX}`"));
    match seen.and_then(|seen| seen.version.as_ref()) {
        None => {
            // At re-entry Codex is not started again: the mount is proven to be read-only, and the file is the one that
            // answered at the container's start.
            draft.check(host.codex_at_start.is_some() && host.codex_at_start == host.codex, || {
                "the probe did not start Codex, and this file did not answer at the container's start".into()
            });
            draft.host("this file gave that version at the container's start, and has not changed since");
        }
        Some(said) => {
            let text = said.text.trim();
            draft.inside(format!("`{text}` from {real}"));
            let same = said.code == "0" && text.split_whitespace().last() == Some(version);
            draft.check(same, || format!("inside, `codex --version` said `{text}` ({})", said.code));
        }
    }
    match (seen.and_then(|seen| seen.stat.as_ref().ok()), host.codex) {
        (Some(there), Some(here)) => {
            draft.host(format!("the file is {here}"));
            draft.check(there.id == here.id, || format!("inside it is {}, on the host {here}", there.id));
        }
        (None, _) => draft.broken("inside there is no such file"),
        (_, None) => draft.broken("the host's side of the mounted package has no `bin/codex`"),
    }
    draft.done()
}

#[cfg(test)]
mod tests {
    use super::super::codex_file::CodexFile;
    use super::super::fixture::{Case, breaks, good};
    use super::super::probe::Said;
    use super::super::witness::WorkspaceFile;
    use super::*;

    fn said(inside: &mut InsideWitness) -> &mut Said {
        inside.codex.as_mut().unwrap().version.as_mut().unwrap()
    }

    fn file(change: fn(&mut WorkspaceFile)) -> Case {
        Box::new(move |_, _, host| change(host.workspace_file.as_mut().unwrap().as_mut().unwrap()))
    }

    #[test]
    fn a_workspace_without_room_says_so() {
        let (spec, mut inside, _) = good();
        for (word, advised) in
            [("ENOSPC", "`df -i`"), ("EDQUOT", "`df -i`"), ("EROFS", "read-only"), ("EACCES", "of yours")]
        {
            inside.workspace = Some(word.into());
            assert!(advice(&spec, &inside).contains(advised), "{word}");
        }
    }

    #[test]
    fn each_fact_about_the_workspace_and_codex_breaks_its_claim() {
        breaks(
            "workspace.writable",
            vec![
                Box::new(|_, inside, _| inside.workspace = Some("EACCES".into())),
                Box::new(|_, inside, _| inside.workspace = None),
                Box::new(|_, _, host| host.workspace_file = Some(Err("not there".into()))),
                file(|file| file.uid = 0),
                file(|file| file.gid = 0),
                file(|file| file.text = "other".into()),
                file(|file| file.removed = false),
            ],
        );
        breaks(
            "codex.version",
            vec![
                Box::new(|spec, _, _| spec.codex_version = "9.9.9".into()),
                Box::new(|_, inside, _| said(inside).code = "TIMEOUT".into()),
                Box::new(|_, inside, _| inside.codex.as_mut().unwrap().real = "/home/codex/bin/codex".into()),
                Box::new(|_, inside, _| inside.codex = None),
                Box::new(|_, inside, _| inside.codex.as_mut().unwrap().version = None),
                Box::new(|_, _, host| host.codex.as_mut().unwrap().id.ino += 1),
            ],
        );
    }

    #[test]
    fn a_codex_that_answered_at_the_start_is_known_by_its_file() {
        let (spec, mut inside, mut host) = good();
        inside.codex.as_mut().unwrap().version = None;
        host.codex_at_start = host.codex;
        assert_eq!(version(&spec, &inside, &host).why, None);
        let changes: [fn(&mut CodexFile); 3] =
            [|file| file.changed.1 += 1, |file| file.size += 1, |file| file.id.ino += 1];
        for change in changes {
            let mut other = host.clone();
            change(other.codex.as_mut().unwrap());
            assert!(version(&spec, &inside, &other).why.is_some());
        }
        host.codex_at_start = None;
        assert!(version(&spec, &inside, &host).why.is_some());
    }

    #[test]
    fn a_directory_that_hands_on_its_group_is_fine() {
        let (spec, inside, mut host) = good();
        let file = host.workspace_file.as_mut().unwrap().as_mut().unwrap();
        (file.gid, file.inherited) = (50, Some(50));
        assert_eq!(workspace(&spec, &inside, &host).why, None);
    }
}
