//! TLS of a listener: certificates by SNI, client certificates, reload without dropping a connection.

use std::sync::Arc;

use rustls::ServerConfig;

use crate::config::ListenerSsl;

/// A listener's TLS as of the last good reading of its files.
#[derive(Debug)]
pub struct Reloading {}

/// TLS material of a listener that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ServerTlsError {
    /// Room for the real ones.
    #[error("unusable")]
    Unusable,
}

impl Reloading {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`ServerTlsError`].
    pub fn new(ssl: ListenerSsl) -> Result<Self, ServerTlsError> {
        let _ = ssl;
        todo!()
    }

    /// What new connections use.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        todo!()
    }

    /// Reads the files again where their content changed; returns whether it did.
    ///
    /// # Errors
    ///
    /// [`ServerTlsError`]; the old material stays.
    pub fn reload(&self) -> Result<bool, ServerTlsError> {
        todo!()
    }
}
