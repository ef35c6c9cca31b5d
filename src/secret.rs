//! Values that print as `[redacted]`; digests, constant-time comparison, randomness.

use std::fmt;

use aws_lc_rs::{constant_time, digest, rand};
use zeroize::Zeroizing;

/// A text that must never be printed. Wiped when dropped.
#[derive(Clone, Default)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes `text` over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Shows the text to code that must use it. Name every caller in review.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Bytes that nobody can guess.
///
/// # Panics
///
/// When there is no randomness: nothing can go on without.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(
        clippy::expect_used,
        reason = "aws-lc seeds itself from the kernel and aborts before it would return an error"
    )]
    rand::fill(&mut bytes).expect("the kernel has randomness");
    bytes
}

/// SHA-256 of `parts`, one after the other. Parts of varying length need a separator that they cannot contain.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

/// Whether `a` and `b` are equal, in a time that tells only their lengths.
#[must_use]
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_text_does_not_print() {
        assert_eq!(format!("{:?}", SecretText::new("hunter2".into())), "[redacted]");
    }

    #[test]
    fn the_digest_of_parts_is_the_digest_of_the_whole() {
        let abc = [
            0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03,
            0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
        ];
        assert_eq!(sha256(&[b"a", b"", b"bc"]), abc);
    }

    #[test]
    fn equality_sees_the_last_byte_and_the_length() {
        assert!(equal(b"abc", b"abc"));
        assert!(!equal(b"abc", b"abd"));
        assert!(!equal(b"abc", b"ab"));
    }

    #[test]
    fn randomness_does_not_repeat() {
        assert_ne!(random::<16>(), random::<16>());
    }
}
