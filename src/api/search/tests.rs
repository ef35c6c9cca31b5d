use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::Timestamp;

const SCHEMA: Schema = Schema {
    parser: "query_api_key_request_payload",
    aggregates: true,
    fields: &[
        Declared { name: "creation", stored: "creation_time", kind: Kind::Date },
        Declared { name: "full_name", stored: "full_name", kind: Kind::Text },
        Declared { name: "invalidated", stored: "api_key_invalidated", kind: Kind::Boolean },
        Declared { name: "metadata", stored: "metadata_flattened", kind: Kind::Flattened },
        Declared { name: "name", stored: "name", kind: Kind::Keyword },
    ],
};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

#[derive(Clone, Debug)]
struct Doc(Value);

impl Document for Doc {
    fn id(&self) -> &str {
        self.0["id"].as_str().unwrap()
    }

    fn values(&self, field: &str) -> Vec<Atom<'_>> {
        match field {
            "creation" => self.0["creation"].as_i64().map(Atom::Number).into_iter().collect(),
            "full_name" => {
                let words = compile::words(self.0["full_name"].as_str().unwrap_or_default());
                words.map(|word| Atom::Text(word.into())).collect()
            }
            "invalidated" => vec![Atom::Number(self.0["invalidated"].as_bool().unwrap_or_default().into())],
            "name" => self.0["name"].as_str().map(Atom::text).into_iter().collect(),
            path => flattened(self.0["metadata"].as_object().unwrap(), path),
        }
    }
}

fn documents() -> Vec<Doc> {
    [
        json!({ "id": "1", "name": "alpha", "creation": 1_000, "full_name": "Ann Lee", "metadata": { "n": 5, "b": true } }),
        json!({ "id": "2", "name": "beta", "creation": 2_000, "invalidated": true, "metadata": { "tags": ["x", "y"] } }),
        json!({ "id": "3", "name": "gamma", "full_name": "Bob Lee", "metadata": { "deep": { "k": "v" }, "a.b": "c" } }),
    ]
    .map(Doc)
    .into()
}

fn search(body: &Value) -> Result<Search, Exception> {
    let request = Request::read(&SCHEMA, body.to_string().as_bytes())?;
    request.validate()?;
    request.compile(&SCHEMA, NOW)
}

fn found(body: &Value, documents: Vec<Doc>) -> Found<Doc> {
    let search = search(body).unwrap();
    let mut collector = Collector::new(&search);
    for document in documents {
        collector.see(document).unwrap();
    }
    collector.finish(false)
}

fn ids(body: &Value) -> String {
    found(body, documents()).hits.iter().map(|(document, _)| document.id()).collect()
}

fn refused(body: &Value) -> Value {
    search(body).unwrap_err().body(400)["error"].clone()
}

