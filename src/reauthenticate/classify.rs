//! What a 401 is about (`transparent-reauthentication.md` section 4), from its head and the beginning of its body.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use http::{HeaderMap, StatusCode, header};
use serde_json::Value;

/// What a refusal is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// The credential that was shown.
    Token,
    /// None was seen: the header got lost between the gateway and the cluster.
    HeaderLost,
    /// Something else, such as a cluster behind the cluster.
    NotToken,
    /// It does not say.
    Unknown,
}

impl Class {
    /// As metrics name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::HeaderLost => "header_lost",
            Self::NotToken => "not_token",
            Self::Unknown => "unknown",
        }
    }
}

/// Judges a refusal of a request that carried a credential; none where the answer is no 401. Of `body` at most
/// [`PEEK`] bytes are looked at, and as many once inflated.
#[must_use]
pub fn classify(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<Class> {
    if status != StatusCode::UNAUTHORIZED {
        return None;
    }
    let body = body.get(..PEEK).unwrap_or(body);
    let compressed = headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding == "gzip");
    let error = if compressed { security_exception(&inflate(body)) } else { security_exception(body) };
    let says = |words: &[&str]| error.as_ref().is_some_and(|error| mentions(error, words));
    Some(if says(&["missing authentication credentials"]) {
        Class::HeaderLost
    } else if says(&["remote cluster", "remote_cluster", "cross cluster", "cross-cluster"]) {
        Class::NotToken
    } else if error.is_some() || headers.get_all(header::WWW_AUTHENTICATE).iter().any(ends_a_token) {
        Class::Token
    } else {
        Class::Unknown
    })
}

/// Elasticsearch's own refusal: `{"error":{"type":"security_exception",…},"status":401}`.
fn security_exception(body: &[u8]) -> Option<Value> {
    let mut body: Value = serde_json::from_slice(body).ok()?;
    let refuses = body.get("status").is_some_and(|status| status == 401);
    let error = body.get_mut("error")?.take();
    (refuses && error.get("type").is_some_and(|kind| kind == "security_exception")).then_some(error)
}

/// Whether an exception, its causes or its root causes say any of `words`.
fn mentions(exception: &Value, words: &[&str]) -> bool {
    let reason = exception.get("reason").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    let roots = exception.get("root_cause").and_then(Value::as_array).into_iter().flatten();
    words.iter().any(|word| reason.contains(word))
        || roots.chain(exception.get("caused_by")).any(|cause| mentions(cause, words))
}

