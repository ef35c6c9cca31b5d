//! What lets a request go on to the cluster.

use std::sync::Arc;

use http::{Method, uri::PathAndQuery};

use super::{Judged, Sealer};
use crate::{config::Shape, identify::IdentifyError, model::Principal};

/// Proof that somebody judged a request. Its fields are for `authorize` alone, so nobody else makes one.
#[derive(Debug)]
pub struct Permit {
    pub(super) grant: Grant,
    /// What goes on in place of the caller's target.
    pub(super) target: Option<Box<PathAndQuery>>,
    /// What becomes of a body of which something may be left out.
    pub(super) judged: Option<Judged>,
    /// How the ids of its answer are sealed.
    pub(super) contexts: Option<Box<Sealer>>,
    /// Whether the body is read, and so goes on plain.
    pub(super) read: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Grant {
    /// `OPTIONS`: forwarded without credentials.
    Bare,
    /// The gateway's own question.
    Gateway,
    /// The cluster judges the caller's own credential.
    PassThrough,
    /// A principal who may do this.
    Principal(Arc<Principal>),
    /// The cluster judges the token of the caller's session.
    Session,
    /// A sidecar's callers prove nothing; the cluster judges the gateway's identity.
    Sidecar,
}

impl Permit {
    /// For `OPTIONS`, which needs no credentials and is forwarded with none; for no other method.
    #[must_use]
    pub fn options(method: &Method) -> Option<Self> {
        (method == Method::OPTIONS).then_some(Self::new(Grant::Bare))
    }

    /// For callers whose credential no realm here claims: the cluster will judge it. Others stay refused.
    #[must_use]
    pub fn passthrough(refusal: &IdentifyError) -> Option<Self> {
        refusal.is_unclaimed().then_some(Self::new(Grant::PassThrough))
    }

    /// For the callers of a broker listener, and of no other: the cluster judges the token of their session, or the
    /// credential of their `own`.
    #[must_use]
    pub fn broker(shape: Shape, own: bool) -> Option<Self> {
        let grant = if own { Grant::PassThrough } else { Grant::Session };
        (shape == Shape::Broker).then_some(Self::new(grant))
    }

    /// For the callers of a sidecar listener, and of no other.
    #[must_use]
    pub fn sidecar(shape: Shape) -> Option<Self> {
        (shape == Shape::Sidecar).then_some(Self::new(Grant::Sidecar))
    }

    pub(super) fn new(grant: Grant) -> Self {
        Self { grant, target: None, judged: None, contexts: None, read: false }
    }

    /// For a question of the gateway's own.
    pub(super) fn question(target: &'static str) -> Self {
        Self { target: Some(Box::new(PathAndQuery::from_static(target))), ..Self::new(Grant::Gateway) }
    }

    /// What goes on in place of the caller's path and query, if not they.
    #[must_use]
    pub fn target(&self) -> Option<&PathAndQuery> {
        self.target.as_deref()
    }

    /// Whether the body is read here, and so goes on plain.
    #[must_use]
    pub fn has_read(&self) -> bool {
        self.read
    }

    /// What becomes of a body of which something may be left out: the answer must be told.
    pub fn take_judged(&mut self) -> Option<Judged> {
        self.judged.take()
    }

    /// How the ids of scrolls and their like in the answer are sealed for the caller.
    pub fn take_contexts(&mut self) -> Option<Box<Sealer>> {
        self.contexts.take()
    }

    /// Who was judged, where somebody was.
    #[must_use]
    pub fn principal(&self) -> Option<&Arc<Principal>> {
        match &self.grant {
            Grant::Principal(principal) => Some(principal),
            _ => None,
        }
    }

    /// Whether the caller's own credential goes to the cluster.
    #[must_use]
    pub fn passes_through(&self) -> bool {
        matches!(self.grant, Grant::PassThrough)
    }

    /// Whether the request goes without any credential.
    #[must_use]
    pub fn goes_bare(&self) -> bool {
        matches!(self.grant, Grant::Bare)
    }
}
