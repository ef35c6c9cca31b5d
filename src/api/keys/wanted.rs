//! What bodies ask of keys: one reader for those that make, change and copy them (API page sections 4.2, 4.4, 4.7, 4.10).

use std::{collections::HashSet, time::Duration};

use serde_json::{Map, Value};

use crate::{
    api::{
        descriptor::{self, Fault, Kind},
        failure::Validation,
        form::Form,
        json::{Field, Position, Tree, values},
        keys::remote::{self, Access},
        life,
    },
    model::KeyId,
    respond::Exception,
};

/// Members of a body that were given.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) access: Option<Access>,
    /// The credential of the key to copy.
    pub(super) api_key: Option<String>,
    pub(super) ids: Option<Vec<KeyId>>,
    pub(super) life: Option<Duration>,
    pub(super) metadata: Option<Map<String, Value>>,
    pub(super) name: Option<String>,
    pub(super) role_descriptors: Option<Map<String, Value>>,
}

impl Wanted {
    /// Reads the members `known`; `end` is where the object ends.
    pub(super) fn read(form: &Form, known: &[&str], end: Position) -> Result<Self, Fault> {
        let (mut wanted, mut expiration) = (Self::default(), None);
        for field in &form.fields {
            let at = field.node.at;
            let fault = |cause| Fault { at, cause };
            let text = || form.text(field).map(str::to_owned).map_err(fault);
            match field.name.as_str() {
                name if !known.contains(&name) => return Err(fault(form.unknown(field, known))),
                "access" => wanted.access = Some(remote::read(form, field)?),
                "api_key" => wanted.api_key = Some(text()?),
                // A copy of a key may be made to live for ever.
                "expiration" if known.contains(&"api_key") && matches!(field.node.tree, Tree::Null) => {}
                "expiration" => expiration = Some(text()?),
                "ids" => wanted.ids = Some(ids(form, field)?),
                "metadata" => match &field.node.tree {
                    Tree::Object(fields) => wanted.metadata = Some(values(fields)),
                    _ => return Err(fault(form.mistyped(field))),
                },
                "name" => wanted.name = Some(text()?),
                _ => wanted.role_descriptors = Some(descriptors(form, field)?),
            }
        }
        let life = expiration.as_deref().map(life::parse).transpose();
        wanted.life = life.map_err(|cause| Fault { at: end, cause: form.unbuilt(cause) })?;
        Ok(wanted)
    }

    /// What must be given: names, and whether they were not.
    pub(super) fn require(missing: &[(&str, bool)]) -> Result<(), Exception> {
        let missing: Vec<&str> = missing.iter().filter(|(_, missing)| *missing).map(|(name, _)| *name).collect();
        if missing.is_empty() { Ok(()) } else { Err(Exception::argument(format!("Required [{}]", missing.join(", ")))) }
    }

    /// Adds what is wrong with the name.
    pub(super) fn judge_name(&self, validation: &mut Validation) {
        let name = self.name.as_deref().unwrap_or_default();
        validation.refuse(name.is_empty(), "api key name is required");
        validation.refuse(name.encode_utf16().count() > 256, "api key name may not be more than 256 characters long");
        validation.refuse(name.trim() != name, "api key name may not begin or end with whitespace");
        validation.refuse(name.starts_with('_'), "api key name may not begin with an underscore");
    }

    /// Adds what is wrong with everything else.
    pub(super) fn judge(&self, validation: &mut Validation) {
        validation.refuse(
            self.metadata.iter().flat_map(Map::keys).any(|key| key.starts_with('_')),
            "API key metadata keys may not start with [_]",
        );
        for (role, descriptor) in self.role_descriptors.iter().flatten() {
            if let Value::Object(descriptor) = descriptor {
                // The cluster is told a key's owner, not what the key is limited to.
                descriptor::validate(role, descriptor, false, validation);
            }
        }
    }

    /// Adds what is wrong with the life of a key that lives.
    pub(super) fn judge_life(&self, validation: &mut Validation) {
        validation.refuse(self.life.is_some_and(|life| life.is_zero()), "API key expiration must be in the future");
    }
}

fn descriptors(form: &Form, field: &Field) -> Result<Map<String, Value>, Fault> {
    let (name, at) = (field.name.as_str(), field.node.at);
    let Tree::Object(roles) = &field.node.tree else {
        let cause = if matches!(field.node.tree, Tree::List(_)) {
            let text = format!("[{name}] doesn't support arrays. Use a single object with multiple fields.");
            form.unread(at, name, Exception::argument(text))
        } else {
            form.mistyped(field)
        };
        return Err(Fault { at, cause });
    };
    roles
        .iter()
        .map(|role| match descriptor::read(Kind::Key, &role.name, &role.node) {
            Ok(read) => Ok((role.name.clone(), read.into())),
            Err(Fault { at, cause }) => {
                let text = format!("[{at}] [{name}] failed to parse field [{}]", role.name);
                Err(Fault { at, cause: form.unread(at, name, Exception::content(text).because(cause)) })
            }
        })
        .collect()
}

/// Ids of a bulk update: one text, or a list; of repeated ones the first counts.
fn ids(form: &Form, field: &Field) -> Result<Vec<KeyId>, Fault> {
    let at = field.node.at;
    match &field.node.tree {
        Tree::Text(id) => Ok(vec![KeyId(id.as_str().into())]),
        Tree::List(items) => {
            let mut seen = HashSet::new();
            let mut ids = Vec::with_capacity(items.len());
            for item in items {
                let id = match &item.tree {
                    Tree::Text(id) => KeyId(id.as_str().into()),
                    Tree::Bool(_) | Tree::Number(_) => KeyId(item.value().to_string().into()),
                    _ => {
                        let at = item.at;
                        let cause = Exception::argument(format!("Expected text at {at} but found {}", item.token()));
                        return Err(Fault { at, cause: form.unread(at, "ids", cause) });
                    }
                };
                if seen.insert(id.clone()) {
                    ids.push(id);
                }
            }
            Ok(ids)
        }
        _ => Err(Fault { at, cause: form.mistyped(field) }),
    }
}
