//! TLS of a listener: certificates by SNI, client certificates, reload without dropping a connection.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::{
    CertificateError, RootCertStore, ServerConfig, SupportedProtocolVersion,
    client::{verify_server_cert_signed_by_trust_anchor, verify_server_name},
    crypto::{CryptoProvider, aws_lc_rs as provider},
    pki_types::{ServerName, UnixTime},
    server::{
        ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert, VerifierBuilderError,
        WebPkiClientVerifier, danger::ClientCertVerifier,
    },
    sign::CertifiedKey,
};

use crate::{
    config::{ClientAuthentication, ListenerSsl, TlsVersion},
    pem::{self, FilesDigest, IdentityFiles, PemError, PemFile},
};

/// A listener's TLS as of the last good reading of its files.
///
/// A handshake takes the configuration of its moment with it, so a reload touches no open connection.
#[derive(Debug)]
pub struct Reloading {
    current: ArcSwap<ServerConfig>,
    /// The settings and the digest of the files behind `current`; held while they are read again.
    seen: Mutex<(ListenerSsl, FilesDigest)>,
}

/// TLS material of a listener that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ServerTlsError {
    /// A certificate, key or CA file.
    #[error(transparent)]
    File(#[from] PemError),
    /// Client certificates are asked for, but nobody may have signed them.
    #[error("client_authentication needs certificate_authorities")]
    NoAuthorities(#[source] VerifierBuilderError),
    /// There is nothing to show to clients.
    #[error("no certificate is configured")]
    NoCertificate,
    /// A combination that the TLS library refuses.
    #[error("unusable TLS settings")]
    Refused(#[source] rustls::Error),
}

impl Reloading {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`ServerTlsError`].
    pub fn new(ssl: ListenerSsl) -> Result<Self, ServerTlsError> {
        let material = Material::read(&ssl)?;
        let current = ArcSwap::from_pointee(material.configure(&ssl)?);
        Ok(Self { current, seen: Mutex::new((ssl, material.seen())) })
    }

    /// What new connections use.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// Takes over `ssl` and what its files hold now; returns whether anything changed.
    ///
    /// # Errors
    ///
    /// [`ServerTlsError`]; the old settings and material stay.
    pub fn reload(&self, ssl: &ListenerSsl) -> Result<bool, ServerTlsError> {
        let mut seen = self.seen.lock();
        let material = Material::read(ssl)?;
        let found = (ssl.clone(), material.seen());
        if *seen == found {
            return Ok(false);
        }
        self.current.store(Arc::new(material.configure(ssl)?));
        *seen = found;
        Ok(true)
    }
}

/// All files of a listener, read once: what is compared is what is used.
struct Material {
    identities: Vec<IdentityFiles>,
    authorities: Vec<PemFile>,
}

impl Material {
    fn read(ssl: &ListenerSsl) -> Result<Self, PemError> {
        Ok(Self {
            identities: ssl.certificates.iter().map(IdentityFiles::read).collect::<Result<_, _>>()?,
            authorities: ssl
                .certificate_authorities
                .iter()
                .map(|file| PemFile::read(file))
                .collect::<Result<_, _>>()?,
        })
    }

    fn seen(&self) -> FilesDigest {
        let files = self.identities.iter().flat_map(|files| [files.certificate(), files.key()]);
        pem::digest(files.chain(&self.authorities))
    }

    fn configure(&self, ssl: &ListenerSsl) -> Result<ServerConfig, ServerTlsError> {
        let provider = Arc::new(provider::default_provider());
        let mut identities = Vec::with_capacity(self.identities.len());
        for (files, names) in self.identities.iter().zip(&ssl.certificates) {
            let identity = files.load(&provider)?;
            if is_out_of_time(&identity, &provider) {
                // It serves on: to refuse would help nobody.
                let file = names.certificate.display();
                tracing::warn!(%file, "certificate is expired or not valid yet");
            }
            identities.push(identity);
        }
        let identities = ByName::new(identities).ok_or(ServerTlsError::NoCertificate)?;
        let verifier = self.verifier(ssl.client_authentication, &provider)?;
        let versions: Vec<_> = ssl.supported_protocols.iter().copied().map(version).collect();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(ServerTlsError::Refused)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(identities));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Sessions live in tickets on the client's side; nothing is kept here. The ticket key is new with each
        // configuration, so a client certificate that new CAs refuse does not come back in an old ticket.
        config.ticketer = provider::Ticketer::new().map_err(ServerTlsError::Refused)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // One ticket a handshake: a client that resumes gets the next one with it.
        config.send_tls13_tickets = 1;
        Ok(config)
    }

    fn verifier(
        &self,
        asked: ClientAuthentication,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, ServerTlsError> {
        if asked == ClientAuthentication::None {
            return Ok(WebPkiClientVerifier::no_client_auth());
        }
        let roots = Arc::new(pem::authorities(&self.authorities)?);
        let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
        let builder = if asked == ClientAuthentication::Optional { builder.allow_unauthenticated() } else { builder };
        builder.build().map_err(ServerTlsError::NoAuthorities)
    }
}

/// Certificates by the name that a client asks for.
#[derive(Debug)]
struct ByName {
    /// For clients that name none, as all do that connect to an address, and for unknown names.
    default: Arc<CertifiedKey>,
    others: Vec<Arc<CertifiedKey>>,
}

impl ByName {
    fn new(identities: Vec<Arc<CertifiedKey>>) -> Option<Self> {
        let mut identities = identities.into_iter();
        Some(Self { default: identities.next()?, others: identities.collect() })
    }

    /// The first certificate that bears `name`, exactly or by a wildcard.
    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        if self.others.is_empty() {
            return None;
        }
        let name = ServerName::try_from(name).ok()?;
        let bears = |identity: &&Arc<CertifiedKey>| {
            let certificate = identity.end_entity_cert().and_then(ParsedCertificate::try_from);
            certificate.and_then(|certificate| verify_server_name(&certificate, &name)).is_ok()
        };
        std::iter::once(&self.default).chain(&self.others).find(bears)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.find(name));
        Some(Arc::clone(named.unwrap_or(&self.default)))
    }
}

/// Whether the certificate is expired or not valid yet.
fn is_out_of_time(identity: &CertifiedKey, provider: &CryptoProvider) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    use rustls::Error::InvalidCertificate;

    // Without roots every certificate is refused, but one out of its time for that reason first.
    let verdict = identity.end_entity_cert().and_then(ParsedCertificate::try_from).and_then(|certificate| {
        let algorithms = provider.signature_verification_algorithms.all;
        let nobody = RootCertStore::empty();
        verify_server_cert_signed_by_trust_anchor(&certificate, &nobody, &[], UnixTime::now(), algorithms)
    });
    matches!(
        verdict,
        Err(InvalidCertificate(Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. }))
    )
}

fn version(version: TlsVersion) -> &'static SupportedProtocolVersion {
    match version {
        TlsVersion::V12 => &rustls::version::TLS12,
        TlsVersion::V13 => &rustls::version::TLS13,
    }
}

#[cfg(test)]
mod tests;
