//! The one body type of the request path, whichever protocol or module made it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;

mod filtered;

pub use filtered::{Filter, Filtered};

/// A message body: nothing, bytes at hand, or a stream from a peer.
#[derive(Debug, Default)]
pub enum Body {
    /// No body.
    #[default]
    Empty,
    /// All of it at hand.
    Full(Bytes),
    /// Still arriving.
    Incoming(hyper::body::Incoming),
    /// Being made, piece by piece, no faster than it is read.
    Made(mpsc::Receiver<Result<Bytes, BodyError>>),
    /// Begun to be read: what was read, then the rest.
    Begun(Box<(Bytes, Body)>),
    /// Another body, as a filter lets it through.
    Filtered(Box<Filtered>),
}

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The peer went away or broke the framing.
    #[error("body ended early")]
    Interrupted(#[source] hyper::Error),
    /// A filter refuses what came; it has kept why.
    #[error("body was refused while it came")]
    Refused,
    /// What was kept of it to be sent again is gone.
    #[error("body was not kept")]
    Lost,
    /// Nothing arrived for too long.
    #[error("body stopped arriving")]
    Stalled,
    /// It is longer than the limit.
    #[error("body is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
}

impl Body {
    /// Takes over what a connection receives; a message without a body becomes [`Body::Empty`].
    #[must_use]
    pub fn received(incoming: hyper::body::Incoming) -> Self {
        if incoming.is_end_stream() { Self::Empty } else { Self::Incoming(incoming) }
    }

    /// Reads until `enough` bytes are there or the body ends. Nothing is lost: the body that is returned begins anew.
    /// Trailers are, when it ends.
    ///
    /// # Errors
    ///
    /// [`BodyError::Interrupted`] when the peer fails.
    pub async fn begin(mut self, enough: usize) -> Result<(Bytes, Self), BodyError> {
        let mut begun = BytesMut::new();
        while begun.len() < enough {
            let Some(frame) = self.frame().await.transpose()? else {
                let whole = begun.freeze();
                return Ok((whole.clone(), Self::from(whole)));
            };
            begun.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        }
        let begun = begun.freeze();
        Ok((begun.clone(), Self::Begun(Box::new((begun, self)))))
    }

    /// Reads the whole body.
    ///
    /// # Errors
    ///
    /// [`BodyError::TooLarge`] past `limit` bytes, [`BodyError::Interrupted`] when the peer fails.
    pub async fn read(mut self, limit: u64) -> Result<Bytes, BodyError> {
        if let Self::Full(bytes) = self {
            return if bytes.len() as u64 > limit { Err(BodyError::TooLarge { limit }) } else { Ok(bytes) };
        }
        let mut whole = BytesMut::new();
        while let Some(frame) = self.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            if (whole.len() as u64).saturating_add(data.len() as u64) > limit {
                return Err(BodyError::TooLarge { limit });
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.freeze())
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Full(bytes) }
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::from(Bytes::from(text))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Incoming(incoming) => Pin::new(incoming).poll_frame(cx).map_err(BodyError::Interrupted),
            Self::Made(pieces) => pieces.poll_recv(cx).map_ok(Frame::data),
            Self::Filtered(filtered) => filtered.poll(cx).map_ok(Frame::data),
            Self::Begun(begun) => {
                let (bytes, rest) = &mut **begun;
                let (bytes, rest) = (std::mem::take(bytes), std::mem::take(rest));
                *self = rest;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(_) | Self::Made(_) | Self::Begun(_) => false,
            Self::Filtered(filtered) => filtered.is_over(),
            Self::Incoming(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Incoming(incoming) => incoming.size_hint(),
            Self::Made(_) | Self::Filtered(_) => SizeHint::default(),
            Self::Begun(begun) => match begun.1.size_hint().exact() {
                Some(rest) => SizeHint::with_exact(begun.0.len() as u64 + rest),
                None => SizeHint::default(),
            },
        }
    }
}
