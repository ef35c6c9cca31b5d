//! No secret is anywhere that an operator, a neighbour or a client may look.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;
use serde_json::json;

use crate::support::{
    client::{Answer, with_body},
    process::{Client, PASSWORD, Process, Setup, basic},
    server::Server,
    stand_in::{self, Fault, StandIn},
};

/// What must not be seen; each is followed up in base64, too.
const BOOTSTRAP: &str = "canary-bootstrap-7f3a";
const JACK: &str = "canary-jack-1c9e";
const CLUSTER: &str = "canary-cluster-5b2d";
const WRONG: &str = "canary-wrong-88aa";
const BODY: &str = "canary-body-e001";
const QUERY: &str = "canary-query-4d4d";
const HEADER: &str = "canary-header-90f0";

struct Session {
    process: Process,
    answers: Vec<Answer>,
    secrets: Vec<String>,
}

impl Session {
    async fn send(&mut self, method: Method, target: &str, authorization: &str, body: &str) -> Answer {
        let headers =
            [("authorization", authorization), ("content-type", "application/json"), ("x-api-secret", HEADER)];
        let answer = self.process.send(with_body(method, target, &headers, body)).await;
        self.answers.push(answer.clone());
        answer
    }

    /// What an answer hands out is a secret from then on, and that answer may show it.
    fn keep(&mut self, secret: &str) {
        self.answers.pop();
        self.secrets.push(secret.to_owned());
    }
}

