//! What sessions are.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::{
    model::{RealmRef, Timestamp},
    secret::{self, SecretText},
    sessions::Reason,
    store::{Lease, SessionState},
};

/// SHA-256 of a handle. Public: prints as 64 hex digits, of which logs show the first 8 ([`Self::short`]).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SessionId(pub [u8; 32]);

/// Tokens of the cluster's, of one grant.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The access token.
    pub access: SecretText,
    /// The refresh token; none came with a client certificate.
    pub refresh: Option<SecretText>,
    /// When the access token ends.
    pub access_expires_at: Timestamp,
    /// When the refresh token ends.
    pub refresh_expires_at: Option<Timestamp>,
    /// Access tokens that this one replaced, and when they end by themselves: the end of the session revokes them too.
    /// [`super::Sessions::publish`] carries them over.
    pub superseded: Vec<(SecretText, Timestamp)>,
}

/// What owns a session.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Provider {
    /// How its users prove themselves.
    pub kind: ProviderKind,
    /// As configured.
    pub name: Box<str>,
}

/// How pairs are got.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ProviderKind {
    /// The gateway's own credential: no user's session, and administration does not end it.
    Gateway,
    /// A client certificate.
    Pki,
    /// A user name and a password.
    Token,
}

/// A session to be opened.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// What owns it.
    pub provider: Provider,
    /// Realm of the user.
    pub realm: RealmRef,
    /// Name of the user.
    pub username: Box<str>,
    /// What the cluster's grant said of the user.
    pub authentication: Value,
    /// SHA-256 of the client certificate.
    pub fingerprint: Option<[u8; 32]>,
    /// Its tokens.
    pub pair: Pair,
}

/// A session as of one read of the store.
#[derive(Clone, Debug)]
pub struct Session {
    /// Digest of its handle.
    pub id: SessionId,
    /// One more with each pair, from 1.
    pub generation: u64,
    /// One more with each write.
    pub version: u64,
    /// Whether its pair can still be refreshed.
    pub state: SessionState,
    /// What owns it.
    pub provider: Provider,
    /// Realm of the user.
    pub realm: RealmRef,
    /// Name of the user.
    pub username: Box<str>,
    /// What the cluster's grant said of the user.
    pub authentication: Value,
    /// SHA-256 of the client certificate.
    pub fingerprint: Option<[u8; 32]>,
    /// Its tokens.
    pub pair: Pair,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When activity was last noted.
    pub last_seen_at: Timestamp,
    /// Ends then without activity.
    pub idle_expires_at: Option<Timestamp>,
    /// Ends then in any case.
    pub lifespan_expires_at: Option<Timestamp>,
    /// Who refreshes its pair, and until when.
    pub lease: Option<Lease>,
}

/// What a handle leads to.
#[derive(Clone, Debug)]
pub enum Found {
    /// A session, whatever its state.
    Active(Box<Session>),
    /// One whose time is over.
    Expired(Reason),
    /// None, or one that no key of the ring opens.
    Unknown,
}

/// What became of a new pair.
#[derive(Clone, Debug)]
pub enum Published {
    /// It is the session's.
    Stored(Box<Session>),
    /// Another was published first: the session as it is. The given pair is nobody's.
    Moved(Box<Session>),
    /// The session ended meanwhile: the given pair is nobody's, and to be revoked (F7).
    Gone,
}

/// Which sessions administration means. Every field that is set must match; the gateway's own are never meant.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Kind of provider.
    pub kind: Option<ProviderKind>,
    /// Name of the provider.
    pub name: Option<Box<str>>,
    /// Name of the user.
    pub username: Option<Box<str>>,
}

/// How many there are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Sessions that can go on.
    pub active: u64,
    /// Sessions whose users must log in again.
    pub needs_login: u64,
    /// Pairs that wait for their revocation.
    pub revocations: u64,
}

impl Session {
    pub(super) fn new(id: SessionId, new: NewSession, now: Timestamp) -> Self {
        Self {
            id,
            generation: 1,
            version: 1,
            state: SessionState::Active,
            provider: new.provider,
            realm: new.realm,
            username: new.username,
            authentication: new.authentication,
            fingerprint: new.fingerprint,
            pair: new.pair,
            created_at: now,
            last_seen_at: now,
            idle_expires_at: None,
            lifespan_expires_at: None,
            lease: None,
        }
    }

    /// Why it is over at `now`, if it is. The lifespan wins.
    #[must_use]
    pub fn over(&self, now: Timestamp) -> Option<Reason> {
        let over = |end: Option<Timestamp>| end.is_some_and(|end| end <= now);
        if over(self.lifespan_expires_at) {
            Some(Reason::Lifespan)
        } else {
            over(self.idle_expires_at).then_some(Reason::IdleTimeout)
        }
    }
}

impl Pair {
    /// Carries what of `before` still lives at `now`.
    pub(super) fn supersede(&mut self, before: Self, now: Timestamp) {
        let replaced = before.superseded.into_iter().chain([(before.access, before.access_expires_at)]);
        let lives = |(token, end): &(SecretText, Timestamp)| *end > now && token.expose() != self.access.expose();
        self.superseded = replaced.filter(lives).collect();
        let too_many = self.superseded.len().saturating_sub(SUPERSEDED);
        self.superseded.drain(..too_many);
    }
}

impl SessionId {
    /// A new handle, and its digest.
    pub(super) fn fresh() -> (SecretText, Self) {
        let random = secret::random::<RANDOM_BYTES>();
        let handle = SecretText::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random)));
        let id = Self(secret::sha256(&[handle.expose().as_bytes()]));
        (handle, id)
    }

    /// Of what may be a handle: nothing else costs a look-up.
    #[must_use]
    pub fn of_handle(text: &str) -> Option<Self> {
        let ours = text.len() == PREFIX.len() + RANDOM_TEXT && text.starts_with(PREFIX);
        ours.then(|| Self(secret::sha256(&[text.as_bytes()])))
    }

    /// The id that prints so.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        let mut id = [0; 32];
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
        if pairs.len() != id.len() {
            return None;
        }
        for (byte, pair) in id.iter_mut().zip(pairs) {
            let digit = |at: u8| char::from(at).to_digit(16);
            let [high, low] = pair.map(digit);
            *byte = u8::try_from(high? * 16 + low?).ok()?;
        }
        Some(Self(id))
    }

    /// The first 8 of its digits, for logs.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string().chars().take(8).collect()
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl ProviderKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Gateway, Self::Pki, Self::Token];

    /// As stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Pki => "pki",
            Self::Token => "token",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Says whose a handle is and of which form; scanners for leaked secrets find it.
pub const PREFIX: &str = "sgs_";
/// Replaced access tokens that are remembered: far more than one can be replaced within another's life, unless each is refused.
const SUPERSEDED: usize = 64;
const RANDOM_BYTES: usize = 32;
/// Length of [`RANDOM_BYTES`] in base64 without padding.
const RANDOM_TEXT: usize = (RANDOM_BYTES * 4).div_ceil(3);
