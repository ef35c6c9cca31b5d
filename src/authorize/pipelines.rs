//! Ingest pipelines: which of them leave a document in the index that it was sent to.
//!
//! A pipeline runs in the cluster's name, after the request was judged. One that may set `_index`, or read what the caller
//! may not (`enrich`), is for callers who may write to whatever index. What is not understood is taken for such a one.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use serde_json::{Map, Value};
use tokio::time::Instant;

/// Names of pipelines that leave documents where they are.
pub(super) type Staying = HashSet<Box<str>>;

/// What was last asked of the cluster.
#[derive(Debug, Default)]
pub(super) struct Pipelines {
    changes: AtomicU64,
    known: ArcSwapOption<Known>,
}

#[derive(Debug)]
struct Known {
    staying: Arc<Staying>,
    changes: u64,
    asked: Instant,
}

impl Pipelines {
    /// Those that stay. None do, as far as is known, where the cluster does not tell.
    pub(super) async fn staying(&self, ask: impl AsyncFnOnce() -> Option<Bytes>) -> Arc<Staying> {
        let changes = self.changes.load(Ordering::Acquire);
        if let Some(known) = &*self.known.load()
            && known.changes == changes
            && known.asked.elapsed() < FRESH
        {
            return Arc::clone(&known.staying);
        }
        let asked = Instant::now();
        let answer = ask().await;
        let staying = Arc::new(answer.as_deref().and_then(read).unwrap_or_default());
        self.known.store(Some(Arc::new(Known { staying: Arc::clone(&staying), changes, asked })));
        staying
    }

    /// Forgets: something was changed.
    pub(super) fn forget(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }
}

/// Reads an answer to [`PIPELINES`].
fn read(answer: &[u8]) -> Option<Staying> {
    let pipelines: HashMap<Box<str>, Value> = serde_json::from_slice(answer).ok()?;
    let mut staying: Staying = pipelines.keys().cloned().collect();
    // Whoever calls one that does not stay does not stay either.
    loop {
        let left = staying.iter().filter(|name| pipelines.get(*name).is_some_and(|found| stays(found, &staying)));
        let left: Staying = left.cloned().collect();
        if left.len() == staying.len() {
            return Some(left);
        }
        staying = left;
    }
}

fn stays(pipeline: &Value, staying: &Staying) -> bool {
    pipeline.as_object().is_some_and(|pipeline| {
        pipeline.iter().all(|(key, value)| match key.as_str() {
            "processors" | "on_failure" => all_stay(value, staying),
            "_meta" | "deprecated" | "description" | "version" => true,
            key => key.starts_with("created_date") || key.starts_with("modified_date"),
        })
    })
}

fn all_stay(processors: &Value, staying: &Staying) -> bool {
    processors.as_array().is_some_and(|processors| processors.iter().all(|processor| one_stays(processor, staying)))
}

/// Whether a processor, `{type: options}`, leaves `_index` alone whatever the document holds.
fn one_stays(processor: &Value, staying: &Staying) -> bool {
    let mut kinds = processor.as_object().into_iter().flatten();
    let (Some((kind, Value::Object(options))), None) = (kinds.next(), kinds.next()) else { return false };
    let text = |key| options.get(key).and_then(Value::as_str).unwrap_or_default();
    let by_itself = match kind.as_str() {
        // Fields are called as the document says.
        "kv" => {
            let target = text("target_field");
            !target.is_empty() && !target.starts_with('_')
        }
        "json" => options.get("add_to_root").is_none_or(|root| *root == false),
        "dot_expander" => text("field") != "*",
        "dissect" => !["%{*", "%{&", "%{?"].iter().any(|dynamic| text("pattern").contains(dynamic)),
        "foreach" => options.get("processor").is_some_and(|inner| one_stays(inner, staying)),
        "pipeline" => staying.contains(text("name")),
        kind => HARMLESS.contains(&kind),
    };
    by_itself && options.iter().all(|(key, value)| option_stays(key, value, staying))
}

fn option_stays(key: &str, value: &Value, staying: &Staying) -> bool {
    match key {
        "on_failure" => all_stay(value, staying),
        // These read: a condition cannot change the document, and a value is no name. What `foreach` runs is judged as such.
        "description" | "if" | "message" | "processor" | "tag" | "value" => true,
        _ => is_plain(value),
    }
}

/// Whether no name in it is `_index`, or made of what the document holds.
fn is_plain(value: &Value) -> bool {
    let plain = |text: &str| !text.contains("_index") && !text.contains("{{");
    match value {
        Value::Array(items) => items.iter().all(is_plain),
        Value::Object(members) => is_plain_object(members, plain),
        Value::String(text) => plain(text),
        Value::Bool(_) | Value::Null | Value::Number(_) => true,
    }
}

fn is_plain_object(members: &Map<String, Value>, plain: impl Fn(&str) -> bool) -> bool {
    members.iter().all(|(key, value)| plain(key) && is_plain(value))
}

