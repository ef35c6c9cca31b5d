//! A certificate for trying: fresh, self-made, for loopback.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use jiff::{ToSpan as _, civil::Date, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use crate::{clock::Clock, config::CertificateFiles};

/// A development CA and a leaf that it signed.
#[derive(Clone, Debug)]
pub struct Development {
    /// The CA's certificate, PEM.
    pub authority: PathBuf,
    /// The leaf and its key, PEM.
    pub leaf: CertificateFiles,
}

/// Makes a CA and a leaf for `localhost`, `127.0.0.1` and `::1` in `folder`; the leaf's key has mode 0600.
///
/// The CA's own key is dropped unwritten: who trusts this CA trusts this one leaf. Nothing is overwritten.
///
/// # Errors
///
/// Those of writing the files.
pub fn make(folder: &Path) -> io::Result<Development> {
    let today = today()?;
    let (authority, issuer) = authority(today).map_err(io::Error::other)?;
    let (certificate, key) = leaf(today, &issuer).map_err(io::Error::other)?;
    let made = Development {
        authority: folder.join("ca.crt"),
        leaf: CertificateFiles { certificate: folder.join("server.crt"), key: folder.join("server.key") },
    };
    write(&made.leaf.key, &key, 0o600)?;
    write(&made.leaf.certificate, &certificate, 0o644)?;
    write(&made.authority, &authority, 0o644)?;
    Ok(made)
}

fn authority(today: Date) -> Result<(String, Issuer<'static, KeyPair>), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = params(today, Vec::new(), "searchgate development CA")?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let certificate = params.self_signed(&key)?.pem();
    Ok((certificate, Issuer::new(params, key)))
}

fn leaf(today: Date, issuer: &Issuer<'_, KeyPair>) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = params(today, NAMES.map(str::to_owned).to_vec(), "localhost")?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok((params.signed_by(&key, issuer)?.pem(), key.serialize_pem()))
}

/// Valid from yesterday, for clocks differ, and for a month.
fn params(today: Date, names: Vec<String>, common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let midnight = |date: Date| {
        rcgen::date_time_ymd(i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    params.not_before = midnight(today.saturating_sub(1.day()));
    params.not_after = midnight(today.saturating_add(DAYS.days()));
    Ok(params)
}

fn today() -> io::Result<Date> {
    let millis = i64::try_from(Clock::system().now().as_millis()).map_err(io::Error::other)?;
    let now = jiff::Timestamp::from_millisecond(millis).map_err(io::Error::other)?;
    Ok(now.to_zoned(TimeZone::UTC).date())
}

fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?.write_all(text.as_bytes())
}

const DAYS: i64 = 30;
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, sync::Arc};

    use rustls::pki_types::ServerName;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;
    use crate::{
        config::{ClientAuthentication, ListenerSsl, TlsVersion},
        listener::tls::Reloading,
        pem::{self, PemFile},
    };

    #[tokio::test]
    async fn a_client_that_trusts_the_authority_reaches_localhost_by_name_and_address() {
        let folder = tempfile::tempdir().unwrap();
        let made = make(folder.path()).unwrap();
        let server = Reloading::new(ListenerSsl {
            certificates: vec![made.leaf],
            client_authentication: ClientAuthentication::None,
            certificate_authorities: Vec::new(),
            supported_protocols: vec![TlsVersion::V13],
        })
        .unwrap();
        let roots = pem::authorities([&PemFile::read(&made.authority).unwrap()]).unwrap();
        let client =
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
        let client = TlsConnector::from(Arc::new(client));
        for name in NAMES {
            let (near, far) = tokio::io::duplex(16 * 1024);
            let acceptor = TlsAcceptor::from(server.current());
            let name = ServerName::try_from(name).unwrap();
            let (connected, accepted) = tokio::join!(client.connect(name, near), acceptor.accept(far));
            connected.unwrap();
            accepted.unwrap();
        }
    }

    #[test]
    fn the_key_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let made = make(folder.path()).unwrap();
        assert_eq!(fs::metadata(made.leaf.key).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_there_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path()).unwrap();
        assert_eq!(make(folder.path()).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn no_key_of_the_authority_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path()).unwrap();
        let keys = fs::read_dir(folder.path())
            .unwrap()
            .filter(|file| fs::read_to_string(file.as_ref().unwrap().path()).unwrap().contains("PRIVATE KEY"))
            .count();
        assert_eq!(keys, 1);
    }
}
