//! The same over HTTP/2, where no line ends but header fields can lie: frames written by hand.

use super::{Bench, piece, strict::Message};
use crate::support::on_one_thread;

/// What a message has: fields in this order, then data.
struct Sent<'a> {
    fields: Vec<(&'a str, &'a str)>,
    data: Option<&'a str>,
}

/// A plain one, with a body of five bytes.
fn plain<'a>(key: &'a str, more: &[(&'a str, &'a str)]) -> Sent<'a> {
    let mut fields =
        vec![(":method", "POST"), (":scheme", "http"), (":authority", "h"), (":path", "/a"), ("authorization", key)];
    fields.extend(more);
    Sent { fields, data: Some("hello") }
}

/// The plain one, with other fields in the place of its own.
fn with<'a>(key: &'a str, replaced: &str, fields: &[(&'a str, &'a str)]) -> Sent<'a> {
    let mut sent = plain(key, &[]);
    let at = sent.fields.iter().position(|(name, _)| *name == replaced).unwrap();
    sent.fields.splice(at..=at, fields.iter().copied());
    sent
}

#[tokio::test(start_paused = true)]
async fn what_is_well_formed_over_http_2_passes() {
    on_one_thread(async {
        let bench = Bench::new().await;
        let key = bench.key.clone();
        let empty = |more| Sent { data: None, ..plain(&key, more) };
        for (name, sent, expected) in [
            ("a body", plain(&key, &[]), "POST /a hello"),
            ("a body and its length", plain(&key, &[("content-length", "5")]), "POST /a hello"),
            ("no body", empty(&[]), "POST /a "),
            ("no body and its length", empty(&[("content-length", "0")]), "POST /a "),
            ("te: trailers", plain(&key, &[("te", "trailers")]), "POST /a hello"),
            ("host as in the authority", plain(&key, &[("host", "h")]), "POST /a hello"),
            ("host in place of the authority", with(&key, ":authority", &[]).and(("host", "h")), "POST /a hello"),
            ("a fragment", with(&key, ":path", &[(":path", "/a#/b")]), "POST /a hello"),
        ] {
            let (arrived, status) = judge(&bench, name, &sent).await;
            assert_eq!(arrived, [expected], "{name}");
            assert_eq!(status, Some(OK), "{name}");
        }
        bench.conclude();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_well_formed_over_http_2_is_refused() {
    on_one_thread(async {
        let bench = Bench::new().await;
        let key = bench.key.clone();
        let more = |fields: &[(&'static str, &'static str)]| plain(&key, fields);
        let empty = |fields: &[(&'static str, &'static str)]| Sent { data: None, ..plain(&key, fields) };
        let path = |path: &'static str| with(&key, ":path", &[(":path", path)]);
        let mut late = with(&key, ":path", &[]);
        late.fields.push((":path", "/a"));
        for (name, sent) in [
            ("a name in capitals", more(&[("X-A", "b")])),
            ("a name with a space", more(&[("x a", "b")])),
            ("a name with a line end", more(&[("x-a\r\nx-b", "b")])),
            ("a name with a colon", more(&[("x:a", "b")])),
            ("no name", more(&[("", "b")])),
            ("CR in a value", more(&[("x-a", "b\rc")])),
            ("LF in a value", more(&[("x-a", "b\nx-c: d")])),
            ("a line end in a value", more(&[("x-a", "b\r\nx-c: d")])),
            ("NUL in a value", more(&[("x-a", "b\0c")])),
            ("connection", more(&[("connection", "close")])),
            ("keep-alive", more(&[("keep-alive", "timeout=5")])),
            ("proxy-connection", more(&[("proxy-connection", "close")])),
            ("upgrade", more(&[("upgrade", "h2c")])),
            ("transfer-encoding", more(&[("transfer-encoding", "chunked")])),
            ("te: gzip", more(&[("te", "gzip")])),
            ("a length too short", more(&[("content-length", "4")])),
            ("a length too long", more(&[("content-length", "6")])),
            ("a length with a plus", more(&[("content-length", "+5")])),
            ("a list of lengths", more(&[("content-length", "5, 5")])),
            ("two lengths that agree", more(&[("content-length", "5"), ("content-length", "5")])),
            ("two lengths, the first right", more(&[("content-length", "5"), ("content-length", "6")])),
            ("two lengths, the last right", more(&[("content-length", "6"), ("content-length", "5")])),
            ("a length without a body", empty(&[("content-length", "5")])),
            ("nought and a length without a body", empty(&[("content-length", "0"), ("content-length", "5")])),
            ("host unlike the authority", more(&[("host", "i")])),
            ("two hosts", more(&[("host", "h"), ("host", "h")])),
            ("no host at all", with(&key, ":authority", &[])),
            ("two authorities", with(&key, ":authority", &[(":authority", "h"), (":authority", "h")])),
            ("two methods", with(&key, ":method", &[(":method", "GET"), (":method", "POST")])),
            ("two paths", with(&key, ":path", &[(":path", "/a"), (":path", "/b")])),
            ("two schemes", with(&key, ":scheme", &[(":scheme", "http"), (":scheme", "http")])),
            ("no method", with(&key, ":method", &[])),
            ("no path", with(&key, ":path", &[])),
            ("no scheme", with(&key, ":scheme", &[])),
            ("a field before the path", late),
            ("a pseudo-field of answers", more(&[(":status", "200")])),
            ("an unknown pseudo-field", more(&[(":x", "y")])),
            ("a path of nothing", path("")),
            ("a path without a slash", path("a")),
            ("a path in absolute form", path("http://h/a")),
            ("a path with a space", path("/a HTTP/1.1")),
            ("a path with a line end", path("/a HTTP/1.1\r\nx-b: c")),
            ("a path with NUL", path("/a\0")),
            ("a path beyond ASCII", path("/\u{e9}")),
            ("an asterisk", path("*")),
            ("a method with a space", with(&key, ":method", &[(":method", "GET /b HTTP/1.1")])),
            ("a method with a line end", with(&key, ":method", &[(":method", "GET\r\n")])),
            ("an authority with a space", with(&key, ":authority", &[(":authority", "h x")])),
            ("an authority with a line end", with(&key, ":authority", &[(":authority", "h\r\nx-a: b")])),
        ] {
            let (arrived, status) = judge(&bench, name, &sent).await;
            if !arrived.is_empty() || status == Some(OK) {
                bench.complaints.borrow_mut().push(format!("{name}: {arrived:?}, {status:?}"));
            }
        }
        bench.conclude();
    })
    .await;
}

impl<'a> Sent<'a> {
    fn and(mut self, field: (&'a str, &'a str)) -> Self {
        self.fields.push(field);
        self
    }

    /// The message on a stream.
    fn frames(&self, stream: u32) -> Vec<u8> {
        let mut block = Vec::new();
        for (name, value) in &self.fields {
            block.push(LITERAL);
            text(&mut block, name);
            text(&mut block, value);
        }
        let end = if self.data.is_none() { END_STREAM } else { 0 };
        let mut frames = frame(HEADERS, END_HEADERS | end, stream, &block);
        if let Some(data) = self.data {
            frames.extend(frame(DATA, END_STREAM, stream, data.as_bytes()));
        }
        frames
    }
}

/// Sends a message both ways and a plain one behind it; tells what reached the cluster, and how the answer began.
async fn judge(bench: &Bench, name: &str, sent: &Sent<'_>) -> (Vec<String>, Option<u8>) {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes.extend(sent.frames(1));
    bytes.extend(Sent { data: None, ..with(&bench.key, ":path", &[(":path", "/next")]) }.frames(3));
    let mut verdict = None;
    for step in [bytes.len(), piece(&bytes)] {
        let outcome = bench.send(&bytes, step, bench.gateway.connect()).await;
        let mut arrived: Vec<String> = outcome.arrived.iter().map(Message::to_string).collect();
        let all = arrived.len();
        arrived.retain(|message| message != "POST /next ");
        assert!(all - arrived.len() <= 1, "{name}: {outcome:?}");
        let seen = (arrived, status(&outcome.answer, 1));
        assert_eq!(*verdict.get_or_insert_with(|| seen.clone()), seen, "{name}: byte by byte it is another");
    }
    verdict.unwrap()
}

/// The first byte of the header block that answers a stream.
fn status(mut answer: &[u8], stream: u32) -> Option<u8> {
    while let [a, b, c, kind, _flags, s @ ..] = answer {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let (id, payload) = s.split_at_checked(4)?;
        if *kind == HEADERS && id == stream.to_be_bytes() {
            return payload.first().copied();
        }
        answer = payload.get(length..)?;
    }
    None
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A string of HPACK, not compressed.
fn text(block: &mut Vec<u8>, text: &str) {
    let mut rest = text.len();
    if rest < 127 {
        block.push(u8::try_from(rest).unwrap());
    } else {
        block.push(127);
        rest -= 127;
        while rest >= 128 {
            block.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        block.push(u8::try_from(rest).unwrap());
    }
    block.extend_from_slice(text.as_bytes());
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// A field whose name is no index, and which is not to be remembered.
const LITERAL: u8 = 0;
/// `:status: 200`, by its place in the static table.
const OK: u8 = 0x88;
