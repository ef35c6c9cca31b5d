//! What never crosses the gateway: hop-by-hop headers in both directions, identity headers of the client.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{forward::cookie, listener::peer::Peer};

/// Removes from a client's headers all that is for this hop alone or could carry an identity, before anything
/// is added (contract section 4). Forwarding headers stay when the peer is trusted; its address is appended.
pub fn clean_request(headers: &mut HeaderMap, peer: &Peer, passthrough: bool) {
    let takes_trailers =
        headers.get_all(header::TE).iter().flat_map(tokens).any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
    let mut doomed = Doomed::named_by_connection(headers);
    for name in headers.keys() {
        if is_hop_by_hop(name)
            || (is_identity(name) && !(passthrough && passes_through(name)))
            || (!peer.trusted && is_forwarding(name))
            || (name == header::TRAILER && headers.get_all(name).iter().any(smuggles))
        {
            doomed.push(name);
        }
    }
    doomed.remove_from(headers);
    cookie::strip(headers);
    if takes_trailers {
        // For the next hop, which would leave trailers out otherwise.
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if let Some(address) = &peer.forwarded_for {
        append_forwarded_for(headers, address);
    }
}

fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// Whether a `Trailer` announces what must not come as a header either. Without the announcement no trailer is sent.
fn smuggles(trailer: &HeaderValue) -> bool {
    tokens(trailer).any(|token| {
        HeaderName::from_bytes(token)
            .map_or(true, |name| is_hop_by_hop(&name) || is_identity(&name) || is_forwarding(&name))
    })
}

/// Removes from the cluster's headers what is for that hop alone, and what only the gateway may say.
pub fn clean_response(headers: &mut HeaderMap) {
    let mut doomed = Doomed::named_by_connection(headers);
    for name in headers.keys() {
        if is_hop_by_hop(name) || name == X_AUTH_SOURCE || name == X_AUTH_REASON {
            doomed.push(name);
        }
    }
    doomed.remove_from(headers);
}

/// Removes what the cluster says to a session's token and not to the client, which has never seen it: a browser would
/// ask for a password of the cluster's, and keep its cookies (`transparent-reauthentication.md` section 9).
pub fn hide_token(headers: &mut HeaderMap) {
    headers.remove(header::WWW_AUTHENTICATE);
    headers.remove(header::SET_COOKIE);
}

/// Names on their way out; room for what a well-meant message holds, so nothing is allocated for it.
#[derive(Default)]
struct Doomed {
    first: [Option<HeaderName>; 6],
    rest: Vec<HeaderName>,
}

impl Doomed {
    /// A client may name headers in `Connection` that end at this hop. It cannot take framing or the host away by it:
    /// those are written anew.
    fn named_by_connection(headers: &HeaderMap) -> Self {
        let mut doomed = Self::default();
        for value in headers.get_all(header::CONNECTION) {
            for token in tokens(value) {
                let usual = token.eq_ignore_ascii_case(b"keep-alive") || token.eq_ignore_ascii_case(b"close");
                if !usual
                    && let Ok(name) = HeaderName::from_bytes(token)
                    && name != header::CONTENT_LENGTH
                    && name != header::HOST
                {
                    doomed.push(&name);
                }
            }
        }
        doomed
    }

    fn push(&mut self, name: &HeaderName) {
        match self.first.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(name.clone()),
            None => self.rest.push(name.clone()),
        }
    }

    fn remove_from(self, headers: &mut HeaderMap) {
        for name in self.first.into_iter().flatten().chain(self.rest) {
            headers.remove(name);
        }
    }
}

/// RFC 9110 section 7.6.1, and `Expect`, which the gateway answers itself.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authorization"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "expect"
            | "http2-settings"
    )
}

/// Headers by which a caller could name an identity to the cluster (contract section 4).
fn is_identity(name: &HeaderName) -> bool {
    let name = name.as_str();
    match name.as_bytes().first() {
        Some(b'a') => name == "authorization",
        Some(b'e') => {
            matches!(name, "es-security-runas-user" | "es-secondary-authorization" | "es-client-authentication")
        }
        Some(b'x') => {
            matches!(name, "x-client-authentication" | "x-proxy-user" | "x-proxy-roles" | "x-forwarded-user")
                || name.starts_with("x-proxy-ext-")
        }
        Some(b'o') => name.starts_with("opendistro_security_"),
        Some(b'_') => name.starts_with("_opendistro_security_"),
        _ => false,
    }
}

/// What a caller that passes through may say for itself (contract section 4, `passthrough`).
fn passes_through(name: &HeaderName) -> bool {
    matches!(name.as_str(), "authorization" | "es-security-runas-user" | "es-secondary-authorization")
}

fn is_forwarding(name: &HeaderName) -> bool {
    let name = name.as_str();
    name == "forwarded" || name.starts_with("x-forwarded-") || name.starts_with("x-original-")
}