/// RFC 6750: a challenge of scheme `Bearer` with `error="invalid_token"`.
fn ends_a_token(challenge: &http::HeaderValue) -> bool {
    let challenge = challenge.to_str().unwrap_or_default();
    challenge.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer "))
        && challenge.contains(r#"error="invalid_token""#)
}

fn inflate(body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    // What is no gzip, or was cut off, is judged by what came out of it.
    let _complete = MultiGzDecoder::new(body).take(PEEK as u64).read_to_end(&mut plain);
    plain
}

/// Bytes of a refusal that are read to judge it.
pub const PEEK: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(challenges: &[&'static str]) -> HeaderMap {
        challenges.iter().map(|value| (header::WWW_AUTHENTICATE, HeaderValue::from_static(value))).collect()
    }

    fn class(challenges: &[&'static str], body: &str) -> Class {
        classify(StatusCode::UNAUTHORIZED, &headers(challenges), body.as_bytes()).unwrap()
    }

    #[test]
    fn an_expired_token_of_elasticsearch_is_one_by_body_and_by_challenge() {
        assert_eq!(class(&[INVALID_TOKEN], EXPIRED), Class::Token);
        assert_eq!(class(&[INVALID_TOKEN], ""), Class::Token, "the answer to a HEAD has no body");
        assert_eq!(class(&[], EXPIRED), Class::Token);
    }

    #[test]
    fn an_unknown_token_or_a_wrong_password_is_about_the_credential() {
        assert_eq!(class(USUAL, GARBAGE), Class::Token);
        assert_eq!(class(USUAL, WRONG_PASSWORD), Class::Token);
    }

    #[test]
    fn a_compressed_refusal_is_read_too() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(MISSING.as_bytes()).unwrap();
        let mut headers = headers(USUAL);
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let packed = packed.finish().unwrap();
        assert_eq!(classify(StatusCode::UNAUTHORIZED, &headers, &packed), Some(Class::HeaderLost));
        assert_eq!(classify(StatusCode::UNAUTHORIZED, &headers, &packed[..20]), Some(Class::Unknown));
    }

    #[test]
    fn missing_credentials_mean_that_they_were_lost_on_the_way() {
        assert_eq!(class(USUAL, MISSING), Class::HeaderLost);
    }

    #[test]
    fn what_a_remote_cluster_refuses_is_not_about_this_token() {
        let remote = r#"{"error":{"root_cause":[],"type":"security_exception","reason":"all failed","caused_by":{
            "type":"security_exception","reason":"action [indices:data/read/search] towards remote cluster [far] failed"}},
            "status":401}"#;
        assert_eq!(class(USUAL, remote), Class::NotToken);
    }

    #[test]
    fn what_does_not_say_is_unknown() {
        let basic = r#"Basic realm="OpenSearch Security""#;
        assert_eq!(class(&[basic], "Unauthorized"), Class::Unknown, "OpenSearch says no more, whatever was wrong");
        assert_eq!(class(&["Negotiate"], ""), Class::Unknown);
        assert_eq!(class(&[], "<html>401</html>"), Class::Unknown);
        assert_eq!(class(&[], r#"{"error":"no","status":401}"#), Class::Unknown);
        assert_eq!(class(&[], r#"{"error":{"type":"security_exception"},"status":403}"#), Class::Unknown);
        assert_eq!(class(USUAL, "---\nstatus: 401"), Class::Unknown, "as YAML");
    }

    proptest! {
        #[test]
        fn nothing_but_a_401_is_judged(status in 100_u16..1000, body in ".{0,200}", challenge in ".{0,60}") {
            let status = StatusCode::from_u16(status).unwrap();
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_str(&challenge) {
                headers.insert(header::WWW_AUTHENTICATE, value);
            }
            let judged = classify(status, &headers, body.as_bytes());
            prop_assert_eq!(judged.is_some(), status == StatusCode::UNAUTHORIZED);
        }

        #[test]
        fn no_bytes_make_it_panic(
            body in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..300),
                (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| {
                    let mut body = GARBAGE.as_bytes().to_vec();
                    let at = at.index(body.len());
                    body[at] = byte;
                    body
                }),
            ],
            packed in any::<bool>(),
            challenge in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let mut headers = HeaderMap::new();
            if packed {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            if let Ok(value) = HeaderValue::from_bytes(&challenge) {
                headers.insert(header::WWW_AUTHENTICATE, value);
            }
            prop_assert!(classify(StatusCode::UNAUTHORIZED, &headers, &body).is_some());
        }
    }

    // As Elasticsearch 8.19.21 answers.
    const USUAL: &[&str] = &[r#"Basic realm="security", charset="UTF-8""#, r#"Bearer realm="security""#, "ApiKey"];
    const INVALID_TOKEN: &str =
        r#"Bearer realm="security", error="invalid_token", error_description="The access token expired""#;
    const EXPIRED: &str = r#"{"error":{"root_cause":[{"type":"security_exception","reason":"token expired","header":{"WWW-Authenticate":"Bearer realm=\"security\", error=\"invalid_token\", error_description=\"The access token expired\""}}],"type":"security_exception","reason":"token expired","header":{"WWW-Authenticate":"Bearer realm=\"security\", error=\"invalid_token\", error_description=\"The access token expired\""}},"status":401}"#;
    const GARBAGE: &str = r#"{"error":{"root_cause":[{"type":"security_exception","reason":"unable to authenticate with provided credentials and anonymous access is not allowed for this request","additional_unsuccessful_credentials":"oauth2 token: invalid token","header":{"WWW-Authenticate":["Basic realm=\"security\", charset=\"UTF-8\"","Bearer realm=\"security\"","ApiKey"]}}],"type":"security_exception","reason":"unable to authenticate with provided credentials and anonymous access is not allowed for this request","additional_unsuccessful_credentials":"oauth2 token: invalid token","header":{"WWW-Authenticate":["Basic realm=\"security\", charset=\"UTF-8\"","Bearer realm=\"security\"","ApiKey"]}},"status":401}"#;
    const WRONG_PASSWORD: &str = r#"{"error":{"root_cause":[{"type":"security_exception","reason":"unable to authenticate user [elastic] for REST request [/_cluster/health]"}],"type":"security_exception","reason":"unable to authenticate user [elastic] for REST request [/_cluster/health]"},"status":401}"#;
    const MISSING: &str = r#"{"error":{"root_cause":[{"type":"security_exception","reason":"missing authentication credentials for REST request [/_cluster/health]"}],"type":"security_exception","reason":"missing authentication credentials for REST request [/_cluster/health]"},"status":401}"#;
}
