//! The reference model: everything in memory, in the plainest way.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, btree_map::Entry},
    fmt,
};

use parking_lot::RwLock;
use serde_json::Value;

use crate::{
    model::{KeyId, Timestamp},
    passwords::PasswordHash,
    store::{
        ApiKeyRecord, DocumentKind, KeyChange, KeyFilter, KeyUpdate, Page, Put, Refresh, RefreshRefusal, Refreshed,
        RevocationClaim, RevocationRecord, SealedPair, SessionEnd, SessionFilter, SessionRecord, Store, StoreError,
        TokenRecord, TokenSelector, TokensInvalidated, UserNamespace, UserRecord,
    },
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
    sessions: BTreeMap<[u8; 32], SessionRecord>,
    /// And who claimed it last.
    revocations: BTreeMap<u64, (RevocationRecord, Option<Box<str>>)>,
    last_revocation: u64,
    documents: BTreeMap<(DocumentKind, Box<str>), Value>,
}

impl State {
    fn revoke(&mut self, pair: SealedPair, cause: &str, at: Timestamp) {
        self.last_revocation += 1;
        let id = self.last_revocation;
        let record = RevocationRecord { id, pair, cause: cause.into(), created_at: at, due_at: at, attempts: 0 };
        self.revocations.insert(id, (record, None));
    }
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

