//! Pure: what to do with an answer of the cluster, from facts alone.
//!
//! The rows are those of the decision table in `transparent-reauthentication.md` section 3 that a credential read
//! from a file can meet; sessions and token endpoints add theirs.

use http::StatusCode;

use crate::credential::{CredentialError, Provenance};

/// What is known once the cluster has answered.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Its status.
    pub status: StatusCode,
    /// Where the credential of this attempt came from.
    pub provenance: Provenance,
    /// Whether this answer is to the request that was sent again.
    pub second: bool,
}

/// What happens next.
#[derive(Debug)]
pub enum Next {
    /// The client gets the answer.
    Deliver,
    /// The client gets an answer of the gateway's instead.
    Explain(CredentialError),
    /// The credential is replaced and, where it can be, the request sent again.
    Recover,
}

/// Judges an answer.
#[must_use]
pub fn decide(facts: Facts) -> Next {
    if facts.status != StatusCode::UNAUTHORIZED {
        return Next::Deliver; // D3
    }
    match facts.provenance {
        Provenance::Client | Provenance::None => Next::Deliver, // D4, D6
        Provenance::Gateway if facts.second => Next::Explain(CredentialError::Rejected), // D5, D7
        Provenance::Gateway => Next::Recover,                   // contract section 4: read the file again first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(status: u16, provenance: Provenance, second: bool) -> Next {
        decide(Facts { status: StatusCode::from_u16(status).unwrap(), provenance, second })
    }

    #[test]
    fn d3_only_a_401_is_looked_at() {
        for status in [200, 400, 403, 407, 429, 503] {
            assert!(matches!(decided(status, Provenance::Gateway, false), Next::Deliver), "{status}");
        }
    }

    #[test]
    fn d4_a_refused_credential_of_the_client_is_the_clients_business() {
        assert!(matches!(decided(401, Provenance::Client, false), Next::Deliver));
    }

    #[test]
    fn d6_a_refusal_of_a_request_without_credential_is_passed_on() {
        assert!(matches!(decided(401, Provenance::None, false), Next::Deliver));
    }

    #[test]
    fn the_gateways_own_credential_is_replaced_once() {
        assert!(matches!(decided(401, Provenance::Gateway, false), Next::Recover));
    }

    #[test]
    fn d5_d7_a_second_refusal_of_the_gateways_own_credential_is_explained() {
        assert!(matches!(decided(401, Provenance::Gateway, true), Next::Explain(CredentialError::Rejected)));
    }
}
