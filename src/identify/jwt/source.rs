//! Where an issuer's keys come from, and the last good ones.
//!
//! One task on the control plane reads them: now and then, and when a token names a key that is not among them. Data
//! threads ask for that and wait, all for the same reading, and not more often than every [`PAUSE`].

use std::{path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    fetch::{FetchError, Remote},
    identify::{
        cache::{Revocations, Subject},
        jwt::keys::{KeySet, NoKeys},
    },
};

/// The keys of one issuer.
#[derive(Debug)]
pub struct KeySource {
    realm: Arc<str>,
    place: Place,
    current: ArcSwapOption<KeySet>,
    state: Mutex<State>,
    wake: Notify,
    /// Steps when a reading has ended.
    rounds: watch::Sender<u64>,
    revocations: Arc<Revocations>,
}

/// Where keys are.
#[derive(Debug)]
pub(super) enum Place {
    File(PathBuf),
    Remote(Remote),
}

/// Why keys were not read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file that cannot be read.
    #[error("the file cannot be read")]
    File(#[source] std::io::Error),
    /// An address that does not answer.
    #[error(transparent)]
    Remote(Box<dyn std::error::Error + Send + Sync>),
    /// Something else than keys.
    #[error(transparent)]
    Unusable(Box<dyn std::error::Error + Send + Sync>),
}

#[derive(Debug)]
struct State {
    /// Asked for and not ended.
    under_way: bool,
    /// When the next one may be asked for.
    not_before: Instant,
    /// Whether the last one failed.
    failed: bool,
}

impl KeySource {
    pub(super) fn new(realm: Arc<str>, place: Place, revocations: Arc<Revocations>) -> Self {
        Self {
            realm,
            place,
            current: ArcSwapOption::empty(),
            state: Mutex::new(State { under_way: false, not_before: Instant::now(), failed: true }),
            wake: Notify::new(),
            rounds: watch::Sender::new(0),
            revocations,
        }
    }

    /// Reads keys from a file at once: one that cannot be used is the operator's mistake.
    ///
    /// # Errors
    ///
    /// [`SourceError`].
    pub(super) fn open(self) -> Result<Self, SourceError> {
        if let Place::File(file) = &self.place {
            self.current.store(Some(Arc::new(read_file(file)?)));
            self.state.lock().failed = false;
        }
        Ok(self)
    }

    /// The last good keys.
    pub(super) fn current(&self) -> Option<Arc<KeySet>> {
        self.current.load_full()
    }

    /// Whether newer keys may exist that could not be read.
    pub(super) fn is_failing(&self) -> bool {
        self.state.lock().failed
    }

    /// Has the keys read again and waits for it, unless that was done a moment ago.
    pub(super) async fn refresh(&self) {
        let mut rounds = self.rounds.subscribe();
        {
            let mut state = self.state.lock();
            if !state.under_way {
                if Instant::now() < state.not_before {
                    return;
                }
                state.under_way = true;
                self.wake.notify_one();
            }
        }
        // Whoever waits in vain goes on with what there is.
        let _in_time = timeout(PATIENCE, rounds.changed()).await;
    }

    /// Keeps the keys fresh until `stop`.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        loop {
            self.state.lock().under_way = true;
            let read = tokio::select! {
                () = stop.cancelled() => return,
                read = self.read() => read,
            };
            let pause = match (&read, &self.place) {
                (Err(_), _) | (_, Place::File(_)) => PAUSE,
                (Ok(_), Place::Remote(_)) => REFRESH,
            };
            self.land(read);
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.asked() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// Returns once somebody waits: an older wish may have been met by a reading that began by itself.
    async fn asked(&self) {
        loop {
            self.wake.notified().await;
            if self.state.lock().under_way {
                return;
            }
        }
    }

    async fn read(&self) -> Result<KeySet, SourceError> {
        match &self.place {
            Place::File(file) => read_file(file),
            Place::Remote(remote) => Ok(KeySet::read(&remote.get(READING).await?)?),
        }
    }

    /// Takes over what was read; what was proven by other keys is forgotten.
    fn land(&self, read: Result<KeySet, SourceError>) {
        let failed = read.is_err();
        match read {
            Ok(new) => {
                let new = Arc::new(new);
                let old = self.current.swap(Some(Arc::clone(&new)));
                if old.is_some_and(|old| !old.is(&new)) {
                    self.revocations.revoke(Subject::Realm(&self.realm));
                    tracing::info!(realm = &*self.realm, "keys of the issuer replaced");
                }
            }
            Err(error) => {
                tracing::warn!(realm = &*self.realm, error = &error as &dyn std::error::Error, "no keys of the issuer");
            }
        }
        *self.state.lock() = State { under_way: false, not_before: Instant::now() + PAUSE, failed };
        self.rounds.send_modify(|round| *round = round.wrapping_add(1));
    }
}

impl From<FetchError> for SourceError {
    fn from(error: FetchError) -> Self {
        Self::Remote(error.into())
    }
}

impl From<NoKeys> for SourceError {
    fn from(error: NoKeys) -> Self {
        Self::Unusable(error.into())
    }
}

fn read_file(file: &std::path::Path) -> Result<KeySet, SourceError> {
    Ok(KeySet::read(&std::fs::read(file).map_err(SourceError::File)?)?)
}

/// Between readings, however many tokens ask for one.
const PAUSE: Duration = Duration::from_secs(10);
/// For the whole of a reading.
const READING: Duration = Duration::from_secs(5);
/// A request waits no longer than a reading can take.
const PATIENCE: Duration = Duration::from_secs(6);
/// How long a key that the issuer took back is still good at most.
const REFRESH: Duration = Duration::from_mins(5);

#[cfg(test)]
mod tests;
