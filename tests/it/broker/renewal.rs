//! A session's token is renewed behind its caller's back, or the cluster's refusal is theirs.

use std::time::Duration;

use http::Method;
use serde_json::json;

use super::{Bench, get, log_in, session};
use crate::support::{
    client::{request, with_body},
    on_one_thread,
    stand_in::{Fault, SERVICE},
};

#[tokio::test]
async fn t1_an_expired_token_is_renewed_behind_the_callers_back() {
    on_one_thread(async {
        let bench = Bench::new();
        let gateway = bench.gateway().await;
        let alice = log_in(&gateway).await;
        bench.cluster.expire_tokens();
        let answer = get(&gateway, "/_cat", &alice).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "user": "alice" })));
        assert_eq!(bench.cluster.refreshes(), 1);
        let seen = bench.cluster.seen().into_iter();
        let shown: Vec<_> = seen.filter_map(|seen| seen.headers.get("authorization").cloned()).collect();
        assert_eq!(shown[shown.len() - 2..], ["Bearer access-token-1", "Bearer access-token-2"]);
        assert_eq!(session(&gateway, &alice).await.generation, 2);
        assert!(gateway.built.shared.metrics.render().contains(r#"provider="token",outcome="refreshed"} 1"#));
    })
    .await;
}

#[tokio::test]
async fn t2_t3_many_requests_over_three_instances_make_one_refresh() {
    on_one_thread(async {
        let bench = Bench::new();
        let instances = [bench.gateway().await, bench.gateway().await, bench.gateway().await];
        let alice = log_in(&instances[0]).await;
        for instance in &instances {
            assert_eq!(get(instance, "/_cat", &alice).await.status, 200);
        }
        bench.cluster.expire_tokens();
        bench.cluster.fault(Fault::Slow(Duration::from_millis(300)));
        let clients = tokio::task::LocalSet::new();
        let mut answers = Vec::new();
        for at in 0..60 {
            let mut client = instances[at % 3].client().await;
            let asked = request(Method::GET, "/_cat", &[("authorization", &alice)]);
            answers.push(clients.spawn_local(async move { client.send(asked).await.unwrap().status.as_u16() }));
        }
        let mut statuses = Vec::new();
        clients
            .run_until(async {
                for answer in answers {
                    statuses.push(answer.await.unwrap())
                }
            })
            .await;
        assert_eq!(statuses, [200; 60]);
        assert_eq!(bench.cluster.refreshes(), 1);
    })
    .await;
}

#[tokio::test]
async fn t6_a_session_whose_refresh_token_ended_gets_the_clusters_own_401() {
    on_one_thread(async {
        let bench = Bench::new();
        let gateway = bench.gateway().await;
        let alice = log_in(&gateway).await;
        bench.cluster.expire_tokens();
        bench.cluster.fault(Fault::Refuses("token has been invalidated"));
        let answer = get(&gateway, "/_cat", &alice).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-auth-reason")), (401, Some("session_expired")));
        assert_eq!(answer.header("x-auth-source"), Some("upstream"));
        assert_eq!(answer.json()["error"]["reason"], "token expired");
        assert_eq!(answer.header("www-authenticate"), None, "T27");
        // From then on nobody asks the cluster.
        let before = bench.cluster.seen().len();
        let fresh = bench.gateway().await;
        let answer = get(&fresh, "/_cat", &alice).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-auth-reason")), (401, Some("session_expired")));
        assert_eq!(answer.json()["error"]["code"], "session_expired");
        assert_eq!(bench.cluster.refreshes(), 1);
        assert!(bench.cluster.seen()[before..].iter().all(|seen| seen.path == "/"));
    })
    .await;
}

