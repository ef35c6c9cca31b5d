//! Sessions in shape broker (`transparent-reauthentication.md` sections 6, 8 and 11): the caller holds one handle, the
//! gateway the cluster's pair behind it, and keeps it alive.
//!
//! A request meets [`Broker::recall`], which answers from memory, and [`Broker::admit`] only when that knew nothing or the
//! session must be seen to. What is remembered of sessions ends as what is remembered of other callers does.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{runtime::Handle, time::Instant};

use crate::{
    clock::Clock,
    cluster::{CallError, Cluster},
    config::{self, Reauthentication},
    credential::{Credentials, live::Live},
    identify::{
        cache::{Begun, Cache, Digest, Revocations, Subject},
        throttle::Throttle,
    },
    listener::peer::{Peer, TlsFacts},
    model::Timestamp,
    renewal::{RenewError, Renewals, Stamp},
    sessions::{Ended, Found, ProviderKind, Reason, Session, SessionId, Sessions},
    store::SessionState,
    telemetry::{
        audit::{Audit, AuditEvent},
        metrics::Metrics,
    },
};

mod error;
mod login;
mod means;
mod revocation;

pub use error::{LoginError, SessionError};
pub use login::{Opened, Proof};
pub use means::Means;

/// The sessions of the listeners that show the cluster one identity of the gateway's. Cheap to clone.
#[derive(Clone)]
pub struct Broker(Arc<Inner>);

struct Inner {
    sessions: Arc<Sessions>,
    cluster: Arc<Cluster>,
    renewals: Renewals<Arc<Sessions>>,
    live: Cache<Arc<Live>>,
    throttle: Throttle,
    parts: Parts,
    /// What is done behind a request must outlive its thread.
    runtime: Handle,
}

/// What a broker is made with.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The gateway's own identity at the cluster, which all pairs are bound to.
    pub service: Arc<Credentials>,
    /// What was revoked, here and elsewhere.
    pub revocations: Arc<Revocations>,
    /// Tells the time.
    pub clock: Clock,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Told of log-ins and ends.
    pub audit: Audit,
    /// Lives of sessions.
    pub sessions: config::Sessions,
    /// How pairs are renewed.
    pub renewal: Reauthentication,
    /// Slows the guessing of passwords, which the cluster does not.
    pub throttle: config::Throttle,
    /// Sessions kept in memory.
    pub capacity: usize,
}

/// A request that shows a handle.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    /// Whose connection it came on.
    pub peer: &'a Peer,
    /// Sent by a program on its own behalf: it keeps no session alive (section 8.4).
    pub background: bool,
}

impl Broker {
    /// A broker over `sessions`, whose pairs `cluster` gives and takes. Works on the current runtime.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    #[must_use]
    pub fn new(sessions: Arc<Sessions>, cluster: Cluster, parts: Parts) -> Self {
        let (settings, clock, metrics) = (parts.renewal.clone(), parts.clock.clone(), Arc::clone(&parts.metrics));
        Self(Arc::new(Inner {
            renewals: Renewals::new(Arc::clone(&sessions), settings, clock, metrics),
            live: Cache::new(parts.capacity),
            throttle: Throttle::new(parts.throttle.clone()),
            cluster: Arc::new(cluster),
            runtime: Handle::current(),
            sessions,
            parts,
        }))
    }

