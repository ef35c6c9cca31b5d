//! Proves who calls: `Evidence`, the realm chain, its cache.
//!
//! A request meets [`Realms::recall`] first, which answers from memory without a lock, and [`Realms::identify`] only
//! when that knew nothing. A refused credential is remembered too, for a moment and apart from the good ones, so that a
//! client that insists on it costs little and displaces nobody.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::{
    clock::Clock,
    config,
    documents::Documents,
    keys::Keys,
    listener::peer::Peer,
    model::{AuthenticationType, Identity, Principal, Timestamp},
    passwords::Passwords,
    role_mappings::RoleMappings,
    roles::Roles,
    service_accounts::ServiceAccounts,
    store::AnyStore,
    telemetry::{
        audit::{Audit, AuditEvent},
        metrics::Metrics,
    },
    tokens::Tokens,
    users::Users,
};

pub mod cache;
mod cluster;
mod companions;
mod compiled;
pub mod error;
mod file;
mod flights;
mod jwt;
pub mod pki;
pub mod presented;
mod realm;
pub mod throttle;

pub use cluster::{AskCluster, AskError, Asking, Told};
pub use error::{Challenge, IdentifyError, Refusal};
pub use file::FileError;
pub use jwt::{JwtError, KeySource, SourceError};
pub use pki::Certificate;
pub use realm::RealmError;

use cache::{Begun, Cache, Digest, Digester, Revocations, Stamps, Subject};
use compiled::Compiled;
use flights::Flights;
use presented::Presented;
use realm::{Circumstances, Files, Named, Proofs, Realm, Verdict};
use throttle::Throttle;

/// What a request shows of its caller.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Raw path and query: failure texts quote it.
    pub target: &'a str,
    /// The far end of its connection.
    pub peer: &'a Peer,
    /// Whether a caller whom no realm here knows, but perhaps the cluster, may be judged by it instead: nothing is then
    /// held against them here, and `cluster` realms stand back.
    pub strangers_pass: bool,
}

/// The realm chain in configured order, and what it remembers.
#[derive(Debug)]
pub struct Realms {
    chain: Vec<Named>,
    proofs: Proofs,
    anonymous: Option<Identity>,
    /// Whether certificates prove anything here.
    certificates: bool,
    /// Whether the cluster may know whom nobody here knows.
    asks_cluster: bool,
    digester: Digester,
    proven: Cache<Arc<Principal>>,
    refused: Cache<Dead>,
    flights: Flights,
    metrics: Arc<Metrics>,
    audit: Audit,
}

/// What realms ask.
#[derive(Clone, Debug)]
pub struct Registers {
    /// Users with passwords.
    pub users: Arc<Users>,
    /// API keys.
    pub keys: Arc<Keys>,
    /// Access tokens.
    pub tokens: Arc<Tokens>,
    /// Tokens of service accounts.
    pub service_accounts: Arc<ServiceAccounts>,
    /// Roles.
    pub roles: Arc<Roles>,
    /// What is kept by name, roles among it.
    pub documents: Documents,
    /// Verifies the passwords of users in files.
    pub passwords: Passwords,
    /// Asks for the users of the cluster.
    pub cluster: AskCluster,
    /// Told by all of them of what stopped being so.
    pub revocations: Arc<Revocations>,
}

impl Registers {
    /// Registers over one store, whose changes end what was remembered of them.
    #[must_use]
    pub fn new(
        store: &AnyStore,
        revocations: &Arc<Revocations>,
        passwords: Passwords,
        cluster: AskCluster,
        clock: &Clock,
        config: &config::Config,
    ) -> Self {
        let announce = revocations.announce();
        let documents = Documents::new(store.clone(), Arc::clone(&announce));
        let (keys, tokens) = (config.api_keys.clone(), config.tokens.clone());
        Self {
            users: Arc::new(Users::new(store.clone(), passwords.clone(), Arc::clone(&announce))),
            keys: Arc::new(Keys::new(store.clone(), clock.clone(), keys, Arc::clone(&announce))),
            tokens: Arc::new(Tokens::new(store.clone(), clock.clone(), tokens, Arc::clone(&announce))),
            service_accounts: Arc::new(ServiceAccounts::new(store.clone(), announce)),
            roles: Arc::new(Roles::new(documents.clone(), config.tells_roles())),
            documents,
            passwords,
            cluster,
            revocations: Arc::clone(revocations),
        }
    }
}

