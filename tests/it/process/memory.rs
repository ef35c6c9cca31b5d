//! Bodies stream: a large one, either way, does not make the process grow.

use std::fs;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::support::{
    process::{Process, Setup},
    server::{CHUNK, LARGE, Repeat, Server},
};

const ALLOWED: u64 = 32 << 20;

/// A line of `/proc/PID/status`, in bytes.
fn memory(process: &Process, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.running.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().unwrap() << 10
}

/// The most that the process grew by meanwhile.
async fn growth(process: &Process, act: impl Future<Output = ()>) -> u64 {
    let before = memory(process, "VmRSS:");
    // The kernel forgets the peak so far.
    fs::write(format!("/proc/{}/clear_refs", process.running.id()), "5").unwrap();
    act.await;
    memory(process, "VmHWM:").saturating_sub(before)
}

/// Sends a body of `chunks` chunks; how many bytes came back.
async fn transfer(process: &Process, method: Method, target: &str, key: &str, chunks: usize) -> (u16, usize) {
    let stream = TcpStream::connect(process.address()).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    let body = Repeat { chunk: Bytes::from(vec![b'x'; CHUNK]), left: chunks };
    let request = Request::builder().method(method).uri(target).header("host", "gate.test");
    let mut answer = sender.send_request(request.header("authorization", key).body(body).unwrap()).await.unwrap();
    let mut received = 0;
    while let Some(frame) = answer.frame().await {
        received += frame.unwrap().data_ref().map_or(0, Bytes::len);
    }
    (answer.status().as_u16(), received)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_megabytes_either_way_do_not_stay() {
    let server = Server::start();
    let process = Setup::new(&server.url()).with("limits: {body_bytes: 400mb}").serve();
    let (_, key) = process.key("large").await;
    // Buffers and pools that any request makes are there already.
    assert_eq!(transfer(&process, Method::GET, "/logs/_count", &key, 0).await.0, 200);

    let grown = growth(&process, async {
        let (status, answered) = transfer(&process, Method::POST, "/logs/_doc", &key, LARGE / CHUNK).await;
        assert_eq!((status, answered), (200, format!(r#"{{"received":{LARGE}}}"#).len()));
    });
    let grown = grown.await;
    assert!(grown < ALLOWED, "up: {grown}");
    let grown = growth(&process, async {
        assert_eq!(transfer(&process, Method::GET, "/download", &key, 0).await, (200, LARGE));
    });
    let grown = grown.await;
    assert!(grown < ALLOWED, "down: {grown}");
}
