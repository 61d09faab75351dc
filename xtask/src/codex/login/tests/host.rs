//! What the host has, and what goes in of it.

use super::super::*;
use super::*;

#[test]
fn the_access_token_alone_goes_in_and_codex_is_asked_once() {
    let place = Place::new(Some(&login("a", 1)));
    let said = lines(place.enter());
    assert!(said.contains("without the refresh token, until 2") && said.ends_with("(in 222 h)"), "{said}");
    assert_eq!(place.inside()["tokens"]["refresh_token"], "");
    assert_eq!(place.inside()["tokens"]["access_token"], token("one", 800_000));
    assert!(!place.get("private").contains("rt-"));
    let meta = fs::metadata(place.at("private/auth.json")).unwrap();
    assert_eq!((meta.permissions().mode() & 0o7777, meta.nlink()), (0o600, 1));
    assert_eq!(place.asked(), (2, 0), "for the token, and whether this version takes the form");
    place.enter();
    assert_eq!(place.asked(), (0, 0), "a second entry costs nothing");
    let kept: Vec<_> = fs::read_dir(place.at("logins")).unwrap().map(|dir| dir.unwrap().path()).collect();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(kept[0].clone()), mode(kept[0].join("lease.json"))), (0o700, 0o600));
}

#[test]
fn a_login_that_changed_on_the_host_is_asked_for_again() {
    let place = Place::new(Some(&login("a", 1)));
    place.enter();
    place.asked();
    place.put("host", &login("b", 2));
    place.answer(&says("chatgpt", Some(&token("two", 700_000))));
    place.enter();
    assert_eq!(place.asked(), (1, 0));
    assert_eq!(place.inside()["tokens"]["access_token"], token("two", 700_000));
}

#[test]
fn each_answer_that_is_no_token_has_its_line_and_writes_nothing() {
    let none = |requires: bool| {
        format!(
            "{}\n",
            json!({"id": 2, "result": {"authMethod": null, "authToken": null, "requiresOpenaiAuth": requires}})
        )
    };
    for (answer, line) in [
        (says("chatgpt", None), "cannot be renewed any more: run `codex login` on the host"),
        (none(true), "the host has none; `codex login`"),
        (none(false), "its provider needs none"),
        (says("apikey", Some("sk-secret")), "an API key in an `auth.json` of a form that this tool does not know"),
        (says("agentIdentity", Some("secret")), "neither a ChatGPT account nor an API key"),
        (String::new(), "was asked for an access token, and it"),
    ] {
        let place = Place::new(Some(&login("a", 1)));
        place.answer(&answer);
        if answer.is_empty() {
            fs::write(place.at("codex"), "#!/bin/sh\nexit 1\n").unwrap();
        }
        let said = lines(place.enter());
        assert!(said.contains(line) && !said.contains("secret"), "{said}");
        assert!(!place.at("private/auth.json").exists());
    }
    let place = Place::new(Some(&login("a", 1)));
    place.answer("{\"id\":2,\"error\":{\"code\":-32601,\"message\":\"secret\"}}\n");
    let err = place.try_has(Login::Lease).err().unwrap();
    let said = crate::error::render(&err);
    assert!(said.contains("hint: update Codex, or hand your login over whole with `login: full`"), "{said}");
    assert!(!said.contains("secret"));
}

#[test]
fn a_keyring_is_asked_by_age_and_a_log_out_takes_the_lease_back() {
    let place = Place::new(None);
    fs::write(place.at("host/config.toml"), "cli_auth_credentials_store = \"keyring\"").unwrap();
    assert!(matches!(place.enter().has, Has::Leased(_)));
    place.asked();
    place.enter();
    assert_eq!(place.asked(), (0, 0));
    fs::remove_file(place.at("host/config.toml")).unwrap();
    let said = lines(place.enter());
    assert!(said.contains("the host has none"), "{said}");
    assert_eq!(place.asked(), (0, 0));
    assert!(!place.at("private/auth.json").exists() && place.record().given.is_none());
    assert!(place.leases().good(RETRY).is_none(), "nor is it kept");
    fs::write(place.at("host/config.toml"), "cli_auth_credentials_store = \"keyring\"").unwrap();
    place.answer("{\"id\":2,\"result\":{\"authMethod\":null,\"authToken\":null,\"requiresOpenaiAuth\":true}}\n");
    let said = lines(place.enter());
    assert!(said.contains("no secret service in this session?"), "{said}");
}

