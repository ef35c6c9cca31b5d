//! What is stored, and the decisions about it that a backend makes inside a transaction: pure, so that all agree.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    model::{Identity, KeyId, RealmRef, ServiceTokenRef, Timestamp},
    passwords::PasswordHash,
    secret,
    store::Descriptors,
};

/// A stored user. `realm` tells native users from the reserved `elastic`.
#[derive(Clone, Debug)]
pub struct UserRecord {
    /// Name, roles, full name, e-mail, metadata.
    pub identity: Identity,
    /// Which namespace it lives in.
    pub namespace: UserNamespace,
    /// Absent for a user that has never had a password.
    pub password: Option<PasswordHash>,
    /// A disabled user cannot authenticate.
    pub enabled: bool,
}

/// Users of different realms may share a name.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum UserNamespace {
    /// Users that the API creates.
    Native,
    /// Built-in users: only password and enabled state are stored.
    Reserved,
}

/// SHA-256 of a salt and a secret of 128 random bits or more.
#[derive(Clone, Eq, PartialEq)]
pub struct SaltedDigest {
    /// Random, one a secret.
    pub salt: [u8; 16],
    /// SHA-256(salt ‖ secret).
    pub digest: [u8; 32],
}

impl SaltedDigest {
    /// The digest of `secret` under a fresh salt.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        let salt = secret::random();
        Self { salt, digest: secret::sha256(&[&salt, secret.as_bytes()]) }
    }

    /// Whether this is the digest of `secret`; the time it takes does not tell how near it came.
    #[must_use]
    pub fn matches(&self, secret: &str) -> bool {
        secret::equal(&self.digest, &secret::sha256(&[&self.salt, secret.as_bytes()]))
    }
}

impl fmt::Debug for SaltedDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Who made a key: a snapshot, kept when the user is gone.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Creator {
    /// Name, full name, e-mail, metadata (roles unused).
    pub identity: Identity,
    /// Realm that the creator belongs to.
    pub realm: RealmRef,
}

/// A stored API key.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKeyRecord {
    /// Public id.
    pub id: KeyId,
    /// Not unique.
    pub name: Box<str>,
    /// Proof of the secret.
    pub secret: SaltedDigest,
    /// When it was made.
    pub creation: Timestamp,
    /// When it stops working.
    pub expiration: Option<Timestamp>,
    /// When it was invalidated; it never becomes valid again.
    pub invalidation: Option<Timestamp>,
    /// Its owner.
    pub creator: Creator,
    /// Assigned descriptors, name → descriptor; empty = the owner's alone.
    pub role_descriptors: Descriptors,
    /// The owner's descriptors when the key was made or last updated, name → descriptor.
    pub limited_by: Descriptors,
    /// Free metadata.
    pub metadata: Map<String, Value>,
    /// What a cross-cluster key gives access to, as asked for; its presence makes it one.
    pub access: Option<Map<String, Value>>,
    /// When it was last presented and good, at most a minute ago told late.
    pub last_used: Option<Timestamp>,
}

/// What a key is for; the API's `type`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// Requests of clients.
    Rest,
    /// The remote-cluster port of another cluster, which is not served here: stored and listed, never accepted.
    CrossCluster,
}

impl KeyKind {
    /// As the API shows it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CrossCluster => "cross_cluster",
            Self::Rest => "rest",
        }
    }
}

/// An update of API keys (API page section 4.7). What is absent stays as it is.
#[derive(Clone, Debug)]
pub struct KeyChange {
    /// Which kind of key it is for; another is refused.
    pub kind: KeyKind,
    /// Who asks, as of now: only its owner changes a key, and every change takes a new snapshot of it.
    pub creator: Creator,
    /// The owner's descriptors now.
    pub limited_by: Map<String, Value>,
    /// Assigned descriptors; empty = the owner's alone.
    pub role_descriptors: Option<Map<String, Value>>,
    /// Metadata, whole.
    pub metadata: Option<Map<String, Value>>,
    /// Access of a cross-cluster key.
    pub access: Option<Map<String, Value>>,
    /// When it stops working; never a no-op.
    pub expiration: Option<Timestamp>,
    /// Now.
    pub at: Timestamp,
}

