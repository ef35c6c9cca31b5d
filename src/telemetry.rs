//! What operators see: logs, access events, metrics, the audit stream.

use std::{net::IpAddr, time::Duration};

use http::{Method, StatusCode};

use crate::model::Principal;

pub mod access;
pub mod audit;
pub mod metrics;

/// One finished request, as the access event and the metrics record it.
#[derive(Debug)]
pub struct AccessEvent<'a> {
    /// Request method.
    pub method: &'a Method,
    /// Raw path without the query.
    pub path: &'a str,
    /// Status sent to the client.
    pub status: StatusCode,
    /// Body bytes received from the client.
    pub bytes_in: u64,
    /// Body bytes sent to the client.
    pub bytes_out: u64,
    /// First byte of the request to last byte of the answer.
    pub elapsed: Duration,
    /// Who called, once proven.
    pub principal: Option<&'a Principal>,
    /// Client address.
    pub client: Option<IpAddr>,
    /// Authority of the cluster node that answered.
    pub upstream: Option<&'a str>,
    /// Requests sent to the cluster for this one.
    pub attempts: u8,
    /// Reason code, when the gateway itself answered with one.
    pub reason: Option<&'static str>,
    /// `X-Opaque-Id` of the client.
    pub opaque_id: Option<&'a str>,
    /// Trace id from `traceparent`.
    pub trace_id: Option<&'a str>,
    /// Whether the answer ended early because one side went away.
    pub aborted: bool,
}
