use std::{net::SocketAddr, sync::OnceLock};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use serde_json::Map;

use super::*;
use crate::{
    config::Config,
    keys::NewKey,
    model::{AuthenticationType, Identity, KeyId, RealmRef},
    passwords::Passwords,
    secret::SecretText,
    store::{AnyStore, Client, Creator, DocumentKind, KeyFilter, TokenSubject, memory::Memory},
};

/// A gate's realms over a store in memory: `elastic`, the native user `u` and their password.
struct Gate {
    realms: Realms,
    users: Arc<Users>,
    keys: Arc<Keys>,
    tokens: Arc<Tokens>,
    service_accounts: Arc<ServiceAccounts>,
    clock: Clock,
    store: AnyStore,
}

/// What a request shows.
#[derive(Clone, Default)]
struct Shown {
    headers: HeaderMap,
    strangers_pass: bool,
}

const PASSWORD: &str = "correct horse";
const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

impl Gate {
    async fn open() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        let gate = Self::empty(&config, passwords(), Audit::off());
        gate.furnish().await;
        gate
    }

    /// One without users.
    fn empty(config: &Config, passwords: Passwords, audit: Audit) -> Self {
        let silent =
            AskCluster::new(|_| Box::pin(async { Err(AskError::Silent("nobody is there".into())) }), Vec::new());
        Self::before(config, passwords, audit, silent)
    }

    /// One that asks the cluster so.
    fn before(config: &Config, passwords: Passwords, audit: Audit, cluster: AskCluster) -> Self {
        let store = AnyStore::Memory(Arc::new(Memory::default()));
        let clock = Clock::anchored(START);
        let registers = Registers::new(&store, &Arc::default(), passwords, cluster, &clock, config);
        let Registers { users, keys, tokens, service_accounts, .. } = registers.clone();
        let realms = Realms::new(
            &config.authentication,
            config.api_keys.cache_entries,
            registers,
            clock.clone(),
            Metrics::new(&[]),
            audit,
        )
        .unwrap();
        Self { realms, users, keys, tokens, service_accounts, clock, store }
    }

    async fn furnish(&self) {
        self.users.bootstrap(&text(PASSWORD)).await.unwrap();
        self.put_user("u", Some(PASSWORD), true).await;
    }

    async fn put_user(&self, name: &str, password: Option<&str>, enabled: bool) {
        let identity = Identity { username: name.into(), roles: vec!["superuser".into()], ..Identity::default() };
        self.users.put(identity, password.map(text), enabled).await.unwrap();
    }

    /// A new key of `u`: its id, and the header that shows it.
    async fn key(&self, life: Option<Duration>) -> (KeyId, Shown) {
        let identity = Identity { username: "u".into(), ..Identity::default() };
        let new = NewKey {
            access: None,
            name: "k".into(),
            life,
            role_descriptors: Map::new(),
            limited_by: Users::descriptors(&["superuser".into()]),
            metadata: Map::new(),
            creator: Creator { identity, realm: native() },
        };
        let key = self.keys.create(new).await.unwrap();
        let shown = Shown::api_key(&format!("{}:{}", key.id, key.secret.expose()));
        (key.id, shown)
    }

    async fn invalidate(&self, id: &KeyId) {
        self.keys.invalidate(&KeyFilter { ids: Some(vec![id.clone()]), ..KeyFilter::default() }).await.unwrap();
    }

    async fn token(&self, api_key: Option<KeyId>) -> String {
        let identity = Identity { username: "u".into(), roles: vec!["superuser".into()], ..Identity::default() };
        let client = Client { username: "u".into(), realm: "default_native".into(), api_key: api_key.clone() };
        let subject =
            TokenSubject { identity, realm: native(), lookup_realm: None, api_key, service_token: None, run_by: None };
        self.tokens.issue(subject, client).await.unwrap().token.expose().to_owned()
    }

    async fn identify(&self, shown: &Shown) -> Result<Arc<Principal>, IdentifyError> {
        self.identify_from(shown, "10.0.0.1:4000").await
    }

    async fn identify_from(&self, shown: &Shown, address: &str) -> Result<Arc<Principal>, IdentifyError> {
        let peer = Peer::at(address.parse::<SocketAddr>().unwrap(), false);
        self.realms.identify(&shown.evidence(&peer)).await
    }

    fn recall(&self, shown: &Shown) -> Option<Arc<Principal>> {
        self.recall_from(shown, "10.0.0.1:4000")
    }

    fn recall_from(&self, shown: &Shown, address: &str) -> Option<Arc<Principal>> {
        let peer = Peer::at(address.parse::<SocketAddr>().unwrap(), false);
        self.realms.recall(&shown.evidence(&peer), self.clock.now())
    }

    /// The code and the additional text with which `shown` is refused.
    async fn refusal(&self, shown: &Shown) -> (Option<&'static str>, Option<String>) {
        let error = self.identify(shown).await.unwrap_err();
        (error.reason_code(), error.additional().map(ToString::to_string))
    }
}

