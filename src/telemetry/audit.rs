//! The audit stream, with Elasticsearch's event names.

use std::net::IpAddr;

use crate::{
    config::AuditTarget,
    model::{ApiKeyRef, AuthenticationType, RealmRef},
};

/// Where audit events go.
#[derive(Debug)]
pub struct Audit {}

/// One event.
#[derive(Clone, Debug, Default)]
pub struct AuditEvent<'a> {
    /// Elasticsearch's name: `authentication_success`, `authentication_failed`, `access_denied`, `create_apikey`, …
    pub action: &'static str,
    /// Who, as far as known.
    pub user: Option<&'a str>,
    /// Realm that judged, or should have.
    pub realm: Option<&'a RealmRef>,
    /// How they proved themselves.
    pub authentication: Option<AuthenticationType>,
    /// The API key, when the caller is one.
    pub api_key: Option<&'a ApiKeyRef>,
    /// Client address.
    pub client: Option<IpAddr>,
    /// Request method.
    pub method: Option<&'a str>,
    /// Raw path without the query.
    pub path: Option<&'a str>,
    /// `X-Opaque-Id`.
    pub opaque_id: Option<&'a str>,
    /// Reason code of a refusal.
    pub reason: Option<&'a str>,
    /// What was changed: a JSON object without secrets.
    pub change: Option<serde_json::Value>,
}

impl Audit {
    /// Opens the stream.
    ///
    /// # Errors
    ///
    /// Those of opening the file.
    pub fn open(target: &AuditTarget) -> std::io::Result<Self> {
        let _ = target;
        todo!()
    }

    /// A stream that goes nowhere.
    #[must_use]
    pub fn off() -> Self {
        todo!()
    }

    /// Records one event.
    pub fn record(&self, event: &AuditEvent<'_>) {
        let _ = event;
        todo!()
    }

    /// Opens the file again (SIGUSR1): it was renamed.
    pub fn reopen(&self) {
        todo!()
    }
}
