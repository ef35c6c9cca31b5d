use std::sync::Arc;

use http::Request;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{
    api::{
        Api, filter,
        tests::{api, ask, elastic, key, reason, user},
    },
    body::Body,
    keys::NewKey,
    listener::peer::Peer,
    model::{AuthenticationType, Identity, Principal, RealmRef, ServiceTokenRef},
    privileges::Privileges,
    respond::{RequestFacts, es},
    store::{Creator, KeyFilter, Page},
};

async fn made(api: &Api, who: &Arc<Principal>, body: Value) -> String {
    let (status, answer) = ask(api, who, "PUT /_security/api_key", body).await;
    assert_eq!(status, 200, "{answer}");
    answer["id"].as_str().unwrap().to_owned()
}

async fn listed(api: &Api, id: &str) -> Value {
    let line = format!("GET /_security/api_key?with_limited_by=true&id={id}");
    ask(api, &elastic(), &line, Value::Null).await.1["api_keys"][0].clone()
}

fn own() -> Arc<Principal> {
    user("u", &json!({ "cluster": ["manage_own_api_key"] }))
}

#[tokio::test]
async fn an_update_that_changes_nothing_says_so() {
    let api = api();
    let id = made(&api, &elastic(), json!({ "name": "k" })).await;
    let line = format!("PUT /_security/api_key/{id}");
    for (body, updated) in [
        (Value::Null, false),
        (json!({}), false),
        (json!({ "metadata": { "a": 1 } }), true),
        (json!({ "metadata": { "a": 1 } }), false),
        (json!({ "expiration": "1d" }), true),
        (json!({ "expiration": "1d" }), true),
        (json!({ "role_descriptors": { "r": { "cluster": ["monitor"] } } }), true),
        (json!({ "role_descriptors": {} }), true),
    ] {
        let answer = ask(&api, &elastic(), &line, body.clone()).await;
        assert_eq!(answer, (200, json!({ "updated": updated })), "{body}");
    }
    assert_eq!(listed(&api, &id).await["metadata"], json!({ "a": 1 }));
}

#[tokio::test]
async fn only_its_owner_updates_a_key_and_no_key_does() {
    let api = api();
    let id = made(&api, &elastic(), json!({ "name": "k" })).await;
    let line = format!("PUT /_security/api_key/{id}");
    let (status, answer) = ask(&api, &own(), &line, json!({})).await;
    assert_eq!(status, 404);
    assert_eq!(reason(&answer), format!("no API key owned by requesting user found for ID [{id}]"));
    let itself = key(&api, &id).await;
    let (status, answer) = ask(&api, &itself, &line, json!({})).await;
    let text = "authentication via API key not supported: only the owner user can update an API key";
    assert_eq!((status, reason(&answer)), (400, text));
    let nobody = user("n", &json!({}));
    assert_eq!(ask(&api, &nobody, &line, json!({})).await.0, 403);
}

#[tokio::test]
async fn a_bulk_update_tells_of_each_key() {
    let api = api();
    let id = made(&api, &elastic(), json!({ "name": "k" })).await;
    let dead = made(&api, &elastic(), json!({ "name": "dead" })).await;
    ask(&api, &elastic(), "DELETE /_security/api_key", json!({ "ids": [dead] })).await;
    let line = "POST /_security/api_key/_bulk_update";
    let body = json!({ "ids": [id, id, "nope", dead], "metadata": { "z": 1 } });
    let (status, answer) = ask(&api, &elastic(), line, body).await;
    assert_eq!(status, 200);
    assert_eq!(
        answer,
        json!({ "updated": [id], "noops": [], "errors": { "count": 2, "details": {
            "nope": { "type": "resource_not_found_exception", "reason": "no API key owned by requesting user found for ID [nope]" },
            (dead.as_str()): { "type": "illegal_argument_exception", "reason": format!("cannot update invalidated API key [{dead}]") },
        } } })
    );
    assert_eq!(ask(&api, &elastic(), line, json!({ "ids": id })).await.1, json!({ "updated": [], "noops": [id] }));
}

