use std::collections::HashMap;

use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::{
    config::Config,
    identify::{AskCluster, AskError, Registers},
    model::{ApiKeyRef, AuthenticationType, Identity, KeyId, RealmRef, Timestamp},
    passwords::Passwords,
    privileges::Privileges,
    sealing::MasterKeys,
    store::{AnyStore, KeyFilter, Page, memory::Memory},
    telemetry::metrics::Metrics,
};

mod administration;
mod description;
mod explain;
mod tokens;

/// A gateway with nothing but its API: memory store, time that tests move.
pub(super) fn api() -> Api {
    api_of(Config::default())
}

fn api_of(mut config: Config) -> Api {
    let store = AnyStore::Memory(Arc::new(Memory::default()));
    let clock = Clock::anchored(Timestamp::from_millis(1_800_000_000_000));
    config.api_keys.max_per_owner = 100;
    let nobody = AskCluster::new(|_| Box::pin(async { Err(AskError::Refused) }), Vec::new());
    let registers = Registers::new(&store, &Arc::default(), Passwords::start(1, 4), nobody, &clock, &config);
    let Registers { users, keys, tokens, roles, documents, service_accounts, .. } = registers.clone();
    let realms = Realms::new(&config.authentication, 100, registers, clock.clone(), Metrics::new(&[]), Audit::off());
    Api {
        authorizer: Authorizer::new(Audit::off(), clock.clone(), crate::sealing::MasterKeys::ephemeral()),
        keys,
        users,
        tokens,
        roles,
        documents,
        service_accounts,
        sessions: Arc::new(Sessions::new(
            store,
            MasterKeys::ephemeral(),
            clock.clone(),
            config.sessions.clone(),
            config.invalidation.claim_ttl,
            Arc::new(|_| ()),
            Arc::new(|_, _| ()),
        )),
        realms: Arc::new(realms.unwrap()),
        issuers: Vec::new(),
        audit: Audit::off(),
        clock,
        limits: Arc::new(ArcSwap::from_pointee(config.limits)),
    }
}

/// A user of the native realm whose one role, `own`, is `descriptor`.
pub(super) fn user(name: &str, descriptor: &Value) -> Arc<Principal> {
    principal(
        Identity { username: name.into(), roles: vec!["own".into()], ..Identity::default() },
        ("default_native", "native"),
        Privileges::of_user(json!({ "own": descriptor }).as_object().unwrap()),
    )
}

pub(super) fn elastic() -> Arc<Principal> {
    let metadata = json!({ "_reserved": true }).as_object().unwrap().clone();
    let roles = vec!["superuser".into()];
    let privileges = Privileges::of_user(&Users::descriptors(&roles));
    let identity = Identity { username: "elastic".into(), roles, metadata, ..Identity::default() };
    principal(identity, ("reserved", "reserved"), privileges)
}

fn principal(identity: Identity, (name, kind): (&str, &str), privileges: Privileges) -> Arc<Principal> {
    let realm = RealmRef { name: name.into(), kind: kind.into() };
    Arc::new(Principal::new(identity, realm, AuthenticationType::Realm, privileges))
}

/// What a caller becomes that shows the key `id`.
pub(super) async fn key(api: &Api, id: &str) -> Arc<Principal> {
    let filter = KeyFilter { ids: Some(vec![KeyId(id.into())]), ..KeyFilter::default() };
    let record = api.keys.find(&filter, &Page::first(1)).await.unwrap().remove(0);
    let identity = Identity { roles: Vec::new(), ..record.creator.identity };
    let privileges = Privileges::of_key(&record.role_descriptors, &record.limited_by);
    let mut principal = principal(identity, ("_es_api_key", "_es_api_key"), privileges);
    let changed = Arc::get_mut(&mut principal).unwrap();
    changed.authentication = AuthenticationType::ApiKey;
    changed.api_key = Some(ApiKeyRef { id: record.id, name: Some(record.name) });
    principal
}

async fn send(
    api: &Api,
    who: &Arc<Principal>,
    line: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (http::response::Parts, String) {
    let (method, target) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(Bytes::copy_from_slice(body))).unwrap();
    let (parts, body) = api.answer(request, Arc::clone(who), &Peer::unknown(), async |_| None).await.into_parts();
    let body = body.read(1 << 20).await.unwrap();
    (parts, String::from_utf8(body.to_vec()).unwrap())
}

/// Sends JSON, gets status and JSON.
pub(super) async fn ask(api: &Api, who: &Arc<Principal>, line: &str, body: Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (parts, answer) = send(api, who, line, JSON, body.as_bytes()).await;
    (parts.status.as_u16(), serde_json::from_str(&answer).unwrap())
}

