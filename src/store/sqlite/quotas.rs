//! How many live keys each owner has at most: counted once, then kept by arithmetic.
//!
//! All insertions go through the one writer of the one process that has the file, and nothing but an insertion makes the
//! number of live keys grow, but a clock that is set back. So a count that only ever rises is never too low; once it
//! reaches the limit, or the clock is behind the time of the count, it is taken anew.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::{model::Timestamp, store::StoreError};

/// Owners and what they have at most.
#[derive(Default)]
pub(super) struct Quotas(Mutex<HashMap<Owner, Count>>);

/// How many are taken at most, from a time on.
#[derive(Clone, Copy)]
struct Count {
    taken: u64,
    since: Timestamp,
}

/// Name and realm.
type Owner = (Box<str>, Box<str>);

impl Quotas {
    /// Takes one more place of `owner`, who may have `max`, at the time `now`; `count` tells how many are taken then.
    /// Returns whether there was one.
    pub(super) fn take(
        &self,
        owner: Owner,
        max: u64,
        now: Timestamp,
        count: impl FnOnce() -> Result<u64, StoreError>,
    ) -> Result<bool, StoreError> {
        let mut known = self.0.lock();
        let Count { taken, since } = match known.get(&owner) {
            Some(known) if known.taken < max && known.since <= now => *known,
            _ => Count { taken: count()?, since: now },
        };
        let room = taken < max;
        if known.len() >= OWNERS {
            known.clear();
        }
        known.insert(owner, Count { taken: taken + u64::from(room), since });
        Ok(room)
    }
}

/// Most owners that are remembered; they are forgotten all at once.
const OWNERS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn jack() -> Owner {
        ("jack".into(), "corp".into())
    }

    #[test]
    fn an_owner_is_counted_once_until_the_limit_is_reached() {
        let quotas = Quotas::default();
        assert!(quotas.take(jack(), 3, at(5), || Ok(1)).unwrap());
        assert!(quotas.take(jack(), 3, at(5), || panic!("counted again")).unwrap());
        assert!(!quotas.take(jack(), 3, at(5), || Ok(3)).unwrap());
        assert!(quotas.take(jack(), 3, at(5), || Ok(2)).unwrap(), "a key has died meanwhile");
    }

    #[test]
    fn an_owner_is_counted_again_when_the_clock_was_set_back() {
        let quotas = Quotas::default();
        assert!(quotas.take(jack(), 3, at(5), || Ok(0)).unwrap());
        assert!(!quotas.take(jack(), 3, at(4), || Ok(3)).unwrap(), "some were not dead yet");
    }

    #[test]
    fn a_count_that_fails_takes_no_place() {
        let quotas = Quotas::default();
        assert!(quotas.take(jack(), 1, at(5), || Err(StoreError::unavailable("busy"))).is_err());
        assert!(quotas.take(jack(), 1, at(5), || Ok(0)).unwrap());
        assert!(!quotas.take(jack(), 1, at(5), || Ok(1)).unwrap());
    }
}
