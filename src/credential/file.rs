//! A credential in a file: read again when the cluster refuses it, on SIGHUP and by the reload timer.
//!
//! The path is opened anew each time, so a file that was renamed into its place is found, and so is a mounted secret, whose
//! path leads over a link that is swapped.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::credential::{CredentialError, Held};

/// The file, and what it held when it was read last.
#[derive(Debug)]
pub(super) struct FileSource {
    scheme: Scheme,
    file: PathBuf,
    current: ArcSwap<Held>,
    replacing: tokio::sync::Mutex<()>,
    /// Why the last reading failed, if it did.
    problem: parking_lot::Mutex<Option<String>>,
}

/// What is in the file.
#[derive(Clone, Debug)]
pub(super) enum Scheme {
    ApiKey,
    Basic { username: String },
    Bearer,
}

impl FileSource {
    /// Reads the file for the first time; that it cannot be read yet is not an error.
    pub(super) fn new(scheme: Scheme, file: &Path) -> Self {
        let source = Self {
            scheme,
            file: file.to_owned(),
            current: ArcSwap::from_pointee(Held::nothing()),
            replacing: tokio::sync::Mutex::new(()),
            problem: parking_lot::Mutex::default(),
        };
        source.renew();
        source
    }

    pub(super) fn held(&self) -> Arc<Held> {
        self.current.load_full()
    }

    /// Another credential than `refused`; callers refused at the same generation share one reading.
    pub(super) async fn replace(&self, refused: &Held) -> Result<Arc<Held>, CredentialError> {
        let _turn = self.replacing.lock().await;
        if self.current.load().generation == refused.generation {
            self.renew();
        }
        let current = self.held();
        if current.generation == refused.generation { Err(CredentialError::Rejected) } else { Ok(current) }
    }

    /// Reads the file again; keeps what is held when the file says the same or cannot be read.
    pub(super) fn renew(&self) {
        let current = self.held();
        let problem = match self.read() {
            Ok(header) if current.header.as_ref() == Some(&header) => None,
            Ok(header) => {
                let (generation, header) = (current.generation + 1, Some(header));
                self.current.store(Arc::new(Held { generation, header, expires_at: None }));
                None
            }
            Err(error) => Some(error.to_string()),
        };
        let mut last = self.problem.lock();
        // A timer asks every few seconds: say it once.
        if let Some(problem) = problem.as_ref().filter(|problem| last.as_ref() != Some(problem)) {
            tracing::error!(file = %self.file.display(), problem, "the credential for the cluster cannot be read");
        }
        *last = problem;
    }

    pub(super) fn status(&self) -> serde_json::Value {
        let held = self.current.load();
        serde_json::json!({
            "kind": match self.scheme {
                Scheme::ApiKey => "api_key",
                Scheme::Basic { .. } => "basic",
                Scheme::Bearer => "bearer",
            },
            "file": self.file,
            "available": held.header.is_some(),
            "generation": held.generation,
            "problem": *self.problem.lock(),
        })
    }

    fn read(&self) -> io::Result<HeaderValue> {
        let secret = secret(&self.file)?;
        match &self.scheme {
            Scheme::ApiKey => header("ApiKey", &secret),
            Scheme::Basic { username } => basic(username, &secret),
            Scheme::Bearer => header("Bearer", &secret),
        }
    }
}

/// The text of a file without the end of its line; empty is an error.
pub(super) fn secret(file: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(std::fs::read_to_string(file)?);
    let length = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(length);
    if text.is_empty() { Err(io::Error::other("the file is empty")) } else { Ok(text) }
}

/// `Basic`, marked sensitive.
pub(super) fn basic(username: &str, password: &str) -> io::Result<HeaderValue> {
    header("Basic", &Zeroizing::new(STANDARD.encode(Zeroizing::new(format!("{username}:{password}")).as_bytes())))
}

fn header(scheme: &str, secret: &str) -> io::Result<HeaderValue> {
    let text = Zeroizing::new(format!("{scheme} {secret}"));
    let mut value =
        HeaderValue::from_str(&text).map_err(|_| io::Error::other("the file holds no single line of text"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(file: &Path) -> FileSource {
        FileSource::new(Scheme::Basic { username: "gate".into() }, file)
    }

    fn bearer(file: &Path) -> FileSource {
        FileSource::new(Scheme::Bearer, file)
    }

    #[test]
    fn a_password_file_becomes_a_basic_header_that_does_not_print() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cret\n").unwrap();
        let source = password(file.path());
        let held = source.held();
        assert_eq!(held.header().unwrap(), &format!("Basic {}", STANDARD.encode("gate:s3cret")));
        let printed = format!("{source:?} {:?} {:?} {}", held, held.header(), source.status());
        assert!(!printed.contains("s3cret") && !printed.contains(&STANDARD.encode("gate:s3cret")), "{printed}");
    }

    #[tokio::test]
    async fn a_changed_file_replaces_the_refused_credential_once_for_all() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "old").unwrap();
        let source = password(file.path());
        let refused = source.held();
        std::fs::write(file.path(), "new").unwrap();
        let first = source.replace(&refused).await.unwrap();
        let second = source.replace(&refused).await.unwrap();
        assert_eq!((first.generation, second.generation), (2, 2));
        assert_ne!(first.header(), refused.header());
    }

    #[tokio::test]
    async fn an_unchanged_file_means_the_credential_is_rejected() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "same").unwrap();
        let source = password(file.path());
        let refused = source.held();
        assert!(matches!(source.replace(&refused).await, Err(CredentialError::Rejected)));
    }

    #[tokio::test]
    async fn a_file_renamed_into_place_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (file, new) = (folder.path().join("token"), folder.path().join("token.new"));
        std::fs::write(&file, "old").unwrap();
        let source = bearer(&file);
        let refused = source.held();
        std::fs::write(&new, "new").unwrap();
        std::fs::rename(&new, &file).unwrap();
        assert_eq!(source.replace(&refused).await.unwrap().header().unwrap(), "Bearer new");
    }

    #[tokio::test]
    async fn the_swapped_link_of_a_mounted_secret_is_followed() {
        use std::os::unix::fs::symlink;
        // As kubelet lays it out: token -> ..data/token, ..data -> ..1, and a new ..data renamed over the old.
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (version, text) in [("..1", "old"), ("..2", "new")] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("token"), text).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/token", at("token")).unwrap();
        let source = bearer(&at("token"));
        let refused = source.held();
        assert_eq!(refused.header().unwrap(), "Bearer old");
        symlink("..2", at("..data_tmp")).unwrap();
        std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
        std::fs::remove_dir_all(at("..1")).unwrap();
        assert_eq!(source.replace(&refused).await.unwrap().header().unwrap(), "Bearer new");
    }

    #[test]
    fn a_file_that_vanishes_does_not_lose_what_is_held() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "kept").unwrap();
        let source = password(file.path());
        drop(file);
        source.renew();
        assert!(source.held().header().is_some());
        assert!(source.status()["problem"].is_string());
    }
}
