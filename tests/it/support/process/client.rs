//! A client of the real binary, over any stream.

use std::net::SocketAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::support::{
    client::{Answer, with_body},
    process::PASSWORD,
};

/// The `Authorization` of `elastic`.
pub(crate) fn elastic() -> String {
    basic("elastic", PASSWORD)
}

pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// A connection.
pub(crate) struct Client {
    sender: http1::SendRequest<Full<Bytes>>,
}

impl Client {
    pub(crate) async fn tcp(address: SocketAddr) -> Self {
        Self::over(tokio::net::TcpStream::connect(address).await.unwrap()).await
    }

    pub(crate) async fn over<T>(stream: T) -> Self
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        // What a request makes of a broken connection is asserted there.
        tokio::spawn(async move { drop(connection.await) });
        Self { sender }
    }

    /// Sends a request and reads its whole answer.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Answer> {
        self.sender.ready().await?;
        let (parts, body) = self.sender.send_request(request).await?.into_parts();
        let collected = body.collect().await?;
        let trailers = collected.trailers().cloned();
        Ok(Answer { status: parts.status, headers: parts.headers, body: collected.to_bytes(), trailers })
    }

    /// Sends a request without body.
    pub(crate) async fn get(&mut self, target: &str, authorization: &str) -> Answer {
        self.send(with_body(Method::GET, target, &[("authorization", authorization)], "")).await.unwrap()
    }

    pub(crate) async fn key(&mut self, name: &str) -> (String, String) {
        let body = format!(r#"{{"name":"{name}"}}"#);
        let headers = [("authorization", &*elastic()), ("content-type", "application/json")];
        let answer = self.send(with_body(Method::POST, "/_security/api_key", &headers, &body)).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let key = answer.json();
        (key["id"].as_str().unwrap().to_owned(), format!("ApiKey {}", key["encoded"].as_str().unwrap()))
    }

    /// Whether the other side has closed, or is about to.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}
