//! Ids of scrolls and asynchronous searches in answers, before a cluster that says what it is told to.

use http::Method;
use searchgate::{
    keys::NewKey,
    model::{Identity, RealmRef},
    store::Creator,
    users::Users,
};
use serde_json::json;

use crate::support::{
    client::{Answer, request, with_body},
    gateway::Gateway,
    on_one_thread,
    upstream::{Reply, Upstream},
};

/// The `Authorization` of a new key that may read `a1`.
async fn reader(gateway: &Gateway) -> String {
    let descriptor = json!({"r": {"indices": [{"names": ["a1"], "privileges": ["read"]}]}});
    let roles = ["superuser".into()];
    let key = gateway.built.keys.create(NewKey {
        access: None,
        name: "reader".into(),
        life: None,
        role_descriptors: descriptor.as_object().unwrap().clone(),
        limited_by: Users::descriptors(&roles),
        metadata: serde_json::Map::new(),
        creator: Creator {
            identity: Identity { username: "elastic".into(), roles: roles.into(), ..Identity::default() },
            realm: RealmRef { name: "reserved".into(), kind: "reserved".into() },
        },
    });
    let key = key.await.unwrap();
    crate::support::process::basic(&key.id.to_string(), key.secret.expose()).replace("Basic", "ApiKey")
}

async fn ask(gateway: &Gateway, method: Method, target: &str, key: &str) -> Answer {
    let headers = [("authorization", key), ("accept-encoding", "gzip"), ("content-type", "application/json")];
    gateway.send(request(method, target, &headers)).await
}

#[tokio::test(start_paused = true)]
async fn an_asynchronous_search_is_told_by_an_envelope_and_asked_for_by_the_clusters_id() {
    on_one_thread(async {
        let upstream = Upstream::script([
            Reply::json(
                200,
                r#"{"id":"RAW-ID","is_running":true,"response":{"hits":{"hits":[{"_source":{"id":"1"}}]}}}"#,
            )
            .header("x-elasticsearch-async-id", "RAW-ID"),
            Reply::json(200, r#"{"id":"RAW-ID","is_running":false}"#),
            Reply::json(404, r#"{"error":{"type":"resource_not_found_exception","reason":"RAW-ID"},"status":404}"#),
        ]);
        let gateway = Gateway::spawn(&upstream);
        let (opener, stranger) = (reader(&gateway).await, reader(&gateway).await);
        let opened = ask(&gateway, Method::POST, "/a1/_async_search", &opener).await;
        assert!(!opened.text().contains("RAW-ID"), "{}", opened.text());
        let id = opened.json()["id"].as_str().unwrap().to_owned();
        assert!(opened.text().ends_with(r#""is_running":true,"response":{"hits":{"hits":[{"_source":{"id":"1"}}]}}}"#));
        assert!(opened.header("x-elasticsearch-async-id").unwrap().starts_with("sgate_"));
        assert_eq!(opened.header("content-length"), None);

        let target = format!("/_async_search/{id}");
        for caller in [&stranger, &gateway.superuser().await] {
            let gone = ask(&gateway, Method::GET, &target, caller).await;
            let error = json!({"type": "resource_not_found_exception", "reason": id});
            let expected =
                json!({"error": {"root_cause": [error], "type": error["type"], "reason": id}, "status": 404});
            assert_eq!((gone.status.as_u16(), gone.json()), (404, expected));
        }
        assert_eq!(ask(&gateway, Method::DELETE, &target, &stranger).await.status, 404);
        assert_eq!(upstream.seen().len(), 1, "the cluster is not asked for what is a stranger's");

        let got = ask(&gateway, Method::GET, &target, &opener).await;
        assert_eq!(got.json(), json!({"id": id, "is_running": false}));
        let gone = ask(&gateway, Method::DELETE, &target, &opener).await;
        assert_eq!((gone.status.as_u16(), gone.json()["error"]["reason"].as_str()), (404, Some(&*id)));
        let seen = upstream.seen();
        assert!(seen[1..].iter().all(|seen| seen.target == "/_async_search/RAW-ID"), "{seen:?}");
        assert!(seen.iter().all(|seen| !seen.headers.contains_key("accept-encoding")));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_which_an_id_cannot_be_found_is_not_delivered() {
    on_one_thread(async {
        let kind = vec![("content-type", "application/yaml".to_owned())];
        let yaml = Reply::Answer { status: 200, headers: kind, body: "---\n_scroll_id: RAW-ID\n".into() };
        let packed = Reply::json(200, "RAW-ID").header("content-encoding", "gzip");
        let upstream = Upstream::script([yaml, packed, Reply::json(200, r#"{"took":1,"hits":{}}"#)]);
        let gateway = Gateway::spawn(&upstream);
        let key = reader(&gateway).await;
        for _ in 0..2 {
            let answer = ask(&gateway, Method::GET, "/a1/_search?scroll=1m", &key).await;
            assert_eq!(answer.status, 502);
            assert!(!answer.text().contains("RAW-ID"), "{}", answer.text());
        }
        let filtered = ask(&gateway, Method::GET, "/a1/_search?scroll=1m&filter_path=took,hits", &key).await;
        assert_eq!(filtered.text(), r#"{"took":1,"hits":{}}"#);
        for target in ["/a1/_search?scroll=1m&format=cbor", "/a1/_search?scroll=1m&format=yaml"] {
            assert_eq!(ask(&gateway, Method::GET, target, &key).await.status, 400);
        }
        assert_eq!(upstream.seen().len(), 3);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_scroll_of_whoever_may_do_everything_is_theirs_too() {
    on_one_thread(async {
        let page = Reply::json(200, r#"{"_scroll_id":"RAW-ID","hits":{}}"#);
        let upstream = Upstream::always(page);
        let gateway = Gateway::spawn(&upstream);
        let (first, second) = (gateway.superuser().await, gateway.superuser().await);
        let id = ask(&gateway, Method::GET, "/a1/_search?scroll=1m", &first).await.json()["_scroll_id"].clone();
        let body = json!({"scroll": "1m", "scroll_id": id}).to_string();
        for (caller, status) in [(&first, 200), (&second, 404)] {
            let headers = [("authorization", &**caller), ("content-type", "application/json")];
            let answer = gateway.send(with_body(Method::POST, "/_search/scroll", &headers, &body)).await;
            assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
            assert!(status == 404 || answer.json()["_scroll_id"] == id, "{}", answer.text());
        }
        assert_eq!(upstream.seen()[1].body, r#"{"scroll":"1m","scroll_id":"RAW-ID"}"#);
    })
    .await;
}
