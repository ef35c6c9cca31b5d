//! The reference model: everything in memory, in the plainest way.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use parking_lot::RwLock;

use crate::{
    model::{KeyId, Timestamp},
    store::{ApiKeyRecord, KeyFilter, Store, StoreError, TokenRecord, UserNamespace, UserRecord},
};

/// A store that ends with the process.
#[derive(Default)]
pub struct Memory {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    users: BTreeMap<(UserNamespace, Box<str>), UserRecord>,
    keys: HashMap<KeyId, ApiKeyRecord>,
    tokens: HashMap<[u8; 32], TokenRecord>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

impl Store for Memory {
    async fn user(&self, namespace: UserNamespace, name: &str) -> Result<Option<UserRecord>, StoreError> {
        Ok(self.state.read().users.get(&(namespace, name.into())).cloned())
    }

    async fn users(&self, namespace: UserNamespace) -> Result<Vec<UserRecord>, StoreError> {
        Ok(self.state.read().users.values().filter(|user| user.namespace == namespace).cloned().collect())
    }

    async fn put_user(&self, mut user: UserRecord) -> Result<bool, StoreError> {
        let users = &mut self.state.write().users;
        let place = (user.namespace, user.identity.username.clone());
        if user.password.is_none() {
            user.password = users.get(&place).and_then(|existing| existing.password.clone());
        }
        Ok(users.insert(place, user).is_none())
    }

    async fn delete_user(&self, namespace: UserNamespace, name: &str) -> Result<bool, StoreError> {
        Ok(self.state.write().users.remove(&(namespace, name.into())).is_some())
    }

    async fn insert_key(&self, key: ApiKeyRecord, max_per_owner: u64) -> Result<bool, StoreError> {
        let keys = &mut self.state.write().keys;
        let of_owner = KeyFilter {
            username: Some(key.creator.identity.username.clone()),
            realm: Some((&*key.creator.realm.name).into()),
            active_at: Some(key.creation),
            ..KeyFilter::default()
        };
        let live = keys.values().filter(|key| matches(&of_owner, key)).count();
        let room = u64::try_from(live).is_ok_and(|live| live < max_per_owner);
        if room {
            keys.insert(key.id.clone(), key);
        }
        Ok(room)
    }

    async fn key(&self, id: &KeyId) -> Result<Option<ApiKeyRecord>, StoreError> {
        Ok(self.state.read().keys.get(id).cloned())
    }

    async fn keys(&self, filter: &KeyFilter) -> Result<Vec<ApiKeyRecord>, StoreError> {
        let mut found: Vec<_> = self.state.read().keys.values().filter(|key| matches(filter, key)).cloned().collect();
        found.sort_by(|a, b| (a.creation, &a.id).cmp(&(b.creation, &b.id)));
        Ok(found)
    }

    async fn invalidate_keys(&self, filter: &KeyFilter, at: Timestamp) -> Result<Vec<KeyId>, StoreError> {
        let keys = &mut self.state.write().keys;
        let mut invalidated: Vec<_> = keys
            .values_mut()
            .filter(|key| key.invalidation.is_none() && matches(filter, key))
            .map(|key| {
                key.invalidation = Some(at);
                (key.creation, key.id.clone())
            })
            .collect();
        invalidated.sort();
        Ok(invalidated.into_iter().map(|(_, id)| id).collect())
    }

    async fn remove_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        let keys = &mut self.state.write().keys;
        let dead = |key: &ApiKeyRecord| key.expiration.into_iter().chain(key.invalidation).any(|end| end < before);
        Ok(keys.extract_if(|_, key| dead(key)).map(|_| 1).sum())
    }

    async fn insert_token(&self, token: TokenRecord) -> Result<(), StoreError> {
        self.state.write().tokens.insert(token.digest, token);
        Ok(())
    }

    async fn token(&self, digest: &[u8; 32]) -> Result<Option<TokenRecord>, StoreError> {
        Ok(self.state.read().tokens.get(digest).cloned())
    }

    async fn invalidate_token(&self, digest: &[u8; 32], at: Timestamp) -> Result<bool, StoreError> {
        let tokens = &mut self.state.write().tokens;
        let good = tokens.get_mut(digest).filter(|token| token.invalidation.is_none() && token.expiration > at);
        Ok(good.map(|token| token.invalidation = Some(at)).is_some())
    }

    async fn remove_tokens(&self, before: Timestamp) -> Result<u64, StoreError> {
        Ok(self.state.write().tokens.extract_if(|_, token| token.expiration < before).map(|_| 1).sum())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

fn matches(filter: &KeyFilter, key: &ApiKeyRecord) -> bool {
    let owner = &key.creator;
    filter.ids.as_ref().is_none_or(|ids| ids.contains(&key.id))
        && filter.name.as_ref().is_none_or(|name| match name.strip_suffix('*') {
            Some(prefix) => key.name.starts_with(prefix),
            None => key.name == *name,
        })
        && filter.username.as_ref().is_none_or(|username| owner.identity.username == *username)
        && filter.realm.as_ref().is_none_or(|realm| *owner.realm.name == **realm)
        && filter
            .active_at
            .is_none_or(|at| key.invalidation.is_none() && key.expiration.is_none_or(|expiration| expiration > at))
}
