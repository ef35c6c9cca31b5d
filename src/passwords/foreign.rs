//! Password hashes that Elasticsearch made, taken over with their users (API page section 7.2).

use std::num::NonZeroU32;

use aws_lc_rs::{digest, pbkdf2};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::secret::SecretText;

/// A hash in one of the formats of Elasticsearch, with a cost that it allows.
pub(super) enum Foreign<'a> {
    /// `$2a$10$…`, also `2b` and `2y`.
    Bcrypt(&'a str),
    /// `{PBKDF2}10000$salt$hash`, and `{PBKDF2_STRETCH}…`: of the SHA-512 of the password, in hexadecimal.
    Pbkdf2 { stretched: bool, rounds: NonZeroU32, salt: Vec<u8>, hash: Vec<u8> },
}

impl<'a> Foreign<'a> {
    /// Reads a hash; `None` when it is of another kind, broken, or more costly than any that Elasticsearch makes.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix("{PBKDF2_STRETCH}") {
            return pbkdf2(rest, true);
        }
        if let Some(rest) = text.strip_prefix("{PBKDF2}") {
            return pbkdf2(rest, false);
        }
        let rest = ["$2a$", "$2b$", "$2y$"].iter().find_map(|prefix| text.strip_prefix(prefix))?;
        let (cost, rest) = rest.split_once('$')?;
        let well_formed =
            rest.len() == 53 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(&byte));
        let cheap = cost.len() == 2 && cost.parse().is_ok_and(|cost: u32| BCRYPT_COSTS.contains(&cost));
        (cheap && well_formed).then_some(Self::Bcrypt(text))
    }

    /// Whether it is the hash of `password`; `None` when it cannot be told.
    pub(super) fn matches(&self, password: &SecretText) -> Option<bool> {
        let password = password.expose();
        match self {
            Self::Bcrypt(text) => bcrypt::verify(password, text).ok(),
            Self::Pbkdf2 { stretched, rounds, salt, hash } => {
                let check = |password: &[u8]| pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA512, *rounds, salt, password, hash);
                let matches = if *stretched {
                    check(
                        SecretText::new(hexadecimal(digest::digest(&digest::SHA512, password.as_bytes()).as_ref()))
                            .expose()
                            .as_bytes(),
                    )
                } else {
                    check(password.as_bytes())
                };
                Some(matches.is_ok())
            }
        }
    }
}

fn pbkdf2<'a>(text: &str, stretched: bool) -> Option<Foreign<'a>> {
    let mut parts = text.split('$');
    let rounds: u32 = parts.next()?.parse().ok()?;
    let salt = STANDARD.decode(parts.next()?).ok()?;
    let hash = STANDARD.decode(parts.next()?).ok()?;
    let whole = parts.next().is_none() && !salt.is_empty() && hash.len() == PBKDF2_BYTES;
    let rounds = NonZeroU32::new(rounds).filter(|rounds| PBKDF2_ROUNDS.contains(&rounds.get()))?;
    whole.then_some(Foreign::Pbkdf2 { stretched, rounds, salt, hash })
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=14;
const PBKDF2_ROUNDS: [u32; 6] = [1_000, 10_000, 50_000, 100_000, 500_000, 1_000_000];
const PBKDF2_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each made for `secret1` and accepted by the original.
    const HASHES: [&str; 5] = [
        "$2a$04$abcdefghijklmnopqrstuuCHf7DUmNUvMBdGje9JveOQe49tH5xFK",
        "$2b$04$abcdefghijklmnopqrstuuCHf7DUmNUvMBdGje9JveOQe49tH5xFK",
        "$2y$04$abcdefghijklmnopqrstuuCHf7DUmNUvMBdGje9JveOQe49tH5xFK",
        "{PBKDF2}1000$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=$E7D9hlhxYhUa9CRdq24pWMsgSqnVbNc3gtdYx39YH1w=",
        "{PBKDF2_STRETCH}1000$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=$KkSrQu+z553fWsZWv6+8puHpBXN3NFaXZpK7jvFiEmI=",
    ];

    fn matches(hash: &str, password: &str) -> Option<bool> {
        Foreign::read(hash)?.matches(&SecretText::new(password.to_owned()))
    }

    #[test]
    fn hashes_of_elasticsearch_are_matched_by_their_password_alone() {
        for hash in HASHES {
            assert_eq!(matches(hash, "secret1"), Some(true), "{hash}");
            assert_eq!(matches(hash, "secret2"), Some(false), "{hash}");
        }
    }

    #[test]
    fn what_is_broken_or_too_costly_is_no_hash() {
        let bcrypt = |cost| format!("$2a${cost}$abcdefghijklmnopqrstuuCHf7DUmNUvMBdGje9JveOQe49tH5xFK");
        for hash in [
            "",
            "x",
            "$2a$10$abc",
            "{PBKDF2}1000$x$y",
            "{PBKDF2}1000$AAEC$AAEC",
            "{SSHA256}abc",
            &bcrypt("15"),
            &bcrypt("4"),
        ] {
            assert!(Foreign::read(hash).is_none(), "{hash}");
        }
        assert!(Foreign::read(&HASHES[3].replace("1000$", "2000$")).is_none());
        assert!(Foreign::read(&format!("{}$", HASHES[3])).is_none());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r"(\$2[aby]\$|\{PBKDF2(_STRETCH)?\})?[0-9$./a-zA-Z=é]{0,70}") {
            let _ = Foreign::read(&text);
        }
    }
}
