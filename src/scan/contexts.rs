//! The ids of scrolls and points in time in a body.

use super::{
    Name, ScanError,
    json::{Reader, Scratch},
};

/// The ids that the body of a scroll's continuation, or of the end of scrolls or points in time, names.
///
/// `{"scroll_id": …}`, `{"id": …}`, `{"pit_id": …}`: one or an array.
///
/// # Errors
///
/// [`ScanError`] for anything else.
pub fn contexts(body: &[u8]) -> Result<Vec<Name<'_>>, ScanError> {
    let mut scratch = Scratch::default();
    let mut reader = Reader::new(body, &mut scratch)?;
    let mut ids = Vec::new();
    reader.object()?;
    while let Some(key) = reader.key()? {
        match &*key {
            "id" | "pit_id" | "scroll_id" => reader.names(&mut ids)?,
            "scroll" => reader.flat()?,
            _ => return Err(ScanError::Malformed("an unknown parameter beside the ids")),
        }
    }
    reader.end()?;
    Ok(ids)
}
