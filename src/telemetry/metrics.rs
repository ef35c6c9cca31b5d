//! Counters and histograms; `/metrics` of the admin listener shows them.
//!
//! What every request counts is counted by its data thread alone ([`CoreMetrics`]) and summed when somebody asks. What
//! happens once a connection or seldom is counted here, by any thread.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;

use crate::{clock::Clock, model::Timestamp};

mod core;
mod sessions;
pub mod text;

pub use self::{core::CoreMetrics, sessions::SessionMetrics};
use self::{
    core::{BOUNDS, Count, Histogram},
    text::Page,
};

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    started: Timestamp,
    cores: Mutex<Vec<Arc<CoreMetrics>>>,
    hosts: Vec<Host>,
    connections_opened: AtomicU64,
    connections_closed: AtomicU64,
    connections_refused: Mutex<BTreeMap<&'static str, u64>>,
    tls_handshakes_failed: AtomicU64,
    credential_rejected: AtomicU64,
    /// By realm and outcome. Both sets are closed, so it does not grow.
    authentications: Mutex<BTreeMap<Box<str>, BTreeMap<&'static str, u64>>>,
    /// By class. A closed set.
    refusals: Mutex<BTreeMap<&'static str, u64>>,
    /// By provider and outcome. Both sets are closed.
    reauthentications: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    refreshes: Mutex<Histogram>,
    lost_lines: Mutex<Vec<(&'static str, Arc<AtomicU64>)>>,
    gauges: Mutex<Vec<Gauge>>,
    /// Sessions and the renewal of credentials.
    pub sessions: SessionMetrics,
}

/// One node of the cluster.
#[derive(Debug)]
struct Host {
    name: String,
    healthy: AtomicBool,
    ejections: AtomicU64,
    connects: AtomicU64,
    connect_failures: AtomicU64,
    retries: AtomicU64,
}

type HostCounter = fn(&Host) -> &AtomicU64;

