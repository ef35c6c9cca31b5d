//! The counters of one data thread: written by it alone, with plain stores; read by whoever renders the page.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::telemetry::AccessEvent;

/// The counters of one data thread. On cache lines of their own: no other thread slows it down.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct CoreMetrics {
    /// By source (gateway, upstream) and class of status (1xx to 5xx).
    pub(super) requests: [[Count; 5]; 2],
    pub(super) duration: Histogram,
    pub(super) upstream_duration: Histogram,
    pub(super) bytes_in: Count,
    pub(super) bytes_out: Count,
    pub(super) aborted: Count,
    pub(super) identity_hits: Count,
    pub(super) identity_misses: Count,
}

/// A counter with one writer, which therefore needs no locked instruction.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

/// How often something took how long.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    /// One for each of [`BOUNDS`], and one for what took longer.
    buckets: [Count; BOUNDS.len() + 1],
    nanos: Count,
}

impl CoreMetrics {
    /// An identity was in memory, or not.
    pub fn identity_cache(&self, hit: bool) {
        if hit { self.identity_hits.add(1) } else { self.identity_misses.add(1) }
    }

    /// A request ended. `upstream` when the cluster made the answer, with the time to its first byte.
    pub fn finished(&self, event: &AccessEvent<'_>, upstream: bool, upstream_time: Option<Duration>) {
        let class = usize::from(event.status.as_u16() / 100).wrapping_sub(1);
        if let Some(requests) = self.requests.get(usize::from(upstream)).and_then(|classes| classes.get(class)) {
            requests.add(1);
        }
        self.duration.record(event.elapsed);
        if let Some(time) = upstream_time {
            self.upstream_duration.record(time);
        }
        self.bytes_in.add(event.bytes_in);
        self.bytes_out.add(event.bytes_out);
        self.aborted.add(u64::from(event.aborted));
    }
}

impl Count {
    fn add(&self, amount: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Histogram {
    pub(super) fn record(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let place = BOUNDS.partition_point(|(bound, _)| *bound < nanos);
        if let Some(bucket) = self.buckets.get(place) {
            bucket.add(1);
        }
        self.nanos.add(nanos);
    }

    /// How many fell into the bucket of that place, and none of the lower ones.
    pub(super) fn bucket(&self, place: usize) -> u64 {
        self.buckets.get(place).map_or(0, Count::get)
    }

    pub(super) fn nanos(&self) -> u64 {
        self.nanos.get()
    }
}

/// Upper bounds of buckets in nanoseconds, and in seconds as they are printed.
pub(super) const BOUNDS: [(u64, &str); 16] = [
    (250_000, "0.00025"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_500_000, "0.0025"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (25_000_000, "0.025"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (250_000_000, "0.25"),
    (500_000_000, "0.5"),
    (1_000_000_000, "1"),
    (2_500_000_000, "2.5"),
    (10_000_000_000, "10"),
    (60_000_000_000, "60"),
    (300_000_000_000, "300"),
];
