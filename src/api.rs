//! What the gateway answers itself: `/_security` and `/_gateway`.

use std::sync::Arc;

use http::{Request, Response, request::Parts};

use crate::{body::Body, listener::peer::Peer, model::Principal};

/// The router and what its resources need.
#[derive(Debug)]
pub struct Api {}

impl Api {
    /// Answers a request of a proven caller.
    pub async fn answer(&self, request: Request<Body>, principal: Arc<Principal>, peer: &Peer) -> Response<Body> {
        let _ = (request, principal, peer);
        todo!()
    }

    /// Answers `OPTIONS`, which needs no credentials.
    #[must_use]
    pub fn options(&self, parts: &Parts) -> Response<Body> {
        let _ = parts;
        todo!()
    }
}
