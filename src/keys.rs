//! API keys: create, find, invalidate, verify.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt, mem,
    sync::Arc,
    time::Duration,
};

use base64::{
    Engine,
    alphabet::Alphabet,
    engine::{
        GeneralPurpose,
        general_purpose::{NO_PAD, URL_SAFE_NO_PAD},
    },
};
use parking_lot::Mutex;
use serde_json::{Map, Value};

use crate::{
    clock::Clock,
    config,
    model::{KeyId, Timestamp},
    secret::{self, SecretText},
    store::{
        self, Announce, AnyStore, ApiKeyRecord, Change, Creator, KeyChange, KeyFilter, KeyKind, KeyUpdate, Page,
        SaltedDigest, Store, StoreError,
    },
};

/// The API keys of this gateway.
pub struct Keys {
    store: AnyStore,
    clock: Clock,
    config: config::ApiKeys,
    announce: Announce,
    /// Uses that are not written yet: the last of each key.
    used: Mutex<HashMap<KeyId, Timestamp>>,
}

/// What a new key is made of. Fields are valid already.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Its name.
    pub name: Box<str>,
    /// Life; absent = as configured.
    pub life: Option<Duration>,
    /// Assigned descriptors.
    pub role_descriptors: Map<String, Value>,
    /// The owner's descriptors now.
    pub limited_by: Map<String, Value>,
    /// Free metadata.
    pub metadata: Map<String, Value>,
    /// Its owner.
    pub creator: Creator,
    /// What a cross-cluster key gives access to; its presence makes it one.
    pub access: Option<Map<String, Value>>,
}

/// What an update changes: absent parts stay as they are. Fields are valid already.
#[derive(Clone, Debug)]
pub struct Update {
    /// Which kind of key it is for.
    pub kind: KeyKind,
    /// Who asks.
    pub creator: Creator,
    /// The owner's descriptors now.
    pub limited_by: Map<String, Value>,
    /// Assigned descriptors.
    pub role_descriptors: Option<Map<String, Value>>,
    /// Metadata, whole.
    pub metadata: Option<Map<String, Value>>,
    /// Access of a cross-cluster key.
    pub access: Option<Map<String, Value>>,
    /// Life from now on.
    pub life: Option<Duration>,
}

/// A key that was just made: the only time its secret is seen.
#[derive(Debug)]
pub struct CreatedKey {
    /// Public id.
    pub id: KeyId,
    /// When it stops working.
    pub expiration: Option<Timestamp>,
    /// The secret.
    pub secret: SecretText,
}

/// What an invalidation did.
#[derive(Clone, Debug, Default)]
pub struct Invalidated {
    /// Cross-cluster keys that were spared.
    pub spared: Vec<KeyId>,
    /// Stopped working now.
    pub invalidated: Vec<KeyId>,
    /// Had been invalidated before.
    pub previously: Vec<KeyId>,
}

/// What a presented key turned out to be.
#[derive(Debug)]
pub enum KeyVerdict {
    /// It is good.
    Accept(Box<ApiKeyRecord>),
    /// It is good, and for another port than those served here.
    CrossCluster,
    /// Its time is over.
    Expired,
    /// It was invalidated.
    Invalidated,
    /// No such id.
    Unknown,
    /// The id exists, the secret is another.
    WrongSecret,
}

