use std::{fs, path::PathBuf, time::Duration};

use aws_lc_rs::{
    encoding::{AsDer as _, EcPrivateKeyRfc5915Der, Pkcs8V1Der},
    hmac,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
    },
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::*;
use crate::{
    config::{Jwt, JwtAlgorithm},
    der::Der,
    model::{AuthenticationType, Identity as User, RealmRef},
    privileges::Privileges,
    secret,
};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_500);
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A private key in PEM.
fn pem(kind: &str, der: &[u8]) -> String {
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", STANDARD.encode(der))
}

/// A key on that curve, as PKCS#8 and as SEC 1.
fn ec(curve: &'static EcdsaSigningAlgorithm) -> [String; 2] {
    let pair = EcdsaKeyPair::generate(curve).unwrap();
    let sec1: EcPrivateKeyRfc5915Der = pair.private_key().as_der().unwrap();
    [pem("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref()), pem("EC PRIVATE KEY", sec1.as_ref())]
}

/// An RSA key, as PKCS#8 and as PKCS#1.
fn rsa() -> [String; 2] {
    let whole: Pkcs8V1Der = RsaKeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap();
    let (_, fields) = Der(whole.as_ref()).next().unwrap();
    let (_, pkcs1) = Der(fields).nth(2).unwrap();
    [pem("PRIVATE KEY", whole.as_ref()), pem("RSA PRIVATE KEY", pkcs1)]
}

/// A key file.
fn file(text: impl AsRef<[u8]>) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    file
}

fn config(algorithm: JwtAlgorithm, key_file: PathBuf) -> Jwt {
    let (issuer, audience, roles_claim) = ("gate".into(), "cluster".into(), "roles".into());
    Jwt { key_file, algorithm, issuer, audience, roles_claim }
}

/// An issuer with that key.
fn issuer(algorithm: JwtAlgorithm, key: impl AsRef<[u8]>) -> Issuer {
    Issuer::new(config(algorithm, file(key).path().into()), 10).unwrap()
}

fn principal(name: &str, roles: &[&str]) -> Arc<Principal> {
    let roles = roles.iter().map(|role| (*role).into()).collect();
    let identity = User { username: name.into(), roles, ..User::default() };
    let realm = RealmRef { name: "r".into(), kind: "r".into() };
    Arc::new(Principal::new(identity, realm, AuthenticationType::Realm, Privileges::default()))
}

fn published(issuer: &Issuer, now: Timestamp) -> Vec<Value> {
    let mut keys = Vec::new();
    issuer.published(now, |key| keys.push(key.clone()));
    keys
}

fn decoded(part: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(part).unwrap()
}

/// The header and claims of a token, and what its signature is about.
fn taken_apart(authorization: &HeaderValue) -> (Value, Value, String, Vec<u8>) {
    let token = authorization.to_str().unwrap().strip_prefix("Bearer ").unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let read = |part| serde_json::from_slice(&decoded(part)).unwrap();
    (read(header), read(claims), signed.to_owned(), decoded(signature))
}

/// Whether the published key verifies it.
fn verifies(key: &Value, signed: &str, signature: &[u8]) -> bool {
    let part = |name: &str| decoded(key[name].as_str().unwrap());
    match key["alg"].as_str().unwrap() {
        "ES256" => {
            let point = [&[4][..], &part("x"), &part("y")].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed.as_bytes(), signature).is_ok()
        }
        _ => RsaPublicKeyComponents { n: part("n"), e: part("e") }
            .verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), signature)
            .is_ok(),
    }
}

#[test]
fn a_token_says_who_calls_for_five_minutes_and_its_published_key_verifies_it() {
    let es = ec(&ECDSA_P256_SHA256_FIXED_SIGNING).map(|key| (JwtAlgorithm::Es256, key));
    let rs = rsa().map(|key| (JwtAlgorithm::Rs256, key));
    for (algorithm, key) in es.into_iter().chain(rs) {
        let issuer = issuer(algorithm, key);
        let authorization = issuer.authorization(&principal("zoë, the 2nd", &["a", "b c"]), NOW).unwrap();
        assert!(authorization.is_sensitive());
        let (header, claims, signed, signature) = taken_apart(&authorization);
        let told = json!({"iss": "gate", "aud": "cluster", "sub": "zoë, the 2nd", "roles": ["a", "b c"],
            "iat": 1_700_000_000, "nbf": 1_699_999_970, "exp": 1_700_000_270});
        assert_eq!(claims, told);
        let keys = published(&issuer, NOW);
        assert_eq!((keys.len(), &header["kid"], &header["alg"]), (1, &keys[0]["kid"], &keys[0]["alg"]));
        assert_eq!((&header["typ"], &keys[0]["use"]), (&json!("JWT"), &json!("sig")));
        assert!(verifies(&keys[0], &signed, &signature));
        assert!(!verifies(&keys[0], &format!("{signed}x"), &signature));
    }
}

