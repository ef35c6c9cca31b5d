//! How many live keys each owner has at most: counted once, then kept by arithmetic.
//!
//! All insertions go through the one writer of the one process that has the file, and nothing but an insertion makes the
//! number of live keys grow. So a count that only ever rises is never too low; once it reaches the limit, it is taken
//! anew.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::store::StoreError;

/// Owners and what they have at most.
#[derive(Default)]
pub(super) struct Quotas(Mutex<HashMap<Owner, u64>>);

/// Name and realm.
type Owner = (Box<str>, Box<str>);

impl Quotas {
    /// Takes one more place of `owner`, who may have `max`; `count` tells how many are taken. Returns whether there was
    /// one.
    pub(super) fn take(
        &self,
        owner: Owner,
        max: u64,
        count: impl FnOnce() -> Result<u64, StoreError>,
    ) -> Result<bool, StoreError> {
        let mut known = self.0.lock();
        let taken = match known.get(&owner) {
            Some(taken) if *taken < max => *taken,
            _ => count()?,
        };
        let room = taken < max;
        if known.len() >= OWNERS {
            known.clear();
        }
        known.insert(owner, taken + u64::from(room));
        Ok(room)
    }
}

/// Most owners that are remembered; they are forgotten all at once.
const OWNERS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn jack() -> Owner {
        ("jack".into(), "corp".into())
    }

    #[test]
    fn an_owner_is_counted_once_until_the_limit_is_reached() {
        let quotas = Quotas::default();
        assert!(quotas.take(jack(), 3, || Ok(1)).unwrap());
        assert!(quotas.take(jack(), 3, || panic!("counted again")).unwrap());
        assert!(!quotas.take(jack(), 3, || Ok(3)).unwrap());
        assert!(quotas.take(jack(), 3, || Ok(2)).unwrap(), "a key has died meanwhile");
    }

    #[test]
    fn a_count_that_fails_takes_no_place() {
        let quotas = Quotas::default();
        assert!(quotas.take(jack(), 1, || Err(StoreError::unavailable("busy"))).is_err());
        assert!(quotas.take(jack(), 1, || Ok(0)).unwrap());
        assert!(!quotas.take(jack(), 1, || Ok(1)).unwrap());
    }
}
