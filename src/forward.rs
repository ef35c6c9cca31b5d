//! Sends a permitted request to the cluster and hands its answer back.

use std::{pin::pin, rc::Rc, time::Duration};

use http::{HeaderMap, HeaderValue, Request, Uri, header, request::Parts, uri};
use http_body::Body as _;
use tokio::time::Instant;

use crate::{
    authorize::Permit,
    body::Body,
    upstream::{
        client::{Answered, Pool, SendError},
        upload::{Failure, Progress, Upload},
    },
};

pub mod cookie;
pub mod headers;
pub mod identity;

pub use identity::Identity;

/// Why the cluster gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The credential was renewed, but the body cannot be sent again: what was kept of it cannot be read. 503.
    #[error("the credential was renewed; send the request again")]
    BodyLost,
    /// The client's body cannot be judged. What its judge says of it is told instead. 400.
    #[error("the request body was refused while it came")]
    BodyRefused,
    /// The client's body stalled. 408.
    #[error("the request body did not arrive in time")]
    BodyStalled,
    /// The client's body is longer than `limits.body_bytes`. 413.
    #[error("the request body is larger than {limit} bytes")]
    BodyTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The client's connection broke while its body was being sent. Nobody reads the answer.
    #[error("the client went away")]
    ClientGone,
    /// The cluster broke the connection or the framing. 502.
    #[error("the cluster ended the connection before it answered")]
    Interrupted,
    /// No first byte of an answer within `upstream.request_timeout`. 504.
    #[error("the cluster did not answer in time")]
    TimedOut,
    /// A user or role name that no header can carry. 503.
    #[error("the caller's name cannot be told to the cluster")]
    Unnameable,
    /// The cluster's answer may hold an id that cannot be sealed for its caller. 502.
    #[error("the cluster's answer is not of a form in which the ids that it holds can be sealed")]
    Unsealed,
    /// No signature can be made. 503.
    #[error("the caller's name cannot be signed at the moment")]
    Unsigned,
    /// No host took a connection. 502.
    #[error("the cluster cannot be reached")]
    Unreachable,
}

/// Makes the head that the cluster sees out of a cleaned one of the client.
///
/// The path goes on as it came, or as the permit has it. Framing follows the body: `Content-Length` where it is known, else chunked, which is
/// said aloud: without it the client side of hyper takes it that a `GET` has no body, and searches have one.
#[must_use]
pub fn head(parts: Parts, permit: &Permit, body: &Body) -> Request<()> {
    let Parts { method, uri, headers, .. } = parts;
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = permit.target().map_or_else(|| origin_form(uri), |target| Uri::from(target.clone()));
    *request.headers_mut() = headers;
    if matches!(body, Body::Empty) && request.headers().get(header::CONTENT_LENGTH).is_some_and(|length| length != "0")
    {
        request.headers_mut().remove(header::CONTENT_LENGTH);
    }
    if !body.is_end_stream() && body.size_hint().exact().is_none() {
        request.headers_mut().insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    request
}

/// Sends one request. The permit is the proof that somebody judged it.
///
/// `patience` runs from the moment the cluster has the whole request: an upload that moves is
/// alive, and one that waits for the client is ended by its own patience. One that the cluster does not take is not.
///
/// # Errors
///
/// [`ForwardError`].
pub fn send<'a>(
    pool: &'a Rc<Pool>,
    _permit: &'a Permit,
    request: Request<Upload>,
    progress: Option<Rc<Progress>>,
    patience: Duration,
) -> impl Future<Output = Result<Answered, ForwardError>> + use<'a> {
    // No `async fn`: it would keep room for the request a second time.
    let mut request = Some(request);
    async move {
        let progress = progress.as_deref();
        let mut answer = pin!(pool.send(&mut request));
        let mut timer = pin!(tokio::time::sleep(patience));
        let mut taken = 0;
        loop {
            tokio::select! {
                biased;
                answered = &mut answer => {
                    return answered.map_err(|error| refusal(&error, progress));
                }
                () = &mut timer => match progress.map(|upload| (upload, upload.finished())) {
                    Some((upload, None)) if upload.starved() || upload.received() > taken => {
                        taken = upload.received();
                        timer.as_mut().reset(Instant::now() + patience);
                    }
                    Some((_, Some(sent))) if sent.elapsed() < patience => timer.as_mut().reset(sent + patience),
                    _ => return Err(ForwardError::TimedOut),
                }
            }
        }
    }
}

fn refusal(error: &SendError, progress: Option<&Progress>) -> ForwardError {
    match progress.and_then(Progress::failure) {
        Some(Failure::ClientGone) => return ForwardError::ClientGone,
        Some(Failure::Lost) => return ForwardError::BodyLost,
        Some(Failure::Refused) => return ForwardError::BodyRefused,
        Some(Failure::Stalled) => return ForwardError::BodyStalled,
        Some(Failure::TooLarge { limit }) => return ForwardError::BodyTooLarge { limit },
        None => {}
    }
    match error {
        SendError::Interrupted(error) => {
            tracing::debug!(%error, "the cluster broke off");
            ForwardError::Interrupted
        }
        SendError::Unreachable => ForwardError::Unreachable,
    }
}

/// HTTP/2 names scheme and authority in the target; the cluster is sent path and query alone.
fn origin_form(uri: Uri) -> Uri {
    if uri.authority().is_none() {
        return uri;
    }
    let mut parts = uri::Parts::default();
    parts.path_and_query = uri.into_parts().path_and_query;
    Uri::from_parts(parts).unwrap_or_else(|_| Uri::from_static("/"))
}

/// The header that shows the cluster a credential; replaces whatever was there.
pub fn attach(headers: &mut HeaderMap, credential: &HeaderValue) {
    headers.insert(header::AUTHORIZATION, credential.clone());
}
