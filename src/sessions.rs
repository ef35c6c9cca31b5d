//! Durable sessions over token pairs of the cluster (transparent-reauthentication.md 6.2, 6.3, 8), and the queue of pairs
//! to be revoked there.
//!
//! Whoever changes a session reads it, changes it and writes it, if nobody wrote it meanwhile; else it begins again. What
//! it decides rests on the generation, which moves with each pair and with nothing else: that somebody else noted
//! activity loses no pair. A session ends together with the entry of its pair into the queue, in one transaction of the
//! store, and it is the pair that the session has then.

use std::{fmt, sync::Arc, time::Duration};

use tokio::sync::Notify;

use crate::{
    clock::Clock,
    config,
    model::Timestamp,
    sealing::MasterKeys,
    secret::SecretText,
    store::{
        self, Announce, AnyStore, Change, Lease, SessionEnd, SessionFilter, SessionRecord, SessionState, Store as _,
        StoreError,
    },
};

mod content;
mod reason;
mod revocations;
mod session;
#[cfg(test)]
mod tests;

pub use reason::Reason;
pub use revocations::Revocation;
pub use session::{
    Counts, Found, NewSession, PREFIX, Pair, Provider, ProviderKind, Published, Query, Session, SessionId,
};

/// Told of every session that this process ended, once that is durable; without it where no key of the ring opens it.
pub type Ended = Arc<dyn Fn(Option<&Session>, Reason) + Send + Sync>;

/// The sessions of this gateway and its replicas.
pub struct Sessions {
    store: AnyStore,
    keys: MasterKeys,
    clock: Clock,
    config: config::Sessions,
    claim_ttl: Duration,
    announce: Announce,
    ended: Ended,
    queued: Arc<Notify>,
}

impl Sessions {
    /// Sessions kept in `store`. A worker that claims pairs to revoke has them for `claim_ttl`.
    #[must_use]
    pub fn new(
        store: AnyStore,
        keys: MasterKeys,
        clock: Clock,
        config: config::Sessions,
        claim_ttl: Duration,
        announce: Announce,
        ended: Ended,
    ) -> Self {
        Self { store, keys, clock, config, claim_ttl, announce, ended, queued: Arc::default() }
    }