impl Shown {
    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, HeaderValue::from_str(value).unwrap());
        self
    }

    fn authorization(value: &str) -> Self {
        Self::default().header("authorization", value)
    }

    fn basic(user: &str, password: &str) -> Self {
        Self::authorization(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
    }

    fn api_key(pair: &str) -> Self {
        Self::authorization(&format!("ApiKey {}", STANDARD.encode(pair)))
    }

    fn bearer(token: &str) -> Self {
        Self::authorization(&format!("Bearer {token}"))
    }

    fn evidence<'a>(&'a self, peer: &'a Peer) -> Evidence<'a> {
        Evidence {
            method: &http::Method::GET,
            headers: &self.headers,
            target: "/logs/_count?q=1",
            peer,
            strangers_pass: self.strangers_pass,
        }
    }
}

fn passwords() -> Passwords {
    // Threads that hash outlive a test; one set is enough for all.
    static PASSWORDS: OnceLock<Passwords> = OnceLock::new();
    PASSWORDS.get_or_init(|| Passwords::start(2, 256)).clone()
}

fn text(text: &str) -> SecretText {
    SecretText::new(text.to_owned())
}

fn native() -> RealmRef {
    RealmRef { name: "default_native".into(), kind: "native".into() }
}

mod guessing;

mod outcomes {
    //! Rows of the API page, section 2.4.

    use super::*;

    #[tokio::test]
    async fn row_1_nothing_that_is_known_is_missing() {
        let gate = Gate::open().await;
        for shown in [Shown::default(), Shown::authorization("Zzz abc"), Shown::authorization("Basic")] {
            let error = gate.identify(&shown).await.unwrap_err();
            assert_eq!(
                error.reason("/logs/_count?q=1"),
                "missing authentication credentials for REST request [/logs/_count?q=1]"
            );
            assert_eq!((error.reason_code(), error.challenge()), (Some("no_credentials"), Some(Challenge::All)));
        }
    }

    #[tokio::test]
    async fn rows_2_and_3_basic_that_is_none() {
        let gate = Gate::open().await;
        let error = gate.identify(&Shown::authorization("Basic !")).await.unwrap_err();
        assert!(matches!(error, IdentifyError::BasicEncoding(_)));
        let error = gate.identify(&Shown::authorization("Basic YWJj")).await.unwrap_err();
        assert!(matches!(error, IdentifyError::BasicValue));
    }

    #[tokio::test]
    async fn users_of_both_realms_are_known_by_their_passwords() {
        let gate = Gate::open().await;
        for (name, realm) in [("elastic", "reserved"), ("u", "default_native")] {
            let principal = gate.identify(&Shown::basic(name, PASSWORD)).await.unwrap();
            assert_eq!((&*principal.identity.username, &*principal.realm.name), (name, realm));
            assert_eq!(principal.authentication, AuthenticationType::Realm);
            assert!(principal.privileges.allows_everything());
        }
    }

    #[tokio::test]
    async fn row_4_wrong_unknown_and_disabled_are_alike() {
        let gate = Gate::open().await;
        gate.put_user("off", Some(PASSWORD), false).await;
        for (name, password) in [("u", "wrong"), ("nobody", PASSWORD), ("off", PASSWORD), ("elastic", "wrong")] {
            let error = gate.identify(&Shown::basic(name, password)).await.unwrap_err();
            assert_eq!(error.reason("/x"), format!("unable to authenticate user [{name}] for REST request [/x]"));
            assert_eq!((error.reason_code(), error.challenge()), (Some("bad_credentials"), Some(Challenge::All)));
            assert!(!error.is_unclaimed());
        }
    }

    #[tokio::test]
    async fn a_key_is_its_creator_without_roles() {
        let gate = Gate::open().await;
        let (id, shown) = gate.key(None).await;
        let principal = gate.identify(&shown).await.unwrap();
        assert_eq!(principal.authentication, AuthenticationType::ApiKey);
        assert_eq!(&*principal.identity.username, "u");
        assert!(principal.identity.roles.is_empty());
        assert_eq!((&*principal.realm.name, &*principal.realm.kind), ("_es_api_key", "_es_api_key"));
        let key = principal.api_key.as_ref().unwrap();
        assert_eq!((&key.id, key.name.as_deref()), (&id, Some("k")));
        assert!(principal.privileges.allows_everything());
    }

