//! TLS to the cluster.

use std::sync::Arc;

use rustls::ClientConfig;

use crate::config::UpstreamSsl;

/// TLS material for the cluster that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientTlsError {
    /// Room for the real ones.
    #[error("unusable")]
    Unusable,
}

/// Reads CAs and the client certificate.
///
/// # Errors
///
/// [`ClientTlsError`].
pub fn client_tls(ssl: &UpstreamSsl) -> Result<Arc<ClientConfig>, ClientTlsError> {
    let _ = ssl;
    todo!()
}
