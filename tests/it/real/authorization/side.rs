//! One side: where requests go, and who its callers are there.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use http::Method;
use http_body_util::Full;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{super::Cluster, requests::Request};
use crate::support::{
    client::Answer,
    process::{Client, basic},
    tls::TlsClient,
};

/// A caller, as `callers.yml` describes it.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Caller {
    /// Asks in the short form too.
    #[serde(default)]
    pub(super) short: bool,
    #[serde(default)]
    cluster: Vec<String>,
    #[serde(default)]
    indices: Vec<Value>,
    /// Roles in place of the one that has its name; those without a descriptor exist.
    roles: Option<BTreeMap<String, Value>>,
    /// A key of this user.
    key_of: Option<String>,
    /// A key that this key made.
    key_by: Option<String>,
    descriptors: Option<Value>,
    token_of: Option<String>,
    run_as: Option<String>,
}

impl Caller {
    /// All names that its descriptors grant, and those of whom it acts for.
    pub(super) fn names(&self, callers: &BTreeMap<String, Self>) -> Vec<String> {
        let of = |value: &Value| -> Vec<String> {
            let names = value["names"].as_array().into_iter().flatten();
            names.map(|name| name.as_str().unwrap().to_owned()).collect()
        };
        let all = |descriptor: &Value| -> Vec<String> {
            descriptor["indices"].as_array().into_iter().flatten().flat_map(of).collect()
        };
        if let Some(descriptors) = &self.descriptors {
            return descriptors.as_object().unwrap().values().flat_map(all).collect();
        }
        let other = [&self.key_of, &self.token_of, &self.run_as].into_iter().flatten().next();
        if let Some(other) = other {
            return callers[other].names(callers);
        }
        let own = self.indices.iter().flat_map(of);
        own.chain(self.roles.iter().flat_map(BTreeMap::values).flat_map(all)).collect()
    }
}

/// Where requests go. Cheap to clone.
#[derive(Clone)]
pub(super) struct Side {
    address: SocketAddr,
    tls: Option<Arc<TlsClient>>,
    /// Headers of each caller.
    callers: BTreeMap<String, Vec<(&'static str, String)>>,
    /// What only this side calls so, and the name that both give it.
    own: Vec<(String, String)>,
}

/// A connection of one side.
pub(super) struct Line {
    side: Side,
    client: Option<Client>,
}

impl Side {
    pub(super) fn cluster(cluster: &Cluster, administrator: (&str, &str)) -> Self {
        let tls = cluster.url.starts_with("https://");
        let tls = tls.then(|| Arc::new(TlsClient::trusting(cluster.secured.as_ref().unwrap().0.as_deref().unwrap())));
        let address = cluster.url.split_once("://").unwrap().1.trim_end_matches('/').parse().unwrap();
        Self::new(address, tls, administrator)
    }

    pub(super) fn gateway(address: SocketAddr, administrator: (&str, &str)) -> Self {
        Self::new(address, None, administrator)
    }

    fn new(address: SocketAddr, tls: Option<Arc<TlsClient>>, (user, password): (&str, &str)) -> Self {
        let callers = [(ADMINISTRATOR.to_owned(), vec![("authorization", basic(user, password))])].into();
        Self { address, tls, callers, own: Vec::new() }
    }

    pub(super) fn line(&self) -> Line {
        Line { side: self.clone(), client: None }
    }

    /// Makes all callers: keys and what else needs another caller come after it.
    pub(super) async fn admit(&mut self, callers: &BTreeMap<String, Caller>) {
        let mut line = self.line();
        for (name, caller) in callers {
            if caller.key_of.is_some() || caller.key_by.is_some() || caller.token_of.is_some() {
                continue;
            }
            let run_as: Vec<_> = caller.run_as.iter().collect();
            let own = json!({"cluster": caller.cluster, "indices": caller.indices, "run_as": run_as});
            let roles = caller.roles.clone().unwrap_or_else(|| [(name.clone(), own)].into());
            for (role, descriptor) in roles.iter().filter(|(_, descriptor)| !descriptor.is_null()) {
                line.done(Method::PUT, &format!("/_security/role/{role}"), descriptor).await;
            }
            let user = json!({"password": password(name), "roles": roles.keys().collect::<Vec<_>>()});
            line.done(Method::PUT, &format!("/_security/user/{name}"), &user).await;
            let mut headers = vec![("authorization", basic(name, &password(name)))];
            headers.extend(caller.run_as.iter().map(|other| ("es-security-runas-user", other.clone())));
            self.callers.insert(name.clone(), headers);
        }
        line.side = self.clone();
        let (of_keys, others): (Vec<_>, Vec<_>) = callers.iter().partition(|(_, caller)| caller.key_by.is_some());
        for (name, caller) in others.into_iter().chain(of_keys) {
            let key =
                json!({"name": name, "role_descriptors": caller.descriptors.clone().unwrap_or_else(|| json!({}))});
            let header = match caller {
                Caller { token_of: Some(user), .. } => {
                    let grant = json!({"grant_type": "password", "username": user, "password": password(user)});
                    let token = line.done(Method::POST, "/_security/oauth2/token", &grant).await;
                    format!("Bearer {}", token["access_token"].as_str().unwrap())
                }
                Caller { key_of: Some(user), .. } => {
                    let grant = json!({
                        "grant_type": "password", "username": user, "password": password(user), "api_key": key,
                    });
                    let key = line.done(Method::POST, "/_security/api_key/grant", &grant).await;
                    self.key(name, &key)
                }
                Caller { key_by: Some(other), .. } => {
                    let answer = line.ask(other, Method::POST, "/_security/api_key", Some(&key.to_string())).await;
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    self.key(name, &answer.json())
                }
                _ => continue,
            };
            self.callers.insert(name.clone(), vec![("authorization", header)]);
            line.side = self.clone();
        }
    }

