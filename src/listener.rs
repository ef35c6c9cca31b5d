//! Accepts connections: TCP and Unix sockets, PROXY protocol, TLS, HTTP/1.1 and HTTP/2.
//!
//! Knows nothing of what a request means: it is handed the handler. Each data thread runs [`accept`] for each
//! address on a socket of its own; the kernel spreads connections over them.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, UnixListener},
    sync::Semaphore,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::Limits,
    listener::{
        bind::Bound,
        peer::{Peer, TlsFacts},
        proxy_protocol::Parsed,
        socket::{Socket, Transport},
        tls::Reloading,
        watch::{Activity, Verdict, Watched},
    },
    telemetry::metrics::Metrics,
};

pub mod bind;
pub mod development;
pub mod peer;
pub mod proxy_protocol;
pub mod socket;
pub mod tls;
pub mod watch;

/// An open socket of one data thread.
#[derive(Debug)]
pub enum Acceptor {
    /// TCP, one socket a thread.
    Tcp(TcpListener),
    /// Unix, one socket for all threads.
    Unix(UnixListener),
}

/// What a listener asks of its connections.
#[derive(Debug)]
pub struct Terms {
    /// TLS; absent = plain text.
    pub tls: Option<Arc<Reloading>>,
    /// A PROXY header comes first.
    pub proxy_protocol: bool,
    /// Whose forwarding headers and PROXY headers are believed.
    pub trusted_proxies: Arc<[IpNet]>,
    /// Limits on what peers may send; a connection keeps those that it began with.
    pub limits: Arc<ArcSwap<Limits>>,
}

/// What all listeners of the process share.
#[derive(Clone, Debug)]
pub struct Reception {
    /// Places for connections; an accept loop takes one for each.
    pub places: Arc<Semaphore>,
    /// Cancelled when the process drains: connections finish what they do and close.
    pub draining: CancellationToken,
    /// Every connection; drain waits for them.
    pub connections: TaskTracker,
    /// Counts what happens here.
    pub metrics: Arc<Metrics>,
}

/// Answers requests. One method, so that listeners need to know nothing of what is behind it.
pub trait Handle: 'static {
    /// Body of its answers.
    type Body: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + 'static;

    /// Answers one request of `peer`; `activity` is told when it begins and when the answer has left.
    fn handle(
        self: Rc<Self>,
        request: Request<Incoming>,
        peer: Rc<Peer>,
        activity: Rc<Activity>,
    ) -> impl Future<Output = Result<Response<Self::Body>, Infallible>>;
}

/// Accepts connections until the process drains; then takes what the kernel has queued already and returns.
pub async fn accept<H: Handle>(acceptor: Acceptor, terms: Rc<Terms>, reception: Reception, handler: Rc<H>) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = reception.draining.cancelled() => break,
            accepted = acceptor.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => {
                // A thread that waits for clients must not sit on a place that another thread's client needs, so
                // the place is taken afterwards; while there is none, further clients wait in the kernel's queue.
                let Ok(place) = Arc::clone(&reception.places).acquire_owned().await else { break };
                serve(socket, peer, &terms, &reception, &handler, place);
            }
            Err(error) => {
                // Mostly no file descriptors left: trying again at once would only spin.
                tracing::error!(%error, "cannot accept connections");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    while let Some(Ok((socket, peer))) = poll_now(acceptor.accept()).await {
        let Ok(place) = Arc::clone(&reception.places).try_acquire_owned() else { break };
        serve(socket, peer, &terms, &reception, &handler, place);
    }
}

fn serve<H: Handle>(
    socket: Socket,
    peer: Peer,
    terms: &Rc<Terms>,
    reception: &Reception,
    handler: &Rc<H>,
    place: tokio::sync::OwnedSemaphorePermit,
) {
    reception.metrics.connection_opened();
    let (terms, handler, draining, metrics) =
        (Rc::clone(terms), Rc::clone(handler), reception.draining.clone(), Arc::clone(&reception.metrics));
    let connection = async move {
        if let Err(error) = converse(socket, peer, &terms, &draining, &metrics, handler).await {
            tracing::debug!(%error, "connection ended");
        }
        metrics.connection_closed();
        drop(place);
    };
    tokio::task::spawn_local(reception.connections.track_future(connection));
}

