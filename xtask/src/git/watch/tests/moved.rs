//! Workspaces that were moved, or that lie around or inside of what another sandbox was given.

use super::*;
use crate::exposed::Exposed;

/// What sandboxes were given, with a state folder each.
struct Given {
    w: Watched,
    list: PathBuf,
}

impl Given {
    fn new() -> Given {
        let w = Watched::new();
        let list = w.f.path("list");
        Given { w, list }
    }

    fn exposed(&self, named: &[PathBuf]) -> Exposed {
        Exposed::read(&self.list, Vec::new()).and_then(|list| list.naming(named)).unwrap()
    }

    /// The kept state of the workspace at a path.
    fn state(&self, workspace: &Path) -> PathBuf {
        let name = crate::fingerprint::of([workspace.to_string_lossy().as_bytes()]);
        self.w.f.path("states").join(name)
    }

    fn starts(&self, workspace: &Path, named: &[PathBuf]) -> Result<Told> {
        let exposed = self.exposed(named);
        let held = exposed.look(workspace).unwrap();
        let state = self.state(workspace);
        fs::create_dir_all(state.parent().unwrap()).unwrap();
        let suspect = exposed.suspect(&held, state.exists());
        let states = suspect.given_as.iter().map(|(path, _)| self.state(path)).collect();
        let told = protect(workspace, None, &state, &none(), Doubt { suspect, states })?;
        exposed.save(&[&held]).unwrap();
        note_entered(&state).unwrap();
        Ok(told)
    }

    /// `cargo xtask down`.
    fn ends(&self, workspace: &Path) {
        let now = Now::Ended;
        assert!(look(workspace, None, &self.state(workspace), &none(), now).unwrap().complete);
        Exposed::settle(&self.list, workspace).unwrap();
    }

    fn evil(&self, dir: &Path) {
        self.w.evil("made");
        fs::create_dir_all(dir).unwrap();
        fs::rename(self.w.at("made/.git"), dir.join(".git")).unwrap();
    }

    /// A workspace without a repository of its own that holds a nested one of the user's.
    fn workspace(&self, name: &str) -> PathBuf {
        let dir = self.w.f.path(name);
        fs::create_dir_all(&dir).unwrap();
        self.w.f.host(&["clone", "-q", "vendor/tool", &dir.join("mine").display().to_string()]);
        dir
    }
}

#[track_caller]
fn set_aside(told: &Told, names: &[&str]) {
    let lines = names.iter().map(|name| format!("`{name}` lies where an agent could write"));
    assert!(lines.zip(&told.warnings).all(|(line, said)| said.starts_with(&line)), "{told:#?}");
    assert_eq!(told.warnings.len(), names.len(), "{told:#?}");
}

#[test]
fn what_an_agent_made_in_a_workspace_that_was_moved_is_not_the_users() {
    let g = Given::new();
    let old = g.workspace("old");
    g.starts(&old, &[]).unwrap();
    g.evil(&old.join("deep/evil"));
    fs::write(old.join("su"), "").unwrap();
    fs::set_permissions(old.join("su"), fs::Permissions::from_mode(0o4755)).unwrap();
    let new = g.w.f.path("new");
    fs::rename(&old, &new).unwrap();
    let told = g.starts(&new, &[]).unwrap();
    assert!(told.warnings[0].starts_with("`deep/evil/.git` lies where an agent could write"), "{told:#?}");
    assert!(told.warnings[1].starts_with("removed the setuid bit of `su`"), "{told:#?}");
    assert!(new.join("mine/.git/HEAD").exists(), "that was there before any agent");
    assert!(!new.join("deep/evil/.git").exists());
}

#[test]
fn a_directory_that_takes_the_place_of_one_that_was_moved_does_not_make_it_forgotten() {
    let g = Given::new();
    let old = g.workspace("old");
    g.starts(&old, &[]).unwrap();
    g.evil(&old.join("evil"));
    let new = g.w.f.path("new");
    fs::rename(&old, &new).unwrap();
    fs::create_dir(&old).unwrap();
    g.starts(&old, &[]).unwrap();
    g.starts(&new, &[]).unwrap();
    assert!(!new.join("evil/.git").exists());
}

