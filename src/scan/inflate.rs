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
