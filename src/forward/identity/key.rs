//! Keys that sign what the cluster is told (RFC 7515), and their public part (RFC 7517).
//!
//! On aws-lc-rs alone, like the judging of tokens: a crate for tokens would add a layer over the same calls.

use std::{fmt, fs, io, path::Path, path::PathBuf};

use aws_lc_rs::{
    error::Unspecified,
    hmac,
    rand::SystemRandom,
    rsa::KeyPair as RsaKeyPair,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::{
    config::{Jwt, JwtAlgorithm},
    der::Der,
    secret,
};

/// A key as of one reading of its file.
pub(super) struct SigningKey {
    pair: Pair,
    algorithm: JwtAlgorithm,
    /// The public part as a JSON Web Key, and its name; none of a shared secret.
    public: Option<(Box<str>, Value)>,
    /// SHA-256 of the file.
    seen: [u8; 32],
}

enum Pair {
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    Secret(Box<hmac::Key>),
}

/// A key file that nothing can be signed with. Its text tells nothing of what the file holds.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// PEM without a key, or no PEM at all.
    #[error("{} holds no unencrypted private key in PEM", file.display())]
    NoKey {
        /// The file.
        file: PathBuf,
    },
    /// A secret that could be guessed (RFC 7518 section 3.2).
    #[error("the secret in {} is shorter than the {needed} bytes that {algorithm} needs", file.display())]
    Short {
        /// The file.
        file: PathBuf,
        /// At least so many bytes.
        needed: usize,
        /// As configured.
        algorithm: &'static str,
    },
    /// A secret that two readers could take for two.
    #[error("the secret in {} is not one line of printable ASCII: make one with `openssl rand -base64 48`", file.display())]
    Text {
        /// The file.
        file: PathBuf,
    },
    /// A key of another kind.
    #[error("{} holds a key that does not fit {algorithm}: {needed} is needed", file.display())]
    Unfit {
        /// The file.
        file: PathBuf,
        /// As configured.
        algorithm: &'static str,
        /// What would fit.
        needed: &'static str,
    },
    /// Not there, or not ours to read.
    #[error("{} cannot be read", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl SigningKey {
    /// The key in `bytes`, which are those of the file that `config` names.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub(super) fn new(config: &Jwt, bytes: &[u8]) -> Result<Self, KeyError> {
        let file = || config.key_file.clone();
        let unfit = |needed| KeyError::Unfit { file: file(), algorithm: name(config.algorithm), needed };
        let pair = match config.algorithm {
            JwtAlgorithm::Es256 => {
                let key = private(bytes, &config.key_file)?;
                ec(&key).ok_or_else(|| unfit("a key on P-256"))?
            }
            JwtAlgorithm::Rs256 => {
                let key = private(bytes, &config.key_file)?;
                rsa(&key).ok_or_else(|| unfit("an RSA key of 2048 to 8192 bits"))?
            }
            JwtAlgorithm::Hs256 | JwtAlgorithm::Hs384 | JwtAlgorithm::Hs512 => shared(bytes, config)?,
        };
        let public = pair.public().map(|(mut members, text)| {
            // RFC 7638: the members that make the key, in the order of their names, without blanks.
            let id = URL_SAFE_NO_PAD.encode(secret::sha256(&[text.as_bytes()])).into_boxed_str();
            members.insert("kid".into(), json!(id));
            members.insert("use".into(), json!("sig"));
            members.insert("alg".into(), json!(name(config.algorithm)));
            (id, Value::Object(members))
        });
        Ok(Self { pair, algorithm: config.algorithm, public, seen: secret::sha256(&[bytes]) })
    }

    /// Whether it was read from these bytes.
    pub(super) fn is_of(&self, bytes: &[u8]) -> bool {
        self.seen == secret::sha256(&[bytes])
    }

    /// The header of every token that it signs.
    pub(super) fn header(&self) -> Value {
        match &self.public {
            Some((id, _)) => json!({ "alg": name(self.algorithm), "typ": "JWT", "kid": id }),
            None => json!({ "alg": name(self.algorithm), "typ": "JWT" }),
        }
    }

    /// What may be published of it, as a JSON Web Key.
    pub(super) fn public(&self) -> Option<&Value> {
        self.public.as_ref().map(|(_, key)| key)
    }

    /// The signature of `text`, as a token carries it.
    ///
    /// # Errors
    ///
    /// The library is out of memory or randomness.
    pub(super) fn sign(&self, text: &str) -> Result<String, Unspecified> {
        let random = SystemRandom::new();
        Ok(match &self.pair {
            Pair::Ec(pair) => URL_SAFE_NO_PAD.encode(pair.sign(&random, text.as_bytes())?),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)?;
                URL_SAFE_NO_PAD.encode(signature)
            }
            Pair::Secret(key) => URL_SAFE_NO_PAD.encode(hmac::sign(key, text.as_bytes())),
        })
    }
}

