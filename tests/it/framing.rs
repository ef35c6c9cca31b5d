//! Request smuggling: malformed and conflicting framing, and what of it the cluster received.
//!
//! Each message goes out in one piece and byte by byte, with a valid key, and a well-formed request right behind it.
//! Nothing reaches the cluster but whole, unambiguous messages; where framing is in doubt nothing is read any further.

use std::{cell::RefCell, collections::HashSet, time::Duration};

use searchgate::listener::peer::Peer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use crate::support::{
    gateway::Gateway,
    on_one_thread,
    upstream::{Reply, Upstream},
};

mod http2;
mod mutations;
mod strict;

/// What becomes of a message.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// Refused, and the connection closed: nothing reaches the cluster, nor does what came behind.
    Refused,
    /// Refused, but its end is beyond doubt: what came behind is served.
    Declined,
    /// Reaches the cluster as this.
    Passes(&'static str),
    /// Malformed, but the HTTP library mends it unseen: it reaches the cluster as this, and unambiguous.
    Tidied(&'static str),
    /// The same, and the connection closes.
    TidiedLast(&'static str),
    /// Its end has not come yet, and all that follows is of its body.
    Waits,
}
use Fate::{Declined, Passes, Refused, Tidied, TidiedLast, Waits};

/// What becomes of a body, by the header lines that frame it.
#[rustfmt::skip]
const FRAMES: &[(&str, &str, &str, Fate)] = &[
    ("one length", "Content-Length: 5", "hello", Passes("POST /logs/_doc hello")),
    ("chunked", "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n", Passes("POST /logs/_doc hello")),
    ("both, length first", "Content-Length: 5\r\nTransfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n", TidiedLast("POST /logs/_doc hello")),
    ("both, length last", "Transfer-Encoding: chunked\r\nContent-Length: 5", "5\r\nhello\r\n0\r\n\r\n", TidiedLast("POST /logs/_doc hello")),
    ("both, the length hides a request", "Content-Length: 4\r\nTransfer-Encoding: chunked", "0\r\n\r\n", TidiedLast("POST /logs/_doc ")),
    ("both, the length malformed", "Transfer-Encoding: chunked\r\nContent-Length: x", "0\r\n\r\n", TidiedLast("POST /logs/_doc ")),
    ("two lengths that agree", "Content-Length: 5\r\nContent-Length: 5", "hello", Tidied("POST /logs/_doc hello")),
    ("two lengths that differ", "Content-Length: 5\r\nContent-Length: 6", "hello!", Refused),
    ("nought and a length", "Content-Length: 0\r\nContent-Length: 5", "hello", Refused),
    ("a list of lengths", "Content-Length: 5, 5", "hello", Refused),
    ("a list of lengths that differ", "Content-Length: 5, 6", "hello", Refused),
    ("length with a plus", "Content-Length: +5", "hello", Refused),
    ("length with a minus", "Content-Length: -5", "hello", Refused),
    ("length in hex", "Content-Length: 0x5", "hello", Refused),
    ("length with a fraction", "Content-Length: 5.0", "hello", Refused),
    ("length in exponents", "Content-Length: 5e0", "hello", Refused),
    ("length with an inner space", "Content-Length: 5 5", "hello", Refused),
    ("length of nothing", "Content-Length:", "hello", Refused),
    ("length that overflows", "Content-Length: 18446744073709551621", "hello", Refused),
    ("length over the limit", "Content-Length: 9223372036854775807", "hello", Refused),
    ("length with zeros before it", "Content-Length: 005", "hello", Passes("POST /logs/_doc hello")),
    ("length in blanks", "Content-Length: \t 5 \t", "hello", Passes("POST /logs/_doc hello")),
    ("length and a space before the colon", "Content-Length : 5", "hello", Refused),
    ("length folded", "Content-Length:\r\n 5", "hello", Refused),
    ("length behind a fold", "X-A: b\r\n Content-Length: 5", "hello", Refused),
    ("length behind a bare CR", "X-A: b\rContent-Length: 5", "hello", Refused),
    ("length behind a vertical tab", "\x0bContent-Length: 5", "hello", Refused),
    ("length named by Connection", "Connection: content-length\r\nContent-Length: 5", "hello", Passes("POST /logs/_doc hello")),
    ("coding named by Connection", "Connection: transfer-encoding\r\nTransfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n", Passes("POST /logs/_doc hello")),
    ("chunked in capitals", "TRANSFER-ENCODING: CHUNKED", "5\r\nhello\r\n0\r\n\r\n", Passes("POST /logs/_doc hello")),
    ("chunked and a blank", "Transfer-Encoding: chunked \t", "5\r\nhello\r\n0\r\n\r\n", Passes("POST /logs/_doc hello")),
    ("chunked and a vertical tab", "Transfer-Encoding: chunked\x0b", "5\r\nhello\r\n0\r\n\r\n", Refused),
    ("chunked behind a vertical tab", "Transfer-Encoding: \x0bchunked", "5\r\nhello\r\n0\r\n\r\n", Refused),
    ("chunked in quotes", "Transfer-Encoding: \"chunked\"", "5\r\nhello\r\n0\r\n\r\n", Refused),
    ("chunked with a parameter", "Transfer-Encoding: chunked;q=1", "5\r\nhello\r\n0\r\n\r\n", Refused),
    ("chunked twice in a list", "Transfer-Encoding: chunked, chunked", "5\r\nhello\r\n0\r\n\r\n", Refused),
    ("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n", Refused),
    ("chunked and an empty element", "Transfer-Encoding: ,chunked", "5\r\nhello\r\n0\r\n\r\n", Refused),
    ("chunked and a comma", "Transfer-Encoding: chunked,", "5\r\nhello\r\n0\r\n\r\n", Refused),
    ("chunked over identity", "Transfer-Encoding: identity, chunked", "5\r\nhello\r\n0\r\n\r\n", Refused),
    ("chunked over gzip", "Transfer-Encoding: gzip, chunked", "5\r\nhello\r\n0\r\n\r\n", Refused),
    ("identity, then chunked", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n", Refused),
    ("chunked, then identity", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "5\r\nhello\r\n0\r\n\r\n", Refused),
    ("identity", "Transfer-Encoding: identity", "hello", Refused),
    ("identity and a length", "Transfer-Encoding: identity\r\nContent-Length: 5", "hello", Refused),
    ("xchunked", "Transfer-Encoding: xchunked", "5\r\nhello\r\n0\r\n\r\n", Refused),
    ("xchunked and a length", "Content-Length: 5\r\nTransfer-Encoding: xchunked", "hello", Refused),
    ("no coding", "Transfer-Encoding:", "hello", Refused),
    ("coding and a space before the colon", "Transfer-Encoding : chunked\r\nContent-Length: 5", "hello", Refused),
    ("coding folded", "Transfer-Encoding:\r\n chunked", "0\r\n\r\n", Refused),
    ("coding behind a bare CR", "X-A: b\rTransfer-Encoding: chunked", "0\r\n\r\n", Refused),
    ("coding with an underscore", "Transfer_Encoding: chunked\r\nContent-Length: 5", "hello", Passes("POST /logs/_doc hello")),
    ("no framing at all", "X-A: b", "", Passes("POST /logs/_doc ")),
];

/// What becomes of chunks.
#[rustfmt::skip]
const CHUNKS: &[(&str, &str, Fate)] = &[
    ("two chunks", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", Passes("POST /logs/_doc hello")),
    ("zeros before the size", "0005\r\nhello\r\n000\r\n\r\n", Tidied("POST /logs/_doc hello")),
    ("size in capitals", "A\r\n0123456789\r\n0\r\n\r\n", Passes("POST /logs/_doc 0123456789")),
    ("an extension", "5;a=b\r\nhello\r\n0;c\r\n\r\n", Tidied("POST /logs/_doc hello")),
    ("an extension with a bare LF", "5;a\nb\r\nhello\r\n0\r\n\r\n", Refused),
    ("an extension with a bare CR", "5;a\rb\r\nhello\r\n0\r\n\r\n", Refused),
    ("blanks behind the size", "5 \t\r\nhello\r\n0\r\n\r\n", Tidied("POST /logs/_doc hello")),
    ("blanks and digits behind the size", "5 5\r\nhello\r\n0\r\n\r\n", Refused),
    ("a blank before the size", " 5\r\nhello\r\n0\r\n\r\n", Refused),
    ("no size", "\r\nhello\r\n0\r\n\r\n", Refused),
    ("an extension without a size", ";a=b\r\nhello\r\n0\r\n\r\n", Refused),
    ("a plus", "+5\r\nhello\r\n0\r\n\r\n", Refused),
    ("a minus", "-5\r\nhello\r\n0\r\n\r\n", Refused),
    ("0x", "0x5\r\nhello\r\n0\r\n\r\n", Refused),
    ("an underscore", "0_5\r\nhello\r\n0\r\n\r\n", Refused),
    ("not hexadecimal", "g\r\nhello\r\n0\r\n\r\n", Refused),
    ("a size that overflows", "10000000000000005\r\nhello\r\n0\r\n\r\n", Refused),
    ("the largest size that does not", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n", Waits),
    ("an endless size", "00000000000000000000000000000000000000005\r\nhello\r\n0\r\n\r\n", Tidied("POST /logs/_doc hello")),
    ("LF behind the size", "5\nhello\r\n0\r\n\r\n", Refused),
    ("bare CR behind the size", "5\rhello\r\n0\r\n\r\n", Refused),
    ("NUL behind the size", "5\0\r\nhello\r\n0\r\n\r\n", Refused),
    ("nothing behind the data", "5\r\nhello0\r\n\r\n", Refused),
    ("LF behind the data", "5\r\nhello\n0\r\n\r\n", Refused),
    ("bare CR behind the data", "5\r\nhello\r0\r\n\r\n", Refused),
    ("more data than said", "5\r\nhello!\r\n0\r\n\r\n", Refused),
    ("LF at the end", "5\r\nhello\r\n0\n\n", Refused),
    ("bare CR at the end", "5\r\nhello\r\n0\r\n\rX", Refused),
    ("a trailer that nobody announced", "5\r\nhello\r\n0\r\nX-Proxy-User: admin\r\n\r\n", Tidied("POST /logs/_doc hello")),
    ("a trailer that frames", "5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n", Tidied("POST /logs/_doc hello")),
    ("a folded trailer", "5\r\nhello\r\n0\r\nX-A: b\r\n c\r\n\r\n", Refused),
    ("a trailer with a space before the colon", "5\r\nhello\r\n0\r\nX-A : b\r\n\r\n", Refused),
    ("a trailer without a colon", "5\r\nhello\r\n0\r\nX-A\r\n\r\n", Refused),
    ("a trailer with NUL", "5\r\nhello\r\n0\r\nX-A: \0\r\n\r\n", Refused),
];

/// What becomes of request lines and header lines; `@` is the line that shows the key.
#[rustfmt::skip]
const HEADS: &[(&str, &str, Fate)] = &[
    ("a plain one", "GET /logs/_search HTTP/1.1\r\nHost: h\r\n@\r\n\r\n", Passes("GET /logs/_search ")),
    ("empty lines before it", "\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n@\r\n\r\n", Tidied("GET /a ")),
    ("LF lines", "GET /a HTTP/1.1\nHost: h\n@\n\n", Tidied("GET /a ")),
    ("one LF line", "GET /a HTTP/1.1\r\nHost: h\n@\r\n\r\n", Tidied("GET /a ")),
    ("LF for the last", "GET /a HTTP/1.1\r\nHost: h\r\n@\r\n\n", Tidied("GET /a ")),
    ("bare CR lines", "GET /a HTTP/1.1\rHost: h\r@\r\r", Refused),
    ("bare CR for the last", "GET /a HTTP/1.1\r\nHost: h\r\n@\r\n\r", Refused),
    ("a blank before it", " GET /a HTTP/1.1\r\nHost: h\r\n@\r\n\r\n", Refused),
    ("a folded header", "GET /a HTTP/1.1\r\nHost: h\r\n@\r\nX-A: b\r\n c\r\n\r\n", Refused),
    ("a first header folded", "GET /a HTTP/1.1\r\n Host: h\r\n@\r\n\r\n", Refused),
    ("NUL in a value", "GET /a HTTP/1.1\r\nHost: h\r\n@\r\nX-A: a\0b\r\n\r\n", Refused),
    ("DEL in a value", "GET /a HTTP/1.1\r\nHost: h\r\n@\r\nX-A: a\x7fb\r\n\r\n", Refused),
    ("a control in a value", "GET /a HTTP/1.1\r\nHost: h\r\n@\r\nX-A: a\x01b\r\n\r\n", Refused),
    ("bare CR in a value", "GET /a HTTP/1.1\r\nHost: h\r\n@\r\nX-A: a\rb\r\n\r\n", Refused),
    ("NUL in a name", "GET /a HTTP/1.1\r\nHost: h\r\n@\r\nX\0A: b\r\n\r\n", Refused),
    ("a control in a name", "GET /a HTTP/1.1\r\nHost: h\r\n@\r\nX\x01A: b\r\n\r\n", Refused),
    ("a space in a name", "GET /a HTTP/1.1\r\nHost: h\r\n@\r\nX A: b\r\n\r\n", Refused),
    ("a letter beyond ASCII in a name", "GET /a HTTP/1.1\r\nHost: h\r\n@\r\nX\u{e9}: b\r\n\r\n", Refused),
    ("no name", "GET /a HTTP/1.1\r\nHost: h\r\n@\r\n: b\r\n\r\n", Refused),
    ("no colon", "GET /a HTTP/1.1\r\nHost: h\r\n@\r\nX-A\r\n\r\n", Refused),
    ("a space before a colon", "GET /a HTTP/1.1\r\nHost: h\r\n@\r\nX-A : b\r\n\r\n", Refused),
    ("a tab before a colon", "GET /a HTTP/1.1\r\nHost: h\r\n@\r\nX-A\t: b\r\n\r\n", Refused),
    ("no Host", "GET /a HTTP/1.1\r\n@\r\n\r\n", Refused),
    ("two Hosts", "GET /a HTTP/1.1\r\nHost: h\r\nHost: i\r\n@\r\n\r\n", Refused),
    ("two Hosts that agree", "GET /a HTTP/1.1\r\nHost: h\r\nhost: h\r\n@\r\n\r\n", Refused),
    ("no Host over HTTP/1.0", "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n@\r\n\r\n", Passes("GET /a ")),
    ("HTTP/1.0 with a coding", "POST /a HTTP/1.0\r\nHost: h\r\n@\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refused),
    ("absolute form", "GET http://h/a HTTP/1.1\r\nHost: h\r\n@\r\n\r\n", Declined),
    ("absolute form of another host", "GET http://i/a HTTP/1.1\r\nHost: h\r\n@\r\n\r\n", Refused),
    ("authority form", "GET h:80 HTTP/1.1\r\nHost: h:80\r\n@\r\n\r\n", Declined),
    ("asterisk form", "GET * HTTP/1.1\r\nHost: h\r\n@\r\n\r\n", Declined),
    ("a target without a slash", "GET a/b HTTP/1.1\r\nHost: h\r\n@\r\n\r\n", Refused),
    ("a query alone", "GET ?a HTTP/1.1\r\nHost: h\r\n@\r\n\r\n", Refused),
    ("a letter beyond ASCII in the target", "GET /\u{e9} HTTP/1.1\r\nHost: h\r\n@\r\n\r\n", Declined),
    ("a fragment", "GET /a#/../b HTTP/1.1\r\nHost: h\r\n@\r\n\r\n", Tidied("GET /a ")),
    ("a backslash", "GET /a\\b HTTP/1.1\r\nHost: h\r\n@\r\n\r\n", Passes("GET /a\\b ")),
    ("NUL in the target", "GET /a\0b HTTP/1.1\r\nHost: h\r\n@\r\n\r\n", Refused),
    ("a control in the target", "GET /a\x01b HTTP/1.1\r\nHost: h\r\n@\r\n\r\n", Refused),
    ("an encoded line end in the path", "GET /a%0d%0aX:b HTTP/1.1\r\nHost: h\r\n@\r\n\r\n", Declined),
    ("a space in the target", "GET /a b HTTP/1.1\r\nHost: h\r\n@\r\n\r\n", Refused),
    ("a tab before the version", "GET /a\tHTTP/1.1\r\nHost: h\r\n@\r\n\r\n", Refused),
    ("two spaces before the version", "GET /a  HTTP/1.1\r\nHost: h\r\n@\r\n\r\n", Refused),
    ("two spaces behind the method", "GET  /a HTTP/1.1\r\nHost: h\r\n@\r\n\r\n", Refused),
    ("a tab behind the method", "GET\t/a HTTP/1.1\r\nHost: h\r\n@\r\n\r\n", Refused),
    ("a space behind the version", "GET /a HTTP/1.1 \r\nHost: h\r\n@\r\n\r\n", Refused),
    ("garbage behind the version", "GET /a HTTP/1.1 X\r\nHost: h\r\n@\r\n\r\n", Refused),
    ("no version", "GET /a\r\nHost: h\r\n@\r\n\r\n", Refused),
    ("HTTP/0.9", "GET /a HTTP/0.9\r\nHost: h\r\n@\r\n\r\n", Refused),
    ("HTTP/1.2", "GET /a HTTP/1.2\r\nHost: h\r\n@\r\n\r\n", Refused),
    ("HTTP/1.10", "GET /a HTTP/1.10\r\nHost: h\r\n@\r\n\r\n", Refused),
    ("HTTP/2.0", "GET /a HTTP/2.0\r\nHost: h\r\n@\r\n\r\n", Refused),
    ("http in small letters", "GET /a http/1.1\r\nHost: h\r\n@\r\n\r\n", Refused),
    ("another protocol", "GET /a ICAP/1.1\r\nHost: h\r\n@\r\n\r\n", Refused),
    ("a method with a colon", "GE:T /a HTTP/1.1\r\nHost: h\r\n@\r\n\r\n", Refused),
    ("a NUL in the method", "G\0T /a HTTP/1.1\r\nHost: h\r\n@\r\n\r\n", Refused),
    ("CONNECT", "CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n@\r\n\r\n", Refused),
    ("TRACE", "TRACE /a HTTP/1.1\r\nHost: h\r\n@\r\n\r\n", Refused),
    ("an upgrade to h2c", "GET /a HTTP/1.1\r\nHost: h\r\n@\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n", Passes("GET /a ")),
    ("a trailer announced", "POST /a HTTP/1.1\r\nHost: h\r\n@\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n", Passes("POST /a ")),
    ("an identity announced as a trailer", "POST /a HTTP/1.1\r\nHost: h\r\n@\r\nTrailer: X-Proxy-User\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Proxy-User: admin\r\n\r\n", Tidied("POST /a ")),
];

#[tokio::test(start_paused = true)]
async fn a_body_has_one_end_or_never_reaches_the_cluster() {
    on_one_thread(async {
        let bench = Bench::new().await;
        for (name, lines, body, fate) in FRAMES {
            let key = &bench.key;
            let head = format!("POST /logs/_doc HTTP/1.1\r\nHost: h\r\nAuthorization: {key}\r\n{lines}\r\n\r\n");
            bench.judge(name, &[head.as_bytes(), body.as_bytes()].concat(), *fate).await;
        }
        bench.conclude();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn chunks_are_written_anew_or_never_end() {
    on_one_thread(async {
        let bench = Bench::new().await;
        for (name, chunks, fate) in CHUNKS {
            let key = &bench.key;
            let coding = "Transfer-Encoding: chunked";
            let head = format!("POST /logs/_doc HTTP/1.1\r\nHost: h\r\nAuthorization: {key}\r\n{coding}\r\n\r\n");
            bench.judge(name, &[head.as_bytes(), chunks.as_bytes()].concat(), *fate).await;
        }
        bench.conclude();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_head_is_read_in_one_way_or_not_at_all() {
    on_one_thread(async {
        let bench = Bench::new().await;
        for (name, message, fate) in HEADS {
            let message = message.replacen('@', &format!("Authorization: {}", bench.key), 1);
            bench.judge(name, message.as_bytes(), *fate).await;
        }
        bench.conclude();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_head_has_its_bounds() {
    on_one_thread(async {
        let bench = Bench::new().await;
        let key = &bench.key;
        let many = "X-A: b\r\n".repeat(200);
        for (name, target, lines) in [
            ("a long request line", format!("/{}", "a".repeat(70_000)), String::new()),
            ("a long value", "/a".to_owned(), format!("X-A: {}\r\n", "a".repeat(70_000))),
            ("many headers", "/a".to_owned(), many),
        ] {
            let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\nAuthorization: {key}\r\n{lines}\r\n");
            let answers = bench.judge(name, head.as_bytes(), Refused).await;
            assert!(answers.iter().all(|answer| answer == "431" || answer == "414"), "{name}: {answers:?}");
        }
        bench.conclude();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_body_of_a_refused_message_is_never_a_message_of_its_own() {
    on_one_thread(async {
        let bench = Bench::new().await;
        let shown = format!("Authorization: {}\r\n", bench.key);
        let inner = format!("GET /inner HTTP/1.1\r\nHost: h\r\n{shown}\r\n");
        let size = inner.len();
        for (name, line, shown) in [
            ("a stranger", "POST /a", ""),
            ("a bad path", "POST /a//b", &*shown),
            ("a bad method", "TRACE /a", &shown),
            ("a foreign target", "POST http://h/a", &shown),
        ] {
            for expect in ["", "Expect: 100-continue\r\n"] {
                let head = format!("{line} HTTP/1.1\r\nHost: h\r\n{shown}{expect}");
                for sent in [
                    format!("{head}Content-Length: {size}\r\n\r\n{inner}"),
                    format!("{head}Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n{inner}\r\n0\r\n\r\n"),
                ] {
                    for step in [sent.len(), 1] {
                        let outcome = bench.send(sent.as_bytes(), step, bench.gateway.connect()).await;
                        assert!(outcome.arrived.is_empty(), "{name}, {step} bytes at once: {outcome:?}");
                        assert_eq!(outcome.statuses.len(), 1, "{name}, {step} bytes at once: {outcome:?}");
                    }
                }
            }
        }
        bench.conclude();
    })
    .await;
}

/// A gateway, and a cluster that answers everything alike.
struct Bench {
    upstream: Upstream,
    gateway: Gateway,
    key: String,
    complaints: RefCell<Vec<String>>,
    /// Connections to the cluster with half a message on them.
    cut: RefCell<HashSet<usize>>,
}

impl Bench {
    async fn new() -> Self {
        let upstream = Upstream::always(Reply::json(200, "{}"));
        let gateway = Gateway::spawn(&upstream);
        let key = gateway.superuser().await;
        Self { upstream, gateway, key, complaints: RefCell::default(), cut: RefCell::default() }
    }

    /// Sends a message both ways and holds its fate against the expected one.
    async fn judge(&self, name: &str, message: &[u8], expected: Fate) -> Vec<String> {
        let follower = format!("GET /next HTTP/1.1\r\nHost: h\r\nAuthorization: {}\r\n\r\n", self.key);
        let sent = [message, follower.as_bytes()].concat();
        let mut firsts = Vec::new();
        for step in [sent.len(), piece(&sent)] {
            let outcome = self.send(&sent, step, self.gateway.connect()).await;
            let arrived: Vec<String> = outcome.arrived.iter().map(ToString::to_string).collect();
            let all: &[&str] = match expected {
                Refused | Waits => &[],
                Declined => &["GET /next "],
                Passes(message) | Tidied(message) => &[message, "GET /next "],
                TidiedLast(message) => &[message],
            };
            let refused = outcome.statuses.first().is_none_or(|status| REFUSALS.contains(&status.as_str()));
            let last = matches!(expected, Refused | TidiedLast(_));
            let fits = arrived == all
                && refused == matches!(expected, Refused | Declined | Waits)
                && outcome.closed == last
                && (outcome.statuses.len() > 1) == matches!(expected, Declined | Passes(_) | Tidied(_));
            if !fits {
                self.complaints.borrow_mut().push(format!("{name}, {step} bytes at once: {outcome:?}"));
            }
            firsts.extend(outcome.statuses.into_iter().next());
        }
        firsts
    }

    /// Fails if a message had another fate than expected, or reached the cluster ambiguously: all at once, so that the table can be read.
    fn conclude(&self) {
        let complaints = self.complaints.borrow();
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    }

    /// Sends `step` bytes at once, and reads what comes back and what arrives at the cluster.
    async fn send(&self, bytes: &[u8], step: usize, mut pipe: DuplexStream) -> Outcome {
        let before: Vec<usize> = self.upstream.wires().iter().map(Vec::len).collect();
        for piece in bytes.chunks(step) {
            // The gateway may close before it has read everything.
            if pipe.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let mut answer = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(1), pipe.read_to_end(&mut answer)).await.is_ok();
        drop(pipe);
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut arrived = Vec::new();
        for (connection, wire) in self.upstream.wires().iter().enumerate() {
            let new = &wire[before.get(connection).copied().unwrap_or(0)..];
            if new.is_empty() {
                continue;
            }
            if self.cut.borrow().contains(&connection) {
                self.complaints.borrow_mut().push("a connection with half a message on it was used again".to_owned());
            }
            match strict::read(new) {
                Ok((messages, cut)) => {
                    arrived.extend(messages);
                    if cut {
                        self.cut.borrow_mut().insert(connection);
                    }
                }
                Err(odd) => self.complaints.borrow_mut().push(format!("{odd}\nof {}", bytes.escape_ascii())),
            }
        }
        let text = String::from_utf8_lossy(&answer).into_owned();
        let statuses = text.match_indices("HTTP/1.").map(|(at, mark)| text[at + mark.len() + 2..][..3].to_owned());
        Outcome { arrived, statuses: statuses.collect(), answer, closed }
    }
}

/// What became of the bytes sent on one connection.
struct Outcome {
    arrived: Vec<strict::Message>,
    statuses: Vec<String>,
    answer: Vec<u8>,
    closed: bool,
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { arrived, statuses, closed, .. } = self;
        write!(f, "arrived {arrived:?}, answered {statuses:?}, closed {closed}")
    }
}

/// Byte by byte, but for what is so long that it would take all day.
fn piece(message: &[u8]) -> usize {
    if message.len() < 4096 { 1 } else { 1000 }
}

/// How a refusal is answered, if it is.
const REFUSALS: &[&str] = &["400", "405", "413", "414", "431", "501", "505"];
