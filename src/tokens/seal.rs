//! Seals a new pair under the refresh token that it replaces, so that nobody else, not even the store, can read it.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
};
use zeroize::Zeroizing;

use crate::secret::{self, SecretText};

/// A nonce and `text` under a key that only `old` yields. `None` if the cipher fails, which it does not.
pub(super) fn seal(old: &SecretText, text: &str) -> Option<Box<[u8]>> {
    let nonce: [u8; NONCE] = secret::random();
    let mut sealed = text.as_bytes().to_vec();
    key(old)?.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed).ok()?;
    Some([&nonce[..], &sealed].concat().into())
}

/// What was sealed under `old`; `None` for anything else.
pub(super) fn unseal(old: &SecretText, sealed: &[u8]) -> Option<SecretText> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
    let mut text = Zeroizing::new(sealed.to_vec());
    let plain = key(old)?.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::empty(), &mut text).ok()?;
    std::str::from_utf8(plain).ok().map(|text| SecretText::new(text.to_owned()))
}

fn key(old: &SecretText) -> Option<LessSafeKey> {
    // The token is as random as a key must be; the label keeps this key apart from what else is made of tokens.
    let secret = Salt::new(HKDF_SHA256, &[]).extract(old.expose().as_bytes());
    let key = secret.expand(&[LABEL], &AES_256_GCM).ok()?;
    Some(LessSafeKey::new(UnboundKey::from(key)))
}

const LABEL: &[u8] = b"searchgate: pair that replaces a refresh token";
const NONCE: usize = 12;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> SecretText {
        SecretText::new(text.to_owned())
    }

    #[test]
    fn the_same_text_is_never_sealed_alike() {
        assert_ne!(seal(&text("old"), "pair"), seal(&text("old"), "pair"));
    }

    proptest! {
        #[test]
        fn whoever_has_the_old_token_reads_what_was_sealed(old in ".{1,40}", pair in ".{0,90}") {
            let sealed = seal(&text(&old), &pair).unwrap();
            let unsealed = unseal(&text(&old), &sealed).unwrap();
            prop_assert_eq!(unsealed.expose(), &*pair);
            let other = text(&format!("{old}x"));
            prop_assert!(unseal(&other, &sealed).is_none());
        }

        #[test]
        fn any_flipped_bit_is_noticed(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
            let mut sealed = seal(&text("old"), "a pair of tokens").unwrap();
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert!(unseal(&text("old"), &sealed).is_none());
        }

        #[test]
        fn what_was_never_sealed_is_not_read(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(unseal(&text("old"), &bytes).is_none());
        }
    }
}
