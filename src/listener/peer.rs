//! Who is at the other end of a connection: address, TLS facts, and whether its forwarding headers count.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use ipnet::IpNet;

use crate::secret;

/// The far end of one connection, made once when it is accepted.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Address of the client; of the one that the PROXY header names, if there was one. `None` for a Unix socket.
    pub address: Option<SocketAddr>,
    /// Whether `X-Forwarded-*`, `Forwarded` and `X-Original-*` of this peer are believed.
    pub trusted: bool,
    /// Networks of the proxies that stand before us: the addresses to pass over in those headers.
    pub proxies: Arc<[IpNet]>,
    /// What TLS proved; absent on plain text.
    pub tls: Option<Arc<TlsFacts>>,
    /// Address that the client connected to.
    pub local: Option<SocketAddr>,
    /// `address` as `X-Forwarded-For` shows it, prepared once.
    pub forwarded_for: Option<HeaderValue>,
}

/// What a TLS handshake proved about a client.
#[derive(Clone, Debug, Default)]
pub struct TlsFacts {
    /// Client certificate chain in DER, leaf first; empty without one.
    pub client_chain: Vec<Vec<u8>>,
    /// SHA-256 of the leaf, made once a handshake: what is remembered of the caller is found by it.
    pub fingerprint: Option<[u8; 32]>,
}

impl TlsFacts {
    /// What `session` proved.
    #[must_use]
    pub fn of(session: &rustls::ServerConnection) -> Self {
        let chain = session.peer_certificates().unwrap_or_default();
        Self {
            fingerprint: chain.first().map(|leaf| secret::sha256(&[leaf])),
            client_chain: chain.iter().map(|certificate| certificate.to_vec()).collect(),
        }
    }
}

/// Whether `ip` is in one of `networks`. An IPv4 address that arrived on an IPv6 socket counts as IPv4.
#[must_use]
pub fn trusted(networks: &[IpNet], ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    networks.iter().any(|network| network.contains(&ip))
}

impl Peer {
    /// A client at `address`, on plain text.
    #[must_use]
    pub fn at(address: SocketAddr, trusted: bool) -> Self {
        Self {
            address: Some(address),
            trusted,
            proxies: Arc::default(),
            tls: None,
            local: None,
            forwarded_for: HeaderValue::from_str(&address.ip().to_string()).ok(),
        }
    }

    /// A client without an address: a Unix socket or a pipe.
    #[must_use]
    pub fn unknown() -> Self {
        Self { address: None, trusted: false, proxies: Arc::default(), tls: None, local: None, forwarded_for: None }
    }

    /// Takes the address that a PROXY header names. Trust in the balancer that sent it does not extend to its clients:
    /// their forwarding headers are believed only if they are trusted proxies themselves.
    pub fn name(&mut self, source: SocketAddr) {
        self.address = Some(source);
        self.trusted = trusted(&self.proxies, source.ip());
        self.forwarded_for = HeaderValue::from_str(&source.ip().to_string()).ok();
    }

    /// The client's address as a trusted proxy tells it, else the peer's own.
    ///
    /// The addresses are read from the right, each proxy having added the one it saw: the first that is not itself
    /// a trusted proxy is the client; what stands left of it anybody may have written. `X-Forwarded-For` and
    /// `Forwarded` must agree where both are sent, for a proxy that writes one may pass on a forged other.
    #[must_use]
    pub fn client_ip(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let own = self.ip();
        if !self.trusted {
            return own;
        }
        let named = |header, element| self.walk(headers, header, element);
        match (named(X_FORWARDED_FOR, address), named(header::FORWARDED, forwarded_address)) {
            (None, None) => own,
            (Some(one), Some(other)) if one != other => own,
            (Some(client), _) | (None, Some(client)) => Some(client),
        }
    }

    /// The client's address, for throttling and audit.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.address.map(|address| address.ip())
    }

    /// Walks a list header from its right end to the client; stops before what is no address.
    fn walk(&self, headers: &HeaderMap, name: HeaderName, address: fn(&str) -> Option<IpAddr>) -> Option<IpAddr> {
        let mut nearest = None;
        for value in headers.get_all(name).iter().rev() {
            // Right to left, quotes do not count: what a client opened must not swallow what a proxy added.
            let Ok(text) = value.to_str() else { return nearest };
            for element in text.rsplit(',') {
                let Some(ip) = address(element.trim()) else { return nearest };
                nearest = Some(ip);
                if !trusted(&self.proxies, ip) {
                    return nearest;
                }
            }
        }
        nearest
    }
}

