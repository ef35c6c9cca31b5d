//! The audit stream, with Elasticsearch's event names and shape: one JSON object a line. Never secrets: what was
//! changed is described by whoever changed it, without them.

use std::{
    fs::OpenOptions, io, net::IpAddr, os::unix::fs::OpenOptionsExt, path::Path, sync::Arc, sync::atomic::AtomicU64,
};

use crate::{
    clock::Clock,
    config::AuditTarget,
    model::{ApiKeyRef, AuthenticationType, Principal, RealmRef},
    telemetry::{
        line::{Line, Stamp},
        writer::{Output, Writer},
    },
};

/// Where audit events go. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Audit {
    /// `None` when it is off.
    to: Option<(Writer, Clock)>,
}

/// One event.
#[derive(Clone, Debug, Default)]
pub struct AuditEvent<'a> {
    /// Elasticsearch's name: `authentication_success`, `authentication_failed`, `access_denied`, `create_apikey`, …
    pub action: &'static str,
    /// Who, as far as known.
    pub user: Option<&'a str>,
    /// Realm that judged, or should have.
    pub realm: Option<&'a RealmRef>,
    /// Who proved themselves, when `user` is whom they run as: name and realm.
    pub run_by: Option<(&'a str, &'a RealmRef)>,
    /// Whom `user` asks to be, in the events that say whether it may.
    pub run_as: Option<&'a str>,
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
    /// What was changed, for example `{"apikey":{"id":…}}`: a JSON object without secrets. On the wire it stands under
    /// the verb of `action` (`create_apikey`: `"create":{"apikey":…}`), as Elasticsearch has it.
    pub change: Option<serde_json::Value>,
}

impl Audit {
    /// Opens the stream; `clock` dates its events.
    ///
    /// # Errors
    ///
    /// Those of opening the file.
    pub fn open(target: &AuditTarget, clock: Clock) -> io::Result<Self> {
        let writer = match target {
            AuditTarget::File(path) => {
                let path = path.clone();
                Writer::start("audit", move || append(&path))?
            }
            AuditTarget::Off => return Ok(Self::off()),
            AuditTarget::Stdout => Writer::start("audit", || Ok(Box::new(io::stdout())))?,
        };
        Ok(Self { to: Some((writer, clock)) })
    }

    /// A stream that goes nowhere.
    #[must_use]
    pub fn off() -> Self {
        Self { to: None }
    }

    /// Records one event. Never waits; an event that finds the queue full is lost, counted and reported in the log.
    pub fn record(&self, event: &AuditEvent<'_>) {
        if let Some((writer, clock)) = &self.to {
            writer.line(event.line(clock));
        }
    }

    /// Opens the file again (SIGUSR1): it was renamed.
    pub fn reopen(&self) {
        if let Some((writer, _)) = &self.to {
            writer.reopen();
        }
    }

    /// Events lost so far, unless the stream is off.
    #[must_use]
    pub fn lost(&self) -> Option<Arc<AtomicU64>> {
        self.to.as_ref().map(|(writer, _)| writer.lost())
    }

    /// Waits until all events are written, at most some seconds.
    pub async fn flush(&self) {
        if let Some((writer, _)) = &self.to {
            writer.flush().await;
        }
    }
}

impl<'a> AuditEvent<'a> {
    /// An event about a caller who is known.
    #[must_use]
    pub fn by(action: &'static str, principal: &'a Principal) -> Self {
        let by = principal.run_by.as_deref();
        Self {
            action,
            user: Some(&principal.identity.username),
            realm: Some(principal.own_realm()),
            run_by: by.map(|by| (&*by.identity.username, &by.realm)),
            authentication: Some(principal.authentication),
            api_key: by.unwrap_or(principal).api_key.as_ref(),
            ..Self::default()
        }
    }

