//! A client: requests built with few words, answers read whole, or raw bytes where a client misbehaves.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

/// A connection to the gateway.
pub(crate) struct Client {
    sender: http1::SendRequest<Full<Bytes>>,
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Client {
    pub(crate) async fn over(pipe: DuplexStream) -> Self {
        let (sender, connection) = http1::handshake(TokioIo::new(pipe)).await.unwrap();
        tokio::task::spawn_local(async move {
            // Tests break connections; what a request makes of it is asserted there.
            let _ended = connection.await;
        });
        Self { sender }
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Answer> {
        self.sender.ready().await?;
        let (parts, body) = self.sender.send_request(request).await?.into_parts();
        let collected = body.collect().await?;
        let trailers = collected.trailers().cloned();
        Ok(Answer { status: parts.status, headers: parts.headers, body: collected.to_bytes(), trailers })
    }
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A request without a body.
pub(crate) fn request(method: Method, target: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    with_body(method, target, headers, "")
}

/// A request with a body.
pub(crate) fn with_body(method: Method, target: &str, headers: &[(&str, &str)], body: &str) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(target).header("host", "gate.test");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()
}

/// Writes `bytes` and reads until the gateway closes or nothing comes for a second of the test's own time.
pub(crate) async fn raw(mut pipe: DuplexStream, bytes: &[u8]) -> Vec<u8> {
    // The gateway may close before it has read everything.
    let _written = pipe.write_all(bytes).await;
    let mut answer = Vec::new();
    let reading = async {
        let mut chunk = [0; 4096];
        loop {
            match pipe.read(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(count) => answer.extend_from_slice(&chunk[..count]),
            }
        }
    };
    // With time paused this is over as soon as nobody has anything left to do.
    let _closed = tokio::time::timeout(std::time::Duration::from_secs(1), reading).await;
    answer
}
