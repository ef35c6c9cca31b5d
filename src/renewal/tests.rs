use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::*;
use crate::store::{Lease, SessionState};

mod fakes;

use fakes::{Endpoint, START, Table, instance, instance_with, stamp};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn access(outcome: &Outcome) -> &str {
    outcome.as_ref().unwrap().pair.access.expose()
}

/// Many requests at once, of the instances in turn.
async fn together(count: usize, instances: &[Renewals<Table>], endpoint: &Endpoint) -> Vec<Outcome> {
    let mut waiting = JoinSet::new();
    for renewals in instances.iter().cycle().take(count).cloned() {
        let endpoint = endpoint.clone();
        waiting.spawn(async move { renewals.renew(stamp(1), &endpoint).await });
    }
    waiting.join_all().await
}

#[tokio::test(start_paused = true)]
async fn t1_an_expired_pair_is_renewed_and_stored() {
    let (table, endpoint) = (Table::with_session(), Endpoint::new());
    let outcome = instance(&table).renew(stamp(1), &endpoint).await;
    assert_eq!((access(&outcome), endpoint.calls()), ("access-2", 1));
    let stored = table.session();
    assert_eq!((stored.generation, stored.pair.refresh.unwrap().expose()), (2, "refresh-2"));
    assert_eq!(stored.pair.access_expires_at, START.plus(Duration::from_mins(20)));
    assert!(stored.lease.is_none());
}