    /// The sessions themselves.
    #[must_use]
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.0.sessions
    }

    /// The gateway's own identity at the cluster.
    #[must_use]
    pub fn service(&self) -> &Arc<Credentials> {
        &self.0.parts.service
    }

    /// The session of that handle if it is in memory at `now` and needs nothing. No lock.
    #[must_use]
    pub fn recall(&self, id: &SessionId, visit: Visit<'_>, now: Timestamp) -> Option<Arc<Live>> {
        let live = self.0.live.get(&Digest::of_digest(id.0), &self.0.parts.revocations, now)?;
        let instant = Instant::now();
        let quiet = visit.background || live.extend_at.is_none_or(|at| instant < at);
        (quiet && instant < live.fresh_until && belongs(&live, visit.peer)).then_some(live)
    }

    /// The session of `handle`, with an access token that lives.
    ///
    /// # Errors
    ///
    /// [`SessionError`].
    pub async fn admit(&self, handle: &str, visit: Visit<'_>) -> Result<Arc<Live>, SessionError> {
        let id = SessionId::of_handle(handle).ok_or(SessionError::Unknown)?;
        let (now, revocations) = (self.0.parts.clock.now(), &self.0.parts.revocations);
        let live = match self.0.live.get(&Digest::of_digest(id.0), revocations, now) {
            Some(live) => live,
            None => self.look_up(handle, &id).await?,
        };
        if !belongs(&live, visit.peer) {
            self.lose(&live, visit.peer).await;
            return Err(SessionError::Unknown);
        }
        let instant = Instant::now();
        if live.dies_at <= instant {
            return self.renew(&live, visit).await.map_err(|error| SessionError::of(error, &self.0.parts.renewal));
        }
        if live.fresh_until <= instant {
            self.renew_behind(&live, visit);
        }
        if !visit.background && live.extend_at.is_some_and(|at| at <= instant) {
            self.extend_behind(&live, handle);
        }
        Ok(live)
    }

    /// The session with a later access token than that of `refused`; what fails is not held against the session here.
    ///
    /// # Errors
    ///
    /// [`RenewError`].
    pub async fn renew(&self, refused: &Live, visit: Visit<'_>) -> Result<Arc<Live>, RenewError> {
        let Some(means) = self.means(refused, visit.peer) else { return Err(RenewError::Gone) };
        let session = &refused.session;
        let stamp = Stamp { id: session.id, generation: session.generation, active: !visit.background };
        let begun = self.0.parts.revocations.begin();
        match self.0.renewals.renew(stamp, &means).await {
            Ok(renewed) => {
                // Whoever joined late may have begun after an end that the flight did not see: then nothing is known here any more.
                let live = if self.is_remembered(&session.id) {
                    self.remember(Session::clone(&renewed), begun)
                } else {
                    self.alive(Session::clone(&renewed)).map(Arc::new)
                };
                live.ok_or(RenewError::Gone)
            }
            Err(error) => {
                // Once for each token: many may wait for it, and clients that are refused come again.
                if !matches!(error, RenewError::Busy) && !refused.failed.swap(true, Relaxed) {
                    self.tell(session, "session_refresh_failed", Some(&error.to_string()));
                }
                Err(error)
            }
        }
    }

    /// The session as it is known here, if its token is a later one than that of `refused` (D9).
    #[must_use]
    pub fn later(&self, refused: &Live) -> Option<Arc<Live>> {
        let (id, now) = (Digest::of_digest(refused.session.id.0), self.0.parts.clock.now());
        let live = self.0.live.get(&id, &self.0.parts.revocations, now)?;
        (live.session.generation > refused.session.generation).then_some(live)
    }

    /// Whether a session can be renewed at all on this connection (D10).
    #[must_use]
    pub fn can_renew(&self, live: &Live, peer: &Peer) -> bool {
        self.means(live, peer).is_some()
    }

    /// Whether the cluster takes the access token (section 4): asked at most every 5 s for each generation. `None` when it
    /// cannot tell.
    pub async fn probe(&self, live: &Live) -> Option<bool> {
        let mut probed = live.probed.lock().await;
        if let Some((at, verdict)) = *probed
            && at.elapsed() < PROBED
        {
            return verdict;
        }
        let asking = self.0.cluster.authenticate(&live.header);
        let verdict = match tokio::time::timeout(PROBE_PATIENCE, asking).await {
            Ok(Ok(_)) => Some(true),
            Ok(Err(CallError::Refused)) => Some(false),
            Ok(Err(CallError::Transient(_))) | Err(_) => None,
        };
        *probed = Some((Instant::now(), verdict));
        verdict
    }

    /// Ends a session. A renewal under way here ends first, so that what it brings is revoked too; one of another replica
    /// finds the session gone and gives its pair up.
    ///
    /// # Errors
    ///
    /// That of the store: the session lives.
    pub async fn end(&self, session: &Session, reason: Reason) -> Result<bool, crate::store::StoreError> {
        self.0.renewals.settled(&session.id).await;
        let ended = self.0.sessions.end(&session.id, reason).await?;
        self.0.renewals.forget(&session.id).await;
        Ok(ended)
    }

    /// Waits for renewals under way. No request may come any more.
    pub async fn drain(&self) {
        self.0.renewals.drain().await;
    }

    async fn look_up(&self, handle: &str, id: &SessionId) -> Result<Arc<Live>, SessionError> {
        let begun = self.0.parts.revocations.begin();
        let session = match self.0.sessions.find(handle).await {
            Ok(Found::Active(session)) => *session,
            Ok(Found::Expired(reason)) => return Err(self.over(reason.as_str())),
            Ok(Found::Unknown) => return Err(SessionError::Unknown),
            // F8: this instance alone has the last pair of it.
            Err(error) => {
                let lives = |session: &Arc<Session>| session.over(self.0.parts.clock.now()).is_none();
                self.0.renewals.unsaved(id).filter(lives).map(|session| Session::clone(&session)).ok_or(error)?
            }
        };
        if session.state == SessionState::NeedsLogin {
            return Err(self.over(EXPIRED));
        }
        self.remember(session, begun).ok_or(SessionError::Unknown)
    }

    fn is_remembered(&self, id: &SessionId) -> bool {
        let Parts { revocations, clock, .. } = &self.0.parts;
        self.0.live.get(&Digest::of_digest(id.0), revocations, clock.now()).is_some()
    }

    fn alive(&self, session: Session) -> Option<Live> {
        let (ahead, stale) = (self.0.parts.renewal.refresh_ahead, self.0.parts.sessions.idle_timeout / 4);
        Live::new(session, self.0.parts.clock.now(), ahead, stale)
    }

    fn remember(&self, session: Session, begun: Begun) -> Option<Arc<Live>> {
        let Parts { revocations, .. } = &self.0.parts;
        let live = Arc::new(self.alive(session)?);
        let id = live.session.id.0;
        if let Some(stamps) = revocations.stamp(begun, &[Subject::Session(&id)]) {
            self.0.live.insert(Digest::of_digest(id), Arc::clone(&live), live.until(), stamps);
        }
        Some(live)
    }

    /// The token lives: nobody waits, and a failure is nobody's yet.
    fn renew_behind(&self, live: &Arc<Live>, visit: Visit<'_>) {
        if live.renewing.swap(true, Relaxed) {
            return;
        }
        let (broker, live, peer) = (self.clone(), Arc::clone(live), visit.peer.clone());
        let background = visit.background;
        self.0.runtime.spawn(async move {
            let renewed = broker.renew(&live, Visit { peer: &peer, background }).await;
            if renewed.is_err() {
                tokio::time::sleep(AGAIN).await;
                live.renewing.store(false, Relaxed);
            }
        });
    }

    fn extend_behind(&self, live: &Arc<Live>, handle: &str) {
        if live.extending.swap(true, Relaxed) {
            return;
        }
        let (broker, live, handle) = (self.clone(), Arc::clone(live), handle.to_owned());
        let handle = crate::secret::SecretText::new(handle);
        self.0.runtime.spawn(async move {
            let extended = broker.0.sessions.extend(&live.session).await;
            // Read again, so that the next note is made in time.
            let seen = broker.look_up(handle.expose(), &live.session.id).await;
            if let (Err(error), _) | (_, Err(SessionError::Store(error))) = (extended, seen) {
                tracing::warn!(session = live.session.id.short(), %error, "activity is not noted yet");
                tokio::time::sleep(AGAIN).await;
                live.extending.store(false, Relaxed);
            }
        });
    }

    /// Section 11: a session of one certificate shown with another, or with none, ends, and its token before all else.
    async fn lose(&self, live: &Live, peer: &Peer) {
        let session = &live.session;
        tracing::warn!(
            session = session.id.short(),
            client = peer.ip().map(tracing::field::display),
            "a session was shown with another certificate than its own"
        );
        if let Err(error) = self.0.cluster.invalidate(crate::cluster::Half::Access, &session.pair.access).await {
            tracing::warn!(session = session.id.short(), %error, "its token is invalidated later");
        }
        if let Err(error) = self.end(session, Reason::Unexpected).await {
            tracing::error!(session = session.id.short(), %error, "the session is not ended");
        }
    }

    fn means(&self, live: &Live, peer: &Peer) -> Option<Means> {
        let cluster = Arc::clone(&self.0.cluster);
        match live.session.provider.kind {
            ProviderKind::Pki => {
                let shown = peer.tls.as_ref().filter(|facts| facts.fingerprint == live.session.fingerprint)?;
                Some(Means::Certificate(cluster, Arc::clone(shown)))
            }
            ProviderKind::Gateway | ProviderKind::Token => Some(Means::Refresh(cluster)),
        }
    }

    fn over(&self, code: &'static str) -> SessionError {
        SessionError::Over { code, status: self.0.parts.renewal.front_door_expired_status }
    }

    fn tell(&self, session: &Session, action: &'static str, reason: Option<&str>) {
        tell(&self.0.parts.audit, session, action, reason);
    }
}

