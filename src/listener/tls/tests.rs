use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, ProtocolVersion,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::*;
use crate::{
    config::{CertificateFiles, UpstreamSsl, VerificationMode},
    listener::peer::TlsFacts,
    upstream::tls::client_tls,
};

/// A CA and a folder for the files of what it signs.
struct Workshop {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Workshop {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // No two authorities share a name.
        params.distinguished_name.push(DnType::CommonName, format!("{:?}", key.public_key_raw()));
        fs::write(folder.path().join("ca.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes `name.crt` and `name.key`, good for `hosts`.
    fn sign(&self, name: &str, hosts: &[&str]) -> CertificateFiles {
        self.sign_with(
            name,
            &CertificateParams::new(hosts.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap(),
        )
    }

    fn sign_with(&self, name: &str, params: &CertificateParams) -> CertificateFiles {
        let key = KeyPair::generate().unwrap();
        let files =
            CertificateFiles { certificate: self.path(&format!("{name}.crt")), key: self.path(&format!("{name}.key")) };
        fs::write(&files.certificate, params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    fn ssl(&self, certificates: Vec<CertificateFiles>) -> ListenerSsl {
        ListenerSsl {
            certificates,
            client_authentication: ClientAuthentication::None,
            certificate_authorities: vec![self.path("ca.crt")],
            supported_protocols: vec![TlsVersion::V12, TlsVersion::V13],
        }
    }

    /// The TLS of one certificate, with clients judged as said.
    fn asking(&self, client_authentication: ClientAuthentication) -> Reloading {
        let ssl = self.ssl(vec![self.sign("server", &["a.test"])]);
        Reloading::new(ListenerSsl { client_authentication, ..ssl }).unwrap()
    }
}

/// A client that takes any certificate, so that a test sees which one it was shown.
fn anyone(identity: Option<CertificateFiles>) -> ClientConfig {
    let ssl = UpstreamSsl { verification_mode: VerificationMode::None, client: identity, ..UpstreamSsl::default() };
    Arc::unwrap_or_clone(client_tls(&ssl).unwrap())
}

struct Pair {
    client: client::TlsStream<DuplexStream>,
    server: server::TlsStream<DuplexStream>,
}

/// Shakes hands for `name` and sends a byte each way, for so TLS 1.3 tells of a refused client certificate.
async fn meet(server: &Reloading, client: &ClientConfig, name: &'static str) -> io::Result<Pair> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (acceptor, connector) = (TlsAcceptor::from(server.current()), TlsConnector::from(Arc::new(client.clone())));
    let name = ServerName::try_from(name).unwrap();
    let (connected, accepted) = tokio::join!(connector.connect(name, near), acceptor.accept(far));
    let mut pair = Pair { server: accepted?, client: connected? };
    pair.echo().await?;
    Ok(pair)
}

impl Pair {
    async fn echo(&mut self) -> io::Result<()> {
        self.client.write_all(b"?").await?;
        assert_eq!(self.server.read_u8().await?, b'?');
        self.server.write_all(b"!").await?;
        assert_eq!(self.client.read_u8().await?, b'!');
        Ok(())
    }

    fn shown(&self) -> CertificateDer<'static> {
        self.client.get_ref().1.peer_certificates().unwrap()[0].clone()
    }

    fn client_chain(&self) -> usize {
        TlsFacts::of(self.server.get_ref().1).client_chain.len()
    }
}

fn written(file: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file).unwrap()
}

#[tokio::test]
async fn the_certificate_is_chosen_by_the_name_that_the_client_asks_for() {
    let workshop = Workshop::new();
    let first = workshop.sign("first", &["a.test", "127.0.0.1"]);
    let second = workshop.sign("second", &["b.test", "*.c.test"]);
    let server = Reloading::new(workshop.ssl(vec![first.clone(), second.clone()])).unwrap();
    for (name, files) in [
        ("a.test", &first),
        ("b.test", &second),
        ("x.c.test", &second),
        ("x.y.c.test", &first),
        ("c.test", &first),
        ("unknown.test", &first),
        ("127.0.0.1", &first),
    ] {
        let pair = meet(&server, &anyone(None), name).await.unwrap();
        assert_eq!(pair.shown(), written(&files.certificate), "{name}");
    }
}

#[tokio::test]
async fn http_2_is_preferred_and_http_1_taken() {
    let server = Workshop::new().asking(ClientAuthentication::None);
    for (offered, taken) in [(vec!["http/1.1", "h2"], Some("h2")), (vec!["http/1.1"], Some("http/1.1")), (vec![], None)]
    {
        let mut client = anyone(None);
        client.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let pair = meet(&server, &client, "a.test").await.unwrap();
        assert_eq!(pair.server.get_ref().1.alpn_protocol(), taken.map(str::as_bytes), "{offered:?}");
    }
}

#[tokio::test]
async fn only_the_versions_named_are_spoken() {
    let workshop = Workshop::new();
    let files = workshop.sign("server", &["a.test"]);
    for (taken, expected) in [
        (vec![TlsVersion::V12], ProtocolVersion::TLSv1_2),
        (vec![TlsVersion::V12, TlsVersion::V13], ProtocolVersion::TLSv1_3),
    ] {
        let ssl = ListenerSsl { supported_protocols: taken, ..workshop.ssl(vec![files.clone()]) };
        let pair = meet(&Reloading::new(ssl).unwrap(), &anyone(None), "a.test").await.unwrap();
        assert_eq!(pair.server.get_ref().1.protocol_version(), Some(expected));
    }
}

#[tokio::test]
async fn a_client_resumes_with_its_ticket() {
    let server = Workshop::new().asking(ClientAuthentication::None);
    let client = anyone(None);
    meet(&server, &client, "a.test").await.unwrap();
    let again = meet(&server, &client, "a.test").await.unwrap();
    assert_eq!(again.server.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Resumed));
}

#[tokio::test]
async fn a_required_client_certificate_is_asked_for_and_judged() {
    let workshop = Workshop::new();
    let server = workshop.asking(ClientAuthentication::Required);
    let good = workshop.sign("client", &["client"]);
    let pair = meet(&server, &anyone(Some(good)), "a.test").await.unwrap();
    assert_eq!(pair.client_chain(), 1);
    assert!(meet(&server, &anyone(None), "a.test").await.is_err());
    let foreign = Workshop::new();
    assert!(meet(&server, &anyone(Some(foreign.sign("client", &["client"]))), "a.test").await.is_err());
}

#[tokio::test]
async fn an_optional_client_certificate_may_be_absent_but_not_wrong() {
    let workshop = Workshop::new();
    let server = workshop.asking(ClientAuthentication::Optional);
    assert_eq!(meet(&server, &anyone(None), "a.test").await.unwrap().client_chain(), 0);
    let good = workshop.sign("client", &["client"]);
    assert_eq!(meet(&server, &anyone(Some(good)), "a.test").await.unwrap().client_chain(), 1);
    let foreign = Workshop::new();
    assert!(meet(&server, &anyone(Some(foreign.sign("client", &["client"]))), "a.test").await.is_err());
}

#[tokio::test]
async fn a_client_certificate_is_not_asked_for_unless_told() {
    let workshop = Workshop::new();
    let server = workshop.asking(ClientAuthentication::None);
    let client = anyone(Some(workshop.sign("client", &["client"])));
    assert_eq!(meet(&server, &client, "a.test").await.unwrap().client_chain(), 0);
}

#[test]
fn client_certificates_need_somebody_who_signed_them() {
    let workshop = Workshop::new();
    let ssl = ListenerSsl {
        client_authentication: ClientAuthentication::Optional,
        certificate_authorities: Vec::new(),
        ..workshop.ssl(vec![workshop.sign("server", &["a.test"])])
    };
    assert!(matches!(Reloading::new(ssl), Err(ServerTlsError::NoAuthorities(_))));
}

/// Reloads with the same settings.
fn again(server: &Reloading) -> Result<bool, ServerTlsError> {
    let ssl = server.seen.lock().0.clone();
    server.reload(&ssl)
}

#[tokio::test]
async fn a_reload_takes_over_new_settings() {
    let workshop = Workshop::new();
    let server = workshop.asking(ClientAuthentication::None);
    meet(&server, &anyone(None), "a.test").await.unwrap();
    let mut ssl = server.seen.lock().0.clone();
    let moved = workshop.sign("moved", &["a.test"]);
    ssl.certificates = vec![moved.clone()];
    assert!(server.reload(&ssl).unwrap());
    assert_eq!(meet(&server, &anyone(None), "a.test").await.unwrap().shown(), written(&moved.certificate));
}

#[tokio::test]
async fn a_reload_serves_the_new_certificate_and_keeps_old_connections() {
    let workshop = Workshop::new();
    let server = workshop.asking(ClientAuthentication::None);
    let mut old = meet(&server, &anyone(None), "a.test").await.unwrap();
    let renewed = workshop.sign("server", &["a.test"]);
    assert!(again(&server).unwrap());
    assert!(!again(&server).unwrap());
    old.echo().await.unwrap();
    let new = meet(&server, &anyone(None), "a.test").await.unwrap();
    assert_ne!(new.shown(), old.shown());
    assert_eq!(new.shown(), written(&renewed.certificate));
}

#[test]
fn a_reload_of_unchanged_files_changes_nothing() {
    let workshop = Workshop::new();
    let server = workshop.asking(ClientAuthentication::None);
    let before = server.current();
    assert!(!again(&server).unwrap());
    assert!(Arc::ptr_eq(&before, &server.current()));
}

#[tokio::test]
async fn a_bad_reload_keeps_the_old_certificate() {
    let workshop = Workshop::new();
    let server = workshop.asking(ClientAuthentication::None);
    let before = meet(&server, &anyone(None), "a.test").await.unwrap().shown();
    let other = workshop.sign("other", &["a.test"]);
    let key = workshop.path("server.key");
    fs::copy(other.key, &key).unwrap();
    assert!(matches!(again(&server), Err(ServerTlsError::File(PemError::Mismatch { .. }))));
    fs::write(&key, "nonsense").unwrap();
    assert!(matches!(again(&server), Err(ServerTlsError::File(PemError::NoKey { .. }))));
    fs::remove_file(&key).unwrap();
    assert!(matches!(again(&server), Err(ServerTlsError::File(PemError::Unreadable { .. }))));
    assert_eq!(meet(&server, &anyone(None), "a.test").await.unwrap().shown(), before);
}

#[test]
fn a_refused_reload_is_tried_again_though_nothing_changed_since() {
    let workshop = Workshop::new();
    let server = workshop.asking(ClientAuthentication::None);
    fs::write(workshop.path("server.key"), "nonsense").unwrap();
    assert!(again(&server).is_err());
    assert!(again(&server).is_err());
}

#[tokio::test]
async fn a_ticket_from_before_a_reload_is_worth_nothing() {
    let workshop = Workshop::new();
    let server = workshop.asking(ClientAuthentication::None);
    let client = anyone(None);
    meet(&server, &client, "a.test").await.unwrap();
    workshop.sign("server", &["a.test"]);
    again(&server).unwrap();
    let again = meet(&server, &client, "a.test").await.unwrap();
    assert_eq!(again.server.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Full));
}

#[test]
fn an_error_names_the_file_and_what_is_wrong_with_it() {
    let workshop = Workshop::new();
    let good = workshop.sign("good", &["a.test"]);
    let text = |certificate: PathBuf, key: PathBuf| {
        let error = Reloading::new(workshop.ssl(vec![CertificateFiles { certificate, key }])).unwrap_err();
        error.to_string().replace(&workshop.path("").display().to_string(), "")
    };
    let absent = workshop.path("absent");
    assert_eq!(text(absent.clone(), good.key.clone()), "cannot read absent");
    assert_eq!(text(good.certificate.clone(), absent), "cannot read absent");
    assert_eq!(text(good.key.clone(), good.key.clone()), "good.key holds no certificate in PEM");
    assert_eq!(
        text(good.certificate.clone(), good.certificate.clone()),
        "good.crt holds no private key in PEM; encrypted keys are not read"
    );
    let other = workshop.sign("other", &["a.test"]);
    assert_eq!(
        text(good.certificate.clone(), other.key),
        "the key in other.key does not belong to the certificate in good.crt"
    );
    let broken = workshop.path("broken");
    fs::write(&broken, "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n").unwrap();
    assert_eq!(text(broken.clone(), good.key.clone()), "broken is not well-formed PEM");
    fs::write(&broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    assert_eq!(text(broken.clone(), good.key), "broken holds a certificate that cannot be used");
    fs::write(&broken, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
    assert_eq!(text(good.certificate, broken), "broken holds a key that cannot be used");
}

#[test]
fn an_expired_certificate_serves_and_is_told_apart() {
    let workshop = Workshop::new();
    let provider = provider::default_provider();
    let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let expired = workshop.sign_with("expired", &params);
    let fresh = workshop.sign("fresh", &["a.test"]);
    for (files, expected) in [(&expired, true), (&fresh, false)] {
        let identity = IdentityFiles::read(files).unwrap().load(&provider).unwrap();
        assert_eq!(is_out_of_time(&identity, &provider), expected);
    }
    assert!(Reloading::new(workshop.ssl(vec![expired])).is_ok());
}
