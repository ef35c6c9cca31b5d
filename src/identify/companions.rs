//! Acting as another (API page sections 2.6 and 3.3), and a second caller behind the first (section 2.8).

use std::sync::Arc;

use http::HeaderValue;

use super::{Evidence, Failure, RUN_AS, Realms, SECONDARY, event};
use crate::{
    identify::{
        IdentifyError,
        presented::Presented,
        realm::{ANONYMOUS_REALM, Lookup},
    },
    model::{AuthenticationType, KeyId, Principal, Timestamp},
    telemetry::audit::AuditEvent,
};

impl Realms {
    /// Whom a request is from, when the caller who proved itself is `caller`.
    ///
    /// # Errors
    ///
    /// [`IdentifyError`].
    pub(super) async fn accompany(
        &self,
        caller: Arc<Principal>,
        evidence: &Evidence<'_>,
        now: Timestamp,
    ) -> Result<Arc<Principal>, IdentifyError> {
        let headers = evidence.headers;
        let acting = match headers.get(RUN_AS) {
            None => caller,
            Some(name) => self.run_as(&caller, &String::from_utf8_lossy(name.as_bytes()), evidence).await?,
        };
        // Only the cluster could use the second caller, and it is not told: it is enough that it is no forgery.
        if let Some(value) = headers.get(SECONDARY).filter(|value| !value.is_empty()) {
            self.prove_second(value, evidence, now).await?;
        }
        Ok(acting)
    }

    /// Whom `caller` is when it asks to be `username`: that user, or itself if it is of those who never run as another.
    ///
    /// # Errors
    ///
    /// [`IdentifyError::RunAs`] for a user that it may not run as or that does not exist, [`IdentifyError::Password`]
    /// with the name of the caller for a disabled user and for no name, [`IdentifyError::Unavailable`].
    pub async fn run_as(
        &self,
        caller: &Arc<Principal>,
        username: &str,
        evidence: &Evidence<'_>,
    ) -> Result<Arc<Principal>, IdentifyError> {
        let ignored =
            caller.service_token.is_some() || caller.run_by.is_some() || &*caller.realm.name == ANONYMOUS_REALM;
        if ignored {
            return Ok(Arc::clone(caller));
        }
        let username = username.trim();
        let found = match username {
            "" => Lookup::Disabled,
            name => self.look_up(name).await?,
        };
        match found {
            Lookup::Found(identity, realm) if caller.privileges.may_run_as(username) => {
                let target = self.proofs.user(identity, realm, caller.authentication).await;
                let mut target = target.map_err(IdentifyError::Unavailable)?;
                target.lookup_realm = Some(std::mem::replace(&mut target.realm, caller.realm.clone()));
                target.run_by = Some(Arc::clone(caller));
                let granted = AuditEvent { run_as: Some(username), ..AuditEvent::by("run_as_granted", caller) };
                self.audit.record(&event(granted, evidence));
                Ok(Arc::new(target))
            }
            Lookup::Disabled => {
                let key = caller.api_key.as_ref().map(|key| &*key.id.0);
                let username = key.unwrap_or(&caller.identity.username).into();
                Err(self.refuse(IdentifyError::Password { username, known: true }, None, None, evidence))
            }
            Lookup::Found(..) | Lookup::Unknown => {
                let error = IdentifyError::RunAs { caller: Arc::clone(caller), target: username.into() };
                Err(self.refuse(error, None, None, evidence))
            }
        }
    }

    /// The user called so, as it is when it calls by its password; nobody where there is none or it is disabled.
    ///
    /// # Errors
    ///
    /// [`IdentifyError::Unavailable`].
    pub async fn user_called(&self, username: &str) -> Result<Option<Arc<Principal>>, IdentifyError> {
        let Lookup::Found(identity, realm) = self.look_up(username).await? else { return Ok(None) };
        let user = self.proofs.user(identity, realm, AuthenticationType::Realm).await;
        user.map(|user| Some(Arc::new(user))).map_err(IdentifyError::Unavailable)
    }

    /// The API key of that id, as it is when it calls; nobody where there is none that lives.
    ///
    /// # Errors
    ///
    /// [`IdentifyError::Unavailable`].
    pub async fn key_called(&self, id: &KeyId) -> Result<Option<Arc<Principal>>, IdentifyError> {
        let key = self.proofs.key_called(id).await;
        key.map(|key| key.map(Arc::new)).map_err(IdentifyError::Unavailable)
    }

    /// Asks the realms that have users, in their order.
    async fn look_up(&self, username: &str) -> Result<Lookup, IdentifyError> {
        for realm in &self.chain {
            match realm.look_up(username, &self.proofs).await.map_err(IdentifyError::Unavailable)? {
                Lookup::Unknown => {}
                found => return Ok(found),
            }
        }
        Ok(Lookup::Unknown)
    }

    async fn prove_second(
        &self,
        value: &HeaderValue,
        evidence: &Evidence<'_>,
        now: Timestamp,
    ) -> Result<(), IdentifyError> {
        let digest = self.digester.digest(value.as_bytes(), None);
        if self.proven.get(&digest, &self.proofs.revocations, now).is_some() {
            return Ok(());
        }
        // The cluster is not asked about it, whoever the first caller is.
        let evidence = &Evidence { strangers_pass: false, ..*evidence };
        let presented = match Presented::read(Some(value.as_bytes())) {
            Ok(Presented::Nothing) => Err(IdentifyError::Missing),
            read => read,
        };
        let failure = match presented {
            Ok(presented) => match self.judge(&presented, Some(digest), evidence).await {
                Ok(_) => return Ok(()),
                Err(Failure { error, judge }) => self.refuse(error, judge, Some(&presented), evidence),
            },
            Err(error) => self.refuse(error, None, None, evidence),
        };
        Err(if failure.challenge().is_some() { IdentifyError::Secondary(Box::new(failure)) } else { failure })
    }
}
