//! Tells requests of this machine's own programs from those of strangers and of web pages.

use std::net::IpAddr;

use http::{HeaderMap, header, uri::Authority};

/// Whether a request comes from a loopback peer, to a loopback name, and not from a web page. The name matters: a page
/// may make a name of its own point to this machine, and then its requests come from here, too.
#[must_use]
pub fn is_local(headers: &HeaderMap, peer: IpAddr) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok()).and_then(|host| host.parse::<Authority>().ok());
    peer.to_canonical().is_loopback()
        && !headers.contains_key(header::ORIGIN)
        && hosts.next().is_none()
        && host.is_some_and(|host| is_loopback(host.host()))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(host: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))])
    }

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_loopback_peer_and_name_are_local() {
        for host in ["127.0.0.1:9600", "127.8.9.1", "localhost:9600", "LOCALHOST", "[::1]:9600"] {
            assert!(is_local(&headers(host), HERE), "{host}");
        }
        assert!(is_local(&headers("localhost"), "::ffff:127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn another_name_is_not_local() {
        for host in ["", "evil.example", "localhost.evil.example:9600", "10.0.0.1:9600", "127.0.0.1.nip.io", "[::2]"] {
            assert!(!is_local(&headers(host), HERE), "{host}");
        }
        assert!(!is_local(&HeaderMap::new(), HERE));
    }

    #[test]
    fn another_peer_is_not_local() {
        assert!(!is_local(&headers("localhost"), [10, 0, 0, 1].into()));
    }

    #[test]
    fn a_web_page_is_not_local() {
        let mut headers = headers("localhost");
        headers.insert(header::ORIGIN, HeaderValue::from_static("null"));
        assert!(!is_local(&headers, HERE));
    }

    #[test]
    fn two_names_are_not_local() {
        let mut headers = headers("localhost");
        headers.append(header::HOST, HeaderValue::from_static("evil.example"));
        assert!(!is_local(&headers, HERE));
    }
}
