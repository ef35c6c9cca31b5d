//! The admin listener: health, metrics, status, log level. Never on a data listener.
//!
//! It asks for no credentials, so what changes the process is taken from this machine only ([`guard`]).

use std::{convert::Infallible, fmt, net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Body, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::telemetry::metrics::Metrics;

pub mod guard;

/// One thing that must be well for the gateway to be ready.
#[derive(Clone, Debug)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// What is wrong, if something is.
    pub problem: Option<String>,
}

/// What the admin listener asks of the rest of the process.
pub trait View: fmt::Debug + Send + Sync {
    /// Whether start-up is over.
    fn started(&self) -> bool;
    /// The checks behind `/readyz`; one of them fails while the process drains.
    fn checks(&self) -> impl Future<Output = Vec<Check>> + Send;
    /// `/status`: version, uptime, upstream nodes, credentials, queue depths.
    fn status(&self) -> impl Future<Output = Value> + Send;
    /// The filter in force.
    fn log_level(&self) -> String;
    /// Sets it.
    ///
    /// # Errors
    ///
    /// What is wrong with `level`.
    fn set_log_level(&self, level: &str) -> Result<(), String>;
    /// Drains, as on SIGTERM.
    fn shutdown(&self);
}

/// Serves the admin listener until `stop`. Runs on the control plane.
pub async fn serve<V: View + 'static>(
    listener: tokio::net::TcpListener,
    view: Arc<V>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let admin = Arc::new(Admin { view, metrics });
    let (connections, places) = (TaskTracker::new(), Arc::new(Semaphore::new(CONNECTIONS)));
    let accept = async {
        // The semaphore is never closed.
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let (admin, stop) = (Arc::clone(&admin), stop.clone());
                    connections.spawn(async move {
                        converse(stream, peer.ip(), &admin, &stop).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin listener cannot accept connections");
                    sleep(BACK_OFF).await;
                }
            }
        }
    };
    stop.run_until_cancelled(accept).await;
    connections.close();
    connections.wait().await;
}

/// Serves one connection until the peer goes away or `stop`.
async fn converse<V: View>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: IpAddr,
    admin: &Admin<V>,
    stop: &CancellationToken,
) {
    let service = service_fn(|request| async move { Ok::<_, Infallible>(admin.answer(request, peer).await) });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_headers(64)
        .max_buf_size(16 << 10)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Ok(ended),
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            timeout(PATIENCE, connection).await
        }
    };
    if let Ok(Err(error)) = ended {
        tracing::debug!(%error, "an admin connection ended");
    }
}

/// What answers.
#[derive(Debug)]
struct Admin<V> {
    view: Arc<V>,
    metrics: Arc<Metrics>,
}

type Answer = Response<Full<Bytes>>;

impl<V: View> Admin<V> {
    async fn answer<B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>>(
        &self,
        request: Request<B>,
        peer: IpAddr,
    ) -> Answer {
        let Some(allowed) = methods(request.uri().path()) else {
            return text(StatusCode::NOT_FOUND, "no such path\n");
        };
        if !allowed.contains(request.method()) {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
            let names: Vec<_> = allowed.iter().map(Method::as_str).collect();
            if let Ok(names) = HeaderValue::try_from(names.join(", ")) {
                answer.headers_mut().insert(header::ALLOW, names);
            }
            return answer;
        }
        if !request.method().is_safe() && !guard::is_local(request.headers(), peer) {
            return text(StatusCode::FORBIDDEN, "taken from this machine only\n");
        }
        let verbose = request.uri().query().is_some_and(|query| query.split('&').any(|key| key == "verbose"));
        match request.uri().path() {
            "/healthz" | "/-/healthy" | "/livez" => health("livez", &[], verbose),
            "/-/ready" | "/readyz" => self.ready(verbose).await,
            "/startupz" => health("startupz", &[self.startup()], verbose),
            "/metrics" => typed(PROMETHEUS, self.metrics.render()),
            "/status" => match timeout(PATIENCE, self.view.status()).await {
                Ok(status) => typed(JSON, status.to_string()),
                Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "the status is not known in time\n"),
            },
            "/loglevel" if request.method() == Method::PUT => self.set_log_level(request.into_body()).await,
            "/loglevel" => text(StatusCode::OK, self.view.log_level() + "\n"),
            _ => {
                tracing::info!(client.ip = %peer, "asked to shut down");
                self.view.shutdown();
                text(StatusCode::ACCEPTED, "draining\n")
            }
        }
    }

    async fn ready(&self, verbose: bool) -> Answer {
        let mut checks = vec![self.startup()];
        match timeout(PATIENCE, self.view.checks()).await {
            Ok(more) => checks.extend(more),
            Err(_) => checks.push(Check { name: "checks", problem: Some("no answer in time".to_owned()) }),
        }
        health("readyz", &checks, verbose)
    }

    fn startup(&self) -> Check {
        Check { name: "startup", problem: (!self.view.started()).then(|| "still starting".to_owned()) }
    }

    /// Takes a filter as plain text.
    async fn set_log_level<B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>>(&self, body: B) -> Answer {
        let level = match timeout(PATIENCE, Limited::new(body, BODY_BYTES).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                return text(StatusCode::PAYLOAD_TOO_LARGE, "too long for a log level\n");
            }
            Ok(Err(_)) | Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the body did not come\n"),
        };
        let set = std::str::from_utf8(&level)
            .map_err(|error| error.to_string())
            .and_then(|level| self.view.set_log_level(level.trim()));
        match set {
            Ok(()) => text(StatusCode::OK, self.view.log_level() + "\n"),
            Err(problem) => text(StatusCode::BAD_REQUEST, problem + "\n"),
        }
    }
}

/// The methods of a path, if there is such a path.
fn methods(path: &str) -> Option<&'static [Method]> {
    match path {
        "/healthz" | "/-/healthy" | "/livez" | "/-/ready" | "/readyz" | "/startupz" | "/metrics" | "/status" => {
            Some(&[Method::GET, Method::HEAD])
        }
        "/loglevel" => Some(&[Method::GET, Method::HEAD, Method::PUT]),
        "/shutdown" => Some(&[Method::POST]),
        _ => None,
    }
}

/// 200 if no check has a problem, else 503. Which one it is, only who asks for it reads.
fn health(name: &str, checks: &[Check], verbose: bool) -> Answer {
    let well = checks.iter().all(|check| check.problem.is_none());
    let verdict = if well { "ok" } else { "failed" };
    let mut lines = String::new();
    if verbose {
        for Check { name, problem } in checks {
            match problem {
                Some(problem) => lines.extend(["[-] ", name, ": ", problem, "\n"]),
                None => lines.extend(["[+] ", name, "\n"]),
            }
        }
    }
    lines.extend([name, " ", verdict, "\n"]);
    text(if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, lines)
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = typed(TEXT, body);
    *answer.status_mut() = status;
    answer
}

fn typed(kind: HeaderValue, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const BACK_OFF: Duration = Duration::from_millis(100);
const BODY_BYTES: usize = 4 << 10;
/// Those of a few probes and scrapers.
const CONNECTIONS: usize = 64;
/// For a head, a body, a check, and an answer under way when the listener stops.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
