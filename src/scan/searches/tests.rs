use std::sync::Arc;

use super::*;

/// What goes on, what the judge saw, and the answer to the rest. Narrows `*` to `a1`, refuses what begins with `b`.
fn judge(body: &str) -> Result<(Option<String>, Vec<String>, String), ScanError> {
    let mut seen = Vec::new();
    let searches = Searches::judge(body.as_bytes(), &mut |item| {
        seen.push(item.indices.as_ref().map_or_else(|| "-".to_owned(), |names| names.join("+")));
        match item.indices.as_deref() {
            _ if item.mentions.pit.is_some() => SearchJudgement::Context("real".to_owned()),
            None => SearchJudgement::Narrow(vec!["a1".to_owned(), "a\"2".to_owned()]),
            Some([one]) if one == "*" => SearchJudgement::Narrow(vec!["a1".to_owned()]),
            Some(names) if names.iter().any(|name| name.starts_with('b')) => {
                SearchJudgement::Refuse(Refusal::Denied(Arc::from("no")))
            }
            Some(_) => SearchJudgement::Pass,
        }
    })?;
    let body = searches.body.map(|body| String::from_utf8(body.into_owned()).unwrap());
    Ok((body, seen, String::from_utf8(searches.refused.alone()).unwrap()))
}

#[test]
fn refused_searches_are_cut_out_and_the_others_stay_as_they_are() {
    let (left, seen, answer) =
        judge("{\"index\":\"a1,a2\"}\n{\"size\":0}\n{\"index\":[\"b\"]}\n{}\n{ \"indices\":\"\\u0061\" }\r\n{}\r\n")
            .unwrap();
    assert_eq!(left.unwrap(), "{\"index\":\"a1,a2\"}\n{\"size\":0}\n{ \"indices\":\"\\u0061\" }\r\n{}\r\n");
    assert_eq!(seen, ["a1+a2", "b", "a"]);
    assert!(answer.contains("\"status\":403"));
}

#[test]
fn a_header_is_narrowed_wherever_it_names_its_indices() {
    for (header, narrowed) in [
        (r#"{"index":"*"}"#, r#"{"index":["a1"]}"#),
        (
            r#"{"preference":"x", "indices" : ["*"] ,"routing":"r"}"#,
            r#"{"preference":"x", "indices" : ["a1"] ,"routing":"r"}"#,
        ),
        ("{}", r#"{"index":["a1","a\"2"]}"#),
        (r#" { "preference":"x"} "#, r#"{"index":["a1","a\"2"], "preference":"x"}"#),
    ] {
        let body = format!("{header}\n{{\"size\":0}}\n");
        assert_eq!(judge(&body).unwrap().0.unwrap(), format!("{narrowed}\n{{\"size\":0}}\n"), "{header}");
    }
}

#[test]
fn an_empty_header_is_narrowed() {
    let (left, ..) = judge("{\"index\":\"a\"}\n{}\n\n{}\n").unwrap();
    assert_eq!(left.unwrap(), "{\"index\":\"a\"}\n{}\n{\"index\":[\"a1\",\"a\\\"2\"]}\n{}\n");
}

#[test]
fn an_empty_first_line_is_refused_for_clusters_differ_in_whether_it_is_a_header() {
    assert!(matches!(judge("\n{\"index\":\"a\"}\n{}\n"), Err(ScanError::Opaque(_))));
}

#[test]
fn a_multi_search_of_which_nothing_passes_is_not_sent() {
    let (left, _, answer) = judge("{\"index\":\"b\"}\n{}\n").unwrap();
    assert_eq!(left, None);
    assert!(answer.starts_with(r#"{"took":0,"responses":[{"error":{"root_cause":"#));
}

#[test]
fn a_point_in_time_is_exchanged() {
    let (left, ..) = judge("{}\n{\"pit\":{\"id\":\"sealed\"},\"size\":0}\n").unwrap();
    assert_eq!(left.unwrap(), "{}\n{\"pit\":{\"id\":\"real\"},\"size\":0}\n");
}

#[test]
fn the_options_of_a_header_are_told() {
    let header =
        r#"{"index":"a","ignoreUnavailable":true,"allow_no_indices":"false","expand_wildcards":["open","hidden"]}"#;
    let mut seen = false;
    Searches::judge(format!("{header}\n{{}}\n").as_bytes(), &mut |item| {
        seen = true;
        assert_eq!((item.ignore_unavailable, item.allow_no_indices), (Some(true), Some(false)));
        assert_eq!(item.expand_wildcards.as_deref(), Some("open,hidden"));
        SearchJudgement::Pass
    })
    .unwrap();
    assert!(seen);
}

#[test]
fn the_bodies_of_searches_are_read() {
    let search = r#"{"query":{"terms":{"f":{"index":"b","id":"1","path":"p"}}}}"#;
    let mut named = Vec::new();
    Searches::judge(format!("{{}}\n{search}\n").as_bytes(), &mut |item| {
        named.extend(item.mentions.indices.iter().map(|mention| mention.index.clone()));
        SearchJudgement::Pass
    })
    .unwrap();
    assert_eq!(named, ["b"]);
}

#[test]
fn headers_that_cannot_be_read_exactly_are_refused() {
    for header in [
        r#"{"index":"a","indices":"b"}"#,
        r#"{"index":"a","\u0069ndex":"b"}"#,
        r#"{"index":null}"#,
        r#"{"index":1e3}"#,
        r#"{"index":{"x":1}}"#,
        r#"{"index":"a","unknown":1}"#,
        r#"{"ignore_unavailable":true,"ignoreUnavailable":false}"#,
        r#"{"index":"a"} {"index":"b"}"#,
        r#"{"index":"a"}//"#,
        " ",
        "\r",
    ] {
        assert!(judge(&format!("{{\"index\":\"a\"}}\n{{}}\n{header}\n{{}}\n")).is_err(), "{header}");
    }
}

#[test]
fn a_multi_search_without_a_last_newline_is_refused() {
    for body in ["{\"index\":\"a\"}\n{}", "{\"index\":\"a\"}\n", "{\"index\":\"a\"}"] {
        assert!(matches!(judge(body), Err(ScanError::Malformed(_))), "{body}");
    }
}

#[test]
fn templates_are_refused() {
    assert!(matches!(judge("{}\n{\"source\":{},\"params\":{}}\n"), Err(ScanError::Opaque(_))));
}
