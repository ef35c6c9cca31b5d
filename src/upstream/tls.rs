//! TLS to the cluster.

use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{WebPkiSupportedAlgorithms, aws_lc_rs as provider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
    sign::SingleCertAndKey,
};

use crate::{
    config::{UpstreamSsl, VerificationMode},
    pem::{self, IdentityFiles, PemError, PemFile},
};

/// TLS material for the cluster that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientTlsError {
    /// A certificate, key or CA file.
    #[error(transparent)]
    File(#[from] PemError),
    /// No CA is named and the system has none.
    #[error("the system has no CA certificates; name some in certificate_authorities")]
    NoSystemAuthorities,
    /// A combination that the TLS library refuses.
    #[error("unusable TLS settings")]
    Refused(#[source] rustls::Error),
}

/// Reads CAs and the client certificate.
///
/// # Errors
///
/// [`ClientTlsError`].
pub fn client_tls(ssl: &UpstreamSsl) -> Result<Arc<ClientConfig>, ClientTlsError> {
    let provider = Arc::new(provider::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let verifier: Arc<dyn ServerCertVerifier> = match ssl.verification_mode {
        VerificationMode::None => Arc::new(Unverified(algorithms)),
        VerificationMode::Certificate | VerificationMode::Full => Arc::new(Verified {
            roots: roots(ssl)?,
            fingerprint: ssl.ca_trusted_fingerprint,
            name: ssl.verification_mode == VerificationMode::Full,
            algorithms,
        }),
    };
    let identity = match &ssl.client {
        Some(files) => Some(IdentityFiles::read(files)?.load(&provider)?),
        None => None,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ClientTlsError::Refused)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity))),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Digest of the files that [`client_tls`] reads, to tell whether they changed.
///
/// # Errors
///
/// A file that cannot be read.
pub fn seen(ssl: &UpstreamSsl) -> Result<pem::FilesDigest, ClientTlsError> {
    let client = ssl.client.iter().flat_map(|files| [&files.certificate, &files.key]);
    let files = ssl.certificate_authorities.iter().chain(client).map(|file| PemFile::read(file));
    Ok(pem::digest(&files.collect::<Result<Vec<_>, _>>()?))
}

/// CAs from the files; without any, the system's, unless a fingerprint says whom to trust instead.
fn roots(ssl: &UpstreamSsl) -> Result<RootCertStore, ClientTlsError> {
    if !ssl.certificate_authorities.is_empty() {
        let files: Vec<_> =
            ssl.certificate_authorities.iter().map(|file| PemFile::read(file)).collect::<Result<_, _>>()?;
        return Ok(pem::authorities(&files)?);
    }
    let mut roots = RootCertStore::empty();
    if ssl.ca_trusted_fingerprint.is_some() {
        return Ok(roots);
    }
    // What the system holds that cannot be read is passed over, as every program on it does.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(ClientTlsError::NoSystemAuthorities) } else { Ok(roots) }
}

/// Takes a chain that ends at a trusted CA and, unless told otherwise, bears the host's name.
#[derive(Debug)]
struct Verified {
    roots: RootCertStore,
    /// A CA with this SHA-256 digest is trusted too if the cluster sends it, as Beats and Elasticsearch's clients do.
    fingerprint: Option<[u8; 32]>,
    name: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verified {
    fn trusts(&self, certificate: &CertificateDer<'_>) -> bool {
        self.fingerprint.is_some_and(|trusted| digest::digest(&digest::SHA256, certificate).as_ref() == trusted)
    }
}

impl ServerCertVerifier for Verified {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let presented = intermediates.iter().find(|certificate| self.trusts(certificate));
        let extended = match presented {
            Some(authority) => {
                let mut roots = self.roots.clone();
                roots.add(authority.clone())?;
                Some(roots)
            }
            None => None,
        };
        let roots = extended.as_ref().unwrap_or(&self.roots);
        if roots.is_empty() {
            return Err(CertificateError::UnknownIssuer.into());
        }
        verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, self.algorithms.all)?;
        if self.name {
            verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Takes whatever the far end shows: `verification_mode: none`. Signatures are not checked either, for a key that
/// nobody vouches for proves nothing.
#[derive(Debug)]
struct Unverified(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
