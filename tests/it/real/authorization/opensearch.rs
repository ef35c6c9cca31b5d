//! The same matrix before plain OpenSearch 3, where no original can be asked: nothing may be shown or changed beyond what a
//! caller's own names say, what is refused changes nothing, and what is allowed finds what the cluster itself finds when it is
//! asked for the allowed indices by hand. Also the modules that the original's build lacks. Long form only.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde_json::{Value, json};

use super::{
    super::Cluster,
    Caller, callers,
    requests::requests,
    side::{ADMINISTRATOR, Line, Side},
    world::{World, delta, index_of, look},
};
use crate::support::process::{PASSWORD, Process};

const OPENSEARCH: &str = "SEARCHGATE_TEST_OPENSEARCH3";
/// Requests after which it is looked what they have changed; each that may have changed something is looked at alone.
const REFUSED: usize = 60;
/// A caller asks one of so many requests, so that some ask each.
const SHARES: usize = 4;

struct Before {
    _gateway: Process,
    world: World,
    callers: BTreeMap<String, Caller>,
    gate: Side,
    cluster: Side,
}

/// A gate before the cluster, and the world in it; `None` in the short form.
async fn before() -> Option<Before> {
    if std::env::var_os("SEARCHGATE_TEST_FULL").is_none() {
        eprintln!("skipped: played by scripts/test --full");
        return None;
    }
    let cluster = Cluster::find(OPENSEARCH)?;
    let gateway = cluster.setup().with("authentication: {throttle: {failures: 0}}\nstore: {url: 'memory:'}").serve();
    let mut gate = Side::gateway(gateway.address(), ("elastic", PASSWORD));
    let callers = callers();
    gate.admit(&callers).await;
    let world = World::read();
    world.build(&mut gate.line()).await;
    let cluster = Side::cluster(&cluster, ("nobody", "nothing"));
    Some(Before { _gateway: gateway, world, callers, gate, cluster })
}

/// The concrete indices that a caller may use through any of its names.
fn reach(world: &World, caller: &Caller, callers: &BTreeMap<String, Caller>) -> BTreeSet<String> {
    let names = caller.names(callers);
    let granted = |name: &str| names.iter().any(|pattern| covers(pattern, name));
    world.standing_for().into_iter().filter(|(name, _)| granted(name)).map(|(_, index)| index).collect()
}

