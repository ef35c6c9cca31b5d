//! One node of the cluster, as a URL.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `http://host:port` or `https://host:port`, no path.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct HostUrl {
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// A text that names no node.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum HostUrlError {
    /// No host, or something that is none.
    #[error("no node of a cluster\nwrite http://host:9200 or https://host:9200")]
    Host,
    /// A path, query or fragment.
    #[error("a node has no path\nwrite http://host:9200 or https://host:9200")]
    Path,
    /// Neither `http://` nor `https://`.
    #[error("must start with http:// or https://")]
    Scheme,
    /// A user in the URL would be printed everywhere the node is.
    #[error("a node's URL must hold no user\nset upstream.credential instead")]
    User,
}

impl FromStr for HostUrl {
    type Err = HostUrlError;

    fn from_str(text: &str) -> Result<Self, HostUrlError> {
        let (tls, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(HostUrlError::Scheme),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains('@') {
            return Err(HostUrlError::User);
        }
        if authority.contains(['/', '?', '#']) {
            return Err(HostUrlError::Path);
        }
        let authority: http::uri::Authority = authority.parse().map_err(|_| HostUrlError::Host)?;
        let port = match authority.port_u16() {
            Some(port) => port,
            None if authority.as_str().len() == authority.host().len() => {
                if tls {
                    443
                } else {
                    80
                }
            }
            None => return Err(HostUrlError::Host),
        };
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() || port == 0 {
            return Err(HostUrlError::Host);
        }
        Ok(Self { tls, host: host.to_owned(), port })
    }
}

impl fmt::Display for HostUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

impl TryFrom<String> for HostUrl {
    type Error = HostUrlError;

    fn try_from(text: String) -> Result<Self, HostUrlError> {
        text.parse()
    }
}

impl From<HostUrl> for String {
    fn from(url: HostUrl) -> Self {
        url.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_a_scheme_a_host_and_a_port() {
        for (text, printed) in [
            ("http://a:9200", "http://a:9200"),
            ("https://a/", "https://a:443"),
            ("http://a", "http://a:80"),
            ("https://[::1]:1", "https://[::1]:1"),
        ] {
            assert_eq!(text.parse::<HostUrl>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn what_is_no_node_is_refused() {
        for wrong in [
            "",
            "a:9200",
            "ftp://a",
            "http://",
            "http://:1",
            "http://a:0",
            "http://a:",
            "http://a/p",
            "http://u@a",
            "http://a?x",
            "http://a b",
        ] {
            assert!(wrong.parse::<HostUrl>().is_err(), "{wrong}");
        }
    }
}
