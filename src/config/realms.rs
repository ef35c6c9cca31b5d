//! `authentication`: who is who.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    config::{SecureUrl, quantity, text},
    secret::SecretText,
};

/// Who is who.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Authentication {
    /// Asked in this order.
    pub realms: Vec<Realm>,
    /// The first password of `elastic`.
    pub bootstrap: Bootstrap,
    /// What callers without credentials are.
    pub anonymous: Anonymous,
    /// Slows password guessing.
    pub throttle: Throttle,
}

/// The first password of `elastic`. Not read once the store has one, so a file that is gone is no error.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bootstrap {
    /// File that holds it; empty = none.
    #[serde(with = "text::optional_path")]
    #[schemars(with = "String")]
    pub password_file: Option<PathBuf>,
    /// From `SEARCHGATE_BOOTSTRAP_PASSWORD` or its `_FILE`; wins over the file.
    #[serde(skip)]
    pub password: Option<SecretText>,
}

/// One realm.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(tag = "type")]
pub enum Realm {
    /// The cluster's own `_authenticate`.
    Cluster {
        /// Its name.
        #[serde(default = "upstream", with = "text::name")]
        #[schemars(with = "String")]
        name: String,
        /// How long a verdict lives at most.
        #[serde(default = "ten_seconds", with = "quantity::duration_or_zero")]
        #[schemars(with = "String")]
        cache: Duration,
    },
    /// Users of a file.
    File {
        /// Its name.
        #[serde(default = "file", with = "text::name")]
        #[schemars(with = "String")]
        name: String,
        /// The file.
        #[serde(with = "text::path")]
        #[schemars(with = "String")]
        path: PathBuf,
    },
    /// Signed tokens of an issuer.
    Jwt(Box<JwtRealm>),
    /// Users made through the API.
    Native {
        /// Its name.
        #[serde(default = "default_native", with = "text::name")]
        #[schemars(with = "String")]
        name: String,
    },
    /// Client certificates.
    Pki {
        /// Its name.
        #[serde(default = "pki", with = "text::name")]
        #[schemars(with = "String")]
        name: String,
        /// Part of the certificate that names the principal.
        #[serde(default)]
        principal_from: PrincipalFrom,
    },
    /// The bootstrap superuser.
    Reserved,
}

/// Signed tokens of an issuer.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct JwtRealm {
    /// Its name.
    #[serde(with = "text::name")]
    #[schemars(with = "String")]
    pub name: String,
    /// The issuer's keys: a URL or a file.
    pub jwks: Jwks,
    /// `iss` of every token.
    #[serde(with = "text::name")]
    #[schemars(with = "String")]
    pub issuer: String,
    /// One of them must be in `aud`.
    pub audience: Vec<String>,
    /// Claim that names the principal.
    #[serde(default = "sub", with = "text::name")]
    #[schemars(with = "String")]
    pub principal_claim: String,
    /// Claim that holds the roles.
    #[serde(default = "groups", with = "text::name")]
    #[schemars(with = "String")]
    pub roles_claim: String,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq)]
#[schemars(with = "String")]
pub enum Jwks {
    /// A file.
    File(PathBuf),
    /// `https:` or loopback.
    Url(SecureUrl),
}

/// Part of a certificate that names the principal.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalFrom {
    /// The subject's common name.
    #[default]
    SubjectCn,
    /// The whole subject.
    SubjectDn,
}

/// Anonymous access; off while `roles` is empty.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Anonymous {
    /// Principal name.
    #[serde(with = "text::name")]
    #[schemars(with = "String")]
    pub username: String,
    /// Its roles.
    pub roles: Vec<String>,
}

/// Password throttling; off while `failures` is 0.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Throttle {
    /// Wrong passwords for a user from one address within the window.
    pub failures: u32,
    /// The window.
    #[serde(with = "quantity::duration")]
    #[schemars(with = "String")]
    pub window: Duration,
    /// How long they are refused then.
    #[serde(with = "quantity::duration")]
    #[schemars(with = "String")]
    pub block: Duration,
}

impl Bootstrap {
    /// The password, if one is configured; an empty file holds none.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn read(&self) -> std::io::Result<Option<SecretText>> {
        let Some(file) = self.password_file.as_ref().filter(|_| self.password.is_none()) else {
            return Ok(self.password.clone());
        };
        let mut text = std::fs::read_to_string(file)?;
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
        Ok(if text.is_empty() { None } else { Some(SecretText::new(text)) })
    }
}

impl Realm {
    /// Its name, as the API shows it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Cluster { name, .. } | Self::File { name, .. } | Self::Native { name } | Self::Pki { name, .. } => {
                name
            }
            Self::Jwt(realm) => &realm.name,
            Self::Reserved => "reserved",
        }
    }
}

impl Default for Authentication {
    fn default() -> Self {
        Self {
            realms: vec![Realm::Reserved, Realm::Native { name: default_native() }],
            bootstrap: Bootstrap::default(),
            anonymous: Anonymous::default(),
            throttle: Throttle::default(),
        }
    }
}

impl Default for Anonymous {
    fn default() -> Self {
        Self { username: "_anonymous".into(), roles: Vec::new() }
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self { failures: 10, window: Duration::from_mins(1), block: Duration::from_mins(1) }
    }
}

impl<'de> Deserialize<'de> for Jwks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = text::name::deserialize(deserializer)?;
        if text.contains("://") {
            SecureUrl::try_from(text).map(Self::Url).map_err(de::Error::custom)
        } else {
            Ok(Self::File(text.into()))
        }
    }
}

impl Serialize for Jwks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::File(file) => serializer.collect_str(&file.display()),
            Self::Url(url) => url.serialize(serializer),
        }
    }
}

fn default_native() -> String {
    "default_native".into()
}

fn file() -> String {
    "default_file".into()
}

fn groups() -> String {
    "groups".into()
}

fn pki() -> String {
    "pki".into()
}

fn sub() -> String {
    "sub".into()
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

fn upstream() -> String {
    "upstream".into()
}
