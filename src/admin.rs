//! The admin listener: health, metrics, status, log level. Never on a data listener.

use std::{fmt, sync::Arc};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::telemetry::metrics::Metrics;

/// One thing that must be well for the gateway to be ready.
#[derive(Clone, Debug)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// What is wrong, if something is.
    pub problem: Option<String>,
}

/// What the admin listener asks of the rest of the process.
pub trait View: fmt::Debug + Send + Sync {
    /// Whether start-up is over.
    fn started(&self) -> bool;
    /// The checks behind `/readyz`.
    fn checks(&self) -> impl Future<Output = Vec<Check>> + Send;
    /// `/status`: version, uptime, upstream nodes, credentials, queue depths.
    fn status(&self) -> impl Future<Output = Value> + Send;
    /// The filter in force.
    fn log_level(&self) -> String;
    /// Sets it.
    ///
    /// # Errors
    ///
    /// What is wrong with `level`.
    fn set_log_level(&self, level: &str) -> Result<(), String>;
    /// Drains, as on SIGTERM.
    fn shutdown(&self);
}

/// Serves the admin listener until `stop`. Runs on the control plane.
pub async fn serve<V: View + 'static>(
    listener: tokio::net::TcpListener,
    view: Arc<V>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let _ = (listener, view, metrics, stop);
    todo!()
}
