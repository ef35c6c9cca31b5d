//! A body that is changed while it goes by.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::Body as _;

use super::{Body, BodyError};

/// What changes a body while it goes by.
pub trait Filter: fmt::Debug + Send {
    /// Takes what arrived next and appends to `passed` what goes on.
    ///
    /// # Errors
    ///
    /// [`BodyError::Refused`]: the message must not be completed.
    fn push(&mut self, piece: Bytes, passed: &mut Vec<Bytes>) -> Result<(), BodyError>;

    /// Bytes that it is given at once: fewer, where few may become many.
    fn step(&self) -> usize {
        usize::MAX
    }

    /// Ends the body.
    ///
    /// # Errors
    ///
    /// As [`Filter::push`].
    fn finish(&mut self, passed: &mut Vec<Bytes>) -> Result<(), BodyError>;
}

/// A body that goes through a [`Filter`], no faster than it is read. Trailers are left out.
#[derive(Debug)]
pub struct Filtered {
    source: Body,
    filter: Box<dyn Filter>,
    /// Arrived, and not given to the filter.
    arrived: Bytes,
    ready: VecDeque<Bytes>,
    passed: Vec<Bytes>,
    ended: bool,
}

impl Filtered {
    /// `source` as `filter` lets it through.
    #[must_use]
    pub fn new(source: Body, filter: Box<dyn Filter>) -> Self {
        Self { source, filter, arrived: Bytes::new(), ready: VecDeque::new(), passed: Vec::new(), ended: false }
    }

    /// Reads on until `enough` bytes have passed, or to the end.
    ///
    /// # Errors
    ///
    /// [`BodyError`].
    pub async fn prime(&mut self, enough: usize) -> Result<(), BodyError> {
        while !self.ended && self.ready.iter().map(Bytes::len).sum::<usize>() < enough {
            std::future::poll_fn(|cx| self.poll_fill(cx)).await?;
        }
        Ok(())
    }

    /// What is left to be read; all of it at hand where the source has ended.
    #[must_use]
    pub fn into_body(self) -> Body {
        if !self.ended {
            return Body::Filtered(Box::new(self));
        }
        let mut pieces = Vec::from(self.ready);
        match (pieces.pop(), pieces.is_empty()) {
            (None, _) => Body::Empty,
            (Some(whole), true) => whole.into(),
            (Some(last), false) => {
                pieces.push(last);
                Bytes::from(pieces.concat()).into()
            }
        }
    }

    /// What has not been read of the source.
    #[must_use]
    pub fn into_source(self) -> Body {
        self.source
    }

    /// Gives the filter what it takes at once.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        if self.arrived.is_empty() {
            if let Some(frame) = ready!(Pin::new(&mut self.source).poll_frame(cx)?) {
                self.arrived = frame.into_data().unwrap_or_default();
            } else {
                self.ended = true;
                self.filter.finish(&mut self.passed)?;
            }
        }
        if !self.arrived.is_empty() {
            let step = self.filter.step().min(self.arrived.len());
            self.filter.push(self.arrived.split_to(step), &mut self.passed)?;
        }
        self.ready.extend(self.passed.drain(..).filter(|piece| !piece.is_empty()));
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(piece)));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            ready!(self.poll_fill(cx)?);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.ended && self.ready.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    /// Lets capitals through, and refuses digits.
    #[derive(Debug)]
    struct Capitals;

    impl Filter for Capitals {
        fn push(&mut self, piece: Bytes, passed: &mut Vec<Bytes>) -> Result<(), BodyError> {
            if piece.iter().any(u8::is_ascii_digit) {
                return Err(BodyError::Refused);
            }
            passed.push(piece.iter().copied().filter(u8::is_ascii_uppercase).collect());
            Ok(())
        }

        fn finish(&mut self, passed: &mut Vec<Bytes>) -> Result<(), BodyError> {
            passed.push(Bytes::from_static(b"."));
            Ok(())
        }
    }

    fn filtered(pieces: &[&'static str]) -> Filtered {
        let (sender, receiver) = mpsc::channel(8);
        for piece in pieces {
            sender.try_send(Ok(Bytes::from_static(piece.as_bytes()))).unwrap();
        }
        Filtered::new(Body::Made(receiver), Box::new(Capitals))
    }

    #[tokio::test]
    async fn what_a_filter_lets_through_is_the_body() {
        let body = Body::Filtered(Box::new(filtered(&["aB", "cd", "EF"])));
        assert_eq!(body.read(100).await.unwrap(), "BEF.");
    }

    #[tokio::test]
    async fn a_body_that_ended_while_it_was_primed_is_at_hand_and_of_known_length() {
        let mut whole = filtered(&["aB", "C"]);
        whole.prime(100).await.unwrap();
        assert_eq!(whole.into_body().size_hint().exact(), Some(3));
        let mut begun = filtered(&["aB", "C"]);
        begun.prime(1).await.unwrap();
        let body = begun.into_body();
        assert_eq!(body.size_hint().exact(), None);
        assert_eq!(body.read(100).await.unwrap(), "BC.");
    }

    #[tokio::test]
    async fn a_filter_is_given_no_more_than_it_takes_at_once() {
        #[derive(Debug)]
        struct Few;

        impl Filter for Few {
            fn push(&mut self, piece: Bytes, passed: &mut Vec<Bytes>) -> Result<(), BodyError> {
                assert!(piece.len() <= 2);
                passed.push(piece);
                Ok(())
            }

            fn step(&self) -> usize {
                2
            }

            fn finish(&mut self, _passed: &mut Vec<Bytes>) -> Result<(), BodyError> {
                Ok(())
            }
        }
        let body = Body::Filtered(Box::new(Filtered::new(Body::from("abcde".to_owned()), Box::new(Few))));
        assert_eq!(body.read(100).await.unwrap(), "abcde");
    }

    #[tokio::test]
    async fn what_a_filter_refuses_is_never_completed() {
        let body = Body::Filtered(Box::new(filtered(&["A", "1", "B"])));
        assert!(matches!(body.read(100).await, Err(BodyError::Refused)));
    }
}
