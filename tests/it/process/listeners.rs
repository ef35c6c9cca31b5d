//! Listeners of every shape on real sockets.

use std::{io, net::SocketAddr, os::unix::fs::PermissionsExt as _, path::Path};

use http::Method;
use searchgate::listener::development;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
};

use crate::support::{
    client::request,
    process::{Client, Process, Setup, elastic, replace},
    server::Server,
    tls::{Made, TlsClient, client_certificate, leaf, self_signed},
};

fn behind_proxies(server: &Server, trusted: &str) -> Process {
    let yaml = format!("listeners: [{{address: 127.0.0.1:0, proxy_protocol: true, trusted_proxies: ['{trusted}']}}]");
    Setup::new(&server.url()).with(&yaml).serve()
}

/// `PROXY` of version 2, from 203.0.113.9:4711.
fn binary_header() -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend([203, 0, 113, 9, 127, 0, 0, 1, 0x12, 0x67, 0x23, 0xf0]);
    header
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_header_of_a_trusted_proxy_names_the_client() {
    let server = Server::start();
    let process = behind_proxies(&server, "127.0.0.0/8");
    for header in [b"PROXY TCP4 203.0.113.9 127.0.0.1 4711 9200\r\n".to_vec(), binary_header()] {
        let mut stream = TcpStream::connect(process.address()).await.unwrap();
        stream.write_all(&header).await.unwrap();
        assert_eq!(Client::over(stream).await.get("/logs/_count", &elastic()).await.status, 200);
        let (_, headers) = server.seen().pop().unwrap();
        assert_eq!(headers["x-forwarded-for"], "203.0.113.9");
    }
    process.audited("the client's address", |event| event["origin.address"] == "203.0.113.9");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_in_one_packet_with_a_proxy_header_is_not_lost() {
    let server = Server::start();
    let process = behind_proxies(&server, "127.0.0.0/8");
    let head =
        format!("GET /logs/_count HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: {}\r\n\r\n", elastic());
    let answer = answer_to(process.address(), &[&*binary_header(), head.as_bytes()].concat()).await;
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(server.seen()[0].1["x-forwarded-for"], "203.0.113.9");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trust_in_a_balancer_does_not_extend_to_its_clients() {
    let server = Server::start();
    let process = behind_proxies(&server, "127.0.0.0/8");
    let head = format!(
        "GET /logs/_count HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-forwarded-for: 198.51.100.1\r\n\
         authorization: {}\r\n\r\n",
        elastic()
    );
    let answer = answer_to(process.address(), &[&*binary_header(), head.as_bytes()].concat()).await;
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(server.seen()[0].1["x-forwarded-for"], "203.0.113.9");
}

/// What comes back before the connection ends.
async fn answer_to(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The gateway may close before it has read everything.
    let _written = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _reset = stream.read_to_end(&mut answer).await;
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_without_a_proxy_header_or_from_a_stranger_is_closed() {
    let server = Server::start();
    let process = behind_proxies(&server, "127.0.0.1");
    assert_eq!(answer_to(process.address(), b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await, b"");
    let process = behind_proxies(&server, "10.0.0.0/8");
    let head = b"PROXY TCP4 203.0.113.9 127.0.0.1 4711 9200\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n";
    assert_eq!(answer_to(process.address(), head).await, b"");
    assert_eq!(server.seen().len(), 0);
}

fn with_tls(server: &Server, more: &str) -> Setup {
    let setup = Setup::new(&server.url());
    development::make(setup.path("").as_path()).unwrap();
    setup.with(&format!(
        "listeners: [{{address: 127.0.0.1:0, ssl: {{certificate: DIR/server.crt, key: DIR/server.key, {more}}}}}]"
    ))
}

async fn status(client: &TlsClient, process: &Process) -> io::Result<u16> {
    let stream = client.connect(process.address(), "localhost").await?;
    let asked = request(Method::GET, "/logs/_count", &[("authorization", &elastic())]);
    // A refused client certificate shows after the handshake of TLS 1.3 only.
    let answer = Client::over(stream).await.send(asked).await.map_err(io::Error::other)?;
    Ok(answer.status.as_u16())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_1_2_and_1_3_and_only_what_is_configured() {
    let server = Server::start();
    let process = with_tls(&server, "").serve();
    let client = |version| TlsClient::trusting(&process.setup.path("ca.crt")).version(version);
    for (version, spoken) in [
        (&rustls::version::TLS12, rustls::ProtocolVersion::TLSv1_2),
        (&rustls::version::TLS13, rustls::ProtocolVersion::TLSv1_3),
    ] {
        let stream = client(version).connect(process.address(), "127.0.0.1").await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(spoken));
        assert_eq!(status(&client(version), &process).await.unwrap(), 200);
    }
    assert!(answer_to(process.address(), b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.len() < 64);

    let process = with_tls(&server, "supported_protocols: [TLSv1.3]").serve();
    let client = |version| TlsClient::trusting(&process.setup.path("ca.crt")).version(version);
    assert!(status(&client(&rustls::version::TLS12), &process).await.is_err());
    assert_eq!(status(&client(&rustls::version::TLS13), &process).await.unwrap(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificate_is_chosen_by_name() {
    let server = Server::start();
    let more = "certificates: [{certificate: DIR/other.crt, key: DIR/other.key}]";
    let (setup, other) = (with_tls(&server, more), self_signed("other.test"));
    let process = setup.file("other.crt", &other.certificate).file("other.key", &other.key).serve();
    let (localhost, other) =
        (TlsClient::trusting(&process.setup.path("ca.crt")), TlsClient::trusting(&process.setup.path("other.crt")));
    let shown = leaf(&other.connect(process.address(), "other.test").await.unwrap());
    assert_ne!(shown, leaf(&localhost.connect(process.address(), "localhost").await.unwrap()));
    // No name is sent with an address: the first certificate.
    localhost.connect(process.address(), "127.0.0.1").await.unwrap();
    assert!(other.connect(process.address(), "127.0.0.1").await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_certificates_are_optional_or_required() {
    let server = Server::start();
    let (authority, alice) = client_certificate();
    let (_, mallory) = client_certificate();
    let client = |process: &Process, identity: Option<&Made>| {
        let client = TlsClient::trusting(&process.setup.path("ca.crt"));
        match identity {
            Some(identity) => client.identity(identity),
            None => client,
        }
    };
    for (kind, without) in [("optional", true), ("required", false)] {
        let more = format!("client_authentication: {kind}, certificate_authorities: [DIR/clients.crt]");
        let process = with_tls(&server, &more).file("clients.crt", &authority).serve();
        assert_eq!(status(&client(&process, Some(&alice)), &process).await.unwrap(), 200, "{kind}");
        assert_eq!(status(&client(&process, None), &process).await.is_ok(), without, "{kind}");
        assert!(status(&client(&process, Some(&mallory)), &process).await.is_err(), "{kind}");
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_of_different_shape_live_in_one_process() {
    let server = Server::start();
    let setup = Setup::new(&server.url()).file("password", "of-the-cluster");
    development::make(setup.path("").as_path()).unwrap();
    let mut process = setup
        .with(
            "listeners:\n\
             - {address: 127.0.0.1:0}\n\
             - {address: 127.0.0.1:0, ssl: {certificate: DIR/server.crt, key: DIR/server.key}}\n\
             - address: 'unix:DIR/side.sock'\n  mode: '0600'\n  shape: sidecar\n  \
             credential: {kind: basic, username: side, password_file: DIR/password}\n\
             - {address: 'unix:DIR/gate.sock'}\n",
        )
        .serve();
    let target = "/logs/_count";
    assert_eq!(process.client().await.get(target, &elastic()).await.status, 200);
    assert!(!server.seen().pop().unwrap().1.contains_key("authorization"));
    let tls = TlsClient::trusting(&process.setup.path("ca.crt"));
    let stream = tls.connect(process.addresses[1].parse().unwrap(), "localhost").await.unwrap();
    assert_eq!(Client::over(stream).await.get(target, &elastic()).await.status, 200);

    let (side, gate) = (process.setup.path("side.sock"), process.setup.path("gate.sock"));
    assert_eq!((mode(&side), mode(&gate)), (0o600, 0o660));
    let mut client = Client::over(UnixStream::connect(&side).await.unwrap()).await;
    assert_eq!(client.send(request(Method::GET, target, &[])).await.unwrap().status, 200);
    let shown = server.seen().pop().unwrap().1;
    assert_eq!(shown["authorization"], crate::support::process::basic("side", "of-the-cluster"));
    let mut client = Client::over(UnixStream::connect(&gate).await.unwrap()).await;
    assert_eq!(client.send(request(Method::GET, target, &[])).await.unwrap().status, 401);

    // A socket that a killed process left behind is no obstacle.
    process.running.signal("KILL");
    process.running.end();
    assert!(side.exists());
    let process = process.again();
    let mut client = Client::over(UnixStream::connect(process.setup.path("side.sock")).await.unwrap()).await;
    assert_eq!(client.send(request(Method::GET, target, &[])).await.unwrap().status, 200);
}

#[test]
fn plain_text_for_everybody_must_be_meant() {
    let setup = Setup::new("http://127.0.0.1:1").with("listeners: [{address: '0.0.0.0:0'}]");
    let output = setup.fail();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{error}");
    assert!(error.contains("insecure"), "{error}");
    replace(&setup.path("1.yml"), "listeners: [{address: '0.0.0.0:0', insecure: true}]");
    assert_eq!(setup.command("check").output().unwrap().status.code(), Some(0));
    replace(&setup.path("1.yml"), "listeners: [{address: '0.0.0.0:0', insecure: true, shape: sidecar}]");
    assert_eq!(setup.command("check").output().unwrap().status.code(), Some(78));
}
