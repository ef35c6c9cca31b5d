use std::collections::VecDeque;

use serde_json::Value;
use tokio::time::sleep;

use super::*;
use crate::config::Reauthentication;

/// An endpoint that answers what it is told to, in a time of its own.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    answers: VecDeque<Result<Value, Failure>>,
    takes: Duration,
    /// The refresh token of each call.
    asked: Vec<Option<String>>,
}

impl Grant for Scripted {
    async fn ask(&self, refresh: Option<&SecretText>) -> Result<Tokens, Failure> {
        let takes = {
            let mut script = self.0.lock();
            script.asked.push(refresh.map(|token| token.expose().to_owned()));
            script.takes
        };
        sleep(takes).await;
        let answer = self.0.lock().answers.pop_front().unwrap_or_else(|| Err(silent()))?;
        Ok(Tokens::read(answer.to_string().as_bytes()).unwrap())
    }

    fn url(&self) -> String {
        "http://issuer/token".into()
    }
}

fn silent() -> Failure {
    Failure::Transient("nothing more in the script".into())
}

fn no() -> Failure {
    Failure::Refused("400 invalid_grant".into())
}

#[expect(clippy::unnecessary_wraps, reason = "it stands in a script among failures")]
fn token(text: &str, seconds: u64) -> Result<Value, Failure> {
    Ok(json!({"access_token": text, "expires_in": seconds}))
}

/// Tokens that are watched until the test ends.
struct Watched {
    endpoint: Scripted,
    source: Arc<TokenSource<Scripted>>,
    metrics: Arc<Metrics>,
    _stop: tokio_util::sync::DropGuard,
}

impl Watched {
    fn start(answers: impl IntoIterator<Item = Result<Value, Failure>>) -> Self {
        let endpoint = Scripted::default();
        endpoint.0.lock().answers.extend(answers);
        let metrics = Metrics::new(&[]);
        let source = TokenSource::new(endpoint.clone(), &Reauthentication::default(), Arc::clone(&metrics));
        let (source, stop) = (Arc::new(source), CancellationToken::new());
        tokio::spawn({
            let (source, stop) = (Arc::clone(&source), stop.clone());
            async move { source.watch(stop).await }
        });
        Self { endpoint, source, metrics, _stop: stop.drop_guard() }
    }

    async fn settled(answers: impl IntoIterator<Item = Result<Value, Failure>>) -> Self {
        let watched = Self::start(answers);
        watched.source.settle().await;
        watched
    }

    fn then(&self, answers: impl IntoIterator<Item = Result<Value, Failure>>) {
        self.endpoint.0.lock().answers.extend(answers);
    }

    fn takes(&self, seconds: u64) {
        self.endpoint.0.lock().takes = Duration::from_secs(seconds);
    }

    fn asked(&self) -> Vec<Option<String>> {
        self.endpoint.0.lock().asked.clone()
    }

    fn calls(&self) -> usize {
        self.asked().len()
    }

    fn shown(&self) -> Option<String> {
        self.source.fresh().map(|held| text(&held))
    }

    async fn refused(&self, held: &Held) -> Result<String, &'static str> {
        self.replaced(held, true).await
    }

    async fn missing(&self) -> Result<String, &'static str> {
        self.replaced(&self.source.held(), false).await
    }

    async fn replaced(&self, held: &Held, refused: bool) -> Result<String, &'static str> {
        match self.source.replace(held, refused).await {
            Ok(held) => Ok(text(&held)),
            Err(CredentialError::Rejected) => Err("rejected"),
            Err(CredentialError::Transient) => Err("transient"),
            Err(other) => panic!("{other}"),
        }
    }

    fn counts(&self, outcome: &str) -> u64 {
        let sample = format!(r#"searchgate_reauth_attempts_total{{provider="gateway",outcome="{outcome}"}} "#);
        let page = self.metrics.render();
        page.lines().find_map(|line| line.strip_prefix(&sample)).map_or(0, |count| count.parse().unwrap())
    }
}

fn text(held: &Held) -> String {
    held.header().unwrap().to_str().unwrap().trim_start_matches("Bearer ").to_owned()
}

