//! The original as the judge: the same sessions of requests go to a secured Elasticsearch and to searchgate, and what a
//! client sees of both is compared. Sessions are `tests/conformance/sessions/*.yml` ([`session`] says what they may hold);
//! differences that are wanted stand in `docs/compatibility.md`.
//!
//! `SEARCHGATE_CONFORMANCE_SELF=1` plays the original against itself, which shows what a session forgot to mask;
//! `SEARCHGATE_CONFORMANCE_REPORT=FOLDER` writes what differed into a file a session.

mod compare;
mod session;
mod side;

use std::{collections::BTreeSet, env, fmt::Write as _, fs, path::Path};

use self::{
    compare::difference,
    session::{Exchange, Session, sessions},
    side::{Seen, Side},
};
use super::Cluster;

const ORIGINAL: &str = "SEARCHGATE_TEST_ELASTICSEARCH_SECURED";
const COMPATIBILITY: &str = include_str!("../../../docs/compatibility.md");

/// One test a session.
macro_rules! played {
    ($($name:ident)*) => {
        const PLAYED: &[&str] = &[$(stringify!($name)),*];
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                play(stringify!($name)).await;
            }
        )*
    };
}

played! {
    api_key_create
    api_key_derived
    api_key_get
    api_key_grant
    api_key_invalidate
    api_key_query
    api_key_update
    authenticate
    cross_cluster
    http
    others
    privileges
    role_mappings
    roles
    service
    token_window
    tokens
    users
}

/// Plays a session on both sides and compares each exchange.
async fn play(name: &str) {
    let Some(cluster) = Cluster::find(ORIGINAL) else { return };
    let session = Session::read(name);
    if session.long && env::var_os("SEARCHGATE_TEST_FULL").is_none() {
        eprintln!("skipped: {name} is played by scripts/test --full");
        return;
    }
    let administrator = |part| env::var(format!("{ORIGINAL}_{part}")).unwrap();
    let (user, password) = (administrator("USER"), administrator("PASSWORD"));
    let itself = env::var_os("SEARCHGATE_CONFORMANCE_SELF").is_some();
    let gateway = (!itself).then(|| {
        // What is no path of the API goes on to the cluster, as its administrator.
        let settings = format!(
            "authentication: {{throttle: {{failures: 0}}}}\nstore: {{url: 'memory:'}}\n\
             upstream: {{credential: {{kind: basic, username: {user}, password_file: DIR/password}}}}"
        );
        cluster
            .setup()
            .file("password", &password)
            .with(&settings)
            .environment("SEARCHGATE_BOOTSTRAP_PASSWORD", &password)
            .serve()
    });
    let mut original = Side::original(&cluster, (&user, &password));
    let mut other = match &gateway {
        Some(gateway) => Side::gateway(gateway.address(), ("elastic", &password)),
        None => Side::original(&cluster, (&user, &password)),
    };
    let (mut equal, mut differing, mut failures) = (0, String::new(), 0);
    for exchange in session.exchanges() {
        exchange.pause().await;
        let seen = tokio::join!(original.play(&exchange), other.play(&exchange));
        match judge(&exchange, &seen.0, &seen.1, itself) {
            None => equal += 1,
            Some(text) => {
                failures += 1;
                writeln!(differing, "{exchange}\n{text}").unwrap();
            }
        }
    }
    original.clean().await;
    if itself {
        other.clean().await;
    }
    let counts = format!("{name}: {equal} equal, {failures} different");
    eprintln!("{counts}");
    if let Some(folder) = env::var_os("SEARCHGATE_CONFORMANCE_REPORT") {
        fs::create_dir_all(&folder).unwrap();
        fs::write(Path::new(&folder).join(format!("{name}.txt")), format!("{counts}\n\n{differing}")).unwrap();
    }
    assert!(failures == 0, "{counts}\n\n{differing}");
}

/// What is wrong with a pair of answers: a difference that is not listed, or a listed one that is gone. Where an exchange
/// both differs and masks, what it masks must be all that differs.
fn judge(exchange: &Exchange, original: &Seen, other: &Seen, itself: bool) -> Option<String> {
    match &exchange.differs {
        Some(id) if !itself => {
            let mut bare = exchange.clone();
            bare.mask.clear();
            if difference(&bare, original, other).is_none() {
                return Some(format!("  the listed difference `{id}` did not occur\n"));
            }
            if exchange.mask.is_empty() { None } else { difference(exchange, original, other) }
        }
        _ => difference(exchange, original, other),
    }
}

#[test]
fn every_session_is_played() {
    let files: BTreeSet<String> = sessions().into_iter().collect();
    assert_eq!(files, PLAYED.iter().map(|&name| name.to_owned()).collect());
}

#[test]
fn every_wanted_difference_is_listed_and_met() {
    let (page, _) = COMPATIBILITY.split_once("## Requests to the cluster").unwrap();
    let listed: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(id, _)| id).collect();
    let met: Vec<Exchange> = sessions().iter().flat_map(|name| Session::read(name).exchanges()).collect();
    let met: BTreeSet<&str> = met.iter().filter_map(|exchange| exchange.differs.as_deref()).collect();
    assert_eq!(met, listed);
}

#[test]
fn every_case_of_the_checklist_is_played() {
    let exchanges = sessions().iter().flat_map(|name| Session::read(name).exchanges()).collect::<Vec<_>>();
    let mut cases: BTreeSet<u32> = exchanges.iter().flat_map(|exchange| exchange.cases.clone()).collect();
    // Those that are about requests to the cluster.
    cases.extend(super::authorization::cases());
    assert_eq!(cases, (1..=52).collect());
    assert!(exchanges.len() >= 700, "{} exchanges", exchanges.len());
}
