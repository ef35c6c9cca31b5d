use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn read(body: &Value) -> Result<Mentions, ScanError> {
    Mentions::read(body.to_string().as_bytes())
}

/// Purpose and name of each index that a query names.
fn indices(query: &Value) -> Vec<(Purpose, String)> {
    let mentions = read(&json!({"query": query})).unwrap();
    mentions.indices.into_iter().map(|mention| (mention.purpose, mention.index)).collect()
}

fn document(index: &str) -> Vec<(Purpose, String)> {
    vec![(Purpose::Document, index.to_owned())]
}

fn lookup() -> Value {
    json!({"terms": {"f": {"index": "b", "id": "1", "path": "p"}}})
}

#[test]
fn a_terms_lookup_names_an_index() {
    assert_eq!(indices(&lookup()), document("b"));
}

#[test]
fn a_terms_lookup_by_query_names_an_index() {
    assert_eq!(
        indices(&json!({"terms": {"f": {"index": "b", "path": "p", "query": {"match_all": {}}}}})),
        document("b")
    );
}

#[test]
fn a_lookup_is_found_in_any_place() {
    for body in [
        json!({"query": {"bool": {"filter": [{"bool": {"must_not": lookup()}}]}}}),
        json!({"post_filter": lookup()}),
        json!({"aggs": {"x": {"filter": lookup()}}}),
        json!({"aggs": {"x": {"filters": {"filters": {"y": lookup()}}, "aggs": {"z": {"filter": lookup()}}}}}),
        json!({"knn": {"field": "v", "filter": [lookup()]}}),
        json!({"retriever": {"rrf": {"retrievers": [{"standard": {"query": lookup()}}]}}}),
        json!({"rescore": {"query": {"rescore_query": lookup()}}}),
        json!({"highlight": {"highlight_query": lookup()}}),
        json!({"index_filter": lookup()}),
        json!({"collapse": {"inner_hits": [{"x": lookup()}]}}),
        json!({"requests": [{"id": "r", "request": {"query": lookup()}, "ratings": []}]}),
        json!({"sort": [{"f": {"nested": {"path": "x", "filter": lookup()}}}]}),
    ] {
        let mentions = read(&body).unwrap();
        assert!(mentions.indices.iter().all(|mention| mention.index == "b"), "{body}");
        assert!(!mentions.indices.is_empty(), "{body}");
    }
}

#[test]
fn names_that_a_caller_chooses_hide_no_lookup() {
    for name in ["term", "terms", "match", "index", "_index", "script", "params", "source", "mappings", "wrapper"] {
        let body = json!({"aggs": {name: {"filter": {"terms": {name: {"index": "b", "id": "1", "path": "p"}}}}}});
        assert_eq!(read(&body).unwrap().indices, [Mention { purpose: Purpose::Document, index: "b".into() }], "{name}");
    }
}

#[test]
fn a_name_or_boost_beside_the_index_hides_no_lookup() {
    let query = json!({"terms": {"f": {"_name": "x", "boost": 1, "index": "b", "id": "1", "path": "p"}}});
    assert_eq!(indices(&query), document("b"));
}

#[test]
fn fields_called_index_are_fields() {
    for query in [
        json!({"term": {"index": "b"}}),
        json!({"term": {"_index": "b", "boost": 2.5, "_name": "x"}}),
        json!({"terms": {"_index": ["b", "c"]}}),
        json!({"match": {"index": {"query": "b", "operator": "and"}}}),
        json!({"exists": {"field": "index"}}),
    ] {
        assert_eq!(indices(&query), [], "{query}");
    }
}

#[test]
fn an_index_is_named_by_an_array_and_out_of_place() {
    assert_eq!(indices(&json!({"geo_shape": {"f": {"indexed_shape": {"id": "1", "index": [["b"]]}}}})), document("b"));
    let misplaced = json!({"more_like_this": {"like": {"_id": "1", "routing": {"_index": "b"}}}});
    assert_eq!(indices(&misplaced), [(Purpose::Likeness, "b".to_owned())]);
}

#[test]
fn a_lookup_under_an_aggregation_called_index_is_found() {
    assert_eq!(read(&json!({"aggs": {"index": {"filter": lookup()}}})).unwrap().indices.len(), 1);
    assert_eq!(read(&json!({"aggs": {"_index": [{"index": lookup()}]}})).unwrap().indices.len(), 1);
}

#[test]
fn an_escaped_key_is_read() {
    let body = br#"{"query":{"terms":{"f":{"\u0069ndex":"\u0062","id":"1","path":"p"}}}}"#;
    assert_eq!(Mentions::read(body).unwrap().indices.first().unwrap().index, "b");
}

#[test]
fn an_index_that_is_a_number_is_a_name() {
    assert_eq!(indices(&json!({"terms": {"f": {"index": 12, "id": "1", "path": "p"}}})), document("12"));
}

#[test]
fn an_indexed_shape_names_an_index() {
    assert_eq!(indices(&json!({"geo_shape": {"f": {"indexed_shape": {"index": "b", "id": "1"}}}})), document("b"));
}

#[test]
fn an_indexed_shape_without_an_index_names_the_default() {
    assert_eq!(indices(&json!({"shape": {"f": {"indexed_shape": {"id": "1"}}}})), document("shapes"));
}

#[test]
fn stored_queries_are_not_known_and_not_run() {
    let error = read(&json!({"query": {"percolate": {"field": "q", "index": "b", "id": "1"}}})).unwrap_err();
    assert!(matches!(error, ScanError::Opaque(_)), "{error}");
}

