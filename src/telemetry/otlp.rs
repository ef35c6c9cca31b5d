//! A span a request, exported over OTLP (HTTP, protobuf). Only with feature `otel`.
//!
//! All settings are OpenTelemetry's own `OTEL_*` variables; without an endpoint among them nothing is exported. Spans
//! wait in a bounded queue and are sent from the control plane: a slow collector costs spans, never requests.

use std::time::{Duration, SystemTime};

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{Span, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, TraceState, TracerProvider},
};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    runtime::Tokio,
    trace::{SdkTracer, SdkTracerProvider, span_processor_with_async_runtime::BatchSpanProcessor},
};

use crate::telemetry::AccessEvent;

/// Makes spans of requests. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// What the environment asks for. Spans are sent from the runtime that this is called on.
    ///
    /// # Errors
    ///
    /// When the endpoint or another setting is malformed.
    pub fn from_environment() -> Result<Option<Self>, ExporterBuildError> {
        if ENDPOINTS.iter().all(|name| std::env::var_os(name).is_none()) {
            return Ok(None);
        }
        let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build()?;
        let processor = BatchSpanProcessor::builder(exporter, Tokio).build();
        Ok(Some(Self::new(SdkTracerProvider::builder().with_span_processor(processor))))
    }

    fn new(builder: opentelemetry_sdk::trace::TracerProviderBuilder) -> Self {
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("searchgate");
        }
        let provider = builder.with_resource(resource.build()).build();
        let tracer = provider.tracer("searchgate");
        Self { provider, tracer }
    }

    /// Records one finished request: a child of the span that `traceparent` names.
    pub fn record(&self, event: &AccessEvent<'_>) {
        let end = SystemTime::UNIX_EPOCH + Duration::from_millis(event.timestamp.as_millis());
        let start = end.checked_sub(event.elapsed).unwrap_or(end);
        let parent = parent(event).map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        let mut attributes = vec![
            KeyValue::new("http.request.method", event.method.as_str().to_owned()),
            KeyValue::new("url.path", event.path.to_owned()),
            KeyValue::new("http.response.status_code", i64::from(event.status.as_u16())),
            KeyValue::new("http.request.resend_count", i64::from(event.attempts.saturating_sub(1))),
        ];
        attributes.extend(event.client.map(|client| KeyValue::new("client.address", client.to_string())));
        attributes.extend(event.upstream.map(|upstream| KeyValue::new("server.address", upstream.to_owned())));
        attributes.extend(event.principal.map(|user| KeyValue::new("user.name", user.identity.username.to_string())));
        attributes.extend(event.reason.map(|reason| KeyValue::new("error.type", reason)));
        // The method alone: a path would make too many names.
        let mut span = SpanBuilder::from_name(event.method.as_str().to_owned())
            .with_kind(SpanKind::Server)
            .with_start_time(start)
            .with_attributes(attributes)
            .start_with_context(&self.tracer, &parent);
        if event.status.is_server_error() {
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(end);
    }

    /// Waits until what was recorded is sent, at most some seconds.
    pub async fn flush(&self) {
        let provider = self.provider.clone();
        let flushed = tokio::task::spawn_blocking(move || provider.force_flush());
        if let Ok(Ok(Err(error))) = tokio::time::timeout(PATIENCE, flushed).await {
            tracing::warn!(%error, "spans were not exported");
        }
    }
}

fn parent(event: &AccessEvent<'_>) -> Option<SpanContext> {
    let trace = TraceId::from_hex(event.trace_id()?).ok()?;
    let mut rest = event.traceparent?.split('-').skip(2);
    let span = SpanId::from_hex(rest.next()?).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(rest.next()?, 16).ok()?);
    Some(SpanContext::new(trace, span, flags, true, TraceState::default()))
}

const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{Method, StatusCode};
    use opentelemetry_sdk::{error::OTelSdkResult, trace::SpanData};
    use parking_lot::Mutex;

    use super::*;
    use crate::model::Timestamp;

    #[derive(Clone, Debug, Default)]
    struct Collector(Arc<Mutex<Vec<SpanData>>>);

    impl opentelemetry_sdk::trace::SpanExporter for Collector {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().extend(batch);
            Ok(())
        }
    }

    fn exported(traceparent: Option<&str>) -> Vec<SpanData> {
        let collector = Collector::default();
        let traces = Traces::new(SdkTracerProvider::builder().with_simple_exporter(collector.clone()));
        traces.record(&AccessEvent {
            timestamp: Timestamp::from_millis(10_000),
            method: &Method::GET,
            path: "/logs/_search",
            status: StatusCode::BAD_GATEWAY,
            bytes_in: 0,
            bytes_out: 0,
            elapsed: Duration::from_secs(2),
            principal: None,
            client: None,
            upstream: Some("a:9200"),
            attempts: 1,
            reason: None,
            opaque_id: None,
            traceparent,
            aborted: false,
        });
        collector.0.lock().clone()
    }

    #[test]
    fn a_request_is_a_span_of_the_trace_of_its_client() {
        let spans = exported(Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        let [span] = spans.try_into().unwrap();
        assert_eq!(span.span_context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(span.parent_span_id.to_string(), "b7ad6b7169203331");
        assert_eq!(span.start_time, SystemTime::UNIX_EPOCH + Duration::from_secs(8));
        assert_eq!(span.end_time, SystemTime::UNIX_EPOCH + Duration::from_secs(10));
        assert_eq!(span.status, Status::error(""));
        assert!(span.attributes.contains(&KeyValue::new("http.response.status_code", 502)));
        assert!(span.attributes.contains(&KeyValue::new("url.path", "/logs/_search")));
    }

    #[test]
    fn a_client_that_does_not_sample_is_followed() {
        assert!(exported(Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")).is_empty());
    }

    #[test]
    fn a_malformed_parent_begins_a_trace() {
        let [span] = exported(Some("00-zz-b7ad6b7169203331-01")).try_into().unwrap();
        assert_eq!(span.parent_span_id, SpanId::INVALID);
    }
}
