//! The cluster: its hosts, which of them to ask, and the connections to them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use parking_lot::Mutex;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::sync::Notify;

use crate::{
    config::{self, HostUrl},
    fetch::{self, FetchError},
    pem,
    telemetry::metrics::Metrics,
};

pub mod client;
pub mod health;
pub mod tls;
pub mod upload;

/// The cluster as every thread sees it.
#[derive(Debug)]
pub struct Upstream {
    hosts: Box<[Host]>,
    tls: ArcSwapOption<ClientConfig>,
    /// The settings and the digest of the files that `tls` was made of.
    tls_seen: Mutex<Option<(config::UpstreamSsl, pem::FilesDigest)>>,
    /// To open a connection.
    pub connect_timeout: Duration,
    /// To the first byte of an answer.
    pub request_timeout: Duration,
    health_interval: Duration,
    eject_after: u32,
    product: AtomicU8,
    /// A host came back: it may have become something else.
    returned: Notify,
    metrics: Arc<Metrics>,
}

/// One node of the cluster.
#[derive(Debug)]
pub struct Host {
    /// Where it is.
    pub url: HostUrl,
    /// `host:port`, for the `Host` header.
    pub authority: HeaderValue,
    /// `host:port`, for people.
    pub name: Box<str>,
    /// Name that its certificate must bear.
    server_name: Option<ServerName<'static>>,
    failures: AtomicU32,
    ejected: AtomicBool,
    refuses_strangers: AtomicBool,
}

/// What the cluster is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Product {
    /// It has not told yet.
    Unknown,
    /// Elasticsearch, or something that says it is.
    Elasticsearch,
    /// OpenSearch.
    Opensearch,
}

/// A host that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// TLS material.
    #[error(transparent)]
    Tls(#[from] tls::ClientTlsError),
    /// A name that cannot stand in a certificate or a header.
    #[error("[{host}] is no host name")]
    Name {
        /// As configured.
        host: String,
    },
}

impl Upstream {
    /// Prepares hosts and TLS; opens nothing.
    ///
    /// # Errors
    ///
    /// [`UpstreamError`] when TLS material or a host name is unusable.
    pub fn new(config: &config::Upstream, metrics: Arc<Metrics>) -> Result<Self, UpstreamError> {
        let hosts = config.hosts.iter().map(Host::new).collect::<Result<Box<[Host]>, _>>()?;
        let upstream = Self {
            hosts,
            tls: ArcSwapOption::empty(),
            tls_seen: Mutex::default(),
            connect_timeout: config.connect_timeout,
            request_timeout: config.request_timeout,
            health_interval: config.health_interval,
            eject_after: config.eject_after.max(1),
            product: AtomicU8::new(Product::Unknown as u8),
            returned: Notify::new(),
            metrics,
        };
        upstream.reload_tls(&config.ssl)?;
        Ok(upstream)
    }

    /// Takes over `ssl` and what its files hold now; returns whether anything changed. New connections use it.
    ///
    /// # Errors
    ///
    /// [`UpstreamError::Tls`]; the old settings and material stay.
    pub fn reload_tls(&self, ssl: &config::UpstreamSsl) -> Result<bool, UpstreamError> {
        if !self.hosts.iter().any(|host| host.url.tls) {
            return Ok(false);
        }
        let mut last = self.tls_seen.lock();
        let seen = Some((ssl.clone(), tls::seen(ssl)?));
        if *last == seen {
            return Ok(false);
        }
        self.tls.store(Some(tls::client_tls(ssl)?));
        *last = seen;
        Ok(true)
    }

    /// All hosts; an index into them names one for good.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// What the cluster said it is.
    #[must_use]
    pub fn product(&self) -> Product {
        match self.product.load(Ordering::Relaxed) {
            1 => Product::Elasticsearch,
            2 => Product::Opensearch,
            _ => Product::Unknown,
        }
    }

    /// Whether every host was last seen to refuse a request without credentials. One that was never seen counts as
    /// open.
    #[must_use]
    pub fn refuses_strangers(&self) -> bool {
        self.hosts.iter().all(|host| host.refuses_strangers.load(Ordering::Relaxed))
    }

