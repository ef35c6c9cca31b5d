//! The composition root, and the pipeline: the life of a request is `Door::proxy`, read top to bottom.

use std::{cell::Cell, convert::Infallible, rc::Rc, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::{
    api::{Api, Caller},
    authorize::{Asked, Authorizer, Judged, Permit, Sealer},
    body::Body,
    broker::Broker,
    clock::Clock,
    compatibility::{self, Mode, Rewrite},
    config::{Compatibility, Limits, Reauthentication, Shape},
    credential::{Chosen, CredentialError, Credentials, Provenance, live::Live},
    forward::{self, Identity, cookie, headers},
    framing,
    identify::{Evidence, Realms},
    listener::{Handle, peer::Peer, watch::Activity},
    model::{Principal, Timestamp},
    path::{self, Route},
    replay::Replays,
    respond::{self, Rejection},
    telemetry::{
        access::AccessLog,
        audit::Audit,
        metrics::{CoreMetrics, Metrics},
    },
    upstream::{
        Upstream,
        client::{Lease, Pool},
        upload::Upload,
    },
};

pub mod answer;
mod brokered;
pub mod build;
mod contexts;
pub mod drain;
mod merge;
pub mod operator;
mod recover;
pub mod reload;
pub mod run;
pub mod serve;
pub mod sidecar;
pub mod signals;

use answer::{Answer, Record, Source};

/// An answer of the cluster, and the connection that it still arrives on.
type Received = (Response<Body>, Option<Lease>);

/// What all data threads share. Everything in it is read-mostly.
#[derive(Debug)]
pub struct Shared {
    /// Tells the time.
    pub clock: Clock,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Tells auditors.
    pub audit: Audit,
    /// Proves who calls.
    pub realms: Arc<Realms>,
    /// Decides what they may do.
    pub authorizer: Authorizer,
    /// Answers `/_security` and `/_gateway`.
    pub api: Api,
    /// Bodies kept to be sent again.
    pub replays: Arc<Replays>,
    /// How long a refused credential may take to be renewed, and what clients are told when it is not.
    pub recovery: Reauthentication,
    /// The cluster.
    pub upstream: Arc<Upstream>,
    /// What clients are told about it.
    pub compatibility: Compatibility,
    /// Limits on what peers may send; replaced on reload.
    pub limits: Arc<ArcSwap<Limits>>,
}

/// What one listener does with its callers.
#[derive(Debug)]
pub struct Site {
    /// Whether callers are judged.
    pub shape: Shape,
    /// What the cluster is shown.
    pub credentials: Arc<Credentials>,
    /// The sessions of its callers, in shape broker.
    pub broker: Option<Broker>,
    /// How it is told who calls.
    pub identity: Identity,
    /// Names that a sidecar takes in `Host`.
    pub hosts: Vec<String>,
}

/// One data thread: what it shares with nobody.
#[derive(Debug)]
pub struct Core {
    shared: Arc<Shared>,
    pool: Rc<Pool>,
    counters: Arc<CoreMetrics>,
    access: AccessLog,
    /// Wall time as of an instant, so that a request reads one clock.
    anchor: Cell<(Instant, Timestamp)>,
}

/// One listener on one data thread.
#[derive(Debug)]
pub struct Door {
    core: Rc<Core>,
    site: Arc<Site>,
}

impl Core {
    /// A thread's share.
    #[must_use]
    pub fn new(shared: Arc<Shared>, pool: Rc<Pool>, counters: Arc<CoreMetrics>, access: AccessLog) -> Rc<Self> {
        let anchor = Cell::new((Instant::now(), shared.clock.now()));
        Rc::new(Self { shared, pool, counters, access, anchor })
    }

    /// What is done now and then: clocks compared, lines written, old connections closed.
    pub fn tick(&self) {
        self.anchor.set((Instant::now(), self.shared.clock.now()));
        self.access.tick();
        self.pool.tick();
    }

    /// The pool of this thread.
    #[must_use]
    pub fn pool(&self) -> &Rc<Pool> {
        &self.pool
    }

    fn wall(&self, now: Instant) -> Timestamp {
        let (instant, timestamp) = self.anchor.get();
        timestamp.plus(now.saturating_duration_since(instant))
    }
}

impl Door {
    /// The door of `site` on this thread.
    #[must_use]
    pub fn new(core: Rc<Core>, site: Arc<Site>) -> Rc<Self> {
        Rc::new(Self { core, site })
    }

    /// Takes a request from its head to the head of its answer.
    ///
    /// Every request in flight keeps room for all that is awaited here, so what is large and rare is boxed.
    async fn proxy(
        &self,
        mut parts: Parts,
        unread: &mut Body,
        peer: &Peer,
        record: &mut Record,
    ) -> Result<Response<Answer>, Rejection> {
        let shared = &*self.core.shared;
        let limits = shared.limits.load();
        let limit = limits.body_bytes;
        if matches!(parts.method, Method::CONNECT | Method::TRACE) {
            return Err(Rejection::MethodNotAllowed);
        }
        framing::check(&parts)?;
        let route = path::route(&parts.method, &parts.uri, parts.version)?;
        if http_body::Body::size_hint(unread).lower() > limit {
            return Err(forward::ForwardError::BodyTooLarge { limit }.into());
        }
        // No web page can reach a Unix socket.
        if self.site.shape == Shape::Sidecar && peer.address.is_some() {
            sidecar::check(&parts, &self.site.hosts)?;
        }

        if let Some(response) = shared.api.public(route, &parts) {
            return Ok(self.own(response, record));
        }
        let mut session = None;
        let mut permit = if let Some(bare) = Permit::options(&parts.method) {
            bare
        } else if let (Route::Cluster, Some(open)) = (route, Permit::sidecar(self.site.shape)) {
            open
        } else if let Some(broker) = &self.site.broker {
            if route != Route::Cluster {
                return Box::pin(self.serve_own(broker, route, (parts, unread), peer, record)).await;
            }
            let visitor = self.visitor(broker, &mut parts, peer, record).await?;
            let permit = self.admitted(&visitor)?;
            session = visitor.into_session();
            permit
        } else {
            match self.identify(&parts, route, peer, record).await {
                Ok(principal) if route == Route::Cluster => {
                    let asked = Asked {
                        principal: &principal,
                        client: peer.client_ip(&parts.headers),
                        method: &parts.method,
                        uri: &parts.uri,
                        headers: &parts.headers,
                        limit,
                    };
                    shared.authorizer.check(asked, unread, async |permit| self.ask(permit).await).await?
                }
                Ok(principal) => {
                    return Ok(Box::pin(self.serve(principal.into(), (parts, unread), peer, record)).await);
                }
                Err(refusal) if route == Route::Cluster && self.site.credentials.is_passthrough() => {
                    Permit::passthrough(&refusal).ok_or(refusal)?
                }
                Err(refusal) => return Err(Api::refusal(refusal, &parts)),
            }
        };
        if self.site.credentials.is_passthrough() && !shared.upstream.refuses_strangers() {
            return Err(CredentialError::UpstreamOpen.into());
        }

        let (judged, contexts) = (permit.take_judged(), permit.take_contexts());
        if permit.has_read() {
            reframe(&mut parts.headers, unread);
        }
        if let (Some(judged), Body::Empty) = (&judged, &*unread)
            && let Some(refused) = judged.take_refused()
        {
            return Ok(self.own(respond::es::json(refused.alone(), parts.headers.get(X_OPAQUE_ID)), record));
        }
        if judged.is_some() || contexts.is_some() {
            parts.headers.remove(header::ACCEPT_ENCODING); // the answer is read here
        }
        let changes = shared.authorizer.is_change(&parts.method, parts.uri.path());
        let product = shared.upstream.product();
        let mode = Mode::of(shared.compatibility, product);
        headers::clean_request(&mut parts.headers, peer, permit.passes_through());
        let rewrite = compatibility::request(mode, &mut parts, peer);
        self.site.identity.tell(&mut parts.headers, &permit, product, || self.core.wall(Instant::now()))?;
        let (credential, background) = self.choose(session, &permit).await?;
        // Nobody has proven anything: the cluster is not made to hold a stranger's bytes.
        let body = if permit.goes_bare() { Body::Empty } else { std::mem::take(unread) };
        let head = forward::head(parts, &permit, &body);
        let (body, again) = self.keep((&credential, background), &head, body);
        let (upload, progress) = Upload::new(body, limit, limits.idle_timeout);
        drop(limits);
        record.progress = progress;

        let patience = shared.upstream.request_timeout;
        let answered = self.attempt(&permit, &credential, head.map(|()| upload), patience, record).await;
        let mut answered = answered.map_err(|error| whole(error.into(), judged.as_ref()))?;
        if answered.0.status() == StatusCode::UNAUTHORIZED {
            let again = Box::pin(self.refused(&permit, again, answered, (peer, unread), record)).await;
            answered = again.map_err(|error| whole(error, judged.as_ref()))?;
        } else {
            drop(again); // frees what was kept
        }
        if changes && answered.0.status().is_success() {
            shared.authorizer.forget();
        }
        let delivered = self.deliver(answered, credential.provenance(), mode, &rewrite, contexts, record).await?;
        match judged {
            Some(judged) if delivered.status() == StatusCode::OK => Ok(merge::merge(delivered, &judged)?),
            _ => Ok(delivered),
        }
    }

    /// Asks the cluster what the gateway itself wants to know.
    async fn ask(&self, permit: Permit) -> Option<Bytes> {
        let credential = self.site.credentials.choose(&permit).await.ok()?;
        let mut request =
            forward::head(Request::new(()).into_parts().0, &permit, &Body::Empty).map(|()| Upload::empty());
        if let Some(header) = credential.header() {
            forward::attach(request.headers_mut(), header);
        }
        let asking = async {
            let patience = self.core.shared.upstream.request_timeout;
            let (response, lease) = forward::send(&self.core.pool, &permit, request, None, patience).await.ok()?;
            let ok = response.status() == StatusCode::OK;
            let bytes = Body::received(response.into_body()).read(CATALOG_BYTES).await.ok()?;
            lease.give_back(Instant::now());
            ok.then_some(bytes)
        };
        tokio::time::timeout(self.core.shared.upstream.request_timeout, asking).await.ok()?
    }

    /// Proves who calls: mostly from memory.
    async fn identify(
        &self,
        parts: &Parts,
        route: Route,
        peer: &Peer,
        record: &mut Record,
    ) -> Result<Arc<Principal>, crate::identify::IdentifyError> {
        let target = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let strangers_pass = route == Route::Cluster && self.site.credentials.is_passthrough();
        let evidence = Evidence { method: &parts.method, headers: &parts.headers, target, peer, strangers_pass };
        let known = self.core.shared.realms.recall(&evidence, self.core.wall(record.started));
        self.core.counters.identity_cache(known.is_some());
        let principal = match known {
            Some(principal) => principal,
            None => Box::pin(self.core.shared.realms.identify(&evidence)).await?,
        };
        record.principal = Some(Arc::clone(&principal));
        Ok(principal)
    }

    /// Serves `/_security` and `/_gateway` for whoever proved who they are.
    async fn serve(
        &self,
        caller: Caller,
        (parts, unread): (Parts, &mut Body),
        peer: &Peer,
        record: &mut Record,
    ) -> Response<Answer> {
        let request = Request::from_parts(parts, std::mem::take(unread));
        let ask = async |permit| self.ask(permit).await;
        self.own(self.core.shared.api.answer(request, caller, peer, ask).await, record)
    }

    /// What the cluster is shown: the token of the caller's session, which may be no sign of its user, or what the
    /// listener shows.
    async fn choose(
        &self,
        session: Option<(Arc<Live>, bool)>,
        permit: &Permit,
    ) -> Result<(Chosen, bool), CredentialError> {
        match session {
            Some((live, background)) => Ok((Chosen::Session(live), background)),
            None => Ok((self.site.credentials.choose(permit).await?, false)),
        }
    }

    /// No `async fn`: it would keep room for the request a second time.
    fn attempt<'a>(
        &'a self,
        permit: &'a Permit,
        credential: &Chosen,
        mut request: Request<Upload>,
        patience: Duration,
        record: &mut Record,
    ) -> impl Future<Output = Result<Received, forward::ForwardError>> + use<'a> {
        if let Some(header) = credential.header() {
            forward::attach(request.headers_mut(), header);
        }
        record.attempts += 1;
        let answered = forward::send(&self.core.pool, permit, request, record.progress.clone(), patience);
        async move {
            let (response, lease) = answered.await?;
            Ok((response.map(Body::received), Some(lease)))
        }
    }

    /// Hands the cluster's answer on as it comes.
    async fn deliver(
        &self,
        (response, lease): Received,
        provenance: Provenance,
        mode: Mode,
        rewrite: &Rewrite,
        contexts: Option<Box<Sealer>>,
        record: &mut Record,
    ) -> Result<Response<Answer>, Rejection> {
        let (mut parts, body) = response.into_parts();
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(forward::ForwardError::Interrupted.into()); // nobody asked for it: no `Upgrade` is forwarded
        }
        parts.version = http::Version::HTTP_11;
        headers::clean_response(&mut parts.headers);
        if provenance == Provenance::Session {
            headers::hide_token(&mut parts.headers);
        }
        rewrite.head(mode, &mut parts);
        if matches!(parts.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            parts.headers.insert(headers::X_AUTH_SOURCE, HeaderValue::from_static("upstream"));
        }
        if let Some(code) = respond::reason(&parts.extensions) {
            parts.headers.insert(headers::X_AUTH_REASON, HeaderValue::from_static(code));
            record.reason = Some(code);
        }
        record.source = Source::Upstream;
        if let Some(lease) = &lease {
            record.answered(lease);
        }
        if rewrite.wants_body(&parts) {
            let patience = self.core.shared.upstream.request_timeout;
            let body = Box::pin(tokio::time::timeout(patience, rewrite.body(&mut parts, body)))
                .await
                .map_err(|_| forward::ForwardError::TimedOut)?
                .map_err(|_| forward::ForwardError::Interrupted)?;
            if let Some(lease) = lease {
                lease.give_back(Instant::now());
            }
            return Ok(Response::from_parts(parts, Answer::new(body, None)));
        }
        let delivered = Response::from_parts(parts, Answer::new(body, lease));
        match contexts {
            Some(sealer) => Ok(Box::pin(contexts::seal(delivered, *sealer)).await?),
            None => Ok(delivered),
        }
    }

    /// An answer that the gateway itself gives.
    fn own(&self, mut response: Response<Body>, record: &mut Record) -> Response<Answer> {
        if self.core.shared.compatibility == Compatibility::Off {
            response.headers_mut().remove(compatibility::X_ELASTIC_PRODUCT);
        }
        record.source = Source::Gateway;
        record.reason = respond::reason(response.extensions());
        response.map(|body| Answer::new(body, None))
    }
}

