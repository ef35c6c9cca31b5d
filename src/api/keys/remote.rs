//! What a cross-cluster key gives access to, and the role descriptor that this stands for (API page section 4.10).

use serde_json::{Map, Value, json};

use crate::{
    api::{
        descriptor::{self, Fault, Kind},
        form::{self, Form},
        json::{Field, Node, Tree},
    },
    respond::Exception,
};

/// `access` as answers show it.
pub(super) struct Access(pub(super) Map<String, Value>);

/// Reads the member `access`.
pub(super) fn read(form: &Form, field: &Field) -> Result<Access, Fault> {
    let at = field.node.at;
    let Tree::Object(parts) = &field.node.tree else {
        return Err(Fault { at, cause: form.mistyped(field) });
    };
    let nested = |Fault { at, cause }: Fault| Fault { at, cause: form.unread(at, &field.name, cause) };
    let mut access = Map::new();
    for name in PARTS {
        if let Some(part) = parts.iter().find(|part| part.name == name) {
            let entries = entries(part).map_err(|Fault { at, cause }| {
                let text = format!("[{at}] [{PARSER}] failed to parse field [{name}]");
                nested(Fault { at, cause: Exception::content(text).because(cause) })
            })?;
            if !entries.is_empty() {
                access.insert(name.to_owned(), entries.into());
            }
        }
    }
    match parts.iter().find(|part| !PARTS.contains(&part.name.as_str())) {
        None => Ok(Access(access)),
        Some(part) => {
            let text = format!("[{}] [{PARSER}] unknown field [{}]", part.at, part.name);
            Err(nested(Fault { at: part.node.at, cause: Exception::content(text) }))
        }
    }
}

/// Entries without privileges, which a part implies: read as those of a role that has them.
fn entries(part: &Field) -> Result<Vec<Value>, Fault> {
    let items = match &part.node.tree {
        Tree::List(items) => items.as_slice(),
        Tree::Object(_) => std::slice::from_ref(&part.node),
        _ => return Err(Fault { at: part.node.at, cause: form::mistyped(PARSER, part) }),
    };
    items
        .iter()
        .map(|item| {
            let prefix = "failed to parse indices privileges for role [cross_cluster]";
            let Tree::Object(fields) = &item.tree else {
                let text = format!(
                    "{prefix}. expected field [null] value to be an array of objects, but found an array element of type [{}]",
                    item.token()
                );
                return Err(Fault { at: item.at, cause: Exception::parse(text) });
            };
            if let Some(given) = fields.iter().find(|field| field.name == "privileges") {
                let text = format!("{prefix}. field [privileges] must not present");
                return Err(Fault { at: given.node.at, cause: Exception::parse(text) });
            }
            let mut shown = descriptor::read(Kind::Key, ROLE, &implied(item, fields))?;
            let entry = shown.get_mut("indices").and_then(Value::as_array_mut).and_then(Vec::pop);
            let mut entry = entry.unwrap_or_default();
            if let Some(entry) = entry.as_object_mut() {
                entry.shift_remove("privileges");
            }
            Ok(entry)
        })
        .collect()
}

/// A descriptor that holds the entry, with a privilege.
fn implied(entry: &Node, fields: &[Field]) -> Node {
    let node = |tree| Node { at: entry.at, end: entry.end, tree };
    let field = |name: &str, node| Field { at: entry.at, name: name.to_owned(), node };
    let privilege = node(Tree::List(vec![node(Tree::Text("read".to_owned()))]));
    let fields = fields.iter().map(Field::clone).chain([field("privileges", privilege)]).collect();
    let indices = node(Tree::List(vec![node(Tree::Object(fields))]));
    node(Tree::Object(vec![field("indices", indices)]))
}

impl Access {
    /// # Errors
    ///
    /// Access to nothing, and limits that replication cannot keep.
    pub(super) fn check(&self) -> Result<(), Exception> {
        let part = |name| self.0.get(name).and_then(Value::as_array);
        let limited = |entries: Option<&Vec<Value>>| {
            entries
                .into_iter()
                .flatten()
                .any(|entry| entry.get("query").is_some() || entry.get("field_security").is_some())
        };
        let (search, replication) = (part("search"), part("replication"));
        Err(Exception::argument(if search.is_none() && replication.is_none() {
            "must specify non-empty access for either [search] or [replication]"
        } else if replication.is_some() && limited(search) {
            "search does not support document or field level security if replication is assigned"
        } else if limited(replication) {
            "replication does not support document or field level security"
        } else {
            return Ok(());
        }))
    }

    /// The role descriptor that it stands for.
    pub(super) fn descriptors(&self) -> Map<String, Value> {
        let (mut cluster, mut indices) = (Vec::<&str>::new(), Vec::new());
        for (name, of_cluster, of_index) in [
            (
                "search",
                &["cross_cluster_search", "monitor_enrich"][..],
                &["read", "read_cross_cluster", "view_index_metadata"][..],
            ),
            (
                "replication",
                &["cross_cluster_replication"],
                &["cross_cluster_replication", "cross_cluster_replication_internal"],
            ),
        ] {
            let Some(entries) = self.0.get(name).and_then(Value::as_array) else { continue };
            cluster.extend(of_cluster);
            for entry in entries.iter().filter_map(Value::as_object) {
                let mut shown = Map::new();
                for (key, value) in entry {
                    shown.insert(key.clone(), value.clone());
                    if key == "names" {
                        shown.insert("privileges".into(), json!(of_index));
                    }
                }
                indices.push(shown);
            }
        }
        let role = json!({
            "cluster": cluster, "indices": indices, "applications": [], "run_as": [], "metadata": {},
            "transient_metadata": { "enabled": true },
        });
        Map::from_iter([(ROLE.to_owned(), role)])
    }
}

const PARSER: &str = "cross_cluster_api_key_request_access";
const PARTS: [&str; 2] = ["search", "replication"];
const ROLE: &str = "cross_cluster";
