use super::token::{made_up, unsigned};
use super::*;
use crate::codex::Layout;
use serde_json::{Value, json};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;

/// Answers as the app-server of Codex does, from the file `answer` beside it; a renewal puts `renewed` in its place. In any
/// other home than `host` it has the login of that home's file.
const STAND_IN: &str = r#"#!/bin/sh
dir=${0%/*}
echo asked >> "$dir/asked"
answer=$dir/answer
if [ "${CODEX_HOME##*/}" != host ]; then
    token=$(sed -n 's/.*"access_token": "\(.*\)".*/\1/p' "$CODEX_HOME/auth.json")
    echo "{\"id\":2,\"result\":{\"authMethod\":\"chatgptAuthTokens\",\"authToken\":\"$token\"}}" > "$dir/tried"
    answer=$dir/tried
fi
while read -r line; do
    case $line in
        *'"id":1,'*) echo '{"method":"warning"}'; echo '{"id":1,"result":{"userAgent":"codex"}}' ;;
        *'"id":2,'*) [ -f "$dir/silent" ] || cat "$answer" ;;
        *'"id":3,'*) echo renewed >> "$dir/asked"; cat "$dir/renewed" > "$answer"
            [ ! -f "$dir/slow" ] || sleep 1
            echo >> "$CODEX_HOME/auth.json"; sed 's/"id":2/"id":3/' "$answer" ;;
    esac
done
"#;

