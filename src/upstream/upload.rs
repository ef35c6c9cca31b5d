//! A request body on its way to the cluster: counted, limited, and given up when it stalls.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::{
    body::{Body, BodyError},
    replay::Outgoing,
};

/// A body as a connection to the cluster reads it.
#[derive(Debug)]
pub struct Upload {
    body: Outgoing,
    limit: u64,
    patience: Duration,
    /// Armed only while the client lets us wait.
    waiting: Option<Pin<Box<Sleep>>>,
    progress: Option<Rc<Progress>>,
}

/// How far an upload is: shared with the request that waits for the answer.
#[derive(Debug, Default)]
pub struct Progress {
    received: Cell<u64>,
    starved: Cell<bool>,
    finished: Cell<Option<Instant>>,
    failure: Cell<Option<Failure>>,
}

/// Why an upload was given up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failure {
    /// The client went away.
    ClientGone,
    /// What was kept of the body to be sent again cannot be read.
    Lost,
    /// A filter refused what came; it has kept why.
    Refused,
    /// The client stalled.
    Stalled,
    /// Longer than the limit.
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
}

impl Upload {
    /// No body: costs nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self { body: Outgoing::Plain(Body::Empty), limit: 0, patience: Duration::ZERO, waiting: None, progress: None }
    }

    /// Sends `body`, at most `limit` bytes, as long as it never pauses for longer than `patience`.
    #[must_use]
    pub fn new(body: Outgoing, limit: u64, patience: Duration) -> (Self, Option<Rc<Progress>>) {
        if matches!(body, Outgoing::Plain(Body::Empty)) {
            return (Self::empty(), None);
        }
        let progress = Rc::new(Progress::default());
        (Self { body, limit, patience, waiting: None, progress: Some(Rc::clone(&progress)) }, Some(progress))
    }

    fn starve(&self, starved: bool) {
        if let Some(progress) = &self.progress {
            progress.starved.set(starved);
        }
    }

    fn fail(&self, failure: Failure) {
        if let Some(progress) = &self.progress {
            progress.failure.set(Some(failure));
        }
    }
}

impl Progress {
    /// Body bytes received so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.get()
    }

    /// Whether the cluster waits for the client's next bytes.
    #[must_use]
    pub fn starved(&self) -> bool {
        self.starved.get()
    }

    /// When the last byte was handed on.
    #[must_use]
    pub fn finished(&self) -> Option<Instant> {
        self.finished.get()
    }

    /// Whether more is to come.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.finished().is_none() && self.failure().is_none()
    }

    /// Why the upload was given up, if it was.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.failure.get()
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            this.starve(true);
            let patience = this.patience;
            let waiting = this.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
            ready!(waiting.as_mut().poll(cx));
            this.fail(Failure::Stalled);
            return Poll::Ready(Some(Err(BodyError::Stalled)));
        };
        this.waiting = None;
        this.starve(false);
        let Some(progress) = &this.progress else { return Poll::Ready(frame) };
        match &frame {
            Some(Ok(frame)) => {
                let received = progress.received.get() + frame.data_ref().map_or(0, |data| data.len() as u64);
                progress.received.set(received);
                if received > this.limit {
                    this.fail(Failure::TooLarge { limit: this.limit });
                    return Poll::Ready(Some(Err(BodyError::TooLarge { limit: this.limit })));
                }
                if frame.is_trailers() || this.body.is_end_stream() {
                    progress.finished.set(Some(Instant::now()));
                }
            }
            Some(Err(BodyError::Lost)) => this.fail(Failure::Lost),
            Some(Err(BodyError::Refused)) => this.fail(Failure::Refused),
            Some(Err(_)) => this.fail(Failure::ClientGone),
            None => progress.finished.set(Some(Instant::now())),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    fn plain(bytes: &'static [u8]) -> Outgoing {
        Outgoing::Plain(Body::from(Bytes::from_static(bytes)))
    }

    #[tokio::test]
    async fn bytes_are_counted_and_the_end_is_noticed() {
        let (upload, progress) = Upload::new(plain(b"12345"), 5, Duration::from_secs(1));
        assert_eq!(upload.collect().await.unwrap().to_bytes(), "12345");
        let progress = progress.unwrap();
        assert_eq!((progress.received(), progress.failure()), (5, None));
        assert!(progress.finished().is_some());
    }

    #[tokio::test]
    async fn one_byte_too_many_ends_the_upload() {
        let (upload, progress) = Upload::new(plain(b"123456"), 5, Duration::from_secs(1));
        assert!(upload.collect().await.is_err());
        assert_eq!(progress.unwrap().failure(), Some(Failure::TooLarge { limit: 5 }));
    }

    #[test]
    fn no_body_needs_no_account() {
        assert!(Upload::new(plain(b""), 5, Duration::from_secs(1)).1.is_none());
    }
}
