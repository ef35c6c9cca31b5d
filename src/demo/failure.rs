//! Errors of the demo cluster, in Elasticsearch's shape.

use http::StatusCode;
use serde_json::{Value, json};

/// An error as Elasticsearch words it.
#[derive(Debug)]
pub struct Failure {
    /// Its status.
    pub status: StatusCode,
    kind: &'static str,
    reason: String,
}

impl Failure {
    /// Any error.
    #[must_use]
    pub fn new(status: StatusCode, kind: &'static str, reason: String) -> Self {
        Self { status, kind, reason }
    }

    /// A request that makes no sense.
    #[must_use]
    pub fn illegal(reason: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "illegal_argument_exception", reason)
    }

    /// A body that is not understood.
    #[must_use]
    pub fn parsing(reason: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "parsing_exception", reason)
    }

    /// A document that is none.
    #[must_use]
    pub fn document(error: &dyn std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "document_parsing_exception", format!("failed to parse: {error}"))
    }

    /// An index that is not there.
    #[must_use]
    pub fn no_index(name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "index_not_found_exception", format!("no such index [{name}]"))
    }

    /// What `error` holds in an item of `_bulk`.
    #[must_use]
    pub fn cause(&self) -> Value {
        json!({"type": self.kind, "reason": self.reason})
    }

    /// The whole error body.
    #[must_use]
    pub fn body(&self) -> Value {
        let cause = self.cause();
        json!({"error": {"root_cause": [cause], "type": self.kind, "reason": self.reason},
               "status": self.status.as_u16()})
    }
}
