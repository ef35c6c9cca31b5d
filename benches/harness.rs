//! One data thread whose client and cluster are at the other ends of pipes, for what counts rather than judges: the far
//! sides are as plain as can be, so that what is counted is the gateway. Shared by benchmarks and allocation budgets.

use std::{io::Write as _, rc::Rc, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header, request::Parts};
use searchgate::{
    clock::Clock,
    config::{AuditTarget, Config, Credential, StoreUrl},
    gateway::{
        Core, Door,
        build::{self, Built},
    },
    keys::NewKey,
    listener::{
        Terms, converse,
        peer::Peer,
        socket::{Socket, Transport},
    },
    model::{Identity, RealmRef, Timestamp},
    privileges::{Privileges, reserved_roles},
    store::{AnyStore, Creator},
    telemetry::{AccessEvent, Telemetry},
    upstream::client::{Dial, Pool},
    users::Users,
};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio_util::sync::CancellationToken;

/// A gateway as `serve` makes one, with a credential of its own for the cluster.
pub(crate) struct Gateway {
    pub(crate) built: Built,
    door: Rc<Door>,
    terms: Rc<Terms>,
    draining: Rc<CancellationToken>,
    /// A key that may do everything, as `Authorization` shows it.
    pub(crate) authorization: String,
}

/// The client's end of a connection.
pub(crate) struct Connection {
    pipe: DuplexStream,
    pub(crate) request: Vec<u8>,
    pub(crate) answer: Vec<u8>,
}

impl Gateway {
    pub(crate) async fn start() -> Self {
        let mut secret = tempfile::NamedTempFile::new().expect("a scratch file");
        secret.write_all(b"bm90LXJlYWw6bm90LXJlYWw=").expect("a scratch file is written");
        let mut config = Config::default();
        config.store.url = StoreUrl::Memory;
        config.logging.audit = AuditTarget::Off;
        config.upstream.credential = Credential::ApiKey { api_key_file: secret.path().to_owned() };
        let telemetry =
            Telemetry::detached(&config.logging, || Ok(Box::new(std::io::sink()))).expect("a log that goes nowhere");
        let built = build::build(&config, AnyStore::Memory(Arc::default()), &Clock::anchored(NOW), telemetry)
            .expect("a gateway");
        let pool = Pool::new(Arc::clone(&built.shared.upstream), Dial::Pipe(Rc::new(|_| Ok(dial()))));
        let core =
            Core::new(Arc::clone(&built.shared), pool, built.shared.metrics.core(), built.telemetry.access_log());
        let (site, tls) = built.sites.first().expect("the default configuration has a listener");
        let door = Door::new(core, Arc::clone(site));
        let terms = Rc::new(Terms {
            tls: tls.clone(),
            proxy_protocol: false,
            trusted_proxies: Arc::default(),
            limits: Arc::clone(&built.shared.limits),
        });
        let authorization = superuser(&built).await;
        Self { built, door, terms, draining: Rc::default(), authorization }
    }

    /// A client that sends the same request again and again, with `authorization`.
    pub(crate) fn connect(&self, authorization: &str) -> Connection {
        let (near, far) = tokio::io::duplex(PIPE);
        let (terms, door, draining) = (Rc::clone(&self.terms), Rc::clone(&self.door), Rc::clone(&self.draining));
        let metrics = Arc::clone(&self.built.shared.metrics);
        tokio::task::spawn_local(async move {
            let socket = Socket::new(Transport::Pipe(far));
            let _ended = converse(socket, peer(), &terms, &draining, &metrics, door).await;
        });
        Connection::over(near, authorization)
    }
}

impl Connection {
    /// A client right at the cluster: what the far sides alone cost.
    pub(crate) fn direct(authorization: &str) -> Self {
        Self::over(dial(), authorization)
    }

    fn over(pipe: DuplexStream, authorization: &str) -> Self {
        let mut request = format!("GET {TARGET} HTTP/1.1\r\n").into_bytes();
        for (name, value) in &head(authorization).headers {
            request.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        request.extend_from_slice(b"\r\n");
        Self { pipe, request, answer: Vec::with_capacity(PIPE) }
    }

    /// Sends the request and reads the whole answer.
    pub(crate) async fn exchange(&mut self) -> &[u8] {
        self.pipe.write_all(&self.request).await.expect("the gateway reads");
        self.answer.clear();
        while !self.answer.ends_with(END) {
            let count = self.pipe.read_buf(&mut self.answer).await.expect("the gateway writes");
            assert_ne!(count, 0, "the gateway has closed the connection");
        }
        &self.answer
    }
}

/// The head of a request as a client library sends it.
pub(crate) fn head(authorization: &str) -> Parts {
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, HeaderValue::from_str(authorization).expect("a header value"));
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let (mut parts, ()) = Request::get(TARGET).body(()).expect("a request").into_parts();
    parts.headers = headers;
    parts
}

