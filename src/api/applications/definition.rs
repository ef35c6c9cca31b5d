//! Definitions of application privileges: read and judged (API page section 9).

use serde_json::{Map, Value, json};

use crate::{
    api::{
        failure::Validation,
        form,
        json::{self as document, Field, Node, Tree, values},
    },
    privileges::wrong_application,
    respond::Exception,
};

/// A privilege that an application defines.
pub(super) struct Definition {
    pub(super) application: String,
    pub(super) name: String,
    actions: Vec<String>,
    metadata: Map<String, Value>,
}

impl Definition {
    /// As it is stored and told of.
    pub(super) fn shown(&self) -> Value {
        json!({
            "application": self.application, "name": self.name, "actions": self.actions, "metadata": self.metadata,
        })
    }
}

/// Where a privilege is stored.
pub(super) fn key(application: &str, name: &str) -> Box<str> {
    format!("{application}/{name}").into()
}

/// Reads application → name → definition.
pub(super) fn read(body: &[u8]) -> Result<Vec<Definition>, Exception> {
    let node = document::read(body)?;
    let Some(Node { tree: Tree::Object(applications), .. }) = &node else {
        let token = node.as_ref().map_or("null", Node::token);
        return Err(Exception::parse(format!("expected object but found {token} instead")));
    };
    let mut read = Vec::new();
    for application in applications {
        for privilege in object(&application.name, &application.node)? {
            let fields = object(&application.name, &privilege.node)?;
            read.push(definition(&application.name, &privilege.name, fields)?);
        }
    }
    Ok(read)
}

fn object<'a>(application: &str, node: &'a Node) -> Result<&'a [Field], Exception> {
    if let Tree::Object(fields) = &node.tree {
        return Ok(fields);
    }
    let token = node.token();
    Err(Exception::parse(format!("expected the value for {application} to be an object, but found {token} instead")))
}

fn definition(application: &str, name: &str, fields: &[Field]) -> Result<Definition, Exception> {
    let mut actions = Vec::new();
    let mut metadata = Map::new();
    let (mut other_application, mut other_name) = (None, None);
    for field in fields {
        match (field.name.as_str(), &field.node.tree) {
            ("actions", Tree::Text(text)) => actions = vec![text.clone()],
            ("actions", Tree::List(items)) => {
                actions = items.iter().map(|item| action(field, item)).collect::<Result<_, _>>()?;
            }
            ("application", Tree::Text(text)) => other_application = Some(text).filter(|text| *text != application),
            ("metadata", Tree::Object(fields)) => metadata = values(fields),
            ("name", Tree::Text(text)) => other_name = Some(text).filter(|text| *text != name),
            ("actions" | "application" | "metadata" | "name", _) => return Err(form::mistyped(PARSER, field)),
            (unknown, _) => {
                return Err(Exception::content(format!("[{}] [{PARSER}] unknown field [{unknown}]", field.at)));
            }
        }
    }
    if let Some(other) = other_application {
        let text = format!(
            "privilege application [{other}] in source does not match the provided application [{application}]"
        );
        return Err(Exception::argument(text));
    }
    if let Some(other) = other_name {
        let text = format!("privilege name [{other}] in source does not match the provided name [{name}]");
        return Err(Exception::argument(text));
    }
    Ok(Definition { application: application.to_owned(), name: name.to_owned(), actions, metadata })
}

fn action(field: &Field, item: &Node) -> Result<String, Exception> {
    match &item.tree {
        Tree::Text(text) => Ok(text.clone()),
        Tree::Bool(_) | Tree::Number(_) => Ok(item.value().to_string()),
        _ => {
            let cause = Exception::argument(format!("Expected text at {} but found {}", item.at, item.token()));
            let text = format!("[{}] [{PARSER}] failed to parse field [{}]", item.at, field.name);
            Err(Exception::content(text).because(cause))
        }
    }
}

/// What is wrong with definitions that were read.
pub(super) fn judge(definitions: &[Definition]) -> Validation {
    let mut validation = Validation::default();
    validation.refuse(definitions.is_empty(), "At least one application privilege must be provided");
    for Definition { application, name, actions, metadata } in definitions {
        if let Some(text) = wrong_name(application) {
            validation.refuse(true, text);
        }
        let well_formed = name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        validation.refuse(
            !well_formed,
            format!("Application privilege names must match the pattern ^[a-z][a-zA-Z0-9_.-]*$ (found '{name}')"),
        );
        validation.refuse(actions.is_empty(), "Application privileges must have at least one action");
        for action in actions {
            validation.refuse(
                !action.contains(['/', '*', ':']),
                format!("action [{action}] must contain one of [ '/' , '*' , ':' ]"),
            );
            validation.refuse(
                !action.bytes().all(|byte| byte.is_ascii_graphic()),
                format!(
                    "Application privilege names and actions must match the pattern ^\\p{{Graph}}*$ (found '{action}')"
                ),
            );
        }
        validation.refuse(
            metadata.keys().any(|key| key.starts_with('_')),
            format!("metadata keys may not start with [_] (in privilege {application} {name})"),
        );
    }
    validation
}

/// What is wrong with the name of one application; patterns are none.
pub(in crate::api) fn wrong_name(application: &str) -> Option<String> {
    if application.is_empty() {
        return Some("Application names cannot be blank".to_owned());
    }
    if application.contains('*') {
        return Some(format!("Application names may not contain '*' (found '{application}')"));
    }
    wrong_application(application)
}

const PARSER: &str = "application-privilege";
