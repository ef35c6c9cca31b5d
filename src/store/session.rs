//! Sessions over token pairs of the cluster, and the pairs that wait for their revocation
//! (transparent-reauthentication.md 8.1, 6.3).

use std::fmt;

use crate::model::Timestamp;

/// A stored session. Who it is and the pair are sealed in its content: the store alone tells neither.
#[derive(Clone, PartialEq)]
pub struct SessionRecord {
    /// SHA-256 of the handle: the key of the record.
    pub id: [u8; 32],
    /// Keyed digest of the name of its user.
    pub username_hash: [u8; 32],
    /// Kind of the provider that owns it.
    pub provider_type: Box<str>,
    /// Name of that provider.
    pub provider_name: Box<str>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was last written because somebody was active.
    pub last_seen_at: Timestamp,
    /// Ends then without activity.
    pub idle_expires_at: Option<Timestamp>,
    /// Ends then in any case.
    pub lifespan_expires_at: Option<Timestamp>,
    /// One more with each pair.
    pub generation: u64,
    /// One more with each write.
    pub version: u64,
    /// Whether its pair can still be refreshed.
    pub state: SessionState,
    /// Who refreshes its pair.
    pub lease: Option<Lease>,
    /// Sealed for its id and generation.
    pub content: Box<[u8]>,
}

/// Whether a session can go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SessionState {
    /// Its pair can be refreshed, as far as anybody knows.
    Active,
    /// Its pair cannot be refreshed any more; kept so that the reason can be told.
    NeedsLogin,
}

impl SessionState {
    /// Every state.
    pub const ALL: [Self; 2] = [Self::Active, Self::NeedsLogin];

    /// As stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::NeedsLogin => "needs_login",
        }
    }
}

/// The right to refresh a pair, for a time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lease {
    /// The instance that has it.
    pub owner: Box<str>,
    /// Others may take it from here on.
    pub until: Timestamp,
}

/// Which sessions an operation is about. Every field that is set must match.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    /// One session.
    pub id: Option<[u8; 32]>,
    /// The kind of the provider is one of these.
    pub provider_types: Option<Vec<Box<str>>>,
    /// Name of the provider.
    pub provider_name: Option<Box<str>>,
    /// The digest of the user's name is one of these: one for each key of the ring.
    pub username_hashes: Option<Vec<[u8; 32]>>,
    /// In that state.
    pub state: Option<SessionState>,
    /// Idle for too long at this time.
    pub idle_over: Option<Timestamp>,
    /// Past its lifespan at this time.
    pub lifespan_over: Option<Timestamp>,
}

/// The end of sessions.
#[derive(Clone, Debug)]
pub struct SessionEnd {
    /// Which.
    pub filter: SessionFilter,
    /// The newest so many of them stay.
    pub spare: u32,
    /// At most so many end, the newest first.
    pub limit: u32,
    /// Why; kept with each pair until it is revoked.
    pub cause: Box<str>,
    /// Now.
    pub at: Timestamp,
}

/// A pair as it was sealed, and what opens it.
#[derive(Clone, PartialEq)]
pub struct SealedPair {
    /// The session it belonged to.
    pub session: [u8; 32],
    /// Which of that session's pairs it was.
    pub generation: u64,
    /// Sealed for both.
    pub content: Box<[u8]>,
}

/// A pair that must be revoked at the cluster.
#[derive(Clone, PartialEq)]
pub struct RevocationRecord {
    /// Given by the store, never twice.
    pub id: u64,
    /// The pair.
    pub pair: SealedPair,
    /// Why.
    pub cause: Box<str>,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When to try. A claim puts it off: if the claim's owner dies, it is due again by itself.
    pub due_at: Timestamp,
    /// How often it failed.
    pub attempts: u32,
}

/// A worker's claim to pairs that are due.
#[derive(Clone, Debug)]
pub struct RevocationClaim {
    /// The instance that claims.
    pub owner: Box<str>,
    /// Now.
    pub at: Timestamp,
    /// Others may claim the same from here on.
    pub until: Timestamp,
    /// At most so many, the longest due first.
    pub limit: u32,
}

impl SessionFilter {
    /// The session of this id.
    #[must_use]
    pub fn id(id: [u8; 32]) -> Self {
        Self { id: Some(id), ..Self::default() }
    }

    /// Whether `session` is meant.
    #[must_use]
    pub fn matches(&self, session: &SessionRecord) -> bool {
        let over = |at: Option<Timestamp>, end: Option<Timestamp>| at.is_none_or(|at| end.is_some_and(|end| end <= at));
        self.id.is_none_or(|id| session.id == id)
            && self.provider_types.as_ref().is_none_or(|kinds| kinds.contains(&session.provider_type))
            && self.provider_name.as_ref().is_none_or(|name| session.provider_name == *name)
            && self.username_hashes.as_ref().is_none_or(|hashes| hashes.contains(&session.username_hash))
            && self.state.is_none_or(|state| session.state == state)
            && over(self.idle_over, session.idle_expires_at)
            && over(self.lifespan_over, session.lifespan_expires_at)
    }
}

impl SessionRecord {
    /// Its pair, as it is queued when it ends.
    #[must_use]
    pub fn pair(&self) -> SealedPair {
        SealedPair { session: self.id, generation: self.generation, content: self.content.clone() }
    }
}

impl fmt::Debug for SessionRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRecord")
            .field("provider_type", &self.provider_type)
            .field("generation", &self.generation)
            .field("version", &self.version)
            .field("state", &self.state)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RevocationRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationRecord")
            .field("id", &self.id)
            .field("cause", &self.cause)
            .field("due_at", &self.due_at)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}