/// The text, what it is in base64 at any offset, and as the password of Basic.
fn traces(secret: &str) -> Vec<String> {
    let mut traces = vec![secret.to_owned()];
    for offset in 0..3 {
        let encoded = STANDARD.encode(format!("{}{secret}", "-".repeat(offset)));
        // The edges depend on what stands beside it.
        traces.push(encoded[4..encoded.len() - 4].to_owned());
    }
    traces
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_told_anywhere() {
    let server = Server::start();
    let process = Setup::new(&server.url())
        .without_environment()
        .file("bootstrap", BOOTSTRAP)
        .file("cluster", CLUSTER)
        .with(
            "authentication: {bootstrap: {password_file: DIR/bootstrap}, throttle: {failures: 3}}\n\
             upstream: {credential: {kind: basic, username: searchgate, password_file: DIR/cluster}}\n\
             logging: {level: trace}\n",
        )
        .serve();
    let secrets = [BOOTSTRAP, JACK, CLUSTER, WRONG, BODY, QUERY, HEADER].map(str::to_owned).to_vec();
    let mut session = Session { process, answers: Vec::new(), secrets };
    let (elastic, jack) = (basic("elastic", BOOTSTRAP), basic("jack", JACK));

    let user = json!({"password": JACK, "roles": ["superuser"]}).to_string();
    assert_eq!(session.send(Method::PUT, "/_security/user/jack", &elastic, &user).await.status, 200);
    let key = session.send(Method::POST, "/_security/api_key", &jack, r#"{"name":"k"}"#).await.json();
    session.keep(key["api_key"].as_str().unwrap());
    let encoded = key["encoded"].as_str().unwrap().to_owned();
    session.secrets.push(encoded.clone());
    let key = format!("ApiKey {encoded}");
    let grant = json!({"grant_type": "password", "username": "jack", "password": JACK}).to_string();
    let granted = session.send(Method::POST, "/_security/oauth2/token", &elastic, &grant).await;
    let token = granted.json()["access_token"].as_str().map(str::to_owned);
    if let Some(token) = &token {
        session.keep(token);
    }
    let token = format!("Bearer {}", token.unwrap_or_else(|| WRONG.into()));

    let (search, body) = (format!("/logs/_search?q={QUERY}"), json!({"query": BODY}).to_string());
    for authorization in [&elastic, &jack, &key, &token] {
        session.send(Method::POST, &search, authorization, &body).await;
        session.send(Method::POST, &format!("/_security/_authenticate?x={QUERY}"), authorization, &body).await;
        session.send(Method::POST, "/_security/api_key", authorization, &format!(r#"{{"name": {BODY}"#)).await;
        session.send(Method::GET, &format!("/a//b?{QUERY}"), authorization, "").await;
    }
    let wrong_key = format!("ApiKey {}", STANDARD.encode(format!("some-id:{WRONG}")));
    let wrong = [wrong_key, format!("Bearer {WRONG}"), format!("ApiKey {WRONG}"), format!("Negotiate {WRONG}")];
    for authorization in wrong.iter().chain(&[basic("jack", WRONG), basic("mallory", WRONG)]) {
        for _ in 0..4 {
            let answer = session.send(Method::POST, &search, authorization, &body).await;
            assert!(matches!(answer.status.as_u16(), 401 | 429), "{}", answer.status);
        }
    }
    let revoked = session.send(Method::DELETE, "/_security/api_key", &elastic, r#"{"name":"k"}"#).await;
    assert_eq!(revoked.status, 200, "{}", revoked.text());
    assert_eq!(session.send(Method::GET, &search, &key, "").await.status, 401);

    session.scan().await;
}

/// What a broker and a sidecar hold of the cluster's: pairs, the refresh token and the secret of a client, the master key; and
/// the handles that they give out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_of_a_session_is_told_anywhere() {
    let cluster = StandIn::start();
    let url = cluster.host().to_string();
    let master = STANDARD.encode([0xa7; 32]);
    let oauth2 = format!(
        "{{kind: oauth2, token_url: '{url}/_security/oauth2/token', grant_type: password, username: bob, \
         password_file: DIR/bob, client_id: gate, client_secret_file: DIR/service}}"
    );
    let process = Setup::new(&url)
        .file("bob", stand_in::PASSWORD)
        .file("service", stand_in::SERVICE)
        .file("master", &master)
        .with(&format!(
            "listeners:\n- {{address: 127.0.0.1:0, shape: broker, credential: \
             {{kind: session, service: {{kind: basic, username: gate, password_file: DIR/service}}}}}}\n\
             - {{address: 127.0.0.1:0, shape: sidecar, hosts: [gate.test], credential: {oauth2}}}"
        ))
        .with("store: {master_key_file: DIR/master}\nlogging: {level: trace}")
        .serve();
    let sidecar = process.addresses[1].parse().unwrap();
    let secrets = [stand_in::PASSWORD, stand_in::SERVICE, &master, BODY, HEADER].map(str::to_owned).to_vec();
    let mut session = Session { process, answers: Vec::new(), secrets };
    let (alice, body) = (basic("alice", stand_in::PASSWORD), json!({"text": BODY}).to_string());
    let mut handles = Vec::new();
    for target in ["/_gateway/session", "/_gateway/session?cookie=true"] {
        let opened = session.send(Method::POST, target, &alice, "").await;
        assert_eq!(opened.status, 200, "{}", opened.text());
        let cookie = opened.header("set-cookie").and_then(|cookie| cookie.split(['=', ';']).nth(1)).map(str::to_owned);
        let handle = cookie.or_else(|| Some(opened.json()["access_token"].as_str()?.to_owned())).unwrap();
        session.keep(&handle);
        handles.push(format!("Bearer {handle}"));
    }
    let grant = json!({"grant_type": "password", "username": "alice", "password": stand_in::PASSWORD}).to_string();
    let granted = session.send(Method::POST, "/_security/oauth2/token", &alice, &grant).await;
    if let Some(handle) = granted.json()["access_token"].as_str() {
        session.keep(handle);
        handles.push(format!("Bearer {handle}"));
    }
    // Renewed; not renewed for now; refused; ended.
    for fault in
        [None, Some(Fault::Garbage), Some(Fault::HalfClosed), Some(Fault::Refuses("token has been invalidated"))]
    {
        cluster.expire_tokens();
        if let Some(fault) = fault {
            cluster.fault(fault);
        }
        for handle in &handles {
            session.send(Method::PUT, "/a/_doc/1", handle, &body).await;
            session.send(Method::GET, "/_gateway/session", handle, "").await;
            session.send(Method::GET, "/_security/_authenticate", handle, "").await;
        }
        let mut beside = Client::tcp(sidecar).await;
        let put = with_body(Method::PUT, "/a/_doc/1", &[("content-type", "application/json")], &body);
        session.answers.push(beside.send(put).await.unwrap());
    }
    let unknown = format!("{}x", handles[0]);
    session.send(Method::GET, "/a", &unknown, "").await;
    let elastic = basic("elastic", PASSWORD);
    let listed = session.send(Method::GET, "/_gateway/sessions", &elastic, "").await;
    assert_eq!(listed.status, 200, "{}", listed.text());
    session.send(Method::DELETE, "/_gateway/session", &handles[0], "").await;
    session.send(Method::POST, "/_gateway/sessions/_invalidate", &elastic, r#"{"match":"all"}"#).await;
    assert!(cluster.refreshes() > 2 && cluster.tokens().len() > 6, "{:?}", cluster.tokens());
    session.secrets.extend(cluster.tokens());
    session.secrets.push(PASSWORD.to_owned());
    session.scan().await;
}

impl Session {
    /// Ends the process, and looks wherever somebody else may.
    async fn scan(self) {
        let Self { mut process, answers, secrets } = self;
        let mut places = Vec::new();
        for path in ["/metrics", "/status", "/readyz?verbose", "/loglevel"] {
            places.push((path.to_owned(), process.admin(Method::GET, path, "").await.text().to_owned()));
        }
        for answer in answers {
            places.push((format!("the answer {} {:?}", answer.status, answer.headers), answer.text().to_owned()));
        }
        let check = process.setup.command("check").arg("--print-effective").output().unwrap();
        assert!(check.status.success());
        places.push(("check".into(), String::from_utf8(check.stdout).unwrap()));
        for file in ["cmdline", "environ"] {
            let text = std::fs::read(format!("/proc/{}/{file}", process.running.id())).unwrap();
            // The bootstrap password was given there by whoever started the process.
            let text = String::from_utf8_lossy(&text).replace(PASSWORD, "");
            places.push((file.into(), text));
        }
        process.running.signal("HUP");
        process.running.stderr.wait_for("reload", |line| line.contains("configuration reloaded"));
        process.running.signal("TERM");
        assert_eq!(process.running.end().code(), Some(0));
        places.push(("standard output".into(), process.running.stdout.whole()));
        places.push(("standard error".into(), process.running.stderr.whole()));
        places.push(("the audit file".into(), std::fs::read_to_string(process.setup.path("audit.json")).unwrap()));
        let mut stored = Vec::new();
        for file in ["gate.db", "gate.db-wal"] {
            stored.extend(std::fs::read(process.setup.path(file)).unwrap_or_default());
        }
        places.push(("the store".into(), String::from_utf8_lossy(&stored).into_owned()));

        for (name, text) in places {
            // Elasticsearch tells a caller the target that they asked for, query and all.
            let told_back = |secret: &&String| *secret == QUERY && name.starts_with("the answer");
            for trace in secrets.iter().filter(|secret| !told_back(secret)).flat_map(|secret| traces(secret)) {
                let seen = text.find(&trace).map(|at| &text.as_bytes()[at.saturating_sub(300)..at]);
                assert!(seen.is_none(), "{trace} in {name} after {}", String::from_utf8_lossy(seen.unwrap()));
            }
        }
    }
}