/// A value that somebody else knows.
struct Gauge {
    name: &'static str,
    help: &'static str,
    read: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl Metrics {
    /// Metrics for a cluster of `hosts`.
    #[must_use]
    pub fn new(hosts: &[String]) -> Arc<Self> {
        Arc::new(Self {
            started: Clock::system().now(),
            cores: Mutex::default(),
            hosts: hosts.iter().map(|host| Host::new(host)).collect(),
            connections_opened: AtomicU64::default(),
            connections_closed: AtomicU64::default(),
            connections_refused: Mutex::default(),
            tls_handshakes_failed: AtomicU64::default(),
            credential_rejected: AtomicU64::default(),
            authentications: Mutex::default(),
            refusals: Mutex::default(),
            reauthentications: Mutex::default(),
            refreshes: Mutex::default(),
            lost_lines: Mutex::default(),
            gauges: Mutex::default(),
            sessions: SessionMetrics::default(),
        })
    }

    /// Counters for one more data thread, which alone may write them.
    #[must_use]
    pub fn core(&self) -> Arc<CoreMetrics> {
        let core = Arc::<CoreMetrics>::default();
        self.cores.lock().push(Arc::clone(&core));
        core
    }

    /// Shows a value that `read` knows, such as the depth of a queue. `name` begins with `searchgate_`.
    pub fn gauge(&self, name: &'static str, help: &'static str, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.gauges.lock().push(Gauge { name, help, read: Box::new(read) });
    }

    /// Shows how many lines a stream (`log`, `audit`) has lost.
    pub fn lost_lines(&self, stream: &'static str, lost: Arc<AtomicU64>) {
        self.lost_lines.lock().push((stream, lost));
    }

    /// A client connected.
    pub fn connection_opened(&self) {
        self.connections_opened.fetch_add(1, Relaxed);
    }

    /// A client is gone.
    pub fn connection_closed(&self) {
        self.connections_closed.fetch_add(1, Relaxed);
    }

    /// A connection was closed before it was served.
    pub fn connection_refused(&self, why: &'static str) {
        *self.connections_refused.lock().entry(why).or_default() += 1;
    }

    /// A TLS handshake did not succeed.
    pub fn tls_handshake_failed(&self) {
        self.tls_handshakes_failed.fetch_add(1, Relaxed);
    }

    /// A host of the cluster is in (`true`) or out.
    pub fn host_healthy(&self, host: &str, healthy: bool) {
        if let Some(host) = self.host(host) {
            host.healthy.store(healthy, Relaxed);
        }
    }

    /// A host was taken out.
    pub fn host_ejected(&self, host: &str) {
        self.count_host(host, |host| &host.ejections);
    }

    /// A connection to the cluster could not be opened.
    pub fn upstream_connect_failed(&self, host: &str) {
        self.count_host(host, |host| &host.connect_failures);
    }

    /// A connection to the cluster was opened.
    pub fn upstream_connected(&self, host: &str) {
        self.count_host(host, |host| &host.connects);
    }

    /// A request that never left was sent on another connection.
    pub fn upstream_retried(&self, host: &str) {
        self.count_host(host, |host| &host.retries);
    }

    /// The cluster refused the gateway's own credential: alert on it.
    pub fn upstream_credential_rejected(&self) {
        self.credential_rejected.fetch_add(1, Relaxed);
    }

    /// A realm judged: `outcome` is `success` or a reason code.
    pub fn authentication(&self, realm: &str, outcome: &'static str) {
        let mut realms = self.authentications.lock();
        if let Some(outcomes) = realms.get_mut(realm) {
            *outcomes.entry(outcome).or_default() += 1;
        } else {
            realms.insert(realm.into(), BTreeMap::from([(outcome, 1)]));
        }
    }

    /// The cluster answered 401: what it was about, or `not_ours` when its credential was none that can be renewed.
    pub fn upstream_401(&self, class: &'static str) {
        *self.refusals.lock().entry(class).or_default() += 1;
    }

    /// A refused credential of `provider` was to be renewed, or its request sent again.
    pub fn reauthentication(&self, provider: &'static str, outcome: &'static str) {
        *self.reauthentications.lock().entry((provider, outcome)).or_default() += 1;
    }

    /// A token endpoint was asked, whatever it answered.
    pub fn refreshed(&self, time: Duration) {
        self.refreshes.lock().record(time);
    }

    fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name == name)
    }

    fn count_host(&self, name: &str, counter: HostCounter) {
        if let Some(host) = self.host(name) {
            counter(host).fetch_add(1, Relaxed);
        }
    }

    /// Prometheus text.
    #[must_use]
    pub fn render(&self) -> String {
        let mut page = Page::default();
        self.render_process(&mut page);
        self.render_requests(&mut page);
        self.render_connections(&mut page);
        self.render_hosts(&mut page);
        self.render_reauthentication(&mut page);
        self.sessions.render(&mut page);
        page.finish()
    }

    fn render_process(&self, page: &mut Page) {
        page.family("searchgate_build_info", "gauge", "Version of this process; always 1.");
        page.sample("searchgate_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        let started = self.started.as_millis();
        let started = format_args!("{}.{:03}", started / 1000, started % 1000);
        page.single("searchgate_start_time_seconds", "gauge", "When this process started, in Unix time.", started);
        page.family(
            "searchgate_lost_lines_total",
            "counter",
            "Log, access and audit lines lost because they could not be written in time.",
        );
        for (stream, lost) in &*self.lost_lines.lock() {
            page.sample("searchgate_lost_lines_total", &[("stream", stream)], lost.load(Relaxed));
        }
        for gauge in &*self.gauges.lock() {
            page.single(gauge.name, "gauge", gauge.help, (gauge.read)());
        }
    }

    fn render_requests(&self, page: &mut Page) {
        let cores = self.cores.lock();
        let sum = |counter: fn(&CoreMetrics) -> &Count| cores.iter().map(|core| counter(core).get()).sum::<u64>();
        page.family(
            "searchgate_requests_total",
            "counter",
            "Requests answered, by who made the answer and class of status.",
        );
        for (place, source) in ["gateway", "upstream"].into_iter().enumerate() {
            for (class, status) in ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().enumerate() {
                let count = |core: &Arc<CoreMetrics>| Some(core.requests.get(place)?.get(class)?.get());
                let total: u64 = cores.iter().filter_map(count).sum();
                page.sample("searchgate_requests_total", &[("source", source), ("status", status)], total);
            }
        }
        histogram(
            page,
            "searchgate_request_duration_seconds",
            "First byte of a request to last byte of its answer.",
            cores.iter().map(|core| &core.duration),
        );
        histogram(
            page,
            "searchgate_upstream_response_seconds",
            "First byte of a request to first byte of the answer of the cluster.",
            cores.iter().map(|core| &core.upstream_duration),
        );
        page.single(
            "searchgate_request_body_bytes_total",
            "counter",
            "Bytes of bodies received from clients.",
            sum(|core| &core.bytes_in),
        );
        page.single(
            "searchgate_response_body_bytes_total",
            "counter",
            "Bytes of bodies sent to clients.",
            sum(|core| &core.bytes_out),
        );
        page.single(
            "searchgate_requests_aborted_total",
            "counter",
            "Answers that ended early because one side went away.",
            sum(|core| &core.aborted),
        );
        page.family(
            "searchgate_identity_cache_total",
            "counter",
            "Requests whose caller was known from memory, or had to be asked of a realm.",
        );
        page.sample("searchgate_identity_cache_total", &[("result", "hit")], sum(|core| &core.identity_hits));
        page.sample("searchgate_identity_cache_total", &[("result", "miss")], sum(|core| &core.identity_misses));
        drop(cores);
        page.family(
            "searchgate_authentications_total",
            "counter",
            "Verdicts of realms; the outcome is success or a reason code.",
        );
        for (realm, outcomes) in &*self.authentications.lock() {
            for (outcome, count) in outcomes {
                page.sample("searchgate_authentications_total", &[("realm", realm), ("outcome", outcome)], count);
            }
        }
    }

    fn render_connections(&self, page: &mut Page) {
        // In this order: a connection that closes in between makes the gauge too low by one, never negative.
        let closed = self.connections_closed.load(Relaxed);
        let opened = self.connections_opened.load(Relaxed);
        page.single(
            "searchgate_connections",
            "gauge",
            "Connections of clients now open.",
            opened.saturating_sub(closed),
        );
        page.single("searchgate_connections_total", "counter", "Connections of clients accepted.", opened);
        page.family(
            "searchgate_connections_refused_total",
            "counter",
            "Connections of clients closed before they were served.",
        );
        for (reason, count) in &*self.connections_refused.lock() {
            page.sample("searchgate_connections_refused_total", &[("reason", reason)], count);
        }
        let failed = self.tls_handshakes_failed.load(Relaxed);
        page.single(
            "searchgate_tls_handshakes_failed_total",
            "counter",
            "TLS handshakes of clients that did not succeed.",
            failed,
        );
    }

    fn render_reauthentication(&self, page: &mut Page) {
        page.family("searchgate_upstream_401_total", "counter", "Answers 401 of the cluster, by what they were about.");
        for (class, count) in &*self.refusals.lock() {
            page.sample("searchgate_upstream_401_total", &[("class", class)], count);
        }
        page.family(
            "searchgate_reauth_attempts_total",
            "counter",
            "Renewals of a refused credential and requests sent again, by provider and outcome.",
        );
        for ((provider, outcome), count) in &*self.reauthentications.lock() {
            let labels = [("provider", *provider), ("outcome", *outcome)];
            page.sample("searchgate_reauth_attempts_total", &labels, count);
        }
        histogram(
            page,
            "searchgate_reauth_refresh_seconds",
            "Time that a token endpoint took, whatever it answered.",
            std::iter::once(&*self.refreshes.lock()),
        );
    }

    fn render_hosts(&self, page: &mut Page) {
        page.family("searchgate_upstream_healthy", "gauge", "Whether a host of the cluster is in use.");
        for host in &self.hosts {
            page.sample("searchgate_upstream_healthy", &[("host", &host.name)], u8::from(host.healthy.load(Relaxed)));
        }
        let counters: [(&str, &str, HostCounter); 4] = [
            ("searchgate_upstream_ejections_total", "Times that a host was taken out.", |host| &host.ejections),
            ("searchgate_upstream_connects_total", "Connections to a host that were opened.", |host| &host.connects),
            ("searchgate_upstream_connect_failures_total", "Connections to a host that could not be opened.", |host| {
                &host.connect_failures
            }),
            (
                "searchgate_upstream_retries_total",
                "Requests that never left and were sent on another connection.",
                |host| &host.retries,
            ),
        ];
        for (name, help, counter) in counters {
            page.family(name, "counter", help);
            for host in &self.hosts {
                page.sample(name, &[("host", &host.name)], counter(host).load(Relaxed));
            }
        }
        let rejected = self.credential_rejected.load(Relaxed);
        page.single(
            "searchgate_upstream_credential_rejected_total",
            "counter",
            "Times that the cluster refused the credential of the gateway itself: alert on it.",
            rejected,
        );
    }
}

fn histogram<'a>(page: &mut Page, name: &str, help: &str, parts: impl Iterator<Item = &'a Histogram> + Clone) {
    page.family(name, "histogram", help);
    let bucket = format!("{name}_bucket");
    let mut total = 0_u64;
    for (place, bound) in BOUNDS.iter().map(|(_, text)| *text).chain(["+Inf"]).enumerate() {
        total += parts.clone().map(|part| part.bucket(place)).sum::<u64>();
        page.sample(&bucket, &[("le", bound)], total);
    }
    let nanos: u64 = parts.map(Histogram::nanos).sum();
    let sum = format_args!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    page.sample(&format!("{name}_sum"), &[], sum);
    page.sample(&format!("{name}_count"), &[], total);
}

impl Host {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            healthy: AtomicBool::new(true),
            ejections: AtomicU64::default(),
            connects: AtomicU64::default(),
            connect_failures: AtomicU64::default(),
            retries: AtomicU64::default(),
        }
    }
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests;
