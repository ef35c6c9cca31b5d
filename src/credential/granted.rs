//! What a token endpoint answers to a grant: RFC 6749 section 5.1, and `/_security/oauth2/token`, which says the same.

use std::time::Duration;

use http::HeaderValue;
use serde::Deserialize;
use serde_json::Value;

use crate::secret::SecretText;

/// Tokens that were granted.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The access token: fit for a header.
    pub access: SecretText,
    /// What gets the next one.
    pub refresh: Option<SecretText>,
    /// How long the access token is good; nobody may have said.
    pub expires_in: Option<Duration>,
    /// What Elasticsearch says of the user; null from others.
    pub authentication: Value,
}

/// An answer that holds no token that could be shown to the cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the answer to the grant holds no bearer token")]
pub struct NoToken;

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    #[serde(default)]
    refresh_token: Option<String>,
    /// A number; with some issuers a text.
    #[serde(default)]
    expires_in: Value,
    #[serde(default)]
    token_type: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    authentication: Value,
}

impl Tokens {
    /// Reads the body of a 200.
    ///
    /// # Errors
    ///
    /// [`NoToken`].
    pub fn read(body: &[u8]) -> Result<Self, NoToken> {
        let answer: Answer = serde_json::from_slice(body).map_err(|_| NoToken)?;
        let access = SecretText::new(answer.access_token);
        let refresh = answer.refresh_token.filter(|token| !token.is_empty()).map(SecretText::new);
        let kind = answer.token_type.or(answer.kind);
        if !kind.is_none_or(|kind| kind.eq_ignore_ascii_case("bearer")) || !is_token(access.expose()) {
            return Err(NoToken);
        }
        let expires_in = seconds(&answer.expires_in);
        Ok(Self { access, refresh, expires_in, authentication: answer.authentication })
    }

    /// The access token as the cluster is shown it; marked sensitive.
    #[must_use]
    pub fn header(&self) -> Option<HeaderValue> {
        bearer(&self.access)
    }
}

/// A token as a header value, marked sensitive; none for a text that is no token.
#[must_use]
pub fn bearer(token: &SecretText) -> Option<HeaderValue> {
    let text = zeroize::Zeroizing::new(format!("Bearer {}", token.expose()));
    let mut value = HeaderValue::from_str(&text).ok().filter(|_| is_token(token.expose()))?;
    value.set_sensitive(true);
    Some(value)
}

/// Visible ASCII: RFC 6749 allows blanks too, but no header does (RFC 6750).
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn seconds(value: &Value) -> Option<Duration> {
    let seconds = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    // Below what any clock could be moved by; what is negative is over.
    Duration::try_from_secs_f64(seconds.clamp(0.0, f64::from(u32::MAX))).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(answer: &Value) -> Result<Tokens, NoToken> {
        Tokens::read(answer.to_string().as_bytes())
    }

    #[test]
    fn the_answers_of_both_wires_are_read() {
        let elasticsearch = json!({"access_token": "a==", "type": "Bearer", "expires_in": 2, "refresh_token": "r==",
            "authentication": {"username": "plain"}});
        let tokens = read(&elasticsearch).unwrap();
        assert_eq!((tokens.access.expose(), tokens.refresh.unwrap().expose()), ("a==", "r=="));
        assert_eq!(
            (tokens.expires_in, &tokens.authentication["username"]),
            (Some(Duration::from_secs(2)), &json!("plain"))
        );
        let rfc = json!({"access_token": "a", "token_type": "bearer", "expires_in": "3600", "scope": "s"});
        let tokens = read(&rfc).unwrap();
        assert_eq!((tokens.expires_in, tokens.refresh.is_none()), (Some(Duration::from_hours(1)), true));
    }

    #[test]
    fn a_lifetime_that_nobody_tells_is_unknown_and_a_wild_one_is_bounded() {
        let lifetime = |value: Value| read(&json!({"access_token": "a", "expires_in": value})).unwrap().expires_in;
        assert_eq!([lifetime(Value::Null), lifetime(json!("soon")), lifetime(json!([1]))], [None; 3]);
        assert_eq!(lifetime(json!(-5)), Some(Duration::ZERO));
        assert_eq!(lifetime(json!(1e300)), Some(Duration::from_secs(u32::MAX.into())));
        assert_eq!(read(&json!({"access_token": "a"})).unwrap().expires_in, None);
    }

    #[test]
    fn what_could_not_be_shown_as_a_bearer_token_is_refused() {
        for answer in [
            json!({}),
            json!({"access_token": ""}),
            json!({"access_token": 5}),
            json!({"access_token": "two words"}),
            json!({"access_token": "a\r\nx-evil: 1"}),
            json!({"access_token": "a", "token_type": "DPoP"}),
        ] {
            assert_eq!(read(&answer).unwrap_err(), NoToken, "{answer}");
        }
    }

    #[test]
    fn tokens_do_not_print() {
        let tokens = read(&json!({"access_token": "s3cret", "refresh_token": "s3cret-too"})).unwrap();
        let printed = format!("{tokens:?} {:?}", tokens.header());
        assert!(!printed.contains("s3cret"), "{printed}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _read = Tokens::read(&bytes);
        }

        #[test]
        fn whatever_is_read_can_be_shown(access in ".*", refresh in proptest::option::of(".*"), life in any::<f64>()) {
            let answer = json!({"access_token": access, "refresh_token": refresh, "expires_in": life});
            if let Ok(tokens) = read(&answer) {
                let header = tokens.header().unwrap();
                prop_assert_eq!(header.to_str().unwrap(), format!("Bearer {access}"));
                prop_assert!(tokens.expires_in.is_none_or(|life| life <= Duration::from_secs(u32::MAX.into())));
            }
        }
    }
}
