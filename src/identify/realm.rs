//! Ways of proving who a caller is. The set is closed, so a `match` stands in for a boxed future.

use std::{net::IpAddr, sync::Arc, time::Duration};

use serde_json::{Map, json};

use crate::{
    clock::Clock,
    config::{self, PrincipalFrom},
    identify::{
        IdentifyError, Refusal,
        cache::{Begun, Revocations, Stamps, Subject},
        file::{FileError, FileUsers},
        jwt::{Judged, JwtError, JwtRealm, NoAnswer},
        pki::Certificate,
        presented::Presented,
        throttle::Throttle,
    },
    keys::{KeyVerdict, Keys},
    model::{ApiKeyRef, AuthenticationType, Identity, KeyId, Principal, RealmRef, ServiceTokenRef, Timestamp},
    passwords::{Busy, Passwords},
    privileges::Privileges,
    role_mappings::{Facts, RoleMappings},
    roles::Roles,
    secret::SecretText,
    service_accounts::{self, ServiceAccounts, ServiceToken},
    store::{ApiKeyRecord, DocumentKind, StoreError, TokenSubject, UserNamespace},
    tokens::{TokenVerdict, Tokens},
    users::{Users, UsersError, is_reserved},
};

/// One way of proving who a caller is.
#[derive(Debug)]
pub(super) enum Realm {
    /// API keys.
    ApiKey,
    /// Users of a file.
    File(Arc<FileUsers>),
    /// Signed tokens of an issuer.
    Jwt(Box<JwtRealm>),
    /// Users with passwords.
    Password(UserNamespace),
    /// Client certificates.
    Pki(PrincipalFrom),
    /// Tokens of service accounts.
    ServiceAccount,
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
    /// This realm's kind of credentials, bad, and nobody else is asked.
    Refuse(IdentifyError),
}

/// What a realm knows of a name that is to be acted as.
pub(super) enum Lookup {
    /// Its user, who must not act.
    Disabled,
    /// Its user, and the realm.
    Found(Identity, RealmRef),
    /// Not its.
    Unknown,
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
    pub(super) service_accounts: Arc<ServiceAccounts>,
    pub(super) roles: Arc<Roles>,
    pub(super) mappings: RoleMappings,
    pub(super) revocations: Arc<Revocations>,
    pub(super) throttle: Throttle,
    pub(super) clock: Clock,
    /// Roles that every user has besides its own: those of anonymous access (section 2.7).
    pub(super) common_roles: Vec<Box<str>>,
    pub(super) files: Files,
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

/// Files of users. A name in one of them is nobody else's, so that each log-in costs one hash, whoever it names.
#[derive(Debug, Default)]
pub(super) struct Files {
    all: Vec<Arc<FileUsers>>,
    /// Judges names that nobody has, where no other realm does.
    last: Option<Arc<FileUsers>>,
}

/// A realm that cannot be served as configured.
#[derive(Debug, thiserror::Error)]
pub enum RealmError {
    /// Its users.
    #[error("realm [{name}]")]
    File {
        /// Its name.
        name: String,
        /// What is wrong.
        source: FileError,
    },
    /// Its issuer.
    #[error("realm [{name}]")]
    Jwt {
        /// Its name.
        name: String,
        /// What is wrong.
        source: JwtError,
    },
}

impl Files {
    pub(super) fn of_chain(chain: &[Named]) -> Self {
        let file = |named: &Named| match &named.realm {
            Realm::File(users) => Some(Arc::clone(users)),
            _ => None,
        };
        let all: Vec<_> = chain.iter().filter_map(file).collect();
        let native = chain.iter().any(|named| matches!(named.realm, Realm::Password(UserNamespace::Native)));
        let last = all.last().filter(|_| !native).map(Arc::clone);
        Self { all, last }
    }

