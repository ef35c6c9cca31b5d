use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use http::{Method, StatusCode};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::{
    model::{ApiKeyRef, AuthenticationType, Identity, KeyId, Principal, RealmRef, Timestamp},
    telemetry::writer::tests::Sink,
};

fn event() -> AccessEvent<'static> {
    AccessEvent {
        timestamp: Timestamp::from_millis(1_795_557_253_007),
        method: &Method::GET,
        path: "/logs/_search",
        status: StatusCode::OK,
        bytes_in: 0,
        bytes_out: 11,
        elapsed: Duration::from_micros(1500),
        principal: None,
        client: None,
        upstream: None,
        attempts: 1,
        reason: None,
        opaque_id: None,
        traceparent: None,
        aborted: false,
    }
}

fn principal(name: &str) -> Principal {
    let identity = Identity {
        username: name.into(),
        full_name: Some(CANARY.into()),
        email: Some(CANARY.into()),
        metadata: [("note".to_owned(), CANARY.into())].into_iter().collect(),
        ..Identity::default()
    };
    let realm = RealmRef { name: "default_native".into(), kind: "native".into() };
    let privileges = crate::privileges::Privileges::default();
    let api_key = Some(ApiKeyRef { id: KeyId("id1".into()), name: None });
    Principal { api_key, ..Principal::new(identity, realm, AuthenticationType::ApiKey, privileges) }
}

fn ecs(event: &AccessEvent<'_>) -> (String, Value) {
    let mut gathered = Gathered::default();
    gathered.write(Format::Ecs, event);
    let text = String::from_utf8(gathered.lines).unwrap();
    assert_eq!(text.matches('\n').count(), 1);
    let value = serde_json::from_str(&text).unwrap();
    (text, value)
}

fn text(event: &AccessEvent<'_>) -> String {
    let mut gathered = Gathered::default();
    gathered.write(Format::Text { color: false }, event);
    String::from_utf8(gathered.lines).unwrap()
}

#[test]
fn a_request_is_one_ecs_line() {
    let alice = principal("alice");
    let (_, line) = ecs(&AccessEvent {
        principal: Some(&alice),
        client: Some([10, 0, 0, 1].into()),
        upstream: Some("node1:9200"),
        reason: Some("key_expired"),
        opaque_id: Some("7"),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ..event()
    });
    let expected = serde_json::json!({
        "@timestamp": "2026-11-24T21:54:13.007Z", "log.level": "info", "message": "request finished",
        "ecs.version": "8.11.0", "service.name": "searchgate", "event.dataset": "searchgate.access",
        "event.duration": 1_500_000, "http.request.method": "GET", "url.path": "/logs/_search",
        "http.response.status_code": 200, "http.request.body.bytes": 0, "http.response.body.bytes": 11,
        "user.name": "alice", "searchgate.realm": "default_native", "searchgate.api_key.id": "id1",
        "client.ip": "10.0.0.1", "searchgate.upstream": "node1:9200", "searchgate.attempts": 1,
        "searchgate.reason": "key_expired", "searchgate.opaque_id": "7",
        "trace.id": "0af7651916cd43dd8448eb211c80319c", "searchgate.aborted": false,
    });
    assert_eq!(line, expected);
}

#[test]
fn only_the_name_of_a_user_is_told() {
    let alice = principal("alice");
    let event = AccessEvent { principal: Some(&alice), ..event() };
    for line in [ecs(&event).0, text(&event)] {
        assert!(line.contains("alice") && !line.contains(CANARY), "{line}");
    }
}

#[test]
fn a_malformed_traceparent_names_no_trace() {
    for traceparent in
        ["", "00", "00-0af7651916cd43dd8448eb211c80319c", "00-ZZf7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]
    {
        assert_eq!(ecs(&AccessEvent { traceparent: Some(traceparent), ..event() }).1.get("trace.id"), None);
    }
}

#[test]
fn text_is_one_line_without_control_characters() {
    let mallory = principal("mal\u{9b}2J\nlory");
    let line = text(&AccessEvent { principal: Some(&mallory), path: "/\u{1b}[2J\r\n", aborted: true, ..event() });
    assert!(line.starts_with("2026-11-24T21:54:13.007Z 200 GET /"), "{line}");
    assert!(line.ends_with(" aborted\n"), "{line}");
    assert!(!line.trim_end_matches('\n').contains(char::is_control), "{line}");
}

#[tokio::test]
async fn lines_arrive_after_a_tick_and_when_the_log_is_dropped() {
    let sink = Sink::default();
    let writer = sink.writer();
    let log = AccessLog::new(Format::Ecs, writer.clone());
    log.record(&event());
    writer.flush().await;
    assert_eq!(sink.text(), "");
    log.tick();
    writer.flush().await;
    assert_eq!(sink.text().lines().count(), 1);
    log.record(&event());
    drop(log);
    writer.flush().await;
    assert_eq!(sink.text().lines().count(), 2);
}

#[tokio::test]
async fn every_line_is_written_or_counted_as_lost() {
    let sink = Sink::default();
    let writer = sink.writer();
    let log = AccessLog::new(Format::Ecs, writer.clone());
    let requests = 20_000;
    for _ in 0..requests {
        log.record(&event());
    }
    // What could not be handed over waits in the log until a buffer is back.
    writer.flush().await;
    log.tick();
    writer.flush().await;
    let written = sink.text().lines().count() as u64;
    assert_eq!(written + writer.lost().load(Relaxed), requests);
    assert!(written > 100);
}

#[test]
fn a_line_allocates_nothing_once_the_buffer_has_grown() {
    let alice = principal("alice");
    let event = AccessEvent { principal: Some(&alice), client: Some([10, 0, 0, 1].into()), ..event() };
    let mut gathered = Gathered::default();
    gathered.lines.reserve(64 << 10);
    gathered.write(Format::Ecs, &event);
    let later = AccessEvent { timestamp: event.timestamp.plus(Duration::from_secs(1)), ..event };
    let counted = allocation_counter::measure(|| gathered.write(Format::Ecs, &later));
    assert_eq!(counted.count_total, 0);
}

proptest! {
    #[test]
    fn whatever_is_in_a_request_comes_back_out_of_its_line(
        path: String, user: String, opaque_id: String, upstream: String, traceparent: String, bytes: u64,
    ) {
        let principal = principal(&user);
        let (_, line) = ecs(&AccessEvent {
            path: &path,
            principal: Some(&principal),
            opaque_id: Some(&opaque_id),
            upstream: Some(&upstream),
            traceparent: Some(&traceparent),
            bytes_in: bytes,
            ..event()
        });
        prop_assert_eq!(&line["url.path"], &path);
        prop_assert_eq!(&line["user.name"], &user);
        prop_assert_eq!(&line["searchgate.opaque_id"], &opaque_id);
        prop_assert_eq!(&line["searchgate.upstream"], &upstream);
        prop_assert_eq!(&line["http.request.body.bytes"], bytes);
    }
}

const CANARY: &str = "canary-5d1e";
