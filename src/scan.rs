//! Index names in bodies: what a request names besides its path, and what is left out of it.
//!
//! Bytes in, names and bytes out; this knows neither HTTP nor callers. [`Bulk`] filters a bulk as it streams by, [`Documents`]
//! and [`Searches`] judge the items of the other composite requests (page 14.2), [`Merge`] puts the answers of what was left out
//! into the cluster's answer. The rest reads one whole body, whose length its caller bounds, and reports the names in it: until the
//! last of them is judged, nothing of it may go on.
//!
//! Nothing is guessed: what this cannot read exactly as the cluster would is a [`ScanError`], and no limited caller gets it
//! through. Hence no comments, no repeated keys, no byte order mark, nothing after the end, though clusters accept some of them.

mod action;
mod alias;
mod bulk;
mod context_answer;
mod contexts;
mod create;
mod documents;
mod inflate;
mod json;
mod language;
mod media;
mod merge;
mod refused;
mod reindex;
mod search;
mod searches;

use std::{borrow::Cow, ops::Range, sync::Arc};

pub use alias::{AliasAction, AliasBody, AliasVerb};
pub use bulk::{Bulk, Item, Op};
pub use context_answer::{ContextAnswer, IdKey, Seal, Unsealed};
pub use contexts::ContextIds;
pub use create::{Creation, Mapping};
pub use documents::{Document, DocumentKind, Documents, termvectors};
pub use inflate::Inflate;
pub use language::{Language, Sources};
pub use media::{accepts_json, is_json, keeps_every_item};
pub use merge::Merge;
pub use refused::{List, Refused};
pub use reindex::Reindex;
pub use search::{Mention, Mentions, Purpose};
pub use searches::{SearchItem, SearchJudgement, Searches};

/// Why a body cannot be judged. [`ScanError::Opaque`] is what a caller who may do everything could still ask for; the others are
/// faults of the body, or of its length.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ScanError {
    /// A key stands twice in one object: readers differ in which one counts.
    #[error("a key is repeated at byte {at}")]
    Duplicate {
        /// Where, from the beginning of the body or line.
        at: usize,
    },
    /// Not gzip, or damaged.
    #[error("the body is not the gzip that it is said to be")]
    Gzip,
    /// Not the strict JSON that every reader understands alike.
    #[error("not strict JSON at byte {at}")]
    Json {
        /// Where, from the beginning of the body or line.
        at: usize,
    },
    /// Strict JSON of a shape that this request does not have. The cluster would refuse it, or read it in its own way.
    #[error("{0}")]
    Malformed(&'static str),
    /// It may name indices in a way that cannot be told from outside.
    #[error("the indices of {0} cannot be told")]
    Opaque(&'static str),
    /// More than is kept of one request.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What of the request.
        what: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
}

/// A name as a body has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name<'a> {
    /// Unescaped. An expression where the cluster takes one: wildcards, exclusions, date math, aliases.
    pub text: Cow<'a, str>,
    /// Where its value stands in the body, quotes included, for [`replace`].
    pub span: Range<usize>,
}

/// What is to become of one item of a composite request.
#[derive(Clone, Debug)]
pub enum Judgement {
    /// It goes on as it came.
    Pass,
    /// It is left out, and answered in place.
    Refuse(Refusal),
}

/// How an item that was left out is answered.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// 403 `security_exception` with this reason.
    Denied(Arc<str>),
    /// 404 `index_not_found_exception`, as the original has it for a missing index in `_mget`.
    NotFound,
}

/// `body` with other values at some spans, given in ascending order. Each text is a whole JSON value.
///
/// A span that is not within the body, or before the previous one, is left as it is.
#[must_use]
pub fn replace(body: &[u8], values: &[(Range<usize>, String)]) -> Vec<u8> {
    let mut written = Vec::with_capacity(body.len());
    let mut from = 0;
    for (span, value) in values {
        let Some(kept) = body.get(from..span.start).filter(|_| span.start <= span.end) else { continue };
        written.extend_from_slice(kept);
        written.extend_from_slice(value.as_bytes());
        from = span.end;
    }
    written.extend_from_slice(body.get(from..).unwrap_or_default());
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_replaced_at_their_spans() {
        assert_eq!(replace(b"[1,2,3]", &[(1..2, "10".to_owned()), (5..6, "{}".to_owned())]), b"[10,2,{}]");
    }

    #[test]
    fn a_span_out_of_order_or_place_is_left_as_it_is() {
        assert_eq!(replace(b"[1,2]", &[(3..4, "x".to_owned()), (1..2, "y".to_owned())]), b"[1,x]");
        assert_eq!(replace(b"[1]", &[(7..9, "x".to_owned())]), b"[1]");
    }
}