#[test]
fn a_start_around_or_inside_of_what_an_agent_wrote_takes_nothing_there_for_the_users() {
    let g = Given::new();
    let project = g.workspace("around/project");
    g.starts(&project, &[]).unwrap();
    g.evil(&project.join("sub/evil"));
    let around = project.parent().unwrap().to_owned();
    g.evil(&around.join("beside"));
    // Inside: the user names the directory, without which it is no workspace, and no more.
    let sub = project.join("sub");
    set_aside(&g.starts(&sub, std::slice::from_ref(&sub)).unwrap(), &["evil/.git"]);
    g.evil(&project.join("sub/evil"));
    // Around it, also where it was moved within.
    fs::rename(&project, around.join("renamed")).unwrap();
    set_aside(&g.starts(&around, &[]).unwrap(), &["renamed/sub/evil/.git"]);
    assert!(around.join("beside/.git/HEAD").exists() && around.join("renamed/mine/.git/HEAD").exists());
}

#[test]
fn what_the_user_names_stays_and_so_does_all_that_is_new_after_a_look_at_the_end() {
    let g = Given::new();
    let old = g.workspace("old");
    g.starts(&old, &[]).unwrap();
    g.evil(&old.join("yours"));
    g.evil(&old.join("evil"));
    let new = g.w.f.path("new");
    fs::rename(&old, &new).unwrap();
    set_aside(&g.starts(&new, &[new.join("yours/.git")]).unwrap(), &["evil/.git"]);
    assert!(new.join("yours/.git/HEAD").exists());
    g.ends(&new);
    g.evil(&new.join("later"));
    // Also where the state folder was removed, and under another path.
    let newest = g.w.f.path("newest");
    fs::rename(&new, &newest).unwrap();
    fs::remove_file(g.state(&new)).unwrap();
    assert_eq!(g.starts(&newest, &[]).unwrap().warnings, Vec::<String>::new());
    // From then on agents can write there again.
    g.evil(&newest.join("evil"));
    fs::remove_file(g.state(&newest)).unwrap();
    let told = g.starts(&newest, &[]).unwrap();
    assert!(told.warnings.iter().any(|line| line.starts_with("`evil/.git` lies where")), "{told:#?}");
}

#[test]
fn what_was_made_in_a_container_that_is_gone_is_compared_with_what_was_there_before_it() {
    let w = Watched::new();
    w.protect();
    let repo = w.f.repo();
    // Nobody was left at the end of the session, then the user ran a program of the agent's by other means, and the
    // container is gone.
    look(&w.f.workspace, Some(&repo), &w.state(), &none(), Now::Quiet).unwrap();
    w.evil("new");
    assert_eq!(w.protect().warnings.len(), 1);
    assert!(!w.at("new/.git").exists());
    // Where no container was started after all, it is as before the attempt.
    note_not_started(&w.state()).unwrap();
    w.evil("mine");
    assert_eq!(w.protect().warnings, Vec::<String>::new());
}

#[test]
fn the_git_files_of_submodules_lead_home_and_stay_where_nothing_is_recorded() {
    let g = Given::new();
    let workspace = g.w.f.workspace.clone();
    let exposed = g.exposed(&[]);
    exposed.save(&[&exposed.look(&workspace).unwrap()]).unwrap();
    fs::create_dir_all(g.w.at("liar")).unwrap();
    fs::write(g.w.at("liar/.git"), "gitdir: ../vendor/tool/.git\n").unwrap();
    let repo = g.w.f.repo();
    let exposed = g.exposed(&[]);
    let suspect = exposed.suspect(&exposed.look(&workspace).unwrap(), false);
    let states = vec![g.state(&workspace)];
    let told = protect(&workspace, Some(&repo), &g.w.state(), &none(), Doubt { suspect, states }).unwrap();
    set_aside(&told, &["liar/.git", "vendor/tool/.git"]);
    assert!(g.w.at("sub/.git").exists());
}

#[test]
fn the_paths_at_which_a_directory_was_given_before_are_known() {
    let g = Given::new();
    let (old, new) = (g.workspace("old"), g.w.f.path("new"));
    g.starts(&old, &[]).unwrap();
    assert_eq!(Exposed::also_given(&g.list, &old).unwrap(), Vec::<PathBuf>::new());
    fs::rename(&old, &new).unwrap();
    assert_eq!(Exposed::also_given(&g.list, &new).unwrap(), std::slice::from_ref(&old));
    fs::create_dir(&old).unwrap();
    g.starts(&old, &[]).unwrap();
    assert_eq!(Exposed::also_given(&g.list, &new).unwrap(), std::slice::from_ref(&old));
    assert_eq!(Exposed::also_given(&g.list, &old).unwrap(), Vec::<PathBuf>::new());
}
