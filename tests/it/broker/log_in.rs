//! Logging in, by handle and by cookie; who passes through; what the API says.

use http::Method;
use serde_json::json;

use super::{Bench, basic, get, log_in, session};
use crate::support::{
    client::{request, with_body},
    on_one_thread,
    stand_in::{PASSWORD, SERVICE},
};

#[tokio::test]
async fn a_log_in_gives_a_handle_and_the_cluster_sees_its_own_token() {
    on_one_thread(async {
        let bench = Bench::new();
        let gateway = bench.gateway().await;
        let basic = basic("alice", PASSWORD);
        let answer = gateway.send(request(Method::POST, "/_gateway/session", &[("authorization", &basic)])).await;
        let body = answer.json();
        assert_eq!(body["type"], "Bearer");
        assert!((8 * 3600 - 5..=8 * 3600).contains(&body["expires_in"].as_u64().unwrap()), "{body}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let handle = body["access_token"].as_str().unwrap();
        assert!(handle.starts_with("sgs_") && handle.len() == 47 && answer.header("set-cookie").is_none());
        let shown = &body["session"];
        assert_eq!((&shown["username"], &shown["realm"]["name"]), (&json!("alice"), &json!("default_native")));
        assert_eq!(shown["provider"], json!({ "type": "token", "name": "token" }));
        assert_ne!(shown["id"], *handle);

        let answer = get(&gateway, "/_cat", &format!("Bearer {handle}")).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "user": "alice" })));
        assert_eq!(answer.header("set-cookie"), None, "cookies of the cluster are for its token");
        let seen = bench.cluster.seen().pop().unwrap();
        assert_eq!(seen.headers["authorization"], "Bearer access-token-1");
        assert!(!answer.text().contains("access-token") && !body.to_string().contains("access-token"));
    })
    .await;
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_slowed_down() {
    on_one_thread(async {
        let bench = Bench::new();
        let gateway = bench.gateway().await;
        let wrong = basic("alice", "wrong");
        let headers = [("authorization", &*wrong)];
        for _ in 0..10 {
            let answer = gateway.send(request(Method::POST, "/_gateway/session", &headers)).await;
            assert!(answer.status == 401 || answer.status == 429, "{}", answer.text());
        }
        let answer = gateway.send(request(Method::POST, "/_gateway/session", &headers)).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-auth-reason")), (429, Some("throttled")));
        assert!(answer.header("retry-after").is_some());
        assert_eq!(bench.cluster.grants(), 10);
        let body = r#"{"grant_type":"password","username":"bob","password":"their-password"}"#;
        let sent = [("content-type", "application/json")];
        let answer = gateway.send(with_body(Method::POST, "/_gateway/session", &sent, body)).await;
        assert_eq!(answer.json()["session"]["username"], "bob");
    })
    .await;
}

#[tokio::test]
async fn t9_whoever_brings_a_credential_of_their_own_gets_the_clusters_word_on_it() {
    on_one_thread(async {
        let bench = Bench::new();
        let gateway = bench.gateway().await;
        let alice = log_in(&gateway).await;
        let cookie = format!("searchgate_session={}", alice.strip_prefix("Bearer ").unwrap());
        let own = basic("bob", PASSWORD);
        let headers = [("authorization", &*own), ("cookie", &*cookie), ("es-security-runas-user", "x")];
        let answer = gateway.send(request(Method::GET, "/_cat", &headers)).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "user": "bob" })));
        assert!(bench.cluster.seen().pop().unwrap().headers.get("cookie").is_none());

        let wrong = basic("bob", "wrong");
        let headers = [("authorization", &*wrong), ("cookie", &*cookie)];
        let answer = gateway.send(request(Method::GET, "/_cat", &headers)).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-auth-source")), (401, Some("upstream")));
        assert_eq!(answer.headers.get_all("www-authenticate").iter().count(), 3);
        assert_eq!(answer.header("set-cookie"), None);
        assert_eq!((bench.cluster.refreshes(), session(&gateway, &alice).await.version), (0, 1));
    })
    .await;
}

#[tokio::test]
async fn only_administrators_see_and_end_the_sessions_of_others() {
    on_one_thread(async {
        let bench = Bench::new();
        let gateway = bench.gateway().await;
        let alice = log_in(&gateway).await;
        let headers = [("authorization", &*alice), ("content-type", "application/json")];
        let answer = gateway.send(request(Method::GET, "/_gateway/sessions", &headers)).await;
        assert_eq!(answer.status, 403);
        let all = r#"{"match":"all"}"#;
        let answer = gateway.send(with_body(Method::POST, "/_gateway/sessions/_invalidate", &headers, all)).await;
        assert_eq!(answer.status, 403);
        assert_eq!(get(&gateway, "/_security/user", &alice).await.status, 403);
        let admin = gateway.superuser().await;
        for wrong in ["{}", r#"{"match":"query"}"#, r#"{"match":"query","query":{}}"#, r#"{"match":"x"}"#] {
            let headers = [("authorization", &*admin), ("content-type", "application/json")];
            let answer = gateway.send(with_body(Method::POST, "/_gateway/sessions/_invalidate", &headers, wrong)).await;
            assert_eq!(answer.status, 400, "{wrong}: {}", answer.text());
        }
    })
    .await;
}