    /// The file that judges `username`, if any does.
    fn of(&self, username: &str) -> Option<&Arc<FileUsers>> {
        self.all.iter().find(|users| users.knows(username)).or(self.last.as_ref())
    }
}

impl Named {
    /// The chain of section 2.2: tokens, keys, then realms as configured.
    pub(super) fn chain(
        configured: &[config::Realm],
        passwords: &Passwords,
        revocations: &Arc<Revocations>,
    ) -> Result<Vec<Self>, RealmError> {
        let named =
            |realm, name: &str, kind: &str| Self { realm, name: RealmRef { name: name.into(), kind: kind.into() } };
        let mut chain = vec![
            named(Realm::ServiceAccount, SERVICE_REALM, SERVICE_REALM),
            named(Realm::Token, TOKEN_REALM, TOKEN_REALM),
            named(Realm::ApiKey, KEY_REALM, KEY_REALM),
        ];
        for realm in configured {
            let revocations = Arc::clone(revocations);
            let realm = match realm {
                // Not served yet: `serve` refuses to start with it.
                config::Realm::Cluster { .. } => continue,
                config::Realm::File { name, path } => {
                    let users = FileUsers::open(path, passwords.clone(), revocations);
                    let users = users.map_err(|source| RealmError::File { name: name.clone(), source })?;
                    named(Realm::File(Arc::new(users)), name, "file")
                }
                config::Realm::Jwt(jwt) => {
                    let realm = JwtRealm::new((**jwt).clone(), revocations);
                    let realm = realm.map_err(|source| RealmError::Jwt { name: jwt.name.clone(), source })?;
                    named(Realm::Jwt(Box::new(realm)), &jwt.name, "jwt")
                }
                config::Realm::Native { name } => named(Realm::Password(UserNamespace::Native), name, "native"),
                config::Realm::Pki { name, principal_from } => named(Realm::Pki(*principal_from), name, "pki"),
                config::Realm::Reserved => named(Realm::Password(UserNamespace::Reserved), "reserved", "reserved"),
            };
            chain.push(realm);
        }
        Ok(chain)
    }

    /// Whether the configuration names it: tokens, keys and service accounts are always judged.
    pub(super) fn is_configured(&self) -> bool {
        !matches!(self.realm, Realm::ApiKey | Realm::ServiceAccount | Realm::Token)
    }

