use super::*;
use serde_json::{Value, json};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;

/// A token as OpenAI makes them, unsigned.
fn jwt(user: &str, session: &str, ends: u64) -> String {
    let claims = json!({
        "exp": ends,
        "session_id": session,
        "https://api.openai.com/auth": {"chatgpt_account_id": "acc1", "chatgpt_user_id": user},
    });
    let mut text = String::new();
    for chunk in claims.to_string().as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for i in 0..=chunk.len() {
            let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            text.push(char::from(alphabet[(bits >> (18 - 6 * i) & 63) as usize]));
        }
    }
    format!("e30.{text}.sig")
}

const FAR: u64 = 4_000_000_000;

fn login_of(user: &str, session: &str, account: &str, token: &str, day: u32, ends: u64) -> String {
    json!({
        "auth_mode": "chatgpt",
        "OPENAI_API_KEY": null,
        "tokens": {
            "id_token": jwt(user, session, ends),
            "access_token": jwt(user, session, ends),
            "refresh_token": format!("rt-secret-{token}"),
            "account_id": account,
        },
        "last_refresh": format!("2025-01-{day:02}T00:00:00.123456789Z"),
    })
    .to_string()
}

fn login(token: &str, day: u32) -> String {
    login_of("u1", "s1", "acc1", token, day, FAR)
}

struct Place {
    temp: tempfile::TempDir,
}

