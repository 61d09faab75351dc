//! When the host's Codex is asked for a new token, and where that goes.

use super::super::*;
use super::*;

/// A host whose token has four minutes left, and is renewed where Codex is asked for that.
fn with_four_minutes() -> Place {
    let place = Place::new(Some(&login("a", 1)));
    place.answer(&says("chatgpt", Some(&token("old", 240))));
    fs::write(place.at("renewed"), says("chatgpt", Some(&token("new", 800_000)))).unwrap();
    place
}

#[test]
fn a_token_of_four_minutes_is_renewed_once_and_then_left_alone() {
    let place = with_four_minutes();
    place.enter();
    assert_eq!(place.inside()["tokens"]["access_token"], token("new", 800_000));
    // The renewal, the look at what the file has after it, and the form.
    assert_eq!(place.asked(), (3, 1));
    place.enter();
    assert_eq!(place.asked(), (0, 0));
}

#[test]
fn a_renewal_that_was_begun_is_waited_for_whoever_wants_to_stop() {
    let place = with_four_minutes();
    fs::write(place.at("slow"), "").unwrap();
    let begun = || fs::read_to_string(place.at("asked")).is_ok_and(|text| text.contains("renewed"));
    let asker = Asker::new(&place.cx, &place.codex.binary, &place.at("host"));
    let patience = Patience { stop: &begun, insists: &|| false };
    let CodexSays::Token(got) = asker.token(true, false, patience).unwrap() else { panic!("no token") };
    assert_eq!(got.secret(), token("new", 800_000));
}

#[test]
fn a_renewal_that_codex_begins_by_itself_is_waited_for_unless_the_user_insists() {
    let place = Place::new(Some(&login("a", 1)));
    fs::write(place.at("slow-start"), "").unwrap();
    let asker = Asker::new(&place.cx, &place.codex.binary, &place.at("host"));
    let ask = |by_itself, insists: bool| {
        asker.token(false, by_itself, Patience { stop: &|| true, insists: &|| insists }).unwrap()
    };
    assert!(matches!(ask(true, false), CodexSays::Token(_)));
    let interrupted = CodexSays::Silent("it was interrupted");
    assert_eq!((ask(false, false), ask(true, true)), (interrupted.clone(), interrupted));
}

#[test]
fn codex_may_renew_by_itself_where_little_life_is_left_or_nobody_knows_how_much() {
    let with = |left: u64| {
        let token = token("t", left);
        let whole: Value = serde_json::from_str(&login("a", 1)).unwrap();
        let mut whole = whole;
        whole["tokens"]["access_token"] = token.into();
        Place::new(Some(&whole.to_string())).leases().renews_itself()
    };
    assert_eq!((with(240), with(800_000)), (true, false));
    let place = Place::new(None);
    fs::write(place.at("host/config.toml"), "cli_auth_credentials_store = \"keyring\"").unwrap();
    assert!(place.leases().renews_itself(), "a keyring that was never asked");
    place.enter();
    assert!(!place.leases().renews_itself(), "what it had then");
}

#[test]
fn a_lease_that_could_not_be_had_at_the_entry_is_given_while_the_session_goes_on() {
    let place = Place::new(Some(&login("a", 1)));
    place.answer(&says("chatgpt", None));
    assert_eq!(place.enter().has, Has::Unsure(Unsure::Dead));
    let new = Token::parse(&token("new", 600_000)).unwrap();
    let push = || push(&new, Form::AuthTokens, &place.at("private"), &place.at("record.json")).unwrap();
    assert!(push());
    assert_eq!(place.inside()["tokens"]["access_token"], token("new", 600_000));
    fs::remove_file(place.at("private/auth.json")).unwrap();
    assert!(!push(), "who logged out inside stays logged out");
}

#[test]
fn where_the_server_renews_nothing_the_old_token_is_used_until_its_end() {
    let place = Place::new(Some(&login("a", 1)));
    let old = says("chatgpt", Some(&token("old", 240)));
    place.answer(&old);
    fs::write(place.at("renewed"), &old).unwrap();
    assert!(matches!(place.enter().has, Has::Leased(_)));
    place.asked();
    assert!(place.leases().good(RETRY).is_some(), "a session does not ask all the time");
    let ended = says("chatgpt", Some(&token("old", 0)));
    place.answer(&ended);
    fs::write(place.at("renewed"), &ended).unwrap();
    let before = place.get("private");
    let outcome = place.enter();
    assert!(lines(outcome).contains("was not renewed: is the network there?"), "{outcome:?}");
    assert_eq!(place.get("private"), before);
}

#[test]
fn a_dead_refresh_token_is_asked_about_twice() {
    let place = Place::new(Some(&login("a", 1)));
    place.answer(&says("chatgpt", None));
    place.enter();
    assert_eq!(place.asked(), (2, 0));
}

#[test]
fn a_renewal_that_is_left_to_codex_is_the_only_one() {
    let place = with_four_minutes();
    fs::write(place.at("slow"), "").unwrap();
    let begun = || fs::read_to_string(place.at("asked")).is_ok_and(|text| text.contains("renewed"));
    // The user presses Ctrl-C twice.
    let patience = Patience { stop: &begun, insists: &begun };
    let CodexSays::Token(left) = place.leases().get(Duration::ZERO, patience).unwrap() else { panic!("no token") };
    assert_eq!(left.secret(), token("old", 240), "it was not waited for");
    // It goes on: whoever asks next waits, and has what it brought.
    let CodexSays::Token(got) = place.leases().get(Duration::ZERO, Patience::ENDLESS).unwrap() else {
        panic!("no token")
    };
    assert_eq!(got.secret(), token("new", 800_000));
    assert_eq!(place.asked().1, 1);
}

#[test]
fn two_sandboxes_at_once_renew_it_once() {
    let place = with_four_minutes();
    let (a, b) = crate::exec::both(|| place.has(Login::Lease), || place.has(Login::Lease));
    for got in [a, b] {
        let FromHost::Lease(got, _) = got else { panic!("no lease") };
        assert_eq!(got.secret(), token("new", 800_000));
    }
    assert_eq!(place.asked().1, 1);
}

#[test]
fn a_session_that_began_with_a_lease_gives_none_to_a_sandbox_that_was_entered_without_since() {
    let place = Place::new(Some(&login("a", 1)));
    place.enter();
    let new = Token::parse(&token("new", 600_000)).unwrap();
    let push = || push(&new, Form::AuthTokens, &place.at("private"), &place.at("record.json")).unwrap();
    place.enter_with(Login::None);
    assert!(!push() && !place.at("private/auth.json").exists());
    place.enter();
    assert!(push());
}

#[test]
fn a_renewed_lease_replaces_the_one_that_was_given_and_nothing_else() {
    let place = Place::new(Some(&login("a", 1)));
    place.enter();
    let new = Token::parse(&token("new", 600_000)).unwrap();
    let push = || push(&new, Form::AuthTokens, &place.at("private"), &place.at("record.json")).unwrap();
    assert!(push());
    assert_eq!(place.inside()["tokens"]["access_token"], token("new", 600_000));
    fs::remove_file(place.at("private/auth.json")).unwrap();
    assert!(!push(), "who logged out inside stays logged out");
    assert!(!place.at("private/auth.json").exists());
    symlink(place.at("host/auth.json"), place.at("private/auth.json")).unwrap();
    assert!(!push());
    assert_eq!(place.get("host"), login("a", 1));
    assert!(matches!(place.enter().has, Has::Leased(_)), "the next entry gives it again");
}
