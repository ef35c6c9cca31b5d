//! The table of routes against the official clients: whatever a pinned Node client can ask for must be in it, or callers who
//! may not do everything would be refused for want of a line. The clients are read where `tests/clients/run --install` puts
//! them; `scripts/test` does so first.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
};

const TABLE: &str = include_str!("../../src/authorize/routes.txt");
/// Folders of `api` files: client, and where its code is.
const CLIENTS: [(&str, &str); 3] =
    [("elasticsearch8", "lib/api/api"), ("elasticsearch9", "lib/api/api"), ("opensearch3", "api")];

#[test]
fn every_route_of_the_official_clients_is_in_the_table() {
    let Some(modules) = modules() else { return };
    let lines = lines();
    let (mut missing, mut count) = (BTreeMap::<String, BTreeSet<&str>>::new(), 0);
    for (client, folder) in CLIENTS {
        let routes = routes(&modules.join(client).join(folder));
        assert!(routes.len() > 300, "{client}: {} routes", routes.len());
        count += routes.len();
        for (method, path) in routes {
            if !lines.iter().any(|(methods, line)| methods.contains(&&*method) && matches(line, &path)) {
                missing.entry(format!("{method} /{}", path.join("/"))).or_default().insert(client);
            }
        }
    }
    eprintln!("{count} routes of {} clients, {} lines", CLIENTS.len(), lines.len());
    assert!(missing.is_empty(), "not in the table: {missing:#?}");
}

/// Where the clients are installed.
fn modules() -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME")
        .map_or_else(|| PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cache"), PathBuf::from);
    let folders = fs::read_dir(cache.join("searchgate-tests")).into_iter().flatten().flatten();
    let wanted = fs::read("tests/clients/package-lock.json").unwrap();
    let found = folders
        .map(|folder| folder.path())
        .find(|folder| fs::read(folder.join("package-lock.json")).is_ok_and(|lock| lock == wanted));
    if found.is_none() {
        assert!(env::var_os("SEARCHGATE_TEST_REQUIRE_CLUSTERS").is_none(), "the clients are not installed");
        eprintln!("skipped: the clients are not installed (tests/clients/run --install)");
    }
    found.map(|folder| folder.join("node_modules"))
}

/// Methods and path of each line of the table.
fn lines() -> Vec<(Vec<&'static str>, Vec<&'static str>)> {
    let lines = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let (methods, path) = (fields.next().unwrap(), fields.next().unwrap());
            (methods.split(',').collect(), path.split('/').filter(|word| !word.is_empty()).collect())
        })
        .collect()
}

/// Whether a line means a path, whose own holes are written `{…}`.
fn matches(line: &[&str], path: &[String]) -> bool {
    match (line.split_first(), path.split_first()) {
        (Some((word, _)), _) if word.ends_with("*}") => true,
        (Some((word, line)), Some((part, path))) => {
            (word == part || word.starts_with('{') && !is_word(part)) && matches(line, path)
        }
        (None, None) => true,
        _ => false,
    }
}

/// Whether the client spells it out and the cluster takes it for a word of its own.
fn is_word(part: &str) -> bool {
    part.starts_with('_')
}

/// All routes in the files of a folder: what is assigned to `method` together with the `path` that follows or precedes.
fn routes(folder: &Path) -> BTreeSet<(String, Vec<String>)> {
    let mut routes = BTreeSet::new();
    for file in files(folder) {
        let text = fs::read_to_string(file).unwrap();
        let (mut methods_here, mut paths_here) = (Vec::new(), Vec::new());
        for line in text.lines().map(str::trim) {
            if let Some(value) = assigned(line, "method") {
                methods_here = methods(value);
            }
            if let Some(value) = assigned(line, "path") {
                paths_here = paths(value, &text);
            }
            // Each pair stands together, in either order.
            if !methods_here.is_empty() && !paths_here.is_empty() {
                for path in std::mem::take(&mut paths_here) {
                    routes.extend(methods_here.iter().map(|method| (method.clone(), path.clone())));
                }
                methods_here.clear();
            }
        }
    }
    // A client that has no id posts.
    routes.remove(&("PUT".to_owned(), vec!["{}".to_owned(), "_doc".to_owned()]));
    routes.retain(|(_, path)| path.first().is_some_and(|word| !OWN.contains(&&**word)));
    routes
}

/// What a line assigns to a variable: `name = value;`, `const name = value;`.
fn assigned<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let line = ["let ", "const "].into_iter().find_map(|word| line.strip_prefix(word)).unwrap_or(line);
    line.strip_prefix(name)?.strip_prefix(" = ")?.strip_suffix(';')
}

/// The texts in quotes: one method, or those between which a condition chooses.
fn methods(value: &str) -> Vec<String> {
    let quoted = value.split('\'').skip(1).step_by(2);
    quoted.filter(|method| !method.is_empty()).map(str::to_owned).collect()
}

/// The paths that an expression makes: a template, texts and variables joined by `+`, or a list whose absent members are
/// left out. Variables become `{}`.
fn paths(value: &str, text: &str) -> Vec<Vec<String>> {
    let split = |path: &str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    if let Some(template) = value.strip_prefix('`').and_then(|value| value.strip_suffix('`')) {
        let mut path = String::new();
        for (at, part) in template.split("${").enumerate() {
            match part.split_once('}') {
                // No expression in these templates has a brace of its own.
                Some((_, rest)) if at > 0 => path = path + "{}" + rest,
                _ => path.push_str(part),
            }
        }
        return vec![split(&path)];
    }
    let parts =
        |list: &str, separator| -> Vec<String> { list.split(separator).map(|part| part.trim().to_owned()).collect() };
    let Some((list, _)) = value.strip_prefix('[').and_then(|value| value.split_once(']')) else {
        let joined: String = parts(value, '+').iter().map(|part| literal(part).unwrap_or("{}")).collect();
        return if matches!(&*joined, "" | "{}") { Vec::new() } else { vec![split(&joined)] };
    };
    let mut paths: Vec<Vec<String>> = vec![Vec::new()];
    for part in parts(list, ',').iter().filter(|part| *part != "''") {
        let optional = literal(part).is_none() && text.contains(&format!("[params.{part}]"));
        let without = if optional { paths.clone() } else { Vec::new() };
        let more: Vec<String> = split(literal(part).unwrap_or("{}"));
        for path in &mut paths {
            path.extend(more.iter().cloned());
        }
        paths.extend(without);
    }
    paths
}

fn literal(part: &str) -> Option<&str> {
    part.strip_prefix('\'')?.strip_suffix('\'')
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "js") {
            found.push(path);
        }
    }
    found
}

/// What searchgate answers itself.
const OWN: [&str; 2] = ["_security", "_gateway"];
