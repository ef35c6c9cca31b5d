use parking_lot::Mutex;

use super::*;
use crate::{
    model::{Identity, RealmRef, Timestamp},
    store::memory::Memory,
};

type News = Arc<Mutex<Vec<Change>>>;

fn tokens() -> (Tokens, News) {
    let news = News::default();
    let heard = Arc::clone(&news);
    let announce: Announce = Arc::new(move |change| heard.lock().push(change.clone()));
    let config = config::Tokens {
        access_lifetime: Duration::from_mins(20),
        refresh_lifetime: Duration::from_hours(24),
        reuse_window: Duration::from_secs(30),
        cleanup_interval: Duration::from_mins(30),
    };
    let clock = Clock::anchored(Timestamp::from_millis(1_800_000_000_000));
    (Tokens::new(AnyStore::Memory(Arc::new(Memory::default())), clock, config, announce), news)
}

fn subject() -> TokenSubject {
    let realm = RealmRef { name: "default_native".into(), kind: "native".into() };
    TokenSubject {
        identity: Identity { username: "jack".into(), ..Identity::default() },
        realm,
        lookup_realm: None,
        api_key: None,
        service_token: None,
        run_by: None,
    }
}

fn client(username: &str) -> Client {
    Client { username: username.into(), realm: "default_native".into(), api_key: None }
}

async fn issue(tokens: &Tokens) -> IssuedToken {
    tokens.issue(subject(), client("jack")).await.unwrap()
}

/// An access and a refresh token.
async fn pair(tokens: &Tokens) -> (String, String) {
    shown(&tokens.issue_pair(subject(), client("jack")).await.unwrap())
}

fn shown(issued: &IssuedToken) -> (String, String) {
    (issued.token.expose().to_owned(), issued.refresh.as_ref().unwrap().expose().to_owned())
}

async fn refresh(tokens: &Tokens, old: &str) -> Result<(String, String), RefreshRefusal> {
    match tokens.refresh(old, client("jack")).await {
        Ok((issued, subject)) => {
            assert_eq!(&*subject.identity.username, "jack");
            Ok(shown(&issued))
        }
        Err(RefreshError::Refused(refusal)) => Err(refusal),
        Err(RefreshError::Store(error)) => panic!("{error}"),
    }
}

async fn is_good(tokens: &Tokens, token: &str) -> bool {
    matches!(tokens.verify(token).await.unwrap(), TokenVerdict::Accept(_))
}

fn counts(done: &TokensInvalidated) -> (u64, u64) {
    (done.invalidated, done.previously)
}

#[tokio::test]
async fn an_issued_token_is_its_users() {
    let (tokens, _) = tokens();
    let issued = issue(&tokens).await;
    let verdict = tokens.verify(issued.token.expose()).await.unwrap();
    assert!(matches!(verdict, TokenVerdict::Accept(token) if &*token.subject.identity.username == "jack"));
}

