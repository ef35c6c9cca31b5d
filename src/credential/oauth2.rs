//! Access tokens of a token endpoint, kept fresh: ADR 7.
//!
//! One task on the control plane gets them: ahead of their expiry, and when the cluster refuses one. Data threads ask for
//! that and wait, all for the same answer, so it comes to its end whoever goes away. Time is the monotonic clock's: no jump
//! of the wall clock makes a token older or younger.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde_json::json;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    config,
    credential::{
        CredentialError, Held,
        endpoint::{Endpoint, Failure},
        granted::Tokens,
        kept::Kept,
    },
    secret::SecretText,
    telemetry::metrics::Metrics,
};

/// Who grants tokens.
pub(super) trait Grant: Send + Sync {
    /// Asks once: with a refresh token, or by the grant as configured.
    fn ask(&self, refresh: Option<&SecretText>) -> impl Future<Output = Result<Tokens, Failure>> + Send;
    /// Its name, for people.
    fn url(&self) -> String;
    /// Whether a call that is broken off loses something.
    fn rotates(&self) -> bool {
        false
    }
}

/// A grant of either kind.
#[derive(Debug)]
pub(super) enum AnyGrant {
    /// One that can be asked for again and again.
    Repeated(Box<Endpoint>),
    /// A chain of refresh tokens.
    Rotating(Box<Kept<Endpoint>>),
}

impl Grant for AnyGrant {
    async fn ask(&self, refresh: Option<&SecretText>) -> Result<Tokens, Failure> {
        match self {
            Self::Repeated(endpoint) => endpoint.ask(refresh).await,
            Self::Rotating(kept) => kept.ask(refresh).await,
        }
    }

    fn url(&self) -> String {
        match self {
            Self::Repeated(endpoint) => endpoint.url(),
            Self::Rotating(kept) => kept.url(),
        }
    }

    fn rotates(&self) -> bool {
        matches!(self, Self::Rotating(_))
    }
}

/// The tokens of one endpoint.
#[derive(Debug)]
pub(super) struct TokenSource<G = AnyGrant> {
    endpoint: G,
    /// `reauthentication.refresh_ahead`.
    ahead: Duration,
    /// `reauthentication.max_wait`: how long a request waits.
    patience: Duration,
    current: ArcSwap<Held>,
    state: Mutex<State>,
    wake: Notify,
    /// Steps when the endpoint has been asked.
    landings: watch::Sender<u64>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct State {
    /// The endpoint is being asked, or will be at once.
    under_way: bool,
    /// It is because the cluster refused the current token.
    refused: bool,
    /// When the current token was granted.
    granted: Option<Instant>,
    /// The cluster refused the current token so soon that it may never have taken it. One that it took for a while ended, and
    /// is no reason to wait: where another shares the refresh token, the endpoint tells a longer life than is left.
    stillborn: bool,
    /// How often in a row the endpoint was asked in vain: it did not grant, or the cluster did not take what it granted.
    strikes: u32,
    /// Nobody asks the endpoint before.
    not_before: Instant,
    /// When it is asked without anybody's wish; never while an expiry is unknown.
    next: Option<Instant>,
    refresh: Option<SecretText>,
    failure: Option<Failure>,
}

/// What was granted, and when it was asked for: its life is counted from there.
type Flown = (Tokens, Instant);

impl<G: Grant> TokenSource<G> {
    /// Nothing is asked before [`Self::watch`].
    pub(super) fn new(endpoint: G, repair: &config::Reauthentication, metrics: Arc<Metrics>) -> Self {
        Self {
            endpoint,
            ahead: repair.refresh_ahead,
            patience: repair.max_wait,
            current: ArcSwap::from_pointee(Held::nothing()),
            state: Mutex::new(State {
                under_way: true,
                refused: false,
                granted: None,
                stillborn: false,
                strikes: 0,
                not_before: Instant::now(),
                next: None,
                refresh: None,
                failure: None,
            }),
            wake: Notify::new(),
            landings: watch::Sender::new(0),
            metrics,
        }
    }

    pub(super) fn held(&self) -> Arc<Held> {
        self.current.load_full()
    }

    /// The token, if it is good as far as its expiry tells.
    pub(super) fn fresh(&self) -> Option<Arc<Held>> {
        Some(self.held()).filter(|held| held.is_good(Instant::now()))
    }

    /// Waits for the end of a call to the endpoint that is under way, if one is.
    pub(super) async fn settle(&self) {
        let mut landings = self.landings.subscribe();
        if self.state.lock().under_way {
            // Whoever waits in vain goes on without.
            let _in_time = timeout(self.patience, landings.changed()).await;
        }
    }

    /// A good token of another generation than `old`, which the cluster `refused` or which expired. Waits for one call to
    /// the endpoint, that of others if one is under way; makes none so soon after one that was in vain.
    pub(super) async fn replace(&self, old: &Held, refused: bool) -> Result<Arc<Held>, CredentialError> {
        let newer = || self.fresh().filter(|held| held.generation != old.generation);
        let mut landings = self.landings.subscribe();
        {
            let mut state = self.state.lock();
            if let Some(held) = newer() {
                return Ok(held); // another request had it replaced
            }
            let now = Instant::now();
            state.stillborn |= refused && state.granted.is_some_and(|granted| now < granted + YOUNG);
            if !state.under_way {
                if now < state.not_before {
                    return Err(state.verdict(refused));
                }
                if now.duration_since(state.not_before) > MAX_PAUSE {
                    state.strikes = 0;
                }
                (state.under_way, state.refused) = (true, refused);
                self.wake.notify_one();
            }
        }
        let _in_time = timeout(self.patience, landings.changed()).await;
        newer().ok_or_else(|| self.state.lock().verdict(refused))
    }

