//! Ways around the gate: each trick is tried by a key that may read and write `a*`, before a cluster that also has `b1`. What
//! the cluster saw is compared: nothing, or names that the key may use.

use std::io::Write as _;

use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::support::{
    client::{fed, feeding, http1, piece, with_body},
    gateway::Gateway,
    on_one_thread,
    upstream::{Reply, Seen, Upstream},
};

/// What the cluster answers to everything: what it holds, and one item of each kind.
const HOLDINGS: &str = r#"{"errors":false,"items":[{"index":{"_index":"a1","_id":"1","status":201}}],
    "docs":[{"_index":"a1","_id":"1","found":true}],"indices":[{"name":"a1","attributes":["open"]},{"name":"a2","attributes":["open"]},
    {"name":"b1","attributes":["open"]}],"aliases":[],"data_streams":[]}"#;
/// What the gateway itself asks.
const QUESTIONS: [&str; 2] = ["/_resolve/index/*?expand_wildcards=all", "/_ingest/pipeline"];
const JSON: (&str, &str) = ("content-type", "application/json");

struct Gate {
    upstream: Upstream,
    gateway: Gateway,
    key: String,
}

impl Gate {
    async fn new() -> Self {
        let upstream = Upstream::always(Reply::json(200, HOLDINGS));
        let gateway = Gateway::spawn(&upstream);
        let key = gateway.limited(&["a*"], &["read", "write"]).await;
        Self { upstream, gateway, key }
    }

    /// What the cluster has seen of callers.
    fn seen(&self) -> Vec<Seen> {
        self.upstream.seen().into_iter().filter(|seen| !QUESTIONS.contains(&&*seen.target)).collect()
    }

    async fn send(&self, mut request: Request<Full<bytes::Bytes>>) -> (u16, Value) {
        request.headers_mut().insert("authorization", self.key.parse().unwrap());
        let answer = self.gateway.send(request).await;
        (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    /// The request is refused with this status, and the cluster sees nothing of it.
    async fn refuses(&self, status: u16, method: Method, target: &str, headers: &[(&str, &str)], body: &str) {
        let before = self.seen().len();
        let (answered, told) = self.send(with_body(method, target, headers, body)).await;
        assert_eq!(answered, status, "{target} {body}: {told}");
        assert_eq!(self.seen().len(), before, "{target} {body} has reached the cluster");
    }

    /// The cluster sees one request, with this target.
    async fn shows(&self, sees: &str, method: Method, target: &str, headers: &[(&str, &str)], body: &str) -> Seen {
        let before = self.seen().len();
        let (status, told) = self.send(with_body(method.clone(), target, headers, body)).await;
        let seen = self.seen().split_off(before);
        assert_eq!(seen.len(), 1, "{target} {body}: {status} {told}");
        assert_eq!((&*seen[0].target, &seen[0].method), (sees, &method), "{target} {body}");
        seen[0].clone()
    }

    /// Of a bulk, the cluster sees nothing but what is for `a1`.
    async fn bulk(&self, headers: &[(&str, &str)], body: &[u8]) {
        let mut request = with_body(Method::POST, "/_bulk", headers, "");
        *request.body_mut() = Full::from(body.to_vec());
        self.send(request).await;
        for seen in self.seen() {
            let text = String::from_utf8_lossy(&seen.body).into_owned();
            assert!(!unescaped(&text).contains("b1"), "the cluster sees {text}");
        }
    }
}

/// A text of JSON as whoever reads it sees it.
fn unescaped(text: &str) -> String {
    let mut read = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\u") {
        read.push_str(before);
        let code = after.get(..4).and_then(|code| u32::from_str_radix(code, 16).ok());
        read.extend(code.and_then(char::from_u32));
        rest = after.get(4..).unwrap_or_default();
    }
    read + rest
}

/// One test a trick.
macro_rules! trick {
    ($(async fn $name:ident($gate:ident) $body:block)*) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $name() {
                on_one_thread(async {
                    let $gate = Gate::new().await;
                    $body
                })
                .await;
            }
        )*
    };
}