#[tokio::test]
async fn t7_while_nobody_can_renew_it_is_503_and_the_session_lives_on() {
    on_one_thread(async {
        let faults = [Fault::Status(503), Fault::Status(429), Fault::Garbage, Fault::HalfClosed];
        for fault in faults {
            let bench = Bench::new();
            let gateway = bench.gateway().await;
            let alice = log_in(&gateway).await;
            bench.cluster.expire_tokens();
            bench.cluster.fault(fault.clone());
            let answer = get(&gateway, "/_cat", &alice).await;
            assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("5")), "{fault:?}");
            assert_eq!(session(&gateway, &alice).await.generation, 1);
            tokio::time::sleep(Duration::from_millis(1100)).await;
            assert_eq!(get(&gateway, "/_cat", &alice).await.status, 200, "{fault:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn t7_a_cluster_that_cannot_look_into_its_token_store_ends_no_session() {
    on_one_thread(async {
        let bench = Bench::new();
        let gateway = bench.gateway().await;
        let alice = log_in(&gateway).await;
        bench.cluster.expire_tokens();
        bench.cluster.token_store(false);
        assert_eq!(get(&gateway, "/_cat", &alice).await.status, 503);
        bench.cluster.token_store(true);
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert_eq!(get(&gateway, "/_cat", &alice).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn t8_a_second_refusal_is_the_callers_and_there_is_no_third_attempt() {
    on_one_thread(async {
        let bench = Bench::new();
        let gateway = bench.gateway().await;
        let alice = log_in(&gateway).await;
        let refusal = r#"{"error":{"type":"security_exception","reason":"x"},"status":401}"#;
        bench.cluster.answer(401, "application/json", refusal);
        bench.cluster.answer(401, "application/json", refusal);
        let before = bench.cluster.seen().len();
        let answer = get(&gateway, "/_cat", &alice).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (401, refusal));
        assert_eq!((bench.cluster.refreshes(), bench.cluster.seen().len() - before), (1, 2));
        assert!(gateway.built.shared.metrics.render().contains(r#"outcome="retry_rejected"} 1"#));
    })
    .await;
}

#[tokio::test]
async fn t10_t11_a_refusal_that_is_not_about_the_token_ends_no_session() {
    on_one_thread(async {
        let bench = Bench::new();
        let gateway = bench.gateway().await;
        let alice = log_in(&gateway).await;
        bench.cluster.answer(401, "text/html", "a proxy between says no");
        let answer = get(&gateway, "/_cat", &alice).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (401, "a proxy between says no"));
        bench.cluster.answer(403, "application/json", "{}");
        assert_eq!(get(&gateway, "/_cat", &alice).await.status, 403);
        assert_eq!((bench.cluster.refreshes(), bench.cluster.asked_who()), (0, 1));
        assert_eq!(get(&gateway, "/_cat", &alice).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn t12_a_body_is_sent_again_as_it_was_and_written_once() {
    on_one_thread(async {
        let bench = Bench::new();
        let gateway = bench.gateway().await;
        let alice = log_in(&gateway).await;
        bench.cluster.expire_tokens();
        let body = format!("{{\"text\":\"{}\"}}", "x".repeat(200));
        let headers = [
            ("authorization", &*alice),
            ("content-type", "application/json"),
            ("es-security-runas-user", "root"), // T26
        ];
        let answer = gateway.send(with_body(Method::PUT, "/a/_doc/1", &headers, &body)).await;
        assert_eq!(answer.status, 200);
        let written: Vec<_> = bench.cluster.seen().into_iter().filter(|seen| seen.method == Method::PUT).collect();
        assert_eq!(written.iter().filter(|seen| seen.user.is_some()).count(), 1);
        assert!(written.iter().all(|seen| !seen.headers.contains_key("es-security-runas-user")), "T26");
        assert!(written.len() == 2 && written.iter().all(|seen| seen.body == body.as_bytes()));
    })
    .await;
}

#[tokio::test]
async fn t13_a_body_that_is_not_kept_is_asked_for_again() {
    on_one_thread(async {
        let bench = Bench::new();
        let gateway = bench
            .gateway_with(|config| {
                config.reauthentication.replay_memory = 1024;
                config.reauthentication.replay_spool = 0;
            })
            .await;
        let alice = log_in(&gateway).await;
        bench.cluster.expire_tokens();
        let body = "x".repeat(200_000);
        let headers = [("authorization", &*alice), ("content-type", "application/json")];
        let asked = || with_body(Method::PUT, "/a/_doc/1", &headers, &body);
        let answer = gateway.send(asked()).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("1")));
        assert_eq!(answer.header("x-auth-reason"), Some("token_refreshed_retry"));
        assert_eq!(gateway.send(asked()).await.status, 200);
        assert_eq!(bench.cluster.refreshes(), 1);
    })
    .await;
}

#[tokio::test]
async fn t17_a_token_that_is_dead_on_arrival_makes_no_loop() {
    on_one_thread(async {
        let bench = Bench::new();
        let gateway = bench.gateway().await;
        bench.cluster.tokens_live(Duration::ZERO);
        let alice = log_in(&gateway).await;
        let answer = get(&gateway, "/_cat", &alice).await;
        assert_eq!(answer.status, 401);
        assert!(bench.cluster.refreshes() <= 4, "{}", bench.cluster.refreshes());
        bench.cluster.tokens_live(Duration::from_secs(60));
        assert_eq!(get(&gateway, "/_cat", &alice).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn t18_a_background_request_renews_and_does_not_extend() {
    on_one_thread(async {
        let bench = Bench::new();
        let gateway = bench.gateway_with(|config| config.sessions.idle_timeout = Duration::from_secs(8)).await;
        let alice = log_in(&gateway).await;
        let before = session(&gateway, &alice).await;
        tokio::time::sleep(Duration::from_millis(2100)).await;
        bench.cluster.expire_tokens();
        let headers = [("authorization", &*alice), ("x-background-request", "true")];
        assert_eq!(gateway.send(request(Method::GET, "/_cat", &headers)).await.status, 200);
        assert!(bench.cluster.seen().pop().unwrap().headers.get("x-background-request").is_none());
        let after = session(&gateway, &alice).await;
        assert_eq!((after.generation, after.idle_expires_at), (2, before.idle_expires_at));
        assert_eq!(get(&gateway, "/_cat", &alice).await.status, 200);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(session(&gateway, &alice).await.idle_expires_at > before.idle_expires_at);
    })
    .await;
}

#[tokio::test]
async fn a_token_near_its_end_is_renewed_ahead_of_it_and_nobody_waits() {
    on_one_thread(async {
        let bench = Bench::new();
        let gateway = bench.gateway().await;
        bench.cluster.tokens_live(Duration::from_secs(2));
        let alice = log_in(&gateway).await;
        bench.cluster.fault(Fault::Slow(Duration::from_millis(400)));
        bench.cluster.tokens_live(Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(1850)).await;
        let begun = std::time::Instant::now();
        assert_eq!(get(&gateway, "/_cat", &alice).await.status, 200);
        assert!(begun.elapsed() < Duration::from_millis(140), "{:?}", begun.elapsed());
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(get(&gateway, "/_cat", &alice).await.status, 200);
        let refused = bench.cluster.seen().iter().filter(|seen| seen.user.is_none() && seen.path != "/").count();
        assert_eq!((bench.cluster.refreshes(), refused), (1, 0));
    })
    .await;
}

#[tokio::test]
async fn t29_a_refused_identity_of_the_gateway_is_a_502_and_ends_no_session() {
    on_one_thread(async {
        let bench = Bench::new();
        let gateway = bench.gateway().await;
        let alice = log_in(&gateway).await;
        bench.cluster.expire_tokens();
        bench.cluster.set_password("gate", "another");
        let answer = get(&gateway, "/_cat", &alice).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["error"]["type"].as_str()),
            (502, Some("upstream_credential_rejected"))
        );
        assert!(gateway.built.shared.metrics.render().contains("searchgate_upstream_credential_rejected_total 1"));
        bench.cluster.set_password("gate", SERVICE);
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert_eq!(get(&gateway, "/_cat", &alice).await.status, 200);
    })
    .await;
}