/// Each as the original says it.
#[tokio::test]
async fn updates_that_make_no_sense_are_refused_in_the_words_of_the_original() {
    let api = api();
    for (line, body, text) in [
        (
            "PUT /_security/api_key/x",
            json!({ "expiration": "0s" }),
            "Validation Failed: 1: API key expiration must be in the future;",
        ),
        (
            "PUT /_security/api_key/x",
            json!({ "metadata": { "_a": 1 } }),
            "Validation Failed: 1: API key metadata keys may not start with [_];",
        ),
        (
            "PUT /_security/api_key/x",
            json!({ "ids": [] }),
            "[1:2] [update_api_key_request_payload] unknown field [ids]",
        ),
        ("POST /_security/api_key/_bulk_update", json!({}), "Required [ids]"),
        (
            "POST /_security/api_key/_bulk_update",
            json!({ "ids": [] }),
            "Validation Failed: 1: Field [ids] cannot be empty;",
        ),
        (
            "POST /_security/api_key/_bulk_update",
            json!({ "ids": null }),
            "[1:8] [bulk_update_api_key_request] ids doesn't support values of type: VALUE_NULL",
        ),
        ("POST /_security/cross_cluster/api_key", json!({}), "Required [name, access]"),
        (
            "POST /_security/cross_cluster/api_key",
            json!({ "name": "a", "access": 5 }),
            "[1:10] [cross_cluster_api_key_request] access doesn't support values of type: VALUE_NUMBER",
        ),
        (
            "PUT /_security/cross_cluster/api_key/x",
            json!({ "access": {} }),
            "must specify non-empty access for either [search] or [replication]",
        ),
        (
            "PUT /_security/cross_cluster/api_key/x",
            json!({}),
            "Validation Failed: 1: must update either [access] or [metadata] for cross-cluster API keys;",
        ),
        (
            "POST /_security/api_key/grant",
            json!({}),
            "Validation Failed: 1: api key name is required;2: [grant_type] is required;",
        ),
        (
            "POST /_security/api_key/grant",
            json!({ "grant_type": "password" }),
            "Validation Failed: 1: api key name is required;2: [username] is required for grant_type [password];3: [password] is required for grant_type [password];",
        ),
        (
            "POST /_security/api_key/grant",
            json!({ "grant_type": "access_token", "username": "x", "password": "y", "api_key": { "name": "_g " } }),
            "Validation Failed: 1: api key name may not begin or end with whitespace;2: api key name may not begin with an underscore;3: [access_token] is required for grant_type [access_token];4: [username] is not supported for grant_type [access_token];5: [password] is not supported for grant_type [access_token];",
        ),
        ("POST /_security/api_key/grant", json!({ "foo": 1 }), "[1:2] [grant_api_key_request] unknown field [foo]"),
    ] {
        let (status, answer) = ask(&api, &elastic(), line, body.clone()).await;
        let expected =
            if text.contains("[1:10]") { reason(&answer).ends_with("VALUE_NUMBER") } else { reason(&answer) == text };
        assert!(status == 400 && expected, "{line} {body}: {}", reason(&answer));
    }
}

