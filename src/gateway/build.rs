//! Puts the stages together: what is made once, in order, before anything listens.

use std::{io, sync::Arc};

use arc_swap::ArcSwap;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::Config,
    gateway::{Shared, Site},
    listener::tls::{Reloading, ServerTlsError},
    telemetry::access::AccessLog,
    upstream::UpstreamError,
};

/// A gateway, whole but not listening.
#[derive(Debug)]
pub struct Built {
    /// What the data threads share.
    pub shared: Arc<Shared>,
    /// A site and its TLS for each listener, in the order of the configuration.
    pub sites: Vec<(Arc<Site>, Option<Arc<Reloading>>)>,
    /// telemetry
    pub telemetry: Tele,
}
/// x
#[derive(Debug)]
pub struct Tele;
impl Tele {
    /// x
    pub fn access_log(&self) -> AccessLog { todo!() }
}

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on [{address}]")]
    Listen {
        /// As configured.
        address: String,
        #[source]
        /// The system's reason.
        source: io::Error,
    },
    /// A data thread cannot be started.
    #[error("cannot start a data thread")]
    Thread(#[source] io::Error),
    /// TLS material of a listener.
    #[error(transparent)]
    Tls(#[from] ServerTlsError),
    /// The cluster as configured cannot be used.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}
