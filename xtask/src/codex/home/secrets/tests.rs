use super::*;

/// What no test may find in what goes in or is said.
const VALUE: &str = "v4lue-of-a-secret";

fn keys(name: &str, text: &str) -> Vec<String> {
    let looked = look(&[Path::new(name)], text.into(), ConfigSecrets::Pass);
    assert_eq!(looked.bytes.as_deref(), Some(text.as_bytes()), "nothing is changed");
    looked.keys.into_iter().map(|key| key.unwrap_or("*".to_owned())).collect()
}

fn dropped(name: &str, text: &str) -> Option<String> {
    let looked = look(&[Path::new(name)], text.into(), ConfigSecrets::Drop);
    looked.bytes.map(|bytes| String::from_utf8(bytes).unwrap())
}

/// A line of TOML and of JSON for every place of the documented configuration, with the key that is named.
const PLACES: &[(&str, &str)] = &[
    ("model_providers.p.experimental_bearer_token", "model_providers.p.experimental_bearer_token = \"VALUE\""),
    ("model_providers.p.http_headers.X-Key", "model_providers.p.http_headers = { X-Key = \"VALUE\" }"),
    ("model_providers.p.query_params.key", "[model_providers.p.query_params]\nkey = \"VALUE\""),
    ("model_providers.p.base_url", "model_providers.p.base_url = \"https://me:VALUE@example.org/v1\""),
    ("model_providers.p.auth.args", "model_providers.p.auth.args = [\"--token\", \"VALUE\"]"),
    ("mcp_servers.m.env.A", "[mcp_servers.m.env]\nA = \"VALUE\""),
    ("mcp_servers.m.http_headers.X", "[mcp_servers.m]\nhttp_headers.X = \"VALUE\""),
    ("mcp_servers.m.bearer_token", "mcp_servers.m.bearer_token = \"VALUE\""),
    ("mcp_servers.m.url", "mcp_servers.m.url = \"https://example.org/mcp?api_key=VALUE\""),
    ("mcp_servers.m.args", "mcp_servers.m.args = [\"-y\", \"x\", \"--api-key=VALUE\"]"),
    ("mcp_servers.m.args", "mcp_servers.m.args = [\"Authorization: Bearer VALUE\"]"),
    ("mcp_servers.m.command", "mcp_servers.m.command = \"sh -c 'GITHUB_TOKEN=VALUE x'\""),
    ("profiles.q.model_providers.p.http_headers.X", "[profiles.q.model_providers.p]\nhttp_headers = { X = \"VALUE\" }"),
    ("otel.exporter.otlp-http.headers.x", "[otel.exporter.\"otlp-http\"]\nheaders = { x = \"VALUE\" }"),
    ("shell_environment_policy.set.A", "shell_environment_policy.set = { A = \"VALUE\" }"),
    (
        "hooks.SessionStart.hooks.command",
        "[[hooks.SessionStart]]\n[[hooks.SessionStart.hooks]]\ncommand = \"A_TOKEN=VALUE x\"",
    ),
    ("later.apiKey", "later.apiKey = \"VALUE\""),
    ("later.client-secret", "later.client-secret = \"VALUE\""),
];

#[test]
fn every_place_of_a_secret_is_named_and_none_is_left_where_they_are_dropped() {
    for (key, line) in PLACES {
        let text = format!("model = \"m\" # mine\n{}\n", line.replace("VALUE", VALUE));
        assert_eq!(keys("/h/config.toml", &text), [*key], "{text}");
        let left = dropped("/h/config.toml", &text).unwrap();
        assert!(!left.contains(VALUE) && left.starts_with("model = \"m\" # mine\n"), "{left}");
        let root: DocumentMut = left.parse().unwrap();
        assert!(keys("/h/config.toml", &root.to_string()).is_empty(), "{left}");
        // The same in a plugin, as JSON.
        let root: toml_edit::DocumentMut = text.parse().unwrap();
        let json = json_of(root.as_item()).to_string();
        assert_eq!(keys("/h/.mcp.json", &json), [*key], "{json}");
        assert!(!dropped("/h/.mcp.json", &json).unwrap().contains(VALUE));
    }
}

fn json_of(item: &Item) -> Json {
    fn value(value: &Value) -> Json {
        match value {
            Value::Array(all) => all.iter().map(value_of).collect(),
            Value::InlineTable(table) => {
                table.iter().map(|(k, v)| (k.to_owned(), value_of(v))).collect::<serde_json::Map<_, _>>().into()
            }
            other => Json::from(other.as_str().unwrap_or_default()),
        }
    }
    fn value_of(of: &Value) -> Json {
        value(of)
    }
    match item {
        Item::Value(of) => value(of),
        Item::Table(table) => {
            table.iter().map(|(k, v)| (k.to_owned(), json_of(v))).collect::<serde_json::Map<_, _>>().into()
        }
        Item::ArrayOfTables(tables) => tables.iter().map(|table| json_of(&Item::Table(table.clone()))).collect(),
        Item::None => Json::Null,
    }
}

