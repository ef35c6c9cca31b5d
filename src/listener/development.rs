//! A certificate for trying: fresh, self-made, for loopback.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::config::CertificateFiles;

/// A development CA and a leaf that it signed.
#[derive(Clone, Debug)]
pub struct Development {
    /// The CA's certificate, PEM.
    pub authority: PathBuf,
    /// The leaf and its key, PEM.
    pub leaf: CertificateFiles,
}

/// Makes a CA and a leaf for `localhost`, `127.0.0.1` and `::1` in `folder`; keys have mode 0600.
///
/// # Errors
///
/// Those of writing the files.
pub fn make(folder: &Path) -> io::Result<Development> {
    let _ = folder;
    todo!()
}
