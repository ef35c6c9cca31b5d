//! Password hashing, off the request threads: a few threads of its own behind a bounded queue.

use crate::secret::SecretText;

/// Hashes and verifies passwords (Argon2id, PHC strings).
#[derive(Clone, Debug)]
pub struct Passwords {}

/// The queue is full: the caller is told to come back (429).
#[derive(Debug, thiserror::Error)]
#[error("too many passwords are waiting to be hashed")]
pub struct Busy;

/// A stored password hash: a PHC string. Prints as `[redacted]`.
#[derive(Clone, Debug)]
pub struct PasswordHash(pub SecretText);

impl Passwords {
    /// Starts `threads` hashing threads with room for `queue` waiting jobs.
    #[must_use]
    pub fn start(threads: usize, queue: usize) -> Self {
        let _ = (threads, queue);
        todo!()
    }

    /// Hashes `password` with a fresh salt.
    ///
    /// # Errors
    ///
    /// [`Busy`] when the queue is full.
    pub async fn hash(&self, password: SecretText) -> Result<PasswordHash, Busy> {
        let _ = password;
        todo!()
    }

    /// Whether `password` is the one behind `hash`. `None` costs as much and is never true: an unknown
    /// user must take as long as a known one.
    ///
    /// # Errors
    ///
    /// [`Busy`] when the queue is full.
    pub async fn verify(&self, hash: Option<PasswordHash>, password: SecretText) -> Result<bool, Busy> {
        let _ = (hash, password);
        todo!()
    }
}
