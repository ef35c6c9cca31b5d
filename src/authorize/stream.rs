//! A bulk is judged while it goes on: what a caller may not do is cut out, and answered in place.
//!
//! Clusters may run the beginning of a bulk before they have its end. What has gone on was judged item by item, so a bulk
//! that turns out to be none is broken off where that shows, as the cluster itself would do.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

use super::{
    content::{Judge, PATIENCE},
    explain::Notes,
    pipelines::Staying,
    refusal::AuthorizeError,
    resolve::Catalog,
    routes::Route,
};
use crate::{
    body::{Body, BodyError, Filter, Filtered},
    model::{Principal, Timestamp},
    scan::{Bulk, Inflate, Judgement, Op, Refused, ScanError},
};

/// What becomes of a body that is judged, maybe while it goes on.
#[derive(Clone, Debug, Default)]
pub struct Judged(Arc<Mutex<Outcome>>);

#[derive(Debug, Default)]
struct Outcome {
    /// What was left out, once that is known.
    refused: Option<Refused>,
    /// Why it was broken off.
    error: Option<AuthorizeError>,
}

impl Judged {
    /// A body that was judged as a whole.
    pub(super) fn whole(refused: Refused) -> Self {
        Self(Arc::new(Mutex::new(Outcome { refused: Some(refused), error: None })))
    }

    /// What was left out, for the answer to be told. None while it is not known.
    #[must_use]
    pub fn take_refused(&self) -> Option<Refused> {
        self.with(|outcome| outcome.refused.take())
    }

    /// Why the body was broken off, if it was.
    #[must_use]
    pub fn take_error(&self) -> Option<AuthorizeError> {
        self.with(|outcome| outcome.error.take())
    }

    /// Whether it is known that nothing was left out.
    pub(super) fn is_untouched(&self) -> bool {
        self.with(|outcome| outcome.refused.as_ref().is_some_and(Refused::is_empty))
    }

    fn with<T>(&self, look: impl FnOnce(&mut Outcome) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Filters a bulk for one caller.
pub(super) struct BulkFilter {
    principal: Arc<Principal>,
    route: Arc<Route>,
    index: Box<str>,
    catalog: Arc<Catalog>,
    pipelines: Option<Arc<Staying>>,
    now: Timestamp,
    notes: Notes,
    inflate: Option<Inflate>,
    plain: Vec<Bytes>,
    /// None once it has ended.
    bulk: Option<Bulk>,
    /// Bytes that may still come.
    left: u64,
    limit: u64,
    /// The last verdict: most bulks do the same again and again.
    last: Option<(Op, Box<str>, Judgement)>,
    judged: Judged,
}

/// For whom, and what it may mean.
pub(super) struct Terms<'a> {
    pub(super) principal: &'a Arc<Principal>,
    pub(super) route: &'a Arc<Route>,
    pub(super) index: &'a str,
    pub(super) catalog: Arc<Catalog>,
    pub(super) pipelines: Option<Arc<Staying>>,
    pub(super) now: Timestamp,
    pub(super) notes: Notes,
    pub(super) gzip: bool,
    pub(super) limit: u64,
}

/// Puts a filter before a body, and reads on until something of it passes: what is no bulk from the beginning is
/// refused before the cluster hears of it, and of a short one all is known.
///
/// # Errors
///
/// [`AuthorizeError`]: then `body` is what has not been read of it.
pub(super) async fn begin(terms: Terms<'_>, body: &mut Body) -> Result<Judged, AuthorizeError> {
    let (filter, judged) = BulkFilter::new(terms);
    let mut filtered = Filtered::new(std::mem::take(body), Box::new(filter));
    let begun = tokio::time::timeout(PATIENCE, filtered.prime(FIRST)).await;
    if let Err(error) = begun.unwrap_or(Err(BodyError::Stalled)) {
        *body = filtered.into_source();
        return Err(judged.take_error().unwrap_or_else(|| Arc::new(error).into()));
    }
    *body = filtered.into_body();
    Ok(judged)
}

impl BulkFilter {
    /// A filter, and what will become known by it.
    pub(super) fn new(terms: Terms<'_>) -> (Self, Judged) {
        let judged = Judged::default();
        let limit = terms.limit;
        let filter = Self {
            principal: Arc::clone(terms.principal),
            route: Arc::clone(terms.route),
            index: terms.index.into(),
            catalog: terms.catalog,
            pipelines: terms.pipelines,
            now: terms.now,
            notes: terms.notes,
            inflate: terms.gzip.then(|| Inflate::new(usize::try_from(limit).unwrap_or(usize::MAX))),
            plain: Vec::new(),
            bulk: Some(Bulk::new(Some(terms.index).filter(|index| !index.is_empty()))),
            left: limit,
            limit,
            last: None,
            judged: judged.clone(),
        };
        (filter, judged)
    }

