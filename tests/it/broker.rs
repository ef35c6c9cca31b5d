//! Shape broker from end to end, before a stand-in for a secured Elasticsearch: rows of section 14 of
//! `transparent-reauthentication.md`.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;
use searchgate::{
    broker::Broker,
    config::{Config, Credential, Service, Shape, StoreUrl},
    store::AnyStore,
};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{
    client::{Answer, request, with_body},
    gateway::Gateway,
    on_one_thread,
    stand_in::{Fault, PASSWORD, SERVICE, StandIn},
};

/// Gateways over one store before one cluster.
struct Bench {
    cluster: StandIn,
    store: AnyStore,
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("password"), SERVICE).unwrap();
        std::fs::write(folder.path().join("master"), STANDARD.encode([7; 32])).unwrap();
        Self { cluster: StandIn::start(), store: AnyStore::Memory(Arc::default()), folder }
    }

    async fn gateway(&self) -> Gateway {
        self.gateway_with(|_| ()).await
    }

    async fn gateway_with(&self, change: impl FnOnce(&mut Config)) -> Gateway {
        let gateway = Gateway::over_network(self.store.clone(), |config| {
            config.store.url = StoreUrl::Memory;
            config.store.master_key_file = Some(self.folder.path().join("master"));
            config.upstream.hosts = vec![self.cluster.host()];
            config.listeners[0].shape = Shape::Broker;
            let password_file = self.folder.path().join("password");
            let service = Service::Basic { username: "gate".into(), password_file };
            config.upstream.credential = Credential::Session { service };
            change(config);
        });
        gateway.probe().await;
        gateway
    }
}

fn broker(gateway: &Gateway) -> Broker {
    gateway.built.brokers()[0].clone()
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Logs alice in; her `Authorization`.
async fn log_in(gateway: &Gateway) -> String {
    let basic = basic("alice", PASSWORD);
    let answer = gateway.send(request(Method::POST, "/_gateway/session", &[("authorization", &basic)])).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    format!("Bearer {}", answer.json()["access_token"].as_str().unwrap())
}

async fn get(gateway: &Gateway, path: &str, authorization: &str) -> Answer {
    gateway.send(request(Method::GET, path, &[("authorization", authorization)])).await
}

/// The caller's session, as stored.
async fn session(gateway: &Gateway, authorization: &str) -> searchgate::sessions::Session {
    let handle = authorization.strip_prefix("Bearer ").unwrap();
    let id = searchgate::sessions::SessionId::of_handle(handle).unwrap();
    gateway.built.sessions.get(&id).await.unwrap().unwrap()
}

/// Does what is due, as the control plane does it all the time.
async fn revoke(gateway: &Gateway) {
    broker(gateway).revoke_due("test").await.unwrap();
}

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
        let headers = [("authorization", &*alice), ("content-type", "application/json")];
        let answer = gateway.send(with_body(Method::PUT, "/a/_doc/1", &headers, &body)).await;
        assert_eq!(answer.status, 200);
        let written: Vec<_> = bench.cluster.seen().into_iter().filter(|seen| seen.method == Method::PUT).collect();
        assert_eq!(written.iter().filter(|seen| seen.user.is_some()).count(), 1);
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
                config.reauthentication.front_door_expired_status = searchgate::config::ExpiredStatus::BadRequest;
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
