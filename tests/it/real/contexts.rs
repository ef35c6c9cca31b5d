//! Contexts belong to who opened them: the same callers ask a secured Elasticsearch and a gateway before a plain one.

use std::net::SocketAddr;

use http::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::{Cluster, json as request, unique};
use crate::support::{
    client::Answer,
    process::{Client, Process, basic, elastic},
    tls::TlsClient,
};

/// Where requests go, and with what.
struct Side {
    address: SocketAddr,
    tls: Option<TlsClient>,
    administrator: String,
    index: String,
    callers: Vec<(&'static str, String)>,
}

impl Side {
    fn original(cluster: &Cluster) -> Self {
        let (authority, administrator) = cluster.secured.clone().unwrap();
        let address = cluster.url.split_once("://").unwrap().1.trim_end_matches('/').parse().unwrap();
        Self::new(address, Some(TlsClient::trusting(&authority)), administrator)
    }

    fn gate(process: &Process) -> Self {
        Self::new(process.address(), None, elastic())
    }

    fn new(address: SocketAddr, tls: Option<TlsClient>, administrator: String) -> Self {
        Self { address, tls, administrator, index: unique("contexts"), callers: Vec::new() }
    }

    async fn send(&self, method: Method, target: &str, authorization: &str, body: &Value) -> Answer {
        let mut client = match &self.tls {
            Some(tls) => Client::over(tls.connect(self.address, "127.0.0.1").await.unwrap()).await,
            None => Client::over(TcpStream::connect(self.address).await.unwrap()).await,
        };
        client.send(request(method, target, authorization, body)).await.unwrap()
    }

    /// Sends what must succeed.
    async fn done(&self, method: Method, target: &str, authorization: &str, body: &Value) -> Value {
        let answer = self.send(method, target, authorization, body).await;
        assert!(answer.status.is_success(), "{target}: {} {}", answer.status, answer.text());
        answer.json()
    }

    /// An index of three documents, and who may read it: users `u1` and `u2`, a token and two keys of `u1`, `elastic`; and
    /// `u3`, who may read nothing.
    async fn furnish(&mut self) {
        let (index, name) = (self.index.clone(), |user: &str| format!("{}-{user}", self.index));
        for number in 0..3 {
            let target = format!("/{index}/_doc/{number}?refresh=true");
            self.done(Method::PUT, &target, &self.administrator, &json!({"number": number})).await;
        }
        let role = json!({"indices": [{"names": [index], "privileges": ["read"]}], "cluster": ["manage_own_api_key", "manage_token"]});
        self.done(Method::PUT, &format!("/_security/role/{}", name("r")), &self.administrator, &role).await;
        let mut callers = vec![("elastic", self.administrator.clone())];
        for (user, roles) in [("u1", vec![name("r")]), ("u2", vec![name("r")]), ("u3", vec![])] {
            let body = json!({"password": "a-long-password", "roles": roles});
            self.done(Method::PUT, &format!("/_security/user/{}", name(user)), &self.administrator, &body).await;
            callers.push((user, basic(&name(user), "a-long-password")));
        }
        let u1 = callers[1].1.clone();
        for key in ["k1", "k2"] {
            let made = self.done(Method::POST, "/_security/api_key", &u1, &json!({"name": key})).await;
            callers.push((key, format!("ApiKey {}", made["encoded"].as_str().unwrap())));
        }
        let grant = json!({"grant_type": "password", "username": name("u1"), "password": "a-long-password"});
        let token = self.done(Method::POST, "/_security/oauth2/token", &u1, &grant).await;
        callers.push(("token", format!("Bearer {}", token["access_token"].as_str().unwrap())));
        self.callers = callers;
    }

    async fn clear(&self) {
        self.done(Method::DELETE, &format!("/{}", self.index), &self.administrator, &Value::Null).await;
    }

    fn caller(&self, name: &str) -> &str {
        &self.callers.iter().find(|(known, _)| *known == name).unwrap().1
    }

    async fn scroll(&self, opener: &str) -> String {
        let target = format!("/{}/_search?scroll=1m&size=1", self.index);
        let page = self.done(Method::POST, &target, self.caller(opener), &json!({})).await;
        page["_scroll_id"].as_str().unwrap().to_owned()
    }

    async fn pit(&self, opener: &str) -> String {
        let target = format!("/{}/_pit?keep_alive=1m", self.index);
        let opened = self.done(Method::POST, &target, self.caller(opener), &Value::Null).await;
        opened["id"].as_str().unwrap().to_owned()
    }