/// What became of an update.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyUpdate {
    /// It is another now.
    Changed,
    /// Its time is over.
    Expired,
    /// It was invalidated.
    Invalidated,
    /// No such key, or another's.
    NotFound,
    /// Nothing would differ.
    Unchanged,
    /// A key of that kind.
    WrongKind(KeyKind),
}

impl ApiKeyRecord {
    /// What it is for.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        if self.access.is_some() { KeyKind::CrossCluster } else { KeyKind::Rest }
    }

    /// Changes it, if whoever asks may and anything would differ.
    #[must_use]
    pub fn update(&mut self, change: &KeyChange) -> KeyUpdate {
        if !self.creator.owns_what(&change.creator) {
            return KeyUpdate::NotFound;
        }
        if self.invalidation.is_some() {
            return KeyUpdate::Invalidated;
        }
        if self.expiration.is_some_and(|expiration| expiration <= change.at) {
            return KeyUpdate::Expired;
        }
        if self.kind() != change.kind {
            return KeyUpdate::WrongKind(self.kind());
        }
        let mut next = self.clone();
        next.creator = change.creator.clone();
        next.limited_by = change.limited_by.clone().into();
        if let Some(descriptors) = &change.role_descriptors {
            next.role_descriptors = descriptors.clone().into();
        }
        if let Some(metadata) = &change.metadata {
            next.metadata.clone_from(metadata);
        }
        if let Some(access) = &change.access {
            next.access = Some(access.clone());
        }
        if next == *self && change.expiration.is_none() {
            return KeyUpdate::Unchanged;
        }
        next.expiration = change.expiration.or(next.expiration);
        *self = next;
        KeyUpdate::Changed
    }
}

impl Creator {
    /// Whether `other` is the same owner.
    #[must_use]
    pub fn owns_what(&self, other: &Self) -> bool {
        self.identity.username == other.identity.username && self.realm.name == other.realm.name
    }
}

/// A stored access token, and the refresh token that came with it.
#[derive(Clone, PartialEq)]
pub struct TokenRecord {
    /// SHA-256 of the access token, its salt included: the key of the record.
    pub digest: [u8; 32],
    /// Absent where none was issued.
    pub refresh: Option<RefreshRecord>,
    /// When the pair was made; the refresh token lives from here.
    pub creation: Timestamp,
    /// When the access token stops working.
    pub expiration: Timestamp,
    /// When the access token was invalidated.
    pub invalidation: Option<Timestamp>,
    /// Whom it stands for.
    pub subject: TokenSubject,
    /// Who asked for it, and alone may refresh it.
    pub client: Client,
}

/// A stored refresh token.
#[derive(Clone, PartialEq)]
pub struct RefreshRecord {
    /// SHA-256 of the refresh token, its salt included.
    pub digest: [u8; 32],
    /// When it was invalidated.
    pub invalidation: Option<Timestamp>,
    /// Set by its first use.
    pub superseded: Option<Superseded>,
}

/// The use of a refresh token.
#[derive(Clone, PartialEq)]
pub struct Superseded {
    /// When.
    pub at: Timestamp,
    /// The new pair, under a key that only the old refresh token yields.
    pub sealed: Box<[u8]>,
}

/// Whom a token stands for, as of the grant: roles by name.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TokenSubject {
    /// The effective user.
    pub identity: Identity,
    /// Realm of the log-in.
    pub realm: RealmRef,
    /// Realm of the effective user, when the token was obtained by running as it.
    pub lookup_realm: Option<RealmRef>,
    /// Set when an API key minted it for itself.
    pub api_key: Option<KeyId>,
    /// Set when a service account minted it.
    pub service_token: Option<ServiceTokenRef>,
    /// Who proved themselves, when that is another than `identity`.
    pub run_by: Option<Box<TokenSubject>>,
}

/// Who may refresh a pair.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Client {
    /// Effective principal.
    pub username: Box<str>,
    /// Name of its realm.
    pub realm: Box<str>,
    /// The API key, when it is one: then that key alone.
    pub api_key: Option<KeyId>,
}

/// The use of a refresh token: what a fresh pair would be made of, decided before anybody knows whether it will.
#[derive(Clone)]
pub struct Refresh {
    /// Who asks.
    pub client: Client,
    /// Now.
    pub at: Timestamp,
    /// How long refresh tokens live.
    pub lifetime: Duration,
    /// How long a used one is answered with the same pair.
    pub window: Duration,
    /// SHA-256 of the new access token.
    pub digest: [u8; 32],
    /// SHA-256 of the new refresh token.
    pub refresh_digest: [u8; 32],
    /// When the new access token stops working.
    pub expiration: Timestamp,
    /// The new pair, sealed.
    pub sealed: Box<[u8]>,
}

