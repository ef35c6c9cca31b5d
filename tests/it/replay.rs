//! A refused credential of the gateway's own is renewed and the request sent again, body and all
//! (`transparent-reauthentication.md` sections 3, 7 and 12; rows of its section 14).

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use http_body::Frame;
use http_body_util::Full;
use searchgate::config::{Config, Credential, HostUrl};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt as _;

use crate::support::{
    client::{Answer, fed, feeding, http1, http2, piece, raw, request, with_body},
    gateway::Gateway,
    on_one_thread, settle,
    upstream::{Reply, Upstream},
};

const MB: usize = 1024 * 1024;

/// A gateway that shows the token in a file. What it holds is refused, and the file says better by now.
struct Rotated {
    gateway: Gateway,
    upstream: Upstream,
    _file: NamedTempFile,
}

impl Rotated {
    fn new(upstream: Upstream, change: impl FnOnce(&mut Config)) -> Self {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "old").unwrap();
        let gateway = Gateway::sidecar(&upstream, |config| {
            config.upstream.credential = Credential::Bearer { token_file: file.path().into() };
            change(config);
        });
        std::fs::write(file.path(), "new").unwrap();
        Self { gateway, upstream, _file: file }
    }

    /// What the cluster was shown, request by request.
    fn shown(&self) -> Vec<String> {
        let seen = self.upstream.seen();
        seen.iter().map(|seen| seen.headers[header::AUTHORIZATION].to_str().unwrap().to_owned()).collect()
    }

    fn held(&self) -> u64 {
        self.gateway.built.shared.replays.held()
    }

    fn metrics(&self) -> String {
        self.gateway.built.shared.metrics.render()
    }
}

fn script(replies: impl IntoIterator<Item = Reply>) -> Rotated {
    Rotated::new(Upstream::script(replies), |_| ())
}

fn bytes(count: usize) -> Bytes {
    (0..count).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect::<Vec<_>>().into()
}

fn bulk(body: Bytes) -> Request<Full<Bytes>> {
    request(Method::POST, "/_bulk", &[]).map(|_| Full::new(body))
}

fn asks_again(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("1")), "{}", answer.text());
    assert_eq!(answer.header("x-auth-reason"), Some("token_refreshed_retry"));
    assert_eq!(answer.json()["error"]["code"], "token_refreshed_retry");
}

