//! Ids and principals: what the stages talk about. No I/O.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::privileges::Privileges;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From milliseconds since the epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This time moved forward by `by`, saturating.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }

    /// This time moved back by `by`, saturating.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// Public id of an API key; never secret.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct KeyId(pub Arc<str>);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A realm as the API shows it.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct RealmRef {
    /// Configured name, for example `default_native`.
    pub name: Arc<str>,
    /// Type, for example `native`.
    #[serde(rename = "type")]
    pub kind: Arc<str>,
}

/// How a principal proved itself; the API's `authentication_type`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthenticationType {
    /// No credentials, and anonymous access is on.
    Anonymous,
    /// An API key.
    ApiKey,
    /// A password or another realm credential.
    Realm,
    /// An access token.
    Token,
}

/// The API key that a principal is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ApiKeyRef {
    /// Its id.
    pub id: KeyId,
    /// Its name.
    pub name: Option<Box<str>>,
}

/// A user as realms and records describe one: everything but the credential and the privileges.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Identity {
    /// Principal name.
    pub username: Box<str>,
    /// Role names, as assigned.
    pub roles: Vec<Box<str>>,
    /// Full name, if any.
    pub full_name: Option<Box<str>>,
    /// E-mail address, if any.
    pub email: Option<Box<str>>,
    /// Free metadata.
    pub metadata: Map<String, Value>,
}

/// The token that a service account is, or that its access token was minted with.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ServiceTokenRef {
    /// Its name.
    pub name: Box<str>,
    /// Where it is kept, in the words of Elasticsearch.
    #[serde(rename = "type")]
    pub kind: Box<str>,
}

/// A caller who proved who they are.
#[derive(Clone, Debug)]
pub struct Principal {
    /// Who it is: whom it runs as, when it does.
    pub identity: Identity,
    /// How many of its roles are its own: they come first, then those that every user has (section 2.7).
    pub own_roles: usize,
    /// The realm that authenticated it.
    pub realm: RealmRef,
    /// The realm of a run-as target; otherwise absent.
    pub lookup_realm: Option<RealmRef>,
    /// How it proved itself.
    pub authentication: AuthenticationType,
    /// The API key, when it is one: not while it runs as a user.
    pub api_key: Option<ApiKeyRef>,
    /// The token of a service account, when it is one.
    pub service_token: Option<ServiceTokenRef>,
    /// Who proved themselves, when `identity` is whom they run as.
    pub run_by: Option<Arc<Principal>>,
    /// Whether it showed a credential of the cluster's own, which may pass through to it.
    pub is_of_cluster: bool,
    /// What it may do, compiled.
    pub privileges: Privileges,
}

impl Principal {
    /// One that acts as itself, and is neither a key nor a service account.
    #[must_use]
    pub fn new(
        identity: Identity,
        realm: RealmRef,
        authentication: AuthenticationType,
        privileges: Privileges,
    ) -> Self {
        Self {
            own_roles: identity.roles.len(),
            identity,
            realm,
            lookup_realm: None,
            authentication,
            api_key: None,
            service_token: None,
            run_by: None,
            is_of_cluster: false,
            privileges,
        }
    }

    /// Its roles but for those that every user has: they are given anew at each use.
    #[must_use]
    pub fn own_roles(&self) -> &[Box<str>] {
        self.identity.roles.get(..self.own_roles).unwrap_or_default()
    }

    /// The realm that its name belongs to.
    #[must_use]
    pub fn own_realm(&self) -> &RealmRef {
        self.lookup_realm.as_ref().unwrap_or(&self.realm)
    }
}
