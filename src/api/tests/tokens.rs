//! Grants and ends of tokens (API page section 5; cases 26 to 32 of section 18).

use super::*;
use crate::{model::ServiceTokenRef, secret::SecretText};

const TOKEN: &str = "POST /_security/oauth2/token";
const END: &str = "DELETE /_security/oauth2/token";

/// With the user `bob`.
async fn furnished() -> Api {
    let api = api();
    let identity = Identity { username: "bob".into(), ..Identity::default() };
    api.users.put(identity, Some(SecretText::new("secret-pass".into())), true).await.unwrap();
    api
}

fn by_password(password: &str) -> Value {
    json!({ "grant_type": "password", "username": "bob", "password": password, "scope": "" })
}

fn client() -> Arc<Principal> {
    user("client", &json!({ "cluster": ["manage_token"] }))
}

#[tokio::test]
async fn a_password_gives_a_pair_that_its_client_refreshes_to_the_same_pair_again() {
    let api = furnished().await;
    let (status, pair) = ask(&api, &client(), TOKEN, by_password("secret-pass")).await;
    assert_eq!(status, 200, "{pair}");
    let keys: Vec<_> = pair.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["access_token", "type", "expires_in", "refresh_token", "scope", "authentication"]);
    assert_eq!((&pair["expires_in"], &pair["scope"]), (&json!(1200), &json!("full")));
    assert_eq!(pair["authentication"]["username"], "bob");
    assert_eq!(pair["authentication"]["authentication_type"], "realm");
    let refresh = json!({ "grant_type": "refresh_token", "refresh_token": pair["refresh_token"] });
    let (status, new) = ask(&api, &client(), TOKEN, refresh.clone()).await;
    assert_eq!((status, &new["authentication"]["authentication_type"]), (200, &json!("token")));
    assert!(new.get("scope").is_none());
    assert_eq!(ask(&api, &client(), TOKEN, refresh.clone()).await, (200, new));
    let (status, refused) = ask(&api, &elastic(), TOKEN, refresh).await;
    let description = "tokens must be refreshed by the creating client";
    assert_eq!((status, refused), (400, json!({ "error": "invalid_grant", "error_description": description })));
    assert_eq!(ask(&api, &client(), END, json!({ "username": "bob" })).await.1["invalidated_tokens"], 4);
}

#[tokio::test]
async fn a_grant_tells_the_roles_of_its_user_and_not_those_of_everybody() {
    let api = furnished().await;
    let mut caller = Principal::clone(&client());
    caller.identity.roles.push("guest".into());
    let caller = Arc::new(caller);
    let (_, answer) = ask(&api, &caller, TOKEN, json!({ "grant_type": "client_credentials" })).await;
    assert_eq!(answer["authentication"]["roles"], json!(["own"]));
    let (_, answer) = ask(&api, &caller, "GET /_security/_authenticate", Value::Null).await;
    assert_eq!(answer["roles"], json!(["own", "guest"]));
}

#[tokio::test]
async fn a_wrong_password_and_a_kerberos_ticket_are_refused_for_the_action() {
    let api = furnished().await;
    let ticket = |text| json!({ "grant_type": "_kerberos", "kerberos_ticket": text });
    for (body, name) in [(by_password("wrong"), "bob"), (ticket("YWJj"), "<Kerberos Token>")] {
        let (parts, answer) = send(&api, &client(), TOKEN, JSON, body.to_string().as_bytes()).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let action = "cluster:admin/xpack/security/token/create";
        assert_eq!(reason(&answer), format!("unable to authenticate user [{name}] for action [{action}]"));
        assert_eq!((parts.status.as_u16(), parts.headers.get_all("www-authenticate").iter().count()), (401, 3));
        assert_eq!(parts.headers["x-auth-reason"], "bad_credentials");
    }
    let (status, answer) = ask(&api, &client(), TOKEN, ticket("!!!")).await;
    assert_eq!((status, reason(&answer)), (400, "could not decode base64 kerberos ticket !!!"));
    assert_eq!(answer["error"]["caused_by"]["reason"], "Illegal base64 character 21");
}

#[tokio::test]
async fn a_service_account_gets_no_token_for_itself() {
    let api = furnished().await;
    let mut account = Principal::clone(&client());
    account.service_token = Some(ServiceTokenRef { name: "t".into(), kind: "_service_account_index".into() });
    let (status, answer) = ask(&api, &Arc::new(account), TOKEN, json!({ "grant_type": "client_credentials" })).await;
    let text = "OAuth2 token creation is not supported for service accounts";
    assert_eq!((status, reason(&answer), &answer["error"]["type"]), (500, text, &json!("exception")));
}

#[tokio::test]
async fn case_31_what_does_not_exist_is_not_found_by_token_and_counted_by_owner() {
    let api = furnished().await;
    let none = json!({ "invalidated_tokens": 0, "previously_invalidated_tokens": 0, "error_count": 0 });
    for (body, status) in [
        (json!({ "token": "garbled" }), 404),
        (json!({ "refresh_token": "garbled" }), 404),
        (json!({ "username": "nobody" }), 200),
        (json!({ "realm_name": "nowhere" }), 200),
    ] {
        assert_eq!(ask(&api, &client(), END, body).await, (status, none.clone()));
    }
}
