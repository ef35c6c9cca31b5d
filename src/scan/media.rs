//! Which bodies can be read, and which answers be merged.

use super::List;

/// Whether a body of this content type is JSON or NDJSON, vendor forms included. YAML, CBOR and SMILE are not.
#[must_use]
pub fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';');
    let essence = parts.next().unwrap_or_default().trim();
    let plain_text = parts.all(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches('"');
        // Bytes in another character set would be other names.
        !name.trim().eq_ignore_ascii_case("charset") || value.eq_ignore_ascii_case("utf-8")
    });
    let vendor = ["application/vnd.elasticsearch+", "application/vnd.opensearch+", "application/"];
    let format = vendor.iter().find_map(|prefix| {
        let head = essence.get(..prefix.len())?;
        head.eq_ignore_ascii_case(prefix).then(|| essence.get(prefix.len()..))?
    });
    plain_text
        && format
            .is_some_and(|format| ["json", "ndjson", "x-ndjson"].iter().any(|json| format.eq_ignore_ascii_case(json)))
}

/// Whether an answer that satisfies this `Accept` header and `format` parameter is JSON, so that it can be merged.
#[must_use]
pub fn accepts_json(accept: Option<&str>, format: Option<&str>) -> bool {
    let accepted = accept.is_none_or(|accept| {
        accept.split(',').any(|range| {
            let essence = range.split(';').next().unwrap_or_default().trim();
            essence.is_empty() || matches!(essence, "*/*" | "application/*") || is_json(range)
        })
    });
    // The parameter wins over the header.
    format.map_or(accepted, |format| is_json(&format!("application/{format}")) || is_json(format))
}

/// Whether a `filter_path` leaves each item of an answer in its list, so that positions can be counted.
///
/// Otherwise the caller asks the cluster without it: the client sees more than it asked for, as it does of the items refused.
#[must_use]
pub fn keeps_every_item(list: List, filter_path: &str) -> bool {
    // What every item has, refused, failed or not.
    let always: &[&str] = match list {
        List::Docs => &["*", "**", "_id", "_index"],
        List::Items => &["*", "**", "*.*", "*._index", "*.status"],
        List::Responses => &["*", "**", "status"],
    };
    let keeps = |path: &str| match path.split_once('.') {
        None => matches!(path, "*" | "**") || path == list.key(),
        Some((first, rest)) => first == list.key() && always.contains(&rest),
    };
    // Exclusions apply to what the others leave.
    filter_path.split(',').any(keeps) && !filter_path.split(',').any(|path| path.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_told_by_its_type() {
        for json in [
            "application/json",
            "Application/X-NDJSON; charset=UTF-8",
            "application/vnd.elasticsearch+json;compatible-with=8",
            "application/vnd.elasticsearch+x-ndjson; compatible-with=8",
            "application/vnd.opensearch+json",
        ] {
            assert!(is_json(json), "{json}");
        }
    }

    #[test]
    fn what_is_not_json_or_in_another_character_set_is_told() {
        for other in [
            "",
            "application/yaml",
            "application/cbor",
            "application/smile",
            "application/vnd.elasticsearch+cbor;compatible-with=8",
            "application/json; charset=utf-16",
            "application/json;charset=\"ibm037\"",
            "text/plain",
            "application/jsonx",
            "application/x-www-form-urlencoded",
        ] {
            assert!(!is_json(other), "{other}");
        }
    }

    #[test]
    fn an_answer_can_be_merged_if_it_may_be_json() {
        assert!(accepts_json(None, None));
        assert!(accepts_json(Some("*/*"), None));
        assert!(accepts_json(Some("application/vnd.elasticsearch+json;compatible-with=8"), None));
        assert!(accepts_json(Some("application/yaml"), Some("json")));
        assert!(!accepts_json(Some("application/cbor"), None));
        assert!(!accepts_json(Some("application/json"), Some("yaml")));
        assert!(!accepts_json(None, Some("smile")));
    }

    #[test]
    fn a_filter_that_may_drop_items_is_told() {
        for (list, filter) in [
            (List::Items, "errors,items.*.error,items.*.status"),
            (List::Items, "items"),
            (List::Docs, "docs._id,docs._source"),
            (List::Responses, "took,responses.status"),
        ] {
            assert!(keeps_every_item(list, filter), "{filter}");
        }
        for (list, filter) in [
            (List::Items, "errors"),
            (List::Items, "errors,items.*.error"),
            (List::Items, "items.index"),
            (List::Items, "items,-items.index"),
            (List::Items, "items.status"),
            (List::Docs, "items.*.status"),
            (List::Docs, "docs._source"),
            (List::Responses, "responses.took"),
        ] {
            assert!(!keeps_every_item(list, filter), "{filter}");
        }
    }
}
