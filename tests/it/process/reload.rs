//! SIGHUP and changed files: the new state is taken over without touching a connection.

use std::{fs, path::Path};

use http::Method;
use searchgate::listener::development;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{Ended, Load};
use crate::support::{
    client::with_body,
    process::{Client, Process, Setup, elastic, replace},
    server::Server,
    tls::{TlsClient, leaf},
};

const TLS: &str =
    "listeners: [{address: 127.0.0.1:0, ssl: {certificate: DIR/tls/server.crt, key: DIR/tls/server.key}}]";

/// A gateway with a development certificate.
fn with_certificate(server: &Server) -> Process {
    let setup = Setup::new(&server.url()).with(TLS);
    fs::create_dir(setup.path("tls")).unwrap();
    development::make(&setup.path("tls")).unwrap();
    setup.serve()
}

/// Puts another certificate in place of the first.
fn new_certificate(process: &Process) {
    let fresh = process.setup.path("fresh");
    fs::create_dir(&fresh).unwrap();
    development::make(&fresh).unwrap();
    for file in ["server.key", "server.crt", "ca.crt"] {
        fs::rename(fresh.join(file), process.setup.path("tls").join(file)).unwrap();
    }
}

async fn handshake(process: &Process, authority: &Path) -> std::io::Result<TlsStream<TcpStream>> {
    TlsClient::trusting(authority).connect(process.address(), "localhost").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_shown_to_new_connections_and_the_old_ones_live() {
    let server = Server::start();
    let process = with_certificate(&server);
    let authority = process.setup.path("tls/ca.crt");
    let first = handshake(&process, &authority).await.unwrap();
    let old = leaf(&first);
    let (_, key) = Client::over(first).await.key("load").await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(Client::over(handshake(&process, &authority).await.unwrap()).await);
    }
    let load = Load::start(clients, &key, &server);
    load.wait(50);

    new_certificate(&process);
    process.running.signal("HUP");
    process.running.stderr.wait_for("reload", |line| line.contains("certificates reloaded"));
    assert_ne!(leaf(&handshake(&process, &authority).await.unwrap()), old);
    load.wait(200);
    let ended = load.stop().await;
    assert!(ended.iter().all(|ended| *ended == Ended::Stopped), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_certificate_is_taken_without_a_signal() {
    let server = Server::start();
    let process = with_certificate(&server);
    let authority = process.setup.path("tls/ca.crt");
    let old = leaf(&handshake(&process, &authority).await.unwrap());
    new_certificate(&process);
    process.running.stderr.wait_for("reload", |line| line.contains("certificates reloaded"));
    assert_ne!(leaf(&handshake(&process, &authority).await.unwrap()), old);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_cannot_be_read_is_an_error_and_the_old_one_stays() {
    let server = Server::start();
    let process = with_certificate(&server);
    let authority = process.setup.path("tls/ca.crt");
    let old = leaf(&handshake(&process, &authority).await.unwrap());
    replace(&process.setup.path("tls/server.crt"), "no certificate");
    process.running.signal("HUP");
    process.running.stderr.wait_for("complaint", |line| line.contains(r#""log.level":"error""#));
    assert_eq!(leaf(&handshake(&process, &authority).await.unwrap()), old);
}

async fn store(client: &mut Client, length: usize) -> u16 {
    let sent = with_body(Method::POST, "/logs/_doc", &[("authorization", &elastic())], &"x".repeat(length));
    client.send(sent).await.unwrap().status.as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_and_log_level_are_reloaded_and_a_bad_file_changes_nothing() {
    let server = Server::start();
    let process = Setup::new(&server.url()).with("limits: {body_bytes: 1kb}").serve();
    let (file, log) = (process.setup.path("1.yml"), process.running.stderr.clone());
    let mut client = process.client().await;
    assert_eq!(store(&mut process.client().await, 2000).await, 413);
    assert_eq!(store(&mut client, 1000).await, 200);

    replace(&file, "limits: {body_bytes: 3kb}\nlogging: {level: debug}\ntokens: {access_lifetime: 5m}");
    process.running.signal("HUP");
    log.wait_for("the key that needs a restart", |line| line.contains("tokens") && line.contains("next start"));
    log.wait_for("reload", |line| line.contains("configuration reloaded"));
    assert_eq!(process.admin(Method::GET, "/loglevel", "").await.text(), "debug\n");
    assert_eq!(store(&mut client, 2000).await, 200);
    assert_eq!(store(&mut process.client().await, 4000).await, 413);

    let before = log.count();
    replace(&file, "limits: {body_bytes: 5000}\nlogging: {level: error}");
    process.running.signal("HUP");
    let line = log.wait_after(before, "complaint", |line| line.contains(r#""log.level":"error""#));
    assert!(line.contains("1.yml:1:22"), "{line}");
    assert_eq!(process.admin(Method::GET, "/loglevel", "").await.text(), "debug\n");
    assert_eq!(store(&mut client, 2000).await, 200);
    assert_eq!(store(&mut process.client().await, 4000).await, 413);
}
