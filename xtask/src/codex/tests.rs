use super::testing::{OTHER_MACHINE, OWN_MACHINE, World, elf, vendor};
use super::*;
use crate::error::render;
use std::cell::Cell;
use std::fs;

/// Resolves what is on `PATH`; every program named like Codex answers as 0.169.0.
fn resolved(world: &World) -> Result<Codex> {
    resolve_by(&world.cx(), None, &|path| match path.to_str() {
        Some(name) if name.rsplit('/').next().unwrap_or_default().starts_with("codex") => Ok("0.169.0".to_owned()),
        _ => Err(host("not Codex").into()),
    })
}

#[track_caller]
fn check_layout(world: &World, layout: Layout, binary: &Path) -> Codex {
    let codex = resolved(world).unwrap();
    codex.snapshot(&world.cx(), &Exposed::nothing()).unwrap();
    assert_eq!((codex.layout, codex.binary.as_path()), (layout, binary));
    assert_eq!(codex.launcher, world.path("bin/codex"));
    assert_eq!(fs::read(codex.package.join("bin/codex")).unwrap(), fs::read(binary).unwrap());
    codex
}

#[track_caller]
fn check_error(world: &World, expected: &str) {
    let text = render(&resolved(world).unwrap_err()).replace(world.path("").to_str().unwrap(), "W/");
    assert_eq!(text, expected);
}

#[test]
fn npm_nested() {
    let world = World::new();
    world.launcher("lib/node_modules/@openai/codex");
    let binary = world.package(&format!("lib/node_modules/@openai/codex/node_modules/@openai/{}", vendor()));
    world.link("bin/codex", "../lib/node_modules/@openai/codex/bin/codex.js");
    let codex = check_layout(&world, Layout::Npm, &binary);
    assert_eq!(codex.notes, [""; 0]);
    assert_eq!(codex.version, "0.169.0");
    for name in ["bin/codex-code-mode-host", "codex-path/rg", "codex-resources/bwrap", "codex-package.json"] {
        assert!(codex.package.join(name).is_file(), "{name}");
    }
}

#[test]
fn npm_hoisted_and_bun() {
    for (root, layout) in [("lib/node_modules", Layout::Npm), ("install/global/node_modules", Layout::Bun)] {
        let world = World::new();
        world.launcher(&format!("{root}/@openai/codex"));
        let binary = world.package(&format!("{root}/@openai/{}", vendor()));
        world.link("bin/codex", format!("../{root}/@openai/codex/bin/codex.js"));
        check_layout(&world, layout, &binary);
    }
}

#[test]
fn npm_up_to_0_125() {
    let world = World::new();
    world.launcher("lib/node_modules/@openai/codex");
    let root = format!("lib/node_modules/@openai/codex/node_modules/@openai/{}", vendor());
    let binary = world.native(&format!("{root}/codex/codex"), "codex");
    world.native(&format!("{root}/path/rg"), "rg");
    world.link("bin/codex", "../lib/node_modules/@openai/codex/bin/codex.js");
    let codex = check_layout(&world, Layout::Npm, &binary);
    assert!(codex.package.join("codex-path/rg").is_file());
}

#[test]
fn pnpm_10() {
    let world = World::new();
    let store = "bin/global/5/.pnpm/@openai+codex@0.169.0";
    world.launcher(&format!("{store}/node_modules/@openai/codex"));
    let package = "bin/global/5/.pnpm/@openai+codex@0.169.0-linux-x64/node_modules/@openai/codex";
    let (npm, rest) = vendor().split_once('/').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let binary = world.package(&format!("{package}/{rest}"));
    world.link(&format!("{store}/node_modules/@openai/{npm}"), world.path(package));
    world.program("bin/codex", include_str!("fixtures/pnpm-10.sh"));
    check_layout(&world, Layout::Pnpm, &binary);
}

#[test]
fn pnpm_12_through_a_link() {
    let world = World::new();
    let links = "home/store/v11/links/@openai/codex";
    world.launcher(&format!("{links}/0.169.0/175f/node_modules/@openai/codex"));
    let (npm, rest) = vendor().split_once('/').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let package = format!("{links}/0.169.0-linux-x64/9a/node_modules/@openai/codex");
    let binary = world.package(&format!("{package}/{rest}"));
    let sibling = format!("{links}/0.169.0/175f/node_modules/@openai/{npm}");
    world.link(&sibling, world.path(&package));
    let global = "home/global/v11/3eec/node_modules/@openai/codex";
    world.link(global, world.path(&format!("{links}/0.169.0/175f/node_modules/@openai/codex")));
    world.program("home/bin/codex", include_str!("fixtures/pnpm-12.sh"));
    world.link("bin/codex", "../home/bin/codex");
    check_layout(&world, Layout::Pnpm, &binary);
}

#[test]
fn standalone_with_an_absolute_link() {
    let world = World::new();
    let binary = world.package("home/.codex/packages/standalone/releases/0.169.0-x");
    let releases = world.path("home/.codex/packages/standalone/releases/0.169.0-x");
    world.link("home/.codex/packages/standalone/current", releases);
    world.link("bin/codex", world.path("home/.codex/packages/standalone/current/bin/codex"));
    check_layout(&world, Layout::Standalone, &binary);
}

