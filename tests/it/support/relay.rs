//! A relay before a real cluster in plain HTTP that notes what passes to and from its token APIs.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::{body::Incoming, client::conn::http1 as client, server::conn::http1 as server, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

/// A running relay; ends with the runtime of the test.
#[derive(Clone)]
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
}

/// A call to a token API.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) asked: Value,
    pub(crate) status: StatusCode,
    pub(crate) answered: Value,
}

impl Relay {
    /// One that sends everything on to `target`.
    pub(crate) async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Self { address: listener.local_addr().unwrap(), calls: Arc::default() };
        tokio::spawn({
            let relay = relay.clone();
            async move {
                loop {
                    let (near, _) = listener.accept().await.unwrap();
                    // A gateway that is killed breaks its connections off.
                    tokio::spawn(relay.clone().connection(near, target));
                }
            }
        });
        relay
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// The refresh tokens that were used, in order, as often as they were.
    pub(crate) fn refreshes(&self) -> Vec<String> {
        let used = |call: Call| Some(call.asked["refresh_token"].as_str()?.to_owned());
        self.calls().into_iter().filter(|call| call.method == Method::POST).filter_map(used).collect()
    }

    async fn connection(self, near: TcpStream, target: SocketAddr) -> Option<()> {
        near.set_nodelay(true).ok()?;
        let far = TcpStream::connect(target).await.ok()?;
        far.set_nodelay(true).ok()?;
        let (sender, connection) = client::handshake(TokioIo::new(far)).await.ok()?;
        let far = tokio::spawn(connection);
        let sender = tokio::sync::Mutex::new(sender);
        let service = service_fn(async |request: Request<Incoming>| {
            let mut sender = sender.lock().await;
            sender.ready().await?;
            let path = request.uri().path().to_owned();
            if !matches!(&*path, "/_security/oauth2/token" | "/_security/delegate_pki") {
                return Ok(sender.send_request(request.map(Either::Left)).await?.map(Either::Left));
            }
            let (head, body) = request.into_parts();
            let asked = body.collect().await?.to_bytes();
            let method = head.method.clone();
            let sent = Request::from_parts(head, Either::Right(Full::new(asked.clone())));
            let (head, body) = sender.send_request(sent).await?.into_parts();
            let answered = body.collect().await?.to_bytes();
            let [asked, said] = [&asked, &answered].map(|text| serde_json::from_slice(text).unwrap_or_default());
            self.calls.lock().unwrap().push(Call { method, path, asked, status: head.status, answered: said });
            Ok::<_, hyper::Error>(Response::from_parts(head, Either::Right(Full::new(answered))))
        });
        let served = server::Builder::new().serve_connection(TokioIo::new(near), service).await;
        far.abort();
        served.ok()
    }
}
