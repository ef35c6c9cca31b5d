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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_with_their_places() {
        for (body, expected) in [
            (r#"{"scroll":"1m","scroll_id":"a"}"#, vec![("a", r#""a""#)]),
            (r#"{"scroll_id":["a","\u0062"]}"#, vec![("a", r#""a""#), ("b", r#""\u0062""#)]),
            (r#"{"id":"a"}"#, vec![("a", r#""a""#)]),
            (r#"{"pit_id":["a"]}"#, vec![("a", r#""a""#)]),
        ] {
            let ids = contexts(body.as_bytes()).unwrap();
            let ids: Vec<_> = ids.iter().map(|id| (&*id.text, body.get(id.span.clone()).unwrap())).collect();
            assert_eq!(ids, expected, "{body}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for body in ["", "abc", r#"{"scroll_id":"a","scroll_id":"b"}"#, r#"{"x":"a"}"#, r#"{"id":{"x":1}}"#, r#"["a"]"#]
        {
            assert!(contexts(body.as_bytes()).is_err(), "{body}");
        }
    }
}
