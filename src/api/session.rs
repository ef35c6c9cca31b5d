//! `/_gateway/session`: log in, see, log out; `/_gateway/sessions`: what administration does with them (contract section
//! 5, `transparent-reauthentication.md` section 8).

use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    api::{
        Api, Call, Reply,
        access::{self, Action},
        facts,
        failure::Failure,
        form::Form,
        media,
        query::Query,
        tokens,
    },
    body::Body,
    broker::{Broker, Opened, Proof},
    credential::live::Live,
    forward::cookie::{self, Shown},
    identify::{IdentifyError, presented::Presented},
    listener::peer::Peer,
    model::{Principal, Timestamp},
    respond::{Exception, Rejection, RequestFacts, es},
    secret::SecretText,
    sessions::{self, Found, ProviderKind, Reason, Session, SessionId},
};

/// Who calls the API, and what they hold.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who.
    pub principal: Arc<Principal>,
    /// Their session, when it is that by which they are known.
    pub session: Option<Arc<Live>>,
    /// Where sessions are opened, on a listener that brokers them.
    pub broker: Option<Broker>,
}

impl From<Arc<Principal>> for Caller {
    fn from(principal: Arc<Principal>) -> Self {
        Self { principal, session: None, broker: None }
    }
}

/// Which sessions are to end.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase", tag = "match")]
enum Wanted {
    All,
    Query { query: Filter },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    provider: Option<Provider>,
    username: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Provider {
    #[serde(rename = "type")]
    kind: Box<str>,
    name: Option<Box<str>>,
}

impl Api {
    /// Whether a request logs somebody in: it is nobody's yet.
    #[must_use]
    pub fn is_login(&self, parts: &Parts) -> bool {
        parts.method == Method::POST && matches!(parts.uri.path(), "/_gateway/session" | "/_gateway/session/")
    }

    /// Logs in with `Basic`, a grant in the body, or the client certificate.
    pub async fn log_in(&self, request: Request<Body>, broker: &Broker, peer: &Peer) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let facts = facts(&parts);
        if let Err(exception) = media::check(&parts.headers, !matches!(body, Body::Empty)) {
            return Failure::from(exception).response(&RequestFacts { accept: None, content_type: None, ..facts });
        }
        match self.open(&parts, body, broker, peer).await {
            Ok(response) => response,
            Err(failure) => failure.response(&facts),
        }
    }