    fn take(&mut self, passed: &mut Vec<Bytes>) -> Result<(), ScanError> {
        let judge = Judge {
            principal: &self.principal,
            route: &self.route,
            index: &self.index,
            catalog: Some(&self.catalog),
            pipelines: self.pipelines.as_deref(),
            keys: None,
            now: self.now,
            notes: &self.notes,
        };
        let (bulk, last) = (&mut self.bulk, &mut self.last);
        for piece in self.plain.drain(..) {
            let Some(bulk) = bulk else { break };
            let mut verdict = |item: &crate::scan::Item<'_>| match last {
                Some((op, index, judgement))
                    if *op == item.op && **index == *item.index && item.pipeline.is_none() && !item.external =>
                {
                    judgement.clone()
                }
                _ => {
                    let judgement = judge.item(item);
                    if item.pipeline.is_none() && !item.external {
                        *last = Some((item.op, item.index.into(), judgement.clone()));
                    }
                    judgement
                }
            };
            bulk.push(&piece, &mut verdict, passed)?;
        }
        Ok(())
    }

    fn inflated(&mut self, piece: Bytes) -> Result<(), ScanError> {
        if let Some(inflate) = &mut self.inflate {
            return inflate.push(&piece, &mut self.plain);
        }
        self.plain.push(piece);
        Ok(())
    }

    fn ended(&mut self, passed: &mut Vec<Bytes>) -> Result<(), ScanError> {
        if let Some(inflate) = self.inflate.take() {
            inflate.finish(&mut self.plain)?;
        }
        self.take(passed)?;
        let refused = self.bulk.take().map(Bulk::finish).transpose()?;
        self.judged.with(|outcome| outcome.refused = refused);
        Ok(())
    }

    /// Keeps why it is broken off.
    fn refuse(&self, error: AuthorizeError) -> BodyError {
        self.judged.with(|outcome| outcome.error = Some(error));
        BodyError::Refused
    }

    fn unread(&self, error: &ScanError) -> BodyError {
        self.refuse(AuthorizeError::unread(&self.principal, &self.route, error))
    }
}

impl Filter for BulkFilter {
    fn push(&mut self, piece: Bytes, passed: &mut Vec<Bytes>) -> Result<(), BodyError> {
        let Some(left) = self.left.checked_sub(piece.len() as u64) else {
            return Err(self.refuse(Arc::new(BodyError::TooLarge { limit: self.limit }).into()));
        };
        self.left = left;
        self.inflated(piece).and_then(|()| self.take(passed)).map_err(|error| self.unread(&error))
    }

    fn step(&self) -> usize {
        if self.inflate.is_some() { PACKED } else { usize::MAX }
    }

    fn finish(&mut self, passed: &mut Vec<Bytes>) -> Result<(), BodyError> {
        self.ended(passed).map_err(|error| self.unread(&error))
    }
}

impl fmt::Debug for BulkFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkFilter").finish_non_exhaustive()
    }
}

/// Gzip that is inflated at once: it may become a thousand times as many.
const PACKED: usize = 4096;
/// What is read of a bulk before its head goes on.
const FIRST: usize = 64 * 1024;

#[cfg(test)]
mod tests;
