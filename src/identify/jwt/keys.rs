//! An issuer's public keys (RFC 7517), and what they may verify: the algorithm is the key's, never the token's choice.
//!
//! On aws-lc-rs alone, which TLS has linked already: a crate for tokens would add a layer over the same calls.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaPublicKeyComponents,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;

use crate::{identify::jwt::token::Token, secret};

/// The keys of an issuer.
#[derive(Debug)]
pub(super) struct KeySet {
    keys: Vec<Key>,
    /// Of the text that they were read from.
    digest: [u8; 32],
}

/// What a set of keys makes of a signature.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Signature {
    /// It is good.
    Genuine,
    /// It is not of the key that it names.
    Forged,
    /// None of the keys is meant: a newer one might be.
    Unknown,
}

/// No set of keys, or one without a key that could verify anything.
#[derive(Debug, thiserror::Error)]
#[error("no JSON Web Key Set with a usable key for signatures")]
pub(super) struct NoKeys;

#[derive(Debug)]
struct Key {
    id: Option<Box<str>>,
    /// The one algorithm that it is for, if it says so.
    alg: Option<Box<str>>,
    public: Public,
}

#[derive(Debug)]
enum Public {
    /// The algorithm goes with the curve.
    Curve(&'static str, Box<ParsedPublicKey>),
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
}

/// A key as it is written.
#[derive(Deserialize)]
struct Jwk {
    kty: Box<str>,
    kid: Option<Box<str>>,
    alg: Option<Box<str>>,
    #[serde(rename = "use")]
    usage: Option<Box<str>>,
    key_ops: Option<Vec<Box<str>>>,
    crv: Option<Box<str>>,
    x: Option<Box<str>>,
    y: Option<Box<str>>,
    n: Option<Box<str>>,
    e: Option<Box<str>>,
}

#[derive(Deserialize)]
struct Written {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a set. Keys of kinds unknown here, for encryption, or shared secrets are passed over (RFC 7517 section 5).
    pub(super) fn read(text: &[u8]) -> Result<Self, NoKeys> {
        let written: Written = serde_json::from_slice(text).map_err(|_| NoKeys)?;
        let keys: Vec<Key> =
            written.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok().and_then(Key::of)).collect();
        if keys.is_empty() { Err(NoKeys) } else { Ok(Self { keys, digest: secret::sha256(&[text]) }) }
    }

    /// Whether both were read from the same text.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.digest == other.digest
    }

    /// Judges the signature of `token`.
    pub(super) fn verify(&self, token: &Token<'_>) -> Signature {
        let named = token.header.kid.as_deref();
        let meant = |key: &&Key| named.is_none() || key.id.as_deref() == named;
        let mut verdict = Signature::Unknown;
        for key in self.keys.iter().filter(meant).take(CANDIDATES) {
            if key.verifies(token) {
                return Signature::Genuine;
            }
            // A token that names no key may be signed by one that is not here yet.
            if named.is_some() {
                verdict = Signature::Forged;
            }
        }
        verdict
    }
}

impl Key {
    fn of(jwk: Jwk) -> Option<Self> {
        let signs = jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
            && jwk.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|name| &**name == "verify"));
        let public = match (&*jwk.kty, jwk.crv.as_deref()) {
            _ if !signs => None,
            ("EC", Some("P-256")) => curve("ES256", &point(&jwk, 32)?),
            ("EC", Some("P-384")) => curve("ES384", &point(&jwk, 48)?),
            ("EC", Some("P-521")) => curve("ES512", &point(&jwk, 66)?),
            ("OKP", Some("Ed25519")) => curve("EdDSA", &decode(jwk.x.as_deref())?),
            ("RSA", _) => {
                let (n, e) = (decode(jwk.n.as_deref())?, decode(jwk.e.as_deref())?);
                let large = (MIN_MODULUS..=MAX_MODULUS).contains(&n.len());
                large.then_some(Public::Rsa(RsaPublicKeyComponents { n, e }))
            }
            _ => None,
        }?;
        Some(Self { id: jwk.kid, alg: jwk.alg, public })
    }

    fn verifies(&self, token: &Token<'_>) -> bool {
        let alg = &*token.header.alg;
        if self.alg.as_deref().is_some_and(|own| own != alg) {
            return false;
        }
        match &self.public {
            Public::Curve(own, key) => *own == alg && key.verify_sig(token.signed, &token.signature).is_ok(),
            Public::Rsa(key) => {
                let parameters = match alg {
                    "PS256" => &RSA_PSS_2048_8192_SHA256,
                    "PS384" => &RSA_PSS_2048_8192_SHA384,
                    "PS512" => &RSA_PSS_2048_8192_SHA512,
                    "RS256" => &RSA_PKCS1_2048_8192_SHA256,
                    "RS384" => &RSA_PKCS1_2048_8192_SHA384,
                    "RS512" => &RSA_PKCS1_2048_8192_SHA512,
                    _ => return false,
                };
                key.verify(parameters, token.signed, &token.signature).is_ok()
            }
        }
    }
}