    /// Looks a user up, by the name alone.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(super) async fn look_up(&self, username: &str, proofs: &Proofs) -> Result<Lookup, StoreError> {
        let namespace = match self.realm {
            Realm::Password(namespace) if (namespace == UserNamespace::Reserved) == is_reserved(username) => namespace,
            _ => return Ok(Lookup::Unknown),
        };
        Ok(match proofs.users.find(namespace, username).await? {
            None => Lookup::Unknown,
            Some(user) if user.enabled => Lookup::Found(user.identity, self.name.clone()),
            Some(_) => Lookup::Disabled,
        })
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
            (Realm::File(users), Presented::Basic { username, password })
                if !is_reserved(username)
                    && proofs.files.of(username).is_some_and(|owner| Arc::ptr_eq(owner, users)) =>
            {
                proofs.file(users, username, password, at, &self.name).await
            }
            (Realm::Jwt(realm), Presented::Bearer(token)) => proofs.jwt(realm, token, at, &self.name).await,
            (Realm::Pki(from), Presented::Certificate(certificate)) => {
                proofs.certificate(certificate, *from, at, &self.name).await
            }
            (Realm::Password(namespace), Presented::Basic { username, password })
                if match namespace {
                    UserNamespace::Native => !is_reserved(username) && proofs.files.of(username).is_none(),
                    UserNamespace::Reserved => is_reserved(username),
                } =>
            {
                proofs.password(*namespace, username, password, at, &self.name).await
            }
            (Realm::ServiceAccount, Presented::Bearer(token)) => match ServiceToken::parse(token.expose()) {
                Some(token) => proofs.service_account(token, at, &self.name).await,
                None => Ok(Verdict::Pass),
            },
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
                let principal = Arc::new(key_principal(*record, realm.clone(), AuthenticationType::ApiKey));
                return Ok(Verdict::Accept(Proven { principal, until, stamps }));
            }
            KeyVerdict::CrossCluster => return Ok(Verdict::Decline(IdentifyError::KeyKind(id.clone()))),
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
        let principal = Arc::new(principal.map_err(IdentifyError::Unavailable)?);
        let stamps = self.revocations.stamp(at.begun, &[Subject::User(namespace, username), ROLES]);
        Ok(Verdict::Accept(Proven { principal, until: now.plus(PASSWORD_LIFE), stamps }))
    }

    async fn service_account(
        &self,
        token: ServiceToken,
        at: Circumstances,
        realm: &RealmRef,
    ) -> Result<Verdict, IdentifyError> {
        let good = self.service_accounts.verify(&token).await.map_err(IdentifyError::Unavailable)?;
        let ServiceToken { account, name, .. } = token;
        let Some(descriptor) = service_accounts::descriptor(&account).filter(|_| good) else {
            return Ok(Verdict::Refuse(IdentifyError::ServiceAccount { account, name }));
        };
        let privileges = Privileges::of_key(&Map::new(), &Map::from_iter([(account.to_string(), descriptor.clone())]));
        let identity = Identity {
            full_name: Some(format!("Service account - {account}").into()),
            username: account,
            metadata: Map::from_iter([("_elastic_service_account".to_owned(), json!(true))]),
            ..Identity::default()
        };
        let service_token = Some(ServiceTokenRef { name, kind: service_accounts::STORED.into() });
        let principal = Principal::new(identity, realm.clone(), AuthenticationType::Token, privileges);
        let principal = Arc::new(Principal { service_token, ..principal });
        let stamps = self.revocations.stamp(at.begun, &[Subject::Documents(DocumentKind::ServiceToken)]);
        Ok(Verdict::Accept(Proven { principal, until: NEVER, stamps }))
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
        let mut subject = record.subject;
        let run_by = subject.run_by.take();
        let expired = || Ok(Verdict::Decline(IdentifyError::TokenExpired));
        let Some(mut principal) = self.bearer(subject, &mut until).await.map_err(IdentifyError::Unavailable)? else {
            return expired();
        };
        if let Some(by) = run_by {
            let Some(by) = self.bearer(*by, &mut until).await.map_err(IdentifyError::Unavailable)? else {
                return expired();
            };
            let (caller, target) = (Arc::new(by), &principal.identity.username);
            if !caller.privileges.may_run_as(target) {
                return Ok(Verdict::Refuse(IdentifyError::RunAs { caller, target: target.clone() }));
            }
            principal.run_by = Some(caller);
        }
        let key = principal.run_by.as_ref().map_or(&principal.api_key, |by| &by.api_key);
        let mut subjects = vec![Subject::Token(&record.digest), ROLES];
        subjects.extend(key.as_ref().map(|key| Subject::Key(&key.id)));
        let stamps = self.revocations.stamp(at.begun, &subjects);
        Ok(Verdict::Accept(Proven { principal: Arc::new(principal), until, stamps }))
    }

    /// Whom a token stands for, as of now, and until when at most. Nobody when the key that minted it is dead: it judges
    /// what the token may do, and nothing outlives it.
    async fn bearer(&self, subject: TokenSubject, until: &mut Timestamp) -> Result<Option<Principal>, StoreError> {
        let Some(id) = subject.api_key else {
            let user = self.user(subject.identity, subject.realm, AuthenticationType::Token).await?;
            let (lookup_realm, service_token) = (subject.lookup_realm, subject.service_token);
            return Ok(Some(Principal { lookup_realm, service_token, ..user }));
        };
        let Some(key) = self.keys.live(&id).await? else { return Ok(None) };
        *until = (*until).min(key.expiration.unwrap_or(NEVER));
        Ok(Some(key_principal(key, subject.realm, AuthenticationType::Token)))
    }

    async fn file(
        &self,
        users: &FileUsers,
        username: &str,
        password: &SecretText,
        at: Circumstances,
        realm: &RealmRef,
    ) -> Result<Verdict, IdentifyError> {
        if at.strangers_pass && !users.knows(username) {
            return Ok(Verdict::Pass);
        }
        let throttled = |retry_after| IdentifyError::Throttled { retry_after };
        let attempt = self.throttle.begin(at.address, username, self.clock.now()).map_err(throttled)?;
        let user = users.verify(username, password.clone()).await.map_err(IdentifyError::Busy)?;
        let now = self.clock.now();
        self.throttle.end(&attempt, user.is_some(), now).map_err(throttled)?;
        let Some(identity) = user else {
            return Ok(Verdict::Decline(IdentifyError::Password { username: username.into(), known: true }));
        };
        let principal = self.user(identity, realm.clone(), AuthenticationType::Realm).await;
        let principal = Arc::new(principal.map_err(IdentifyError::Unavailable)?);
        let stamps = self.revocations.stamp(at.begun, &[Subject::FileUser(username), ROLES]);
        Ok(Verdict::Accept(Proven { principal, until: now.plus(PASSWORD_LIFE), stamps }))
    }

    async fn jwt(
        &self,
        jwt: &JwtRealm,
        token: &SecretText,
        at: Circumstances,
        realm: &RealmRef,
    ) -> Result<Verdict, IdentifyError> {
        let now = self.clock.now();
        let (identity, until) = match jwt.judge(token.expose(), now).await {
            Ok(Judged::Good(identity, until)) => (identity, until),
            Ok(Judged::Foreign) => return Ok(Verdict::Pass),
            Ok(Judged::Bad(reason)) => {
                tracing::debug!(realm = &*realm.name, reason, "token refused");
                return Ok(Verdict::Decline(IdentifyError::Refused(Refusal::TokenUnknown)));
            }
            Err(NoAnswer) => return Err(IdentifyError::IssuerSilent),
        };
        self.mapped(identity, None, until.min(now.plus(VOUCHED_LIFE)), at, realm).await
    }

    async fn certificate(
        &self,
        certificate: &Certificate,
        from: PrincipalFrom,
        at: Circumstances,
        realm: &RealmRef,
    ) -> Result<Verdict, IdentifyError> {
        let name = match from {
            PrincipalFrom::SubjectCn => certificate.cn.clone(),
            PrincipalFrom::SubjectDn => Some(certificate.dn.clone()).filter(|name| !name.is_empty()),
        };
        let Some(username) = name else { return Ok(Verdict::Pass) };
        let (now, (from, to)) = (self.clock.now(), certificate.validity);
        // A connection may outlive the certificate that it began with.
        if now < from || to < now {
            return Ok(Verdict::Decline(IdentifyError::Password { username, known: true }));
        }
        let metadata = [("pki_dn".to_owned(), json!(certificate.dn))].into_iter().collect();
        let identity = Identity { username, metadata, ..Identity::default() };
        self.mapped(identity, Some(&certificate.dn), to.min(now.plus(VOUCHED_LIFE)), at, realm).await
    }

    /// Accepts somebody for whom another vouches, with the roles that mappings give besides.
    async fn mapped(
        &self,
        mut identity: Identity,
        dn: Option<&str>,
        until: Timestamp,
        at: Circumstances,
        realm: &RealmRef,
    ) -> Result<Verdict, IdentifyError> {
        let facts = Facts {
            username: &identity.username,
            dn,
            groups: &identity.roles,
            metadata: &identity.metadata,
            realm: &realm.name,
        };
        let mapped = self.mappings.roles_for(&facts).await.map_err(IdentifyError::Unavailable)?;
        let new: Vec<_> = mapped.into_iter().filter(|role| !identity.roles.contains(role)).collect();
        identity.roles.extend(new);
        let principal = self.user(identity, realm.clone(), AuthenticationType::Realm).await;
        let principal = Arc::new(principal.map_err(IdentifyError::Unavailable)?);
        let stamps = self.revocations.stamp(at.begun, &[Subject::Realm(&realm.name), ROLES, MAPPINGS]);
        Ok(Verdict::Accept(Proven { principal, until, stamps }))
    }

    /// A user with its roles as they are now, and those that every user has.
    pub(super) async fn user(
        &self,
        mut identity: Identity,
        realm: RealmRef,
        authentication: AuthenticationType,
    ) -> Result<Principal, StoreError> {
        for role in &self.common_roles {
            if !identity.roles.contains(role) {
                identity.roles.push(role.clone());
            }
        }
        let privileges = Privileges::of_user(&self.roles.resolve(&identity.roles).await?);
        Ok(Principal::new(identity, realm, authentication, privileges))
    }

    /// Who callers without credentials are, when anonymous access has roles (section 2.7).
    pub(super) async fn anonymous(&self, identity: Identity, begun: Begun) -> Result<Proven, IdentifyError> {
        let realm = RealmRef { name: ANONYMOUS_REALM.into(), kind: ANONYMOUS_REALM.into() };
        let principal = self.user(identity, realm, AuthenticationType::Anonymous).await;
        let principal = Arc::new(principal.map_err(IdentifyError::Unavailable)?);
        Ok(Proven { principal, until: NEVER, stamps: self.revocations.stamp(begun, &[ROLES]) })
    }
}

