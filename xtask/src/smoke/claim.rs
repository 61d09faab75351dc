//! The claim of a sandbox that native code runs on its GPUs. It is proven once, at the start of the container, before any
//! agent runs inside. Pure.

use super::judge::{Judged, Judgement, word};
use super::request::SmokeRequest;
use super::show::shown;
use crate::error::sentence;
use crate::finding::Finding;
use crate::proof::Draft;

const ID: &str = "gpu.native-code";

fn draft(arch: &str) -> Draft {
    Draft::new(ID, format!("each GPU runs native code for {arch}, started in the same way as Codex")).hint(
        "`cargo xtask gpu-smoke` says more; `arch_list` in the settings is the architecture that the GPU should have",
    )
}

/// The claim, from what was judged at this time; `digest` is the one that this host computed.
pub(crate) fn claim(request: &SmokeRequest, outcome: &Judgement, digest: &str, time: &str) -> Finding {
    let mut draft = draft(&request.arch.to_string());
    for Judged { finding, .. } in &outcome.checks {
        let (word, seen) = (word(finding.verdict), shown(&finding.evidence.inside));
        draft.inside(format!("{} {word}: {seen}", finding.id));
    }
    draft.inside(format!("at the start of this container, {time}"));
    draft.host(format!(
        "nonce {}; what the kernel must write has the digest {}",
        request.nonce,
        &digest[..16.min(digest.len())]
    ));
    let wrong: Vec<&Finding> = if outcome.problems.is_empty() {
        outcome.checks.iter().map(|judged| &judged.finding).filter(|finding| finding.verdict.fatal()).collect()
    } else {
        // Where the report itself cannot be relied on, its checks are no reasons of their own.
        outcome.problems.iter().collect()
    };
    for finding in &wrong {
        let of = if outcome.problems.is_empty() { format!("{}: ", finding.id) } else { String::new() };
        draft.broken(format!("{of}{}", shown(finding.seen())));
    }
    if let Some((cause, remedies)) = wrong.iter().find_map(|finding| Some((finding.cause.as_ref()?, &finding.remedies)))
    {
        draft = draft.hint(format!("{cause}: {}", sentence(remedies)));
    }
    draft.done()
}

/// The claim where no result is kept from the container's start.
pub(crate) fn unknown(why: &str) -> Finding {
    let mut draft = draft("this image's architecture");
    draft.unseen(why);
    draft
        .hint("recreate the container, for this is proven at its start: `cargo xtask down`, then `cargo xtask sandbox`")
        .done()
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::super::judge::judge;
    use super::*;
    use crate::finding::Verdict as Held;
    use serde_json::json;

    fn of(report: &serde_json::Value) -> Finding {
        let request = fixture::native_request();
        let outcome = fixture::judged(&request, report, None);
        claim(&request, &outcome, fixture::digest(), "2026-01-02T03:04:05Z")
    }

    #[test]
    fn native_code_that_ran_is_held_by_both_witnesses_and_says_when() {
        let claim = of(&fixture::native_report());
        assert_eq!((claim.id.as_str(), claim.verdict, &claim.why), (ID, Held::Held, &None));
        let json = serde_json::to_value(&claim).unwrap();
        let inside = json["evidence"]["inside"].as_str().unwrap();
        assert!(inside.contains("native.code passed") && inside.ends_with("2026-01-02T03:04:05Z"), "{inside}");
        let host = json["evidence"]["host"].as_str().unwrap();
        assert!(host.contains(&fixture::digest()[..16]), "{host}");
        assert_eq!(serde_json::from_value::<Finding>(json).unwrap(), claim);
    }

    #[test]
    fn what_fails_or_cannot_be_relied_on_breaks_it() {
        let mut wrong = fixture::native_report();
        wrong["checks"][2]["values"]["devices"][0]["digest"] = json!("0".repeat(64));
        let broken = of(&wrong);
        assert_eq!(broken.verdict, Held::Broken);
        assert!(broken.why.unwrap().contains("not what this host computes"));
        let mut lost = fixture::native_report();
        lost["checks"][0]["status"] = json!("failed");
        lost["checks"][0]["error"] = json!("libcuda.so.1: cannot open shared object file");
        let broken = of(&lost);
        assert!(broken.why.unwrap().contains("driver.present: libcuda"));
        assert!(sentence(&broken.remedies).contains("nvidia-ctk"), "the remedy of that text");
        let request = fixture::native_request();
        let none = judge(&request, Err("no report was printed"), fixture::digest(), None);
        let broken = claim(&request, &none, fixture::digest(), "now");
        assert_eq!((broken.verdict, broken.why.as_deref()), (Held::Broken, Some("no report was printed")));
        assert_eq!(unknown("dark").verdict, Held::NotProvable);
    }
}
