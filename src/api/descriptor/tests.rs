use serde::Deserialize;

use super::*;
use crate::api::{failure::INVALID_REQUEST, json};

#[derive(Deserialize)]
struct Case {
    body: String,
    shown: Option<Value>,
    #[serde(rename = "type")]
    kind: Option<String>,
    reason: Option<String>,
    cause: Option<String>,
}

/// Puts a role as the API does.
fn put(body: &str) -> Result<Value, Exception> {
    let node = json::read(body.as_bytes())?.unwrap();
    let descriptor = read(Kind::Role, "r", &node).map_err(|fault| fault.cause)?;
    let mut validation = Validation::default();
    validate("r", &descriptor, false, &mut validation);
    validation.finish(INVALID_REQUEST).map(|()| descriptor.into())
}

/// Long lists of privileges are no matter here.
fn shortened(text: &str) -> String {
    let mut text = text.to_owned();
    for (from, to) in [("[manage_own_api_key,", ",all]"), ("[manage_failure_store=", ",all=[all]]")] {
        while let Some(start) = text.find(from) {
            let end = start + text[start..].find(to).unwrap() + to.len();
            text.replace_range(start..end, "[..]");
        }
    }
    text
}

#[test]
fn roles_are_taken_shown_and_refused_as_by_the_original() {
    let cases: Vec<Case> = serde_saphyr::from_str(include_str!("../../../tests/conformance/descriptors.yml")).unwrap();
    let mut wrong = Vec::new();
    for Case { body, shown, kind, reason, cause } in cases {
        let expected = (shown, kind, reason, cause);
        let got = match put(&body) {
            Ok(descriptor) => (Some(descriptor), None, None, None),
            Err(exception) => {
                let error = &exception.body(400)["error"];
                let text = |value: &Value| value.as_str().map(shortened);
                let cause = text(&error["caused_by"]["reason"]);
                (None, error["type"].as_str().map(str::to_owned), text(&error["reason"]), cause)
            }
        };
        let refused = got.2.clone().unwrap_or_default();
        let stricter = STRICTER.iter().any(|text| refused.contains(text)) && expected.0.is_some();
        if got != expected && !stricter {
            wrong.push(format!("{body}\n  expected {expected:?}\n  got      {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_key_may_be_for_a_workflow_and_has_no_description() {
    let read_key = |body: &str| {
        let node = json::read(body.as_bytes()).unwrap().unwrap();
        read(Kind::Key, "r", &node).map_err(|fault| fault.cause.body(400)["error"]["reason"].clone())
    };
    assert!(read_key(r#"{"restriction":{"workflows":["search_application_query"]}}"#).is_ok());
    let refused = read_key(r#"{"description":"x"}"#).unwrap_err();
    assert_eq!(refused, "failed to parse role [r]. unexpected field [description]");
}

/// What the original takes and then cannot do, or what nothing here could enforce.
const STRICTER: [&str; 3] = [
    "document and field level security are not supported",
    "invalid pattern [/a/*]",
    "invalid regular expression pattern [/(/]",
];
