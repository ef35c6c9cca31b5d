use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::scan::Refusal;

/// Passes what names an index that begins with `a`.
fn judge(seen: &mut Vec<String>) -> impl FnMut(&Item<'_>) -> Judgement {
    |item| {
        seen.push(format!("{} {} {:?} {:?}", item.op.as_str(), item.index, item.id, item.pipeline));
        if item.index.starts_with('a') { Judgement::Pass } else { Judgement::Refuse(Refusal::Denied(Arc::from("no"))) }
    }
}

/// What passes of a bulk that arrives in these pieces, what its judge saw, and the answer to the rest.
fn filter(default: Option<&str>, pieces: &[&[u8]]) -> Result<(String, Vec<String>, String), ScanError> {
    let (mut bulk, mut seen, mut passed) = (Bulk::new(default), Vec::new(), Vec::new());
    for piece in pieces {
        bulk.push(&Bytes::copy_from_slice(piece), &mut judge(&mut seen), &mut passed)?;
    }
    let refused = bulk.finish()?;
    let passed = String::from_utf8(passed.concat()).unwrap();
    Ok((passed, seen, String::from_utf8(refused.alone()).unwrap()))
}

fn whole(body: &str) -> Result<(String, Vec<String>, String), ScanError> {
    filter(None, &[body.as_bytes()])
}

fn seen(body: &str) -> Vec<String> {
    filter(Some("a"), &[body.as_bytes()]).unwrap().1
}

const SAMPLE: &str = concat!(
    "{\"index\":{\"_index\":\"a1\",\"_id\":\"1\"}}\n{\"f\":\"b\\n\"}\n",
    "{\"create\":{\"_index\":\"b1\"}}\r\n{\"f\":1}\r\n",
    "\n \r\n",
    "{ \"delete\" : { \"_id\":7, \"_index\":\"\\u0061\\u0032\" } }\n",
    "{\"delete\":{\"_index\":\"b1\",\"_id\":\"q\\\"\"}}\n",
    "{\"update\":{\"_index\":\"b\\u0061\",\"_id\":\"2\",\"routing\":\"r\"}}\n{\"doc\":{}}\n",
    "{\"index\":{\"_index\":\"a3\",\"pipeline\":\"p\"}}\n\n",
    "{\"index\":{\"_index\":\"ä\",\"_id\":\"\\ud83d\\ude00\"}}\n{}\n",
);

#[test]
fn what_passes_goes_on_byte_for_byte_and_the_rest_is_answered_in_order() {
    let (passed, seen, answer) = whole(SAMPLE).unwrap();
    assert_eq!(
        passed,
        concat!(
            "{\"index\":{\"_index\":\"a1\",\"_id\":\"1\"}}\n{\"f\":\"b\\n\"}\n",
            "{ \"delete\" : { \"_id\":7, \"_index\":\"\\u0061\\u0032\" } }\n",
            "{\"index\":{\"_index\":\"a3\",\"pipeline\":\"p\"}}\n\n",
        )
    );
    assert_eq!(
        seen,
        [
            "index a1 Some(\"1\") None",
            "create b1 None None",
            "delete a2 Some(\"7\") None",
            "delete b1 Some(\"q\\\"\") None",
            "update ba Some(\"2\") None",
            "index a3 None Some(\"p\")",
            "index ä Some(\"😀\") None",
        ]
    );
    let error = r#""status":403,"error":{"type":"security_exception","reason":"no"}}}"#;
    assert_eq!(
        answer,
        format!(
            concat!(
                r#"{{"errors":true,"took":0,"items":[{{"create":{{"_index":"b1","_id":null,{error},"#,
                r#"{{"delete":{{"_index":"b1","_id":"q\"",{error},{{"update":{{"_index":"ba","_id":"2",{error},"#,
                r#"{{"index":{{"_index":"ä","_id":"😀",{error}]}}"#,
            ),
            error = error
        )
    );
}

#[test]
fn every_split_gives_the_same() {
    let expected = whole(SAMPLE).unwrap();
    for at in 0..=SAMPLE.len() {
        let (one, other) = SAMPLE.as_bytes().split_at(at);
        assert_eq!(filter(None, &[one, other]).unwrap(), expected, "split at {at}");
    }
    let bytes: Vec<_> = SAMPLE.as_bytes().chunks(1).collect();
    assert_eq!(filter(None, &bytes).unwrap(), expected);
}

#[test]
fn a_bulk_of_which_nothing_passes_sends_nothing_on() {
    let (passed, ..) = whole("\n{\"delete\":{\"_index\":\"b\",\"_id\":\"1\"}}\n\n").unwrap();
    assert_eq!(passed, "");
}

