//! What it takes to judge a request of a limited key that is in memory, and a bulk of 10 MB while it goes by.

#![expect(clippy::expect_used, reason = "a benchmark that cannot go on stops")]

#[expect(dead_code, reason = "the rest is for others")]
mod harness;

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use harness::limited;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use http_body_util::BodyExt as _;
use searchgate::{
    authorize::{Asked, Authorizer},
    body::Body,
    clock::Clock,
    model::{AuthenticationType, Identity, Principal, RealmRef},
    privileges::Privileges,
    sealing::MasterKeys,
    telemetry::audit::Audit,
};
use serde_json::json;
use tokio::sync::mpsc;

fn caller(privileges: Privileges) -> Arc<Principal> {
    let realm = RealmRef { name: "_es_api_key".into(), kind: "_es_api_key".into() };
    Arc::new(Principal::new(Identity::default(), realm, AuthenticationType::ApiKey, privileges))
}

fn one_index(criterion: &mut Criterion) {
    let authorizer = Authorizer::new(Audit::off(), Clock::system(), MasterKeys::ephemeral());
    let (caller, headers) = (caller(limited()), HeaderMap::new());
    let mut group = criterion.benchmark_group("authorize");
    for (method, target) in [
        (Method::GET, "/logs-app/_search"),
        (Method::GET, "/logs-2026.11.24/_doc/Jx3aGJMBr7mUu3LqKz5c?routing=7"),
        (Method::PUT, "/metrics-app/_create/1"),
        (Method::GET, "/logs-app-*,-logs-app-old/_search?size=0"),
        (Method::GET, "/_cluster/health"),
    ] {
        let uri = Uri::from_static(target);
        let asked = Asked { principal: &caller, client: None, method: &method, uri: &uri, headers: &headers, limit: 0 };
        group.bench_function(format!("{method} {target}"), |bencher| {
            bencher.iter(|| {
                let mut body = Body::Empty;
                let mut checking = pin!(authorizer.check(asked, &mut body, async |_| None));
                let polled = checking.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert!(matches!(polled, Poll::Ready(Ok(_))), "it is granted");
            });
        });
    }
    group.finish();
}

fn bulk(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let descriptor = json!({ "r": { "indices": [{ "names": ["logs-a*"], "privileges": ["write"] }] } });
    let caller = caller(Privileges::of_user(descriptor.as_object().expect("an object")));
    let (authorizer, method, uri) = (
        Authorizer::new(Audit::off(), Clock::system(), MasterKeys::ephemeral()),
        Method::POST,
        Uri::from_static("/_bulk"),
    );
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"))]);
    let ask = async |_| {
        let existing = br#"{"indices":[{"name":"logs-a-2026.11.25"},{"name":"other"}],"aliases":[],"data_streams":[]}"#;
        Some(Bytes::from_static(existing))
    };
    let mut group = criterion.benchmark_group("a bulk of 20,000 items, judged while it goes by");
    for (name, share) in [("all pass", 0), ("one in a hundred is refused", 100)] {
        let pieces = pieces(share);
        group.throughput(Throughput::Bytes(pieces.iter().map(|piece| piece.len() as u64).sum()));
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || arriving(&pieces),
                |mut body| {
                    runtime.block_on(async {
                        let (client, limit) = (None, 100 << 20);
                        let asked =
                            Asked { principal: &caller, client, method: &method, uri: &uri, headers: &headers, limit };
                        let permit = authorizer.check(asked, &mut body, ask).await.expect("it is a bulk");
                        while let Some(frame) = body.frame().await {
                            frame.expect("all of it is a bulk");
                        }
                        permit
                    })
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

/// A bulk in the pieces in which it arrives; of so many items one is on another index.
fn pieces(share: usize) -> Vec<Bytes> {
    let message = "GET /a/path?with=a&query 200 ".repeat(14);
    let item = |number: usize| {
        let index = if share > 0 && number % share == share - 1 { "other" } else { "logs-a-2026.11.25" };
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

fn arriving(pieces: &[Bytes]) -> Body {
    let (sender, receiver) = mpsc::channel(pieces.len());
    for piece in pieces {
        sender.try_send(Ok(piece.clone())).expect("there is room for all");
    }
    Body::Made(receiver)
}

const ITEMS: usize = 20_000;
const PIECE: usize = 64 * 1024;

criterion_group!(benches, one_index, bulk);
criterion_main!(benches);