#[tokio::test]
async fn a_cross_cluster_key_is_listed_with_its_access_and_spared_by_those_who_may_not_end_it() {
    let api = api();
    let body = json!({ "name": "cc", "access": { "search": [{ "names": ["a"] }] } });
    let (status, answer) = ask(&api, &elastic(), "POST /_security/cross_cluster/api_key", body).await;
    assert_eq!(status, 200, "{answer}");
    let id = answer["id"].as_str().unwrap();
    let shown = listed(&api, id).await;
    assert_eq!(shown["type"], "cross_cluster");
    assert_eq!(shown["access"], json!({ "search": [{ "names": ["a"], "allow_restricted_indices": false }] }));
    assert_eq!(
        shown["role_descriptors"]["cross_cluster"]["indices"],
        json!([{ "names": ["a"], "privileges": ["read", "read_cross_cluster", "view_index_metadata"], "allow_restricted_indices": false }])
    );
    assert!(shown.get("limited_by").is_none());

    let line = format!("PUT /_security/cross_cluster/api_key/{id}");
    for (names, updated) in [("b", true), ("b", false)] {
        let body = json!({ "access": { "search": [{ "names": [names] }] } });
        assert_eq!(ask(&api, &elastic(), &line, body).await, (200, json!({ "updated": updated })));
    }
    let (_, answer) = ask(&api, &elastic(), &format!("PUT /_security/api_key/{id}"), json!({})).await;
    assert_eq!(reason(&answer), "cannot update API key of type [cross_cluster] while expected type is [rest]");

    let manager = user("m", &json!({ "cluster": ["manage_api_key"] }));
    let (status, answer) = ask(&api, &manager, "DELETE /_security/api_key", json!({ "name": "cc" })).await;
    assert_eq!((status, &answer["invalidated_api_keys"], &answer["error_count"]), (200, &json!([]), &json!(1)));
    assert!(answer["error_details"][0]["reason"].as_str().unwrap().contains("This requires [manage_security]"));
    let (_, answer) = ask(&api, &elastic(), "DELETE /_security/api_key", json!({ "name": "cc" })).await;
    assert_eq!(answer["invalidated_api_keys"], json!([id]));
}

#[tokio::test]
async fn a_grant_proves_whom_it_is_for() {
    let api = api();
    let put = json!({ "password": "granted-secret", "roles": ["superuser"] });
    assert_eq!(ask(&api, &elastic(), "PUT /_security/user/g", put).await.0, 200);
    let line = "POST /_security/api_key/grant";
    let body = |password: &str| json!({ "grant_type": "password", "username": "g", "password": password, "api_key": { "name": "k" } });
    let (status, answer) = ask(&api, &elastic(), line, body("granted-secret")).await;
    assert_eq!(status, 200, "{answer}");
    let shown = listed(&api, answer["id"].as_str().unwrap()).await;
    assert_eq!((&shown["username"], &shown["realm_type"]), (&json!("g"), &json!("native")));
    assert!(shown["limited_by"][0]["superuser"].is_object());

    let (status, answer) = ask(&api, &elastic(), line, body("wrong-secret")).await;
    assert_eq!((status, reason(&answer)), (403, "Failed to authenticate api key grant"));
    let cause = &answer["error"]["caused_by"];
    assert_eq!(
        cause["reason"],
        "unable to authenticate user [g] for action [cluster:admin/xpack/security/api_key/grant]"
    );
    assert!(cause["header"]["WWW-Authenticate"].is_array());
    assert_eq!(answer["error"]["root_cause"][0]["reason"], cause["reason"]);

    let bad = json!({ "grant_type": "access_token", "access_token": "bad", "api_key": { "name": "k" } });
    let (status, answer) = ask(&api, &elastic(), line, bad).await;
    assert_eq!(status, 403);
    assert_eq!(answer["error"]["caused_by"]["additional_unsuccessful_credentials"], "oauth2 token: invalid token");

    let (status, answer) = ask(&api, &own(), line, body("granted-secret")).await;
    assert_eq!(status, 403);
    assert!(reason(&answer).ends_with("[grant_api_key,manage_api_key,manage_security,all]"));
}

