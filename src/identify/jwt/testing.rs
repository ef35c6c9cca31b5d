//! An issuer for tests: keys to sign with.

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
        EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
        RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

pub(super) struct Signer {
    pub(super) alg: &'static str,
    kid: &'static str,
    pair: Pair,
}

enum Pair {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// Claims that are good until the clock of tests has moved ten minutes.
pub(super) fn claims() -> Value {
    json!({"iss": "issuer", "aud": ["us"], "sub": "sue", "groups": ["superuser"], "exp": 1_700_000_600, "iat": 1_700_000_000})
}

impl Signer {
    pub(super) const ALGORITHMS: [&'static str; 10] =
        ["ES256", "ES384", "ES512", "EdDSA", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"];

    pub(super) fn new(alg: &'static str, kid: &'static str) -> Self {
        let pair = match alg {
            "ES256" => Pair::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
            "ES384" => Pair::Ec(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()),
            "ES512" => Pair::Ec(EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap()),
            "EdDSA" => Pair::Ed(Ed25519KeyPair::generate().unwrap()),
            _ => Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
        };
        Self { alg, kid, pair }
    }

    pub(super) fn jwk(&self) -> Value {
        let mut jwk = json!({"kid": self.kid, "alg": self.alg, "use": "sig"});
        let text = |bytes: &[u8]| json!(URL_SAFE_NO_PAD.encode(bytes));
        match &self.pair {
            Pair::Ec(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = match self.alg {
                    "ES256" => "P-256",
                    "ES384" => "P-384",
                    _ => "P-521",
                };
                (jwk["kty"], jwk["crv"], jwk["x"], jwk["y"]) = (json!("EC"), json!(curve), text(x), text(y));
            }
            Pair::Ed(pair) => {
                (jwk["kty"], jwk["crv"], jwk["x"]) = (json!("OKP"), json!("Ed25519"), text(pair.public_key().as_ref()));
            }
            Pair::Rsa(pair) => {
                // SEQUENCE of two INTEGERs, of 257 and 3 bytes.
                let der = pair.public_key().as_ref();
                (jwk["kty"], jwk["n"], jwk["e"]) = (json!("RSA"), text(&der[9..265]), text(&der[der.len() - 3..]));
            }
        }
        jwk
    }

    /// A set of this key alone.
    pub(super) fn set(&self) -> String {
        json!({ "keys": [self.jwk()] }).to_string()
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        self.sign_with_header(&json!({"alg": self.alg, "kid": self.kid}), claims)
    }

    pub(super) fn sign_with_header(&self, header: &Value, claims: &Value) -> String {
        let text = signed(header, claims);
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Ec(pair) => pair.sign(&random, text.as_bytes()).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(text.as_bytes()).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let encoding: &'static dyn aws_lc_rs::signature::RsaEncoding = match self.alg {
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, text.as_bytes(), &mut signature).unwrap();
                signature
            }
        };
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A token "signed" with a shared secret.
    pub(super) fn hmac(secret: &[u8], header: &Value, claims: &Value) -> String {
        let text = signed(header, claims);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
    }
}

fn signed(header: &Value, claims: &Value) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}
