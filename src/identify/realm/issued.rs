//! Callers who show what searchgate itself gave out: API keys, access tokens, tokens of service accounts.

use std::sync::Arc;

use serde_json::{Map, json};

use super::{Circumstances, KEY_REALM, NEVER, Proofs, Proven, ROLES, Verdict};
use crate::{
    identify::{IdentifyError, Refusal, cache::Subject},
    keys::KeyVerdict,
    model::{ApiKeyRef, AuthenticationType, Identity, KeyId, Principal, RealmRef, ServiceTokenRef, Timestamp},
    privileges::Privileges,
    secret::SecretText,
    service_accounts::{self, ServiceToken},
    store::{ApiKeyRecord, DocumentKind, StoreError, TokenSubject},
    tokens::TokenVerdict,
};

impl Proofs {
    pub(super) async fn key(
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
                let principal = Arc::new(self.key_principal(*record, realm.clone(), AuthenticationType::ApiKey));
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

    pub(super) async fn service_account(
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

    pub(super) async fn token(&self, token: &SecretText, at: Circumstances) -> Result<Verdict, IdentifyError> {
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
        Ok(Some(self.key_principal(key, subject.realm, AuthenticationType::Token)))
    }

    /// A key as a caller, by its id alone.
    pub(in crate::identify) async fn key_called(&self, id: &KeyId) -> Result<Option<Principal>, StoreError> {
        let realm = RealmRef { name: KEY_REALM.into(), kind: KEY_REALM.into() };
        let key = self.keys.live(id).await?.filter(|key| key.access.is_none());
        Ok(key.map(|key| self.key_principal(key, realm, AuthenticationType::ApiKey)))
    }

    /// A key as a caller.
    fn key_principal(&self, key: ApiKeyRecord, realm: RealmRef, authentication: AuthenticationType) -> Principal {
        let privileges = self.compiled.of_key(&key.role_descriptors, &key.limited_by);
        let identity = Identity { roles: Vec::new(), ..key.creator.identity };
        let api_key = Some(ApiKeyRef { id: key.id, name: Some(key.name) });
        Principal { api_key, ..Principal::new(identity, realm, authentication, privileges) }
    }
}
