//! Asks each host now and then whether it is there and what it is. Runs on the control plane.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http::{HeaderValue, Request, StatusCode, header};
use tokio_util::sync::CancellationToken;

use crate::{
    fetch::FetchError,
    upstream::{Host, Product, Upstream},
};

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
    let told = tokio::time::timeout(patience, ask(upstream, host, header)).await.unwrap_or(Err(FetchError::TimedOut));
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

async fn ask(upstream: &Upstream, host: &Host, credential: Option<HeaderValue>) -> Result<Told, FetchError> {
    let mut request = Request::default();
    request.headers_mut().extend(credential.map(|credential| (header::AUTHORIZATION, credential)));
    let answer = upstream.exchange(host, request).await?;
    let challenged =
        answer.headers().get(header::WWW_AUTHENTICATE).is_some_and(|value| contains(value.as_bytes(), b"OpenSearch"));
    let product = if answer.headers().contains_key("x-elastic-product") {
        Product::Elasticsearch
    } else if challenged {
        Product::Opensearch
    } else {
        product(answer.body())
    };
    Ok(Told { status: answer.status(), product })
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