    /// Users that exist, each with the password of its name.
    pub(super) fn introduce<const N: usize>(&mut self, names: [&str; N]) {
        for name in names {
            self.callers.insert(name.to_owned(), vec![("authorization", basic(name, &password(name)))]);
        }
    }

    fn key(&mut self, name: &str, key: &Value) -> String {
        self.own.push((key["id"].as_str().unwrap().to_owned(), format!("<{name}>")));
        format!("ApiKey {}", key["encoded"].as_str().unwrap())
    }

    /// Takes them away again.
    pub(super) async fn dismiss(&self, callers: &BTreeMap<String, Caller>) {
        let mut line = self.line();
        line.ask(ADMINISTRATOR, Method::DELETE, "/_security/api_key", Some(r#"{"username":"two-roles"}"#)).await;
        for (name, caller) in callers {
            line.ask(ADMINISTRATOR, Method::DELETE, &format!("/_security/user/{name}"), None).await;
            let roles: Vec<_> = caller.roles.iter().flatten().map(|(role, _)| role).chain([name]).collect();
            for role in roles {
                line.ask(ADMINISTRATOR, Method::DELETE, &format!("/_security/role/{role}"), None).await;
            }
        }
    }

    /// A text of this side in the words of both.
    pub(super) fn common(&self, text: &str) -> String {
        self.own.iter().fold(text.to_owned(), |text, (own, name)| text.replace(own, name))
    }
}

impl Line {
    /// Asks what has to succeed, as the administrator.
    pub(super) async fn done(&mut self, method: Method, target: &str, body: &Value) -> Value {
        let body = (!body.is_null()).then(|| body.to_string());
        let answer = self.ask(ADMINISTRATOR, method, target, body.as_deref()).await;
        assert!(answer.status.is_success(), "{target}: {}", answer.text());
        answer.json()
    }

    /// Asks it as somebody, after what is to be asked first.
    pub(super) async fn play(&mut self, caller: &str, request: &Request) -> Answer {
        let (mut target, mut body) = (request.target.clone(), request.body.clone());
        if let Some(first) = &request.first {
            let (method, first_target) = first.send.split_once(' ').unwrap();
            let first_body = first.body.as_ref().map(Value::to_string);
            let by = first.caller.as_deref().unwrap_or(caller);
            let answer = self.ask(by, method.parse().unwrap(), first_target, first_body.as_deref()).await;
            let saved: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            for (name, pointer) in &first.save {
                let value = saved.pointer(pointer).and_then(Value::as_str).unwrap_or("none");
                let hole = format!("${{{name}}}");
                target = target.replace(&hole, value);
                body = body.map(|body| body.replace(&hole, value));
            }
        }
        self.ask(caller, request.method.clone(), &target, body.as_deref()).await
    }

    pub(super) async fn ask(&mut self, caller: &str, method: Method, target: &str, body: Option<&str>) -> Answer {
        let mut request = http::Request::builder().method(method).uri(target).header("host", "gate.test");
        // A cluster without security knows nobody.
        for (name, value) in self.side.callers.get(caller).into_iter().flatten() {
            request = request.header(*name, value);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Full::from(body.unwrap_or_default().to_owned())).unwrap();
        // A server may close a connection after it has refused something, and nothing is lost with it.
        for _ in 0..3 {
            if self.client.as_ref().is_none_or(Client::is_closed) {
                self.client = Some(self.connect().await);
            }
            match self.client.as_mut().unwrap().send(request.clone()).await {
                Ok(answer) => return answer,
                Err(_) => self.client = None,
            }
        }
        unreachable!("{} {target} is not answered", request.method());
    }

    async fn connect(&self) -> Client {
        match &self.side.tls {
            Some(tls) => Client::over(tls.connect(self.side.address, "127.0.0.1").await.unwrap()).await,
            None => Client::tcp(self.side.address).await,
        }
    }
}

fn password(name: &str) -> String {
    format!("password-of-{name}")
}

/// Who may do everything on both sides.
pub(super) const ADMINISTRATOR: &str = "elastic";
