//! The data threads: one runtime each, one socket of each listener each, nothing shared but what is read-mostly.

use std::{io, rc::Rc, sync::Arc, thread::JoinHandle, time::Duration};

use tokio::{sync::Semaphore, task::LocalSet};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{Config, ListenAddress},
    gateway::{
        Core, Door, Shared, Site,
        build::{Built, StartError},
        drain::{self, Drained},
    },
    listener::{
        self, Acceptor, Reception, Terms,
        bind::{self, Bound},
    },
    telemetry::access::AccessLog,
    upstream::client::{Dial, Pool},
};

/// Data threads that serve.
#[derive(Debug)]
pub struct Serving {
    /// Where, in the order of the configuration; a port 0 has become the one that was given.
    pub addresses: Vec<ListenAddress>,
    reception: Reception,
    /// Ends data threads whose connections do not end.
    cut: CancellationToken,
    threads: Vec<JoinHandle<()>>,
}

/// One data thread's part of one listener.
struct Share {
    socket: Bound,
    terms: Terms,
    site: Arc<Site>,
}

impl Serving {
    /// Binds the listeners and starts `threads` data threads. From its return on, clients are served.
    ///
    /// # Errors
    ///
    /// [`StartError::Listen`] and [`StartError::System`]; nothing serves then.
    pub fn start(built: &Built, config: &Config, threads: usize) -> Result<Self, StartError> {
        let shared = &built.shared;
        let mut shares: Vec<Vec<Share>> = (0..threads).map(|_| Vec::new()).collect();
        let mut addresses = Vec::with_capacity(config.listeners.len());
        for (listener, (site, tls)) in config.listeners.iter().zip(&built.sites) {
            let (sockets, address) = bind::open(&listener.address, threads)
                .map_err(|source| StartError::Listen { address: listener.address.to_string(), source })?;
            addresses.push(address);
            for (share, socket) in shares.iter_mut().zip(sockets) {
                let terms = Terms {
                    tls: tls.clone(),
                    proxy_protocol: listener.proxy_protocol,
                    trusted_proxies: listener.trusted_proxies.as_slice().into(),
                    limits: Arc::clone(&shared.limits),
                };
                share.push(Share { socket, terms, site: Arc::clone(site) });
            }
        }
        let reception = Reception {
            places: Arc::new(Semaphore::new(config.limits.connections.min(Semaphore::MAX_PERMITS))),
            draining: CancellationToken::new(),
            connections: TaskTracker::new(),
            metrics: Arc::clone(&shared.metrics),
        };
        let mut serving = Self { addresses, reception, cut: CancellationToken::new(), threads: Vec::new() };
        for (index, share) in shares.into_iter().enumerate() {
            let thread = serving.spawn(index, share, shared, built.telemetry.access_log());
            serving.threads.push(thread.map_err(StartError::System)?);
        }
        Ok(serving)
    }

    fn spawn(
        &self,
        index: usize,
        shares: Vec<Share>,
        shared: &Arc<Shared>,
        access: AccessLog,
    ) -> io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (shared, reception, cut) = (Arc::clone(shared), self.reception.clone(), self.cut.clone());
        std::thread::Builder::new().name(format!("data-{index}")).spawn(move || {
            LocalSet::new().block_on(&runtime, serve(shares, shared, access, reception, cut));
        })
    }

    /// Cancelled once a drain has begun.
    #[must_use]
    pub fn draining(&self) -> &CancellationToken {
        &self.reception.draining
    }

    /// Accepts no more, finishes what is under way, at most for `patience`, and ends the threads.
    pub async fn drain(self, patience: Duration) -> Drained {
        let drained = drain::drain(&self.reception.draining, &self.reception.connections, patience).await;
        self.cut.cancel();
        let threads = self.threads;
        let joined = tokio::task::spawn_blocking(|| threads.into_iter().all(|thread| thread.join().is_ok())).await;
        if !joined.unwrap_or(false) {
            tracing::error!("a data thread panicked");
        }
        drained
    }
}

/// The life of a data thread.
async fn serve(
    shares: Vec<Share>,
    shared: Arc<Shared>,
    access: AccessLog,
    reception: Reception,
    cut: CancellationToken,
) {
    let pool = Pool::new(Arc::clone(&shared.upstream), Dial::Network);
    let counters = shared.metrics.core();
    let core = Core::new(shared, pool, counters, access);
    for Share { socket, terms, site } in shares {
        let door = Door::new(Rc::clone(&core), site);
        match Acceptor::new(socket) {
            // Tracked like a connection: a drain waits until the kernel's queue is taken over too.
            Ok(acceptor) => {
                let accepting = listener::accept(acceptor, Rc::new(terms), reception.clone(), door);
                tokio::task::spawn_local(reception.connections.track_future(accepting));
            }
            Err(error) => tracing::error!(%error, "cannot accept on a listener"),
        }
    }
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = reception.connections.wait() => break,
            () = cut.cancelled() => break,
            _ = ticks.tick() => core.tick(),
        }
    }
    core.tick();
}

/// Often enough that an access event is seen soon and a jump of the wall clock is noticed; rare enough to cost nothing.
const TICK: Duration = Duration::from_millis(250);