    #[tokio::test(start_paused = true)]
    async fn rows_5_and_6_a_bad_key_says_why() {
        let gate = Gate::open().await;
        let (dead, dead_shown) = gate.key(None).await;
        gate.invalidate(&dead).await;
        let (_, old_shown) = gate.key(Some(Duration::from_secs(1))).await;
        let (live, _) = gate.key(None).await;
        tokio::time::advance(Duration::from_secs(1)).await;
        for (shown, code, additional) in [
            (Shown::authorization("ApiKey a:b"), "bad_credentials", "API key: Illegal base64 character 3a".to_owned()),
            (Shown::api_key("abc"), "bad_credentials", "API key: invalid ApiKey value".into()),
            (Shown::api_key("abc:s"), "bad_credentials", "API key: unable to find apikey with id abc".into()),
            (
                Shown::api_key(&format!("{live}:wrong")),
                "bad_credentials",
                format!("API key: invalid credentials for API key [{live}]"),
            ),
            (dead_shown, "key_invalidated", format!("API key: api key [{dead}] has been invalidated")),
            (
                Shown::api_key(&format!("{dead}:wrong")),
                "key_invalidated",
                format!("API key: api key [{dead}] has been invalidated"),
            ),
            (old_shown, "key_expired", "API key: api key is expired".into()),
        ] {
            // Asked of the store, then of memory.
            for _ in 0..2 {
                assert_eq!(gate.refusal(&shown).await, (Some(code), Some(additional.clone())));
            }
        }
    }

    #[tokio::test]
    async fn a_token_is_whom_it_was_issued_to() {
        let gate = Gate::open().await;
        let principal = gate.identify(&Shown::bearer(&gate.token(None).await)).await.unwrap();
        assert_eq!(principal.authentication, AuthenticationType::Token);
        assert_eq!((&*principal.identity.username, &principal.realm), ("u", &native()));
        assert!(principal.privileges.allows_everything());
    }

    #[tokio::test(start_paused = true)]
    async fn row_8_a_known_token_that_is_over_is_expired() {
        let gate = Gate::open().await;
        let (old, dead) = (gate.token(None).await, gate.token(None).await);
        assert_eq!(gate.tokens.invalidate(&dead).await.unwrap().invalidated, 1);
        let expired = |error: IdentifyError| {
            assert!(matches!(error, IdentifyError::TokenExpired));
            assert_eq!(
                (error.reason_code(), error.challenge()),
                (Some("token_expired"), Some(Challenge::TokenExpired))
            );
        };
        expired(gate.identify(&Shown::bearer(&dead)).await.unwrap_err());
        assert!(gate.identify(&Shown::bearer(&old)).await.is_ok());
        tokio::time::advance(Duration::from_mins(20)).await;
        assert!(gate.recall(&Shown::bearer(&old)).is_none());
        for _ in 0..2 {
            expired(gate.identify(&Shown::bearer(&old)).await.unwrap_err());
        }
    }

    #[tokio::test]
    async fn row_9_an_unknown_token_is_invalid() {
        let gate = Gate::open().await;
        for token in ["garbled", "eyJhbGciOiJub25lIn0.e30."] {
            let refusal = gate.refusal(&Shown::bearer(token)).await;
            assert_eq!(refusal, (Some("bad_credentials"), Some("oauth2 token: invalid token".to_owned())));
        }
    }

    #[tokio::test]
    async fn row_12_who_cannot_have_a_hash_now_is_told_to_come_back_known_or_not() {
        // Nobody hashes here, so whoever is busy has asked for a hash.
        let gate = Gate::empty(&Config::default(), Passwords::start(0, 1), Audit::off());
        for name in ["nobody", "elastic"] {
            let busy = gate.identify(&Shown::basic(name, PASSWORD)).await.unwrap_err();
            assert!(matches!(busy, IdentifyError::Busy(_)), "{busy:?}");
            assert_eq!((busy.reason_code(), busy.challenge()), (Some("throttled"), None));
            assert_eq!(busy.retry_after(), Some(Duration::from_secs(1)));
        }
    }