/// What the cluster is asked, with `GET`.
pub(super) const PIPELINES: &str = "/_ingest/pipeline";
/// How long an answer is believed, where no change is seen passing by.
const FRESH: Duration = Duration::from_secs(10);
/// Processors that write to the fields that their options name, and to no others.
const HARMLESS: [&str; 34] = [
    "append",
    "attachment",
    "bytes",
    "circle",
    "community_id",
    "convert",
    "copy",
    "csv",
    "date",
    "drop",
    "fail",
    "fingerprint",
    "geoip",
    "grok",
    "gsub",
    "html_strip",
    "ip2geo",
    "ip_location",
    "join",
    "lowercase",
    "network_direction",
    "registered_domain",
    "remove",
    "remove_by_pattern",
    "rename",
    "set",
    "sort",
    "split",
    "terminate",
    "trim",
    "uppercase",
    "uri_parts",
    "urldecode",
    "user_agent",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn stays_alone(processor: &Value) -> bool {
        let answer = json!({"p": {"description": "sets _index?", "version": 1, "processors": [processor]}});
        read(answer.to_string().as_bytes()).unwrap().contains("p")
    }

    #[test]
    fn what_shippers_install_stays() {
        for processor in [
            json!({"set": {"field": "event.ingested", "value": "{{{_ingest.timestamp}}}"}}),
            json!({"set": {"field": "a", "value": "{{_index}}", "if": "ctx._index == 'x'", "tag": "t"}}),
            json!({"grok": {"field": "message", "patterns": ["%{IP:source.ip} %{WORD:http.method}"]}}),
            json!({"date": {"field": "t", "formats": ["ISO8601"], "on_failure": [{"append": {"field": "error.message", "value": "{{ _ingest.on_failure_message }}"}}]}}),
            json!({"foreach": {"field": "hosts", "processor": {"set": {"field": "_ingest._value.seen", "value": true}}}}),
            json!({"json": {"field": "message", "target_field": "parsed"}}),
            json!({"kv": {"field": "message", "target_field": "pairs", "field_split": " ", "value_split": "="}}),
            json!({"dissect": {"field": "message", "pattern": "%{client} %{+client} %{verb->}"}}),
            json!({"remove": {"field": ["message", "host"], "ignore_missing": true}}),
        ] {
            assert!(stays_alone(&processor), "{processor}");
        }
    }

    #[test]
    fn what_may_set_the_index_does_not_stay() {
        for processor in [
            json!({"set": {"field": "_index", "value": "b1"}}),
            json!({"set": {"field": "_source._index", "value": "b1"}}),
            json!({"set": {"field": "{{name}}", "value": "b1"}}),
            json!({"rename": {"field": "wanted", "target_field": "_index"}}),
            json!({"append": {"field": "_index", "value": "x"}}),
            json!({"script": {"source": "ctx._index = 'b1'"}}),
            json!({"script": {"id": "stored"}}),
            json!({"reroute": {"dataset": "other"}}),
            json!({"date_index_name": {"field": "t", "date_rounding": "d"}}),
            json!({"enrich": {"policy_name": "p", "field": "a", "target_field": "b"}}),
            json!({"json": {"field": "message", "add_to_root": true}}),
            json!({"kv": {"field": "message", "field_split": " ", "value_split": "="}}),
            json!({"kv": {"field": "message", "target_field": "_source", "field_split": " ", "value_split": "="}}),
            json!({"dot_expander": {"field": "*"}}),
            json!({"dissect": {"field": "message", "pattern": "%{*key}=%{&key}"}}),
            json!({"dissect": {"field": "message", "pattern": "%{_index}"}}),
            json!({"grok": {"field": "message", "patterns": ["%{T}"], "pattern_definitions": {"T": "(?<_index>.*)"}}}),
            json!({"csv": {"field": "message", "target_fields": ["a", "_index"]}}),
            json!({"foreach": {"field": "a", "processor": {"set": {"field": "_index", "value": "b1"}}}}),
            json!({"set": {"field": "a", "value": 1, "on_failure": [{"set": {"field": "_index", "value": "b1"}}]}}),
            json!({"pipeline": {"name": "{{which}}"}}),
            json!({"pipeline": {"name": "missing"}}),
            json!({"from_a_plugin": {"field": "a"}}),
            json!({"set": {"field": "a"}, "script": {"id": "x"}}),
            json!("set"),
        ] {
            assert!(!stays_alone(&processor), "{processor}");
        }
    }

    #[test]
    fn a_pipeline_stays_if_those_that_it_calls_do() {
        let calls = |name| json!({"processors": [{"pipeline": {"name": name}}]});
        let answer = json!({
            "good": {"processors": [{"lowercase": {"field": "a"}}]}, "calls_good": calls("good"),
            "bad": {"processors": [], "on_failure": [{"reroute": {}}]}, "calls_bad": calls("bad"),
            "calls_that": calls("calls_bad"), "round": calls("trip"), "trip": calls("round"),
            "new": {"processors": [], "an_option_to_come": true},
        });
        let staying = read(answer.to_string().as_bytes()).unwrap();
        let mut staying: Vec<_> = staying.iter().map(|name| &**name).collect();
        staying.sort_unstable();
        assert_eq!(staying, ["calls_good", "good", "round", "trip"], "the last two call each other until they fail");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_remembered_until_a_change() {
        let pipelines = Pipelines::default();
        let one = async || Some(Bytes::from_static(br#"{"p":{"processors":[]}}"#));
        assert_eq!(pipelines.staying(one).await.len(), 1);
        assert_eq!(pipelines.staying(async || None).await.len(), 1);
        pipelines.forget();
        assert_eq!(pipelines.staying(async || None).await.len(), 0, "who does not tell has none");
        tokio::time::advance(FRESH).await;
        assert_eq!(pipelines.staying(one).await.len(), 1);
    }

    proptest! {
        #[test]
        fn no_answer_panics(answer in "[{}\\[\\]\":,a-z_]{0,60}") {
            let _read = read(answer.as_bytes());
        }
    }
}
