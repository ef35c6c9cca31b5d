//! HTTP/2 from clients: by prior knowledge and by ALPN.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body::Frame;
use http_body_util::Full;
use hyper::client::conn::http2::SendRequest;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use searchgate::{
    config::{ClientAuthentication, ListenerSsl, Shape, TlsVersion},
    listener::development,
};

use crate::support::{
    client::{Answer, Fed, fed, http2, piece},
    gateway::Gateway,
    on_one_thread, settle,
    upstream::{Reply, Upstream},
};

/// A request as an HTTP/2 client writes it: the host is part of the target.
fn asked(method: Method, target: &str, body: &str) -> Request<Full<Bytes>> {
    let uri = format!("http://gate.test{target}");
    Request::builder().method(method).uri(uri).body(Full::new(Bytes::from(body.to_owned()))).unwrap()
}

async fn client(gateway: &Gateway) -> SendRequest<Full<Bytes>> {
    http2(gateway.connect()).await.0
}

async fn sent(client: &mut SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> Answer {
    Answer::of(client.send_request(request).await.unwrap()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn prior_knowledge_is_enough() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::json(200, "{}"));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let answer = sent(&mut client(&gateway).await, asked(Method::POST, "/logs/_search?a=b", r#"{"size":1}"#)).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "{}"));
        let seen = upstream.seen().remove(0);
        assert_eq!((seen.target.as_str(), &*seen.body), ("/logs/_search?a=b", &br#"{"size":1}"#[..]));
        assert_eq!(seen.headers["host"], "127.0.0.1:9201");
        assert!(String::from_utf8(upstream.wire()).unwrap().starts_with("POST /logs/_search?a=b HTTP/1.1\r\n"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_authority_is_the_host_of_a_sidecar() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::with(&upstream, |config| config.listeners[0].shape = Shape::Sidecar);
        let mut client = client(&gateway).await;
        assert_eq!(sent(&mut client, asked(Method::GET, "/", "")).await.status, 421);
        let local = Request::get("http://localhost:9200/").body(Full::default()).unwrap();
        assert_eq!(sent(&mut client, local).await.status, 200);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn streams_do_not_wait_for_each_other() {
    on_one_thread(async {
        let late = Reply::After(Duration::from_mins(1), Box::new(Reply::json(200, "late")));
        let upstream = Upstream::script([late, Reply::json(200, "soon")]);
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let mut client = client(&gateway).await;
        let first = client.send_request(asked(Method::GET, "/a", ""));
        let first = tokio::task::spawn_local(async move { Answer::of(first.await.unwrap()).await.unwrap() });
        settle().await;
        assert_eq!(sent(&mut client, asked(Method::GET, "/b", "")).await.text(), "soon");
        assert!(!first.is_finished());
        assert_eq!(first.await.unwrap().text(), "late");
        assert_eq!(upstream.connections(), 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn large_bodies_go_both_ways() {
    on_one_thread(async {
        let body = "0123456789abcdef".repeat(128 * 1024);
        let upstream = Upstream::always(Reply::json(200, &body));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let answer = sent(&mut client(&gateway).await, asked(Method::POST, "/_bulk", &body)).await;
        assert!(answer.body == body && upstream.seen()[0].body == body);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_stalls_the_cluster() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::Endless);
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let answer = client(&gateway).await.send_request(asked(Method::GET, "/big", "")).await.unwrap();
        settle().await;
        let stalled = upstream.produced();
        // The client opens a window of 2 MB.
        assert!(stalled < 3 << 20, "{stalled} bytes in flight");
        settle().await;
        assert_eq!(upstream.produced(), stalled);
        drop(answer);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_is_cut_and_so_is_the_cluster_behind_it() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::Endless);
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let _answer = client(&gateway).await.send_request(asked(Method::GET, "/big", "")).await.unwrap();
        tokio::time::sleep(Duration::from_secs(74)).await;
        assert_eq!((gateway.ended(), upstream.open()), (0, 1));
        tokio::time::sleep(Duration::from_secs(80)).await;
        assert_eq!((gateway.ended(), upstream.open()), (1, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_waits_for_the_cluster_may_take_its_time() {
    on_one_thread(async {
        let late = Reply::After(Duration::from_secs(290), Box::new(Reply::json(200, "late")));
        let gateway = Gateway::sidecar(&Upstream::always(late), |_| ());
        assert_eq!(sent(&mut client(&gateway).await, asked(Method::GET, "/", "")).await.text(), "late");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn trailers_go_both_ways() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::Pieces(vec!["a"], vec![("x-checksum", "7")]));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let (mut client, _) = http2::<_, Fed>(gateway.connect()).await;
        let (feed, body) = fed();
        let request = Request::post("http://gate.test/_bulk").header("te", "trailers").header("trailer", "x-sum");
        let answer = tokio::task::spawn_local(client.send_request(request.body(body).unwrap()));
        feed.send(piece("{}\n")).await.unwrap();
        let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "8".parse().unwrap())]);
        feed.send(Frame::trailers(trailers)).await.unwrap();
        drop(feed);
        let answer = Answer::of(answer.await.unwrap().unwrap()).await.unwrap();
        assert_eq!(answer.trailers.unwrap()["x-checksum"], "7");
        assert_eq!(upstream.seen()[0].trailers.as_ref().unwrap()["x-sum"], "8");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_reset_cancels_the_work_of_the_cluster() {
    on_one_thread(async {
        let upstream = Upstream::script([Reply::Stall(200, "part"), Reply::status(200)]);
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let mut client = client(&gateway).await;
        let answer = client.send_request(asked(Method::GET, "/big", "")).await.unwrap();
        settle().await;
        assert_eq!(upstream.open(), 1);
        drop(answer);
        settle().await;
        assert_eq!(upstream.open(), 0);
        assert_eq!(sent(&mut client, asked(Method::GET, "/", "")).await.status, 200, "the connection goes on");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_reset_before_its_answer_cancels_the_work_of_the_cluster() {
    on_one_thread(async {
        let late = Reply::After(Duration::from_hours(1), Box::new(Reply::status(200)));
        let upstream = Upstream::always(late);
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let mut client = client(&gateway).await;
        let waiting = tokio::task::spawn_local(client.send_request(asked(Method::GET, "/slow", "")));
        settle().await;
        assert_eq!(upstream.open(), 1);
        waiting.abort();
        settle().await;
        assert_eq!(upstream.open(), 0);
        let events = gateway.events().await;
        assert_eq!((&events[0]["http.response.status_code"], events.len()), (&499.into(), 1), "{events:?}");
        // What was reset holds neither its stream nor the connection.
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(gateway.ended(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_header_block_that_is_too_large_is_a_431() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let mut request = asked(Method::GET, "/", "");
        for number in 0..4 {
            let name = http::HeaderName::try_from(format!("x-filler-{number}")).unwrap();
            request.headers_mut().insert(name, "x".repeat(10_000).parse().unwrap());
        }
        let refused = client(&gateway).await.send_request(request).await;
        assert!(refused.map_or(true, |answer| answer.status() == 431));
        assert!(upstream.wire().is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_closed_in_its_time() {
    on_one_thread(async {
        let gateway = Gateway::sidecar(&Upstream::always(Reply::status(200)), |_| ());
        let mut client = client(&gateway).await;
        sent(&mut client, asked(Method::GET, "/", "")).await;
        tokio::time::sleep(Duration::from_secs(74)).await;
        assert_eq!(gateway.ended(), 0);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(gateway.ended(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_finishes_streams_and_takes_no_more() {
    on_one_thread(async {
        let late = Reply::After(Duration::from_secs(5), Box::new(Reply::json(200, "late")));
        let upstream = Upstream::always(late);
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let mut client = client(&gateway).await;
        let first = client.send_request(asked(Method::GET, "/a", ""));
        let first = tokio::task::spawn_local(async move { Answer::of(first.await.unwrap()).await.unwrap() });
        settle().await;
        gateway.draining.cancel();
        settle().await;
        assert!(client.send_request(asked(Method::GET, "/b", "")).await.is_err());
        assert_eq!(gateway.ended(), 0);
        assert_eq!(first.await.unwrap().text(), "late");
        settle().await;
        assert_eq!((gateway.ended(), upstream.seen().len()), (1, 1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_ends_at_once_in_a_drain() {
    on_one_thread(async {
        let gateway = Gateway::sidecar(&Upstream::always(Reply::status(200)), |_| ());
        let mut client = client(&gateway).await;
        sent(&mut client, asked(Method::GET, "/", "")).await;
        gateway.draining.cancel();
        settle().await;
        assert_eq!(gateway.ended(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn reserved_and_ambiguous_paths_are_the_same_as_over_http_1() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let mut client = client(&gateway).await;
        for (target, status) in [("/_security/user", 401), ("/%5fsecurity", 400), ("//a", 400), ("/a/../b", 400)] {
            assert_eq!(sent(&mut client, asked(Method::GET, target, "")).await.status, status, "{target}");
        }
        assert!(upstream.wire().is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn alpn_chooses_the_protocol() {
    on_one_thread(Box::pin(async {
        let folder = tempfile::tempdir().unwrap();
        let made = development::make(folder.path()).unwrap();
        let upstream = Upstream::always(Reply::json(200, "{}"));
        let gateway = Gateway::sidecar(&upstream, |config| {
            config.listeners[0].ssl = Some(ListenerSsl {
                certificates: vec![made.leaf.clone()],
                client_authentication: ClientAuthentication::None,
                certificate_authorities: Vec::new(),
                supported_protocols: vec![TlsVersion::V12, TlsVersion::V13],
            });
        });
        for (offered, chosen) in [(&["h2", "http/1.1"][..], "h2"), (&["http/1.1"], "http/1.1")] {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(&made.authority).unwrap()).unwrap();
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let mut config = rustls::ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
            let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
            let name = ServerName::try_from("localhost").unwrap();
            let stream = connector.connect(name, gateway.connect()).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(chosen.as_bytes()));
            if chosen == "h2" {
                let (mut client, _) = http2(stream).await;
                assert_eq!(sent(&mut client, asked(Method::GET, "/", "")).await.text(), "{}");
            }
        }
    }))
    .await;
}