async fn pass(seconds: f64) {
    sleep(Duration::from_secs_f64(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_is_replaced_ahead_of_its_expiry_while_nobody_waits() {
    let watched = Watched::settled([token("a", 100), token("b", 1000), token("c", 1000)]).await;
    watched.takes(5);
    pass(89.0).await;
    assert_eq!((watched.calls(), watched.shown().as_deref()), (1, Some("a")));
    pass(2.0).await; // a tenth of 100 s is less than 30 s
    assert_eq!((watched.calls(), watched.shown().as_deref()), (2, Some("a")), "the old one is shown meanwhile");
    pass(5.0).await;
    assert_eq!(watched.shown().as_deref(), Some("b"));
    pass(960.0).await; // counted from the question, 30 s ahead
    assert_eq!(watched.calls(), 2);
    pass(10.0).await;
    assert_eq!((watched.calls(), watched.shown().as_deref()), (3, Some("c")));
    assert_eq!((watched.source.held().generation, watched.counts("refreshed")), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_once_for_all_who_wait() {
    let watched = Watched::settled([token("a", 1000), token("b", 1000)]).await;
    watched.takes(3);
    let refused = watched.source.held();
    let all = tokio::join!(watched.refused(&refused), watched.refused(&refused), watched.refused(&refused));
    assert_eq!(all, (Ok("b".into()), Ok("b".into()), Ok("b".into())));
    assert_eq!(watched.calls(), 2);
    // Whoever comes late with the old one gets the new one at once.
    assert_eq!(watched.refused(&refused).await.unwrap(), "b");
    assert_eq!((watched.calls(), watched.counts("refreshed")), (2, 1), "the second is the request's to count");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_outlives_those_who_wait_for_it() {
    let watched = Watched::settled([token("a", 1000), token("b", 1000)]).await;
    watched.takes(3);
    let refused = watched.source.held();
    assert!(timeout(Duration::from_secs(1), watched.refused(&refused)).await.is_err(), "the client hung up");
    pass(3.0).await;
    assert_eq!((watched.calls(), watched.shown().as_deref()), (2, Some("b")));
}

#[tokio::test(start_paused = true)]
async fn a_refused_grant_is_shared_and_is_the_operators_to_mend() {
    let watched = Watched::settled([token("a", 1000), Err(no())]).await;
    watched.takes(1);
    let refused = watched.source.held();
    let all = tokio::join!(watched.refused(&refused), watched.refused(&refused));
    assert_eq!(all, (Err("rejected"), Err("rejected")));
    assert_eq!(watched.calls(), 2);
    assert!(watched.metrics.render().contains("searchgate_upstream_credential_rejected_total 1"));
}

#[tokio::test(start_paused = true)]
async fn a_silent_endpoint_is_shared_and_left_alone_for_a_while() {
    let watched = Watched::settled([token("a", 10_000)]).await;
    watched.takes(1);
    let refused = watched.source.held();
    let all = tokio::join!(watched.refused(&refused), watched.refused(&refused));
    assert_eq!((all, watched.calls()), ((Err("transient"), Err("transient")), 2));
    for _ in 0..100 {
        assert_eq!(watched.refused(&refused).await, Err("transient"));
    }
    assert_eq!(watched.calls(), 2, "a call that failed costs the endpoint nothing for a second");
    watched.then([token("b", 1000)]);
    pass(1.5).await;
    assert_eq!(watched.refused(&refused).await.unwrap(), "b");
    assert_eq!(watched.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_pauses_between_calls_in_vain_double_up_to_thirty_seconds() {
    let watched = Watched::settled([]).await;
    let mut gaps = Vec::new();
    let (mut calls, mut last) = (1, Instant::now());
    while gaps.len() < 8 {
        pass(0.1).await;
        if watched.calls() > calls {
            gaps.push(last.elapsed().as_secs_f64().round());
            (calls, last) = (watched.calls(), Instant::now());
        }
    }
    assert_eq!(gaps, [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]);
}

#[tokio::test(start_paused = true)]
async fn without_the_endpoint_there_is_no_token_until_it_answers() {
    let watched = Watched::settled([Err(silent()), Err(silent())]).await;
    assert_eq!((watched.missing().await, watched.shown()), (Err("transient"), None));
    watched.then([token("a", 100)]);
    pass(3.5).await; // nobody asks for it
    assert_eq!(watched.shown().as_deref(), Some("a"));
    assert_eq!(watched.source.status()["problem"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_before_the_first_token_waits_for_it() {
    let watched = Watched::start([token("a", 100)]);
    watched.takes(2);
    assert_eq!(watched.missing().await.unwrap(), "a");
    assert_eq!(watched.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_early_refresh_that_fails_is_silent_while_the_token_is_good() {
    let watched = Watched::settled([token("a", 100), Err(no())]).await;
    pass(95.0).await;
    assert!(watched.calls() > 1);
    assert_eq!(watched.shown().as_deref(), Some("a"));
    pass(5.0).await;
    assert_eq!(watched.shown(), None, "not a moment past its expiry");
}

#[tokio::test(start_paused = true)]
async fn tokens_that_end_earlier_than_was_told_are_replaced_each_time() {
    let tokens = (0..10).map(|number| token(&format!("t{number}"), 10_000));
    let watched = Watched::settled(tokens).await;
    for _ in 0..8 {
        pass(1.2).await;
        let held = watched.source.held();
        assert!(watched.refused(&held).await.is_ok(), "the cluster took it for a while");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_refuses_every_token_makes_no_flood_of_grants() {
    let tokens = (0..100).map(|number| token(&format!("t{number}"), 10_000));
    let watched = Watched::settled(tokens).await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_mins(1) {
        let held = watched.source.held();
        let _outcome = watched.refused(&held).await;
        pass(0.01).await;
    }
    // At once, then 1, 2, 4, 8, 16 and 30 s apart.
    assert_eq!(watched.calls(), 7);
    let held = watched.source.held();
    assert_eq!(watched.refused(&held).await, Err("rejected"));
    // Long after, a refusal is a first one again.
    pass(100.0).await;
    let held = watched.source.held();
    assert!(watched.refused(&held).await.is_ok());
    pass(1.5).await;
    let held = watched.source.held();
    assert!(watched.refused(&held).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_expiry_is_refreshed_when_the_cluster_refuses_and_not_before() {
    let watched = Watched::settled([Ok(json!({"access_token": "a"})), token("b", 100)]).await;
    pass(1_000_000.0).await;
    assert_eq!((watched.calls(), watched.shown().as_deref()), (1, Some("a")));
    let status = watched.source.status();
    assert_eq!((&status["expires_in_ms"], &status["next_refresh_in_ms"]), (&Value::Null, &Value::Null));
    assert_eq!(watched.refused(&watched.source.held()).await.unwrap(), "b");
}

#[tokio::test(start_paused = true)]
async fn tokens_that_are_dead_on_arrival_make_no_loop() {
    let watched = Watched::settled((0..100).map(|_| token("dead", 0))).await;
    pass(10.0).await;
    assert!((15..=21).contains(&watched.calls()), "{}", watched.calls());
    assert_eq!(watched.shown(), None);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_goes_before_the_grant_and_the_grant_mends_its_refusal() {
    let pair =
        |access: &str, refresh: &str| Ok(json!({"access_token": access, "refresh_token": refresh, "expires_in": 100}));
    let watched = Watched::settled([
        pair("a", "r1"),
        pair("b", "r2"),
        token("c", 100),
        Err(no()),
        token("d", 100),
        token("e", 100),
    ])
    .await;
    pass(5.0 * 91.0).await;
    let asked: Vec<_> = watched.asked().into_iter().map(Option::unwrap_or_default).collect();
    // `c` came without a refresh token, so r2 stayed good; with `d` there was none.
    assert_eq!(asked[..6], ["", "r1", "r2", "r2", "", ""]);
    assert_eq!(watched.counts("expired"), 0);
}

#[tokio::test(start_paused = true)]
async fn the_status_tells_times_and_the_last_error_but_no_token() {
    let pair = json!({"access_token": "s3cret", "refresh_token": "s3cret", "expires_in": 100});
    let watched = Watched::settled([Ok(pair), Err(no())]).await;
    pass(10.0).await;
    assert_eq!(
        watched.source.status(),
        json!({"kind": "oauth2", "endpoint": "http://issuer/token", "available": true,
        "generation": 1, "expires_in_ms": 90_000, "next_refresh_in_ms": 80_000, "problem": null})
    );
    pass(81.0).await;
    let status = watched.source.status();
    assert!(status["problem"].is_string(), "{status}");
    let printed = format!("{status} {:?} {:?}", watched.source.held(), watched.source.state.lock());
    assert!(!printed.contains("s3cret"), "{printed}");
}
