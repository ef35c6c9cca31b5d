//! Ways of proving who a caller is. The set is closed, so a `match` stands in for a boxed future.

use std::{net::IpAddr, sync::Arc, time::Duration};

use serde_json::json;

use crate::{
    clock::Clock,
    config,
    identify::{
        IdentifyError, Refusal,
        cache::{Begun, Revocations, Stamps, Subject},
        presented::Presented,
        throttle::Throttle,
    },
    keys::{KeyVerdict, Keys},
    model::{ApiKeyRef, AuthenticationType, Identity, KeyId, Principal, RealmRef, Timestamp},
    passwords::Busy,
    privileges::Privileges,
    roles::Roles,
    secret::SecretText,
    store::{ApiKeyRecord, DocumentKind, StoreError, UserNamespace},
    tokens::{TokenVerdict, Tokens},
    users::{Users, UsersError, is_reserved},
};

/// One way of proving who a caller is.
#[derive(Debug)]
pub(super) enum Realm {
    /// API keys.
    ApiKey,
    /// Users with passwords.
    Password(UserNamespace),
    /// Access tokens.
    Token,
}

/// A realm and its name in metrics, audit events and answers.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) realm: Realm,
    pub(super) name: RealmRef,
}

/// What a realm makes of what a caller presents.
pub(super) enum Verdict {
    Accept(Proven),
    /// This realm's kind of credentials, and bad: remember why, ask the next one.
    Decline(IdentifyError),
    /// Not this realm's.
    Pass,
}

/// Who was proven, and for how long it may be believed without asking again.
pub(super) struct Proven {
    pub(super) principal: Arc<Principal>,
    pub(super) until: Timestamp,
    /// Absent when something was revoked meanwhile: not to be kept.
    pub(super) stamps: Option<Stamps>,
}

/// What realms judge by.
#[derive(Debug)]
pub(super) struct Proofs {
    pub(super) users: Arc<Users>,
    pub(super) keys: Arc<Keys>,
    pub(super) tokens: Arc<Tokens>,
    pub(super) roles: Arc<Roles>,
    pub(super) revocations: Arc<Revocations>,
    pub(super) throttle: Throttle,
    pub(super) clock: Clock,
    /// Roles that every user has besides its own: those of anonymous access (section 2.7).
    pub(super) common_roles: Vec<Box<str>>,
}

/// What is at hand when a realm judges.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    /// Before anything was read.
    pub(super) begun: Begun,
    /// Where the caller is.
    pub(super) address: Option<IpAddr>,
    /// Whether the cluster is asked about users that are unknown here.
    pub(super) strangers_pass: bool,
}

impl Named {
    /// The chain of section 2.2: tokens, keys, then realms as configured.
    pub(super) fn chain(configured: &[config::Realm]) -> Vec<Self> {
        let named =
            |realm, name: &str, kind: &str| Self { realm, name: RealmRef { name: name.into(), kind: kind.into() } };
        let mut chain = vec![named(Realm::Token, TOKEN_REALM, TOKEN_REALM), named(Realm::ApiKey, KEY_REALM, KEY_REALM)];
        chain.extend(configured.iter().filter_map(|realm| match realm {
            config::Realm::Native { name } => Some(named(Realm::Password(UserNamespace::Native), name, "native")),
            config::Realm::Reserved => Some(named(Realm::Password(UserNamespace::Reserved), "reserved", "reserved")),
            // Not served yet: `serve` refuses to start with them.
            config::Realm::Cluster { .. }
            | config::Realm::File { .. }
            | config::Realm::Jwt(_)
            | config::Realm::Pki { .. } => None,
        }));
        chain
    }

    /// Whether the configuration names it: tokens and keys are always judged.
    pub(super) fn is_configured(&self) -> bool {
        !matches!(self.realm, Realm::ApiKey | Realm::Token)
    }

    /// Judges what a caller presents.
    ///
    /// # Errors
    ///
    /// Those that are about searchgate: it is busy, or its store does not answer.
    pub(super) async fn authenticate(
        &self,
        presented: &Presented,
        at: Circumstances,
        proofs: &Proofs,
    ) -> Result<Verdict, IdentifyError> {
        match (&self.realm, presented) {
            (Realm::ApiKey, Presented::ApiKey { id, secret }) => proofs.key(id, secret, at, &self.name).await,
            (Realm::Password(namespace), Presented::Basic { username, password })
                if (*namespace == UserNamespace::Reserved) == is_reserved(username) =>
            {
                proofs.password(*namespace, username, password, at, &self.name).await
            }
            (Realm::Token, Presented::Bearer(token)) => proofs.token(token, at).await,
            _ => Ok(Verdict::Pass),
        }
    }
}

impl Proofs {
    async fn key(
        &self,
        id: &KeyId,
        secret: &SecretText,
        at: Circumstances,
        realm: &RealmRef,
    ) -> Result<Verdict, IdentifyError> {
        let refusal = match self.keys.verify(id, secret.expose()).await.map_err(IdentifyError::Unavailable)? {
            KeyVerdict::Accept(record) => {
                let until = record.expiration.unwrap_or(NEVER);
                let stamps = self.revocations.stamp(at.begun, &[Subject::Key(id)]);
                let principal = key_principal(*record, realm.clone(), AuthenticationType::ApiKey);
                return Ok(Verdict::Accept(Proven { principal, until, stamps }));
            }
            KeyVerdict::Expired => Refusal::KeyExpired,
            KeyVerdict::Invalidated => Refusal::KeyInvalidated(id.clone()),
            KeyVerdict::Unknown => Refusal::KeyUnknown(id.clone()),
            KeyVerdict::WrongSecret => Refusal::KeySecret(id.clone()),
        };
        Ok(Verdict::Decline(IdentifyError::Refused(refusal)))
    }

