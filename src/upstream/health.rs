//! Asks each host now and then whether it is there and what it is. Runs on the control plane.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use crate::upstream::{Host, Product, Upstream};

/// Gives the `Authorization` that the gateway itself may show the cluster now.
pub type ProbeCredential = Arc<dyn Fn() -> Option<HeaderValue> + Send + Sync>;

/// What a host said of itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Told {
    status: StatusCode,
    product: Product,
}

/// Asks every host once, all at the same time. Done before the first request is served, so that it finds the cluster
/// known.
pub async fn probe_all(upstream: &Arc<Upstream>, credential: &ProbeCredential) {
    let mut probes = tokio::task::JoinSet::new();
    for index in 0..upstream.hosts().len() {
        let (upstream, credential) = (Arc::clone(upstream), Arc::clone(credential));
        probes.spawn(async move {
            if let Some(host) = upstream.hosts().get(index) {
                probe(&upstream, host, &credential).await;
            }
        });
    }
    while probes.join_next().await.is_some() {}
}

/// Asks every host at each interval, and when one came back, until `stop`.
pub async fn watch(upstream: Arc<Upstream>, credential: ProbeCredential, stop: CancellationToken) {
    let mut interval = tokio::time::interval(upstream.health_interval);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    interval.tick().await; // the first is at once, and has been done
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = interval.tick() => {}
            () = upstream.returned.notified() => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = probe_all(&upstream, &credential) => {}
        }
        // A host that answers some requests and fails its probes seems to come back with each.
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE.min(upstream.health_interval)) => {}
        }
    }
}

async fn probe(upstream: &Upstream, host: &Host, credential: &ProbeCredential) {
    let header = credential();
    let bare = header.is_none();
    let patience = upstream.connect_timeout.max(Duration::from_millis(100));
    let told = tokio::time::timeout(patience, ask(upstream, host, header))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    match told {
        Ok(told) if told.status == StatusCode::SERVICE_UNAVAILABLE => upstream.failed(host),
        Ok(told) => {
            upstream.succeeded(host);
            if told.product != Product::Unknown {
                upstream.product.store(told.product as u8, Ordering::Relaxed);
            }
            if bare {
                host.refuses_strangers.store(told.status == StatusCode::UNAUTHORIZED, Ordering::Relaxed);
            }
        }
        Err(error) => {
            tracing::debug!(upstream = &*host.name, %error, "probe failed");
            upstream.failed(host);
        }
    }
}

async fn ask(upstream: &Upstream, host: &Host, credential: Option<HeaderValue>) -> io::Result<Told> {
    let tcp = TcpStream::connect((host.url.host.as_str(), host.url.port)).await?;
    match (upstream.tls.load_full(), &host.server_name) {
        (Some(config), Some(name)) => {
            exchange(TlsConnector::from(config).connect(name.clone(), tcp).await?, host, credential).await
        }
        _ => exchange(tcp, host, credential).await,
    }
}

async fn exchange<T>(stream: T, host: &Host, credential: Option<HeaderValue>) -> io::Result<Told>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let driver = tokio::spawn(connection);
    let mut request = Request::get("/").header(header::HOST, host.authority.clone());
    if let Some(credential) = credential {
        request = request.header(header::AUTHORIZATION, credential);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
    let answer = sender.send_request(request).await.map_err(io::Error::other)?;
    let (head, body) = answer.into_parts();
    let challenged =
        head.headers.get(header::WWW_AUTHENTICATE).is_some_and(|value| contains(value.as_bytes(), b"OpenSearch"));
    let product = if head.headers.contains_key("x-elastic-product") {
        Product::Elasticsearch
    } else if challenged {
        Product::Opensearch
    } else {
        match Limited::new(body, MAX_ANSWER).collect().await {
            Ok(body) => product(&body.to_bytes()),
            Err(_) => Product::Unknown,
        }
    };
    driver.abort();
    Ok(Told { status: head.status, product })
}

fn product(body: &[u8]) -> Product {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) else { return Product::Unknown };
    match value.get("version") {
        Some(version) if version.get("distribution").is_some_and(|name| name == "opensearch") => Product::Opensearch,
        Some(_) => Product::Elasticsearch,
        None => Product::Unknown,
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Probes are at least so far apart, whatever calls for them.
const PAUSE: Duration = Duration::from_secs(1);
const MAX_ANSWER: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distribution_tells_opensearch() {
        assert_eq!(product(br#"{"version":{"distribution":"opensearch","number":"2.19.4"}}"#), Product::Opensearch);
        assert_eq!(product(br#"{"version":{"number":"7.10.2"}}"#), Product::Elasticsearch);
        assert_eq!(product(b"<html>"), Product::Unknown);
        assert_eq!(product(br#"{"status":"ok"}"#), Product::Unknown);
    }
}
