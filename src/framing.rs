//! Refuses a head that two readers could frame or route differently, where the HTTP library lets it through.
//!
//! What it refuses by itself (bad line ends, folded headers, malformed lengths and chunks) never arrives here; what it
//! tidies without a trace (`tests/it/framing.rs` has the table) does not either.

use http::{Version, header, request::Parts};

/// Why a head is refused. 400, and the connection ends: where its next message begins is in doubt.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FramingError {
    /// Two of them, be they equal: over HTTP/2 both would go on to the cluster.
    #[error("the request has more than one content-length")]
    ContentLength,
    /// None, two, or one that contradicts the authority of the target.
    #[error("the request does not name one host")]
    Host,
    /// Anything but `chunked`, once: no other coding is taken off here, and none is passed on.
    #[error("the request has a transfer-encoding other than chunked")]
    TransferEncoding,
}

/// Judges what in a head decides where its body ends and whom it is for.
///
/// # Errors
///
/// [`FramingError`] when that could be read in two ways.
pub fn check(parts: &Parts) -> Result<(), FramingError> {
    let headers = &parts.headers;
    if headers.get_all(header::CONTENT_LENGTH).iter().nth(1).is_some() {
        return Err(FramingError::ContentLength);
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next()
        && (codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return Err(FramingError::TransferEncoding);
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let one = match (hosts.next(), parts.uri.authority()) {
        (Some(host), Some(authority)) => host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()),
        (None, None) => parts.version < Version::HTTP_11,
        _ => true,
    };
    if one && hosts.next().is_none() { Ok(()) } else { Err(FramingError::Host) }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn judged(version: Version, target: &str, headers: &[(&str, &str)]) -> Result<(), FramingError> {
        let mut request = Request::post(target).version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn ordinary_heads_are_taken() {
        for headers in [
            &[("host", "h")][..],
            &[("host", "h"), ("content-length", "5")],
            &[("host", ""), ("transfer-encoding", "Chunked")],
        ] {
            assert_eq!(judged(Version::HTTP_11, "/", headers), Ok(()), "{headers:?}");
        }
    }

    #[test]
    fn two_lengths_are_refused_though_they_agree() {
        for second in ["5", "6"] {
            let headers = [("content-length", "5"), ("content-length", second)];
            assert_eq!(judged(Version::HTTP_2, "http://h/", &headers), Err(FramingError::ContentLength));
        }
    }

    #[test]
    fn no_coding_but_chunked_is_taken() {
        for codings in
            [&["gzip, chunked"][..], &["chunked, chunked"], &["identity", "chunked"], &["chunked", "chunked"]]
        {
            let mut headers = vec![("host", "h")];
            headers.extend(codings.iter().map(|coding| ("transfer-encoding", *coding)));
            assert_eq!(judged(Version::HTTP_11, "/", &headers), Err(FramingError::TransferEncoding), "{codings:?}");
        }
    }

    #[test]
    fn one_host_is_named() {
        assert_eq!(judged(Version::HTTP_11, "/", &[]), Err(FramingError::Host));
        assert_eq!(judged(Version::HTTP_11, "/", &[("host", "a"), ("host", "a")]), Err(FramingError::Host));
        assert_eq!(judged(Version::HTTP_10, "/", &[]), Ok(()), "HTTP/1.0 knew no hosts");
        assert_eq!(judged(Version::HTTP_2, "http://a/", &[]), Ok(()));
        assert_eq!(judged(Version::HTTP_2, "http://a/", &[("host", "A")]), Ok(()));
        assert_eq!(judged(Version::HTTP_2, "http://a/", &[("host", "b")]), Err(FramingError::Host));
        assert_eq!(judged(Version::HTTP_2, "/", &[]), Err(FramingError::Host));
    }
}