    async fn password(
        &self,
        namespace: UserNamespace,
        username: &str,
        password: &SecretText,
        at: Circumstances,
        realm: &RealmRef,
    ) -> Result<Verdict, IdentifyError> {
        if at.strangers_pass && !self.users.knows(namespace, username).await.map_err(IdentifyError::Unavailable)? {
            return Ok(Verdict::Pass);
        }
        let throttled = |retry_after| IdentifyError::Throttled { retry_after };
        let attempt = self.throttle.begin(at.address, username, self.clock.now()).map_err(throttled)?;
        let verified = self.users.verify(namespace, username, password.clone()).await;
        let user = verified.map_err(|error| match error {
            UsersError::Store(error) => IdentifyError::Unavailable(error),
            UsersError::Busy(_) | UsersError::NoPassword => IdentifyError::Busy(Busy),
        })?;
        let now = self.clock.now();
        self.throttle.end(&attempt, user.is_some(), now).map_err(throttled)?;
        let Some(user) = user else {
            return Ok(Verdict::Decline(IdentifyError::Password { username: username.into(), known: true }));
        };
        let principal = self.user(user.identity, realm.clone(), AuthenticationType::Realm).await;
        let principal = principal.map_err(IdentifyError::Unavailable)?;
        let stamps = self.revocations.stamp(at.begun, &[Subject::User(namespace, username), ROLES]);
        Ok(Verdict::Accept(Proven { principal, until: now.plus(PASSWORD_LIFE), stamps }))
    }

    async fn token(&self, token: &SecretText, at: Circumstances) -> Result<Verdict, IdentifyError> {
        let record = match self.tokens.verify(token.expose()).await.map_err(IdentifyError::Unavailable)? {
            TokenVerdict::Accept(record) => record,
            TokenVerdict::Expired => return Ok(Verdict::Decline(IdentifyError::TokenExpired)),
            TokenVerdict::Unknown => {
                return Ok(Verdict::Decline(IdentifyError::Refused(Refusal::TokenUnknown)));
            }
        };
        let mut until = record.expiration;
        let subject = record.subject;
        let principal = match &subject.api_key {
            None => {
                let user = self.user(subject.identity, subject.realm, AuthenticationType::Token).await;
                user.map_err(IdentifyError::Unavailable)?
            }
            Some(id) => {
                // Its key judges what it may do, and nothing outlives its key.
                let Some(key) = self.keys.live(id).await.map_err(IdentifyError::Unavailable)? else {
                    return Ok(Verdict::Decline(IdentifyError::TokenExpired));
                };
                until = until.min(key.expiration.unwrap_or(NEVER));
                key_principal(key, subject.realm, AuthenticationType::Token)
            }
        };
        let key = principal.api_key.as_ref().map(|key| Subject::Key(&key.id));
        let subjects = [Subject::Token(&record.digest), key.unwrap_or(ROLES)];
        let stamps = self.revocations.stamp(at.begun, &subjects);
        Ok(Verdict::Accept(Proven { principal, until, stamps }))
    }

    /// A user with its roles as they are now, and those that every user has.
    async fn user(
        &self,
        mut identity: Identity,
        realm: RealmRef,
        authentication: AuthenticationType,
    ) -> Result<Arc<Principal>, StoreError> {
        for role in &self.common_roles {
            if !identity.roles.contains(role) {
                identity.roles.push(role.clone());
            }
        }
        let privileges = Privileges::of_user(&self.roles.resolve(&identity.roles).await?);
        Ok(Arc::new(Principal::new(identity, realm, authentication, privileges)))
    }

    /// Who callers without credentials are, when anonymous access has roles (section 2.7).
    pub(super) async fn anonymous(&self, identity: Identity, begun: Begun) -> Result<Proven, IdentifyError> {
        let realm = RealmRef { name: ANONYMOUS_REALM.into(), kind: ANONYMOUS_REALM.into() };
        let principal = self.user(identity, realm, AuthenticationType::Anonymous).await;
        let principal = principal.map_err(IdentifyError::Unavailable)?;
        Ok(Proven { principal, until: NEVER, stamps: self.revocations.stamp(begun, &[ROLES]) })
    }
}

/// What roles mean may change at any time.
const ROLES: Subject<'static> = Subject::Documents(DocumentKind::Role);

/// A key as a caller.
fn key_principal(key: ApiKeyRecord, realm: RealmRef, authentication: AuthenticationType) -> Arc<Principal> {
    let privileges = Privileges::of_key(&key.role_descriptors, &key.limited_by);
    let identity = Identity { roles: Vec::new(), ..key.creator.identity };
    let api_key = Some(ApiKeyRef { id: key.id, name: Some(key.name) });
    Arc::new(Principal { api_key, ..Principal::new(identity, realm, authentication, privileges) })
}

/// Who callers without credentials are; nobody while anonymous access has no roles.
pub(super) fn anonymous(config: &config::Anonymous) -> Option<Identity> {
    if config.roles.is_empty() {
        return None;
    }
    Some(Identity {
        username: config.username.as_str().into(),
        metadata: [("_reserved".to_owned(), json!(true))].into_iter().collect(),
        roles: config.roles.iter().map(|role| role.as_str().into()).collect(),
        ..Identity::default()
    })
}

const ANONYMOUS_REALM: &str = "__anonymous";
const KEY_REALM: &str = "_es_api_key";
/// In metrics and audit events of refused tokens; accepted ones show the realm of their log-in.
const TOKEN_REALM: &str = "_token";
/// As long as Elasticsearch's realms remember a password.
const PASSWORD_LIFE: Duration = Duration::from_mins(20);
const NEVER: Timestamp = Timestamp::from_millis(u64::MAX);
