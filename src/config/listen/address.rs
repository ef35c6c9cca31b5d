//! Addresses to listen on.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

/// Where to listen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ListenAddress {
    /// TCP.
    Tcp(SocketAddr),
    /// Unix socket.
    Unix {
        /// Path of the socket.
        path: PathBuf,
        /// Permission bits.
        mode: u32,
    },
}

/// An address that cannot be listened on.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum AddressError {
    /// Neither an IP address with a port nor a socket path.
    #[error("no address to listen on\nwrite 127.0.0.1:9200, [::]:9200, localhost:9200 or unix:/run/searchgate.sock")]
    Address,
    /// No octal number of permission bits.
    #[error("no permission bits\nwrite them in octal, for example \"0660\"")]
    Mode,
    /// `mode` without a Unix socket.
    #[error("`mode` belongs to a Unix socket")]
    ModeOfTcp,
}

impl ListenAddress {
    /// Whether only this machine can reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => is_loopback(address.ip()),
            Self::Unix { .. } => true,
        }
    }
}

impl FromStr for ListenAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix("unix:") {
            Some("") => Err(AddressError::Address),
            Some(path) => Ok(Self::Unix { path: path.into(), mode: DEFAULT_MODE }),
            None => parse_socket(text).map(Self::Tcp),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { path, .. } => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Whether the address is of this machine only, an IPv4 one written as IPv6 included.
#[must_use]
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

pub(super) fn parse_socket(text: &str) -> Result<SocketAddr, AddressError> {
    match text.strip_prefix("localhost:") {
        Some(port) => port.parse().map(loopback).map_err(|_| AddressError::Address),
        None => text.parse().map_err(|_| AddressError::Address),
    }
}

pub(super) fn parse_mode(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o777)
}

pub(super) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)
}

const DEFAULT_MODE: u32 = 0o660;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_ip_with_a_port_or_a_socket_path() {
        for (text, local) in [
            ("127.0.0.1:9200", true),
            ("[::1]:0", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("localhost:9200", true),
            ("unix:/run/s", true),
            ("[::]:9200", false),
            ("10.0.0.1:1", false),
        ] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().is_local(), local, "{text}");
        }
        for wrong in ["", "9200", "127.0.0.1", "example.org:1", "unix:", "localhost:", "127.0.0.1:70000"] {
            assert!(wrong.parse::<ListenAddress>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn permission_bits_are_octal() {
        assert_eq!(
            (parse_mode("0660"), parse_mode("0o600"), parse_mode("660")),
            (Some(0o660), Some(0o600), Some(0o660))
        );
        assert_eq!((parse_mode("0680"), parse_mode("1777"), parse_mode("")), (None, None, None));
    }
}
