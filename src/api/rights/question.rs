//! What `_has_privileges` is asked (API page section 6.2).

use serde_json::Value;

use crate::{
    api::{
        applications::definition::wrong_name,
        descriptor::{self, Fault},
        failure::Validation,
        json::{self as document, Node, Tree},
    },
    privileges::{self, ApplicationQuestion, IndexQuestion, Question},
    respond::Exception,
};

/// Reads a body, under the name that errors give it.
pub(in crate::api) fn read(name: &str, body: &[u8]) -> Result<Question, Exception> {
    match document::read(body)? {
        Some(node) => of(name, &node).map_err(|fault| fault.cause),
        None => Err(Exception::parse("request body or source parameter is required")),
    }
}

/// Reads what may stand within another body.
pub(in crate::api) fn of(name: &str, node: &Node) -> Result<Question, Fault> {
    let fault = |at, text: String| Err(Fault { at, cause: Exception::parse(text) });
    let prefix = format!("failed to parse privileges check [{name}]");
    let Tree::Object(fields) = &node.tree else {
        return fault(node.at, format!("{prefix}. expected an object but found [{}] instead", node.token()));
    };
    let (indices, applications) = (
        format!("failed to parse indices privileges for role [{name}]"),
        format!("failed to parse application privileges for role [{name}]"),
    );
    let mut question = Question::default();
    let mut given = false;
    for field in fields {
        let (key, node) = (field.name.as_str(), &field.node);
        match key {
            "cluster" => question.cluster = texts(&descriptor::strings(name, key, node)?),
            "index" => {
                let read =
                    descriptor::each(&indices, key, node, |node| descriptor::index(name, &indices, node, false))?;
                for entry in items(&read) {
                    let limited = [
                        ("query", entry.get("query").is_some()),
                        ("field_security", descriptor::restricts_fields(entry)),
                    ];
                    if let Some((key, _)) = limited.iter().find(|(_, limited)| *limited) {
                        return fault(node.at, format!("Field [{key}] is not supported in a has_privileges request"));
                    }
                    question.index.push(index(entry));
                }
            }
            "application" | "applications" => {
                let read =
                    descriptor::each(&applications, key, node, |node| descriptor::application(&applications, node))?;
                question.application = items(&read).map(application).collect();
            }
            other => return fault(field.at, format!("{prefix}. unexpected field [{other}]")),
        }
        given |= !matches!(node.tree, Tree::Null);
    }
    if !given {
        return fault(node.end, format!("{prefix}. All privilege fields [cluster,index,applications] are missing"));
    }
    Ok(question)
}

fn index(entry: &Value) -> IndexQuestion {
    let list = |key: &str| entry.get(key).map(texts).unwrap_or_default();
    IndexQuestion {
        names: list("names"),
        privileges: list("privileges"),
        allow_restricted_indices: entry.get("allow_restricted_indices").and_then(Value::as_bool).unwrap_or_default(),
    }
}

fn application(entry: &Value) -> ApplicationQuestion {
    let list = |key: &str| entry.get(key).map(texts).unwrap_or_default();
    ApplicationQuestion {
        application: entry.get("application").and_then(Value::as_str).unwrap_or_default().to_owned(),
        privileges: list("privileges"),
        resources: list("resources"),
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn texts(list: &Value) -> Vec<String> {
    items(list).filter_map(Value::as_str).map(str::to_owned).collect()
}

/// What is wrong with a question that was read.
pub(in crate::api) fn judge(question: &Question) -> Validation {
    let mut validation = Validation::default();
    let Question { cluster, index, application } = question;
    let empty = cluster.is_empty() && index.is_empty() && application.is_empty();
    validation.refuse(empty, "must specify at least one privilege");
    for text in application.iter().filter_map(|asked| wrong_name(&asked.application)) {
        validation.refuse(true, text);
    }
    validation
}

/// Checks that the privileges asked for exist. The original does so last.
pub(in crate::api) fn known(question: &Question) -> Result<(), Exception> {
    if let Some(name) = question.cluster.iter().find(|name| !privileges::is_cluster_privilege(name)) {
        return Err(Exception::argument(privileges::unknown_cluster_privilege(name)));
    }
    let mut indices = question.index.iter().flat_map(|asked| &asked.privileges);
    match indices.find(|name| !privileges::is_index_privilege(name)) {
        None => Ok(()),
        Some(name) => Err(Exception::argument(privileges::unknown_index_privilege(name))),
    }
}
