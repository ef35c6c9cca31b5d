//! Why sessions end, and pairs are revoked.

use std::fmt;

/// Why a session ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Reason {
    /// An administrator ended it.
    Administration,
    /// Its user has newer ones, as many as allowed.
    ConcurrencyLimit,
    /// Nobody used it for too long.
    IdleTimeout,
    /// It lived as long as a session may.
    Lifespan,
    /// Its user logged out.
    Logout,
    /// None of the others.
    Unexpected,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::Administration,
        Self::ConcurrencyLimit,
        Self::IdleTimeout,
        Self::Lifespan,
        Self::Logout,
        Self::Unexpected,
    ];

    /// As told to clients, stored, and counted.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Administration => "administration",
            Self::ConcurrencyLimit => "concurrency_limit",
            Self::IdleTimeout => "idle_timeout",
            Self::Lifespan => "lifespan",
            Self::Logout => "logout",
            Self::Unexpected => "unexpected",
        }
    }

    /// The reason of that name; a newer version may know others.
    pub(super) fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name).unwrap_or(Self::Unexpected)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
