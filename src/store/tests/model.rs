//! The same steps, taken by the model and by a backend, show the same.

use std::{collections::BTreeMap, fmt::Write as _};

use proptest::{bool, collection::vec, option, prelude::*};

use super::*;

/// Something that can be asked of a store.
#[derive(Clone, Debug)]
enum Step {
    ChangeUser(String, Option<String>, Option<bool>),
    Claim { owner: String, time: u64, limit: u32 },
    Count(KeyFilter),
    DeleteDocuments(Vec<String>),
    DeleteUser(String),
    EndSessions(SessionFilter, u32, u32),
    Find(KeyFilter, Page),
    InsertDocument(String, u8),
    InsertKey { id: u8, name: String, owner: String, creation: u64, expiration: Option<u64>, crossing: bool, max: u64 },
    Invalidate(KeyFilter, u64),
    InvalidateTokens(TokenSelector, u64),
    InsertSession { number: u8, owner: u8, creation: u64, gateway: bool },
    IssueToken { number: u8, owner: String, expiration: u64, refreshable: bool },
    PutDocuments(Vec<(String, u8)>),
    PutUser(String, Option<String>),
    Refresh { number: u8, attempt: u8, time: u64 },
    RemoveKeys(u64),
    RemoveTokens(u64),
    ReplaceSession { number: u8, version: u64, login: bool, leased: bool },
    Revoke(u8, u64),
    Sessions(SessionFilter, Option<u8>, u32),
    Settle { id: u64, owner: String, again: Option<u64> },
    Touch(Vec<(u8, u64)>),
    Update { ids: Vec<u8>, owner: String, time: u64, expiration: Option<u64>, metadata: Option<u8>, crossing: bool },
}

impl Step {
    fn any() -> impl Strategy<Value = Self> {
        let document = || ("[ab\u{0}]{1,2}", 0_u8..3);
        let time = || 0_u64..8;
        let insert = (0_u8..8, text(), "[ab]", time(), option::of(time()), bool::weighted(0.2), 0_u64..4).prop_map(
            |(id, name, owner, creation, expiration, crossing, max)| Self::InsertKey {
                id,
                name,
                owner,
                creation,
                expiration,
                crossing,
                max,
            },
        );
        let issue =
            (0_u8..4, "[ab]", time(), bool::weighted(0.8)).prop_map(|(number, owner, expiration, refreshable)| {
                Self::IssueToken { number, owner, expiration, refreshable }
            });
        let refresh = (0_u8..8, 4_u8..8, 0_u64..20).prop_map(|(number, attempt, time)| Self::Refresh {
            number,
            attempt,
            time: time + 5,
        });
        let metadata = option::of(0_u8..2);
        let update = (vec(0_u8..8, 0..4), "[ab]", time(), option::of(time()), metadata, bool::weighted(0.2)).prop_map(
            |(ids, owner, time, expiration, metadata, crossing)| Self::Update {
                ids,
                owner,
                time,
                expiration,
                metadata,
                crossing,
            },
        );
        let sessions = || {
            prop_oneof![
                3 => (0_u8..6, 0_u8..2, time(), bool::weighted(0.2)).prop_map(|(number, owner, creation, gateway)| {
                    Self::InsertSession { number, owner, creation, gateway }
                }),
                3 => (0_u8..6, 0_u64..4, bool::ANY, bool::ANY).prop_map(|(number, version, login, leased)| {
                    Self::ReplaceSession { number, version, login, leased }
                }),
                2 => (session_filter(), 0_u32..3, 0_u32..4)
                    .prop_map(|(filter, spare, limit)| Self::EndSessions(filter, spare, limit)),
                2 => (session_filter(), option::of(0_u8..6), 0_u32..6)
                    .prop_map(|(filter, after, limit)| Self::Sessions(filter, after, limit)),
                1 => (0_u8..6, time()).prop_map(|(number, time)| Self::Revoke(number, time)),
                2 => ("[ab]", 0_u64..30, 0_u32..4).prop_map(|(owner, time, limit)| Self::Claim { owner, time, limit }),
                2 => (1_u64..8, "[ab]", option::of(0_u64..30))
                    .prop_map(|(id, owner, again)| Self::Settle { id, owner, again }),
            ]
        };
        prop_oneof![
            9 => sessions(),
            1 => (text(), option::of("[a-z]{3}"), option::of(bool::ANY))
                .prop_map(|(name, hash, enabled)| Self::ChangeUser(name, hash, enabled)),
            1 => filter().prop_map(Self::Count),
            1 => vec("[ab\u{0}]{1,2}", 0..3).prop_map(Self::DeleteDocuments),
            1 => text().prop_map(Self::DeleteUser),
            3 => (filter(), page()).prop_map(|(filter, page)| Self::Find(filter, page)),
            1 => document().prop_map(|(name, value)| Self::InsertDocument(name, value)),
            4 => insert,
            1 => (filter(), time()).prop_map(|(filter, at)| Self::Invalidate(filter, at)),
            2 => (selector(), time()).prop_map(|(selector, at)| Self::InvalidateTokens(selector, at)),
            2 => issue,
            2 => vec(document(), 0..4).prop_map(Self::PutDocuments),
            1 => (text(), option::of("[a-z]{3}")).prop_map(|(name, hash)| Self::PutUser(name, hash)),
            3 => refresh,
            1 => time().prop_map(Self::RemoveKeys),
            1 => time().prop_map(Self::RemoveTokens),
            1 => vec((0_u8..8, time()), 0..4).prop_map(Self::Touch),
            2 => update,
        ]
    }

