//! What lies inside: what this tool wrote, and what somebody else put there.

use super::super::*;
use super::*;

#[test]
fn what_was_written_over_in_place_with_the_same_size_and_times_is_written_again() {
    let place = Place::new(Some(&login("a", 1)));
    place.enter();
    let (path, before) = (place.at("private/auth.json"), place.get("private"));
    let times = fs::metadata(&path).unwrap().modified().unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    std::io::Write::write_all(&mut &file, &vec![b'x'; before.len()]).unwrap();
    file.set_modified(times).unwrap();
    assert_ne!(place.get("private"), before);
    place.enter();
    let inside = place.inside();
    assert_eq!(inside["tokens"]["access_token"], token("one", 800_000));
}

#[test]
fn what_took_the_place_of_a_whole_login_is_no_login_of_the_sandbox_s_own() {
    for how in [Login::Lease, Login::None] {
        let place = Place::new(Some(&login("a", 1)));
        place.enter_with(Login::Full);
        // As Codex does it when it renews the tokens.
        fs::copy(place.at("private/auth.json"), place.at("private/new")).unwrap();
        fs::rename(place.at("private/new"), place.at("private/auth.json")).unwrap();
        assert_eq!(place.held(), Held { file: InHome::Given(Gift::Full, None), whole: true }, "the claim breaks");
        place.enter_with(Login::Full);
        assert!(place.get("private").contains("rt-"), "with `full` it stays");
        place.enter_with(how);
        assert!(!place.at("private/auth.json").exists() || !place.get("private").contains("rt-"), "{how}");
    }
}

/// What an agent may put in the place of the login: whatever an earlier version of this tool would have taken over, or read.
fn shapes() -> Vec<String> {
    let huge = format!("{}{}", login("b", 2), " ".repeat(70_000));
    let mut shapes = vec![
        login("b", 2),
        login("b", 2).replace("null", "\"sk-planted\""),
        login("b", 2).replace("2025", "2999"),
        login("b", 2).replace("2025-01-02", "soon"),
        login("b", 2).replace("\"account\"", "\"other\""),
        login("b", 2).replace("auth_mode", "new_key"),
        r#"{"auth_mode":"apikey","OPENAI_API_KEY":"sk-own"}"#.to_owned(),
        r#"{"personal_access_token":"p"}"#.to_owned(),
        huge,
    ];
    shapes.extend(["", "{", "[]", "null"].map(str::to_owned));
    shapes
}

#[test]
fn a_hostile_session_leaves_the_login_of_the_host_as_it_was() {
    for shape in shapes() {
        let place = Place::new(Some(&login("a", 1)));
        place.enter();
        let state =
            |path: PathBuf| fs::metadata(path).map(|meta| (meta.ino(), meta.ctime(), meta.ctime_nsec())).unwrap();
        let host =
            || (place.get("host"), state(place.at("host/auth.json")), fs::read_dir(place.at("host")).unwrap().count());
        let before = host();
        place.replace(&shape);
        let FromHost::Lease(token, form) = place.has(Login::Lease) else { panic!("no lease") };
        assert!(!push(&token, form, &place.at("private"), &place.at("record.json")).unwrap(), "{shape:.40}");
        let said = lines(place.enter_beside());
        assert!(said.contains("that this tool did not write") && said.contains("`cargo xtask down`"), "{said}");
        assert_eq!(place.get("private"), shape, "while anything is alive it stays");
        assert_eq!(place.held(), Held { file: InHome::Foreign, whole: false }, "and nothing is promised");
        let said = lines(place.enter());
        assert!(said.contains("was removed") && said.contains("an access token of yours"), "{said}");
        assert_eq!(place.inside()["tokens"]["refresh_token"], "");
        assert!(matches!(place.held().file, InHome::Given(Gift::Lease, Some(_))));
        assert!(host() == before, "{shape:.40}");
    }
}

