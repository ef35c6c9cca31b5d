//! A JSON Web Token in its compact form, taken apart. Nothing here says that it is genuine.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::{Map, Value};

use crate::model::Timestamp;

/// A token, taken apart.
#[derive(Debug)]
pub(in crate::identify) struct Token<'a> {
    pub(super) header: Header,
    pub(super) claims: Map<String, Value>,
    /// What was signed: the first two parts as they were sent.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
}

/// The part of the header that is looked at. Keys and addresses in it (`jwk`, `jku`, `x5u`, `x5c`) are not.
#[derive(Debug, Deserialize)]
pub(super) struct Header {
    pub(super) alg: Box<str>,
    pub(super) kid: Option<Box<str>>,
    pub(super) typ: Option<Box<str>>,
    /// Whether extensions must be understood to judge the token: none is.
    #[serde(default, rename = "crit", deserialize_with = "present")]
    pub(super) is_critical: bool,
}

impl<'a> Token<'a> {
    /// Takes `text` apart; `None` if it is something else than a signed token.
    pub(in crate::identify) fn read(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        Some(Self {
            header: serde_json::from_slice(&decode(header)?).ok()?,
            claims: serde_json::from_slice(&decode(claims)?).ok()?,
            signed: signed.as_bytes(),
            signature: decode(signature)?,
        })
    }

    /// A claim that is a text.
    pub(in crate::identify) fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim).and_then(Value::as_str)
    }

    /// A claim that is a text or a list of texts. `None` if it is anything else; nothing if it is absent.
    pub(super) fn texts(&self, claim: &str) -> Option<Vec<&str>> {
        match self.claims.get(claim) {
            None => Some(Vec::new()),
            Some(Value::String(text)) => Some(vec![text]),
            Some(Value::Array(texts)) => texts.iter().map(Value::as_str).collect(),
            Some(_) => None,
        }
    }

    /// A claim that is a time: seconds since the epoch, whole or not. `Err` if it is anything else.
    pub(super) fn time(&self, claim: &str) -> Result<Option<Timestamp>, NoTime> {
        let Some(value) = self.claims.get(claim) else { return Ok(None) };
        let seconds = match (value.as_u64(), value.as_f64()) {
            (Some(whole), _) => Duration::from_secs(whole),
            (None, Some(seconds)) => Duration::try_from_secs_f64(seconds).map_err(|_| NoTime)?,
            (None, None) => return Err(NoTime),
        };
        Ok(Some(Timestamp::default().plus(seconds)))
    }
}

/// A claim that should be a time is none.
#[derive(Debug)]
pub(super) struct NoTime;

/// Strict: one token has one form, or its last character could be changed unseen.
fn decode(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(header: &str, claims: &str) -> String {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_token_is_taken_apart() {
        let text =
            token(r#"{"alg":"ES256","kid":"k","jku":"https://evil"}"#, r#"{"iss":"i","aud":["a","b"],"exp":1.5}"#);
        let token = Token::read(&text).unwrap();
        assert_eq!(
            (&*token.header.alg, token.header.kid.as_deref(), token.header.is_critical),
            ("ES256", Some("k"), false)
        );
        assert_eq!(token.signature, b"sig");
        assert_eq!(token.signed, &text.as_bytes()[..text.len() - 5]);
        assert_eq!(token.text("iss"), Some("i"));
        assert_eq!(token.texts("aud"), Some(vec!["a", "b"]));
        assert_eq!(token.time("exp").unwrap(), Some(Timestamp::from_millis(1500)));
    }

    #[test]
    fn what_must_be_understood_is_seen_whatever_it_is() {
        for crit in ["null", "[]", r#"["b64"]"#, "1"] {
            let text = token(&format!(r#"{{"alg":"ES256","crit":{crit}}}"#), "{}");
            assert!(Token::read(&text).unwrap().header.is_critical, "{crit}");
        }
    }

    #[test]
    fn a_header_that_says_something_twice_is_none() {
        assert!(Token::read(&token(r#"{"alg":"none","alg":"ES256"}"#, "{}")).is_none());
    }

    #[test]
    fn other_texts_are_no_tokens() {
        for text in ["", ".", "..", "a.b", "a.b.c", "sg1_abc", "e30.e30.", "e30.W10.c2ln", "e30.e30.c2ln.c2ln"] {
            assert!(Token::read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn claims_of_the_wrong_type_are_told_from_absent_ones() {
        let text = token(r#"{"alg":"ES256"}"#, r#"{"roles":["a",1],"exp":"1","nbf":-1,"iat":1e300}"#);
        let token = Token::read(&text).unwrap();
        assert_eq!(token.texts("roles"), None);
        assert_eq!(token.texts("absent"), Some(Vec::new()));
        assert!(token.time("absent").unwrap().is_none());
        for claim in ["exp", "nbf", "iat", "roles"] {
            assert!(token.time(claim).is_err(), "{claim}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,80}", header in ".{0,40}", claims in ".{0,40}") {
            let _ = Token::read(&text);
            let _ = Token::read(&token(&header, &claims));
        }

        #[test]
        fn no_header_or_claim_panics(
            alg in ".{0,8}",
            key in "(exp|nbf|aud|sub|kid|crit|typ)",
            value in "(null|true|-?[0-9]{1,30}|[0-9]{1,5}e[0-9]{1,4}|\"[a-z]{0,5}\"|\\[1,\"a\"\\]|\\{\\})",
        ) {
            let header = format!(r#"{{"alg":{},"{key}":{value}}}"#, Value::from(alg));
            let text = token(&header, &format!(r#"{{"{key}":{value}}}"#));
            if let Some(token) = Token::read(&text) {
                let _ = (token.text(&key), token.texts(&key), token.time(&key));
            }
        }
    }
}
