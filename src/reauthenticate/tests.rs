use super::*;

/// A 401 to a session's token that was refused, where everything speaks for mending it.
fn facts() -> Facts {
    Facts {
        status: StatusCode::UNAUTHORIZED,
        provenance: Provenance::Session,
        second: false,
        moved: false,
        renewable: true,
        class: Class::Token,
        needs_login: false,
        replayable: true,
        in_time: true,
    }
}

fn own() -> Facts {
    Facts { provenance: Provenance::Gateway, ..facts() }
}

#[test]
fn d3_only_a_401_is_looked_at() {
    for status in [200, 400, 403, 407, 429, 503] {
        let status = StatusCode::from_u16(status).unwrap();
        for provenance in [Provenance::Client, Provenance::Gateway, Provenance::Session, Provenance::None] {
            assert!(matches!(decide(Facts { status, provenance, ..facts() }), Next::Deliver), "{status}");
        }
    }
}

#[test]
fn d4_a_refused_credential_of_the_client_is_the_clients_business() {
    assert!(matches!(decide(Facts { provenance: Provenance::Client, ..facts() }), Next::Deliver));
}

#[test]
fn d5_a_refused_credential_of_the_gateway_that_cannot_be_renewed_is_explained() {
    for facts in [
        Facts { renewable: false, ..own() },
        Facts { class: Class::HeaderLost, ..own() },
        Facts { class: Class::NotToken, ..own() },
    ] {
        assert!(matches!(decide(facts), Next::Explain(CredentialError::Rejected)), "{facts:?}");
    }
}

#[test]
fn contract_4_the_gateways_own_credential_is_renewed_and_the_request_sent_again() {
    for class in [Class::Token, Class::Unknown] {
        assert!(matches!(decide(Facts { class, ..own() }), Next::Recover));
        assert!(matches!(decide(Facts { class, replayable: false, ..own() }), Next::RecoverAndAskAgain));
    }
}

#[test]
fn d6_a_refusal_of_a_request_without_credential_is_passed_on() {
    assert!(matches!(decide(Facts { provenance: Provenance::None, ..facts() }), Next::Deliver));
}

#[test]
fn d7_a_second_refusal_ends_it() {
    assert!(matches!(decide(Facts { second: true, moved: true, ..facts() }), Next::Deliver));
    assert!(matches!(decide(Facts { second: true, ..own() }), Next::Explain(CredentialError::Rejected)));
}

#[test]
fn d9_what_was_renewed_meanwhile_is_not_renewed_again() {
    let moved = Facts { moved: true, class: Class::Unknown, needs_login: true, ..facts() };
    assert!(matches!(decide(moved), Next::Replay));
    assert!(matches!(decide(Facts { replayable: false, ..moved }), Next::AskAgain));
}

#[test]
fn d10_what_cannot_be_renewed_is_passed_on() {
    assert!(matches!(decide(Facts { renewable: false, class: Class::Unknown, ..facts() }), Next::Deliver));
}

#[test]
fn d11_a_401_that_is_not_about_the_token_is_passed_on() {
    for class in [Class::HeaderLost, Class::NotToken] {
        assert!(matches!(decide(Facts { class, needs_login: true, ..facts() }), Next::Deliver));
    }
}

#[test]
fn d11_a_401_that_does_not_say_what_it_is_about_is_probed() {
    assert!(matches!(decide(Facts { class: Class::Unknown, ..facts() }), Next::Probe));
}

#[test]
fn d12_a_session_that_needs_a_login_is_expired() {
    assert!(matches!(decide(Facts { needs_login: true, ..facts() }), Next::DeliverAs("session_expired")));
}

#[test]
fn d13_a_request_that_cannot_be_sent_again_is_asked_for_once_the_token_is_renewed() {
    assert!(matches!(decide(Facts { replayable: false, ..facts() }), Next::RecoverAndAskAgain));
}

#[test]
fn d14_a_renewal_that_would_take_too_long_is_not_waited_for() {
    for replayable in [true, false] {
        let facts = Facts { in_time: false, replayable, ..facts() };
        assert!(matches!(decide(facts), Next::RecoverBehindAndAskAgain));
    }
}

#[test]
fn d15_otherwise_the_token_is_renewed_and_the_request_sent_again() {
    assert!(matches!(decide(facts()), Next::Recover));
}

#[test]
fn f1_f2_the_answer_to_the_request_that_was_sent_again_is_the_clients() {
    for status in [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::UNAUTHORIZED] {
        assert!(matches!(decide(Facts::of_second(status, Provenance::Session)), Next::Deliver));
    }
}

#[test]
fn f4_an_expired_session_is_told_so_with_the_original_401() {
    assert!(matches!(unrenewed(Unrenewed::Expired, TransientFailure::Unavailable), Next::DeliverAs("session_expired")));
}

#[test]
fn f5_a_transient_failure_is_a_503_unless_the_original_401_is_asked_for() {
    let outcome = unrenewed(Unrenewed::Transient, TransientFailure::Unavailable);
    assert!(matches!(outcome, Next::Explain(CredentialError::Transient)));
    assert!(matches!(unrenewed(Unrenewed::Transient, TransientFailure::Original), Next::Deliver));
}

#[test]
fn f6_a_fault_of_the_gateways_own_identity_is_a_502() {
    for transient in [TransientFailure::Unavailable, TransientFailure::Original] {
        let mismatch = unrenewed(Unrenewed::ClientMismatch, transient);
        assert!(matches!(mismatch, Next::Explain(CredentialError::ClientMismatch)));
        assert!(matches!(unrenewed(Unrenewed::Rejected, transient), Next::Explain(CredentialError::Rejected)));
    }
}

#[test]
fn f7_a_session_that_ended_meanwhile_gets_the_original_401() {
    assert!(matches!(unrenewed(Unrenewed::Gone, TransientFailure::Unavailable), Next::Deliver));
}

#[test]
fn f10_nobody_is_redirected_from_inside_a_call() {
    assert!(matches!(unrenewed(Unrenewed::InteractionNeeded, TransientFailure::Unavailable), Next::Deliver));
}