/// A key that is good for the one algorithm of its curve.
fn curve(alg: &'static str, bytes: &[u8]) -> Option<Public> {
    let key = match alg {
        "ES256" => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, bytes),
        "ES384" => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, bytes),
        "ES512" => ParsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, bytes),
        _ => ParsedPublicKey::new(&ED25519, bytes),
    };
    Some(Public::Curve(alg, Box::new(key.ok()?)))
}

/// A point whose coordinates have `size` bytes, uncompressed.
fn point(jwk: &Jwk, size: usize) -> Option<Vec<u8>> {
    let (x, y) = (decode(jwk.x.as_deref())?, decode(jwk.y.as_deref())?);
    (x.len() == size && y.len() == size).then(|| [&[UNCOMPRESSED][..], &x, &y].concat())
}

fn decode(text: Option<&str>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text?).ok()
}

/// A token that names no key is tried with so many: each try takes up to 100 µs.
const CANDIDATES: usize = 4;
/// 2048 bits.
const MIN_MODULUS: usize = 256;
/// 8192 bits.
const MAX_MODULUS: usize = 1024;
const UNCOMPRESSED: u8 = 4;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identify::jwt::testing::{Signer, claims};

    fn set(keys: &[Value]) -> KeySet {
        KeySet::read(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    fn verdict(keys: &KeySet, token: &str) -> Signature {
        keys.verify(&Token::read(token).unwrap())
    }

    #[test]
    fn every_algorithm_verifies_with_its_key_and_with_no_other() {
        let signers: Vec<Signer> = Signer::ALGORITHMS.iter().map(|alg| Signer::new(alg, "k")).collect();
        for signer in &signers {
            let token = signer.sign(&claims());
            for other in &signers {
                let keys = set(&[other.jwk()]);
                let genuine = verdict(&keys, &token) == Signature::Genuine;
                assert_eq!(genuine, signer.alg == other.alg, "{} by the key of {}", signer.alg, other.alg);
            }
        }
    }

    #[test]
    fn the_algorithm_is_not_the_tokens_choice() {
        let signer = Signer::new("RS256", "k");
        let keys = set(&[signer.jwk()]);
        for alg in ["none", "HS256", "RS384", "PS256", "ES256", "rs256", ""] {
            let token = signer.sign_with_header(&json!({"alg": alg, "kid": "k"}), &claims());
            assert_eq!(verdict(&keys, &token), Signature::Forged, "{alg}");
        }
    }

    #[test]
    fn a_public_key_is_no_shared_secret() {
        let signer = Signer::new("RS256", "k");
        let public = signer.jwk().to_string();
        let token = Signer::hmac(public.as_bytes(), &json!({"alg": "HS256", "kid": "k"}), &claims());
        assert_eq!(verdict(&set(&[signer.jwk()]), &token), Signature::Forged);
    }

    #[test]
    fn the_key_is_found_by_its_name_or_tried() {
        let (old, new) = (Signer::new("ES256", "old"), Signer::new("ES256", "new"));
        let (both, one) = (set(&[old.jwk(), new.jwk()]), set(&[old.jwk()]));
        assert_eq!(verdict(&both, &new.sign(&claims())), Signature::Genuine);
        assert_eq!(verdict(&one, &new.sign(&claims())), Signature::Unknown);
        let nameless = json!({"alg": "ES256"});
        assert_eq!(verdict(&both, &new.sign_with_header(&nameless, &claims())), Signature::Genuine);
        assert_eq!(verdict(&one, &new.sign_with_header(&nameless, &claims())), Signature::Unknown);
        let stolen = new.sign_with_header(&json!({"alg": "ES256", "kid": "old"}), &claims());
        assert_eq!(verdict(&both, &stolen), Signature::Forged);
    }

    #[test]
    fn keys_for_something_else_are_passed_over() {
        let good = Signer::new("ES256", "k").jwk();
        for (name, value) in [
            ("use", json!("enc")),
            ("key_ops", json!(["encrypt"])),
            ("kty", json!("oct")),
            ("crv", json!("P-384")),
            ("x", json!("AAAA")),
            ("y", json!(good["x"])),
            ("kid", json!(7)),
        ] {
            let mut key = good.clone();
            key[name] = value;
            let text = json!({ "keys": [key] }).to_string();
            assert!(KeySet::read(text.as_bytes()).is_err(), "{name}");
        }
        assert!(KeySet::read(json!({ "keys": [good] }).to_string().as_bytes()).is_ok());
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in ["", "{}", "[]", r#"{"keys":{}}"#, r#"{"keys":[]}"#, "<html>"] {
            assert!(KeySet::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