    async fn change_user(
        &self,
        namespace: UserNamespace,
        name: &str,
        password: Option<PasswordHash>,
        enabled: Option<bool>,
    ) -> Result<bool, StoreError> {
        let users = &mut self.state.write().users;
        let Some(user) = users.get_mut(&(namespace, name.into())) else { return Ok(false) };
        user.enabled = enabled.unwrap_or(user.enabled);
        if password.is_some() {
            user.password = password;
        }
        Ok(true)
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

    async fn keys(&self, filter: &KeyFilter, page: &Page) -> Result<Vec<ApiKeyRecord>, StoreError> {
        let state = self.state.read();
        let mut found: Vec<_> = state.keys.values().filter(|key| matches(filter, key)).collect();
        let place = |key: &ApiKeyRecord| (key.creation, key.id.clone());
        found.sort_by_key(|key| place(key));
        if page.newest_first {
            found.reverse();
        }
        let behind = |key: &&ApiKeyRecord| {
            page.after
                .as_ref()
                .is_none_or(|after| if page.newest_first { place(key) < *after } else { place(key) > *after })
        };
        let size = |number| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(found.into_iter().filter(behind).skip(size(page.skip)).take(size(page.limit)).cloned().collect())
    }

    async fn count_keys(&self, filter: &KeyFilter) -> Result<u64, StoreError> {
        Ok(self.state.read().keys.values().filter(|key| matches(filter, key)).map(|_| 1).sum())
    }

    async fn update_keys(&self, ids: &[KeyId], change: &KeyChange) -> Result<Vec<KeyUpdate>, StoreError> {
        let keys = &mut self.state.write().keys;
        Ok(ids.iter().map(|id| keys.get_mut(id).map_or(KeyUpdate::NotFound, |key| key.update(change))).collect())
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

    async fn touch_keys(&self, used: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        let keys = &mut self.state.write().keys;
        for (id, at) in used {
            if let Some(key) = keys.get_mut(id) {
                key.last_used = key.last_used.max(Some(*at));
            }
        }
        Ok(())
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

    async fn refresh_token(&self, digest: &[u8; 32], attempt: &Refresh) -> Result<Refreshed, StoreError> {
        let tokens = &mut self.state.write().tokens;
        let used = |token: &&mut TokenRecord| token.refresh.as_ref().is_some_and(|refresh| refresh.digest == *digest);
        let Some(token) = tokens.values_mut().find(used) else {
            return Ok(Refreshed::Refused(RefreshRefusal::Unknown));
        };
        let refreshed = token.refresh(attempt);
        if let Refreshed::Fresh(successor) = &refreshed {
            tokens.insert(successor.digest, (**successor).clone());
        }
        Ok(refreshed)
    }

    async fn invalidate_tokens(
        &self,
        selector: &TokenSelector,
        at: Timestamp,
    ) -> Result<TokensInvalidated, StoreError> {
        let tokens = &mut self.state.write().tokens;
        let mut done = TokensInvalidated::default();
        for token in tokens.values_mut().filter(|token| selects(selector, token)) {
            done.flag(token, selector, at);
        }
        done.digests.sort_unstable();
        Ok(done)
    }

    async fn remove_tokens(&self, before: Timestamp) -> Result<u64, StoreError> {
        Ok(self.state.write().tokens.extract_if(|_, token| token.expiration < before).map(|_| 1).sum())
    }

    async fn insert_session(&self, session: SessionRecord) -> Result<bool, StoreError> {
        match self.state.write().sessions.entry(session.id) {
            Entry::Occupied(_) => Ok(false),
            Entry::Vacant(place) => {
                place.insert(session);
                Ok(true)
            }
        }
    }

    async fn session(&self, id: &[u8; 32]) -> Result<Option<SessionRecord>, StoreError> {
        Ok(self.state.read().sessions.get(id).cloned())
    }

    async fn replace_session(&self, next: SessionRecord) -> Result<bool, StoreError> {
        let sessions = &mut self.state.write().sessions;
        let stored = sessions.get_mut(&next.id).filter(|stored| Some(stored.version) == next.version.checked_sub(1));
        let Some(stored) = stored else { return Ok(false) };
        *stored = next;
        Ok(true)
    }

    async fn sessions(
        &self,
        filter: &SessionFilter,
        after: Option<&[u8; 32]>,
        limit: u32,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let sessions = &self.state.read().sessions;
        let found = sessions
            .values()
            .filter(|session| after.is_none_or(|after| session.id > *after) && filter.matches(session));
        Ok(found.take(size(limit)).cloned().collect())
    }

    async fn count_sessions(&self, filter: &SessionFilter) -> Result<u64, StoreError> {
        Ok(self.state.read().sessions.values().filter(|session| filter.matches(session)).map(|_| 1).sum())
    }

    async fn end_sessions(&self, end: &SessionEnd) -> Result<Vec<SessionRecord>, StoreError> {
        let mut state = self.state.write();
        let mut found: Vec<_> =
            state.sessions.values().filter(|session| end.filter.matches(session)).cloned().collect();
        found.sort_by_key(|session| Reverse((session.created_at, session.id)));
        let ended: Vec<_> = found.into_iter().skip(size(end.spare)).take(size(end.limit)).collect();
        for session in &ended {
            state.sessions.remove(&session.id);
            state.revoke(session.pair(), &end.cause, end.at);
        }
        Ok(ended)
    }

    async fn insert_revocation(&self, pair: SealedPair, cause: &str, at: Timestamp) -> Result<(), StoreError> {
        self.state.write().revoke(pair, cause, at);
        Ok(())
    }

    async fn claim_revocations(&self, claim: &RevocationClaim) -> Result<Vec<RevocationRecord>, StoreError> {
        let revocations = &mut self.state.write().revocations;
        let mut due: Vec<_> = revocations.values_mut().filter(|(record, _)| record.due_at <= claim.at).collect();
        due.sort_by_key(|(record, _)| (record.due_at, record.id));
        let claimed = due.into_iter().take(size(claim.limit)).map(|(record, owner)| {
            *owner = Some(claim.owner.clone());
            record.due_at = claim.until;
            record.clone()
        });
        Ok(claimed.collect())
    }

    async fn settle_revocation(&self, id: u64, owner: &str, again: Option<Timestamp>) -> Result<(), StoreError> {
        let revocations = &mut self.state.write().revocations;
        match again {
            None => drop(revocations.remove(&id)),
            Some(again) => {
                if let Some((record, _)) = revocations.get_mut(&id).filter(|(_, last)| last.as_deref() == Some(owner)) {
                    record.due_at = again;
                    record.attempts = record.attempts.saturating_add(1);
                }
            }
        }
        Ok(())
    }

    async fn count_revocations(&self) -> Result<u64, StoreError> {
        Ok(self.state.read().revocations.values().map(|_| 1).sum())
    }

    async fn document(&self, kind: DocumentKind, name: &str) -> Result<Option<Value>, StoreError> {
        Ok(self.state.read().documents.get(&(kind, name.into())).cloned())
    }

    async fn documents(&self, kind: DocumentKind) -> Result<Vec<(Box<str>, Value)>, StoreError> {
        let documents = &self.state.read().documents;
        let of_kind = documents.iter().filter(|((one, _), _)| *one == kind);
        Ok(of_kind.map(|((_, name), document)| (name.clone(), document.clone())).collect())
    }

    async fn put_documents(
        &self,
        kind: DocumentKind,
        documents: Vec<(Box<str>, Value)>,
    ) -> Result<Vec<Put>, StoreError> {
        let stored = &mut self.state.write().documents;
        let put = |(name, document): (Box<str>, Value)| {
            let same = stored.get(&(kind, name.clone())).map(|before| *before == document);
            stored.insert((kind, name), document);
            match same {
                None => Put::Created,
                Some(true) => Put::Unchanged,
                Some(false) => Put::Updated,
            }
        };
        Ok(documents.into_iter().map(put).collect())
    }

    async fn insert_document(&self, kind: DocumentKind, name: &str, document: Value) -> Result<bool, StoreError> {
        match self.state.write().documents.entry((kind, name.into())) {
            Entry::Occupied(_) => Ok(false),
            Entry::Vacant(place) => {
                place.insert(document);
                Ok(true)
            }
        }
    }

    async fn delete_documents(&self, kind: DocumentKind, names: &[Box<str>]) -> Result<Vec<bool>, StoreError> {
        let stored = &mut self.state.write().documents;
        Ok(names.iter().map(|name| stored.remove(&(kind, name.clone())).is_some()).collect())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
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
        && filter.kind.is_none_or(|kind| key.kind() == kind)
}

fn selects(selector: &TokenSelector, token: &TokenRecord) -> bool {
    match selector {
        TokenSelector::Access(digest) => token.digest == *digest,
        TokenSelector::Refresh(digest) => token.refresh.as_ref().is_some_and(|refresh| refresh.digest == *digest),
        TokenSelector::Owner { username, realm, since } => {
            let (owner, of) = token.owner();
            username.as_ref().is_none_or(|username| **username == *owner)
                && realm.as_ref().is_none_or(|realm| **realm == *of)
                && token.creation >= *since
        }
    }
}
