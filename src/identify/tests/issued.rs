//! Tokens of service accounts (row 9a), and tokens of those who run as another (API page sections 5.3 and 10).

use super::*;
use crate::store::UserNamespace;

#[tokio::test]
async fn a_service_account_is_known_by_its_token() {
    let gate = Gate::open().await;
    let value = gate.service_accounts.create("elastic/kibana", "t").await.unwrap();
    let shown = Shown::bearer(value.expose());
    let principal = gate.identify(&shown).await.unwrap();
    assert_eq!((&*principal.identity.username, &*principal.realm.name), ("elastic/kibana", "_service_account"));
    assert_eq!(principal.identity.full_name.as_deref(), Some("Service account - elastic/kibana"));
    assert_eq!(principal.authentication, AuthenticationType::Token);
    assert_eq!(&*principal.service_token.as_ref().unwrap().kind, "_service_account_index");
    assert!(principal.privileges.allows_cluster_action("cluster:admin/xpack/security/token/create"));
    assert!(!principal.privileges.allows_everything());
    assert!(gate.recall(&shown).is_some());
    let acting = gate.identify(&shown.header("es-security-runas-user", "u")).await.unwrap();
    assert_eq!(&*acting.identity.username, "elastic/kibana", "it never runs as another");
}

#[tokio::test]
async fn a_deleted_service_token_is_forgotten_at_once() {
    let gate = Gate::open().await;
    let value = gate.service_accounts.create("elastic/kibana", "t").await.unwrap();
    let shown = Shown::bearer(value.expose());
    gate.identify(&shown).await.unwrap();
    gate.service_accounts.delete("elastic/kibana", "t").await.unwrap();
    assert!(gate.recall(&shown).is_none());
    for _ in ["asked", "remembered"] {
        let error = gate.identify(&shown).await.unwrap_err();
        assert_eq!(error.to_string(), "failed to authenticate service account [elastic/kibana] with token name [t]");
        assert_eq!((error.reason_code(), error.challenge()), (Some("bad_credentials"), Some(Challenge::All)));
        assert!(error.additional().is_none());
    }
}

#[tokio::test]
async fn a_token_of_somebody_who_ran_as_another_asks_for_that_right_at_every_use() {
    let gate = Gate::open().await;
    let acting = Shown::basic("u", PASSWORD).header("es-security-runas-user", "elastic");
    let principal = gate.identify(&acting).await.unwrap();
    let issued = gate.tokens.issue(TokenSubject::of(&principal), Client::of(&principal)).await.unwrap();
    let shown = Shown::bearer(issued.token.expose());
    let used = gate.identify(&shown.clone().header("es-security-runas-user", "u")).await.unwrap();
    assert_eq!((&*used.identity.username, used.authentication), ("elastic", AuthenticationType::Token));
    assert_eq!(&*used.run_by.as_ref().unwrap().identity.username, "u");
    assert_eq!((&used.realm, &*used.own_realm().name), (&native(), "reserved"));
    assert!(gate.recall(&shown).is_some());

    let runner = gate.users.find(UserNamespace::Native, "u").await.unwrap().unwrap();
    let mut weak = TokenSubject::of(&principal);
    weak.run_by.as_mut().unwrap().identity = Identity { roles: vec![], ..runner.identity };
    let issued = gate.tokens.issue(weak, Client::of(&principal)).await.unwrap();
    let error = gate.identify(&Shown::bearer(issued.token.expose())).await.unwrap_err();
    assert!(matches!(error, IdentifyError::RunAs { target, .. } if &*target == "elastic"));
}

#[tokio::test]
async fn a_token_of_a_key_that_ran_as_a_user_ends_with_the_key() {
    let gate = Gate::open().await;
    let (id, key) = gate.key(None).await;
    let principal = gate.identify(&key.header("es-security-runas-user", "elastic")).await.unwrap();
    let issued = gate.tokens.issue(TokenSubject::of(&principal), Client::of(&principal)).await.unwrap();
    let shown = Shown::bearer(issued.token.expose());
    let used = gate.identify(&shown).await.unwrap();
    assert!(used.api_key.is_none());
    assert_eq!(used.run_by.as_ref().unwrap().api_key.as_ref().unwrap().id, id);
    gate.invalidate(&id).await;
    assert!(gate.recall(&shown).is_none());
    assert!(matches!(gate.identify(&shown).await.unwrap_err(), IdentifyError::TokenExpired));
}

#[tokio::test]
async fn a_token_holds_the_roles_of_its_user_and_not_those_of_everybody() {
    let gate = Gate::with(|config| config.authentication.anonymous.roles = vec!["guest".into()]).await;
    let principal = gate.identify(&Shown::basic("u", PASSWORD)).await.unwrap();
    assert_eq!(&*principal.identity.roles, ["superuser".into(), "guest".into()]);
    assert_eq!(principal.own_roles(), ["superuser".into()]);
    assert_eq!(&*TokenSubject::of(&principal).identity.roles, ["superuser".into()]);
}

#[tokio::test]
async fn a_token_of_an_anonymous_caller_stays_anonymous() {
    let gate = Gate::with(|config| config.authentication.anonymous.roles = vec!["superuser".into()]).await;
    let principal = gate.identify(&Shown::default()).await.unwrap();
    let issued = gate.tokens.issue(TokenSubject::of(&principal), Client::of(&principal)).await.unwrap();
    let shown = Shown::bearer(issued.token.expose()).header("es-security-runas-user", "u");
    let used = gate.identify(&shown).await.unwrap();
    assert_eq!(&*used.identity.username, "_anonymous");
    assert!(used.run_by.is_none());
}