#[test]
fn an_api_key_and_a_full_login_go_in_whole_and_nothing_is_said_of_them() {
    let key = r#"{"auth_mode":"apikey","OPENAI_API_KEY":"sk-secret"}"#;
    let place = Place::new(Some(key));
    let said = lines(place.enter());
    assert!(said.contains("your API key goes in as it is") && !said.contains("sk-"), "{said}");
    assert_eq!((place.get("private").as_str(), place.asked()), (key, (0, 0)));

    let place = Place::new(Some(&login("a", 1)));
    let said = lines(place.enter_with(Login::Full));
    assert!(said.contains("`codex login` there makes a new one"), "{said}");
    assert_eq!((place.get("private"), place.asked()), (login("a", 1), (0, 0)));
    assert!(matches!(place.enter().has, Has::Leased(_)), "the setting was changed");
    assert!(!place.get("private").contains("rt-secret"));
    assert!(lines(place.enter_with(Login::None)).contains("`login: none`"));
    assert!(!place.at("private/auth.json").exists());
    fs::remove_file(place.at("host/auth.json")).unwrap();
    fs::write(place.at("host/config.toml"), "cli_auth_credentials_store = \"auto\"").unwrap();
    assert!(lines(place.enter_with(Login::Full)).contains("out of which `login: full` cannot take it"));
}

#[test]
fn no_token_is_shown_or_recorded() {
    let place = Place::new(Some(&login("a", 1)));
    let mut said = lines(place.enter());
    said += &fs::read_to_string(place.at("record.json")).unwrap();
    said += &fs::read_to_string(place.at("state/cache/login-form.json")).unwrap();
    fs::remove_dir_all(place.at("private")).unwrap();
    fs::write(place.at("private"), "").unwrap();
    let (host, private, record) = (place.has(Login::Lease), place.at("private"), place.at("record.json"));
    said += &crate::error::render(&give(&host, Inside::Quiet, &private, &record).unwrap_err());
    fs::remove_file(place.at("codex")).unwrap();
    place.put("host", &login("b", 2));
    said += &crate::error::render(&place.leases().get(RETRY, Patience::ENDLESS).err().unwrap());
    assert!(!said.contains("secret") && !said.contains("eyJ"), "{said}");
}

#[test]
fn the_hosts_login_is_known_by_its_kind_and_place() {
    let home = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(home.path().join(name), text).unwrap();
    let host = HostCodex { home: home.path().into(), system: home.path().join("etc") };
    assert_eq!(of_host(&host), HostLogin::None);
    write("config.toml", "cli_auth_credentials_store = \"keyring\"\n");
    assert_eq!(of_host(&host), HostLogin::Keyring);
    write("auth.json", r#"{"OPENAI_API_KEY": "k"}"#);
    assert_eq!(of_host(&host), HostLogin::Keyring, "Codex does not look into the file");
    write("config.toml", "");
    assert_eq!(of_host(&host), HostLogin::ApiKey);
    let tokens = r#"{"id_token": "a", "access_token": "b", "refresh_token": "c", "account_id": "d"}"#;
    write("auth.json", &format!(r#"{{"auth_mode": "chatgpt", "tokens": {tokens}}}"#));
    assert_eq!(of_host(&host), HostLogin::ChatGpt);
    write("auth.json", "{");
    assert_eq!(of_host(&host), HostLogin::Odd);
}

#[test]
fn a_keyring_that_an_administrator_has_set_is_asked_and_the_file_is_not_taken() {
    let key = r#"{"auth_mode":"apikey","OPENAI_API_KEY":"sk-old"}"#;
    for layer in ["config.toml", "managed_config.toml"] {
        for file in [None, Some(key), Some(login("a", 1).as_str())] {
            let place = Place::new(file);
            fs::create_dir(place.at("etc")).unwrap();
            fs::write(place.at("etc").join(layer), "cli_auth_credentials_store = \"keyring\"").unwrap();
            assert!(matches!(place.enter().has, Has::Leased(_)), "{layer}");
            assert_eq!(place.inside()["tokens"]["access_token"], token("one", 800_000));
            let said = lines(place.enter_with(Login::Full));
            assert!(said.contains("out of which `login: full` cannot take it"), "{said}");
            assert!(!place.at("private/auth.json").exists());
        }
    }
}

#[test]
fn where_no_login_may_lie_in_a_file_none_goes_in() {
    let place = Place::new(Some(&login("a", 1)));
    place.enter();
    fs::create_dir(place.at("etc")).unwrap();
    fs::write(place.at("etc/requirements.toml"), "cli_auth_credentials_store = \"keyring\"").unwrap();
    assert_eq!(of_host(&place.host()), HostLogin::Barred);
    for how in [Login::Lease, Login::Full] {
        let said = lines(place.enter_with(how));
        assert!(said.contains("allows no login in a file"), "{said}");
        assert!(!place.at("private/auth.json").exists());
    }
}
