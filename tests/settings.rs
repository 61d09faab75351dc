//! `sandbox.yaml` and its JSON Schema: the file for editors says what the parser does.

use crate::support::place::repository;
use crate::support::schema::schema;
use serde_json::Value;
use snapbox::{Assert, Data};
use std::path::Path;
use xtask::context::Context;
use xtask::spec::settings::LOCAL_FILE;
use xtask::spec::settings::{self, Flags};

const FILE: &str = "sandbox.schema.json";

fn validator() -> jsonschema::Validator {
    let text = std::fs::read_to_string(repository().join(FILE)).expect(FILE);
    let schema: Value = serde_json::from_str(&text).expect("JSON");
    jsonschema::draft7::meta::validate(&schema).expect("a schema of draft 7");
    jsonschema::draft7::new(&schema).expect("a schema")
}

/// What an editor says of a settings file.
fn editor_takes(validator: &jsonschema::Validator, text: &str) -> bool {
    let value: Value = serde_yaml::from_str(text).expect("YAML");
    validator.is_valid(&value)
}

/// What the tool says of it.
fn tool_takes(text: &str) -> bool {
    let resolve = |layer| settings::resolve(&Context::default(), &Flags::default(), &[layer]);
    settings::parse(LOCAL_FILE, Path::new("/"), text).and_then(resolve).is_ok()
}

#[test]
fn the_schema_is_what_the_table_of_settings_says() {
    let text = format!("{:#}\n", schema());
    let kept = Data::read_from(&repository().join(FILE), Some(snapbox::data::DataFormat::Text));
    Assert::new().normalize_paths(false).action_env("SNAPSHOTS").eq(text, kept);
}

#[test]
fn the_settings_file_names_its_schema_and_keeps_to_it() {
    let text = std::fs::read_to_string(repository().join("sandbox.yaml")).expect("sandbox.yaml");
    let first = text.lines().next().expect("a line");
    assert_eq!(first, format!("# yaml-language-server: $schema={FILE}"));
    let value: Value = serde_yaml::from_str(&text).expect("YAML");
    let complaints: Vec<String> = validator().iter_errors(&value).map(|err| err.to_string()).collect();
    assert_eq!(complaints, Vec::<String>::new());
    // Whoever opens the file sees every setting that has a default, with that default.
    for key in settings::keys::KEYS.iter().filter(|key| !key.default.is_empty()) {
        let said = match &value[key.name] {
            Value::String(text) => text.clone(),
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
            other => other.to_string(),
        };
        assert_eq!(said, key.default, "{}", key.name);
    }
}

#[test]
fn an_editor_and_the_tool_take_the_same_files() {
    let validator = validator();
    let good = [
        "",
        "workspace: ~/project",
        "datasets: {ssv2: , k400: /data/k400}",
        "base: ubuntu",
        "arch_list: 12.0",
        "gpus: 0",
        "gpus: '0, 1'",
        "gpus: GPU-aaaa,MIG-b",
        "network:",
        "shm_size: 1073741824",
        "shm_size: 512M",
        "pids_limit: 100",
        "pids_limit: '100'",
        "env: [HF_TOKEN, _x]",
        "codex_home: shared",
        "memlock: engine",
        "caches: []",
        "caches:",
        "caches: [uv, pip]",
    ];
    let bad = [
        "[]", "just text", "dataset: {}", "datasets: [ssv2]", "datasets: {SSV2: /x}", "datasets: {ssv2: [/x]}",
        "base: [a]", "gpus: nnoe", "gpus: '0,all'", "gpus: 'a b'", "gpus: -0.5.x!", "network: opn", "network: [open]",
        "codex_home: mirorr", "shm_size: lots", "shm_size: 0", "shm_size: 1.5gb", "pids_limit: 0", "pids_limit: -1",
        "pids_limit: many", "memlock: 64m", "caches: pip", "caches: [pipp]", "caches: [[pip]]", "env: HF_TOKEN",
        "env: [A=b]", "env: [[A]]",
    ];
    for (texts, taken) in [(good.as_slice(), true), (bad.as_slice(), false)] {
        for text in texts {
            assert_eq!(tool_takes(text), taken, "the tool on: {text}");
            assert_eq!(editor_takes(&validator, text), taken, "an editor on: {text}");
        }
    }
}

#[test]
fn a_misspelt_setting_or_value_is_answered_with_the_nearest() {
    use crate::support::place::Place;
    use crate::support::run::Xtask;
    use snapbox::str;
    let place = Place::new();
    let run = |args: &[&str]| Xtask::at(&place).args(args.iter().copied()).run();
    run(&["sandbox", "--yes", "--network", "opn"]).exactly(
        2,
        "",
        str![[r#"
error: `--network opn` is none of `open`, `none`
hint: did you mean `open`?

"#]],
    );
    run(&["sandbox", "--yes", "--gpus", "nnoe"]).exactly(
        2,
        "",
        str![[r#"
error: `nnoe` is neither `all` nor `none` nor the id of a GPU
hint: did you mean `none`?

"#]],
    );
    place.write("repo/sandbox.local.yaml", "codex_home: mirorr\n");
    run(&["status"]).exactly(
        2,
        "",
        str![[r#"
error: `codex_home: mirorr` in `sandbox.local.yaml` is none of `mirror`, `shared`, `none`
hint: did you mean `mirror`?

"#]],
    );
}
