//! A union of role descriptors, compiled.

use serde_json::{Map, Value};

use super::{
    application::ApplicationGrant,
    entries,
    expression::{Expressions, Id},
    is_for_workflow,
    named::{self, Named, Parts},
    pattern::{self, Pattern},
    restricted, texts,
};

/// What a set of descriptors grants.
#[derive(Debug, Default)]
pub(super) struct Grant {
    pub(super) cluster: Actions,
    /// Whether the caller may manage the keys that it owns.
    pub(super) own_keys: bool,
    pub(super) indices: Vec<IndexGrant>,
    pub(super) applications: Vec<ApplicationGrant>,
    pub(super) run_as: Vec<Pattern>,
    /// Applications whose privileges may be managed.
    pub(super) manages: Vec<Pattern>,
    /// Applications whose profile data may be written.
    pub(super) writes_profiles: Vec<Pattern>,
    /// What roles may grant that may be put.
    roles: Vec<IndexGrant>,
}

/// Actions, by named privileges and by patterns.
#[derive(Debug, Default)]
pub(super) struct Actions {
    pub(super) named: Vec<&'static Named>,
    pub(super) patterns: Vec<Pattern>,
}

/// Actions on indices.
#[derive(Debug)]
pub(super) struct IndexGrant {
    pub(super) names: Vec<Pattern>,
    pub(super) actions: Actions,
    /// Whether restricted indices are meant too.
    restricted: bool,
    /// Whether all fields and documents are meant; if not, no action is decided by it.
    whole: bool,
}

impl Grant {
    pub(super) fn of(descriptors: &Map<String, Value>) -> Self {
        let mut grant = Self::default();
        for descriptor in descriptors.values().filter(|descriptor| !is_for_workflow(descriptor)) {
            for name in texts(descriptor.get("cluster")) {
                grant.own_keys |= name.eq_ignore_ascii_case(named::OWN_KEYS);
                grant.cluster.add(name, named::cluster(name), named::is_cluster_action);
            }
            let indices = ["indices", "index"].into_iter().flat_map(|key| entries(descriptor, key));
            grant.indices.extend(indices.map(IndexGrant::of));
            grant.applications.extend(entries(descriptor, "applications").map(ApplicationGrant::of));
            grant.run_as.extend(texts(descriptor.get("run_as")).map(Pattern::new));
            let global = |path| descriptor.get("global").and_then(|global: &Value| global.pointer(path));
            grant.manages.extend(texts(global("/application/manage/applications")).map(Pattern::new));
            grant.writes_profiles.extend(texts(global("/profile/write/applications")).map(Pattern::new));
            if let Some(manage) = global("/role/manage") {
                grant.roles.extend(entries(manage, "indices").map(IndexGrant::of));
            }
        }
        grant
    }

    /// Whether every cluster action, and every action on every index is granted.
    pub(super) fn is_total(&self) -> bool {
        self.cluster.holds("all") && self.indices.iter().any(IndexGrant::is_total)
    }

    pub(super) fn may_put_role(&self, descriptor: &Map<String, Value>) -> bool {
        let silent = |value: &Value| match value {
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            _ => true,
        };
        let only_indices = descriptor.iter().all(|(key, value)| {
            matches!(key.as_str(), "indices" | "metadata" | "transient_metadata" | "description") || silent(value)
        });
        let entries = descriptor.get("indices").and_then(Value::as_array);
        only_indices
            && entries.is_some_and(|entries| {
                !entries.is_empty()
                    && entries.iter().all(|entry| {
                        let restricted = allows_restricted(entry);
                        texts(entry.get("names")).all(|name| {
                            texts(entry.get("privileges")).all(|asked| covers(&self.roles, name, asked, restricted))
                        })
                    })
            })
    }
}

impl Actions {
    /// Adds a privilege; one that does not exist grants nothing.
    fn add(&mut self, name: &str, named: Option<&'static Named>, is_action: fn(&str) -> bool) {
        if let Some(named) = named {
            self.named.push(named);
        } else if is_action(name) {
            self.patterns.push(Pattern::new(&action_pattern(name)));
        }
    }

    /// Whether an action on one part of a data stream is granted.
    pub(super) fn allows(&self, action: &str, part: Parts) -> bool {
        self.named.iter().any(|named| named.parts.meet(part) && named.allows(action))
            || part == Parts::Data && self.patterns.iter().any(|pattern| pattern.matches(action))
    }

    /// Whether a privilege is held by its name.
    pub(super) fn holds(&self, name: &str) -> bool {
        self.named.iter().any(|named| named.name == name)
    }

    /// Whether anything but privileges without actions is held.
    pub(super) fn is_empty(&self) -> bool {
        self.named.iter().all(|named| named.name == named::OWN_KEYS) && self.patterns.is_empty()
    }

    /// All actions on these parts.
    pub(super) fn expression(&self, parts: Parts, expressions: &mut Expressions) -> Id {
        let named = self.named.iter().filter(|named| named.parts.meet(parts));
        let mut ids: Vec<Id> = named.map(|named| actions_of(named, expressions)).collect();
        if Parts::Data.meet(parts) {
            ids.push(pattern::union(self.patterns.iter().map(Pattern::text), expressions));
        }
        expressions.or(ids)
    }
}

