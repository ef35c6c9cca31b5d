//! The original as the judge of authorization: a secured Elasticsearch, and searchgate before one without security, hold the
//! same documents, users, roles and keys. Every request of `tests/authorization/requests` is sent to both by every caller of
//! `callers.yml`, and what they answer and what they change is compared.
//!
//! Searchgate may show and change nothing that the original would not: no list allows that. Where it is stricter, or says it
//! otherwise, `differences.yml` says why. `SEARCHGATE_AUTHORIZATION_REPORT=FILE` takes all that was found, `SEARCHGATE_AUTHORIZATION_AREAS=A,B`
//! asks the requests of these files only.

mod differences;
mod opensearch;
mod requests;
mod seen;
mod side;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fmt::Write as _,
    fs,
    sync::Arc,
};

use serde::Deserialize;
use serde_json::Value;

use self::{
    differences::Differences,
    requests::{Request, requests},
    seen::{Seen, Verdict},
    side::{Caller, Line, Side},
    world::{State, World, delta, look},
};
use super::Cluster;
use crate::support::process::PASSWORD;

const ORIGINAL: &str = "SEARCHGATE_TEST_ELASTICSEARCH_SECURED";
const PLAIN: &str = "SEARCHGATE_TEST_ELASTICSEARCH";
const CALLERS: &str = "tests/authorization/callers.yml";
/// Refused requests after which it is looked whether nothing was changed.
const REFUSED: usize = 60;

/// Of requests that change something, one caller in the short form asks one of so many.
const SHARES: usize = 4;

/// One request by one caller, judged.
struct Judged {
    caller: String,
    request: Request,
    original: Seen,
    other: Seen,
    verdict: Verdict,
}

/// Both sides, and what there is to say about them.
struct Court {
    world: World,
    words: BTreeSet<String>,
    original: Side,
    other: Side,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limited_callers_get_what_the_original_gives_them_and_nothing_more() {
    let (Some(secured), Some(plain)) = (Cluster::find(ORIGINAL), Cluster::find(PLAIN)) else { return };
    let gateway = plain.setup().with("authentication: {throttle: {failures: 0}}\nstore: {url: 'memory:'}").serve();
    let callers = callers();
    let started = tokio::time::Instant::now();
    let mut requests = requests();
    assert!(requests.len() >= 600 && callers.len() >= 14, "{} requests, {} callers", requests.len(), callers.len());

    let areas = env::var("SEARCHGATE_AUTHORIZATION_AREAS").unwrap_or_default();
    requests.retain(|request| areas.is_empty() || areas.split(',').any(|area| area == request.area));

    let administrator = |part| env::var(format!("{ORIGINAL}_{part}")).unwrap();
    let (user, password) = (administrator("USER"), administrator("PASSWORD"));
    let mut original = Side::cluster(&secured, (&user, &password));
    let mut other = Side::gateway(gateway.address(), ("elastic", PASSWORD));
    let world = World::read();
    let (mut one, mut two) = (original.line(), other.line());
    tokio::join!(original.admit(&callers), other.admit(&callers));
    tokio::join!(world.build(&mut one), world.build(&mut two));
    let court = Arc::new(Court { words: world.words(), world, original, other });

    let full = env::var_os("SEARCHGATE_TEST_FULL").is_some();
    let asking: Vec<String> =
        callers.iter().filter(|(_, caller)| full || caller.short).map(|(name, _)| name.clone()).collect();
    let (changing, reading): (Vec<_>, Vec<_>) = requests.into_iter().partition(|request| request.changes);
    let reading = Arc::new(reading);
    let mut tasks = tokio::task::JoinSet::new();
    for caller in asking.clone() {
        let (court, reading) = (Arc::clone(&court), Arc::clone(&reading));
        tasks.spawn(async move { court.read(&caller, &reading).await });
    }
    let mut judged: Vec<Judged> = tasks.join_all().await.into_iter().flatten().collect();
    let read = started.elapsed();
    let began_to_change = tokio::time::Instant::now();
    judged.extend(court.change(&asking, &changing, if full { 1 } else { SHARES }).await);

    court.original.dismiss(&callers).await;
    let compared = judged.len();
    let mut differences = Differences::read();
    let verdict = report(judged, &mut differences);
    let gone = if full && areas.is_empty() { differences.gone() } else { Vec::new() };
    let counts = format!(
        "{} requests, {} callers, {compared} comparisons, {} listed, {} unlisted, {} show or change more; {read:.0?} and {:.0?}",
        changing.len() + reading.len(),
        asking.len(),
        verdict.listed,
        verdict.unlisted,
        verdict.more,
        began_to_change.elapsed()
    );
    eprintln!("{counts}");
    if let Some(file) = env::var_os("SEARCHGATE_AUTHORIZATION_REPORT") {
        fs::write(file, format!("{counts}\n{:?}\n{}", differences.counts(), verdict.text)).unwrap();
    }
    let wrong = verdict.more + verdict.unlisted + gone.len();
    assert!(wrong == 0, "{counts}\n{}\nlisted, but gone:\n{}", verdict.text, gone.join("\n"));
}

/// Cases of the page's section 18 that are asked here.
pub(super) fn cases() -> impl Iterator<Item = u32> {
    requests().into_iter().filter_map(|request| request.case)
}

/// Everybody who asks.
fn callers() -> BTreeMap<String, Caller> {
    #[derive(Deserialize)]
    struct File {
        callers: BTreeMap<String, Caller>,
    }
    let value: Value = serde_saphyr::from_str(&fs::read_to_string(CALLERS).unwrap()).unwrap();
    File::deserialize(value).unwrap().callers
}

impl Court {
    /// Requests that change nothing, all by one caller.
    async fn read(&self, caller: &str, requests: &[Request]) -> Vec<Judged> {
        let (mut one, mut two) = (self.original.line(), self.other.line());
        let mut judged = Vec::new();
        for request in requests {
            judged.push(self.both(&mut one, &mut two, caller, request).await);
        }
        judged
    }

