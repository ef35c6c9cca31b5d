//! Which host is asked, and what happens when it fails.

use std::{sync::Arc, time::Duration};

use http::Method;
use searchgate::{
    config::{Config, HostUrl},
    upstream::{
        client::{Dial, Pool, SendError},
        upload::Upload,
    },
};
use tokio::net::TcpListener;

use crate::support::{
    client::{request, with_body},
    gateway::Gateway,
    on_one_thread, settle,
    upstream::{self, Reply, Upstream},
};

/// A cluster of that many nodes.
fn nodes(count: u16) -> impl FnOnce(&mut Config) {
    move |config| {
        config.upstream.hosts =
            (0..count).map(|node| HostUrl { tls: false, host: "127.0.0.1".into(), port: 9201 + node }).collect();
    }
}

fn asked(upstream: &Upstream) -> Vec<usize> {
    upstream.seen().iter().map(|seen| seen.host).collect()
}

fn is_healthy(gateway: &Gateway, host: usize) -> bool {
    gateway.built.shared.upstream.hosts()[host].is_healthy()
}

#[tokio::test(start_paused = true)]
async fn idle_hosts_take_turns() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::sidecar(&upstream, nodes(3));
        for _ in 0..6 {
            gateway.send(request(Method::GET, "/", &[])).await;
        }
        assert_eq!(asked(&upstream), [0, 1, 2, 0, 1, 2]);
        assert_eq!(upstream.seen()[1].headers["host"], "127.0.0.1:9202");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_busy_host_is_passed_over() {
    on_one_thread(async {
        let late = Reply::After(Duration::from_secs(100), Box::new(Reply::status(200)));
        let upstream = Upstream::script(std::iter::once(late).chain(std::iter::repeat_n(Reply::status(200), 5)));
        let gateway = Gateway::sidecar(&upstream, nodes(3));
        let mut client = gateway.client().await;
        let busy = tokio::task::spawn_local(async move { client.send(request(Method::GET, "/", &[])).await });
        settle().await;
        for _ in 0..5 {
            gateway.send(request(Method::GET, "/", &[])).await;
        }
        assert_eq!(asked(&upstream).iter().filter(|&&host| host == 0).count(), 1);
        assert_eq!(busy.await.unwrap().unwrap().status, 200);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_left_is_sent_to_another_host_whatever_its_method() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(201));
        let gateway = Gateway::sidecar(&upstream, nodes(2));
        upstream.take_down(0);
        for _ in 0..2 {
            assert_eq!(gateway.send(with_body(Method::POST, "/_bulk", &[], "{}\n")).await.status, 201);
        }
        assert_eq!(asked(&upstream), [1, 1]);
        assert!(upstream.seen().iter().all(|seen| seen.body == "{}\n"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_host_that_keeps_failing_is_taken_out_until_nobody_else_is_left() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::sidecar(&upstream, nodes(2));
        upstream.take_down(0);
        for _ in 0..6 {
            assert_eq!(gateway.send(request(Method::GET, "/", &[])).await.status, 200);
            let failures = gateway.built.shared.upstream.hosts()[0].failures();
            assert_eq!(is_healthy(&gateway, 0), failures < 3, "after {failures} failures");
        }
        assert!(!is_healthy(&gateway, 0));
        upstream.bring_back(0);
        for _ in 0..4 {
            gateway.send(request(Method::GET, "/", &[])).await;
        }
        assert!(!asked(&upstream).contains(&0), "only a probe or an emergency asks it again");
        upstream.take_down(1);
        upstream.hang_up();
        assert_eq!(gateway.send(request(Method::GET, "/", &[])).await.status, 200);
        assert_eq!(asked(&upstream).last(), Some(&0));
        assert!(is_healthy(&gateway, 0));
    })
    .await;
}

#[tokio::test]
async fn a_probe_brings_a_host_back() {
    on_one_thread(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let gateway = Gateway::sidecar(&Upstream::always(Reply::status(200)), |config| {
            config.upstream.hosts = vec![HostUrl { tls: false, host: "127.0.0.1".into(), port: address.port() }];
        });
        for _ in 0..3 {
            assert!(is_healthy(&gateway, 0));
            gateway.probe().await;
        }
        assert!(!is_healthy(&gateway, 0));
        let listener = TcpListener::bind(address).await.unwrap();
        tokio::task::spawn_local(upstream::answer_all(listener, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"));
        gateway.probe().await;
        assert!(is_healthy(&gateway, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_nobody_can_reach_is_a_502() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::sidecar(&upstream, nodes(2));
        upstream.take_down(0);
        upstream.take_down(1);
        let answer = gateway.send(request(Method::GET, "/", &[])).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-auth-source")), (502, Some("gateway")));
        assert_eq!(answer.json()["error"]["type"], "upstream_unavailable");
        upstream.bring_back(1);
        assert_eq!(gateway.send(request(Method::GET, "/", &[])).await.status, 200);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_left_is_never_sent_again() {
    on_one_thread(async {
        for method in [Method::GET, Method::POST] {
            let upstream = Upstream::script([Reply::Break, Reply::status(200)]);
            let gateway = Gateway::sidecar(&upstream, nodes(2));
            assert_eq!(gateway.send(with_body(method, "/_bulk", &[], "{}\n")).await.status, 502);
            assert_eq!(upstream.seen().len(), 1);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_the_cluster_closed_meanwhile_is_not_used() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        gateway.send(request(Method::GET, "/", &[])).await;
        settle().await;
        upstream.hang_up();
        for _ in 0..2 {
            assert_eq!(gateway.send(with_body(Method::POST, "/_bulk", &[], "{}\n")).await.status, 200);
        }
        assert_eq!(upstream.connections(), 2);
        assert!(is_healthy(&gateway, 0));
        assert_eq!(gateway.built.shared.upstream.hosts()[0].failures(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_host_that_does_not_finish_a_handshake_is_given_up_in_its_time() {
    on_one_thread(async {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = silent.local_addr().unwrap().port();
        let gateway = Gateway::sidecar(&Upstream::script([]), |config| {
            config.upstream.hosts = vec![HostUrl { tls: true, host: "127.0.0.1".into(), port }];
            config.upstream.connect_timeout = Duration::from_millis(20);
        });
        let pool = Pool::new(Arc::clone(&gateway.built.shared.upstream), Dial::Network);
        let sent = pool.send(&mut Some(request(Method::GET, "/", &[]).map(|_| Upload::empty()))).await;
        assert!(matches!(sent, Err(SendError::Unreachable)));
        assert_eq!(gateway.built.shared.upstream.hosts()[0].failures(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_nobody_uses_is_closed() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        gateway.send(request(Method::GET, "/", &[])).await;
        settle().await;
        assert_eq!(upstream.open(), 1);
        tokio::time::sleep(Duration::from_secs(51)).await;
        gateway.core().tick();
        settle().await;
        assert_eq!(upstream.open(), 0);
    })
    .await;
}