#[test]
fn one_key_has_one_name_in_whatever_form_it_is_kept() {
    let es = (JwtAlgorithm::Es256, ec(&ECDSA_P256_SHA256_FIXED_SIGNING));
    for (algorithm, forms) in [es, (JwtAlgorithm::Rs256, rsa())] {
        let [one, other] = forms.map(|form| published(&issuer(algorithm, form), NOW));
        assert_eq!(one, other);
        // RFC 7638: SHA-256 of the members that make the key, in the order of their names.
        let key = one[0].as_object().unwrap();
        let members: std::collections::BTreeMap<_, _> =
            key.iter().filter(|(name, _)| !["kid", "use", "alg"].contains(&&***name)).collect();
        let text = serde_json::to_string(&members).unwrap();
        assert_eq!(key["kid"], URL_SAFE_NO_PAD.encode(secret::sha256(&[text.as_bytes()])));
        assert!(!key.contains_key("d") && !key.contains_key("p"), "{key:?}");
    }
}

#[test]
fn a_shared_secret_signs_and_is_not_published() {
    for (algorithm, name, tag) in [
        (JwtAlgorithm::Hs256, "HS256", hmac::HMAC_SHA256),
        (JwtAlgorithm::Hs384, "HS384", hmac::HMAC_SHA384),
        (JwtAlgorithm::Hs512, "HS512", hmac::HMAC_SHA512),
    ] {
        let issuer = issuer(algorithm, format!("{SECRET}\n"));
        let (header, _, signed, signature) = taken_apart(&issuer.authorization(&principal("a", &[]), NOW).unwrap());
        assert_eq!(header, json!({"alg": name, "typ": "JWT"}));
        hmac::verify(&hmac::Key::new(tag, SECRET.as_bytes()), signed.as_bytes(), &signature).unwrap();
        assert_eq!(published(&issuer, NOW), Vec::<Value>::new());
        assert!(!format!("{issuer:?}").contains(SECRET));
    }
}

#[test]
fn a_file_that_cannot_sign_is_refused_without_a_word_of_what_it_holds() {
    use JwtAlgorithm::{Es256, Hs256, Hs384, Hs512, Rs256};
    let refused = |algorithm, bytes: &[u8]| {
        let error = Issuer::new(config(algorithm, file(bytes).path().into()), 10).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("0123456789"), "{text}");
        error.to_string()
    };
    let ([ec, _], [p384, _], [rsa, _]) =
        (super::tests::ec(&ECDSA_P256_SHA256_FIXED_SIGNING), super::tests::ec(&ECDSA_P384_SHA384_FIXED_SIGNING), rsa());
    for (algorithm, bytes, why) in [
        (Es256, p384.into_bytes(), "ES256: a key on P-256 is needed"),
        (Es256, rsa.into_bytes(), "ES256: a key on P-256 is needed"),
        (Rs256, ec.clone().into_bytes(), "RS256: an RSA key of 2048 to 8192 bits is needed"),
        (Es256, pem("ENCRYPTED PRIVATE KEY", b"0123456789").into_bytes(), "no unencrypted private key in PEM"),
        (Es256, SECRET.into(), "no unencrypted private key in PEM"),
        (Es256, b"-----BEGIN PRIVATE KEY-----\n0123456789\n".to_vec(), "no unencrypted private key in PEM"),
        (Hs256, SECRET[..31].into(), "shorter than the 32 bytes that HS256 needs"),
        (Hs384, SECRET[..47].into(), "shorter than the 48 bytes that HS384 needs"),
        (Hs512, SECRET[..63].into(), "shorter than the 64 bytes that HS512 needs"),
        (Hs256, [SECRET, "\n", SECRET].concat().into(), "not one line of printable ASCII"),
        (Hs256, [SECRET.as_bytes(), b"\xff"].concat(), "not one line of printable ASCII"),
        (Hs256, ec.into_bytes(), "not one line of printable ASCII"),
    ] {
        let told = refused(algorithm, &bytes);
        assert!(told.contains(why), "{told}");
    }
    let missing = Issuer::new(config(Es256, "/nowhere/key.pem".into()), 10).unwrap_err();
    assert_eq!(missing.to_string(), "/nowhere/key.pem cannot be read");
}

