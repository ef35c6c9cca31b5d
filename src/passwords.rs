//! Password hashing, off the request threads: a few threads of its own behind a bounded queue.
//!
//! One hash takes tens of milliseconds and 19 MiB, so a client that opens fifty connections at once with the same
//! user and password shares one.

use std::{
    collections::HashMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use argon2::{
    Argon2,
    password_hash::{Error, PasswordHasher, PasswordVerifier, phc},
};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use crate::secret::{self, SecretText};

mod foreign;

use foreign::Foreign;

/// Hashes and verifies passwords (Argon2id, PHC strings).
#[derive(Clone)]
pub struct Passwords {
    queue: mpsc::SyncSender<Job>,
    flights: Flights,
    waiting: Arc<AtomicUsize>,
}

/// The queue is full, or hashing failed: the caller is told to come back (429).
#[derive(Debug, thiserror::Error)]
#[error("too many passwords are waiting to be hashed")]
pub struct Busy;

/// A stored password hash: a PHC string, or what Elasticsearch made. Prints as `[redacted]`.
#[derive(Clone, Debug)]
pub struct PasswordHash(pub SecretText);

type Job = Box<dyn FnOnce() + Send>;
type Verdict = watch::Receiver<Option<bool>>;
type Flights = Arc<Mutex<HashMap<FlightKey, Verdict>>>;
/// Account, and digest of the hash and the password.
type FlightKey = (Box<str>, [u8; 32]);

impl Passwords {
    /// Starts `threads` hashing threads with room for `queue` waiting jobs.
    #[must_use]
    pub fn start(threads: usize, queue: usize) -> Self {
        let (queue, jobs) = mpsc::sync_channel(queue);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..threads {
            let jobs = Arc::clone(&jobs);
            // Without any thread the queue is closed and everyone is told `Busy`.
            if let Err(error) = thread::Builder::new().name("password".into()).spawn(move || work(&jobs)) {
                tracing::error!(%error, "a password hashing thread did not start");
            }
        }
        Self { queue, flights: Flights::default(), waiting: Arc::default() }
    }

    /// Hashes asked for and not yet made.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Hashes `password` with a fresh salt.
    ///
    /// # Errors
    ///
    /// [`Busy`] when the queue is full.
    pub async fn hash(&self, password: SecretText) -> Result<PasswordHash, Busy> {
        let (reply, hash) = oneshot::channel();
        self.submit(Box::new(move || {
            if let Ok(hash) = PasswordHash::of(&password) {
                // The caller may have gone.
                let _ = reply.send(hash);
            }
        }))?;
        hash.await.map_err(|_| Busy)
    }

    /// Whether `password` is the one behind `hash`. `None` costs as much and is never true: an unknown
    /// user must take as long as a known one. Those who ask the same of the same `account` at the same time share
    /// one hash, whether the account exists or not.
    ///
    /// # Errors
    ///
    /// [`Busy`] when the queue is full.
    pub async fn verify(&self, account: &str, hash: Option<PasswordHash>, password: SecretText) -> Result<bool, Busy> {
        let mut verdict = self.join(account, hash, password)?;
        let verdict = verdict.wait_for(Option::is_some).await.map_err(|_| Busy)?;
        verdict.ok_or(Busy)
    }

    /// The verdict of a flight that is under way, or of a new one.
    fn join(&self, account: &str, hash: Option<PasswordHash>, password: SecretText) -> Result<Verdict, Busy> {
        let phc = hash.as_ref().map_or("", |hash| hash.0.expose());
        // A PHC string has no NUL, so the first one ends it.
        let key = (account.into(), secret::sha256(&[phc.as_bytes(), &[0], password.expose().as_bytes()]));
        let mut flights = self.flights.lock();
        if let Some(verdict) = flights.get(&key) {
            return Ok(verdict.clone());
        }
        let (sender, verdict) = watch::channel(None);
        flights.insert(FlightKey::clone(&key), verdict.clone());
        drop(flights);
        let flight = Flight { key, flights: Arc::clone(&self.flights), outcome: None, waiting: sender };
        self.submit(Box::new(move || flight.land(check(hash.as_ref(), &password).ok())))?;
        Ok(verdict)
    }

    fn submit(&self, job: Job) -> Result<(), Busy> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(&self.waiting));
        let job = Box::new(move || {
            let _place = place;
            job();
        });
        self.queue.try_send(job).map_err(|_| Busy)
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").finish_non_exhaustive()
    }
}

impl PasswordHash {
    /// Hashes `password` with a fresh salt, on this thread.
    ///
    /// # Errors
    ///
    /// [`Busy`] when there is no memory for it.
    pub fn of(password: &SecretText) -> Result<Self, Busy> {
        let salt: [u8; 16] = secret::random();
        let hash: Result<phc::PasswordHash, _> =
            argon().hash_password_with_salt(password.expose().as_bytes(), &salt).inspect_err(report);
        Ok(Self(SecretText::new(hash.map_err(|_| Busy)?.to_string())))
    }

    /// A hash that Elasticsearch made: bcrypt, or PBKDF2 in one of its two forms. `None` for anything else.
    #[must_use]
    pub fn foreign(text: &str) -> Option<Self> {
        Foreign::read(text).map(|_| Self(SecretText::new(text.to_owned())))
    }

    /// Whether `text` is a hash that passwords can be verified against here: Argon2id, as a PHC string.
    #[must_use]
    pub fn is_well_formed(text: &str) -> bool {
        text.starts_with("$argon2id$") && phc::PasswordHash::new(text).is_ok_and(|hash| hash.hash.is_some())
    }
}

