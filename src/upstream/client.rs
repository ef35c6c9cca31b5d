//! Connections of one data thread to the cluster, kept alive and never shared with another thread.

use std::{
    cell::{Cell, RefCell},
    fmt, io,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use http::{Request, Response, header};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::TlsConnector;

use crate::upstream::{Host, Upstream, choose, upload::Upload};

/// The connections of one data thread.
pub struct Pool {
    upstream: Arc<Upstream>,
    hosts: Box<[HostPool]>,
    turn: Cell<usize>,
    dial: Dial,
}

/// How connections are opened.
pub enum Dial {
    /// Over TCP, with TLS where the host asks for it.
    Network,
    /// In memory, to the host of that index: tests and benchmarks, which must own time.
    Pipe(Rc<dyn Fn(usize) -> io::Result<DuplexStream>>),
}

#[derive(Default)]
struct HostPool {
    idle: RefCell<Vec<Idle>>,
    outstanding: Cell<usize>,
}

struct Idle {
    sender: http1::SendRequest<Upload>,
    since: Instant,
}

/// A connection in use. Given back, it serves the next request; dropped, it is closed, and with it whatever the
/// cluster was still doing for this request.
pub struct Lease {
    pool: Rc<Pool>,
    host: usize,
    sender: Option<http1::SendRequest<Upload>>,
}

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The connection broke after the request had left.
    #[error("the connection broke before an answer came")]
    Interrupted(#[source] hyper::Error),
    /// No host took the request.
    #[error("no host took a connection")]
    Unreachable,
}

/// An answer, and the connection that it is still arriving on.
pub type Answered = (Response<Incoming>, Lease);

impl Pool {
    /// An empty pool.
    #[must_use]
    pub fn new(upstream: Arc<Upstream>, dial: Dial) -> Rc<Self> {
        let hosts = upstream.hosts().iter().map(|_| HostPool::default()).collect();
        Rc::new(Self { upstream, hosts, turn: Cell::new(0), dial })
    }

    /// The cluster behind this pool.
    #[must_use]
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Sends a request to the least busy host. A request that never left is sent to another. It is taken out of its
    /// place when it leaves: the caller keeps room for it, and nothing here does.
    ///
    /// # Errors
    ///
    /// [`SendError::Unreachable`] when no host takes it, [`SendError::Interrupted`] when one took it and broke off.
    pub async fn send(self: &Rc<Self>, request: &mut Option<Request<Upload>>) -> Result<Answered, SendError> {
        let mut tried = 0_u64;
        loop {
            let turn = self.turn.replace(self.turn.get().wrapping_add(1));
            let index = choose(self.upstream.hosts(), |host| self.outstanding(host), tried, turn)
                .ok_or(SendError::Unreachable)?;
            let (Some(host), Some(slot)) = (self.upstream.hosts().get(index), self.hosts.get(index)) else {
                return Err(SendError::Unreachable);
            };
            let mut lease = Lease::take(self, index);
            let kept = slot.take_idle();
            let fresh = kept.is_none();
            let mut sender = match kept {
                Some(sender) => sender,
                // Boxed: every request in flight keeps room for what is awaited here.
                None => match Box::pin(self.connect(index, host)).await {
                    Ok(sender) => sender,
                    Err(error) => {
                        tracing::debug!(upstream = &*host.name, %error, "cannot connect");
                        self.upstream.metrics.upstream_connect_failed(&host.name);
                        self.upstream.failed(host);
                        tried |= 1 << index;
                        continue;
                    }
                },
            };
            let Some(mut leaving) = request.take() else { return Err(SendError::Unreachable) };
            leaving.headers_mut().insert(header::HOST, host.authority.clone());
            match sender.try_send_request(leaving).await {
                Ok(response) => {
                    self.upstream.succeeded(host);
                    lease.sender = Some(sender);
                    return Ok((response, lease));
                }
                Err(mut failure) => {
                    let Some(unsent) = failure.take_message() else {
                        if !failure.error().is_user() {
                            self.upstream.failed(host);
                        }
                        return Err(SendError::Interrupted(failure.into_error()));
                    };
                    // A kept connection that the cluster closed meanwhile says nothing about the host.
                    *request = Some(unsent);
                    self.upstream.metrics.upstream_retried(&host.name);
                    if fresh {
                        self.upstream.failed(host);
                        tried |= 1 << index;
                    }
                }
            }
        }
    }

    /// Closes connections that nobody used for some time; called now and then.
    pub fn tick(&self) {
        let now = Instant::now();
        for host in &self.hosts {
            host.idle
                .borrow_mut()
                .retain(|idle| !idle.sender.is_closed() && now.duration_since(idle.since) < KEEP_IDLE);
        }
    }

    fn outstanding(&self, host: usize) -> usize {
        self.hosts.get(host).map_or(usize::MAX, |slot| slot.outstanding.get())
    }

    async fn connect(&self, index: usize, host: &Host) -> io::Result<http1::SendRequest<Upload>> {
        let opening = async {
            match &self.dial {
                Dial::Pipe(open) => handshake(open(index)?).await,
                Dial::Network => {
                    let tcp = TcpStream::connect((host.url.host.as_str(), host.url.port)).await?;
                    tcp.set_nodelay(true)?;
                    match (self.upstream.tls.load_full(), &host.server_name) {
                        (Some(config), Some(name)) => {
                            handshake(TlsConnector::from(config).connect(name.clone(), tcp).await?).await
                        }
                        _ => handshake(tcp).await,
                    }
                }
            }
        };
        let sender = tokio::time::timeout(self.upstream.connect_timeout, opening)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        self.upstream.metrics.upstream_connected(&host.name);
        Ok(sender)
    }
}

async fn handshake<T>(stream: T) -> io::Result<http1::SendRequest<Upload>>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
{
    // An answer may have a hundred headers, hyper's own limit: for any other number it allocates 16 KB an answer.
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(READ_BUFFER)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to the cluster ended");
        }
    });
    Ok(sender)
}

impl HostPool {
    /// The connection used last, so that the ones not needed grow old and are closed. Those that the cluster closed
    /// are passed over, and swept by the next tick.
    fn take_idle(&self) -> Option<http1::SendRequest<Upload>> {
        let mut idle = self.idle.borrow_mut();
        let ready = idle.iter().rposition(|connection| connection.sender.is_ready())?;
        Some(idle.remove(ready).sender)
    }
}

impl Lease {
    fn take(pool: &Rc<Pool>, host: usize) -> Self {
        if let Some(slot) = pool.hosts.get(host) {
            slot.outstanding.set(slot.outstanding.get() + 1);
        }
        Self { pool: Rc::clone(pool), host, sender: None }
    }

    /// Its place among the hosts of the cluster.
    #[must_use]
    pub fn index(&self) -> usize {
        self.host
    }

    /// Hands the connection to whoever sends next: the answer was read to its end at `now`.
    pub fn give_back(mut self, now: Instant) {
        if let (Some(sender), Some(slot)) = (self.sender.take(), self.pool.hosts.get(self.host))
            && !sender.is_closed()
        {
            slot.idle.borrow_mut().push(Idle { sender, since: now });
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(slot) = self.pool.hosts.get(self.host) {
            slot.outstanding.set(slot.outstanding.get().saturating_sub(1));
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("host", &self.host).finish_non_exhaustive()
    }
}

/// Below the idle time-outs that clusters and the load balancers before them use (60 s and more).
const KEEP_IDLE: Duration = Duration::from_secs(50);
/// Large enough for few system calls a megabyte, small enough that hundreds of busy connections stay cheap.
const READ_BUFFER: usize = 128 * 1024;
