//! `limits`: what peers may send.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::quantity;

/// Limits on what peers may send.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// A header block.
    #[serde(with = "quantity::bytes")]
    #[schemars(with = "String")]
    pub header_bytes: u64,
    /// A body, as sent, and inflated where it is read here.
    #[serde(with = "quantity::bytes")]
    #[schemars(with = "String")]
    pub body_bytes: u64,
    /// Open client connections.
    pub connections: usize,
    /// To send a header block.
    #[serde(with = "quantity::duration")]
    #[schemars(with = "String")]
    pub header_timeout: Duration,
    /// A silent connection.
    #[serde(with = "quantity::duration")]
    #[schemars(with = "String")]
    pub idle_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 32 << 10,
            body_bytes: 100 << 20,
            connections: 20_000,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
        }
    }
}
