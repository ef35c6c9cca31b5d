//! Accepts connections: TCP and Unix sockets, PROXY protocol, TLS, HTTP/1.1 and HTTP/2.

pub mod peer;