/// Why an operation on keys failed.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A longer life than configuration allows. 400.
    #[error("expiration is longer than the maximum of {max:?}")]
    LifeTooLong {
        /// The maximum.
        max: Duration,
    },
    /// The owner has as many live keys as configuration allows. 400.
    #[error("owner has {max} API keys already")]
    TooMany {
        /// The maximum.
        max: u64,
    },
    /// The store did not answer. 503.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Keys {
    /// Keys kept in `store`.
    #[must_use]
    pub fn new(store: AnyStore, clock: Clock, config: config::ApiKeys, announce: Announce) -> Self {
        Self { store, clock, config, announce, used: Mutex::default() }
    }

    /// Makes a key; returns once it is durable.
    ///
    /// # Errors
    ///
    /// [`KeysError`].
    pub async fn create(&self, new: NewKey) -> Result<CreatedKey, KeysError> {
        let creation = self.clock.now();
        let life = life(new.life, &self.config)?;
        let expiration = life.map(|life| creation.plus(life));
        let id = new_id(creation);
        let secret = SecretText::new(URL_SAFE_NO_PAD.encode(secret::random::<16>()));
        let key = ApiKeyRecord {
            id: id.clone(),
            name: new.name,
            secret: SaltedDigest::of(secret.expose()),
            creation,
            expiration,
            invalidation: None,
            creator: new.creator,
            role_descriptors: new.role_descriptors.into(),
            limited_by: new.limited_by.into(),
            metadata: new.metadata,
            access: new.access,
            last_used: None,
        };
        let max = self.config.max_per_owner;
        if !self.store.insert_key(key, max).await? {
            return Err(KeysError::TooMany { max });
        }
        Ok(CreatedKey { id, expiration, secret })
    }

    /// Updates keys of their owner; one outcome an id, in order. Returns once it is durable and every cache has
    /// forgotten.
    ///
    /// # Errors
    ///
    /// [`KeysError`].
    pub async fn update(&self, ids: &[KeyId], update: Update) -> Result<Vec<KeyUpdate>, KeysError> {
        let at = self.clock.now();
        let Update { kind, creator, limited_by, role_descriptors, metadata, access, life: asked } = update;
        let expiration = match asked {
            Some(_) => life(asked, &self.config)?.map(|life| at.plus(life)),
            None => None,
        };
        let change = KeyChange { kind, creator, limited_by, role_descriptors, metadata, access, expiration, at };
        let (store, announce, ids) = (self.store.clone(), Arc::clone(&self.announce), ids.to_vec());
        store::complete(async move {
            let outcomes = store.update_keys(&ids, &change).await?;
            for (id, outcome) in ids.iter().zip(&outcomes) {
                if *outcome == KeyUpdate::Changed {
                    announce(&Change::Key(id.clone()));
                }
            }
            Ok(outcomes)
        })
        .await
    }

    /// A page of the keys that match.
    ///
    /// # Errors
    ///
    /// [`KeysError::Store`].
    pub async fn find(&self, filter: &KeyFilter, page: &Page) -> Result<Vec<ApiKeyRecord>, KeysError> {
        Ok(self.store.keys(filter, page).await?)
    }

    /// How many keys match.
    ///
    /// # Errors
    ///
    /// [`KeysError::Store`].
    pub async fn count(&self, filter: &KeyFilter) -> Result<u64, KeysError> {
        Ok(self.store.count_keys(filter).await?)
    }

    /// Invalidates what matches, of all kinds or of one; returns once it is durable and every cache has forgotten.
    ///
    /// # Errors
    ///
    /// [`KeysError::Store`].
    pub async fn invalidate(&self, filter: &KeyFilter) -> Result<Invalidated, KeysError> {
        let spared = match filter.kind {
            Some(KeyKind::Rest) => {
                let others = KeyFilter { kind: Some(KeyKind::CrossCluster), ..filter.clone() };
                let others = self.store.keys(&others, &Page::first(u64::MAX)).await?;
                others.into_iter().filter(|key| key.invalidation.is_none()).map(|key| key.id).collect()
            }
            _ => Vec::new(),
        };
        let (store, announce, filter, at) =
            (self.store.clone(), Arc::clone(&self.announce), filter.clone(), self.clock.now());
        let invalidated = store::complete(async move {
            let ids = store.invalidate_keys(&filter, at).await?;
            for id in &ids {
                announce(&Change::Key(id.clone()));
            }
            Ok::<_, StoreError>(ids)
        })
        .await?;
        // One transaction finds and marks them, so no race can have marked one in between.
        Ok(Invalidated { spared, invalidated, previously: Vec::new() })
    }

    /// Judges a presented key, in the order of API page section 2.5.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn verify(&self, id: &KeyId, secret: &str) -> Result<KeyVerdict, StoreError> {
        let now = self.clock.now();
        let verdict = self.store.key(id).await?.map_or(KeyVerdict::Unknown, |key| judge(key, secret, now));
        if let KeyVerdict::Accept(key) = &verdict {
            self.note_use(&key.id, now);
        }
        Ok(verdict)
    }

    /// Notes that a key was used; [`Keys::write_uses`] writes it.
    pub fn note_use(&self, id: &KeyId, at: Timestamp) {
        let mut used = self.used.lock();
        let room = used.len() < MOST_USES;
        match used.entry(id.clone()) {
            Entry::Occupied(mut last) => *last.get_mut() = at.max(*last.get()),
            Entry::Vacant(place) if room => drop(place.insert(at)),
            Entry::Vacant(_) => {}
        }
    }

    /// Writes what was noted, in batches. What cannot be written is noted again.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn write_uses(&self) -> Result<(), StoreError> {
        let used: Vec<_> = mem::take(&mut *self.used.lock()).into_iter().collect();
        for (place, batch) in used.chunks(USES).enumerate() {
            if let Err(error) = self.store.touch_keys(batch).await {
                for (id, at) in used.iter().skip(place * USES) {
                    self.note_use(id, *at);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// The key of that id if it works now, for what was minted with it.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn live(&self, id: &KeyId) -> Result<Option<ApiKeyRecord>, StoreError> {
        let now = self.clock.now();
        let key = self.store.key(id).await?;
        Ok(key.filter(|key| key.invalidation.is_none() && key.expiration.is_none_or(|expiration| expiration > now)))
    }

    /// Removes keys that have been dead for longer than they are kept; returns how many.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn remove_expired(&self) -> Result<u64, StoreError> {
        self.store.remove_keys(self.clock.now().minus(self.config.retention)).await
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// How long a key lives for which `asked` was asked.
fn life(asked: Option<Duration>, config: &config::ApiKeys) -> Result<Option<Duration>, KeysError> {
    match (asked.or(config.default_lifetime), config.max_lifetime) {
        (Some(life), Some(max)) if life > max => Err(KeysError::LifeTooLong { max }),
        (life, max) => Ok(life.or(max)),
    }
}

/// The flag first, then the secret, then time: an invalidated key says so to anyone, an expired one only to its owner.
fn judge(key: ApiKeyRecord, secret: &str, now: Timestamp) -> KeyVerdict {
    if key.invalidation.is_some() {
        KeyVerdict::Invalidated
    } else if !key.secret.matches(secret) {
        KeyVerdict::WrongSecret
    } else if key.kind() == KeyKind::CrossCluster {
        KeyVerdict::CrossCluster
    } else if key.expiration.is_some_and(|expiration| expiration <= now) {
        KeyVerdict::Expired
    } else {
        KeyVerdict::Accept(Box::new(key))
    }
}

/// 42 bits of time (until 2109) and 78 of chance, so that ids sort as their keys were made and fill an index in order.
fn new_id(creation: Timestamp) -> KeyId {
    let time = u128::from(creation.as_millis()) << 86;
    let chance = u128::from_be_bytes(secret::random()) >> 42;
    let [id @ .., _] = (time | chance).to_be_bytes();
    KeyId(SORTED.encode(id).into())
}

/// So many uses are one transaction: a writer that others wait for is not held for long.
const USES: usize = 1_000;
/// Keys whose uses wait to be written; of more than so many within seconds some are not told.
const MOST_USES: usize = 1 << 18;

/// URL-safe base64 whose texts sort as the bytes do.
const SORTED: GeneralPurpose = {
    let alphabet = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
    match Alphabet::new(alphabet) {
        Ok(alphabet) => GeneralPurpose::new(&alphabet, NO_PAD),
        Err(_) => panic!("64 different characters"),
    }
};

#[cfg(test)]
mod tests;
