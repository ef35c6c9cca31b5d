//! `logging`: logs and audit.

use std::{convert::Infallible, fmt, path::PathBuf, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::config::text;

/// Logs and audit.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Logging {
    /// Shape of a line.
    pub format: LogFormat,
    /// A level, or a tracing filter such as `info,searchgate::store=debug`.
    #[serde(deserialize_with = "filter")]
    pub level: String,
    /// Where audit events go: `stdout`, `off` or a file.
    #[serde(with = "text::parsed")]
    #[schemars(with = "String")]
    pub audit: AuditTarget,
}

/// Shape of a log line.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, ECS JSON otherwise.
    #[default]
    Auto,
    /// ECS JSON.
    Json,
    /// Text.
    Text,
}

/// Where audit events go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AuditTarget {
    /// A file, reopened on SIGUSR1.
    File(PathBuf),
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
}

impl Default for Logging {
    fn default() -> Self {
        Self { format: LogFormat::default(), level: "info".into(), audit: AuditTarget::Stdout }
    }
}

impl FromStr for AuditTarget {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            // YAML 1.1 tools write `off` as a bool.
            "" | "false" | "off" => Self::Off,
            "stdout" => Self::Stdout,
            file => Self::File(file.into()),
        })
    }
}

impl fmt::Display for AuditTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => file.display().fmt(f),
            Self::Off => f.write_str("off"),
            Self::Stdout => f.write_str("stdout"),
        }
    }
}

fn filter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    // A bare word that is no level would be taken for a target and turn everything else off.
    let known = text.contains('=') || text.contains(',') || LEVELS.iter().any(|level| text.eq_ignore_ascii_case(level));
    if known && text.parse::<tracing_subscriber::EnvFilter>().is_ok() {
        Ok(text)
    } else {
        Err(de::Error::custom("no log level\nwrite off, error, warn, info, debug or trace, or a filter `target=level`"))
    }
}

const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];
