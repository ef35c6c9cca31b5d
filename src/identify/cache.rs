//! Remembers who was proven, by a digest of all that proved it. Droppable at any moment.
//!
//! A hit takes no lock: one digest, one look-up, and a comparison of what the entry rests on with what was revoked
//! since. Revoking is a step of a counter, however many entries it ends.
//!
//! A verdict that was read from the store before a revocation must not be used after it. So [`Revocations::begin`]
//! comes before the read and [`Revocations::stamp`] after it; [`Revocations::revoke`] comes after the write. Revoking
//! steps the counter of the kind and then that of the subject's shard. Whoever inserts reads the shard and then the
//! kind: if the shard had been stepped already, the kind had too, differs from what it was at the beginning, and nothing
//! is kept. If it had not, the entry rests on an old shard and is never found again.
//!
//! What other replicas write is heard of with a delay ([`Follower`]). While nothing is heard, nothing is found.

use std::{
    collections::VecDeque,
    hash::{BuildHasher as _, BuildHasherDefault, Hash, Hasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::digest::{Context, SHA256, digest};
use parking_lot::Mutex;

use crate::{
    identify::presented::Presented,
    model::{KeyId, Timestamp},
    secret,
    store::{Announce, Change, DocumentKind, Follower, UserNamespace},
};

/// What the counters are made of; under loom they are made of something else.
mod atomic {
    pub(super) use std::sync::atomic::{AtomicU64, Ordering};
}
mod counters;

use counters::{Counters, Kinds};

/// Verdicts by digest. No more than its capacity, the longest unused go first.
#[derive(Debug)]
pub struct Cache<V> {
    entries: papaya::HashMap<Digest, Entry<V>, BuildHasherDefault<Prefix>>,
    capacity: usize,
    /// Digests in the order of their arrival, at least once each that is an entry.
    arrivals: Mutex<VecDeque<Digest>>,
}

/// What was revoked so far.
#[derive(Debug)]
pub struct Revocations {
    counters: Counters,
    hasher: RandomState,
    /// Milliseconds since the epoch until which nothing can have been written elsewhere for long without being heard of.
    /// Ends by itself when whoever hears stands still.
    current_until: AtomicU64,
}

/// Something a verdict rests on, and that can be revoked.
#[derive(Clone, Copy, Debug, Hash)]
pub enum Subject<'a> {
    /// All documents of a kind.
    Documents(DocumentKind),
    /// A user of a file.
    FileUser(&'a str),
    /// An API key.
    Key(&'a KeyId),
    /// All that a realm vouches for.
    Realm(&'a str),
    /// A session, by its id.
    Session(&'a [u8; 32]),
    /// An access token, by the digest it is stored under.
    Token(&'a [u8; 32]),
    /// A user.
    User(UserNamespace, &'a str),
}

/// When a verdict was begun: before anything was read for it.
#[derive(Clone, Copy, Debug)]
pub struct Begun(Kinds);

/// What a verdict rests on, as of its making; by default on nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stamps([Option<Stamp>; SUBJECTS]);

#[derive(Clone, Copy, Debug)]
struct Stamp {
    shard: usize,
    revocations: u64,
}

/// Makes digests that nobody outside of this process can predict.
pub struct Digester([u8; 32]);

/// Of all that decided.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Digest([u8; 32]);

/// A digest is random already; its first bytes are its hash.
#[derive(Debug, Default)]
struct Prefix(u64);

#[derive(Debug)]
struct Entry<V> {
    verdict: V,
    until: Timestamp,
    stamps: Stamps,
    used: AtomicBool,
    /// When it was last found, in milliseconds, at most [`STALE`] told late; 0 until it was.
    last: AtomicU64,
    /// Up to when that was told.
    told: AtomicU64,
}

impl<V: Clone> Cache<V> {
    /// Room for `capacity` verdicts.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { entries: papaya::HashMap::default(), capacity, arrivals: Mutex::default() }
    }

    /// The verdict of that digest, unless it is past its deadline, what it rests on was revoked, or nobody knows
    /// whether it was.
    #[must_use]
    pub fn get(&self, digest: &Digest, revocations: &Revocations, now: Timestamp) -> Option<V> {
        if !revocations.are_current(now) {
            return None;
        }
        let entries = self.entries.pin();
        let entry = entries.get(digest)?;
        if entry.until <= now || !revocations.honour(&entry.stamps) {
            return None;
        }
        if !entry.used.load(Ordering::Relaxed) {
            entry.used.store(true, Ordering::Relaxed);
        }
        // Most hits only read: a line of memory that many threads write is dear.
        if entry.last.load(Ordering::Relaxed).saturating_add(STALE) <= now.as_millis() {
            entry.last.store(now.as_millis(), Ordering::Relaxed);
        }
        Some(entry.verdict.clone())
    }

    /// Tells of every verdict that was found since the last telling, and when.
    pub fn tell_uses(&self, mut tell: impl FnMut(&V, Timestamp)) {
        for entry in self.entries.pin().values() {
            let last = entry.last.load(Ordering::Relaxed);
            if last > entry.told.swap(last, Ordering::Relaxed) {
                tell(&entry.verdict, Timestamp::from_millis(last));
            }
        }
    }

    /// Keeps a verdict until `until`.
    pub fn insert(&self, digest: Digest, verdict: V, until: Timestamp, stamps: Stamps) {
        if self.capacity == 0 {
            return;
        }
        let entries = self.entries.pin();
        let mut arrivals = self.arrivals.lock();
        let entry = Entry {
            verdict,
            until,
            stamps,
            used: AtomicBool::new(false),
            last: AtomicU64::new(0),
            told: AtomicU64::new(0),
        };
        if entries.insert(digest, entry).is_none() {
            arrivals.push_back(digest);
        }
        // Each is spared once if it was used since it came; all at once are not, so this ends.
        for _ in 0..SPARED {
            let Some(oldest) = (arrivals.len() > self.capacity).then(|| arrivals.pop_front()).flatten() else { return };
            if entries.get(&oldest).is_some_and(|entry| entry.used.swap(false, Ordering::Relaxed)) {
                arrivals.push_back(oldest);
            } else {
                entries.remove(&oldest);
            }
        }
        if arrivals.len() > self.capacity
            && let Some(oldest) = arrivals.pop_front()
        {
            entries.remove(&oldest);
        }
    }
}

impl Default for Revocations {
    fn default() -> Self {
        let (counters, hasher) = (Counters::new(SHARDS), RandomState::new());
        Self { counters, hasher, current_until: AtomicU64::new(u64::MAX) }
    }
}

impl Revocations {
    /// To be called before anything is read for a verdict.
    #[must_use]
    pub fn begin(&self) -> Begun {
        Begun(self.counters.begin())
    }

    /// What a verdict begun at `begun` rests on. Nothing if something of their kind was revoked
    /// since: then the verdict holds for the request at hand and is not to be kept.
    #[must_use]
    pub fn stamp(&self, begun: Begun, subjects: &[Subject<'_>]) -> Option<Stamps> {
        let mut stamps = Stamps::default();
        if subjects.len() > SUBJECTS {
            return None;
        }
        for (subject, stamp) in subjects.iter().zip(&mut stamps.0) {
            let shard = self.shard(*subject);
            let revocations = self.counters.stamp(&begun.0, subject.kind(), shard)?;
            *stamp = Some(Stamp { shard, revocations });
        }
        Some(stamps)
    }

    /// Ends every verdict that rests on `subject`, and a few others.
    pub fn revoke(&self, subject: Subject<'_>) {
        self.counters.revoke(subject.kind(), self.shard(subject));
    }

    /// Ends what rests on a change, for those who make some.
    #[must_use]
    pub fn announce(self: &Arc<Self>) -> Announce {
        let revocations = Arc::clone(self);
        Arc::new(move |change| revocations.revoke(change.into()))
    }

    /// Whether what other replicas wrote up to a moment ago is known. Always, where there are none.
    #[must_use]
    pub fn are_current(&self, now: Timestamp) -> bool {
        now.as_millis() < self.current_until.load(Ordering::SeqCst)
    }

    fn honour(&self, stamps: &Stamps) -> bool {
        stamps.0.iter().flatten().all(|stamp| self.counters.honour(stamp.shard, stamp.revocations))
    }

    fn shard(&self, subject: Subject<'_>) -> usize {
        usize::try_from(self.hasher.hash_one(subject) % SHARDS as u64).unwrap_or_default()
    }
}

impl Follower for Revocations {
    fn change(&self, change: &Change) {
        self.revoke(change.into());
    }

    fn change_all(&self) {
        self.counters.revoke_all();
    }

    fn hear(&self, at: Timestamp) {
        self.current_until.store(at.plus(HEARING).as_millis(), Ordering::SeqCst);
    }

    fn lose(&self) {
        self.current_until.store(0, Ordering::SeqCst);
    }
}

impl Subject<'_> {
    fn kind(&self) -> usize {
        match self {
            Self::Documents(_) => 0,
            Self::Key(_) => 1,
            Self::Token(_) => 2,
            Self::FileUser(_) | Self::Realm(_) | Self::User(..) => 3,
            Self::Session(_) => 4,
        }
    }
}

impl<'a> From<&'a Change> for Subject<'a> {
    fn from(change: &'a Change) -> Self {
        match change {
            Change::Documents(kind) => Self::Documents(*kind),
            Change::Key(id) => Self::Key(id),
            Change::Session(id) => Self::Session(id),
            Change::Token(digest) => Self::Token(digest),
            Change::User(namespace, name) => Self::User(*namespace, name),
        }
    }
}

impl Default for Digester {
    fn default() -> Self {
        Self(secret::random())
    }
}

impl Digester {
    /// The digest of the values of `Authorization` and of the header that authenticates the client.
    #[must_use]
    pub fn digest(&self, authorization: &[u8], client: Option<&[u8]>) -> Digest {
        // A header that is absent must be told from one that is empty.
        match client {
            Some(client) => self.of(1, authorization, client),
            None => self.of(0, authorization, &[]),
        }
    }

    /// The digest of a client certificate, of which `fingerprint` is one.
    #[must_use]
    pub fn certificate(&self, fingerprint: &[u8; 32]) -> Digest {
        self.of(2, fingerprint, &[])
    }

    /// Of two values of that kind.
    fn of(&self, kind: u8, first: &[u8], second: &[u8]) -> Digest {
        // Where the first part ends must be told.
        let length = (first.len() as u64).to_le_bytes();
        let parts = [&self.0[..], &length, &[kind], first, second];
        let mut buffer = [0; BUFFER];
        let mut filled = 0;
        for part in parts {
            let Some(place) = buffer.get_mut(filled..filled + part.len()) else { return Digest::of_long(&parts) };
            place.copy_from_slice(part);
            filled += part.len();
        }
        Digest::of(digest(&SHA256, buffer.get(..filled).unwrap_or_default()).as_ref())
    }

    /// The digest of a password or token that stands in a body; of nothing else.
    #[must_use]
    pub fn presented(&self, presented: &Presented) -> Option<Digest> {
        let (kind, name, secret) = match presented {
            Presented::Basic { username, password } => (&b"basic in a body"[..], &**username, password),
            Presented::Bearer(token) => (&b"bearer in a body"[..], "", token),
            _ => return None,
        };
        let length = (name.len() as u64).to_le_bytes();
        Some(Digest::of_long(&[&self.0, kind, &length, name.as_bytes(), secret.expose().as_bytes()]))
    }
}

impl std::fmt::Debug for Digester {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Digest {
    /// What is a digest already, of something that nobody can choose.
    #[must_use]
    pub fn of_digest(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    fn of(digest: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest);
        Self(bytes)
    }

    fn of_long(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(part);
        }
        Self::of(context.finish().as_ref())
    }
}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [first, ..] = self.0.as_chunks::<8>().0 else { return };
        state.write_u64(u64::from_le_bytes(*first));
    }
}

impl Hasher for Prefix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// How long verdicts are used without word from the store's other replicas.
const HEARING: Duration = Duration::from_secs(1);
/// Most that a verdict rests on: a token, who minted it, the user it runs as, and the roles.
const SUBJECTS: usize = 4;
/// A revocation ends one in so many of the entries that it is not about.
const SHARDS: usize = 4096;
/// Milliseconds within which uses are one.
const STALE: u64 = 1_000;
/// Entries looked at to find one that nobody used.
const SPARED: usize = 8;
/// Holds a key, a password or an own token; what is longer is digested in steps.
const BUFFER: usize = 512;

#[cfg(test)]
mod tests;
