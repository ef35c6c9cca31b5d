//! A token pair is renewed once for everyone who waits for it, in this process and in its replicas
//! (`transparent-reauthentication.md` section 6.2).
//!
//! In the process, whoever needs the same pair shares a flight. Between replicas, a lease in the store says who asks the
//! endpoint, and a compare-and-swap whose answer counts. The endpoint's reuse window is the net below both, not the lock.
//! A flight is a task of its own: it goes on when whoever began it is gone, for others may wait for it, and what the
//! endpoint has given must not be lost.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    future::Future,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::task::TaskTracker;

use crate::{
    clock::Clock,
    config::Reauthentication,
    model::Timestamp,
    secret::{self, SecretText},
    sessions::{Pair, Published, Reason, Session, SessionId, Sessions},
    store::StoreError,
    telemetry::metrics::Metrics,
};

mod flight;
#[cfg(test)]
mod tests;

pub(crate) use flight::REFRESH_LIFE;

/// Pairs as the store has them, for all replicas: [`Sessions`].
pub trait Lineages: Send + Sync + 'static {
    /// As it is now.
    fn get(&self, id: &SessionId) -> impl Future<Output = Result<Option<Session>, StoreError>> + Send;
    /// Takes the right to renew the pair of `session`; `None` when another has it, or the pair is not the session's any more.
    fn lease(
        &self,
        session: &Session,
        owner: &str,
        until: Timestamp,
    ) -> impl Future<Output = Result<Option<Session>, StoreError>> + Send;
    /// Ends the lease that `session` was read with; returns whether it was still that one.
    fn release(&self, session: &Session) -> impl Future<Output = Result<bool, StoreError>> + Send;
    /// Gives `session` its next pair, and the lease back. Only an `active` renewal puts off the end of an idle session.
    fn publish(
        &self,
        session: &Session,
        pair: Pair,
        active: bool,
    ) -> impl Future<Output = Result<Published, StoreError>> + Send;
    /// Notes that only a new log-in helps; returns whether the pair was still the session's.
    fn needs_login(&self, session: &Session) -> impl Future<Output = Result<bool, StoreError>> + Send;
    /// Queues a pair that no session holds for its end at the cluster.
    fn revoke(&self, pair: &Pair, cause: Reason) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Where a fresh pair comes from: the token endpoint, or the delegation of a certificate.
pub trait Exchange: Clone + Send + Sync + 'static {
    /// Asks for the next pair, once.
    fn exchange(&self, session: &Session) -> impl Future<Output = Result<Fresh, ExchangeError>> + Send;
    /// The token-store probe of section 6.1: whether an "unknown token" of this endpoint can be believed.
    fn answers_for_tokens(&self) -> impl Future<Output = bool> + Send;
    /// Who-am-I: `None` while nobody can tell.
    fn takes(&self, access: &SecretText) -> impl Future<Output = Option<bool>> + Send;
}

/// What an endpoint gave.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// The access token.
    pub access: SecretText,
    /// The refresh token; without one the last stays good.
    pub refresh: Option<SecretText>,
    /// Life of the access token, as the endpoint tells it.
    pub expires_in: Duration,
}

/// Why an endpoint gave nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ExchangeError {
    /// `invalid_grant` (F4). An ambiguous one says no more than that the token was not found.
    #[error("the refresh token is not good any more")]
    Ended {
        /// It may be the endpoint's own store that is down.
        ambiguous: bool,
    },
    /// The pair was made by another identity than the gateway shows (F6).
    #[error("the pair belongs to another client")]
    OtherClient,
    /// The gateway's own identity is refused (F6).
    #[error("the identity of the gateway is refused")]
    Rejected,
    /// Nothing is known of the pair: it may work in a moment (F5).
    #[error("the token endpoint does not answer")]
    Transient,
}

/// Whose pair is renewed, and which one was refused or is too old.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// The session.
    pub id: SessionId,
    /// The generation that the attempt was made with.
    pub generation: u64,
    /// Whether the renewal is its user's doing: background requests do not put off the end of an idle session.
    pub active: bool,
}

/// Why there is no newer pair. All who waited for a flight get the same.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RenewError {
    /// More wait for this session than may. 503.
    #[error("too many requests wait for this session")]
    Busy,
    /// Only a new log-in helps (F4). The refusal of the cluster goes to the caller.
    #[error("the session has expired")]
    Expired,
    /// The session was ended meanwhile (F7). As above.
    #[error("the session was ended")]
    Gone,
    /// F6. 502 `refresh_client_mismatch`.
    #[error("the session was opened under another identity of the gateway")]
    OtherClient,
    /// F6. 502 `upstream_credential_rejected`.
    #[error("the cluster refuses the identity by which the gateway renews sessions")]
    Rejected,
    /// The store does not answer. 503.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// F5. 503 and `Retry-After`.
    #[error("the session cannot be renewed at the moment")]
    Transient {
        /// Until it is tried again.
        retry_after: Duration,
    },
}

