//! A scripted cluster: answers what it is told to, and remembers what it was asked.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use searchgate::config::HostUrl;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf},
    net::TcpListener,
    sync::Notify,
};

/// A cluster of any number of hosts that share one script.
#[derive(Clone)]
pub(crate) struct Upstream(Rc<State>);

struct State {
    script: RefCell<VecDeque<Reply>>,
    /// When the script is at its end.
    otherwise: Option<Reply>,
    seen: RefCell<Vec<Seen>>,
    wires: RefCell<Vec<Vec<u8>>>,
    connections: Cell<usize>,
    open: Cell<usize>,
    down: RefCell<Vec<usize>>,
    produced: Arc<AtomicUsize>,
    hang_up: Notify,
}

/// One thing that the cluster does.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Answers once the whole request is there.
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: Bytes },
    /// Answers at once, without reading the request's body.
    Early(u16),
    /// Answers once so many bytes of the request's body are there, and reads on.
    Midway(usize, u16),
    /// Answers with a body that comes in pieces, then trailers.
    Pieces(Vec<&'static str>, Vec<(&'static str, &'static str)>),
    /// Breaks the connection instead of answering.
    Break,
    /// Answers after this long.
    After(Duration, Box<Reply>),
    /// Sends a piece, and then nothing any more.
    Stall(u16, &'static str),
    /// Sends for as long as somebody takes it.
    Endless,
    /// Neither reads the body nor answers.
    Ignore,
}

/// A request as the cluster read it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) host: usize,
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: Bytes::new() }
    }

    pub(crate) fn json(status: u16, body: &str) -> Self {
        let kind = ("content-type", "application/json".to_owned());
        Self::Answer { status, headers: vec![kind], body: Bytes::from(body.to_owned()) }
    }

    pub(crate) fn header(self, name: &'static str, value: &str) -> Self {
        match self {
            Self::Answer { status, mut headers, body } => {
                headers.push((name, value.to_owned()));
                Self::Answer { status, headers, body }
            }
            other => other,
        }
    }
}

impl Upstream {
    /// Answers in this order; what comes after is answered by breaking the connection.
    pub(crate) fn script(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::new(replies.into_iter().collect(), None)
    }

    /// Answers everything alike.
    pub(crate) fn always(reply: Reply) -> Self {
        Self::new(VecDeque::new(), Some(reply))
    }

    fn new(script: VecDeque<Reply>, otherwise: Option<Reply>) -> Self {
        Self(Rc::new(State {
            script: RefCell::new(script),
            otherwise,
            seen: RefCell::default(),
            wires: RefCell::default(),
            connections: Cell::new(0),
            open: Cell::new(0),
            down: RefCell::default(),
            produced: Arc::default(),
            hang_up: Notify::new(),
        }))
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.0.seen.borrow().clone()
    }

    /// All bytes that the gateway sent, over all connections.
    pub(crate) fn wire(&self) -> Vec<u8> {
        self.0.wires.borrow().concat()
    }

    /// The same, by connection in the order of their opening.
    pub(crate) fn wires(&self) -> Vec<Vec<u8>> {
        self.0.wires.borrow().clone()
    }

    /// Connections opened so far.
    pub(crate) fn connections(&self) -> usize {
        self.0.connections.get()
    }

    /// Connections open now.
    pub(crate) fn open(&self) -> usize {
        self.0.open.get()
    }

    /// Bytes that [`Reply::Endless`] has given out.
    pub(crate) fn produced(&self) -> usize {
        self.0.produced.load(Ordering::Relaxed)
    }

    /// Closes all connections, as a node does with those that it finds idle.
    pub(crate) fn hang_up(&self) {
        self.0.hang_up.notify_waiters();
    }

    /// This host refuses connections from now on; those that it has stay.
    pub(crate) fn take_down(&self, host: usize) {
        self.0.down.borrow_mut().push(host);
    }

    /// It takes them again.
    pub(crate) fn bring_back(&self, host: usize) {
        self.0.down.borrow_mut().retain(|down| *down != host);
    }

    /// Opens a connection to a host, as the gateway's dialler does.
    pub(crate) fn dial(&self, host: usize) -> io::Result<DuplexStream> {
        if self.0.down.borrow().contains(&host) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (near, far) = tokio::io::duplex(PIPE);
        let state = Rc::clone(&self.0);
        let connection = state.connections.replace(state.connections.get() + 1);
        state.wires.borrow_mut().push(Vec::new());
        state.open.set(state.open.get() + 1);
        tokio::task::spawn_local(async move {
            let recorded = Recorded { pipe: far, connection, state: Rc::clone(&state) };
            let service = service_fn(|request| {
                let state = Rc::clone(&state);
                async move { state.answer(host, request).await }
            });
            // A script may break the connection: that is no failure of the test.
            tokio::select! {
                _ = http1::Builder::new().serve_connection(TokioIo::new(recorded), service) => {}
                () = state.hang_up.notified() => {}
            }
            state.open.set(state.open.get() - 1);
        });
        Ok(near)
    }
}