#[test]
fn documents_to_be_like_name_indices() {
    let query =
        json!({"more_like_this": {"like": [{"_index": "b", "_id": "1"}], "unlike": {"_index": "c", "_id": "2"}}});
    let named = indices(&query);
    assert_eq!(named, [(Purpose::Likeness, "b".to_owned()), (Purpose::Likeness, "c".to_owned())]);
}

#[test]
fn boosts_name_indices_as_an_object_and_as_a_list() {
    for boosts in [json!({"b*": 2, "c": 1.5}), json!([{"b*": 2}, {"c": 1.5}])] {
        let mentions = read(&json!({"indices_boost": boosts})).unwrap();
        let expected = ["b*", "c"].map(|index| Mention { purpose: Purpose::Boost, index: index.to_owned() });
        assert_eq!(mentions.indices, expected);
    }
}

#[test]
fn a_runtime_field_that_looks_up_names_an_index() {
    let field = json!({"type": "lookup", "target_index": "b", "input_field": "x", "target_field": "y"});
    let mentions = read(&json!({"runtime_mappings": {"f": field}})).unwrap();
    assert_eq!(mentions.indices, [Mention { purpose: Purpose::Lookup, index: "b".to_owned() }]);
}

#[test]
fn a_wrapper_query_is_unwrapped_however_often() {
    let wrap = |query: &Value| json!({"wrapper": {"query": STANDARD.encode(query.to_string())}});
    assert_eq!(indices(&wrap(&lookup())), document("b"));
    assert_eq!(indices(&wrap(&wrap(&lookup()))), document("b"));
    let deep = (0..9).fold(lookup(), |query, _| wrap(&query));
    assert!(matches!(read(&json!({"query": deep})), Err(ScanError::Opaque(_))));
}

#[test]
fn a_wrapper_query_that_is_no_json_is_refused() {
    for query in ["###", "o2E=", &STANDARD.encode("---\nterms: {}"), &STANDARD.encode([0xa1, 0x61, 0x61, 0x01])] {
        assert!(read(&json!({"query": {"wrapper": {"query": query}}})).is_err(), "{query}");
    }
}

#[test]
fn a_point_in_time_is_found_with_its_place() {
    let body = r#"{"pit":{"id":"ab\u0063","keep_alive":"1m"},"query":{"match_all":{}}}"#;
    let (id, span) = Mentions::read(body.as_bytes()).unwrap().pit.unwrap();
    assert_eq!(id, "abc");
    assert_eq!(body.get(span).unwrap(), r#""ab\u0063""#);
}

#[test]
fn a_point_in_time_within_a_query_is_refused() {
    let body = json!({"requests": [{"request": {"pit": {"id": "x"}}}]});
    assert!(matches!(read(&body), Err(ScanError::Opaque(_))));
}

#[test]
fn what_is_made_of_a_template_or_elsewhere_is_refused() {
    for body in [
        json!({"source": "{}", "params": {}}),
        json!({"id": "stored", "params": {"i": "b"}}),
        json!({"params": {}}),
        json!({"templates": [{"id": "t", "template": {"source": {}}}]}),
        json!({"requests": [{"id": "r", "template_id": "t"}]}),
        json!({"suggest": {"s": {"phrase": {"collate": {"query": {"source": {}}}}}}}),
        json!({"query": {"template": {"term": {"f": "x"}}}}),
        json!({"query": {"agentic": {"query_text": "x"}}}),
        json!({"search_pipeline": {"request_processors": []}}),
    ] {
        assert!(matches!(read(&body), Err(ScanError::Opaque(_))), "{body}");
    }
}

#[test]
fn a_script_of_the_body_is_told_from_one_in_a_query() {
    assert!(read(&json!({"script": {"source": "ctx.op='delete'"}})).unwrap().script);
    assert!(!read(&json!({"query": {"script_score": {"script": {"source": "1"}}}})).unwrap().script);
}

#[test]
fn no_body_names_nothing() {
    assert_eq!(Mentions::read(b" \n").unwrap(), Mentions::default());
}

#[test]
fn a_body_too_deep_is_refused() {
    let body = format!("{}1{}", "{\"a\":".repeat(5000), "}".repeat(5000));
    assert!(matches!(Mentions::read(body.as_bytes()), Err(ScanError::Opaque(_))));
}

/// Every object that looks like a reference to a document, by a walk of the whole tree.
fn reference(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| reference(item, found)),
        Value::Object(members) => {
            for key in ["index", "_index"] {
                if members.contains_key("id")
                    && let Some(Value::String(name)) = members.get(key)
                {
                    found.push(name.clone());
                }
            }
            members.values().for_each(|member| reference(member, found));
        }
        _ => {}
    }
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![Just(json!("b")), Just(json!("c\u{e9}\"")), Just(json!(1)), Just(json!(null)), Just(json!(true))];
    let key = prop::sample::select(vec![
        "index",
        "_index",
        "id",
        "terms",
        "f",
        "query",
        "bool",
        "boost",
        "indexed_shape",
        "\u{e9}\n",
    ]);
    leaf.prop_recursive(6, 48, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((key.clone(), inner), 0..4).prop_map(|members| Value::Object(
                members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            )),
        ]
    })
}

proptest! {
    #[test]
    fn no_reference_to_a_document_is_missed(query in tree()) {
        let body = json!({"query": query});
        let mut expected = Vec::new();
        reference(&body, &mut expected);
        let found: Vec<_> = read(&body).unwrap().indices.into_iter().map(|mention| mention.index).collect();
        for name in expected {
            prop_assert!(found.contains(&name), "{} in {}", name, body);
        }
    }
}
