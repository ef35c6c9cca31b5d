use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::scan::{Document, Item, Op, Refusal};

fn refused(list: List, positions: &[usize]) -> Refused {
    let mut refused = Refused::new(list);
    let why = Refusal::Denied(Arc::from("no"));
    for &position in positions {
        let id = position.to_string();
        match list {
            List::Docs => refused.document(position, &Document { index: "b", id: Some(&id) }, &why),
            List::Items => {
                let item = Item {
                    op: Op::Index,
                    index: "b",
                    id: Some(&id),
                    pipeline: None,
                    require_alias: false,
                    external: false,
                };
                refused.item(position, &item, &why)
            }
            List::Responses => refused.search(position, &why, "b"),
        }
        .unwrap();
    }
    refused
}

fn merge(list: List, positions: &[usize], pieces: &[&[u8]]) -> String {
    let (mut merge, mut answer) = (Merge::new(refused(list, positions)), Vec::new());
    for piece in pieces {
        merge.push(&Bytes::copy_from_slice(piece), &mut answer);
    }
    String::from_utf8(answer.concat()).unwrap()
}

/// The ids of the items of an answer; `null` for one without.
fn ids(answer: &str, list: List) -> Vec<Value> {
    let answer: Value = serde_json::from_str(answer).unwrap();
    let id = |item: &Value| item.get("index").unwrap_or(item).get("_id").cloned().unwrap_or_default();
    answer[list.key()].as_array().unwrap().iter().map(id).collect()
}

const ANSWER: &str = concat!(
    r#"{"took":3, "x":{"items":[1],"errors":false}, "errors" : false ,"items": [ "#,
    r#"{"index":{"_id":"x","r":"],[{\"","n":[[1],{}]}} , {"index":{"_id":"y"}}"#,
    "\n ]\n, \"ingest_took\":false}\n",
);

#[test]
fn refused_items_take_their_positions() {
    let merged = merge(List::Items, &[0, 2, 3, 5, 6], &[ANSWER.as_bytes()]);
    assert_eq!(ids(&merged, List::Items), ["0", "x", "2", "3", "y", "5", "6"]);
    let merged: Value = serde_json::from_str(&merged).unwrap();
    assert_eq!(merged["errors"], true);
    assert_eq!((&merged["x"]["errors"], &merged["ingest_took"]), (&json!(false), &json!(false)));
}

#[test]
fn every_split_gives_the_same() {
    let positions = [0, 2, 3, 5, 6];
    let expected = merge(List::Items, &positions, &[ANSWER.as_bytes()]);
    for at in 0..=ANSWER.len() {
        let (one, other) = ANSWER.as_bytes().split_at(at);
        assert_eq!(merge(List::Items, &positions, &[one, other]), expected, "split at {at}");
    }
    let bytes: Vec<_> = ANSWER.as_bytes().chunks(1).collect();
    assert_eq!(merge(List::Items, &positions, &bytes), expected);
}

#[test]
fn an_answer_to_which_nothing_is_added_stays_as_it_is() {
    assert_eq!(merge(List::Docs, &[], &[ANSWER.as_bytes()]), ANSWER);
}

#[test]
fn errors_that_are_true_stay_true() {
    let merged = merge(List::Items, &[0], &[br#"{"errors":true,"items":[]}"#]);
    assert!(merged.starts_with(r#"{"errors":true,"items":[{"index":{"_index":"b","_id":"0","status":403"#));
    assert_eq!(ids(&merged, List::Items), ["0"]);
}

#[test]
fn errors_after_the_items_become_true() {
    let merged = merge(List::Items, &[1], &[br#"{"items":[{"index":{"_id":"x"}}],"errors":false}"#]);
    assert!(merged.ends_with(r#""errors":true}"#), "{merged}");
}

#[test]
fn an_error_instead_of_items_stays_as_it_is() {
    let answer = r#"{"error":{"type":"x","items":[1]},"status":400}"#;
    assert_eq!(merge(List::Items, &[0], &[answer.as_bytes()]), answer);
}

#[test]
fn a_key_within_an_item_is_not_the_list() {
    let merged = merge(List::Docs, &[1], &[br#"{"docs":[{"_id":"x","docs":[{},{}],"errors":false}]}"#]);
    assert_eq!(ids(&merged, List::Docs), ["x", "1"]);
    assert!(merged.contains(r#""errors":false"#));
}

#[test]
fn refused_documents_look_as_in_the_original() {
    let merged = merge(List::Docs, &[0], &[br#"{"docs":[]}"#]);
    let cause = r#""type":"security_exception","reason":"no""#;
    assert_eq!(
        merged,
        format!(r#"{{"docs":[{{"_index":"b","_id":"0","error":{{"root_cause":[{{{cause}}}],{cause}}}}}]}}"#)
    );
}

#[test]
fn refused_searches_look_as_in_the_original() {
    let cause = r#""type":"security_exception","reason":"no""#;
    assert_eq!(
        String::from_utf8(refused(List::Responses, &[0]).alone()).unwrap(),
        format!(r#"{{"took":0,"responses":[{{"error":{{"root_cause":[{{{cause}}}],{cause}}},"status":403}}]}}"#)
    );
}

#[test]
fn a_missing_index_looks_as_in_the_original() {
    let mut refused = Refused::new(List::Docs);
    refused.document(0, &Document { index: "z", id: Some("2") }, &Refusal::NotFound).unwrap();
    let cause = concat!(
        r#""type":"index_not_found_exception","reason":"no such index [z]","resource.type":"index_or_alias","#,
        r#""resource.id":"z","index_uuid":"_na_","index":"z""#
    );
    assert_eq!(
        String::from_utf8(refused.alone()).unwrap(),
        format!(r#"{{"docs":[{{"_index":"z","_id":"2","error":{{"root_cause":[{{{cause}}}],{cause}}}}}]}}"#)
    );
}

proptest! {
    #[test]
    fn any_mixture_is_merged_in_order(
        passes in prop::collection::vec(any::<bool>(), 0..12),
        pretty in any::<bool>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let item = |position: usize| json!({"index": {"_id": position.to_string(), "s": "[\"],{"}});
        let kept: Vec<_> = (0..passes.len()).filter(|at| passes[*at]).map(item).collect();
        let left_out: Vec<_> = (0..passes.len()).filter(|at| !passes[*at]).collect();
        let answer = json!({"errors": false, "took": 1, "items": kept});
        let answer = if pretty { serde_json::to_string_pretty(&answer).unwrap() } else { answer.to_string() };
        let (one, other) = answer.as_bytes().split_at(cut.index(answer.len() + 1));
        let merged = merge(List::Items, &left_out, &[one, other]);
        let expected: Vec<_> = (0..passes.len()).map(|position| json!(position.to_string())).collect();
        prop_assert_eq!(ids(&merged, List::Items), expected);
    }
}
