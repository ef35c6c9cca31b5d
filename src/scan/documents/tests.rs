use std::sync::Arc;

use super::*;
use crate::scan::Refusal;

/// What goes on, and how many were left out, where names that begin with `a` pass.
fn judge(
    kind: DocumentKind,
    body: &str,
    default: Option<&str>,
) -> Result<(Option<String>, Vec<String>, usize), ScanError> {
    let mut seen = Vec::new();
    let documents = Documents::judge(kind, body.as_bytes(), default, &mut |document| {
        seen.push(format!("{} {:?}", document.index, document.id));
        if document.index.starts_with('a') {
            Judgement::Pass
        } else {
            Judgement::Refuse(Refusal::Denied(Arc::from("no")))
        }
    })?;
    let body = documents.body.map(|body| String::from_utf8(body.into_owned()).unwrap());
    Ok((body, seen, documents.refused.len()))
}

fn get(body: &str) -> Result<(Option<String>, Vec<String>, usize), ScanError> {
    judge(DocumentKind::Get, body, Some("a"))
}

#[test]
fn refused_documents_are_cut_out() {
    let body = r#"{ "docs" : [ {"_index":"b","_id":"1"} , {"_id":2,"_source":{"includes":["x"]}}, {"_index":"\u0062","_id":"3"}] }"#;
    let (left, seen, refused) = get(body).unwrap();
    assert_eq!(left.unwrap(), r#"{ "docs" : [{"_id":2,"_source":{"includes":["x"]}}] }"#);
    assert_eq!(seen, ["b Some(\"1\")", "a Some(\"2\")", "b Some(\"3\")"]);
    assert_eq!(refused, 2);
}

#[test]
fn a_request_of_which_everything_passes_stays_as_it_is() {
    let body = r#"{"docs" : [{"_index":"a","_id":"1"} ]}"#;
    let documents =
        Documents::judge(DocumentKind::Get, body.as_bytes(), None, &mut |_: &Document<'_>| Judgement::Pass).unwrap();
    assert!(matches!(documents.body, Some(Cow::Borrowed(_))));
    assert!(documents.refused.is_empty());
}

#[test]
fn a_request_of_which_nothing_passes_is_not_sent() {
    let (left, _, refused) = get(r#"{"docs":[{"_index":"b","_id":"1"}]}"#).unwrap();
    assert_eq!((left, refused), (None, 1));
}

#[test]
fn ids_are_of_the_index_of_the_path() {
    assert_eq!(get(r#"{"ids":["1",2]}"#).unwrap().1, ["a Some(\"1\")", "a Some(\"2\")"]);
    let (left, _, refused) = judge(DocumentKind::Get, r#"{"ids":["1","2"]}"#, Some("b")).unwrap();
    assert_eq!((left, refused), (None, 2));
    assert!(judge(DocumentKind::Get, r#"{"ids":["1"]}"#, None).is_err());
}

#[test]
fn parameters_that_name_an_index_are_refused() {
    let body = r#"{"ids":["1"],"parameters":{"_index":"b"}}"#;
    assert!(matches!(judge(DocumentKind::TermVectors, body, Some("a")), Err(ScanError::Opaque(_))));
    let body = r#"{"ids":["1"],"parameters":{"fields":["x"],"offsets":false}}"#;
    assert_eq!(judge(DocumentKind::TermVectors, body, Some("a")).unwrap().0.unwrap(), body);
}

#[test]
fn an_artificial_document_is_of_its_index() {
    let body =
        r#"{"docs":[{"_index":"b","doc":{"_index":"a"}},{"_index":"a","_id":"1","filter":{"max_num_terms":3}}]}"#;
    assert_eq!(judge(DocumentKind::TermVectors, body, None).unwrap().1, ["b None", "a Some(\"1\")"]);
}

#[test]
fn what_clusters_read_in_their_own_way_is_refused() {
    for body in [
        r#"{"docs":[{"_index":["b"],"_id":"1"}]}"#,
        r#"{"docs":[{"_index":"a","_index":"b","_id":"1"}]}"#,
        r#"{"docs":[{"_id":"1","_source":{"x":{},"_index":"b"}}]}"#,
        r#"{"docs":[{"_id":"1","x":{"_index":"b"}}]}"#,
        r#"{"docs":["1"]}"#,
        r#"{"docs":[{"_id":"1"}],"ids":["2"]}"#,
        r#"{"docs":[{"_id":"1"}],"_index":"b"}"#,
        r#"{"docs":[{"_id":"1"}]} {"docs":[{"_index":"b","_id":"1"}]}"#,
        r#"{"docs":{"_index":"b","_id":"1"}}"#,
        "{}",
        "",
    ] {
        assert!(get(body).is_err(), "{body}");
    }
}

#[test]
fn the_body_of_term_vectors_tells_its_index() {
    assert_eq!(termvectors(br#"{"_index":"b","fields":["x"]}"#), Ok(Some("b".to_owned())));
    assert_eq!(termvectors(br#"{"doc":{"_index":"b"}}"#), Ok(None));
    assert_eq!(termvectors(b""), Ok(None));
}
