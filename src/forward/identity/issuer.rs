//! Tokens that tell the cluster who calls (contract section 4, identity `jwt`).
//!
//! A signature costs from 25 µs (ES256) to a millisecond (RS256), so a token is kept for its principal and shown again. A
//! principal never changes: who gets other roles becomes another one, and so gets another token.

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderValue;
use serde_json::{Map, Value, json};

use crate::{
    config::Jwt,
    forward::{
        ForwardError,
        identity::key::{self, KeyError, SigningKey},
    },
    model::{Principal, Timestamp},
};

/// Signs for one `identity`.
pub struct Issuer {
    config: Jwt,
    signing: ArcSwap<Signing>,
    /// Most tokens that are kept.
    capacity: usize,
}

/// A key, and what was signed with it: both go together.
struct Signing {
    key: SigningKey,
    /// The first part of every token.
    header: String,
    /// By the address of the principal, which each entry keeps alive: no other can get it meanwhile.
    tokens: papaya::HashMap<usize, Shown>,
    /// The public part of the key before this one, and until when a token of its may be on its way.
    before: Option<(Value, Timestamp)>,
}

struct Shown {
    principal: Arc<Principal>,
    authorization: HeaderValue,
    signed: Timestamp,
}

impl Issuer {
    /// Reads the key. Keeps up to `capacity` tokens.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub fn new(config: Jwt, capacity: usize) -> Result<Self, KeyError> {
        let key = SigningKey::new(&config, &key::read(&config)?)?;
        Ok(Self { config, signing: ArcSwap::from_pointee(Signing::new(key, None)), capacity })
    }

    /// The `Authorization` that tells of `principal`; marked sensitive.
    ///
    /// # Errors
    ///
    /// [`ForwardError::Unnameable`]: a name that a reader might take for another. [`ForwardError::Unsigned`].
    pub fn authorization(&self, principal: &Arc<Principal>, now: Timestamp) -> Result<HeaderValue, ForwardError> {
        let signing = self.signing.load();
        let tokens = signing.tokens.pin();
        let place = Arc::as_ptr(principal).addr();
        if let Some(shown) = tokens.get(&place).filter(|shown| shown.is_of(principal) && shown.is_fresh(now)) {
            return Ok(shown.authorization.clone());
        }
        let authorization = signing.sign(&self.config, principal, now)?;
        if tokens.len() < self.capacity {
            let principal = Arc::clone(principal);
            tokens.insert(place, Shown { principal, authorization: authorization.clone(), signed: now });
        }
        Ok(authorization)
    }

    /// Takes over what the key file holds now, and drops tokens that are shown no more; returns whether the key changed.
    ///
    /// # Errors
    ///
    /// [`KeyError`]; the old key stays.
    pub fn reload(&self, now: Timestamp) -> Result<bool, KeyError> {
        let signing = self.signing.load();
        signing.tokens.pin().retain(|_, shown| shown.is_fresh(now));
        let bytes = key::read(&self.config)?;
        if signing.key.is_of(&bytes) {
            return Ok(false);
        }
        let key = SigningKey::new(&self.config, &bytes)?;
        let before = signing.key.public().map(|key| (key.clone(), now.plus(LIFE)));
        self.signing.store(Arc::new(Signing::new(key, before)));
        Ok(true)
    }

    /// Tells of each public key that a token on its way may be signed with, as a JSON Web Key.
    pub fn published(&self, now: Timestamp, mut tell: impl FnMut(&Value)) {
        let signing = self.signing.load();
        let before = signing.before.as_ref().filter(|(_, until)| now < *until).map(|(key, _)| key);
        signing.key.public().into_iter().chain(before).for_each(&mut tell);
    }
}

impl Signing {
    fn new(key: SigningKey, before: Option<(Value, Timestamp)>) -> Self {
        let header = URL_SAFE_NO_PAD.encode(key.header().to_string());
        Self { key, header, tokens: papaya::HashMap::new(), before }
    }

    fn sign(&self, config: &Jwt, principal: &Principal, now: Timestamp) -> Result<HeaderValue, ForwardError> {
        let identity = &principal.identity;
        if !is_told(&identity.username) || !identity.roles.iter().all(|role| is_told(role)) {
            return Err(ForwardError::Unnameable);
        }
        let second = now.as_millis() / 1000;
        let mut claims = Map::from_iter([
            ("iss".to_owned(), json!(config.issuer)),
            ("aud".to_owned(), json!(config.audience)),
            ("sub".to_owned(), json!(identity.username)),
            ("iat".to_owned(), json!(second)),
            ("nbf".to_owned(), json!(second.saturating_sub(SKEW.as_secs()))),
            ("exp".to_owned(), json!(second + LIFE.as_secs() - SKEW.as_secs())),
        ]);
        claims.insert(config.roles_claim.clone(), json!(identity.roles));
        let text = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(Value::Object(claims).to_string()));
        let signature = self.key.sign(&text).map_err(|_| ForwardError::Unsigned)?;
        let authorization = HeaderValue::try_from(format!("Bearer {text}.{signature}"));
        let mut authorization = authorization.map_err(|_| ForwardError::Unsigned)?;
        authorization.set_sensitive(true);
        Ok(authorization)
    }
}

impl Shown {
    fn is_of(&self, principal: &Arc<Principal>) -> bool {
        Arc::ptr_eq(&self.principal, principal)
    }

    /// Not once the clock was put back either: to the cluster its token may be older than it looks here.
    fn is_fresh(&self, now: Timestamp) -> bool {
        (self.signed..self.signed.plus(SHOWN)).contains(&now)
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Whether a name reads as itself to everybody: some trim blanks and control characters, and so would read another's.
fn is_told(name: &str) -> bool {
    !name.is_empty() && name.trim() == name && !name.chars().any(char::is_control)
}

/// Of a token, from `nbf` to `exp`.
const LIFE: Duration = Duration::from_mins(5);
/// How long a token is shown: half of its life is left for the request that is sent last.
const SHOWN: Duration = Duration::from_secs(150);
/// By how much the cluster's clock may be behind ours.
const SKEW: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
