//! The end of a process, as clients with open connections see it.

use std::time::Duration;

use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{
    client::request,
    gateway::Gateway,
    on_one_thread, settle,
    upstream::{Reply, Upstream},
};

#[tokio::test(start_paused = true)]
async fn a_request_under_way_is_answered_and_its_connection_closed() {
    on_one_thread(async {
        let late = Reply::After(Duration::from_secs(5), Box::new(Reply::json(200, "{}")));
        let gateway = Gateway::sidecar(&Upstream::always(late), |_| ());
        let mut client = gateway.client().await;
        let under_way = tokio::task::spawn_local(async move { client.send(request(Method::GET, "/", &[])).await });
        settle().await;
        gateway.draining.cancel();
        let answer = under_way.await.unwrap().unwrap();
        assert_eq!((answer.text(), answer.header("connection")), ("{}", Some("close")));
        settle().await;
        assert_eq!(gateway.ended(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_download_under_way_is_finished() {
    on_one_thread(async {
        let body = "0123456789abcdef".repeat(64 * 1024);
        let gateway = Gateway::sidecar(&Upstream::always(Reply::json(200, &body)), |_| ());
        let mut pipe = gateway.connect();
        pipe.write_all(b"GET /big HTTP/1.1\r\nHost: gate.test\r\n\r\n").await.unwrap();
        settle().await;
        gateway.draining.cancel();
        settle().await;
        assert_eq!(gateway.ended(), 0);
        let mut answer = Vec::new();
        pipe.read_to_end(&mut answer).await.unwrap();
        assert!(answer.ends_with(body.as_bytes()));
        assert_eq!(gateway.ended(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn idle_connections_end_at_once() {
    on_one_thread(async {
        let gateway = Gateway::sidecar(&Upstream::always(Reply::status(200)), |_| ());
        let mut used = gateway.client().await;
        used.send(request(Method::GET, "/", &[])).await.unwrap();
        let _fresh = gateway.connect();
        settle().await;
        gateway.draining.cancel();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(gateway.ended(), 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_on_its_way_is_answered() {
    on_one_thread(async {
        let gateway = Gateway::sidecar(&Upstream::always(Reply::status(200)), |_| ());
        let mut pipe = gateway.connect();
        gateway.draining.cancel();
        tokio::task::yield_now().await;
        pipe.write_all(b"GET / HTTP/1.1\r\nHost: gate.test\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        pipe.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    })
    .await;
}