#[tokio::test]
async fn a_browser_has_a_cookie_that_no_page_of_another_site_can_use() {
    on_one_thread(async {
        let bench = Bench::new();
        let gateway = bench.gateway().await;
        let basic = basic("alice", PASSWORD);
        let asked = request(Method::POST, "/_gateway/session?cookie=true", &[("authorization", &basic)]);
        let answer = gateway.send(asked).await;
        let set = answer.header("set-cookie").unwrap().to_owned();
        assert!(set.ends_with("; HttpOnly; Secure; SameSite=Lax; Path=/"), "{set}");
        assert!(answer.json().get("access_token").is_none() && answer.header("cache-control") == Some("no-store"));
        let cookie = format!("theirs=1; {}", set.split(';').next().unwrap());
        let answer = gateway.send(request(Method::GET, "/_cat", &[("cookie", &cookie)])).await;
        assert_eq!(answer.json(), json!({ "user": "alice" }));
        assert_eq!(bench.cluster.seen().pop().unwrap().headers["cookie"], "theirs=1");

        let foreign = [("cookie", &*cookie), ("origin", "https://evil.example")];
        assert_eq!(gateway.send(request(Method::POST, "/a/_close", &foreign)).await.status, 403);
        let own = [("cookie", &*cookie), ("origin", "https://gate.test")];
        assert_eq!(gateway.send(request(Method::POST, "/a/_close", &own)).await.status, 200);

        let answer = gateway.send(request(Method::DELETE, "/_gateway/session", &[("cookie", &cookie)])).await;
        assert_eq!(answer.json(), json!({ "ended": true }));
        assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
        let answer = gateway.send(request(Method::GET, "/_cat", &[("cookie", &cookie)])).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-auth-reason")), (401, Some("session_unknown")));
        assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
    })
    .await;
}

#[tokio::test]
async fn t33_a_cookie_that_is_none_is_cleared() {
    on_one_thread(async {
        let bench = Bench::new();
        let gateway = bench.gateway().await;
        for value in ["x", "", &"y".repeat(8_000)] {
            let cookie = format!("searchgate_session={value}");
            let answer = gateway.send(request(Method::GET, "/_cat", &[("cookie", &cookie)])).await;
            assert_eq!((answer.status.as_u16(), answer.header("x-auth-reason")), (401, Some("no_credentials")));
            assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
        }
    })
    .await;
}

#[tokio::test]
async fn the_security_api_knows_a_session_and_brokers_grants() {
    on_one_thread(async {
        let bench = Bench::new();
        let gateway = bench.gateway().await;
        let admin = gateway.superuser().await;
        let headers = [("authorization", &*admin), ("content-type", "application/json")];
        let body = json!({ "grant_type": "password", "username": "alice", "password": PASSWORD }).to_string();
        let answer = gateway.send(with_body(Method::POST, "/_security/oauth2/token", &headers, &body)).await;
        let granted = answer.json();
        assert_eq!(granted["authentication"]["username"], "alice", "{granted}");
        let handle = granted["access_token"].as_str().unwrap();
        let alice = format!("Bearer {handle}");
        assert_eq!(get(&gateway, "/_cat", &alice).await.json(), json!({ "user": "alice" }));

        let who = get(&gateway, "/_security/_authenticate", &alice).await.json();
        assert_eq!((&who["username"], &who["authentication_type"]), (&json!("alice"), &json!("token")));
        assert_eq!((&who["roles"], &who["full_name"]), (&json!(["reader"]), &json!("A. User")));

        let other = r#"{"grant_type":"client_credentials"}"#;
        let answer = gateway.send(with_body(Method::POST, "/_security/oauth2/token", &headers, other)).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (400, &json!("unsupported_grant_type")));

        let headers = [("authorization", &*alice), ("content-type", "application/json")];
        let body = json!({ "token": handle }).to_string();
        let answer = gateway.send(with_body(Method::DELETE, "/_security/oauth2/token", &headers, &body)).await;
        assert_eq!(answer.json()["invalidated_tokens"], 1);
        assert_eq!(get(&gateway, "/_cat", &alice).await.status, 401);
    })
    .await;
}

#[tokio::test]
async fn t34_nothing_that_is_secret_is_told() {
    on_one_thread(async {
        let bench = Bench::new();
        let gateway = bench.gateway().await;
        let alice = log_in(&gateway).await;
        bench.cluster.expire_tokens();
        get(&gateway, "/_cat", &alice).await;
        let shown = get(&gateway, "/_gateway/session", &alice).await;
        let listed = get(&gateway, "/_gateway/sessions", &gateway.superuser().await).await;
        let live = session(&gateway, &alice).await;
        let mut told = format!("{}{live:?}{:?}", gateway.built.shared.metrics.render(), gateway.built);
        told.push_str(shown.text());
        told.push_str(listed.text());
        told.push_str(&gateway.lines().await);
        let handle = alice.strip_prefix("Bearer ").unwrap().to_owned();
        for secret in bench.cluster.tokens().into_iter().chain([handle, PASSWORD.into(), SERVICE.into()]) {
            assert!(!told.contains(&secret), "{secret}");
        }
    })
    .await;
}
