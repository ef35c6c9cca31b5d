//! A web page must not speak through a listener that asks for no credentials (contract section 4).

use http::{header, request::Parts};

use crate::respond::Rejection;

/// Refuses what a browser could be made to send: a foreign `Host` (DNS rebinding), or any `Origin`.
///
/// # Errors
///
/// [`Rejection::Misdirected`] (421) and [`Rejection::CrossOrigin`] (403).
pub fn check(parts: &Parts, hosts: &[String]) -> Result<(), Rejection> {
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let named = authority.or_else(|| parts.headers.get(header::HOST).and_then(|value| value.to_str().ok()));
    if !named.is_some_and(|authority| is_local(authority, hosts)) {
        return Err(Rejection::Misdirected);
    }
    if parts.headers.contains_key(header::ORIGIN) {
        return Err(Rejection::CrossOrigin);
    }
    Ok(())
}

fn is_local(authority: &str, hosts: &[String]) -> bool {
    let name = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.rsplit_once(':').map_or(authority, |(name, _port)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        || hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn asked(host: &str, origin: bool) -> Parts {
        let mut request = Request::get("/_search").header(header::HOST, host);
        if origin {
            request = request.header(header::ORIGIN, "null");
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn local_names_and_configured_ones_are_taken() {
        let hosts = ["search.internal".to_owned()];
        for host in ["localhost", "LOCALHOST:9200", "127.0.0.1:9200", "127.8.8.8", "[::1]:9200", "search.internal:1"] {
            assert!(check(&asked(host, false), &hosts).is_ok(), "{host}");
        }
    }

    #[test]
    fn a_foreign_host_is_misdirected() {
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:9200", "10.0.0.1", "", "[::2]"] {
            assert!(matches!(check(&asked(host, false), &[]), Err(Rejection::Misdirected)), "{host}");
        }
    }

    #[test]
    fn a_request_that_a_page_sent_is_refused() {
        assert!(matches!(check(&asked("localhost", true), &[]), Err(Rejection::CrossOrigin)));
    }
}
