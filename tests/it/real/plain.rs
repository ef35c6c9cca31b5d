//! Clusters without security: the gate gives them keys, and changes nothing else.

use http::Method;
use serde_json::{Value, json};

use super::{Cluster, ask, unique};
use crate::support::client::with_body;

/// Indexes, gets, searches, scrolls and deletes with an API key.
async fn a_life(variable: &str) {
    let Some(cluster) = Cluster::find(variable) else { return };
    let process = cluster.setup().serve();
    let (_, key) = process.key("life").await;
    let index = unique("books");

    let document = json!({"title": "The Left Hand of Darkness", "pages": 304});
    let target = format!("/{index}/_doc/a%2Fb?refresh=true");
    let answer = ask(&process, Method::PUT, &target, &key, &document).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let answer = ask(&process, Method::GET, &format!("/{index}/_doc/a%2Fb"), &key, &Value::Null).await;
    assert_eq!((&answer.json()["_id"], &answer.json()["_source"]), (&json!("a/b"), &document));

    let lines: Vec<_> = (0..500).map(|page| format!("{{\"index\":{{}}}}\n{{\"pages\":{page}}}\n")).collect();
    let headers = [("authorization", &*key), ("content-type", "application/x-ndjson")];
    let target = format!("/{index}/_bulk?refresh=true");
    let answer = process.send(with_body(Method::POST, &target, &headers, &lines.concat())).await.json();
    assert_eq!((&answer["errors"], answer["items"].as_array().unwrap().len()), (&json!(false), 500));

    let query = json!({"query": {"match": {"title": "darkness"}}});
    let found = ask(&process, Method::GET, &format!("/{index}/_search"), &key, &query).await.json();
    assert_eq!(found["hits"]["total"]["value"], 1, "{found}");

    let query = json!({"query": {"match_all": {}}, "size": 100});
    let mut page = ask(&process, Method::POST, &format!("/{index}/_search?scroll=1m"), &key, &query).await.json();
    let mut seen = 0;
    while let hits @ 1.. = page["hits"]["hits"].as_array().unwrap().len() {
        seen += hits;
        let next = json!({"scroll": "1m", "scroll_id": page["_scroll_id"]});
        page = ask(&process, Method::POST, "/_search/scroll", &key, &next).await.json();
    }
    assert_eq!(seen, 501);
    let scroll = json!({"scroll_id": page["_scroll_id"]});
    assert_eq!(ask(&process, Method::DELETE, "/_search/scroll", &key, &scroll).await.status, 200);

    let answer = ask(&process, Method::HEAD, &format!("/{index}"), &key, &Value::Null).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
    assert_eq!(ask(&process, Method::GET, &format!("/{index}/_doc/none"), &key, &Value::Null).await.status, 404);
    assert_eq!(ask(&process, Method::GET, &format!("/{index}/_search"), "ApiKey wrong", &query).await.status, 401);
    assert_eq!(ask(&process, Method::DELETE, &format!("/{index}"), &key, &Value::Null).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn elasticsearch_lives_behind_the_gate() {
    a_life("SEARCHGATE_TEST_ELASTICSEARCH").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opensearch_lives_behind_the_gate() {
    a_life("SEARCHGATE_TEST_OPENSEARCH").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn elasticsearch_clients_take_opensearch_for_theirs() {
    let Some(cluster) = Cluster::find("SEARCHGATE_TEST_OPENSEARCH") else { return };
    let process = cluster.setup().serve();
    let (_, key) = process.key("client").await;
    let kind = "application/vnd.elasticsearch+json;compatible-with=8";
    let headers =
        [("authorization", &*key), ("content-type", kind), ("accept", kind), ("x-elastic-client-meta", "es=8")];
    let answer = process.send(with_body(Method::GET, "/", &headers, "")).await;
    assert_eq!(answer.json()["version"]["number"], "8.19.0");
    let answer = process.send(with_body(Method::POST, "/_search", &headers, r#"{"size":0}"#)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-elastic-product"), Some("Elasticsearch"));
    assert!(answer.header("content-type").unwrap().starts_with("application/vnd.elasticsearch+json"));
    let open = process.operator(&["healthcheck"]);
    assert!(open.status.success());
}