/// A body that was broken off is refused for what was wrong with it.
fn whole(error: Rejection, judged: Option<&Judged>) -> Rejection {
    judged.and_then(Judged::take_error).map_or(error, Rejection::from)
}

/// The headers of a body that was judged here are those of what is sent on.
fn reframe(headers: &mut HeaderMap, body: &Body) {
    headers.remove(header::CONTENT_ENCODING);
    match http_body::Body::size_hint(body).exact() {
        Some(length) => drop(headers.insert(header::CONTENT_LENGTH, length.into())),
        None => drop(headers.remove(header::CONTENT_LENGTH)),
    }
}

/// Reads on, for a while, what a refused client is still sending: a connection that is closed over unread bytes is
/// reset, and the refusal may be lost with it.
async fn linger(mut body: Body, activity: Rc<Activity>) {
    activity.begin();
    let drained = async { while let Some(Ok(_)) = body.frame().await {} };
    // Whoever takes longer is cut off.
    let _in_time = tokio::time::timeout(LINGER, drained).await;
    activity.end(Instant::now(), false);
}

impl Handle for Door {
    type Body = Answer;

    fn handle(
        self: Rc<Self>,
        request: Request<Incoming>,
        peer: Rc<Peer>,
        activity: Rc<Activity>,
    ) -> impl Future<Output = Result<Response<Answer>, Infallible>> {
        let (parts, incoming) = request.into_parts();
        let lingers = parts.version < http::Version::HTTP_2 && !parts.headers.contains_key(header::EXPECT);
        let mut record = Box::new(Record::new(Rc::clone(&self.core), Rc::clone(&activity), &parts, &peer));
        let mut body = Body::received(incoming);
        async move {
            let outcome = self.proxy(parts, &mut body, &peer, &mut record).await;
            if lingers && matches!(body, Body::Incoming(_)) {
                tokio::task::spawn_local(linger(body, activity));
            }
            let mut response = match outcome {
                Ok(response) => response,
                Err(rejection) => {
                    let response = respond::es::response(&rejection, &record.facts());
                    self.own(response, &mut record)
                }
            };
            if record.clears_cookie {
                response.headers_mut().insert(header::SET_COOKIE, cookie::clear());
                response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            }
            record.status = response.status();
            response.body_mut().settle(record);
            Ok(response)
        }
    }
}

const X_OPAQUE_ID: header::HeaderName = header::HeaderName::from_static("x-opaque-id");
/// Names of some hundred thousand indices.
const CATALOG_BYTES: u64 = 64 * 1024 * 1024;
/// Enough for what is in flight already, and for most bodies.
const LINGER: Duration = Duration::from_secs(5);
