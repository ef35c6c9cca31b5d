//! Users, roles and what they may do: what the recorded answers do not show.

use super::*;

fn native(name: &str) -> Arc<Principal> {
    user(name, &json!({ "cluster": ["monitor"], "indices": [{ "names": ["logs-*"], "privileges": ["read"] }] }))
}

async fn made(api: &Api, name: &str) {
    let body = json!({ "password": "secret1", "roles": ["own"] });
    assert_eq!(ask(api, &elastic(), &format!("PUT /_security/user/{name}"), body).await.0, 200);
}

/// Case 35.
#[tokio::test]
async fn a_password_is_changed_by_its_owner_who_has_shown_the_old_one_and_by_nobody_else_without_the_right() {
    let api = api();
    made(&api, "u").await;
    made(&api, "v").await;
    let body = || json!({ "password": "secret2" });
    let changed = |who: Principal, line: &'static str| {
        let api = &api;
        async move { ask(api, &Arc::new(who), line, body()).await.0 }
    };
    let own = Principal::clone(&native("u"));
    assert_eq!(changed(own.clone(), "PUT /_security/user/_password").await, 200);
    assert_eq!(changed(own.clone(), "POST /_security/user/u/_password").await, 200);
    assert_eq!(changed(own.clone(), "POST /_security/user/v/_password").await, 403);
    let token = Principal { authentication: AuthenticationType::Token, ..own.clone() };
    assert_eq!(changed(token.clone(), "PUT /_security/user/_password").await, 403);
    let key = Principal { authentication: AuthenticationType::ApiKey, ..own.clone() };
    assert_eq!(changed(key, "PUT /_security/user/_password").await, 403);
    let file = RealmRef { name: "default_file".into(), kind: "file".into() };
    assert_eq!(changed(Principal { realm: file, ..own.clone() }, "PUT /_security/user/_password").await, 403);
    let run_as = Principal { lookup_realm: Some(own.realm.clone()), ..token };
    assert_eq!(changed(run_as, "PUT /_security/user/_password").await, 200);
    assert_eq!(ask(&api, &elastic(), "PUT /_security/user/v/_password", body()).await.0, 200);
}

/// Case 43.
#[tokio::test]
async fn nobody_enables_or_disables_their_own_account_but_a_key_of_theirs_does() {
    let api = api();
    let (_, made) = ask(&api, &elastic(), "PUT /_security/api_key", json!({ "name": "k" })).await;
    let key = key(&api, made["id"].as_str().unwrap()).await;
    let line = "PUT /_security/user/elastic/_disable";
    assert_eq!(ask(&api, &elastic(), line, Value::Null).await.0, 400);
    assert_eq!(ask(&api, &key, line, Value::Null).await, (200, json!({})));
    let (_, users) = ask(&api, &elastic(), "GET /_security/user/elastic", Value::Null).await;
    assert_eq!(users["elastic"]["enabled"], false);
}

#[tokio::test]
async fn a_hash_of_elasticsearch_lets_its_owner_in() {
    use crate::store::UserNamespace;
    let api = api();
    let hash = "$2a$04$abcdefghijklmnopqrstuuCHf7DUmNUvMBdGje9JveOQe49tH5xFK";
    let body = json!({ "password_hash": hash, "roles": [] });
    assert_eq!(ask(&api, &elastic(), "PUT /_security/user/u", body).await.0, 200);
    let enters = async |password: &str| {
        let password = crate::secret::SecretText::new(password.to_owned());
        api.users.verify(UserNamespace::Native, "u", password).await.unwrap().is_some()
    };
    assert!(enters("secret1").await);
    assert!(!enters("secret2").await);
    let both = json!({ "password": "secret1", "password_hash": hash, "roles": [] });
    let (status, answer) = ask(&api, &elastic(), "PUT /_security/user/u", both).await;
    assert_eq!((status, reason(&answer)), (400, "Validation Failed: 1: password_hash has already been set;"));
}

/// Case 34.
#[tokio::test]
async fn a_pattern_that_is_only_partly_held_is_not_held() {
    let asked = json!({ "index": [{ "names": ["*", "logs-*", "logs-a"], "privileges": ["read"] }] });
    let (_, answer) = ask(&api(), &native("u"), "POST /_security/user/_has_privileges", asked).await;
    assert_eq!(
        answer["index"],
        json!({ "*": { "read": false }, "logs-*": { "read": true }, "logs-a": { "read": true } })
    );
    assert_eq!(answer["has_all_requested"], false);
}

#[tokio::test]
async fn a_role_means_what_was_last_put() {
    let api = api();
    for (cluster, status) in [("manage_security", true), ("monitor", false)] {
        let body = json!({ "cluster": [cluster] });
        assert_eq!(ask(&api, &elastic(), "PUT /_security/role/r", body).await.0, 200);
        let descriptors = api.roles.resolve(&["r".into(), "nothing".into()]).await.unwrap();
        assert_eq!(descriptors.len(), 1);
        let action = "cluster:admin/xpack/security/user/put";
        assert_eq!(Privileges::of_user(&descriptors).allows_cluster_action(action), status);
    }
}