/// One and the same in all of a test.
fn now() -> u64 {
    static NOW: std::sync::OnceLock<SystemTime> = std::sync::OnceLock::new();
    NOW.get_or_init(SystemTime::now).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// A token of ten days that ends so many seconds from now.
fn token(name: &str, left: u64) -> String {
    unsigned(&made_up(now() + left - 864_000, now() + left, name))
}

fn says(method: &str, token: Option<&str>) -> String {
    let result = json!({"authMethod": method, "authToken": token, "requiresOpenaiAuth": true});
    format!("{}\n", json!({"id": 2, "result": result}))
}

/// The whole login of a ChatGPT account, as it lies on the host.
fn login(name: &str, day: u32) -> String {
    let token = unsigned(&made_up(0, 4_000_000_000, name));
    json!({
        "auth_mode": "chatgpt",
        "OPENAI_API_KEY": null,
        "tokens": {
            "id_token": token, "access_token": token, "refresh_token": format!("rt-secret-{name}"), "account_id": "account",
        },
        "last_refresh": format!("2025-01-{day:02}T00:00:00.123456789Z"),
    })
    .to_string()
}

struct Place {
    temp: tempfile::TempDir,
    cx: Context,
    codex: Codex,
}

impl Place {
    fn new(host: Option<&str>) -> Place {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        fs::create_dir(at("host")).unwrap();
        fs::create_dir(at("private")).unwrap();
        fs::write(at("codex"), STAND_IN).unwrap();
        fs::set_permissions(at("codex"), fs::Permissions::from_mode(0o755)).unwrap();
        let codex = Codex {
            launcher: at("codex"),
            binary: at("codex"),
            layout: Layout::Binary,
            version: "0.171.0".into(),
            root: None,
            helper: true,
            package: PathBuf::new(),
            items: Vec::new(),
            notes: Vec::new(),
        };
        let place = Place { cx: Context { state: at("state"), ..Context::default() }, codex, temp };
        place.answer(&says("chatgpt", Some(&token("one", 800_000))));
        host.into_iter().for_each(|text| place.put("host", text));
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

    fn answer(&self, text: &str) {
        fs::write(self.at("answer"), text).unwrap();
    }

    fn has(&self, how: Login) -> FromHost {
        from_host(&self.cx, how, &self.at("host"), &self.codex, (&self.at("logins"), &|| false)).unwrap()
    }

    /// An entry.
    fn enter(&self) -> LoginOutcome {
        self.enter_with(Login::Lease)
    }

    fn enter_with(&self, how: Login) -> LoginOutcome {
        give(&self.has(how), &self.at("private"), &self.at("record.json")).unwrap()
    }

    /// How often Codex was started, and how often it was told to renew, since this was last asked.
    fn asked(&self) -> (usize, usize) {
        let text = fs::read_to_string(self.at("asked")).unwrap_or_default();
        let _ = fs::remove_file(self.at("asked"));
        let count = |word: &str| text.lines().filter(|line| *line == word).count();
        (count("asked"), count("renewed"))
    }

    fn leases(&self) -> Leases {
        Leases::new(&self.at("logins"), &self.at("host"), Asker::new(&self.cx, &self.codex.binary, &self.at("host")))
    }

    fn inside(&self) -> Value {
        serde_json::from_str(&self.get("private")).unwrap()
    }
}

fn lines(outcome: LoginOutcome) -> String {
    outcome.to_string()
}

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
        let held = super::held(&place.at("private"), &place.at("record.json")).unwrap();
        assert_eq!(held, InHome::Given(Gift::Full, None), "the claim breaks");
        place.enter_with(Login::Full);
        assert!(place.get("private").contains("rt-"), "with `full` it stays");
        place.enter_with(how);
        assert!(!place.at("private/auth.json").exists() || !place.get("private").contains("rt-"), "{how}");
    }
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
fn a_token_of_four_minutes_is_renewed_once_and_then_left_alone() {
    let place = Place::new(Some(&login("a", 1)));
    place.answer(&says("chatgpt", Some(&token("old", 240))));
    fs::write(place.at("renewed"), says("chatgpt", Some(&token("new", 800_000)))).unwrap();
    place.enter();
    assert_eq!(place.inside()["tokens"]["access_token"], token("new", 800_000));
    // The renewal, the look at what the file has after it, and the form.
    assert_eq!(place.asked(), (3, 1));
    place.enter();
    assert_eq!(place.asked(), (0, 0));
}

#[test]
fn a_renewal_that_was_begun_is_waited_for_whoever_wants_to_stop() {
    let place = Place::new(Some(&login("a", 1)));
    place.answer(&says("chatgpt", Some(&token("old", 240))));
    fs::write(place.at("renewed"), says("chatgpt", Some(&token("new", 800_000)))).unwrap();
    fs::write(place.at("slow"), "").unwrap();
    let begun = || fs::read_to_string(place.at("asked")).is_ok_and(|text| text.contains("renewed"));
    let asker = Asker::new(&place.cx, &place.codex.binary, &place.at("host"));
    let CodexSays::Token(got) = asker.token(true, begun).unwrap() else { panic!("no token") };
    assert_eq!(got.secret(), token("new", 800_000));
}

#[test]
fn where_the_server_renews_nothing_the_old_token_is_used_until_its_end() {
    let place = Place::new(Some(&login("a", 1)));
    let old = says("chatgpt", Some(&token("old", 240)));
    place.answer(&old);
    fs::write(place.at("renewed"), &old).unwrap();
    assert!(matches!(place.enter(), LoginOutcome::Leased(_)));
    place.asked();
    assert!(place.leases().good(RETRY).is_some(), "a session does not ask all the time");
    let ended = says("chatgpt", Some(&token("old", 0)));
    place.answer(&ended);
    fs::write(place.at("renewed"), &ended).unwrap();
    let before = place.get("private");
    let outcome = place.enter();
    assert!(lines(outcome).contains("was not renewed: is the network there?"), "{outcome}");
    assert_eq!(place.get("private"), before);
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
        (says("apikey", Some("sk-secret")), "an API key in a keyring"),
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
    let err = from_host(&place.cx, Login::Lease, &place.at("host"), &place.codex, (&place.at("logins"), &|| false))
        .err()
        .unwrap();
    let said = crate::error::render(&err);
    assert!(said.contains("hint: update Codex, or hand your login over whole with `login: full`"), "{said}");
    assert!(!said.contains("secret"));
}

#[test]
fn a_dead_refresh_token_is_asked_about_twice() {
    let place = Place::new(Some(&login("a", 1)));
    place.answer(&says("chatgpt", None));
    place.enter();
    assert_eq!(place.asked(), (2, 0));
}

#[test]
fn a_keyring_is_asked_by_age_and_a_log_out_takes_the_lease_back() {
    let place = Place::new(None);
    fs::write(place.at("host/config.toml"), "cli_auth_credentials_store = \"keyring\"").unwrap();
    assert!(matches!(place.enter(), LoginOutcome::Leased(_)));
    place.asked();
    place.enter();
    assert_eq!(place.asked(), (0, 0));
    fs::remove_file(place.at("host/config.toml")).unwrap();
    let said = lines(place.enter());
    assert!(said.contains("the host has none"), "{said}");
    assert_eq!(place.asked(), (0, 0));
    assert!(!place.at("private/auth.json").exists() && !place.at("record.json").exists());
    assert!(place.leases().good(RETRY).is_none(), "nor is it kept");
    fs::write(place.at("host/config.toml"), "cli_auth_credentials_store = \"keyring\"").unwrap();
    place.answer("{\"id\":2,\"result\":{\"authMethod\":null,\"authToken\":null,\"requiresOpenaiAuth\":true}}\n");
    let said = lines(place.enter());
    assert!(said.contains("no secret service in this session?"), "{said}");
}

#[test]
fn two_sandboxes_at_once_renew_it_once() {
    let place = Place::new(Some(&login("a", 1)));
    place.answer(&says("chatgpt", Some(&token("old", 240))));
    fs::write(place.at("renewed"), says("chatgpt", Some(&token("new", 800_000)))).unwrap();
    let (a, b) = crate::exec::both(|| place.has(Login::Lease), || place.has(Login::Lease));
    for got in [a, b] {
        let FromHost::Lease(got, _) = got else { panic!("no lease") };
        assert_eq!(got.secret(), token("new", 800_000));
    }
    assert_eq!(place.asked().1, 1);
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
        fs::remove_file(place.at("private/auth.json")).unwrap();
        place.put("private", &shape);
        let FromHost::Lease(token, form) = place.has(Login::Lease) else { panic!("no lease") };
        assert!(!push(&token, form, &place.at("private"), &place.at("record.json")).unwrap(), "{shape:.40}");
        assert_eq!(place.enter(), LoginOutcome::Own, "{shape:.40}");
        assert_eq!(place.get("private"), shape, "what the sandbox has of its own stays");
        assert_eq!(held(&place.at("private"), &place.at("record.json")).unwrap(), InHome::Own);
        assert!(host() == before, "{shape:.40}");
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
        let place = Place::new(Some(&login("a", 1)));
        fs::write(place.at("victim"), login("b", 2)).unwrap();
        plant(&place.at("private/auth.json"));
        assert!(matches!(place.enter(), LoginOutcome::Leased(_)));
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
    assert!(matches!(place.enter(), LoginOutcome::Leased(_)), "the next entry gives it again");
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
        let said = lines(place.enter());
        assert_eq!(said.contains("an earlier version of this tool had put in was removed"), unsure, "{said}");
        let left = fs::read_to_string(place.at("private/auth.json")).unwrap_or_default();
        assert!(!left.contains("rt-secret"));
    }
}

