//! Callers for whom another vouches: the issuer of a token, the authority behind a certificate, the cluster.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::{Circumstances, Proofs, Proven, ROLES, Verdict};
use crate::{
    config::PrincipalFrom,
    identify::{
        IdentifyError, Refusal,
        cache::Subject,
        cluster::{self, ClusterRealm, Opinion},
        jwt::{Judged, JwtRealm, NoAnswer},
        pki::Certificate,
        presented::Presented,
    },
    model::{AuthenticationType, Identity, Principal, RealmRef, Timestamp},
    role_mappings::Facts,
    secret::SecretText,
    store::DocumentKind,
};

impl Proofs {
    pub(super) async fn jwt(
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
            Err(NoAnswer) => return Err(IdentifyError::Silent),
        };
        self.mapped(identity, None, until.min(now.plus(VOUCHED_LIFE)), at, realm).await
    }

    pub(super) async fn of_cluster(
        &self,
        cluster: &ClusterRealm,
        presented: &Presented,
        at: Circumstances,
        realm: &RealmRef,
    ) -> Result<Verdict, IdentifyError> {
        let throttled = |retry_after| IdentifyError::Throttled { retry_after };
        // Keys and tokens cannot be guessed.
        let (refusal, attempt) = match presented {
            Presented::Basic { username, .. } => {
                let attempt = self.throttle.begin(at.address, username, self.clock.now()).map_err(throttled)?;
                (IdentifyError::Password { username: username.clone(), known: false }, Some(attempt))
            }
            Presented::ApiKey { id, .. } => (IdentifyError::Refused(Refusal::KeyUnknown(id.clone())), None),
            _ => (IdentifyError::Refused(Refusal::TokenUnknown), None),
        };
        let asked = self.clock.now();
        let opinion = cluster.judge(presented).await.map_err(|_: cluster::NoAnswer| IdentifyError::Silent)?;
        if let Some(attempt) = attempt {
            let right = matches!(opinion, Opinion::Known(_));
            self.throttle.end(&attempt, right, self.clock.now()).map_err(throttled)?;
        }
        let known = match opinion {
            Opinion::Known(known) => known,
            Opinion::Nobody => return Ok(Verdict::Decline(refusal)),
            Opinion::Pass => return Ok(Verdict::Pass),
        };
        let principal = self.user(known.identity, realm.clone(), known.authentication).await;
        let principal = principal.map_err(IdentifyError::Unavailable)?;
        let principal = Arc::new(Principal { api_key: known.api_key, is_of_cluster: true, ..principal });
        let stamps = self.revocations.stamp(at.begun, &[Subject::Realm(&realm.name), ROLES]);
        Ok(Verdict::Accept(Proven { principal, until: asked.plus(cluster.life), stamps }))
    }

    pub(super) async fn certificate(
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
}

/// Whom roles are given to may change at any time.
const MAPPINGS: Subject<'static> = Subject::Documents(DocumentKind::RoleMapping);
/// As long as Elasticsearch's jwt and pki realms remember a caller.
const VOUCHED_LIFE: Duration = Duration::from_mins(20);
