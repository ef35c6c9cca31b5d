//! A gzip body, inflated as it streams by.

use std::io::Write as _;

use bytes::Bytes;
use flate2::write::MultiGzDecoder;

use super::ScanError;

/// Inflates one body.
pub struct Inflate {
    decoder: MultiGzDecoder<Vec<u8>>,
    left: usize,
    limit: usize,
}

impl Inflate {
    /// Inflates to `limit` bytes at most.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { decoder: MultiGzDecoder::new(Vec::new()), left: limit, limit }
    }

    /// Takes what arrived next and appends to `plain` what it inflates to, in parts of bounded length.
    ///
    /// # Errors
    ///
    /// [`ScanError::Gzip`] for what is no gzip, [`ScanError::TooLarge`] past the limit.
    pub fn push(&mut self, piece: &[u8], plain: &mut Vec<Bytes>) -> Result<(), ScanError> {
        // Little by little: a few bytes may inflate to a thousand times as many.
        for part in piece.chunks(STEP) {
            self.decoder.write_all(part).map_err(|_| ScanError::Gzip)?;
            self.take(plain)?;
        }
        Ok(())
    }

    /// Ends the body.
    ///
    /// # Errors
    ///
    /// [`ScanError::Gzip`] where something is missing, [`ScanError::TooLarge`] past the limit.
    pub fn finish(mut self, plain: &mut Vec<Bytes>) -> Result<(), ScanError> {
        self.decoder.try_finish().map_err(|_| ScanError::Gzip)?;
        self.take(plain)
    }

    fn take(&mut self, plain: &mut Vec<Bytes>) -> Result<(), ScanError> {
        let inflated = std::mem::take(self.decoder.get_mut());
        self.left = self
            .left
            .checked_sub(inflated.len())
            .ok_or(ScanError::TooLarge { what: "the inflated body", limit: self.limit })?;
        if !inflated.is_empty() {
            plain.push(inflated.into());
        }
        Ok(())
    }
}

const STEP: usize = 4096;

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn inflate(limit: usize, pieces: &[&[u8]]) -> Result<Vec<u8>, ScanError> {
        let (mut inflate, mut plain) = (Inflate::new(limit), Vec::new());
        for piece in pieces {
            inflate.push(piece, &mut plain)?;
        }
        inflate.finish(&mut plain)?;
        Ok(plain.concat())
    }

    #[test]
    fn every_split_inflates_to_the_same() {
        let plain = b"{\"index\":{\"_index\":\"a\"}}\n{}\n".repeat(20);
        let gzip = gzip(&plain);
        for at in 0..=gzip.len() {
            let (one, other) = gzip.split_at(at);
            assert_eq!(inflate(1 << 20, &[one, other]), Ok(plain.clone()), "split at {at}");
        }
    }

    #[test]
    fn members_follow_one_another() {
        let twice = [gzip(b"a"), gzip(b"b")].concat();
        assert_eq!(inflate(10, &[&twice]), Ok(b"ab".to_vec()));
    }

    #[test]
    fn a_small_body_that_inflates_to_a_huge_one_is_refused() {
        let bomb = gzip(&vec![0; 50 << 20]);
        assert!(matches!(inflate(1 << 20, &[&bomb]), Err(ScanError::TooLarge { .. })));
    }

    #[test]
    fn what_is_no_gzip_or_only_its_beginning_is_refused() {
        let gzip = gzip(b"{\"index\":{}}\n{}\n");
        let (beginning, _) = gzip.split_at(gzip.len() - 1);
        for body in [&b"{}"[..], beginning, &[&gzip[..], b"{}"].concat()] {
            assert_eq!(inflate(1 << 20, &[body]), Err(ScanError::Gzip));
        }
    }
}
