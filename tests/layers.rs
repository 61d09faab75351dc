//! The layers of `xtask/src`, read from its `use crate::` lines: each imports only from those before it, no task
//! imports a task, and no modules import each other in a circle.

use crate::support::place::repository;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The layers above the floor, lowest first; the modules of one layer do not import each other. The floor is the single
/// files of `xtask/src`. `dev` stands aside: it imports what it likes, and only the command line imports it.
const LAYERS: &[&[&str]] = &[
    &["spec"],
    &["engine"],
    &["codex", "git", "gpu"],
    &["image"],
    &["proof"],
    &["smoke"],
    &["life"],
    &["gpu_smoke", "doctor", "demo", "complete"],
    &["tasks"],
    &["cli", "dev"],
];

/// A module by its path, such as `["engine", "inspect"]`.
type Module = Vec<String>;

fn rank(module: &[String]) -> usize {
    let layer = LAYERS.iter().position(|rooms| rooms.contains(&module[0].as_str()));
    layer.map_or(0, |layer| layer + 1)
}

/// What a module imports, as the paths of modules that exist.
fn imports(sources: &BTreeMap<Module, String>) -> BTreeMap<Module, BTreeSet<Module>> {
    let mut found = BTreeMap::new();
    for (module, text) in sources {
        let paths = uses(text).into_iter().filter_map(|path| absolute(module, &path));
        let modules = paths.filter_map(|path| {
            let known = (1..=path.len()).rev().map(|n| path[..n].to_vec()).find(|path| sources.contains_key(path));
            known.filter(|known| known != module)
        });
        found.insert(module.clone(), modules.collect());
    }
    found
}

/// The paths of all `use` declarations, with groups taken apart.
fn uses(text: &str) -> Vec<String> {
    let declarations = text.split("\n").collect::<Vec<_>>().join(" ");
    let mut paths = Vec::new();
    for part in declarations.split("use ").skip(1) {
        if let Some((declaration, _)) = part.split_once(';') {
            take_apart("", declaration, &mut paths);
        }
    }
    paths
}

fn take_apart(prefix: &str, declaration: &str, into: &mut Vec<String>) {
    let declaration = declaration.trim();
    let Some((head, rest)) = declaration.split_once('{') else {
        into.push(format!("{prefix}{declaration}"));
        return;
    };
    let (mut depth, mut item) = (0, String::new());
    for c in rest.chars() {
        match c {
            ',' | '}' if depth == 0 => {
                take_apart(&format!("{prefix}{head}"), &std::mem::take(&mut item), into);
                continue;
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        item.push(c);
    }
}

/// A path of this crate from its root; nothing for another crate's.
fn absolute(module: &Module, path: &str) -> Option<Module> {
    let mut words = path.split("::").map(str::trim).peekable();
    let mut at = match words.peek()? {
        &"crate" => {
            words.next();
            Vec::new()
        }
        &"super" | &"self" => module.clone(),
        _ => return None,
    };
    for word in words {
        match word {
            "super" => drop(at.pop()),
            "self" | "" => {}
            name => at.push(name.to_owned()),
        }
    }
    Some(at)
}

/// The text of every module without its tests.
fn sources() -> BTreeMap<Module, String> {
    let root = repository().join("xtask/src");
    let mut found = BTreeMap::new();
    let mut todo = vec![root.clone()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                todo.push(path);
            } else if let Some(module) = module_of(path.strip_prefix(&root).expect("below")) {
                let text = fs::read_to_string(&path).expect("a text");
                found.insert(module, without_tests(&text));
            }
        }
    }
    found
}

/// The text without the modules that only the tests or the fuzzer compile.
fn without_tests(text: &str) -> String {
    let (mut code, mut lines) = (String::new(), text.lines().peekable());
    while let Some(line) = lines.next() {
        let of_tests = ["#[cfg(test)]", "#[cfg(any(test, fuzzing))]"].contains(&line);
        let module = lines.peek().is_some_and(|next| next.starts_with("mod ") || next.starts_with("pub(crate) mod "));
        if of_tests && module {
            let in_place = lines.next().is_some_and(|module| module.ends_with('{'));
            while in_place && lines.next().is_some_and(|inner| inner != "}") {}
            continue;
        }
        code.push_str(line);
        code.push('\n');
    }
    code
}

/// The module of a file; nothing for the roots of the crate, and for what is only compiled for tests.
fn module_of(path: &Path) -> Option<Module> {
    const OF_TESTS: [&str; 4] = ["tests", "fixture", "testing", "unseen"];
    let path: PathBuf = path.extension().is_some_and(|ext| ext == "rs").then(|| path.with_extension(""))?;
    let mut module: Module = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    let roots = module.len() == 1 && ["lib", "main"].contains(&module[0].as_str());
    (!roots && !module.iter().any(|part| OF_TESTS.contains(&part.as_str()))).then_some(module)
}

fn shown(module: &[String]) -> String {
    module.join("::")
}

#[test]
fn each_layer_imports_only_from_those_before_it() {
    let sources = sources();
    assert!(sources.len() > 100, "only {} modules were found", sources.len());
    let mut upward = Vec::new();
    for (module, imported) in imports(&sources) {
        for other in imported.iter().filter(|other| other[0] != module[0]) {
            let (mine, its) = (rank(&module), rank(other));
            let aside = module[0] == "dev" || (module[0] == "cli" && other[0] == "dev");
            if !aside && its >= mine && its > 0 {
                upward.push(format!("{} imports {}", shown(&module), shown(other)));
            }
        }
    }
    assert_eq!(upward, Vec::<String>::new(), "upward");
}

#[test]
fn no_task_imports_a_task() {
    let tasks: Vec<String> = imports(&sources())
        .into_iter()
        .filter(|(module, _)| module[0] == "tasks" && module.len() > 1)
        .flat_map(|(module, imported)| imported.into_iter().map(move |other| (module.clone(), other)))
        .filter(|(_, other)| other[0] == "tasks")
        .map(|(module, other)| format!("{} imports {}", shown(&module), shown(&other)))
        .collect();
    assert_eq!(tasks, Vec::<String>::new());
}

/// The modules beside each other in one folder are compared; what lies deeper counts for the module that contains it. The
/// folder's own `mod.rs` only names its modules and does not count.
#[test]
fn no_modules_import_each_other_in_a_circle() {
    let imports = imports(&sources());
    let depths = imports.keys().map(Vec::len).max().unwrap_or(0);
    let mut circles = Vec::new();
    for depth in 1..=depths {
        let room = |module: &Module| (module.len() >= depth).then(|| module[..depth].to_vec());
        let mut graph: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
        for (module, imported) in &imports {
            let Some(from) = room(module) else { continue };
            let sides =
                imported.iter().filter_map(room).filter(|to| *to != from && to[..depth - 1] == from[..depth - 1]);
            graph.entry(from.clone()).or_default().extend(sides);
        }
        circles.extend(graph.keys().filter(|start| reaches(&graph, start)).map(|module| shown(module)));
    }
    assert_eq!(circles, Vec::<String>::new(), "on a circle");
}

/// Whether a module can be reached from itself.
fn reaches(graph: &BTreeMap<Module, BTreeSet<Module>>, start: &Module) -> bool {
    let (mut seen, mut todo) = (BTreeSet::new(), vec![start]);
    while let Some(at) = todo.pop() {
        for next in &graph[at] {
            if next == start {
                return true;
            }
            if seen.insert(next) {
                todo.push(next);
            }
        }
    }
    false
}
