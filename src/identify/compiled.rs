//! What the descriptors of a key allow, by their text: many keys have the same, and compiling them is the dearest part of
//! seeing a key for the first time.

use std::fmt;

use crate::{
    identify::cache::{Cache, Digester, Revocations, Stamps},
    model::Timestamp,
    privileges::Privileges,
    store::Descriptors,
};

/// Privileges that were compiled before.
pub(super) struct Compiled {
    digester: Digester,
    known: Cache<Privileges>,
    /// Nothing: a text always means the same.
    revocations: Revocations,
}

impl Compiled {
    /// Room for so many different texts.
    pub(super) fn new(capacity: usize) -> Self {
        Self { digester: Digester::default(), known: Cache::new(capacity), revocations: Revocations::default() }
    }

    /// What a key may do with these descriptors of its own and of its owner.
    pub(super) fn of_key(&self, assigned: &Descriptors, limited_by: &Descriptors) -> Privileges {
        let digest = self.digester.digest(assigned.text().as_bytes(), Some(limited_by.text().as_bytes()));
        if let Some(known) = self.known.get(&digest, &self.revocations, Timestamp::default()) {
            return known;
        }
        let privileges = Privileges::of_key(assigned, limited_by);
        self.known.insert(digest, privileges.clone(), Timestamp::from_millis(u64::MAX), Stamps::default());
        privileges
    }
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiled").finish_non_exhaustive()
    }
}
