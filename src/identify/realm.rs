//! Ways of proving who a caller is. The set is closed, so a `match` stands in for a boxed future.

use std::{net::IpAddr, sync::Arc, time::Duration};

use serde_json::json;

use crate::{
    clock::Clock,
    config::{self, PrincipalFrom},
    identify::{
        IdentifyError,
        cache::{Begun, Revocations, Stamps, Subject},
        cluster::{AskCluster, ClusterRealm},
        compiled::Compiled,
        file::{FileError, FileUsers},
        jwt::{JwtError, JwtRealm},
        presented::Presented,
        throttle::Throttle,
    },
    keys::Keys,
    model::{AuthenticationType, Identity, Principal, RealmRef, Timestamp},
    passwords::{Busy, Passwords},
    role_mappings::RoleMappings,
    roles::Roles,
    secret::SecretText,
    service_accounts::{ServiceAccounts, ServiceToken},
    store::{DocumentKind, StoreError, UserNamespace},
    tokens::Tokens,
    users::{Users, UsersError, is_reserved},
};

mod files;
mod issued;
mod vouched;

pub(super) use files::Files;

/// One way of proving who a caller is.
#[derive(Debug)]
pub(super) enum Realm {
    /// API keys.
    ApiKey,
    /// Users of the cluster.
    Cluster(ClusterRealm),
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
    pub(super) compiled: Compiled,
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

impl Named {
    /// The chain of section 2.2: tokens, keys, then realms as configured.
    pub(super) fn chain(
        configured: &[config::Realm],
        passwords: &Passwords,
        revocations: &Arc<Revocations>,
        ask: &AskCluster,
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
                config::Realm::Cluster { name, cache } => {
                    named(Realm::Cluster(ClusterRealm::new(ask.clone(), *cache)), name, "cluster")
                }
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

    /// How long a verdict of the cluster lives at most; `None` of a realm that judges by itself.
    pub(super) fn life_at_cluster(&self) -> Option<Duration> {
        match &self.realm {
            Realm::Cluster(realm) => Some(realm.life),
            _ => None,
        }
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
        let found = match &self.realm {
            Realm::File(users) if proofs.files.is_for(users, username) => users.user(username),
            Realm::Password(namespace) if proofs.is_for(*namespace, username) => {
                let user = proofs.users.find(*namespace, username).await?;
                user.map(|user| (user.identity, user.enabled))
            }
            _ => None,
        };
        Ok(match found {
            None => Lookup::Unknown,
            Some((identity, true)) => Lookup::Found(identity, self.name.clone()),
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
            (Realm::Cluster(realm), _) => proofs.of_cluster(realm, presented, at, &self.name).await,
            (Realm::File(users), Presented::Basic { username, password }) if proofs.files.is_for(users, username) => {
                proofs.file(users, username, password, at, &self.name).await
            }
            (Realm::Jwt(realm), Presented::Bearer(token)) => proofs.jwt(realm, token, at, &self.name).await,
            (Realm::Pki(from), Presented::Certificate(certificate)) => {
                proofs.certificate(certificate, *from, at, &self.name).await
            }
            (Realm::Password(namespace), Presented::Basic { username, password })
                if proofs.is_for(*namespace, username) =>
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
    /// Whether nobody but the users of `namespace` can be called so.
    fn is_for(&self, namespace: UserNamespace, username: &str) -> bool {
        match namespace {
            UserNamespace::Native => !is_reserved(username) && self.files.of(username).is_none(),
            UserNamespace::Reserved => is_reserved(username),
        }
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

    /// A user with its roles as they are now, and those that every user has.
    pub(super) async fn user(
        &self,
        mut identity: Identity,
        realm: RealmRef,
        authentication: AuthenticationType,
    ) -> Result<Principal, StoreError> {
        let own_roles = identity.roles.len();
        for role in &self.common_roles {
            if !identity.roles.contains(role) {
                identity.roles.push(role.clone());
            }
        }
        let privileges = self.roles.privileges(&identity.roles).await?;
        Ok(Principal { own_roles, ..Principal::new(identity, realm, authentication, privileges) })
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
const NEVER: Timestamp = Timestamp::from_millis(u64::MAX);
