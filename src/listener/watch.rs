//! Notices connections that hold a place without using it: silent ones, slow heads, readers that do not read.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// What a connection is doing; written by its socket and its requests, read by its watchdog. Cells, not locks: a
/// connection never leaves its thread.
#[derive(Debug)]
pub struct Activity {
    /// Requests being answered.
    in_flight: Cell<u32>,
    /// Answers of which the peer has been given a piece and not asked for the next.
    offered: Cell<u32>,
    /// Since when nothing has been asked.
    idle_since: Cell<Instant>,
    /// When the first byte of a head came, while the head is incomplete.
    head_since: Cell<Option<Instant>>,
    /// Since when the peer takes no bytes.
    blocked_since: Cell<Option<Instant>>,
    /// The last request was answered before its body had come: bytes are that body's.
    uploading: Cell<bool>,
    /// HTTP/2: bytes between requests are frames, not the start of a head.
    multiplexed: Cell<bool>,
}

/// What becomes of a connection whose time has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Nothing was asked for too long: ask it to go.
    Idle,
    /// The peer neither finishes its head nor takes its answer: close.
    Stuck,
}

impl Activity {
    /// A connection that was just accepted.
    #[must_use]
    pub fn new(now: Instant) -> Rc<Self> {
        Rc::new(Self {
            in_flight: Cell::new(0),
            offered: Cell::new(0),
            idle_since: Cell::new(now),
            head_since: Cell::new(None),
            blocked_since: Cell::new(None),
            uploading: Cell::new(false),
            multiplexed: Cell::new(false),
        })
    }

    /// The connection speaks HTTP/2.
    pub fn multiplex(&self) {
        self.multiplexed.set(true);
    }

    /// A request begins; returns when its first byte came.
    pub fn begin(&self) -> Instant {
        self.in_flight.set(self.in_flight.get() + 1);
        self.uploading.set(false);
        self.head_since.take().unwrap_or_else(Instant::now)
    }

    /// An answer waits for the peer from now on, or for the cluster again.
    pub fn offer(&self, waits_for_peer: bool) {
        let offered = self.offered.get();
        self.offered.set(if waits_for_peer { offered + 1 } else { offered.saturating_sub(1) });
    }

    /// Whether the peer has begun a head and not ended it.
    #[must_use]
    pub fn is_reading_head(&self) -> bool {
        self.in_flight.get() == 0 && self.head_since.get().is_some()
    }

    /// A request is answered; `uploading` when its body is still coming.
    pub fn end(&self, now: Instant, uploading: bool) {
        self.uploading.set(uploading);
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
        self.idle_since.set(now);
    }

    /// When the connection's time will have come, and what for; `None` while it is being served.
    #[must_use]
    pub fn deadline(&self, header_timeout: Duration, idle_timeout: Duration) -> Option<(Instant, Verdict)> {
        if let Some(since) = self.blocked_since.get() {
            return Some((since + idle_timeout, Verdict::Stuck));
        }
        if self.in_flight.get() > 0 {
            // Over HTTP/2 the socket tells nothing of a peer that opens no window.
            let stuck = self.multiplexed.get() && self.offered.get() == self.in_flight.get();
            return stuck.then(|| (self.idle_since.get() + idle_timeout, Verdict::Stuck));
        }
        Some(match self.head_since.get() {
            Some(since) => (since + header_timeout, Verdict::Stuck),
            None => (self.idle_since.get() + idle_timeout, Verdict::Idle),
        })
    }

    fn received(&self) {
        if self.multiplexed.get() || self.uploading.get() {
            self.idle_since.set(Instant::now());
        } else if self.in_flight.get() == 0 && self.head_since.get().is_none() {
            self.head_since.set(Some(Instant::now()));
        }
    }

    fn wrote(&self, blocked: bool) {
        if !blocked {
            self.blocked_since.set(None);
        } else if self.blocked_since.get().is_none() {
            self.blocked_since.set(Some(Instant::now()));
        }
    }
}

/// A stream that keeps its [`Activity`] up to date.
#[derive(Debug)]
pub struct Watched<T> {
    stream: T,
    activity: Rc<Activity>,
}

impl<T> Watched<T> {
    /// Watches `stream`.
    pub fn new(stream: T, activity: Rc<Activity>) -> Self {
        Self { stream, activity }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.received();
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.activity.wrote(polled.is_pending());
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.activity.wrote(polled.is_pending());
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(75);

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_is_idle_after_its_time() {
        let start = Instant::now();
        assert_eq!(Activity::new(start).deadline(HEAD, IDLE), Some((start + IDLE, Verdict::Idle)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_must_end_in_time() {
        let start = Instant::now();
        let activity = Activity::new(start);
        activity.received();
        assert_eq!(activity.deadline(HEAD, IDLE), Some((start + HEAD, Verdict::Stuck)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_in_flight_may_take_its_time() {
        let start = Instant::now();
        let activity = Activity::new(start);
        activity.received();
        assert_eq!(activity.begin(), start);
        assert_eq!(activity.deadline(HEAD, IDLE), None);
        activity.end(start + 10 * IDLE, false);
        assert_eq!(activity.deadline(HEAD, IDLE), Some((start + 11 * IDLE, Verdict::Idle)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_stuck_even_mid_answer() {
        let start = Instant::now();
        let activity = Activity::new(start);
        activity.begin();
        activity.wrote(true);
        assert_eq!(activity.deadline(HEAD, IDLE), Some((start + IDLE, Verdict::Stuck)));
        activity.wrote(false);
        assert_eq!(activity.deadline(HEAD, IDLE), None);
    }

    #[tokio::test(start_paused = true)]
    async fn over_http_2_a_peer_is_stuck_when_every_answer_waits_for_it() {
        let start = Instant::now();
        let activity = Activity::new(start);
        activity.multiplex();
        activity.begin();
        activity.begin();
        activity.offer(true);
        assert_eq!(activity.deadline(HEAD, IDLE), None, "the cluster has the other");
        activity.offer(true);
        assert_eq!(activity.deadline(HEAD, IDLE), Some((start + IDLE, Verdict::Stuck)));
        activity.offer(false);
        assert_eq!(activity.deadline(HEAD, IDLE), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_after_its_answer_is_no_slow_head() {
        let start = Instant::now();
        let activity = Activity::new(start);
        activity.begin();
        activity.end(start, true);
        activity.received();
        assert_eq!(activity.deadline(HEAD, IDLE), Some((start + IDLE, Verdict::Idle)));
        assert!(!activity.is_reading_head());
    }

    #[tokio::test(start_paused = true)]
    async fn frames_between_http_2_requests_are_no_slow_head() {
        let start = Instant::now();
        let activity = Activity::new(start);
        activity.multiplex();
        activity.received();
        assert_eq!(activity.deadline(HEAD, IDLE), Some((start + IDLE, Verdict::Idle)));
    }
}
