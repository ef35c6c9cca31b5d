//! API page sections 2.6, 2.8 and 3.3; cases 39 and 40 of section 18.

use serde_json::json;

use super::*;
use crate::{config::Realm as Configured, passwords::PasswordHash, store::Store};

const RUN_AS: &str = "es-security-runas-user";
const SECONDARY: &str = "es-secondary-authorization";

/// `runner` may run as `t*`; `target` and the disabled `tired` exist.
async fn gate() -> Gate {
    let gate = Gate::open().await;
    let runner = json!({ "run_as": ["t*"] });
    gate.store.put_documents(DocumentKind::Role, vec![("runner".into(), runner)]).await.unwrap();
    for (name, roles, enabled) in [("runner", "runner", true), ("target", "lost", true), ("tired", "lost", false)] {
        let identity = Identity { username: name.into(), roles: vec![roles.into()], ..Identity::default() };
        gate.users.put(identity, Some(text(PASSWORD)), enabled).await.unwrap();
    }
    gate
}

fn denied(error: &IdentifyError) -> (&str, &str) {
    let IdentifyError::RunAs { caller, target } = error else { panic!("{error}") };
    (&caller.identity.username, target)
}

#[tokio::test]
async fn whoever_may_runs_as_another() {
    let gate = gate().await;
    let shown = Shown::basic("runner", PASSWORD).header(RUN_AS, " target ");
    let principal = gate.identify(&shown).await.unwrap();
    assert_eq!((&*principal.identity.username, &*principal.identity.roles), ("target", &["lost".into()][..]));
    assert_eq!((&principal.realm, principal.lookup_realm.as_ref()), (&native(), Some(&native())));
    assert_eq!(&*principal.run_by.as_ref().unwrap().identity.username, "runner");
    assert!(!principal.privileges.may_run_as("target"), "what the caller may is not the target's");
}

#[tokio::test]
async fn a_user_of_a_file_is_run_as_and_hides_the_native_one_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.yml");
    let hash = PasswordHash::of(&text(PASSWORD)).unwrap();
    let entry = |more| format!("{{ password_hash: '{}', roles: [of_file]{more} }}", hash.0.expose());
    let users = format!(
        "jane: {}
u: {}
",
        entry(""),
        entry(", enabled: false")
    );
    std::fs::write(&path, users).unwrap();
    let gate = Gate::with(|config| {
        config.authentication.realms.push(Configured::File { name: "staff".into(), path: path.clone() });
    })
    .await;
    let shown = Shown::basic("elastic", PASSWORD);
    let principal = gate.identify(&shown.clone().header(RUN_AS, "jane")).await.unwrap();
    assert_eq!((&*principal.identity.roles, &*principal.own_realm().name), (&["of_file".into()][..], "staff"));
    let error = gate.identify(&shown.header(RUN_AS, "u")).await.unwrap_err();
    assert!(matches!(error, IdentifyError::Password { .. }), "the file says that it is disabled: {error}");
}

#[tokio::test]
async fn the_caller_s_own_verdict_is_never_that_of_its_target() {
    let gate = gate().await;
    let shown = Shown::basic("runner", PASSWORD);
    let acting = shown.clone().header(RUN_AS, "target");
    gate.identify(&acting).await.unwrap();
    assert!(gate.recall(&acting).is_none());
    assert_eq!(&*gate.recall(&shown).unwrap().identity.username, "runner");
}

#[tokio::test]
async fn a_key_runs_as_a_user_and_is_none_then() {
    let gate = gate().await;
    let (_, shown) = gate.key(None).await;
    let principal = gate.identify(&shown.header(RUN_AS, "elastic")).await.unwrap();
    assert_eq!(principal.authentication, AuthenticationType::ApiKey);
    assert_eq!((&*principal.realm.name, &*principal.lookup_realm.as_ref().unwrap().name), ("_es_api_key", "reserved"));
    assert!(principal.api_key.is_none());
    assert!(principal.run_by.as_ref().unwrap().api_key.is_some());
}

#[tokio::test]
async fn case_39_an_unknown_user_is_as_forbidden_as_another() {
    let gate = gate().await;
    for target in ["u", "runner", "nobody", "tnobody"] {
        let shown = Shown::basic("runner", PASSWORD).header(RUN_AS, target);
        let error = gate.identify(&shown).await.unwrap_err();
        assert_eq!(denied(&error), ("runner", target));
    }
    let error = gate.identify(&Shown::basic("u", PASSWORD).header(RUN_AS, "nobody")).await.unwrap_err();
    assert!(matches!(error, IdentifyError::RunAs { .. }), "nor may a superuser be who does not exist");
}

