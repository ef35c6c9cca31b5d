//! Reads a request target exactly as the cluster reads it, or refuses it (contract section 5).

/// Why a target is refused. 400.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PathError {
    /// Not `/path?query`.
    #[error("the request target is not in origin form")]
    NotOriginForm,
    /// A raw byte that is not printable ASCII.
    #[error("the request target holds a byte that is not printable ASCII")]
    NotAscii,
    /// A `%` without two hexadecimal digits.
    #[error("the request target holds a bad percent escape")]
    BadEscape,
    /// Bytes that are not UTF-8 once decoded.
    #[error("the request target is not UTF-8 once decoded")]
    NotUtf8,
    /// A control character or NUL once decoded.
    #[error("the request target holds a control character")]
    Control,
    /// An empty segment.
    #[error("the request path holds an empty segment")]
    EmptySegment,
    /// A segment that is or decodes to `.` or `..`.
    #[error("the request path holds a dot segment")]
    DotSegment,
    /// A first segment that becomes `_security` or `_gateway` only once decoded.
    #[error("the request path hides a reserved name")]
    HiddenReserved,
}
