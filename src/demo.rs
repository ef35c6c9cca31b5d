//! A throw-away search cluster in memory, for `searchgate demo` and nothing else.
//!
//! It speaks the part of the API that a first try needs, says in `GET /` what it is, and answers everything else
//! with Elasticsearch's error bodies. It keeps nothing, knows no mappings and no scores, and is no search engine.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    body::Body,
    demo::{
        failure::Failure,
        index::{Cluster, Creation},
        search::Search,
    },
    path,
};

pub mod bulk;
pub mod failure;
pub mod index;
pub mod search;
pub mod welcome;

/// Serves an empty cluster on `listener` until `stop`; what it held is gone then.
pub async fn serve(listener: TcpListener, stop: CancellationToken) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "{TAGLINE}");
    }
    let cluster = Arc::new(Mutex::new(Cluster::new(MAX_BYTES)));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::error!(%error, "the demo cluster cannot accept connections");
                break;
            }
        };
        let (cluster, stop) = (Arc::clone(&cluster), stop.clone());
        connections.spawn(async move {
            let service = service_fn(move |request| converse(Arc::clone(&cluster), request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                () = stop.cancelled() => {}
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "connection to the demo cluster ended");
                },
            }
        });
    }
    connections.close();
    connections.wait().await;
}

async fn converse(
    cluster: Arc<Mutex<Cluster>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, incoming) = request.into_parts();
    let answer = match Body::received(incoming).read(MAX_REQUEST).await {
        Ok(body) => answer(&mut cluster.lock(), &parts.method, &parts.uri, &body),
        Err(error) => Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "content_too_long_exception", error.to_string())),
    };
    Ok(answer.unwrap_or_else(|failure| Answer::json(failure.status, &failure.body())).into_response())
}

/// A status and a body.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    kind: &'static str,
    body: String,
}

impl Answer {
    fn json(status: StatusCode, body: &Value) -> Self {
        Self { status, kind: "application/json", body: body.to_string() }
    }

    fn ok(body: &Value) -> Self {
        Self::json(StatusCode::OK, body)
    }

    fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(self.body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(self.kind));
        response
    }
}

fn answer(cluster: &mut Cluster, method: &Method, uri: &Uri, body: &[u8]) -> Result<Answer, Failure> {
    let query = uri.query().unwrap_or_default();
    let raw = uri.path().split('/').filter(|segment| !segment.is_empty());
    let segments: Vec<String> =
        raw.map(path::decode).collect::<Result<_, _>>().map_err(|error| Failure::illegal(error.to_string()))?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    match (method, segments.as_slice()) {
        ("GET", []) => Ok(Answer::ok(&about())),
        ("GET", ["_cat", "indices"]) => Ok(indices(cluster, query)),
        ("GET", ["_cluster", "health"]) => Ok(Answer::ok(&health(cluster))),
        ("POST" | "PUT", ["_bulk"]) => Ok(Answer::ok(&bulk::run(cluster, None, body)?)),
        ("POST" | "PUT", [index, "_bulk"]) => Ok(Answer::ok(&bulk::run(cluster, Some(index), body)?)),
        ("GET" | "POST", ["_search"]) => search(cluster, "_all", query, body),
        ("GET" | "POST", [names, "_search"]) => search(cluster, names, query, body),
        ("GET" | "POST", ["_count"]) => count(cluster, "_all", body),
        ("GET" | "POST", [names, "_count"]) => count(cluster, names, body),
        ("GET" | "POST", ["_refresh"]) => Ok(Answer::ok(&json!({"_shards": shards(cluster.resolve("_all")?.len())}))),
        ("GET" | "POST", [names, "_refresh"]) => {
            Ok(Answer::ok(&json!({"_shards": shards(cluster.resolve(names)?.len())})))
        }
        ("PUT" | "POST", [index, "_doc", id]) => {
            let creation = if parameter(query, "op_type") == Some("create") { Creation::New } else { Creation::Any };
            write(cluster, index, Some(id), body, creation)
        }
        ("PUT" | "POST", [index, "_create", id]) => write(cluster, index, Some(id), body, Creation::New),
        ("POST", [index, "_doc"]) => write(cluster, index, None, body, Creation::New),
        ("GET", [index, "_doc", id]) => {
            let (found, document) = cluster.get(index, id)?;
            Ok(Answer::json(if found { StatusCode::OK } else { StatusCode::NOT_FOUND }, &document))
        }
        ("DELETE", [index, "_doc", id]) => {
            let written = cluster.delete(index, id)?;
            Ok(Answer::json(written.status(), &written.body()))
        }
        (_, [first, ..]) if first.starts_with('_') => Err(unknown(method, uri)),
        ("PUT", [index]) => {
            cluster.create(index)?;
            Ok(Answer::ok(&json!({"acknowledged": true, "shards_acknowledged": true, "index": index})))
        }
        ("DELETE", [names]) => {
            cluster.drop(names)?;
            Ok(Answer::ok(&json!({"acknowledged": true})))
        }
        ("GET", [names]) => {
            let found = cluster.resolve(names)?;
            let described =
                found.iter().map(|name| (name.clone(), json!({"aliases": {}, "mappings": {}, "settings": {}})));
            Ok(Answer::ok(&Value::Object(described.collect())))
        }
        _ => Err(unknown(method, uri)),
    }
}

