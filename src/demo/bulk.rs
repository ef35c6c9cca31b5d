//! `_bulk` of the demo cluster: NDJSON, one result an item.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::demo::{
    failure::Failure,
    index::{Cluster, Creation, Written},
};

/// Runs the actions of `body` one after the other; those without an index of their own go to `index`.
///
/// # Errors
///
/// When the body is no sequence of actions; nothing has been done then. What fails later fails its item alone.
pub fn run(cluster: &mut Cluster, index: Option<&str>, body: &[u8]) -> Result<Value, Failure> {
    let actions = parse(body)?;
    let (mut errors, mut items) = (false, Vec::with_capacity(actions.len()));
    for Action { verb, target, source } in actions {
        let named = target.index.as_deref().or(index);
        let item = match apply(cluster, verb, named, target.id.as_deref(), source) {
            Ok(written) => with_status(written.body(), written.status().as_u16()),
            Err(failure) => {
                errors = true;
                let failed = json!({"_index": named, "_id": target.id, "error": failure.cause()});
                with_status(failed, failure.status.as_u16())
            }
        };
        items.push(json!({ verb.name(): item }));
    }
    Ok(json!({"took": 0, "errors": errors, "items": items}))
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verb {
    Create,
    Delete,
    Index,
    Update,
}

/// One action and its source, which is empty for a delete.
#[derive(Debug)]
struct Action<'a> {
    verb: Verb,
    target: Target,
    source: &'a [u8],
}

/// What an action is about. What else real clusters take (routing, versions) does nothing here.
#[derive(Debug, Default, Deserialize)]
struct Target {
    #[serde(rename = "_index")]
    index: Option<String>,
    #[serde(rename = "_id")]
    id: Option<String>,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Index => "index",
            Self::Update => "update",
        }
    }
}

fn parse(body: &[u8]) -> Result<Vec<Action<'_>>, Failure> {
    let Some(body) = body.strip_suffix(b"\n") else {
        return Err(Failure::illegal("The bulk request must be terminated by a newline [\\n]".to_owned()));
    };
    let mut lines = body.split(|byte| *byte == b'\n').enumerate();
    let mut actions = Vec::new();
    while let Some((at, line)) = lines.next() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let malformed = || Failure::illegal(format!("Malformed action/metadata line [{}]", at + 1));
        let entries: Map<String, Value> = serde_json::from_slice(line).map_err(|_| malformed())?;
        let mut entries = entries.into_iter();
        let (Some((name, target)), None) = (entries.next(), entries.next()) else { return Err(malformed()) };
        let verbs = [Verb::Create, Verb::Delete, Verb::Index, Verb::Update];
        let verb = verbs.into_iter().find(|verb| verb.name() == name).ok_or_else(malformed)?;
        let target = serde_json::from_value(target).map_err(|_| malformed())?;
        let source = match verb {
            Verb::Delete => &[],
            _ => lines.next().map(|(_, line)| line).ok_or_else(malformed)?,
        };
        actions.push(Action { verb, target, source });
    }
    if actions.is_empty() { Err(Failure::illegal("no requests added".to_owned())) } else { Ok(actions) }
}

fn apply(
    cluster: &mut Cluster,
    verb: Verb,
    index: Option<&str>,
    id: Option<&str>,
    source: &[u8],
) -> Result<Written, Failure> {
    let index = index.ok_or_else(|| Failure::illegal("index is missing".to_owned()))?;
    let needed = || id.ok_or_else(|| Failure::illegal("id is missing".to_owned()));
    match verb {
        Verb::Create => cluster.put(index, id, source, Creation::New),
        Verb::Delete => cluster.delete(index, needed()?),
        Verb::Index => cluster.put(index, id, source, Creation::Any),
        Verb::Update => {
            let id = needed()?;
            let merged = merge(cluster, index, id, source)?;
            cluster.put(index, Some(id), &merged, Creation::Any)
        }
    }
}

/// The document with the fields of `doc` put over it; the only update there is.
fn merge(cluster: &Cluster, index: &str, id: &str, source: &[u8]) -> Result<Vec<u8>, Failure> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Update {
        doc: Map<String, Value>,
    }
    let update: Update = serde_json::from_slice(source).map_err(|error| Failure::document(&error))?;
    let old = cluster.index(index)?.find(id).ok_or_else(|| {
        Failure::new(http::StatusCode::NOT_FOUND, "document_missing_exception", format!("[{id}]: document missing"))
    })?;
    let mut merged: Map<String, Value> =
        serde_json::from_str(old.source.get()).map_err(|error| Failure::document(&error))?;
    overlay(&mut merged, update.doc);
    serde_json::to_vec(&merged).map_err(|error| Failure::document(&error))
}

