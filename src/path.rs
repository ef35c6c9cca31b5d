//! Reads a request target exactly as the cluster reads it, or refuses it (contract section 5).
//!
//! The raw path is what is forwarded; nothing here rewrites it. What two readers could read
//! differently is refused, so that the gateway and the cluster never judge different paths.

use http::{Method, Uri};

/// Who serves a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Route {
    /// The cluster.
    Cluster,
    /// `/_gateway/…`: the gateway.
    Gateway,
    /// `/_security/…`: the gateway.
    Security,
}

/// Why a target is refused. 400.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PathError {
    /// A `%` without two hexadecimal digits.
    #[error("the request target holds a bad percent escape")]
    BadEscape,
    /// A control character or NUL once decoded.
    #[error("the request target holds a control character")]
    Control,
    /// A segment that is or decodes to `.` or `..`.
    #[error("the request path holds a dot segment")]
    DotSegment,
    /// An empty segment.
    #[error("the request path holds an empty segment")]
    EmptySegment,
    /// A first segment that becomes `_security` or `_gateway` only once decoded.
    #[error("the request path hides a reserved name")]
    HiddenReserved,
    /// A raw byte that is not printable ASCII.
    #[error("the request target holds a byte that is not printable ASCII")]
    NotAscii,
    /// Not `/path?query`.
    #[error("the request target is not in origin form")]
    NotOriginForm,
    /// Bytes that are not UTF-8 once decoded.
    #[error("the request target is not UTF-8 once decoded")]
    NotUtf8,
}

/// Judges the target of a request and tells who serves it.
///
/// An HTTP/2 request names its scheme and authority beside the path; over HTTP/1 a target that does is in
/// absolute form and refused.
///
/// # Errors
///
/// [`PathError`] when the target could be read in two ways.
pub fn route(method: &Method, uri: &Uri, version: http::Version) -> Result<Route, PathError> {
    if version < http::Version::HTTP_2 && uri.authority().is_some() {
        return Err(PathError::NotOriginForm);
    }
    if uri.path() == "*" && *method == Method::OPTIONS {
        return Ok(Route::Cluster);
    }
    query(uri.query().unwrap_or_default())?;
    path(uri.path())
}

/// Judges a raw path.
fn path(path: &str) -> Result<Route, PathError> {
    let segments = path.strip_prefix('/').ok_or(PathError::NotOriginForm)?;
    let segments = segments.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(segments);
    if segments.is_empty() {
        return Ok(Route::Cluster);
    }
    let mut route = None;
    for raw in segments.split('/') {
        let found = segment(raw)?;
        route.get_or_insert(found);
    }
    match route {
        Some(Segment::Hidden) => Err(PathError::HiddenReserved),
        Some(Segment::Gateway) => Ok(Route::Gateway),
        Some(Segment::Security) => Ok(Route::Security),
        Some(Segment::Other) | None => Ok(Route::Cluster),
    }
}

/// What a segment would mean in first place.
enum Segment {
    Gateway,
    Hidden,
    Other,
    Security,
}

fn segment(raw: &str) -> Result<Segment, PathError> {
    if !is_escaped(raw)? {
        return match raw {
            "" => Err(PathError::EmptySegment),
            "." | ".." => Err(PathError::DotSegment),
            "_gateway" => Ok(Segment::Gateway),
            "_security" => Ok(Segment::Security),
            _ => Ok(Segment::Other),
        };
    }
    let decoded = decode(raw)?;
    if decoded.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(PathError::Control);
    }
    match decoded.as_str() {
        "." | ".." => Err(PathError::DotSegment),
        "_gateway" | "_security" => Ok(Segment::Hidden),
        _ => Ok(Segment::Other),
    }
}

/// Judges a raw query. Encoded line ends and tabs are data there (`source=` holds whole documents); a NUL is not.
fn query(raw: &str) -> Result<(), PathError> {
    if is_escaped(raw)? && decode(raw)?.contains('\0') {
        return Err(PathError::Control);
    }
    Ok(())
}

/// Whether anything is to be decoded. All of it must be printable ASCII.
fn is_escaped(raw: &str) -> Result<bool, PathError> {
    let mut escaped = false;
    for byte in raw.bytes() {
        match byte {
            b'%' => escaped = true,
            0x21..=0x7e => {}
            _ => return Err(PathError::NotAscii),
        }
    }
    Ok(escaped)
}