fn about() -> Value {
    json!({
        "name": NAME,
        "cluster_name": NAME,
        "cluster_uuid": NAME,
        "version": {"number": "8.19.0", "distribution": NAME, "build_flavor": "default", "build_type": "demo"},
        "tagline": TAGLINE,
    })
}

fn write(
    cluster: &mut Cluster,
    index: &str,
    id: Option<&str>,
    body: &[u8],
    creation: Creation,
) -> Result<Answer, Failure> {
    let written = cluster.put(index, id, body, creation)?;
    Ok(Answer::json(written.status(), &written.body()))
}

fn search(cluster: &Cluster, names: &str, query: &str, body: &[u8]) -> Result<Answer, Failure> {
    let mut search = Search::parse(body)?;
    for (name, value) in [("size", &mut search.size), ("from", &mut search.from)] {
        if let Some(text) = parameter(query, name) {
            let wrong = || Failure::illegal(format!("Failed to parse int parameter [{name}] with value [{text}]"));
            *value = Some(text.parse().map_err(|_| wrong())?);
        }
    }
    let body = search.run(cluster, names)?;
    Ok(Answer { status: StatusCode::OK, kind: "application/json", body })
}

fn count(cluster: &Cluster, names: &str, body: &[u8]) -> Result<Answer, Failure> {
    let (count, indices) = Search::parse(body)?.count(cluster, names)?;
    Ok(Answer::ok(&json!({"count": count, "_shards": shards(indices)})))
}

fn indices(cluster: &Cluster, query: &str) -> Answer {
    let rows = cluster.indices().map(|(name, index)| (name, index.len(), index.bytes()));
    if parameter(query, "format") == Some("json") {
        let rows = rows.map(|(name, count, bytes)| {
            json!({"health": "green", "status": "open", "index": name, "pri": "1", "rep": "0",
                   "docs.count": count.to_string(), "docs.deleted": "0", "store.size": format!("{bytes}b")})
        });
        return Answer::ok(&rows.collect());
    }
    let rows = rows.map(|(name, count, bytes)| format!("green open {name} 1 0 {count} 0 {bytes}b\n"));
    let body = rows.collect::<Vec<_>>().concat();
    Answer { status: StatusCode::OK, kind: "text/plain; charset=UTF-8", body }
}

fn health(cluster: &Cluster) -> Value {
    let indices = cluster.indices().count();
    json!({
        "cluster_name": NAME, "status": "green", "timed_out": false, "number_of_nodes": 1,
        "number_of_data_nodes": 1, "active_primary_shards": indices, "active_shards": indices,
        "relocating_shards": 0, "initializing_shards": 0, "unassigned_shards": 0,
    })
}

fn shards(count: usize) -> Value {
    json!({"total": count, "successful": count, "skipped": 0, "failed": 0})
}

fn unknown(method: &str, uri: &Uri) -> Failure {
    let reason = format!("no handler found for uri [{uri}] and method [{method}]: {NAME} is a small demo cluster");
    Failure::new(StatusCode::BAD_REQUEST, "illegal_argument_exception", reason)
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value)
        .next_back()
}

const MAX_BYTES: usize = 100 << 20;
const MAX_REQUEST: u64 = 100 << 20;
const NAME: &str = "searchgate-demo";
const TAGLINE: &str = "searchgate-demo: a throw-away search cluster in memory, for trying only";

#[cfg(test)]
mod tests;
