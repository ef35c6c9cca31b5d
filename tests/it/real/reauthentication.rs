//! A secured Elasticsearch whose access tokens live two seconds: what callers see of that, which should be nothing.

mod broker;
mod sidecar;
mod soak;

use std::{net::SocketAddr, time::Duration};

use http::Method;
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::Instant};

use super::{Cluster, unique};
use crate::support::{
    client::{Answer, with_body},
    process::Client,
};

/// Access tokens of this one live so long.
const LIFE: Duration = Duration::from_secs(2);
const VARIABLE: &str = "SEARCHGATE_TEST_ELASTICSEARCH_SHORT";

const PASSWORD: &str = "password-of-the-cluster";

/// A user of the cluster who may do everything.
async fn superuser(cluster: &Cluster, prefix: &str) -> String {
    let name = unique(prefix);
    let body = json!({"password": PASSWORD, "roles": ["superuser"]});
    cluster.administrate(Method::PUT, &format!("/_security/user/{name}"), &body).await;
    name
}

/// An index whose documents cost little.
async fn index(cluster: &Cluster) -> String {
    let name = unique("kept");
    let settings = json!({"settings": {"number_of_replicas": 0}, "mappings": {"dynamic": false}});
    cluster.administrate(Method::PUT, &format!("/{name}"), &settings).await;
    name
}

/// Writes and reads over a few connections for as long as `time`; every answer must be good, and every document there once.
async fn work(cluster: &Cluster, gateways: &[SocketAddr], authorization: Option<&str>, time: Duration) {
    let (index, end) = (index(cluster).await, Instant::now() + time);
    let mut workers = JoinSet::new();
    for worker in 0..4 {
        let (index, authorization) = (index.clone(), authorization.map(str::to_owned));
        let gateway = gateways[worker % gateways.len()];
        workers.spawn(async move {
            let (mut client, mut written) = (Client::tcp(gateway).await, 0);
            while Instant::now() < end {
                let line =
                    |number| format!("{{\"create\":{{\"_id\":\"{worker}-{number}\"}}}}\n{{\"worker\":{worker}}}\n");
                let lines: String = (written..written + 20).map(line).collect();
                let answer = send(&mut client, &format!("/{index}/_bulk"), authorization.as_deref(), &lines).await;
                assert!(
                    answer.status == 200 && answer.json()["errors"] == false,
                    "{} {}",
                    answer.status,
                    answer.text()
                );
                written += 20;
                let answer = send(&mut client, &format!("/{index}/_search?size=1"), authorization.as_deref(), "").await;
                assert_eq!(answer.status, 200, "{:?} {}", answer.headers, answer.text());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            written
        });
    }
    let written: i64 = workers.join_all().await.into_iter().sum();
    assert!(written > 0);
    let target = format!("/{index}/_refresh");
    cluster.administrate(Method::POST, &target, &Value::Null).await;
    let count = cluster.administrate(Method::GET, &format!("/{index}/_count"), &Value::Null).await.json();
    assert_eq!(count["count"], written);
    cluster.administrate(Method::DELETE, &format!("/{index}"), &Value::Null).await;
}

/// A GET, or a POST of lines.
async fn send(client: &mut Client, target: &str, authorization: Option<&str>, body: &str) -> Answer {
    let mut headers: Vec<_> = authorization.map(|value| ("authorization", value)).into_iter().collect();
    if body.is_empty() {
        return client.send(with_body(Method::GET, target, &headers, "")).await.unwrap();
    }
    headers.push(("content-type", "application/x-ndjson"));
    client.send(with_body(Method::POST, target, &headers, body)).await.unwrap()
}

/// Whether the cluster itself takes an access token.
async fn takes(cluster: &Cluster, access: &str) -> bool {
    let bearer = format!("Bearer {access}");
    let answer = cluster.ask(Method::GET, "/_security/_authenticate", &bearer, &Value::Null).await;
    assert!(matches!(answer.status.as_u16(), 200 | 401), "{}", answer.text());
    answer.status == 200
}