#[test]
fn a_token_is_shown_again_to_its_principal_alone_and_while_it_is_fresh() {
    let issuer = issuer(JwtAlgorithm::Es256, &ec(&ECDSA_P256_SHA256_FIXED_SIGNING)[0]);
    let sue = principal("sue", &["a"]);
    let first = issuer.authorization(&sue, NOW).unwrap();
    let after = |seconds| NOW.plus(Duration::from_secs(seconds));
    assert_eq!(issuer.authorization(&sue, after(SHOWN.as_secs() - 1)).unwrap(), first);
    // The same user with other roles is another principal.
    assert_ne!(issuer.authorization(&principal("sue", &["a"]), NOW).unwrap(), first);
    assert_ne!(issuer.authorization(&sue, NOW.plus(SHOWN)).unwrap(), first, "half of its life is over");
    let later = issuer.authorization(&sue, after(160)).unwrap();
    assert_ne!(issuer.authorization(&sue, NOW).unwrap(), later, "the clock was put back");
}

#[test]
fn tokens_have_an_end_in_memory() {
    let file = file(SECRET);
    let issuer = Issuer::new(config(JwtAlgorithm::Hs256, file.path().into()), 10).unwrap();
    let all: Vec<_> = (0..20).map(|_| principal("sue", &[])).collect();
    for principal in &all {
        issuer.authorization(principal, NOW).unwrap();
    }
    let kept = || issuer.signing.load().tokens.len();
    assert_eq!(kept(), 10);
    issuer.reload(NOW.plus(SHOWN)).unwrap();
    assert_eq!(kept(), 0);
}

#[test]
fn a_new_key_signs_at_once_and_the_old_one_is_published_until_its_tokens_are_over() {
    let file = file(&rsa()[0]);
    let issuer = Issuer::new(config(JwtAlgorithm::Rs256, file.path().into()), 10).unwrap();
    let sue = principal("sue", &[]);
    let (old, before) = (published(&issuer, NOW), issuer.authorization(&sue, NOW).unwrap());
    assert!(!issuer.reload(NOW).unwrap(), "nothing has changed");
    assert_eq!(issuer.authorization(&sue, NOW).unwrap(), before);

    fs::write(file.path(), &ec(&ECDSA_P256_SHA256_FIXED_SIGNING)[0]).unwrap();
    assert!(matches!(issuer.reload(NOW), Err(KeyError::Unfit { .. })));
    fs::write(file.path(), "").unwrap();
    assert!(matches!(issuer.reload(NOW), Err(KeyError::NoKey { .. })));
    assert_eq!(issuer.authorization(&sue, NOW).unwrap(), before, "what does not validate changes nothing");

    fs::write(file.path(), &rsa()[0]).unwrap();
    assert!(issuer.reload(NOW).unwrap());
    let (_, _, signed, signature) = taken_apart(&issuer.authorization(&sue, NOW).unwrap());
    let keys = published(&issuer, NOW);
    assert_eq!((keys.len(), &keys[1]), (2, &old[0]));
    assert!(verifies(&keys[0], &signed, &signature));
    assert_eq!(published(&issuer, NOW.plus(LIFE)), keys[..1]);
}

#[test]
fn a_name_that_a_reader_might_take_for_another_is_not_told() {
    let issuer = issuer(JwtAlgorithm::Es256, &ec(&ECDSA_P256_SHA256_FIXED_SIGNING)[0]);
    for name in ["", " admin", "admin ", "admin\u{a0}", "ad\nmin", "\u{1}admin", "admin\0"] {
        for caller in [principal(name, &[]), principal("sue", &["a", name])] {
            let refused = issuer.authorization(&caller, NOW);
            assert!(matches!(refused, Err(ForwardError::Unnameable)), "{name:?}");
        }
    }
}

proptest! {
    #[test]
    fn what_is_told_is_read_back_as_it_was(name in any::<String>(), roles in prop::collection::vec(any::<String>(), 0..4)) {
        let issuer = issuer(JwtAlgorithm::Es256, &ec(&ECDSA_P256_SHA256_FIXED_SIGNING)[0]);
        let texts: Vec<&str> = roles.iter().map(String::as_str).collect();
        if let Ok(authorization) = issuer.authorization(&principal(&name, &texts), NOW) {
            let (_, claims, ..) = taken_apart(&authorization);
            prop_assert_eq!(&claims["sub"], &json!(name));
            prop_assert_eq!(&claims["roles"], &json!(roles));
        }
    }

    #[test]
    fn no_bytes_in_a_key_file_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0..300_usize, byte: u8) {
        let mut key = ec(&ECDSA_P256_SHA256_FIXED_SIGNING)[0].clone().into_bytes();
        if let Some(place) = key.get_mut(at) {
            *place = byte;
        }
        for algorithm in [JwtAlgorithm::Es256, JwtAlgorithm::Rs256, JwtAlgorithm::Hs512] {
            for bytes in [&bytes, &key] {
                let _ = key::SigningKey::new(&config(algorithm, "f".into()), bytes);
            }
        }
    }
}
