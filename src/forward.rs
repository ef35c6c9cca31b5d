//! Sends a permitted request to the cluster and hands its answer back.

/// Why the cluster gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The client's body stalled. 408.
    #[error("the request body did not arrive in time")]
    BodyStalled,
    /// The client's body is longer than `limits.body_bytes`. 413.
    #[error("the request body is larger than {limit} bytes")]
    BodyTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The client's connection broke while its body was being sent. Nobody reads the answer.
    #[error("the client went away")]
    ClientGone,
    /// The cluster broke the connection or the framing. 502.
    #[error("the cluster ended the connection before it answered")]
    Interrupted,
    /// No first byte of an answer within `upstream.request_timeout`. 504.
    #[error("the cluster did not answer in time")]
    TimedOut,
    /// No host took a connection. 502.
    #[error("the cluster cannot be reached")]
    Unreachable,
}