impl IndexGrant {
    fn of(entry: &Value) -> Self {
        let mut actions = Actions::default();
        for name in texts(entry.get("privileges")) {
            actions.add(name, named::index(name), named::is_index_action);
        }
        let absent = |key| entry.get(key).is_none_or(|value| value.is_null() || value == "");
        let fields = entry.get("field_security");
        let all_fields = absent("field_security")
            || fields.is_some_and(|fields| {
                texts(fields.get("grant")).any(|field| field == "*") && texts(fields.get("except")).next().is_none()
            });
        Self {
            names: texts(entry.get("names")).map(Pattern::new).collect(),
            actions,
            restricted: allows_restricted(entry),
            whole: all_fields && absent("query"),
        }
    }

    /// Whether an action on the index called so is granted.
    pub(super) fn allows(&self, action: &str, index: &str) -> bool {
        let (name, part) = match index.rsplit_once("::") {
            Some((name, "failures")) => (name, Parts::Failures),
            Some((name, "data")) => (name, Parts::Data),
            _ => (index, Parts::Data),
        };
        self.whole
            && self.actions.allows(action, part)
            && self.names.iter().any(|pattern| pattern.matches(name))
            && (self.restricted || !restricted::is_restricted(name))
    }

    /// Whether an action is granted on every name that begins so.
    pub(super) fn allows_prefix(&self, action: &str, prefix: &str) -> bool {
        // Restricted names begin with a dot.
        let ordinary = !prefix.is_empty() && !prefix.starts_with('.');
        self.whole
            && (self.restricted || ordinary)
            && self.actions.allows(action, Parts::Data)
            && self.names.iter().any(|pattern| pattern.prefix().is_some_and(|granted| prefix.starts_with(granted)))
    }

    /// Whether a name is meant, whatever is granted on it.
    pub(super) fn names(&self, name: &str) -> bool {
        self.names.iter().any(|pattern| pattern.matches(name)) && (self.restricted || !restricted::is_restricted(name))
    }

    /// Whether an action is granted on anything.
    pub(super) fn allows_somewhere(&self, action: &str) -> bool {
        let part = |part| self.actions.allows(action, part);
        self.whole && !self.names.is_empty() && (part(Parts::Data) || part(Parts::Failures))
    }

    pub(super) fn is_total(&self) -> bool {
        self.whole && self.actions.holds("all") && self.names.iter().any(|name| name.text() == "*")
    }

    /// All names that are meant.
    fn expression(&self, restricted: Id, expressions: &mut Expressions) -> Id {
        let names = pattern::union(self.names.iter().map(Pattern::text), expressions);
        if self.restricted {
            return names;
        }
        let others = expressions.not(restricted);
        expressions.and([names, others])
    }
}

/// Whether entries together grant the privilege `asked` on every name that matches `name` (API page section 6.2). What
/// is too complex to be told is not granted.
pub(super) fn covers(grants: &[IndexGrant], name: &str, asked: &str, allow_restricted: bool) -> bool {
    let expressions = &mut Expressions::new();
    let restricted = restricted::expression(expressions);
    // Nothing is called so.
    if name.is_empty() {
        return false;
    }
    let mut names = pattern::expression(name, expressions);
    // A restricted index that is named is meant; patterns mean them only when they say so.
    let named = !name.contains('*') && restricted::is_restricted(name);
    if !allow_restricted && !named {
        let others = expressions.not(restricted);
        names = expressions.and([names, others]);
    }
    let (actions, parts) = match named::index(asked) {
        Some(named) => (actions_of(named, expressions), named.parts),
        None if named::is_index_action(asked) => {
            (pattern::expression(&action_pattern(asked), expressions), Parts::Data)
        }
        None => return false,
    };
    // Names of entries that grant the same add up, and so do actions of those that cover all names; as there, no more.
    let mut granted: Vec<(Id, Id)> = Vec::new();
    for grant in grants {
        let entry = grant.actions.expression(parts, expressions);
        let on = grant.expression(restricted, expressions);
        match granted.iter_mut().find(|(actions, _)| *actions == entry) {
            Some((_, names)) => *names = expressions.or([*names, on]),
            None => granted.push((entry, on)),
        }
    }
    granted.retain(|(_, on)| expressions.covers(*on, names).unwrap_or(false));
    let held = expressions.or(granted.into_iter().map(|(actions, _)| actions));
    let anything = held != Expressions::NOTHING && expressions.is_empty(names).is_ok_and(|empty| !empty);
    anything && expressions.covers(held, actions).unwrap_or(false)
}

/// The actions behind a named privilege.
pub(super) fn actions_of(named: &Named, expressions: &mut Expressions) -> Id {
    let grants = pattern::union(named.grants.iter().copied(), expressions);
    let except = pattern::union(named.except.iter().copied(), expressions);
    let others = expressions.not(except);
    expressions.and([grants, others])
}

/// An action in place of a privilege stands for all that begin so.
pub(super) fn action_pattern(name: &str) -> String {
    name.to_lowercase() + "*"
}

fn allows_restricted(entry: &Value) -> bool {
    entry.get("allow_restricted_indices").and_then(Value::as_bool).unwrap_or_default()
}