fn append_forwarded_for(headers: &mut HeaderMap, address: &HeaderValue) {
    if !headers.contains_key(X_FORWARDED_FOR) {
        headers.insert(X_FORWARDED_FOR, address.clone());
        return;
    }
    // A trusted proxy sent the list: one header, joined, as its own next hop would.
    let mut list = Vec::new();
    for value in headers.get_all(X_FORWARDED_FOR) {
        list.extend_from_slice(value.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(address.as_bytes());
    if let Ok(list) = HeaderValue::from_bytes(&list) {
        headers.insert(X_FORWARDED_FOR, list);
    }
}

/// Who made an answer: `gateway` or `upstream`.
pub const X_AUTH_SOURCE: HeaderName = HeaderName::from_static("x-auth-source");
/// Why the gateway refused.
pub const X_AUTH_REASON: HeaderName = HeaderName::from_static("x-auth-reason");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    const CLAIMS: &[(&str, &str)] = &[
        ("Authorization", "ApiKey eA=="),
        ("es-security-runas-user", "elastic"),
        ("es-secondary-authorization", "Basic x"),
        ("es-client-authentication", "SharedSecret s"),
        ("x-client-authentication", "s"),
        ("x-proxy-user", "admin"),
        ("x-proxy-roles", "all_access"),
        ("x-proxy-ext-attr", "a"),
        ("x-forwarded-user", "admin"),
        ("opendistro_security_impersonate_as", "admin"),
        ("_opendistro_security_user", "admin"),
    ];

    #[test]
    fn no_claim_of_identity_crosses_even_from_a_trusted_proxy() {
        for trusted in [false, true] {
            let mut sent = headers(CLAIMS);
            sent.insert("x-opaque-id", HeaderValue::from_static("7"));
            clean_request(&mut sent, &Peer { trusted, ..Peer::unknown() }, false);
            assert_eq!(names(&sent), ["x-opaque-id"]);
        }
    }

    #[test]
    fn a_caller_that_passes_through_keeps_its_own_credentials_only() {
        let mut sent = headers(CLAIMS);
        clean_request(&mut sent, &Peer::unknown(), true);
        assert_eq!(names(&sent), ["authorization", "es-secondary-authorization", "es-security-runas-user"]);
    }

    #[test]
    fn forwarding_headers_of_strangers_are_dropped() {
        let told = [
            ("X-Forwarded-For", "1.2.3.4"),
            ("Forwarded", "for=1.2.3.4"),
            ("X-Original-URI", "/"),
            ("X-Forwarded-Host", "h"),
        ];
        let mut stranger = headers(&told);
        clean_request(&mut stranger, &Peer::at("9.9.9.9:1".parse().unwrap(), false), false);
        assert_eq!(names(&stranger), ["x-forwarded-for"]);
        assert_eq!(stranger["x-forwarded-for"], "9.9.9.9");

        let mut proxy = headers(&told);
        clean_request(&mut proxy, &Peer::at("9.9.9.9:1".parse().unwrap(), true), false);
        assert_eq!(names(&proxy), ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-original-uri"]);
        assert_eq!(proxy["x-forwarded-for"], "1.2.3.4, 9.9.9.9");
    }

    #[test]
    fn hop_by_hop_headers_end_here() {
        let mut sent = headers(&[
            ("Connection", "keep-alive, X-Secret-Hop"),
            ("X-Secret-Hop", "1"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Connection", "keep-alive"),
            ("TE", "trailers"),
            ("Transfer-Encoding", "chunked"),
            ("Upgrade", "h2c"),
            ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"),
            ("Expect", "100-continue"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ]);
        clean_request(&mut sent, &Peer::unknown(), false);
        assert_eq!(names(&sent), ["te", "traceparent"], "what the client takes, the gateway takes too");
    }

    #[test]
    fn no_trailer_announces_an_identity() {
        for (trailer, kept) in [("X-Checksum", true), ("X-Checksum, ES-Security-Runas-User", false)] {
            let mut sent = headers(&[("Trailer", trailer)]);
            clean_request(&mut sent, &Peer::unknown(), true);
            assert_eq!(sent.contains_key("trailer"), kept, "{trailer}");
        }
    }

    #[test]
    fn connection_cannot_name_the_framing_away() {
        let mut sent = headers(&[("Connection", "content-length, host"), ("Content-Length", "3"), ("Host", "h")]);
        clean_request(&mut sent, &Peer::unknown(), false);
        assert_eq!(names(&sent), ["content-length", "host"]);
    }

    #[test]
    fn the_cluster_cannot_speak_for_the_gateway() {
        let mut answered = headers(&[
            ("X-Auth-Source", "gateway"),
            ("X-Auth-Reason", "x"),
            ("Transfer-Encoding", "chunked"),
            ("ETag", "1"),
        ]);
        clean_response(&mut answered);
        assert_eq!(names(&answered), ["etag"]);
    }
}
