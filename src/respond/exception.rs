//! An exception as Elasticsearch writes it: kind, reason, metadata, cause, challenges.

use serde_json::{Map, Value, json};

/// One exception, with its causes behind it.
#[derive(Clone, Debug)]
pub struct Exception {
    kind: &'static str,
    reason: Box<str>,
    metadata: Vec<(&'static str, Value)>,
    cause: Option<Box<Exception>>,
    /// Told as the root cause in place of the innermost exception.
    root: Option<Box<Exception>>,
    challenges: &'static [&'static str],
}

impl Exception {
    /// An exception without a cause.
    #[must_use]
    pub fn new(kind: &'static str, reason: impl Into<Box<str>>) -> Self {
        Self { kind, reason: reason.into(), metadata: Vec::new(), cause: None, root: None, challenges: &[] }
    }

    /// `illegal_argument_exception`.
    #[must_use]
    pub fn argument(reason: impl Into<Box<str>>) -> Self {
        Self::new("illegal_argument_exception", reason)
    }

    /// `parse_exception`.
    #[must_use]
    pub fn parse(reason: impl Into<Box<str>>) -> Self {
        Self::new("parse_exception", reason)
    }

    /// `x_content_parse_exception`.
    #[must_use]
    pub fn content(reason: impl Into<Box<str>>) -> Self {
        Self::new("x_content_parse_exception", reason)
    }

    /// Adds what caused it.
    #[must_use]
    pub fn because(mut self, cause: Self) -> Self {
        self.cause = Some(Box::new(cause));
        self
    }

    /// Adds what is told as the root cause: the root of `exception`.
    #[must_use]
    pub fn rooted_in(mut self, exception: &Self) -> Self {
        self.root = Some(Box::new(exception.root().clone()));
        self
    }

    /// It and its causes as a member of a body.
    #[must_use]
    pub fn shown(&self) -> Value {
        self.object(true).into()
    }

    /// Adds a key beside `type` and `reason`.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.metadata.push((key, value.into()));
        self
    }

    /// Adds the challenges of a 401.
    #[must_use]
    pub fn challenged(mut self, challenges: &'static [&'static str]) -> Self {
        self.challenges = challenges;
        self
    }

    /// Its cause, where both are of Elasticsearch's own kinds.
    #[must_use]
    pub fn native_cause(&self) -> Option<&Self> {
        self.cause.as_deref().filter(|cause| self.is_native() && cause.is_native())
    }

    /// What it says.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Values of `WWW-Authenticate`.
    #[must_use]
    pub fn challenges(&self) -> &'static [&'static str] {
        self.challenges
    }

    /// The whole error body.
    #[must_use]
    pub fn body(&self, status: u16) -> Value {
        let mut error = Map::new();
        error.insert("root_cause".into(), json!([self.root().object(false)]));
        error.extend(self.object(true));
        json!({ "error": error, "status": status })
    }

    fn object(&self, with_cause: bool) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("type".into(), self.kind.into());
        object.insert("reason".into(), (*self.reason).into());
        object.extend(self.metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        if let (true, Some(cause)) = (with_cause, &self.cause) {
            object.insert("caused_by".into(), cause.object(true).into());
        }
        match self.challenges {
            [] => {}
            [one] => drop(object.insert("header".into(), json!({ "WWW-Authenticate": one }))),
            several => drop(object.insert("header".into(), json!({ "WWW-Authenticate": several }))),
        }
        object
    }

    /// The innermost exception of Elasticsearch's own; the Java library's beneath it are not told as root causes.
    fn root(&self) -> &Self {
        if let Some(root) = &self.root {
            return root;
        }
        self.native_cause().map_or(self, Self::root)
    }

    fn is_native(&self) -> bool {
        matches!(
            self.kind,
            "parse_exception"
                | "parsing_exception"
                | "query_shard_exception"
                | "role_restriction_exception"
                | "security_exception"
                | "status_exception"
                | "x_content_parse_exception"
        )
    }
}
