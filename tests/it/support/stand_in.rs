//! A stand-in for a secured Elasticsearch, on a socket and a thread of its own: users, grants, refresh with its reuse
//! window, expiry, invalidation, who-am-I, and whatever faults a test asks for. What it answers is what 8.19.21 was seen
//! to answer.

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use searchgate::config::HostUrl;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The stand-in. Clones are the same one.
#[derive(Clone)]
pub(crate) struct StandIn {
    state: Arc<Mutex<State>>,
    port: u16,
}

/// What the token endpoint does instead of its work.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Answers so.
    Status(u16),
    /// `invalid_grant` with that description.
    Refuses(&'static str),
    /// Does its work, and then says nothing for so long.
    Slow(Duration),
    /// Answers 200 and no JSON.
    Garbage,
    /// Closes the connection in the middle of an answer.
    HalfClosed,
}

/// A request that is none of the security API's.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whom it was taken for; none when it was refused.
    pub(crate) user: Option<String>,
}

struct State {
    users: HashMap<String, String>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    life: Duration,
    store_answers: bool,
    faults: VecDeque<Fault>,
    /// What cluster paths answer next, whoever asks.
    answers: VecDeque<(u16, &'static str, String)>,
    seen: Vec<Seen>,
    refreshes: usize,
    grants: usize,
    delegations: usize,
    asked_who: usize,
    made: usize,
}

struct Access {
    user: String,
    until: Instant,
    invalidated: bool,
}

struct Refresh {
    user: String,
    client: String,
    used: Option<(Instant, String, String)>,
    invalidated: bool,
}

impl StandIn {
    /// One whose access tokens live 20 minutes, with the users `alice` and `gate`.
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let users = [("alice", PASSWORD), ("bob", PASSWORD), ("gate", SERVICE)];
        let state = Arc::new(Mutex::new(State {
            users: users.map(|(name, password)| (name.to_owned(), password.to_owned())).into(),
            access: HashMap::new(),
            refresh: HashMap::new(),
            life: Duration::from_mins(20),
            store_answers: true,
            faults: VecDeque::new(),
            answers: VecDeque::new(),
            seen: Vec::new(),
            refreshes: 0,
            grants: 0,
            delegations: 0,
            asked_who: 0,
            made: 0,
        }));
        let serving = Arc::clone(&state);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { serve(TcpListener::from_std(listener).unwrap(), serving).await });
        });
        Self { state, port }
    }

    pub(crate) fn host(&self) -> HostUrl {
        HostUrl { tls: false, host: "127.0.0.1".into(), port: self.port }
    }

    /// Access tokens that are made from now on live so long.
    pub(crate) fn tokens_live(&self, life: Duration) {
        self.state().life = life;
    }

    /// All access tokens end now.
    pub(crate) fn expire_tokens(&self) {
        for access in self.state().access.values_mut() {
            access.until = Instant::now();
        }
    }

    /// Whether the token store answers.
    pub(crate) fn token_store(&self, answers: bool) {
        self.state().store_answers = answers;
    }

    /// The token endpoint does this the next time somebody refreshes.
    pub(crate) fn fault(&self, fault: Fault) {
        self.state().faults.push_back(fault);
    }

    /// The next request of a cluster path is answered so, whoever asks.
    pub(crate) fn answer(&self, status: u16, kind: &'static str, body: &str) {
        self.state().answers.push_back((status, kind, body.to_owned()));
    }

    pub(crate) fn set_password(&self, user: &str, password: &str) {
        self.state().users.insert(user.to_owned(), password.to_owned());
    }

    /// Requests of cluster paths so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// Calls that presented a refresh token.
    pub(crate) fn refreshes(&self) -> usize {
        self.state().refreshes
    }

    /// Calls that presented a password.
    pub(crate) fn grants(&self) -> usize {
        self.state().grants
    }

    /// Calls that presented a certificate.
    pub(crate) fn delegations(&self) -> usize {
        self.state().delegations
    }

    /// Calls of who-am-I.
    pub(crate) fn asked_who(&self) -> usize {
        self.state().asked_who
    }

    /// Every token that was ever made: access and refresh.
    pub(crate) fn tokens(&self) -> Vec<String> {
        let state = self.state();
        state.access.keys().chain(state.refresh.keys()).cloned().collect()
    }

    /// Tokens that still open or make something.
    pub(crate) fn good_tokens(&self) -> Vec<String> {
        let state = self.state();
        let access = state.access.iter().filter(|(_, access)| access.is_good()).map(|(token, _)| token);
        let refresh = state.refresh.iter().filter(|(_, refresh)| !refresh.invalidated && refresh.used.is_none());
        access.chain(refresh.map(|(token, _)| token)).cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((socket, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(|request| handle(Arc::clone(&state), request));
            // A client may go away: that is the test's business.
            let _ended = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

async fn handle(state: Arc<Mutex<State>>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Broken> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let authorization = parts.headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    let whole = body.collect().await.map_err(|_| Broken)?.to_bytes();
    let security = path.starts_with("/_security");
    let (response, fault) = {
        let mut state = state.lock().unwrap();
        let user = state.user(authorization.as_deref());
        if !security {
            let seen = Seen {
                method: parts.method.clone(),
                path: parts.uri.to_string(),
                headers: parts.headers,
                body: whole.clone(),
                user: user.as_ref().ok().cloned(),
            };
            state.seen.push(seen);
        }
        match user {
            Err(refusal) if !security && state.answers.is_empty() => (refusal, None),
            Err(refusal) if security => (refusal, None),
            user if security => {
                let form = serde_json::from_slice(&whole).unwrap_or_default();
                state.security(&parts.method, &path, &user.unwrap_or_default(), &form)
            }
            user => (state.cluster(&user.unwrap_or_default(), &path), None),
        }
    };
    match fault {
        Some(Fault::Slow(time)) => tokio::time::sleep(time).await,
        Some(Fault::HalfClosed) => return Err(Broken),
        _ => {}
    }
    Ok(response)
}

/// Ends a connection without an answer.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("told to break the connection")
    }
}

impl std::error::Error for Broken {}

impl From<Infallible> for Broken {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

type Answered = Response<Full<Bytes>>;

impl Access {
    fn is_good(&self) -> bool {
        !self.invalidated && Instant::now() < self.until
    }
}

impl State {
    fn user(&self, authorization: Option<&str>) -> Result<String, Answered> {
        let Some((scheme, value)) = authorization.and_then(|value| value.split_once(' ')) else {
            return Err(refusal("missing authentication credentials for REST request [/]", CHALLENGES, &json!({})));
        };
        if scheme == "Bearer" {
            return match self.access.get(value) {
                Some(access) if access.is_good() => Ok(access.user.clone()),
                Some(_) => Err(refusal("token expired", &[TOKEN_EXPIRED], &json!({}))),
                None => {
                    let text = "unable to authenticate with provided credentials and anonymous access is not allowed for \
                                this request";
                    let more = json!({ "additional_unsuccessful_credentials": "oauth2 token: invalid token" });
                    Err(refusal(text, CHALLENGES, &more))
                }
            };
        }
        let text = String::from_utf8(STANDARD.decode(value).unwrap_or_default()).unwrap_or_default();
        let (name, password) = text.split_once(':').unwrap_or_default();
        if self.users.get(name).is_some_and(|own| own == password) {
            return Ok(name.to_owned());
        }
        let text = format!("unable to authenticate user [{name}] for REST request [/]");
        Err(refusal(&text, CHALLENGES, &json!({})))
    }

    fn cluster(&mut self, user: &str, path: &str) -> Answered {
        if let Some((status, kind, body)) = self.answers.pop_front() {
            let mut answer = Response::new(Full::new(Bytes::from(body)));
            *answer.status_mut() = StatusCode::from_u16(status).unwrap();
            answer.headers_mut().insert(header::CONTENT_TYPE, kind.parse().unwrap());
            return answer;
        }
        if path == "/" {
            return json_answer(200, &json!({ "version": { "number": "8.19.21" }, "tagline": "You Know, for Search" }));
        }
        let mut answer = json_answer(200, &json!({ "user": user }));
        answer.headers_mut().insert(header::SET_COOKIE, "theirs=1".parse().unwrap());
        answer
    }

    fn security(&mut self, method: &Method, path: &str, user: &str, form: &Value) -> (Answered, Option<Fault>) {
        let text = |name: &str| form.get(name).and_then(Value::as_str);
        match (method.as_str(), path, text("grant_type")) {
            ("GET", "/_security/_authenticate", _) => {
                self.asked_who += 1;
                (json_answer(200, &authentication(user)), None)
            }
            ("POST", "/_security/oauth2/token", Some("password")) => {
                self.grants += 1;
                let (name, password) = (text("username").unwrap_or_default(), text("password"));
                if self.users.get(name).map(String::as_str) != password {
                    let reason = format!(
                        "unable to authenticate user [{name}] for action [cluster:admin/xpack/security/token/create]"
                    );
                    return (refusal(&reason, CHALLENGES, &json!({})), None);
                }
                let name = name.to_owned();
                (self.pair(&name, user, true), None)
            }
            ("POST", "/_security/oauth2/token", Some("refresh_token")) => {
                self.refreshes += 1;
                let fault = self.faults.pop_front();
                let answer = match &fault {
                    Some(Fault::Status(status)) => json_answer(*status, &json!({ "error": "x", "status": status })),
                    Some(Fault::Refuses(description)) => invalid_grant(description),
                    Some(Fault::Garbage) => Response::new(Full::new(Bytes::from_static(b"<html>"))),
                    _ => self.refresh(text("refresh_token").unwrap_or_default(), user),
                };
                (answer, fault)
            }
            ("POST", "/_security/delegate_pki", _) => {
                self.delegations += 1;
                (self.pair("alice", user, false), None)
            }
            ("DELETE", "/_security/oauth2/token", _) => (self.invalidate(form), None),
            _ => (json_answer(404, &json!({ "status": 404 })), None),
        }
    }

    fn pair(&mut self, user: &str, client: &str, with_refresh: bool) -> Answered {
        self.made += 1;
        let (access, refresh) = (format!("access-token-{}", self.made), format!("refresh-token-{}", self.made));
        let until = Instant::now() + self.life;
        self.access.insert(access.clone(), Access { user: user.to_owned(), until, invalidated: false });
        if with_refresh {
            let made = Refresh { user: user.to_owned(), client: client.to_owned(), used: None, invalidated: false };
            self.refresh.insert(refresh.clone(), made);
        }
        self.granted(user, &access, with_refresh.then_some(&*refresh))
    }

    fn granted(&self, user: &str, access: &str, refresh: Option<&str>) -> Answered {
        let mut body = json!({
            "access_token": access, "type": "Bearer", "expires_in": self.life.as_secs(), "authentication": authentication(user),
        });
        if let Some(refresh) = refresh {
            body["refresh_token"] = refresh.into();
        }
        json_answer(200, &body)
    }

    fn refresh(&mut self, token: &str, client: &str) -> Answered {
        if !self.store_answers {
            return invalid_grant("could not refresh the requested token");
        }
        let Some(refresh) = self.refresh.get(token) else {
            return invalid_grant("could not refresh the requested token");
        };
        if refresh.invalidated {
            return invalid_grant("token has been invalidated");
        }
        if refresh.client != client {
            return invalid_grant("tokens must be refreshed by the creating client");
        }
        let user = refresh.user.clone();
        match &refresh.used {
            Some((at, ..)) if at.elapsed() > Duration::from_secs(30) => {
                invalid_grant("token has already been refreshed more than 30 seconds in the past")
            }
            Some((_, access, next)) => self.granted(&user, access, Some(next)),
            None => {
                let answer = self.pair(&user, client, true);
                let next =
                    (Instant::now(), format!("access-token-{}", self.made), format!("refresh-token-{}", self.made));
                self.refresh.get_mut(token).unwrap().used = Some(next);
                answer
            }
        }
    }

    fn invalidate(&mut self, form: &Value) -> Answered {
        if !self.store_answers {
            return json_answer(503, &json!({ "error": "no store", "status": 503 }));
        }
        let text = |name: &str| form.get(name).and_then(Value::as_str);
        let before = match (text("token"), text("refresh_token")) {
            (Some(token), _) => {
                self.access.get_mut(token).map(|access| std::mem::replace(&mut access.invalidated, true))
            }
            (_, Some(token)) => {
                self.refresh.get_mut(token).map(|refresh| std::mem::replace(&mut refresh.invalidated, true))
            }
            _ => None,
        };
        let (now, previously) = (u8::from(before == Some(false)), u8::from(before == Some(true)));
        let body = json!({ "invalidated_tokens": now, "previously_invalidated_tokens": previously, "error_count": 0 });
        json_answer(if before.is_some() || text("username").is_some() { 200 } else { 404 }, &body)
    }
}

fn authentication(user: &str) -> Value {
    let realm = json!({ "name": "default_native", "type": "native" });
    json!({
        "username": user, "roles": ["reader"], "full_name": "A. User", "email": null, "metadata": {}, "enabled": true,
        "authentication_realm": realm, "lookup_realm": realm, "authentication_type": "realm",
    })
}

fn refusal(reason: &str, challenges: &[&'static str], more: &Value) -> Answered {
    let mut error = json!({ "type": "security_exception", "reason": reason });
    for (name, value) in more.as_object().unwrap() {
        error[name] = value.clone();
    }
    let body =
        json!({ "error": { "root_cause": [error.clone()], "type": error["type"], "reason": reason }, "status": 401 });
    let mut answer = json_answer(401, &body);
    for challenge in challenges {
        answer.headers_mut().append(header::WWW_AUTHENTICATE, challenge.parse().unwrap());
    }
    answer
}

fn invalid_grant(description: &str) -> Answered {
    json_answer(400, &json!({ "error": "invalid_grant", "error_description": description }))
}

fn json_answer(status: u16, body: &Value) -> Answered {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    answer
}

/// Of the users.
pub(crate) const PASSWORD: &str = "their-password";
/// Of the gateway's own identity, `gate`.
pub(crate) const SERVICE: &str = "password-of-gate";
const CHALLENGES: &[&str] = &[r#"Basic realm="security", charset="UTF-8""#, r#"Bearer realm="security""#, "ApiKey"];
const TOKEN_EXPIRED: &str =
    r#"Bearer realm="security", error="invalid_token", error_description="The access token expired""#;
