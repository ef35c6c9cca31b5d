//! Structures in DER, walked by hand: a parser of certificates would bring ten crates to walk six fields.

/// Values one after the other: tag and content. Ends where no value begins.
#[derive(Debug)]
pub struct Der<'a>(pub &'a [u8]);

impl<'a> Iterator for Der<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (tag, rest) = self.0.split_first()?;
        let (length, rest) = match rest.split_first()? {
            (short @ 0..=0x7f, rest) => (usize::from(*short), rest),
            (long @ 0x81..=0x83, rest) => {
                let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, content))
    }
}
