//! The host's `/etc/codex`, in which an administrator can have set rules: they apply in the sandbox, too.

use super::config::{STORES, parse};
use super::read::{Collector, unreadable};
use super::text::set;
use super::{Item, Mirror, Secret, write};
use crate::codex::login::OwnLogin;
use crate::error::usage;
use crate::exposed::Exposed;
use crate::spec::inside::WORKSPACE;
use crate::spec::words::ConfigSecrets;
use anyhow::Result;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use toml_edit::TableLike;

/// `own` is the login of the user, which goes in by none of these files.
///
/// What a whole copy of `host_etc` (`/etc/codex`) has, and the secrets in it; nothing where the host has no such directory.
///
/// In its `config.toml` three keys are set for the sandbox: no background server, no question about updates, and
/// `/workspace` is trusted. There and in `managed_config.toml` logins lie in files, because a container has no keyring. All other
/// keys are the host's, and so is all that is required.
///
/// # Errors
/// A part of the directory cannot be read: rules that silently do not apply would be worse than none.
pub(crate) fn system(
    host_etc: &Path,
    policy: ConfigSecrets,
    exposed: &Exposed,
    own: &OwnLogin,
) -> Result<(Option<Vec<Item>>, Vec<Secret>)> {
    match fs::read_dir(host_etc) {
        Err(err) if err.kind() == ErrorKind::NotFound => return Ok((None, Vec::new())),
        Err(err) => return Err(unreadable(host_etc, &err)),
        Ok(_) => {}
    }
    let mut collector = Collector::new(host_etc, policy, true, (exposed, own))?;
    collector.entry(host_etc, Path::new(""), &mut Vec::new())?;
    let mut files = collector.files;
    let at = files.iter().position(|file| file.path == Path::new("config.toml"));
    let bytes = at.map(|at| files.swap_remove(at).bytes).unwrap_or_default();
    let path = host_etc.join("config.toml");
    let text = String::from_utf8(bytes).map_err(|_| usage(format!("`{}` is not UTF-8", path.display())))?;
    files.push(Item::plain("config.toml", merged(&path, &text)?));
    if let Some(at) = files.iter().position(|file| file.path == Path::new(MANAGED)) {
        let bytes = std::mem::take(&mut files[at].bytes);
        let path = host_etc.join(MANAGED);
        let text = String::from_utf8(bytes).map_err(|_| usage(format!("`{}` is not UTF-8", path.display())))?;
        let mut root = parse(&path, &text)?;
        stores(&mut *root);
        files[at].bytes = root.to_string().into_bytes();
    }
    Ok((Some(files), collector.secrets))
}

/// Makes `out`, which is mounted read-only in the place of `/etc/codex`, that copy.
///
/// # Errors
/// It cannot be written.
pub(crate) fn write_system(mirror: &Mirror, out: &Path) -> Result<()> {
    mirror.system.as_ref().map_or(Ok(()), |files| write::sync(out, files, |_, _| true, &|| false).map(drop))
}

/// What an administrator sets anew at each start of Codex.
const MANAGED: &str = "managed_config.toml";

/// As in the user's own configuration.
fn stores(root: &mut dyn TableLike) {
    for key in STORES {
        if let Some("keyring" | "auto") = root.get(key).and_then(toml_edit::Item::as_str) {
            set(root, key, "file");
        }
    }
}

/// The text of the system's `config.toml` for a sandbox, from the host's.
fn merged(path: &Path, text: &str) -> Result<String> {
    let mut root = parse(path, text)?;
    stores(&mut *root);
    set(&mut *root, "check_for_update_on_startup", false);
    set(table(path, &mut *root, "features")?, "daemon_auto_start", false);
    let projects = table(path, &mut *root, "projects")?;
    set(table(path, projects, WORKSPACE)?, "trust_level", "trusted");
    Ok(root.to_string())
}

