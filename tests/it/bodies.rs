//! Bodies: streamed both ways under back-pressure, whatever their framing, and given up when nobody wants them.

use std::time::Duration;

use http::{HeaderMap, Method};
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use crate::support::{
    client::{Answer, fed, feeding, http1, piece, raw, request, with_body},
    gateway::Gateway,
    on_one_thread, settle,
    upstream::{Reply, Upstream},
};

/// What has arrived by now.
async fn arrived(pipe: &mut DuplexStream) -> String {
    settle().await;
    let mut bytes = vec![0; 64 * 1024];
    let read = tokio::time::timeout(Duration::from_millis(1), pipe.read(&mut bytes)).await;
    let count = read.unwrap_or(Ok(0)).unwrap_or(0);
    String::from_utf8(bytes[..count].to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_stalls_the_cluster() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::Endless);
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let mut sender = http1(gateway.connect()).await;
        let mut answer = sender.send_request(request(Method::GET, "/big", &[])).await.unwrap();
        settle().await;
        let stalled = upstream.produced();
        assert!(stalled < 1 << 20, "{stalled} bytes in flight");
        settle().await;
        assert_eq!(upstream.produced(), stalled);
        let mut taken = 0;
        while taken < 4 << 20 {
            taken += answer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap().len();
        }
        settle().await;
        assert!(upstream.produced() < taken + (1 << 20));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_does_not_read_stalls_the_upload_and_is_a_504_in_its_time() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::Ignore);
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let mut sender = http1(gateway.connect()).await;
        let (feed, body) = fed();
        let answer = tokio::task::spawn_local(sender.send_request(feeding(Method::POST, "/_bulk", &[], body)));
        let chunk = || Frame::data(vec![b'.'; 64 * 1024].into());
        let mut taken = 0;
        while tokio::time::timeout(Duration::from_secs(1), feed.send(chunk())).await.is_ok() {
            taken += 64 * 1024;
            assert!(taken < 4 << 20, "{taken} bytes in flight");
        }
        assert_eq!(answer.await.unwrap().unwrap().status(), 504);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_moves_is_not_cut_by_the_request_timeout() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(201));
        let gateway = Gateway::sidecar(&upstream, |config| config.upstream.request_timeout = Duration::from_secs(10));
        let mut sender = http1(gateway.connect()).await;
        let (feed, body) = fed();
        let answer = tokio::task::spawn_local(sender.send_request(feeding(Method::POST, "/_bulk", &[], body)));
        for _ in 0..10 {
            feed.send(piece("{}\n")).await.unwrap();
            tokio::time::sleep(Duration::from_secs(25)).await;
        }
        drop(feed);
        assert_eq!(answer.await.unwrap().unwrap().status(), 201);
        assert_eq!(upstream.seen()[0].body.len(), 30);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_request_timeout_runs_from_the_end_of_the_upload() {
    on_one_thread(async {
        let late = Reply::After(Duration::from_hours(1), Box::new(Reply::status(200)));
        let gateway = Gateway::sidecar(&Upstream::always(late), |_| ());
        let mut sender = http1(gateway.connect()).await;
        let (feed, body) = fed();
        let answer = tokio::task::spawn_local(sender.send_request(feeding(Method::POST, "/_bulk", &[], body)));
        feed.send(piece("{}\n")).await.unwrap();
        tokio::time::sleep(Duration::from_mins(1)).await;
        drop(feed);
        let ended = tokio::time::Instant::now();
        assert_eq!(answer.await.unwrap().unwrap().status(), 504);
        assert_eq!(ended.elapsed().as_secs(), 300);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_chunked_body_of_a_get_arrives() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::json(200, "{}"));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let sent = "GET /logs/_search HTTP/1.1\r\nHost: gate.test\r\nTransfer-Encoding: chunked\r\n\r\n\
                    9\r\n{\"size\":1\r\n1\r\n}\r\n0\r\n\r\n";
        let answer = raw(gateway.connect(), sent.as_bytes()).await;
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
        assert_eq!(upstream.seen()[0].body, r#"{"size":1}"#);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn trailers_of_a_request_arrive() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let (feed, body) = fed();
        let mut sender = http1(gateway.connect()).await;
        let sent = sender.send_request(feeding(Method::POST, "/_bulk", &[("trailer", "x-checksum")], body));
        let answer = tokio::task::spawn_local(sent);
        feed.send(piece("{}\n")).await.unwrap();
        feed.send(Frame::trailers(HeaderMap::from_iter([("x-checksum".parse().unwrap(), "7".parse().unwrap())])))
            .await
            .unwrap();
        drop(feed);
        assert_eq!(answer.await.unwrap().unwrap().status(), 200);
        assert_eq!(upstream.seen()[0].trailers.as_ref().unwrap()["x-checksum"], "7");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_trailer_of_a_client_names_an_identity() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let sent = "POST /_bulk HTTP/1.1\r\nHost: gate.test\r\nTransfer-Encoding: chunked\r\n\
                    Trailer: es-security-runas-user\r\n\r\n\
                    1\r\n.\r\n0\r\nes-security-runas-user: elastic\r\n\r\n";
        let answer = raw(gateway.connect(), sent.as_bytes()).await;
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
        let wire = String::from_utf8(upstream.wire()).unwrap().to_lowercase();
        assert!(!wire.contains("runas"), "{wire}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn trailers_of_an_answer_arrive_where_the_client_takes_them() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::Pieces(vec!["a", "b"], vec![("x-checksum", "7")]));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let answer = gateway.send(request(Method::GET, "/a", &[("te", "trailers"), ("connection", "te")])).await;
        assert_eq!(answer.text(), "ab");
        assert_eq!(answer.trailers.unwrap()["x-checksum"], "7");
        assert_eq!(gateway.send(request(Method::GET, "/a", &[])).await.trailers, None);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_head_tells_the_length_and_sends_nothing() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::json(200, r#"{"a":1}"#));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let mut client = gateway.client().await;
        for _ in 0..2 {
            let answer = client.send(request(Method::HEAD, "/logs", &[])).await.unwrap();
            assert_eq!((answer.status.as_u16(), answer.header("content-length")), (200, Some("7")));
            assert!(answer.body.is_empty());
        }
        assert_eq!((upstream.connections(), &upstream.seen()[1].method), (1, &Method::HEAD));
        assert_eq!(gateway.events().await[0]["http.response.status_code"], 200);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn answers_without_a_body_end_with_their_head() {
    on_one_thread(async {
        let not_modified = Reply::status(304).header("etag", "\"7\"");
        let upstream = Upstream::script([Reply::status(204), not_modified, Reply::json(200, "{}")]);
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let mut client = gateway.client().await;
        let empty = client.send(request(Method::DELETE, "/a", &[])).await.unwrap();
        assert_eq!((empty.status.as_u16(), empty.body.len()), (204, 0));
        let same = client.send(request(Method::GET, "/a", &[])).await.unwrap();
        assert_eq!((same.status.as_u16(), same.header("etag")), (304, Some("\"7\"")));
        assert_eq!(client.send(request(Method::GET, "/a", &[])).await.unwrap().text(), "{}");
        assert_eq!(upstream.connections(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_is_told_to_continue_and_then_sends_its_body() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(201));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let mut pipe = gateway.connect();
        let head = "POST /_bulk HTTP/1.1\r\nHost: gate.test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
        pipe.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(arrived(&mut pipe).await, "HTTP/1.1 100 Continue\r\n\r\n");
        pipe.write_all(b"{}\n").await.unwrap();
        assert!(arrived(&mut pipe).await.starts_with("HTTP/1.1 201"));
        assert!(!upstream.seen()[0].headers.contains_key("expect"));
        assert_eq!(upstream.seen()[0].body, "{}\n");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_is_not_told_to_continue() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(201));
        let head = "POST /_bulk HTTP/1.1\r\nHost: gate.test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
        let gate = Gateway::spawn(&upstream);
        assert!(raw(gate.connect(), head.as_bytes()).await.starts_with(b"HTTP/1.1 401"));
        let sidecar = Gateway::sidecar(&upstream, |_| ());
        upstream.take_down(0);
        assert!(raw(sidecar.connect(), head.as_bytes()).await.starts_with(b"HTTP/1.1 502"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_reaches_a_client_that_sends_all_before_it_reads() {
    on_one_thread(async {
        let gateway = Gateway::spawn(&Upstream::always(Reply::status(200)));
        let mut pipe = gateway.connect();
        for _ in 0..2 {
            let head = "POST /_bulk HTTP/1.1\r\nHost: gate.test\r\nContent-Length: 4194304\r\n\r\n";
            pipe.write_all(head.as_bytes()).await.unwrap();
            pipe.write_all(&vec![b'.'; 4 << 20]).await.unwrap();
            assert!(arrived(&mut pipe).await.starts_with("HTTP/1.1 401"));
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
        assert_eq!(gateway.ended(), 0, "the connection goes on");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_was_refused_does_not_send_for_ever() {
    on_one_thread(async {
        let gateway = Gateway::spawn(&Upstream::always(Reply::status(200)));
        let mut pipe = gateway.connect();
        let head = "POST /_bulk HTTP/1.1\r\nHost: gate.test\r\nTransfer-Encoding: chunked\r\n\r\n";
        pipe.write_all(head.as_bytes()).await.unwrap();
        let began = tokio::time::Instant::now();
        while pipe.write_all(b"1\r\n.\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(began.elapsed().as_secs() < 10);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_come_before_the_body_has_ended() {
    on_one_thread(async {
        let gateway = Gateway::sidecar(&Upstream::always(Reply::Early(429)), |_| ());
        let mut sender = http1(gateway.connect()).await;
        let (feed, body) = fed();
        let answer = tokio::task::spawn_local(sender.send_request(feeding(Method::POST, "/_bulk", &[], body)));
        feed.send(piece("{}\n")).await.unwrap();
        let answer = Answer::of(answer.await.unwrap().unwrap()).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.text()), (429, "early"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_ends_a_large_upload_arrives() {
    on_one_thread(async {
        let upstream = Upstream::script([Reply::Early(413), Reply::json(200, "{}")]);
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let body = "0123456789abcdef".repeat(512 * 1024);
        let mut sender = http1(gateway.connect()).await;
        let answer = sender.send_request(with_body(Method::POST, "/_bulk", &[], &body)).await.unwrap();
        assert_eq!(answer.status(), 413);
        assert_eq!(answer.headers().get("x-auth-source"), None);
        settle().await;
        assert_eq!(gateway.send(request(Method::GET, "/", &[])).await.text(), "{}", "and nothing is left of it");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn pipelined_requests_are_answered_in_order() {
    on_one_thread(async {
        let late = Reply::After(Duration::from_secs(1), Box::new(Reply::json(200, "first")));
        let gateway = Gateway::sidecar(&Upstream::script([late, Reply::json(200, "second")]), |_| ());
        let mut pipe = gateway.connect();
        let asked = "GET /a HTTP/1.1\r\nHost: gate.test\r\n\r\n";
        pipe.write_all([asked, asked].concat().as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let answers = arrived(&mut pipe).await;
        assert!(answers.find("first").unwrap() < answers.find("second").unwrap(), "{answers}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_the_cluster_works_cancels_its_work() {
    on_one_thread(async {
        let late = Reply::After(Duration::from_hours(1), Box::new(Reply::status(200)));
        let upstream = Upstream::always(late);
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let mut pipe = gateway.connect();
        pipe.write_all(b"GET /slow HTTP/1.1\r\nHost: gate.test\r\n\r\n").await.unwrap();
        settle().await;
        assert_eq!((upstream.seen().len(), upstream.open()), (1, 1));
        drop(pipe);
        settle().await;
        assert_eq!(upstream.open(), 0);
        let events = gateway.events().await;
        assert_eq!((&events[0]["http.response.status_code"], events.len()), (&499.into(), 1), "{events:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_leaves_in_a_download_cancels_it() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::Stall(200, "part"));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let mut sender = http1(gateway.connect()).await;
        let answer = sender.send_request(request(Method::GET, "/big", &[])).await.unwrap();
        settle().await;
        assert_eq!(upstream.open(), 1);
        drop((answer, sender));
        settle().await;
        assert_eq!(upstream.open(), 0);
        let events = gateway.events().await;
        assert_eq!(events.len(), 1, "{events:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_leaves_in_an_upload_leaves_nothing_whole_behind() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let mut pipe = gateway.connect();
        pipe.write_all(b"POST /_bulk HTTP/1.1\r\nHost: gate.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n")
            .await
            .unwrap();
        settle().await;
        assert_eq!(upstream.open(), 1);
        drop(pipe);
        settle().await;
        assert_eq!((upstream.seen().len(), upstream.open()), (0, 0));
        assert!(!upstream.wire().ends_with(b"0\r\n\r\n"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_download_that_breaks_off_does_not_look_whole() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::Stall(200, "part"));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let mut sender = http1(gateway.connect()).await;
        let answer = sender.send_request(request(Method::GET, "/big", &[])).await.unwrap();
        settle().await;
        upstream.hang_up();
        assert!(answer.into_body().collect().await.is_err());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_body_of_many_megabytes_goes_through_unchanged() {
    on_one_thread(async {
        let body = "0123456789abcdef".repeat(512 * 1024);
        let upstream = Upstream::always(Reply::json(200, &body));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let answer = gateway.send(with_body(Method::POST, "/_bulk", &[], &body)).await;
        assert!(answer.body == body);
        assert!(upstream.seen()[0].body == body);
        assert_eq!(upstream.seen()[0].headers["content-length"], body.len().to_string());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_http_1_0_client_gets_an_answer_that_ends_with_the_connection() {
    on_one_thread(async {
        let gateway = Gateway::sidecar(&Upstream::always(Reply::Pieces(vec!["a", "b"], vec![])), |_| ());
        let answer = raw(gateway.connect(), b"GET /a HTTP/1.0\r\nHost: gate.test\r\n\r\n").await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.0 200") && answer.ends_with("\r\n\r\nab"), "{answer}");
    })
    .await;
}
