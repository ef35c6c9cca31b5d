//! What both clusters hold: `tests/authorization/world.yml`. Made, looked at, and made again where it was changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::side::Line;

const FILE: &str = "tests/authorization/world.yml";

/// All indices.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct World {
    indices: BTreeMap<String, Index>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    /// How many there are.
    documents: u32,
    #[serde(default)]
    aliases: Map<String, Value>,
    #[serde(default)]
    hidden: bool,
    #[serde(default)]
    closed: bool,
}

/// All that a request may have changed: what, and how it is.
pub(super) type State = BTreeMap<String, String>;

impl World {
    pub(super) fn read() -> Self {
        let value: Value = serde_saphyr::from_str(&fs::read_to_string(FILE).unwrap()).unwrap();
        Self::deserialize(value).unwrap()
    }

    /// Words that betray what an answer was made from.
    pub(super) fn words(&self) -> BTreeSet<String> {
        let aliases = self.indices.values().flat_map(|index| index.aliases.keys().cloned());
        let names = self.indices.keys().flat_map(|name| [name.clone(), home(name), field(name)]);
        names.chain(aliases).collect()
    }

    /// Names, and the index behind each: of an index itself too.
    pub(super) fn standing_for(&self) -> Vec<(String, String)> {
        let named = self.indices.iter().flat_map(|(name, index)| {
            index.aliases.keys().map(|alias| (alias.clone(), name.clone())).chain([(name.clone(), name.clone())])
        });
        named.collect()
    }

    /// Indices, and the word that only their documents hold.
    pub(super) fn homes(&self) -> impl Iterator<Item = (String, String)> {
        self.indices.keys().map(|name| (name.clone(), home(name)))
    }

    /// Makes it, in place of all that is there.
    pub(super) async fn build(&self, line: &mut Line) {
        for name in look(line).await.keys().filter_map(|key| key.strip_prefix("index ")) {
            line.done(Method::DELETE, &format!("/{name}"), &Value::Null).await;
        }
        for name in self.indices.keys() {
            self.make(line, name).await;
        }
    }

    /// Undoes what makes the difference between two states.
    pub(super) async fn mend(&self, line: &mut Line, delta: &BTreeSet<(String, String)>) {
        let indices: BTreeSet<&str> = delta.iter().filter_map(|(key, _)| index_of(key)).collect();
        for name in &indices {
            line.ask(super::side::ADMINISTRATOR, Method::DELETE, &format!("/{name}"), None).await;
        }
        for name in self.indices.keys().filter(|name| indices.contains(&***name)) {
            self.make(line, name).await;
        }
        for (key, _) in delta {
            if let Some((route, name)) = key.strip_prefix("global ").and_then(|key| key.split_once(' ')) {
                let (_, target) = ROUTES.iter().find(|(kind, _)| *kind == route).unwrap();
                line.ask(super::side::ADMINISTRATOR, Method::DELETE, &format!("{target}/{name}"), None).await;
            } else if let Some(name) = key.strip_prefix("setting ") {
                line.done(Method::PUT, "/_cluster/settings", &json!({"persistent": {name: null}})).await;
            }
        }
    }

    async fn make(&self, line: &mut Line, name: &str) {
        let index = &self.indices[name];
        let body = json!({
            "settings": {"number_of_shards": 1, "number_of_replicas": 0, "index.hidden": index.hidden},
            "mappings": {"properties": {
                "home": {"type": "keyword"}, "n": {"type": "long"},
                field(name): {"type": "keyword"},
            }},
            "aliases": index.aliases,
        });
        line.done(Method::PUT, &format!("/{name}"), &body).await;
        let documents = (1..=index.documents).map(|number| {
            let document = json!({"home": home(name), "n": number});
            format!("{{\"index\":{{\"_id\":\"{number}\"}}}}\n{document}\n")
        });
        let documents = documents.collect::<String>();
        let target = format!("/{name}/_bulk?refresh=true");
        let answer = line.ask(super::side::ADMINISTRATOR, Method::POST, &target, Some(&documents)).await;
        assert_eq!(answer.json()["errors"], false, "{}", answer.text());
        if index.closed {
            line.done(Method::POST, &format!("/{name}/_close"), &Value::Null).await;
        }
    }
}