#[tokio::test(start_paused = true)]
async fn t2_fifty_who_wait_make_one_call() {
    let (table, endpoint) = (Table::with_session(), Endpoint::new().slow(seconds(1), seconds(1)));
    let renewals = instance(&table);
    let outcomes = together(50, &[renewals], &endpoint).await;
    assert!(outcomes.iter().all(|outcome| access(outcome) == "access-2"));
    assert_eq!(endpoint.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn t3_three_instances_make_one_call() {
    let (table, endpoint) = (Table::with_session(), Endpoint::new().slow(seconds(1), seconds(1)));
    let instances = [instance(&table), instance(&table), instance(&table)];
    let outcomes = together(150, &instances, &endpoint).await;
    assert!(outcomes.iter().all(|outcome| access(outcome) == "access-2"));
    assert_eq!((endpoint.calls(), table.session().generation), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn t4_a_successor_of_an_owner_that_died_gets_the_same_pair_inside_the_reuse_window() {
    let (table, endpoint) = (Table::with_session(), Endpoint::new());
    let until = START.plus(Reauthentication::default().lease_ttl);
    let leased = table.lease(&table.session(), "somebody who dies", until).await.unwrap().unwrap();
    endpoint.exchange(&leased).await.unwrap();

    let begun = Instant::now();
    let outcome = instance(&table).renew(stamp(1), &endpoint).await;
    assert_eq!((access(&outcome), endpoint.calls()), ("access-2", 2));
    assert!((15..17).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn t5_what_another_instance_has_renewed_is_taken_without_a_call() {
    let (table, endpoint) = (Table::with_session(), Endpoint::new());
    instance(&table).renew(stamp(1), &endpoint).await.unwrap();
    sleep(seconds(31)).await;
    let outcome = instance(&table).renew(stamp(1), &endpoint).await;
    assert_eq!((access(&outcome), endpoint.calls()), ("access-2", 1));
}

#[tokio::test(start_paused = true)]
async fn t6_a_refusal_is_final_and_shared_by_all_who_waited() {
    let (table, endpoint) = (Table::with_session(), Endpoint::new().slow(seconds(1), seconds(0)));
    let endpoint = endpoint.fails([ExchangeError::Ended { ambiguous: false }]);
    let renewals = instance(&table);
    let outcomes = together(50, std::slice::from_ref(&renewals), &endpoint).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(RenewError::Expired))));
    assert!(matches!(renewals.renew(stamp(1), &endpoint).await, Err(RenewError::Expired)));
    assert_eq!((endpoint.calls(), table.session().state), (1, SessionState::NeedsLogin));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_counts_for_nothing_when_another_instance_was_faster() {
    let (table, endpoint) = (Table::with_session(), Endpoint::new().slow(seconds(1), seconds(0)));
    let endpoint = endpoint.fails([ExchangeError::Ended { ambiguous: false }]);
    let renewals = instance(&table);
    let elsewhere = async { table.change(|session| session.generation = 2) };
    let (outcome, ()) = tokio::join!(renewals.renew(stamp(1), &endpoint), elsewhere);
    assert_eq!(outcome.unwrap().generation, 2);
    assert_eq!(table.session().state, SessionState::Active);
}

#[tokio::test(start_paused = true)]
async fn t7_while_nobody_can_tell_the_session_stays_and_few_calls_are_made() {
    let (table, endpoint) = (Table::with_session(), Endpoint::new());
    let endpoint = endpoint.fails([ExchangeError::Transient, ExchangeError::Ended { ambiguous: true }]);
    endpoint.store_answers(false);
    let renewals = instance(&table);
    // A client that insists, every 100 ms: one call at once, one after a second, one after two more.
    let (begun, mut refused) = (Instant::now(), 0);
    let renewed = loop {
        match renewals.renew(stamp(1), &endpoint).await {
            Ok(session) => break session,
            Err(RenewError::Transient { retry_after }) => {
                assert_eq!(retry_after, RETRY_AFTER);
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
        let session = table.session();
        assert_eq!((session.generation, session.state, session.lease), (1, SessionState::Active, None));
        sleep(Duration::from_millis(100)).await;
    };
    assert_eq!((renewed.generation, endpoint.calls(), begun.elapsed().as_secs()), (2, 3, 3));
    assert!(refused >= 30, "{refused}");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_does_not_answer_in_time_is_a_passing_failure() {
    let (table, endpoint) = (Table::with_session(), Endpoint::new().slow(seconds(60), seconds(0)));
    let (renewals, begun) = (instance(&table), Instant::now());
    assert!(matches!(renewals.renew(stamp(1), &endpoint).await, Err(RenewError::Transient { .. })));
    assert_eq!((begun.elapsed(), table.session().lease), (seconds(10), None));
}

#[tokio::test(start_paused = true)]
async fn the_pause_after_failures_grows_to_half_a_minute() {
    let (table, endpoint) = (Table::with_session(), Endpoint::new().fails([ExchangeError::Transient; 8]));
    let (renewals, mut pauses) = (instance(&table), Vec::new());
    for call in 1..=8 {
        let begun = Instant::now();
        while endpoint.calls() < call {
            let _refused = renewals.renew(stamp(1), &endpoint).await;
            sleep(Duration::from_millis(10)).await;
        }
        pauses.push(begun.elapsed().as_secs());
    }
    assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 30, 30]);
}

#[tokio::test(start_paused = true)]
async fn t15_a_renewal_under_way_can_be_waited_for() {
    let (table, endpoint) = (Table::with_session(), Endpoint::new().slow(seconds(1), seconds(1)));
    let renewals = instance(&table);
    assert!(timeout(seconds(1), renewals.renew(stamp(1), &endpoint)).await.is_err());
    renewals.settled(&fakes::ID).await;
    assert_eq!(table.session().pair.access.expose(), "access-2");
}

#[tokio::test(start_paused = true)]
async fn t16_a_pair_for_a_session_that_was_ended_meanwhile_ends_too() {
    let (table, endpoint) = (Table::with_session(), Endpoint::new().slow(seconds(1), seconds(1)));
    let renewals = instance(&table);
    let ending = async {
        sleep(seconds(1)).await;
        table.end();
    };
    let (outcome, ()) = tokio::join!(renewals.renew(stamp(1), &endpoint), ending);
    assert!(matches!(outcome, Err(RenewError::Gone)));
    assert_eq!(table.revoked(), ["access-1", "access-2"]);
}

#[tokio::test(start_paused = true)]
async fn t17_a_pair_that_is_dead_on_arrival_is_renewed_once_more() {
    let (table, endpoint) = (Table::with_session(), Endpoint::new().grants(seconds(2), ["access-2"]));
    let outcome = instance(&table).renew(stamp(1), &endpoint).await;
    assert_eq!((access(&outcome), endpoint.calls(), table.session().generation), ("access-3", 2, 3));
}

#[tokio::test(start_paused = true)]
async fn t17_pairs_that_are_all_dead_on_arrival_make_no_loop() {
    let dead = ["access-2", "access-3", "access-4"];
    let (table, endpoint) = (Table::with_session(), Endpoint::new().grants(seconds(2), dead));
    let outcome = instance(&table).renew(stamp(1), &endpoint).await;
    assert_eq!((access(&outcome), endpoint.calls()), ("access-3", 2));
}

#[tokio::test(start_paused = true)]
async fn a_new_token_is_asked_about_where_clusters_need_that() {
    let (table, endpoint) = (Table::with_session(), Endpoint::new().grants(seconds(1200), ["access-2"]));
    let (renewals, begun) =
        (instance_with(&table, START, |settings| settings.post_refresh_probe = true), Instant::now());
    let outcome = renewals.renew(stamp(1), &endpoint).await;
    assert_eq!((access(&outcome), endpoint.calls()), ("access-2", 1));
    assert_eq!(begun.elapsed(), Duration::from_millis(800));
}

#[tokio::test(start_paused = true)]
async fn t18_a_background_renewal_is_stored_and_counts_as_no_activity() {
    let (table, endpoint) = (Table::with_session(), Endpoint::new());
    instance(&table).renew(Stamp { active: false, ..stamp(1) }, &endpoint).await.unwrap();
    assert_eq!((table.session().generation, table.session().last_seen_at), (2, START));
}

#[tokio::test(start_paused = true)]
async fn t28_a_pair_that_the_store_does_not_take_serves_this_instance_and_is_stored_later() {
    let (table, endpoint) = (Table::with_session(), Endpoint::new().slow(seconds(0), seconds(1)));
    let renewals = instance(&table);
    let falling = async {
        sleep(Duration::from_millis(500)).await;
        table.is_down(true);
    };
    let (outcome, ()) = tokio::join!(renewals.renew(stamp(1), &endpoint), falling);
    assert_eq!(access(&outcome), "access-2");
    assert_eq!(access(&renewals.renew(stamp(1), &endpoint).await), "access-2");
    assert_eq!((endpoint.calls(), renewals.unsaved(&fakes::ID).unwrap().generation), (1, 2));
    table.is_down(false);
    sleep(seconds(2)).await;
    assert_eq!((table.session().generation, table.session().pair.access.expose()), (2, "access-2"));
    assert!(renewals.unsaved(&fakes::ID).is_none());
}

#[tokio::test(start_paused = true)]
async fn t28_a_store_that_stays_down_is_told_of() {
    let (table, endpoint) = (Table::with_session(), Endpoint::new().slow(seconds(0), seconds(1)));
    let renewals = instance(&table);
    let falling = async {
        sleep(Duration::from_millis(500)).await;
        table.is_down(true);
    };
    let (outcome, ()) = tokio::join!(renewals.renew(stamp(1), &endpoint), falling);
    outcome.unwrap();
    sleep(seconds(60)).await;
    assert!(renewals.0.metrics.render().contains("searchgate_session_persist_lost_total 1"));
    // It is still there for the next one, and is stored as soon as that can be.
    table.is_down(false);
    assert_eq!(access(&renewals.renew(stamp(1), &endpoint).await), "access-2");
    assert_eq!((endpoint.calls(), table.session().generation), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn t29_a_refused_identity_of_the_gateway_ends_no_session_and_costs_one_call() {
    for (fault, expected) in [(ExchangeError::Rejected, "refuses"), (ExchangeError::OtherClient, "another identity")] {
        let (table, endpoint) = (Table::with_session(), Endpoint::new().fails([fault]));
        let renewals = instance(&table);
        for _ in 0..4 {
            let error = renewals.renew(stamp(1), &endpoint).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        assert_eq!((endpoint.calls(), table.session().state), (1, SessionState::Active));
    }
}

#[tokio::test(start_paused = true)]
async fn t32_a_lease_of_an_instance_whose_clock_is_ahead_lasts_no_longer_than_leases_do() {
    let (table, endpoint) = (Table::with_session(), Endpoint::new());
    let ahead = START.plus(Duration::from_mins(1));
    table.change(|session| {
        session.lease = Some(Lease { owner: "dead, and ahead".into(), until: ahead.plus(seconds(15)) })
    });
    let begun = Instant::now();
    instance(&table).renew(stamp(1), &endpoint).await.unwrap();
    assert!((15..17).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn t32_instances_whose_clocks_differ_by_a_minute_make_one_call() {
    let (table, endpoint) = (Table::with_session(), Endpoint::new().slow(seconds(1), seconds(1)));
    let behind = instance_with(&table, START.minus(Duration::from_mins(1)), |_| ());
    let (first, second) = (instance(&table), behind);
    let (one, other) = tokio::join!(first.renew(stamp(1), &endpoint), second.renew(stamp(1), &endpoint));
    assert_eq!((access(&one), access(&other), endpoint.calls()), ("access-2", "access-2", 1));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_outlives_whoever_began_it() {
    let (table, endpoint) = (Table::with_session(), Endpoint::new().slow(seconds(1), seconds(1)));
    let renewals = instance(&table);
    assert!(timeout(seconds(1), renewals.renew(stamp(1), &endpoint)).await.is_err());
    renewals.drain().await;
    assert_eq!((table.session().generation, endpoint.calls()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn more_than_may_wait_are_told_so_at_once() {
    let (table, endpoint) = (Table::with_session(), Endpoint::new().slow(seconds(1), seconds(1)));
    let renewals = instance_with(&table, START, |settings| settings.max_waiters_per_session = 10);
    let outcomes = together(15, &[renewals], &endpoint).await;
    let busy = outcomes.iter().filter(|outcome| matches!(outcome, Err(RenewError::Busy))).count();
    assert_eq!((busy, outcomes.iter().filter(|outcome| outcome.is_ok()).count()), (5, 10));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_configured() {
    let (table, endpoint) = (Table::with_session(), Endpoint::new().slow(seconds(9), seconds(0)));
    let renewals = instance_with(&table, START, |settings| settings.max_wait = seconds(3));
    let begun = Instant::now();
    assert!(matches!(renewals.renew(stamp(1), &endpoint).await, Err(RenewError::Transient { .. })));
    assert_eq!(begun.elapsed(), seconds(3));
    // The flight goes on, and its pair is there for the next one.
    assert_eq!(access(&instance(&table).renew(stamp(1), &endpoint).await), "access-2");
    assert_eq!(endpoint.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_needs_a_still_later_pair_does_not_take_that_of_the_flight_it_joined() {
    let (table, endpoint) = (Table::with_session(), Endpoint::new().slow(seconds(1), seconds(0)));
    let renewals = instance(&table);
    let (early, late) = tokio::join!(renewals.renew(stamp(1), &endpoint), renewals.renew(stamp(2), &endpoint));
    assert_eq!((access(&early), access(&late), endpoint.calls()), ("access-2", "access-3", 2));
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_session_is_kept_once_its_flight_has_landed() {
    let (table, endpoint) = (Table::with_session(), Endpoint::new());
    let renewals = instance(&table);
    renewals.renew(stamp(1), &endpoint).await.unwrap();
    let air = renewals.0.air.lock();
    assert!(air.flights.is_empty() && air.cooling.is_empty());
}