/// Serves one connection from its first byte to its last.
///
/// # Errors
///
/// When the peer does not keep to a protocol or its time. Nobody is left to tell.
pub async fn converse<H: Handle>(
    mut socket: Socket,
    mut peer: Peer,
    terms: &Terms,
    draining: &CancellationToken,
    metrics: &Metrics,
    handler: Rc<H>,
) -> io::Result<()> {
    let limits = &*terms.limits.load_full();
    peer.proxies = Arc::clone(&terms.trusted_proxies);
    peer.trusted = peer.ip().is_some_and(|ip| peer::trusted(&terms.trusted_proxies, ip));
    if terms.proxy_protocol {
        if !peer.trusted {
            metrics.connection_refused("proxy_protocol");
            return Err(io::Error::other("a PROXY header is taken from trusted proxies only"));
        }
        let source = timeout(limits.header_timeout, proxied(&mut socket)).await??;
        match source {
            Some(source) => peer.name(source),
            // Somebody behind the balancer whom it does not name, or its own health check: neither is a proxy.
            None => peer.trusted = false,
        }
    }
    let Some(tls) = &terms.tls else {
        let silent = async {
            draining.cancelled().await;
            sleep(LAST_WORD).await;
        };
        let seen = tokio::select! {
            biased;
            seen = timeout(limits.idle_timeout, preface(&mut socket, limits.header_timeout)) => seen??,
            () = silent => return Ok(()),
        };
        let multiplexed = seen == Preface::Http2;
        return http(socket, Rc::new(peer), multiplexed, limits, draining, handler).await;
    };
    // A connection keeps room for its largest stage as long as it lives; what is large and rare is boxed.
    let handshake = Box::pin(TlsAcceptor::from(tls.current()).accept(socket));
    let stream = match timeout(limits.header_timeout, handshake).await {
        Ok(Ok(stream)) => Box::new(stream),
        Ok(Err(error)) => {
            metrics.tls_handshake_failed();
            return Err(error);
        }
        Err(elapsed) => {
            metrics.tls_handshake_failed();
            return Err(elapsed.into());
        }
    };
    let session = stream.get_ref().1;
    let multiplexed = session.alpn_protocol() == Some(b"h2");
    peer.tls = Some(Arc::new(TlsFacts::of(session)));
    http(stream, Rc::new(peer), multiplexed, limits, draining, handler).await
}

async fn http<T, H>(
    stream: T,
    peer: Rc<Peer>,
    multiplexed: bool,
    limits: &Limits,
    draining: &CancellationToken,
    handler: Rc<H>,
) -> io::Result<()>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    H: Handle,
{
    let activity = Activity::new(Instant::now());
    let io = TokioIo::new(Watched::new(stream, Rc::clone(&activity)));
    let service = service_fn({
        let activity = Rc::clone(&activity);
        move |request| {
            let (handler, peer, activity) = (Rc::clone(&handler), Rc::clone(&peer), Rc::clone(&activity));
            // Hyper keeps room for this as long as the connection lives: kilobytes that an idle one need not hold.
            Box::pin(handler.handle(request, peer, activity))
        }
    });
    let header_bytes = usize::try_from(limits.header_bytes).unwrap_or(usize::MAX);
    if multiplexed {
        activity.multiplex();
        let connection = http2::Builder::new(LocalExecutor)
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
            .max_concurrent_streams(MAX_STREAMS)
            .serve_connection(io, service);
        let mut connection = Box::pin(connection);
        watch(connection.as_mut(), &activity, limits, draining, http2::Connection::graceful_shutdown).await
    } else {
        let mut connection = http1::Builder::new()
            // The watchdog tells a slow head from a silent connection, which this timer cannot.
            .header_read_timeout(None)
            .max_buf_size(header_bytes.max(MIN_BUFFER))
            .auto_date_header(false)
            .serve_connection(io, service);
        let ended =
            watch(Pin::new(&mut connection), &activity, limits, draining, http1::Connection::graceful_shutdown).await;
        if ended.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut) && activity.is_reading_head() {
            let mut stream = connection.into_parts().io.into_inner();
            timeout(LAST_WORD, stream.write_all(SLOW_HEAD)).await??;
            timeout(LAST_WORD, stream.shutdown()).await??;
        }
        ended
    }
}

