//! What is done about sessions when nobody asks: pairs of ended ones are invalidated at the cluster, and those whose time
//! is over ended (section 6.3).

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{
    broker::Broker,
    cluster::Half,
    secret::{self, SecretText},
    sessions::Revocation,
    store::StoreError,
};

impl Broker {
    /// Works until `stop`. One of a process is enough.
    pub async fn watch(self, stop: CancellationToken) {
        let owner = u128::from_le_bytes(secret::random()).to_string();
        let mut sweeps = interval(self.0.parts.sessions.cleanup_interval);
        let mut looks = interval(LOOKS);
        for ticks in [&mut sweeps, &mut looks] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let mut more = false;
        loop {
            let work = async {
                tokio::select! {
                    _ = sweeps.tick() => self.sweep().await?,
                    () = std::future::ready(()), if more => {}
                    () = self.0.sessions.queued() => {}
                    _ = looks.tick() => self.count().await?,
                }
                self.revoke_some(&owner).await
            };
            // The queue is durable: what is broken off is done after the next start, or by another replica.
            let done = tokio::select! {
                () = stop.cancelled() => return,
                done = work => done,
            };
            more = done.unwrap_or_else(|error| {
                tracing::warn!(%error, "sessions are not seen to at the moment");
                false
            });
        }
    }

    /// Ends sessions whose time is over.
    ///
    /// # Errors
    ///
    /// That of the store; what is left is done the next time.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        self.0.sessions.sweep().await.map(drop)
    }

    async fn count(&self) -> Result<(), StoreError> {
        let (counts, metrics) = (self.0.sessions.counts().await?, &self.0.parts.metrics.sessions);
        metrics.sessions("active", counts.active);
        metrics.sessions("needs_login", counts.needs_login);
        Ok(())
    }

    /// Invalidates a batch of the pairs that are due. Returns whether there may be more.
    ///
    /// # Errors
    ///
    /// That of the store; claims run out by themselves.
    pub async fn revoke_some(&self, owner: &str) -> Result<bool, StoreError> {
        let due = self.0.sessions.due(owner, BATCH).await?;
        for revocation in &due {
            let done = self.revoke(revocation).await;
            self.0.sessions.settle(revocation, done).await?;
        }
        Ok(due.len() == BATCH as usize)
    }

    /// Both halves, and what was superseded and lives. Returns whether nothing is left to do.
    async fn revoke(&self, revocation: &Revocation) -> bool {
        let (pair, cause) = (&revocation.pair, revocation.cause.as_str());
        // Told expiries are late rather than early, but clocks differ.
        let now = self.0.parts.clock.now().minus(SKEW);
        let access = [(&pair.access, pair.access_expires_at)].into_iter();
        let access = access.chain(pair.superseded.iter().map(|(token, end)| (token, *end)));
        let access = access.filter(|(_, end)| *end > now).map(|(token, _)| (Half::Access, token));
        // The refresh token first: it makes more.
        let refresh = pair.refresh.iter().map(|token| (Half::Refresh, token));
        let mut done = true;
        for (half, token) in refresh.chain(access) {
            done &= self.invalidate(half, token, cause).await;
        }
        done
    }

    async fn invalidate(&self, half: Half, token: &SecretText, cause: &'static str) -> bool {
        let invalidated = self.0.cluster.invalidate(half, token).await;
        if let Err(error) = &invalidated {
            tracing::warn!(cause, %error, "a token of an ended session is not invalidated yet");
        }
        let result = if invalidated.is_ok() { "success" } else { "failure" };
        self.0.parts.metrics.sessions.revoked(cause, result);
        invalidated.is_ok()
    }
}

/// How often the queue is looked at for what other replicas and failures left in it.
const LOOKS: Duration = Duration::from_secs(5);
/// Pairs claimed at a time. One that is done when its claim has run out is invalidated twice, which is no harm.
const BATCH: u32 = 20;
const SKEW: Duration = Duration::from_mins(1);