#[test]
fn what_passes_is_not_copied() {
    let body = Bytes::from_static(b"{\"index\":{\"_index\":\"a\"}}\n{}\n{\"index\":{\"_index\":\"a\"}}\n{}\n");
    let mut passed = Vec::new();
    Bulk::new(None).push(&body, &mut judge(&mut Vec::new()), &mut passed).unwrap();
    assert_eq!(passed.iter().map(|piece| piece.as_ptr()).collect::<Vec<_>>(), [body.as_ptr()]);
}

#[test]
fn the_path_names_the_index_of_items_that_do_not() {
    assert_eq!(seen("{\"index\":{}}\n{}\n{\"index\":{\"_index\":null}}\n{}\n"), ["index a None None"; 2]);
}

#[test]
fn the_item_wins_over_the_path() {
    assert_eq!(seen("{\"delete\":{\"_index\":\"b\",\"_id\":\"1\"}}\n"), ["delete b Some(\"1\") None"]);
}

#[test]
fn an_item_without_any_index_is_refused() {
    assert!(matches!(whole("{\"index\":{}}\n{}\n"), Err(ScanError::Malformed(_))));
}

#[test]
fn an_index_that_is_a_number_is_the_name_it_looks_like() {
    assert_eq!(seen("{\"index\":{\"_index\":123}}\n{}\n"), ["index 123 None None"]);
    assert!(matches!(whole("{\"index\":{\"_index\":1e3}}\n{}\n"), Err(ScanError::Malformed(_))));
}

#[test]
fn an_index_that_is_an_array_is_refused() {
    assert!(whole("{\"index\":{\"_index\":[\"a\"]}}\n{}\n").is_err());
}

#[test]
fn op_type_create_makes_a_creation() {
    let ops = seen(concat!(
        "{\"index\":{\"op_type\":\"create\"}}\n{}\n",
        "{\"create\":{\"op_type\":\"index\"}}\n{}\n",
        "{\"index\":{\"op_type\":\"CREATE\"}}\n{}\n",
    ));
    assert_eq!(ops, ["create a None None", "create a None None", "index a None None"]);
}

#[test]
fn a_repeated_index_is_refused() {
    let error = whole("{\"index\":{\"_index\":\"a\",\"_index\":\"b\"}}\n{}\n").unwrap_err();
    assert!(matches!(error, ScanError::Duplicate { .. }));
}

#[test]
fn a_repeated_index_hidden_by_an_escape_is_refused() {
    let error = whole("{\"index\":{\"_index\":\"a\",\"\\u005findex\":\"b\"}}\n{}\n").unwrap_err();
    assert!(matches!(error, ScanError::Duplicate { .. }));
}

#[test]
fn a_key_hidden_by_an_escape_is_read() {
    assert_eq!(seen("{\"\\u0069ndex\":{\"\\u005findex\":\"b\"}}\n{}\n"), ["index b None None"]);
}

#[test]
fn a_second_action_in_a_line_is_refused() {
    assert!(whole("{\"index\":{\"_index\":\"a\"},\"delete\":{\"_index\":\"b\",\"_id\":\"1\"}}\n{}\n").is_err());
}

#[test]
fn lines_that_clusters_read_leniently_are_refused() {
    for line in [
        "\u{feff}{\"index\":{\"_index\":\"a\"}}",
        "{\"index\":/*b*/{\"_index\":\"a\"}}",
        "{\"index\":{\"_index\":\"a\"}} // b",
        "{\"index\":{\"_index\":\"a\"}",
        "{\"index\":{\"_index\":\"a\"}} {\"x\":1}",
        "{index:{\"_index\":\"a\"}}",
        "{'index':{\"_index\":\"a\"}}",
        "{\"index\":{\"_index\":\"a\",}}",
        "{\"index\":{\"_index\":\"\\ud800\"}}",
        "{\"index\":{\"_index\":\"a\"\u{b}}}",
        "{\"index\":{\"_id\":NaN}}",
        "{\"index\":{\"_id\":01}}",
        "{\"index\":{\"if_seq_no\":{\"_index\":\"b\"}}}",
        "{\"index\":{\"dynamic_templates\":{\"x\":{\"_index\":\"b\"}}}}",
        "{\"index\":{\"unknown\":1}}",
        "{\"INDEX\":{}}",
        "{\"index\":\"a\"}",
        "[]",
        "{}",
    ] {
        assert!(filter(Some("a"), &[format!("{line}\n{{}}\n").as_bytes()]).is_err(), "{line}");
    }
}

#[test]
fn an_action_line_in_utf_16_is_refused() {
    let wide: Vec<u8> = "{\"index\":{}}".encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert!(filter(Some("a"), &[&wide, b"\n{}\n"]).is_err());
}

#[test]
fn a_bulk_without_a_last_newline_is_refused() {
    for body in [
        "{\"index\":{\"_index\":\"a\"}}\n{}",
        "{\"delete\":{\"_index\":\"a\",\"_id\":\"1\"}}",
        "{\"index\":{\"_index\":\"a\"}}\n",
        " ",
    ] {
        assert!(matches!(whole(body), Err(ScanError::Malformed(_))), "{body}");
    }
}

