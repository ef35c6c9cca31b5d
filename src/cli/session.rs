//! Where management commands act: on a running gateway through its API, or on the store of one that is down.

use std::{fs, io, path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::{
    body::Body,
    cli::{client::Client, prompt},
    clock::Clock,
    config::{Config, Environment, StoreUrl, UpstreamSsl},
    gateway::{
        Shared,
        build::{build, open},
    },
    listener::peer::Peer,
    model::{AuthenticationType, Identity, Principal, RealmRef},
    privileges::Privileges,
    secret::SecretText,
    telemetry::Telemetry,
    upstream::tls::client_tls,
    users::Users,
};

/// Which gateway, and who asks.
#[derive(clap::Args, Debug)]
pub struct Place {
    /// A running gateway. Without this and without --config: `http://127.0.0.1:9200`.
    #[arg(long, value_name = "URL", conflicts_with = "files")]
    url: Option<Uri>,
    /// Who asks; the password is `SEARCHGATE_PASSWORD`, the first line of --password-file, or asked for.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["api_key_file", "files"])]
    user: Option<String>,
    /// File with the password of --user; `-` for standard input.
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// File with an API key, encoded as it was printed.
    #[arg(long, value_name = "FILE", conflicts_with = "files")]
    api_key_file: Option<PathBuf>,
    /// CA certificates to trust in place of the system's.
    #[arg(long, value_name = "FILE", conflicts_with = "files")]
    ca: Vec<PathBuf>,
    /// Act on the store of this configuration; its gateway must be down.
    #[arg(long = "config", value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// A place that can be asked.
#[derive(Debug)]
pub enum Session {
    /// The API of this process, on the store itself, as `elastic`.
    Store {
        /// Holds the API.
        shared: Arc<Shared>,
        /// Who asks.
        principal: Arc<Principal>,
    },
    /// A running gateway.
    Server(Client),
}

impl Place {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// What keeps it from being asked: the configuration, the store, a file, or nobody to ask as.
    pub async fn open(&self) -> Result<Session> {
        if !self.files.is_empty() {
            return store(&Config::load(&self.files, &Environment::of_process())?).await;
        }
        let url = self.url.clone().unwrap_or_else(|| Uri::from_static(DEFAULT_URL));
        let tls = match url.scheme_str() {
            Some("https") => {
                let ssl = UpstreamSsl { certificate_authorities: self.ca.clone(), ..UpstreamSsl::default() };
                Some(client_tls(&ssl)?)
            }
            _ => None,
        };
        Ok(Session::Server(Client { url, tls, authorization: Some(self.authorization()?) }))
    }

    fn authorization(&self) -> Result<HeaderValue> {
        let value = match (&self.user, &self.api_key_file) {
            (Some(user), _) => {
                ensure!(!user.contains(':'), "a user's name holds no colon");
                let password = self.password(user)?;
                let pair = Zeroizing::new(format!("{user}:{}", password.expose()));
                Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
            }
            (None, Some(file)) => {
                let key = Zeroizing::new(
                    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?,
                );
                Zeroizing::new(format!("ApiKey {}", key.trim()))
            }
            (None, None) => bail!("nobody to ask as: give --user or --api-key-file, or --config with the gateway down"),
        };
        let mut value = HeaderValue::try_from(value.as_str()).ok().context("the credential fits no header")?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn password(&self, user: &str) -> Result<SecretText> {
        match (&self.password_file, std::env::var("SEARCHGATE_PASSWORD")) {
            (Some(file), _) if file.as_os_str() == "-" => prompt::line(&mut io::stdin().lock()),
            (Some(file), _) => {
                let file = fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
                prompt::line(&mut io::BufReader::new(file))
            }
            (None, Ok(password)) => Ok(SecretText::new(password)),
            (None, Err(_)) => prompt::ask(&format!("Password of {user}: ")),
        }
    }
}

impl Session {
    /// Asks the API.
    ///
    /// # Errors
    ///
    /// No answer, or one that is no success: its reason, never what was sent.
    pub async fn ask(&self, method: Method, target: &str, body: Option<&Value>) -> Result<Value> {
        match self.exchange(method, target, body).await? {
            (status, answer) if status.is_success() => Ok(answer),
            (status, answer) => bail!("{} ({status})", reason(&answer)),
        }
    }

    /// The same, where what was named may be absent.
    ///
    /// # Errors
    ///
    /// As [`Session::ask`]; absence is none.
    pub async fn find(&self, method: Method, target: &str) -> Result<Option<Value>> {
        match self.exchange(method, target, None).await? {
            (status, answer) if status.is_success() => Ok(Some(answer)),
            // An error has words for it: then it is not the thing named that is absent.
            (StatusCode::NOT_FOUND, answer) if answer.get("error").is_none() => Ok(None),
            (status, answer) => bail!("{} ({status})", reason(&answer)),
        }
    }

    async fn exchange(&self, method: Method, target: &str, body: Option<&Value>) -> Result<(StatusCode, Value)> {
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let (status, answer) = match self {
            Self::Server(client) => client.send(method, target, body).await?,
            Self::Store { shared, principal } => {
                let mut request = Request::builder().method(method).uri(target);
                if !body.is_empty() {
                    request = request.header(header::CONTENT_TYPE, "application/json");
                }
                let request = request.body(Body::from(body))?;
                let answer = shared.api.answer(request, Arc::clone(principal), &Peer::unknown(), async |_| None).await;
                (answer.status(), answer.into_body().read(u64::MAX).await?)
            }
        };
        let answer = serde_json::from_slice(&answer).with_context(|| format!("not an answer of a gateway ({status})"));
        Ok((status, answer?))
    }

    /// Finishes what is under way: audit events of changes to the store.
    pub async fn close(self) {
        if let Self::Store { shared, .. } = self {
            shared.audit.flush().await;
        }
    }
}

/// The gateway of this configuration, whole but not listening.
async fn store(config: &Config) -> Result<Session> {
    ensure!(!matches!(config.store.url, StoreUrl::Memory), "a store in memory is gone when its gateway is down");
    let store = open(&config.store.url).await?;
    let built = build(config, store, &Clock::system(), Telemetry::start(&config.logging)?)?;
    Ok(Session::Store { shared: built.shared, principal: Arc::new(operator()) })
}

/// Whoever may read the configuration and write the store is its superuser.
fn operator() -> Principal {
    let roles: Vec<Box<str>> = vec!["superuser".into()];
    let privileges = Privileges::of_user(&Users::descriptors(&roles));
    let identity = Identity { username: "elastic".into(), roles, ..Identity::default() };
    let realm = RealmRef { name: "reserved".into(), kind: "reserved".into() };
    Principal::new(identity, realm, AuthenticationType::Realm, privileges)
}

/// What the gateway gives as its reason.
fn reason(answer: &Value) -> &str {
    let error = answer.get("error");
    let reason = error.and_then(|error| error.get("reason")).and_then(Value::as_str);
    let described = answer.get("error_description").and_then(Value::as_str);
    reason.or(described).or(error.and_then(Value::as_str)).unwrap_or("refused")
}

const DEFAULT_URL: &str = "http://127.0.0.1:9200";
