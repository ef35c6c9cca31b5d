//! The only reader of wall time.
//!
//! In tests the wall clock is derived from tokio's, so one `tokio::time::advance` moves both.

use crate::model::Timestamp;

/// Tells the time.
#[derive(Clone, Debug)]
pub struct Clock {
    /// `Some` in tests: wall time at the instant the clock was made.
    anchored: Option<(Timestamp, tokio::time::Instant)>,
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self { anchored: None }
    }

    /// A clock that starts at `start` and moves with tokio's time.
    #[must_use]
    pub fn anchored(start: Timestamp) -> Self {
        Self { anchored: Some((start, tokio::time::Instant::now())) }
    }

    /// Wall time now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may ask the machine")]
    pub fn now(&self) -> Timestamp {
        match &self.anchored {
            Some((start, since)) => start.plus(since.elapsed()),
            None => Timestamp::from_millis(
                std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            ),
        }
    }
}
