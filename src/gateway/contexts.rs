//! Seals the ids of scrolls, points in time and asynchronous searches in an answer for its caller.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, header, response::Parts};
use http_body_util::BodyExt as _;

use crate::{
    authorize::Sealer,
    body::{Body, BodyError, Filter},
    forward::ForwardError,
    gateway::answer::Answer,
    scan::{self, ContextAnswer, IdKey, Seal as _},
};

/// Hands an answer on with sealed ids: no id of the cluster's leaves.
///
/// # Errors
///
/// [`ForwardError::Unsealed`]: it is of a form in which they cannot be found.
pub(super) async fn seal(answered: Response<Answer>, sealer: Sealer) -> Result<Response<Answer>, ForwardError> {
    let (mut parts, answer) = answered.into_parts();
    for name in ID_HEADERS {
        if let Some(id) = parts.headers.get(&name) {
            let sealed = id.to_str().ok().and_then(|id| sealer.seal(IdKey::Id, id));
            let sealed = sealed.and_then(|id| HeaderValue::try_from(id).ok()).ok_or(ForwardError::Unsealed)?;
            parts.headers.insert(name, sealed);
        }
    }
    if http_body::Body::is_end_stream(&answer) {
        return Ok(Response::from_parts(parts, answer));
    }
    if parts.status.is_client_error() || parts.status.is_server_error() {
        return if sealer.known().is_empty() {
            Ok(Response::from_parts(parts, answer))
        } else {
            explained(parts, answer, &sealer).await
        };
    }
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if parts.headers.contains_key(header::CONTENT_ENCODING) {
        return Err(ForwardError::Unsealed);
    }
    if scan::is_json(kind) {
        parts.headers.remove(header::CONTENT_LENGTH);
        return Ok(Response::from_parts(parts, answer.filtered(Box::new(Sealing(ContextAnswer::new(sealer))))));
    }
    // Tables, whose ids stand in the head.
    if TABLES.iter().any(|table| kind.starts_with(table)) {
        return Ok(Response::from_parts(parts, answer));
    }
    Err(ForwardError::Unsealed)
}

#[derive(Debug)]
struct Sealing(ContextAnswer<Sealer>);

impl Filter for Sealing {
    fn push(&mut self, piece: Bytes, passed: &mut Vec<Bytes>) -> Result<(), BodyError> {
        self.0.push(&piece, passed).map_err(|error| {
            tracing::error!(%error, "an answer is broken off");
            BodyError::Refused
        })
    }

    fn finish(&mut self, _passed: &mut Vec<Bytes>) -> Result<(), BodyError> {
        Ok(())
    }
}

/// An error: it may repeat an id that the request held, wherever that stands.
async fn explained(mut parts: Parts, answer: Answer, sealer: &Sealer) -> Result<Response<Answer>, ForwardError> {
    let whole = http_body_util::Limited::new(answer, ERROR_BYTES).collect();
    let mut whole = whole.await.map_err(|_| ForwardError::Unsealed)?.to_bytes();
    for (known, held) in sealer.known().iter().filter(|(known, held)| known != held && !known.is_empty()) {
        whole = replaced(&whole, known.as_bytes(), held.as_bytes());
    }
    parts.headers.insert(header::CONTENT_LENGTH, whole.len().into());
    Ok(Response::from_parts(parts, Answer::new(Body::from(whole), None)))
}

fn replaced(text: &Bytes, from: &[u8], to: &[u8]) -> Bytes {
    let (mut written, mut kept) = (Vec::with_capacity(text.len()), 0);
    for at in memchr::memmem::find_iter(text, from) {
        written.extend_from_slice(text.get(kept..at).unwrap_or_default());
        written.extend_from_slice(to);
        kept = at + from.len();
    }
    written.extend_from_slice(text.get(kept..).unwrap_or_default());
    written.into()
}

/// Where asynchronous searches tell their ids too.
const ID_HEADERS: [HeaderName; 2] =
    [HeaderName::from_static("async-id"), HeaderName::from_static("x-elasticsearch-async-id")];
/// Forms of an answer that have no place for an id.
const TABLES: [&str; 2] = ["text/", "application/vnd.apache.arrow.stream"];
/// What is read of an error.
const ERROR_BYTES: usize = 1024 * 1024;
