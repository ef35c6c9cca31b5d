//! Signed tokens of an issuer (JSON Web Tokens): verified here, with keys that the issuer publishes.
//!
//! What a token says of keys itself is ignored. A token that cannot be judged because the issuer does not answer is no
//! wrong one.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value, json};

use crate::{
    config::{self, Jwks, UpstreamSsl},
    fetch::Remote,
    identify::cache::Revocations,
    model::{Identity, Timestamp},
    upstream::tls::{ClientTlsError, client_tls},
};

mod keys;
mod source;
#[cfg(test)]
mod testing;
mod token;

pub use source::{KeySource, SourceError};

use keys::Signature;
use source::Place;
pub(super) use token::Token;

/// Tokens of one issuer.
#[derive(Debug)]
pub(super) struct JwtRealm {
    config: config::JwtRealm,
    keys: Arc<KeySource>,
}

/// What a realm makes of a token.
#[derive(Debug)]
pub(super) enum Judged {
    /// Of this issuer, and not good: why, for the log.
    Bad(&'static str),
    /// Another issuer's, or no JSON Web Token.
    Foreign,
    /// Whose it is, and until when it is good.
    Good(Identity, Timestamp),
}

/// Keys that might verify a token cannot be read at the moment.
#[derive(Debug)]
pub(super) struct NoAnswer;

/// A realm's keys cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum JwtError {
    /// A file without keys.
    #[error("its keys cannot be read")]
    Keys(#[from] SourceError),
    /// The host of a URL is no name.
    #[error("the host of its keys is no name")]
    Name(#[from] rustls::pki_types::InvalidDnsNameError),
    /// The system trusts nobody.
    #[error("TLS to its keys")]
    Tls(#[from] ClientTlsError),
}

impl JwtRealm {
    /// A realm as configured. Keys in a file are read at once, others by [`KeySource::watch`].
    pub(super) fn new(config: config::JwtRealm, revocations: Arc<Revocations>) -> Result<Self, JwtError> {
        let place = match &config.jwks {
            Jwks::File(file) => Place::File(file.clone()),
            Jwks::Url(url) => {
                Place::Remote(Remote::new::<JwtError>(url.uri(), || Ok(client_tls(&UpstreamSsl::default())?))?)
            }
        };
        let keys = KeySource::new(config.name.as_str().into(), place, revocations).open()?;
        Ok(Self { config, keys: Arc::new(keys) })
    }

    pub(super) fn keys(&self) -> &Arc<KeySource> {
        &self.keys
    }

    /// Judges a bearer token.
    pub(super) async fn judge(&self, text: &str, now: Timestamp) -> Result<Judged, NoAnswer> {
        let Some(token) = Token::read(text).filter(|token| token.text("iss") == Some(&self.config.issuer)) else {
            return Ok(Judged::Foreign);
        };
        let (identity, until) = match self.claims(&token, now) {
            Ok(claimed) => claimed,
            Err(why) => return Ok(Judged::Bad(why)),
        };
        // Cheap tests come first: they need no keys, and no newer ones.
        let mut signature = self.verify(&token);
        if signature == Signature::Unknown {
            self.keys.refresh().await;
            signature = self.verify(&token);
        }
        match signature {
            Signature::Genuine => Ok(Judged::Good(identity, until)),
            Signature::Unknown if self.keys.is_failing() => Err(NoAnswer),
            Signature::Forged | Signature::Unknown => Ok(Judged::Bad("it is signed by none of the issuer's keys")),
        }
    }

    fn verify(&self, token: &Token<'_>) -> Signature {
        self.keys.current().map_or(Signature::Unknown, |keys| keys.verify(token))
    }

    /// What the token would prove if it is genuine.
    fn claims(&self, token: &Token<'_>, now: Timestamp) -> Result<(Identity, Timestamp), &'static str> {
        if token.header.is_critical {
            return Err("it has an extension that must be understood");
        }
        if !token.header.typ.as_deref().is_none_or(is_for_access) {
            return Err("it is for something else");
        }
        let audience = token.texts("aud").ok_or("its audience is no text")?;
        if !audience.iter().any(|name| self.config.audience.iter().any(|own| own == name)) {
            return Err("it is for another audience");
        }
        let time = |claim| token.time(claim).map_err(|_| "one of its times is none");
        let until = time("exp")?.ok_or("it never expires")?.plus(SKEW);
        if until <= now {
            return Err("it is expired");
        }
        if [time("nbf")?, time("iat")?].into_iter().flatten().any(|begin| begin > now.plus(SKEW)) {
            return Err("it is not good yet");
        }
        let username = token.text(&self.config.principal_claim).filter(|name| !name.is_empty());
        let roles = token.texts(&self.config.roles_claim).ok_or("its roles are no texts")?;
        let identity = Identity {
            username: username.ok_or("it names nobody")?.into(),
            roles: roles.into_iter().map(Into::into).collect(),
            metadata: metadata(&token.claims),
            ..Identity::default()
        };
        Ok((identity, until))
    }
}

/// Elasticsearch's: simple claims and lists of them, but no times; the audience is always a list.
fn metadata(claims: &Map<String, Value>) -> Map<String, Value> {
    let plain = |value: &Value| value.is_string() || value.is_boolean() || value.is_number();
    let kept = claims.iter().filter(|(name, value)| {
        !TIMES.contains(&name.as_str()) && (plain(value) || value.as_array().is_some_and(|list| list.iter().all(plain)))
    });
    let mut metadata = Map::from_iter([("jwt_token_type".to_owned(), json!("id_token"))]);
    for (name, value) in kept {
        let listed = name == "aud" && value.is_string();
        metadata.insert(format!("jwt_claim_{name}"), if listed { json!([value]) } else { value.clone() });
    }
    metadata
}

/// Whether a type lets a token open doors: one for logging out, say, does not (RFC 8725 section 3.11).
fn is_for_access(typ: &str) -> bool {
    let typ = typ.strip_prefix("application/").unwrap_or(typ);
    typ.eq_ignore_ascii_case("jwt") || typ.eq_ignore_ascii_case("at+jwt")
}

/// By how much the issuer's clock may differ from ours.
const SKEW: Duration = Duration::from_mins(1);
const TIMES: [&str; 3] = ["exp", "iat", "nbf"];

#[cfg(test)]
mod tests;
