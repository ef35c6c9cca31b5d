//! What the environment says: interpolation inside strings, and keys set by variables.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    config::{
        Bootstrap,
        problem::{Place, Problem},
        tree::{Node, TAGS, Value},
        yaml,
    },
    secret::SecretText,
};

/// Environment variables, as an argument: tests bring their own.
#[derive(Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Those of this process; what is not UTF-8 is not ours.
    #[must_use]
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// Lays `SEARCHGATE_BOOTSTRAP_PASSWORD`, or the file that its `_FILE` names, over what a file said. That file is
    /// not read here: it may be gone once the store has a password.
    pub(super) fn overlay_bootstrap(&self, bootstrap: &mut Bootstrap) {
        let set = |name: &str| self.0.get(name).filter(|value| !value.is_empty());
        if let Some(file) = set(&format!("{BOOTSTRAP}_FILE")) {
            bootstrap.password_file = Some(file.into());
        }
        bootstrap.password = set(BOOTSTRAP).cloned().map(SecretText::new);
    }

    /// Replaces `${NAME}`, `${NAME:default}` and `${file:/path}` in every string of the tree.
    pub(super) fn interpolate(&self, node: &mut Node, problems: &mut Vec<Problem>) {
        match &mut node.value {
            Value::Map(entries) => entries.iter_mut().for_each(|(key, node)| {
                let first = problems.len();
                self.interpolate(node, problems);
                within(problems, first, &key.name);
            }),
            Value::Scalar { raw, text } => match self.expand(raw) {
                Ok(expanded) => *text = expanded,
                Err(problem) => {
                    problems.push(Problem { place: node.place.clone(), text: Some(raw.clone()), ..problem });
                }
            },
            Value::Seq(items) => items.iter_mut().enumerate().for_each(|(index, node)| {
                let first = problems.len();
                self.interpolate(node, problems);
                within(problems, first, &index.to_string());
            }),
            Value::Null | Value::Pruned => {}
        }
    }

    /// Lays every `SEARCHGATE__A__B` over the key `a.b` of the tree.
    pub(super) fn overlay(&self, tree: &mut Node, problems: &mut Vec<Problem>) {
        let mut settings: Vec<_> = self
            .0
            .iter()
            .filter_map(|(name, value)| {
                let path = name.strip_prefix("SEARCHGATE__")?.to_ascii_lowercase();
                Some((path.split("__").map(str::to_owned).collect::<Vec<_>>(), name, value))
            })
            .collect();
        // A container before what is in it, list items in the order of their numbers, and the kind of a map before
        // the keys that belong to it.
        settings.sort_by_key(|(path, ..)| {
            path.iter()
                .map(|part| (part.parse().unwrap_or(0_usize), !TAGS.contains(&part.as_str()), part.clone()))
                .collect::<Vec<_>>()
        });
        for (mut path, name, value) in settings {
            let name: Arc<str> = name.as_str().into();
            let value = if secret_file(&mut path) {
                read(value).map_err(|problem| variable(&name, problem))
            } else {
                Ok(value.clone())
            };
            let keys: Vec<&str> = path.iter().map(String::as_str).collect();
            let set = value.and_then(|value| tree.set(&keys, node(value, &name)?, &name));
            if let Err(problem) = set {
                problems.push(Problem { path, ..problem });
            }
        }
    }

    fn expand(&self, raw: &str) -> Result<String, Problem> {
        let mut text = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some((before, after)) = rest.split_once("${") {
            // `$${` is a literal `${`.
            if let Some(before) = before.strip_suffix('$') {
                text.push_str(before);
                text.push_str("${");
                rest = after;
                continue;
            }
            text.push_str(before);
            let (name, following) = after
                .split_once('}')
                .ok_or_else(|| Problem::new("`${` is not closed").hint("write `$${` for the characters themselves"))?;
            text.push_str(&self.look_up(name)?);
            rest = following;
        }
        text.push_str(rest);
        Ok(text)
    }

    fn look_up(&self, name: &str) -> Result<String, Problem> {
        if let Some(path) = name.strip_prefix("file:") {
            return read(path);
        }
        let (name, default) = name.split_once(':').map_or((name, None), |(name, default)| (name, Some(default)));
        match self.0.get(name).map(String::as_str).or(default) {
            Some(value) => Ok(value.to_owned()),
            None => Err(Problem::new(format!("the environment variable {name} is not set"))
                .hint(format!("set it, or write a default: `${{{name}:value}}`"))),
        }
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

/// Whether the path names the file of a secret value rather than a key; then it becomes that of the value.
fn secret_file(path: &mut [String]) -> bool {
    let secret = path.iter().map(String::as_str).eq(["store", "url_file"]);
    if secret && let Some(last) = path.last_mut() {
        "url".clone_into(last);
    }
    secret
}

/// A variable's value: a flow collection where it looks like one, else a scalar.
fn node(value: String, name: &Arc<str>) -> Result<Node, Problem> {
    // `[::1]:9200` is an address.
    if (value.starts_with('[') && value.ends_with(']')) || (value.starts_with('{') && value.ends_with('}')) {
        return yaml::parse_variable(&value, name);
    }
    Ok(Node { place: Place::Variable(Arc::clone(name)), value: Value::Scalar { raw: value.clone(), text: value } })
}

fn read(path: &str) -> Result<String, Problem> {
    std::fs::read_to_string(path)
        .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
        .map_err(|error| Problem::new(format!("cannot read {path}: {error}")))
}

fn variable(name: &str, problem: Problem) -> Problem {
    Problem { place: Place::Variable(name.into()), ..problem }
}

fn within(problems: &mut [Problem], first: usize, key: &str) {
    for problem in problems.iter_mut().skip(first) {
        problem.path.insert(0, key.to_owned());
    }
}

const BOOTSTRAP: &str = "SEARCHGATE_BOOTSTRAP_PASSWORD";
