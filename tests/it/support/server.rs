//! A cluster on a loopback socket, for tests of the real binary: answers by path and counts what it was asked.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{
    body::{Body, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// A running cluster; ends with the test's process.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    seen: Mutex<Vec<(String, HeaderMap)>>,
    /// `/held` answers once this is set.
    released: AtomicBool,
}

impl Server {
    /// Answers `/` as Elasticsearch, `/echo/X` after a moment with a thousand times X, `/held` once it is released,
    /// `/download` with [`LARGE`] bytes, anything else with the number of bytes that it was sent.
    pub(crate) fn start() -> Self {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let server = Self { address: socket.local_addr().unwrap(), state: Arc::default() };
        let state = Arc::clone(&server.state);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(socket).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    stream.set_nodelay(true).unwrap();
                    let state = Arc::clone(&state);
                    let service = service_fn(move |request| {
                        let state = Arc::clone(&state);
                        async move { Ok::<_, Infallible>(state.answer(request).await) }
                    });
                    tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
                }
            });
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Targets and headers of all requests so far, probes of `/` left out.
    pub(crate) fn seen(&self) -> Vec<(String, HeaderMap)> {
        self.state.seen.lock().unwrap().clone()
    }

    /// Lets `/held` answer.
    pub(crate) fn release(&self) {
        self.state.released.store(true, Ordering::Relaxed);
    }
}

impl State {
    async fn answer(&self, request: Request<Incoming>) -> Response<BoxBody<Bytes, Infallible>> {
        let path = request.uri().path().to_owned();
        if path == "/" {
            return full(r#"{"version":{"number":"8.19.21"},"tagline":"You Know, for Search"}"#.into());
        }
        self.seen.lock().unwrap().push((request.uri().to_string(), request.headers().clone()));
        let mut body = request.into_body();
        let mut received = 0;
        while let Some(Ok(frame)) = body.frame().await {
            received += frame.data_ref().map_or(0, Bytes::len);
        }
        if let Some(word) = path.strip_prefix("/echo/") {
            tokio::time::sleep(Duration::from_millis(3)).await;
            return full(word.repeat(1000));
        }
        match &*path {
            "/held" => {
                while !self.released.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                full("released".into())
            }
            "/download" => {
                let chunk = Bytes::from(vec![b'x'; CHUNK]);
                Response::new(BoxBody::new(Repeat { chunk, left: LARGE / CHUNK }))
            }
            _ => full(format!(r#"{{"received":{received}}}"#)),
        }
    }
}

/// A body of this many times the same.
pub(crate) struct Repeat {
    pub(crate) chunk: Bytes,
    pub(crate) left: usize,
}

impl Body for Repeat {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.left = match self.left.checked_sub(1) {
            Some(left) => left,
            None => return Poll::Ready(None),
        };
        Poll::Ready(Some(Ok(Frame::data(self.chunk.clone()))))
    }
}

fn full(text: String) -> Response<BoxBody<Bytes, Infallible>> {
    let builder = Response::builder().header("x-elastic-product", "Elasticsearch");
    builder.header("content-type", "application/json").body(Full::new(Bytes::from(text)).boxed()).unwrap()
}

/// Bytes of `/download`.
pub(crate) const LARGE: usize = 300 << 20;
pub(crate) const CHUNK: usize = 64 << 10;