pub(super) fn reason(answer: &Value) -> &str {
    answer["error"]["reason"].as_str().unwrap_or_default()
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

#[tokio::test]
async fn whoever_is_bound_to_a_workflow_is_refused_everything() {
    let api = api();
    let mut bound = Principal::clone(&elastic());
    let descriptor =
        json!({ "r": { "cluster": ["all"], "restriction": { "workflows": ["search_application_query"] } } });
    bound.privileges = Privileges::of_key(descriptor.as_object().unwrap(), &Users::descriptors(&["superuser".into()]));
    let bound = Arc::new(bound);
    for (line, action) in [
        ("GET /_security/_authenticate", "cluster:admin/xpack/security/user/authenticate"),
        ("GET /_security/user/_privileges", "cluster:admin/xpack/security/user/list_privileges"),
        ("POST /_security/user/_password", "cluster:admin/xpack/security/user/change_password"),
        ("GET /_gateway/auth", "cluster:admin/searchgate/forward"),
    ] {
        let (status, answer) = ask(&api, &bound, line, Value::Null).await;
        assert_eq!(status, 403, "{line}: {answer}");
        assert!(reason(&answer).starts_with(&format!("action [{action}] is unauthorized for")), "{answer}");
        let cause = json!({ "type": "role_restriction_exception", "reason": "access restricted by workflow" });
        assert_eq!((&answer["error"]["caused_by"], &answer["error"]["root_cause"][0]), (&cause, &cause));
    }
}

/// One line of the list that was recorded from the original.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    send: String,
    who: Option<String>,
    #[serde(default)]
    headers: HashMap<String, String>,
    body: Option<String>,
    save: Option<String>,
    status: u16,
    allow: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    answer: String,
}

#[tokio::test]
async fn every_recorded_answer_of_the_original_is_given() {
    replay(include_str!("../../tests/conformance/security.yml"), Order::Same).await;
}

#[tokio::test]
async fn every_recorded_answer_about_users_and_what_they_may_do_is_given() {
    replay(include_str!("../../tests/conformance/administration.yml"), Order::Any).await;
}

/// Whether the members of an answer stand as in the original.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    /// There they come from a hash map.
    Any,
    Same,
}

