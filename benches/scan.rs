//! A bulk of 10 MB and 20,000 items, filtered in the pieces in which it arrives, and the merge of its answer.

#![expect(clippy::expect_used, reason = "a benchmark that cannot go on stops")]

use std::{hint::black_box, sync::Arc};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use searchgate::scan::{Bulk, Item, Judgement, Merge, Refusal, Refused};

const ITEMS: usize = 20_000;
const PIECE: usize = 64 * 1024;

/// Items of the usual length, a hundredth of them on another index.
fn bulk() -> Vec<Bytes> {
    let message = "GET /a/path?with=a&query 200 ".repeat(14);
    let item = |number: usize| {
        let index = if number % 100 == 99 { "other" } else { "logs-a-2026.11.25" };
        format!(
            concat!(
                "{{\"create\":{{\"_index\":\"{}\",\"_id\":\"{:020}\"}}}}\n",
                "{{\"@timestamp\":1795571764136,\"message\":\"{}\"}}\n"
            ),
            index, number, message
        )
    };
    let body = Bytes::from((0..ITEMS).map(item).collect::<Vec<_>>().concat());
    (0..body.len()).step_by(PIECE).map(|from| body.slice(from..body.len().min(from + PIECE))).collect()
}

fn filter(pieces: &[Bytes], judge: &mut impl FnMut(&Item<'_>) -> Judgement) -> Refused {
    let (mut bulk, mut passed) = (Bulk::new(None), Vec::new());
    for piece in pieces {
        bulk.push(piece, judge, &mut passed).expect("a good bulk");
        black_box(&passed);
        passed.clear();
    }
    bulk.finish().expect("a whole bulk")
}

fn scan(criterion: &mut Criterion) {
    let pieces = bulk();
    let reason: Arc<str> = "action [indices:data/write/bulk[s]] is unauthorized".into();
    let mut some = |item: &Item<'_>| {
        if item.index == "other" { Judgement::Refuse(Refusal::Denied(Arc::clone(&reason))) } else { Judgement::Pass }
    };
    let mut group = criterion.benchmark_group("bulk of 20,000 items");
    group.throughput(Throughput::Bytes(pieces.iter().map(|piece| piece.len() as u64).sum()));
    group.bench_function("all pass", |bencher| bencher.iter(|| filter(&pieces, &mut |_| Judgement::Pass)));
    group.bench_function("one in a hundred is refused", |bencher| bencher.iter(|| filter(&pieces, &mut some)));
    group.finish();

    let item = r#"{"create":{"_index":"logs-a-2026.11.25","_id":"00000000000000000001","_version":1,"result":"created","_shards":{"total":1,"successful":1,"failed":0},"_seq_no":0,"_primary_term":1,"status":201}}"#;
    let items = vec![item; ITEMS * 99 / 100].join(",");
    let answer = Bytes::from(format!(r#"{{"errors":false,"took":3,"items":[{items}]}}"#));
    let mut group = criterion.benchmark_group("its answer");
    group.throughput(Throughput::Bytes(answer.len() as u64));
    group.bench_function("merged", |bencher| {
        bencher.iter_batched(
            || Merge::new(filter(&pieces, &mut some)),
            |mut merge| {
                let mut merged = Vec::new();
                merge.push(&answer, &mut merged);
                merged
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, scan);
criterion_main!(benches);
