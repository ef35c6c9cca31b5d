//! Reads what the cluster received as the strictest of readers would: anything unusual is an error.

/// A request on the wire.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Message {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) body: Vec<u8>,
}

impl std::fmt::Display for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.method, self.target, self.body.escape_ascii())
    }
}

/// All whole messages, and whether one was begun that is not whole: it must never go on.
pub(crate) fn read(mut wire: &[u8]) -> Result<(Vec<Message>, bool), String> {
    let mut messages = Vec::new();
    while !wire.is_empty() {
        let Some((head, rest)) = split(wire, b"\r\n\r\n") else { break };
        let (method, target, framing) = read_head(head)?;
        let Some((body, rest)) = (match framing {
            Framing::Length(length) => rest.split_at_checked(length).map(|(body, rest)| (body.to_vec(), rest)),
            Framing::Chunked => read_chunks(rest)?,
        }) else {
            break;
        };
        messages.push(Message { method, target, body });
        wire = rest;
    }
    Ok((messages, !wire.is_empty()))
}

enum Framing {
    Chunked,
    Length(usize),
}

fn read_head(head: &[u8]) -> Result<(String, String, Framing), String> {
    let bad = |what: &str| Err(format!("{what}: {}", head.escape_ascii()));
    let latin1: String = head.iter().copied().map(char::from).collect();
    let mut lines = latin1.split("\r\n");
    let line: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, "HTTP/1.1"] = line[..] else { return bad("request line") };
    if method.is_empty() || !method.bytes().all(is_token) {
        return bad("method");
    }
    let printable = target.bytes().all(|byte| matches!(byte, 0x21..=0x7e) && byte != b'#');
    if !(target.starts_with('/') || (target == "*" && method == "OPTIONS")) || !printable {
        return bad("target");
    }
    let (mut hosts, mut lengths, mut codings) = (0, Vec::new(), Vec::new());
    for line in lines {
        let Some((name, value)) = field(line) else { return bad("header") };
        match name.to_ascii_lowercase().as_str() {
            "authorization" | "connection" | "upgrade" | "x-proxy-user" => return bad("not to be passed on"),
            "te" if value != "trailers" => return bad("not to be passed on"),
            "host" => hosts += 1,
            "content-length" => lengths.push(value),
            "transfer-encoding" => codings.push(value),
            _ => {}
        }
    }
    if hosts != 1 {
        return bad("hosts");
    }
    let framing = match (&lengths[..], &codings[..]) {
        ([], []) => Framing::Length(0),
        ([length], []) if length.bytes().all(|byte| byte.is_ascii_digit()) => match length.parse() {
            Ok(length) => Framing::Length(length),
            Err(_) => return bad("length"),
        },
        ([], ["chunked"]) => Framing::Chunked,
        _ => return bad("framing"),
    };
    Ok((method.to_owned(), target.to_owned(), framing))
}

/// A body, and what comes behind it.
type Split<'a> = (Vec<u8>, &'a [u8]);

fn read_chunks(mut rest: &[u8]) -> Result<Option<Split<'_>>, String> {
    let mut body = Vec::new();
    loop {
        let Some((line, after)) = split(rest, b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(line)
            .ok()
            .filter(|line| line.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|line| usize::from_str_radix(line, 16).ok())
            .ok_or_else(|| format!("chunk size: {}", line.escape_ascii()))?;
        if size == 0 {
            rest = after;
            break;
        }
        let Some((data, after)) = after.split_at_checked(size) else { return Ok(None) };
        body.extend_from_slice(data);
        match after {
            [b'\r', b'\n', after @ ..] => rest = after,
            [] | [b'\r'] => return Ok(None),
            _ => return Err(format!("chunk end: {}", after.escape_ascii())),
        }
    }
    loop {
        let Some((line, after)) = split(rest, b"\r\n") else { return Ok(None) };
        rest = after;
        if line.is_empty() {
            return Ok(Some((body, rest)));
        }
        let trailer = std::str::from_utf8(line).ok().and_then(field);
        if trailer.is_none_or(|(name, _)| name.eq_ignore_ascii_case("x-proxy-user")) {
            return Err(format!("trailer: {}", line.escape_ascii()));
        }
    }
}

fn field(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    let named = !name.is_empty() && name.bytes().all(is_token);
    let valued = value.bytes().all(|byte| byte == b'\t' || !byte.is_ascii_control());
    (named && valued).then_some((name, value.trim_matches([' ', '\t'])))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn split<'a>(bytes: &'a [u8], end: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(end.len()).position(|window| window == end)?;
    Some((&bytes[..at], &bytes[at + end.len()..]))
}

#[test]
fn the_strict_reader_takes_what_is_plain_and_nothing_else() {
    let plain = b"POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nhiGET / HTTP/1.1\r\nhost: h\r\n\r\n";
    let read_back: Vec<String> = read(plain).unwrap().0.iter().map(ToString::to_string).collect();
    assert_eq!(read_back, ["POST /a hi", "GET / "]);
    let chunked = b"POST /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx: y\r\n\r\n";
    assert_eq!(read(chunked).unwrap().0[0].body, b"hi");
    assert_eq!(read(&chunked[..chunked.len() - 2]), Ok((vec![], true)), "cut off");
    for odd in [
        "GET / HTTP/1.0\r\nhost: h\r\n\r\n",
        "GET  / HTTP/1.1\r\nhost: h\r\n\r\n",
        "GET /# HTTP/1.1\r\nhost: h\r\n\r\n",
        "GET http://h/ HTTP/1.1\r\nhost: h\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\nhost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\nx: y\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\n x: y\r\n\r\n",
        "GET / HTTP/1.1\r\nhost : h\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\nx: a\0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\ncontent-length: 0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\ncontent-length: +0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\ntransfer-encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n0;x\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n",
    ] {
        assert!(read(odd.as_bytes()).is_err(), "{odd:?}");
    }
}