#[test]
fn what_nobody_vouches_for_is_gone_after_a_log_out_of_the_host_whatever_was_done_to_it() {
    let touch = |place: &Place| {
        let file = fs::File::options().write(true).open(place.at("private/auth.json")).unwrap();
        file.set_modified(SystemTime::now()).unwrap();
    };
    let copy = |place: &Place| place.replace(&place.get("private"));
    let acts: [&dyn Fn(&Place); 2] = [&touch, &copy];
    for act in acts {
        for how in [Login::Lease, Login::None, Login::Full] {
            let place = Place::new(Some(&login("a", 1)));
            place.enter();
            act(&place);
            assert_eq!(place.held().file, InHome::Foreign);
            fs::remove_file(place.at("host/auth.json")).unwrap();
            let said = lines(place.enter_with(how));
            assert!(said.contains("was removed"), "{said}");
            assert!(!place.at("private/auth.json").exists());
            assert!(!lines(place.enter_with(how)).contains("was removed"), "it is said once");
        }
    }
}

#[test]
fn a_login_is_the_sandbox_s_own_only_where_this_tool_started_one() {
    let place = Place::new(Some(&login("a", 1)));
    place.enter();
    place.noted(LoginCommand::In);
    assert!(!place.record().own, "it ended without one");
    place.replace(&login("own", 1));
    place.noted(LoginCommand::In);
    // Codex renews its own.
    place.replace(&login("own", 2));
    for _ in 0..2 {
        let outcome = place.enter();
        assert_eq!(outcome.has, Has::Own);
        assert!(lines(outcome).contains("cannot say what is in it"));
        assert_eq!((place.get("private"), place.held().file), (login("own", 2), InHome::Own));
    }
    assert_eq!(place.enter_beside().has, Has::Own);
    let FromHost::Lease(token, form) = place.has(Login::Lease) else { panic!("no lease") };
    let push = || push(&token, form, &place.at("private"), &place.at("record.json")).unwrap();
    assert!(!push());
    // Whoever puts it back after a log-out has none.
    fs::remove_file(place.at("private/auth.json")).unwrap();
    assert!(!push(), "who logged out inside stays logged out");
    place.noted(LoginCommand::Out);
    place.replace(&login("own", 2));
    assert_eq!(place.held().file, InHome::Foreign);
    assert!(matches!(place.enter().has, Has::Leased(_)));
    assert_eq!(place.inside()["tokens"]["refresh_token"], "");
}

#[test]
fn an_open_session_puts_no_lease_back_where_the_user_wants_none_since() {
    let place = Place::new(Some(&login("a", 1)));
    place.enter();
    let FromHost::Lease(token, form) = place.has(Login::Lease) else { panic!("no lease") };
    let push = || push(&token, form, &place.at("private"), &place.at("record.json")).unwrap();
    assert!(push());
    // Another session is entered with `login: none`, while the first goes on to renew what it was given.
    place.enter_with(Login::None);
    assert!(!place.at("private/auth.json").exists());
    assert!(!push() && !place.at("private/auth.json").exists());
    place.enter();
    assert!(push(), "until one is wanted again");
}

#[test]
fn an_own_login_ends_with_its_file() {
    let place = Place::new(None);
    place.put_own();
    fs::remove_file(place.at("private/auth.json")).unwrap();
    place.enter();
    place.replace(&login("own", 2));
    assert_eq!(place.held().file, InHome::Foreign);
}

#[test]
fn where_all_of_the_login_was_once_it_is_remembered_until_the_home_is_made_anew() {
    for how in [Login::Lease, Login::None] {
        let place = Place::new(Some(&login("a", 1)));
        place.enter();
        assert!(!place.held().whole);
        place.enter_with(Login::Full);
        for _ in 0..2 {
            place.enter_with(how);
            assert!(place.held().whole, "{how}");
        }
        // What lies there then may hold it, so that it does not stay beside a live agent either.
        place.replace(&login("a", 1));
        place.enter_beside();
        assert!(!place.get("private").contains("rt-secret"));
        assert!(place.held().whole);
    }
    let place = Place::new(Some(r#"{"auth_mode":"apikey","OPENAI_API_KEY":"sk-secret"}"#));
    place.enter_with(Login::Full);
    assert!(!place.held().whole, "a key has no refresh token");
}

#[test]
fn that_the_home_of_the_host_was_shared_is_remembered_with_the_rest_of_the_record() {
    let place = Place::new(Some(&login("a", 1)));
    place.enter();
    let given = place.held().file;
    note_shared(&place.at("record.json")).unwrap();
    assert_eq!(place.held(), Held { file: given, whole: true });
    place.enter();
    assert!(place.held().whole);
}

#[test]
fn what_is_no_file_gives_way_to_the_login_and_leads_nowhere() {
    let plant: [fn(&Path); 3] = [
        |path| symlink("../victim", path).unwrap(),
        |path| fs::create_dir_all(path.join("deep")).unwrap(),
        |path| {
            let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600));
            rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).unwrap();
        },
    ];
    for plant in plant {
        let place = Place::new(Some(&login("a", 1)));
        fs::write(place.at("victim"), login("b", 2)).unwrap();
        plant(&place.at("private/auth.json"));
        assert!(matches!(place.enter().has, Has::Leased(_)));
        assert_eq!(place.inside()["tokens"]["refresh_token"], "");
        assert_eq!(fs::read_to_string(place.at("victim")).unwrap(), login("b", 2));
        assert_eq!(place.get("host"), login("a", 1));
        let left: Vec<_> = fs::read_dir(place.at("private")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        // A directory of any size is not removed here.
        let aside = std::path::Path::new("auth.json.aside-1");
        assert!(left.iter().all(|name| name == "auth.json" || name == aside), "{left:?}");
    }
}