/// Whether a name of a descriptor means a name: patterns with a star at the end, and the one regular expression.
fn covers(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None if pattern.starts_with('/') => {
            name.starts_with(['b', 'c']) && name.len() > 1 && name[1..].bytes().all(|byte| byte.is_ascii_digit())
        }
        None => pattern == name,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_opensearch_nobody_sees_or_changes_what_is_not_theirs() {
    let Some(before) = before().await else { return };
    let limited = before.callers.iter().filter(|(name, _)| !["superuser", "everywhere"].contains(&&***name));
    let requests = requests();
    let mut line = before.gate.line();
    let base = look(&mut line).await;
    let (mut count, mut allowed) = (0, 0);
    for (place, (name, caller)) in limited.enumerate() {
        let reach = reach(&before.world, caller, &before.callers);
        let foreign: Vec<String> =
            before.world.homes().filter(|(index, _)| !reach.contains(index)).map(|(_, home)| home).collect();
        let mut unseen = Vec::new();
        for request in requests.iter().skip(place % SHARES).step_by(SHARES) {
            let answer = line.play(name, request).await;
            count += 1;
            let said = request.to_string();
            for home in foreign.iter().filter(|home| !said.contains(&***home)) {
                assert!(!answer.text().contains(&**home), "{name} sees {home}: {request}\n{}", answer.text());
            }
            if !request.changes {
                continue;
            }
            unseen.push(said);
            let success = answer.status.is_success();
            allowed += usize::from(success);
            if success || unseen.len() == REFUSED {
                let changed = delta(&base, &look(&mut line).await);
                let asked = std::mem::take(&mut unseen).join("\n");
                assert!(success || changed.is_empty(), "{name}, refused, changes {changed:?} by one of\n{asked}");
                for index in changed.iter().filter_map(|(key, _)| index_of(key)) {
                    let own = reach.contains(index)
                        || caller.names(&before.callers).iter().any(|pattern| covers(pattern, index));
                    // An alias may be rolled over, and what somebody may copy they may call as they like.
                    let made = !base.contains_key(&format!("index {index}"));
                    assert!(own || made, "{name} changes {index}: {changed:?} by one of\n{asked}");
                }
                if !changed.is_empty() {
                    before.world.mend(&mut line, &changed).await;
                }
            }
        }
    }
    eprintln!("{count} requests, {allowed} of them allowed to change something");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_opensearch_what_is_allowed_finds_what_the_cluster_finds_there() {
    let Some(before) = before().await else { return };
    let (mut gate, mut cluster) = (before.gate.line(), before.cluster.line());
    // By hand: what each caller may read, and what of that an expression means.
    for (caller, readable) in [
        ("read-one", &["a1"][..]),
        ("read-pattern", &["a1", "a2"]),
        ("two-roles", &["a1", "a2", "b1", "b2"]),
        ("key", &["a1", "b1", "b2"]),
        ("token", &["a1", "a2", "b1", "b2"]),
        ("run-as", &["a1"]),
        ("regex", &["b1", "b2"]),
    ] {
        for (expression, prefix) in [("", ""), ("/*", ""), ("/_all", ""), ("/a*", "a"), ("/b*", "b"), ("/*,-z*", "")] {
            let meant: Vec<&str> = readable.iter().copied().filter(|index| index.starts_with(prefix)).collect();
            let by_hand = if meant.is_empty() { "*,-*".to_owned() } else { meant.join(",") };
            for body in [
                json!({"query": {"match_all": {}}, "size": 100, "sort": [{"home": "asc"}, {"n": "asc"}]}),
                json!({"size": 0, "aggs": {"homes": {"terms": {"field": "home"}}}}),
                json!({"query": {"range": {"n": {"gte": 2}}}, "size": 100, "sort": [{"home": "asc"}, {"n": "asc"}]}),
            ] {
                let found = async |line: &mut Line, expression: &str| {
                    let target = format!("{expression}/_search");
                    let answer = line.ask(caller, Method::POST, &target, Some(&body.to_string())).await;
                    let found: Value = answer.json();
                    (answer.status.as_u16(), found["hits"].clone(), found["aggregations"].clone())
                };
                let seen = found(&mut gate, expression).await;
                let hand = found(&mut cluster, &format!("/{by_hand}")).await;
                assert_eq!(seen, hand, "{caller} {expression} {body}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn modules_that_the_original_lacks_are_judged_by_what_they_name() {
    let Some(before) = before().await else { return };
    let mut line = before.gate.line();
    for (name, indices) in [
        ("modules", json!([{"names": ["a*"], "privileges": ["read", "write", "create_index", "auto_configure"]}])),
        ("streams", json!([{"names": ["stream-a*"], "privileges": ["all"]}])),
    ] {
        line.done(Method::PUT, &format!("/_security/role/{name}"), &json!({"indices": indices})).await;
        let user = json!({"password": format!("password-of-{name}"), "roles": [name]});
        line.done(Method::PUT, &format!("/_security/user/{name}"), &user).await;
    }
    let mut side = before.gate.clone();
    side.introduce(["modules", "streams"]);
    let mut line = side.line();
    let template = json!({"index_patterns": ["stream-*"], "data_stream": {}, "template": {"mappings": {"properties": {"home": {"type": "keyword"}}}}});
    line.done(Method::PUT, "/_index_template/streams", &template).await;
    for stream in ["stream-a", "stream-b"] {
        line.done(Method::PUT, &format!("/_data_stream/{stream}"), &Value::Null).await;
        let document = json!({"@timestamp": "2026-01-01", "home": format!("in-{stream}")});
        line.done(Method::POST, &format!("/{stream}/_doc?refresh=true"), &document).await;
    }
    let base = look(&mut line).await;
    let all = json!({"match_all": {}});
    let script = json!({"source": "ctx._source.n = 7"});
    let moving = json!({"source": "ctx._index = 'b1'"});
    let ratings =
        json!([{"id": "q", "request": {"query": all}, "ratings": [{"_index": "a1", "_id": "1", "rating": 1}]}]);
    let cases: Vec<(&str, bool, &str, Value)> = vec![
        ("modules", true, "POST /_reindex?refresh=true", json!({"source": {"index": "a1"}, "dest": {"index": "a2"}})),
        ("modules", false, "POST /_reindex", json!({"source": {"index": "b1"}, "dest": {"index": "a2"}})),
        ("modules", false, "POST /_reindex", json!({"source": {"index": ["a1", "b1"]}, "dest": {"index": "a2"}})),
        ("modules", false, "POST /_reindex", json!({"source": {"index": "a1"}, "dest": {"index": "b1"}})),
        ("modules", false, "POST /_reindex", json!({"source": {"index": "*"}, "dest": {"index": "a2"}})),
        (
            "modules",
            false,
            "POST /_reindex",
            json!({"source": {"index": "a1"}, "dest": {"index": "a2"}, "script": moving}),
        ),
        (
            "modules",
            false,
            "POST /_reindex",
            json!({"source": {"index": "a1", "remote": {"host": "http://127.0.0.1:9"}}, "dest": {"index": "a2"}}),
        ),
        (
            "modules",
            false,
            "POST /_reindex",
            json!({"source": {"index": "a1", "query": {"terms": {"home": {"index": "b1", "id": "1", "path": "home"}}}}, "dest": {"index": "a2"}}),
        ),
        ("modules", true, "POST /a1/_update_by_query?refresh=true", json!({"query": all})),
        ("modules", true, "POST /a*/_update_by_query?refresh=true&conflicts=proceed", json!({"query": all})),
        ("modules", false, "POST /b1/_update_by_query", json!({"query": all})),
        ("modules", false, "POST /a1,b1/_update_by_query", json!({"query": all})),
        ("modules", true, "POST /*/_update_by_query?refresh=true", json!({"query": all})),
        ("modules", true, "POST /a1/_delete_by_query?refresh=true", json!({"query": {"term": {"n": 1}}})),
        ("modules", true, "POST /*/_delete_by_query?refresh=true", json!({"query": all})),
        ("modules", false, "POST /b*,b1/_delete_by_query", json!({"query": all})),
        ("modules", true, "POST /a1/_update/1", json!({"script": script})),
        ("modules", false, "POST /b1/_update/1", json!({"script": script})),
        ("modules", true, "POST /a1/_search", json!({"query": {"script": {"script": "doc['n'].value > 1"}}})),
        ("modules", false, "POST /b1/_search", json!({"query": {"script": {"script": "true"}}})),
        ("modules", false, "POST /_scripts/painless/_execute", json!({"script": {"source": "1"}})),
        (
            "modules",
            false,
            "POST /a1/_search",
            json!({"query": {"percolate": {"field": "q", "index": "b1", "id": "1"}}}),
        ),
        ("modules", true, "POST /a1/_rank_eval", json!({"requests": ratings, "metric": {"precision": {}}})),
        ("modules", false, "POST /b1/_rank_eval", json!({"requests": ratings, "metric": {"precision": {}}})),
        ("modules", false, "POST /a1/_search/template", json!({"id": "stored"})),
        ("streams", true, "POST /stream-a/_search", json!({"query": all})),
        ("streams", true, "POST /stream-*/_search", json!({"query": all})),
        ("streams", false, "POST /stream-b/_search", json!({"query": all})),
        ("streams", false, "POST /.ds-stream-b-000001/_search", json!({"query": all})),
        ("streams", true, "POST /.ds-stream-a-000001/_search", json!({"query": all})),
        ("streams", true, "GET /_data_stream/stream-*", Value::Null),
        ("streams", false, "GET /_data_stream/stream-b", Value::Null),
        ("streams", false, "DELETE /_data_stream/stream-b", Value::Null),
        ("streams", false, "POST /stream-b/_rollover", Value::Null),
        ("streams", false, "PUT /_data_stream/stream-c", Value::Null),
    ];
    for (caller, allowed, send, body) in cases {
        let (method, target) = send.split_once(' ').unwrap();
        let body = (!body.is_null()).then(|| body.to_string());
        let answer = line.ask(caller, method.parse().unwrap(), target, body.as_deref()).await;
        let text = answer.text();
        let shown = format!("{caller}: {send} {}: {} {text}", body.unwrap_or_default(), answer.status);
        assert_eq!(answer.status.is_success(), allowed, "{shown}");
        assert!(allowed || answer.status == 403, "{shown}");
        assert!(!text.contains("in-b1") && !text.contains("in-stream-b"), "{shown}");
        let changed = delta(&base, &look(&mut line).await);
        let foreign = changed.iter().filter_map(|(key, _)| index_of(key)).find(|index| !index.starts_with('a'));
        assert_eq!(foreign, None, "{shown}");
        assert!(allowed || changed.is_empty(), "{shown}");
        before.world.mend(&mut line, &changed).await;
    }
    line.ask(ADMINISTRATOR, Method::DELETE, "/_data_stream/stream-a,stream-b", None).await;
    line.ask(ADMINISTRATOR, Method::DELETE, "/_index_template/streams", None).await;
}
