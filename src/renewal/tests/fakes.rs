//! A store that replicas share and a token endpoint, both in memory, both with faults on demand.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::{
    clock::Clock,
    config::Reauthentication,
    model::{RealmRef, Timestamp},
    renewal::{Exchange, ExchangeError, Fresh, Lineages, Renewals, Stamp},
    secret::SecretText,
    sessions::{Pair, Provider, ProviderKind, Published, Reason, Session, SessionId},
    store::{Lease, SessionState, StoreError},
    telemetry::metrics::Metrics,
};

/// What replicas share.
#[derive(Clone, Default)]
pub(super) struct Table(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// By which leases pass.
    clock: Mutex<Option<Clock>>,
    sessions: Mutex<HashMap<SessionId, Session>>,
    revoked: Mutex<Vec<String>>,
    down: AtomicBool,
}

impl Table {
    /// With one session of generation 1 whose access token expired a moment ago.
    pub(super) fn with_session() -> Self {
        let table = Self::default();
        *table.0.clock.lock() = Some(Clock::anchored(START));
        table.0.sessions.lock().insert(ID, session());
        table
    }

    pub(super) fn session(&self) -> Session {
        self.0.sessions.lock()[&ID].clone()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Session)) {
        let mut sessions = self.0.sessions.lock();
        let session = sessions.get_mut(&ID).unwrap();
        change(session);
        session.version += 1;
    }

    /// As log-out and administration do it.
    pub(super) fn end(&self) {
        let ended = self.0.sessions.lock().remove(&ID).unwrap();
        self.queue(&ended.pair);
    }

    /// Access tokens queued for their end.
    pub(super) fn revoked(&self) -> Vec<String> {
        self.0.revoked.lock().clone()
    }

    pub(super) fn is_down(&self, down: bool) {
        self.0.down.store(down, SeqCst);
    }

    fn is_over(&self, lease: &Lease) -> bool {
        self.0.clock.lock().as_ref().is_some_and(|clock| lease.until <= clock.now())
    }

    fn queue(&self, pair: &Pair) {
        self.0.revoked.lock().push(pair.access.expose().to_owned());
    }

    fn up(&self) -> Result<(), StoreError> {
        let unavailable = || StoreError::Unavailable { reason: "told to".into() };
        if self.0.down.load(SeqCst) { Err(unavailable()) } else { Ok(()) }
    }

    fn swap(&self, seen: &Session, change: impl FnOnce(&mut Session) -> bool) -> Result<Option<Session>, StoreError> {
        self.up()?;
        let mut sessions = self.0.sessions.lock();
        let Some(session) = sessions.get_mut(&seen.id).filter(|session| session.generation == seen.generation) else {
            return Ok(None);
        };
        let mut next = session.clone();
        if !change(&mut next) {
            return Ok(None);
        }
        next.version += 1;
        *session = next.clone();
        Ok(Some(next))
    }
}

impl Lineages for Table {
    async fn get(&self, id: &SessionId) -> Result<Option<Session>, StoreError> {
        self.up()?;
        Ok(self.0.sessions.lock().get(id).cloned())
    }

    async fn lease(&self, session: &Session, owner: &str, until: Timestamp) -> Result<Option<Session>, StoreError> {
        self.swap(session, |session| {
            let free = session.lease.is_none() || session.lease.as_ref().is_some_and(|lease| self.is_over(lease));
            session.lease = Some(Lease { owner: owner.into(), until });
            free
        })
    }

    async fn release(&self, session: &Session) -> Result<bool, StoreError> {
        let seen = session.lease.clone();
        let released = self.swap(session, |session| seen == session.lease.take())?;
        Ok(released.is_some())
    }

    async fn publish(&self, session: &Session, pair: Pair, active: bool) -> Result<Published, StoreError> {
        let published = self.swap(session, |session| {
            session.generation += 1;
            session.pair = pair;
            session.lease = None;
            if active {
                session.last_seen_at = session.last_seen_at.plus(Duration::from_secs(1));
            }
            true
        })?;
        let stored = || self.0.sessions.lock().get(&session.id).cloned();
        Ok(match (published, stored()) {
            (Some(session), _) => Published::Stored(Box::new(session)),
            (None, Some(session)) => Published::Moved(Box::new(session)),
            (None, None) => Published::Gone,
        })
    }

    async fn needs_login(&self, session: &Session) -> Result<bool, StoreError> {
        let needs = |session: &mut Session| {
            session.state = SessionState::NeedsLogin;
            true
        };
        Ok(self.swap(session, needs)?.is_some())
    }

    async fn revoke(&self, pair: &Pair, _: Reason) -> Result<(), StoreError> {
        self.up()?;
        self.queue(pair);
        Ok(())
    }
}