impl Place {
    fn new(host: Option<&str>, private: Option<&str>) -> Place {
        let place = Place { temp: tempfile::tempdir().unwrap() };
        for (side, text) in [("host", host), ("private", private)] {
            fs::create_dir(place.at(side)).unwrap();
            if let Some(text) = text {
                place.put(side, text);
            }
        }
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn put(&self, side: &str, text: &str) {
        fs::write(self.at(side).join("auth.json"), text).unwrap();
    }

    fn get(&self, side: &str) -> String {
        fs::read_to_string(self.at(side).join("auth.json")).unwrap()
    }

    fn reconcile(&self) -> LoginOutcome {
        reconcile(&self.at("host"), &self.at("private"), &self.at("record.json")).unwrap()
    }

    fn burnt(&self) -> Option<Burnt> {
        let (host, private, record) = (self.at("host"), self.at("private"), self.at("record.json"));
        burnt(&host, &private, &record, SystemTime::now()).unwrap()
    }

    fn token(&self, side: &str) -> String {
        let value: Value = serde_json::from_str(&self.get(side)).unwrap();
        value["tokens"]["refresh_token"].as_str().unwrap().replace("rt-secret-", "")
    }
}

#[test]
fn a_new_sandbox_is_given_the_login_and_a_renewed_token_comes_back() {
    let place = Place::new(Some(&login("a", 1)), None);
    assert_eq!(place.reconcile(), LoginOutcome::Given);
    let meta = fs::metadata(place.at("private/auth.json")).unwrap();
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    assert_eq!(place.reconcile(), LoginOutcome::Same);
    place.put("private", &login("b", 2));
    assert_eq!(place.burnt(), None);
    assert_eq!(place.reconcile(), LoginOutcome::ToHost);
    assert_eq!(place.token("host"), "b");
    let meta = fs::metadata(place.at("host/auth.json")).unwrap();
    assert_eq!((meta.permissions().mode() & 0o777, meta.nlink()), (0o600, 1));
    assert_eq!(place.reconcile(), LoginOutcome::Same);
    place.put("host", &login("c", 3));
    assert_eq!(place.reconcile(), LoginOutcome::ToSandbox);
    assert_eq!(place.token("private"), "c");
}

#[test]
fn only_tokens_cross_and_the_link_of_the_host_stays() {
    let place = Place::new(None, None);
    fs::create_dir(place.at("dotfiles")).unwrap();
    fs::write(place.at("dotfiles/auth.json"), login("a", 1)).unwrap();
    symlink("../dotfiles/auth.json", place.at("host/auth.json")).unwrap();
    assert_eq!(place.reconcile(), LoginOutcome::Given);
    place.put("private", &login("b", 2).replace("null", "\"sk-planted\""));
    assert_eq!(place.reconcile(), LoginOutcome::ToHost);
    assert!(fs::symlink_metadata(place.at("host/auth.json")).unwrap().is_symlink());
    assert_eq!(place.token("host"), "b");
    assert!(!place.get("host").contains("sk-planted"));
    assert!(place.at("dotfiles/auth.json.lock").exists());
}

#[test]
fn a_host_without_a_login_never_gets_one() {
    let place = Place::new(None, Some(&login("b", 2)));
    let line = place.reconcile().to_string();
    assert_eq!(line, "login: the host has none; `codex login` on the host, or `codex login --device-auth` inside");
    fs::write(place.at("host/config.toml"), "cli_auth_credentials_store = \"keyring\"").unwrap();
    assert!(place.reconcile().to_string().contains("keyring"));
    assert!(!place.at("host/auth.json").exists());
}

#[test]
fn a_login_of_its_own_stays_where_it_is() {
    let key = r#"{"auth_mode":"apikey","OPENAI_API_KEY":"sk-own"}"#;
    for (private, why) in [
        (key.to_owned(), "an API key"),
        (login_of("u1", "s1", "acc2", "b", 2, FAR), "another account"),
        (login_of("u1", "s2", "acc1", "b", 2, FAR), "the same account, signed in inside"),
        (r#"{"personal_access_token":"p"}"#.into(), "of another kind"),
        (login("b", 2).replace("auth_mode", "new_key"), "of another kind"),
    ] {
        let place = Place::new(Some(&login("a", 1)), None);
        assert_eq!(place.reconcile(), LoginOutcome::Given);
        place.put("private", &private);
        assert_eq!(place.reconcile(), LoginOutcome::Own(why));
        assert_eq!((place.token("host").as_str(), place.get("private")), ("a", private));
    }
}

#[test]
fn a_new_sign_in_on_the_host_reaches_a_sandbox_that_had_renewed_the_old_one() {
    let place = Place::new(Some(&login("a", 1)), None);
    assert_eq!(place.reconcile(), LoginOutcome::Given);
    place.put("private", &login("b", 5));
    place.put("host", &login_of("u2", "s9", "acc2", "c", 3, FAR));
    assert_eq!(place.reconcile(), LoginOutcome::ToSandbox);
    assert_eq!(place.token("private"), "c");
}

#[test]
fn tokens_of_somebody_else_or_of_the_future_do_not_cross() {
    for (private, why) in [
        (login_of("attacker", "s1", "acc1", "b", 2, FAR), "the sandbox's tokens are not of the host's user"),
        (login("b", 2).replace("2025", "2999"), "the sandbox's login is dated in the future"),
        (login("b", 1), "it cannot be told which login is newer"),
        (login("b", 2).replace("2025-01-02", "soon"), "it cannot be told which login is newer"),
    ] {
        let place = Place::new(Some(&login("a", 1)), Some(&private));
        assert_eq!(place.reconcile(), LoginOutcome::Refused(why));
        assert_eq!(place.token("host"), "a");
    }
}

#[test]
fn garbage_does_not_cross_and_is_left_alone() {
    let huge = format!("{}{}", login("b", 2), " ".repeat(70_000));
    for private in ["", "{", "[]", "null", &huge] {
        let place = Place::new(Some(&login("a", 1)), Some(private));
        assert!(matches!(place.reconcile(), LoginOutcome::Refused(_)), "{:.20}", private);
        assert_eq!((place.token("host").as_str(), place.get("private").as_str()), ("a", private));
    }
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
        let place = Place::new(Some(&login("a", 1)), None);
        fs::write(place.at("victim"), login("b", 2)).unwrap();
        plant(&place.at("private/auth.json"));
        plant(&place.at("private/auth.lock"));
        assert_eq!(place.reconcile(), LoginOutcome::Given);
        assert_eq!((place.token("host").as_str(), place.token("private").as_str()), ("a", "a"));
        assert_eq!(fs::read_to_string(place.at("victim")).unwrap(), login("b", 2));
    }
}

#[test]
fn a_codex_that_is_renewing_is_not_disturbed() {
    let place = Place::new(Some(&login("a", 1)), Some(&login("b", 2)));
    let _held = host_lock(&place.at("host/auth.lock")).unwrap().unwrap();
    assert_eq!(place.reconcile(), LoginOutcome::Busy);
    assert_eq!(place.token("host"), "a");
}

#[test]
fn a_burnt_login_is_told_with_what_mends_it() {
    let ended = login_of("u1", "s1", "acc1", "a", 1, 1_700_000_000);
    let place = Place::new(Some(&ended), None);
    assert_eq!(place.reconcile(), LoginOutcome::Given);
    assert_eq!(place.burnt(), Some(Burnt::NotRenewed));
    place.put("host", &login("b", 2));
    assert_eq!(place.burnt(), None, "the host has renewed it");
    place.put("private", &login("c", 3));
    assert_eq!(place.burnt(), Some(Burnt::Forked));
    for burnt in [Burnt::NotRenewed, Burnt::Forked] {
        assert!(burnt.to_string().contains("run `codex login` on the host"));
    }
}

#[test]
fn no_token_is_shown_or_recorded() {
    let place = Place::new(Some(&login("a", 1)), None);
    let mut said = format!("{:?} {}", place.reconcile(), place.burnt().is_some());
    place.put("private", &login("b", 2).replace("2025", "x"));
    said += &format!("{:?}", place.reconcile());
    place.put("private", "{\"tokens\": \"rt-secret-c\" ");
    said += &place.reconcile().to_string();
    fs::remove_dir_all(place.at("private")).unwrap();
    let (host, private, record) = (place.at("host"), place.at("private"), place.at("record.json"));
    said += &crate::error::render(&reconcile(&host, &private, &record).unwrap_err());
    said += &fs::read_to_string(record).unwrap();
    assert!(!said.contains("secret") && !said.contains("e30."), "{said}");
}

#[test]
fn the_hosts_login_is_known_by_its_kind_and_place() {
    let home = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(home.path().join(name), text).unwrap();
    assert_eq!(of_host(home.path()), HostLogin::None);
    write("config.toml", "cli_auth_credentials_store = \"keyring\"\n");
    assert_eq!(of_host(home.path()), HostLogin::Keyring);
    write("auth.json", r#"{"OPENAI_API_KEY": "k"}"#);
    assert_eq!(of_host(home.path()), HostLogin::ApiKey);
    let tokens = r#"{"id_token": "a", "access_token": "b", "refresh_token": "c", "account_id": "d"}"#;
    write("auth.json", &format!(r#"{{"auth_mode": "chatgpt", "tokens": {tokens}}}"#));
    assert_eq!(of_host(home.path()), HostLogin::ChatGpt);
    write("auth.json", "{");
    assert_eq!(of_host(home.path()), HostLogin::Odd);
}