/// What a refresh token is answered with.
#[derive(Clone, PartialEq)]
pub enum Refreshed {
    /// A new pair: to be stored in the same transaction.
    Fresh(Box<TokenRecord>),
    /// The pair of its first use, sealed.
    Repeated(Box<[u8]>),
    /// Nothing.
    Refused(RefreshRefusal),
}

/// Why a refresh token is refused, in the words of API page section 5.4.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RefreshRefusal {
    /// Used by another than its client.
    #[error("tokens must be refreshed by the creating client")]
    Client,
    /// Older than refresh tokens live.
    #[error("token document has expired")]
    Expired,
    /// Invalidated.
    #[error("token has been invalidated")]
    Invalidated,
    /// Used longer ago than the window.
    #[error("token has already been refreshed more than 30 seconds in the past")]
    Late,
    /// First used in what is the future here.
    #[error("token has been refreshed more than 30 seconds in the future, clock skew too great")]
    Skewed,
    /// No such token.
    #[error("could not refresh the requested token")]
    Unknown,
}

impl TokenRecord {
    /// Whose pair it is, as invalidation by user and realm sees it.
    #[must_use]
    pub fn owner(&self) -> (&str, &str) {
        let realm = self.subject.lookup_realm.as_ref().unwrap_or(&self.subject.realm);
        (&self.subject.identity.username, &realm.name)
    }

    /// Uses the refresh token, in the order of API page section 5.4: age, flag, client, window.
    #[must_use]
    pub fn refresh(&mut self, attempt: &Refresh) -> Refreshed {
        let Some(refresh) = &mut self.refresh else { return Refreshed::Refused(RefreshRefusal::Unknown) };
        if self.creation.plus(attempt.lifetime) <= attempt.at {
            return Refreshed::Refused(RefreshRefusal::Expired);
        }
        if refresh.invalidation.is_some() {
            return Refreshed::Refused(RefreshRefusal::Invalidated);
        }
        if self.client != attempt.client {
            return Refreshed::Refused(RefreshRefusal::Client);
        }
        if let Some(first) = &refresh.superseded {
            return if first.at.plus(attempt.window) < attempt.at {
                Refreshed::Refused(RefreshRefusal::Late)
            } else if attempt.at.plus(attempt.window) < first.at {
                Refreshed::Refused(RefreshRefusal::Skewed)
            } else {
                Refreshed::Repeated(first.sealed.clone())
            };
        }
        refresh.superseded = Some(Superseded { at: attempt.at, sealed: attempt.sealed.clone() });
        let refresh = RefreshRecord { digest: attempt.refresh_digest, invalidation: None, superseded: None };
        Refreshed::Fresh(Box::new(Self {
            digest: attempt.digest,
            refresh: Some(refresh),
            creation: attempt.at,
            expiration: attempt.expiration,
            invalidation: None,
            subject: self.subject.clone(),
            client: self.client.clone(),
        }))
    }
}

impl fmt::Debug for TokenRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRecord")
            .field("expiration", &self.expiration)
            .field("invalidation", &self.invalidation)
            .field("subject", &self.subject)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// Which tokens an invalidation is about.
#[derive(Clone, Debug)]
pub enum TokenSelector {
    /// One access token, by its digest; its refresh token lives on.
    Access([u8; 32]),
    /// All pairs of a user, a realm, or both; a pair that is older than refresh tokens live is left out.
    Owner {
        /// Any where absent.
        username: Option<Box<str>>,
        /// Any where absent.
        realm: Option<Box<str>>,
        /// Pairs made before are too old to count.
        since: Timestamp,
    },
    /// One refresh token, by its digest; its access token lives on.
    Refresh([u8; 32]),
}

/// What an invalidation of tokens did. A pair counts twice.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TokensInvalidated {
    /// Digests of the access tokens that were flagged now.
    pub digests: Vec<[u8; 32]>,
    /// Access and refresh tokens flagged now.
    pub invalidated: u64,
    /// Found, and flagged before.
    pub previously: u64,
}

