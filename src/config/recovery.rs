//! `reauthentication`, `invalidation` and `enrollment`: credentials repaired, retired and handed to agents.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::quantity;

/// Repair of an expired credential behind the caller's back.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reauthentication {
    /// Refresh so long before expiry; a tenth of the lifetime when that is less.
    #[serde(with = "quantity::duration_or_zero")]
    #[schemars(with = "String")]
    pub refresh_ahead: Duration,
    /// One refresh call to the cluster.
    #[serde(with = "quantity::duration")]
    #[schemars(with = "String")]
    pub refresh_timeout: Duration,
    /// Longer than `refresh_timeout`, below the reuse window of 30s.
    #[serde(with = "quantity::duration")]
    #[schemars(with = "String")]
    pub lease_ttl: Duration,
    /// Time a request may sit in recovery.
    #[serde(with = "quantity::duration")]
    #[schemars(with = "String")]
    pub max_wait: Duration,
    /// Requests that wait for one refresh; more are answered 503.
    pub max_waiters_per_session: u32,
    /// Ask the cluster about a new token before it is used: for clusters before 7.8.
    pub post_refresh_probe: bool,
    /// Answer when a refresh fails for the moment.
    pub transient_failure: TransientFailure,
    /// Answer to a session that expired before its request was forwarded.
    pub front_door_expired_status: ExpiredStatus,
    /// Body kept in memory for a second sending, per request.
    #[serde(with = "quantity::bytes_or_zero")]
    #[schemars(with = "String")]
    pub replay_memory: u64,
    /// Body kept in an encrypted temporary file, per request; 0 = off.
    #[serde(with = "quantity::bytes_or_zero")]
    #[schemars(with = "String")]
    pub replay_spool: u64,
    /// All bodies kept in memory.
    #[serde(with = "quantity::bytes_or_zero")]
    #[schemars(with = "String")]
    pub replay_total: u64,
}

/// Retired keys, invalidated later.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Invalidation {
    /// Between retirement and invalidation.
    #[serde(with = "quantity::duration_or_zero")]
    #[schemars(with = "String")]
    pub delay: Duration,
    /// Between looks at the queue.
    #[serde(with = "quantity::duration")]
    #[schemars(with = "String")]
    pub interval: Duration,
    /// Invalidated then even while a lease holds it.
    #[serde(with = "quantity::duration")]
    #[schemars(with = "String")]
    pub hard_deadline: Duration,
    /// Ids in one call to the cluster.
    pub batch: u32,
    /// Then the worker yields.
    pub max_batches_per_run: u32,
    /// Calls to a cluster at a time.
    pub concurrency: u32,
    /// A worker that says nothing for so long loses its claim.
    #[serde(with = "quantity::duration")]
    #[schemars(with = "String")]
    pub claim_ttl: Duration,
    /// Looks for an id younger than two minutes, a second apart.
    pub visibility_retries: u32,
    /// How long finished records are kept.
    #[serde(with = "quantity::duration_or_zero")]
    #[schemars(with = "String")]
    pub keep_done: Duration,
}

/// Enrollment and check-in of agents.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own in the contract's tree")]
pub struct Enrollment {
    /// Serve `/api/fleet`.
    pub enabled: bool,
    /// One key an agent, which carries the append role too.
    pub single_key: bool,
    /// Enrollment keys without a policy.
    pub allow_unassigned: bool,
    /// Policies with more than append privileges on the usual data streams.
    pub allow_extended: bool,
    /// Time over which check-ins are answered at shutdown.
    #[serde(with = "quantity::duration_or_zero")]
    #[schemars(with = "String")]
    pub drain_spread: Duration,
    /// How long a bulk revoke can be undone; 0 = not at all.
    #[serde(with = "quantity::duration_or_zero")]
    #[schemars(with = "String")]
    pub revoke_undo: Duration,
    /// Tell agents that call with a dead key to unenroll before refusing them.
    pub graceful_force_unenroll: bool,
}

/// Answer when a refresh fails for the moment.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum TransientFailure {
    /// The 401 of the cluster.
    #[serde(rename = "original_401")]
    Original,
    /// 503: clients try again.
    #[default]
    #[serde(rename = "503")]
    Unavailable,
}

/// Answer to a session that expired before its request was forwarded.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ExpiredStatus {
    /// As Kibana answers background calls.
    #[serde(rename = "400")]
    BadRequest,
    /// With the reason.
    #[default]
    #[serde(rename = "401")]
    Unauthorized,
}

impl Default for Reauthentication {
    fn default() -> Self {
        Self {
            refresh_ahead: Duration::from_secs(30),
            refresh_timeout: Duration::from_secs(10),
            lease_ttl: Duration::from_secs(15),
            max_wait: Duration::from_secs(20),
            max_waiters_per_session: 256,
            post_refresh_probe: false,
            transient_failure: TransientFailure::Unavailable,
            front_door_expired_status: ExpiredStatus::Unauthorized,
            replay_memory: 1 << 20,
            replay_spool: 64 << 20,
            replay_total: 256 << 20,
        }
    }
}

impl Default for Invalidation {
    fn default() -> Self {
        Self {
            delay: Duration::from_hours(1),
            interval: Duration::from_secs(30),
            hard_deadline: Duration::from_hours(168),
            batch: 100,
            max_batches_per_run: 50,
            concurrency: 2,
            claim_ttl: Duration::from_mins(1),
            visibility_retries: 5,
            keep_done: Duration::from_hours(168),
        }
    }
}

impl Default for Enrollment {
    fn default() -> Self {
        Self {
            enabled: false,
            single_key: false,
            allow_unassigned: false,
            allow_extended: false,
            drain_spread: Duration::from_mins(1),
            revoke_undo: Duration::from_mins(15),
            graceful_force_unenroll: false,
        }
    }
}
