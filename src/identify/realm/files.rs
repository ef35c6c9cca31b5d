//! Users of files.

use std::sync::Arc;

use super::{Circumstances, Named, PASSWORD_LIFE, Proofs, Proven, ROLES, Realm, Verdict};
use crate::{
    identify::{IdentifyError, cache::Subject, file::FileUsers},
    model::{AuthenticationType, RealmRef},
    secret::SecretText,
    store::UserNamespace,
    users::is_reserved,
};

/// Files of users. A name in one of them is nobody else's, so that each log-in costs one hash, whoever it names.
#[derive(Debug, Default)]
pub(in crate::identify) struct Files {
    all: Vec<Arc<FileUsers>>,
    /// Judges names that nobody has, where no other realm does.
    last: Option<Arc<FileUsers>>,
}

impl Files {
    pub(in crate::identify) fn of_chain(chain: &[Named]) -> Self {
        let file = |named: &Named| match &named.realm {
            Realm::File(users) => Some(Arc::clone(users)),
            _ => None,
        };
        let all: Vec<_> = chain.iter().filter_map(file).collect();
        let native = chain.iter().any(|named| matches!(named.realm, Realm::Password(UserNamespace::Native)));
        let last = all.last().filter(|_| !native).map(Arc::clone);
        Self { all, last }
    }

    /// Whether `users` are those that judge `username`.
    pub(super) fn is_for(&self, users: &Arc<FileUsers>, username: &str) -> bool {
        !is_reserved(username) && self.of(username).is_some_and(|owner| Arc::ptr_eq(owner, users))
    }

    /// The file that judges `username`, if any does.
    pub(super) fn of(&self, username: &str) -> Option<&Arc<FileUsers>> {
        self.all.iter().find(|users| users.knows(username)).or(self.last.as_ref())
    }
}

impl Proofs {
    pub(super) async fn file(
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
}
