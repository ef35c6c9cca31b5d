//! Pure: what to do with an answer of the cluster, from facts alone (`transparent-reauthentication.md` sections 3 to 5).
//!
//! Three rows of the decision table cannot arise, and so have no fact: what the gateway itself refuses is a
//! `Rejection` and no answer of the cluster (D1), its own calls to the cluster do not come this way (D2), and no head
//! is sent to a client before the cluster's is known (D8).

use http::StatusCode;

use crate::{
    config::TransientFailure,
    credential::{CredentialError, Provenance},
};

pub mod classify;

pub use classify::{Class, classify};

/// What is known once the cluster has answered.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "rows of a table")]
pub struct Facts {
    /// Its status.
    pub status: StatusCode,
    /// Where the credential of this attempt came from.
    pub provenance: Provenance,
    /// Whether this answer is to the request that was sent again.
    pub second: bool,
    /// Whether the credential was replaced since the request was sent.
    pub moved: bool,
    /// Whether there are means to renew it.
    pub renewable: bool,
    /// What the refusal is about.
    pub class: Class,
    /// Whether the session can only be renewed by logging in again.
    pub needs_login: bool,
    /// Whether the request can be sent again.
    pub replayable: bool,
    /// Whether a renewal fits into the time that is left.
    pub in_time: bool,
}

impl Facts {
    /// Of the answer to a request that was sent again. Nothing else matters then.
    #[must_use]
    pub fn of_second(status: StatusCode, provenance: Provenance) -> Self {
        Self {
            status,
            provenance,
            second: true,
            moved: false,
            renewable: false,
            class: Class::Unknown,
            needs_login: false,
            replayable: false,
            in_time: false,
        }
    }
}

/// What happens next.
#[derive(Debug)]
pub enum Next {
    /// The client gets the answer.
    Deliver,
    /// The client gets the answer, and this code.
    DeliverAs(&'static str),
    /// The client gets an answer of the gateway's instead.
    Explain(CredentialError),
    /// The cluster is asked whether it still takes the token, and this is judged again with what it says.
    Probe,
    /// The request is sent again with what is held now.
    Replay,
    /// The client is asked to send it again.
    AskAgain,
    /// The credential is renewed, and the request sent again.
    Recover,
    /// The credential is renewed, and the client asked to send the request again.
    RecoverAndAskAgain,
    /// The same, but the client does not wait for it.
    RecoverBehindAndAskAgain,
}

/// What a renewal came to, where there is nothing to send the request again with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unrenewed {
    /// Only logging in again helps.
    Expired,
    /// Not for now: the cluster or the issuer does not answer.
    Transient,
    /// The token belongs to another identity of the gateway's.
    ClientMismatch,
    /// The gateway's own identity was refused.
    Rejected,
    /// The session ended meanwhile.
    Gone,
    /// A person must take part.
    InteractionNeeded,
}

/// Judges an answer. The first row that matches decides.
#[must_use]
pub fn decide(facts: Facts) -> Next {
    if facts.status != StatusCode::UNAUTHORIZED {
        return Next::Deliver; // D3
    }
    match facts.provenance {
        Provenance::Client | Provenance::None => Next::Deliver, // D4, D6
        Provenance::Gateway => own(facts),
        Provenance::Session => session(facts),
    }
}

/// D5, and contract section 4: what the gateway shows in its own name is renewed, or nobody but its operator can help.
fn own(facts: Facts) -> Next {
    match facts.class {
        _ if facts.second || !facts.renewable => Next::Explain(CredentialError::Rejected),
        Class::HeaderLost | Class::NotToken => Next::Explain(CredentialError::Rejected),
        // That the credential has changed is proof enough that the request died of it.
        Class::Token | Class::Unknown if facts.replayable => Next::Recover,
        Class::Token | Class::Unknown => Next::RecoverAndAskAgain,
    }
}

fn session(facts: Facts) -> Next {
    if facts.second {
        return Next::Deliver; // D7
    }
    if facts.moved {
        return if facts.replayable { Next::Replay } else { Next::AskAgain }; // D9
    }
    if !facts.renewable {
        return Next::Deliver; // D10
    }
    match facts.class {
        Class::HeaderLost | Class::NotToken => return Next::Deliver, // D11
        Class::Unknown => return Next::Probe,
        Class::Token => {}
    }
    if facts.needs_login {
        return Next::DeliverAs(SESSION_EXPIRED); // D12
    }
    match (facts.in_time, facts.replayable) {
        (false, _) => Next::RecoverBehindAndAskAgain, // D14, and D13 has no time for more
        (true, false) => Next::RecoverAndAskAgain,    // D13
        (true, true) => Next::Recover,                // D15
    }
}

/// What the client gets when a renewal failed (F4 to F7, F10). After one that did not (F1, F8, F9) the request is sent
/// again and its answer is the client's (F2: [`decide`] with `second`; F3: as for any request).
#[must_use]
pub fn unrenewed(outcome: Unrenewed, transient: TransientFailure) -> Next {
    match outcome {
        Unrenewed::Expired => Next::DeliverAs(SESSION_EXPIRED), // F4
        Unrenewed::Transient => match transient {
            TransientFailure::Unavailable => Next::Explain(CredentialError::Transient),
            TransientFailure::Original => Next::Deliver,
        }, // F5
        Unrenewed::ClientMismatch => Next::Explain(CredentialError::ClientMismatch), // F6
        Unrenewed::Rejected => Next::Explain(CredentialError::Rejected), // F6
        Unrenewed::Gone | Unrenewed::InteractionNeeded => Next::Deliver, // F7, F10
    }
}

/// Code of a 401 after which only logging in again helps.
pub const SESSION_EXPIRED: &str = "session_expired";

#[cfg(test)]
mod tests;
