//! What the cluster is shown: header, provenance, generation.

use std::{fmt, path::Path, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::{authorize::Permit, config};

pub mod granted;

/// The credential of one listener's requests, held ready as a header.
///
/// Reading is one atomic load. Files are read again when the cluster refuses what they held, on SIGHUP and by the
/// reload timer: mounted secrets change by rename.
#[derive(Debug)]
pub struct Credentials {
    source: Source,
    current: ArcSwap<Held>,
    replacing: tokio::sync::Mutex<()>,
    /// Why the last reading failed, if it did.
    problem: parking_lot::Mutex<Option<String>>,
}

#[derive(Debug)]
enum Source {
    File { scheme: Scheme, file: PathBuf },
    None,
    Passthrough,
}

#[derive(Clone, Debug)]
enum Scheme {
    ApiKey,
    Basic { username: String },
    Bearer,
}

/// A credential as of one reading.
pub struct Held {
    /// Counts replacements, so that a refusal can be matched with what was refused.
    pub generation: u64,
    header: Option<HeaderValue>,
}

/// Where the credential of an attempt came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Provenance {
    /// The client's own header.
    Client,
    /// The gateway's own identity.
    Gateway,
    /// A session that the client holds the handle of.
    Session,
    /// The request went without.
    None,
}

/// What one attempt is sent with.
#[derive(Clone, Debug)]
pub enum Chosen {
    /// The client's own header stays.
    Client,
    /// The gateway's.
    Gateway(Arc<Held>),
    /// Nothing.
    None,
}

/// Why there is no credential to show, or the cluster did not take it.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The token of a session belongs to another identity of the gateway's: replicas run under different ones. 502
    /// `refresh_client_mismatch`.
    #[error("the session's token was made by another client of the cluster than this gateway")]
    ClientMismatch,
    /// The cluster refuses the gateway's own credential. 502 `upstream_credential_rejected`.
    #[error("the cluster refuses the gateway's own credential")]
    Rejected,
    /// The credential was renewed, but this request cannot be sent again by the gateway: the client is asked to.
    /// 503, `Retry-After: 1`, code `token_refreshed_retry`.
    #[error("the credential was renewed; send the request again")]
    Resend,
    /// The credential could not be renewed for now. 503, `Retry-After: 5`.
    #[error("the credential for the cluster cannot be renewed at the moment")]
    Transient,
    /// The credential cannot be read now. 503.
    #[error("the credential for the cluster is not available")]
    Unavailable,
    /// `passthrough`, and the cluster answers requests without credentials. 503.
    #[error(
        "the cluster answers requests without credentials, or has not shown yet that it refuses them, so nothing may be passed through to it"
    )]
    UpstreamOpen,
}

impl Credentials {
    /// Reads the credential for the first time. A file that cannot be read yet is not an error: requests are
    /// answered 503 until it can.
    #[must_use]
    pub fn new(config: &config::Credential) -> Self {
        let source = match config {
            config::Credential::ApiKey { api_key_file } => {
                Source::File { scheme: Scheme::ApiKey, file: api_key_file.clone() }
            }
            config::Credential::Basic { username, password_file } => {
                Source::File { scheme: Scheme::Basic { username: username.clone() }, file: password_file.clone() }
            }
            config::Credential::Bearer { token_file } => {
                Source::File { scheme: Scheme::Bearer, file: token_file.clone() }
            }
            config::Credential::Passthrough => Source::Passthrough,
            // Configuration with these two is refused at start; shown is nothing.
            config::Credential::None | config::Credential::Oauth2(_) | config::Credential::Session { .. } => {
                Source::None
            }
        };
        let credentials = Self {
            source,
            current: ArcSwap::from_pointee(Held { generation: 0, header: None }),
            replacing: tokio::sync::Mutex::new(()),
            problem: parking_lot::Mutex::default(),
        };
        credentials.renew();
        credentials
    }

    /// What a request is sent with.
    ///
    /// # Errors
    ///
    /// [`CredentialError::Unavailable`] when the file could not be read.
    pub fn choose(&self, permit: &Permit) -> Result<Chosen, CredentialError> {
        match self.source {
            Source::Passthrough if permit.passes_through() => Ok(Chosen::Client),
            Source::File { .. } if permit.goes_bare() => Ok(Chosen::None),
            Source::None | Source::Passthrough => Ok(Chosen::None),
            Source::File { .. } => {
                let held = self.current.load_full();
                if held.header.is_some() { Ok(Chosen::Gateway(held)) } else { Err(CredentialError::Unavailable) }
            }
        }
    }

    /// Whether the callers' own credentials may go through.
    #[must_use]
    pub fn is_passthrough(&self) -> bool {
        matches!(self.source, Source::Passthrough)
    }

