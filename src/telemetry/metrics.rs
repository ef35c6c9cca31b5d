//! Counters and histograms; `/metrics` of the admin listener shows them.

use std::{sync::Arc, time::Duration};

use crate::telemetry::AccessEvent;

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {}

/// The counters of one data thread: written by it alone, read when somebody asks.
#[derive(Debug)]
pub struct CoreMetrics {}

impl Metrics {
    /// Metrics for a cluster of `hosts`.
    #[must_use]
    pub fn new(hosts: &[String]) -> Arc<Self> {
        let _ = hosts;
        todo!()
    }

    /// Counters for one more data thread.
    #[must_use]
    pub fn core(&self) -> Arc<CoreMetrics> {
        todo!()
    }

    /// Prometheus text.
    #[must_use]
    pub fn render(&self) -> String {
        todo!()
    }

    /// A client connected.
    pub fn connection_opened(&self) {}
    /// A client is gone.
    pub fn connection_closed(&self) {}
    /// A connection was closed before it was served.
    pub fn connection_refused(&self, why: &'static str) {
        let _ = why;
    }
    /// A TLS handshake did not succeed.
    pub fn tls_handshake_failed(&self) {}
    /// A host of the cluster is in (`true`) or out.
    pub fn host_healthy(&self, host: &str, healthy: bool) {
        let _ = (host, healthy);
    }
    /// A host was taken out.
    pub fn host_ejected(&self, host: &str) {
        let _ = host;
    }
    /// A connection to the cluster could not be opened.
    pub fn upstream_connect_failed(&self, host: &str) {
        let _ = host;
    }
    /// A connection to the cluster was opened.
    pub fn upstream_connected(&self, host: &str) {
        let _ = host;
    }
    /// A request that never left was sent on another connection.
    pub fn upstream_retried(&self, host: &str) {
        let _ = host;
    }
    /// The cluster refused the gateway's own credential: alert on it.
    pub fn upstream_credential_rejected(&self) {}
    /// A realm judged: `outcome` is `success` or a reason code.
    pub fn authentication(&self, realm: &str, outcome: &'static str) {
        let _ = (realm, outcome);
    }
}

impl CoreMetrics {
    /// An identity was in memory, or not.
    pub fn identity_cache(&self, hit: bool) {
        let _ = hit;
    }

    /// A request ended. `upstream` when the cluster made the answer, with the time to its first byte.
    pub fn finished(&self, event: &AccessEvent<'_>, upstream: bool, upstream_time: Option<Duration>) {
        let _ = (event, upstream, upstream_time);
    }
}
