//! Real clusters behind the real binary. `scripts/test` starts them; a test whose cluster is absent says so and passes,
//! unless `SEARCHGATE_TEST_REQUIRE_CLUSTERS` is set.

mod authorization;
mod conformance;
mod contexts;
mod fuzz;
mod pairs;
mod plain;
mod reauthentication;
mod secured;

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use http::{Method, Request};
use serde_json::Value;

use crate::support::{
    client::{Answer, with_body},
    process::{Client, Process, Setup, basic, elastic},
    tls::TlsClient,
};

/// A cluster that runs already.
struct Cluster {
    url: String,
    /// CA, where it speaks TLS, and the `Authorization` of its administrator, where it is secured.
    secured: Option<(Option<PathBuf>, String)>,
}

impl Cluster {
    /// The one that `variable` names.
    fn find(variable: &str) -> Option<Self> {
        let Ok(url) = env::var(variable) else {
            assert!(env::var_os("SEARCHGATE_TEST_REQUIRE_CLUSTERS").is_none(), "{variable} is not set");
            eprintln!("skipped: {variable} is not set");
            return None;
        };
        let value = |name: &str| env::var(format!("{variable}_{name}"));
        let secured = value("USER")
            .ok()
            .map(|user| (value("CA").ok().map(PathBuf::from), basic(&user, &value("PASSWORD").unwrap())));
        Some(Self { url, secured })
    }

    /// A gateway in front of it.
    fn setup(&self) -> Setup {
        let setup = Setup::new(&self.url);
        match &self.secured {
            Some((Some(authority), _)) => {
                setup.with(&format!("upstream: {{ssl: {{certificate_authorities: ['{}']}}}}", authority.display()))
            }
            Some((None, _)) | None => setup,
        }
    }

    /// Of one that speaks TLS.
    fn authority(&self) -> &Path {
        self.secured.as_ref().unwrap().0.as_ref().unwrap()
    }

    fn address(&self) -> SocketAddr {
        self.url.split("//").nth(1).unwrap().trim_end_matches('/').parse().unwrap()
    }

    /// Asks the cluster itself, past the gateway.
    async fn ask(&self, method: Method, target: &str, authorization: &str, body: &Value) -> Answer {
        let mut client = match &self.secured {
            Some((Some(authority), _)) => {
                let stream = TlsClient::trusting(authority).connect(self.address(), "127.0.0.1").await.unwrap();
                Client::over(stream).await
            }
            Some((None, _)) | None => Client::tcp(self.address()).await,
        };
        client.send(json(method, target, authorization, body)).await.unwrap()
    }

    /// The same, as its administrator, who succeeds.
    async fn administrate(&self, method: Method, target: &str, body: &Value) -> Answer {
        let (_, administrator) = self.secured.as_ref().unwrap();
        let answer = self.ask(method, target, administrator, body).await;
        assert!(answer.status.is_success(), "{target}: {} {}", answer.status, answer.text());
        answer
    }
}

/// A request with a JSON body.
fn json(
    method: Method,
    target: &str,
    authorization: &str,
    body: &Value,
) -> Request<http_body_util::Full<bytes::Bytes>> {
    let headers = [("authorization", authorization), ("content-type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    with_body(method, target, &headers, &body)
}

/// What a client sees, once the cluster takes it.
async fn ask(process: &Process, method: Method, target: &str, authorization: &str, body: &Value) -> Answer {
    process.send(json(method, target, authorization, body)).await
}

/// A name that no other test, and no earlier run, uses.
fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", searchgate::secret::random::<6>().map(|byte| format!("{byte:02x}")).concat())
}

/// A user of the gateway with these roles.
async fn add_user(process: &Process, name: &str, password: &str, roles: &[&str]) -> String {
    let body = serde_json::json!({"password": password, "roles": roles});
    let answer = ask(process, Method::PUT, &format!("/_security/user/{name}"), &elastic(), &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    basic(name, password)
}