/// A key or token that is refused and will never be anything else.
#[derive(Clone, Debug)]
struct Dead {
    /// Of the realm in the chain.
    judge: usize,
    verdict: Death,
    /// Whether the cluster had its say, where it may know better.
    is_final: bool,
}

#[derive(Clone, Debug)]
enum Death {
    Refused(Refusal),
    ServiceAccount { account: Box<str>, name: Box<str> },
    TokenExpired,
}

/// A refusal, and the realm that spoke it.
struct Failure<'a> {
    error: IdentifyError,
    judge: Option<&'a Named>,
}

impl Realms {
    /// The realms of `config` over `registers`, with room for `cache_entries` principals.
    ///
    /// # Errors
    ///
    /// [`RealmError`]: a file that a realm rests on cannot be used.
    pub fn new(
        config: &config::Authentication,
        cache_entries: usize,
        registers: Registers,
        clock: Clock,
        metrics: Arc<Metrics>,
        audit: Audit,
    ) -> Result<Self, RealmError> {
        let Registers { users, keys, tokens, service_accounts, roles, documents, passwords, cluster, revocations } =
            registers;
        let chain = Named::chain(&config.realms, &passwords, &revocations, &cluster)?;
        let mappings = RoleMappings::new(documents);
        let files = Files::of_chain(&chain);
        let common_roles = config.anonymous.roles.iter().map(|role| role.as_str().into()).collect();
        let throttle = Throttle::new(config.throttle.clone());
        Ok(Self {
            asks_cluster: chain.iter().any(|named| named.life_at_cluster().is_some()),
            certificates: chain.iter().any(|named| matches!(named.realm, Realm::Pki(_))),
            chain,
            proofs: Proofs {
                users,
                keys,
                tokens,
                service_accounts,
                roles,
                mappings,
                revocations,
                throttle,
                clock,
                common_roles,
                files,
                compiled: Compiled::new(cache_entries / COMPILED_SHARE),
            },
            anonymous: realm::anonymous(&config.anonymous),
            digester: Digester::default(),
            proven: Cache::new(cache_entries),
            refused: Cache::new(cache_entries / REFUSED_SHARE),
            flights: Flights::default(),
            metrics,
            audit,
        })
    }

    /// Keys of issuers, each to be watched on the control plane.
    pub fn key_sources(&self) -> impl Iterator<Item = &Arc<KeySource>> {
        self.chain.iter().filter_map(|named| match &named.realm {
            Realm::Jwt(realm) => Some(realm.keys()),
            _ => None,
        })
    }

    /// Reads the files of users again; returns what is wrong with them. Their users then stay what they were.
    pub fn reload(&self) -> Vec<RealmError> {
        let mut errors = Vec::new();
        for Named { realm, name } in &self.chain {
            let Realm::File(users) = realm else { continue };
            match users.reload() {
                Ok(true) => tracing::info!(realm = &*name.name, "users reloaded"),
                Ok(false) => {}
                Err(source) => errors.push(RealmError::File { name: name.name.to_string(), source }),
            }
        }
        errors
    }

    /// Who calls, if it is in memory and not past its deadline at `now`. No lock, no allocation.
    #[must_use]
    pub fn recall(&self, evidence: &Evidence<'_>, now: Timestamp) -> Option<Arc<Principal>> {
        let headers = evidence.headers;
        // As many names as values: nothing is repeated.
        if (headers.len() != headers.keys_len() && repeated(headers).is_some())
            || headers.contains_key(RUN_AS)
            || headers.contains_key(SECONDARY)
        {
            return None;
        }
        self.remembered(&self.digest(evidence)?, evidence, now)
    }

    /// Tells the keys when those that are remembered were last used.
    pub fn tell_uses(&self) {
        self.proven.tell_uses(|principal, at| {
            let key = principal.api_key.as_ref().or_else(|| principal.run_by.as_ref()?.api_key.as_ref());
            let own = principal.authentication == AuthenticationType::ApiKey && !principal.is_of_cluster;
            if let Some(key) = key.filter(|_| own) {
                self.proofs.keys.note_use(&key.id, at);
            }
        });
    }

