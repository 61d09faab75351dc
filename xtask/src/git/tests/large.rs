//! What an agent makes large: the number of its refs, and its objects once they are unpacked. None of it holds the host up.

use super::*;

/// A loose object with any head: zlib's header, one stored block, and the checksum of RFC 1950. Its name is a lie, which
/// git sees only when it reads all of it.
fn object(f: &Fixture, id: &str, head: &str) {
    let bytes = [head.as_bytes(), b"\0"].concat();
    let (mut a, mut b) = (1u32, 0u32);
    for byte in &bytes {
        a = (a + u32::from(*byte)) % 65521;
        b = (b + a) % 65521;
    }
    let len = u16::try_from(bytes.len()).unwrap();
    let mut text = vec![0x78, 0x01, 0x01];
    text.extend(len.to_le_bytes().into_iter().chain((!len).to_le_bytes()));
    text.extend(bytes);
    text.extend((b << 16 | a).to_be_bytes());
    let dir = f.git().join("objects").join(&id[..2]);
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join(&id[2..]), text).unwrap();
}

#[test]
fn what_is_too_large_once_it_is_unpacked_is_left_out_by_name_and_the_rest_is_taken() {
    let f = Fixture::new();
    f.prepare();
    f.agent_commit("a", "two\n", "inside");
    let id = "00112233445566778899aabbccddeeff00112233";
    object(&f, id, &format!("blob {}", 3u64 << 30));
    let tree = f.path("tree");
    std::fs::write(&tree, format!("100644 blob {id}\tbig\n")).unwrap();
    let script = "git mktree --missing <\"$0\" | xargs git -c user.name=a -c user.email=a commit-tree -m bomb";
    let made = Command::new("env")
        .arg(format!("GIT_DIR={}", f.git().display()))
        .args(["sh", "-c", script])
        .arg(tree.display().to_string());
    let bomb = exec::stdout_of(&made).unwrap();
    std::fs::write(f.git().join("refs/heads/bomb"), bomb).unwrap();
    let notes = f.list().notes;
    let said = format!("the blob {id} has 3072 MiB, and at most 1024 are checked: it is left out");
    assert!(notes.len() == 1 && notes[0].starts_with(&said), "{notes:#?}");
    let lines = f.take();
    assert!(lines[1].starts_with("bomb: not taken over, "), "{lines:#?}");
    assert_eq!(lines[2], "main: took over 1 commit, now at ID");
    // The next start keeps it for the agent, and does not fail.
    f.prepare();
    f.agent(&["rev-parse", "--verify", "refs/heads/bomb"]);
}

#[test]
fn a_commit_of_gigabytes_is_not_read_into_memory() {
    let f = Fixture::new();
    f.prepare();
    let id = "00112233445566778899aabbccddeeff00112233";
    object(&f, id, &format!("commit {}", 3u64 << 30));
    std::fs::write(f.git().join("refs/heads/bomb"), id).unwrap();
    let listing = f.list();
    assert!(listing.notes[0].starts_with(&format!("the commit {id} has 3072 MiB, and at most 32")), "{listing:#?}");
    assert!(listing.branches.is_empty() && listing.notes[1].starts_with("bomb cannot be read"), "{listing:#?}");
}

#[test]
fn more_branches_than_are_read_at_once_are_named_counted_and_kept() {
    let f = Fixture::new();
    f.host(&["branch", "mine"]);
    f.prepare();
    f.agent_commit("a", "two\n", "inside");
    let id = f.agent(&["rev-parse", "HEAD"]);
    for n in 0..150 {
        std::fs::write(f.git().join(format!("refs/heads/b-{n:03}")), &id).unwrap();
        std::fs::write(f.git().join(format!("refs/tags/t-{n:03}")), id.replace(&id[..4], "0000")).unwrap();
    }
    std::fs::write(f.git().join("refs/heads/mine"), &id).unwrap();
    let listing = f.list();
    let names: Vec<&str> = listing.branches.iter().map(|branch| branch.name.as_str()).collect();
    assert_eq!((names.len(), names[98], names[99]), (MOST_BRANCHES, "main", "mine"));
    let said = "at most 100 branches are read at once, and not these: `b-098`, `b-099`, ";
    assert!(listing.notes[0].starts_with(said), "{:#?}", listing.notes);
    assert!(listing.notes[0].contains("`b-117`, and 32 branches more; "), "{:#?}", listing.notes);
    assert_eq!(losses(&listing).len(), 100 + 21 + 1);
    let notes = f.prepare().notes;
    assert!(notes.len() < 30 && notes.iter().any(|note| note == "and 130 tags more"), "{notes:#?}");
    let kept = std::fs::read_to_string(f.git().join("packed-refs")).unwrap();
    assert_eq!(kept.lines().filter(|line| line.contains(" refs/heads/") || line.contains(" refs/tags/")).count(), 302);
}

#[test]
fn more_refs_than_are_read_refuse_a_start_and_are_not_dropped() {
    let f = Fixture::new();
    f.prepare();
    let packed = f.git().join("packed-refs");
    std::fs::File::options().write(true).open(&packed).unwrap().set_len(65 << 20).unwrap();
    let identity = Identity::default();
    for err in [
        prepare(&f.repo(), &f.private(), &identity, &|| false).unwrap_err(),
        list(&f.repo(), &f.private(), &|| false).unwrap_err(),
    ] {
        let text = crate::error::render(&err);
        assert!(
            text.contains("`packed-refs` has more than") && text.contains("hint: `cargo xtask down --all`"),
            "{text}"
        );
    }
    assert_eq!(std::fs::metadata(packed).unwrap().len(), 65 << 20);
}

#[test]
fn all_of_it_ends_where_the_user_wants_that_and_leaves_nothing_behind() {
    let f = Fixture::new();
    f.prepare();
    f.agent_commit("a", "two\n", "inside");
    for err in [
        list(&f.repo(), &f.private(), &|| true).unwrap_err(),
        take(&f.repo(), &f.private(), &|| true).unwrap_err(),
        prepare(&f.repo(), &f.private(), &Identity::default(), &|| true).unwrap_err(),
    ] {
        assert_eq!(err.to_string(), "interrupted");
    }
    assert_eq!(f.take(), ["main: took over 1 commit, now at ID"], "nor is a quarantine left");
}

#[test]
fn very_many_branches_are_passed_over_in_one_pass_and_named_in_few_words() {
    let f = Fixture::new();
    f.prepare();
    f.agent_commit("a", "two\n", "inside");
    let text: String = (0..20_000u32).map(|n| format!("{n:040x} refs/heads/b{n:07}\n")).collect();
    std::fs::write(f.git().join("packed-refs"), text).unwrap();
    // The first hundred steps pass, so that it is inside of the loop that it is asked.
    let asked = std::cell::Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() > 100
    };
    let git = crate::beneath::Beneath::root(&f.git()).unwrap();
    let read = refs::Private::read(&git, false, &effort::Effort::to_read(&stop));
    assert_eq!(read.err().map(|err| err.to_string()), Some("interrupted".into()));
    assert_eq!(asked.get(), 101);
    let listing = f.list();
    assert!(listing.notes.len() < 200 && listing.notes.iter().all(|note| note.len() < 2000), "{listing:#?}");
    assert!(losses(&listing).len() < 400 && describe(&listing).len() < 50_000);
    let notes = f.prepare().notes;
    assert!(notes.len() < 200 && notes.iter().all(|note| note.len() < 20_000), "{}", notes.len());
}
