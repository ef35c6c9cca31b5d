//! Why a request of the API fails, and what the client reads of it.

use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

use crate::{
    body::{Body, BodyError},
    respond::{Exception, Rejection, RequestFacts, es},
    store::StoreError,
};

/// Why the API does not do what it was asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// An exception; 400 unless said otherwise.
    Exception(StatusCode, Exception),
    /// A refused token grant, in the words of RFC 6749. 400.
    Grant { error: &'static str, description: String },
    /// The path exists, not with this method. 405.
    Method { text: String, allow: String },
    /// What the pipeline refuses too.
    Rejection(Rejection),
    /// A bare text instead of an exception, with the status inside or not.
    Text { status: StatusCode, text: String, numbered: bool },
}

impl From<Exception> for Failure {
    fn from(exception: Exception) -> Self {
        Self::Exception(StatusCode::BAD_REQUEST, exception)
    }
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Self::Rejection(rejection)
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        Self::Rejection(error.into())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Rejection(error.into())
    }
}

impl Failure {
    /// What the client reads.
    pub(super) fn response(&self, facts: &RequestFacts<'_>) -> Response<Body> {
        match self {
            Self::Exception(status, exception) => es::exceptional(*status, exception, facts),
            Self::Grant { error, description } => {
                let body = json!({ "error": error, "error_description": description });
                es::answer(StatusCode::BAD_REQUEST, &body, facts)
            }
            Self::Method { text, allow } => {
                let body = json!({ "error": text, "status": 405 });
                let mut response = es::answer(StatusCode::METHOD_NOT_ALLOWED, &body, facts);
                if let Ok(allow) = HeaderValue::from_str(allow) {
                    response.headers_mut().insert(header::ALLOW, allow);
                }
                response
            }
            Self::Rejection(rejection) => es::response(rejection, facts),
            Self::Text { status, text, numbered } => {
                let body = if *numbered {
                    json!({ "error": text, "status": status.as_u16() })
                } else {
                    json!({ "error": text })
                };
                es::answer(*status, &body, facts)
            }
        }
    }
}

/// Collects what is wrong with a request that could be read.
#[derive(Debug, Default)]
pub(super) struct Validation(Vec<String>);

impl Validation {
    /// Adds a fault when there is one.
    pub(super) fn refuse(&mut self, wrong: bool, text: impl Into<String>) {
        if wrong {
            self.0.push(text.into());
        }
    }

    /// All faults, numbered; `None` when there is none.
    pub(super) fn text(&self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let faults: Vec<String> = (1..).zip(&self.0).map(|(number, text)| format!("{number}: {text};")).collect();
        Some(format!("Validation Failed: {}", faults.concat()))
    }

    /// # Errors
    ///
    /// The exception of that kind, when there is a fault.
    pub(super) fn finish(&self, kind: &'static str) -> Result<(), Exception> {
        self.text().map_or(Ok(()), |text| Err(Exception::new(kind, text)))
    }
}

/// Kind of the exception for a request that was read and makes no sense.
pub(super) const INVALID_REQUEST: &str = "action_request_validation_exception";