/// An address with or without port, IPv6 with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let ip = text.parse().ok().or_else(bare).or_else(|| text.parse().ok().map(|socket: SocketAddr| socket.ip()))?;
    Some(ip.to_canonical())
}

/// The `for` of an element of `Forwarded` (RFC 7239 section 4).
fn forwarded_address(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = value.trim();
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        if name.trim().eq_ignore_ascii_case("for") { address(value) } else { None }
    })
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

#[cfg(test)]
mod tests {
    use super::*;

    /// What a peer at 10.0.0.1 says of its client; 10.0.0.0/8 is trusted.
    fn told(headers: &[(HeaderName, &'static str)]) -> String {
        let mut peer = Peer::at("10.0.0.1:5000".parse().unwrap(), true);
        peer.proxies = Arc::from(["10.0.0.0/8".parse().unwrap()]);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_static(value));
        }
        peer.client_ip(&map).unwrap().to_string()
    }

    #[test]
    fn a_stranger_is_who_it_is_whatever_it_says() {
        let peer = Peer::at("192.0.2.1:5000".parse().unwrap(), false);
        let headers = HeaderMap::from_iter([(X_FORWARDED_FOR, HeaderValue::from_static("192.0.2.99"))]);
        assert_eq!(peer.client_ip(&headers), peer.ip());
    }

    #[test]
    fn without_headers_the_peer_is_the_client() {
        assert_eq!(told(&[]), "10.0.0.1");
    }

    #[test]
    fn the_last_address_that_is_no_proxy_is_the_client() {
        assert_eq!(told(&[(X_FORWARDED_FOR, "192.0.2.66, 192.0.2.7, 10.1.1.1,10.2.2.2")]), "192.0.2.7");
        assert_eq!(told(&[(X_FORWARDED_FOR, "192.0.2.66"), (X_FORWARDED_FOR, "192.0.2.7")]), "192.0.2.7");
    }

    #[test]
    fn behind_proxies_alone_the_farthest_is_the_client() {
        assert_eq!(told(&[(X_FORWARDED_FOR, "10.3.3.3, 10.2.2.2")]), "10.3.3.3");
    }

    #[test]
    fn what_is_no_address_hides_what_stands_left_of_it() {
        assert_eq!(told(&[(X_FORWARDED_FOR, "192.0.2.7, unknown, 10.2.2.2")]), "10.2.2.2");
        assert_eq!(told(&[(X_FORWARDED_FOR, "192.0.2.7, unknown")]), "10.0.0.1");
        assert_eq!(told(&[(X_FORWARDED_FOR, "")]), "10.0.0.1");
    }

    #[test]
    fn addresses_come_with_and_without_ports() {
        for (text, ip) in [
            ("192.0.2.7:4711", "192.0.2.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
        ] {
            assert_eq!(told(&[(X_FORWARDED_FOR, text)]), ip, "{text}");
        }
    }

    #[test]
    fn forwarded_is_read_too() {
        let text = r#"for=192.0.2.66, proto=https;FOR="[2001:db8::7]:4711";by=10.0.0.1, for=10.9.9.9"#;
        assert_eq!(told(&[(header::FORWARDED, text)]), "2001:db8::7");
        assert_eq!(told(&[(header::FORWARDED, "for=_hidden")]), "10.0.0.1");
        assert_eq!(told(&[(header::FORWARDED, r#"for="192.0.2.66, for=192.0.2.7"#)]), "192.0.2.7");
    }

    #[test]
    fn two_headers_that_disagree_are_both_ignored() {
        let both = [(X_FORWARDED_FOR, "192.0.2.7"), (header::FORWARDED, "for=192.0.2.66")];
        assert_eq!(told(&both), "10.0.0.1");
        let both = [(X_FORWARDED_FOR, "192.0.2.7"), (header::FORWARDED, "for=192.0.2.7")];
        assert_eq!(told(&both), "192.0.2.7");
    }
}
