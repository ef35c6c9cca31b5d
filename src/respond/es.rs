//! Elasticsearch's error body.

use http::Response;

use crate::{
    body::Body,
    respond::{Rejection, RequestFacts},
};

/// The answer for a rejection.
#[must_use]
pub fn response(rejection: &Rejection, facts: &RequestFacts<'_>) -> Response<Body> {
    let _ = (rejection, facts);
    todo!()
}