    /// One exchange of the control plane with a host, over a connection of its own. The caller has the clock.
    ///
    /// # Errors
    ///
    /// [`FetchError`]; of them only [`FetchError::Connect`] means that the request has not left.
    pub async fn exchange(&self, host: &Host, mut request: Request<Bytes>) -> Result<Response<Bytes>, FetchError> {
        request.headers_mut().insert(header::HOST, host.authority.clone());
        let tls = self.tls.load_full().zip(host.server_name.clone());
        let opening = fetch::connect(&host.url.host, host.url.port, tls.as_ref());
        let stream = tokio::time::timeout(self.connect_timeout, opening)
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))?;
        fetch::exchange(stream, request).await
    }

    /// A host answered: it is taken back at once.
    pub fn succeeded(&self, host: &Host) {
        // Read before write: the common case must not take the cache line from the other threads.
        if host.failures.load(Ordering::Relaxed) != 0 {
            host.failures.store(0, Ordering::Relaxed);
            self.returned.notify_one();
        }
        if host.ejected.load(Ordering::Relaxed) && host.ejected.swap(false, Ordering::Relaxed) {
            tracing::info!(upstream = &*host.name, "host is back");
            self.metrics.host_healthy(&host.name, true);
        }
    }

    /// A host failed to connect or broke off; the last of `eject_after` in a row takes it out.
    pub fn failed(&self, host: &Host) {
        let failures = host.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures >= self.eject_after && !host.ejected.swap(true, Ordering::Relaxed) {
            tracing::warn!(upstream = &*host.name, failures, "host is taken out until it answers a probe");
            self.metrics.host_ejected(&host.name);
            self.metrics.host_healthy(&host.name, false);
        }
    }
}

impl Host {
    fn new(url: &HostUrl) -> Result<Self, UpstreamError> {
        let bad = || UpstreamError::Name { host: url.host.clone() };
        let name = if url.host.contains(':') {
            format!("[{}]:{}", url.host, url.port)
        } else {
            format!("{}:{}", url.host, url.port)
        };
        let server_name = if url.tls { Some(ServerName::try_from(url.host.clone()).map_err(|_| bad())?) } else { None };
        Ok(Self {
            url: url.clone(),
            authority: HeaderValue::from_str(&name).map_err(|_| bad())?,
            name: name.into(),
            server_name,
            failures: AtomicU32::new(0),
            ejected: AtomicBool::new(false),
            refuses_strangers: AtomicBool::new(false),
        })
    }

    /// Failures in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Whether it is asked at all.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self.ejected.load(Ordering::Relaxed)
    }
}

/// Chooses the host to ask: of those not tried yet, the healthy one with the fewest requests outstanding; when none
/// is healthy, any, for a probe may simply not have come round yet. Ties go round robin by `turn`.
#[must_use]
pub fn choose(hosts: &[Host], outstanding: impl Fn(usize) -> usize, tried: u64, turn: usize) -> Option<usize> {
    let count = hosts.len();
    let order = (0..count)
        .map(|step| (step + turn) % count)
        .filter(|&index| index < config::MAX_HOSTS && tried & (1 << index) == 0);
    order
        .clone()
        .filter(|&index| hosts.get(index).is_some_and(Host::is_healthy))
        .min_by_key(|&index| outstanding(index))
        .or_else(|| order.min_by_key(|&index| outstanding(index)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(count: u16) -> Vec<Host> {
        (0..count)
            .map(|port| Host::new(&HostUrl { tls: false, host: "::1".into(), port: 9200 + port }).unwrap())
            .collect()
    }

    #[test]
    fn the_least_busy_host_is_chosen_and_ties_go_round() {
        let hosts = hosts(3);
        assert_eq!(choose(&hosts, |index| [2, 1, 2][index], 0, 0), Some(1));
        let turns: Vec<_> = (0..4).map(|turn| choose(&hosts, |_| 0, 0, turn)).collect();
        assert_eq!(turns, [Some(0), Some(1), Some(2), Some(0)]);
    }

    #[test]
    fn an_ejected_host_is_asked_only_when_no_other_is_left() {
        let hosts = hosts(2);
        hosts[0].ejected.store(true, Ordering::Relaxed);
        assert_eq!(choose(&hosts, |index| index, 0, 0), Some(1));
        assert_eq!(choose(&hosts, |index| index, 0b10, 0), Some(0), "the healthy one was tried already");
        hosts[1].ejected.store(true, Ordering::Relaxed);
        assert_eq!(choose(&hosts, |index| index, 0, 0), Some(0));
        assert_eq!(choose(&hosts, |index| index, 0b11, 0), None);
    }

    #[test]
    fn an_ipv6_host_is_written_in_brackets() {
        assert_eq!(&*hosts(1)[0].name, "[::1]:9200");
    }
}