#[tokio::test]
async fn a_token_that_was_never_issued_is_unknown() {
    let (tokens, _) = tokens();
    let mut forged = issue(&tokens).await.token.expose().to_owned();
    let last = forged.pop().unwrap();
    forged.push(if last == 'A' { 'E' } else { 'A' });
    for token in [forged.as_str(), "", "sg1_", "eyJhbGciOiJIUzI1NiJ9.e30.x"] {
        assert!(matches!(tokens.verify(token).await.unwrap(), TokenVerdict::Unknown), "{token}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_ends_when_its_life_is_over() {
    let (tokens, _) = tokens();
    let issued = issue(&tokens).await;
    tokio::time::advance(Duration::from_mins(20) - Duration::from_millis(1)).await;
    assert!(matches!(tokens.verify(issued.token.expose()).await.unwrap(), TokenVerdict::Accept(_)));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(matches!(tokens.verify(issued.token.expose()).await.unwrap(), TokenVerdict::Expired));
}

#[tokio::test]
async fn an_invalidated_token_is_announced_once_and_counts_as_expired() {
    let (tokens, news) = tokens();
    let issued = issue(&tokens).await;
    assert_eq!(counts(&tokens.invalidate(issued.token.expose()).await.unwrap()), (1, 0));
    assert_eq!(counts(&tokens.invalidate(issued.token.expose()).await.unwrap()), (0, 1));
    assert_eq!(news.lock().len(), 1);
    assert!(matches!(tokens.verify(issued.token.expose()).await.unwrap(), TokenVerdict::Expired));
}

#[tokio::test(start_paused = true)]
async fn an_expired_token_is_remembered_for_a_refresh_lifetime() {
    let (tokens, _) = tokens();
    let issued = issue(&tokens).await;
    tokio::time::advance(Duration::from_hours(24)).await;
    assert_eq!(tokens.remove_expired().await.unwrap(), 0);
    assert!(matches!(tokens.verify(issued.token.expose()).await.unwrap(), TokenVerdict::Expired));
    tokio::time::advance(Duration::from_mins(21)).await;
    assert_eq!(tokens.remove_expired().await.unwrap(), 1);
    assert!(matches!(tokens.verify(issued.token.expose()).await.unwrap(), TokenVerdict::Unknown));
}

#[tokio::test(start_paused = true)]
async fn case_27_a_refresh_token_gives_one_pair_within_the_window_and_none_after() {
    let (tokens, _) = tokens();
    let (access, old) = pair(&tokens).await;
    let new = refresh(&tokens, &old).await.unwrap();
    assert_ne!(new, (access.clone(), old.clone()));
    assert!(is_good(&tokens, &new.0).await && is_good(&tokens, &access).await);
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(refresh(&tokens, &old).await, Ok(new.clone()));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(refresh(&tokens, &old).await, Err(RefreshRefusal::Late));
    assert!(refresh(&tokens, &new.1).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_refreshes_at_once_give_one_pair() {
    let (tokens, _) = tokens();
    let tokens = Arc::new(tokens);
    let (_, old) = pair(&tokens).await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (tokens, old) = (Arc::clone(&tokens), old.clone());
        clients.spawn(async move { refresh(&tokens, &old).await.unwrap() });
    }
    let pairs: std::collections::HashSet<_> = clients.join_all().await.into_iter().collect();
    assert_eq!(pairs.len(), 1);
}

#[tokio::test]
async fn case_28_only_the_client_that_got_a_pair_refreshes_it_also_within_the_window() {
    let (tokens, _) = tokens();
    let (_, old) = pair(&tokens).await;
    for _ in ["first", "again"] {
        let error = tokens.refresh(&old, client("jill")).await.unwrap_err();
        assert_eq!(error.to_string(), "tokens must be refreshed by the creating client");
        refresh(&tokens, &old).await.unwrap();
    }
}

#[tokio::test]
async fn case_29_the_halves_of_a_pair_end_apart() {
    let (tokens, _) = tokens();
    let (access, old) = pair(&tokens).await;
    assert_eq!(counts(&tokens.invalidate(&access).await.unwrap()), (1, 0));
    let new = refresh(&tokens, &old).await.unwrap();
    assert_eq!(counts(&tokens.invalidate_refresh(&new.1).await.unwrap()), (1, 0));
    assert_eq!(counts(&tokens.invalidate_refresh(&new.1).await.unwrap()), (0, 1));
    assert_eq!(refresh(&tokens, &new.1).await, Err(RefreshRefusal::Invalidated));
    assert!(is_good(&tokens, &new.0).await);
}

#[tokio::test]
async fn case_30_a_pair_of_a_user_counts_twice_and_is_announced() {
    let (tokens, news) = tokens();
    let (access, _) = pair(&tokens).await;
    assert_eq!(counts(&tokens.invalidate_of(Some("jill"), None).await.unwrap()), (0, 0));
    assert_eq!(counts(&tokens.invalidate_of(Some("jack"), Some("other")).await.unwrap()), (0, 0));
    assert_eq!(counts(&tokens.invalidate_of(Some("jack"), None).await.unwrap()), (2, 0));
    assert_eq!(counts(&tokens.invalidate_of(None, Some("default_native")).await.unwrap()), (0, 0));
    assert!(!is_good(&tokens, &access).await);
    assert_eq!(news.lock().len(), 1);
}

#[tokio::test]
async fn neither_half_passes_for_the_other() {
    let (tokens, _) = tokens();
    let (access, old) = pair(&tokens).await;
    assert_eq!(refresh(&tokens, &access).await, Err(RefreshRefusal::Unknown));
    assert!(matches!(tokens.verify(&old).await.unwrap(), TokenVerdict::Unknown));
    assert_eq!(counts(&tokens.invalidate(&old).await.unwrap()), (0, 0));
    assert_eq!(counts(&tokens.invalidate_refresh(&access).await.unwrap()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_lives_for_a_day_from_its_own_pair() {
    let (tokens, _) = tokens();
    let (_, old) = pair(&tokens).await;
    tokio::time::advance(Duration::from_hours(24) - Duration::from_millis(1)).await;
    let (_, next) = refresh(&tokens, &old).await.unwrap();
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(refresh(&tokens, &old).await, Err(RefreshRefusal::Expired));
    tokio::time::advance(Duration::from_hours(23)).await;
    assert!(refresh(&tokens, &next).await.is_ok());
}

#[tokio::test]
async fn nothing_stored_shows_a_token() {
    let (tokens, _) = tokens();
    let (access, old) = pair(&tokens).await;
    let (new, _) = refresh(&tokens, &old).await.unwrap();
    let record = tokens.store.token(&digest(&access, PREFIX).unwrap()).await.unwrap().unwrap();
    let sealed = record.refresh.unwrap().superseded.unwrap().sealed;
    assert!(!sealed.windows(8).any(|part| part == &new.as_bytes()[4..12]));
    assert!(seal::unseal(&SecretText::new(access), &sealed).is_none(), "the access token does not open it");
    assert!(seal::unseal(&SecretText::new(old), &sealed).is_some());
}