/// A session whose pair is of a later generation than the one that was refused.
pub type Outcome = Result<Arc<Session>, RenewError>;

/// The flights of this process. Cheap to clone.
pub struct Renewals<L>(Arc<Inner<L>>);

struct Inner<L> {
    lineages: L,
    settings: Reauthentication,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// Who holds the leases of this process.
    owner: Box<str>,
    /// Flights must outlive data threads.
    runtime: Handle,
    tasks: TaskTracker,
    air: Mutex<Air>,
    /// Pairs that the store did not take, by this instance alone (F8).
    unsaved: Mutex<HashMap<SessionId, Arc<Session>>>,
}

/// What flies, and what failed a moment ago.
#[derive(Default)]
struct Air {
    flights: HashMap<SessionId, Arc<watch::Sender<Option<Outcome>>>>,
    cooling: HashMap<SessionId, Cooling>,
}

/// A failure that others would repeat: until its time is over it answers in their place.
struct Cooling {
    error: RenewError,
    failures: u32,
    until: Instant,
}

/// The end of a flight, also of one that panics.
struct Landing<L: Lineages> {
    renewals: Renewals<L>,
    id: SessionId,
    waiting: Arc<watch::Sender<Option<Outcome>>>,
    outcome: Outcome,
}

/// How a caller came to its outcome.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    Began,
    Joined,
}

impl<L: Lineages> Renewals<L> {
    /// Flights over `lineages`, on the current runtime.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    #[must_use]
    pub fn new(lineages: L, settings: Reauthentication, clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self(Arc::new(Inner {
            lineages,
            settings,
            clock,
            metrics,
            owner: owner(),
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
            air: Mutex::default(),
            unsaved: Mutex::default(),
        }))
    }

    /// What it works on.
    #[must_use]
    pub fn lineages(&self) -> &L {
        &self.0.lineages
    }

    /// A pair of a later generation than that of `stamp`: of another's flight, of another replica, or fetched by
    /// `exchange`. Whoever stops waiting stops nobody else.
    ///
    /// # Errors
    ///
    /// [`RenewError`], after `reauthentication.max_wait` at the latest.
    pub async fn renew(&self, stamp: Stamp, exchange: &impl Exchange) -> Outcome {
        let waiting = async {
            loop {
                let (mut flight, part) = self.board(stamp, exchange)?;
                let outcome = match flight.wait_for(Option::is_some).await {
                    Ok(landed) => landed.clone().unwrap_or(Err(TRANSIENT)),
                    Err(_) => Err(TRANSIENT),
                };
                match &outcome {
                    // That flight was for the pair before the caller's.
                    Ok(session) if session.generation <= stamp.generation => {}
                    Ok(session) if part == Part::Joined => {
                        self.0.metrics.reauthentication(session.provider.kind.as_str(), "joined");
                        return outcome;
                    }
                    _ => return outcome,
                }
            }
        };
        let _waiter = self.0.metrics.sessions.waiter();
        timeout(self.0.settings.max_wait, waiting).await.unwrap_or_else(|_| Err(TRANSIENT))
    }

    /// Waits until no flight of that session is under way here: what it brings is then in the store, or queued for its
    /// end.
    pub async fn settled(&self, id: &SessionId) {
        let flight = self.0.air.lock().flights.get(id).map(|flight| flight.subscribe());
        if let Some(mut flight) = flight {
            // An error means that it has ended, too.
            let _landed = flight.wait_for(Option::is_some).await;
        }
    }