/// A place among the waiting, given back however the hash ends.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One hash that several may wait for. However it ends, its place is free again and nobody waits for ever.
struct Flight {
    key: FlightKey,
    flights: Flights,
    outcome: Option<bool>,
    waiting: watch::Sender<Option<bool>>,
}

impl Flight {
    fn land(mut self, outcome: Option<bool>) {
        self.outcome = outcome;
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
        // Without an outcome those who wait see the sender go.
        self.waiting.send_replace(self.outcome);
    }
}

fn work(jobs: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        let Ok(job) = jobs.lock().recv() else { return };
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a password hash panicked");
        }
    }
}

fn check(hash: Option<&PasswordHash>, password: &SecretText) -> Result<bool, Busy> {
    let Some(hash) = hash else {
        return PasswordHash::of(password).map(|_| false);
    };
    if let Some(foreign) = Foreign::read(hash.0.expose()) {
        return foreign.matches(password).ok_or(Busy);
    }
    match argon().verify_password(password.expose().as_bytes(), hash.0.expose()) {
        Ok(()) => Ok(true),
        Err(Error::PasswordInvalid) => Ok(false),
        Err(error) => {
            report(&error);
            Err(Busy)
        }
    }
}

/// Argon2id with 19 MiB, two passes, one lane.
fn argon() -> Argon2<'static> {
    Argon2::default()
}

fn report(error: &Error) {
    tracing::error!(%error, "a password cannot be hashed");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> SecretText {
        SecretText::new(text.to_owned())
    }

    /// Keeps the only thread of `passwords` busy until the sender is dropped.
    fn hold(passwords: &Passwords) -> mpsc::Sender<()> {
        let (release, held) = mpsc::channel::<()>();
        let (started, running) = mpsc::channel();
        passwords
            .submit(Box::new(move || {
                started.send(()).unwrap();
                held.recv().unwrap_err();
            }))
            .unwrap();
        running.recv().unwrap();
        release
    }

    #[tokio::test]
    async fn a_password_is_verified_against_its_hash() {
        let passwords = Passwords::start(1, 4);
        let hash = passwords.hash(text("correct")).await.unwrap();
        assert!(hash.0.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(passwords.verify("u", Some(hash.clone()), text("correct")).await.unwrap());
        assert!(!passwords.verify("u", Some(hash), text("wrong")).await.unwrap());
    }

    #[tokio::test]
    async fn the_same_password_is_hashed_differently_each_time() {
        let passwords = Passwords::start(1, 4);
        let one = passwords.hash(text("same")).await.unwrap();
        let two = passwords.hash(text("same")).await.unwrap();
        assert_ne!(one.0.expose(), two.0.expose());
    }

    #[tokio::test]
    async fn a_user_without_a_hash_is_never_verified() {
        assert!(!Passwords::start(1, 4).verify("nobody", None, text("")).await.unwrap());
    }

    #[tokio::test]
    async fn a_full_queue_is_an_answer() {
        let passwords = Passwords::start(1, 1);
        let release = hold(&passwords);
        passwords.submit(Box::new(|| {})).unwrap();
        passwords.hash(text("late")).await.unwrap_err();
        passwords.verify("u", None, text("late")).await.unwrap_err();
        assert!(passwords.flights.lock().is_empty());
        drop(release);
    }

    #[tokio::test]
    async fn waiters_for_the_same_account_and_password_share_one_hash() {
        let passwords = Passwords::start(1, 1);
        let release = hold(&passwords);
        // The queue has room for one job: a second hash would be refused.
        let one = passwords.verify("u", None, text("same"));
        let two = passwords.verify("u", None, text("same"));
        let other = passwords.verify("v", None, text("same"));
        let all = async { tokio::join!(one, two, other) };
        let (all, ()) = tokio::join!(all, async { drop(release) });
        assert!(matches!(all, (Ok(false), Ok(false), Err(Busy))));
        assert!(passwords.flights.lock().is_empty());
    }

    #[tokio::test]
    async fn a_panic_in_a_hasher_loses_neither_waiters_nor_threads() {
        let passwords = Passwords::start(1, 4);
        let (reply, lost) = oneshot::channel::<()>();
        passwords
            .submit(Box::new(move || {
                let _reply = reply;
                panic!("on purpose");
            }))
            .unwrap();
        lost.await.unwrap_err();
        assert!(passwords.hash(text("next")).await.is_ok());
    }

    #[tokio::test]
    async fn a_hash_that_was_taken_over_is_verified_too() {
        let hash = "$2a$04$abcdefghijklmnopqrstuuCHf7DUmNUvMBdGje9JveOQe49tH5xFK";
        let (passwords, hash) = (Passwords::start(1, 4), PasswordHash::foreign(hash).unwrap());
        assert!(passwords.verify("u", Some(hash.clone()), text("secret1")).await.unwrap());
        assert!(!passwords.verify("u", Some(hash), text("secret2")).await.unwrap());
    }

    #[tokio::test]
    async fn a_damaged_hash_is_our_fault_and_not_a_wrong_password() {
        let damaged = PasswordHash(text("$argon2id$damaged"));
        Passwords::start(1, 1).verify("u", Some(damaged), text("any")).await.unwrap_err();
    }

    #[test]
    fn nothing_of_it_prints() {
        let hash = PasswordHash::of(&text("hunter2")).unwrap();
        assert_eq!(format!("{hash:?}"), "PasswordHash([redacted])");
    }
}