    /// Asks the realms.
    ///
    /// # Errors
    ///
    /// [`IdentifyError`].
    pub async fn identify(&self, evidence: &Evidence<'_>) -> Result<Arc<Principal>, IdentifyError> {
        if let Some(header) = repeated(evidence.headers) {
            return Err(IdentifyError::Repeated { header });
        }
        let now = self.proofs.clock.now();
        let known = self.digest(evidence).and_then(|digest| self.remembered(&digest, evidence, now));
        let caller = if let Some(known) = known {
            known
        } else {
            let value = evidence.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
            let presented = Presented::read(value).map_err(|error| self.refuse(error, None, None, evidence))?;
            let presented = self.with_certificate(presented, evidence.peer);
            let digest = match presented {
                Presented::Certificate(_) => self.certificate_digest(evidence.peer),
                _ => self.digest(evidence),
            };
            self.judge(&presented, digest, evidence)
                .await
                .map_err(|Failure { error, judge }| self.refuse(error, judge, Some(&presented), evidence))?
        };
        self.accompany(caller, evidence, now).await
    }

    /// Whether a realm of that name is configured.
    #[must_use]
    pub fn has(&self, realm: &str) -> bool {
        self.chain.iter().any(|named| named.is_configured() && *named.name.name == *realm)
    }

    /// Whose the credentials are that a body of the API holds. They come with no other circumstances: nobody is run as.
    ///
    /// # Errors
    ///
    /// [`IdentifyError`].
    pub async fn prove(&self, presented: &Presented, evidence: &Evidence<'_>) -> Result<Arc<Principal>, IdentifyError> {
        // Remembered apart from what stands in headers: the digest of a request is that of its own caller.
        let digest = self.digester.presented(presented);
        if let Some(known) = digest.and_then(|digest| self.remembered(&digest, evidence, self.proofs.clock.now())) {
            return Ok(known);
        }
        self.judge(presented, digest, evidence)
            .await
            .map_err(|Failure { error, judge }| self.refuse(error, judge, Some(presented), evidence))
    }