    /// Requests that change what the next ones find: one after the other, and each finds the world as it was.
    async fn change(&self, callers: &[String], requests: &[Request], shares: usize) -> Vec<Judged> {
        let (mut one, mut two) = (self.original.line(), self.other.line());
        let base = tokio::join!(look(&mut one), look(&mut two));
        let (mut judged, mut refused) = (Vec::new(), 0);
        for (place, caller) in callers.iter().enumerate() {
            // In the short form each is asked by some.
            for request in requests.iter().skip(place % shares).step_by(shares) {
                let mut next = self.both(&mut one, &mut two, caller, request).await;
                refused += 1;
                if next.original.is_success() || next.other.is_success() || refused == REFUSED {
                    refused = 0;
                    self.compare(&mut one, &mut two, &base, &mut next).await;
                }
                judged.push(next);
            }
        }
        judged
    }

    async fn both(&self, one: &mut Line, two: &mut Line, caller: &str, request: &Request) -> Judged {
        let (left, right) = tokio::join!(one.play(caller, request), two.play(caller, request));
        let original = Seen::of(&left, request, &self.original, &self.words);
        let other = Seen::of(&right, request, &self.other, &self.words);
        let verdict = match original.judge(&other) {
            // There is nothing that this one may not see.
            Verdict::More(_) if caller == "superuser" => Verdict::Different,
            verdict => verdict,
        };
        Judged { caller: caller.to_owned(), request: request.clone(), original, other, verdict }
    }

    /// Compares what a request, or one that was refused before it, has changed, and undoes it.
    async fn compare(&self, one: &mut Line, two: &mut Line, base: &(State, State), judged: &mut Judged) {
        let (left, right) = tokio::join!(look(one), look(two));
        let (original, other) = (delta(&base.0, &left), delta(&base.1, &right));
        if !other.is_subset(&original) {
            let more: Vec<_> = other.difference(&original).map(|(key, value)| format!("{key} = {value}")).collect();
            judged.verdict = Verdict::More(format!("changes {}", more.join("; ")));
        } else if original != other && matches!(judged.verdict, Verdict::Same) {
            judged.verdict = Verdict::Different;
        }
        let changed: BTreeSet<_> = original.union(&other).cloned().collect();
        if !changed.is_empty() {
            tokio::join!(self.world.mend(one, &changed), self.world.mend(two, &changed));
            let now = tokio::join!(look(one), look(two));
            assert!(now == *base, "not mended: {:?} {:?}", delta(&base.0, &now.0), delta(&base.1, &now.1));
        }
    }
}

struct Report {
    listed: usize,
    unlisted: usize,
    more: usize,
    text: String,
}

/// What is to be told, one paragraph for all callers who see the same.
fn report(judged: Vec<Judged>, differences: &mut Differences) -> Report {
    let (mut listed, mut unlisted, mut more) = (0, 0, 0);
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for judged in judged {
        if matches!(judged.verdict, Verdict::Same) {
            continue;
        }
        if differences.lists(&judged) {
            listed += 1;
            continue;
        }
        let word = if let Verdict::More(what) = &judged.verdict {
            more += 1;
            format!("MORE: {what}")
        } else {
            unlisted += 1;
            "different".to_owned()
        };
        let Judged { caller, request, original, other, .. } = judged;
        let text = format!("{word}: {} {request}\n  - {original}\n  + {other}", request.area);
        told.entry(text.replace(&format!("[{caller}]"), "[<caller>]")).or_default().push(caller);
    }
    let mut text = String::new();
    for (paragraph, callers) in told {
        writeln!(text, "{paragraph}\n  by {}", callers.join(", ")).unwrap();
    }
    Report { listed, unlisted, more, text }
}

#[test]
fn every_wanted_difference_is_named_in_the_page() {
    let page = include_str!("../../../docs/compatibility.md");
    for id in Differences::read().ids() {
        assert!(page.contains(&format!("| `{id}` |")), "{id}");
    }
}