    /// Waits until all flights have landed; to be called when no request can begin one any more.
    pub async fn drain(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// The pair of this instance alone, where the store took none (F8).
    #[must_use]
    pub fn unsaved(&self, id: &SessionId) -> Option<Arc<Session>> {
        self.0.unsaved.lock().get(id).cloned()
    }

    /// Gives up what this instance alone has of a session that has ended.
    pub async fn forget(&self, id: &SessionId) {
        let kept = self.0.unsaved.lock().remove(id);
        if let Some(kept) = kept {
            self.give_up(&kept.pair).await;
        }
    }

    /// Joins the flight of that session or begins one, unless the last one failed a moment ago.
    fn board(
        &self,
        stamp: Stamp,
        exchange: &impl Exchange,
    ) -> Result<(watch::Receiver<Option<Outcome>>, Part), RenewError> {
        let mut air = self.0.air.lock();
        if let Some(cooling) = air.cooling.get(&stamp.id) {
            let left = cooling.until.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                return Err(cooling.error.clone().within(left));
            }
        }
        match air.flights.entry(stamp.id) {
            Entry::Occupied(flight) => {
                let waiters = u32::try_from(flight.get().receiver_count()).unwrap_or(u32::MAX);
                if waiters >= self.0.settings.max_waiters_per_session {
                    return Err(RenewError::Busy);
                }
                Ok((flight.get().subscribe(), Part::Joined))
            }
            Entry::Vacant(free) => {
                let (sender, receiver) = watch::channel(None);
                let waiting = Arc::clone(free.insert(Arc::new(sender)));
                let outcome = Err(TRANSIENT);
                let mut landing = Landing { renewals: self.clone(), id: stamp.id, waiting, outcome };
                let exchange = exchange.clone();
                let flight = async move {
                    landing.outcome = landing.renewals.fly(stamp, &exchange).await;
                    drop(landing);
                };
                self.0.tasks.spawn_on(flight, &self.0.runtime);
                Ok((receiver, Part::Began))
            }
        }
    }
}

impl<L: Lineages> Drop for Landing<L> {
    fn drop(&mut self) {
        let outcome = self.outcome.clone();
        let mut air = self.renewals.0.air.lock();
        air.flights.remove(&self.id);
        air.cool(self.id, outcome.as_ref().err());
        drop(air);
        // Only now: whoever needs a still later pair must find a new flight.
        self.waiting.send_replace(Some(outcome));
    }
}

impl Air {
    /// Notes how a flight ended.
    fn cool(&mut self, id: SessionId, error: Option<&RenewError>) {
        let Some(error) = error.filter(|error| error.repeats()) else {
            self.cooling.remove(&id);
            return;
        };
        let now = Instant::now();
        if self.cooling.len() >= COOLING {
            self.cooling.retain(|_, cooling| now < cooling.until);
        }
        let failures = self.cooling.get(&id).map_or(0, |cooling| cooling.failures);
        let pause = SHORTEST_COOLING.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_COOLING);
        let cooling = Cooling { error: error.clone(), failures: failures.saturating_add(1), until: now + pause };
        self.cooling.insert(id, cooling);
    }
}

impl RenewError {
    /// Whether the next flight would most likely end the same way, and cost the endpoint a call.
    fn repeats(&self) -> bool {
        matches!(self, Self::OtherClient | Self::Rejected | Self::Transient { .. })
    }

    /// The same, with `left` until it is tried again.
    fn within(self, left: Duration) -> Self {
        match self {
            Self::Transient { .. } => Self::Transient { retry_after: left.max(RETRY_AFTER) },
            other => other,
        }
    }
}

impl From<ExchangeError> for RenewError {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::Ended { .. } => Self::Expired,
            ExchangeError::OtherClient => Self::OtherClient,
            ExchangeError::Rejected => Self::Rejected,
            ExchangeError::Transient => TRANSIENT,
        }
    }
}

impl Lineages for Arc<Sessions> {
    async fn get(&self, id: &SessionId) -> Result<Option<Session>, StoreError> {
        Sessions::get(self, id).await
    }

    async fn lease(&self, session: &Session, owner: &str, until: Timestamp) -> Result<Option<Session>, StoreError> {
        Sessions::lease(self, session, owner, until).await
    }

    async fn release(&self, session: &Session) -> Result<bool, StoreError> {
        Sessions::release(self, session).await
    }

    async fn publish(&self, session: &Session, pair: Pair, active: bool) -> Result<Published, StoreError> {
        Sessions::publish(self, session, pair, active).await
    }

    async fn needs_login(&self, session: &Session) -> Result<bool, StoreError> {
        Sessions::needs_login(self, session).await
    }

    async fn revoke(&self, pair: &Pair, cause: Reason) -> Result<(), StoreError> {
        Sessions::revoke(self, pair, cause).await
    }
}

impl<L> Clone for Renewals<L> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<L> fmt::Debug for Renewals<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewals").field("flights", &self.0.air.lock().flights.len()).finish_non_exhaustive()
    }
}

/// A name that no other process has, nor this one after a restart.
fn owner() -> Box<str> {
    u128::from_le_bytes(secret::random()).to_string().into()
}

const TRANSIENT: RenewError = RenewError::Transient { retry_after: RETRY_AFTER };
/// `Retry-After` of F5.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// After a failure nobody asks again for so long, then for twice as long, …
const SHORTEST_COOLING: Duration = Duration::from_secs(1);
/// … up to this.
const LONGEST_COOLING: Duration = Duration::from_secs(30);
/// Failures remembered before those that are over are looked for.
const COOLING: usize = 10_000;
