//! `/_gateway/auth`: judges a request that another proxy holds, for `auth_request` and `ForwardAuth` (contract
//! section 5).

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, Version, request::Parts};

use crate::{
    api::{Api, facts, failure::Failure},
    authorize::Asked,
    body::Body,
    listener::peer::Peer,
    model::Principal,
    path,
    respond::{Exception, Rejection, es},
};

/// Whether a path is this endpoint.
pub(super) fn serves(path: &str) -> bool {
    matches!(path, "/_gateway/auth" | "/_gateway/auth/")
}

/// Tells who calls, and whether they may do what the proxy asks for them. Without a question, only who.
///
/// # Errors
///
/// 400 for half a question, one from a peer that is no trusted proxy, and one that could be read in two ways; 403.
pub(super) fn decide(
    api: &Api,
    parts: &Parts,
    principal: &Arc<Principal>,
    peer: &Peer,
) -> Result<Response<Body>, Failure> {
    if let Some((method, target)) = question(&parts.headers)? {
        if !peer.trusted {
            return Err(Exception::argument("the original request is taken from trusted_proxies only").into());
        }
        if matches!(method, Method::CONNECT | Method::TRACE) {
            return Err(Failure::Rejection(Rejection::MethodNotAllowed));
        }
        path::route(&method, &target, Version::HTTP_11).map_err(|error| Exception::argument(error.to_string()))?;
        api.authorizer
            .check_as_it_is(Asked {
                principal,
                client: peer.client_ip(&parts.headers),
                method: &method,
                uri: &target,
                headers: &parts.headers,
                limit: 0,
            })
            .map_err(|error| Failure::Rejection(error.into()))?;
    }
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::OK;
    let roles = principal.identity.roles.join(",");
    let told =
        [(X_AUTH_USER, &*principal.identity.username), (X_AUTH_ROLES, &*roles), (X_AUTH_REALM, &*principal.realm.name)];
    for (name, value) in told {
        // A name that no header can carry is left out: the proxy must not pass on another in its place.
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            response.headers_mut().insert(name, value);
        }
    }
    es::sign(&mut response, facts(parts).opaque_id);
    Ok(response)
}

/// What the proxy asks about, in nginx's words or in Traefik's.
fn question(headers: &HeaderMap) -> Result<Option<(Method, Uri)>, Exception> {
    // A proxy that writes one pair may pass on a forged other, and one value in front of its own.
    let asked: Vec<_> = QUESTIONS.iter().flat_map(|name| headers.get_all(*name)).collect();
    match *asked.as_slice() {
        [] => Ok(None),
        [method, target] if QUESTIONS.chunks(2).any(|pair| pair.iter().all(|name| headers.contains_key(*name))) => {
            match (Method::from_bytes(method.as_bytes()), Uri::try_from(target.as_bytes())) {
                (Ok(method), Ok(target)) => Ok(Some((method, target))),
                _ => Err(Exception::argument("the original request is none")),
            }
        }
        _ => Err(Exception::argument("one method and one target of the original request are needed")),
    }
}

/// Pairs of method and target.
const QUESTIONS: [&str; 4] = ["x-original-method", "x-original-uri", "x-forwarded-method", "x-forwarded-uri"];
const X_AUTH_USER: HeaderName = HeaderName::from_static("x-auth-user");
const X_AUTH_ROLES: HeaderName = HeaderName::from_static("x-auth-roles");
const X_AUTH_REALM: HeaderName = HeaderName::from_static("x-auth-realm");
