//! The ids of scrolls and points in time in a body.

use std::ops::Range;

use super::{
    Name, ScanError,
    json::{Kind, Reader, Scratch, list, quoted},
    replace,
};

/// The ids that the body of a scroll's continuation, or of the end of scrolls or points in time, names.
#[derive(Debug)]
pub struct ContextIds<'a> {
    body: &'a [u8],
    /// As they stand.
    pub ids: Vec<Name<'a>>,
    /// Where the one value is that holds them all.
    value: Range<usize>,
    is_list: bool,
}

impl<'a> ContextIds<'a> {
    /// Reads `{"scroll_id": …}`, `{"id": …}` or `{"pit_id": …}`: one or an array. An empty body has none.
    ///
    /// # Errors
    ///
    /// [`ScanError`] for anything else.
    pub fn read(body: &'a [u8]) -> Result<Self, ScanError> {
        let mut scratch = Scratch::default();
        let mut reader = Reader::new(body, &mut scratch)?;
        let mut found = Self { body, ids: Vec::new(), value: 0..0, is_list: false };
        if reader.peek().is_none() {
            return Ok(found);
        }
        reader.object()?;
        while let Some(key) = reader.key()? {
            match &*key {
                "id" | "pit_id" | "scroll_id" if found.value.is_empty() => {
                    found.is_list = reader.kind()? == Kind::Array;
                    let from = reader.at();
                    reader.names(&mut found.ids)?;
                    found.value = from..reader.at();
                }
                "scroll" => reader.flat()?,
                _ => return Err(ScanError::Malformed("an unknown parameter beside the ids")),
            }
        }
        reader.end()?;
        Ok(found)
    }

    /// The body with other ids.
    #[must_use]
    pub fn replaced(&self, ids: &[String]) -> Vec<u8> {
        let value = match ids {
            [id] if !self.is_list => quoted(id),
            ids => list(ids),
        };
        replace(self.body, &[(self.value.clone(), value)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_and_replaced() {
        for (body, expected, replaced) in [
            (r#"{"scroll":"1m","scroll_id":"a"}"#, vec!["a"], r#"{"scroll":"1m","scroll_id":"x"}"#),
            (
                r#"{"scroll_id": ["a","\u0062"] ,"scroll":"1m"}"#,
                vec!["a", "b"],
                r#"{"scroll_id": ["x"] ,"scroll":"1m"}"#,
            ),
            (r#"{"id":"a"}"#, vec!["a"], r#"{"id":"x"}"#),
            (r#"{"pit_id":["a"]}"#, vec!["a"], r#"{"pit_id":["x"]}"#),
        ] {
            let ids = ContextIds::read(body.as_bytes()).unwrap();
            assert_eq!(ids.ids.iter().map(|id| &*id.text).collect::<Vec<_>>(), expected, "{body}");
            assert_eq!(String::from_utf8(ids.replaced(&["x".to_owned()])).unwrap(), replaced);
        }
    }

    #[test]
    fn a_body_without_ids_has_none() {
        for body in ["", " ", "{}", r#"{"scroll":"1m"}"#, r#"{"scroll_id":[]}"#] {
            assert!(ContextIds::read(body.as_bytes()).unwrap().ids.is_empty(), "{body}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for body in [
            "abc",
            r#"{"scroll_id":"a","scroll_id":"b"}"#,
            r#"{"scroll_id":"a","id":"b"}"#,
            r#"{"x":"a"}"#,
            r#"{"id":{"x":1}}"#,
            r#"["a"]"#,
        ] {
            assert!(ContextIds::read(body.as_bytes()).is_err(), "{body}");
        }
    }
}
