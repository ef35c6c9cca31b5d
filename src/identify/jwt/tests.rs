use proptest::prelude::*;

use super::{
    testing::{Signer, claims},
    *,
};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A realm whose keys are in a file.
struct Realm {
    judge: JwtRealm,
    signer: Signer,
    _folder: tempfile::TempDir,
}

impl Realm {
    fn new() -> Self {
        let (folder, signer) = (tempfile::tempdir().unwrap(), Signer::new("ES256", "k"));
        let file = folder.path().join("jwks.json");
        std::fs::write(&file, signer.set()).unwrap();
        let config = config::JwtRealm {
            name: "corp".into(),
            jwks: Jwks::File(file),
            issuer: "issuer".into(),
            audience: vec!["them".into(), "us".into()],
            principal_claim: "sub".into(),
            roles_claim: "groups".into(),
        };
        Self { judge: JwtRealm::new(config, Arc::default()).unwrap(), signer, _folder: folder }
    }

    fn judge(&self, token: &str) -> Judged {
        // Nobody watches the file: a token with an unknown key waits for nothing.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(self.judge.judge(token, NOW)).unwrap()
    }

    /// With one claim changed, or left out.
    fn judge_with(&self, name: &str, value: Option<Value>) -> Judged {
        let mut claims = claims();
        match value {
            Some(value) => claims[name] = value,
            None => drop(claims.as_object_mut().unwrap().remove(name)),
        }
        self.judge(&self.signer.sign(&claims))
    }
}

fn is_good(judged: &Judged) -> bool {
    matches!(judged, Judged::Good(..))
}

#[test]
fn claims_become_a_caller() {
    let realm = Realm::new();
    let mut claims = claims();
    claims["aud"] = json!("us");
    claims["mixed"] = json!([1, "a", true]);
    for (name, value) in [("none", json!(null)), ("object", json!({"a": 1})), ("deep", json!([{}])), ("nbf", json!(1))]
    {
        claims[name] = value;
    }
    let Judged::Good(identity, until) = realm.judge(&realm.signer.sign(&claims)) else { panic!() };
    assert_eq!((&*identity.username, identity.roles), ("sue", vec!["superuser".into()]));
    assert_eq!(until, NOW.plus(Duration::from_mins(11)));
    let expected = json!({"jwt_token_type": "id_token", "jwt_claim_iss": "issuer", "jwt_claim_aud": ["us"],
        "jwt_claim_sub": "sue", "jwt_claim_groups": ["superuser"], "jwt_claim_mixed": [1, "a", true]});
    assert_eq!(Value::Object(identity.metadata), expected);
}

#[test]
fn tokens_of_others_are_not_judged() {
    let realm = Realm::new();
    assert!(matches!(realm.judge_with("iss", Some(json!("issuer2"))), Judged::Foreign));
    assert!(matches!(realm.judge_with("iss", None), Judged::Foreign));
    assert!(matches!(realm.judge("sg1_abc"), Judged::Foreign));
}

#[test]
fn a_claim_decides() {
    let realm = Realm::new();
    for (good, name, value) in [
        (true, "groups", Some(json!("one"))),
        (true, "groups", None),
        (true, "exp", Some(json!(1_699_999_941))),
        (true, "nbf", Some(json!(1_700_000_060))),
        (true, "iat", None),
        (false, "exp", Some(json!(1_699_999_940))),
        (false, "exp", None),
        (false, "exp", Some(json!("1700000600"))),
        (false, "nbf", Some(json!(1_700_000_061))),
        (false, "iat", Some(json!(1_700_000_061))),
        (false, "aud", Some(json!(["else"]))),
        (false, "aud", None),
        (false, "aud", Some(json!(["us", 1]))),
        (false, "sub", None),
        (false, "sub", Some(json!(""))),
        (false, "sub", Some(json!(7))),
        (false, "groups", Some(json!([1]))),
    ] {
        assert_eq!(is_good(&realm.judge_with(name, value.clone())), good, "{name} {value:?}");
    }
}

#[test]
fn a_header_decides() {
    let realm = Realm::new();
    for (good, name, value) in [
        (true, "typ", json!("JWT")),
        (true, "typ", json!("application/at+jwt")),
        (true, "jku", json!("https://elsewhere/keys")),
        (false, "typ", json!("logout+jwt")),
        (false, "crit", json!(["exp"])),
        (false, "kid", json!("other")),
        (false, "alg", json!("none")),
    ] {
        let mut header = json!({"alg": "ES256", "kid": "k"});
        header[name] = value.clone();
        let token = realm.signer.sign_with_header(&header, &claims());
        assert_eq!(is_good(&realm.judge(&token)), good, "{name} {value}");
    }
}

#[test]
fn a_key_inside_the_token_is_ignored() {
    let (realm, stranger) = (Realm::new(), Signer::new("ES256", "k"));
    let header = json!({"alg": "ES256", "kid": "k", "jwk": stranger.jwk()});
    assert!(!is_good(&realm.judge(&stranger.sign_with_header(&header, &claims()))));
}

#[tokio::test(start_paused = true)]
async fn without_keys_nothing_is_wrong_with_a_token() {
    let mut realm = Realm::new();
    let source = KeySource::new("corp".into(), Place::File("/nowhere".into()), Arc::default());
    realm.judge.keys = Arc::new(source);
    assert!(realm.judge.judge(&realm.signer.sign(&claims()), NOW).await.is_err());
    let mut late = claims();
    late["exp"] = json!(1);
    assert!(matches!(realm.judge.judge(&realm.signer.sign(&late), NOW).await, Ok(Judged::Bad(_))));
}

#[test]
fn no_byte_can_be_changed() {
    let realm = Realm::new();
    let token = realm.signer.sign(&claims());
    assert!(is_good(&realm.judge(&token)));
    proptest!(|(at in 0..token.len(), byte in "[A-Za-z0-9_.=-]")| {
        let mut changed = token.clone();
        changed.replace_range(at..=at, &byte);
        prop_assert_eq!(is_good(&realm.judge(&changed)), changed == token);
    });
}
