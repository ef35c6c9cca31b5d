//! Service accounts and their tokens (API page section 10): who is built in, and what proves it.

use std::{fmt, sync::Arc};

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::URL_SAFE_NO_PAD},
};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::{
    privileges,
    secret::{self, SecretText},
    store::{self, Announce, AnyStore, Change, DocumentKind, SaltedDigest, Store, StoreError},
};

/// The tokens of service accounts.
pub struct ServiceAccounts {
    store: AnyStore,
    announce: Announce,
}

/// Why no token is made.
#[derive(Debug, thiserror::Error)]
pub enum ServiceAccountError {
    /// There is a token of that name. 409.
    #[error("[service_account_token-{0}]: version conflict, document already exists (current version [1])")]
    Exists(Box<str>),
    /// Not a name that a token can have. 400.
    #[error(
        "invalid service token name [{0}]. service account token name must have at least 1 character and at most 256 \
         characters that are alphanumeric (A-Z, a-z, 0-9) or hyphen (-) or underscore (_). It must not begin with an \
         underscore (_)."
    )]
    Name(Box<str>),
    /// The store did not answer. 503.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such account. 400.
    #[error("service account [{0}] does not exist")]
    Unknown(Box<str>),
}

/// What a caller presents as a service account.
#[derive(Clone, Debug)]
pub struct ServiceToken {
    /// `namespace/service`.
    pub account: Box<str>,
    /// Of the token.
    pub name: Box<str>,
    secret: SecretText,
}

impl ServiceToken {
    /// Reads the value of a token; `None` when it is none.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let bytes = Zeroizing::new(BASE64.decode(value).ok()?);
        let (id, secret) = std::str::from_utf8(bytes.strip_prefix(VERSION)?).ok()?.split_once(':')?;
        let (account, name) = id.rsplit_once('/')?;
        let (namespace, service) = account.split_once('/')?;
        let whole = !namespace.is_empty() && !service.is_empty() && !service.contains('/') && is_name(name);
        whole.then(|| Self { account: account.into(), name: name.into(), secret: SecretText::new(secret.to_owned()) })
    }

    fn value(&self) -> SecretText {
        let text = Zeroizing::new(format!("{}/{}:{}", self.account, self.name, self.secret.expose()));
        SecretText::new(BASE64.encode(Zeroizing::new([VERSION, text.as_bytes()].concat())))
    }
}

impl ServiceAccounts {
    /// Tokens kept in `store`.
    #[must_use]
    pub fn new(store: AnyStore, announce: Announce) -> Self {
        Self { store, announce }
    }

    /// Makes a token and returns its value, once it is durable.
    ///
    /// # Errors
    ///
    /// [`ServiceAccountError`].
    pub async fn create(&self, account: &str, name: &str) -> Result<SecretText, ServiceAccountError> {
        if !is_name(name) {
            return Err(ServiceAccountError::Name(name.into()));
        }
        if descriptor(account).is_none() {
            return Err(ServiceAccountError::Unknown(account.into()));
        }
        let secret = SecretText::new(URL_SAFE_NO_PAD.encode(secret::random::<SECRET_BYTES>()));
        let digest = SaltedDigest::of(secret.expose());
        let id = format!("{account}/{name}");
        let document = json!({ "salt": BASE64.encode(digest.salt), "digest": BASE64.encode(digest.digest) });
        if !self.store.insert_document(DocumentKind::ServiceToken, &id, document).await? {
            return Err(ServiceAccountError::Exists(id.into()));
        }
        Ok(ServiceToken { account: account.into(), name: name.into(), secret }.value())
    }