#[test]
fn a_source_line_that_looks_like_an_action_is_a_source() {
    let body = "{\"index\":{\"_index\":\"a\"}}\n{\"delete\":{\"_index\":\"b\",\"_id\":\"1\"}}\n";
    assert_eq!(whole(body).unwrap().0, body);
}

#[test]
fn the_source_of_a_refused_item_never_becomes_an_action() {
    let (passed, seen, _) =
        whole("{\"index\":{\"_index\":\"b\"}}\n{\"delete\":{\"_index\":\"a\",\"_id\":\"1\"}}\n").unwrap();
    assert_eq!((passed.as_str(), seen.len()), ("", 1));
}

#[test]
fn an_action_line_without_bound_is_refused_however_it_arrives() {
    let line = format!("{}{{\"index\":{{}}}}\n{{}}\n", " ".repeat(70_000));
    let (one, other) = line.as_bytes().split_at(60_000);
    for pieces in [&[line.as_bytes()][..], &[one, other]] {
        assert!(matches!(filter(Some("a"), pieces), Err(ScanError::TooLarge { .. })));
    }
    assert!(matches!(filter(Some("a"), &[one, one]), Err(ScanError::TooLarge { .. })));
}

#[test]
fn a_source_line_may_be_as_long_as_it_likes() {
    let body = format!("{{\"index\":{{\"_index\":\"a\"}}}}\n\"{}\"\n", "x".repeat(1_000_000));
    assert_eq!(whole(&body).unwrap().0, body);
}

#[test]
fn the_answers_of_refused_items_are_not_kept_without_bound() {
    let mut bulk = Bulk::new(Some("b"));
    let piece = Bytes::from("{\"delete\":{\"_id\":\"1\"}}\n".repeat(1000));
    let reason: Arc<str> = "x".repeat(1000).into();
    let mut refuse = |_: &Item<'_>| Judgement::Refuse(Refusal::Denied(Arc::clone(&reason)));
    let error = (0..1000).find_map(|_| bulk.push(&piece, &mut refuse, &mut Vec::new()).err());
    assert!(matches!(error, Some(ScanError::TooLarge { .. })));
}

/// Names that a lenient reader of bulks finds: the first value of each line, the last of repeated keys, the first action.
fn lenient(body: &str) -> Vec<String> {
    let (mut names, mut lines) = (Vec::new(), body.split('\n'));
    while let Some(line) = lines.next() {
        let Some(Ok(Value::Object(action))) = serde_json::Deserializer::from_str(line).into_iter().next() else {
            continue;
        };
        let Some((op, fields)) = action.iter().next() else { continue };
        names.push(match fields.get("_index") {
            Some(Value::String(name)) => name.clone(),
            Some(Value::Null) | None => "a".to_owned(),
            Some(other) => other.to_string(),
        });
        if op != "delete" {
            lines.next();
        }
    }
    names
}

fn fragment() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "_index",
        "\\u005findex",
        "_id",
        "routing",
        "op_type",
        "pipeline",
        "other",
        "_source",
    ]);
    let value = prop::sample::select(vec![
        "\"a\"",
        "\"b\"",
        "\"\\u0061x\"",
        "\"\\u0062x\"",
        "null",
        "12",
        "1.5",
        "true",
        "[\"b\"]",
        "{\"_index\":\"b\"}",
        "\"\"",
    ]);
    let fields = prop::collection::vec((key, value), 0..4).prop_map(|fields| {
        fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect::<Vec<_>>().join(",")
    });
    let op = prop::sample::select(vec!["index", "create", "update", "delete", "\\u0069ndex", "noop"]);
    let line = (op, fields).prop_map(|(op, fields)| format!("{{\"{op}\":{{{fields}}}}}\n"));
    let noise =
        prop::sample::select(vec!["\n", "{}\n", "{\"f\":1}\r\n", " ", "}", "\u{feff}", "// x\n", ",", "{\"a\":[1]}\n"]);
    prop_oneof![4 => line.prop_map(|line| line + "{\"f\":\"b\"}\n"), 2 => noise.prop_map(str::to_owned)]
}

proptest! {
    #[test]
    fn whatever_passes_names_only_what_is_allowed(
        fragments in prop::collection::vec(fragment(), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let body = fragments.concat();
        let cut = cut.index(body.len() + 1);
        let (one, other) = body.as_bytes().split_at(cut);
        let result = filter(Some("a"), &[one, other]);
        prop_assert_eq!(&result, &filter(Some("a"), &[body.as_bytes()]));
        if let Ok((passed, seen, _)) = result {
            let allowed = |name: &String| name.starts_with('a');
            prop_assert!(lenient(&passed).iter().all(allowed), "{}", passed);
            let names: Vec<_> = seen.iter().map(|item| item.split(' ').nth(1).unwrap().to_owned()).collect();
            prop_assert_eq!(lenient(&body), names);
        }
    }
}
