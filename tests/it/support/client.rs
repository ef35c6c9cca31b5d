//! A client: requests built with few words, answers read whole, or raw bytes where a client misbehaves.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream},
    sync::mpsc,
};

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
        Answer::of(self.sender.send_request(request).await?).await
    }
}

impl Answer {
    /// Reads an answer to its end.
    pub(crate) async fn of(response: Response<Incoming>) -> hyper::Result<Self> {
        let (parts, body) = response.into_parts();
        let collected = body.collect().await?;
        let trailers = collected.trailers().cloned();
        Ok(Self { status: parts.status, headers: parts.headers, body: collected.to_bytes(), trailers })
    }

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

/// An HTTP/1.1 connection for bodies of any kind.
pub(crate) async fn http1<B>(pipe: DuplexStream) -> http1::SendRequest<B>
where
    B: http_body::Body<Data = Bytes, Error = Infallible> + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(pipe)).await.unwrap();
    tokio::task::spawn_local(async move {
        let _ended = connection.await;
    });
    sender
}

/// An HTTP/2 connection, and what becomes of it.
pub(crate) async fn http2<T, B>(pipe: T) -> (http2::SendRequest<B>, tokio::task::JoinHandle<hyper::Result<()>>)
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    B: http_body::Body<Data = Bytes, Error = Infallible> + Unpin + 'static,
{
    let (sender, connection) = http2::handshake(OnThisThread, TokioIo::new(pipe)).await.unwrap();
    (sender, tokio::task::spawn_local(connection))
}

#[derive(Clone)]
struct OnThisThread;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for OnThisThread {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// A body that the test feeds frame by frame; it ends when the sender is dropped.
pub(crate) struct Fed(mpsc::Receiver<Frame<Bytes>>);

/// A body, and where to feed it.
pub(crate) fn fed() -> (mpsc::Sender<Frame<Bytes>>, Fed) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, Fed(receiver))
}

/// A piece of a body.
pub(crate) fn piece(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

/// A request without a body.
pub(crate) fn request(method: Method, target: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    with_body(method, target, headers, "")
}

/// A request with a body that the test feeds.
pub(crate) fn feeding(method: Method, target: &str, headers: &[(&str, &str)], body: Fed) -> Request<Fed> {
    request(method, target, headers).map(|_| body)
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
