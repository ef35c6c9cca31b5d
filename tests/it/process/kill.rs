//! SIGKILL under load: what was acknowledged holds.

use std::sync::{Arc, Mutex};

use http::Method;

use super::full;
use crate::support::{
    client::{request, with_body},
    process::{Client, Setup, elastic, until},
    server::Server,
};

#[derive(Default)]
struct Acknowledged {
    /// Id, `Authorization`, whether an invalidation was asked for.
    created: Vec<(String, String, bool)>,
    invalidated: Vec<String>,
}

/// Creates keys and invalidates every other one until the connection breaks.
async fn write(mut client: Client, acknowledged: Arc<Mutex<Acknowledged>>) {
    let elastic = elastic();
    let headers = [("authorization", &*elastic), ("content-type", "application/json")];
    for turn in 0_usize.. {
        let create = with_body(Method::POST, "/_security/api_key", &headers, r#"{"name":"durable"}"#);
        let Ok(answer) = client.send(create).await else { return };
        assert_eq!(answer.status, 200, "{}", answer.text());
        let key = answer.json();
        let (id, encoded) = (key["id"].as_str().unwrap().to_owned(), key["encoded"].as_str().unwrap());
        let authorization = format!("ApiKey {encoded}");
        let dies = turn % 2 == 1;
        acknowledged.lock().unwrap().created.push((id.clone(), authorization, dies));
        if dies {
            let body = format!(r#"{{"ids":["{id}"]}}"#);
            let delete = with_body(Method::DELETE, "/_security/api_key", &headers, &body);
            let Ok(answer) = client.send(delete).await else { return };
            assert_eq!(answer.json()["invalidated_api_keys"][0], *id);
            acknowledged.lock().unwrap().invalidated.push(id);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_before_a_kill_holds_after_it() {
    let server = Server::start();
    let mut process = Setup::new(&server.url()).serve();
    let mut so_far = Acknowledged::default();
    for _ in 0..if full() { 20 } else { 3 } {
        let acknowledged = Arc::<Mutex<Acknowledged>>::default();
        let mut writers = Vec::new();
        for _ in 0..4 {
            writers.push(tokio::spawn(write(process.client().await, Arc::clone(&acknowledged))));
        }
        until("acknowledged writes", || (acknowledged.lock().unwrap().invalidated.len() >= 7).then_some(()));
        process.running.signal("KILL");
        process.running.end();
        for writer in writers {
            writer.await.unwrap();
        }
        process = process.again();
        let mut client = process.client().await;
        let mut round = std::mem::take(&mut *acknowledged.lock().unwrap());
        so_far.created.append(&mut round.created);
        so_far.invalidated.append(&mut round.invalidated);
        for (id, authorization, dies) in &so_far.created {
            let asked = request(Method::GET, "/_security/_authenticate", &[("authorization", authorization)]);
            let answer = client.send(asked).await.unwrap();
            let dead = so_far.invalidated.contains(id);
            match (dead, dies) {
                (true, _) => assert_eq!(answer.status, 401, "{id} was invalidated"),
                (false, false) => assert_eq!(answer.status, 200, "{id} was created"),
                (false, true) => assert!(matches!(answer.status.as_u16(), 200 | 401)),
            }
        }
    }
}