#[tokio::test]
async fn a_clone_may_what_its_source_may() {
    let api = api();
    let body =
        json!({ "name": "source", "metadata": { "a": 1 }, "role_descriptors": { "r": { "cluster": ["monitor"] } } });
    let (_, source) = ask(&api, &elastic(), "PUT /_security/api_key", body).await;
    let line = "POST /_security/api_key/clone";
    let (status, cloned) = ask(&api, &own(), line, json!({ "api_key": source["encoded"], "expiration": null })).await;
    assert_eq!(status, 200, "{cloned}");
    let (cloned, source) =
        (listed(&api, cloned["id"].as_str().unwrap()).await, listed(&api, source["id"].as_str().unwrap()).await);
    for same in ["name", "metadata", "role_descriptors", "limited_by", "username"] {
        assert_eq!(cloned[same], source[same], "{same}");
    }
    let (status, answer) = ask(&api, &own(), line, json!({ "api_key": "eDp5" })).await;
    assert_eq!((status, reason(&answer)), (403, "Failed to clone API key"));
}

#[tokio::test]
async fn whoever_may_see_its_own_keys_searches_among_them() {
    let api = api();
    made(&api, &elastic(), json!({ "name": "other" })).await;
    made(&api, &own(), json!({ "name": "mine" })).await;
    let line = "POST /_security/_query/api_key";
    let count = |answer: &Value| answer["total"].as_u64().unwrap();
    assert_eq!(count(&ask(&api, &elastic(), line, json!({})).await.1), 2);
    assert_eq!(count(&ask(&api, &own(), line, json!({})).await.1), 1);
    let body = json!({ "aggs": { "a": { "terms": { "field": "username" } } } });
    let (_, answer) = ask(&api, &own(), line, body).await;
    assert_eq!(answer["aggregations"]["a"]["buckets"], json!([{ "key": "u", "doc_count": 1 }]));
    let body = json!({ "name": "key", "role_descriptors": { "r": { "cluster": ["manage_own_api_key"] } } });
    let itself = key(&api, &made(&api, &elastic(), body).await).await;
    assert_eq!(count(&ask(&api, &itself, line, Value::Null).await.1), 1);
    assert_eq!(ask(&api, &itself, &format!("{line}?with_limited_by=true"), Value::Null).await.0, 403);
    assert_eq!(ask(&api, &user("n", &json!({})), line, json!({})).await.0, 403);
}

