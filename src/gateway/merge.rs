//! Puts what was left out of a request into its answer, while that goes by.

use std::fmt;

use bytes::Bytes;
use http::{Response, header};

use crate::{
    authorize::Judged,
    body::{BodyError, Filter},
    forward::ForwardError,
    gateway::answer::Answer,
    scan::{self, Merge},
};

/// The cluster's answer to what went on of a request, with the answers to what was left out.
///
/// # Errors
///
/// [`ForwardError::Interrupted`]: what was left out cannot be told in it, and nobody must take it for done.
pub(super) fn merge(answered: Response<Answer>, judged: &Judged) -> Result<Response<Answer>, ForwardError> {
    // The cluster has answered before it had all of the request.
    let refused = judged.take_refused().ok_or(ForwardError::Interrupted)?;
    if refused.is_empty() {
        return Ok(answered);
    }
    let (mut parts, answer) = answered.into_parts();
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !kind.is_some_and(scan::is_json) || parts.headers.contains_key(header::CONTENT_ENCODING) {
        return Err(ForwardError::Interrupted);
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    Ok(Response::from_parts(parts, answer.filtered(Box::new(Merging(Merge::new(refused))))))
}

struct Merging(Merge);

impl Filter for Merging {
    fn push(&mut self, piece: Bytes, passed: &mut Vec<Bytes>) -> Result<(), BodyError> {
        self.0.push(&piece, passed);
        Ok(())
    }

    fn finish(&mut self, _passed: &mut Vec<Bytes>) -> Result<(), BodyError> {
        if self.0.is_complete() { Ok(()) } else { Err(BodyError::Refused) }
    }
}

impl fmt::Debug for Merging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merging").finish_non_exhaustive()
    }
}