    /// Takes the step; the text tells all that can be seen of its outcome. An id or digest that exists is not inserted
    /// again: callers never do.
    #[expect(clippy::too_many_lines, reason = "one arm a step")]
    async fn take(&self, store: &AnyStore) -> String {
        match self.clone() {
            Self::ChangeUser(name, hash, enabled) => {
                let password = hash.map(|hash| PasswordHash(SecretText::new(hash)));
                let found = store.change_user(UserNamespace::Native, &name, password, enabled).await.unwrap();
                format!("{found} {:?}", store.user(UserNamespace::Native, &name).await.unwrap().map(shown))
            }
            Self::Claim { owner, time, limit } => {
                let claim = RevocationClaim { owner: owner.into(), at: at(time), until: at(time + 5), limit };
                let claimed = store.claim_revocations(&claim).await.unwrap();
                let pair = |pair: &SealedPair| (pair.session[0], pair.generation, pair.content.clone());
                let claimed = claimed.iter().map(|queued| format!("{queued:?} {:?} ", pair(&queued.pair)));
                format!("{} {}", claimed.collect::<String>(), store.count_revocations().await.unwrap())
            }
            Self::Count(filter) => store.count_keys(&filter).await.unwrap().to_string(),
            Self::DeleteDocuments(names) => {
                let names: Vec<_> = names.into_iter().map(Into::into).collect();
                format!("{:?}", store.delete_documents(DocumentKind::Role, &names).await.unwrap())
            }
            Self::DeleteUser(name) => format!("{:?}", store.delete_user(UserNamespace::Native, &name).await.unwrap()),
            Self::EndSessions(filter, spare, limit) => {
                let end = SessionEnd { filter, spare, limit, cause: "logout".into(), at: at(20) };
                let ended = store.end_sessions(&end).await.unwrap();
                format!("{} {}", whole(&ended), store.count_revocations().await.unwrap())
            }
            Self::Find(filter, page) => format!("{:?}", store.keys(&filter, &page).await.unwrap()),
            Self::InsertDocument(name, value) => {
                let inserted = store.insert_document(DocumentKind::Role, &name, json!(value)).await.unwrap();
                format!("{inserted} {:?}", store.document(DocumentKind::Role, &name).await.unwrap())
            }
            Self::InsertKey { id, name, owner, creation, expiration, crossing, max } => {
                if store.key(&key_id(id)).await.unwrap().is_some() {
                    return "exists".to_owned();
                }
                let (creation, expiration, access) = (at(creation), expiration.map(at), crossing.then(odd_json));
                let key = ApiKeyRecord { creation, expiration, access, ..key(&key_id(id).0, &name, &owner, "corp") };
                format!("{:?}", store.insert_key(key, max).await.unwrap())
            }
            Self::InsertSession { number, owner, creation, gateway } => {
                let mut session = SessionRecord { username_hash: [owner; 32], ..session(number, creation) };
                if gateway {
                    session.provider_type = "gateway".into();
                    (session.idle_expires_at, session.lifespan_expires_at) = (None, None);
                }
                store.insert_session(session).await.unwrap().to_string()
            }
            Self::Invalidate(filter, time) => format!("{:?}", store.invalidate_keys(&filter, at(time)).await.unwrap()),
            Self::InvalidateTokens(selector, time) => {
                let invalidated = store.invalidate_tokens(&selector, at(time)).await.unwrap();
                format!("{invalidated:?} {}", tokens(store).await)
            }
            Self::IssueToken { number, owner, expiration, refreshable } => {
                if store.token(&[number; 32]).await.unwrap().is_none() {
                    let mut token = TokenRecord { expiration: at(expiration), ..pair(number, &owner, "corp") };
                    token.refresh = token.refresh.filter(|_| refreshable);
                    store.insert_token(token).await.unwrap();
                }
                String::new()
            }
            Self::PutDocuments(documents) => {
                let documents: BTreeMap<Box<str>, _> =
                    documents.into_iter().map(|(name, value)| (name.into(), json!(value))).collect();
                let put = store.put_documents(DocumentKind::Role, documents.into_iter().collect()).await.unwrap();
                format!("{put:?} {:?}", store.documents(DocumentKind::Role).await.unwrap())
            }
            Self::PutUser(name, hash) => {
                let new = store.put_user(user(UserNamespace::Native, &name, hash.as_deref())).await.unwrap();
                let users = store.users(UserNamespace::Native).await.unwrap();
                format!("{new} {:?}", users.into_iter().map(shown).collect::<Vec<_>>())
            }
            Self::Refresh { number, attempt: next, time } => {
                if store.token(&[next; 32]).await.unwrap().is_some() {
                    return "exists".to_owned();
                }
                let refreshed = match store.refresh_token(&[100 + number; 32], &attempt(next, time)).await.unwrap() {
                    Refreshed::Fresh(token) => format!("{token:?}"),
                    Refreshed::Repeated(sealed) => format!("{sealed:?}"),
                    Refreshed::Refused(refusal) => format!("{refusal:?}"),
                };
                format!("{refreshed} {}", tokens(store).await)
            }
            Self::RemoveKeys(before) => store.remove_keys(at(before)).await.unwrap().to_string(),
            Self::RemoveTokens(before) => store.remove_tokens(at(before)).await.unwrap().to_string(),
            Self::ReplaceSession { number, version, login, leased } => {
                let Some(stored) = store.session(&[number; 32]).await.unwrap() else { return String::new() };
                let state = if login { SessionState::NeedsLogin } else { SessionState::Active };
                let lease = leased.then(|| Lease { owner: "a".into(), until: at(9) });
                let next = SessionRecord { version: version + 1, state, lease, ..next(&stored) };
                store.replace_session(next).await.unwrap().to_string()
            }
            Self::Revoke(number, time) => {
                let pair = SealedPair { session: [number; 32], generation: 0, content: [number].into() };
                store.insert_revocation(pair, "logout", at(time)).await.unwrap();
                String::new()
            }
            Self::Sessions(filter, after, limit) => {
                let after = after.map(|number| [number; 32]);
                let found = store.sessions(&filter, after.as_ref(), limit).await.unwrap();
                format!("{} {}", whole(&found), store.count_sessions(&filter).await.unwrap())
            }
            Self::Settle { id, owner, again } => {
                store.settle_revocation(id, &owner, again.map(at)).await.unwrap();
                store.count_revocations().await.unwrap().to_string()
            }
            Self::Touch(used) => {
                let used: Vec<_> = used.into_iter().map(|(id, time)| (key_id(id), at(time))).collect();
                store.touch_keys(&used).await.unwrap();
                format!("{:?}", store.keys(&KeyFilter::default(), &Page::first(99)).await.unwrap())
            }
            Self::Update { ids, owner, time, expiration, metadata, crossing } => {
                let ids: Vec<_> = ids.into_iter().map(key_id).collect();
                let change = KeyChange {
                    kind: if crossing { KeyKind::CrossCluster } else { KeyKind::Rest },
                    metadata: metadata.map(|value| Map::from_iter([("value".to_owned(), json!(value))])),
                    expiration: expiration.map(at),
                    ..change(&owner, time)
                };
                let outcomes = store.update_keys(&ids, &change).await.unwrap();
                format!("{outcomes:?} {:?}", store.keys(&KeyFilter::default(), &Page::first(99)).await.unwrap())
            }
        }
    }
}