    #[tokio::test]
    async fn two_different_values_are_refused_before_anything_is_believed() {
        let gate = Gate::open().await;
        let (_, shown) = gate.key(None).await;
        gate.identify(&shown).await.unwrap();
        let again = shown.headers["authorization"].to_str().unwrap().to_owned();
        let twice = shown.clone().header("authorization", &again);
        assert!(gate.recall(&twice).is_some(), "equal values count as one");
        for (name, header) in [("authorization", "Authorization"), ("x-opaque-id", "X-Opaque-Id")] {
            let other = twice.clone().header(name, "one").header(name, "two");
            assert!(gate.recall(&other).is_none());
            let error = gate.identify(&other).await.unwrap_err();
            assert_eq!(error.to_string(), format!("multiple values for single-valued header [{header}]."));
            assert_eq!((error.reason_code(), error.challenge()), (None, None));
        }
    }
}

mod cluster;
mod companions;
mod issued;

mod anonymous {
    use super::*;

    async fn gate() -> Gate {
        Gate::with(|config| config.authentication.anonymous.roles = vec!["superuser".into(), "guest".into()]).await
    }

    #[tokio::test]
    async fn with_roles_whoever_shows_nothing_is_anonymous() {
        let gate = gate().await;
        let principal = gate.identify(&Shown::default()).await.unwrap();
        assert!(gate.recall(&Shown::default()).is_some());
        assert_eq!((&*principal.identity.username, &*principal.realm.name), ("_anonymous", "__anonymous"));
        assert_eq!(principal.authentication, AuthenticationType::Anonymous);
        assert!(gate.identify(&Shown::authorization("Zzz abc")).await.is_ok());
    }

    #[tokio::test]
    async fn whoever_shows_something_wrong_is_not() {
        let gate = gate().await;
        for shown in [Shown::api_key("a:b"), Shown::bearer("a"), Shown::basic("u", "wrong")] {
            assert!(gate.recall(&shown).is_none());
            assert!(gate.identify(&shown).await.is_err());
        }
    }

    #[tokio::test]
    async fn its_roles_are_everybodys_but_not_those_of_keys() {
        let gate = gate().await;
        let roles = ["superuser".into(), "guest".into()];
        assert_eq!(gate.identify(&Shown::basic("u", PASSWORD)).await.unwrap().identity.roles, roles);
        let token = gate.token(None).await;
        assert_eq!(gate.identify(&Shown::bearer(&token)).await.unwrap().identity.roles, roles);
        assert!(gate.identify(&gate.key(None).await.1).await.unwrap().identity.roles.is_empty());
    }
}

mod memory {
    use super::*;

    #[tokio::test]
    async fn whoever_was_proven_is_recalled() {
        let gate = Gate::open().await;
        let (_, key) = gate.key(None).await;
        for shown in [key, Shown::basic("u", PASSWORD), Shown::bearer(&gate.token(None).await)] {
            assert!(gate.recall(&shown).is_none());
            let proven = gate.identify(&shown).await.unwrap();
            assert!(Arc::ptr_eq(&gate.recall(&shown).unwrap(), &proven));
            let other_client = shown.header("es-client-authentication", "SharedSecret x");
            assert!(gate.recall(&other_client).is_none(), "what also decides is part of the proof");
        }
    }

    #[tokio::test]
    async fn an_invalidated_key_is_forgotten_at_once() {
        let gate = Gate::open().await;
        let (id, shown) = gate.key(None).await;
        gate.identify(&shown).await.unwrap();
        gate.invalidate(&id).await;
        assert!(gate.recall(&shown).is_none());
        assert_eq!(gate.refusal(&shown).await.0, Some("key_invalidated"));
    }

    #[tokio::test]
    async fn an_invalidated_token_is_forgotten_at_once() {
        let gate = Gate::open().await;
        let token = gate.token(None).await;
        gate.identify(&Shown::bearer(&token)).await.unwrap();
        gate.tokens.invalidate(&token).await.unwrap();
        assert!(gate.recall(&Shown::bearer(&token)).is_none());
    }

    #[tokio::test]
    async fn a_token_ends_with_the_key_that_minted_it() {
        let gate = Gate::open().await;
        let (id, _) = gate.key(None).await;
        let shown = Shown::bearer(&gate.token(Some(id.clone())).await);
        let principal = gate.identify(&shown).await.unwrap();
        assert_eq!(principal.api_key.as_ref().map(|key| &key.id), Some(&id));
        assert!(principal.identity.roles.is_empty() && principal.privileges.allows_everything());
        gate.invalidate(&id).await;
        assert!(gate.recall(&shown).is_none());
        assert!(matches!(gate.identify(&shown).await, Err(IdentifyError::TokenExpired)));
    }

