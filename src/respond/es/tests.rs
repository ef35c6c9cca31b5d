use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};

use super::*;
use crate::{forward::ForwardError, identify::Refusal, model::KeyId, passwords::Busy, store::StoreError};

const FACTS: RequestFacts<'static> =
    RequestFacts { target: "/_security/_authenticate", accept: None, content_type: None, opaque_id: None };

async fn rejected(rejection: impl Into<Rejection>) -> (Response<()>, String) {
    let (parts, body) = response(&rejection.into(), &FACTS).into_parts();
    let bytes = body.read(1 << 20).await.unwrap();
    (Response::from_parts(parts, ()), String::from_utf8(bytes.to_vec()).unwrap())
}

fn challenges(response: &Response<()>) -> Vec<&str> {
    response.headers().get_all(WWW_AUTHENTICATE).iter().map(|value| value.to_str().unwrap()).collect()
}

const HEADER: &str = r#""header":{"WWW-Authenticate":["Basic realm=\"security\", charset=\"UTF-8\"","Bearer realm=\"security\"","ApiKey"]}"#;

#[tokio::test]
async fn missing_credentials_are_told_byte_for_byte() {
    let (response, body) = rejected(IdentifyError::Missing).await;
    let one = format!(
        r#""type":"security_exception","reason":"missing authentication credentials for REST request [/_security/_authenticate]",{HEADER}"#
    );
    assert_eq!(body, format!(r#"{{"error":{{"root_cause":[{{{one}}}],{one}}},"status":401}}"#));
    assert_eq!(challenges(&response), CHALLENGES);
    assert_eq!(response.headers()["x-auth-reason"], "no_credentials");
    assert_eq!(response.headers()["x-auth-source"], "gateway");
    assert_eq!(crate::respond::reason(response.extensions()), Some("no_credentials"));
    assert!(!response.headers().contains_key("x-elastic-product"));
}

#[tokio::test]
async fn a_bad_encoding_has_a_cause_that_is_no_root_cause() {
    let (_, body) = rejected(IdentifyError::BasicEncoding(crate::identify::error::Base64Error::Character(b'!'))).await;
    let one = r#""type":"security_exception","reason":"invalid basic authentication header encoding""#;
    let cause = r#""caused_by":{"type":"illegal_argument_exception","reason":"Illegal base64 character 21"}"#;
    assert_eq!(
        body,
        format!(r#"{{"error":{{"root_cause":[{{{one},{HEADER}}}],{one},{cause},{HEADER}}},"status":401}}"#)
    );
}

#[tokio::test]
async fn a_refused_key_says_why_beside_the_reason() {
    let (_, body) = rejected(IdentifyError::Refused(Refusal::KeyUnknown(KeyId("abc".into())))).await;
    let one = r#""type":"security_exception","reason":"unable to authenticate with provided credentials and anonymous access is not allowed for this request","additional_unsuccessful_credentials":"API key: unable to find apikey with id abc""#;
    assert_eq!(body, format!(r#"{{"error":{{"root_cause":[{{{one},{HEADER}}}],{one},{HEADER}}},"status":401}}"#));
}

#[tokio::test]
async fn an_expired_token_has_one_challenge_only() {
    let (response, body) = rejected(IdentifyError::TokenExpired).await;
    assert_eq!(challenges(&response), TOKEN_EXPIRED);
    assert!(body.contains(r#""header":{"WWW-Authenticate":"Bearer realm=\"security\", error=\"invalid_token\","#));
}

#[tokio::test]
async fn a_fault_of_ours_is_no_401_and_says_when_to_come_back() {
    let unavailable = || StoreError::Unavailable { reason: "password=hunter2".into() };
    for (rejection, status) in [
        (Rejection::from(unavailable()), 503),
        (IdentifyError::Unavailable(unavailable()).into(), 503),
        (CredentialError::Unavailable.into(), 503),
        (Busy.into(), 429),
        (IdentifyError::Busy(Busy).into(), 429),
    ] {
        let (response, body) = rejected(rejection).await;
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        assert!(!body.contains("hunter2"), "{body}");
    }
}

#[tokio::test]
async fn waiting_times_are_rounded_up_to_whole_seconds() {
    let wait = std::time::Duration::from_millis(1500);
    let (response, _) = rejected(IdentifyError::Throttled { retry_after: wait }).await;
    assert_eq!((response.status().as_u16(), &response.headers()[RETRY_AFTER]), (429, &HeaderValue::from(2)));
}

#[tokio::test]
async fn the_cluster_s_faults_are_gateway_errors() {
    for (rejection, status) in [
        (Rejection::from(ForwardError::Unreachable), 502),
        (ForwardError::TimedOut.into(), 504),
        (CredentialError::Rejected.into(), 502),
        (ForwardError::BodyTooLarge { limit: 1 }.into(), 413),
        (ForwardError::BodyStalled.into(), 408),
    ] {
        assert_eq!(rejected(rejection).await.0.status(), status);
    }
}

#[tokio::test]
async fn a_method_that_is_never_forwarded_is_told_what_is() {
    let (response, body) = rejected(Rejection::MethodNotAllowed).await;
    assert_eq!((response.status().as_u16(), body.as_str()), (405, r#"{"error":"method is not allowed","status":405}"#));
    assert!(response.headers().contains_key("allow"));
}

#[test]
fn vendor_types_opaque_ids_and_layout_reach_errors_too() {
    let vendor = HeaderValue::from_static("application/vnd.elasticsearch+json;compatible-with=8");
    let id = HeaderValue::from_static("abc");
    let facts = RequestFacts { target: "/?pretty", accept: Some(&vendor), opaque_id: Some(&id), ..FACTS };
    let response = response(&IdentifyError::Missing.into(), &facts);
    assert_eq!(response.headers()[CONTENT_TYPE], vendor);
    assert_eq!(response.headers()["x-opaque-id"], "abc");
    let Body::Full(bytes) = response.into_body() else { panic!("a body is expected") };
    assert!(bytes.starts_with(b"{\n  \"error\" : {\n") && bytes.ends_with(b"}\n"));
}

#[tokio::test]
async fn a_wrong_second_caller_is_the_cause_and_the_root_and_asks_nobody_for_credentials() {
    let second = IdentifyError::Password { username: "a".into(), known: true };
    let (response, body) = rejected(IdentifyError::Secondary(Box::new(second))).await;
    assert_eq!(response.status(), 401);
    assert!(!response.headers().contains_key("www-authenticate"));
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let error = &body["error"];
    assert_eq!(error["reason"], "Failed to authenticate secondary user");
    assert!(error["caused_by"]["reason"].as_str().unwrap().starts_with("unable to authenticate user [a] for REST"));
    assert_eq!(error["caused_by"]["header"]["WWW-Authenticate"].as_array().unwrap().len(), 3);
    assert_eq!(error["root_cause"][0], error["caused_by"]);
}
