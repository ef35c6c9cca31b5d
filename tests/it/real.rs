//! Real clusters behind the real binary. `scripts/test` starts them; a test whose cluster is absent says so and passes,
//! unless `SEARCHGATE_TEST_REQUIRE_CLUSTERS` is set.

mod authorization;
mod conformance;
mod contexts;
mod fuzz;
mod pairs;
mod plain;
mod secured;

use std::{env, net::SocketAddr, path::PathBuf};

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
    /// CA, and the `Authorization` of its administrator, where it is secured.
    secured: Option<(PathBuf, String)>,
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
        let secured = value("CA")
            .ok()
            .map(|authority| (authority.into(), basic(&value("USER").unwrap(), &value("PASSWORD").unwrap())));
        Some(Self { url, secured })
    }

    /// A gateway in front of it.
    fn setup(&self) -> Setup {
        let setup = Setup::new(&self.url);
        match &self.secured {
            Some((authority, _)) => {
                setup.with(&format!("upstream: {{ssl: {{certificate_authorities: ['{}']}}}}", authority.display()))
            }
            None => setup,
        }
    }

    /// Asks the cluster itself, past the gateway, as its administrator.
    async fn administrate(&self, method: Method, target: &str, body: &Value) -> Answer {
        let (authority, administrator) = self.secured.as_ref().unwrap();
        let address: SocketAddr = self.url.strip_prefix("https://").unwrap().trim_end_matches('/').parse().unwrap();
        let stream = TlsClient::trusting(authority).connect(address, "127.0.0.1").await.unwrap();
        let answer = Client::over(stream).await.send(json(method, target, administrator, body)).await.unwrap();
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