    /// Removes a token; returns whether there was one. No cache takes it any more when this returns.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn delete(&self, account: &str, name: &str) -> Result<bool, StoreError> {
        let (store, announce) = (self.store.clone(), Arc::clone(&self.announce));
        let id = format!("{account}/{name}").into();
        store::complete(async move {
            let found = store.delete_documents(DocumentKind::ServiceToken, &[id]).await?;
            announce(&Change::Documents(DocumentKind::ServiceToken));
            Ok(found.contains(&true))
        })
        .await
    }

    /// Names of the tokens of an account, sorted; none for an unknown one.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn list(&self, account: &str) -> Result<Vec<Box<str>>, StoreError> {
        let tokens = self.store.documents(DocumentKind::ServiceToken).await?;
        let name = |id: &str| id.strip_prefix(account)?.strip_prefix('/').map(Box::from);
        Ok(tokens.iter().filter_map(|(id, _)| name(id)).collect())
    }

    /// Whether a token is one of these.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn verify(&self, token: &ServiceToken) -> Result<bool, StoreError> {
        if descriptor(&token.account).is_none() {
            return Ok(false);
        }
        let id = format!("{}/{}", token.account, token.name);
        let Some(document) = self.store.document(DocumentKind::ServiceToken, &id).await? else { return Ok(false) };
        let digest = stored(&document).ok_or(StoreError::Damaged { what: "service token" })?;
        Ok(digest.matches(token.secret.expose()))
    }
}

impl fmt::Debug for ServiceAccounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccounts").finish_non_exhaustive()
    }
}

/// What an account may do; `None` when there is no such account.
#[must_use]
pub fn descriptor(account: &str) -> Option<&'static Value> {
    all().get(account)
}

/// Every account, `namespace/service` → role descriptor.
#[must_use]
pub fn all() -> &'static Map<String, Value> {
    privileges::service_accounts()
}

/// Where the tokens made here are kept, in the words of Elasticsearch.
pub const STORED: &str = "_service_account_index";

