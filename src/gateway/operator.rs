//! What the admin listener shows and may do.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    admin::{Check, View},
    gateway::build::Built,
    store::Store as _,
    upstream::Product,
};

/// The operator's view of the process.
#[derive(Debug)]
pub struct Operator {
    built: Arc<Built>,
    phase: AtomicU8,
    started: Instant,
    end: CancellationToken,
}

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
enum Phase {
    Starting,
    Serving,
    Draining,
}

impl Operator {
    /// The view of a process that starts.
    #[must_use]
    pub fn new(built: Arc<Built>) -> Self {
        Self {
            built,
            phase: AtomicU8::new(Phase::Starting as u8),
            started: Instant::now(),
            end: CancellationToken::new(),
        }
    }

    /// Clients are served.
    pub fn serves(&self) {
        self.phase.store(Phase::Serving as u8, Ordering::Relaxed);
    }

    /// No new ones are.
    pub fn drains(&self) {
        self.phase.store(Phase::Draining as u8, Ordering::Relaxed);
    }

    /// Returns once the operator asks for the end.
    pub async fn asked_to_end(&self) {
        self.end.cancelled().await;
    }

    fn is(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::Relaxed) == phase as u8
    }
}

impl View for Operator {
    fn started(&self) -> bool {
        !self.is(Phase::Starting)
    }

    async fn checks(&self) -> Vec<Check> {
        let serving = if self.is(Phase::Serving) { None } else { Some("is starting or draining".to_owned()) };
        let store = self.built.store.ping().await.err().map(|error| error.to_string());
        let current = self.built.revocations.are_current(self.built.shared.clock.now());
        // Slower, but as good as ever while the store answers.
        let feed =
            if current { None } else { Some("no word of other replicas: the store is asked each time".to_owned()) };
        vec![
            Check { name: "serving", problem: serving },
            Check { name: "store", problem: store },
            Check { name: "feed", problem: feed },
        ]
    }

    async fn status(&self) -> Value {
        let upstream = &self.built.shared.upstream;
        let hosts: Vec<_> = upstream
            .hosts()
            .iter()
            .map(|host| json!({"host": &*host.name, "healthy": host.is_healthy(), "failures": host.failures()}))
            .collect();
        let product = match upstream.product() {
            Product::Unknown => "unknown",
            Product::Elasticsearch => "elasticsearch",
            Product::Opensearch => "opensearch",
        };
        let credentials: Vec<_> = self.built.credentials().map(|credentials| credentials.status()).collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_ms": u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "upstream": {"product": product, "hosts": hosts},
            "credentials": credentials,
            "queues": {"passwords": self.built.passwords.waiting()},
        })
    }

    fn log_level(&self) -> String {
        self.built.telemetry.log_level()
    }

    fn set_log_level(&self, level: &str) -> Result<(), String> {
        self.built.telemetry.set_log_level(level).map_err(|error| error.to_string())
    }

    fn shutdown(&self) {
        self.end.cancel();
    }
}
