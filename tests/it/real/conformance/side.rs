//! One side: where requests go, and what was saved of its answers.

use std::{collections::BTreeMap, net::SocketAddr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http_body_util::Full;
use serde_json::Value;
use tokio::net::TcpStream;

use super::{Cluster, session::Exchange};
use crate::support::{
    client::Answer,
    process::{Client, basic},
    tls::TlsClient,
};

pub(super) struct Side {
    address: SocketAddr,
    tls: Option<TlsClient>,
    administrator: String,
    variables: BTreeMap<String, String>,
}

/// An answer, and the values in it that are this side's own, with the names to show in their place.
pub(super) struct Seen {
    /// None where the connection was closed instead.
    pub(super) answer: Option<Answer>,
    pub(super) own: Vec<(String, String)>,
}

impl Side {
    pub(super) fn original(cluster: &Cluster, administrator: (&str, &str)) -> Self {
        let tls = cluster.url.starts_with("https://");
        let tls = tls.then(|| TlsClient::trusting(cluster.authority()));
        let address = cluster.url.split_once("://").unwrap().1.trim_end_matches('/').parse().unwrap();
        Self::new(address, tls, administrator)
    }

    pub(super) fn gateway(address: SocketAddr, administrator: (&str, &str)) -> Self {
        Self::new(address, None, administrator)
    }

    fn new(address: SocketAddr, tls: Option<TlsClient>, (user, password): (&str, &str)) -> Self {
        let word = searchgate::secret::random::<8>().map(|byte| char::from(b'a' + byte % 26));
        let variables = [("x".to_owned(), word.iter().collect())].into();
        Self { address, tls, administrator: basic(user, password), variables }
    }

    /// Sends a request, and saves what it is to save of the answer.
    pub(super) async fn play(&mut self, exchange: &Exchange) -> Seen {
        let answer = self.send(exchange).await;
        let body =
            answer.as_ref().and_then(|answer| serde_json::from_slice::<Value>(&answer.body).ok()).unwrap_or_default();
        for (name, pointer) in &exchange.save {
            let value = match body.pointer(pointer) {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => format!("no-{name}"),
            };
            self.variables.insert(name.clone(), value);
        }
        let mut own: Vec<_> =
            self.variables.iter().map(|(name, value)| (value.clone(), format!("${{{name}}}"))).collect();
        // A value may hold another.
        own.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        Seen { answer, own }
    }

    async fn send(&self, exchange: &Exchange) -> Option<Answer> {
        let method = exchange.method.parse::<http::Method>().unwrap();
        let mut headers: Vec<(&str, Vec<String>)> =
            vec![("host", vec!["gate.test".into()]), ("authorization", self.authorization(&exchange.caller))];
        if exchange.body.is_some() {
            headers.push(("content-type", vec!["application/json".into()]));
        }
        for (name, values) in &exchange.headers {
            headers.retain(|(default, _)| !default.eq_ignore_ascii_case(name));
            headers.push((name, values.iter().map(|value| self.fill(value)).collect()));
        }
        let mut request = http::Request::builder().method(method).uri(self.fill(&exchange.target));
        for (name, values) in headers {
            for value in values {
                request = request.header(name, value);
            }
        }
        let body = exchange.body.as_ref().map(|body| self.fill(body)).unwrap_or_default();
        let request = request.body(Full::from(body)).unwrap();
        let mut client = match &self.tls {
            Some(tls) => Client::over(tls.connect(self.address, "127.0.0.1").await.unwrap()).await,
            None => Client::over(TcpStream::connect(self.address).await.unwrap()).await,
        };
        client.send(request).await.ok()
    }

    fn authorization(&self, caller: &str) -> Vec<String> {
        let value = match caller {
            "none" => return Vec::new(),
            "elastic" => self.administrator.clone(),
            raw if raw.contains(' ') => self.fill(raw),
            named => match named.split_once(':') {
                Some((user, password)) => basic(&self.fill(user), &self.fill(password)),
                None => basic(&self.fill(&format!("${{x}}-{named}")), &format!("password-of-{named}")),
            },
        };
        vec![value]
    }

    /// Puts variables in, then encodes.
    fn fill(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.variables {
            text = text.replace(&format!("${{{name}}}"), value);
        }
        while let Some((before, rest)) = text.split_once("$base64(") {
            let (inner, after) = rest.split_once(')').unwrap();
            text = format!("{before}{}{after}", STANDARD.encode(inner));
        }
        text
    }

    /// Removes what the session made, by the word that its names begin with.
    pub(super) async fn clean(&self) {
        let word = &self.variables["x"];
        let ask = async |method: &str, target: &str, body: Option<Value>| {
            let exchange = Exchange::new(method, target, body.map(|body| body.to_string()));
            serde_json::from_slice::<Value>(&self.send(&exchange).await.unwrap().body).unwrap_or_default()
        };
        for kind in ["user", "role", "role_mapping"] {
            let all = ask("GET", &format!("/_security/{kind}"), None).await;
            for name in all.as_object().unwrap().keys().filter(|name| name.starts_with(word)) {
                let name = name.bytes().fold(String::new(), |name, byte| format!("{name}%{byte:02x}"));
                ask("DELETE", &format!("/_security/{kind}/{name}"), None).await;
            }
        }
        ask("DELETE", "/_security/api_key", Some(serde_json::json!({"name": format!("{word}*")}))).await;
        let all = ask("GET", &format!("/_security/privilege/{word}*"), None).await;
        for (application, privileges) in all.as_object().unwrap() {
            let names = privileges.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(",");
            ask("DELETE", &format!("/_security/privilege/{application}/{names}"), None).await;
        }
    }
}