    async fn open(&self, parts: &Parts, body: Body, broker: &Broker, peer: &Peer) -> Result<Response<Body>, Failure> {
        let mut query = Query::parse(parts.uri.query().unwrap_or_default())?;
        query.flag("error_trace")?;
        query.flag("pretty")?;
        query.flag("human")?;
        let by_cookie = query.flag("cookie")?;
        query.finish(parts.uri.path())?;
        let body = self.read(parts, body).await?;
        if !body.is_empty() {
            media::check_body(&parts.headers)?;
        }
        let shown = Presented::read(parts.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes));
        let named = match shown.map_err(Rejection::from)? {
            Presented::Basic { username, password } if body.is_empty() => Some((username, password)),
            Presented::Nothing if body.is_empty() => None,
            Presented::Nothing => Some(granted(&body)?),
            _ => {
                return Err(
                    Exception::argument("log in by Basic, or by a grant in the body, or by a certificate").into()
                );
            }
        };
        let client = peer.client_ip(&parts.headers);
        let facts_of = peer.tls.as_ref().filter(|facts| facts.fingerprint.is_some());
        let proof = match (named, facts_of) {
            (Some((username, password)), _) => Proof::Password { username, password },
            (None, Some(facts)) => Proof::Certificate(Arc::clone(facts)),
            (None, None) => return Err(Rejection::from(IdentifyError::Missing).into()),
        };
        let Opened { handle, session } = broker.login(proof, client).await.map_err(Rejection::from)?;
        let mut shown = Map::new();
        if !by_cookie {
            shown.insert("access_token".into(), handle.expose().into());
            shown.insert("type".into(), "Bearer".into());
        }
        shown.insert("expires_in".into(), self.lives_for(&session).into());
        shown.insert("session".into(), view(&session));
        let mut response = es::answer(StatusCode::OK, &shown.into(), &facts(parts));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if by_cookie {
            let cookie = cookie::set(&handle).ok_or_else(|| Exception::argument("no cookie holds this session"))?;
            response.headers_mut().insert(header::SET_COOKIE, cookie);
            self.replace(&parts.headers, broker).await;
        }
        Ok(response)
    }

    /// The session that a browser's cookie led to until now ends: nobody could end it any more.
    async fn replace(&self, headers: &http::HeaderMap, broker: &Broker) {
        let Shown::Handle(handle) = cookie::read(headers) else { return };
        let ended = match broker.sessions().find(handle).await {
            Ok(Found::Active(session)) => broker.end(&session, Reason::Logout).await.map(drop),
            Ok(Found::Expired(_) | Found::Unknown) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "a session that was replaced lives on until it is idle for too long");
        }
    }

    /// A session for whoever the grant names, in place of a token pair (contract section 5).
    pub(super) async fn broker_grant(
        &self,
        call: &Call<'_>,
        broker: &Broker,
        (grant, username, password): (&str, &str, &str),
    ) -> Result<Reply, Failure> {
        if grant != "password" {
            let description = "of the grants only [password] is brokered to the cluster".to_owned();
            return Err(Failure::Grant { error: "unsupported_grant_type", description });
        }
        let client = call.peer.client_ip(&call.parts.headers);
        let proof = Proof::Password { username: username.into(), password: SecretText::new(password.to_owned()) };
        let Opened { handle, session } = broker.login(proof, client).await.map_err(Rejection::from)?;
        Ok(Reply::ok(json!({
            "access_token": handle.expose(),
            "type": "Bearer",
            "expires_in": self.lives_for(&session),
            "authentication": session.authentication,
        })))
    }

    /// Ends the session of a handle that is given in place of a token: one's own, or any by whoever may end tokens.
    pub(super) async fn end_brokered(
        &self,
        call: &Call<'_>,
        id: &SessionId,
        action: &Action,
    ) -> Result<Reply, Failure> {
        let own = call.caller.session.as_ref().is_some_and(|live| live.session.id == *id);
        if !own {
            access::require(call.principal, action).map_err(Rejection::from)?;
        }
        let ended = u8::from(self.end(call, id, Reason::Logout).await?);
        let status = if ended == 0 { StatusCode::NOT_FOUND } else { StatusCode::OK };
        let body = json!({ "invalidated_tokens": ended, "previously_invalidated_tokens": 0, "error_count": 0 });
        Ok(Reply { status, body })
    }

    /// Shows the caller's session, or ends it.
    pub(super) async fn session(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        call.query.flag("cookie")?;
        call.query.finish(call.path())?;
        call.refuse_body()?;
        let Some(live) = &call.caller.session else {
            return Err(absent("the caller has no session"));
        };
        if call.parts.method == Method::DELETE {
            let ended = self.end(call, &live.session.id, Reason::Logout).await?;
            return Ok(Reply::ok(json!({ "ended": ended })));
        }
        // What is in memory may be older than the last note of activity.
        let session = self.sessions.get(&live.session.id).await?;
        Ok(Reply::ok(view(session.as_ref().unwrap_or(&live.session))))
    }

    /// Lists sessions, a page at a time, by id.
    pub(super) async fn list_sessions(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let after = call.query.filled("after").map(|text| id(&text)).transpose()?;
        let size = match call.query.filled("size") {
            Some(text) => text.parse().ok().filter(|size| (1..=LARGEST_PAGE).contains(size)).ok_or_else(|| {
                Exception::argument(format!("[size] must be a number from 1 to {LARGEST_PAGE}, not [{text}]"))
            })?,
            None => LARGEST_PAGE,
        };
        let username = call.query.filled("username");
        call.query.finish(call.path())?;
        call.refuse_body()?;
        access::require(call.principal, &READ).map_err(Rejection::from)?;
        let query = sessions::Query { username, ..sessions::Query::default() };
        let (page, next) = self.sessions.list(&query, after, size).await?;
        let shown: Vec<Value> = page.iter().map(view).collect();
        Ok(Reply::ok(json!({ "sessions": shown, "after": next.map(|id| id.to_string()) })))
    }

    /// Shows one session, or ends it.
    pub(super) async fn one_session(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        call.query.finish(call.path())?;
        call.refuse_body()?;
        let action = if call.parts.method == Method::DELETE { &INVALIDATE } else { &READ };
        access::require(call.principal, action).map_err(Rejection::from)?;
        let id = id(call.name(0))?;
        let session = self.sessions.get(&id).await?.filter(|session| session.provider.kind != ProviderKind::Gateway);
        let session = session.ok_or_else(|| absent("there is no such session"))?;
        if call.parts.method != Method::DELETE {
            return Ok(Reply::ok(view(&session)));
        }
        let ended = self.end(call, &id, Reason::Administration).await?;
        self.record(call, "invalidate_sessions", json!({ "sessions": { "ids": [id.short()] } }));
        Ok(Reply::ok(json!({ "ended": ended })))
    }

    /// Ends sessions, whoever's they are.
    pub(super) async fn invalidate_sessions(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let wanted: Wanted = serde_json::from_slice(call.required_body()?)
            .map_err(|error| Exception::argument(format!("not an invalidation of sessions: {error}")))?;
        call.query.finish(call.path())?;
        access::require(call.principal, &INVALIDATE).map_err(Rejection::from)?;
        let (query, all) = match wanted {
            Wanted::All => (sessions::Query::default(), true),
            Wanted::Query { query } => (meant(query)?, false),
        };
        let total = self.sessions.end_matching(&query).await?;
        let change = json!({ "sessions": { "all": all, "username": query.username, "total": total } });
        self.record(call, "invalidate_sessions", change);
        Ok(Reply::ok(json!({ "total": total })))
    }

    async fn end(&self, call: &Call<'_>, id: &SessionId, reason: Reason) -> Result<bool, Failure> {
        Ok(match (&call.caller.broker, self.sessions.get(id).await?) {
            (_, None) => false,
            (Some(broker), Some(session)) => broker.end(&session, reason).await?,
            (None, Some(session)) => self.sessions.end(&session.id, reason).await?,
        })
    }

    /// Seconds that a session lives at least.
    fn lives_for(&self, session: &Session) -> u64 {
        let ends = [session.idle_expires_at, session.lifespan_expires_at];
        let end = ends.into_iter().flatten().min().map_or(0, Timestamp::as_millis);
        end.saturating_sub(self.clock.now().as_millis()) / 1000
    }
}