#[test]
fn every_kind_of_query_finds_what_it_means() {
    for (query, found) in [
        (json!({ "match_all": {} }), "123"),
        (json!({ "ids": { "values": ["1", "3"] } }), "13"),
        (json!({ "term": { "name": "beta" } }), "2"),
        (json!({ "term": { "name": { "value": "BETA", "case_insensitive": true } } }), "2"),
        (json!({ "term": { "invalidated": "true" } }), "2"),
        (json!({ "term": { "metadata.n": 5 } }), "1"),
        (json!({ "term": { "metadata.b": true } }), "1"),
        (json!({ "term": { "metadata": "y" } }), "2"),
        (json!({ "term": { "metadata.deep.k": "v" } }), "3"),
        (json!({ "term": { "metadata.a.b": "c" } }), "3"),
        (json!({ "exists": { "field": "metadata.deep" } }), ""),
        (json!({ "terms": { "name": ["alpha", "gamma", "x"] } }), "13"),
        (json!({ "match": { "full_name": "ann bob" } }), "13"),
        (json!({ "match": { "full_name": { "query": "bob lee", "operator": "and" } } }), "3"),
        (json!({ "prefix": { "name": "al" } }), "1"),
        (json!({ "wildcard": { "name": "*a?a" } }), ""),
        (json!({ "wildcard": { "name": "?a*a" } }), "3"),
        (json!({ "wildcard": { "name": "*et\\a" } }), "2"),
        (json!({ "exists": { "field": "creation" } }), "12"),
        (json!({ "range": { "creation": { "gt": 1000 } } }), "2"),
        (json!({ "range": { "creation": { "gte": "1970-01-01", "lt": "1970-01-02", "format": "yyyy-MM-dd" } } }), "12"),
        (json!({ "range": { "creation": { "lte": "now-1d/d" } } }), "12"),
        (json!({ "range": { "metadata.n": { "gte": "4", "lt": "6" } } }), "1"),
        (json!({ "bool": { "must_not": { "term": { "name": "beta" } } } }), "13"),
        (json!({ "bool": { "should": [{ "term": { "name": "beta" } }, { "term": { "name": "alpha" } }] } }), "12"),
        (
            json!({ "bool": { "filter": { "exists": { "field": "creation" } }, "should": { "term": { "name": "x" } } } }),
            "12",
        ),
        (json!({ "simple_query_string": { "query": "alpha | beta" } }), "12"),
        (json!({ "simple_query_string": { "query": "+lee -gamma", "default_operator": "and" } }), "1"),
        (json!({ "simple_query_string": { "query": "(al* be*)", "fields": ["na*^2"] } }), "12"),
        (json!({ "simple_query_string": { "query": "alpha", "fields": ["nope"] } }), ""),
    ] {
        assert_eq!(ids(&json!({ "query": query })), found, "{query}");
    }
}

