//! How the cluster is told who calls (contract section 4).

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{
    authorize::Permit,
    config::IdentityKind,
    forward::ForwardError,
    model::{Principal, Timestamp},
    upstream::Product,
};

mod issuer;
mod key;

pub use issuer::Issuer;
pub use key::KeyError;

/// What a listener tells the cluster of its callers.
#[derive(Clone, Debug)]
pub enum Identity {
    /// A signed token, which is the credential too.
    Jwt(Arc<Issuer>),
    /// Nothing.
    None,
    /// Headers that proxy authentication reads.
    ProxyHeaders,
    /// Whom to run the request as.
    RunAs,
}

impl Identity {
    /// As configured. Keeps up to `tokens` signed tokens.
    ///
    /// # Errors
    ///
    /// [`KeyError`]: the key file cannot be used.
    pub fn new(kind: &IdentityKind, tokens: usize) -> Result<Self, KeyError> {
        Ok(match kind {
            IdentityKind::Jwt(jwt) => Self::Jwt(Arc::new(Issuer::new(jwt.clone(), tokens)?)),
            IdentityKind::None => Self::None,
            IdentityKind::ProxyHeaders => Self::ProxyHeaders,
            IdentityKind::RunAs => Self::RunAs,
        })
    }

    /// Who signs, where tokens tell.
    #[must_use]
    pub fn issuer(&self) -> Option<&Arc<Issuer>> {
        match self {
            Self::Jwt(issuer) => Some(issuer),
            _ => None,
        }
    }

    /// Whether a request of that permit is sent with a token that this gateway has signed: a cluster that refuses it
    /// refuses the gateway, not the caller.
    #[must_use]
    pub fn signs(&self, permit: &Permit) -> bool {
        self.issuer().is_some() && permit.principal().is_some()
    }

    /// Tells the cluster who calls, where somebody was judged.
    ///
    /// # Errors
    ///
    /// [`ForwardError::Unnameable`] and [`ForwardError::Unsigned`]: the request must not go on in the gateway's own name.
    pub fn tell(
        &self,
        headers: &mut HeaderMap,
        permit: &Permit,
        product: Product,
        now: impl FnOnce() -> Timestamp,
    ) -> Result<(), ForwardError> {
        let Some(principal) = permit.principal() else { return Ok(()) };
        // What only the cluster can apply needs one that is known to read what it is told.
        let heard = match self {
            Self::ProxyHeaders => product == Product::Opensearch,
            Self::RunAs => product != Product::Unknown,
            Self::Jwt(_) | Self::None => false,
        };
        if principal.privileges.leans_on_cluster() && !heard {
            return Err(ForwardError::Unnameable);
        }
        match self {
            Self::Jwt(issuer) => {
                headers.insert(header::AUTHORIZATION, issuer.authorization(principal, now())?);
            }
            Self::None => {}
            Self::ProxyHeaders => {
                headers.insert(X_PROXY_USER, told(&principal.identity.username)?);
                headers.insert(X_PROXY_ROLES, roles(principal)?);
            }
            Self::RunAs => {
                let name = told(&principal.identity.username)?;
                // Each product ignores the other's header, and so would run the request as the gateway: a cluster that has
                // not told what it is is shown both.
                if product != Product::Elasticsearch {
                    headers.insert(IMPERSONATE_AS, name.clone());
                }
                if product != Product::Opensearch {
                    headers.insert(RUN_AS, name);
                }
            }
        }
        Ok(())
    }
}

/// A name as a header carries it. The cluster decodes other bytes as Latin-1 and trims blanks, and so would read
/// somebody else's.
fn told(name: &str) -> Result<HeaderValue, ForwardError> {
    if name.is_empty() || name.trim() != name || !name.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(ForwardError::Unnameable);
    }
    HeaderValue::from_str(name).map_err(|_| ForwardError::Unnameable)
}

/// Roles as a header carries them: apart by commas, which none may hold.
fn roles(principal: &Principal) -> Result<HeaderValue, ForwardError> {
    let roles = &principal.identity.roles;
    if roles.iter().any(|role| role.contains(',') || told(role).is_err()) {
        return Err(ForwardError::Unnameable);
    }
    HeaderValue::from_str(&roles.join(",")).map_err(|_| ForwardError::Unnameable)
}

const IMPERSONATE_AS: HeaderName = HeaderName::from_static("opendistro_security_impersonate_as");
const RUN_AS: HeaderName = HeaderName::from_static("es-security-runas-user");
const X_PROXY_ROLES: HeaderName = HeaderName::from_static("x-proxy-roles");
const X_PROXY_USER: HeaderName = HeaderName::from_static("x-proxy-user");
