//! Counters of what was revoked: the protocol of the cache as atomics and nothing else, so that `tests/revocations.rs` can
//! try it in every order of steps that threads may take.
//!
//! Whoever revokes steps the kind and then the shard, after the write. Whoever keeps a verdict reads the kinds before it
//! reads the store, and after that the shard and then the kind.

use super::atomic::{AtomicU64, Ordering};

/// How often something was revoked: of each kind, and of each shard.
#[derive(Debug)]
pub(crate) struct Counters {
    kinds: [AtomicU64; KINDS],
    shards: Box<[AtomicU64]>,
}

/// What the kinds were.
pub(crate) type Kinds = [u64; KINDS];

impl Counters {
    /// With so many shards.
    pub(crate) fn new(shards: usize) -> Self {
        Self { kinds: Default::default(), shards: std::iter::repeat_with(AtomicU64::default).take(shards).collect() }
    }

    /// The kinds, before anything is read.
    pub(crate) fn begin(&self) -> Kinds {
        self.kinds.each_ref().map(|kind| kind.load(Ordering::SeqCst))
    }

    /// The stamp of a verdict on what is in `shard`, after it was read; none when something of its kind was revoked since
    /// `begun`.
    pub(crate) fn stamp(&self, begun: &Kinds, kind: usize, shard: usize) -> Option<u64> {
        // If this sees the step of a revocation, so does the next line.
        let stamp = self.shards.get(shard)?.load(Ordering::SeqCst);
        (self.kinds.get(kind)?.load(Ordering::SeqCst) == *begun.get(kind)?).then_some(stamp)
    }

    /// Ends what has been stamped in that shard.
    pub(crate) fn revoke(&self, kind: usize, shard: usize) {
        for counter in self.kinds.get(kind).into_iter().chain(self.shards.get(shard)) {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Ends everything.
    pub(crate) fn revoke_all(&self) {
        for counter in self.kinds.iter().chain(&self.shards) {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Whether nothing was revoked in that shard since it had that stamp.
    pub(crate) fn honour(&self, shard: usize, stamp: u64) -> bool {
        self.shards.get(shard).is_some_and(|now| now.load(Ordering::SeqCst) == stamp)
    }
}

const KINDS: usize = 5;