/// Each as the original says it.
#[test]
fn what_is_wrong_is_told_where_the_original_tells_it() {
    for (body, path, text) in [
        (r#"{"query":{}}"#, "caused_by", "query malformed, empty clause found at [1:11]"),
        (r#"{"query":{"foo":{}}}"#, "", "[1:17] [query_api_key_request_payload] failed to parse field [query]"),
        (r#"{"query":{"foo":{}}}"#, "caused_by", "unknown query [foo]"),
        (r#"{"query":{"term":{}}}"#, "", "[1:19] [query_api_key_request_payload] failed to parse field [query]"),
        (r#"{"query":{"term":{"name":{"value":"a","x":1}}}}"#, "caused_by", "[term] query does not support [x]"),
        (
            r#"{"query":{"term":{"name":"a","username":"b"}}}"#,
            "",
            "[1:41] [query_api_key_request_payload] failed to parse field [query]",
        ),
        (
            r#"{"query":{"match_all":{}, "term":{"name":"a"}}}"#,
            "",
            "[1:27] [query_api_key_request_payload] failed to parse field [query]",
        ),
        (r#"{"query":{"bool":{"must":{"foo":{}}}}}"#, "caused_by", "[1:33] [bool] failed to parse field [must]"),
        (
            r#"{"query":{"bool":{"foo":[]}}}"#,
            "",
            "[1:25] [query_api_key_request_payload] failed to parse field [query]",
        ),
        (
            r#"{"query":[]}"#,
            "",
            "[1:10] [query_api_key_request_payload] query doesn't support values of type: START_ARRAY",
        ),
        (r#"{"query":{"match_none":{}}}"#, "", "Query type [match_none] is not currently supported in this context"),
        (r#"{"query":{"term":{"realm":"a"}}}"#, "", "Field [realm] is not allowed for querying or aggregation"),
        (
            r#"{"query":{"exists":{"field":"metadata.*"}}}"#,
            "",
            "Field name pattern [metadata.*] is not allowed for querying or aggregation",
        ),
        (r#"{"query":{"range":{"creation":{"gte":"2100-01-01"}}}}"#, "", "all shards failed"),
        (
            r#"{"sort":[{"name":"desc"}]}"#,
            "caused_by",
            "[1:18] [field_sort] Expected START_OBJECT but was: VALUE_STRING",
        ),
        (r#"{"sort":["full_name"]}"#, "", "sorting is not supported for field [full_name]"),
        (r#"{"sort":["name"],"search_after":[]}"#, "caused_by", "Values must contains at least one value."),
        (r#"{"search_after":["a"]}"#, "caused_by", "Sort must contain at least one field."),
        (
            r#"{"from":-1,"size":-2}"#,
            "",
            "Validation Failed: 1: [from] parameter cannot be negative but was [-1];2: [size] parameter cannot be negative but was [-2];",
        ),
        (r#"{"aggs":{"a":{}}}"#, "", "[1:15] [query_api_key_request_payload] failed to parse field [aggs]"),
        (r#"{"aggs":{"a":{"avg":{"field":"creation"}}}}"#, "", "Unsupported API Keys agg [a] of type [avg]"),
        (r#"{"aggs":{"a":{"max_bucket":{"buckets_path":"x"}}}}"#, "", "Unsupported aggregation of type [max_bucket]"),
        (r#"{"aggs":{},"aggregations":{}}"#, "caused_by", "Duplicate 'aggs' or 'aggregations' field"),
    ] {
        let request = Request::read(&SCHEMA, body.as_bytes());
        let failure = request.and_then(|request| {
            request.validate()?;
            request.compile(&SCHEMA, NOW)
        });
        let mut error = &failure.expect_err(body).body(400)["error"];
        if !path.is_empty() {
            error = &error[path];
        }
        assert_eq!(error["reason"], text, "{body}");
    }
}

#[test]
fn a_date_that_is_none_is_told_with_its_root() {
    let error = refused(&json!({ "query": { "range": { "creation": { "gte": "x" } } } }));
    assert_eq!(error["type"], "search_phase_execution_exception");
    assert_eq!(error["root_cause"][0]["type"], "parse_exception");
    let text = "failed to parse date field [x] with format [epoch_millis]";
    assert_eq!(error["root_cause"][0]["reason"], format!("{text}: [{text}]"));
}

#[test]
fn what_has_no_value_sorts_last_and_shows_the_edge_of_its_type() {
    for (sort, shown) in [
        (json!([{ "creation": {} }]), json!([[1_000], [2_000], [i64::MAX]])),
        (json!([{ "creation": { "order": "desc" } }]), json!([[2_000], [1_000], [i64::MIN]])),
        (json!([{ "creation": { "missing": "_first" } }]), json!([[i64::MIN], [1_000], [2_000]])),
        (
            json!([{ "creation": { "format": "strict_date_time" } }]),
            json!([["1970-01-01T00:00:01.000Z"], ["1970-01-01T00:00:02.000Z"], [i64::MAX]]),
        ),
        (json!([{ "metadata.n": {} }, "name"]), json!([["5", "alpha"], [null, "beta"], [null, "gamma"]])),
        (json!(["invalidated", { "name": { "order": "desc" } }]), json!([[0, "gamma"], [0, "alpha"], [1, "beta"]])),
        (json!(["_doc"]), json!([[0], [1], [2]])),
    ] {
        let hits = found(&json!({ "sort": sort }), documents()).hits;
        assert_eq!(hits.into_iter().filter_map(|(_, sort)| sort).collect::<Value>(), shown, "{sort}");
    }
}

#[test]
fn aggregations_count_as_in_the_original() {
    let body = json!({ "size": 0, "aggs": {
        "terms": { "terms": { "field": "invalidated" }, "aggs": { "n": { "value_count": { "field": "name" } } } },
        "cardinality": { "cardinality": { "field": "name" } },
        "missing": { "missing": { "field": "creation" } },
        "range": { "range": { "field": "creation", "ranges": [{ "to": 1_500 }, { "key": "k", "from": 1_500 }] } },
        "filters": { "filters": { "filters": { "a": { "term": { "name": "alpha" } } }, "other_bucket": true } },
        "composite": { "composite": { "size": 1, "sources": [{ "n": { "terms": { "field": "name", "order": "desc" } } }], "after": { "n": "gamma" } } },
    } });
    let shown = Value::Object(found(&body, documents()).aggregations.unwrap());
    let bucket = |key: i64, text: &str, count: u64| json!({ "key": key, "key_as_string": text, "doc_count": count, "n": { "value": count } });
    assert_eq!(shown["terms"]["buckets"], json!([bucket(0, "false", 2), bucket(1, "true", 1)]));
    assert_eq!(shown["cardinality"], json!({ "value": 3 }));
    assert_eq!(shown["missing"], json!({ "doc_count": 1 }));
    assert_eq!(
        shown["range"]["buckets"],
        json!([
            { "key": "*-1500", "to": 1500.0, "to_as_string": "1500", "doc_count": 1 },
            { "key": "k", "from": 1500.0, "from_as_string": "1500", "doc_count": 1 },
        ])
    );
    assert_eq!(shown["filters"]["buckets"], json!({ "a": { "doc_count": 1 }, "_other_": { "doc_count": 2 } }));
    assert_eq!(
        shown["composite"],
        json!({ "after_key": { "n": "beta" }, "buckets": [{ "key": { "n": "beta" }, "doc_count": 1 }] })
    );
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-c*?\\\\ +|()\"-]{0,6}|now-1d/d|now/y".prop_map(Value::from)
    ]
}

/// Bodies of the words of the language, in any arrangement.
fn body() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "query",
        "bool",
        "must",
        "should",
        "must_not",
        "term",
        "terms",
        "range",
        "match",
        "prefix",
        "wildcard",
        "exists",
        "ids",
        "simple_query_string",
        "field",
        "name",
        "creation",
        "invalidated",
        "metadata",
        "metadata.n",
        "value",
        "values",
        "gte",
        "lt",
        "format",
        "aggs",
        "a",
        "composite",
        "sources",
        "filters",
        "filter",
        "ranges",
        "size",
        "from",
        "sort",
        "search_after",
        "order",
        "missing",
        "cardinality",
        "date_range",
        "after",
        "fields",
    ]);
    scalar().prop_recursive(7, 48, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..4).prop_map(|members| members
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect::<Map<_, _>>()
                .into()),
        ]
    })
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(query in body(), sort in body(), aggs in body()) {
        for body in [json!({ "query": query, "sort": sort, "aggs": aggs }), json!({ "query": query }), json!({ "aggs": aggs })] {
            if let Ok(search) = search(&body) {
                let mut collector = Collector::new(&search);
                for document in documents() {
                    let _ = collector.see(document);
                }
                collector.finish(true);
            }
        }
    }

    #[test]
    fn pages_by_search_after_return_each_once(values in prop::collection::vec((0_i64..5, prop::option::of("[ab]{1,2}")), 0..30), size in 1_usize..7, descending: bool) {
        let order = if descending { "desc" } else { "asc" };
        let documents: Vec<Doc> = values.iter().enumerate().map(|(place, (creation, name))| {
            Doc(json!({ "id": place.to_string(), "creation": creation, "name": name, "metadata": { "id": format!("{place:03}") } }))
        }).collect();
        let mut body = json!({ "size": size, "sort": [{ "creation": { "order": order } }, { "name": { "order": order } }, "metadata.id"] });
        let mut seen = Vec::new();
        loop {
            let found = found(&body, documents.clone());
            prop_assert_eq!(found.total, documents.len() as u64);
            let Some((_, Some(last))) = found.hits.last() else { break };
            body["search_after"] = last.clone();
            seen.extend(found.hits.into_iter().map(|(document, _)| document.id().to_owned()));
        }
        // A null of `search_after` stands for the documents without a value, which the next keys tell apart.
        let mut once = seen.clone();
        once.sort();
        once.dedup();
        prop_assert_eq!((seen.len(), once.len()), (documents.len(), documents.len()));
    }

    #[test]
    fn a_wildcard_means_what_its_plain_meaning_is(pattern in "[ab*?]{0,8}", value in "[ab]{0,8}") {
        fn naive(pattern: &[u8], value: &[u8]) -> bool {
            match (pattern, value) {
                ([], []) => true,
                ([b'*', rest @ ..], value) => (0..=value.len()).any(|at| naive(rest, &value[at..])),
                ([b'?', rest @ ..], [_, left @ ..]) => naive(rest, left),
                ([this, rest @ ..], [that, left @ ..]) => this == that && naive(rest, left),
                _ => false,
            }
        }
        let document = Doc(json!({ "id": "1", "name": value, "metadata": {} }));
        let search = search(&json!({ "query": { "wildcard": { "name": pattern } } })).unwrap();
        prop_assert_eq!(search.query.matches(&document), naive(pattern.as_bytes(), value.as_bytes()));
    }
}
