//! What of a record is only ever read whole, as JSON text: the same in every database.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::store::{
    ApiKeyRecord, Client, Creator, Descriptors, KeyKind, SessionState, StoreError, TokenRecord, TokenSubject,
    UserNamespace,
};

/// Of an API key.
#[derive(Deserialize, Serialize)]
pub(super) struct KeyDocument<C = Creator, D = Descriptors, M = Map<String, Value>> {
    pub(super) creator: C,
    pub(super) role_descriptors: D,
    pub(super) limited_by: D,
    pub(super) metadata: M,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) access: Option<M>,
}

/// Of a token.
#[derive(Deserialize, Serialize)]
pub(super) struct TokenDocument<S = TokenSubject, C = Client> {
    pub(super) subject: S,
    pub(super) client: C,
}

pub(super) fn of_key(key: &ApiKeyRecord) -> Result<String, StoreError> {
    write(&KeyDocument {
        creator: &key.creator,
        role_descriptors: &key.role_descriptors,
        limited_by: &key.limited_by,
        metadata: &key.metadata,
        access: key.access.as_ref(),
    })
}

pub(super) fn of_token(token: &TokenRecord) -> Result<String, StoreError> {
    write(&TokenDocument { subject: &token.subject, client: &token.client })
}

pub(super) fn write(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(StoreError::unavailable)
}

pub(super) fn read<T: DeserializeOwned>(text: &str, what: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Damaged { what })
}

pub(super) fn namespace(namespace: UserNamespace) -> &'static str {
    match namespace {
        UserNamespace::Native => "native",
        UserNamespace::Reserved => "reserved",
    }
}

pub(super) fn kind(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::CrossCluster => "cross_cluster",
        KeyKind::Rest => "rest",
    }
}

pub(super) fn session_state(text: &str) -> Result<SessionState, StoreError> {
    let state = SessionState::ALL.into_iter().find(|state| state.as_str() == text);
    state.ok_or(StoreError::Damaged { what: "session" })
}
