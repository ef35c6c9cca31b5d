//! Elasticsearch's answers: error body, challenges, the headers that every answer of ours carries.

use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::{
    authorize::{AuthorizeError, Gone},
    body::Body,
    broker::LoginError,
    credential::CredentialError,
    forward::ForwardError,
    identify::{Challenge, IdentifyError},
    respond::{Exception, Reason, Rejection, RequestFacts, SECURITY, json, media},
};

/// The answer for a rejection.
#[must_use]
pub fn response(rejection: &Rejection, facts: &RequestFacts<'_>) -> Response<Body> {
    let (status, kind) = rejection.wire();
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let mut response = answer(status, &json!({ "error": rejection.to_string(), "status": 405 }), facts);
        // What follows a CONNECT may be meant for the tunnel.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET,POST,PUT,DELETE,HEAD,OPTIONS"));
        return response;
    }
    if let Rejection::Authorize(AuthorizeError::Gone(gone)) = rejection
        && let Some(body) = gone_body(gone)
    {
        return answer(status, &body, facts);
    }
    let mut exception = Exception::new(kind, rejection.reason(facts.target));
    if let Rejection::Identify(error) = rejection {
        exception = identified(exception, error, facts.target);
    }
    if let Rejection::Authorize(error) = rejection {
        exception = authorized(exception, error);
    }
    if let Rejection::Credential(CredentialError::Resend)
    | Rejection::Forward(ForwardError::BodyLost)
    | Rejection::Login(_)
    | Rejection::Session(_) = rejection
        && rejection.code().is_some()
    {
        exception = exception.with("code", rejection.code());
    }
    if let Rejection::Login(LoginError::Denied { .. }) = rejection {
        exception = exception.challenged(CHALLENGES);
    }
    let mut response = exceptional(status, &exception, facts);
    if let Some(code) = rejection.code() {
        response.headers_mut().insert(X_AUTH_REASON, HeaderValue::from_static(code));
        response.extensions_mut().insert(Reason(code));
    }
    if let Rejection::Framing(_) = rejection {
        // Where the next message begins is in doubt.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(seconds) = rejection.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// The answer for an exception.
#[must_use]
pub fn exceptional(status: StatusCode, exception: &Exception, facts: &RequestFacts<'_>) -> Response<Body> {
    let mut response = answer(status, &exception.body(status.as_u16()), facts);
    for challenge in exception.challenges() {
        response.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}

/// An answer of the gateway's own.
#[must_use]
pub fn answer(status: StatusCode, body: &Value, facts: &RequestFacts<'_>) -> Response<Body> {
    streamed(status, Body::from(bytes::Bytes::from(write(body, facts))), facts)
}

/// A body as the caller wants it written.
#[must_use]
pub fn write(body: &Value, facts: &RequestFacts<'_>) -> Vec<u8> {
    json::write(body, media::is_pretty(facts.target))
}

/// An answer of the gateway's own, of which not all is at hand.
#[must_use]
pub fn streamed(status: StatusCode, body: Body, facts: &RequestFacts<'_>) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, media::answer(facts));
    sign(&mut response, facts.opaque_id);
    response
}

/// An answer of the gateway's own that is JSON already.
#[must_use]
pub fn json(body: Vec<u8>, opaque_id: Option<&HeaderValue>) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes::Bytes::from(body)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    sign(&mut response, opaque_id);
    response
}

/// Adds the headers that every answer of the gateway's own carries.
pub fn sign<B>(response: &mut Response<B>, opaque_id: Option<&HeaderValue>) {
    let status = response.status();
    let headers = response.headers_mut();
    headers.insert(X_AUTH_SOURCE, HeaderValue::from_static("gateway"));
    // The original leaves it out of these two, and clients do not look for it there.
    if !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        headers.insert(X_ELASTIC_PRODUCT, HeaderValue::from_static("Elasticsearch"));
    }
    if let Some(id) = opaque_id {
        headers.insert(X_OPAQUE_ID, id.clone());
    }
}

/// What a refused request adds to the body.
fn authorized(exception: Exception, error: &AuthorizeError) -> Exception {
    match error {
        AuthorizeError::Denied(denied) => match &denied.cause {
            Some((kind, reason)) => exception.because(Exception::new(kind, reason.clone())),
            None => exception,
        },
        AuthorizeError::NoSuchIndex(index) => exception.with("index_uuid", "_na_").with("index", &**index),
        AuthorizeError::Body(_)
        | AuthorizeError::Forbidden(_)
        | AuthorizeError::Gone(_)
        | AuthorizeError::Illegal(_)
        | AuthorizeError::Unresolved => exception,
    }
}

/// The cluster's own answers for what is gone, where they are no plain exceptions (API page section 14.3).
fn gone_body(gone: &Gone) -> Option<Value> {
    Some(match gone {
        Gone::Async(_) => return None,
        Gone::Pit => json!({"succeeded": false, "num_freed": 0}),
        Gone::Scroll => {
            let missing =
                json!({"type": "search_context_missing_exception", "reason": "No search context found for id [0]"});
            json!({
                "error": {
                    "root_cause": [missing],
                    "type": "search_phase_execution_exception",
                    "reason": "all shards failed",
                    "phase": "query",
                    "grouped": true,
                    "failed_shards": [{"shard": -1, "index": null, "reason": missing}],
                    "caused_by": missing,
                },
                "status": 404,
            })
        }
        Gone::Scrolls => json!({"succeeded": true, "num_freed": 0}),
    })
}

/// What a refused credential adds to the body (API page sections 2.3 and 2.4).
#[must_use]
pub fn identified(mut exception: Exception, error: &IdentifyError, target: &str) -> Exception {
    if let IdentifyError::Secondary(second) = error {
        let cause = Exception::new(SECURITY, second.reason(target));
        return exception.because(identified(cause, second, target));
    }
    if let Some(refusal) = error.additional() {
        exception = exception.with("additional_unsuccessful_credentials", refusal.to_string());
    }
    if let Some(cause) = error.caused_by() {
        exception = exception.because(Exception::argument(cause.to_string()));
    }
    match error.challenge() {
        Some(Challenge::All) => exception.challenged(CHALLENGES),
        Some(Challenge::TokenExpired) => exception.challenged(TOKEN_EXPIRED),
        None => exception,
    }
}

/// What a 401 asks for, unless it says otherwise.
pub(crate) const CHALLENGES: &[&str] =
    &[r#"Basic realm="security", charset="UTF-8""#, r#"Bearer realm="security""#, "ApiKey"];
const TOKEN_EXPIRED: &[&str] =
    &[r#"Bearer realm="security", error="invalid_token", error_description="The access token expired""#];

const X_AUTH_REASON: HeaderName = HeaderName::from_static("x-auth-reason");
const X_AUTH_SOURCE: HeaderName = HeaderName::from_static("x-auth-source");
const X_ELASTIC_PRODUCT: HeaderName = HeaderName::from_static("x-elastic-product");
const X_OPAQUE_ID: HeaderName = HeaderName::from_static("x-opaque-id");

#[cfg(test)]
mod tests;
