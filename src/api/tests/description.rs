//! `docs/openapi.yml` and the router say the same, and no body that the description leads to breaks a handler.

use std::collections::BTreeSet;

use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};

use super::*;

fn description() -> Value {
    serde_saphyr::from_str(include_str!("../../../docs/openapi.yml")).unwrap()
}

/// Method, path and schema of the body of every operation under `/_security`.
fn operations(description: &Value) -> Vec<(String, String, Option<Value>)> {
    let mut operations = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters") {
            let schema = operation.pointer("/requestBody/content/application~1json/schema").cloned();
            operations.push((method.to_uppercase(), path.clone(), schema));
        }
    }
    operations
}

#[test]
fn the_description_names_what_is_served_and_nothing_else() {
    let described: BTreeSet<(String, String)> =
        operations(&description()).into_iter().map(|(method, path, _)| (method, path)).collect();
    let routes = [("/_security/", route::ROUTES), ("/_gateway/", route::GATEWAY)];
    let routes = routes.into_iter().flat_map(|(prefix, routes)| routes.iter().map(move |route| (prefix, route)));
    let methods = routes.flat_map(|(prefix, route)| {
        route.methods.iter().map(move |(method, _)| ((*method).to_owned(), format!("{prefix}{}", route.path)))
    });
    let gateway = [("GET", "/_gateway/auth"), ("GET", "/_gateway/jwks"), ("HEAD", "/_gateway/jwks")];
    let served: BTreeSet<_> =
        methods.chain(gateway.map(|(method, path)| (method.to_owned(), path.to_owned()))).collect();
    assert_eq!(described, served);
}

#[tokio::test]
async fn a_denial_names_the_action_of_its_route() {
    let (api, nobody) = (api(), user("nobody", &json!({})));
    let mut denied = 0;
    for route in route::ROUTES {
        for (method, action) in route.methods {
            let path = route.path.replace(['{', '}'], "");
            let (status, answer) = ask(&api, &nobody, &format!("{method} /_security/{path}"), Value::Null).await;
            // Without a body many requests make no sense, and that is said first.
            if status == 403 && reason(&answer).starts_with("action [") {
                assert!(reason(&answer).starts_with(&format!("action [{action}] ")), "{method} {path}: {answer}");
                denied += 1;
            }
        }
    }
    assert!(denied > 30, "{denied}");
}

/// Any JSON, some of it deep or long.
fn anything() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(Value::from("x".repeat(70_000))),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z_]{0,8}", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
    .boxed()
}

/// Bodies as a schema says, one part in eight of them something else.
fn drawn(schema: &Value, description: &Value) -> BoxedStrategy<Value> {
    if let Some(reference) = schema["$ref"].as_str() {
        return drawn(description.pointer(&reference[1..]).unwrap(), description);
    }
    if let Some(words) = schema["enum"].as_array() {
        return prop_oneof![7 => prop::sample::select(words.clone()), 1 => anything()].boxed();
    }
    let kind = if schema["type"].is_array() { &schema["type"][0] } else { &schema["type"] };
    let valid = match kind.as_str().unwrap() {
        "array" if schema["items"].is_object() => {
            prop::collection::vec(drawn(&schema["items"], description), 0..3).prop_map(Value::from).boxed()
        }
        "boolean" => any::<bool>().prop_map(Value::from).boxed(),
        "integer" => (0..100_u64).prop_map(Value::from).boxed(),
        "object" if schema["properties"].is_object() => {
            let fields = schema["properties"].as_object().unwrap().iter();
            let fields: Vec<_> = fields
                .map(|(name, schema)| (Just(name.clone()), prop::option::weighted(0.7, drawn(schema, description))))
                .collect();
            (fields, prop::option::weighted(0.1, anything()))
                .prop_map(|(fields, extra)| {
                    let fields = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
                    fields.chain(extra.map(|extra| ("an_extra_field".to_owned(), extra))).collect()
                })
                .boxed()
        }
        "object" if schema["additionalProperties"].is_object() => {
            prop::collection::hash_map("[a-z]{1,6}", drawn(&schema["additionalProperties"], description), 0..3)
                .prop_map(|fields| Value::Object(fields.into_iter().collect()))
                .boxed()
        }
        "string" => "[ -~]{0,20}|[0-9]{1,3}[dhms]".prop_map(Value::from).boxed(),
        _ => anything(),
    };
    prop_oneof![7 => valid, 1 => anything()].boxed()
}

/// Secrets of a body that no answer may repeat: passwords and tokens that are long enough to tell.
fn secrets(body: &Value) -> Vec<&str> {
    let named = ["password", "access_token", "refresh_token", "token"];
    let here = named.iter().filter_map(|name| body.get(name)?.as_str()).filter(|text| text.len() > 8);
    here.collect()
}

#[tokio::test]
async fn no_body_breaks_an_endpoint() {
    let description = description();
    let api = Arc::new(api());
    let mut runner = TestRunner::deterministic();
    let mut wrong = Vec::new();
    for (method, path, schema) in operations(&description) {
        let Some(schema) = schema else { continue };
        let bodies = drawn(&schema, &description);
        for _ in 0..CASES {
            let body = bodies.new_tree(&mut runner).unwrap().current();
            let target: String = path.replace(['{', '}'], "");
            let (line, text) = (format!("{method} {target}"), body.to_string());
            let (asked, sent) = (Arc::clone(&api), (line.clone(), text.clone()));
            // A task of its own, so that a panic is told with the body that led to it.
            let sent = async move { send(&asked, &elastic(), &sent.0, JSON, sent.1.as_bytes()).await };
            let shown: String = text.chars().take(300).collect();
            let Ok((parts, answer)) = tokio::spawn(sent).await else {
                wrong.push(format!("{line} {shown}\n  panicked"));
                break;
            };
            let status = parts.status.as_u16();
            let told: Option<Value> = serde_json::from_str(&answer).ok();
            let documented = matches!(status, 200 | 400 | 401 | 403 | 404 | 405 | 409 | 413 | 415 | 501);
            let shaped = told.as_ref().is_some_and(|told| {
                let error = &told["error"];
                status < 400
                    || status == 404
                    || error.is_string()
                    || error["type"].is_string() && error["reason"].is_string() && told["status"] == status
            });
            let leaked = secrets(&body).into_iter().any(|secret| answer.contains(secret));
            if !documented || !shaped || leaked {
                let answer: String = answer.chars().take(300).collect();
                wrong.push(format!("{line} {shown}\n  {status} {answer}"));
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Bodies for each operation.
const CASES: usize = 40;