/// All that there is to see of a cluster.
pub(super) async fn look(line: &mut Line) -> State {
    let mut state = State::new();
    let metadata =
        line.done(Method::GET, &format!("/_cluster/state/metadata?filter_path={METADATA}"), &Value::Null).await;
    let metadata = &metadata["metadata"];
    for (name, index) in members(&metadata["indices"]).filter(|(name, _)| !is_systems(name)) {
        let mut index = index.clone();
        if let Some(aliases) = index["aliases"].as_array_mut() {
            aliases.sort_by_key(Value::to_string);
        }
        state.insert(format!("index {name}"), index.to_string());
    }
    for (kind, pointer) in GLOBALS {
        let found = metadata.pointer(pointer).unwrap_or(&Value::Null);
        for (name, value) in members(found) {
            state.insert(format!("global {kind} {name}"), value.to_string());
        }
        for item in found.as_array().into_iter().flatten() {
            state.insert(format!("global {kind} {}", item["id"].as_str().unwrap()), item.to_string());
        }
    }
    let settings = line.done(Method::GET, "/_cluster/settings?flat_settings=true", &Value::Null).await;
    for (name, value) in members(&settings["persistent"]) {
        state.insert(format!("setting {name}"), value.to_string());
    }
    line.done(
        Method::POST,
        "/*,-.security*/_refresh?expand_wildcards=open,hidden&ignore_unavailable=true",
        &Value::Null,
    )
    .await;
    let target = "/*,-.security*/_search?expand_wildcards=open,hidden&ignore_unavailable=true&size=1000&version=true";
    let found = line.done(Method::GET, target, &Value::Null).await;
    for hit in found["hits"]["hits"].as_array().unwrap() {
        let (index, id) = (hit["_index"].as_str().unwrap(), hit["_id"].as_str().unwrap());
        // One that the cluster made up.
        let id = if id.len() == 20 { "<id>" } else { id };
        let document = format!("version {} {}", hit["_version"], hit["_source"]);
        state.insert(format!("document {index} {id}"), document);
    }
    state
}

/// What became different: the new value, nothing where it is gone.
pub(super) fn delta(before: &State, after: &State) -> BTreeSet<(String, String)> {
    let gone = before.keys().filter(|key| !after.contains_key(*key)).map(|key| (key.clone(), "gone".to_owned()));
    let new = after.iter().filter(|(key, value)| before.get(*key) != Some(value));
    new.map(|(key, value)| (key.clone(), value.clone())).chain(gone).collect()
}

/// The index that something is about.
pub(super) fn index_of(key: &str) -> Option<&str> {
    key.strip_prefix("index ").or_else(|| key.strip_prefix("document ")?.split(' ').next())
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn is_systems(name: &str) -> bool {
    name.starts_with(".security")
}

fn home(index: &str) -> String {
    format!("in-{index}")
}

fn field(index: &str) -> String {
    format!("field-of-{index}")
}

/// What of the cluster's state is looked at.
const METADATA: &str = "metadata.indices.*.state,metadata.indices.*.mappings,metadata.indices.*.aliases,\
                        metadata.indices.*.settings.index.refresh_interval,metadata.indices.*.settings.index.blocks,\
                        metadata.indices.*.settings.index.number_of_replicas,metadata.templates,metadata.index_template,\
                        metadata.component_template,metadata.ingest,metadata.repositories";
const GLOBALS: [(&str, &str); 5] = [
    ("template", "/templates"),
    ("index_template", "/index_template/index_template"),
    ("component_template", "/component_template/component_template"),
    ("repository", "/repositories"),
    ("pipeline", "/ingest/pipeline"),
];
const ROUTES: [(&str, &str); 5] = [
    ("template", "/_template"),
    ("index_template", "/_index_template"),
    ("component_template", "/_component_template"),
    ("repository", "/_snapshot"),
    ("pipeline", "/_ingest/pipeline"),
];