/// What roles mean may change at any time.
const ROLES: Subject<'static> = Subject::Documents(DocumentKind::Role);
/// So may whom they are given to.
const MAPPINGS: Subject<'static> = Subject::Documents(DocumentKind::RoleMapping);

/// A key as a caller.
fn key_principal(key: ApiKeyRecord, realm: RealmRef, authentication: AuthenticationType) -> Principal {
    let privileges = Privileges::of_key(&key.role_descriptors, &key.limited_by);
    let identity = Identity { roles: Vec::new(), ..key.creator.identity };
    let api_key = Some(ApiKeyRef { id: key.id, name: Some(key.name) });
    Principal { api_key, ..Principal::new(identity, realm, authentication, privileges) }
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

pub(super) const ANONYMOUS_REALM: &str = "__anonymous";
const SERVICE_REALM: &str = "_service_account";
const KEY_REALM: &str = "_es_api_key";
/// In metrics and audit events of refused tokens; accepted ones show the realm of their log-in.
const TOKEN_REALM: &str = "_token";
/// As long as Elasticsearch's realms remember a password.
const PASSWORD_LIFE: Duration = Duration::from_mins(20);
/// As long as Elasticsearch's jwt and pki realms remember a caller.
const VOUCHED_LIFE: Duration = Duration::from_mins(20);
const NEVER: Timestamp = Timestamp::from_millis(u64::MAX);
