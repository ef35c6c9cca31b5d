//! `/_security/_query/role` (API page section 8.1).

use serde_json::{Map, Value};

use super::GET_QUERY;
use crate::{
    api::{
        Api, Call, Reply, access,
        failure::Failure,
        search::{self, Atom, Collector, Declared, Document, Kind, Request, Schema, flattened},
    },
    respond::Rejection,
};

/// A role and its name.
struct Named {
    name: String,
    descriptor: Value,
}

impl Api {
    /// Searches roles, those that are built in among them.
    pub(in crate::api) async fn query_roles(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let request = Request::read(&SCHEMA, &search::body(call)?)?;
        call.query.finish(call.path())?;
        request.validate()?;
        access::require(call.principal, &GET_QUERY).map_err(Rejection::from)?;
        let search = request.compile(&SCHEMA, self.clock.now())?;
        let mut collector = Collector::new(&search);
        for (name, descriptor) in self.roles.all().await? {
            collector.see(Named { name, descriptor })?;
        }
        let found = collector.finish(false);
        let shown: Vec<Value> = found.hits.into_iter().map(|(role, sort)| role.shown(sort)).collect();
        let mut answer = Map::new();
        answer.insert("total".into(), found.total.into());
        answer.insert("count".into(), shown.len().into());
        answer.insert("roles".into(), shown.into());
        Ok(Reply::ok(answer.into()))
    }
}

impl Named {
    fn shown(self, sort: Option<Value>) -> Value {
        let mut shown = Map::from_iter([("name".to_owned(), self.name.into())]);
        shown
            .extend(self.descriptor.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())));
        shown.extend(sort.map(|sort| ("_sort".to_owned(), sort)));
        shown.into()
    }

    /// The texts under one key of the entries on applications.
    fn of_applications(&self, key: &str) -> Vec<Atom<'_>> {
        let entries = self.descriptor.get("applications").and_then(Value::as_array).into_iter().flatten();
        let mut texts = Vec::new();
        for value in entries.filter_map(|entry| entry.get(key)) {
            let several = value.as_array().into_iter().flatten().filter_map(Value::as_str);
            texts.extend(value.as_str().into_iter().chain(several).map(Atom::text));
        }
        texts
    }
}

impl Document for Named {
    fn id(&self) -> &str {
        &self.name
    }

    fn values(&self, field: &str) -> Vec<Atom<'_>> {
        match field {
            "name" => vec![Atom::text(&self.name)],
            "description" => {
                let text = self.descriptor.get("description").and_then(Value::as_str).unwrap_or_default();
                search::words(text).map(|word| Atom::Text(word.into())).collect()
            }
            "applications.application" | "applications.privileges" | "applications.resources" => {
                self.of_applications(field.trim_start_matches("applications."))
            }
            metadata => match self.descriptor.get("metadata") {
                Some(Value::Object(map)) => {
                    flattened(map, metadata.trim_start_matches("metadata").trim_start_matches('.'))
                }
                _ => Vec::new(),
            },
        }
    }
}

const fn field(name: &'static str, stored: &'static str, kind: Kind) -> Declared {
    Declared { name, stored, kind }
}

const SCHEMA: Schema = Schema {
    parser: "query_role_request_payload",
    aggregates: false,
    fields: &[
        field("name", "name", Kind::Keyword),
        field("description", "description", Kind::Text),
        field("metadata", "metadata_flattened", Kind::Flattened),
        field("applications.application", "applications.application", Kind::Keyword),
        field("applications.privileges", "applications.privileges", Kind::Keyword),
        field("applications.resources", "applications.resources", Kind::Keyword),
    ],
};