/// Percent-decodes once. `+` is left alone: it is a space only in a query, where nothing here looks.
///
/// # Errors
///
/// [`PathError::BadEscape`] and [`PathError::NotUtf8`].
pub fn decode(raw: &str) -> Result<String, PathError> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let high = bytes.next().and_then(hex).ok_or(PathError::BadEscape)?;
            let low = bytes.next().and_then(hex).ok_or(PathError::BadEscape)?;
            high << 4 | low
        } else {
            byte
        });
    }
    String::from_utf8(decoded).map_err(|_| PathError::NotUtf8)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judged(target: &str) -> Result<Route, PathError> {
        let (raw, search) = target.split_once('?').unwrap_or((target, ""));
        query(search)?;
        path(raw)
    }

    #[test]
    fn ordinary_paths_go_to_the_cluster() {
        for target in ["/", "/_bulk", "/logs-*/_search", "/a/_doc/1/", "/logs,-x/_count?q=a:b&size=0", "/~a/@b/!c"] {
            assert_eq!(judged(target), Ok(Route::Cluster), "{target}");
        }
    }

    #[test]
    fn an_escaped_slash_is_data() {
        assert_eq!(judged("/logs/_doc/a%2Fb"), Ok(Route::Cluster));
        assert_eq!(judged("/%3Clogs-%7Bnow%2Fd%7D%3E/_search"), Ok(Route::Cluster));
        assert_eq!(judged("/a%2F..%2Fb"), Ok(Route::Cluster), "dots beside an escaped slash are part of a name");
    }

    #[test]
    fn reserved_names_are_ours() {
        assert_eq!(judged("/_security"), Ok(Route::Security));
        assert_eq!(judged("/_security/api_key"), Ok(Route::Security));
        assert_eq!(judged("/_gateway/auth?x=1"), Ok(Route::Gateway));
        assert_eq!(judged("/logs/_security"), Ok(Route::Cluster), "only the first segment decides");
        assert_eq!(judged("/_securityx"), Ok(Route::Cluster));
    }

    #[test]
    fn a_hidden_reserved_name_is_refused() {
        for target in ["/%5fsecurity/api_key", "/_%73ecurity", "/_gatewa%79/auth", "/%5Fgateway"] {
            assert_eq!(judged(target), Err(PathError::HiddenReserved), "{target}");
        }
    }

    #[test]
    fn ambiguous_targets_are_refused() {
        for (target, why) in [
            ("logs", PathError::NotOriginForm),
            ("*", PathError::NotOriginForm),
            ("", PathError::NotOriginForm),
            ("//", PathError::EmptySegment),
            ("//_security", PathError::EmptySegment),
            ("/a//b", PathError::EmptySegment),
            ("/a//", PathError::EmptySegment),
            ("/.", PathError::DotSegment),
            ("/a/../_security", PathError::DotSegment),
            ("/a/%2e%2E/b", PathError::DotSegment),
            ("/a/.%2e", PathError::DotSegment),
            ("/a%", PathError::BadEscape),
            ("/a%2", PathError::BadEscape),
            ("/a%zz", PathError::BadEscape),
            ("/a?q=%", PathError::BadEscape),
            ("/a%ff", PathError::NotUtf8),
            ("/a?q=%c3%28", PathError::NotUtf8),
            ("/a%00", PathError::Control),
            ("/a%0d%0ab", PathError::Control),
            ("/a%7f", PathError::Control),
            ("/a?q=%00", PathError::Control),
            ("/\u{e9}", PathError::NotAscii),
            ("/a b", PathError::NotAscii),
            ("/a?\u{e9}", PathError::NotAscii),
        ] {
            assert_eq!(judged(target), Err(why), "{target:?}");
        }
    }

    #[test]
    fn an_encoded_line_end_in_a_query_is_data() {
        assert_eq!(judged("/_search?source=%7B%0A%7D"), Ok(Route::Cluster));
    }

    #[test]
    fn absolute_form_is_for_http_2_alone() {
        let uri = Uri::from_static("http://other:9200/_search");
        assert_eq!(route(&Method::GET, &uri, http::Version::HTTP_11), Err(PathError::NotOriginForm));
        assert_eq!(route(&Method::GET, &uri, http::Version::HTTP_2), Ok(Route::Cluster));
    }

    #[test]
    fn the_asterisk_is_for_options_alone() {
        let uri = Uri::from_static("*");
        assert_eq!(route(&Method::OPTIONS, &uri, http::Version::HTTP_11), Ok(Route::Cluster));
        assert_eq!(route(&Method::GET, &uri, http::Version::HTTP_11), Err(PathError::NotOriginForm));
    }

    proptest! {
        #[test]
        fn no_accepted_path_decodes_to_something_else(target in "(/[a-z_.%0-9A-F/]{0,12}){1,4}") {
            if let Ok(found) = path(&target) {
                let trimmed = target.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(&target);
                let decoded: Vec<String> = trimmed.split('/').skip(1).map(|raw| decode(raw).unwrap()).collect();
                prop_assert!(target == "/" || decoded.iter().all(|segment| !matches!(segment.as_str(), "" | "." | "..")));
                let first = decoded.first().map_or("", String::as_str);
                prop_assert_eq!(found == Route::Security, first == "_security");
                prop_assert_eq!(found == Route::Gateway, first == "_gateway");
            }
        }

        #[test]
        fn no_input_panics(target in ".{0,64}") {
            let _verdict = judged(&target);
        }
    }
}
