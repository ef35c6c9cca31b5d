//! `/_gateway/jwks`: the keys that verify what the cluster is told of callers (contract section 4).

use std::collections::BTreeMap;

use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use serde_json::{Value, json};

use crate::{
    api::{Api, facts, route},
    body::Body,
    respond::es,
};

/// Whether a path is this endpoint.
pub(super) fn serves(path: &str) -> bool {
    matches!(path, "/_gateway/jwks" | "/_gateway/jwks/")
}

/// A JSON Web Key Set (RFC 7517) of all listeners. A key that several sign with stands in it once.
pub(super) fn answer(api: &Api, parts: &Parts) -> Response<Body> {
    let facts = facts(parts);
    if !METHODS.contains(&parts.method.as_str()) {
        return route::wrong_method(&parts.method, facts.target, &METHODS).response(&facts);
    }
    let (now, mut keys) = (api.clock.now(), BTreeMap::new());
    for issuer in &api.issuers {
        issuer.published(now, |key| {
            keys.insert(key.to_string(), key.clone());
        });
    }
    let set = json!({ "keys": keys.into_values().collect::<Vec<Value>>() });
    let mut response = es::answer(StatusCode::OK, &set, &facts);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=300"));
    if parts.method == Method::HEAD {
        let length = http_body::Body::size_hint(response.body()).lower();
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        *response.body_mut() = Body::Empty;
    }
    response
}

const METHODS: [&str; 2] = ["GET", "HEAD"];
