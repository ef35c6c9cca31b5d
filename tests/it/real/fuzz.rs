//! Requests made up at random by callers who may use some indices, through the gate to a real cluster. The indices that they
//! may not use hold what occurs nowhere else; their counters, documents, mappings and aliases must stay as they are.
//!
//! Some seconds; minutes with `SEARCHGATE_TEST_FULL`, then before OpenSearch too. `SEARCHGATE_FUZZ_SEED` repeats a run.

use std::{env, fmt::Write as _, time::Duration};

use http::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};

use super::{Cluster, add_user, ask, unique};
use crate::support::process::{Process, elastic};

/// Requests between two looks at what they must not touch.
const BATCH: usize = 25;
const ROUTES: &str = include_str!("../../../src/authorize/routes.txt");

/// What is asked most.
const COMMON: [(&[&str], &str); 22] = [
    (&["GET", "POST"], "/{index}/_search"),
    (&["GET", "POST"], "/{index}/_search"),
    (&["GET", "POST"], "/_search"),
    (&["GET", "POST"], "/{index}/_count"),
    (&["GET", "HEAD", "PUT", "POST", "DELETE"], "/{index}/_doc/{id}"),
    (&["POST"], "/{index}/_doc"),
    (&["POST"], "/{index}/_update/{id}"),
    (&["POST", "PUT"], "/_bulk"),
    (&["POST", "PUT"], "/{index}/_bulk"),
    (&["GET", "POST"], "/_mget"),
    (&["GET", "POST"], "/{index}/_mget"),
    (&["GET", "POST"], "/_msearch"),
    (&["GET", "POST"], "/{index}/_msearch"),
    (&["POST"], "/_aliases"),
    (&["PUT", "DELETE"], "/{index}/_alias/{name}"),
    (&["GET", "PUT"], "/{index}/_mapping"),
    (&["GET", "PUT"], "/{index}/_settings"),
    (&["GET", "HEAD", "PUT", "DELETE"], "/{index}"),
    (&["POST"], "/{index}/_update_by_query"),
    (&["POST"], "/_reindex"),
    (&["GET"], "/{index}/_field_caps"),
    (&["GET"], "/_cat/indices/{index}"),
];

/// Chooses at random, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((word ^ (word >> 31)) % count as u64).unwrap()
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

/// Makes requests up. `word` begins all names of this run: what follows with `a` may be used, with `b` not.
struct Maker {
    dice: Dice,
    word: String,
    routes: Vec<(Vec<&'static str>, &'static str)>,
}

impl Maker {
    fn new(seed: u64, word: &str) -> Self {
        let lines = ROUTES.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let routes = lines.map(|line| {
            let mut fields = line.split_ascii_whitespace();
            (fields.next().unwrap().split(',').collect(), fields.next().unwrap())
        });
        Self { dice: Dice(seed), word: word.to_owned(), routes: routes.collect() }
    }

    fn name(&mut self) -> String {
        let name = self.dice.of(&[
            "Xa1",
            "Xa1",
            "Xa1",
            "Xa1",
            "Xa1",
            "Xa2",
            "Xal",
            "Xa*",
            "*",
            "Xb1",
            "Xb1",
            "Xb2",
            "Xmix",
            "Xal",
            "Xa*",
            "Xb*",
            "X*",
            "*",
            "_all",
            "Xnew",
            "*b1",
            "-Xa1",
            "-Xb*",
            "<Xb1>",
            "<Xa1-{now/d}>",
            "*:Xb1",
            "other:Xa1",
            "Xb1::data",
            "Xa*::data",
            "Xa1*",
            "",
            ".X",
            "X??",
        ]);
        name.replace('X', &self.word)
    }

    /// A list of names; in a path each byte may be encoded, and some are that must not be.
    fn expression(&mut self, in_path: bool) -> String {
        let mut names = self.name();
        while self.dice.one_in(4) {
            names = names + "," + &self.name();
        }
        if !in_path {
            return names;
        }
        let mut path = String::new();
        for byte in names.bytes() {
            let must = matches!(byte, b'<' | b'>' | b'{' | b'}' | b'/' | b'?');
            match self.dice.below(120) {
                0 => write!(path, "%{byte:02x}").unwrap(),
                1 if self.dice.one_in(4) => write!(path, "%25{byte:02x}").unwrap(),
                2 if self.dice.one_in(8) => path += "%2f",
                3 if self.dice.one_in(8) => path += "/..",
                _ if must => write!(path, "%{byte:02X}").unwrap(),
                _ => path.push(char::from(byte)),
            }
        }
        path
    }

