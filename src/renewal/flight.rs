//! What one flight does: the algorithm of section 6.2, and F7, F8 and F9 of section 5.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use crate::{
    renewal::{Exchange, ExchangeError, Fresh, Lineages, Outcome, RenewError, Renewals, Stamp},
    secret::{self, SecretText},
    sessions::{Pair, Published, Reason, Session, SessionId},
    store::{Lease, SessionState, StoreError},
};

/// The result of one look at the store or of one call to the endpoint.
struct Step {
    session: Arc<Session>,
    /// Life of the pair's access token as told, where this flight fetched it.
    fetched: Option<Duration>,
}

/// A lease of somebody else, and since when this process has seen it.
///
/// Their clock dates it, which may be far from ours: whoever has held it for as long as leases last by our own watch has
/// lost it.
struct Watched {
    lease: Lease,
    since: Instant,
}

impl<L: Lineages> Renewals<L> {
    /// To a pair of a later generation than that of `stamp`.
    pub(super) async fn fly(&self, stamp: Stamp, exchange: &impl Exchange) -> Outcome {
        let step = self.step(stamp, exchange).await?;
        let Some(life) = step.fetched else { return Ok(step.session) };
        let brief = life <= REUSE_WINDOW;
        let asks = brief || self.0.settings.post_refresh_probe;
        let dead = asks && !self.usable(&step.session, exchange).await;
        if dead && brief {
            // F9: the reuse window gave a pair whose access token is dead already. Its refresh token is not; once.
            let stamp = Stamp { generation: step.session.generation, ..stamp };
            return self.step(stamp, exchange).await.map(|step| step.session);
        }
        Ok(step.session)
    }

