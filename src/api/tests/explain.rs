//! `/_gateway/explain`.

use super::*;

const EXISTING: &[u8] =
    br#"{"indices":[{"name":"logs-a","attributes":["open"]},{"name":"other","attributes":["open"]}],
    "aliases":[],"data_streams":[]}"#;

fn reader() -> Arc<Principal> {
    user("reader", &json!({"indices": [{"names": ["logs-*"], "privileges": ["read", "create_doc"]}]}))
}

async fn explained(api: &Api, who: &Arc<Principal>, question: Value) -> (u16, Value) {
    let request = Request::post("/_gateway/explain").header("content-type", "application/json");
    let request = request.body(Body::from(question.to_string())).unwrap();
    let ask = async |_| Some(Bytes::from_static(EXISTING));
    let (parts, body) = api.answer(request, Arc::clone(who), &Peer::unknown(), ask).await.into_parts();
    (parts.status.as_u16(), serde_json::from_slice(&body.read(1 << 20).await.unwrap()).unwrap())
}

#[tokio::test]
async fn what_is_allowed_is_told_with_the_entry_that_allows_it() {
    let (status, answer) = explained(&api(), &reader(), json!({"method": "GET", "path": "/logs-a/_search"})).await;
    let wanted = json!({
        "allowed": true, "action": "indices:data/read/search", "route": "/{index}/_search", "indices": ["logs-a"],
        "granted_by": [{"of": "roles", "names": ["logs-*"], "privileges": ["read", "create_doc"]}],
        "user": {"username": "reader", "roles": ["own"], "api_key": null},
    });
    assert_eq!((status, answer), (200, wanted));
}

#[tokio::test]
async fn names_that_are_left_are_told_beside_those_that_were_asked_for() {
    let question = json!({"method": "get", "path": "/%2A/_search?size=0", "body": {"query": {"match_all": {}}}});
    let (_, answer) = explained(&api(), &reader(), question).await;
    assert_eq!((&answer["indices"], &answer["narrowed_to"]), (&json!(["*"]), &json!(["logs-a"])));
    assert_eq!(answer["allowed"], true);
}

#[tokio::test]
async fn a_refusal_is_told_as_it_would_be_answered() {
    let (status, answer) = explained(&api(), &reader(), json!({"method": "DELETE", "path": "/logs-a"})).await;
    assert_eq!((status, &answer["allowed"], &answer["granted_by"]), (200, &json!(false), &json!([])));
    let refused = &answer["refused"];
    assert_eq!((&refused["status"], &refused["type"]), (&json!(403), &json!("security_exception")));
    assert_eq!(refused["granted_by_any_of"], json!(["delete_index", "manage", "all"]));
    assert!(refused["reason"].as_str().unwrap().contains("[indices:admin/delete] is unauthorized for user [reader]"));
}

#[tokio::test]
async fn names_in_a_body_are_told_each_with_its_verdict() {
    let lines = "{\"create\":{\"_index\":\"logs-a\"}}\n{}\n{\"create\":{\"_index\":\"other\"}}\n{}\n";
    let question = json!({"method": "POST", "path": "/_bulk", "body": lines});
    let (_, answer) = explained(&api(), &reader(), question).await;
    let wanted = json!([
        {"index": "logs-a", "action": "indices:data/write/index:op_type/create", "allowed": true},
        {"index": "other", "action": "indices:data/write/bulk[s]", "allowed": false},
    ]);
    assert_eq!((&answer["allowed"], &answer["body"]), (&json!(true), &wanted));
    let lookup = json!({"query": {"terms": {"f": {"index": "other", "id": "1", "path": "p"}}}});
    let question = json!({"method": "POST", "path": "/logs-a/_search", "body": lookup});
    let (_, answer) = explained(&api(), &reader(), question).await;
    let wanted = json!([{"index": "other", "action": "indices:data/read/get", "allowed": false}]);
    assert_eq!((&answer["allowed"], &answer["body"]), (&json!(false), &wanted));
}

#[tokio::test]
async fn whoever_may_do_everything_is_told_what_it_is_and_why() {
    let (_, answer) = explained(&api(), &elastic(), json!({"method": "DELETE", "path": "/logs-a"})).await;
    assert_eq!((&answer["allowed"], &answer["action"]), (&json!(true), &json!("indices:admin/delete")));
    assert_eq!(answer["granted_by"][0]["privileges"], json!(["all"]));
}

#[tokio::test]
async fn only_those_who_may_read_security_ask_about_others() {
    let api = api();
    ask(&api, &elastic(), "PUT /_security/user/bob", json!({"password": "long-enough", "roles": ["viewer"]})).await;
    let (_, key) = ask(
        &api,
        &elastic(),
        "POST /_security/api_key",
        json!({"name": "k", "role_descriptors": {"r": {
        "indices": [{"names": ["logs-*"], "privileges": ["read"]}]}}}),
    )
    .await;
    let about = |other: &Value| json!({"method": "GET", "path": "/logs-a/_search", "as": other});
    for (other, name, of) in [
        (json!({"username": "bob"}), "bob", "roles"),
        (json!({"api_key": {"id": key["id"]}}), "elastic", "role_descriptors"),
    ] {
        let (status, answer) = explained(&api, &reader(), about(&other)).await;
        assert_eq!(status, 403, "{answer}");
        let (status, answer) = explained(&api, &elastic(), about(&other)).await;
        assert_eq!((status, &answer["allowed"], answer["user"]["username"].as_str()), (200, &json!(true), Some(name)));
        assert_eq!(answer["granted_by"][0]["of"], of);
    }
    let auditor = user("auditor", &json!({"cluster": ["read_security"]}));
    for (other, status) in [(json!({"username": "bob"}), 200), (json!({"username": "nobody"}), 404)] {
        assert_eq!(explained(&api, &auditor, about(&other)).await.0, status);
    }
    assert_eq!(explained(&api, &auditor, about(&json!({"api_key": {"id": "gone"}}))).await.0, 404);
}

#[tokio::test]
async fn what_is_no_request_to_the_cluster_is_not_explained() {
    for question in [
        json!({"method": "GET", "path": "/_security/user"}),
        json!({"method": "GET", "path": "/a/../b"}),
        json!({"method": "GET", "path": "logs"}),
        json!({"method": "G T", "path": "/logs"}),
        json!({"method": "GET"}),
        json!({"method": "GET", "path": "/logs", "more": 1}),
    ] {
        assert_eq!(explained(&api(), &elastic(), question.clone()).await.0, 400, "{question}");
    }
}
