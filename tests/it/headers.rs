//! Headers that cross the gateway, and those that must not.

use http::Method;
use searchgate::listener::peer::Peer;

use crate::support::{
    client::{Client, request},
    gateway::Gateway,
    on_one_thread,
    upstream::{Reply, Seen, Upstream},
};

/// What the cluster sees of a request with these headers, through a sidecar.
async fn forwarded(headers: &[(&str, &str)]) -> Seen {
    let upstream = Upstream::always(Reply::status(200));
    let gateway = Gateway::sidecar(&upstream, |_| ());
    assert_eq!(gateway.send(request(Method::GET, "/logs/_search", headers)).await.status, 200);
    upstream.seen().remove(0)
}

#[tokio::test(start_paused = true)]
async fn hop_by_hop_headers_of_a_request_end_here() {
    on_one_thread(async {
        let seen = forwarded(&[
            ("connection", "keep-alive, x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic eDp5"),
            ("te", "gzip"),
            ("x-stays", "1"),
        ])
        .await;
        let mut names: Vec<_> = seen.headers.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["host", "x-forwarded-for", "x-stays"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn hop_by_hop_headers_of_an_answer_end_here() {
    on_one_thread(async {
        let reply = Reply::json(200, "{}")
            .header("connection", "x-hop")
            .header("x-hop", "1")
            .header("keep-alive", "timeout=5")
            .header("upgrade", "h2c")
            .header("warning", "299 - \"stays\"");
        let gateway = Gateway::sidecar(&Upstream::always(reply), |_| ());
        let answer = gateway.send(request(Method::GET, "/", &[])).await;
        for name in ["connection", "x-hop", "keep-alive", "upgrade"] {
            assert_eq!(answer.header(name), None, "{name}");
        }
        assert_eq!(answer.header("warning"), Some("299 - \"stays\""));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_header_of_a_client_names_an_identity() {
    on_one_thread(async {
        for name in [
            "authorization",
            "es-security-runas-user",
            "es-secondary-authorization",
            "es-client-authentication",
            "x-client-authentication",
            "x-proxy-user",
            "x-proxy-roles",
            "x-proxy-ext-department",
            "x-forwarded-user",
            "opendistro_security_impersonate_as",
            "_opendistro_security_user",
        ] {
            assert!(!forwarded(&[(name, "elastic")]).await.headers.contains_key(name), "{name}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn forwarding_headers_of_a_stranger_are_not_believed() {
    on_one_thread(async {
        let seen = forwarded(&[
            ("x-forwarded-for", "203.0.113.1"),
            ("x-forwarded-host", "evil.example"),
            ("forwarded", "for=203.0.113.1"),
            ("x-original-uri", "/"),
            ("x-original-method", "GET"),
        ])
        .await;
        assert_eq!(seen.headers["x-forwarded-for"], "192.0.2.7");
        for name in ["x-forwarded-host", "forwarded", "x-original-uri", "x-original-method"] {
            assert!(!seen.headers.contains_key(name), "{name}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn forwarding_headers_of_a_trusted_proxy_are_kept_and_its_address_added() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::sidecar(&upstream, |config| {
            config.listeners[0].trusted_proxies = vec!["192.0.2.0/24".parse().unwrap()];
        });
        let told = [
            ("x-forwarded-for", "203.0.113.1"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=203.0.113.1"),
            ("x-original-uri", "/x"),
        ];
        gateway.send(request(Method::GET, "/", &told)).await;
        let seen = upstream.seen().remove(0);
        assert_eq!(seen.headers["x-forwarded-for"], "203.0.113.1, 192.0.2.7");
        for (name, value) in &told[1..] {
            assert_eq!(seen.headers[*name], value);
        }
        assert_eq!(gateway.events().await[0]["client.ip"], "203.0.113.1");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_has_no_address_is_forwarded_for_nobody() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::sidecar(&upstream, |_| ());
        let mut client = Client::over(gateway.connect_from(Peer::unknown())).await;
        client.send(request(Method::GET, "/", &[("x-forwarded-for", "203.0.113.1")])).await.unwrap();
        assert!(!upstream.seen()[0].headers.contains_key("x-forwarded-for"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn ids_of_the_caller_are_kept() {
    on_one_thread(async {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let seen = forwarded(&[("x-opaque-id", "o1"), ("traceparent", trace), ("tracestate", "a=b")]).await;
        assert_eq!(
            (&seen.headers["x-opaque-id"], &seen.headers["traceparent"]),
            (&"o1".parse().unwrap(), &trace.parse().unwrap())
        );
        assert_eq!(seen.headers["tracestate"], "a=b");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_echoes_the_opaque_id() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::spawn(&upstream);
        for (method, target, status) in [(Method::GET, "/", 401), (Method::TRACE, "/", 405), (Method::GET, "//", 400)] {
            let answer = gateway.send(request(method, target, &[("x-opaque-id", "o1")])).await;
            assert_eq!((answer.status.as_u16(), answer.header("x-opaque-id")), (status, Some("o1")));
            assert_eq!(answer.header("x-auth-source"), Some("gateway"));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_cluster_is_marked_as_its_own() {
    on_one_thread(async {
        for status in [401, 403] {
            let reply = Reply::json(status, "{}").header("www-authenticate", "Basic realm=\"cluster\"");
            let gateway = Gateway::sidecar(&Upstream::always(reply), |_| ());
            let answer = gateway.send(request(Method::GET, "/", &[])).await;
            assert_eq!((answer.status.as_u16(), answer.header("x-auth-source")), (status, Some("upstream")));
            assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"cluster\""));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_cluster_cannot_speak_for_the_gateway() {
    on_one_thread(async {
        for (status, source) in [(200, None), (401, Some("upstream")), (403, Some("upstream")), (503, None)] {
            let reply =
                Reply::json(status, "{}").header("x-auth-source", "gateway").header("x-auth-reason", "key_expired");
            let gateway = Gateway::sidecar(&Upstream::always(reply), |_| ());
            let answer = gateway.send(request(Method::GET, "/", &[])).await;
            assert_eq!((answer.status.as_u16(), answer.header("x-auth-source")), (status, source));
            assert_eq!(answer.header("x-auth-reason"), None);
        }
    })
    .await;
}