impl TokensInvalidated {
    /// Flags what of `token` the selector means, at the time `at`, and counts it. A pair that is flagged whole does not
    /// count for its owner. Returns whether anything changed.
    pub fn flag(&mut self, token: &mut TokenRecord, selector: &TokenSelector, at: Timestamp) -> bool {
        let refresh = token.refresh.as_mut().map(|refresh| &mut refresh.invalidation);
        let (access, refresh) = match selector {
            TokenSelector::Access(_) => (Some(&mut token.invalidation), None),
            TokenSelector::Refresh(_) => (None, refresh),
            TokenSelector::Owner { .. } => (Some(&mut token.invalidation), refresh),
        };
        let flagged = |half: &Option<&mut Option<Timestamp>>| half.as_ref().is_none_or(|flag| flag.is_some());
        if matches!(selector, TokenSelector::Owner { .. }) && flagged(&access) && flagged(&refresh) {
            return false;
        }
        let before = self.invalidated;
        if let Some(flag) = access {
            if flag.is_none() {
                self.digests.push(token.digest);
            }
            self.count(flag, at);
        }
        if let Some(flag) = refresh {
            self.count(flag, at);
        }
        self.invalidated != before
    }

    fn count(&mut self, flag: &mut Option<Timestamp>, at: Timestamp) {
        if flag.is_some() {
            self.previously += 1;
        } else {
            *flag = Some(at);
            self.invalidated += 1;
        }
    }
}

/// Small things with a name that are written rarely and read whole, as JSON.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum DocumentKind {
    /// `application/privilege` → actions and metadata.
    ApplicationPrivilege,
    /// Uid → a user profile.
    Profile,
    /// Name → a role descriptor.
    Role,
    /// Name → a role mapping.
    RoleMapping,
    /// `namespace/service/name` → the digest of a service account's token.
    ServiceToken,
    /// Part → what `/_security/settings` was given.
    Setting,
}

impl DocumentKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::ApplicationPrivilege, Self::Profile, Self::Role, Self::RoleMapping, Self::ServiceToken, Self::Setting];

    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApplicationPrivilege => "application_privilege",
            Self::Profile => "profile",
            Self::Role => "role",
            Self::RoleMapping => "role_mapping",
            Self::ServiceToken => "service_token",
            Self::Setting => "setting",
        }
    }
}

/// What writing a document did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Put {
    /// There was none of that name.
    Created,
    /// The same was there.
    Unchanged,
    /// Another was there.
    Updated,
}

/// Something that was written, and that a cached verdict may rest on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// Documents of that kind.
    Documents(DocumentKind),
    /// An API key.
    Key(KeyId),
    /// The end of a session, by its id. Its other changes need not be heard: an older pair is good while it lives.
    Session([u8; 32]),
    /// An access token, by its digest.
    Token([u8; 32]),
    /// A user.
    User(UserNamespace, Box<str>),
}

/// Which API keys an operation is about. Every field that is set must match.
#[derive(Clone, Debug, Default)]
pub struct KeyFilter {
    /// Exact ids.
    pub ids: Option<Vec<KeyId>>,
    /// Exact name, or prefix with one trailing `*`.
    pub name: Option<Box<str>>,
    /// Owner's name.
    pub username: Option<Box<str>>,
    /// Owner's realm.
    pub realm: Option<Box<str>>,
    /// Neither invalidated nor expired at this time.
    pub active_at: Option<Timestamp>,
    /// For what.
    pub kind: Option<KeyKind>,
}

/// Which of the keys that match, in the order of their creation and then of their ids.
#[derive(Clone, Debug)]
pub struct Page {
    /// Those behind this one.
    pub after: Option<(Timestamp, KeyId)>,
    /// The order reversed.
    pub newest_first: bool,
    /// Leaves so many out.
    pub skip: u64,
    /// At most so many.
    pub limit: u64,
}

impl Page {
    /// The first `limit`.
    #[must_use]
    pub fn first(limit: u64) -> Self {
        Self { after: None, newest_first: false, skip: 0, limit }
    }
}

impl KeyFilter {
    /// The key of this id.
    #[must_use]
    pub fn id(id: KeyId) -> Self {
        Self { ids: Some(vec![id]), ..Self::default() }
    }
}