/// Whether a token can be called so.
#[must_use]
pub fn is_name(name: &str) -> bool {
    (1..=256).contains(&name.len())
        && !name.starts_with('_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn stored(document: &Value) -> Option<SaltedDigest> {
    let bytes = |name| BASE64.decode(document.get(name)?.as_str()?).ok();
    Some(SaltedDigest { salt: bytes("salt")?.try_into().ok()?, digest: bytes("digest")?.try_into().ok()? })
}

/// Written without padding, read with and without it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);
/// As many as Elasticsearch takes: 22 characters.
const SECRET_BYTES: usize = 16;
/// A token begins so, in every version until now.
const VERSION: &[u8] = &[0, 1, 0, 1];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::memory::Memory;

    fn accounts() -> ServiceAccounts {
        ServiceAccounts::new(AnyStore::Memory(Arc::new(Memory::default())), Arc::new(|_| {}))
    }

    async fn verifies(accounts: &ServiceAccounts, value: &SecretText) -> bool {
        accounts.verify(&ServiceToken::parse(value.expose()).unwrap()).await.unwrap()
    }

    fn encoded(text: &str) -> String {
        BASE64.encode([VERSION, text.as_bytes()].concat())
    }

    #[tokio::test]
    async fn a_token_is_good_until_it_is_deleted() {
        let accounts = accounts();
        let value = accounts.create("elastic/kibana", "t1").await.unwrap();
        assert!(value.expose().starts_with("AAEAAWVsYXN0aWMva2liYW5hL3Qx"), "namespace, service and name can be read");
        assert!(verifies(&accounts, &value).await);
        assert_eq!(accounts.list("elastic/kibana").await.unwrap(), ["t1".into()]);
        assert!(accounts.list("elastic/kib").await.unwrap().is_empty());
        assert!(accounts.delete("elastic/kibana", "t1").await.unwrap());
        assert!(!accounts.delete("elastic/kibana", "t1").await.unwrap());
        assert!(!verifies(&accounts, &value).await);
    }

    #[tokio::test]
    async fn another_secret_name_or_account_is_not_good() {
        let accounts = accounts();
        let value = accounts.create("elastic/kibana", "t1").await.unwrap();
        accounts.create("elastic/kibana", "t2").await.unwrap();
        let token = ServiceToken::parse(value.expose()).unwrap();
        for (account, name) in [("elastic/kibana", "t2"), ("elastic/fleet-server", "t1"), ("a/b", "t1")] {
            let other = ServiceToken { account: account.into(), name: name.into(), ..token.clone() };
            assert!(!accounts.verify(&other).await.unwrap(), "{account}/{name}");
        }
        let other = ServiceToken { secret: SecretText::new(format!("{}x", token.secret.expose())), ..token };
        assert!(!accounts.verify(&other).await.unwrap());
    }

    #[tokio::test]
    async fn a_name_is_taken_once_and_only_where_it_can_be() {
        let accounts = accounts();
        accounts.create("elastic/kibana", "t1").await.unwrap();
        let error = accounts.create("elastic/kibana", "t1").await.unwrap_err();
        assert!(matches!(error, ServiceAccountError::Exists(id) if &*id == "elastic/kibana/t1"));
        let error = accounts.create("elastic/nosuch", "t1").await.unwrap_err();
        assert_eq!(error.to_string(), "service account [elastic/nosuch] does not exist");
        for name in ["", "_a", "a b", "a/b", "ä", &"a".repeat(257)] {
            let error = accounts.create("elastic/kibana", name).await.unwrap_err();
            assert!(matches!(error, ServiceAccountError::Name(_)), "{name}");
        }
    }

    #[tokio::test]
    async fn nothing_stored_gives_a_token_back() {
        let accounts = accounts();
        let value = accounts.create("elastic/kibana", "t1").await.unwrap();
        let token = ServiceToken::parse(value.expose()).unwrap();
        let stored = accounts.store.documents(DocumentKind::ServiceToken).await.unwrap();
        assert!(!format!("{stored:?}").contains(token.secret.expose()));
        assert!(!format!("{token:?}").contains(token.secret.expose()));
    }

    #[test]
    fn every_built_in_account_is_there() {
        for name in ["auto-ops", "enterprise-search-server", "fleet-server", "fleet-server-remote", "kibana"] {
            assert!(descriptor(&format!("elastic/{name}")).is_some(), "{name}");
        }
    }

    #[test]
    fn only_what_the_original_takes_for_a_token_is_one() {
        for text in ["a/b/c:", "a/b/c:x:y", "a/b/c:secret"] {
            assert!(ServiceToken::parse(&encoded(text)).is_some(), "{text}");
            let padded = base64::engine::general_purpose::STANDARD.encode([VERSION, text.as_bytes()].concat());
            assert!(ServiceToken::parse(&padded).is_some(), "{text}");
        }
        for text in ["a/b:x", "a/b/c", "a/b/_c:x", "a/b/c/d:x", "/b/c:x", "a//c:x", "a/b/c d:x", "a/b/:x", ""] {
            assert!(ServiceToken::parse(&encoded(text)).is_none(), "{text}");
        }
        assert!(ServiceToken::parse(&BASE64.encode("a/b/c:x")).is_none());
    }

    proptest! {
        #[test]
        fn no_value_panics(text in ".*", bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = ServiceToken::parse(&text);
            let _ = ServiceToken::parse(&BASE64.encode([VERSION, &bytes[..]].concat()));
        }

        #[test]
        fn what_is_read_is_what_was_written(name in "[a-zA-Z0-9-][a-zA-Z0-9_-]{0,20}", secret in ".{0,30}") {
            let token = ServiceToken {
                account: "elastic/kibana".into(),
                name: name.as_str().into(),
                secret: SecretText::new(secret.clone()),
            };
            let read = ServiceToken::parse(token.value().expose()).unwrap();
            prop_assert_eq!((&*read.account, &*read.name, read.secret.expose()), ("elastic/kibana", &*name, &*secret));
        }
    }
}
