//! What the operating system says: drain, reload, reopen.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that a server listens to, registered once.
#[derive(Debug)]
pub struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
    user: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asked {
    /// SIGTERM or SIGINT: the first drains, the second ends at once.
    End,
    /// SIGHUP.
    Reload,
    /// SIGUSR1: log files were renamed.
    Reopen,
}

impl Signals {
    /// Registers for all of them: from here on none ends the process by itself.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn register() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            user: signal(SignalKind::user_defined1())?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.hangup.recv() => Asked::Reload,
            _ = self.interrupt.recv() => Asked::End,
            _ = self.terminate.recv() => Asked::End,
            _ = self.user.recv() => Asked::Reopen,
        }
    }
}
