//! Any order of steps by any number of instances: no generation is published twice and no pair is lost.

use super::*;

/// What one of the instances does next. Each acts on what it read when it last looked.
#[derive(Clone, Copy, Debug)]
enum Step {
    Look,
    Lease,
    Release,
    Publish,
    NeedsLogin,
    Extend,
    End,
    Work { done: bool },
    Wait,
}

const INSTANCES: usize = 3;

fn step() -> impl Strategy<Value = (usize, Step)> {
    let step = prop_oneof![
        4 => Just(Step::Look),
        3 => Just(Step::Lease),
        1 => Just(Step::Release),
        5 => Just(Step::Publish),
        1 => Just(Step::NeedsLogin),
        2 => Just(Step::Extend),
        1 => Just(Step::End),
        2 => any::<bool>().prop_map(|done| Step::Work { done }),
        1 => Just(Step::Wait),
    ];
    (0..INSTANCES, step)
}

/// What was seen to happen, by all.
#[derive(Default)]
struct Seen {
    generations: Vec<u64>,
    published: BTreeSet<String>,
    settled: BTreeSet<String>,
    made: u32,
}

impl Seen {
    /// A pair as the cluster might give one: another each time.
    fn grant(&mut self) -> Pair {
        self.made += 1;
        pair(&format!("p{}", self.made))
    }
}

async fn take(gateways: &[Gateway], views: &mut [Session], seen: &Mutex<Seen>, instance: usize, step: Step) {
    let (sessions, view) = (&gateways[instance].sessions, &mut views[instance]);
    let (owner, now) = (instance.to_string(), sessions.clock.now());
    match step {
        Step::Look => {
            if let Some(session) = sessions.get(&view.id).await.unwrap() {
                *view = session;
            }
        }
        Step::Lease => {
            if let Some(session) = sessions.lease(view, &owner, now.plus(Duration::from_secs(15))).await.unwrap() {
                *view = session;
            }
        }
        Step::Release => drop(sessions.release(view).await.unwrap()),
        Step::Publish => publish(sessions, view, seen).await,
        Step::NeedsLogin => drop(sessions.needs_login(view).await.unwrap()),
        Step::Extend => sessions.extend(view).await.unwrap(),
        Step::End => drop(sessions.end(&view.id, Reason::Logout).await.unwrap()),
        Step::Work { done } => {
            for one in sessions.due(&owner, 1).await.unwrap() {
                sessions.settle(&one, done).await.unwrap();
                seen.lock().settled.extend(all(&one.pair).into_iter().filter(|_| done));
            }
        }
        Step::Wait => pass(Duration::from_hours(2)).await,
    }
}

async fn publish(sessions: &Sessions, view: &mut Session, seen: &Mutex<Seen>) {
    let mut pair = seen.lock().grant();
    pair.access_expires_at = sessions.clock.now().plus(Duration::from_hours(1_000));
    match sessions.publish(view, pair.clone(), true).await.unwrap() {
        Published::Stored(session) => {
            *view = *session;
            let mut seen = seen.lock();
            seen.generations.push(view.generation);
            seen.published.insert(pair.access.expose().to_owned());
        }
        Published::Moved(session) => *view = *session,
        Published::Gone => {
            sessions.revoke(&pair, Reason::Unexpected).await.unwrap();
            seen.lock().published.insert(pair.access.expose().to_owned());
        }
    }
}

/// Every access token there ever was is in the session, in the queue or settled.
async fn audit(gateway: &Gateway, id: &SessionId, seen: &Seen) {
    let mut generations = seen.generations.clone();
    generations.sort_unstable();
    assert_eq!(
        generations,
        (2..generations.len() as u64 + 2).collect::<Vec<_>>(),
        "published once each, none left out"
    );
    let mut known = seen.settled.clone();
    if let Some(session) = gateway.sessions.get(id).await.unwrap() {
        known.extend(all(&session.pair));
    }
    pass(Duration::from_hours(1)).await;
    for one in gateway.sessions.due("auditor", 999).await.unwrap() {
        known.extend(all(&one.pair));
    }
    let lost: Vec<_> = seen.published.iter().filter(|token| !known.contains(*token)).collect();
    assert!(lost.is_empty(), "{lost:?} of {known:?}");
}

async fn start(store: &AnyStore) -> (Vec<Gateway>, Vec<Session>, Mutex<Seen>) {
    let keys = MasterKeys::ephemeral();
    let gateways: Vec<_> = (0..INSTANCES).map(|_| Gateway::over(store.clone(), keys.clone(), limits(None))).collect();
    let first = Pair { access_expires_at: START.plus(Duration::from_hours(1_000)), ..pair("p0") };
    let (_, session) = gateways[0].sessions.open(new("jack", first)).await.unwrap();
    let seen = Seen { published: BTreeSet::from(["access-p0".to_owned()]), ..Seen::default() };
    (gateways, vec![session; INSTANCES], Mutex::new(seen))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_order_of_steps_publishes_a_generation_twice_or_loses_a_pair(steps in vec(step(), 1..60)) {
        runtime().block_on(async {
            let (gateways, mut views, seen) = start(&memory()).await;
            for (instance, step) in steps {
                take(&gateways, &mut views, &seen, instance, step).await;
            }
            audit(&gateways[0], &views[0].id.clone(), &seen.into_inner()).await;
        });
    }
}

/// Each instance on a task of its own, so that steps fall between the reads and the writes of others too.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn instances_at_once_publish_each_generation_once_and_lose_no_pair() {
    for (store, _folder) in stores().await {
        for round in 0..8 {
            let (gateways, views, seen) = start(&store).await;
            let (gateways, seen, id) = (Arc::new(gateways), Arc::new(seen), views[0].id);
            let tasks: Vec<_> = (0..INSTANCES)
                .map(|instance| {
                    let (gateways, seen, mut views) = (Arc::clone(&gateways), Arc::clone(&seen), views.clone());
                    tokio::spawn(async move {
                        for turn in 0..12 {
                            for step in [Step::Look, Step::Lease, Step::Publish] {
                                take(&gateways, &mut views, &seen, instance, step).await;
                            }
                            if instance == 0 && turn == 6 + round % 5 {
                                take(&gateways, &mut views, &seen, instance, Step::End).await;
                            }
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            let seen = Arc::into_inner(seen).unwrap().into_inner();
            let mut generations = seen.generations.clone();
            generations.sort_unstable();
            assert_eq!(generations, (2..generations.len() as u64 + 2).collect::<Vec<_>>());
            let mut known = BTreeSet::new();
            for one in gateways[0].sessions.due("auditor", 999).await.unwrap() {
                known.extend(all(&one.pair));
                gateways[0].sessions.settle(&one, true).await.unwrap();
            }
            assert!(gateways[0].sessions.get(&id).await.unwrap().is_none());
            assert!(seen.published.is_subset(&known), "{:?} {known:?}", seen.published);
        }
    }
}