    /// Gets tokens until `stop`.
    pub(super) async fn watch(&self, stop: CancellationToken) {
        loop {
            self.state.lock().under_way = true;
            let flown = tokio::select! {
                // The end of the process waits for the next refresh token: it could not go on without.
                () = stop.cancelled(), if !self.endpoint.rotates() => return,
                flown = self.fly() => flown,
            };
            let next = self.land(flown);
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.asked() => {}
                () = until(next) => {}
            }
        }
    }

    /// Returns once somebody waits: an older wish may have been met by a call that began by itself.
    async fn asked(&self) {
        loop {
            self.wake.notified().await;
            if self.state.lock().under_way {
                return;
            }
        }
    }

    /// Asks the endpoint: with the refresh token if there is one, and by the grant when that is refused.
    async fn fly(&self) -> Result<Flown, Failure> {
        let refresh = self.state.lock().refresh.clone();
        match self.ask(refresh.as_ref()).await {
            Err(Failure::Refused(_)) if refresh.is_some() => self.ask(None).await,
            flown => flown,
        }
    }

    async fn ask(&self, refresh: Option<&SecretText>) -> Result<Flown, Failure> {
        let begun = Instant::now();
        let answer = self.endpoint.ask(refresh).await;
        self.metrics.refreshed(begun.elapsed());
        let mut tokens = answer?;
        // An endpoint that gives no new refresh token leaves the old one good (RFC 6749 section 6).
        tokens.refresh = tokens.refresh.or_else(|| refresh.cloned());
        Ok((tokens, begun))
    }

    /// Takes over what came, and returns when the endpoint is asked next.
    fn land(&self, flown: Result<Flown, Failure>) -> Option<Instant> {
        let now = Instant::now();
        let mut state = self.state.lock();
        if !state.refused {
            // What a refusal calls for is counted with the request that was refused.
            self.metrics.reauthentication("gateway", outcome(&flown));
        }
        let vain = flown.is_err() || (state.refused && state.stillborn);
        state.strikes = if vain { state.strikes.saturating_add(1) } else { 0 };
        state.not_before = now + pause(state.strikes);
        match flown {
            Ok((tokens, begun)) => {
                let generation = self.current.load().generation + 1;
                let expires_at = tokens.expires_in.map(|life| begun + life);
                state.next = tokens.expires_in.map(|life| {
                    let early = life.saturating_sub(self.ahead.min(life / 10));
                    (begun + early).max(now + MIN_PAUSE)
                });
                self.current.store(Arc::new(Held { generation, header: tokens.header(), expires_at }));
                (state.granted, state.stillborn) = (Some(now), false);
                state.refresh = tokens.refresh;
                if state.failure.take().is_some() {
                    tracing::info!(endpoint = self.endpoint.url(), "the token endpoint grants again");
                }
            }
            Err(failure) => {
                state.next = Some(state.not_before);
                if state.failure.as_ref() != Some(&failure) {
                    tracing::error!(endpoint = self.endpoint.url(), %failure, "no token for the cluster");
                }
                if let Failure::Refused(_) = &failure {
                    self.metrics.upstream_credential_rejected();
                }
                state.failure = Some(failure);
            }
        }
        (state.under_way, state.refused) = (false, false);
        self.landings.send_modify(|landing| *landing = landing.wrapping_add(1));
        state.next
    }

    pub(super) fn status(&self) -> serde_json::Value {
        let (held, now, state) = (self.held(), Instant::now(), self.state.lock());
        let left = |at: Instant| u64::try_from(at.saturating_duration_since(now).as_millis()).unwrap_or(u64::MAX);
        json!({
            "kind": "oauth2",
            "endpoint": self.endpoint.url(),
            "available": held.is_good(now),
            "generation": held.generation,
            "expires_in_ms": held.expires_at.map(left),
            "next_refresh_in_ms": state.next.map(left),
            "problem": state.failure.as_ref().map(ToString::to_string),
        })
    }
}

impl State {
    /// What those are told who wait in vain, or who come before the endpoint is asked again.
    fn verdict(&self, refused: bool) -> CredentialError {
        match (&self.failure, refused) {
            // Granted, and refused by the cluster again.
            (None, true) | (Some(Failure::Refused(_)), _) => CredentialError::Rejected,
            (None, false) | (Some(Failure::Transient(_)), _) => CredentialError::Transient,
        }
    }
}

fn outcome(flown: &Result<Flown, Failure>) -> &'static str {
    match flown {
        Ok(_) => "refreshed",
        Err(Failure::Refused(_)) => "expired",
        Err(Failure::Transient(_)) => "transient",
    }
}

/// After so many calls in vain.
fn pause(strikes: u32) -> Duration {
    match strikes.checked_sub(1) {
        Some(doublings) => Duration::from_secs(1 << doublings.min(5)).min(MAX_PAUSE),
        None => Duration::ZERO,
    }
}

async fn until(next: Option<Instant>) {
    match next {
        Some(next) => sleep_until(next).await,
        None => std::future::pending().await,
    }
}

/// A token that is refused earlier may never have been good.
const YOUNG: Duration = Duration::from_secs(1);
/// However short the lives of tokens are.
const MIN_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