    /// Opens a session; returns its handle once it is durable, and the sessions of that user beyond
    /// `sessions.max_per_user` have ended. When it fails, the pair is nobody's.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn open(&self, new: NewSession) -> Result<(SecretText, Session), StoreError> {
        let (handle, id) = SessionId::fresh();
        let now = self.clock.now();
        let mut session = Session::new(id, new, now);
        session.idle_expires_at = Some(now.plus(self.config.idle_timeout));
        session.lifespan_expires_at = Some(now.plus(self.config.lifespan));
        self.store.insert_session(self.record(&session)).await?;
        if let Some(max) = self.config.max_per_user.filter(|max| *max > 0) {
            // After the insertion: of several that are opened at once, the last to get here sees all.
            let filter = SessionFilter {
                provider_types: Some(vec![session.provider.kind.as_str().into()]),
                provider_name: Some(session.provider.name.clone()),
                username_hashes: Some(self.username_hashes(&session.username)),
                ..SessionFilter::default()
            };
            self.end_all(filter, max, Reason::ConcurrencyLimit).await?;
        }
        Ok((handle, session))
    }

    /// The session of that id, or `new` under it if there is none: the gateway's own, which never expire. Also tells
    /// whether `new` was used.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; also when there is one that no key of the ring opens.
    pub async fn open_at(&self, id: SessionId, new: NewSession) -> Result<(Session, bool), StoreError> {
        let session = Session::new(id, new, self.clock.now());
        if self.store.insert_session(self.record(&session)).await? {
            return Ok((session, true));
        }
        let stored = self.get(&id).await?.ok_or(StoreError::Damaged { what: "session" })?;
        Ok((stored, false))
    }

    /// What `handle` leads to.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn find(&self, handle: &str) -> Result<Found, StoreError> {
        let Some(id) = SessionId::of_handle(handle) else { return Ok(Found::Unknown) };
        let Some(session) = self.get(&id).await? else { return Ok(Found::Unknown) };
        Ok(match session.over(self.clock.now()) {
            Some(reason) => Found::Expired(reason),
            None => Found::Active(Box::new(session)),
        })
    }

    /// The session of that id, expired or not. None also for one that no key of the ring opens.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn get(&self, id: &SessionId) -> Result<Option<Session>, StoreError> {
        Ok(self.store.session(&id.0).await?.and_then(|record| self.session(&record)))
    }

    /// Takes the right to refresh the pair of `session` until `until`. None when another has it, or when the pair is not
    /// the session's any more.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn lease(&self, session: &Session, owner: &str, until: Timestamp) -> Result<Option<Session>, StoreError> {
        let now = self.clock.now();
        let changed = self.change(session, |next| {
            let free = next.lease.as_ref().is_none_or(|lease| &*lease.owner == owner || lease.until <= now);
            let active = next.state == SessionState::Active;
            next.lease = Some(Lease { owner: owner.into(), until });
            free && active
        });
        changed.await
    }

    /// Gives that right back, if `session` has it; returns whether it had.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn release(&self, session: &Session) -> Result<bool, StoreError> {
        let changed = self.change(session, |next| {
            let ours = next.lease.is_some() && next.lease == session.lease;
            next.lease = None;
            ours
        });
        Ok(changed.await?.is_some())
    }

    /// Gives `session` its next pair, and the lease back. What the pair replaces is carried in it until it expires.
    /// `active` unless all that asked for it was in the background (8.4).
    ///
    /// # Errors
    ///
    /// [`StoreError`]: it may be stored or not; publish again.
    pub async fn publish(&self, session: &Session, pair: Pair, active: bool) -> Result<Published, StoreError> {
        let now = self.clock.now();
        let changed = self.change(session, |next| {
            let before = std::mem::replace(&mut next.pair, pair.clone());
            next.pair.supersede(before, now);
            next.generation += 1;
            next.state = SessionState::Active;
            next.lease = None;
            // What is over stays so, whoever was waiting.
            if active && next.over(now).is_none() {
                self.note_activity(next, now);
            }
            true
        });
        if let Some(stored) = changed.await? {
            return Ok(Published::Stored(Box::new(stored)));
        }
        let Some(stored) = self.get(&session.id).await? else { return Ok(Published::Gone) };
        // What was written although the answer was lost is not another's.
        let same = stored.pair.access.expose() == pair.access.expose();
        Ok(if same { Published::Stored(Box::new(stored)) } else { Published::Moved(Box::new(stored)) })
    }

    /// Notes that the pair of `session` cannot be refreshed any more. Returns whether it is still the session's pair: else
    /// another was published, or the session ended.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn needs_login(&self, session: &Session) -> Result<bool, StoreError> {
        let changed = self.change(session, |next| {
            next.state = SessionState::NeedsLogin;
            next.lease = None;
            true
        });
        Ok(changed.await?.is_some())
    }

    /// Notes activity, which puts the idle timeout off; writes at most every quarter of it. Not for requests in the
    /// background (8.4).
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn extend(&self, session: &Session) -> Result<(), StoreError> {
        let now = self.clock.now();
        let due = |session: &Session| now >= session.last_seen_at.plus(self.config.idle_timeout / 4);
        if session.idle_expires_at.is_none() || !due(session) {
            return Ok(());
        }
        let changed = self.change(session, |next| {
            let extend = due(next) && next.over(now).is_none();
            self.note_activity(next, now);
            extend
        });
        changed.await.map(drop)
    }

    /// Ends a session: it is gone and its pair queued for revocation, both or neither. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn end(&self, id: &SessionId, reason: Reason) -> Result<bool, StoreError> {
        Ok(self.end_all(SessionFilter::id(id.0), 0, reason).await? > 0)
    }

    /// Ends all sessions that are meant; returns how many. What fails half-way is resumed by asking again.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn end_matching(&self, query: &Query) -> Result<u64, StoreError> {
        self.end_all(self.filter(query), 0, Reason::Administration).await
    }

    /// Ends all sessions whose time is over; returns how many. What fails half-way is resumed by the next sweep. One that
    /// no key of the ring opens is not told from others: nobody can extend it, so it goes when its time is over, and a
    /// replica that has not got a new key yet ends nobody else's session.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        let now = Some(self.clock.now());
        // First the one that wins if both are over.
        let lifespan = SessionFilter { lifespan_over: now, ..SessionFilter::default() };
        let idle = SessionFilter { idle_over: now, ..SessionFilter::default() };
        Ok(self.end_all(lifespan, 0, Reason::Lifespan).await? + self.end_all(idle, 0, Reason::IdleTimeout).await?)
    }

    /// A page of the sessions that are meant, by id, behind `after`. At most `limit`; those that no key of the ring opens
    /// are left out. Tells also where the next page begins, if there may be one.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn list(
        &self,
        query: &Query,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<(Vec<Session>, Option<SessionId>), StoreError> {
        let records = self.store.sessions(&self.filter(query), after.as_ref().map(|id| &id.0), limit).await?;
        let full = usize::try_from(limit).is_ok_and(|limit| records.len() >= limit);
        let next = records.last().filter(|_| full).map(|last| SessionId(last.id));
        Ok((records.iter().filter_map(|record| self.session(record)).collect(), next))
    }

    /// How many sessions of users there are, and pairs to be revoked.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        let count = async |state| {
            let filter = SessionFilter { state: Some(state), ..self.filter(&Query::default()) };
            self.store.count_sessions(&filter).await
        };
        Ok(Counts {
            active: count(SessionState::Active).await?,
            needs_login: count(SessionState::NeedsLogin).await?,
            revocations: self.store.count_revocations().await?,
        })
    }

    /// Writes what `change` makes of a session, if it says so, and if the session still has the pair that `seen` had.
    async fn change(
        &self,
        seen: &Session,
        change: impl Fn(&mut Session) -> bool,
    ) -> Result<Option<Session>, StoreError> {
        loop {
            let Some(mut session) = self.get(&seen.id).await? else { return Ok(None) };
            if session.generation != seen.generation || !change(&mut session) {
                return Ok(None);
            }
            session.version += 1;
            // Refused when somebody else wrote meanwhile: each turn is another's success.
            if self.store.replace_session(self.record(&session)).await? {
                return Ok(Some(session));
            }
        }
    }

    /// Batch by batch; all replicas have heard of those that ended once it returns, as far as this one can tell them.
    async fn end_all(&self, filter: SessionFilter, spare: u32, reason: Reason) -> Result<u64, StoreError> {
        let end = SessionEnd { filter, spare, limit: BATCH, cause: reason.as_str().into(), at: self.clock.now() };
        let (store, announce, queued) = (self.store.clone(), Arc::clone(&self.announce), Arc::clone(&self.queued));
        let (keys, told) = (self.keys.clone(), Arc::clone(&self.ended));
        store::complete(async move {
            let mut total = 0;
            loop {
                let ended = store.end_sessions(&end).await?;
                for session in &ended {
                    announce(&Change::Session(session.id));
                    told(content::open(&keys, session).as_ref(), reason);
                    tracing::info!(session = %SessionId(session.id).short(), %reason, "session ended");
                }
                if !ended.is_empty() {
                    queued.notify_one();
                }
                let count = u64::try_from(ended.len()).unwrap_or(u64::MAX);
                total += count;
                if count < u64::from(BATCH) {
                    return Ok(total);
                }
            }
        })
        .await
    }

    fn note_activity(&self, session: &mut Session, now: Timestamp) {
        session.last_seen_at = session.last_seen_at.max(now);
        let later = |end: Timestamp| end.max(now.plus(self.config.idle_timeout));
        session.idle_expires_at = session.idle_expires_at.map(later);
    }

    fn filter(&self, query: &Query) -> SessionFilter {
        let kinds = query.kind.map_or(vec![ProviderKind::Pki, ProviderKind::Token], |kind| vec![kind]);
        let kinds = kinds.into_iter().filter(|kind| *kind != ProviderKind::Gateway).map(|kind| kind.as_str().into());
        SessionFilter {
            provider_types: Some(kinds.collect()),
            provider_name: query.name.clone(),
            username_hashes: query.username.as_deref().map(|username| self.username_hashes(username)),
            ..SessionFilter::default()
        }
    }

    fn username_hashes(&self, username: &str) -> Vec<[u8; 32]> {
        self.keys.digests(username.as_bytes())
    }

    fn record(&self, session: &Session) -> SessionRecord {
        SessionRecord {
            id: session.id.0,
            username_hash: self.keys.digest(session.username.as_bytes()),
            provider_type: session.provider.kind.as_str().into(),
            provider_name: session.provider.name.clone(),
            created_at: session.created_at,
            last_seen_at: session.last_seen_at,
            idle_expires_at: session.idle_expires_at,
            lifespan_expires_at: session.lifespan_expires_at,
            generation: session.generation,
            version: session.version,
            state: session.state,
            lease: session.lease.clone(),
            content: content::seal(&self.keys, session),
        }
    }

    /// None, and a warning, when no key of the ring opens it.
    fn session(&self, record: &SessionRecord) -> Option<Session> {
        let session = content::open(&self.keys, record);
        if session.is_none() {
            let id = SessionId(record.id).short();
            tracing::warn!(session = %id, "a session cannot be opened: no master key of the ring is its own");
        }
        session
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

/// Sessions that end in one transaction.
const BATCH: u32 = 1_000;
