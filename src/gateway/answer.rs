//! The body of an answer on its way to the client, and what is recorded when it has left.

use std::{
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header, request::Parts, uri::PathAndQuery};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Instant;

use crate::{
    body::{Body, BodyError, Filter, Filtered},
    gateway::Core,
    listener::{peer::Peer, watch::Activity},
    model::Principal,
    respond::RequestFacts,
    telemetry::AccessEvent,
    upstream::client::Lease,
    upstream::upload::Progress,
};

/// The body of an answer. Its end, or its being dropped, ends the request: the connection to the cluster goes back
/// to its pool or is closed, and the access event is written.
#[derive(Debug)]
pub struct Answer {
    body: Body,
    sent: u64,
    finished: bool,
    /// The client has a piece and has not asked for the next.
    offered: bool,
    lease: Option<Lease>,
    /// Boxed: an answer is moved often on its way to the connection.
    record: Option<Box<Record>>,
}

/// Who made an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// The gateway.
    Gateway,
    /// The cluster.
    Upstream,
}

/// What is known of a request, for the access event and the metrics. Its end ends the request, however that comes: a
/// client may leave before there is an answer.
#[derive(Debug)]
pub struct Record {
    core: Rc<Core>,
    activity: Rc<Activity>,
    /// When its first byte came.
    pub started: Instant,
    method: Method,
    target: Option<PathAndQuery>,
    accept: Option<HeaderValue>,
    content_type: Option<HeaderValue>,
    opaque_id: Option<HeaderValue>,
    traceparent: Option<HeaderValue>,
    client: Option<IpAddr>,
    /// Who called, once proven.
    pub principal: Option<Arc<Principal>>,
    /// How far the request's body is.
    pub progress: Option<Rc<Progress>>,
    /// Requests sent to the cluster.
    pub attempts: u8,
    /// The host that answered.
    host: Option<usize>,
    /// Who made the answer.
    pub source: Source,
    /// Whether the client is told to forget its session cookie.
    pub clears_cookie: bool,
    /// The code of a refusal.
    pub reason: Option<&'static str>,
    /// Status sent.
    pub status: StatusCode,
    upstream_time: Option<std::time::Duration>,
    sent: u64,
    aborted: bool,
}

impl Answer {
    /// A body, and the connection that it still arrives on.
    #[must_use]
    pub fn new(body: Body, lease: Option<Lease>) -> Self {
        Self { body, sent: 0, finished: false, offered: false, lease, record: None }
    }

    /// The same through a filter.
    #[must_use]
    pub fn filtered(mut self, filter: Box<dyn Filter>) -> Self {
        let body = std::mem::take(&mut self.body);
        self.body = Body::Filtered(Box::new(Filtered::new(body, filter)));
        self
    }

    /// Attaches what is to be recorded at the end.
    pub fn settle(&mut self, record: Box<Record>) {
        self.record = Some(record);
        // A peer may never ask for the first piece.
        self.offer(!self.body.is_end_stream());
    }

    fn offer(&mut self, offered: bool) {
        if self.offered != offered
            && let Some(record) = &self.record
        {
            self.offered = offered;
            record.activity.offer(offered);
        }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.offer(matches!(polled, Poll::Ready(Some(Ok(_)))));
        match &polled {
            Poll::Ready(Some(Ok(frame))) => self.sent += frame.data_ref().map_or(0, |data| data.len() as u64),
            Poll::Ready(None) => self.finished = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.offer(false);
        let now = Instant::now();
        let whole = self.finished || self.body.is_end_stream();
        if let Some(lease) = self.lease.take()
            && whole
        {
            lease.give_back(now);
        }
        if let Some(record) = &mut self.record {
            record.sent = self.sent;
            // To a HEAD no body is sent, whatever the answer holds.
            record.aborted = !whole && record.method != Method::HEAD;
        }
    }
}

impl Record {
    /// Begins the record of a request.
    #[must_use]
    pub fn new(core: Rc<Core>, activity: Rc<Activity>, parts: &Parts, peer: &Peer) -> Self {
        let started = activity.begin();
        let kept = |name: HeaderName| parts.headers.get(name).cloned();
        Self {
            core,
            activity,
            started,
            method: parts.method.clone(),
            target: parts.uri.path_and_query().cloned(),
            accept: kept(header::ACCEPT),
            content_type: kept(header::CONTENT_TYPE),
            opaque_id: kept(X_OPAQUE_ID),
            traceparent: kept(TRACEPARENT),
            client: peer.client_ip(&parts.headers),
            principal: None,
            progress: None,
            attempts: 0,
            host: None,
            source: Source::Gateway,
            clears_cookie: false,
            reason: None,
            status: CLIENT_GONE.try_into().unwrap_or(StatusCode::REQUEST_TIMEOUT),
            upstream_time: None,
            sent: 0,
            aborted: true,
        }
    }

    /// What the wording of a refusal depends on.
    #[must_use]
    pub fn facts(&self) -> RequestFacts<'_> {
        RequestFacts {
            target: self.target.as_ref().map_or("/", PathAndQuery::as_str),
            accept: self.accept.as_ref(),
            content_type: self.content_type.as_ref(),
            opaque_id: self.opaque_id.as_ref(),
        }
    }

    /// The cluster answers now.
    pub fn answered(&mut self, lease: &Lease) {
        self.host = Some(lease.index());
        self.upstream_time = Some(self.started.elapsed());
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let now = Instant::now();
        let uploading = self.progress.as_ref().is_some_and(|upload| upload.is_under_way());
        self.activity.end(now, uploading);
        let hosts = self.core.shared.upstream.hosts();
        let event = AccessEvent {
            timestamp: self.core.wall(now),
            method: &self.method,
            path: self.target.as_ref().map_or("*", PathAndQuery::path),
            status: self.status,
            bytes_in: self.progress.as_ref().map_or(0, |progress| progress.received()),
            bytes_out: self.sent,
            elapsed: now.saturating_duration_since(self.started),
            principal: self.principal.as_deref(),
            client: self.client,
            upstream: self.host.and_then(|host| hosts.get(host)).map(|host| &*host.name),
            attempts: self.attempts,
            reason: self.reason,
            opaque_id: text(self.opaque_id.as_ref()),
            traceparent: text(self.traceparent.as_ref()),
            aborted: self.aborted,
        };
        self.core.counters.finished(&event, self.source == Source::Upstream, self.upstream_time);
        self.core.access.record(&event);
    }
}

fn text(value: Option<&HeaderValue>) -> Option<&str> {
    value.and_then(|value| value.to_str().ok())
}

/// What nginx made the custom for a client that left before there was an answer; nobody is sent it.
const CLIENT_GONE: u16 = 499;
const X_OPAQUE_ID: HeaderName = HeaderName::from_static("x-opaque-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
