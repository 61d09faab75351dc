//! Symlinks out of the workspace into what an agent can write elsewhere.

use super::*;

struct Placed {
    w: Watched,
    env: Environment,
}

impl Placed {
    fn new() -> Placed {
        let w = Watched::new();
        fs::create_dir_all(w.f.path("state/p/codex-home")).unwrap();
        let env = Environment { state: w.f.path("state"), ..Environment::default() };
        Placed { w, env }
    }

    fn start(&self) -> Told {
        let repo = super::super::super::detect(&self.w.f.workspace).unwrap();
        protect(&self.w.f.workspace, repo.as_ref(), &self.w.state(), &self.env, Doubt::default()).unwrap()
    }

    fn look(&self, now: Now) -> Vec<String> {
        let repo = super::super::super::detect(&self.w.f.workspace).unwrap();
        look(&self.w.f.workspace, repo.as_ref(), &self.w.state(), &self.env, now).unwrap().warnings
    }
}

#[test]
fn a_new_symlink_into_the_state_of_the_sandbox_is_set_aside_and_the_users_own_stays() {
    let p = Placed::new();
    let home = p.w.f.path("state/p/codex-home");
    symlink(&home, p.w.at("mine")).unwrap();
    assert_eq!(p.start().warnings, Vec::<String>::new());
    note_entered(&p.w.state()).unwrap();
    // As the agent makes it.
    p.w.evil("evil");
    fs::rename(p.w.at("evil"), home.join("evil")).unwrap();
    symlink(home.join("evil"), p.w.at("docs")).unwrap();
    symlink("../../state/p/codex-home/evil/.git", p.w.at("sub/mirror")).unwrap();
    fs::create_dir(p.w.at("new")).unwrap();
    symlink(home.join("evil/.git"), p.w.at("new/.git")).unwrap();
    symlink("/dev/stdout", p.w.at("log")).unwrap();
    symlink("vendor", p.w.at("inside")).unwrap();
    assert!(p.w.runs("docs"), "the attack is none");
    let said = p.look(Now::Quiet);
    for start in ["`docs` leads into `", "`sub/mirror` leads into `", "`new/.git` was not there"] {
        assert!(said.iter().any(|line| line.starts_with(start)), "{said:#?}");
    }
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(said.iter().all(|line| line.contains(".set-aside-1`") && line.contains("docs/nested-git.md")), "{said:#?}");
    for gone in ["docs", "sub/mirror", "new/.git"] {
        assert!(p.w.at(gone).symlink_metadata().is_err(), "{gone}");
    }
    for there in ["mine", "log", "inside", "docs.set-aside-1"] {
        assert!(p.w.at(there).symlink_metadata().is_ok(), "{there}");
    }
    assert_eq!(p.look(Now::Quiet), Vec::<String>::new(), "what is set aside is said once");
    // A link of the user's that leads elsewhere now is another one, and so is one that was given its name back.
    fs::remove_file(p.w.at("mine")).unwrap();
    symlink(home.join("evil"), p.w.at("mine")).unwrap();
    fs::rename(p.w.at("docs.set-aside-1"), p.w.at("docs")).unwrap();
    assert_eq!(p.look(Now::Busy).len(), 2);
}

#[test]
fn more_symlinks_out_than_are_set_aside_are_said_and_stay_in_doubt() {
    let p = Placed::new();
    p.start();
    note_entered(&p.w.state()).unwrap();
    fs::create_dir(p.w.at("many")).unwrap();
    for n in 0..110 {
        symlink("/proc/1/root/x", p.w.at(&format!("many/{n}"))).unwrap();
    }
    let said = p.look(Now::Busy);
    assert!(said.len() > 100 && said.len() < 115, "{}", said.len());
    assert!(said.iter().any(|line| line.contains("too many such symlinks")), "{said:#?}");
}