    /// What a caller is told: the status, the kinds of error from the outermost in, the hits.
    async fn told(&self, method: Method, target: &str, caller: &str, body: &Value) -> (u16, Value) {
        let answer = self.send(method, target, self.caller(caller), body).await;
        let body = answer.json();
        let error = &body["error"];
        let told = json!({
            "type": error["type"], "cause": error["caused_by"]["type"], "reason": error["root_cause"][0]["type"],
            "hits": body["hits"]["total"]["value"], "succeeded": body["succeeded"],
        });
        (answer.status.as_u16(), told)
    }
}

const OPENERS: [&str; 4] = ["u1", "k1", "token", "elastic"];
const CALLERS: [&str; 7] = ["elastic", "u1", "u2", "u3", "k1", "k2", "token"];

/// Whether two callers are the same owner.
fn same(opener: &str, caller: &str) -> bool {
    opener == caller || matches!((opener, caller), ("u1", "token") | ("token", "u1"))
}

/// Both sides, with the same callers.
async fn sides() -> Option<(Process, Side, Side)> {
    let secured = Cluster::find("SEARCHGATE_TEST_ELASTICSEARCH_SECURED")?;
    let plain = Cluster::find("SEARCHGATE_TEST_ELASTICSEARCH")?;
    let process = plain.setup().serve();
    let (mut original, mut gate) = (Side::original(&secured), Side::gate(&process));
    original.furnish().await;
    gate.furnish().await;
    Some((process, original, gate))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scroll_goes_on_for_its_opener_only_as_in_the_original_and_strangers_do_not_harm_it() {
    let Some((_process, original, gate)) = sides().await else { return };
    for (opener, caller) in OPENERS.iter().flat_map(|opener| CALLERS.map(|caller| (*opener, caller))) {
        let (theirs, ours) = (original.scroll(opener).await, gate.scroll(opener).await);
        let told = |id: &str| json!({"scroll": "1m", "scroll_id": id});
        let expected = original.told(Method::POST, "/_search/scroll", caller, &told(&theirs)).await;
        let seen = gate.told(Method::POST, "/_search/scroll", caller, &told(&ours)).await;
        assert_eq!(seen, expected, "{caller} goes on with the scroll of {opener}");
        assert_eq!(seen.0 == 200, same(opener, caller), "{caller} goes on with the scroll of {opener}");

        let ids = json!({"scroll_id": [ours]});
        let ended = gate.told(Method::DELETE, "/_search/scroll", caller, &ids).await;
        let ended_by_path = gate.told(Method::DELETE, &format!("/_search/scroll/{ours}"), caller, &Value::Null).await;
        assert_eq!(ended.0 == 200, same(opener, caller), "{caller} ends the scroll of {opener}: {ended:?}");
        assert_eq!((ended_by_path.0, &ended_by_path.1["succeeded"]), (404, &json!(true)), "{caller} {opener}");
        // Unlike in the original, it is there for its opener as ever.
        let after = gate.told(Method::POST, "/_search/scroll", opener, &told(&ours)).await;
        assert_eq!(after.0 == 404, same(opener, caller), "{opener} goes on after {caller}: {after:?}");
    }
    let mixed = json!({"scroll_id": [gate.scroll("u1").await, gate.scroll("u2").await]});
    let answer = gate.send(Method::DELETE, "/_search/scroll", gate.caller("u1"), &mixed).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({"succeeded": true, "num_freed": 1})));
    for caller in ["u1", "u3"] {
        let garbage = json!({"scroll_id": "garbage"});
        for method in [Method::POST, Method::DELETE] {
            let expected = original.told(method.clone(), "/_search/scroll", caller, &garbage).await;
            let seen = gate.told(method.clone(), "/_search/scroll", caller, &garbage).await;
            // The original finds the rights of who has none missing before it reads the id.
            assert_eq!((seen.0, &seen.1["type"]), (expected.0, &expected.1["type"]), "{caller} {method}");
        }
    }
    original.clear().await;
    gate.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_point_in_time_is_searched_by_whoever_may_read_its_indices_and_closed_by_its_opener() {
    let Some((_process, original, gate)) = sides().await else { return };
    for (opener, caller) in ["u1", "k1", "token"].iter().flat_map(|opener| CALLERS.map(|caller| (*opener, caller))) {
        if caller == "elastic" {
            continue; // its own requests are not read: docs/compatibility.md
        }
        let (theirs, ours) = (original.pit(opener).await, gate.pit(opener).await);
        let search = |id: &str| json!({"pit": {"id": id}});
        let expected = original.told(Method::POST, "/_search", caller, &search(&theirs)).await;
        let seen = gate.told(Method::POST, "/_search", caller, &search(&ours)).await;
        assert_eq!(seen, expected, "{caller} searches the point in time of {opener}");
        let closed = gate.told(Method::DELETE, "/_pit", caller, &json!({"id": ours})).await;
        assert_eq!(closed.0 == 200, same(opener, caller), "{caller} closes that of {opener}: {closed:?}");
        let again = gate.told(Method::DELETE, "/_pit", opener, &json!({"id": ours})).await;
        assert_eq!(again.0 == 404, same(opener, caller), "{opener} closes it after {caller}: {again:?}");
    }
    original.clear().await;
    gate.clear().await;
}

/// OpenSearch has its own words for points in time, and no security here to compare with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_point_in_time_of_opensearch_is_its_openers_too() {
    let Some(cluster) = Cluster::find("SEARCHGATE_TEST_OPENSEARCH") else { return };
    let process = cluster.setup().serve();
    let mut gate = Side::gate(&process);
    gate.furnish().await;
    let target = format!("/{}/_search/point_in_time?keep_alive=1m", gate.index);
    let opened = gate.done(Method::POST, &target, gate.caller("u1"), &Value::Null).await;
    let id = opened["pit_id"].as_str().unwrap();
    assert!(id.starts_with("sgate_"), "{opened}");
    for (caller, expected) in [("u1", 200), ("u2", 200), ("k1", 200), ("u3", 403)] {
        let (status, told) = gate.told(Method::POST, "/_search", caller, &json!({"pit": {"id": id}})).await;
        assert_eq!(status, expected, "{caller} {told}");
    }
    let answer = gate.done(Method::POST, "/_search", gate.caller("u1"), &json!({"pit": {"id": id}, "size": 1})).await;
    assert_eq!((&answer["pit_id"], &answer["hits"]["total"]["value"]), (&json!(id), &json!(3)), "{answer}");
    let closing = json!({"pit_id": [id]});
    for (caller, expected) in [("u2", 404), ("k1", 404), ("token", 200)] {
        let answer = gate.send(Method::DELETE, "/_search/point_in_time", gate.caller(caller), &closing).await;
        assert_eq!(answer.status.as_u16(), expected, "{caller} {}", answer.text());
        if expected == 200 {
            assert_eq!(answer.json()["pits"][0]["pit_id"], json!(id), "{}", answer.text());
        }
    }
    gate.clear().await;
}
