//! The queue of pairs to be revoked at the cluster. What was queued stays until it is settled, whatever dies.

use std::time::Duration;

use crate::{
    secret,
    sessions::{Pair, Reason, SessionId, Sessions, content},
    store::{RevocationClaim, RevocationRecord, Store as _, StoreError},
};

/// A pair that is to be revoked at the cluster now.
#[derive(Debug)]
pub struct Revocation {
    /// Both halves, and the access tokens that they superseded. One whose time is over needs no call.
    pub pair: Pair,
    /// Why.
    pub cause: Reason,
    /// How often it failed before.
    pub attempts: u32,
    id: u64,
    owner: Box<str>,
}

impl Sessions {
    /// Queues a pair that no session holds (F7); returns once that is durable.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn revoke(&self, pair: &Pair, cause: Reason) -> Result<(), StoreError> {
        let sealed = content::seal_alone(&self.keys, secret::random(), 0, pair);
        self.store.insert_revocation(sealed, cause.as_str(), self.clock.now()).await?;
        self.queued.notify_one();
        Ok(())
    }

    /// Claims up to `limit` pairs that are due, for `owner`, which must be another for each process. Who does not settle
    /// one in time loses its claim.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn due(&self, owner: &str, limit: u32) -> Result<Vec<Revocation>, StoreError> {
        let at = self.clock.now();
        let claim = RevocationClaim { owner: owner.into(), at, until: at.plus(self.claim_ttl), limit };
        let mut due = Vec::new();
        for record in self.store.claim_revocations(&claim).await? {
            if record.created_at.plus(LONGEST_LIFE) <= at {
                tracing::warn!(cause = %record.cause, "a token pair ended by itself before it could be revoked");
                self.store.settle_revocation(record.id, owner, None).await?;
            } else if let Some(revocation) = self.open_revocation(&record, owner) {
                due.push(revocation);
            } else {
                let session = SessionId(record.pair.session).short();
                tracing::warn!(%session, "a token pair to be revoked cannot be opened: no master key of the ring is its own");
                self.put_off(record.id, record.attempts, owner).await?;
            }
        }
        Ok(due)
    }

    /// Removes the pair from the queue, or leaves it there to be tried again later.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: it will be due again when the claim has run out.
    pub async fn settle(&self, revocation: &Revocation, done: bool) -> Result<(), StoreError> {
        if done {
            return self.store.settle_revocation(revocation.id, &revocation.owner, None).await;
        }
        self.put_off(revocation.id, revocation.attempts, &revocation.owner).await
    }

    /// Returns once something may have been queued by this process since it last returned.
    pub async fn queued(&self) {
        self.queued.notified().await;
    }

    fn open_revocation(&self, record: &RevocationRecord, owner: &str) -> Option<Revocation> {
        Some(Revocation {
            pair: content::open_pair(&self.keys, &record.pair)?,
            cause: Reason::named(&record.cause),
            attempts: record.attempts,
            id: record.id,
            owner: owner.into(),
        })
    }

    async fn put_off(&self, id: u64, attempts: u32, owner: &str) -> Result<(), StoreError> {
        let wait = FIRST_WAIT.saturating_mul(1 << attempts.min(16)).min(LONGEST_WAIT);
        self.store.settle_revocation(id, owner, Some(self.clock.now().plus(wait))).await
    }
}

/// No half of a pair lives longer: refresh tokens end 24 hours after their issue, access tokens before (6.1). Within it, a
/// replica that has the key may still come.
const LONGEST_LIFE: Duration = Duration::from_hours(25);
/// How long a pair waits that could not be revoked; twice as long each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_mins(5);