#[test]
fn a_call_that_ends_between_the_record_and_the_file_is_no_login_of_the_sandbox_s_own() {
    let place = Place::new(Some(&login("a", 1)));
    place.enter();
    let dir = crate::beneath::Beneath::root(&place.at("private")).unwrap();
    let old = dir.written("auth.json").unwrap().unwrap();
    let text = fs::read_to_string(place.at("record.json")).unwrap();
    let mut record: Value = serde_json::from_str(&text).unwrap();
    record["files"] = json!([old, {"ino": 1, "born": null, "size": 1, "modified": [1, 1]}]);
    record["fingerprint"] = "of the new one".into();
    fs::write(place.at("record.json"), record.to_string()).unwrap();
    assert!(matches!(place.enter(), LoginOutcome::Leased(_)));
    assert!(matches!(held(&place.at("private"), &place.at("record.json")), Ok(InHome::Given(Gift::Lease, Some(_)))));
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
    assert!(matches!(place.enter(), LoginOutcome::Leased(_)), "the setting was changed");
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
    said += &crate::error::render(&give(&host, &private, &record).unwrap_err());
    fs::remove_file(place.at("codex")).unwrap();
    place.put("host", &login("b", 2));
    said += &crate::error::render(&place.leases().get(RETRY, || false).err().unwrap());
    assert!(!said.contains("secret") && !said.contains("eyJ"), "{said}");
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