    /// Asks one realm after the other, and remembers what they say under `digest`.
    async fn judge(
        &self,
        presented: &Presented,
        digest: Option<Digest>,
        evidence: &Evidence<'_>,
    ) -> Result<Arc<Principal>, Failure<'_>> {
        let refusal = match presented {
            Presented::Nothing => return self.anonymous(evidence).await.map_err(Failure::unjudged),
            Presented::Basic { username, .. } => IdentifyError::Password { username: username.clone(), known: false },
            Presented::Certificate(_) => IdentifyError::Missing,
            Presented::ApiKey { .. } | Presented::Bearer(_) => IdentifyError::Refused(Refusal::TokenUnknown),
        };
        let mut failure = Failure::unjudged(refusal);
        if let Some(dead) = self.remembered_dead(digest, evidence) {
            return Err(dead);
        }
        // What is wrong stays wrong for a while, so nothing is asked twice for the same; passwords are not remembered so.
        let shared = digest.filter(|_| match presented {
            Presented::ApiKey { .. } | Presented::Bearer(_) => true,
            Presented::Basic { .. } => self.asks_cluster,
            Presented::Certificate(_) | Presented::Nothing => false,
        });
        let _flight = match shared {
            Some(digest) => self.flights.begin(digest).await,
            None => None,
        };
        // Whoever was first may have learned it meanwhile.
        if let Some(known) = shared.and_then(|shown| self.remembered(&shown, evidence, self.proofs.clock.now())) {
            return Ok(known);
        }
        if let Some(dead) = self.remembered_dead(shared, evidence) {
            return Err(dead);
        }
        let revocations = &self.proofs.revocations;
        let at = Circumstances {
            begun: revocations.begin(),
            address: evidence.peer.client_ip(evidence.headers),
            strangers_pass: evidence.strangers_pass || self.asks_cluster,
        };
        let (mut dead, mut life) = (None, REFUSED_LIFE);
        for (place, realm) in self.chain.iter().enumerate() {
            if let Some(at_most) = realm.life_at_cluster() {
                // It judges what passes through to it anyway, and is not shown what was recognized here.
                if evidence.strangers_pass || !failure.error.is_unclaimed() {
                    continue;
                }
                life = life.min(at_most);
            }
            match realm.authenticate(presented, at, &self.proofs).await {
                Ok(Verdict::Accept(proven)) => {
                    if let (Some(digest), Some(stamps)) = (digest, proven.stamps) {
                        self.proven.insert(digest, Arc::clone(&proven.principal), proven.until, stamps);
                    }
                    self.metrics.authentication(&realm.name.name, "success");
                    self.audit.record(&event(AuditEvent::by("authentication_success", &proven.principal), evidence));
                    return Ok(proven.principal);
                }
                Ok(Verdict::Decline(error)) => {
                    let is_final = !self.asks_cluster || !evidence.strangers_pass || !error.is_unclaimed();
                    dead = Dead::of(&error, place).map(|dead| Dead { is_final, ..dead });
                    failure = Failure { error, judge: Some(realm) };
                }
                Ok(Verdict::Pass) => {}
                Ok(Verdict::Refuse(error)) => {
                    self.remember_dead(digest, presented, at.begun, Dead::of(&error, place), life);
                    return Err(Failure { error, judge: Some(realm) });
                }
                Err(error) => return Err(Failure { error, judge: Some(realm) }),
            }
        }
        // Only now: what one realm does not know another may.
        self.remember_dead(digest, presented, at.begun, dead, life);
        // A certificate that names nobody is none.
        if matches!(failure.error, IdentifyError::Missing) {
            return self.anonymous(evidence).await.map_err(|error| Failure { error, ..failure });
        }
        Err(failure)
    }

    fn remembered_dead(&self, digest: Option<Digest>, evidence: &Evidence<'_>) -> Option<Failure<'_>> {
        let dead = self.refused.get(&digest?, &self.proofs.revocations, self.proofs.clock.now())?;
        if !dead.is_final && !evidence.strangers_pass {
            return None;
        }
        Some(Failure { judge: self.chain.get(dead.judge), error: dead.into() })
    }

    /// Keeps why a credential is refused. An expired key may still be invalidated, and is then refused for that.
    fn remember_dead(
        &self,
        digest: Option<Digest>,
        presented: &Presented,
        begun: Begun,
        dead: Option<Dead>,
        life: Duration,
    ) {
        let stamps = match presented {
            Presented::ApiKey { id, .. } => self.proofs.revocations.stamp(begun, &[Subject::Key(id)]),
            _ => Some(Stamps::default()),
        };
        if let (Some(digest), Some(dead), Some(stamps)) = (digest, dead, stamps) {
            self.refused.insert(digest, dead, self.proofs.clock.now().plus(life), stamps);
        }
    }

    /// Who was proven by that digest; not while its password is being guessed from the same address.
    fn remembered(&self, digest: &Digest, evidence: &Evidence<'_>, now: Timestamp) -> Option<Arc<Principal>> {
        let known = self.proven.get(digest, &self.proofs.revocations, now);
        known.filter(|known| !(evidence.strangers_pass && known.is_of_cluster)).filter(|principal| {
            principal.authentication != AuthenticationType::Realm
                || !self.proofs.throttle.silences(
                    evidence.peer.client_ip(evidence.headers),
                    &principal.identity.username,
                    now,
                )
        })
    }

    /// The certificate of the connection speaks where its caller shows nothing else.
    fn with_certificate(&self, presented: Presented, peer: &Peer) -> Presented {
        let leaf = || peer.tls.as_ref()?.client_chain.first();
        match presented {
            Presented::Nothing if self.certificates => leaf()
                .and_then(|leaf| Certificate::read(leaf))
                .map_or(Presented::Nothing, |certificate| Presented::Certificate(Arc::new(certificate))),
            presented => presented,
        }
    }

    fn certificate_digest(&self, peer: &Peer) -> Option<Digest> {
        let fingerprint = peer.tls.as_ref().filter(|_| self.certificates)?.fingerprint.as_ref()?;
        Some(self.digester.certificate(fingerprint))
    }

    /// Who a caller without credentials is.
    async fn anonymous(&self, evidence: &Evidence<'_>) -> Result<Arc<Principal>, IdentifyError> {
        let Some(identity) = &self.anonymous else { return Err(IdentifyError::Missing) };
        let proven = self.proofs.anonymous(identity.clone(), self.proofs.revocations.begin()).await?;
        // A header that says nothing is not remembered: strangers choose what it is.
        let bare = !evidence.headers.contains_key(header::AUTHORIZATION);
        if let (true, Some(digest), Some(stamps)) = (bare, self.digest(evidence), proven.stamps) {
            self.proven.insert(digest, Arc::clone(&proven.principal), proven.until, stamps);
        }
        Ok(proven.principal)
    }

    /// Tells operators of a refusal.
    fn refuse(
        &self,
        error: IdentifyError,
        judge: Option<&Named>,
        presented: Option<&Presented>,
        evidence: &Evidence<'_>,
    ) -> IdentifyError {
        if let IdentifyError::RunAs { caller, target } = &error {
            let denied = AuditEvent { run_as: Some(target), ..AuditEvent::by("run_as_denied", caller) };
            self.audit.record(&event(denied, evidence));
            return error;
        }
        let realm = judge.map(|judge| &judge.name);
        let outcome = error.reason_code().unwrap_or("unavailable");
        self.metrics.authentication(realm.map_or("none", |realm| &realm.name), outcome);
        let passes = evidence.strangers_pass && error.is_unclaimed();
        // A fault of searchgate's own says nothing about the caller.
        if !passes && error.reason_code().is_some() {
            let action = if matches!(error, IdentifyError::Missing) {
                "anonymous_access_denied"
            } else {
                "authentication_failed"
            };
            let user = match presented {
                Some(Presented::Basic { username, .. }) => Some(&**username),
                _ => None,
            };
            let refusal = AuditEvent { action, user, realm, reason: error.reason_code(), ..AuditEvent::default() };
            self.audit.record(&event(refusal, evidence));
        }
        error
    }

    /// Of all that decides who calls; nothing where nobody can be somebody by showing nothing.
    fn digest(&self, evidence: &Evidence<'_>) -> Option<Digest> {
        let headers = evidence.headers;
        // An empty header is as good as none.
        let shown = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).filter(|value| !value.is_empty());
        if shown.is_none() {
            let certificate = self.certificate_digest(evidence.peer);
            if certificate.is_some() || self.anonymous.is_none() {
                return certificate;
            }
        }
        let client = headers.get(CLIENT_AUTHENTICATION);
        Some(self.digester.digest(shown.unwrap_or_default(), client.map(HeaderValue::as_bytes)))
    }
}