#[tokio::test]
async fn whoever_lacks_the_privilege_is_denied_after_the_request_made_sense() {
    let api = api();
    for (line, body, action) in [
        ("PUT /_security/role/r", json!({}), "role/put"),
        ("DELETE /_security/role/r", Value::Null, "role/delete"),
        ("GET /_security/role", Value::Null, "role/get"),
        ("POST /_security/role", json!({ "roles": { "r": {} } }), "role/bulk_put"),
        ("DELETE /_security/role", json!({ "names": ["r"] }), "role/bulk_delete"),
        ("GET /_security/_query/role", Value::Null, "role/query"),
        ("GET /_security/_query/user", Value::Null, "user/query"),
        ("PUT /_security/user/u/_enable", Value::Null, "user/set_enabled"),
        ("GET /_security/role_mapping", Value::Null, "role_mapping/get"),
        ("DELETE /_security/role_mapping/m", Value::Null, "role_mapping/delete"),
        ("PUT /_security/privilege", json!({ "app": { "p": { "actions": ["a:b"] } } }), "privilege/put"),
        ("GET /_security/privilege/app", Value::Null, "privilege/get"),
        ("DELETE /_security/privilege/app/p", Value::Null, "privilege/delete"),
        ("GET /_security/privilege/_builtin", Value::Null, "privilege/builtin/get"),
        ("GET /_security/settings", Value::Null, "settings/get"),
        ("POST /_security/role/r/_clear_cache", Value::Null, "roles/cache/clear"),
        ("POST /_security/realm/r/_clear_cache", Value::Null, "realm/cache/clear"),
        ("GET /_security/service", Value::Null, "service_account/get"),
        ("POST /_security/service/a/b/credential/token/t", Value::Null, "service_account/token/create"),
        ("GET /_security/profile/u", Value::Null, "profile/get"),
        ("POST /_security/profile/_suggest", json!({}), "profile/suggest"),
        ("POST /_security/profile/u/_disable", Value::Null, "profile/set_enabled"),
    ] {
        let (status, answer) = ask(&api, &native("u"), line, body).await;
        assert_eq!(status, 403, "{line}");
        let denied = format!("action [cluster:admin/xpack/security/{action}] is unauthorized for user [u]");
        assert!(reason(&answer).starts_with(&denied), "{line}: {answer}");
    }
}

/// Case 52.
#[tokio::test]
async fn roles_are_searched_those_that_are_built_in_among_them() {
    let api = api();
    let total = async |query: Value| {
        let (status, answer) = ask(&api, &elastic(), "POST /_security/_query/role", query).await;
        assert_eq!(status, 200, "{answer}");
        answer["total"].as_u64().unwrap()
    };
    assert_eq!(total(json!({})).await, 32);
    assert_eq!(total(json!({ "query": { "prefix": { "name": "super" } } })).await, 1);
    let role = json!({ "metadata": { "team": "red" }, "description": "reads Logs only" });
    ask(&api, &elastic(), "PUT /_security/role/r", role).await;
    assert_eq!(total(json!({})).await, 33);
    assert_eq!(total(json!({ "query": { "term": { "metadata.team": "red" } } })).await, 1);
    assert_eq!(total(json!({ "query": { "match": { "description": "logs" } } })).await, 1);
    assert_eq!(total(json!({ "query": { "term": { "applications.application": "kibana-.kibana" } } })).await, 4);
}

#[tokio::test]
async fn native_users_are_searched_and_sorted() {
    let api = api();
    for name in ["b", "a", "c"] {
        made(&api, name).await;
    }
    let query = json!({ "query": { "terms": { "username": ["a", "b", "elastic"] } }, "sort": ["username"] });
    let (status, answer) = ask(&api, &elastic(), "POST /_security/_query/user", query).await;
    assert_eq!((status, &answer["total"], &answer["count"]), (200, &json!(2), &json!(2)), "{answer}");
    assert_eq!(answer["users"][0]["username"], "a");
    assert_eq!(answer["users"][0]["_sort"], json!(["a"]));
    let unsorted = ask(&api, &elastic(), "POST /_security/_query/user", json!({ "sort": ["email"] })).await;
    assert_eq!(unsorted.0, 400);
}

