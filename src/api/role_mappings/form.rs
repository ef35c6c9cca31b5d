//! The body that makes a role mapping (API page section 8.4).

use serde_json::{Map, Value};

use crate::{
    api::{
        form,
        json::{self as document, Field, Node, Position, Tree, values},
        query::boolean,
        role_mappings::rules,
        suggest,
    },
    respond::Exception,
};

/// What a body asks for.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) enabled: bool,
    pub(super) roles: Vec<String>,
    /// Whether it names roles by templates.
    pub(super) templates: bool,
    /// As given: they were read and make sense.
    pub(super) rules: Value,
    pub(super) metadata: Map<String, Value>,
}

impl Wanted {
    /// # Errors
    ///
    /// What is no mapping.
    pub(super) fn read(name: &str, body: &[u8]) -> Result<Self, Exception> {
        let malformed =
            |cause: Exception| parsing(Position { line: 1, column: 1 }, cause.reason().into()).because(cause);
        let Some(node) = document::read(body).map_err(malformed)? else {
            return Err(Exception::content(format!("[1:0] [{PARSER}] Expected START_OBJECT but was: null")));
        };
        let Tree::Object(fields) = &node.tree else {
            let text = format!("[{}] [{PARSER}] Expected START_OBJECT but was: {}", node.at, node.token());
            return Err(content(node.at, text));
        };
        let mut wanted = Self::default();
        for field in fields {
            wanted.take(name, field)?;
        }
        let lacks = |name: &str| fields.iter().all(|field| field.name != name);
        let missing = [
            ("roles", lacks("roles") && lacks("role_templates")),
            ("rules", lacks("rules")),
            ("enabled", lacks("enabled")),
        ];
        match missing.iter().find(|(_, missing)| *missing) {
            None => Ok(wanted),
            Some((field, _)) => {
                let text = format!("failed to parse role-mapping [{name}]. missing field [{field}]");
                let cause = Exception::new("illegal_state_exception", text.clone());
                Err(parsing(node.end, text).because(cause))
            }
        }
    }

    fn take(&mut self, name: &str, field: &Field) -> Result<(), Exception> {
        match (field.name.as_str(), &field.node.tree) {
            ("enabled", Tree::Bool(enabled)) => self.enabled = *enabled,
            ("enabled", Tree::Text(text)) => {
                self.enabled = boolean(text).map_err(|cause| unread(field.node.at, field, cause))?;
            }
            ("roles", Tree::List(items)) => {
                self.roles = items.iter().map(|item| role(field, item)).collect::<Result<_, _>>()?;
            }
            ("roles", Tree::Text(text)) => self.roles = vec![text.clone()],
            ("role_templates", Tree::List(items)) => {
                items.iter().try_for_each(|item| template(field, item))?;
                self.templates = !items.is_empty();
            }
            ("rules", Tree::Object(_)) => {
                rules::check(name, &field.node).map_err(|fault| unread(fault.at, field, fault.cause))?;
                self.rules = field.node.value();
            }
            ("metadata", Tree::Object(fields)) => self.metadata = values(fields),
            ("enabled" | "roles" | "role_templates" | "rules" | "metadata", _) => {
                return Err(content(field.node.at, form::mistype(PARSER, field)));
            }
            (unknown, _) => {
                let question = suggest::question(&suggest::near(unknown, KNOWN));
                let question = question.map_or_else(String::new, |question| format!(" {question}"));
                let text = format!("[{}] [{PARSER}] unknown field [{unknown}]{question}", field.at);
                return Err(content(field.node.at, text));
            }
        }
        Ok(())
    }
}

fn role(field: &Field, item: &Node) -> Result<String, Exception> {
    match &item.tree {
        Tree::Text(text) => Ok(text.clone()),
        Tree::Bool(_) | Tree::Number(_) => Ok(item.value().to_string()),
        _ => {
            let text = format!("Expected text at {} but found {}", item.at, item.token());
            Err(unread(item.at, field, Exception::argument(text)))
        }
    }
}

fn template(field: &Field, item: &Node) -> Result<(), Exception> {
    match &item.tree {
        Tree::Object(members) if members.iter().any(|member| member.name == "template") => Ok(()),
        _ => Err(unread(item.end, field, Exception::argument("Required [template]"))),
    }
}

/// A member could not be read.
fn unread(at: Position, field: &Field, cause: Exception) -> Exception {
    let text = format!("[{at}] [{PARSER}] failed to parse field [{}]", field.name);
    parsing(at, text.clone()).because(Exception::content(text).because(cause))
}

/// What the parser says, said again by whoever called it.
fn content(at: Position, text: String) -> Exception {
    parsing(at, text.clone()).because(Exception::content(text))
}

/// The root of all that it is caused by, too.
fn parsing(at: Position, text: String) -> Exception {
    let exception = Exception::new("parsing_exception", text).with("line", at.line).with("col", at.column);
    let root = exception.clone();
    exception.rooted_in(&root)
}

const PARSER: &str = "role-mapping";
const KNOWN: [&str; 5] = ["enabled", "metadata", "role_templates", "roles", "rules"];
