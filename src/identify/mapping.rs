//! The roles that role mappings add to a caller of a realm that keeps no roles itself: jwt and pki.

use std::future::{Ready, ready};

use serde_json::{Map, Value};

use crate::identify::IdentifyError;

/// What the rules of role mappings are asked about.
#[expect(dead_code, reason = "read by the rules of role mappings, which are stored by nobody yet")]
#[derive(Clone, Copy, Debug)]
pub(super) struct MappingFacts<'a> {
    pub(super) username: &'a str,
    /// Subject of the certificate, if there is one.
    pub(super) dn: Option<&'a str>,
    pub(super) groups: &'a [Box<str>],
    pub(super) metadata: &'a Map<String, Value>,
    pub(super) realm: &'a str,
}

/// The one place where mapped roles come from. No mapping is stored yet, so there are none.
pub(super) fn roles_for(facts: MappingFacts<'_>) -> Ready<Result<Vec<Box<str>>, IdentifyError>> {
    tracing::trace!(?facts, "no role mapping is stored");
    ready(Ok(Vec::new()))
}
