//! The stages of a cached request one by one, and all of them: client bytes in, cluster's answer out, over pipes.

#![expect(clippy::expect_used, reason = "a benchmark that cannot go on stops")]

mod harness;

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use harness::{Connection, Gateway, NOW, TARGET, event, head, limited, peer};
use searchgate::{
    forward::headers,
    identify::Evidence,
    path,
    telemetry::{Format, access::AccessLog, writer::Writer},
};
use tokio::{runtime::Runtime, task::LocalSet, time::Instant};

/// Runs as a data thread does.
fn thread() -> (Runtime, LocalSet) {
    (tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"), LocalSet::new())
}

fn identify(criterion: &mut Criterion) {
    let (runtime, local) = thread();
    let gateway = local.block_on(&runtime, Gateway::start());
    let realms = &gateway.built.shared.realms;
    let peer = peer();
    let (right, wrong) = (head(&gateway.authorization), head("ApiKey bm9ib2R5Om5vdGhpbmc="));
    let evidence =
        |headers| Evidence { method: &http::Method::GET, headers, target: TARGET, peer: &peer, strangers_pass: false };
    runtime.block_on(realms.identify(&evidence(&right.headers))).expect("the key is known");

    let mut group = criterion.benchmark_group("identify");
    group.bench_function("a key in memory", |bencher| {
        bencher.iter(|| realms.recall(&evidence(&right.headers), NOW).expect("it is in memory"));
    });
    group.bench_function("a key in the store", |bencher| {
        bencher.iter(|| runtime.block_on(realms.identify(&evidence(&right.headers))).expect("the key is known"));
    });
    group.bench_function("a wrong key", |bencher| {
        bencher.iter(|| runtime.block_on(realms.identify(&evidence(&wrong.headers))).expect_err("nobody has it"));
    });
    group.finish();
}

fn stages(criterion: &mut Criterion) {
    let (runtime, _) = thread();
    let (parts, peer) = (head("ApiKey eDp5"), peer());
    let mut group = criterion.benchmark_group("stages");
    group.bench_function("judge the target", |bencher| {
        bencher.iter(|| path::route(&parts.method, black_box(&parts.uri), parts.version).expect("it is plain"));
    });
    group.bench_function("clean the head of a request", |bencher| {
        bencher.iter_batched_ref(
            || parts.headers.clone(),
            |headers| headers::clean_request(headers, &peer, false),
            criterion::BatchSize::SmallInput,
        );
    });
    let limited = limited();
    group.bench_function("decide a cluster action", |bencher| {
        bencher.iter(|| limited.allows_cluster_action(black_box("cluster:monitor/health")));
    });
    group.bench_function("decide an index action", |bencher| {
        bencher.iter(|| limited.allows_index_action(black_box("indices:data/read/search"), black_box("logs-app-7")));
    });
    let writer = Writer::start("bench", || Ok(Box::new(std::io::sink()))).expect("a thread");
    let log = AccessLog::new(Format::Ecs, writer.clone());
    group.bench_function("write an access event", |bencher| {
        bencher.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for burst in (0..rounds).step_by(BURST).map(|done| (rounds - done).min(BURST as u64)) {
                let start = Instant::now();
                (0..burst).for_each(|_| log.record(black_box(&event())));
                spent += start.elapsed();
                log.tick();
                runtime.block_on(writer.flush());
            }
            spent
        });
    });
    group.finish();
}

/// The difference between the two is what the gateway takes.
fn pipeline(criterion: &mut Criterion) {
    let (runtime, local) = thread();
    let gateway = local.block_on(&runtime, Gateway::start());
    let authorization = &gateway.authorization;
    let (mut direct, mut through) =
        local.block_on(&runtime, async { (Connection::direct(authorization), gateway.connect(authorization)) });
    let mut group = criterion.benchmark_group("pipeline");
    for (name, connection) in [("without the gateway", &mut direct), ("a document by key", &mut through)] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                local.block_on(&runtime, async {
                    let start = Instant::now();
                    for _ in 0..rounds {
                        assert!(connection.exchange().await.starts_with(b"HTTP/1.1 200 OK"));
                    }
                    start.elapsed()
                })
            });
        });
    }
    group.finish();
}

/// Lines that are written at once: more than fit a buffer would be lost, which is cheap.
const BURST: usize = 64;

criterion_group!(benches, identify, stages, pipeline);
criterion_main!(benches);