#[tokio::test]
async fn a_list_that_comes_in_pieces_reads_as_one() {
    let api = api();
    for owner in 0..21 {
        for _ in 0..100 {
            let new = NewKey {
                name: "k".into(),
                life: None,
                role_descriptors: Map::new(),
                limited_by: Map::new(),
                metadata: Map::new(),
                creator: Creator {
                    identity: Identity { username: format!("u{owner}").into(), ..Identity::default() },
                    realm: RealmRef { name: "r".into(), kind: "r".into() },
                },
                access: None,
            };
            api.keys.create(new).await.unwrap();
        }
    }
    let keys = api.keys.find(&KeyFilter::default(), &Page::first(u64::MAX)).await.unwrap();
    assert!(keys.len() > 2 * usize::try_from(super::list::LISTED).unwrap());
    let whole = json!({ "api_keys": keys.iter().map(|key| Value::from(super::show(key, false))).collect::<Vec<_>>() });
    for (query, expected) in [
        ("", whole.clone()),
        ("?pretty", whole.clone()),
        ("?filter_path=api_keys.id", filter::apply(whole, "api_keys.id")),
        ("?filter_path=nope", json!({})),
    ] {
        let request = Request::get(format!("/_security/api_key{query}")).body(Body::Empty).unwrap();
        let answer = api.answer(request, elastic(), &Peer::unknown(), async |_| None).await;
        let text = answer.into_body().read(u64::MAX).await.unwrap();
        let facts = RequestFacts { target: query, accept: None, content_type: None, opaque_id: None };
        assert!(text == es::write(&expected, &facts), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_use_is_told_once_it_is_written() {
    let api = api();
    let (_, made) = ask(&api, &elastic(), "PUT /_security/api_key", json!({ "name": "k" })).await;
    let id = crate::model::KeyId(made["id"].as_str().unwrap().into());
    api.keys.verify(&id, made["api_key"].as_str().unwrap()).await.unwrap();
    assert!(listed(&api, &id.0).await.get("last_used").is_none());
    api.keys.write_uses().await.unwrap();
    let used = listed(&api, &id.0).await["last_used"].clone();
    assert!(used.is_u64());
    let body = json!({ "query": { "range": { "last_used": { "gte": "now-1m" } } } });
    assert_eq!(ask(&api, &elastic(), "POST /_security/_query/api_key", body).await.1["total"], 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_the_store_answers_is_what_looking_at_every_key_answers(
        names in prop::collection::vec("[ab]{1,2}", 1..12),
        prefix in "[ab]{0,1}",
        from in 0_usize..4,
        size in 0_usize..5,
        descending: bool,
    ) {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
            let api = api();
            for name in &names {
                tokio::time::advance(std::time::Duration::from_millis(1)).await;
                made(&api, &elastic(), json!({ "name": name })).await;
            }
            let order = if descending { "desc" } else { "asc" };
            let mut body = json!({
                "query": { "prefix": { "name": prefix } }, "from": from, "size": size, "sort": [{ "creation": { "order": order } }],
            });
            let line = "POST /_security/_query/api_key";
            let (_, pushed) = ask(&api, &elastic(), line, body.clone()).await;
            // A filter that the store does not know.
            body["query"] = json!({ "bool": { "must": [body["query"], { "wildcard": { "name": "*" } }] } });
            let (_, scanned) = ask(&api, &elastic(), line, body).await;
            assert_eq!(pushed, scanned);
            let matching = names.iter().filter(|name| name.starts_with(&prefix)).count();
            assert_eq!(pushed["total"], matching);
            assert_eq!(pushed["count"], matching.saturating_sub(from).min(size));
            let all = api.keys.find(&KeyFilter::default(), &Page::first(u64::MAX)).await.unwrap();
            assert_eq!(all.len(), names.len());
        });
    }
}

#[tokio::test]
async fn a_key_may_be_for_a_workflow_as_a_whole() {
    let api = api();
    let bound = json!({ "cluster": ["all"], "restriction": { "workflows": ["search_application_query"] } });
    let body = json!({ "name": "flow", "role_descriptors": { "r": bound } });
    let key = key(&api, &made(&api, &elastic(), body).await).await;
    assert_eq!(ask(&api, &key, "GET /_security/_authenticate", Value::Null).await.0, 403);
    for (others, text) in [
        (json!({ "r": bound, "s": {} }), "combining role descriptors with and without restriction is not supported"),
        (json!({ "r": bound, "s": bound }), "more than one role descriptor with restriction is not supported"),
    ] {
        let mixed = json!({ "name": "k", "role_descriptors": others });
        let (status, answer) = ask(&api, &elastic(), "PUT /_security/api_key", mixed).await;
        assert_eq!((status, reason(&answer)), (400, text));
    }
}

#[tokio::test]
async fn a_key_of_a_service_account_is_limited_by_the_account() {
    let api = api();
    let account = "elastic/fleet-server";
    let descriptor = crate::service_accounts::descriptor(account).unwrap();
    let privileges = Privileges::of_key(&Map::new(), &Map::from_iter([(account.to_owned(), descriptor.clone())]));
    let token = ServiceTokenRef { name: "t".into(), kind: "_service_account_index".into() };
    let identity = Identity { username: account.into(), ..Identity::default() };
    let realm = RealmRef { name: "_service_account".into(), kind: "_service_account".into() };
    let server = Principal::new(identity, realm, AuthenticationType::Token, privileges);
    let server = Arc::new(Principal { service_token: Some(token), ..server });
    let id = made(&api, &server, json!({ "name": "agent" })).await;
    let key = listed(&api, &id).await;
    assert_eq!(key["limited_by"][0][account]["cluster"], descriptor["cluster"]);
}
