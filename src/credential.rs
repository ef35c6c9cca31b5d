//! What the cluster is shown: header, provenance, generation.

/// Why there is no credential to show, or the cluster did not take it.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The cluster refuses the gateway's own credential. 502 `upstream_credential_rejected`.
    #[error("the cluster refuses the gateway's own credential")]
    Rejected,
    /// The credential was renewed, but this request cannot be sent again by the gateway: the client is asked to.
    /// 503, `Retry-After: 1`, code `token_refreshed_retry`.
    #[error("the credential was renewed; send the request again")]
    Resend,
    /// The credential cannot be read now. 503.
    #[error("the credential for the cluster is not available")]
    Unavailable,
    /// `passthrough`, and the cluster answers requests without credentials. 503.
    #[error("the cluster answers requests without credentials, so nothing may be passed through to it")]
    UpstreamOpen,
}