/// A token endpoint as Elasticsearch has one: `refresh-1` gives `access-2` and `refresh-2`, and for 30 s again the same.
#[derive(Clone)]
pub(super) struct Endpoint(Arc<Server>);

struct Server {
    calls: AtomicU64,
    used: Mutex<HashMap<String, Instant>>,
    faults: Mutex<VecDeque<ExchangeError>>,
    /// How long an answer takes, and how much of that it takes to be decided.
    decides: Mutex<Duration>,
    answers: Mutex<Duration>,
    life: Mutex<Duration>,
    store_answers: AtomicBool,
    dead: Mutex<Vec<&'static str>>,
}

impl Endpoint {
    pub(super) fn new() -> Self {
        Self(Arc::new(Server {
            calls: AtomicU64::default(),
            used: Mutex::default(),
            faults: Mutex::default(),
            decides: Mutex::default(),
            answers: Mutex::default(),
            life: Mutex::new(Duration::from_mins(20)),
            store_answers: AtomicBool::new(true),
            dead: Mutex::default(),
        }))
    }

    /// The next calls fail so.
    pub(super) fn fails(self, faults: impl IntoIterator<Item = ExchangeError>) -> Self {
        self.0.faults.lock().extend(faults);
        self
    }

    /// An answer is made after `decides` and arrives `answers` later.
    pub(super) fn slow(self, decides: Duration, answers: Duration) -> Self {
        (*self.0.decides.lock(), *self.0.answers.lock()) = (decides, answers);
        self
    }

    /// Its access tokens live so long; these are dead when they arrive.
    pub(super) fn grants(self, life: Duration, dead: impl IntoIterator<Item = &'static str>) -> Self {
        *self.0.life.lock() = life;
        self.0.dead.lock().extend(dead);
        self
    }

    pub(super) fn store_answers(&self, answers: bool) {
        self.0.store_answers.store(answers, SeqCst);
    }

    pub(super) fn calls(&self) -> u64 {
        self.0.calls.load(SeqCst)
    }
}

impl Exchange for Endpoint {
    async fn exchange(&self, session: &Session) -> Result<Fresh, ExchangeError> {
        self.0.calls.fetch_add(1, SeqCst);
        let (decides, answers) = (*self.0.decides.lock(), *self.0.answers.lock());
        sleep(decides).await;
        if let Some(fault) = self.0.faults.lock().pop_front() {
            return Err(fault);
        }
        let refresh = session.pair.refresh.as_ref().unwrap().expose().to_owned();
        let first = *self.0.used.lock().entry(refresh.clone()).or_insert_with(Instant::now);
        if first.elapsed() > Duration::from_secs(30) {
            return Err(ExchangeError::Ended { ambiguous: false });
        }
        let next = refresh.strip_prefix("refresh-").unwrap().parse::<u64>().unwrap() + 1;
        let expires_in = *self.0.life.lock();
        sleep(answers).await;
        Ok(Fresh { access: text("access", next), refresh: Some(text("refresh", next)), expires_in })
    }

    async fn answers_for_tokens(&self) -> bool {
        self.0.store_answers.load(SeqCst)
    }

    async fn takes(&self, access: &SecretText) -> Option<bool> {
        Some(!self.0.dead.lock().contains(&access.expose()))
    }
}

fn text(kind: &str, number: u64) -> SecretText {
    SecretText::new(format!("{kind}-{number}"))
}

fn session() -> Session {
    let realm = RealmRef { name: "native1".into(), kind: "native".into() };
    Session {
        id: ID,
        generation: 1,
        version: 1,
        state: SessionState::Active,
        provider: Provider { kind: ProviderKind::Token, name: "token".into() },
        realm,
        username: "alice".into(),
        authentication: serde_json::Value::Null,
        fingerprint: None,
        pair: Pair {
            access: text("access", 1),
            refresh: Some(text("refresh", 1)),
            access_expires_at: START.minus(Duration::from_secs(1)),
            refresh_expires_at: None,
            superseded: Vec::new(),
        },
        created_at: START,
        last_seen_at: START,
        idle_expires_at: None,
        lifespan_expires_at: None,
        lease: None,
    }
}

/// One process over `table`.
pub(super) fn instance(table: &Table) -> Renewals<Table> {
    instance_with(table, START, |_| ())
}

/// One whose wall clock says `now`, with other settings than the defaults.
pub(super) fn instance_with(
    table: &Table,
    now: Timestamp,
    change: impl FnOnce(&mut Reauthentication),
) -> Renewals<Table> {
    let mut settings = Reauthentication::default();
    change(&mut settings);
    Renewals::new(table.clone(), settings, Clock::anchored(now), Metrics::new(&[]))
}

/// What was refused with that generation.
pub(super) fn stamp(generation: u64) -> Stamp {
    Stamp { id: ID, generation, active: true }
}

pub(super) const ID: SessionId = SessionId([7; 32]);
pub(super) const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);