#[tokio::test]
async fn caches_and_settings_answer_in_the_name_of_one_node() {
    let api = api();
    let (_, cleared) = ask(&api, &elastic(), "POST /_security/role/*/_clear_cache", Value::Null).await;
    assert_eq!(cleared["_nodes"], json!({ "total": 1, "successful": 1, "failed": 0 }));
    for (realm, failed) in [("default_native", 0), ("reserved", 0), ("*", 0), ("nope", 1), ("*,default_native", 1)] {
        let line = format!("POST /_security/realm/{realm}/_clear_cache");
        let (status, cleared) = ask(&api, &elastic(), &line, Value::Null).await;
        assert_eq!((status, &cleared["_nodes"]["failed"]), (200, &json!(failed)), "{realm}");
    }
    let body = json!({ "security": { "index.auto_expand_replicas": "0-all", "index.number_of_replicas": 1 } });
    let set = ask(&api, &elastic(), "PUT /_security/settings", body).await;
    assert_eq!(set, (200, json!({ "acknowledged": true })));
    let (_, settings) = ask(&api, &elastic(), "GET /_security/settings", Value::Null).await;
    assert_eq!(
        settings["security"],
        json!({ "index": { "auto_expand_replicas": "0-all", "number_of_replicas": "1" } })
    );
}

#[tokio::test]
async fn a_profile_is_activated_found_and_hidden() {
    let api = api();
    ask(&api, &elastic(), "PUT /_security/role/own", json!({ "cluster": ["monitor"] })).await;
    let user = json!({ "password": "secret1", "roles": ["own"], "full_name": "Pete Users" });
    ask(&api, &elastic(), "PUT /_security/user/u", user).await;
    let grant = |password| json!({ "grant_type": "password", "username": "u", "password": password });
    let line = "POST /_security/profile/_activate";
    let (status, refused) = ask(&api, &elastic(), line, grant("wrong1")).await;
    let text = "unable to authenticate user [u] for action [cluster:admin/xpack/security/profile/activate]";
    assert_eq!((status, reason(&refused)), (401, text));
    let (status, profile) = ask(&api, &elastic(), line, grant("secret1")).await;
    assert_eq!((status, &profile["user"]["full_name"]), (200, &json!("Pete Users")), "{profile}");
    assert!(profile.get("realm_type").is_none());
    let uid = profile["uid"].as_str().unwrap();
    assert_eq!((uid.len(), &uid[..2]), (47, "u_"));

    let data = json!({ "data": { "app": { "k": 1, "l": 2 } }, "labels": { "app": { "x": "y" } } });
    assert_eq!(ask(&api, &elastic(), &format!("PUT /_security/profile/{uid}/_data"), data).await.0, 200);
    let (_, found) = ask(&api, &elastic(), &format!("GET /_security/profile/{uid}?data=app.k"), Value::Null).await;
    assert_eq!(found["profiles"][0]["data"], json!({ "app": { "k": 1 } }));
    let (_, users) = ask(&api, &elastic(), "GET /_security/user/u?with_profile_uid=true", Value::Null).await;
    assert_eq!(users["u"]["profile_uid"], uid);

    let suggest = async || {
        let body = json!({ "name": "use" });
        ask(&api, &elastic(), "POST /_security/profile/_suggest", body).await.1["total"]["value"].clone()
    };
    let holders = async |privilege: &str| {
        let body = json!({ "uids": [uid], "privileges": { "cluster": [privilege] } });
        let (_, answer) = ask(&api, &elastic(), "POST /_security/profile/_has_privileges", body).await;
        answer["has_privilege_uids"].as_array().unwrap().len()
    };
    assert_eq!(suggest().await, 1);
    assert_eq!((holders("monitor").await, holders("manage").await), (1, 0));
    assert_eq!(ask(&api, &elastic(), &format!("PUT /_security/profile/{uid}/_disable"), Value::Null).await.0, 200);
    assert_eq!(suggest().await, 0);
    assert_eq!(ask(&api, &elastic(), "PUT /_security/profile/nope/_enable", Value::Null).await.0, 404);
}

/// Who else would apply it?
#[tokio::test]
async fn document_and_field_level_security_is_for_roles_that_the_cluster_is_told() {
    let limited =
        || json!({ "indices": [{ "names": ["logs-*"], "privileges": ["read"], "query": { "match_all": {} } }] });
    let key = || json!({ "name": "k", "role_descriptors": { "r": limited() } });
    let mut told = Config::default();
    told.upstream.identity = crate::config::IdentityKind::RunAs;
    for (config, status) in [(Config::default(), 400), (told, 200)] {
        let api = api_of(config);
        let (answered, body) = ask(&api, &elastic(), "PUT /_security/role/r", limited()).await;
        assert_eq!(answered, status, "{body}");
        let bulk = json!({ "roles": { "s": limited() } });
        let (_, body) = ask(&api, &elastic(), "POST /_security/role", bulk).await;
        assert_eq!(body.get("errors").is_none(), status == 200, "{body}");
        // The cluster hears of the owner of a key, not of what the key may do.
        let (answered, body) = ask(&api, &elastic(), "POST /_security/api_key", key()).await;
        assert!(answered == 400 && reason(&body).contains("field level security"), "{body}");
        let (_, shown) = ask(&api, &elastic(), "GET /_security/role/r", Value::Null).await;
        assert_eq!(shown.pointer("/r/indices/0/query").is_some(), status == 200, "{shown}");
    }
}