/// Objects are merged, everything else is replaced.
fn overlay(under: &mut Map<String, Value>, over: Map<String, Value>) {
    for (name, value) in over {
        match (under.get_mut(&name), value) {
            (Some(Value::Object(under)), Value::Object(over)) => overlay(under, over),
            (_, value) => {
                under.insert(name, value);
            }
        }
    }
}

fn with_status(mut item: Value, status: u16) -> Value {
    if let Value::Object(fields) = &mut item {
        fields.insert("status".to_owned(), status.into());
    }
    item
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn run_on_new(body: &str) -> Value {
        run(&mut Cluster::new(usize::MAX), None, body.as_bytes()).unwrap()
    }

    #[test]
    fn every_action_has_its_result() {
        let result = run_on_new(concat!(
            "{\"index\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{\"n\":{\"x\":1,\"y\":1}}\n",
            "{\"create\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{\"n\":2}\n",
            "{\"update\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{\"doc\":{\"n\":{\"y\":2}}}\n",
            "{\"update\":{\"_index\":\"a\",\"_id\":\"9\"}}\n{\"doc\":{}}\n",
            "{\"index\":{\"_index\":\"a\"}}\nno json\n",
            "{\"delete\":{\"_index\":\"a\",\"_id\":\"1\"}}\n",
            "{\"delete\":{\"_index\":\"a\",\"_id\":\"1\"}}\n",
        ));
        assert_eq!(result["errors"], true);
        let statuses: Vec<_> = result["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item.as_object().unwrap().iter().next().unwrap())
            .map(|(verb, item)| (verb.as_str(), item["status"].as_u64().unwrap()))
            .collect();
        let expected = [
            ("index", 201),
            ("create", 409),
            ("update", 200),
            ("update", 404),
            ("index", 400),
            ("delete", 200),
            ("delete", 404),
        ];
        assert_eq!(statuses, expected);
    }

    #[test]
    fn an_update_merges_objects_and_replaces_the_rest() {
        let mut cluster = Cluster::new(usize::MAX);
        cluster.put("a", Some("1"), br#"{"n":{"x":1,"y":[1]},"m":1}"#, Creation::Any).unwrap();
        let body = b"{\"update\":{\"_id\":\"1\"}}\n{\"doc\":{\"n\":{\"y\":2}}}\n";
        run(&mut cluster, Some("a"), body).unwrap();
        assert_eq!(cluster.index("a").unwrap().find("1").unwrap().source.get(), r#"{"n":{"x":1,"y":2},"m":1}"#);
    }

    #[test]
    fn a_broken_body_does_nothing_at_all() {
        let good = "{\"index\":{\"_index\":\"a\"}}\n{}\n";
        for bad in
            ["", "{}", "{\"index\":{}}\n", "{\"explode\":{}}\n{}\n", "[]\n", "{\"index\":{},\"create\":{}}\n{}\n"]
        {
            let mut cluster = Cluster::new(usize::MAX);
            assert!(run(&mut cluster, None, format!("{good}{bad}x").as_bytes()).is_err(), "{bad}");
            if !bad.is_empty() && bad.ends_with('\n') {
                assert!(run(&mut cluster, None, format!("{good}{bad}").as_bytes()).is_err(), "{bad}");
            }
            assert_eq!(cluster.indices().count(), 0, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in vec(any::<u8>(), 0..200)) {
            let _ = parse(&body);
            let _ = parse(&[&b"{\"index\":{}}\n"[..], &body, b"\n"].concat());
        }

        #[test]
        fn as_many_actions_come_out_as_were_written(verbs in vec(0..4_usize, 1..20), gaps in vec(0..3_usize, 20)) {
            let mut body = String::new();
            for (verb, gap) in verbs.iter().zip(gaps) {
                let name = ["create", "delete", "index", "update"][*verb];
                body.push_str(&"\n".repeat(gap));
                body.push_str(&["{\"", name, "\":{\"_id\":\"x\"}}\n"].concat());
                if name != "delete" {
                    body.push_str("{\"a\":1}\r\n");
                }
            }
            let parsed = parse(body.as_bytes()).map_err(|failure| TestCaseError::fail(format!("{failure:?}")))?;
            prop_assert_eq!(parsed.len(), verbs.len());
            prop_assert!(parsed.iter().all(|action| action.source.is_empty() == (action.verb == Verb::Delete)));
        }
    }
}