fn table<'a>(path: &Path, root: &'a mut dyn TableLike, key: &str) -> Result<&'a mut dyn TableLike> {
    if !root.contains_key(key) {
        let mut new = toml_edit::Table::new();
        new.set_implicit(true);
        root.insert(key, new.into());
    }
    root.get_mut(key).and_then(toml_edit::Item::as_table_like_mut).ok_or_else(|| {
        usage(format!("`{}`: `{key}` is not a table", path.display()))
            .hint("Codex cannot read that file either: correct it")
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use toml_edit::DocumentMut;

    fn filled(etc: &Path, out: &Path) -> Result<bool> {
        let (system, _) = system(etc, ConfigSecrets::Drop, &Exposed::nothing(), &OwnLogin::default())?;
        let there = system.is_some();
        write_system(&Mirror { system, ..Mirror::default() }, out).map(|()| there)
    }

    #[test]
    fn the_rules_of_the_host_stay_and_the_needs_of_the_sandbox_are_added() {
        let temp = tempfile::tempdir().unwrap();
        let (etc, out) = (temp.path().join("etc"), temp.path().join("out"));
        assert!(!filled(&etc, &out).unwrap());
        fs::create_dir_all(etc.join("skills/.system")).unwrap();
        fs::write(etc.join("requirements.toml"), "allowed_sandbox_modes = []\n").unwrap();
        fs::write(etc.join("skills/.system/S.md"), "s").unwrap();
        fs::write(
            etc.join("config.toml"),
            "# Ours.\nmodel = \"m\"\nnotify = [\"n\"]\n[features]\ndaemon_auto_start = true # no\nx = true\n",
        )
        .unwrap();
        assert!(filled(&etc, &out).unwrap());
        let text = fs::read_to_string(out.join("config.toml")).unwrap();
        let expected = "# Ours.\nmodel = \"m\"\nnotify = [\"n\"]\ncheck_for_update_on_startup = false\n[features]\n\
            daemon_auto_start = false # no\nx = true\n\n[projects.\"/workspace\"]\ntrust_level = \"trusted\"\n";
        assert_eq!(text, expected);
        assert!(out.join("skills/.system/S.md").is_file());

        // What the host drops is dropped, and without a `config.toml` there is still ours.
        fs::remove_file(etc.join("requirements.toml")).unwrap();
        fs::remove_file(etc.join("config.toml")).unwrap();
        filled(&etc, &out).unwrap();
        assert!(!out.join("requirements.toml").exists());
        assert!(fs::read_to_string(out.join("config.toml")).unwrap().contains("trusted"));
    }

    #[test]
    fn a_keyring_of_the_host_becomes_a_file_unless_it_is_required() {
        let temp = tempfile::tempdir().unwrap();
        let (etc, out) = (temp.path().join("etc"), temp.path().join("out"));
        fs::create_dir(&etc).unwrap();
        let text = "# Ours.\ncli_auth_credentials_store = \"keyring\" # safe\nx = 1\n";
        let names = ["config.toml", "managed_config.toml", "requirements.toml"];
        names.iter().for_each(|name| fs::write(etc.join(name), text).unwrap());
        assert!(filled(&etc, &out).unwrap());
        let inside = names.map(|name| fs::read_to_string(out.join(name)).unwrap());
        let file = text.replace("keyring", "file");
        assert!(inside[0].starts_with(&file), "{}", inside[0]);
        assert_eq!(inside[1..], [file, text.to_owned()]);
    }

    #[test]
    fn the_needs_of_the_sandbox_are_met_however_the_host_writes_its_tables() {
        let parsed =
            |text: &str| merged(Path::new("config.toml"), text).map(|text| text.parse::<DocumentMut>().unwrap());
        for text in [
            "",
            "features = { x = true }\nprojects = { \"/h\" = { trust_level = \"trusted\" } }\n",
            "features.x = true\nprojects.\"/workspace\".trust_level = \"untrusted\"\n",
            "projects = { \"/workspace\" = {} }\n[features]\ndaemon_auto_start = { a = 1 }\n",
        ] {
            let root = parsed(text).unwrap();
            assert_eq!(root["check_for_update_on_startup"].as_bool(), Some(false), "{root}");
            assert_eq!(root["features"]["daemon_auto_start"].as_bool(), Some(false), "{root}");
            assert_eq!(root["projects"]["/workspace"]["trust_level"].as_str(), Some("trusted"), "{root}");
            assert_eq!(text.contains("x = true"), root["features"].get("x").is_some(), "{root}");
        }
        let text = crate::error::render(&parsed("features = 1\n").unwrap_err());
        assert!(text.contains("`config.toml`: `features` is not a table"), "{text}");
    }

    #[test]
    fn no_rule_is_left_out_for_its_name_and_the_login_of_the_host_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let (etc, out, home) = (temp.path().join("etc"), temp.path().join("out"), temp.path().join("home"));
        fs::create_dir_all(etc.join("rules")).unwrap();
        fs::create_dir(&home).unwrap();
        for name in ["secrets.rules", "tokens.rules", "credentials.rules"] {
            fs::write(etc.join("rules").join(name), "prefix_rule(pattern=[\"x\"], decision=\"forbidden\")\n").unwrap();
        }
        filled(&etc, &out).unwrap();
        assert_eq!(fs::read_dir(out.join("rules")).unwrap().count(), 3);
        // What may be a rule and is taken for a secret is no reason to do without it.
        fs::write(etc.join("rules/secrets.yaml"), "x").unwrap();
        let text = crate::error::render(&filled(&etc, &out).unwrap_err());
        assert!(text.contains("secrets.yaml`: it is taken for a secret"), "{text}");
        fs::remove_file(etc.join("rules/secrets.yaml")).unwrap();
        fs::write(home.join("auth.json"), r#"{"tokens": {"refresh_token": "refresh-secret"}}"#).unwrap();
        fs::hard_link(home.join("auth.json"), etc.join("rules/x.rules")).unwrap();
        let err = system(&etc, ConfigSecrets::Pass, &Exposed::nothing(), &OwnLogin::of(&home)).unwrap_err();
        assert!(crate::error::render(&err).contains("x.rules`: it is a login of this host's Codex"), "{err:#}");
    }

    #[test]
    fn a_part_that_cannot_be_read_is_an_error() {
        let temp = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/nowhere", temp.path().join("requirements.toml")).unwrap();
        let err = filled(temp.path(), &temp.path().join("out")).unwrap_err();
        let text = crate::error::render(&err);
        assert!(text.contains("requirements.toml`: a symlink that leads nowhere"), "{text}");
    }
}
