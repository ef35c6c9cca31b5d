//! `GET /_security/_authenticate`: who the caller is (API page section 6.1).

use serde_json::{Map, Value, json};

use crate::{
    api::{
        Call, Reply,
        access::{self},
        failure::Failure,
    },
    model::{AuthenticationType, Principal},
};

/// Tells the caller who it is: everybody may ask.
pub(super) fn authenticate(call: &Call<'_>) -> Result<Reply, Failure> {
    call.query.finish(call.path())?;
    call.refuse_body()?;
    if let Some(live) = &call.caller.session {
        // As the cluster's grant said, but that it is a token by which they are known now.
        let mut shown = live.session.authentication.clone();
        if let Some(shown) = shown.as_object_mut() {
            shown.insert("authentication_type".into(), json!(AuthenticationType::Token));
        }
        return Ok(Reply::ok(shown));
    }
    Ok(Reply::ok(authentication(call.principal, &call.principal.identity.roles)))
}

/// A caller as answers show it, with these of its roles.
pub(super) fn authentication(principal: &Principal, roles: &[Box<str>]) -> Value {
    let identity = &principal.identity;
    let mut shown = Map::new();
    shown.insert("username".into(), json!(identity.username));
    // The roles of a key's owner say nothing of what the key may do.
    let roles = if access::key(principal).is_some() { json!([]) } else { json!(roles) };
    shown.insert("roles".into(), roles);
    shown.insert("full_name".into(), json!(identity.full_name));
    shown.insert("email".into(), json!(identity.email));
    if let Some(token) = &principal.service_token {
        shown.insert("token".into(), json!(token));
    }
    shown.insert("metadata".into(), json!(identity.metadata));
    shown.insert("enabled".into(), json!(true));
    shown.insert("authentication_realm".into(), json!(principal.realm));
    shown.insert("lookup_realm".into(), json!(principal.lookup_realm.as_ref().unwrap_or(&principal.realm)));
    shown.insert("authentication_type".into(), json!(principal.authentication));
    if let Some(key) = access::key(principal) {
        shown.insert("api_key".into(), json!({ "name": key.name, "id": key.id }));
    }
    shown.into()
}
