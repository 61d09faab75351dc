use super::super::tests::{facts as good, remedies_of, verdict};
use super::*;
use crate::engine::Local;
use crate::finding::Verdict;

fn facts(change: impl FnOnce(&mut Engine)) -> AboutHost {
    let mut facts = good();
    change(facts.engine.as_mut().unwrap());
    facts
}

fn with(change: impl FnOnce(&mut Engine)) -> Vec<Finding> {
    findings(&facts(change))
}

#[test]
fn a_good_engine_has_nothing_to_mend() {
    let found = with(|_| {});
    assert_eq!(found.len(), 7);
    assert!(found.iter().all(|f| f.verdict == Verdict::Held && f.remedies.is_empty()), "{found:?}");
}

#[test]
fn each_engine_that_cannot_keep_the_promises_is_broken_for_its_own_reason() {
    use Verdict::{Broken, Missing};
    let place = |f: fn(&mut Engine)| verdict(&with(f), "engine.place");
    assert_eq!(place(|e| e.endpoint = "ssh://far".into()), Broken);
    assert_eq!(place(|e| e.os = "Docker Desktop".into()), Broken);
    let users = |name: &str| verdict(&with(|e| e.security = vec![name.into()]), "engine.users");
    assert_eq!((users("rootless"), users("userns")), (Broken, Broken));
    assert_eq!(verdict(&with(|e| e.compose.clear()), "engine.compose"), Missing);
    let both = with(|e| {
        e.security = vec!["rootless".into()];
        e.compose.clear();
    });
    assert_eq!((verdict(&both, "engine.users"), verdict(&both, "engine.compose")), (Broken, Missing));
    let podman = with(|e| e.posing = Some("Podman".into()));
    assert_eq!(verdict(&podman, "engine.answers"), Broken);
    assert_eq!(verdict(&podman, "engine.rest"), Verdict::NotProvable);
}

#[test]
fn an_old_compose_is_a_warning_with_a_way_to_a_newer_one() {
    let found = with(|e| e.compose = "2.26.1-4".into());
    assert_eq!(verdict(&found, "engine.compose"), Verdict::Noted);
    assert!(remedies_of(&found, "engine.compose").contains("--only-upgrade docker-compose-plugin"));
    let distro = with(|e| {
        e.compose = "2.26.1-4".into();
        e.platform.clear();
    });
    assert!(remedies_of(&distro, "engine.compose").contains("Docker's own packages"));
}

#[test]
fn buildx_is_needed_only_where_an_image_is_built() {
    let mut facts = facts(|e| e.buildx.clear());
    assert_eq!(verdict(&findings(&facts), "engine.buildx"), Verdict::Missing);
    assert_eq!(remedies_of(&findings(&facts), "engine.buildx"), "sudo apt-get install docker-buildx-plugin");
    facts.image.as_mut().unwrap().built = Some("codex-sandbox:1-u1".into());
    assert_eq!(verdict(&findings(&facts), "engine.buildx"), Verdict::Noted);
}

#[test]
fn no_recursive_read_only_is_as_bad_as_what_lies_below_the_data() {
    let recursive = |f: fn(&mut Engine)| verdict(&with(f), "engine.recursive");
    // A new Compose asks for it, and the engine then starts nothing.
    assert_eq!(recursive(|e| e.api = "1.43".into()), Verdict::Broken);
    assert_eq!(recursive(|e| e.kernel = "5.10.0-30-amd64".into()), Verdict::Broken);
    assert_eq!(recursive(|e| e.rro = Some(false)), Verdict::Broken);
    assert_eq!(recursive(|e| e.rro = None), Verdict::NotProvable);
    let mut old = facts(|e| {
        e.rro = Some(false);
        e.compose = "2.26.1".into();
    });
    assert_eq!(verdict(&findings(&old), "engine.recursive"), Verdict::Noted);
    old.files.as_mut().unwrap().sets[0].submounts = true;
    assert_eq!(verdict(&findings(&old), "engine.recursive"), Verdict::Broken);
}

#[test]
fn holes_are_known_of_the_makers_builds_only() {
    let old = with(|e| {
        e.version = "28.0.0".into();
        e.components[0].version = "1.2.5".into();
    });
    assert_eq!(verdict(&old, "engine.answers"), Verdict::Noted);
    assert_eq!(verdict(&old, "engine.runc"), Verdict::Noted);
    assert!(remedies_of(&old, "engine.answers").contains("docker-ce"));
    let distro = with(|e| {
        e.version = "26.1.5+dfsg1".into();
        e.platform.clear();
        e.components[0].version = "1.1.15+ds1".into();
        e.components[0].commit = "1.1.15+ds1-2".into();
    });
    assert_eq!(verdict(&distro, "engine.answers"), Verdict::Held);
    assert_eq!(verdict(&distro, "engine.runc"), Verdict::Held);
    assert!(distro[0].seen().contains("the distribution's build"));
}

fn silent(silence: Silence, change: impl FnOnce(&mut Local)) -> Vec<Finding> {
    let mut facts = facts(|_| {});
    facts.engine = Err(silence);
    change(&mut facts.local);
    findings(&facts)
}

#[test]
fn an_engine_that_does_not_answer_is_missing_down_closed_or_far_away() {
    let none = silent(Silence::NoClient, |_| {});
    assert_eq!(verdict(&none, "engine.answers"), Verdict::Missing);
    assert!(remedies_of(&none, "engine.answers").starts_with("sudo apt-get install docker.io"));
    let said = |said: &str, endpoint: &str| Silence::NoAnswer { endpoint: endpoint.into(), said: said.into() };
    let cannot = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?";
    let down = silent(said(cannot, ""), |_| {});
    assert_eq!(verdict(&down, "engine.answers"), Verdict::Broken);
    assert!(remedies_of(&down, "engine.answers").starts_with("sudo service docker start"));
    let systemd = silent(said(cannot, ""), |local| local.distro.systemd = true);
    assert!(remedies_of(&systemd, "engine.answers").starts_with("sudo systemctl start docker"));
    let client_only = silent(said(cannot, ""), |local| local.daemon = false);
    assert!(remedies_of(&client_only, "engine.answers").starts_with("sudo apt-get install docker.io"));
    let far = silent(said("dial tcp: timeout", "tcp://192.0.2.1:2376"), |_| {});
    assert!(far[0].seen().contains("is remote"), "{far:?}");
    let odd = silent(Silence::Odd("`docker info` did not answer within 20 s".into()), |_| {});
    assert_eq!(verdict(&odd, "engine.answers"), Verdict::Broken);
}

#[test]
fn a_user_outside_the_group_and_one_whose_session_is_older_are_told_apart() {
    let denied = || Silence::NoAnswer {
        endpoint: "unix:///var/run/docker.sock".into(),
        said: "permission denied while trying to connect to the Docker daemon socket".into(),
    };
    let outside = silent(denied(), |_| {});
    assert!(remedies_of(&outside, "engine.answers").starts_with("sudo usermod -aG docker ada"));
    let inside = silent(denied(), |local| (local.member, local.active) = (true, true));
    assert!(remedies_of(&inside, "engine.answers").contains("ls -l /var/run/docker.sock"));
    let older = silent(denied(), |local| local.member = true);
    assert!(remedies_of(&older, "engine.answers").starts_with("newgrp docker"));
    assert!(older[0].seen().contains("this session does not know it yet"), "{older:?}");
}