impl Failure<'_> {
    fn unjudged(error: IdentifyError) -> Self {
        Self { error, judge: None }
    }
}

impl Dead {
    /// What is worth remembering. Passwords are not: one that is wrong may be right after a change.
    fn of(error: &IdentifyError, judge: usize) -> Option<Self> {
        let verdict = match error {
            IdentifyError::Refused(refusal) => Death::Refused(refusal.clone()),
            IdentifyError::ServiceAccount { account, name } => {
                Death::ServiceAccount { account: account.clone(), name: name.clone() }
            }
            IdentifyError::TokenExpired => Death::TokenExpired,
            _ => return None,
        };
        Some(Self { judge, verdict, is_final: true })
    }
}

impl From<Dead> for IdentifyError {
    fn from(dead: Dead) -> Self {
        match dead.verdict {
            Death::Refused(refusal) => Self::Refused(refusal),
            Death::ServiceAccount { account, name } => Self::ServiceAccount { account, name },
            Death::TokenExpired => Self::TokenExpired,
        }
    }
}

/// Adds where a request came from and what it is about.
fn event<'a>(event: AuditEvent<'a>, evidence: &Evidence<'a>) -> AuditEvent<'a> {
    AuditEvent {
        client: evidence.peer.client_ip(evidence.headers),
        method: Some(evidence.method.as_str()),
        path: evidence.target.split(['?', '#']).next(),
        opaque_id: evidence.headers.get(X_OPAQUE_ID).and_then(|value| value.to_str().ok()),
        ..event
    }
}

/// The header, if any, that may have one value and has several different ones (section 1.5).
fn repeated(headers: &HeaderMap) -> Option<&'static str> {
    SINGLE_VALUED
        .iter()
        .find(|(name, _)| {
            let mut values = headers.get_all(name).iter();
            let first = values.next();
            values.any(|other| Some(other) != first)
        })
        .map(|(_, shown)| *shown)
}

const CLIENT_AUTHENTICATION: HeaderName = HeaderName::from_static("es-client-authentication");
const RUN_AS: HeaderName = HeaderName::from_static("es-security-runas-user");
const SECONDARY: HeaderName = HeaderName::from_static("es-secondary-authorization");
const X_OPAQUE_ID: HeaderName = HeaderName::from_static("x-opaque-id");
/// Name, and how Elasticsearch spells it.
const SINGLE_VALUED: [(HeaderName, &str); 6] = [
    (header::AUTHORIZATION, "Authorization"),
    (X_OPAQUE_ID, "X-Opaque-Id"),
    (RUN_AS, "es-security-runas-user"),
    (SECONDARY, "es-secondary-authorization"),
    (HeaderName::from_static("traceparent"), "traceparent"),
    (HeaderName::from_static("x-elastic-product-origin"), "X-elastic-product-origin"),
];
/// Different sets of descriptors, to keys: many keys are alike.
const COMPILED_SHARE: usize = 16;
/// Refused credentials take this part of the room that good ones have, besides it.
const REFUSED_SHARE: usize = 8;
/// How long a refused credential is refused unasked.
const REFUSED_LIFE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
