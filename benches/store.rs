//! The SQLite store: look-ups among 100,000 keys, and durable creations by 32 tasks at once.

#![expect(clippy::expect_used, reason = "a benchmark that cannot go on stops")]

use std::{path::Path, sync::Arc, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use searchgate::{
    clock::Clock,
    config,
    keys::{CreatedKey, KeyVerdict, Keys, NewKey},
    model::{Identity, RealmRef},
    store::{AnyStore, Creator, sqlite::Sqlite},
};
use serde_json::{Map, json};
use tokio::{runtime::Runtime, time::Instant};

const KEYS: usize = 100_000;
const TASKS: usize = 32;

fn keys(path: &Path) -> Arc<Keys> {
    let config = config::ApiKeys {
        retention: Duration::from_hours(1),
        cleanup_interval: Duration::from_hours(1),
        max_lifetime: None,
        default_lifetime: None,
        max_per_owner: 10_000,
        cache_entries: 1,
    };
    let store = Sqlite::open(path).expect("a scratch store");
    Arc::new(Keys::new(AnyStore::Sqlite(Arc::new(store)), Clock::system(), config, Arc::new(|_| {})))
}

/// A key of the usual size. Each of many owners has a few.
async fn create(keys: &Keys, number: usize) -> CreatedKey {
    let descriptor = json!({"cluster": ["monitor"], "indices": [{
        "names": ["logs-*"], "privileges": ["create_doc", "auto_configure"], "allow_restricted_indices": false,
    }], "applications": [], "run_as": [], "metadata": {}, "transient_metadata": {"enabled": true}});
    let descriptors = Map::from_iter([("ingest".to_owned(), descriptor)]);
    let new = NewKey {
        access: None,
        name: format!("key-{number}").into(),
        life: Some(Duration::from_hours(24)),
        role_descriptors: descriptors.clone(),
        limited_by: descriptors,
        metadata: Map::new(),
        creator: Creator {
            identity: Identity { username: format!("owner-{}", number / 100).into(), ..Identity::default() },
            realm: RealmRef { name: "default_native".into(), kind: "native".into() },
        },
    };
    keys.create(new).await.expect("a key")
}

/// `each` keys by each of the tasks.
async fn create_by_many(keys: &Arc<Keys>, each: usize) -> Vec<CreatedKey> {
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let keys = Arc::clone(keys);
            tokio::spawn(async move {
                let mut created = Vec::with_capacity(each);
                for number in 0..each {
                    created.push(create(&keys, task * each + number).await);
                }
                created
            })
        })
        .collect();
    let mut created = Vec::new();
    for task in tasks {
        created.extend(task.await.expect("no panic"));
    }
    created
}

fn store(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    // Not in memory, where a sync would cost nothing.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let keys = keys(&folder.path().join("searchgate.db"));
    let created = runtime.block_on(create_by_many(&keys, KEYS / TASKS));

    let mut group = criterion.benchmark_group("store");
    group.throughput(Throughput::Elements(1));
    let mut turn = 0;
    group.bench_function("verify a key among 100,000", |bencher| {
        bencher.iter(|| {
            // A large odd step visits all of them, far from one another.
            turn = (turn + 40_503) % created.len();
            let key = created.get(turn).expect("within");
            let verdict = runtime.block_on(keys.verify(&key.id, key.secret.expose()));
            assert!(matches!(verdict, Ok(KeyVerdict::Accept(_))));
        });
    });
    group.throughput(Throughput::Elements(TASKS as u64));
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.bench_function("create a key in each of 32 tasks", |bencher| {
        bencher.iter_custom(|rounds| {
            let rounds = usize::try_from(rounds).expect("few rounds");
            runtime.block_on(async {
                let start = Instant::now();
                create_by_many(&keys, rounds).await;
                start.elapsed()
            })
        });
    });
    group.finish();
}

criterion_group!(benches, store);
criterion_main!(benches);