trick! {
    async fn an_encoded_slash_is_part_of_a_name(gate) {
        gate.refuses(403, Method::GET, "/b1%2F_search", &[], "").await;
        gate.refuses(403, Method::GET, "/b1%2F..%2Fa1/_search", &[], "").await;
        gate.refuses(403, Method::GET, "/b1%2f_doc%2f1", &[], "").await;
        // One name to both readers, and not of another index.
        gate.shows("/a1%2Fb1/_search", Method::GET, "/a1%2Fb1/_search", &[], "").await;
        gate.shows("/a1/_doc/..%2Fb1", Method::GET, "/a1/_doc/..%2Fb1", &[], "").await;
    }

    async fn dots_lead_nowhere(gate) {
        for target in ["/a1/../b1/_search", "/a1/%2e%2e/b1/_search", "/a1/.%2E/b1/_search", "/./b1/_search", "//b1/_search"] {
            gate.refuses(400, Method::GET, target, &[], "").await;
        }
    }

    async fn an_encoded_star_is_a_star(gate) {
        gate.shows("/a1,a2/_search", Method::GET, "/%2a/_search", &[], "").await;
        gate.shows("/a1,a2/_search", Method::GET, "/%2A/_search", &[], "").await;
        gate.shows("/*,-*/_search", Method::GET, "/b%2a/_search", &[], "").await;
        gate.shows("/a1,a2/_search", Method::GET, "/%5fall/_search", &[], "").await;
        gate.refuses(403, Method::GET, "/a1%2Cb1/_search", &[], "").await;
        gate.refuses(403, Method::GET, "/%62%31/_search", &[], "").await;
    }

    async fn what_is_encoded_twice_is_decoded_once(gate) {
        gate.refuses(403, Method::GET, "/%252a/_search", &[], "").await;
        gate.refuses(403, Method::GET, "/%2562%2531/_search", &[], "").await;
        // One name with a percent sign in it, to both.
        gate.shows("/a1%252Cb1/_search", Method::GET, "/a1%252Cb1/_search", &[], "").await;
    }

    async fn of_a_repeated_parameter_the_last_counts(gate) {
        gate.refuses(403, Method::GET, "/_search?index=a1&index=b1", &[], "").await;
        gate.refuses(403, Method::GET, "/_search?index=a1&%69ndex=b1", &[], "").await;
        let last = "/_search?index=b1&index=a1";
        gate.shows(last, Method::GET, last, &[], "").await;
        gate.refuses(403, Method::GET, "/b1/_search?ignore_unavailable=true&ignore_unavailable=false", &[], "").await;
    }

    async fn a_semicolon_separates_and_a_plus_is_a_space(gate) {
        gate.refuses(403, Method::GET, "/_search?index=a1;index=b1", &[], "").await;
        gate.refuses(403, Method::GET, "/_search?x=1;index=b1", &[], "").await;
        gate.refuses(403, Method::GET, "/_search?index=+b1", &[], "").await;
        gate.refuses(403, Method::GET, "/_search?index=b1%23", &[], "").await;
    }

    async fn an_index_in_the_query_counts_where_the_path_has_none(gate) {
        gate.refuses(403, Method::GET, "/_search?index=b1", &[], "").await;
        gate.refuses(403, Method::GET, "/_count?inde%78=b1", &[], "").await;
        let (_, told) = gate.send(with_body(Method::POST, "/_mget?index=b1", &[JSON], r#"{"ids":["1"]}"#)).await;
        assert_eq!(told["docs"][0]["error"]["type"], "security_exception");
        assert!(gate.seen().is_empty());
        gate.shows("/a1/_search?index=b1", Method::GET, "/a1/_search?index=b1", &[], "").await;
        let asked = "/_search?index=b1&index=a*,b*";
        gate.shows("/a1,a2/_search?index=b1&index=a*,b*", Method::GET, asked, &[], "").await;
    }

    async fn a_body_in_the_query_is_not_for_limited_callers(gate) {
        let source = "source=%7B%7D&source_content_type=application/json";
        for target in ["/a1/_search", "/_msearch", "/_mget", "/a1/_count", "/a1/_explain/1"] {
            gate.refuses(403, Method::GET, &format!("{target}?{source}"), &[], "").await;
            gate.refuses(403, Method::GET, &format!("{target}?{}", source.replace("source=", "sourc%65=")), &[], "").await;
        }
    }

    async fn a_filter_of_the_answer_hides_no_refusal(gate) {
        let body = json!({"docs": [{"_index": "a1", "_id": "1"}, {"_index": "b1", "_id": "1"}]}).to_string();
        let target = "/_mget?filter_path=docs._source&pretty";
        let seen = gate.shows("/_mget?pretty", Method::POST, target, &[JSON], &body).await;
        assert!(!String::from_utf8_lossy(&seen.body).contains("b1"));
        let encoded = "/_mget?filter%5Fpath=docs._source";
        let seen = gate.shows("/_mget?", Method::POST, encoded, &[JSON], &body).await;
        assert!(!String::from_utf8_lossy(&seen.body).contains("b1"));
    }

    async fn no_header_makes_another_request_of_it(gate) {
        for header in ["x-http-method-override", "x-http-method", "x-method-override"] {
            let seen = gate.shows("/a1/_search", Method::POST, "/a1/_search", &[(header, "DELETE"), JSON], "{}").await;
            assert_eq!(seen.method, Method::POST);
        }
        for header in ["x-original-url", "x-rewrite-url", "x-forwarded-path", "x-original-uri"] {
            gate.shows("/a1/_search", Method::GET, "/a1/_search", &[(header, "/b1/_search")], "").await;
        }
    }

    async fn a_get_with_a_body_is_read_like_a_post(gate) {
        let lookup = r#"{"query":{"terms":{"f":{"index":"b1","id":"1","path":"f"}}}}"#;
        gate.refuses(403, Method::GET, "/a1/_search", &[JSON], lookup).await;
        let docs = r#"{"docs":[{"_index":"b1","_id":"1"}]}"#;
        let (status, told) = gate.send(with_body(Method::GET, "/_mget", &[JSON], docs)).await;
        assert_eq!((status, &told["docs"][0]["error"]["type"]), (200, &json!("security_exception")));
        assert!(gate.seen().is_empty());
    }

    async fn bodies_that_are_no_json_are_not_for_limited_callers(gate) {
        // CBOR and SMILE of {"docs":[{"_index":"b1"}]}, more or less: nobody reads that far.
        for kind in ["application/cbor", "application/smile", "application/yaml", "text/plain", "application/x-www-form-urlencoded"] {
            gate.refuses(400, Method::POST, "/_mget", &[("content-type", kind)], "\u{1}docs b1").await;
            gate.refuses(400, Method::POST, "/_bulk", &[("content-type", kind)], ":)\n b1").await;
            gate.refuses(400, Method::POST, "/a1/_search", &[("content-type", kind)], "b1").await;
        }
        gate.refuses(400, Method::POST, "/_mget", &[], r#"{"docs":[{"_index":"b1","_id":"1"}]}"#).await;
        let two = [JSON, ("content-type", "application/cbor")];
        gate.refuses(400, Method::POST, "/_mget", &two, r#"{"docs":[{"_index":"b1","_id":"1"}]}"#).await;
    }

    async fn a_name_cut_by_chunks_is_one_name(gate) {
        let headers = [("authorization", &*gate.key), JSON];
        let (feed, body) = fed();
        let mut sender = http1(gate.gateway.connect()).await;
        let answer = tokio::task::spawn_local(sender.send_request(feeding(Method::POST, "/_bulk", &headers, body)));
        for part in ["{\"index\":{\"_ind", "ex\":\"a1\"}}\n{\"f\":1}\n{\"ind", "ex\":{\"_index\":\"b", "1\",\"_id\":\"1\"}", "}\n{\"f\":2}\n"] {
            feed.send(piece(part)).await.unwrap();
        }
        drop(feed);
        assert_eq!(answer.await.unwrap().unwrap().status(), 200);
        let seen = gate.seen();
        assert_eq!((seen.len(), &*seen[0].body), (1, &b"{\"index\":{\"_index\":\"a1\"}}\n{\"f\":1}\n"[..]));
    }

    async fn a_key_twice_is_no_json(gate) {
        for (target, body) in [
            ("/_mget", r#"{"docs":[{"_index":"a1","_index":"b1","_id":"1"}]}"#),
            ("/_mget", r#"{"docs":[{"_index":"a1","_\u0069ndex":"b1","_id":"1"}]}"#),
            ("/a1/_search", r#"{"query":{"terms":{"f":{"index":"a1","index":"b1","id":"1","path":"f"}}}}"#),
            ("/_msearch", "{\"index\":\"a1\",\"index\":\"b1\"}\n{}\n"),
            ("/_bulk", "{\"index\":{\"_index\":\"a1\",\"_index\":\"b1\"}}\n{}\n"),
            ("/_bulk", "{\"index\":{\"_index\":\"a1\"},\"index\":{\"_index\":\"b1\"}}\n{}\n"),
        ] {
            gate.refuses(400, Method::POST, target, &[JSON], body).await;
        }
        let twice = r#"{"docs":[],"docs":[{"_index":"b1","_id":"1"}]}"#;
        gate.refuses(403, Method::POST, "/_mget", &[JSON], twice).await;
    }

    async fn an_escaped_name_is_read_unescaped(gate) {
        let docs = r#"{"docs":[{"_index":"\u0062\u0031","_id":"1"},{"\u005findex":"b1","_id":"1"}]}"#;
        let (status, told) = gate.send(with_body(Method::POST, "/a1/_mget", &[JSON], docs)).await;
        assert_eq!((status, told["docs"].as_array().map(Vec::len)), (200, Some(2)), "{told}");
        assert!(told["docs"].as_array().unwrap().iter().all(|doc| doc["error"]["type"] == "security_exception"));
        assert!(gate.seen().is_empty());
        let lookup = r#"{"query":{"t\u0065rms":{"f":{"ind\u0065x":"b1","id":"1","path":"f"}}}}"#;
        gate.refuses(403, Method::POST, "/a1/_search", &[JSON], lookup).await;
        let action = b"{\"index\":{\"_index\":\"\\u0062\\u0031\"}}\n{}\n{\"index\":{\"_index\":\"a1\"}}\n{}\n";
        gate.bulk(&[JSON], action).await;
        assert_eq!(gate.seen().len(), 1);
    }

    async fn a_byte_order_mark_is_no_json(gate) {
        gate.refuses(400, Method::POST, "/_mget", &[JSON], "\u{feff}{\"docs\":[{\"_index\":\"b1\",\"_id\":\"1\"}]}").await;
        gate.refuses(400, Method::POST, "/_bulk", &[JSON], "\u{feff}{\"index\":{\"_index\":\"b1\"}}\n{}\n").await;
        gate.refuses(400, Method::POST, "/a1/_search", &[JSON], "\u{feff}{}").await;
    }

    async fn comments_are_no_json(gate) {
        for body in [
            r#"{"docs":[/*{"_index":"a1"}*/{"_index":"b1","_id":"1"}]}"#,
            "{\"docs\":[ // a comment\n{\"_index\":\"b1\",\"_id\":\"1\"}]}",
            "# a comment\n{\"docs\":[{\"_index\":\"b1\",\"_id\":\"1\"}]}",
            "{'docs':[{'_index':'b1','_id':'1'}]}",
            r#"{docs:[{_index:"b1",_id:"1"}]}"#,
            r#"{"docs":[{"_index":"b1","_id":"1"}]} {"docs":[]}"#,
        ] {
            gate.refuses(400, Method::POST, "/_mget", &[JSON], body).await;
        }
        gate.refuses(400, Method::POST, "/_bulk", &[JSON], "/* */{\"index\":{\"_index\":\"b1\"}}\n{}\n").await;
    }

    async fn lines_without_an_end_are_no_items(gate) {
        for body in ["{\"index\":{\"_index\":\"b1\"}}\n{}", "{\"delete\":{\"_index\":\"b1\",\"_id\":\"1\"}}"] {
            gate.bulk(&[JSON], body.as_bytes()).await;
        }
        gate.bulk(&[JSON], b"{\"index\":{\"_index\":\"a1\"}}\n{}\n{\"delete\":{\"_index\":\"b1\",\"_id\":\"1\"}}").await;
        gate.bulk(&[JSON], b"{\"index\":{\"_index\":\"a1\"}}\r{}\r{\"delete\":{\"_index\":\"b1\",\"_id\":\"1\"}}\r\n").await;
        gate.refuses(400, Method::POST, "/_msearch", &[JSON], "{\"index\":\"a1\"}\n{\"q\":\"b1").await;
    }

    async fn a_huge_line_is_refused_or_judged(gate) {
        let spaces = " ".repeat(3 << 20);
        gate.bulk(&[JSON], format!("{{\"index\":{spaces}{{\"_index\":\"b1\"}}}}\n{{}}\n").as_bytes()).await;
        gate.bulk(&[JSON], format!("{{\"index\":{{\"_index\":\"b1\"}}}}\n{{\"f\":\"{spaces}\"}}\n").as_bytes()).await;
        let deep = "[".repeat(100_000);
        gate.refuses(400, Method::POST, "/_mget", &[JSON], &format!("{{\"x\":{deep}")).await;
    }

    async fn a_compressed_body_is_read(gate) {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(b"{\"index\":{\"_index\":\"b1\"}}\n{}\n{\"index\":{\"_index\":\"a1\"}}\n{}\n").unwrap();
        gate.bulk(&[JSON, ("content-encoding", "gzip")], &encoder.finish().unwrap()).await;
        let seen = gate.seen();
        assert_eq!((seen.len(), &*seen[0].body), (1, &b"{\"index\":{\"_index\":\"a1\"}}\n{}\n"[..]));
        gate.refuses(400, Method::POST, "/_mget", &[JSON, ("content-encoding", "deflate")], "b1").await;
        gate.refuses(400, Method::POST, "/_mget", &[JSON, ("content-encoding", "gzip, gzip")], "b1").await;
    }

    async fn names_of_other_clusters_and_of_other_days_are_names(gate) {
        gate.refuses(403, Method::GET, "/other:a1/_search", &[], "").await;
        gate.shows("/*,-*/_search", Method::GET, "/*:b1/_search", &[], "").await;
        gate.refuses(403, Method::GET, "/%3Cb1-%7Bnow%2Fd%7D%3E/_search", &[], "").await;
        gate.refuses(403, Method::GET, "/-a1,b1/_search", &[], "").await;
    }

    async fn a_query_language_names_its_sources(gate) {
        for (target, own, foreign) in [
            ("/_sql", "SELECT * FROM a1", "SELECT * FROM b1"),
            ("/_plugins/_sql", "SELECT * FROM a1", "SELECT * FROM a1, b1"),
            ("/_plugins/_ppl", "source=a1", "source=b1"),
            ("/_query", "FROM a1", "FROM a1, b1"),
        ] {
            let body = json!({"query": own}).to_string();
            gate.shows(target, Method::POST, target, &[JSON], &body).await;
            gate.refuses(403, Method::POST, target, &[JSON], &json!({"query": foreign}).to_string()).await;
        }
    }

    async fn what_the_cluster_would_do_later_or_elsewhere_is_not_for_limited_callers(gate) {
        gate.refuses(403, Method::POST, "/b1/_async_search", &[JSON], "{}").await;
        gate.refuses(403, Method::POST, "/_plugins/_asynchronous_search?index=b1", &[JSON], "{}").await;
        gate.refuses(403, Method::PUT, "/_plugins/_ism/policies/p", &[JSON], "{}").await;
        gate.refuses(403, Method::POST, "/_plugins/_ism/add/a1", &[JSON], r#"{"policy_id":"p"}"#).await;
        gate.refuses(403, Method::PUT, "/_transform/t", &[JSON], r#"{"source":{"index":"b1"}}"#).await;
        gate.refuses(403, Method::PUT, "/_watcher/watch/w", &[JSON], "{}").await;
    }
}
