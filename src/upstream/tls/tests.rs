use std::{fs, io, path::PathBuf};

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::config::CertificateFiles;

struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate chain, leaf first, and the leaf's key.
struct Shown(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // No two authorities share a name.
        params.distinguished_name.push(DnType::CommonName, format!("{:?}", key.public_key_raw()));
        Self { certificate: params.self_signed(&key).unwrap(), issuer: Issuer::new(params, key) }
    }

    fn fingerprint(&self) -> [u8; 32] {
        digest::digest(&digest::SHA256, self.certificate.der()).as_ref().try_into().unwrap()
    }

    /// The chain of a node at `es.test`: the leaf, and the CA behind it as Elasticsearch sends it.
    fn node(&self) -> Shown {
        self.sign(&node())
    }

    fn sign(&self, params: &CertificateParams) -> Shown {
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        Shown(vec![leaf.der().clone(), self.certificate.der().clone()], der(&key))
    }
}

fn node() -> CertificateParams {
    CertificateParams::new(vec!["es.test".to_owned(), "127.0.0.1".to_owned()]).unwrap()
}

fn der(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

/// Settings that trust `certificates`, in files that live as long as the folder.
fn trusting(certificates: &[&Certificate]) -> (tempfile::TempDir, UpstreamSsl) {
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<PathBuf> =
        (0..certificates.len()).map(|number| folder.path().join(format!("{number}.crt"))).collect();
    for (file, certificate) in files.iter().zip(certificates) {
        fs::write(file, certificate.pem()).unwrap();
    }
    (folder, UpstreamSsl { certificate_authorities: files, ..UpstreamSsl::default() })
}

/// Shakes hands with a node that shows `shown`, for `name`.
async fn reach(ssl: &UpstreamSsl, shown: Shown, name: &'static str) -> Result<(), CertificateError> {
    let server = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(shown.0, shown.1)
        .unwrap();
    match handshake(ssl, server, name).await {
        Ok(()) => Ok(()),
        Err(error) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(rustls::Error::InvalidCertificate(error)) => Err(error.clone()),
            _ => panic!("not the certificate: {error}"),
        },
    }
}

async fn handshake(ssl: &UpstreamSsl, server: ServerConfig, name: &'static str) -> io::Result<()> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let connector = TlsConnector::from(client_tls(ssl).unwrap());
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let name = ServerName::try_from(name).unwrap();
    let (connected, accepted) = tokio::join!(connector.connect(name, near), acceptor.accept(far));
    connected?;
    accepted?;
    Ok(())
}

fn mode(verification_mode: VerificationMode, ssl: &UpstreamSsl) -> UpstreamSsl {
    UpstreamSsl { verification_mode, ..ssl.clone() }
}

fn is_wrong_name(error: &CertificateError) -> bool {
    matches!(error, CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })
}

fn is_expired(error: &CertificateError) -> bool {
    matches!(error, CertificateError::Expired | CertificateError::ExpiredContext { .. })
}

#[tokio::test]
async fn a_node_of_a_trusted_authority_is_taken_by_name_and_address() {
    let authority = Authority::new();
    let (_folder, ssl) = trusting(&[&Authority::new().certificate, &authority.certificate]);
    for name in ["es.test", "127.0.0.1"] {
        assert_eq!(reach(&ssl, authority.node(), name).await, Ok(()), "{name}");
    }
}

#[tokio::test]
async fn a_node_of_another_authority_is_refused_unless_nothing_is_checked() {
    let (_folder, ssl) = trusting(&[&Authority::new().certificate]);
    for checked in [VerificationMode::Full, VerificationMode::Certificate] {
        let refused = reach(&mode(checked, &ssl), Authority::new().node(), "es.test").await;
        assert_eq!(refused, Err(CertificateError::UnknownIssuer), "{checked:?}");
    }
    assert_eq!(reach(&mode(VerificationMode::None, &ssl), Authority::new().node(), "es.test").await, Ok(()));
}

#[tokio::test]
async fn a_wrong_name_is_refused_in_mode_full_only() {
    let authority = Authority::new();
    let (_folder, ssl) = trusting(&[&authority.certificate]);
    for name in ["other.test", "127.0.0.2"] {
        let refused = reach(&ssl, authority.node(), name).await.unwrap_err();
        assert!(is_wrong_name(&refused), "{refused:?}");
        for lax in [VerificationMode::Certificate, VerificationMode::None] {
            assert_eq!(reach(&mode(lax, &ssl), authority.node(), name).await, Ok(()), "{lax:?} {name}");
        }
    }
}