#[tokio::test(start_paused = true)]
async fn t12_a_put_is_sent_again_as_it_was() {
    on_one_thread(async {
        let rotated = script([Reply::json(401, EXPIRED), Reply::json(201, "{}")]);
        let body = "x".repeat(200);
        let ids =
            [("x-opaque-id", "o1"), ("traceparent", "00-1-2-01"), ("x-request-id", "r1"), ("authorization", "a b")];
        let answer = rotated.gateway.send(with_body(Method::PUT, "/logs/_doc/7?refresh", &ids, &body)).await;
        assert_eq!(answer.status, 201);
        let seen = rotated.upstream.seen();
        assert_eq!(seen.len(), 2);
        assert_eq!(
            (&seen[0].method, &seen[0].target, &seen[0].body),
            (&seen[1].method, &seen[1].target, &seen[1].body)
        );
        assert!(seen[1].body == body);
        let but_for_the_token = |headers: &HeaderMap| {
            let mut headers = headers.clone();
            headers.remove(header::AUTHORIZATION);
            headers
        };
        assert_eq!(but_for_the_token(&seen[0].headers), but_for_the_token(&seen[1].headers));
        assert_eq!(rotated.shown(), ["Bearer old", "Bearer new"]);
        assert_eq!(rotated.upstream.connections(), 1, "a connection that has said all serves again");
        assert_eq!(rotated.held(), 0);
        let event = rotated.gateway.events().await.remove(0);
        assert_eq!(event["http.response.status_code"], 201);
        assert_eq!((&event["http.request.body.bytes"], &event["searchgate.attempts"]), (&200.into(), &2.into()));
        let metrics = rotated.metrics();
        for line in [
            "searchgate_requests_total{source=\"upstream\",status=\"2xx\"} 1\n",
            "searchgate_upstream_401_total{class=\"token\"} 1\n",
            "searchgate_reauth_attempts_total{provider=\"gateway\",outcome=\"refreshed\"} 1\n",
            "searchgate_replay_buffer_bytes 0\n",
        ] {
            assert!(metrics.contains(line), "{line}{metrics}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn t13_an_upload_too_long_to_keep_is_asked_for_again() {
    on_one_thread(async {
        let rotated = script([Reply::Midway(70 * MB, 401), Reply::status(200), Reply::status(200)]);
        let mut sender = http1(rotated.gateway.connect()).await;
        let (feed, body) = fed();
        let answer = tokio::task::spawn_local(sender.send_request(feeding(Method::POST, "/_bulk", &[], body)));
        let mut most = 0;
        for _ in 0..90 {
            feed.send(Frame::data(bytes(MB))).await.unwrap();
            most = most.max(rotated.held());
        }
        drop(feed);
        let answer = Answer::of(answer.await.unwrap().unwrap()).await.unwrap();
        asks_again(&answer);
        assert!(most < 3 << 20, "{most} bytes in memory");
        assert_eq!(rotated.held(), 0);
        // The same connection, and the client's own second sending.
        let (feed, body) = fed();
        sender.ready().await.unwrap();
        let answer = tokio::task::spawn_local(sender.send_request(feeding(Method::POST, "/_bulk", &[], body)));
        feed.send(piece("{}\n")).await.unwrap();
        drop(feed);
        assert_eq!(answer.await.unwrap().unwrap().status(), 200);
        assert_eq!(rotated.shown(), ["Bearer old", "Bearer new"]);
        assert_eq!(rotated.upstream.seen()[1].body, "{}\n");
        let not_replayable = "searchgate_reauth_attempts_total{provider=\"gateway\",outcome=\"not_replayable\"} 1\n";
        assert!(rotated.metrics().contains(not_replayable));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_upload_whose_head_is_refused_goes_on_however_long_it_is() {
    on_one_thread(async {
        let small = |config: &mut Config| config.reauthentication.replay_spool = 2 << 20;
        let upstream = Upstream::script([Reply::Midway(1, 401), Reply::status(200)]);
        let rotated = Rotated::new(upstream, small);
        let body = bytes(8 * MB);
        assert_eq!(rotated.gateway.send(bulk(body.clone())).await.status, 200);
        assert!(rotated.upstream.seen()[1].body == body);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn t14_a_body_that_is_still_arriving_is_sent_again_and_the_connection_goes_on() {
    on_one_thread(async {
        for early in [Reply::Midway(3, 401), Reply::Early(401)] {
            let rotated = script([early, Reply::status(201), Reply::status(200)]);
            let mut sender = http1(rotated.gateway.connect()).await;
            let (feed, body) = fed();
            let answer = tokio::task::spawn_local(sender.send_request(feeding(Method::POST, "/_bulk", &[], body)));
            feed.send(piece("{}\n")).await.unwrap();
            settle().await;
            assert_eq!(rotated.shown().first().map(String::as_str), Some("Bearer old"));
            feed.send(piece("[]\n")).await.unwrap();
            drop(feed);
            assert_eq!(answer.await.unwrap().unwrap().status(), 201);
            assert_eq!(rotated.upstream.seen()[1].body, "{}\n[]\n");
            sender.ready().await.unwrap();
            let (_, nothing) = fed();
            let next = sender.send_request(feeding(Method::GET, "/", &[], nothing)).await.unwrap();
            assert_eq!(next.status(), 200);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn over_http2_a_body_is_sent_again_beside_others() {
    on_one_thread(async {
        let rotated = script([Reply::Midway(3, 401), Reply::status(201), Reply::status(200)]);
        let (mut sender, _connection) = http2(rotated.gateway.connect()).await;
        let (feed, body) = fed();
        let sending = feeding(Method::POST, "http://gate.test/_bulk", &[], body);
        let answer = tokio::task::spawn_local(sender.send_request(sending));
        feed.send(piece("{}\n")).await.unwrap();
        settle().await;
        feed.send(piece("[]\n")).await.unwrap();
        drop(feed);
        assert_eq!(answer.await.unwrap().unwrap().status(), 201);
        assert_eq!(rotated.upstream.seen()[1].body, "{}\n[]\n");
        let (_, nothing) = fed();
        let next = feeding(Method::GET, "http://gate.test/", &[], nothing);
        assert_eq!(sender.send_request(next).await.unwrap().status(), 200);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn ten_megabytes_come_back_from_the_disk_as_they_were() {
    on_one_thread(async {
        let rotated = script([Reply::status(401), Reply::status(200)]);
        let body = bytes(10_000_000);
        assert_eq!(rotated.gateway.send(bulk(body.clone())).await.status, 200);
        let seen = rotated.upstream.seen();
        assert!(seen[0].body == body && seen[1].body == body);
        assert_eq!(seen[1].headers["content-length"], "10000000");
        assert_eq!(rotated.held(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn when_all_the_memory_for_bodies_is_taken_the_client_sends_again() {
    on_one_thread(async {
        let none = |config: &mut Config| config.reauthentication.replay_total = 100;
        let upstream = Upstream::script([Reply::status(401), Reply::status(200)]);
        let rotated = Rotated::new(upstream, none);
        asks_again(&rotated.gateway.send(bulk(bytes(200))).await);
        assert_eq!(rotated.gateway.send(bulk(bytes(200))).await.status, 200);
        assert_eq!(rotated.shown(), ["Bearer old", "Bearer new"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_where_nothing_can_be_renewed() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(401));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let mut sender = http1(gateway.connect()).await;
        let (feed, body) = fed();
        let answer = tokio::task::spawn_local(sender.send_request(feeding(Method::POST, "/_bulk", &[], body)));
        feed.send(Frame::data(bytes(MB))).await.unwrap();
        settle().await;
        assert_eq!(gateway.built.shared.replays.held(), 0);
        drop(feed);
        assert_eq!(answer.await.unwrap().unwrap().status(), 401);
        let metrics = gateway.built.shared.metrics.render();
        assert!(metrics.contains("searchgate_upstream_401_total{class=\"not_ours\"} 1\n"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_another_request_renewed_is_not_renewed_again() {
    on_one_thread(async {
        let late = Reply::After(Duration::from_secs(1), Box::new(Reply::status(401)));
        let rotated = script([late, Reply::status(200)]);
        let mut sender = http1(rotated.gateway.connect()).await;
        let answer = tokio::task::spawn_local(sender.send_request(bulk(bytes(200))));
        settle().await;
        rotated.gateway.built.credentials.renew();
        assert_eq!(answer.await.unwrap().unwrap().status(), 200);
        assert_eq!(rotated.shown(), ["Bearer old", "Bearer new"]);
        let joined = "searchgate_reauth_attempts_total{provider=\"gateway\",outcome=\"current_token\"} 1\n";
        assert!(rotated.metrics().contains(joined));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn trailers_are_not_sent_again() {
    on_one_thread(async {
        let rotated = script([Reply::status(401)]);
        let head = "POST /_bulk HTTP/1.1\r\nHost: gate.test\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n";
        let sent = [head, "3\r\n{}\n\r\n0\r\nx-sum: 1\r\n\r\n"].concat();
        assert!(raw(rotated.gateway.connect(), sent.as_bytes()).await.starts_with(b"HTTP/1.1 503"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_to_be_told_to_continue_is_told_once() {
    on_one_thread(async {
        let rotated = script([Reply::status(401), Reply::status(201)]);
        let mut pipe = rotated.gateway.connect();
        let head = "POST /_bulk HTTP/1.1\r\nHost: gate.test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
        pipe.write_all(head.as_bytes()).await.unwrap();
        settle().await;
        let answer = String::from_utf8(raw(pipe, b"{}\n").await).unwrap();
        assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn t8_there_is_no_third_attempt() {
    on_one_thread(async {
        let rotated = Rotated::new(Upstream::always(Reply::json(401, EXPIRED)), |_| ());
        let answer = rotated.gateway.send(bulk(bytes(200))).await;
        assert_eq!(answer.json()["error"]["type"], "upstream_credential_rejected");
        assert_eq!((answer.status.as_u16(), answer.header("x-auth-source")), (502, Some("gateway")));
        assert_eq!(rotated.shown(), ["Bearer old", "Bearer new"]);
        let rejected = "searchgate_reauth_attempts_total{provider=\"gateway\",outcome=\"retry_rejected\"} 1\n";
        assert!(rotated.metrics().contains(rejected));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn t11_a_403_is_passed_and_nothing_is_renewed() {
    on_one_thread(async {
        let rotated = Rotated::new(Upstream::always(Reply::json(403, "{}")), |_| ());
        assert_eq!(rotated.gateway.send(bulk(bytes(2 * MB))).await.status, 403);
        assert_eq!(rotated.gateway.send(bulk(bytes(2))).await.status, 403);
        assert_eq!(rotated.shown(), ["Bearer old", "Bearer old"]);
        assert_eq!(rotated.held(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_401_that_is_not_about_the_credential_renews_nothing() {
    on_one_thread(async {
        let missing = r#"{"error":{"type":"security_exception","reason":"missing authentication credentials for REST request [/]"},"status":401}"#;
        let rotated = Rotated::new(Upstream::always(Reply::json(401, missing)), |_| ());
        let answer = rotated.gateway.send(bulk(bytes(2 * MB))).await;
        assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (502, None));
        assert_eq!(rotated.shown(), ["Bearer old"]);
        assert!(rotated.metrics().contains("searchgate_upstream_401_total{class=\"header_lost\"} 1\n"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_leaves_before_the_request_is_sent_again_leaves_nothing_behind() {
    on_one_thread(async {
        let rotated = Rotated::new(Upstream::always(Reply::Stall(401, "half a ref")), |_| ());
        let mut sender = http1(rotated.gateway.connect()).await;
        let answer = tokio::task::spawn_local(sender.send_request(bulk(bytes(20_000))));
        settle().await;
        assert_eq!((rotated.held(), rotated.upstream.open()), (20_000, 1));
        answer.abort();
        drop(sender);
        settle().await;
        assert_eq!((rotated.held(), rotated.upstream.open()), (0, 0));
        assert_eq!(rotated.gateway.events().await[0]["http.response.status_code"], 499);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_breaks_off_is_mended_all_the_same() {
    on_one_thread(async {
        let rotated = script([Reply::Stall(401, "half a ref"), Reply::status(200)]);
        let mut sender = http1(rotated.gateway.connect()).await;
        let answer = tokio::task::spawn_local(sender.send_request(bulk(bytes(200))));
        settle().await;
        rotated.upstream.hang_up();
        assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn both_attempts_share_the_time_of_one() {
    on_one_thread(async {
        let after = |seconds, reply| Reply::After(Duration::from_secs(seconds), Box::new(reply));
        for body in [0, 200] {
            let rotated = script([after(200, Reply::status(401)), after(200, Reply::status(200))]);
            let began = tokio::time::Instant::now();
            assert_eq!(rotated.gateway.send(bulk(bytes(body))).await.status, 504);
            assert_eq!(began.elapsed().as_secs(), 300);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_second_attempt_may_go_to_another_node() {
    on_one_thread(async {
        let upstream = Upstream::script([Reply::status(401), Reply::status(200)]);
        let rotated = Rotated::new(upstream, |config| {
            config.upstream.hosts =
                vec![1, 2].into_iter().map(|port| HostUrl { tls: false, host: "node".into(), port }).collect();
        });
        assert_eq!(rotated.gateway.send(bulk(bytes(2 * MB))).await.status, 200);
        let hosts: Vec<_> = rotated.upstream.seen().iter().map(|seen| seen.host).collect();
        assert_eq!(hosts, [0, 1]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn items_of_an_answer_are_nobodys_refusal() {
    on_one_thread(async {
        let items = r#"{"errors":true,"items":[{"index":{"status":401,"error":{"type":"security_exception"}}}]}"#;
        let rotated = Rotated::new(Upstream::always(Reply::json(200, items)), |_| ());
        let answer = rotated.gateway.send(bulk(bytes(200))).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, items));
        assert_eq!(rotated.shown(), ["Bearer old"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn t24_an_answer_or_an_upload_in_progress_is_not_cut_when_the_credential_changes() {
    on_one_thread(async {
        let rotated = script([Reply::Pieces(vec!["a", "b"], vec![]), Reply::status(201)]);
        let mut sender = http1(rotated.gateway.connect()).await;
        let (feed, body) = fed();
        drop(feed);
        let answer = sender.send_request(feeding(Method::GET, "/big", &[], body)).await.unwrap();
        rotated.gateway.built.credentials.renew();
        assert_eq!(Answer::of(answer).await.unwrap().text(), "ab");

        let (feed, body) = fed();
        let answer = tokio::task::spawn_local(sender.send_request(feeding(Method::POST, "/_bulk", &[], body)));
        feed.send(piece("{}\n")).await.unwrap();
        settle().await;
        rotated.gateway.built.credentials.renew();
        feed.send(piece("{}\n")).await.unwrap();
        drop(feed);
        assert_eq!(answer.await.unwrap().unwrap().status(), 201);
        assert_eq!(rotated.upstream.seen()[1].body, "{}\n{}\n");
    })
    .await;
}

const EXPIRED: &str = r#"{"error":{"type":"security_exception","reason":"token expired"},"status":401}"#;
