//! What the cluster is shown, in each shape, and what clients are told about it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Method, header};
use searchgate::{
    config::{Compatibility, Config, Credential, IdentityKind, Jwt, JwtAlgorithm, Shape},
    listener::peer::Peer,
    secret::SecretText,
};
use tempfile::NamedTempFile;

use crate::support::{
    client::{Client, request, with_body},
    gateway::Gateway,
    on_one_thread,
    upstream::{Reply, Upstream, node},
};

/// A file that holds `secret`.
fn file(secret: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), secret).unwrap();
    file
}

fn bearer(file: &NamedTempFile) -> impl FnOnce(&mut Config) {
    let credential = Credential::Bearer { token_file: file.path().into() };
    move |config| config.upstream.credential = credential
}

/// What the cluster was shown, request by request.
fn shown(upstream: &Upstream) -> Vec<String> {
    let shown =
        |seen: &crate::support::upstream::Seen| seen.headers[header::AUTHORIZATION].to_str().unwrap().to_owned();
    upstream.seen().iter().map(shown).collect()
}

#[tokio::test(start_paused = true)]
async fn a_sidecar_attaches_its_credential_and_asks_for_none() {
    on_one_thread(async {
        let file = file("s3cret\n");
        let path = || file.path().into();
        for (credential, expected) in [
            (Credential::ApiKey { api_key_file: path() }, "ApiKey s3cret"),
            (Credential::Basic { username: "gate".into(), password_file: path() }, "Basic Z2F0ZTpzM2NyZXQ="),
            (Credential::Bearer { token_file: path() }, "Bearer s3cret"),
        ] {
            let upstream = Upstream::always(Reply::status(200));
            let gateway = Gateway::sidecar(&upstream, |config| config.upstream.credential = credential);
            for headers in [&[][..], &[("authorization", "Basic ZXZpbDpldmls")]] {
                assert_eq!(gateway.send(request(Method::GET, "/", headers)).await.status, 200);
            }
            assert_eq!(shown(&upstream), [expected, expected]);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_listener_may_show_a_credential_of_its_own() {
    on_one_thread(async {
        let (common, own) = (file("common"), file("own"));
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::sidecar(&upstream, |config| {
            bearer(&common)(config);
            config.listeners[0].credential = Some(Credential::Bearer { token_file: own.path().into() });
        });
        gateway.send(request(Method::GET, "/", &[])).await;
        assert_eq!(shown(&upstream), ["Bearer own"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_web_page_does_not_speak_through_a_sidecar() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::with(&upstream, |config| config.listeners[0].shape = Shape::Sidecar);
        assert_eq!(gateway.send(request(Method::GET, "/", &[])).await.status, 421);
        let local = |headers: &[(&str, &str)]| {
            let mut asked = request(Method::GET, "/", headers);
            asked.headers_mut().insert("host", "localhost:9200".parse().unwrap());
            asked
        };
        assert_eq!(gateway.send(local(&[("origin", "null")])).await.status, 403);
        assert!(upstream.wire().is_empty());
        assert_eq!(gateway.send(local(&[])).await.status, 200);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_sidecar_on_a_unix_socket_takes_any_host() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::with(&upstream, |config| config.listeners[0].shape = Shape::Sidecar);
        let mut client = Client::over(gateway.connect_from(Peer::unknown())).await;
        assert_eq!(client.send(request(Method::GET, "/", &[])).await.unwrap().status, 200);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_changed_on_disk_is_read_again_and_the_request_sent_again() {
    on_one_thread(async {
        let file = file("old");
        let upstream = Upstream::script([Reply::status(200), Reply::status(401), Reply::json(200, "{}")]);
        let gateway = Gateway::sidecar(&upstream, bearer(&file));
        gateway.send(request(Method::GET, "/a", &[])).await;
        std::fs::write(file.path(), "new").unwrap();
        let answer = gateway.send(request(Method::GET, "/a?b", &[("x-opaque-id", "o1")])).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "{}"));
        assert_eq!(shown(&upstream), ["Bearer old", "Bearer old", "Bearer new"]);
        let seen = upstream.seen();
        assert_eq!(
            (seen[2].target.as_str(), &seen[2].headers["x-opaque-id"]),
            ("/a?b", &seen[1].headers["x-opaque-id"])
        );
        assert_eq!(gateway.events().await[1]["http.response.status_code"], 200);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_credential_of_the_gateway_is_a_502_that_says_so() {
    on_one_thread(async {
        let refusal = Reply::status(401).header("www-authenticate", "Basic realm=\"cluster\"");
        let file = file("same");
        let upstream = Upstream::always(refusal);
        let gateway = Gateway::sidecar(&upstream, bearer(&file));
        let answer = gateway.send(request(Method::GET, "/", &[])).await;
        assert_eq!(answer.status, 502);
        assert_eq!(answer.json()["error"]["type"], "upstream_credential_rejected");
        assert_eq!(answer.header("x-auth-source"), Some("gateway"));
        assert_eq!(answer.header("www-authenticate"), None);
        assert_eq!(upstream.seen().len(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn there_is_no_third_attempt() {
    on_one_thread(async {
        let file = file("old");
        let upstream = Upstream::always(Reply::status(401));
        let gateway = Gateway::sidecar(&upstream, bearer(&file));
        std::fs::write(file.path(), "new").unwrap();
        assert_eq!(gateway.send(request(Method::GET, "/", &[])).await.status, 502);
        assert_eq!(shown(&upstream), ["Bearer old", "Bearer new"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_cannot_be_read_is_a_503() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let missing = Credential::Bearer { token_file: "/nowhere/token".into() };
        let gateway = Gateway::sidecar(&upstream, |config| config.upstream.credential = missing);
        let answer = gateway.send(request(Method::GET, "/", &[])).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("1")));
        assert!(upstream.wire().is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_403_is_an_answer_whatever_the_credential() {
    on_one_thread(async {
        let file = file("same");
        let upstream = Upstream::always(Reply::json(403, "{}"));
        let gateway = Gateway::sidecar(&upstream, bearer(&file));
        let answer = gateway.send(request(Method::GET, "/", &[])).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-auth-source")), (403, Some("upstream")));
    })
    .await;
}

const CLOSED: &str =
    "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"security\"\r\nContent-Length: 0\r\n\r\n";
/// A cluster of neither kind.
const NAMELESS: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
const OPEN: &str = "HTTP/1.1 200 OK\r\nX-Elastic-Product: Elasticsearch\r\nContent-Length: 2\r\n\r\n{}";
const OPENSEARCH: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 59\r\n\r\n\
                          {\"version\":{\"distribution\":\"opensearch\",\"number\":\"2.19.4\"}}";

/// A gate that passes callers through to a cluster that answers probes like this.
async fn passing(upstream: &Upstream, probed: &'static str) -> Gateway {
    let host = node(probed).await;
    let gateway = Gateway::with(upstream, |config| {
        config.upstream.hosts = vec![host];
        config.upstream.credential = Credential::Passthrough;
    });
    gateway.probe().await;
    gateway
}

/// An API key in the form of one, unknown here.
const FOREIGN: &str = "ApiKey VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw==";

#[tokio::test]
async fn who_is_unknown_here_passes_through_with_credentials_and_all() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(401));
        let gateway = passing(&upstream, CLOSED).await;
        let asked = [("authorization", FOREIGN), ("es-security-runas-user", "u"), ("x-proxy-user", "admin")];
        let answer = gateway.send(request(Method::GET, "/_search", &asked)).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-auth-source")), (401, Some("upstream")));
        let seen = upstream.seen().remove(0);
        assert_eq!(
            (&seen.headers["authorization"], &seen.headers["es-security-runas-user"]),
            (&FOREIGN.parse().unwrap(), &"u".parse().unwrap())
        );
        assert!(!seen.headers.contains_key("x-proxy-user"));
    })
    .await;
}

#[tokio::test]
async fn who_is_known_here_goes_through_without_credentials() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = passing(&upstream, CLOSED).await;
        let key = gateway.superuser().await;
        assert_eq!(gateway.send(request(Method::GET, "/_search", &[("authorization", &key)])).await.status, 200);
        assert!(!upstream.seen()[0].headers.contains_key("authorization"));
    })
    .await;
}

#[tokio::test]
async fn nobody_passes_through_to_an_open_cluster() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = passing(&upstream, OPEN).await;
        for headers in [&[("authorization", FOREIGN)][..], &[]] {
            let answer = gateway.send(request(Method::GET, "/_search", headers)).await;
            assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("1")));
        }
        assert!(upstream.wire().is_empty());
    })
    .await;
}

#[tokio::test]
async fn one_open_host_is_enough_to_let_nobody_pass_through() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let hosts = vec![node(OPEN).await, node(CLOSED).await];
        let gateway = Gateway::with(&upstream, |config| {
            config.upstream.hosts = hosts;
            config.upstream.credential = Credential::Passthrough;
        });
        gateway.probe().await;
        assert_eq!(gateway.send(request(Method::GET, "/", &[("authorization", FOREIGN)])).await.status, 503);
        assert!(upstream.wire().is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn options_brings_no_bytes_of_a_stranger_to_the_cluster() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::spawn(&upstream);
        assert_eq!(gateway.send(with_body(Method::OPTIONS, "/logs", &[], "for nothing")).await.status, 200);
        let seen = upstream.seen().remove(0);
        assert!(seen.body.is_empty());
        assert!(!seen.headers.contains_key("content-length") && !seen.headers.contains_key("transfer-encoding"));
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_passes_through_does_not_reach_reserved_paths() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = passing(&upstream, CLOSED).await;
        for target in ["/_security/_authenticate", "/_gateway/auth"] {
            assert_eq!(gateway.send(request(Method::GET, target, &[("authorization", FOREIGN)])).await.status, 401);
        }
        assert!(upstream.wire().is_empty());
    })
    .await;
}

/// The headers of a request of `elastic`, where the cluster is told who calls.
async fn identified(kind: IdentityKind, probed: &'static str) -> http::HeaderMap {
    let upstream = Upstream::always(Reply::status(200));
    let host = node(probed).await;
    let gateway = Gateway::with(&upstream, |config| {
        config.upstream.hosts = vec![host];
        config.upstream.identity = kind;
    });
    gateway.probe().await;
    assert!(gateway.built.users.bootstrap(&SecretText::new("correct horse".to_owned())).await.unwrap());
    let asked = [("authorization", "Basic ZWxhc3RpYzpjb3JyZWN0IGhvcnNl"), ("x-proxy-roles", "all_access")];
    assert_eq!(gateway.send(request(Method::GET, "/", &asked)).await.status, 200);
    upstream.seen().remove(0).headers
}

#[tokio::test]
async fn elasticsearch_is_told_whom_to_run_as() {
    on_one_thread(async {
        let headers = identified(IdentityKind::RunAs, OPEN).await;
        assert_eq!(headers["es-security-runas-user"], "elastic");
        assert!(!headers.contains_key("opendistro_security_impersonate_as"));
    })
    .await;
}

#[tokio::test]
async fn opensearch_is_told_whom_to_impersonate() {
    on_one_thread(async {
        let headers = identified(IdentityKind::RunAs, OPENSEARCH).await;
        assert_eq!(headers["opendistro_security_impersonate_as"], "elastic");
        assert!(!headers.contains_key("es-security-runas-user"));
    })
    .await;
}

#[tokio::test]
async fn a_cluster_that_has_not_told_what_it_is_is_told_in_both_ways() {
    on_one_thread(async {
        let headers = identified(IdentityKind::RunAs, NAMELESS).await;
        assert_eq!(headers["opendistro_security_impersonate_as"], "elastic");
        assert_eq!(headers["es-security-runas-user"], "elastic");
    })
    .await;
}

#[tokio::test]
async fn proxy_authentication_is_told_name_roles_and_address() {
    on_one_thread(async {
        let headers = identified(IdentityKind::ProxyHeaders, OPENSEARCH).await;
        assert_eq!(headers["x-proxy-user"], "elastic");
        assert_eq!(headers["x-proxy-roles"], "superuser");
        assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
    })
    .await;
}

/// A signed identity, and the file of its secret.
fn signed() -> (NamedTempFile, IdentityKind) {
    let file = file("a-shared-secret-of-more-than-32-bytes");
    let kind = IdentityKind::Jwt(Jwt {
        key_file: file.path().into(),
        algorithm: JwtAlgorithm::Hs256,
        issuer: "gate".into(),
        audience: "cluster".into(),
        roles_claim: "groups".into(),
    });
    (file, kind)
}

#[tokio::test]
async fn a_token_tells_name_and_roles_in_place_of_what_the_caller_showed() {
    on_one_thread(async {
        let (_file, kind) = signed();
        let headers = identified(kind, OPENSEARCH).await;
        assert_eq!(headers.get_all("authorization").iter().count(), 1);
        let token = headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!((&claims["sub"], &claims["groups"]), (&"elastic".into(), &serde_json::json!(["superuser"])));
        assert!(!headers.contains_key("x-proxy-roles"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_refuses_the_gateways_signature_is_not_the_callers_fault() {
    on_one_thread(async {
        let (_file, kind) = signed();
        let upstream = Upstream::always(Reply::status(401));
        let gateway = Gateway::with(&upstream, |config| config.upstream.identity = kind);
        let key = gateway.superuser_named("sue").await;
        let answer = gateway.send(request(Method::GET, "/", &[("authorization", &key)])).await;
        assert_eq!(answer.status, 502);
        assert_eq!(answer.json()["error"]["type"], "upstream_credential_rejected");
        // Nobody was told of here: what is refused is the request alone.
        assert_eq!(gateway.send(request(Method::OPTIONS, "/", &[])).await.status, 401);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn public_keys_are_there_for_everybody_and_secrets_for_nobody() {
    on_one_thread(async {
        let (_file, shared) = signed();
        let key = file(&rcgen::KeyPair::generate().unwrap().serialize_pem());
        let IdentityKind::Jwt(jwt) = &shared else { unreachable!() };
        let public = Jwt { key_file: key.path().into(), algorithm: JwtAlgorithm::Es256, ..jwt.clone() };
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::with(&upstream, |config| {
            config.upstream.identity = shared.clone();
            config.listeners.push(config.listeners[0].clone());
            config.listeners[1].identity = Some(IdentityKind::Jwt(public));
        });
        let answer = gateway.send(request(Method::GET, "/_gateway/jwks", &[])).await;
        assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, Some("max-age=300")));
        let keys = answer.json()["keys"].as_array().unwrap().clone();
        assert_eq!((keys.len(), &keys[0]["kty"], &keys[0]["alg"]), (1, &"EC".into(), &"ES256".into()));
        let head = gateway.send(request(Method::HEAD, "/_gateway/jwks", &[])).await;
        assert_eq!((head.status.as_u16(), &*head.body), (200, &b""[..]));
        assert_eq!(head.header("content-length"), Some(&*answer.body.len().to_string()));
        let post = gateway.send(request(Method::POST, "/_gateway/jwks", &[])).await;
        assert_eq!((post.status.as_u16(), post.header("allow")), (405, Some("GET,HEAD")));

        // Where nobody signs there is nothing to see.
        let gateway = Gateway::spawn(&upstream);
        assert_eq!(gateway.send(request(Method::GET, "/_gateway/jwks", &[])).await.status, 401);
        assert!(upstream.wire().is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_whose_name_no_header_carries_does_not_go_on_in_the_gateways() {
    on_one_thread(async {
        for kind in [IdentityKind::RunAs, IdentityKind::ProxyHeaders] {
            let upstream = Upstream::always(Reply::status(200));
            let gateway = Gateway::with(&upstream, |config| config.upstream.identity = kind);
            for name in ["zoë", " elastic", "a\nb", ""] {
                let key = gateway.superuser_named(name).await;
                let answer = gateway.send(request(Method::GET, "/", &[("authorization", &key)])).await;
                assert_eq!(answer.status, 503, "{name:?}");
            }
            assert!(upstream.wire().is_empty());
        }
    })
    .await;
}

const VENDOR: &str = "application/vnd.elasticsearch+json; compatible-with=9";

/// The media types that the cluster sees, and the type and product that the client gets.
async fn translated(compatibility: Compatibility, probed: Option<&'static str>) -> ([String; 2], [Option<String>; 2]) {
    let upstream = Upstream::always(Reply::json(200, "{}"));
    let host = match probed {
        Some(answer) => Some(node(answer).await),
        None => None,
    };
    let gateway = Gateway::sidecar(&upstream, |config| {
        config.upstream.compatibility = compatibility;
        if let Some(host) = host {
            config.upstream.hosts = vec![host];
        }
    });
    if probed.is_some() {
        gateway.probe().await;
    }
    let asked = [("accept", VENDOR), ("content-type", VENDOR)];
    let answer = gateway.send(with_body(Method::POST, "/_search", &asked, "{}")).await;
    let seen = upstream.seen().remove(0);
    (
        ["accept", "content-type"].map(|name| seen.headers[name].to_str().unwrap().to_owned()),
        ["content-type", "x-elastic-product"].map(|name| answer.header(name).map(str::to_owned)),
    )
}

#[tokio::test]
async fn vendor_media_types_are_translated_for_opensearch_alone() {
    on_one_thread(async {
        let plain = ["application/json", "application/json"].map(str::to_owned);
        let vendor = [VENDOR, VENDOR].map(str::to_owned);
        let back = [Some("application/vnd.elasticsearch+json;compatible-with=9"), Some("Elasticsearch")];
        let back = back.map(|text| text.map(str::to_owned));
        let untouched = [Some("application/json".to_owned()), None];
        for (compatibility, probed, sent, told) in [
            (Compatibility::Opensearch, None, &plain, &back),
            (Compatibility::Auto, Some(OPENSEARCH), &plain, &back),
            (Compatibility::Auto, Some(OPEN), &vendor, &untouched),
            (Compatibility::Auto, None, &vendor, &untouched),
            (Compatibility::Elasticsearch, Some(OPENSEARCH), &vendor, &untouched),
            (Compatibility::Off, Some(OPENSEARCH), &vendor, &untouched),
        ] {
            let (seen, got) = translated(compatibility, probed).await;
            assert_eq!((&seen, &got), (sent, told), "{compatibility:?}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn official_clients_are_shown_a_version_that_they_take() {
    on_one_thread(async {
        let main = r#"{"version":{"distribution":"opensearch","number":"2.19.4"}}"#;
        let gateway = Gateway::sidecar(&Upstream::always(Reply::json(200, main)), |config| {
            config.upstream.compatibility = Compatibility::Opensearch;
        });
        let meta = [("x-elastic-client-meta", "es=7.17.9,py=3.11"), ("accept-encoding", "gzip")];
        let version = gateway.send(request(Method::GET, "/", &meta)).await.json()["version"].clone();
        assert_eq!((&version["number"], &version["build_flavor"]), (&"8.19.0".into(), &"default".into()));
        assert_eq!(gateway.send(request(Method::GET, "/", &[])).await.text(), main);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn sniffing_clients_are_shown_the_listener() {
    on_one_thread(async {
        let told = r#"{"nodes":{"a":{"http":{"bound_address":["10.0.0.9:9201"],"publish_address":"10.0.0.9:9201"}}}}"#;
        for compatibility in [Compatibility::Auto, Compatibility::Off, Compatibility::Opensearch] {
            let gateway = Gateway::sidecar(&Upstream::always(Reply::json(200, told)), |config| {
                config.upstream.compatibility = compatibility;
            });
            let peer = Peer {
                local: Some("192.0.2.1:9200".parse().unwrap()),
                ..Peer::at("192.0.2.7:1".parse().unwrap(), false)
            };
            let mut client = Client::over(gateway.connect_from(peer)).await;
            for target in ["/_nodes/http", "/_nodes/_all/http"] {
                let answer = client.send(request(Method::GET, target, &[])).await.unwrap();
                assert_eq!(answer.json()["nodes"]["a"]["http"]["publish_address"], "gate.test/192.0.2.1:9200");
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_gateways_own_answers_name_the_product_unless_told_not_to() {
    on_one_thread(async {
        for (compatibility, product) in [(Compatibility::Auto, Some("Elasticsearch")), (Compatibility::Off, None)] {
            let gateway = Gateway::sidecar(&Upstream::script([]), |config| {
                config.upstream.compatibility = compatibility;
            });
            let answer = gateway.send(request(Method::GET, "//", &[])).await;
            assert_eq!((answer.status.as_u16(), answer.header("x-elastic-product")), (400, product));
        }
    })
    .await;
}
