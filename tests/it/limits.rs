//! Limits on what peers may send, and on how long they may take.

use std::time::Duration;

use http::Method;
use searchgate::config::StoreUrl;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use crate::support::{
    client::{Answer, fed, feeding, http1, piece, raw, request, with_body},
    gateway::Gateway,
    on_one_thread, settle,
    upstream::{Reply, Upstream},
};

#[tokio::test(start_paused = true)]
async fn a_body_that_says_it_is_too_large_is_refused_unread() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::sidecar(&upstream, |config| config.limits.body_bytes = 10);
        let answer = gateway.send(with_body(Method::POST, "/_bulk", &[], "12345678901")).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-auth-source")), (413, Some("gateway")));
        assert!(upstream.wire().is_empty());
        assert_eq!(gateway.send(with_body(Method::POST, "/_bulk", &[], "1234567890")).await.status, 200);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_turns_out_too_large_never_reaches_the_cluster_whole() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::sidecar(&upstream, |config| config.limits.body_bytes = 10);
        let mut sender = http1(gateway.connect()).await;
        let (feed, body) = fed();
        let answer = tokio::task::spawn_local(sender.send_request(feeding(Method::POST, "/_bulk", &[], body)));
        feed.send(piece("12345678")).await.unwrap();
        feed.send(piece("901")).await.unwrap();
        drop(feed);
        assert_eq!(answer.await.unwrap().unwrap().status(), 413);
        settle().await;
        assert!(upstream.seen().is_empty());
        assert_eq!(upstream.open(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_a_408() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let mut sender = http1(gateway.connect()).await;
        let (feed, body) = fed();
        let began = Instant::now();
        let answer = tokio::task::spawn_local(sender.send_request(feeding(Method::POST, "/_bulk", &[], body)));
        feed.send(piece("{")).await.unwrap();
        let answer = Answer::of(answer.await.unwrap().unwrap()).await.unwrap();
        assert_eq!((answer.status.as_u16(), began.elapsed().as_secs()), (408, 75));
        settle().await;
        assert!(upstream.seen().is_empty());
        assert_eq!(upstream.open(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_header_block_that_is_too_large_is_a_431() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let head =
            |filler: usize| format!("GET / HTTP/1.1\r\nHost: gate.test\r\nX-Filler: {}\r\n\r\n", "x".repeat(filler));
        let answer = raw(gateway.connect(), head(40_000).as_bytes()).await;
        assert!(answer.starts_with(b"HTTP/1.1 431"), "{answer:?}");
        assert!(upstream.seen().is_empty());
        let answer = raw(gateway.connect(), head(30_000).as_bytes()).await;
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_end_closes_its_connection_in_time() {
    on_one_thread(async {
        let gateway = Gateway::sidecar(&Upstream::always(Reply::status(200)), |_| ());
        for begun in ["G", "P", "PRI * HT", "GET / HTTP/1.1\r\nHost: gate.test\r\n"] {
            let mut pipe = gateway.connect();
            let began = Instant::now();
            pipe.write_all(begun.as_bytes()).await.unwrap();
            let mut rest = Vec::new();
            pipe.read_to_end(&mut rest).await.unwrap();
            assert_eq!(began.elapsed().as_secs(), 10, "{begun:?}");
            assert!(begun.starts_with('P') || rest.starts_with(b"HTTP/1.1 408 "), "{begun:?}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn dribbling_does_not_prolong_a_head() {
    on_one_thread(async {
        let gateway = Gateway::sidecar(&Upstream::always(Reply::status(200)), |_| ());
        let mut pipe = gateway.connect();
        let began = Instant::now();
        while pipe.write_all(b"G").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(began.elapsed().as_secs() < 15);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_closed_in_its_time() {
    on_one_thread(async {
        let gateway = Gateway::sidecar(&Upstream::always(Reply::status(200)), |_| ());
        let began = Instant::now();
        assert_eq!(gateway.connect().read(&mut [0]).await.unwrap(), 0);
        assert_eq!(began.elapsed().as_secs(), 75);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_is_closed_in_its_time_after_its_last_request() {
    on_one_thread(async {
        let gateway = Gateway::sidecar(&Upstream::always(Reply::status(200)), |_| ());
        let mut client = gateway.client().await;
        for _ in 0..3 {
            client.send(request(Method::GET, "/", &[])).await.unwrap();
            tokio::time::sleep(Duration::from_mins(1)).await;
            assert_eq!(gateway.ended(), 0);
        }
        tokio::time::sleep(Duration::from_secs(16)).await;
        assert_eq!(gateway.ended(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_is_cut_and_so_is_the_cluster_behind_it() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::Endless);
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let mut pipe = gateway.connect();
        pipe.write_all(b"GET /big HTTP/1.1\r\nHost: gate.test\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_secs(74)).await;
        assert_eq!((gateway.ended(), upstream.open()), (0, 1));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!((gateway.ended(), upstream.open()), (1, 0));
    })
    .await;
}

#[tokio::test]
async fn a_store_that_fails_is_a_503_and_never_a_401() {
    on_one_thread(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gate.db");
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::with(&upstream, |config| config.store.url = StoreUrl::Sqlite(path.clone()));
        let key = gateway.superuser().await;
        rusqlite::Connection::open(&path).unwrap().execute_batch("DROP TABLE api_keys").unwrap();
        let answer = gateway.send(request(Method::GET, "/", &[("authorization", &key)])).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("1")), "{}", answer.text());
        assert!(upstream.wire().is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_passwords_is_told_to_come_again() {
    on_one_thread(async {
        let gateway = Gateway::spawn(&Upstream::always(Reply::status(200)));
        let asked: Vec<_> = (0..80)
            .map(|user| {
                let pipe = gateway.connect();
                tokio::task::spawn_local(async move {
                    let basic = base64::Engine::encode(
                        &base64::engine::general_purpose::STANDARD,
                        format!("user{user}:wrong-password"),
                    );
                    let header = format!("Basic {basic}");
                    let mut sender = http1(pipe).await;
                    let asked = request(Method::GET, "/", &[("authorization", &header)]);
                    Answer::of(sender.send_request(asked).await.unwrap()).await.unwrap()
                })
            })
            .collect();
        let mut turned_away = 0;
        for answer in asked {
            let answer = answer.await.unwrap();
            if answer.status == 429 {
                assert!(answer.header("retry-after").is_some());
                turned_away += 1;
            } else {
                assert_eq!(answer.status, 401);
            }
        }
        assert!(turned_away > 0);
    })
    .await;
}
