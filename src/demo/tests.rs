use super::*;

/// A cluster spoken to as over HTTP, without it.
struct Client(Cluster);

impl Client {
    fn new() -> Self {
        Self(Cluster::new(MAX_BYTES))
    }

    fn text(&mut self, method: &str, target: &str, body: &str) -> (u16, String) {
        let (method, uri) = (Method::from_bytes(method.as_bytes()).unwrap(), target.parse().unwrap());
        let answer = answer(&mut self.0, &method, &uri, body.as_bytes());
        let answer = answer.unwrap_or_else(|failure| Answer::json(failure.status, &failure.body()));
        (answer.status.as_u16(), answer.body)
    }

    fn send(&mut self, method: &str, target: &str, body: &str) -> (u16, Value) {
        let (status, body) = self.text(method, target, body);
        (status, serde_json::from_str(&body).unwrap())
    }

    /// With three documents in two indices.
    fn filled() -> Self {
        let mut client = Self::new();
        client.send("PUT", "/logs-1/_doc/a", r#"{"text":"The Quick fox","level":"warn","n":1,"host":{"name":"h1"}}"#);
        client.send("PUT", "/logs-1/_doc/b", r#"{"text":"a slow fox","level":"info","n":2,"tags":["x","y z"]}"#);
        client.send("PUT", "/logs-2/_doc/c", r#"{"text":"no animal","level":"warn","n":3}"#);
        client
    }

    /// Ids of the hits, in order.
    fn hits(&mut self, target: &str, body: &str) -> String {
        let (status, found) = self.send("POST", target, body);
        assert_eq!(status, 200, "{found}");
        found["hits"]["hits"].as_array().unwrap().iter().map(|hit| hit["_id"].as_str().unwrap()).collect()
    }
}

#[test]
fn it_says_what_it_is() {
    let (status, body) = Client::new().send("GET", "/", "");
    assert_eq!((status, &body["version"]["distribution"]), (200, &json!("searchgate-demo")));
    assert!(body["tagline"].as_str().unwrap().contains("throw-away"));
}

#[test]
fn a_document_can_be_written_read_replaced_and_removed() {
    let mut client = Client::new();
    let (status, written) = client.send("PUT", "/books/_doc/a%2Fb?refresh=true", r#"{"title":"one"}"#);
    assert_eq!((status, &written["result"], &written["_version"]), (201, &json!("created"), &json!(1)));
    let (status, written) = client.send("PUT", "/books/_doc/a%2Fb", r#"{"title":"two"}"#);
    assert_eq!((status, &written["result"], &written["_version"]), (200, &json!("updated"), &json!(2)));
    let (status, read) = client.send("GET", "/books/_doc/a%2Fb", "");
    assert_eq!((status, &read["_id"], &read["_source"]), (200, &json!("a/b"), &json!({"title": "two"})));
    assert_eq!(client.send("DELETE", "/books/_doc/a%2Fb", "").0, 200);
    let (status, read) = client.send("GET", "/books/_doc/a%2Fb", "");
    assert_eq!((status, &read["found"]), (404, &json!(false)));
    assert_eq!(client.send("DELETE", "/books/_doc/a%2Fb", "").0, 404);
}

#[test]
fn a_document_without_id_gets_one() {
    let mut client = Client::new();
    let (status, written) = client.send("POST", "/books/_doc", r#"{"title":"one"}"#);
    assert_eq!(status, 201);
    let id = written["_id"].as_str().unwrap();
    assert_eq!(client.send("GET", &format!("/books/_doc/{id}"), "").0, 200);
}

#[test]
fn a_create_replaces_nothing() {
    let mut client = Client::filled();
    for target in ["/logs-1/_create/a", "/logs-1/_doc/a?op_type=create"] {
        let (status, body) = client.send("PUT", target, "{}");
        assert_eq!((status, &body["error"]["type"]), (409, &json!("version_conflict_engine_exception")), "{target}");
    }
    assert_eq!(client.send("PUT", "/logs-1/_create/new", "{}").0, 201);
}

#[test]
fn a_document_is_a_json_object() {
    for body in ["", "[1]", "{", "1"] {
        let (status, answer) = Client::new().send("PUT", "/a/_doc/1", body);
        assert_eq!((status, &answer["error"]["type"]), (400, &json!("document_parsing_exception")), "{body}");
    }
}

#[test]
fn an_index_can_be_made_seen_and_removed() {
    let mut client = Client::new();
    assert_eq!(client.send("HEAD", "/books", "").0, 404);
    assert_eq!(client.send("PUT", "/books", "").0, 200);
    let (status, body) = client.send("PUT", "/books", "");
    assert_eq!((status, &body["error"]["type"]), (400, &json!("resource_already_exists_exception")));
    assert_eq!(client.send("HEAD", "/books", "").0, 200);
    assert_eq!(client.send("DELETE", "/books", "").0, 200);
    let (status, body) = client.send("DELETE", "/books", "");
    assert_eq!((status, &body["error"]["type"]), (404, &json!("index_not_found_exception")));
}

#[test]
fn bad_index_names_are_refused() {
    for name in ["Upper", "-a", "+a", "a%20b", "a*b", "a%2Fb"] {
        let (status, body) = Client::new().send("PUT", &format!("/{name}"), "");
        assert_eq!((status, &body["error"]["type"]), (400, &json!("invalid_index_name_exception")), "{name}");
    }
}

#[test]
fn search_finds_by_term_and_by_word() {
    let mut client = Client::filled();
    for (query, ids) in [
        (r#"{"match_all":{}}"#, "abc"),
        (r#"{"term":{"level":"warn"}}"#, "ac"),
        (r#"{"term":{"level.keyword":{"value":"info"}}}"#, "b"),
        (r#"{"term":{"level":"WARN"}}"#, ""),
        (r#"{"term":{"n":2}}"#, "b"),
        (r#"{"term":{"host.name":"h1"}}"#, "a"),
        (r#"{"term":{"tags":"y z"}}"#, "b"),
        (r#"{"match":{"text":"QUICK animal"}}"#, "ac"),
        (r#"{"match":{"text":{"query":"fox"}}}"#, "ab"),
        (r#"{"match":{"text":"fo"}}"#, ""),
        (r#"{"match":{"absent":"fox"}}"#, ""),
    ] {
        assert_eq!(client.hits("/_search", &format!("{{\"query\":{query}}}")), ids, "{query}");
    }
}

#[test]
fn search_takes_lists_and_wildcards_of_indices() {
    let mut client = Client::filled();
    for (names, ids) in [("logs-1", "ab"), ("logs-2,logs-1", "abc"), ("logs-*", "abc"), ("*-2", "c"), ("none*", "")] {
        assert_eq!(client.hits(&format!("/{names}/_search"), ""), ids, "{names}");
    }
    let (status, body) = client.send("GET", "/logs-1,none/_search", "");
    assert_eq!((status, &body["error"]["root_cause"][0]["type"]), (404, &json!("index_not_found_exception")));
}

#[test]
fn a_window_of_hits_is_shown_and_all_are_counted() {
    let mut client = Client::filled();
    assert_eq!(client.hits("/_search", r#"{"from":1,"size":1}"#), "b");
    assert_eq!(client.hits("/_search?size=2", ""), "ab");
    let (_, found) = client.send("GET", "/_search?size=0", "");
    assert_eq!(found["hits"]["total"], json!({"value": 3, "relation": "eq"}));
    assert_eq!(client.send("GET", "/_search?from=9999&size=2", "").0, 400);
    assert_eq!(client.send("GET", "/_search?size=many", "").0, 400);
}

#[test]
fn hits_come_in_the_order_of_writing() {
    let mut client = Client::filled();
    client.send("PUT", "/logs-1/_doc/a", r#"{"again":true}"#);
    client.send("PUT", "/logs-1/_doc/0", "{}");
    assert_eq!(client.hits("/logs-1/_search", r#"{"sort":["_doc"]}"#), "ab0");
    assert_eq!(client.send("GET", "/_search", r#"{"sort":["n"]}"#).0, 400);
}

#[test]
fn what_search_does_not_know_it_refuses() {
    for body in [r#"{"query":{"bool":{}}}"#, r#"{"query":{}}"#, r#"{"aggs":{}}"#, "{", r#"{"query":{"term":{}}}"#] {
        let (status, answer) = Client::filled().send("POST", "/_search", body);
        assert_eq!((status, &answer["error"]["type"]), (400, &json!("parsing_exception")), "{body}");
    }
}

#[test]
fn documents_are_counted() {
    let mut client = Client::filled();
    assert_eq!(client.send("GET", "/_count", "").1["count"], 3);
    assert_eq!(client.send("POST", "/logs-1/_count", r#"{"query":{"term":{"level":"warn"}}}"#).1["count"], 1);
}

#[test]
fn bulk_writes_where_the_path_or_the_action_says() {
    let mut client = Client::new();
    let body = "{\"index\":{\"_id\":\"1\"}}\n{}\n{\"index\":{\"_index\":\"b\",\"_id\":\"2\"}}\n{}\n";
    let (status, result) = client.send("POST", "/a/_bulk", body);
    assert_eq!((status, &result["errors"]), (200, &json!(false)));
    assert_eq!(client.hits("/a/_search", ""), "1");
    assert_eq!(client.hits("/b/_search", ""), "2");
    assert_eq!(client.send("POST", "/_bulk", "{}").0, 400);
}

#[test]
fn indices_are_listed_as_text_and_as_json() {
    let mut client = Client::filled();
    let (_, text) = client.text("GET", "/_cat/indices", "");
    assert!(text.starts_with("green open logs-1 1 0 2 0 "), "{text}");
    let (_, rows) = client.send("GET", "/_cat/indices?format=json", "");
    assert_eq!((&rows[1]["index"], &rows[1]["docs.count"]), (&json!("logs-2"), &json!("1")));
}

#[test]
fn health_and_refresh_are_answered() {
    let mut client = Client::filled();
    assert_eq!(client.send("GET", "/_cluster/health", "").1["status"], "green");
    assert_eq!(client.send("POST", "/logs-*/_refresh", "").1["_shards"]["total"], 2);
    assert_eq!(client.send("POST", "/_refresh", "").0, 200);
    assert_eq!(client.send("POST", "/none/_refresh", "").0, 404);
}

#[test]
fn the_rest_is_refused_as_such() {
    for (method, target) in
        [("GET", "/_nodes"), ("POST", "/a"), ("PUT", "/_all"), ("GET", "/a/_mapping"), ("GET", "/%zz")]
    {
        let (status, body) = Client::new().send(method, target, "");
        assert_eq!((status, &body["error"]["type"]), (400, &json!("illegal_argument_exception")), "{method} {target}");
    }
}

#[tokio::test]
async fn it_serves_over_http_until_it_is_stopped() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let client = async {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(b"PUT /a/_doc/1 HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
        let mut head = [0; 20];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 201 Created");
        stop.cancel();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    };
    tokio::join!(serve(listener, stop.clone()), client);
}