/// Drives a connection under its watchdog, and asks it to finish when the process drains.
async fn watch<C>(
    mut connection: Pin<&mut C>,
    activity: &Activity,
    limits: &Limits,
    draining: &CancellationToken,
    finish: impl Fn(Pin<&mut C>),
) -> io::Result<()>
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut drained = pin!(draining.cancelled());
    let mut watchdog = pin!(sleep_until(Instant::now() + limits.idle_timeout));
    let mut finishing = false;
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(ended.map_err(io::Error::other));
            }
            if !finishing && drained.as_mut().poll(cx).is_ready() {
                finishing = true;
                finish(connection.as_mut());
                continue; // it may be done already
            }
            let deadline = activity.deadline(limits.header_timeout, limits.idle_timeout);
            match deadline {
                // Whoever was asked to go has its time to do so.
                Some((end, verdict)) if end < watchdog.deadline() && !(finishing && verdict == Verdict::Idle) => {
                    watchdog.as_mut().reset(end);
                }
                _ => {}
            }
            if watchdog.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            // The clock is not asked: the timer says that its deadline has passed.
            match deadline {
                Some((end, Verdict::Idle)) if end <= watchdog.deadline() && !finishing => {
                    finishing = true;
                    finish(connection.as_mut());
                    watchdog.as_mut().reset(end + limits.header_timeout);
                }
                Some((end, _)) if end <= watchdog.deadline() => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer took too long")));
                }
                Some((end, _)) => watchdog.as_mut().reset(end),
                None => {
                    let next = watchdog.deadline() + limits.idle_timeout;
                    watchdog.as_mut().reset(next);
                }
            }
        }
    })
    .await
}

/// Reads a PROXY header to its end; bytes behind it go back to the socket.
async fn proxied(socket: &mut Socket) -> io::Result<Option<std::net::SocketAddr>> {
    let mut seen = Vec::with_capacity(FIRST_READ);
    loop {
        if socket.read_early(&mut seen).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match proxy_protocol::parse(&seen) {
            Parsed::Header { source, consumed } => {
                socket.unread(Bytes::from(seen).slice(consumed..));
                return Ok(source);
            }
            Parsed::Incomplete => {}
            Parsed::Invalid => return Err(io::Error::other("no PROXY header where one must be")),
        }
    }
}

/// What a plain connection turned out to speak.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Preface {
    Http1,
    Http2,
}

/// Tells HTTP/2 with prior knowledge from HTTP/1 by the first bytes; all go back to the socket.
async fn preface(socket: &mut Socket, patience: Duration) -> io::Result<Preface> {
    let mut seen = Vec::with_capacity(FIRST_READ);
    socket.read_early(&mut seen).await?;
    let begun = Instant::now();
    let preface = loop {
        if HTTP2_PREFACE.starts_with(&seen) && seen.len() < HTTP2_PREFACE.len() {
            let more = tokio::time::timeout_at(begun + patience, socket.read_early(&mut seen));
            if more.await?? == 0 {
                break Preface::Http1;
            }
        } else if seen.starts_with(HTTP2_PREFACE) {
            break Preface::Http2;
        } else {
            break Preface::Http1;
        }
    };
    socket.unread(seen.into());
    Ok(preface)
}

/// Polls once.
async fn poll_now<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

impl Acceptor {
    /// Hands a bound socket to this thread's runtime.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn new(bound: Bound) -> io::Result<Self> {
        match bound {
            Bound::Tcp(socket) => TcpListener::from_std(socket).map(Self::Tcp),
            Bound::Unix(socket) => UnixListener::from_std(socket).map(Self::Unix),
        }
    }

    async fn accept(&self) -> io::Result<(Socket, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (tcp, address) = listener.accept().await?;
                tcp.set_nodelay(true)?;
                let local = tcp.local_addr().ok();
                Ok((Socket::new(Transport::Tcp(tcp)), Peer { local, ..Peer::at(address, false) }))
            }
            Self::Unix(listener) => {
                let (unix, _) = listener.accept().await?;
                Ok((Socket::new(Transport::Unix(unix)), Peer::unknown()))
            }
        }
    }
}

/// HTTP/2 streams stay on the thread of their connection.
#[derive(Clone, Copy, Debug)]
struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// For a request that was on its way to a process that drains, and for a last word to a client that dallies.
const LAST_WORD: Duration = Duration::from_millis(100);
const SLOW_HEAD: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A request head fits mostly; the buffer goes once it is read.
const FIRST_READ: usize = 1024;
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const MAX_STREAMS: u32 = 250;
/// The least that hyper takes.
const MIN_BUFFER: usize = 8192;
