//! Sessions end, and their tokens with them; certificates.

use std::{sync::Arc, time::Duration};

use http::Method;
use searchgate::{
    config::ExpiredStatus,
    listener::peer::{Peer, TlsFacts},
    secret::sha256,
};
use serde_json::json;

use super::{Bench, broker, get, log_in, revoke};
use crate::support::{
    client::{Answer, Client, request, with_body},
    gateway::{CLIENT, Gateway},
    on_one_thread,
    stand_in::Fault,
};

#[tokio::test]
async fn t15_a_log_out_ends_all_tokens_also_those_of_a_renewal_under_way() {
    on_one_thread(async {
        let bench = Bench::new();
        let gateway = bench.gateway().await;
        let alice = log_in(&gateway).await;
        bench.cluster.expire_tokens();
        bench.cluster.fault(Fault::Slow(Duration::from_millis(300)));
        let mut first = gateway.client().await;
        let searching = tokio::task::spawn_local({
            let asked = request(Method::GET, "/_cat", &[("authorization", &alice)]);
            async move { first.send(asked).await.unwrap() }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        let bye = request(Method::DELETE, "/_gateway/session", &[("authorization", &alice)]);
        let answer = gateway.send(bye).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "ended": true })));
        searching.await.unwrap();
        revoke(&gateway).await;
        assert_eq!(bench.cluster.good_tokens(), [""; 0]);
        let answer = get(&gateway, "/_cat", &alice).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-auth-reason")), (401, Some("session_unknown")));
        assert_eq!(answer.header("www-authenticate"), None);
        let metrics = gateway.built.shared.metrics.render();
        assert!(metrics.contains(r#"searchgate_sessions_ended_total{reason="logout"} 1"#), "{metrics}");
        assert!(metrics.contains(r#"searchgate_tokens_revoked_total{cause="logout",result="success"}"#), "{metrics}");
    })
    .await;
}

#[tokio::test]
async fn t16_administration_ends_sessions_also_while_they_are_renewed() {
    on_one_thread(async {
        let bench = Bench::new();
        let gateway = bench.gateway().await;
        let alice = log_in(&gateway).await;
        let admin = gateway.superuser().await;
        let listed = get(&gateway, "/_gateway/sessions", &admin).await.json();
        assert_eq!(listed["sessions"][0]["username"], "alice");
        let one = format!("/_gateway/sessions/{}", listed["sessions"][0]["id"].as_str().unwrap());
        assert_eq!(get(&gateway, &one, &admin).await.json(), listed["sessions"][0]);

        bench.cluster.expire_tokens();
        bench.cluster.fault(Fault::Slow(Duration::from_millis(300)));
        let mut first = gateway.client().await;
        let searching = tokio::task::spawn_local({
            let asked = request(Method::GET, "/_cat", &[("authorization", &alice)]);
            async move { first.send(asked).await.unwrap() }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        let headers = [("authorization", &*admin), ("content-type", "application/json")];
        let body = r#"{"match":"query","query":{"provider":{"type":"token"},"username":"alice"}}"#;
        let answer = gateway.send(with_body(Method::POST, "/_gateway/sessions/_invalidate", &headers, body)).await;
        assert_eq!(answer.json(), json!({ "total": 1 }));
        assert_eq!(searching.await.unwrap().status, 401);
        revoke(&gateway).await;
        assert_eq!(bench.cluster.good_tokens(), [""; 0]);
        for (method, target) in [(Method::GET, &*one), (Method::DELETE, &one)] {
            assert_eq!(gateway.send(request(method, target, &[("authorization", &admin)])).await.status, 404);
        }
    })
    .await;
}

#[tokio::test]
async fn t30_an_idle_session_ends_and_so_do_its_tokens() {
    on_one_thread(async {
        let bench = Bench::new();
        let gateway = bench.gateway_with(|config| config.sessions.idle_timeout = Duration::from_millis(300)).await;
        let alice = log_in(&gateway).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        let answer = get(&gateway, "/_cat", &alice).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-auth-reason")), (401, Some("idle_timeout")));
        broker(&gateway).sweep().await.unwrap();
        revoke(&gateway).await;
        assert_eq!(bench.cluster.good_tokens(), [""; 0]);
        assert!(gateway.built.shared.metrics.render().contains(r#"ended_total{reason="idle_timeout"} 1"#));
    })
    .await;
}

#[tokio::test]
async fn the_status_of_an_expired_session_is_as_configured() {
    on_one_thread(async {
        let bench = Bench::new();
        let gateway = bench
            .gateway_with(|config| {
                config.sessions.lifespan = Duration::from_millis(200);
                config.reauthentication.front_door_expired_status = ExpiredStatus::BadRequest;
            })
            .await;
        let alice = log_in(&gateway).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let answer = get(&gateway, "/_cat", &alice).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-auth-reason")), (400, Some("lifespan")));
    })
    .await;
}

#[tokio::test]
async fn what_the_cluster_could_not_be_told_is_told_later() {
    on_one_thread(async {
        let bench = Bench::new();
        let gateway = bench.gateway().await;
        let alice = log_in(&gateway).await;
        bench.cluster.token_store(false);
        gateway.send(request(Method::DELETE, "/_gateway/session", &[("authorization", &alice)])).await;
        revoke(&gateway).await;
        assert_eq!(bench.cluster.good_tokens().len(), 2);
        bench.cluster.token_store(true);
        for _ in 0..40 {
            tokio::time::sleep(Duration::from_millis(250)).await;
            revoke(&gateway).await;
            if bench.cluster.good_tokens().is_empty() {
                break;
            }
        }
        assert_eq!(bench.cluster.good_tokens(), [""; 0]);
        assert!(gateway.built.shared.metrics.render().contains(r#"cause="logout",result="failure"}"#));
    })
    .await;
}

/// A client that proved to hold the key of a certificate.
fn certified(leaf: &[u8]) -> Peer {
    let facts = TlsFacts { client_chain: vec![leaf.to_vec()], fingerprint: Some(sha256(&[leaf])) };
    Peer { tls: Some(Arc::new(facts)), ..Peer::at(CLIENT.parse().unwrap(), false) }
}

async fn send(gateway: &Gateway, peer: Peer, method: Method, target: &str, authorization: Option<&str>) -> Answer {
    let headers: Vec<_> = authorization.into_iter().map(|value| ("authorization", value)).collect();
    let mut client = Client::over(gateway.connect_from(peer)).await;
    client.send(request(method, target, &headers)).await.unwrap()
}

#[tokio::test]
async fn t19_a_certificate_logs_in_and_is_exchanged_again_when_its_token_has_expired() {
    on_one_thread(async {
        let bench = Bench::new();
        let gateway = bench.gateway().await;
        let answer = send(&gateway, certified(b"alice"), Method::POST, "/_gateway/session", None).await;
        assert_eq!(answer.json()["session"]["provider"]["type"], "pki", "{}", answer.text());
        let handle = format!("Bearer {}", answer.json()["access_token"].as_str().unwrap());
        bench.cluster.expire_tokens();
        let answer = send(&gateway, certified(b"alice"), Method::GET, "/_cat", Some(&handle)).await;
        assert_eq!((answer.status.as_u16(), answer.json()["user"].as_str()), (200, Some("alice")));
        assert_eq!((bench.cluster.delegations(), bench.cluster.refreshes()), (2, 0));
    })
    .await;
}

#[tokio::test]
async fn t20_a_session_of_one_certificate_ends_when_it_is_shown_with_another_or_with_none() {
    on_one_thread(async {
        for other in [certified(b"mallory"), Peer::at(CLIENT.parse().unwrap(), false)] {
            let bench = Bench::new();
            let gateway = bench.gateway().await;
            let answer = send(&gateway, certified(b"alice"), Method::POST, "/_gateway/session", None).await;
            let handle = format!("Bearer {}", answer.json()["access_token"].as_str().unwrap());
            assert_eq!(bench.cluster.good_tokens().len(), 1);
            let answer = send(&gateway, other, Method::GET, "/_cat", Some(&handle)).await;
            assert_eq!((answer.status.as_u16(), answer.header("x-auth-reason")), (401, Some("session_unknown")));
            assert_eq!(bench.cluster.good_tokens(), [""; 0], "at once");
            let answer = send(&gateway, certified(b"alice"), Method::GET, "/_cat", Some(&handle)).await;
            assert_eq!(answer.status, 401);
        }
    })
    .await;
}
