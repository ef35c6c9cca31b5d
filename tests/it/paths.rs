//! Paths: what the cluster could read in another way is refused, all else is forwarded byte for byte.

use http::Method;

use crate::support::{
    client::{raw, request},
    gateway::Gateway,
    on_one_thread,
    upstream::{Reply, Upstream},
};

/// Sends `GET target` as it is and tells the status.
async fn status(gateway: &Gateway, method: &str, target: &[u8], headers: &str) -> u16 {
    let mut sent = format!("{method} ").into_bytes();
    sent.extend_from_slice(target);
    sent.extend_from_slice(format!(" HTTP/1.1\r\nHost: gate.test\r\n{headers}\r\n").as_bytes());
    let answer = raw(gateway.connect(), &sent).await;
    std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_ambiguous_target_is_a_400_and_reaches_nobody() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let targets: &[&[u8]] = &[
            b"http://cluster:9200/_search",
            b"*",
            b"logs/_search",
            b"/caf\xe9",
            b"/caf\xc3\xa9",
            b"/a?q=\xe9",
            b"/a\x01b",
            b"/a\x7fb",
            b"/a b",
            b"/a%",
            b"/a%2",
            b"/a%zz",
            b"/a?q=%g1",
            b"/a%ff",
            b"/a%c3%28",
            b"/a%00",
            b"/a%0d%0aX:%20y",
            b"/a?q=%00",
            b"//",
            b"//a",
            b"/a//b",
            b"/a//",
            b"/.",
            b"/..",
            b"/a/./b",
            b"/a/../_security/user",
            b"/a/%2e%2e/_security/user",
            b"/a/%2e/b",
            b"/a/.%2E",
            b"/%5fsecurity/user",
            b"/_securit%79",
            b"/%5Fgateway/auth",
            b"/%5f%67ateway",
        ];
        for target in targets {
            assert_eq!(status(&gateway, "GET", target, "").await, 400, "{}", target.escape_ascii());
        }
        assert!(upstream.wire().is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_plain_target_is_forwarded_byte_for_byte() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let targets = [
            "/",
            "/?pretty",
            "/logs/_doc/a%2Fb",
            "/logs/_doc/a%2fb/",
            "/%3Clogs-%7Bnow%2Fd%7D%3E/_search",
            "/%5fall/_count",
            "/a%2Cb,c/_search",
            "/a%25/_doc/%41",
            "/logs/_security",
            "/_securityx",
            "/_Security",
            "/logs/_search?q=a+b;size=1&q=%2B&&x=%0A",
            "/a'b\"(c)*[d]|^{}~!$@:",
        ];
        for target in targets {
            assert_eq!(status(&gateway, "GET", target.as_bytes(), "").await, 200, "{target}");
        }
        let wire = String::from_utf8(upstream.wire()).unwrap();
        let lines: Vec<_> =
            wire.lines().filter_map(|line| line.strip_prefix("GET ")?.strip_suffix(" HTTP/1.1")).collect();
        assert_eq!(lines, targets);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn reserved_paths_never_reach_the_cluster_whatever_the_shape() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gate = Gateway::spawn(&upstream);
        let sidecar = Gateway::sidecar(&upstream, |_| ());
        let key = gate.superuser().await;
        for target in
            ["/_security", "/_security/", "/_security/user/x", "/_security?a=b", "/_gateway", "/_gateway/auth"]
        {
            for method in ["GET", "HEAD", "PUT", "OPTIONS", "PATCH"] {
                status(&gate, method, target.as_bytes(), &format!("Authorization: {key}\r\n")).await;
                let refused = status(&sidecar, method, target.as_bytes(), "").await;
                assert!(method == "OPTIONS" || refused == 401, "{method} {target} is {refused}");
            }
        }
        assert!(upstream.wire().is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn tunnels_and_echoes_are_not_allowed() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        assert_eq!(status(&gateway, "CONNECT", b"cluster:9200", "").await, 405);
        assert_eq!(status(&gateway, "TRACE", b"/", "").await, 405);
        assert!(upstream.wire().is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_is_never_forwarded() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        for protocol in ["websocket", "h2c"] {
            let headers =
                format!("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\nHTTP2-Settings: AAMAAABk\r\n");
            assert_eq!(status(&gateway, "GET", b"/", &headers).await, 200);
        }
        let wire = String::from_utf8(upstream.wire()).unwrap().to_lowercase();
        assert!(!wire.contains("upgrade") && !wire.contains("http2-settings"), "{wire}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_switches_protocols_unasked_is_a_502() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(101).header("upgrade", "x").header("connection", "upgrade"));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let headers = "Connection: Upgrade\r\nUpgrade: x\r\n";
        assert_eq!(status(&gateway, "GET", b"/", headers).await, 502);
        assert_eq!(upstream.open(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn options_needs_no_credentials_and_goes_without_any() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200).header("allow", "GET"));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "service-token").unwrap();
        let gateway = Gateway::with(&upstream, |config| {
            config.upstream.credential = searchgate::config::Credential::Bearer { token_file: file.path().into() };
        });
        let key = gateway.superuser().await;
        let answer = gateway.send(request(Method::OPTIONS, "/logs", &[("authorization", &key)])).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (200, Some("GET")));
        assert!(!upstream.seen()[0].headers.contains_key("authorization"));
        assert_eq!(status(&gateway, "OPTIONS", b"*", "").await, 200);
        assert_eq!(upstream.seen()[1].target, "*");
    })
    .await;
}
