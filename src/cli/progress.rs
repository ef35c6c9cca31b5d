//! A bar for what takes longer than a second: on a terminal's standard error, nowhere else.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use tokio::time::Instant;

/// How far something is.
#[derive(Debug)]
pub struct Progress {
    total: u64,
    done: u64,
    since: Instant,
    shown: bool,
}

impl Progress {
    /// Of `total` steps none is done.
    #[must_use]
    pub fn of(total: u64) -> Self {
        Self { total, done: 0, since: Instant::now(), shown: false }
    }

    /// Some more are done.
    pub fn advance(&mut self, steps: u64) {
        self.done = self.done.saturating_add(steps);
        if self.since.elapsed() < PATIENCE || !io::stderr().is_terminal() {
            return;
        }
        self.shown = true;
        // A bar that nobody sees is no reason to end.
        let _ = write!(io::stderr(), "\r{}", bar(self.done, self.total));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            // Clears the line, as above.
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn bar(done: u64, total: u64) -> String {
    let total = total.max(done).max(1);
    let filled = usize::try_from(done.saturating_mul(WIDTH) / total).unwrap_or_default();
    format!("[{:<30}] {done}/{total}", "#".repeat(filled))
}

const PATIENCE: Duration = Duration::from_secs(1);
const WIDTH: u64 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_and_never_overflows() {
        assert_eq!(bar(0, 0), format!("[{}] 0/1", " ".repeat(30)));
        assert_eq!(bar(1, 2), format!("[{}{}] 1/2", "#".repeat(15), " ".repeat(15)));
        assert_eq!(bar(3, 2), format!("[{}] 3/3", "#".repeat(30)));
    }
}