impl Pair {
    /// The public members of the key, and once more as the text that names it.
    fn public(&self) -> Option<(Map<String, Value>, String)> {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Ec(pair) => {
                // A point that is not compressed: 4, then two coordinates of the same length.
                let coordinates = pair.public_key().as_ref().get(1..)?;
                let (x, y) = coordinates.split_at_checked(coordinates.len() / 2)?;
                let (x, y) = (text(x), text(y));
                let named = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
                Some((members([("kty", "EC"), ("crv", "P-256"), ("x", &x), ("y", &y)]), named))
            }
            Self::Rsa(pair) => {
                let (_, sequence) = Der(pair.public_key().as_ref()).next()?;
                let mut numbers = Der(sequence).map(|(_, number)| text(number.strip_prefix(&[0]).unwrap_or(number)));
                let (n, e) = (numbers.next()?, numbers.next()?);
                let named = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
                Some((members([("kty", "RSA"), ("n", &n), ("e", &e)]), named))
            }
            Self::Secret(_) => None,
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

fn members<const N: usize>(members: [(&str, &str); N]) -> Map<String, Value> {
    members.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
}

/// What the file holds that `config` names; wiped when dropped.
///
/// # Errors
///
/// [`KeyError::Unreadable`].
pub(super) fn read(config: &Jwt) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let unreadable = |source| KeyError::Unreadable { file: config.key_file.clone(), source };
    fs::read(&config.key_file).map(Zeroizing::new).map_err(unreadable)
}

/// The parser's own error is not shown: it might quote the file.
fn private(bytes: &[u8], file: &Path) -> Result<Zeroizing<PrivateKeyDer<'static>>, KeyError> {
    let key = PrivateKeyDer::from_pem_slice(bytes).map_err(|_| KeyError::NoKey { file: file.to_owned() })?;
    Ok(Zeroizing::new(key))
}

fn ec(key: &PrivateKeyDer<'_>) -> Option<Pair> {
    EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_der()).ok().map(Pair::Ec)
}

fn rsa(key: &PrivateKeyDer<'_>) -> Option<Pair> {
    let pair = match key {
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        key => RsaKeyPair::from_pkcs8(key.secret_der()),
    };
    pair.ok().map(Pair::Rsa)
}

/// A secret as its file says it, but for the end of the line. Text alone: of other bytes nobody could tell whether the
/// last one belongs to it.
fn shared(bytes: &[u8], config: &Jwt) -> Result<Pair, KeyError> {
    let file = || config.key_file.clone();
    let secret = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
    if !secret.iter().all(u8::is_ascii_graphic) {
        return Err(KeyError::Text { file: file() });
    }
    let (algorithm, needed) = match config.algorithm {
        JwtAlgorithm::Hs384 => (hmac::HMAC_SHA384, 48),
        JwtAlgorithm::Hs512 => (hmac::HMAC_SHA512, 64),
        _ => (hmac::HMAC_SHA256, 32),
    };
    if secret.len() < needed {
        return Err(KeyError::Short { file: file(), needed, algorithm: name(config.algorithm) });
    }
    Ok(Pair::Secret(Box::new(hmac::Key::new(algorithm, secret))))
}

/// As a token names it.
fn name(algorithm: JwtAlgorithm) -> &'static str {
    match algorithm {
        JwtAlgorithm::Es256 => "ES256",
        JwtAlgorithm::Hs256 => "HS256",
        JwtAlgorithm::Hs384 => "HS384",
        JwtAlgorithm::Hs512 => "HS512",
        JwtAlgorithm::Rs256 => "RS256",
    }
}
