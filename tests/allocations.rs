//! What a request may allocate, and a connection that waits may hold. Counted, not timed: the same everywhere.

#![expect(clippy::expect_used, reason = "a measurement that cannot go on fails")]

#[path = "../benches/harness.rs"]
mod harness;

use std::{
    hint::black_box,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use allocation_counter::{AllocationInfo, measure};
use harness::{Connection, Gateway, NOW, TARGET, event, head, limited, peer};
use http::{HeaderMap, Method, Uri};
use searchgate::{
    authorize::{Asked, Authorizer},
    body::Body,
    clock::Clock,
    forward::headers,
    identify::Evidence,
    model::{AuthenticationType, Identity, Principal, RealmRef},
    path,
    telemetry::{Format, access::AccessLog, audit::Audit, writer::Writer},
};
use tokio::{runtime::Runtime, task::LocalSet};

/// Allocations of a cached `GET` that the cluster answers with 2 KB, over connections that exist.
///
/// | what for | count |
/// | --- | --- |
/// | hyper, reading the request: a buffer while the old one is held, and that they share it | 2 |
/// | hyper, names of headers that are not standard, three in the request, one in the answer | 4 |
/// | the copy of the head for a second attempt: its two tables, and that three names are shared | 5 |
/// | the stages of a request, while they run | 1 |
/// | what is recorded of it | 1 |
/// | hyper, handing the request to the connection and the answer back | 1 |
/// | hyper, reading the answer: a buffer, that it is shared, the channel of the body | 3 |
/// | identity, permit, cleaning, access event, metrics, this crate's other doings | 0 |
const A_CACHED_REQUEST: u64 = 17;
/// A table that grows or a buffer that changes hands now and then.
const SLACK: u64 = REQUESTS / 16;
const REQUESTS: u64 = 256;

/// Bytes that a connection holds between two requests.
///
/// | what for | bytes |
/// | --- | --- |
/// | hyper, read buffer and write buffer | 16384 |
/// | hyper, header map for the next request, room for a body, queue of what is to be written | 2072 |
/// | the task, with the state of the connection | 1920 |
/// | peer and activity | 265 |
/// | not its own: the pipe in place of a socket; a share of the access log's buffers, which grow meanwhile | 3960 |
const AN_IDLE_CONNECTION: i64 = 25 * 1024;
const CONNECTIONS: u8 = 64;

#[test]
fn a_decision_allocates_nothing() {
    let limited = limited();
    let index = |name| limited.allows_index_action("indices:data/read/search", name);
    assert!(index("logs-app-7") && !index(".security"), "what is made at first use is made");
    let counted = measure(|| {
        for name in ["logs-app-7", "metrics-1", ".security-7", "other::failures", "über"] {
            black_box(index(black_box(name)));
        }
        for action in ["cluster:monitor/health", "cluster:admin/xpack/security/api_key/create", "indices:admin/create"]
        {
            black_box(limited.allows_cluster_action(black_box(action)));
            black_box(limited.allows_own_keys_action(black_box(action)));
            black_box(limited.allows_index_action_somewhere(black_box(action)));
        }
        black_box(limited.may_run_as(black_box("someone")));
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn judging_a_request_of_a_limited_caller_allocates_nothing() {
    let authorizer = Authorizer::new(Audit::off(), Clock::system(), searchgate::sealing::MasterKeys::ephemeral());
    let realm = RealmRef { name: "native".into(), kind: "native".into() };
    let caller = Arc::new(Principal::new(Identity::default(), realm, AuthenticationType::Realm, limited()));
    let headers = HeaderMap::new();
    let judge = |method: Method, target| {
        let uri = Uri::from_static(target);
        let asked = Asked { principal: &caller, client: None, method: &method, uri: &uri, headers: &headers, limit: 0 };
        let mut body = Body::Empty;
        let mut checking = pin!(authorizer.check(asked, &mut body, async |_| None));
        let polled = checking.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Ok(_))), "{target}");
    };
    judge(Method::GET, "/logs-app-7/_search");
    for (method, target) in [
        (Method::GET, "/logs-app-7/_search?size=0"),
        (Method::GET, "/logs-app-*/_search"),
        (Method::GET, "/logs-app-2026.11.30/_doc/1?routing=7"),
        (Method::PUT, "/metrics-app/_create/1"),
        (Method::GET, "/events/_count"),
        (Method::GET, "/_cluster/health"),
    ] {
        assert_eq!(count(|| judge(method, target)), 0, "{target}");
    }
}

#[test]
fn a_cached_request_stays_within_its_budget() {
    let thread = Thread::new();
    let gateway = thread.run(Gateway::start());
    let far_sides = thread.exchanges(|| Connection::direct(&gateway.authorization));
    let whole = thread.exchanges(|| gateway.connect(&gateway.authorization));
    let counted = whole.count_total - far_sides.count_total;
    let budget = A_CACHED_REQUEST * REQUESTS;
    assert!(counted <= budget + SLACK, "{counted} allocations in {REQUESTS} requests, {budget} are planned");
    assert!(counted + SLACK >= budget, "{counted} allocations in {REQUESTS} requests: the budget is too generous");
}

#[test]
fn a_connection_that_waits_stays_within_its_budget() {
    let thread = Thread::new();
    let gateway = thread.run(Gateway::start());
    let exchanged = async || {
        let mut connection = gateway.connect(&gateway.authorization);
        connection.exchange().await;
        connection
    };
    let _warm = thread.run(exchanged());
    let mut clients = Vec::with_capacity(usize::from(CONNECTIONS));
    let through = measure(|| {
        thread.run(async {
            for _ in 0..CONNECTIONS {
                clients.push(exchanged().await);
            }
        });
    });
    let theirs: usize = clients.iter().map(|client| client.request.capacity() + client.answer.capacity()).sum();
    let ours = through.bytes_current - i64::try_from(theirs).expect("not that many");
    let each = ours / i64::from(CONNECTIONS);
    assert!(each <= AN_IDLE_CONNECTION, "an idle connection holds {each} bytes");
}

#[test]
fn stages_of_a_cached_request_allocate_nothing() {
    let thread = Thread::new();
    let gateway = thread.run(Gateway::start());
    let realms = &gateway.built.shared.realms;
    let (mut parts, peer) = (head(&gateway.authorization), peer());
    let evidence =
        Evidence { method: &parts.method, headers: &parts.headers, target: TARGET, peer: &peer, strangers_pass: false };
    thread.run(realms.identify(&evidence)).expect("the key is known");
    assert!(realms.recall(&evidence, NOW).is_some());

    assert_eq!(count(|| assert!(realms.recall(&evidence, NOW).is_some())), 0, "recall");
    assert_eq!(count(|| assert!(path::route(&parts.method, &parts.uri, parts.version).is_ok())), 0, "route");
    headers::clean_request(&mut parts.headers.clone(), &peer, false); // the first copy of an address shares it
    assert_eq!(count(|| headers::clean_request(&mut parts.headers, &peer, false)), 0, "cleaning");
}

#[test]
fn an_access_event_allocates_nothing_once_its_buffers_have_grown() {
    let writer = Writer::start("test", || Ok(Box::new(std::io::sink()))).expect("a thread");
    let log = AccessLog::new(Format::Ecs, writer);
    log.record(&event());
    let lines = |times| (0..times).for_each(|_| log.record(black_box(&event())));
    lines(40);
    assert_eq!(count(|| lines(8)), 0);
}

/// Runs as a data thread does.
struct Thread {
    runtime: Runtime,
    local: LocalSet,
}

impl Thread {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { runtime, local: LocalSet::new() }
    }

    fn run<F: Future>(&self, work: F) -> F::Output {
        self.local.block_on(&self.runtime, work)
    }

    /// What requests on one connection allocate once everything is warm.
    fn exchanges(&self, connect: impl FnOnce() -> Connection) -> AllocationInfo {
        let mut connection = self.run(async { connect() });
        let exchanges = async |connection: &mut Connection| {
            for _ in 0..REQUESTS {
                assert!(connection.exchange().await.starts_with(b"HTTP/1.1 200 OK"));
            }
        };
        self.run(exchanges(&mut connection));
        measure(|| self.run(exchanges(&mut connection)))
    }
}

fn count(work: impl FnOnce()) -> u64 {
    measure(work).count_total
}
