//! What reaches the cluster and what comes back: bodies, framing, hosts, deadlines.

use std::time::Duration;

use http::Method;

use crate::support::{
    client::{request, with_body},
    gateway::Gateway,
    on_one_thread,
    upstream::{Reply, Upstream},
};

#[tokio::test(start_paused = true)]
async fn a_request_with_a_key_reaches_the_cluster_without_it() {
    on_one_thread(async {
        let upstream = Upstream::script([Reply::json(200, r#"{"count":3}"#)]);
        let gateway = Gateway::spawn(&upstream);
        let key = gateway.superuser().await;
        let answer = gateway.send(request(Method::GET, "/logs/_count?q=a:b", &[("authorization", &key)])).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, r#"{"count":3}"#));
        let seen = upstream.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].target, "/logs/_count?q=a:b");
        assert!(!seen[0].headers.contains_key("authorization"));
        assert_eq!(seen[0].headers["x-forwarded-for"], "192.0.2.7");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn nobody_gets_through_without_credentials() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::status(200));
        let gateway = Gateway::spawn(&upstream);
        let answer = gateway.send(request(Method::GET, "/", &[])).await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.headers.get_all("www-authenticate").iter().count(), 3);
        assert_eq!(answer.header("x-auth-reason"), Some("no_credentials"));
        assert!(upstream.seen().is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_connection_serves_many_requests_and_so_does_one_to_the_cluster() {
    on_one_thread(async {
        let upstream = Upstream::always(Reply::json(200, "{}"));
        let gateway = Gateway::spawn(&upstream);
        let key = gateway.superuser().await;
        let mut client = gateway.client().await;
        for _ in 0..5 {
            let sent = with_body(Method::POST, "/logs/_doc", &[("authorization", &key)], r#"{"a":1}"#);
            assert_eq!(client.send(sent).await.unwrap().status, 200);
        }
        assert_eq!(upstream.connections(), 1);
        assert_eq!(upstream.seen().len(), 5);
        assert!(upstream.seen().iter().all(|seen| seen.body == r#"{"a":1}"#));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_cluster_is_a_504_in_its_time() {
    on_one_thread(async {
        let late = Reply::After(Duration::from_hours(1), Box::new(Reply::status(200)));
        let gateway = Gateway::spawn(&Upstream::always(late));
        let key = gateway.superuser().await;
        let began = tokio::time::Instant::now();
        let answer = gateway.send(request(Method::GET, "/logs/_search", &[("authorization", &key)])).await;
        assert_eq!(answer.status, 504);
        assert_eq!(began.elapsed().as_secs(), 300);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_access_event_tells_the_request() {
    on_one_thread(async {
        let gateway = Gateway::spawn(&Upstream::always(Reply::json(200, "{}")));
        let key = gateway.superuser().await;
        let asked = request(Method::GET, "/logs/_search?secret=1", &[("authorization", &key), ("x-opaque-id", "o1")]);
        gateway.send(asked).await;
        let events = gateway.events().await;
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0]["url.path"], "/logs/_search");
        assert_eq!(events[0]["user.name"], "elastic");
        assert_eq!(events[0]["client.ip"], "192.0.2.7");
        assert_eq!(events[0]["http.response.status_code"], 200);
        assert!(!events[0].to_string().contains("secret"));
    })
    .await;
}
