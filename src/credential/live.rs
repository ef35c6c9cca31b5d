//! A session as one process uses it: its access token ready as a header, and when to see to it.

use std::{fmt, sync::Arc, sync::atomic::AtomicBool, time::Duration};

use http::HeaderValue;
use serde_json::Value;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::{
    model::{AuthenticationType, Identity, Principal, Timestamp},
    privileges::Privileges,
    sessions::Session,
};

/// A session and the access token of one of its generations.
///
/// When the token is seen to is told by instants: a wall clock that jumps makes no token old.
pub struct Live {
    /// As it was read.
    pub session: Session,
    /// `Bearer` and the access token; marked sensitive.
    pub header: HeaderValue,
    /// Its user, who holds no privilege here.
    pub principal: Arc<Principal>,
    /// Renewed from then on, though the token still lives.
    pub fresh_until: Instant,
    /// The access token ends.
    pub dies_at: Instant,
    /// Activity is worth a note from then on; never for a session without an idle timeout.
    pub extend_at: Option<Instant>,
    /// Somebody renews it ahead of its end already.
    pub renewing: AtomicBool,
    /// Somebody notes activity already.
    pub extending: AtomicBool,
    /// Auditors heard of a failed renewal already.
    pub failed: AtomicBool,
    /// What the cluster last said of the token, and when: `None` while it cannot tell.
    pub probed: tokio::sync::Mutex<Option<(Instant, Option<bool>)>>,
}

impl Live {
    /// `session` at `now`. Its token is renewed `ahead` of its end, or when a tenth is left of what it has now, whichever is
    /// later; activity is noted when the last note is `stale`. None for a token that cannot be a header.
    #[must_use]
    pub fn new(session: Session, now: Timestamp, ahead: Duration, stale: Duration) -> Option<Self> {
        let instant = Instant::now();
        let until = |at: Timestamp| Duration::from_millis(at.as_millis().saturating_sub(now.as_millis()));
        let left = until(session.pair.access_expires_at);
        let text = Zeroizing::new(format!("Bearer {}", session.pair.access.expose()));
        let mut header = HeaderValue::from_str(&text).ok()?;
        header.set_sensitive(true);
        Some(Self {
            header,
            principal: Arc::new(principal(&session)),
            fresh_until: instant + left.saturating_sub(ahead.min(left / 10)),
            dies_at: instant + left,
            extend_at: session.idle_expires_at.map(|_| instant + until(session.last_seen_at.plus(stale))),
            renewing: AtomicBool::default(),
            extending: AtomicBool::default(),
            failed: AtomicBool::default(),
            probed: tokio::sync::Mutex::default(),
            session,
        })
    }

    /// When the session ends, as far as is known now.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        let ends = [self.session.idle_expires_at, self.session.lifespan_expires_at];
        ends.into_iter().flatten().min().unwrap_or(Timestamp::from_millis(u64::MAX))
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, generation) = (self.session.id.short(), self.session.generation);
        f.debug_struct("Live").field("session", &id).field("generation", &generation).finish_non_exhaustive()
    }
}

/// The user as the cluster's grant described it. What it may do there is the cluster's business; here it may do nothing.
fn principal(session: &Session) -> Principal {
    let described = |name: &str| session.authentication.get(name);
    let text = |name: &str| described(name).and_then(Value::as_str).map(Into::into);
    let roles = described("roles").and_then(Value::as_array).into_iter().flatten();
    let identity = Identity {
        username: session.username.clone(),
        roles: roles.filter_map(|role| role.as_str().map(Into::into)).collect(),
        full_name: text("full_name"),
        email: text("email"),
        metadata: described("metadata").and_then(Value::as_object).cloned().unwrap_or_default(),
    };
    Principal::new(identity, session.realm.clone(), AuthenticationType::Token, Privileges::default())
}
