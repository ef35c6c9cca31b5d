//! What of a session is sealed: who it is, and the pair. Bound to the id and the generation, so that neither another
//! session's pair nor an older one can be put in its place.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::{
    model::{RealmRef, Timestamp},
    sealing::{MasterKeys, Purpose},
    secret::SecretText,
    sessions::{Pair, Provider, ProviderKind, Session, SessionId},
    store::{SealedPair, SessionRecord},
};

#[derive(Deserialize, Serialize)]
struct Content<R, V, T> {
    realm: R,
    username: T,
    authentication: V,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<[u8; 32]>,
    pair: Tokens<T>,
}

/// Of a pair that no session holds there is nothing else. Whoever revokes needs no more.
#[derive(Deserialize, Serialize)]
struct Alone<T> {
    pair: Tokens<T>,
}

#[derive(Deserialize, Serialize)]
struct Tokens<T> {
    access: T,
    refresh: Option<T>,
    access_expires_at: Timestamp,
    refresh_expires_at: Option<Timestamp>,
    superseded: Vec<(T, Timestamp)>,
}

pub(super) fn seal(keys: &MasterKeys, session: &Session) -> Box<[u8]> {
    let content = Content {
        realm: &session.realm,
        username: &*session.username,
        authentication: &session.authentication,
        fingerprint: session.fingerprint,
        pair: Tokens::of(&session.pair),
    };
    seal_for(keys, &session.id.0, session.generation, &content)
}

/// A pair alone, for the queue.
pub(super) fn seal_alone(keys: &MasterKeys, session: [u8; 32], generation: u64, pair: &Pair) -> SealedPair {
    let content = seal_for(keys, &session, generation, &Alone { pair: Tokens::of(pair) });
    SealedPair { session, generation, content }
}

/// None when no key of the ring opens it.
pub(super) fn open(keys: &MasterKeys, record: &SessionRecord) -> Option<Session> {
    let plain = keys.open(Purpose::Pair, &context(&record.id, record.generation), &record.content)?;
    let content: Content<RealmRef, Value, String> = serde_json::from_slice(&plain).ok()?;
    Some(Session {
        id: SessionId(record.id),
        generation: record.generation,
        version: record.version,
        state: record.state,
        provider: Provider { kind: ProviderKind::named(&record.provider_type)?, name: record.provider_name.clone() },
        realm: content.realm,
        username: content.username.into(),
        authentication: content.authentication,
        fingerprint: content.fingerprint,
        pair: content.pair.into(),
        created_at: record.created_at,
        last_seen_at: record.last_seen_at,
        idle_expires_at: record.idle_expires_at,
        lifespan_expires_at: record.lifespan_expires_at,
        lease: record.lease.clone(),
    })
}

/// None when no key of the ring opens it.
pub(super) fn open_pair(keys: &MasterKeys, sealed: &SealedPair) -> Option<Pair> {
    let plain = keys.open(Purpose::Pair, &context(&sealed.session, sealed.generation), &sealed.content)?;
    serde_json::from_slice::<Alone<String>>(&plain).ok().map(|content| content.pair.into())
}

#[expect(clippy::expect_used, reason = "texts, numbers and JSON as JSON, into memory")]
fn seal_for(keys: &MasterKeys, session: &[u8; 32], generation: u64, content: &impl Serialize) -> Box<[u8]> {
    let plain = Zeroizing::new(serde_json::to_vec(content).expect("it is JSON"));
    keys.seal(Purpose::Pair, &context(session, generation), &plain).into()
}

fn context(session: &[u8; 32], generation: u64) -> Vec<u8> {
    [&session[..], &generation.to_be_bytes()].concat()
}

impl<'a> Tokens<&'a str> {
    fn of(pair: &'a Pair) -> Self {
        Self {
            access: pair.access.expose(),
            refresh: pair.refresh.as_ref().map(SecretText::expose),
            access_expires_at: pair.access_expires_at,
            refresh_expires_at: pair.refresh_expires_at,
            superseded: pair.superseded.iter().map(|(token, end)| (token.expose(), *end)).collect(),
        }
    }
}

impl From<Tokens<String>> for Pair {
    fn from(tokens: Tokens<String>) -> Self {
        Self {
            access: SecretText::new(tokens.access),
            refresh: tokens.refresh.map(SecretText::new),
            access_expires_at: tokens.access_expires_at,
            refresh_expires_at: tokens.refresh_expires_at,
            superseded: tokens.superseded.into_iter().map(|(token, end)| (SecretText::new(token), end)).collect(),
        }
    }
}