/// What is to be done whenever a session ends: auditors and metrics are told.
#[must_use]
pub fn ended(audit: Audit, metrics: Arc<Metrics>) -> Ended {
    Arc::new(move |session, reason| {
        metrics.sessions.ended(reason.as_str(), 1);
        if let Some(session) = session {
            tell(&audit, session, "session_ended", Some(reason.as_str()));
        }
    })
}

fn tell(audit: &Audit, session: &Session, action: &'static str, reason: Option<&str>) {
    let change = serde_json::json!({ "id": session.id.short(), "provider": session.provider.kind.as_str() });
    audit.record(&AuditEvent {
        action,
        user: Some(&session.username),
        realm: Some(&session.realm),
        reason,
        change: Some(change),
        ..AuditEvent::default()
    });
}

/// Whether a session may be used on this connection.
fn belongs(live: &Live, peer: &Peer) -> bool {
    let Some(own) = live.session.fingerprint else { return true };
    peer.tls.as_deref().and_then(|facts: &TlsFacts| facts.fingerprint) == Some(own)
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("renewals", &self.0.renewals).finish_non_exhaustive()
    }
}

/// Code of a session that only a new log-in revives.
const EXPIRED: &str = "session_expired";
/// How long what a probe said is believed.
const PROBED: Duration = Duration::from_secs(5);
const PROBE_PATIENCE: Duration = Duration::from_secs(2);
/// After something behind a request failed.
const AGAIN: Duration = Duration::from_secs(1);
