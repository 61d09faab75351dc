use super::*;

/// The verdict on one id.
#[track_caller]
pub(super) fn verdict(findings: &[Finding], id: &str) -> Verdict {
    one(findings, id).verdict
}

/// What to do about one id, a line each.
#[track_caller]
pub(super) fn mended(findings: &[Finding], id: &str) -> String {
    let lines: Vec<String> = one(findings, id).mend.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[track_caller]
fn one<'a>(findings: &'a [Finding], id: &str) -> &'a Finding {
    let mut found = findings.iter().filter(|finding| finding.id == id);
    match (found.next(), found.next()) {
        (Some(finding), None) => finding,
        _ => panic!("not one `{id}` in {findings:#?}"),
    }
}

fn finding(verdict: Verdict, kind: Kind) -> Finding {
    let check = Check {
        group: Group::Data,
        id: "ssv2",
        what: "ssv2",
        needed: "a directory",
    };
    Finding {
        kind,
        ..check.finding(verdict, "none\u{1b}[0m")
    }
}

#[test]
fn the_exit_code_is_the_hosts_before_that_of_the_settings() {
    let code = |list: &[(Verdict, Kind)]| {
        let list: Vec<Finding> = list.iter().map(|(verdict, kind)| finding(*verdict, *kind)).collect();
        exit_code(&list)
    };
    assert_eq!(code(&[]), 0);
    assert_eq!(
        code(&[(Verdict::Warning, Kind::Host), (Verdict::Unchecked, Kind::Host)]),
        0
    );
    assert_eq!(code(&[(Verdict::Missing, Kind::Usage)]), 2);
    assert_eq!(
        code(&[(Verdict::Broken, Kind::Usage), (Verdict::Missing, Kind::Host)]),
        3
    );
    // Too little room fails a build with 1; the host still cannot run it.
    assert_eq!(code(&[(Verdict::Broken, Kind::Failed)]), 3);
}

#[test]
fn json_has_every_field_and_lines_that_a_shell_takes() {
    let mut finding = finding(Verdict::Missing, Kind::Usage);
    finding.mend = vec![Mend::Run("a 'b'".into()), Mend::Do("then c".into())];
    let value = json(&[finding]);
    assert_eq!(
        value,
        json!({"schema": 1, "findings": [{
            "group": "data", "id": "data.ssv2", "verdict": "missing", "what": "ssv2", "found": "none\u{1b}[0m",
            "needed": "a directory", "mend": ["a 'b'", "# then c"],
        }]})
    );
}

#[test]
fn what_is_not_well_says_what_is_needed_and_what_to_do() {
    let mut bad = finding(Verdict::Unchecked, Kind::Host);
    bad.mend = vec![Mend::Run("cmd".into()), Mend::Do("a sentence".into())];
    let good = finding(Verdict::Ok, Kind::Host);
    let text = table(&[good, bad.clone()]);
    let expected = "data\n  ok           ssv2  none\\u{1b}[0m\n  not checked  ssv2  none\\u{1b}[0m\n                     \
                    needed: a directory\n                     $ cmd\n                     a sentence\n";
    assert_eq!(text, expected);
    assert_eq!(summary(&[bad]), "a sandbox with these settings can run here");
}