    /// What `/status` shows of it: kind, file, whether it could be read, how often it was replaced. Never what it is.
    #[must_use]
    pub fn status(&self) -> serde_json::Value {
        let kind = match &self.source {
            Source::None => "none",
            Source::Passthrough => "passthrough",
            Source::File { scheme: Scheme::ApiKey, .. } => "api_key",
            Source::File { scheme: Scheme::Basic { .. }, .. } => "basic",
            Source::File { scheme: Scheme::Bearer, .. } => "bearer",
        };
        let Source::File { file, .. } = &self.source else { return serde_json::json!({ "kind": kind }) };
        let held = self.current.load();
        serde_json::json!({
            "kind": kind,
            "file": file,
            "available": held.header.is_some(),
            "generation": held.generation,
            "problem": *self.problem.lock(),
        })
    }

    /// Whether a refusal may be mended, so that a copy of the head is worth keeping.
    #[must_use]
    pub fn can_be_replaced(&self) -> bool {
        matches!(self.source, Source::File { .. })
    }

    /// The header as held, for the gateway's own calls to the cluster.
    #[must_use]
    pub fn held(&self) -> Arc<Held> {
        self.current.load_full()
    }

    /// Replaces a refused credential; callers refused at the same generation share one reading.
    ///
    /// # Errors
    ///
    /// [`CredentialError::Rejected`] when the file still says what was refused.
    pub async fn replace(&self, refused: &Held) -> Result<Arc<Held>, CredentialError> {
        let _turn = self.replacing.lock().await;
        let current = self.current.load_full();
        if current.generation != refused.generation {
            return Ok(current); // another request replaced it while this one waited
        }
        self.renew();
        let current = self.current.load_full();
        if current.generation == refused.generation { Err(CredentialError::Rejected) } else { Ok(current) }
    }

    /// Reads the file again; keeps what is held when the file says the same or cannot be read.
    pub fn renew(&self) {
        let Source::File { scheme, file } = &self.source else { return };
        let current = self.current.load_full();
        let problem = match read(scheme, file) {
            Ok(header) if current.header.as_ref() == Some(&header) => None,
            Ok(header) => {
                self.current.store(Arc::new(Held { generation: current.generation + 1, header: Some(header) }));
                None
            }
            Err(error) => Some(error.to_string()),
        };
        let mut last = self.problem.lock();
        // A timer asks every few seconds: say it once.
        if let Some(problem) = problem.as_ref().filter(|problem| last.as_ref() != Some(problem)) {
            tracing::error!(file = %file.display(), problem, "the credential for the cluster cannot be read");
        }
        *last = problem;
    }
}

impl Chosen {
    /// Where it came from.
    #[must_use]
    pub fn provenance(&self) -> Provenance {
        match self {
            Self::Client => Provenance::Client,
            Self::Gateway(_) => Provenance::Gateway,
            Self::None => Provenance::None,
        }
    }
}

impl Held {
    /// The header value; marked sensitive.
    #[must_use]
    pub fn header(&self) -> Option<&HeaderValue> {
        self.header.as_ref()
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("generation", &self.generation).finish_non_exhaustive()
    }
}

fn read(scheme: &Scheme, file: &Path) -> std::io::Result<HeaderValue> {
    let text = Zeroizing::new(std::fs::read_to_string(file)?);
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(std::io::Error::other("the file is empty"));
    }
    let header = Zeroizing::new(match scheme {
        Scheme::ApiKey => format!("ApiKey {secret}"),
        Scheme::Basic { username } => {
            format!("Basic {}", STANDARD.encode(Zeroizing::new(format!("{username}:{secret}")).as_bytes()))
        }
        Scheme::Bearer => format!("Bearer {secret}"),
    });
    let mut value =
        HeaderValue::from_str(&header).map_err(|_| std::io::Error::other("the file holds no single line of text"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(file: &Path) -> Credentials {
        Credentials::new(&config::Credential::Basic { username: "gate".into(), password_file: file.into() })
    }

    #[test]
    fn a_password_file_becomes_a_basic_header_that_does_not_print() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cret\n").unwrap();
        let credentials = basic(file.path());
        let held = credentials.held();
        assert_eq!(held.header().unwrap(), &format!("Basic {}", STANDARD.encode("gate:s3cret")));
        let printed = format!("{credentials:?} {:?} {:?}", held, held.header());
        assert!(!printed.contains("s3cret") && !printed.contains(&STANDARD.encode("gate:s3cret")), "{printed}");
    }

    #[tokio::test]
    async fn a_changed_file_replaces_the_refused_credential_once_for_all() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "old").unwrap();
        let credentials = basic(file.path());
        let refused = credentials.held();
        std::fs::write(file.path(), "new").unwrap();
        let first = credentials.replace(&refused).await.unwrap();
        let second = credentials.replace(&refused).await.unwrap();
        assert_eq!((first.generation, second.generation), (2, 2));
        assert_ne!(first.header(), refused.header());
    }

    #[tokio::test]
    async fn an_unchanged_file_means_the_credential_is_rejected() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "same").unwrap();
        let credentials = basic(file.path());
        let refused = credentials.held();
        assert!(matches!(credentials.replace(&refused).await, Err(CredentialError::Rejected)));
    }

    #[test]
    fn a_file_that_vanishes_does_not_lose_what_is_held() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "kept").unwrap();
        let credentials = basic(file.path());
        drop(file);
        credentials.renew();
        assert!(credentials.held().header().is_some());
        assert!(credentials.status()["problem"].is_string());
    }
}