async fn replay(cases: &str, order: Order) {
    let cases: Vec<Case> = serde_saphyr::from_str(cases).unwrap();
    let api = api();
    let mut saved: HashMap<String, String> = HashMap::new();
    let mut wrong = Vec::new();
    for case in &cases {
        let fill = |text: &str| {
            saved.iter().fold(text.to_owned(), |text, (name, id)| text.replace(&format!("${{{name}}}"), id))
        };
        let who = match &case.who {
            Some(name) => key(&api, &saved[name]).await,
            None => elastic(),
        };
        let headers: Vec<(&str, &str)> = case.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let body = fill(case.body.as_deref().unwrap_or_default());
        let (parts, answer) = send(&api, &who, &fill(&case.send), &headers, body.as_bytes()).await;

        let expected = fill(&case.answer);
        let found = match (serde_json::from_str(&expected), serde_json::from_str::<Value>(&answer)) {
            (Ok(expected), Ok(found)) => mask(&expected, found.clone()).to_string(),
            _ => answer.clone(),
        };
        let header = |name| parts.headers.get(name).map(|value| value.to_str().unwrap());
        let kind = case.kind.as_deref().unwrap_or("application/json");
        let product = (!matches!(case.status, 401 | 403)).then_some("Elasticsearch");
        if (parts.status.as_u16(), header("allow")) != (case.status, case.allow.as_deref())
            || header("content-type") != Some(kind)
            || header("x-elastic-product") != product
            || found != expected && (order == Order::Same || !is_same(&found, &expected))
        {
            wrong.push(format!(
                "{}\n  expected {} {expected}\n  found    {} {found}",
                case.name, case.status, parts.status
            ));
        }
        if let Some(name) = &case.save {
            let answer: Value = serde_json::from_str(&answer).unwrap();
            let id = answer.get("id").or_else(|| answer.get("access_token")).and_then(Value::as_str);
            saved.insert(name.clone(), id.unwrap_or_default().to_owned());
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn is_same(found: &str, expected: &str) -> bool {
    match (serde_json::from_str::<Value>(found), serde_json::from_str::<Value>(expected)) {
        (Ok(found), Ok(expected)) => found == expected,
        _ => false,
    }
}

/// Puts `"*"` where it is expected.
fn mask(expected: &Value, found: Value) -> Value {
    match (expected, found) {
        (Value::String(any), found) if any == "*" && !found.is_null() => expected.clone(),
        (Value::Object(expected), Value::Object(found)) => found
            .into_iter()
            .map(|(key, value)| {
                let value = mask(expected.get(&key).unwrap_or(&Value::Null), value);
                (key, value)
            })
            .collect(),
        (Value::Array(expected), Value::Array(found)) => found
            .into_iter()
            .enumerate()
            .map(|(at, value)| mask(expected.get(at).unwrap_or(&Value::Null), value))
            .collect(),
        (_, found) => found,
    }
}

#[tokio::test]
async fn a_user_that_manages_its_own_keys_reaches_no_others() {
    let api = api();
    let own = user("u", &json!({ "cluster": ["manage_own_api_key"] }));
    let (_, mine) = ask(&api, &own, "PUT /_security/api_key", json!({ "name": "mine" })).await;
    let (_, other) = ask(&api, &elastic(), "PUT /_security/api_key", json!({ "name": "other" })).await;
    let (mine, other) = (mine["id"].as_str().unwrap(), other["id"].as_str().unwrap());
    for (query, status) in [
        ("", 403),
        ("?owner=false", 403),
        ("?username=u", 403),
        ("?realm_name=default_native", 403),
        ("?username=u&realm_name=x", 403),
        (&format!("?id={mine}"), 403),
        ("?owner=true", 200),
        ("?username=u&realm_name=default_native", 200),
        (&format!("?owner=true&with_limited_by=true&id={mine}"), 200),
        (&format!("?owner=true&id={other}"), 404),
    ] {
        let (found, answer) = ask(&api, &own, &format!("GET /_security/api_key{query}"), Value::Null).await;
        assert_eq!(found, status, "{query}");
        if status == 200 {
            assert_eq!(answer["api_keys"].as_array().unwrap().len(), 1, "{query}");
        }
    }
    let delete = "DELETE /_security/api_key";
    assert_eq!(ask(&api, &own, delete, json!({ "ids": [mine] })).await.0, 403);
    assert_eq!(ask(&api, &own, delete, json!({ "username": "u" })).await.0, 403);
    let (status, answer) = ask(&api, &own, delete, json!({ "ids": [mine, other], "owner": true })).await;
    assert_eq!((status, &answer["invalidated_api_keys"]), (200, &json!([mine])));
}

#[tokio::test]
async fn a_denial_names_the_roles_of_the_caller_and_the_privileges_that_help() {
    let nobody = user("u", &json!({ "cluster": [] }));
    for (query, privileges) in [
        ("", "read_security,manage_api_key,manage_security,all"),
        ("?owner=true", "manage_own_api_key,read_security,manage_api_key,manage_security,all"),
    ] {
        let (status, answer) = ask(&api(), &nobody, &format!("GET /_security/api_key{query}"), Value::Null).await;
        assert_eq!(status, 403);
        assert_eq!(
            reason(&answer),
            format!(
                "action [cluster:admin/xpack/security/api_key/get] is unauthorized for user [u] with effective roles [own], \
                 this action is granted by the cluster privileges [{privileges}]"
            )
        );
    }
}

#[tokio::test]
async fn a_key_is_limited_by_its_owner_as_it_was() {
    let api = api();
    let (_, made) = ask(&api, &elastic(), "PUT /_security/api_key", json!({ "name": "k" })).await;
    let line = format!("GET /_security/api_key?with_limited_by=true&id={}", made["id"].as_str().unwrap());
    let (_, answer) = ask(&api, &elastic(), &line, Value::Null).await;
    let limits = &answer["api_keys"][0]["limited_by"];
    assert_eq!(limits.as_array().unwrap().len(), 1);
    assert_eq!(limits[0]["superuser"]["cluster"], json!(["all"]));
    assert!(limits[0]["superuser"].get("description").is_none());
}

#[tokio::test]
async fn what_cannot_be_enforced_is_not_taken() {
    let api = api();
    for (descriptor, text) in [
        (
            json!({ "indices": [{ "names": "a", "privileges": ["read"], "query": { "match_all": {} } }] }),
            "document and field",
        ),
        (json!({ "indices": [{ "names": "a", "privileges": ["read"], "query": "{}" }] }), "document and field"),
        (
            json!({ "indices": [{ "names": "a", "privileges": ["read"], "field_security": { "grant": ["b"] } }] }),
            "document and field",
        ),
    ] {
        let body = json!({ "name": "k", "role_descriptors": { "r": descriptor } });
        let (status, answer) = ask(&api, &elastic(), "PUT /_security/api_key", body).await;
        assert_eq!(status, 400);
        assert!(reason(&answer).contains(text), "{answer}");
    }
    let all = json!({ "indices": [{ "names": "a", "privileges": ["read"], "query": "", "field_security": { "grant": ["*"] } }] });
    let body = json!({ "name": "k", "role_descriptors": { "r": all } });
    assert_eq!(ask(&api, &elastic(), "PUT /_security/api_key", body).await.0, 200);
}

#[tokio::test]
async fn a_gzip_body_is_read_and_a_bomb_is_not() {
    use std::io::Write as _;
    let gzip = |text: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let line = "PUT /_security/api_key";
    let api = api();
    let sent = |body: Vec<u8>| {
        let api = &api;
        async move { send(api, &elastic(), line, &headers, &body).await.0.status.as_u16() }
    };
    assert_eq!(sent(gzip(br#"{"name":"a"}"#)).await, 200);
    assert_eq!(sent(gzip(&vec![b' '; 2 << 20])).await, 413);
    assert_eq!(sent(b"no gzip".to_vec()).await, 400);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let body = vec![b' '; (1 << 20) + 1];
    let (parts, _) = send(&api(), &elastic(), "PUT /_security/api_key", JSON, &body).await;
    assert_eq!(parts.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn clients_of_every_version_get_their_media_type_back() {
    for version in ["7", "8", "9"] {
        let kind = format!("application/vnd.elasticsearch+json; compatible-with={version}");
        let headers = [("content-type", &*kind), ("accept", &*kind)];
        let (parts, _) = send(&api(), &elastic(), "PUT /_security/api_key", &headers, br#"{"name":"a"}"#).await;
        assert_eq!(parts.status, StatusCode::OK);
        assert_eq!(parts.headers["content-type"], kind.replace(' ', "").as_str());
    }
    let kind = "application/vnd.elasticsearch+json;compatible-with=6";
    let (parts, _) = send(&api(), &elastic(), "GET /_security/_authenticate", &[("accept", kind)], b"").await;
    assert_eq!(parts.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn options_says_what_there_is() {
    for (path, allow) in [
        ("/_security/api_key", "GET,POST,PUT,DELETE"),
        ("/_security/nope", "POST"),
        ("/_security/nope/more", "GET,POST,PUT,DELETE,HEAD"),
    ] {
        let (parts, ()) = Request::options(path).header("x-opaque-id", "a").body(()).unwrap().into_parts();
        let response = options(&parts);
        assert_eq!(
            (response.status(), &response.headers()["allow"]),
            (StatusCode::OK, &HeaderValue::from_static(allow))
        );
        assert_eq!(response.headers()["content-type"], "text/plain; charset=UTF-8");
        assert_eq!(response.headers()["x-opaque-id"], "a");
    }
}

#[tokio::test]
async fn nothing_of_the_gateway_s_own_is_served_under_another_name() {
    let (status, answer) = ask(&api(), &elastic(), "GET /_gateway/x", Value::Null).await;
    assert_eq!((status, answer["error"]["type"].as_str()), (404, Some("resource_not_found_exception")));
}

#[test]
fn no_secret_is_in_its_debug_form() {
    assert_eq!(format!("{:?}", api()), "Api { .. }");
}

async fn decided(principal: Arc<Principal>, trusted: bool, headers: &[(&'static str, &'static str)]) -> Response<Body> {
    let mut request = Request::get("/_gateway/auth");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let peer = Peer { trusted, ..Peer::unknown() };
    api().answer(request.body(Body::Empty).unwrap(), principal, &peer, async |_| None).await
}

#[tokio::test]
async fn a_decision_without_a_question_tells_who_calls() {
    let answer = decided(elastic(), false, &[]).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-auth-user"], "elastic");
    assert_eq!(answer.headers()["x-auth-roles"], "superuser");
    assert_eq!(answer.headers()["x-auth-realm"], "reserved");
}

#[tokio::test]
async fn a_decision_judges_the_original_request() {
    let nginx = [("x-original-method", "DELETE"), ("x-original-uri", "/logs")];
    let traefik = [("x-forwarded-method", "GET"), ("x-forwarded-uri", "/logs/_search?q=1")];
    for question in [nginx, traefik] {
        assert_eq!(decided(elastic(), true, &question).await.status(), 200);
        let limited = user("reader", &json!({"indices": [{"names": ["logs"], "privileges": ["read"]}]}));
        assert_eq!(decided(limited, true, &question).await.status(), 403);
    }
}

#[tokio::test]
async fn a_decision_is_refused_to_strangers_and_for_half_a_question() {
    let whole = [("x-original-method", "GET"), ("x-original-uri", "/logs")];
    assert_eq!(decided(elastic(), false, &whole).await.status(), 400);
    assert_eq!(decided(elastic(), true, &[("x-original-method", "GET")]).await.status(), 400);
    assert_eq!(
        decided(elastic(), true, &[("x-original-method", "GET"), ("x-original-uri", "/a/../b")]).await.status(),
        400
    );
}