#[tokio::test]
async fn nobody_and_disabled_users_are_refused_in_the_name_of_the_caller() {
    let gate = gate().await;
    let (id, key) = gate.key(None).await;
    for target in ["", "  ", "tired"] {
        let error = gate.identify(&Shown::basic("runner", PASSWORD).header(RUN_AS, target)).await.unwrap_err();
        assert_eq!(error.to_string(), "unable to authenticate user [runner]", "{target}");
        let error = gate.identify(&key.clone().header(RUN_AS, target)).await.unwrap_err();
        assert_eq!(error.to_string(), format!("unable to authenticate user [{id}]"));
    }
}

#[tokio::test]
async fn a_wrong_caller_runs_as_nobody() {
    let gate = gate().await;
    let error = gate.identify(&Shown::basic("runner", "wrong").header(RUN_AS, "target")).await.unwrap_err();
    assert_eq!(error.to_string(), "unable to authenticate user [runner]");
}

#[tokio::test]
async fn a_right_that_is_gone_is_gone_at_once() {
    let gate = gate().await;
    let shown = Shown::basic("runner", PASSWORD).header(RUN_AS, "target");
    gate.identify(&shown).await.unwrap();
    let identity = Identity { username: "runner".into(), ..Identity::default() };
    gate.users.put(identity, None, true).await.unwrap();
    assert!(matches!(gate.identify(&shown).await.unwrap_err(), IdentifyError::RunAs { .. }));
}

#[tokio::test]
async fn anonymous_callers_stay_themselves() {
    let gate = Gate::with(|config| config.authentication.anonymous.roles = vec!["superuser".into()]).await;
    let principal = gate.identify(&Shown::default().header(RUN_AS, "u")).await.unwrap();
    assert_eq!(&*principal.identity.username, "_anonymous");
    assert!(principal.run_by.is_none());
}

#[tokio::test]
async fn case_40_a_wrong_second_caller_is_refused_behind_a_right_first() {
    let gate = gate().await;
    let first = Shown::basic("runner", PASSWORD);
    for (second, why) in [
        ("Basic !!", "invalid basic authentication header encoding"),
        ("Basic YTpi", "unable to authenticate user [a]"),
        (
            "Bearer x",
            "unable to authenticate with provided credentials and anonymous access is not allowed for this request",
        ),
        ("zzz", "missing authentication credentials"),
    ] {
        let error = gate.identify(&first.clone().header(SECONDARY, second)).await.unwrap_err();
        assert_eq!((error.to_string().as_str(), error.challenge()), ("Failed to authenticate secondary user", None));
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), why);
    }
    let error = gate.identify(&Shown::basic("runner", "wrong").header(SECONDARY, "zzz")).await.unwrap_err();
    assert_eq!(error.to_string(), "unable to authenticate user [runner]");
}

#[tokio::test]
async fn a_right_second_caller_changes_nothing() {
    let gate = gate().await;
    let first = Shown::basic("runner", PASSWORD);
    let Shown { headers, .. } = Shown::basic("u", PASSWORD);
    let second = headers["authorization"].to_str().unwrap();
    for second in [second, second, ""] {
        let principal = gate.identify(&first.clone().header(SECONDARY, second)).await.unwrap();
        assert_eq!(&*principal.identity.username, "runner");
        assert!(principal.run_by.is_none());
    }
}

#[tokio::test]
async fn a_second_caller_is_never_anonymous() {
    let gate = Gate::with(|config| config.authentication.anonymous.roles = vec!["superuser".into()]).await;
    let error = gate.identify(&Shown::basic("u", PASSWORD).header(SECONDARY, "zzz")).await.unwrap_err();
    assert!(matches!(error, IdentifyError::Secondary(_)));
}

#[tokio::test]
async fn credentials_of_a_body_are_not_remembered_under_those_of_the_request() {
    let gate = gate().await;
    let peer = Peer::at("10.0.0.1:4000".parse::<SocketAddr>().unwrap(), false);
    let shown = Shown::basic("runner", PASSWORD);
    let body = Presented::Basic { username: "u".into(), password: text(PASSWORD) };
    let proven = gate.realms.prove(&body, &shown.evidence(&peer)).await.unwrap();
    assert_eq!(&*proven.identity.username, "u");
    assert!(gate.recall(&shown).is_none());
    assert_eq!(&*gate.identify(&shown).await.unwrap().identity.username, "runner");
}
