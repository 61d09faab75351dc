//! Answers that can and that cannot be trusted.

use super::*;

#[test]
fn an_answer_that_cannot_be_trusted_is_an_error() {
    let text = format!("{}\n", answer());
    assert!(InsideWitness::parse(&text, "n0").is_ok());
    let without = |key: &str| {
        let mut answer = answer();
        answer.as_object_mut().unwrap().remove(key);
        format!("{answer}\n")
    };
    for (answer, says) in [
        (text.replace("\"n0\"", "\"n1\""), "nonce"),
        (without("nonce"), "nonce"),
        (text.replace("\"schema\":1", "\"schema\":2"), "schema"),
        (text[..text.len() - 40].to_owned(), "cut off"),
        (text.trim().to_owned(), "cut off"),
        (format!("hello\n{text}"), "other text"),
        (format!("{text}{text}"), "other text"),
        (format!("banner {text}"), "no JSON"),
        (without("mountinfo"), "mountinfo"),
        (without("status"), "status"),
        (text.replace(" - overlay", " + overlay"), "unexpected line"),
        (String::new(), "cut off"),
    ] {
        let err = InsideWitness::parse(&answer, "n0").unwrap_err();
        assert!(err.contains(says), "{says}: {err}");
    }
}

#[test]
fn what_could_not_be_seen_is_no_value() {
    let mut changed = answer();
    changed["mounts"][1]["flags"] = serde_json::json!({"error": "EACCES"});
    changed["shm"] = serde_json::json!({"error": "EIO"});
    changed["namespaces"]["net"] = serde_json::json!({"error": "EACCES"});
    changed["interfaces"] = serde_json::json!({"eth0": "0x1002", "eth1": "0x1003", "eth2": null, "eth3": "up"});
    let read = |answer: &Value| InsideWitness::parse(&format!("{answer}\n"), "n0").unwrap();
    let (good, changed) = (read(&answer()), read(&changed));
    let flags = |seen: &InsideWitness| [0, 1].map(|number| seen.targets[number].st_rdonly);
    assert_eq!((flags(&good), flags(&changed)), ([Some(false), Some(true)], [Some(false), None]));
    assert_eq!((good.shm, changed.shm), (Some(1 << 30), None));
    assert!(good.process.namespaces.contains_key("net") && !changed.process.namespaces.contains_key("net"));
    let up: Vec<_> = changed.interfaces.values().copied().collect();
    assert_eq!(up, [Some(false), Some(true), None, None]);
}
