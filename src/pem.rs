//! PEM files: certificates, CAs and keys, with errors that name the file. Never keeps what it read.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use aws_lc_rs::digest;
use rustls::{
    InconsistentKeys, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
    sign::CertifiedKey,
};
use zeroize::Zeroizing;

use crate::config::CertificateFiles;

/// What is wrong with a PEM file.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// A certificate that cannot be read as one.
    #[error("{} holds a certificate that cannot be used", file.display())]
    Certificate {
        /// The file.
        file: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// A key of a kind or form that cannot be used.
    #[error("{} holds a key that cannot be used", file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// Broken PEM.
    #[error("{} is not well-formed PEM", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// A key and a certificate of different pairs.
    #[error("the key in {} does not belong to the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// File of the key.
        key: PathBuf,
        /// File of the certificate.
        certificate: PathBuf,
    },
    /// PEM without a certificate, or no PEM at all.
    #[error("{} holds no certificate in PEM", file.display())]
    NoCertificate {
        /// The file.
        file: PathBuf,
    },
    /// PEM without a key, or no PEM at all.
    #[error("{} holds no private key in PEM; encrypted keys are not read", file.display())]
    NoKey {
        /// The file.
        file: PathBuf,
    },
    /// Not there, or not ours to read.
    #[error("cannot read {}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Tells whether files changed, without keeping them.
pub type FilesDigest = [u8; digest::SHA256_OUTPUT_LEN];

/// The content of a file, wiped when dropped: it may hold a key.
pub struct PemFile {
    path: PathBuf,
    bytes: Zeroizing<Vec<u8>>,
}

impl PemFile {
    /// Reads `path`.
    ///
    /// # Errors
    ///
    /// [`PemError::Unreadable`].
    pub fn read(path: &Path) -> Result<Self, PemError> {
        let bytes = fs::read(path).map_err(|source| PemError::Unreadable { file: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), bytes: bytes.into() })
    }

    /// What the file holds, to tell whether it changed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, PemError> {
        let found: Vec<_> = CertificateDer::pem_slice_iter(&self.bytes)
            .collect::<Result<_, _>>()
            .map_err(|source| PemError::Malformed { file: self.path.clone(), source })?;
        if found.is_empty() { Err(PemError::NoCertificate { file: self.path.clone() }) } else { Ok(found) }
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, PemError> {
        PrivateKeyDer::from_pem_slice(&self.bytes).map_err(|source| match source {
            pem::Error::NoItemsFound => PemError::NoKey { file: self.path.clone() },
            source => PemError::Malformed { file: self.path.clone(), source },
        })
    }
}

/// The files of a certificate and its key, read.
pub struct IdentityFiles {
    certificate: PemFile,
    key: PemFile,
}

impl IdentityFiles {
    /// Reads both.
    ///
    /// # Errors
    ///
    /// [`PemError::Unreadable`].
    pub fn read(files: &CertificateFiles) -> Result<Self, PemError> {
        Ok(Self { certificate: PemFile::read(&files.certificate)?, key: PemFile::read(&files.key)? })
    }

    /// The certificate's file.
    #[must_use]
    pub fn certificate(&self) -> &PemFile {
        &self.certificate
    }

    /// The key's file.
    #[must_use]
    pub fn key(&self) -> &PemFile {
        &self.key
    }

    /// The chain with its key, known to belong together.
    ///
    /// # Errors
    ///
    /// [`PemError`].
    pub fn load(&self, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, PemError> {
        let chain = self.certificate.certificates()?;
        let key = provider
            .key_provider
            .load_private_key(self.key.key()?)
            .map_err(|source| PemError::Key { file: self.key.path.clone(), source })?;
        let loaded = CertifiedKey::new(chain, key);
        match loaded.keys_match() {
            Ok(()) => Ok(Arc::new(loaded)),
            Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                Err(PemError::Mismatch { key: self.key.path.clone(), certificate: self.certificate.path.clone() })
            }
            Err(source) => Err(PemError::Certificate { file: self.certificate.path.clone(), source }),
        }
    }
}

/// The CAs of several files; each file holds one at least.
///
/// # Errors
///
/// [`PemError`].
pub fn authorities<'a>(files: impl IntoIterator<Item = &'a PemFile>) -> Result<RootCertStore, PemError> {
    let mut roots = RootCertStore::empty();
    for file in files {
        for certificate in file.certificates()? {
            roots.add(certificate).map_err(|source| PemError::Certificate { file: file.path.clone(), source })?;
        }
    }
    Ok(roots)
}
/// Digest of all of `files`, in their order.
#[must_use]
pub fn digest<'a>(files: impl IntoIterator<Item = &'a PemFile>) -> FilesDigest {
    let mut context = digest::Context::new(&digest::SHA256);
    for file in files {
        context.update(&file.bytes().len().to_be_bytes());
        context.update(file.bytes());
    }
    let mut seen = FilesDigest::default();
    seen.copy_from_slice(context.finish().as_ref());
    seen
}