    fn target(&mut self, path: &str) -> String {
        let mut target = String::new();
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            let filled = match segment {
                "{index}" | "{source}" | "{target}" => self.expression(true),
                "{id}" => self.dice.of(&["1", "2", "x", "%2e%2e", "1%2F..%2Fb1"]).to_owned(),
                "{rest*}" => self.dice.of(&["", "a", "_all", "indices"]).to_owned(),
                hole if hole.starts_with('{') => self.expression(true),
                word => word.to_owned(),
            };
            if !filled.is_empty() {
                target = target + "/" + &filled;
            }
        }
        if target.is_empty() {
            target.push('/');
        }
        let mut separator = '?';
        while self.dice.one_in(3) {
            target.push(separator);
            separator = if self.dice.one_in(4) { ';' } else { '&' };
            target += &self.parameter();
        }
        target
    }

    fn parameter(&mut self) -> String {
        match self.dice.below(12) {
            0 | 1 => format!("index={}", self.expression(true)),
            2 => format!("%69ndex={}", self.expression(true)),
            3 => format!(
                "source={}&source_content_type=application/json",
                "%7B%22query%22%3A%7B%22match_all%22%3A%7B%7D%7D%7D"
            ),
            4 => "scroll=1m".to_owned(),
            _ => self
                .dice
                .of(&[
                    "ignore_unavailable=true",
                    "ignore_unavailable",
                    "allow_no_indices=false",
                    "expand_wildcards=all",
                    "expand_wildcards=open,hidden",
                    "filter_path=hits.hits",
                    "q=*",
                    "size=100",
                    "refresh=true",
                    "pretty",
                    "keep_alive=1m",
                    "pipeline=_none",
                    "format=json",
                    "op_type=create",
                    "fields=*",
                    "level=shards",
                    "wait_for_active_shards=0",
                ])
                .to_owned(),
        }
    }

    /// A body about random names: most often of the kind that the path takes, else of any.
    fn body(&mut self, path: &str) -> String {
        let (one, two) = (self.expression(false), self.expression(false));
        let id = self.dice.of(&["1", "2", "new"]);
        let fitting: &[usize] = match path.rsplit('/').next().unwrap_or_default() {
            "_search" | "_count" | "_update_by_query" => &[0, 0, 0, 1, 2, 10, 11],
            "_bulk" => &[3],
            "_msearch" => &[4],
            "_mget" => &[5, 6],
            "_aliases" => &[7],
            "_reindex" => &[8],
            _ => &[9, 12, 12, 12],
        };
        let kind = if self.dice.one_in(5) { self.dice.below(14) } else { fitting[self.dice.below(fitting.len())] };
        let body = match kind {
            0 => json!({"query": {"match_all": {}}, "size": 100}).to_string(),
            1 => json!({"query": {"terms": {"home": {"index": one, "id": id, "path": "home"}}}}).to_string(),
            2 => json!({"query": {"more_like_this": {"fields": ["home"], "like": [{"_index": one, "_id": id}], "min_term_freq": 1, "min_doc_freq": 1}}}).to_string(),
            3 => format!("{}\n{}\n{}\n{}\n", json!({"index": {"_index": one, "_id": id}}), json!({"home": "x"}), json!({"delete": {"_index": two, "_id": id}}), json!({"create": {"_index": two}})) + "{\"home\":\"y\"}\n",
            4 => format!("{}\n{}\n{}\n{{}}\n", json!({"index": one}), json!({"query": {"match_all": {}}}), json!({"index": [two]})),
            5 => json!({"docs": [{"_index": one, "_id": id}, {"_index": two, "_id": id}]}).to_string(),
            6 => json!({"ids": [id, "1"]}).to_string(),
            7 => json!({"actions": [{"add": {"index": one, "alias": two}}, {"remove": {"index": two, "alias": one}}]}).to_string(),
            8 => json!({"source": {"index": one}, "dest": {"index": two}}).to_string(),
            9 => json!({"index": one, "alias": two, "aliases": {two: {}}, "home": "z"}).to_string(),
            10 => json!({"indices_boost": [{one: 2}], "query": {"terms": {"_index": [two]}}, "size": 50}).to_string(),
            11 => json!({"runtime_mappings": {"l": {"type": "lookup", "target_index": one, "input_field": "home", "target_field": "home", "fetch_fields": ["home"]}}, "fields": ["l", "*"]}).to_string(),
            12 => json!({"properties": {"made": {"type": "keyword"}}, "doc": {"home": "x"}, "doc_as_upsert": true}).to_string(),
            _ => json!({"indices": one, "query": "SELECT * FROM ".to_owned() + &two, "home": 1}).to_string(),
        };
        self.mutate(body)
    }

    /// The same in a spelling that a careless reader may miss.
    fn mutate(&mut self, body: String) -> String {
        let at = self.dice.below(body.len().max(1));
        match self.dice.below(16) {
            0 if body.as_bytes().get(at).is_some_and(u8::is_ascii_alphanumeric) => {
                format!("{}\\u{:04x}{}", &body[..at], body.as_bytes()[at], &body[at + 1..])
            }
            1 if body.is_char_boundary(at) => format!("{} \t{}", &body[..at], &body[at..]),
            2 => "\u{feff}".to_owned() + &body,
            3 => body.trim_end().to_owned(),
            4 => body.replace("\"_index\"", "\"_index\":\"nothing\",\"_index\""),
            _ => body,
        }
    }

    /// A request as it goes over the wire.
    fn request(&mut self, authorization: &str) -> String {
        // Most of the table is about the cluster, or administration: what most callers do is of more interest.
        let (methods, path) = if self.dice.one_in(4) {
            self.routes[self.dice.below(self.routes.len())].clone()
        } else {
            let (methods, path) = COMMON[self.dice.below(COMMON.len())];
            (methods.to_vec(), path)
        };
        let method = if self.dice.one_in(12) {
            self.dice.of(&["GET", "POST", "PUT", "DELETE", "HEAD"])
        } else {
            self.dice.of(&methods)
        };
        let target = self.target(path);
        let body = if method == "HEAD" || self.dice.one_in(3) { String::new() } else { self.body(path) };
        let kind = if self.dice.one_in(15) {
            self.dice.of(&["application/cbor", "application/smile", "application/yaml", "text/plain"])
        } else {
            self.dice.of(&["application/json", "application/x-ndjson"])
        };
        let head = format!(
            "{method} {target} HTTP/1.1\r\nhost: gate.test\r\nauthorization: {authorization}\r\nconnection: close\r\n"
        );
        if body.is_empty() {
            return head + "\r\n";
        }
        if self.dice.one_in(6) {
            let at = (0..=self.dice.below(body.len())).rev().find(|&at| body.is_char_boundary(at)).unwrap_or(0);
            let chunk =
                |part: &str| if part.is_empty() { String::new() } else { format!("{:x}\r\n{part}\r\n", part.len()) };
            let chunks = chunk(&body[..at]) + &chunk(&body[at..]) + "0\r\n\r\n";
            return format!("{head}content-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n{chunks}");
        }
        format!("{head}content-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }
}

/// Sends bytes and reads the answer to its end.
async fn send(process: &Process, request: &str) -> String {
    let mut stream = TcpStream::connect(process.address()).await.unwrap();
    // The gate may close before it has read everything.
    let _written = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _read = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// All that tells whether somebody has used the forbidden indices.
async fn forbidden(process: &Process, word: &str) -> Value {
    let ask = async |target: String| ask(process, Method::GET, &target, &elastic(), &Value::Null).await.json();
    let stats = ask(format!("/{word}b*/_stats/search,get,indexing,docs?expand_wildcards=all")).await;
    let mut told = json!({"indices": ask(format!("/{word}b*?expand_wildcards=all")).await});
    for (name, index) in stats["indices"].as_object().unwrap() {
        let of = |pointer| index.pointer(pointer).cloned();
        told[name] = json!([
            of("/total/search/query_total"),
            of("/total/search/fetch_total"),
            of("/total/get/total"),
            of("/total/indexing/index_total"),
            of("/total/indexing/delete_total"),
            of("/total/docs/count"),
        ]);
    }
    told
}

async fn fuzz(variable: &str, time: Duration) {
    let Some(cluster) = Cluster::find(variable) else { return };
    let process = cluster.setup().with("authentication: {throttle: {failures: 0}}\nstore: {url: 'memory:'}").serve();
    let word = unique("f").replace('-', "");
    let seed = env::var("SEARCHGATE_FUZZ_SEED")
        .map_or_else(|_| u64::from_le_bytes(searchgate::secret::random::<8>()), |seed| seed.parse().unwrap());
    let done = async |method, target: &str, body: Value| {
        let answer = ask(&process, method, target, &elastic(), &body).await;
        assert!(answer.status.is_success(), "{target}: {}", answer.text());
    };
    let canary = format!("canary{word}");
    let forbidden_mapping = json!({"properties": {&canary: {"type": "keyword"}, "home": {"type": "keyword"}}});
    for (name, hidden) in [("b1", false), ("b2", true)] {
        let body = json!({"settings": {"index.hidden": hidden}, "mappings": forbidden_mapping});
        done(Method::PUT, &format!("/{word}{name}"), body).await;
        done(Method::PUT, &format!("/{word}{name}/_doc/1?refresh=true"), json!({"home": canary})).await;
    }
    done(Method::PUT, &format!("/{word}b1/_alias/{word}mix"), Value::Null).await;
    let callers = [
        ("reads", json!([{"names": [format!("{word}a*")], "privileges": ["all"]}])),
        ("alias", json!([{"names": [format!("{word}al")], "privileges": ["all"]}])),
    ];
    let mut authorizations = Vec::new();
    for (name, indices) in callers {
        done(Method::PUT, &format!("/_security/role/{name}"), json!({"indices": indices})).await;
        authorizations.push(add_user(&process, name, "password-of-a-caller", &[name]).await);
    }

    let before = forbidden(&process, &word).await;
    let mut maker = Maker::new(seed, &word);
    let (end, mut count, mut allowed) = (Instant::now() + time, 0, 0);
    while Instant::now() < end {
        // What callers may use they may also remove: it is there again for each batch.
        for name in ["a1", "a2"] {
            let target = format!("/{word}{name}/_doc/1?refresh=true");
            ask(&process, Method::PUT, &target, &elastic(), &json!({"home": "allowed"})).await;
        }
        ask(&process, Method::PUT, &format!("/{word}a1/_alias/{word}al"), &elastic(), &Value::Null).await;
        let mut batch = Vec::new();
        for _ in 0..BATCH {
            let by = maker.dice.below(authorizations.len());
            let request = maker.request(&authorizations[by]);
            let answer = send(&process, &request).await;
            assert!(!answer.contains(&canary), "seed {seed}: {request}\n\n{answer}");
            allowed += usize::from(answer.starts_with("HTTP/1.1 2"));
            batch.push(request);
        }
        count += batch.len();
        let now = forbidden(&process, &word).await;
        assert_eq!(now, before, "seed {seed}: one of\n{}", batch.join("\n---\n"));
    }
    eprintln!("{count} requests, {allowed} of them allowed, seed {seed}");
    assert!(allowed * 20 > count, "the made-up requests are hardly ever allowed");
    for name in ["a*", "b*"] {
        let target = format!("/_cat/indices/{word}{name}?h=index&expand_wildcards=all");
        for index in ask(&process, Method::GET, &target, &elastic(), &Value::Null).await.text().split_whitespace() {
            done(Method::DELETE, &format!("/{index}"), Value::Null).await;
        }
    }
}

fn full() -> bool {
    env::var_os("SEARCHGATE_TEST_FULL").is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_made_up_request_touches_what_its_caller_may_not_use() {
    fuzz("SEARCHGATE_TEST_ELASTICSEARCH", Duration::from_secs(if full() { 120 } else { 8 })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_before_opensearch() {
    if full() {
        fuzz("SEARCHGATE_TEST_OPENSEARCH", Duration::from_mins(2)).await;
    }
}
