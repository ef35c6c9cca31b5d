use std::{collections::BTreeSet, time::Duration};

use http::{Method, StatusCode};

use super::*;
use crate::{model::Timestamp, telemetry::AccessEvent};

fn finished(core: &CoreMetrics, status: StatusCode, elapsed: Duration, upstream: bool) {
    let event = AccessEvent {
        timestamp: Timestamp::default(),
        method: &Method::GET,
        path: "/",
        status,
        bytes_in: 5,
        bytes_out: 7,
        elapsed,
        principal: None,
        client: None,
        upstream: None,
        attempts: 1,
        reason: None,
        opaque_id: None,
        traceparent: None,
        aborted: status == StatusCode::BAD_GATEWAY,
    };
    core.finished(&event, upstream, upstream.then_some(elapsed));
}

/// Two threads, one request each that differs, and one of everything else.
fn busy() -> Arc<Metrics> {
    let metrics = Metrics::new(&["a:9200".to_owned(), "b:9200".to_owned()]);
    let (one, two) = (metrics.core(), metrics.core());
    finished(&one, StatusCode::OK, Duration::from_millis(1), true);
    finished(&two, StatusCode::OK, Duration::from_millis(3), true);
    finished(&two, StatusCode::BAD_GATEWAY, Duration::from_mins(15), false);
    one.identity_cache(true);
    two.identity_cache(true);
    two.identity_cache(false);
    metrics.connection_opened();
    metrics.connection_opened();
    metrics.connection_closed();
    metrics.connection_refused("proxy_protocol");
    metrics.tls_handshake_failed();
    metrics.host_healthy("b:9200", false);
    metrics.host_ejected("b:9200");
    metrics.upstream_connected("a:9200");
    metrics.upstream_connect_failed("b:9200");
    metrics.upstream_retried("a:9200");
    metrics.upstream_credential_rejected();
    metrics.authentication("native", "success");
    metrics.authentication("native", "success");
    metrics.authentication("native", "bad_credentials");
    metrics.reauthentication("gateway", "refreshed");
    metrics.reauthentication("gateway", "refreshed");
    metrics.reauthentication("token", "transient");
    metrics.refreshed(Duration::from_millis(20));
    metrics.lost_lines("log", Arc::new(AtomicU64::new(4)));
    metrics.gauge("searchgate_identity_cache_entries", "Callers known from memory.", || 12);
    metrics
}

#[test]
fn every_thread_and_event_is_counted() {
    let page = busy().render();
    for line in [
        r#"searchgate_requests_total{source="upstream",status="2xx"} 2"#,
        r#"searchgate_requests_total{source="gateway",status="5xx"} 1"#,
        r#"searchgate_requests_total{source="gateway",status="2xx"} 0"#,
        r#"searchgate_request_duration_seconds_bucket{le="0.0005"} 0"#,
        r#"searchgate_request_duration_seconds_bucket{le="0.001"} 1"#,
        r#"searchgate_request_duration_seconds_bucket{le="0.005"} 2"#,
        r#"searchgate_request_duration_seconds_bucket{le="300"} 2"#,
        r#"searchgate_request_duration_seconds_bucket{le="+Inf"} 3"#,
        "searchgate_request_duration_seconds_sum 900.004000000",
        "searchgate_request_duration_seconds_count 3",
        "searchgate_upstream_response_seconds_count 2",
        "searchgate_request_body_bytes_total 15",
        "searchgate_response_body_bytes_total 21",
        "searchgate_requests_aborted_total 1",
        r#"searchgate_identity_cache_total{result="hit"} 2"#,
        r#"searchgate_identity_cache_total{result="miss"} 1"#,
        r#"searchgate_authentications_total{realm="native",outcome="success"} 2"#,
        r#"searchgate_authentications_total{realm="native",outcome="bad_credentials"} 1"#,
        r#"searchgate_reauth_attempts_total{provider="gateway",outcome="refreshed"} 2"#,
        r#"searchgate_reauth_attempts_total{provider="token",outcome="transient"} 1"#,
        r#"searchgate_reauth_refresh_seconds_bucket{le="0.025"} 1"#,
        "searchgate_connections 1",
        "searchgate_connections_total 2",
        r#"searchgate_connections_refused_total{reason="proxy_protocol"} 1"#,
        "searchgate_tls_handshakes_failed_total 1",
        r#"searchgate_upstream_healthy{host="a:9200"} 1"#,
        r#"searchgate_upstream_healthy{host="b:9200"} 0"#,
        r#"searchgate_upstream_ejections_total{host="b:9200"} 1"#,
        r#"searchgate_upstream_connects_total{host="a:9200"} 1"#,
        r#"searchgate_upstream_connect_failures_total{host="b:9200"} 1"#,
        r#"searchgate_upstream_retries_total{host="a:9200"} 1"#,
        "searchgate_upstream_credential_rejected_total 1",
        r#"searchgate_lost_lines_total{stream="log"} 4"#,
        "searchgate_identity_cache_entries 12",
    ] {
        assert!(page.lines().any(|other| other == line), "{line} is not in\n{page}");
    }
}

#[test]
fn every_sample_belongs_to_the_family_above_it_and_is_a_number() {
    let page = busy().render();
    let (mut family, mut families) = (String::new(), BTreeSet::new());
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(name.starts_with("searchgate_") && text.ends_with('.'), "{line}");
            assert!(families.insert(name.to_owned()), "{name} comes twice");
            name.clone_into(&mut family);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, family);
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let name = sample.split('{').next().unwrap();
            let suffix = name.strip_prefix(family.as_str()).unwrap();
            assert!(["", "_bucket", "_sum", "_count"].contains(&suffix), "{line}");
            value.parse::<f64>().unwrap();
        }
    }
}

#[test]
fn an_unknown_host_makes_no_new_series() {
    let metrics = Metrics::new(&["a:9200".to_owned()]);
    metrics.host_ejected("evil:1");
    assert!(!metrics.render().contains("evil"));
}

#[test]
fn counting_a_request_allocates_nothing() {
    let core = Metrics::new(&[]).core();
    let counted = allocation_counter::measure(|| finished(&core, StatusCode::OK, Duration::from_millis(1), true));
    assert_eq!(counted.count_total, 0);
}
