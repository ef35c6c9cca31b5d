//! Who is at the other end of a connection: address, TLS facts, and whether its forwarding headers count.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::HeaderValue;

/// The far end of one connection, made once when it is accepted.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Address of the client; of the one that the PROXY header names, if there was one. `None` for a Unix socket.
    pub address: Option<SocketAddr>,
    /// Whether `X-Forwarded-*`, `Forwarded` and `X-Original-*` of this peer are believed.
    pub trusted: bool,
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
}

impl TlsFacts {
    /// What `session` proved.
    #[must_use]
    pub fn of(session: &rustls::ServerConnection) -> Self {
        let chain = session.peer_certificates().unwrap_or_default();
        Self { client_chain: chain.iter().map(|certificate| certificate.to_vec()).collect() }
    }
}

/// Whether `ip` is in one of `networks`. An IPv4 address that arrived on an IPv6 socket counts as IPv4.
#[must_use]
pub fn trusted(networks: &[ipnet::IpNet], ip: IpAddr) -> bool {
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
            tls: None,
            local: None,
            forwarded_for: HeaderValue::from_str(&address.ip().to_string()).ok(),
        }
    }

    /// A client without an address: a Unix socket or a pipe.
    #[must_use]
    pub fn unknown() -> Self {
        Self { address: None, trusted: false, tls: None, local: None, forwarded_for: None }
    }

    /// Takes the address that a PROXY header names.
    pub fn name(&mut self, source: SocketAddr) {
        self.address = Some(source);
        self.forwarded_for = HeaderValue::from_str(&source.ip().to_string()).ok();
    }

    /// The client's address as a trusted proxy tells it, else the peer's own.
    #[must_use]
    pub fn client_ip(&self, headers: &http::HeaderMap) -> Option<IpAddr> {
        let _ = headers;
        todo!()
    }

    /// The client's address, for throttling and audit.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.address.map(|address| address.ip())
    }
}
