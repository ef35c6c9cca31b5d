//! A configuration as written: a tree of texts, each of which knows where it came from.

use std::sync::Arc;

use crate::config::problem::{Place, Problem};

/// One value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// What stands at a place. Scalars stay text until a type asks for them.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Map(Vec<(Key, Node)>),
    Null,
    /// Was reported and is not looked at again.
    Pruned,
    Scalar {
        /// As written.
        raw: String,
        /// After interpolation.
        text: String,
    },
    Seq(Vec<Node>),
}

/// The name of a map's entry and its place.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) place: Place,
}

impl Node {
    /// An empty document.
    pub(super) fn empty() -> Self {
        Self { place: Place::Default, value: Value::Map(Vec::new()) }
    }

    /// The text at this place, if it may be shown: not from the environment, and no container.
    pub(super) fn shown(&self) -> Option<String> {
        match (&self.value, &self.place) {
            (_, Place::Variable(_)) => None,
            (Value::Scalar { raw, .. }, _) => Some(raw.clone()),
            _ => None,
        }
    }

    /// The nearest node to `path`: itself, or the closest container that was written.
    pub(super) fn nearest(&self, path: &[String]) -> &Self {
        match path.split_first().and_then(|(head, rest)| Some((self.child(head)?, rest))) {
            Some((child, rest)) => child.nearest(rest),
            None => self,
        }
    }

    /// Takes the value at `path` out of later readings; `false` if there is none.
    pub(super) fn prune(&mut self, path: &[String]) -> bool {
        match path.split_first() {
            None => {
                let was = !matches!(self.value, Value::Pruned);
                self.value = Value::Pruned;
                was
            }
            Some((head, rest)) => self.child_mut(head).is_some_and(|child| child.prune(rest)),
        }
    }

    /// Lays `other` over this: maps entry by entry, everything else replaced. A map of another `kind` or `type`
    /// replaces the whole map, for its keys belong to that kind.
    pub(super) fn merge(&mut self, other: Self) {
        match (&mut self.value, other.value) {
            (Value::Map(mine), Value::Map(theirs)) if same_kind(mine, &theirs) => {
                for (key, node) in theirs {
                    match mine.iter_mut().find(|(known, _)| known.name == key.name) {
                        Some((_, known)) => known.merge(node),
                        None => mine.push((key, node)),
                    }
                }
            }
            (_, value) => *self = Self { place: other.place, value },
        }
    }

    /// Sets the value at `path`, making containers on the way; a number names an item of a list.
    pub(super) fn set(&mut self, path: &[&str], value: Self, name: &Arc<str>) -> Result<(), Problem> {
        let Some((head, rest)) = path.split_first() else {
            self.merge(value);
            return Ok(());
        };
        let place = Place::Variable(Arc::clone(name));
        let fresh = || Self { place: place.clone(), value: Value::Null };
        if let Ok(index) = head.parse::<usize>() {
            if !matches!(self.value, Value::Seq(_)) {
                *self = Self { place: place.clone(), value: Value::Seq(Vec::new()) };
            }
            let Value::Seq(items) = &mut self.value else { return Ok(()) };
            if index == items.len() {
                items.push(fresh());
            }
            let count = items.len();
            let item = items.get_mut(index).ok_or_else(|| Problem {
                place,
                ..Problem::new(format!("the list has {count} items, so none has the index {index}"))
                    .hint("indices count from 0, without gaps")
            })?;
            return item.set(rest, value, name);
        }
        if !matches!(self.value, Value::Map(_)) {
            *self = Self { place: place.clone(), value: Value::Map(Vec::new()) };
        }
        // The value of another kind must not be laid over what belongs to the old one.
        if rest.is_empty() && TAGS.contains(head) {
            let key = Key { name: (*head).to_owned(), place };
            self.merge(Self { place: key.place.clone(), value: Value::Map(vec![(key, value)]) });
            return Ok(());
        }
        let Value::Map(entries) = &mut self.value else { return Ok(()) };
        if let Some((_, child)) = entries.iter_mut().find(|(key, _)| key.name == *head) {
            return child.set(rest, value, name);
        }
        let mut child = fresh();
        let set = child.set(rest, value, name);
        entries.push((Key { name: (*head).to_owned(), place }, child));
        set
    }

    fn child(&self, name: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| node),
            Value::Seq(items) => items.get(name.parse::<usize>().ok()?),
            _ => None,
        }
    }

    fn child_mut(&mut self, name: &str) -> Option<&mut Self> {
        match &mut self.value {
            Value::Map(entries) => entries.iter_mut().find(|(key, _)| key.name == name).map(|(_, node)| node),
            Value::Seq(items) => items.get_mut(name.parse::<usize>().ok()?),
            _ => None,
        }
    }
}

fn same_kind(mine: &[(Key, Node)], theirs: &[(Key, Node)]) -> bool {
    let kind = |entries: &[(Key, Node)]| {
        entries.iter().find(|(key, _)| TAGS.contains(&key.name.as_str())).and_then(|(_, node)| match &node.value {
            Value::Scalar { text, .. } => Some(text.clone()),
            _ => None,
        })
    };
    match (kind(mine), kind(theirs)) {
        (Some(mine), Some(theirs)) => mine == theirs,
        _ => true,
    }
}

/// Keys that say which other keys a map has.
pub(super) const TAGS: &[&str] = &["kind", "type"];
