//! Three brokers on one PostgreSQL before a secured Elasticsearch whose tokens live two seconds, one of them killed again and
//! again, under two hundred clients: none of them sees a 401, and what was acknowledged is there once.
//!
//! Fifteen seconds and fewer clients; five minutes with `SEARCHGATE_TEST_FULL`.

use std::{
    collections::HashSet,
    env,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{Cluster, LIFE, PASSWORD, VARIABLE, index, superuser};
use crate::{
    real::ask,
    support::{
        client::{Answer, with_body},
        postgres::Database,
        process::{Process, Setup, basic},
        relay::Relay,
    },
};

/// How much of it.
struct Size {
    time: Duration,
    clients: usize,
    /// Of the clients, those that write.
    writers: usize,
    /// Bytes of a bulk.
    bulk: usize,
    between_kills: Duration,
}

impl Size {
    fn of_this_run() -> Self {
        let full = env::var_os("SEARCHGATE_TEST_FULL").is_some();
        let seconds = |long, quick| Duration::from_secs(if full { long } else { quick });
        Self {
            time: seconds(300, 15),
            clients: if full { 200 } else { 40 },
            writers: if full { 10 } else { 2 },
            bulk: 1 << 20,
            between_kills: seconds(30, 5),
        }
    }
}

/// What clients saw.
#[derive(Default)]
struct Seen {
    good: AtomicU64,
    /// 401.
    refused: AtomicU64,
    /// Connections that broke, and 502 to 504: sent again.
    again: AtomicU64,
    unavailable: Mutex<Vec<String>>,
    documents: AtomicU64,
}

/// What clients share.
struct Bench {
    index: String,
    /// Where the replicas are now.
    gateways: Mutex<Vec<SocketAddr>>,
    handles: Vec<String>,
    over: AtomicBool,
    seen: Seen,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_replicas_and_short_tokens_are_not_the_clients_affair() {
    let (Some(cluster), Some(database)) = (Cluster::find(VARIABLE), Database::make().await) else { return };
    let size = Size::of_this_run();
    let relay = Relay::start(cluster.address()).await;
    let service = superuser(&cluster, "gate").await;
    let mut replicas: Vec<_> = (0..3).map(|_| Some(replica(&relay, &database, &service).serve())).collect();
    let mut handles = Vec::new();
    for _ in 0..4 {
        let user = superuser(&cluster, "soak").await;
        handles.push(log_in(replicas[0].as_ref().unwrap(), &user).await);
    }
    let bench = Arc::new(Bench {
        index: index(&cluster).await,
        gateways: Mutex::new(replicas.iter().map(|replica| replica.as_ref().unwrap().address()).collect()),
        handles,
        over: AtomicBool::default(),
        seen: Seen::default(),
    });
    let mut clients = JoinSet::new();
    for number in 0..size.clients {
        let bulk = (number < size.writers).then_some(size.bulk);
        clients.spawn(client(Arc::clone(&bench), number, bulk));
    }

    let (end, mut kills) = (Instant::now() + size.time, 0);
    while Instant::now() + size.between_kills < end {
        sleep(size.between_kills).await;
        let victim = kills % replicas.len();
        let killed = replicas[victim].take().unwrap();
        let back = tokio::task::spawn_blocking(|| killed.again()).await.unwrap();
        bench.gateways.lock().unwrap()[victim] = back.address();
        replicas[victim] = Some(back);
        kills += 1;
    }
    tokio::time::sleep_until(end).await;
    bench.over.store(true, Relaxed);
    clients.join_all().await;

    let target = format!("/{}/_refresh", bench.index);
    cluster.administrate(Method::POST, &target, &Value::Null).await;
    let count = cluster.administrate(Method::GET, &format!("/{}/_count", bench.index), &Value::Null).await.json();
    let seen = &bench.seen;
    let refreshes = relay.refreshes();
    let generations: HashSet<_> = refreshes.iter().collect();
    eprintln!(
        "{} clients for {:?}: {} good answers, {} documents, {} sent again, {} of 401; {kills} kills; {} refreshes of {} generations",
        size.clients,
        size.time,
        seen.good.load(Relaxed),
        seen.documents.load(Relaxed),
        seen.again.load(Relaxed),
        seen.refused.load(Relaxed),
        refreshes.len(),
        generations.len(),
    );
    for unavailable in seen.unavailable.lock().unwrap().iter().take(20) {
        eprintln!("{unavailable}");
    }
    assert_eq!(seen.refused.load(Relaxed), 0, "401 at a client");
    assert_eq!(count["count"], seen.documents.load(Relaxed), "every acknowledged document is there, once");
    let lives = size.time.as_secs() / LIFE.as_secs();
    assert!(generations.len() as u64 >= lives, "tokens were short-lived");
    assert!(refreshes.len() - generations.len() <= kills, "a second refresh of a generation without a kill");
    cluster.administrate(Method::DELETE, &format!("/{}", bench.index), &Value::Null).await;
}

fn replica(relay: &Relay, database: &Database, service: &str) -> Setup {
    let service = format!("{{kind: basic, username: {service}, password_file: DIR/password}}");
    Setup::new(&relay.url())
        .file("password", PASSWORD)
        .file("master", STANDARD.encode([7; 32]))
        .with("listeners: [{address: 127.0.0.1:0, shape: broker}]")
        .with(&format!("upstream: {{credential: {{kind: session, service: {service}}}}}"))
        .with(&format!("store: {{url: '{}', master_key_file: DIR/master}}", database.url()))
}

async fn log_in(process: &Process, user: &str) -> String {
    let answer = ask(process, Method::POST, "/_gateway/session", &basic(user, PASSWORD), &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    format!("Bearer {}", answer.json()["access_token"].as_str().unwrap())
}

/// Searches, or writes a bulk, until it is over. What a kill cut is sent again, with the same ids, to the next replica.
async fn client(bench: Arc<Bench>, number: usize, bulk: Option<usize>) {
    let handle = bench.handles[number % bench.handles.len()].clone();
    let (mut turn, mut replica, mut connection) = (0_u64, number, None);
    while !bench.over.load(Relaxed) {
        let (method, target, body, documents) = match bulk {
            Some(bytes) => {
                let (lines, count) = lines(number, turn, bytes);
                (Method::POST, format!("/{}/_bulk", bench.index), lines, count)
            }
            None => (Method::POST, format!("/{}/_search?size=1", bench.index), SEARCH.to_owned(), 0),
        };
        let kind = if bulk.is_some() { "application/x-ndjson" } else { "application/json" };
        let headers = [("authorization", &*handle), ("content-type", kind)];
        loop {
            let request = with_body(method.clone(), &target, &headers, &body);
            match timeout(PATIENCE, send(&bench, replica, &mut connection, request)).await.ok().flatten() {
                // A busy cluster may turn items away.
                Some(answer) if answer.status == 200 && answer.json()["errors"] != true => {
                    bench.seen.good.fetch_add(1, Relaxed);
                    bench.seen.documents.fetch_add(documents, Relaxed);
                    break;
                }
                Some(answer) if answer.status == 401 => {
                    eprintln!("401: {:?} {}", answer.headers, answer.text());
                    bench.seen.refused.fetch_add(1, Relaxed);
                    break;
                }
                Some(answer) => {
                    assert!(
                        matches!(answer.status.as_u16(), 200 | 429 | 502..=504),
                        "{} {}",
                        answer.status,
                        answer.text()
                    );
                    bench.seen.again.fetch_add(1, Relaxed);
                    let said = format!("{} {:?} {}", answer.status, answer.header("x-auth-reason"), answer.text());
                    bench.seen.unavailable.lock().unwrap().push(said);
                }
                None => drop(bench.seen.again.fetch_add(1, Relaxed)),
            }
            replica += 1;
            connection = None;
            sleep(Duration::from_millis(50)).await;
        }
        turn += 1;
        sleep(if bulk.is_some() { BETWEEN_BULKS } else { BETWEEN_SEARCHES }).await;
    }
}

/// None when the connection broke, or there was nobody.
async fn send(
    bench: &Bench,
    replica: usize,
    connection: &mut Option<http1::SendRequest<Full<Bytes>>>,
    request: Request<Full<Bytes>>,
) -> Option<Answer> {
    if connection.is_none() {
        let address = {
            let gateways = bench.gateways.lock().unwrap();
            gateways[replica % gateways.len()]
        };
        let (sender, open) = http1::handshake(TokioIo::new(TcpStream::connect(address).await.ok()?)).await.ok()?;
        tokio::spawn(open);
        *connection = Some(sender);
    }
    let sender = connection.as_mut()?;
    sender.ready().await.ok()?;
    Answer::of(sender.send_request(request).await.ok()?).await.ok()
}

/// Documents whose ids nobody else uses; `index`, so that what is sent again counts once.
fn lines(client: usize, turn: u64, bytes: usize) -> (String, u64) {
    let (long, mut lines, mut count) = ("x".repeat(16 << 10), String::with_capacity(bytes + (17 << 10)), 0);
    while lines.len() < bytes {
        let line = format!("{{\"index\":{{\"_id\":\"{client}-{turn}-{count}\"}}}}\n{{\"long\":\"{long}\"}}\n");
        lines.push_str(&line);
        count += 1;
    }
    (lines, count)
}

const SEARCH: &str = r#"{"query":{"term":{"_id":"0-0-0"}}}"#;
/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const BETWEEN_SEARCHES: Duration = Duration::from_millis(250);
const BETWEEN_BULKS: Duration = Duration::from_millis(500);
