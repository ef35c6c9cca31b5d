//! `store`: durable state.

use std::{fmt, path::PathBuf, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{config::text, secret::SecretText};

/// Durable state.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Where: `sqlite:PATH`, `postgres://…` or `memory:`.
    #[serde(with = "text::parsed")]
    #[schemars(with = "String")]
    pub url: StoreUrl,
    /// Seals what must be readable again; one key a line, newest first. Empty = generated beside a SQLite store.
    #[serde(with = "text::optional_path")]
    #[schemars(with = "String")]
    pub master_key_file: Option<PathBuf>,
}

/// Where durable state lives.
#[derive(Clone, Debug)]
pub enum StoreUrl {
    /// Nowhere: for tests and `demo`.
    Memory,
    /// A PostgreSQL server; the text may hold a password.
    Postgres(SecretText),
    /// A SQLite file.
    Sqlite(PathBuf),
}

/// A text that names no store.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no store\nwrite sqlite:PATH, postgres://user@host/database or memory:")]
pub struct StoreUrlError;

impl Default for StoreConfig {
    fn default() -> Self {
        Self { url: StoreUrl::Sqlite("data/searchgate.db".into()), master_key_file: None }
    }
}

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(text: &str) -> Result<Self, StoreUrlError> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(SecretText::new(text.to_owned())));
        }
        match text.split_once(':') {
            Some(("memory", "")) => Ok(Self::Memory),
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            _ => Err(StoreUrlError),
        }
    }
}

/// Of a PostgreSQL URL nothing but the kind is shown: a password may stand in more than one place of it.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Postgres(_) => f.write_str("postgres://[redacted]"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
        }
    }
}
