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
