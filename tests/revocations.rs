//! No verdict outlives a revocation, in whatever order threads take their steps: loom tries them all.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use loom::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// What the counters are made of here.
mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}

#[path = "../src/identify/cache/counters.rs"]
mod counters;

use counters::Counters;

/// The kind and the shard of the key that is revoked.
const KEY: (usize, usize) = (1, 0);

/// The store says whether the key is revoked; the cache keeps what was read from it.
struct Model {
    revoked: AtomicBool,
    counters: Counters,
}

impl Model {
    /// What a realm does with a key that is not remembered: the stamp under which it is kept, if it is good.
    fn verify(&self) -> Option<u64> {
        let begun = self.counters.begin();
        let good = !self.revoked.load(Ordering::SeqCst);
        let stamp = self.counters.stamp(&begun, KEY.0, KEY.1);
        stamp.filter(|_| good)
    }
}

fn check(revoke: fn(&Counters)) {
    loom::model(move || {
        let model = Arc::new(Model { revoked: AtomicBool::new(false), counters: Counters::new(2) });
        let verifier = thread::spawn({
            let model = Arc::clone(&model);
            move || model.verify()
        });
        model.revoked.store(true, Ordering::SeqCst);
        revoke(&model.counters);
        // The revocation is acknowledged from here on, whether the verifier is done or not.
        let kept = verifier.join().unwrap();
        assert!(kept.is_none_or(|stamp| !model.counters.honour(KEY.1, stamp)), "a revoked key is remembered");
        assert!(model.verify().is_none());
    });
}

#[test]
fn a_revoked_key_is_not_remembered() {
    check(|counters| counters.revoke(KEY.0, KEY.1));
}

#[test]
fn nor_is_any_when_everything_is_revoked() {
    check(Counters::revoke_all);
}

#[test]
fn what_nobody_revoked_is_remembered() {
    loom::model(|| {
        let model = Arc::new(Model { revoked: AtomicBool::new(false), counters: Counters::new(2) });
        let other = thread::spawn({
            let model = Arc::clone(&model);
            move || model.counters.revoke(2, 1)
        });
        let kept = model.verify();
        other.join().unwrap();
        assert!(kept.is_some_and(|stamp| model.counters.honour(KEY.1, stamp)));
    });
}
