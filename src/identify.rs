//! Proves who calls: `Evidence`, the realm chain, its cache.

use std::sync::Arc;

use http::HeaderMap;

pub mod error;

pub use error::{Challenge, IdentifyError, Refusal};

use crate::{
    listener::peer::Peer,
    model::{Principal, Timestamp},
};

/// What a request shows of its caller.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Raw path and query: failure texts quote it.
    pub target: &'a str,
    /// The far end of its connection.
    pub peer: &'a Peer,
}

/// The realm chain in configured order, and what it remembers.
#[derive(Debug)]
pub struct Realms {}

impl Realms {
    /// Who calls, if it is in memory and not past its deadline at `now`. No lock, no allocation.
    #[must_use]
    pub fn recall(&self, evidence: &Evidence<'_>, now: Timestamp) -> Option<Arc<Principal>> {
        let _ = (evidence, now);
        todo!()
    }

    /// Asks the realms.
    ///
    /// # Errors
    ///
    /// [`IdentifyError`].
    pub async fn identify(&self, evidence: &Evidence<'_>) -> Result<Arc<Principal>, IdentifyError> {
        let _ = evidence;
        todo!()
    }
}