#[test]
fn a_copy_that_an_earlier_version_put_in_does_not_stay() {
    for unsure in [false, true] {
        let place = Place::new(Some(&login("a", 1)));
        place.put("private", &login("a", 1));
        fs::write(place.at("record.json"), r#"{"login":"f","session":null}"#).unwrap();
        if unsure {
            place.answer(&says("chatgpt", None));
        }
        let said = lines(place.enter_beside());
        assert!(said.contains("was removed"), "{said}");
        let left = fs::read_to_string(place.at("private/auth.json")).unwrap_or_default();
        assert!(!left.contains("rt-secret"));
        assert!(place.held().whole, "it may have been copied");
    }
}

#[test]
fn a_call_that_ends_at_any_moment_leaves_no_doubt_about_the_file() {
    for renamed in [false, true] {
        let place = Place::new(Some(&login("a", 1)));
        place.enter();
        let before = place.record();
        // Another lease is noted, then renamed, and the call ends before it is noted as given.
        let dir = crate::beneath::Beneath::root(&place.at("private")).unwrap();
        let mut pending = None;
        let note = |file| {
            let given = before.given.clone().unwrap();
            pending = Some(Given { file, fingerprint: "of the new one".into(), ..given });
            if renamed { Ok(()) } else { anyhow::bail!("it ends here") }
        };
        assert_eq!(dir.write_noting("auth.json", "{}", 0o600, &|| false, note).is_ok(), renamed);
        LoginRecord { pending, ..before.clone() }.write(&place.at("record.json")).unwrap();
        let given = |held: Held| matches!(held.file, InHome::Given(Gift::Lease, Some(_)));
        assert_eq!(given(place.held()), !renamed, "what may have been changed since is not promised");
        // Where the host cannot be asked it stays, and is known again; where it has a lease it is written again.
        place.answer(&says("chatgpt", None));
        fs::remove_dir_all(place.at("logins")).unwrap();
        assert_eq!(place.enter().has, Has::Unsure(Unsure::Dead));
        assert!(place.at("private/auth.json").exists() && given(place.held()));
        place.answer(&says("chatgpt", Some(&token("two", 700_000))));
        assert_eq!(lines(place.enter()).lines().count(), 1, "nothing of a stranger's was there");
        assert!(given(place.held()));
    }
}

#[test]
fn what_is_written_to_while_it_is_written_is_not_what_was_given() {
    let place = Place::new(Some(&login("a", 1)));
    fs::create_dir_all(place.at("private")).unwrap();
    let dir = crate::beneath::Beneath::root(&place.at("private")).unwrap();
    // An agent has opened the file before its place was taken, and gives it back its size and time.
    let mut held = None;
    let mut file = dir
        .write_noting("auth.json", "token", 0o600, &|| false, |_| {
            let temp = fs::read_dir(place.at("private")).unwrap().map(|entry| entry.unwrap().path()).next().unwrap();
            held = Some(fs::File::options().write(true).open(temp)?);
            Ok(())
        })
        .unwrap();
    let mut other = held.unwrap();
    let times = other.metadata().unwrap().modified().unwrap();
    std::io::Write::write_all(&mut other, b"other").unwrap();
    other.set_modified(times).unwrap();
    assert_eq!(crate::beneath::settled(&mut file, b"token").unwrap(), None);
    assert!(crate::beneath::settled(&mut file, b"other").unwrap().is_some());
}