#[tokio::test]
async fn an_expired_certificate_is_refused_unless_nothing_is_checked() {
    let authority = Authority::new();
    let (_folder, ssl) = trusting(&[&authority.certificate]);
    let expired = || {
        let mut params = node();
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        authority.sign(&params)
    };
    for checked in [VerificationMode::Full, VerificationMode::Certificate] {
        let refused = reach(&mode(checked, &ssl), expired(), "es.test").await.unwrap_err();
        assert!(is_expired(&refused), "{refused:?}");
    }
    assert_eq!(reach(&mode(VerificationMode::None, &ssl), expired(), "es.test").await, Ok(()));
}

#[tokio::test]
async fn a_self_signed_node_is_taken_where_its_certificate_is_named() {
    let key = KeyPair::generate().unwrap();
    let leaf = node().self_signed(&key).unwrap();
    let shown = || Shown(vec![leaf.der().clone()], der(&key));
    let (_folder, named) = trusting(&[&leaf]);
    assert_eq!(reach(&named, shown(), "es.test").await, Ok(()));
    let (_folder, unnamed) = trusting(&[&Authority::new().certificate]);
    assert_eq!(reach(&unnamed, shown(), "es.test").await, Err(CertificateError::UnknownIssuer));
    assert_eq!(reach(&mode(VerificationMode::None, &unnamed), shown(), "es.test").await, Ok(()));
}

#[tokio::test]
async fn an_authority_is_trusted_by_its_fingerprint_if_the_node_sends_it() {
    let authority = Authority::new();
    let ssl = UpstreamSsl { ca_trusted_fingerprint: Some(authority.fingerprint()), ..UpstreamSsl::default() };
    assert_eq!(reach(&ssl, authority.node(), "es.test").await, Ok(()));
    let Shown(mut chain, key) = authority.node();
    chain.truncate(1);
    assert_eq!(reach(&ssl, Shown(chain, key), "es.test").await, Err(CertificateError::UnknownIssuer));
    let refused = reach(&ssl, authority.node(), "other.test").await.unwrap_err();
    assert!(is_wrong_name(&refused), "{refused:?}");
}

#[tokio::test]
async fn a_fingerprint_of_another_authority_trusts_nobody() {
    let ssl = UpstreamSsl { ca_trusted_fingerprint: Some(Authority::new().fingerprint()), ..UpstreamSsl::default() };
    assert_eq!(reach(&ssl, Authority::new().node(), "es.test").await, Err(CertificateError::UnknownIssuer));
}

#[tokio::test]
async fn sending_the_trusted_authority_along_proves_nothing_unless_it_signed() {
    let (trusted, forger) = (Authority::new(), Authority::new());
    let ssl = UpstreamSsl { ca_trusted_fingerprint: Some(trusted.fingerprint()), ..UpstreamSsl::default() };
    let Shown(mut chain, key) = forger.node();
    chain.push(trusted.certificate.der().clone());
    assert!(reach(&ssl, Shown(chain, key), "es.test").await.is_err());
}

#[tokio::test]
async fn a_fingerprint_adds_to_the_authorities_that_are_named() {
    let (named, pinned) = (Authority::new(), Authority::new());
    let (_folder, ssl) = trusting(&[&named.certificate]);
    let ssl = UpstreamSsl { ca_trusted_fingerprint: Some(pinned.fingerprint()), ..ssl };
    assert_eq!(reach(&ssl, named.node(), "es.test").await, Ok(()));
    assert_eq!(reach(&ssl, pinned.node(), "es.test").await, Ok(()));
}

#[tokio::test]
async fn the_client_certificate_is_shown_to_the_node() {
    let authority = Authority::new();
    let (folder, ssl) = trusting(&[&authority.certificate]);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["gate".to_owned()]).unwrap();
    let files = CertificateFiles { certificate: folder.path().join("gate.crt"), key: folder.path().join("gate.key") };
    fs::write(&files.certificate, params.signed_by(&key, &authority.issuer).unwrap().pem()).unwrap();
    fs::write(&files.key, key.serialize_pem()).unwrap();

    let server = || {
        let provider = Arc::new(provider::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate.der().clone()).unwrap();
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
        let Shown(chain, key) = authority.node();
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(chain, key)
            .unwrap()
    };
    assert!(handshake(&ssl, server(), "es.test").await.is_err());
    let ssl = UpstreamSsl { client: Some(files), ..ssl };
    handshake(&ssl, server(), "es.test").await.unwrap();
}

#[test]
fn a_file_without_authorities_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("empty.crt");
    fs::write(&file, "").unwrap();
    let ssl = UpstreamSsl { certificate_authorities: vec![file], ..UpstreamSsl::default() };
    assert!(matches!(client_tls(&ssl), Err(ClientTlsError::File(PemError::NoCertificate { .. }))));
}
