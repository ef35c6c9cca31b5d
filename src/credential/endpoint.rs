//! A token endpoint: the two ways in which one is asked, and what its answers mean.

use std::{error::Error as _, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use rustls::{ClientConfig, pki_types::InvalidDnsNameError};
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::{
    config::{self, GrantType, Oauth2, TokenWire, UpstreamSsl},
    credential::{file, granted::Tokens, kept::Rotating, oauth2::Grant},
    fetch::{FetchError, Remote},
    secret::SecretText,
    upstream::tls::{ClientTlsError, client_tls},
};

/// Where tokens come from, and how they are asked for. Files are read at each call: what is rotated is found.
#[derive(Debug)]
pub(super) struct Endpoint {
    config: Oauth2,
    ssl: UpstreamSsl,
    patience: Duration,
}

/// Why no token was granted. No secret and no text of the endpoint's is in it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Failure {
    /// It says no: whoever asks the same again hears the same.
    #[error("the token endpoint refuses the grant: {0}")]
    Refused(String),
    /// It says nothing, or not now.
    #[error("no answer of the token endpoint: {0}")]
    Transient(String),
}

impl Endpoint {
    /// An endpoint of a configuration. One that speaks as Elasticsearch is the cluster, and trusted like it.
    pub(super) fn new(oauth2: &Oauth2, config: &config::Config) -> Self {
        let ssl = match oauth2.wire {
            TokenWire::Elasticsearch => config.upstream.ssl.clone(),
            TokenWire::Rfc6749 => UpstreamSsl::default(),
        };
        Self { config: oauth2.clone(), ssl, patience: config.reauthentication.refresh_timeout }
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, Unusable> {
        client_tls(&self.ssl).map_err(|error: ClientTlsError| Unusable(error.to_string()))
    }

    fn request(&self, refresh: Option<&SecretText>) -> Result<Request<Bytes>, Failure> {
        let Oauth2 { grant_type, client_id, username, scope, wire, .. } = &self.config;
        let client_secret = secret(self.config.client_secret_file.as_deref())?;
        let mut fields: Vec<(&str, &str)> = Vec::new();
        let password;
        match (refresh, grant_type) {
            (Some(refresh), _) => fields.extend([("grant_type", "refresh_token"), ("refresh_token", refresh.expose())]),
            (None, GrantType::ClientCredentials) => fields.push(("grant_type", "client_credentials")),
            (None, GrantType::Password) => {
                password = secret(self.config.password_file.as_deref())?.unwrap_or_default();
                let username = username.as_deref().unwrap_or_default();
                fields.extend([("grant_type", "password"), ("username", username), ("password", &password)]);
            }
            // Its refresh token is always given.
            (None, GrantType::RefreshToken) => fields.push(("grant_type", "refresh_token")),
        }
        fields.extend(scope.as_deref().map(|scope| ("scope", scope)));
        let client = match (client_id, &client_secret) {
            (Some(id), Some(secret)) => Some((id.as_str(), secret)),
            (Some(id), None) if *wire == TokenWire::Rfc6749 => {
                fields.push(("client_id", id));
                None
            }
            _ => None,
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let (kind, body) = match wire {
            TokenWire::Elasticsearch => ("application/json", json(&fields)),
            TokenWire::Rfc6749 => ("application/x-www-form-urlencoded", form(&fields)),
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        if let Some((id, secret)) = client {
            let basic = match wire {
                TokenWire::Elasticsearch => file::basic(id, secret),
                TokenWire::Rfc6749 => file::basic(&encoded(id), &encoded(secret)),
            };
            headers.insert(header::AUTHORIZATION, basic.map_err(|error| Failure::Transient(error.to_string()))?);
        }
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

impl Grant for Endpoint {
    async fn ask(&self, refresh: Option<&SecretText>) -> Result<Tokens, Failure> {
        let request = self.request(refresh)?;
        let remote = Remote::new::<Unusable>(self.config.token_url.uri(), || self.tls())
            .map_err(|Unusable(why)| Failure::Transient(why))?;
        judge(&remote.send(request, self.patience).await?)
    }

    fn url(&self) -> String {
        self.config.token_url.uri().to_string()
    }
}

impl Rotating for Endpoint {
    fn first(&self) -> Result<SecretText, Failure> {
        let token = secret(self.config.refresh_token_file.as_deref())?.unwrap_or_default();
        Ok(SecretText::new(token.to_string()))
    }

    fn identity(&self) -> String {
        format!("{}\0{}", self.url(), self.config.client_id.as_deref().unwrap_or_default())
    }
}

/// What a token endpoint cannot be asked with.
struct Unusable(String);

impl From<InvalidDnsNameError> for Unusable {
    fn from(error: InvalidDnsNameError) -> Self {
        Self(error.to_string())
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        Self::Transient(match error.source() {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        })
    }
}

fn secret(file: Option<&Path>) -> Result<Option<Zeroizing<String>>, Failure> {
    let read = |file: &Path| {
        file::secret(file)
            .map_err(|error| Failure::Transient(format!("the file [{}] cannot be read: {error}", file.display())))
    };
    file.map(read).transpose()
}

fn judge(answer: &Response<Bytes>) -> Result<Tokens, Failure> {
    let status = answer.status();
    if status == StatusCode::OK {
        return Tokens::read(answer.body()).map_err(|error| Failure::Transient(error.to_string()));
    }
    let said: Option<Refusal> = serde_json::from_slice(answer.body()).ok();
    let code = said.as_ref().and_then(|said| said.error.as_str());
    let code = CODES.into_iter().find(|known| code == Some(known));
    match (status, code) {
        (StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, Some(code)) => {
            Err(Failure::Refused(format!("{} {code}", status.as_u16())))
        }
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, None) => Err(Failure::Refused(status.as_u16().to_string())),
        // A proxy before an endpoint that starts says anything: 302, 400, 404, 503.
        _ => Err(Failure::Transient(format!("the answer is a {}", status.as_u16()))),
    }
}

#[derive(Deserialize)]
struct Refusal {
    /// A text; with Elasticsearch an object where the refusal is not of the grant.
    error: Value,
}

fn json(fields: &[(&str, &str)]) -> Bytes {
    let object: serde_json::Map<_, _> = fields.iter().map(|(key, text)| ((*key).to_owned(), (*text).into())).collect();
    Value::Object(object).to_string().into()
}

fn form(fields: &[(&str, &str)]) -> Bytes {
    let pairs: Vec<_> = fields.iter().map(|(key, text)| format!("{key}={}", &*encoded(text))).collect();
    pairs.join("&").into()
}

/// As a form is written: RFC 6749 appendix B, which also holds for the id and the secret in `Basic` (section 2.3.1).
fn encoded(text: &str) -> Zeroizing<String> {
    let mut encoded = Zeroizing::new(String::with_capacity(text.len()));
    for byte in text.bytes() {
        match byte {
            b' ' => encoded.push('+'),
            b'*' | b'-' | b'.' | b'_' => encoded.push(byte.into()),
            byte if byte.is_ascii_alphanumeric() => encoded.push(byte.into()),
            byte => encoded.extend(['%', hex(byte >> 4), hex(byte & 0xf)]),
        }
    }
    encoded
}

fn hex(digit: u8) -> char {
    char::from_digit(digit.into(), 16).unwrap_or_default().to_ascii_uppercase()
}

/// RFC 6749 section 5.2: those that stay until somebody changes something.
const CODES: [&str; 6] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
];

#[cfg(test)]
mod tests;
