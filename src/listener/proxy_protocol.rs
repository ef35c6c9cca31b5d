//! PROXY protocol, versions 1 and 2: who the client behind a load balancer is.

use std::net::SocketAddr;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Parsed {
    /// A whole header of `consumed` bytes. `source` is absent for `UNKNOWN`, `LOCAL` and families without addresses.
    Header {
        /// Client address.
        source: Option<SocketAddr>,
        /// Length of the header.
        consumed: usize,
    },
    /// The beginning of one.
    Incomplete,
    /// Not a header.
    Invalid,
}

/// Judges the first bytes of a connection.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let _ = bytes;
    todo!()
}