impl State {
    async fn answer(&self, host: usize, request: Request<Incoming>) -> io::Result<Response<BoxBody<Bytes, io::Error>>> {
        let scripted = self.script.borrow_mut().pop_front();
        let mut reply = scripted.or_else(|| self.otherwise.clone()).unwrap_or(Reply::Break);
        let (parts, incoming) = request.into_parts();
        if matches!(reply, Reply::Ignore) {
            return std::future::pending().await;
        }
        let (body, trailers) = if matches!(reply, Reply::Early(_)) {
            (Bytes::new(), None)
        } else if let Reply::Midway(enough, _) = reply {
            (midway(incoming, enough).await?, None)
        } else {
            let collected = incoming.collect().await.map_err(io::Error::other)?;
            let trailers = collected.trailers().cloned();
            (collected.to_bytes(), trailers)
        };
        self.seen.borrow_mut().push(Seen {
            host,
            method: parts.method,
            target: parts.uri.to_string(),
            headers: parts.headers,
            body,
            trailers,
        });
        while let Reply::After(time, then) = reply {
            tokio::time::sleep(time).await;
            reply = *then;
        }
        match reply {
            Reply::Answer { status, headers, body } => {
                let mut response = Response::builder().status(status);
                for (name, value) in headers {
                    response = response.header(name, value);
                }
                Ok(response.body(Full::new(body).map_err(|never| match never {}).boxed()).unwrap())
            }
            Reply::Early(status) | Reply::Midway(_, status) => {
                let body = Full::new(Bytes::from_static(b"early")).map_err(|never| match never {}).boxed();
                Ok(Response::builder().status(StatusCode::from_u16(status).unwrap()).body(body).unwrap())
            }
            Reply::Pieces(pieces, trailers) => {
                let mut response = Response::builder();
                let names: Vec<&str> = trailers.iter().map(|(name, _)| *name).collect();
                if !names.is_empty() {
                    response = response.header("trailer", names.join(","));
                }
                let mut map = HeaderMap::new();
                for (name, value) in trailers {
                    map.insert(name, value.parse().unwrap());
                }
                let mut frames: VecDeque<_> =
                    pieces.into_iter().map(|piece| Frame::data(Bytes::from_static(piece.as_bytes()))).collect();
                if !map.is_empty() {
                    frames.push_back(Frame::trailers(map));
                }
                Ok(response.body(BoxBody::new(Frames { frames, stall: false })).unwrap())
            }
            Reply::Stall(status, piece) => {
                let frames = VecDeque::from([Frame::data(Bytes::from_static(piece.as_bytes()))]);
                Ok(Response::builder().status(status).body(BoxBody::new(Frames { frames, stall: true })).unwrap())
            }
            Reply::Endless => Ok(Response::new(BoxBody::new(Flood(Arc::clone(&self.produced))))),
            Reply::Break | Reply::After(..) | Reply::Ignore => Err(io::Error::other("told to break the connection")),
        }
    }
}

/// Reads the beginning of a body, and the rest of it in the background.
async fn midway(mut body: Incoming, enough: usize) -> io::Result<Bytes> {
    let mut begun = Vec::new();
    while begun.len() < enough {
        match body.frame().await {
            Some(frame) => begun.extend_from_slice(&frame.map_err(io::Error::other)?.into_data().unwrap()),
            None => break,
        }
    }
    tokio::task::spawn_local(async move { while let Some(Ok(_)) = body.frame().await {} });
    Ok(begun.into())
}

/// A body of frames at hand.
struct Frames {
    frames: VecDeque<Frame<Bytes>>,
    stall: bool,
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None if self.stall => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

/// A body without end.
struct Flood(Arc<AtomicUsize>);

impl http_body::Body for Flood {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.fetch_add(DROP.len(), Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(DROP)))))
    }
}

/// A pipe whose incoming bytes are kept.
struct Recorded {
    pipe: DuplexStream,
    connection: usize,
    state: Rc<State>,
}

impl AsyncRead for Recorded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.pipe).poll_read(cx, buf);
        self.state.wires.borrow_mut()[self.connection].extend_from_slice(&buf.filled()[before..]);
        polled
    }
}

impl AsyncWrite for Recorded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

const DROP: &[u8] = &[b'.'; 4096];
/// What fits into a pipe: small, so that back-pressure is felt.
const PIPE: usize = 16 * 1024;

/// A node on a socket of its own that answers every request alike: for probes, which open connections themselves.
pub(crate) async fn node(answer: &'static str) -> HostUrl {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::task::spawn_local(answer_all(listener, answer));
    HostUrl { tls: false, host: "127.0.0.1".into(), port }
}

/// Answers whatever is asked on `listener` alike.
pub(crate) async fn answer_all(listener: TcpListener, answer: &'static str) {
    while let Ok((mut socket, _)) = listener.accept().await {
        let mut asked = [0; 4096];
        let _asked = socket.read(&mut asked).await;
        let _answered = socket.write_all(answer.as_bytes()).await;
    }
}