    async fn step(&self, stamp: Stamp, exchange: &impl Exchange) -> Result<Step, RenewError> {
        let (mut pause, mut watched) = (SHORTEST_PAUSE, None);
        loop {
            let session = self.current(&stamp.id, stamp.active).await?;
            if session.generation > stamp.generation {
                self.0.metrics.reauthentication(session.provider.kind.as_str(), "current_token"); // D9
                return Ok(Step { session, fetched: None });
            }
            if session.state == SessionState::NeedsLogin {
                return Err(RenewError::Expired);
            }
            if self.is_free(&session, &mut watched).await {
                let until = self.0.clock.now().plus(self.0.settings.lease_ttl);
                if let Some(leased) = self.0.lineages.lease(&session, &self.0.owner, until).await? {
                    return self.exchange(leased, stamp.active, exchange).await;
                }
            }
            sleep(jittered(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The session as stored, or as this instance alone has it (F8), which the store takes now if it can.
    async fn current(&self, id: &SessionId, active: bool) -> Result<Arc<Session>, RenewError> {
        let stored = self.0.lineages.get(id).await;
        let Some(unsaved) = self.unsaved(id) else {
            return stored?.map(Arc::new).ok_or(RenewError::Gone);
        };
        let published = match stored {
            Err(error) => Err(error),
            Ok(None) => Ok(Published::Gone),
            Ok(Some(stored)) if stored.generation < unsaved.generation => {
                self.0.lineages.publish(&stored, unsaved.pair.clone(), active).await
            }
            Ok(Some(stored)) => Ok(Published::Moved(Box::new(stored))),
        };
        let Ok(published) = published else { return Ok(unsaved) };
        self.0.unsaved.lock().remove(id);
        self.taken(published, &unsaved.pair).await
    }

    /// Whether nobody else may hold the lease, by their clock or by our watch.
    async fn is_free(&self, session: &Session, watched: &mut Option<Watched>) -> bool {
        let Some(lease) = &session.lease else { return true };
        if *lease.owner == *self.0.owner || lease.until <= self.0.clock.now() {
            return true;
        }
        match watched {
            Some(watched) if watched.lease != *lease => {}
            Some(watched) if watched.since.elapsed() < self.0.settings.lease_ttl => return false,
            Some(_) => {
                self.release(session).await;
                return true;
            }
            None => {}
        }
        *watched = Some(Watched { lease: lease.clone(), since: Instant::now() });
        false
    }

    /// Asks the endpoint, under the lease.
    async fn exchange(&self, leased: Session, active: bool, exchange: &impl Exchange) -> Result<Step, RenewError> {
        let begun = Instant::now();
        let asked = timeout(self.0.settings.refresh_timeout, exchange.exchange(&leased)).await;
        self.0.metrics.refreshed(begun.elapsed());
        let (provider, id) = (leased.provider.kind.as_str(), leased.id.short());
        let result = match asked.unwrap_or(Err(ExchangeError::Transient)) {
            Ok(fresh) => {
                let fetched = Some(fresh.expires_in);
                let pair = self.next(&leased, fresh);
                self.publish(leased, pair, active).await.map(|session| Step { session, fetched })
            }
            Err(ExchangeError::Ended { ambiguous }) => self.ended(&leased, ambiguous, exchange).await,
            Err(error) => {
                self.release(&leased).await;
                Err(error.into())
            }
        };
        let outcome = match &result {
            Ok(_) => "refreshed",
            Err(RenewError::Expired | RenewError::Gone) => "expired",
            Err(_) => "transient",
        };
        self.0.metrics.reauthentication(provider, outcome);
        if let Err(error) = &result {
            tracing::warn!(session = id, %error, "a session was not renewed");
        }
        result
    }

    /// The pair that follows that of `session`.
    fn next(&self, session: &Session, fresh: Fresh) -> Pair {
        let (now, old) = (self.0.clock.now(), &session.pair);
        let (refresh, refresh_expires_at) = match fresh.refresh {
            Some(refresh) => (Some(refresh), Some(now.plus(REFRESH_LIFE))),
            None => (old.refresh.clone(), old.refresh_expires_at),
        };
        let access_expires_at = now.plus(fresh.expires_in);
        Pair { access: fresh.access, refresh, access_expires_at, refresh_expires_at, superseded: Vec::new() }
    }

    async fn publish(&self, leased: Session, pair: Pair, active: bool) -> Result<Arc<Session>, RenewError> {
        match self.0.lineages.publish(&leased, pair.clone(), active).await {
            Ok(published) => self.taken(published, &pair).await,
            Err(error) => Ok(self.keep(leased, pair, active, &error)),
        }
    }

    /// What the session has now that `pair` was published. A pair that is nobody's is given up.
    async fn taken(&self, published: Published, pair: &Pair) -> Result<Arc<Session>, RenewError> {
        match published {
            Published::Stored(session) => Ok(Arc::from(session)),
            Published::Moved(session) => {
                // Inside the reuse window they have the same pair. A certificate gets another each time.
                if !holds(&session.pair, &pair.access) {
                    self.give_up(pair).await;
                }
                Ok(Arc::from(session))
            }
            Published::Gone => {
                self.give_up(pair).await; // F7
                Err(RenewError::Gone)
            }
        }
    }

    /// F8: the pair stays with this instance, and the store is asked to take it some more times.
    fn keep(&self, session: Session, pair: Pair, active: bool, error: &StoreError) -> Arc<Session> {
        tracing::warn!(session = session.id.short(), %error, "a renewed session is not stored yet");
        let generation = session.generation + 1;
        let kept = Arc::new(Session { pair, generation, state: SessionState::Active, lease: None, ..session });
        self.0.unsaved.lock().insert(kept.id, Arc::clone(&kept));
        let (renewals, id) = (self.clone(), kept.id);
        let saving = async move {
            for pause in SAVING {
                sleep(pause).await;
                // Whatever it finds, what is unsaved is published or dropped by it where the store answers.
                let _now = renewals.current(&id, active).await;
                if renewals.unsaved(&id).is_none() {
                    return;
                }
            }
            renewals.0.metrics.sessions.persist_lost();
            tracing::error!(
                session = id.short(),
                reason = "session_persist_lost",
                "a renewed session could not be stored"
            );
        };
        self.0.tasks.spawn_on(saving, &self.0.runtime);
        kept
    }

    /// `invalid_grant`: final, unless another replica was faster, or the cluster cannot look into its own store.
    async fn ended(&self, leased: &Session, ambiguous: bool, exchange: &impl Exchange) -> Result<Step, RenewError> {
        let stored = self.0.lineages.get(&leased.id).await?.ok_or(RenewError::Gone)?;
        if stored.generation == leased.generation {
            if ambiguous && !exchange.answers_for_tokens().await {
                self.release(leased).await;
                return Err(ExchangeError::Transient.into());
            }
            if self.0.lineages.needs_login(&stored).await? {
                return Err(RenewError::Expired);
            }
        }
        let stored = self.0.lineages.get(&leased.id).await?.ok_or(RenewError::Gone)?;
        Ok(Step { session: Arc::new(stored), fetched: None })
    }

    /// Whether the new access token is taken. One that nobody can judge now is tried by the request itself.
    async fn usable(&self, session: &Session, exchange: &impl Exchange) -> bool {
        let probes = if self.0.settings.post_refresh_probe { PROBES } else { 1 };
        for probe in 1..=probes {
            match timeout(PROBE_PATIENCE, exchange.takes(&session.pair.access)).await {
                Ok(Some(false)) if probe < probes => sleep(BETWEEN_PROBES).await,
                Ok(Some(false)) => return false,
                Ok(Some(true) | None) | Err(_) => return true,
            }
        }
        true
    }

    async fn release(&self, leased: &Session) {
        // Else it passes by itself.
        if let Err(error) = self.0.lineages.release(leased).await {
            tracing::debug!(session = leased.id.short(), %error, "a lease is not given back");
        }
    }

    /// Sees that nobody uses a pair that nobody holds.
    pub(super) async fn give_up(&self, pair: &Pair) {
        if let Err(error) = self.0.lineages.revoke(pair, Reason::Logout).await {
            tracing::error!(%error, "a token pair without a session lives on until it expires");
        }
    }
}

fn holds(pair: &Pair, access: &SecretText) -> bool {
    let same = |token: &SecretText| secret::equal(token.expose().as_bytes(), access.expose().as_bytes());
    same(&pair.access) || pair.superseded.iter().any(|(token, _)| same(token))
}

/// Half of it to all of it.
fn jittered(pause: Duration) -> Duration {
    let [random] = secret::random::<1>();
    pause / 2 + pause / 2 * u32::from(random) / 255
}

/// How long the cluster answers a used refresh token with the same pair.
const REUSE_WINDOW: Duration = Duration::from_secs(30);
/// Refresh tokens of the cluster live for so long.
pub(crate) const REFRESH_LIFE: Duration = Duration::from_hours(24);
/// Between looks at somebody else's lease.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// After which the store is asked again to take a pair.
const SAVING: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(9)];
/// `reauthentication.post_refresh_probe`: so often within a second.
const PROBES: u32 = 3;
const BETWEEN_PROBES: Duration = Duration::from_millis(400);
const PROBE_PATIENCE: Duration = Duration::from_secs(2);