#[test]
fn homebrew_and_a_bare_program_miss_their_helper() {
    let world = World::new();
    let cask = "linuxbrew/Caskroom/codex/0.169.0/codex-x86_64-unknown-linux-musl";
    let binary = world.native(cask, "codex");
    world.link("bin/codex", world.path(cask));
    let codex = check_layout(&world, Layout::Homebrew, &binary);
    assert_eq!(codex.notes.len(), 1);
    assert!(codex.notes[0].contains("current models get no tools without it"), "{:?}", codex.notes);

    let world = World::new();
    let binary = world.native("bin/codex", "codex");
    check_layout(&world, Layout::Binary, &binary);
    world.native("bin/codex-code-mode-host", "host");
    assert_eq!(check_layout(&world, Layout::Binary, &binary).notes, [""; 0]);
    for (version, needed) in
        [("0.125.0", false), ("0.143.9", false), ("0.144.0", true), ("0.0.0", true), ("1.0.0", true)]
    {
        assert_eq!(needs_code_mode_host(version), needed, "{version}");
    }
}

#[test]
fn a_package_directory_can_be_given() {
    let world = World::new();
    let binary = world.package("downloads/codex-package");
    let given = |path: &str| resolve_by(&world.cx(), Some(Path::new(path)), &|_| Ok("0.169.0".to_owned()));
    let codex = given("downloads/codex-package").unwrap();
    assert_eq!((codex.layout, codex.binary), (Layout::Package, binary));
    let err = given("downloads").unwrap_err();
    assert_eq!(crate::error::exit_code(&err), 2);
}

#[test]
fn a_dynamic_program_is_taken_with_a_note_and_nix_refused() {
    let world = World::new();
    world.program("bin/codex", elf(OWN_MACHINE, Some("/lib64/ld-linux-x86-64.so.2")));
    let notes = resolved(&world).unwrap().notes;
    assert!(
        notes[0].ends_with("is dynamically linked: it runs only if the image has its libraries, in versions as new")
    );

    world.program("bin/codex", elf(OWN_MACHINE, Some("/nix/store/abc-glibc/lib/ld.so")));
    check_error(
        &world,
        "error: `W/bin/codex` needs `/nix/store/abc-glibc/lib/ld.so`, which the image does not have\n\
         hint: give a static Codex with `--codex PATH`, such as npm's or the one of its release page\n",
    );
}

#[test]
fn what_cannot_be_codex_is_refused_with_a_way_out() {
    let world = World::new();
    check_error(
        &world,
        "error: there is no `codex` on PATH\n\
         hint: npm install -g @openai/codex\nhint: or give the program with `--codex PATH`\n",
    );
    let mut short = elf(OWN_MACHINE, Some("/lib/ld"));
    short.truncate(100);
    world.program("bin/codex", short);
    check_error(&world, "error: `W/bin/codex` is a damaged program: it is cut short\nhint: install Codex again\n");
    world.program("bin/codex", elf(OTHER_MACHINE, None));
    let err = render(&resolved(&world).unwrap_err());
    assert!(err.contains("and this machine is"), "{err}");
}

#[test]
fn what_is_only_planned_is_not_copied() {
    let world = World::new();
    world.package("pkg");
    world.link("bin/codex", "../pkg/bin/codex");
    let cx = world.cx();
    let codex = resolve_by(&cx, None, &|_| Ok("0.169.0".to_owned())).unwrap();
    assert!(!codex.package.exists() && !cx.state.join("codex").exists());
    codex.snapshot(&cx, &Exposed::nothing()).unwrap();
    assert!(codex.package.join("bin/codex").is_file());
}

#[test]
fn nothing_is_asked_or_copied_again_until_the_program_changes() {
    let world = World::new();
    let binary = world.package("pkg");
    world.link("bin/codex", "../pkg/bin/codex");
    let asked = Cell::new(0);
    let cx = world.cx();
    let resolve = || {
        let codex = resolve_by(&cx, None, &|_| {
            asked.set(asked.get() + 1);
            Ok(format!("0.169.{}", asked.get()))
        })
        .unwrap();
        codex.snapshot(&cx, &Exposed::nothing()).unwrap();
        codex
    };
    let first = resolve();
    assert_eq!((resolve(), asked.get()), (first.clone(), 1));
    fs::write(&binary, elf(OWN_MACHINE, Some("/lib64/ld-linux-x86-64.so.2"))).unwrap();
    let second = resolve();
    assert_eq!((asked.get(), second.version.as_str()), (2, "0.169.2"));
    // A changed sibling needs no new answer, but a new copy.
    world.native("pkg/codex-path/rg", "another rg");
    let third = resolve();
    assert_eq!(asked.get(), 2);
    assert_eq!(snapshot::snapshots(&cx).len(), 3);
    assert_ne!(third.package, second.package);
    assert!(first.package.join("bin/codex").is_file(), "the one in use stays");
}

#[test]
fn what_an_agent_can_have_written_is_not_copied_and_an_earlier_copy_stays_in_use() {
    let world = World::new();
    let binary = world.package("pkg");
    world.link("bin/codex", "../pkg/bin/codex");
    let cx = world.cx();
    let earlier = vec![world.path("pkg/codex-path")];
    let exposed = Exposed::read(&world.path("exposed"), earlier).unwrap();
    let codex = resolved(&world).unwrap();
    let refused = || codex.snapshot(&cx, &exposed).unwrap_err().to_string();
    assert!(refused().contains("codex-path/rg` lies in `"), "{}", refused());
    assert!(!codex.package.exists());
    codex.snapshot(&cx, &Exposed::nothing()).unwrap();
    codex.snapshot(&cx, &exposed).unwrap();
    fs::write(&binary, elf(OWN_MACHINE, None).repeat(2)).unwrap();
    let codex = resolved(&world).unwrap();
    assert!(codex.snapshot(&cx, &exposed).is_err(), "another copy");
}