#[test]
fn files_that_hold_nothing_but_secrets_are_known_by_their_names_or_their_heads() {
    for name in [
        ".env", ".env.local", ".ENV", "prod.env", ".envrc", ".netrc", ".npmrc", "auth.json", "credentials",
        "credentials.json", "client_secret_1.json", "service_account.json", "secrets.yaml", "id_ed25519", "store.p12",
        "env", "netrc", "password", "api_key.txt", "auth.json.bak", "auth.json~",
    ] {
        let path = format!("/h/skills/s/{name}");
        assert_eq!(keys(&path, "A=1"), ["*"], "{name}");
        assert_eq!(dropped(&path, "A=1"), None, "{name}");
    }
    assert_eq!(keys("/h/hooks/k.pem", "-----BEGIN OPENSSH PRIVATE KEY-----\nx"), ["*"]);
    for name in ["id_ed25519.pub", "SKILL.md", "environment.md", "secrets.py", "run.sh", "ca.pem", "secrets.rules"] {
        assert!(keys(name, "-----BEGIN CERTIFICATE-----\n").is_empty(), "{name}");
    }
}

#[test]
fn what_names_a_secret_or_is_none_is_left_alone() {
    let text = "
        model_max_output_tokens = 5
        tool_output_token_limit = 7
        cli_auth_credentials_store = \"file\"
        [model_providers.p]
        env_key = \"A_KEY\"
        env_http_headers = { X = \"VARIABLE\" }
        base_url = \"https://example.org/v1\"
        [mcp_servers.m]
        bearer_token_env_var = \"A_TOKEN\"
        env_vars = [\"A_TOKEN\"]
        args = [\"--token\", \"$A_TOKEN\", \"--auth-token=${A_TOKEN}\", \"@scope/npm_config_registry-server\"]
        env = { A = \"\", B = \"${B}\" }
        command = \"basic-internationalization-of-words\"
        [hooks.state.\"/h/hooks.json\"]
        trusted_hash = \"sha256:0011223344556677\"
        [shell_environment_policy]
        inherit = \"core\"
        [tokenizer]
        tokenizer = \"cl100k\"
    ";
    assert_eq!(keys("config.toml", text), Vec::<String>::new());
    assert_eq!(dropped("config.toml", text).as_deref(), Some(text));
    assert!(keys("odd.toml", "= = =").is_empty() && keys("x.bin", "\u{0}").is_empty());
    assert_eq!(keys("odd.toml", "= ghp_0123456789abcdefghij"), ["*"]);
}

#[test]
fn they_are_named_by_their_places_and_never_by_their_values() {
    let found = |key: Option<&str>| Secret { file: "/h/config.toml".into(), key: key.map(str::to_owned) };
    let mut secrets =
        Secrets { policy: ConfigSecrets::Pass, found: vec![found(Some("mcp_servers.m.env.A")), found(None)] };
    let line = secrets.line().unwrap();
    assert!(
        line.contains("go in") && line.contains("`/h/config.toml` (`mcp_servers.m.env.A`), `/h/config.toml`"),
        "{line}"
    );
    assert!(secrets.go_in());
    secrets.policy = ConfigSecrets::Drop;
    assert!(secrets.line().unwrap().contains("left out") && !secrets.go_in());
    secrets.found = vec![found(None); 100];
    assert!(secrets.line().unwrap().contains(" and 92 more"));
    assert_eq!(Secrets::default().line(), None);
}

#[test]
fn json_that_others_may_read_otherwise_is_a_secret_as_a_whole() {
    for (name, text) in [
        ("x.json", "{\"env\":{\"A\":\"x\"},}"),
        ("x.json", "{\"env\":{\"A\":\"x\"}, \"env\":{}}"),
        ("x.json", "{\"a\":[{\"b\":{\"token\":\"x\",\"token\":\"\"}}]}"),
        ("x.jsonc", "{// mine\n\"env\":{\"A\":\"x\"}}"),
    ] {
        assert_eq!(keys(name, text), ["*"], "{text}");
        assert_eq!(dropped(name, text), None, "{text}");
    }
    assert!(keys("x.json", "{\"a\":[1,-2,0.5,null,true,\"b\",{}]}").is_empty());
    assert!(keys("x.json", " \n").is_empty());
}

#[test]
fn a_number_behind_the_name_of_a_secret_is_one_and_a_count_of_tokens_is_none() {
    assert_eq!(keys("x.toml", "password = 12345678\nmax_tokens = 5\n"), ["password"]);
    assert_eq!(dropped("x.toml", "password = 12345678\nx = 1\n").unwrap(), "x = 1\n");
    assert_eq!(keys("x.json", "{\"env\":{\"PIN\":1234},\"args\":[\"--password\",123]}"), ["env.PIN", "args"]);
    let left = dropped("x.json", "{\"env\":{\"PIN\":1234},\"args\":[\"--password\",12345]}").unwrap();
    assert!(!left.contains("1234"), "{left}");
    assert_eq!(keys("x.toml", "args = [\"--pat\", \"abc\"]\n"), ["args"]);
}
