//! SIGTERM: what was taken is finished, nothing new is.

use std::time::Duration;

use http::Method;
use tokio::{net::TcpStream, time::Instant};

use super::{Ended, Load, full};
use crate::support::{
    client::request,
    process::{Process, Setup, elastic, until},
    server::Server,
};

/// Much less than the drain's deadline.
const SOON: Duration = Duration::from_secs(15);

/// A request that the cluster has and does not answer yet.
async fn held(
    process: &Process,
    server: &Server,
    authorization: &str,
) -> tokio::task::JoinHandle<hyper::Result<String>> {
    let (mut client, authorization) = (process.client().await, authorization.to_owned());
    let held = tokio::spawn(async move {
        let answer = client.send(request(Method::GET, "/held", &[("authorization", &authorization)])).await?;
        Ok(answer.text().to_owned())
    });
    until("the held request", || server.seen().iter().any(|(target, _)| target == "/held").then_some(()));
    held
}

async fn until_unready(process: &Process) {
    let deadline = Instant::now() + SOON;
    while process.admin(Method::GET, "/readyz", "").await.status != 503 {
        assert!(Instant::now() < deadline, "still ready");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_answers_what_it_took_and_takes_no_more() {
    let server = Server::start();
    let mut process = Setup::new(&server.url()).serve();
    let (_, key) = process.key("load").await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(process.client().await);
    }
    let load = Load::start(clients, &key, &server);
    load.wait(200);
    let held = held(&process, &server, &key).await;

    process.running.signal("TERM");
    until_unready(&process).await;
    assert_eq!(process.admin(Method::GET, "/livez", "").await.status, 200);
    let ended = load.ended().await;
    assert!(ended.iter().all(|ended| *ended == Ended::Closed), "{ended:?}");
    let address = process.address();
    until("refused connections", || std::net::TcpStream::connect(address).is_err().then_some(()));
    assert!(!held.is_finished());

    server.release();
    assert_eq!(held.await.unwrap().unwrap(), "released");
    assert_eq!(process.running.end().code(), Some(0));
    assert!(process.running.stderr.whole().contains("draining"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_at_once() {
    for second in ["TERM", "INT"] {
        let server = Server::start();
        let mut process = Setup::new(&server.url()).serve();
        let held = held(&process, &server, &elastic()).await;
        process.running.signal("TERM");
        until_unready(&process).await;
        let began = Instant::now();
        process.running.signal(second);
        assert_eq!(process.running.end().code(), Some(1));
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        assert!(held.await.unwrap().is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_say_nothing_do_not_hold_a_drain() {
    let mut process = Setup::new(&Server::start().url()).serve();
    let silent = TcpStream::connect(process.address()).await.unwrap();
    let mut idle = process.client().await;
    // Both were accepted: connections are taken in order by each thread, so many more prove it.
    for _ in 0..20 {
        assert_eq!(process.client().await.get("/_security/_authenticate", &elastic()).await.status, 200);
    }
    assert_eq!(idle.get("/_security/_authenticate", &elastic()).await.status, 200);
    let began = Instant::now();
    process.running.signal("TERM");
    assert_eq!(process.running.end().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    drop(silent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_ends_at_its_deadline() {
    if !full() {
        return;
    }
    let server = Server::start();
    let mut process = Setup::new(&server.url()).serve();
    let held = held(&process, &server, &elastic()).await;
    let began = Instant::now();
    process.running.signal("TERM");
    assert_eq!(process.running.end().code(), Some(1));
    assert!((Duration::from_secs(24)..Duration::from_secs(35)).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert!(held.await.unwrap().is_err());
}
