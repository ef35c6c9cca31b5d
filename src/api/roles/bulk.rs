//! Several roles at once: each has an outcome of its own (API page section 8.1).

use serde_json::{Map, Value, json};

use super::{judge, undeletable};
use crate::{
    api::{
        Api, Call, Reply,
        access::{self, Action},
        descriptor::{self, Kind},
        failure::{Failure, INVALID_REQUEST, Validation},
        form::Form,
        json::{Field, Node, Tree},
    },
    respond::{Exception, Rejection},
    roles::is_reserved,
    store::Put,
};

/// What became of each: outcome → names, in the order in which outcomes came up, and the faults of the others.
#[derive(Default)]
struct Outcomes {
    done: Map<String, Value>,
    faults: Map<String, Value>,
}

impl Api {
    /// Creates or replaces roles.
    pub(in crate::api) async fn put_roles(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let roles = read_roles(call.required_body()?)?;
        call.query.refresh()?;
        call.query.finish(call.path())?;
        let mut validation = Validation::default();
        validation.refuse(roles.is_empty(), "roles cannot be empty");
        validation.finish(INVALID_REQUEST)?;
        access::require(call.principal, &PUT).map_err(Rejection::from)?;
        let mut outcomes = Outcomes::default();
        let mut good: Vec<(Box<str>, Value)> = Vec::new();
        for (name, descriptor) in roles {
            match judge(&name, &descriptor, self.roles.are_told()).text() {
                Some(text) => outcomes.fail(name, INVALID_REQUEST, &text),
                None => good.push((name.into(), descriptor.into())),
            }
        }
        if !good.is_empty() {
            let names: Vec<_> = good.iter().map(|(name, _)| name.clone()).collect();
            for (name, put) in names.iter().zip(self.roles.put(good).await?) {
                outcomes.add(
                    name,
                    match put {
                        Put::Created => "created",
                        Put::Unchanged => "noop",
                        Put::Updated => "updated",
                    },
                );
            }
            self.record(call, "put_roles", json!({ "roles": { "names": names } }));
        }
        Ok(outcomes.reply())
    }

    /// Removes roles.
    pub(in crate::api) async fn delete_roles(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let names = read_names(call.required_body()?)?;
        call.query.refresh()?;
        call.query.finish(call.path())?;
        access::require(call.principal, &DELETE).map_err(Rejection::from)?;
        let mut outcomes = Outcomes::default();
        let (reserved, names): (Vec<_>, Vec<Box<str>>) = names.into_iter().partition(|name| is_reserved(name));
        for (name, found) in names.iter().zip(self.roles.remove(names.clone()).await?) {
            outcomes.add(name, if found { "deleted" } else { "not_found" });
        }
        for name in reserved {
            let text = undeletable(&name);
            outcomes.fail(name.into(), "illegal_argument_exception", &text);
        }
        if outcomes.done.contains_key("deleted") {
            let deleted = outcomes.done.get("deleted");
            self.record(call, "delete_roles", json!({ "roles": { "names": deleted } }));
        }
        Ok(outcomes.reply())
    }
}

impl Outcomes {
    fn add(&mut self, name: &str, outcome: &str) {
        if let Some(names) = self.done.entry(outcome).or_insert_with(|| json!([])).as_array_mut() {
            names.push(name.into());
        }
    }

    fn fail(&mut self, name: String, kind: &str, reason: &str) {
        self.faults.insert(name, json!({ "type": kind, "reason": reason }));
    }

    fn reply(self) -> Reply {
        let Self { mut done, faults } = self;
        if !faults.is_empty() {
            done.insert("errors".to_owned(), json!({ "count": faults.len(), "details": faults }));
        }
        Reply::ok(done.into())
    }
}

/// A role that was read: name and descriptor.
type Role = (String, Map<String, Value>);

fn read_roles(body: &[u8]) -> Result<Vec<Role>, Exception> {
    let form = Form::read("bulk_update_roles_request_payload", body)?;
    let mut roles = None;
    for field in &form.fields {
        match (field.name.as_str(), &field.node.tree) {
            ("roles", Tree::Object(members)) => {
                let read = |member: &Field| {
                    let read = descriptor::read(Kind::Role, &member.name, &member.node).map_err(|fault| {
                        let text = format!("[{}] [roles] failed to parse field [{}]", fault.at, member.name);
                        form.unread(fault.at, "roles", Exception::content(text).because(fault.cause))
                    });
                    Ok((member.name.clone(), read?))
                };
                roles = Some(members.iter().map(read).collect::<Result<_, Exception>>()?);
            }
            ("roles", Tree::List(_)) => {
                let text = "[roles] doesn't support arrays. Use a single object with multiple fields.";
                return Err(form.unread(field.node.at, "roles", Exception::argument(text)));
            }
            ("roles", _) => return Err(form.mistyped(field)),
            _ => return Err(form.unknown(field, &["roles"])),
        }
    }
    roles.ok_or_else(|| Exception::argument("Required [roles]"))
}

fn read_names(body: &[u8]) -> Result<Vec<Box<str>>, Exception> {
    let form = Form::read("bulk_delete_roles_request", body)?;
    let mut names = None;
    for field in &form.fields {
        let name = |node: &Node| match &node.tree {
            Tree::Text(text) => Ok(Box::from(text.as_str())),
            Tree::Bool(_) | Tree::Number(_) => Ok(node.value().to_string().into()),
            _ => {
                let text = format!("Expected text at {} but found {}", node.at, node.token());
                Err(form.unread(node.at, "names", Exception::argument(text)))
            }
        };
        match (field.name.as_str(), &field.node.tree) {
            ("names", Tree::List(items)) => names = Some(items.iter().map(name).collect::<Result<_, _>>()?),
            ("names", Tree::Text(_)) => names = Some(vec![name(&field.node)?]),
            ("names", _) => return Err(form.mistyped(field)),
            _ => return Err(form.unknown(field, &["names"])),
        }
    }
    names.ok_or_else(|| Exception::argument("Required [names]"))
}

const DELETE: Action = Action::named("cluster:admin/xpack/security/role/bulk_delete");
const PUT: Action = Action::named("cluster:admin/xpack/security/role/bulk_put");
