//! Privileges on applications: names for sets of actions, which applications define for themselves.

use serde_json::{Map, Value};

use super::{
    expression::{Expressions, Id},
    pattern::{self, Pattern},
    texts,
};

/// What a descriptor grants on applications.
#[derive(Debug)]
pub(super) struct ApplicationGrant {
    application: Pattern,
    privileges: Box<[Box<str>]>,
    resources: Box<[Pattern]>,
}

impl ApplicationGrant {
    pub(super) fn of(entry: &Value) -> Self {
        Self {
            application: Pattern::new(entry.get("application").and_then(Value::as_str).unwrap_or_default()),
            privileges: texts(entry.get("privileges")).map(Box::from).collect(),
            resources: texts(entry.get("resources")).map(Pattern::new).collect(),
        }
    }

    /// Whether the privilege or action `asked` is granted on everything that `resource` matches. `stored` are the
    /// privileges that applications have defined: application → name → definition.
    fn covers(&self, application: &str, asked: &str, resource: &str, stored: &Map<String, Value>) -> bool {
        if !self.application.matches(application) {
            return false;
        }
        let expressions = &mut Expressions::new();
        let granted: Vec<Id> =
            self.privileges.iter().map(|name| actions(application, name, stored, expressions)).collect();
        let (granted, wanted) = (expressions.or(granted), actions(application, asked, stored, expressions));
        // A privilege that nobody defined has no actions; whoever holds it by its very name still holds it.
        let same = || self.privileges.iter().any(|name| **name == *asked) && self.privileges.len() == 1;
        let held = granted == Expressions::ALL
            || wanted != Expressions::NOTHING && expressions.covers(granted, wanted).unwrap_or(false)
            || same() && self.application.text() == application;
        let on = pattern::union(self.resources.iter().map(Pattern::text), expressions);
        let asked = pattern::expression(resource, expressions);
        held && expressions.covers(on, asked).unwrap_or(false)
    }
}

/// Whether any of `grants` covers what is asked: see [`ApplicationGrant::covers`].
pub(super) fn covers(
    grants: &[ApplicationGrant],
    (application, asked, resource): (&str, &str, &str),
    stored: &Map<String, Value>,
) -> bool {
    grants.iter().any(|grant| grant.covers(application, asked, resource, stored))
}

/// The actions that a privilege stands for.
fn actions(application: &str, name: &str, stored: &Map<String, Value>, expressions: &mut Expressions) -> Id {
    if !is_privilege_name(name) {
        return pattern::expression(name, expressions);
    }
    let defined = stored.get(application).and_then(|privileges| privileges.get(name));
    pattern::union(texts(defined.and_then(|privilege| privilege.get("actions"))), expressions)
}

/// Whether `name` is the name of a privilege, and no action.
fn is_privilege_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

/// What is wrong with the name of an application, or the pattern of such names.
#[must_use]
pub fn wrong_application(name: &str) -> Option<String> {
    if name.contains(char::is_whitespace) {
        return Some(format!("Application names may not contain whitespace (found '{name}')"));
    }
    let plain = name.strip_suffix('*').unwrap_or(name);
    if plain.contains('*') {
        return Some(format!("Application name patterns only support trailing wildcards (found '{name}')"));
    }
    if name == "*" {
        return None;
    }
    let (prefix, suffix) = plain.find(['-', '_']).map_or((plain, ""), |at| plain.split_at(at));
    let well_formed = prefix.starts_with(|first: char| first.is_ascii_lowercase())
        && prefix.chars().all(|one| one.is_ascii_alphanumeric());
    if !well_formed {
        return Some(format!(
            "An application name prefix must match the pattern ^[a-z][A-Za-z0-9]*$ (found '{prefix}')"
        ));
    }
    if prefix.len() < 3 && plain == name {
        return Some(format!("An application name prefix must be at least 3 characters long (found '{prefix}')"));
    }
    let suffix = suffix.get(1..).unwrap_or_default();
    suffix.contains(['"', ',', '/', '<', '>', '?', '\\', '|']).then(|| {
        format!(
            "An application name suffix may not contain any of the characters \
         '[' ','\"','*',',','/','<','>','?','\\','|']' (found '{suffix}')"
        )
    })
}
