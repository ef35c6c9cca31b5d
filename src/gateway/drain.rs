//! Stops accepting, lets what is under way finish, and gives up at a deadline.

use std::time::Duration;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How a drain ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Drained {
    /// Every connection finished.
    Clean,
    /// Some were cut off at the deadline.
    Cut,
}

/// Asks every connection to finish and waits until they have, at most `patience`.
pub async fn drain(draining: &CancellationToken, connections: &TaskTracker, patience: Duration) -> Drained {
    draining.cancel();
    connections.close();
    match tokio::time::timeout(patience, connections.wait()).await {
        Ok(()) => Drained::Clean,
        Err(_) => Drained::Cut,
    }
}

/// Long enough for a large bulk request, shorter than what process managers wait before they kill.
pub const PATIENCE: Duration = Duration::from_secs(25);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_drain_waits_for_what_is_under_way_but_not_for_ever() {
        let (token, tracker) = (CancellationToken::new(), TaskTracker::new());
        tracker.spawn(tokio::time::sleep(Duration::from_secs(3)));
        assert_eq!(drain(&token, &tracker, PATIENCE).await, Drained::Clean);

        let (token, tracker) = (CancellationToken::new(), TaskTracker::new());
        tracker.spawn(std::future::pending::<()>());
        assert_eq!(drain(&token, &tracker, PATIENCE).await, Drained::Cut);
        assert!(token.is_cancelled());
    }
}