/// Every pair there can be, whole.
async fn tokens(store: &AnyStore) -> String {
    let mut all = String::new();
    for number in 0..8 {
        let Some(token) = store.token(&[number; 32]).await.unwrap() else { continue };
        let refresh = token.refresh.as_ref().map(|refresh| {
            let superseded = refresh.superseded.as_ref().map(|first| (first.at, &first.sealed));
            (refresh.digest, refresh.invalidation, superseded)
        });
        write!(all, "{:?} {:?} {token:?} {refresh:?}", token.digest, token.creation).unwrap();
    }
    all
}

fn whole(sessions: &[SessionRecord]) -> String {
    let ends = |one: &SessionRecord| (one.idle_expires_at, one.lifespan_expires_at, one.created_at, one.last_seen_at);
    let names = |one: &SessionRecord| (one.username_hash[0], one.provider_name.clone(), one.content.clone());
    let mut all = String::new();
    for one in sessions {
        write!(all, "{} {one:?} {:?} {:?}; ", one.id[0], ends(one), names(one)).unwrap();
    }
    all
}

fn session_filter() -> impl Strategy<Value = SessionFilter> {
    let state = prop_oneof![Just(SessionState::Active), Just(SessionState::NeedsLogin)];
    let kinds = prop_oneof![Just(vec!["token".into()]), Just(vec!["token".into(), "gateway".into()])];
    (
        option::weighted(0.3, 0_u8..6),
        option::weighted(0.3, kinds),
        option::weighted(0.3, vec((0_u8..3).prop_map(|owner| [owner; 32]), 0..3)),
        option::weighted(0.3, state),
        option::weighted(0.3, 10_u64..18),
        option::weighted(0.2, 20_u64..28),
    )
        .prop_map(|(number, provider_types, username_hashes, state, idle, lifespan)| SessionFilter {
            id: number.map(|number| [number; 32]),
            provider_types,
            provider_name: None,
            username_hashes,
            state,
            idle_over: idle.map(at),
            lifespan_over: lifespan.map(at),
        })
}

