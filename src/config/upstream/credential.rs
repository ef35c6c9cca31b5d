//! `credential` and `identity`: what the cluster is shown, and how it is told who calls.

use std::path::PathBuf;

use http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{listen::is_loopback, text};

/// What the cluster is shown.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(tag = "kind")]
pub enum Credential {
    /// An API key (`encoded`) from a file.
    ApiKey {
        /// The file.
        #[serde(with = "text::path")]
        #[schemars(with = "String")]
        api_key_file: PathBuf,
    },
    /// User and password.
    Basic {
        /// User name.
        #[serde(with = "text::name")]
        #[schemars(with = "String")]
        username: String,
        /// File with the password.
        #[serde(with = "text::path")]
        #[schemars(with = "String")]
        password_file: PathBuf,
    },
    /// A bearer token from a file.
    Bearer {
        /// The file.
        #[serde(with = "text::path")]
        #[schemars(with = "String")]
        token_file: PathBuf,
    },
    /// Nothing.
    #[default]
    None,
    /// An access token from a token endpoint.
    Oauth2(Box<Oauth2>),
    /// The caller's own header.
    Passthrough,
    /// The access token of the caller's session.
    Session {
        /// The identity that talks to the cluster's token API.
        service: Service,
    },
}

/// The identity that talks to the cluster's token API.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(tag = "kind")]
pub enum Service {
    /// An API key (`encoded`) from a file.
    ApiKey {
        /// The file.
        #[serde(with = "text::path")]
        #[schemars(with = "String")]
        api_key_file: PathBuf,
    },
    /// User and password.
    Basic {
        /// User name.
        #[serde(with = "text::name")]
        #[schemars(with = "String")]
        username: String,
        /// File with the password.
        #[serde(with = "text::path")]
        #[schemars(with = "String")]
        password_file: PathBuf,
    },
}

/// How an access token is obtained.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Oauth2 {
    /// The endpoint: `https:` or loopback.
    pub token_url: SecureUrl,
    /// Which grant is asked for.
    pub grant_type: GrantType,
    /// Client id, where the endpoint wants one.
    #[serde(default)]
    pub client_id: Option<String>,
    /// File with the client's secret.
    #[serde(default, with = "text::optional_path")]
    #[schemars(with = "String")]
    pub client_secret_file: Option<PathBuf>,
    /// Grant `password`: user name.
    #[serde(default)]
    pub username: Option<String>,
    /// Grant `password`: file with the password.
    #[serde(default, with = "text::optional_path")]
    #[schemars(with = "String")]
    pub password_file: Option<PathBuf>,
    /// Grant `refresh_token`: file with the first refresh token.
    #[serde(default, with = "text::optional_path")]
    #[schemars(with = "String")]
    pub refresh_token_file: Option<PathBuf>,
    /// Scope asked for.
    #[serde(default)]
    pub scope: Option<String>,
    /// How the request is written.
    #[serde(default)]
    pub wire: TokenWire,
}

/// A grant of RFC 6749.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    /// The client's own.
    ClientCredentials,
    /// A user's password.
    Password,
    /// A refresh token.
    RefreshToken,
}

/// How a token request is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenWire {
    /// JSON to `/_security/oauth2/token`.
    #[default]
    Elasticsearch,
    /// A form.
    Rfc6749,
}

/// How the cluster is told who calls.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(tag = "kind")]
pub enum IdentityKind {
    /// A signed token; needs credential `none`.
    Jwt(Jwt),
    /// It is not.
    #[default]
    None,
    /// `x-proxy-user` and friends.
    ProxyHeaders,
    /// `es-security-runas-user`.
    RunAs,
}

/// A token that names the caller.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// PEM private key, or the shared secret of an HS algorithm.
    #[serde(with = "text::path")]
    #[schemars(with = "String")]
    pub key_file: PathBuf,
    /// How it is signed.
    pub algorithm: JwtAlgorithm,
    /// `iss`.
    #[serde(with = "text::name")]
    #[schemars(with = "String")]
    pub issuer: String,
    /// `aud`.
    #[serde(with = "text::name")]
    #[schemars(with = "String")]
    pub audience: String,
    /// Claim that holds the roles.
    #[serde(default = "roles", with = "text::name")]
    #[schemars(with = "String")]
    pub roles_claim: String,
}

/// How a token is signed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum JwtAlgorithm {
    /// ECDSA on P-256.
    Es256,
    /// HMAC, SHA-256.
    Hs256,
    /// HMAC, SHA-384.
    Hs384,
    /// HMAC, SHA-512.
    Hs512,
    /// RSA PKCS#1.
    Rs256,
}

/// A URL that secrets may be sent to: `https:`, or `http:` to a loopback address.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct SecureUrl(Uri);

/// A URL that nothing secret may be sent to.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum SecureUrlError {
    /// Not `https:` and not loopback.
    #[error("must be https:, or http: to a loopback address")]
    Insecure,
    /// No absolute URL.
    #[error("no absolute URL\nwrite https://host/path")]
    Url,
    /// A user in it would be printed.
    #[error("a URL here must hold no user")]
    User,
}

impl SecureUrl {
    /// The URL.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.0
    }
}

impl TryFrom<String> for SecureUrl {
    type Error = SecureUrlError;

    fn try_from(text: String) -> Result<Self, SecureUrlError> {
        let uri: Uri = text.parse().map_err(|_| SecureUrlError::Url)?;
        let authority = uri.authority().ok_or(SecureUrlError::Url)?;
        if authority.as_str().contains('@') {
            return Err(SecureUrlError::User);
        }
        let host = authority.host().trim_matches(['[', ']']);
        let local = host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_loopback);
        match uri.scheme_str() {
            Some("https") => Ok(Self(uri)),
            Some("http") if local => Ok(Self(uri)),
            _ => Err(SecureUrlError::Insecure),
        }
    }
}

impl From<SecureUrl> for String {
    fn from(url: SecureUrl) -> Self {
        url.0.to_string()
    }
}

fn roles() -> String {
    "roles".into()
}