/// What is recorded of it.
pub(crate) fn event() -> AccessEvent<'static> {
    AccessEvent {
        timestamp: NOW,
        method: &Method::GET,
        path: "/logs-2026.11.24/_doc/Jx3aGJMBr7mUu3LqKz5c",
        status: StatusCode::OK,
        bytes_in: 0,
        bytes_out: 2048,
        elapsed: Duration::from_micros(312),
        principal: None,
        client: Some([192, 0, 2, 7].into()),
        upstream: Some("search.example:9200"),
        attempts: 1,
        reason: None,
        opaque_id: Some("dashboard-17"),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        aborted: false,
    }
}

/// A key of a superuser that may read and write some indices.
pub(crate) fn limited() -> Privileges {
    let assigned = json!({ "ingest": {
        "cluster": ["monitor", "manage_own_api_key", "cluster:admin/ingest/pipeline/get"],
        "indices": [
            { "names": ["metrics-*", "/traces-[a-z]+-.*/"], "privileges": ["create_doc", "auto_configure"] },
            { "names": ["logs-*", "events"], "privileges": ["read", "view_index_metadata"] },
        ],
        "run_as": ["agent-*"],
    } });
    let limits = json!({ "superuser": reserved_roles().get("superuser") });
    let map = |value: &Value| value.as_object().cloned().unwrap_or_default();
    Privileges::of_key(&map(&assigned), &map(&limits))
}

/// Where clients come from.
pub(crate) fn peer() -> Peer {
    Peer::at(([192, 0, 2, 7], 40_000).into(), false)
}

/// A connection to a cluster that answers whatever it is asked.
fn dial() -> DuplexStream {
    let (near, mut far) = tokio::io::duplex(PIPE);
    tokio::task::spawn_local(async move {
        let answer = [HEAD, &[b' '; BODY - END.len()], END].concat();
        let mut seen = Vec::with_capacity(PIPE);
        while far.read_buf(&mut seen).await.is_ok_and(|count| count > 0) {
            if seen.ends_with(b"\r\n\r\n") {
                seen.clear();
                far.write_all(&answer).await.expect("the gateway reads");
            }
        }
    });
    near
}

async fn superuser(built: &Built) -> String {
    let roles = ["superuser".into()];
    let key = NewKey {
        access: None,
        name: "bench".into(),
        life: None,
        role_descriptors: Map::new(),
        limited_by: Users::descriptors(&roles),
        metadata: Map::new(),
        creator: Creator {
            identity: Identity { username: "elastic".into(), roles: roles.into(), ..Identity::default() },
            realm: RealmRef { name: "reserved".into(), kind: "reserved".into() },
        },
    };
    let key = built.keys.create(key).await.expect("a key");
    format!("ApiKey {}", STANDARD.encode(format!("{}:{}", key.id, key.secret.expose())))
}

/// What is asked for.
pub(crate) const TARGET: &str = "/logs-2026.11.24/_doc/Jx3aGJMBr7mUu3LqKz5c?routing=7";
/// When everything happens.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const HEADERS: [(&str, &str); 8] = [
    ("host", "search.example:9200"),
    ("user-agent", "elasticsearch-py/8.19.0 (Python/3.11.2; elastic-transport/8.17.1)"),
    ("accept", "application/vnd.elasticsearch+json; compatible-with=8"),
    ("accept-encoding", "gzip"),
    ("connection", "keep-alive"),
    ("x-elastic-client-meta", "es=8.19.0,py=3.11.2,t=8.17.1,ur=2.2.3"),
    ("x-opaque-id", "dashboard-17"),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
];
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nX-elastic-product: Elasticsearch\r\n\
    content-type: application/vnd.elasticsearch+json;compatible-with=8\r\ncontent-length: 2048\r\n\r\n";
const BODY: usize = 2048;
/// The last bytes of every answer.
const END: &[u8] = b"\"found\":true}";
const PIPE: usize = 64 * 1024;
