//! The directions between modules, read from the source: a module may use only those named for it.

use std::{collections::BTreeSet, fs, path::Path};

/// Open to every module below them in the table.
const COMMON: &[&str] = &["privileges", "model", "clock", "secret", "config", "telemetry"];

/// Module, and what it may use besides [`COMMON`] lines above it and itself.
const DIRECTIONS: &[(&str, &[&str])] = &[
    ("privileges", &[]),
    ("model", &[]),
    ("clock", &[]),
    ("secret", &[]),
    ("sealing", &[]),
    ("config", &[]),
    ("telemetry", &[]),
    ("body", &[]),
    ("fetch", &[]),
    ("framing", &[]),
    ("path", &[]),
    ("der", &[]),
    ("pem", &[]),
    ("scan", &[]),
    ("demo", &["body", "path"]),
    ("passwords", &[]),
    ("listener", &["pem"]),
    ("store", &["passwords"]),
    ("replay", &["body", "sealing"]),
    ("upstream", &["body", "fetch", "pem", "replay"]),
    ("users", &["store", "passwords"]),
    ("keys", &["store"]),
    ("tokens", &["store"]),
    ("sessions", &["store", "sealing"]),
    ("renewal", &["sessions", "store"]),
    ("documents", &["store"]),
    ("roles", &["store", "documents", "privileges"]),
    ("service_accounts", &["store", "privileges"]),
    ("role_mappings", &["store", "documents", "privileges"]),
    (
        "identify",
        &[
            "fetch",
            "der",
            "service_accounts",
            "sessions",
            "documents",
            "users",
            "keys",
            "tokens",
            "roles",
            "role_mappings",
            "store",
            "passwords",
            "listener",
            "upstream",
        ],
    ),
    ("authorize", &["identify", "body", "path", "scan", "sealing"]),
    ("credential", &["authorize", "fetch", "sessions", "store", "upstream"]),
    ("cluster", &["credential", "fetch", "upstream"]),
    ("broker", &["cluster", "credential", "identify", "listener", "renewal", "sessions", "store"]),
    ("compatibility", &["body", "listener", "upstream"]),
    ("forward", &["authorize", "credential", "sessions", "upstream", "listener", "body", "der"]),
    ("reauthenticate", &["credential"]),
    (
        "respond",
        &[
            "authorize",
            "body",
            "broker",
            "credential",
            "forward",
            "framing",
            "identify",
            "listener",
            "path",
            "passwords",
            "store",
        ],
    ),
    (
        "api",
        &[
            "broker",
            "credential",
            "forward",
            "sessions",
            "documents",
            "roles",
            "role_mappings",
            "service_accounts",
            "users",
            "keys",
            "tokens",
            "service_accounts",
            "identify",
            "authorize",
            "forward",
            "respond",
            "store",
            "passwords",
            "body",
            "path",
            "listener",
        ],
    ),
    ("admin", &[]),
    ("gateway", &["*"]),
    ("cli", &["*"]),
];

#[test]
fn modules_use_only_what_stands_before_them() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for file in rust_files(&source) {
        let relative = file.strip_prefix(&source).unwrap().to_string_lossy().into_owned();
        let module = relative.split(['/', '.']).next().unwrap().to_owned();
        if matches!(module.as_str(), "lib" | "main") {
            continue;
        }
        let Some(position) = DIRECTIONS.iter().position(|(name, _)| *name == module) else {
            wrong.push(format!("{relative}: module {module} is not in the table"));
            continue;
        };
        seen.insert(module.clone());
        let allowed = DIRECTIONS[position].1;
        for used in used_modules(&fs::read_to_string(&file).unwrap()) {
            let common = COMMON.contains(&used.as_str())
                && DIRECTIONS.iter().position(|(name, _)| *name == used).is_some_and(|place| place <= position);
            if used != module && !common && allowed != ["*"] && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{relative} uses crate::{used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let missing: Vec<_> = DIRECTIONS.iter().filter(|(name, _)| !seen.contains(*name)).collect();
    assert!(missing.is_empty(), "in the table but not in src: {missing:?}");
}

#[test]
fn the_table_has_no_cycle() {
    // A line may only name lines above it, so an order exists and no cycle can.
    for (position, (module, allowed)) in DIRECTIONS.iter().enumerate() {
        for used in allowed.iter().filter(|used| **used != "*") {
            let place = DIRECTIONS.iter().position(|(name, _)| name == used);
            assert!(place.is_some_and(|place| place < position), "{module} names {used}, which is not above it");
        }
    }
}

/// First segments of all `crate::…` paths outside of tests, comments and nested `use` groups.
fn used_modules(text: &str) -> BTreeSet<String> {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut modules = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => modules.extend(group_heads(group)),
            None => {
                modules.insert(identifier(rest));
            }
        }
    }
    modules.remove("");
    modules
}

/// The first segment of each member of a `use` group, which begins after its opening brace.
fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut heads, mut fresh) = (0_i32, Vec::new(), true);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            character if fresh && depth == 0 && (character.is_alphanumeric() || character == '_') => {
                heads.push(identifier(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    heads
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
}

fn rust_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && path.file_stem() != Some("tests".as_ref())
        {
            files.push(path);
        }
    }
    files
}
