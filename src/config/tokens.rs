//! `tokens`, `api_keys` and `sessions`: lives of what is issued.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::quantity;

/// Access tokens.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tokens {
    /// Life of an access token.
    #[serde(with = "quantity::duration")]
    #[schemars(with = "String")]
    pub access_lifetime: Duration,
    /// Life of a refresh token.
    #[serde(with = "quantity::duration")]
    #[schemars(with = "String")]
    pub refresh_lifetime: Duration,
    /// Time in which a used refresh token gives the same pair.
    #[serde(with = "quantity::duration_or_zero")]
    #[schemars(with = "String")]
    pub reuse_window: Duration,
    /// Time between removals.
    #[serde(with = "quantity::duration")]
    #[schemars(with = "String")]
    pub cleanup_interval: Duration,
}

/// API keys.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiKeys {
    /// How long a dead key is listed.
    #[serde(with = "quantity::duration_or_zero")]
    #[schemars(with = "String")]
    pub retention: Duration,
    /// Time between removals.
    #[serde(with = "quantity::duration")]
    #[schemars(with = "String")]
    pub cleanup_interval: Duration,
    /// Longest life; `null` = none.
    #[serde(with = "quantity::optional_duration")]
    #[schemars(with = "Option<String>")]
    pub max_lifetime: Option<Duration>,
    /// Life when none is asked for; `null` = `max_lifetime`.
    #[serde(with = "quantity::optional_duration")]
    #[schemars(with = "Option<String>")]
    pub default_lifetime: Option<Duration>,
    /// Most live keys of an owner.
    pub max_per_owner: u64,
    /// Principals kept in memory.
    pub cache_entries: usize,
}

/// Sessions over token pairs of the cluster.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    /// Without activity for so long, it ends.
    #[serde(with = "quantity::duration")]
    #[schemars(with = "String")]
    pub idle_timeout: Duration,
    /// It ends then in any case.
    #[serde(with = "quantity::duration")]
    #[schemars(with = "String")]
    pub lifespan: Duration,
    /// One more ends the oldest; `null` = any number.
    pub max_per_user: Option<u32>,
    /// Time between looks for sessions whose time is over.
    #[serde(with = "quantity::duration")]
    #[schemars(with = "String")]
    pub cleanup_interval: Duration,
    /// Break off answers that still stream when the session ends.
    pub cut_streams_at_lifespan: bool,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            access_lifetime: Duration::from_mins(20),
            refresh_lifetime: Duration::from_hours(24),
            reuse_window: Duration::from_secs(30),
            cleanup_interval: Duration::from_mins(30),
        }
    }
}

impl Default for ApiKeys {
    fn default() -> Self {
        Self {
            retention: Duration::from_hours(168),
            cleanup_interval: Duration::from_hours(1),
            max_lifetime: None,
            default_lifetime: None,
            max_per_owner: 10_000,
            cache_entries: 100_000,
        }
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_hours(8),
            lifespan: Duration::from_hours(720),
            max_per_user: None,
            cleanup_interval: Duration::from_mins(10),
            cut_streams_at_lifespan: false,
        }
    }
}