    #[tokio::test]
    async fn a_changed_user_is_forgotten_at_once() {
        let gate = Gate::open().await;
        let (old, new) = (Shown::basic("u", PASSWORD), Shown::basic("u", "another one"));
        gate.identify(&old).await.unwrap();
        gate.put_user("u", Some("another one"), true).await;
        assert!(gate.recall(&old).is_none());
        assert!(gate.identify(&old).await.is_err());
        assert!(gate.identify(&new).await.is_ok());
        gate.put_user("u", None, false).await;
        assert!(gate.recall(&new).is_none());
        assert!(gate.identify(&new).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_recalled_until_it_expires_and_a_password_for_a_while() {
        let gate = Gate::open().await;
        let (_, key) = gate.key(Some(Duration::from_mins(1))).await;
        let user = Shown::basic("u", PASSWORD);
        gate.identify(&key).await.unwrap();
        gate.identify(&user).await.unwrap();
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(gate.recall(&key).is_some());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(gate.recall(&key).is_none());
        assert!(gate.recall(&user).is_some());
        tokio::time::advance(Duration::from_mins(20)).await;
        assert!(gate.recall(&user).is_none());
        assert!(gate.identify(&user).await.is_ok());
    }

    #[tokio::test]
    async fn wrong_keys_displace_no_good_one() {
        let gate = Gate::with(|config| config.api_keys.cache_entries = 8).await;
        let (_, shown) = gate.key(None).await;
        gate.identify(&shown).await.unwrap();
        for stranger in 0..100 {
            gate.identify(&Shown::api_key(&format!("{stranger}:secret"))).await.unwrap_err();
        }
        assert!(gate.recall(&shown).is_some());
    }
}

mod auditors {
    use serde_json::Value;

    use super::*;
    use crate::config::AuditTarget;

    #[tokio::test]
    async fn hear_of_each_proof_once_and_of_each_refusal_and_of_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("audit.json");
        let audit = Audit::open(&AuditTarget::File(file.clone()), Clock::anchored(START)).unwrap();
        let gate = Gate::empty(&Config::default(), passwords(), audit.clone());
        gate.furnish().await;
        let shown = Shown::basic("u", PASSWORD);
        gate.identify(&shown).await.unwrap();
        gate.recall(&shown).unwrap();
        gate.identify(&Shown::basic("u", "wrong secret")).await.unwrap_err();
        gate.identify(&Shown::api_key("abc:secret text")).await.unwrap_err();
        gate.identify(&Shown::default()).await.unwrap_err();
        audit.flush().await;
        let text = std::fs::read_to_string(file).unwrap();
        let told: Vec<_> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .map(|event| (event["event.action"].clone(), event["user.name"].clone(), event["user.realm"].clone()))
            .collect();
        let null = Value::Null;
        assert_eq!(
            told,
            [
                ("authentication_success".into(), "u".into(), "default_native".into()),
                ("authentication_failed".into(), "u".into(), "default_native".into()),
                ("authentication_failed".into(), null.clone(), "_es_api_key".into()),
                ("anonymous_access_denied".into(), null.clone(), null),
            ]
        );
        for secret in [PASSWORD, "wrong secret", "secret text", "q=1"] {
            assert!(!text.contains(secret), "{secret}");
        }
    }
}

mod vouched;

#[tokio::test]
async fn the_same_key_shown_at_once_is_asked_about_once() {
    let gate = Gate::open().await;
    let shown = Shown::api_key("nobody:secret");
    let peer = Peer::at("10.0.0.1:4000".parse().unwrap(), false);
    let digest = gate.realms.digest(&shown.evidence(&peer)).unwrap();
    let flight = gate.realms.flights.begin(digest).await;
    let learned = async {
        // What the store would never say of this key.
        let dead = Dead { judge: 2, verdict: Death::Refused(Refusal::KeyExpired), is_final: true };
        let presented = Presented::Nothing;
        let begun = gate.realms.proofs.revocations.begin();
        gate.realms.remember_dead(Some(digest), &presented, begun, Some(dead), REFUSED_LIFE);
        drop(flight);
    };
    let (answer, ()) = tokio::join!(gate.identify(&shown), learned);
    assert_eq!(answer.unwrap_err().reason_code(), Some("key_expired"));
}

#[tokio::test]
async fn an_expired_key_that_is_invalidated_is_refused_for_that_at_once() {
    let gate = Gate::open().await;
    let (id, shown) = gate.key(Some(Duration::ZERO)).await;
    assert_eq!(gate.refusal(&shown).await.0, Some("key_expired"));
    gate.invalidate(&id).await;
    assert_eq!(gate.refusal(&shown).await.0, Some("key_invalidated"));
}