fn text() -> &'static str {
    "[ab*\u{0}é\u{10ffff}]{0,3}"
}

fn filter() -> impl Strategy<Value = KeyFilter> {
    let kind = prop_oneof![Just(KeyKind::Rest), Just(KeyKind::CrossCluster)];
    (
        option::weighted(0.2, vec(0_u8..4, 0..3)),
        option::of(text()),
        option::weighted(0.3, "[ab]"),
        option::weighted(0.2, 0_u64..8),
        option::weighted(0.2, kind),
    )
        .prop_map(|(ids, name, username, active_at, kind)| KeyFilter {
            ids: ids.map(|ids| ids.into_iter().map(key_id).collect()),
            name: name.map(String::into_boxed_str),
            username: username.map(String::into_boxed_str),
            realm: None,
            active_at: active_at.map(at),
            kind,
        })
}

fn page() -> impl Strategy<Value = Page> {
    (option::of((0_u64..8, 0_u8..8)), bool::ANY, 0_u64..3, 0_u64..9).prop_map(|(after, newest_first, skip, limit)| {
        Page { after: after.map(|(time, id)| (at(time), key_id(id))), newest_first, skip, limit }
    })
}

fn selector() -> impl Strategy<Value = TokenSelector> {
    prop_oneof![
        (0_u8..8).prop_map(|number| TokenSelector::Access([number; 32])),
        (0_u8..8).prop_map(|number| TokenSelector::Refresh([100 + number; 32])),
        (option::of("[ab]"), option::of("corp|other"), 5_u64..20).prop_map(|(username, realm, since)| {
            TokenSelector::Owner {
                username: username.map(String::into_boxed_str),
                realm: realm.map(String::into_boxed_str),
                since: at(since),
            }
        }),
    ]
}

fn key_id(number: u8) -> KeyId {
    KeyId(number.to_string().into())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn all_stores_answer_the_same(steps in vec(Step::any(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (memory, sqlite) = (Scratch::memory(), Scratch::sqlite());
        let postgres = runtime.block_on(Scratch::postgres());
        for step in steps {
            let model = runtime.block_on(step.take(&memory.store));
            for real in [Some(&sqlite), postgres.as_ref()].into_iter().flatten() {
                prop_assert_eq!(&model, &runtime.block_on(step.take(&real.store)), "{:?}", step);
            }
        }
    }
}