/// A session as its user and administrators see it. Its id is not its handle.
fn view(session: &Session) -> Value {
    json!({
        "id": session.id.to_string(),
        "username": session.username,
        "realm": session.realm,
        "provider": { "type": session.provider.kind.as_str(), "name": session.provider.name },
        "state": session.state.as_str(),
        "created": session.created_at,
        "last_seen": session.last_seen_at,
        "idle_expires_at": session.idle_expires_at,
        "expires_at": session.lifespan_expires_at,
    })
}

/// Which sessions a filter is about: it must name something.
fn meant(Filter { provider, username }: Filter) -> Result<sessions::Query, Exception> {
    let Some(Provider { kind, name }) = provider else {
        if username.is_none() {
            return Err(Exception::argument("[query] names nothing: to end all sessions say [\"match\": \"all\"]"));
        }
        return Ok(sessions::Query { username, ..sessions::Query::default() });
    };
    let known = ProviderKind::named(&kind).filter(|kind| *kind != ProviderKind::Gateway);
    let kind = known.ok_or_else(|| Exception::argument(format!("there is no provider type [{kind}]")))?;
    Ok(sessions::Query { kind: Some(kind), name, username })
}

/// Name and password of a grant of RFC 6749.
fn granted(body: &[u8]) -> Result<(Box<str>, SecretText), Failure> {
    let form = Form::read("token_request", body)?;
    let texts = tokens::texts(&form, tokens::MEMBERS)?;
    let text = |name: &str| texts.get(name).and_then(Value::as_str).unwrap_or_default();
    let grant = text("grant_type");
    tokens::validate(grant, &texts)?;
    if grant != "password" {
        let description = "of the grants only [password] logs in".to_owned();
        return Err(Failure::Grant { error: "unsupported_grant_type", description });
    }
    Ok((text("username").into(), SecretText::new(text("password").to_owned())))
}

fn id(text: &str) -> Result<SessionId, Exception> {
    let unknown =
        || Exception::argument(format!("[{text}] is not the id of a session: they have 64 hexadecimal digits"));
    SessionId::named(text).ok_or_else(unknown)
}

fn absent(text: &str) -> Failure {
    Failure::Exception(StatusCode::NOT_FOUND, Exception::new("resource_not_found_exception", text))
}

/// Whoever may see users may see their sessions.
const READ: Action = Action::named("cluster:admin/xpack/security/user/get");
const INVALIDATE: Action = Action::named("cluster:admin/xpack/security/session/invalidate");
const LARGEST_PAGE: u32 = 1000;
