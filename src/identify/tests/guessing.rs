//! Passwords that are guessed.

use super::*;

async fn fail(gate: &Gate, name: &str, times: usize) {
    for guess in 0..times {
        let error = gate.identify(&Shown::basic(name, &format!("guess {guess}"))).await.unwrap_err();
        assert!(matches!(error, IdentifyError::Password { .. }), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_ten_wrong_passwords_a_user_is_not_heard_for_a_minute() {
    for name in ["u", "nobody", "elastic"] {
        let gate = Gate::open().await;
        fail(&gate, name, 10).await;
        let error = gate.identify(&Shown::basic(name, PASSWORD)).await.unwrap_err();
        assert_eq!((error.reason_code(), error.challenge()), (Some("throttled"), None), "{name}");
        assert_eq!(error.retry_after(), Some(Duration::from_mins(1)));
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(gate.identify(&Shown::basic(name, PASSWORD)).await.is_ok(), name != "nobody");
    }
}

#[tokio::test(start_paused = true)]
async fn a_block_is_for_one_address_and_for_passwords_remembered_or_not() {
    let gate = Gate::open().await;
    let user = Shown::basic("u", PASSWORD);
    let (_, key) = gate.key(None).await;
    gate.identify(&user).await.unwrap();
    gate.identify(&key).await.unwrap();
    fail(&gate, "u", 10).await;
    assert!(gate.identify(&user).await.is_err());
    assert!(gate.recall(&user).is_none(), "a guesser would see that this one is right");
    assert!(gate.recall_from(&user, "10.0.0.2:4000").is_some());
    assert!(gate.recall(&key).is_some());
    assert!(gate.identify_from(&user, "10.0.0.2:4000").await.is_ok());
    for guess in 0..200 {
        gate.identify(&Shown::api_key(&format!("a:{guess}"))).await.unwrap_err();
    }
    assert!(gate.identify(&key).await.is_ok());
    tokio::time::advance(Duration::from_mins(1)).await;
    assert!(gate.recall(&user).is_some());
}

#[tokio::test]
async fn nothing_is_held_against_strangers_whom_the_cluster_judges() {
    let gate = Gate::open().await;
    let pass = |shown: Shown| Shown { strangers_pass: true, ..shown };
    for guess in 0..20 {
        let shown = pass(Shown::basic("stranger", &format!("guess {guess}")));
        assert!(gate.identify(&shown).await.unwrap_err().is_unclaimed());
    }
    let foreign = Shown::authorization("ApiKey essu_x");
    for shown in [Shown::default(), Shown::api_key("a:b"), Shown::bearer("token"), foreign] {
        assert!(gate.identify(&pass(shown)).await.unwrap_err().is_unclaimed());
    }
    for shown in [Shown::basic("u", "wrong"), Shown::basic("elastic", "wrong"), Shown::authorization("Basic !")] {
        assert!(!gate.identify(&pass(shown)).await.unwrap_err().is_unclaimed(), "realms here claim their own");
    }
}
