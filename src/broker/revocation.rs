//! What is done about sessions when nobody asks: pairs of ended ones are invalidated at the cluster, and those whose time
//! is over ended (section 6.3).

use tokio::time::{MissedTickBehavior, interval};

use crate::{
    broker::Broker,
    cluster::Half,
    secret::{self, SecretText},
    sessions::Revocation,
    store::StoreError,
};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

impl Broker {
    /// Works until `stop`. One of a process is enough.
    pub async fn watch(self, stop: CancellationToken) {
        let owner = u128::from_le_bytes(secret::random()).to_string();
        let mut sweeps = interval(self.0.parts.sessions.cleanup_interval);
        let mut looks = interval(LOOKS);
        for ticks in [&mut sweeps, &mut looks] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            let done = tokio::select! {
                () = stop.cancelled() => return,
                _ = sweeps.tick() => self.sweep().await,
                () = self.0.sessions.queued() => self.revoke_due(&owner).await,
                _ = looks.tick() => self.revoke_due(&owner).await,
            };
            if let Err(error) = done {
                tracing::warn!(%error, "sessions are not seen to at the moment");
            }
        }
    }

    /// Ends sessions whose time is over, and counts those that are left.
    ///
    /// # Errors
    ///
    /// That of the store; what is left is done the next time.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        self.0.sessions.sweep().await?;
        let (counts, metrics) = (self.0.sessions.counts().await?, &self.0.parts.metrics.sessions);
        metrics.sessions("active", counts.active);
        metrics.sessions("needs_login", counts.needs_login);
        Ok(())
    }

    /// Invalidates the pairs that are due, in batches.
    ///
    /// # Errors
    ///
    /// That of the store; claims run out by themselves.
    pub async fn revoke_due(&self, owner: &str) -> Result<(), StoreError> {
        loop {
            let due = self.0.sessions.due(owner, BATCH).await?;
            if due.is_empty() {
                return Ok(());
            }
            for revocation in &due {
                let done = self.revoke(revocation).await;
                self.0.sessions.settle(revocation, done).await?;
            }
        }
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
/// Pairs claimed at a time: few enough to be done before a claim runs out.
const BATCH: u32 = 20;
const SKEW: Duration = Duration::from_mins(1);