    fn line(&self, clock: &Clock) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(512);
        let (mut stamp, mut time) = (Stamp::default(), Vec::new());
        stamp.write_with(&mut time, clock.now(), ',', "+0000");
        let mut line = Line::begin(&mut buffer);
        line.field("type", "audit");
        line.field("timestamp", &*String::from_utf8_lossy(&time));
        line.field("event.type", if self.change.is_some() { "security_config_change" } else { "rest" });
        line.field("event.action", self.action);
        line.maybe("authentication.type", self.authentication.map(kind));
        line.maybe("user.name", self.user);
        line.maybe("user.realm", self.realm.map(|realm| &*realm.name));
        if let Some((name, realm)) = self.run_by {
            line.field("user.run_by.name", name);
            line.field("user.run_by.realm", &*realm.name);
        }
        line.maybe("user.run_as.name", self.run_as);
        if let Some(key) = self.api_key {
            line.field("apikey.id", &*key.id.0);
            line.maybe("apikey.name", key.name.as_deref());
        }
        if let Some(client) = &self.client {
            line.field("origin.type", "rest");
            line.field("origin.address", client);
        }
        line.maybe("request.method", self.method);
        line.maybe("url.path", self.path);
        line.maybe("opaque_id", self.opaque_id);
        line.maybe("event.reason", self.reason);
        if let Some(change) = &self.change {
            line.field(self.action.split('_').next().unwrap_or(self.action), change);
        }
        line.end();
        buffer
    }
}

/// Elasticsearch's word in audit events, which is not the one of its API.
fn kind(authentication: AuthenticationType) -> &'static str {
    match authentication {
        AuthenticationType::Anonymous => "ANONYMOUS",
        AuthenticationType::ApiKey => "API_KEY",
        AuthenticationType::Realm => "REALM",
        AuthenticationType::Token => "TOKEN",
    }
}

fn append(path: &Path) -> io::Result<Output> {
    Ok(Box::new(OpenOptions::new().create(true).append(true).mode(0o600).open(path)?))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use serde_json::{Value, json};

    use super::*;
    use crate::model::{KeyId, Timestamp};

    fn clock() -> Clock {
        Clock::anchored(Timestamp::from_millis(1_795_557_253_007))
    }

    fn parsed(event: &AuditEvent<'_>) -> Value {
        serde_json::from_slice(&event.line(&clock())).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_has_the_shape_of_elasticsearch() {
        let realm = RealmRef { name: "default_native".into(), kind: "native".into() };
        let key = ApiKeyRef { id: KeyId("id1".into()), name: Some("logs".into()) };
        let event = AuditEvent {
            action: "authentication_success",
            user: Some("alice"),
            realm: Some(&realm),
            authentication: Some(AuthenticationType::ApiKey),
            api_key: Some(&key),
            client: Some([10, 0, 0, 1].into()),
            method: Some("GET"),
            path: Some("/a\"b"),
            opaque_id: Some("7"),
            ..AuditEvent::default()
        };
        let expected = json!({
            "type": "audit", "timestamp": "2026-11-24T21:54:13,007+0000", "event.type": "rest",
            "event.action": "authentication_success", "authentication.type": "API_KEY", "user.name": "alice",
            "user.realm": "default_native", "apikey.id": "id1", "apikey.name": "logs", "origin.type": "rest",
            "origin.address": "10.0.0.1", "request.method": "GET", "url.path": "/a\"b", "opaque_id": "7",
        });
        assert_eq!(parsed(&event), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_stands_under_its_verb() {
        let change = Some(json!({"apikeys": {"ids": ["a"]}}));
        let event = parsed(&AuditEvent { action: "invalidate_apikeys", change, ..AuditEvent::default() });
        assert_eq!(event["event.type"], "security_config_change");
        assert_eq!(event["invalidate"], json!({"apikeys": {"ids": ["a"]}}));
    }

    #[tokio::test]
    async fn a_file_is_private_and_is_opened_again_after_it_was_renamed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("audit.json"), folder.path().join("audit.json.1"));
        let audit = Audit::open(&AuditTarget::File(path.clone()), clock()).unwrap();
        audit.record(&AuditEvent { action: "access_granted", ..AuditEvent::default() });
        audit.flush().await;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        fs::rename(&path, &old).unwrap();
        audit.reopen();
        audit.record(&AuditEvent { action: "access_denied", ..AuditEvent::default() });
        audit.flush().await;
        assert!(fs::read_to_string(&old).unwrap().contains("access_granted"));
        let new = fs::read_to_string(&path).unwrap();
        assert!(new.contains("access_denied") && !new.contains("access_granted"), "{new}");
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error() {
        let target = AuditTarget::File("/nonexistent/audit.json".into());
        assert!(Audit::open(&target, Clock::system()).is_err());
    }

    #[tokio::test]
    async fn a_stream_that_is_off_takes_events() {
        let audit = Audit::open(&AuditTarget::Off, clock()).unwrap();
        audit.record(&AuditEvent::default());
        audit.reopen();
        audit.flush().await;
        assert!(audit.lost().is_none());
    }
}
