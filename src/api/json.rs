//! Reads a JSON document into a tree that remembers where everything stands, with Elasticsearch's error texts.
//!
//! Only the first value counts, as there. Texts of the original quote the document; these do not, for bodies of this
//! API hold secrets.

use std::collections::HashSet;

use serde_json::{Map, Number, Value};

use crate::respond::Exception;

/// Line and column, from 1; columns count bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl Position {
    /// Of the first character.
    pub(super) const START: Self = Self { line: 1, column: 1 };
}

/// A value and where it stands. No `Debug`: it may hold a password.
#[derive(Clone)]
pub(super) struct Node {
    /// Where it begins.
    pub(super) at: Position,
    /// Where its last character stands, when it is a list or an object; otherwise as `at`.
    pub(super) end: Position,
    /// The value.
    pub(super) tree: Tree,
}

/// A value.
#[derive(Clone)]
pub(super) enum Tree {
    /// `true` and `false`.
    Bool(bool),
    /// `[…]`.
    List(Vec<Node>),
    /// `null`.
    Null,
    /// A number.
    Number(Number),
    /// `{…}`, in the order of the document, without repeated names.
    Object(Vec<Field>),
    /// A text.
    Text(String),
}

/// A member of an object.
#[derive(Clone)]
pub(super) struct Field {
    /// Where its name begins.
    pub(super) at: Position,
    /// Its name.
    pub(super) name: String,
    /// Its value.
    pub(super) node: Node,
}

impl Node {
    /// What Elasticsearch calls this kind of value.
    #[must_use]
    pub(super) fn token(&self) -> &'static str {
        match self.tree {
            Tree::Bool(_) => "VALUE_BOOLEAN",
            Tree::List(_) => "START_ARRAY",
            Tree::Null => "VALUE_NULL",
            Tree::Number(_) => "VALUE_NUMBER",
            Tree::Object(_) => "START_OBJECT",
            Tree::Text(_) => "VALUE_STRING",
        }
    }

    /// The same without positions.
    #[must_use]
    pub(super) fn value(&self) -> Value {
        match &self.tree {
            Tree::Bool(value) => Value::Bool(*value),
            Tree::List(items) => items.iter().map(Self::value).collect(),
            Tree::Null => Value::Null,
            Tree::Number(number) => Value::Number(number.clone()),
            Tree::Object(fields) => Value::Object(values(fields)),
            Tree::Text(text) => Value::String(text.clone()),
        }
    }
}

/// Members without positions.
#[must_use]
pub(super) fn values(fields: &[Field]) -> Map<String, Value> {
    fields.iter().map(|field| (field.name.clone(), field.node.value())).collect()
}

/// Reads the first value of a document; `None` when there is none.
///
/// # Errors
///
/// The exception that Elasticsearch answers for malformed JSON.
pub(super) fn read(document: &[u8]) -> Result<Option<Node>, Exception> {
    let document = document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document);
    let mut reader = Reader { document, next: 0, line: 1, line_start: 0 };
    match reader.blank() {
        None => Ok(None),
        Some(_) => reader.node(0).map(Some),
    }
}

struct Reader<'a> {
    document: &'a [u8],
    next: usize,
    line: usize,
    line_start: usize,
}

impl Reader<'_> {
    fn node(&mut self, depth: usize) -> Result<Node, Exception> {
        let at = self.here();
        if depth > MAX_DEPTH {
            return Err(
                self.malformed(at, &format!("Document nesting depth exceeds the maximum allowed ({MAX_DEPTH})"))
            );
        }
        let tree = match self.peek() {
            Some(b'{') => return self.object(at, depth),
            Some(b'[') => return self.list(at, depth),
            Some(b'"') => Tree::Text(self.text("in VALUE_STRING")?),
            Some(b'-' | b'0'..=b'9') => Tree::Number(self.number()?),
            Some(byte) if byte.is_ascii_alphabetic() => self.word()?,
            Some(byte) => return Err(self.unexpected(byte, EXPECTED_VALUE)),
            None => return Err(self.ended("within/between Object entries")),
        };
        Ok(Node { at, end: at, tree })
    }

    fn object(&mut self, at: Position, depth: usize) -> Result<Node, Exception> {
        self.next += 1;
        let mut fields: Vec<Field> = Vec::new();
        let mut names = HashSet::new();
        loop {
            match self.blank() {
                Some(b'}') if fields.is_empty() => break,
                Some(b'"') => {}
                Some(byte) => return Err(self.unexpected(byte, "was expecting double-quote to start field name")),
                None => return Err(self.unclosed("Object", at)),
            }
            let name_at = self.here();
            let name = self.text("in field name")?;
            if !names.insert(name.clone()) {
                return Err(self.malformed(self.here(), &format!("Duplicate field '{name}'")));
            }
            match self.blank() {
                Some(b':') => self.next += 1,
                Some(byte) => {
                    return Err(self.unexpected(byte, "was expecting a colon to separate field name and value"));
                }
                None => return Err(self.ended("within/between Object entries")),
            }
            self.blank();
            let node = self.node(depth + 1)?;
            fields.push(Field { at: name_at, name, node });
            match self.blank() {
                Some(b',') => self.next += 1,
                Some(b'}') => break,
                Some(byte) => return Err(self.unexpected(byte, "was expecting comma to separate Object entries")),
                None => return Err(self.unclosed("Object", at)),
            }
        }
        let end = self.here();
        self.next += 1;
        Ok(Node { at, end, tree: Tree::Object(fields) })
    }

    fn list(&mut self, at: Position, depth: usize) -> Result<Node, Exception> {
        self.next += 1;
        let mut items = Vec::new();
        if self.blank() != Some(b']') {
            loop {
                if self.blank().is_none() {
                    return Err(self.unclosed("Array", at));
                }
                items.push(self.node(depth + 1)?);
                match self.blank() {
                    Some(b',') => self.next += 1,
                    Some(b']') => break,
                    Some(byte) => return Err(self.unexpected(byte, "was expecting comma to separate Array entries")),
                    None => return Err(self.unclosed("Array", at)),
                }
            }
        }
        let end = self.here();
        self.next += 1;
        Ok(Node { at, end, tree: Tree::List(items) })
    }

    /// A quoted text, its quotes included.
    fn text(&mut self, place: &str) -> Result<String, Exception> {
        let start = self.next;
        self.next += 1;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    self.next += 1;
                    match self.peek() {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' | b'u') => self.next += 1,
                        Some(byte) => {
                            let text = format!("Unrecognized character escape {}", describe(byte));
                            return Err(self.malformed(self.here(), &text));
                        }
                        None => return Err(self.ended(place)),
                    }
                }
                Some(byte) if byte < b' ' => {
                    let text = format!(
                        "Illegal unquoted character ((CTRL-CHAR, code {byte})): has to be escaped using backslash to be included in string value"
                    );
                    return Err(self.malformed(self.here(), &text));
                }
                Some(_) => self.next += 1,
                None => return Err(self.ended(place)),
            }
        }
        self.next += 1;
        let quoted = self.document.get(start..self.next).unwrap_or_default();
        serde_json::from_slice(quoted)
            .map_err(|_| self.malformed(self.here(), "Invalid UTF-8 or unpaired surrogate in a string"))
    }

    fn number(&mut self) -> Result<Number, Exception> {
        let start = self.next;
        let digits = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
        while self.peek().is_some_and(digits) {
            self.next += 1;
        }
        let text = self.document.get(start..self.next).unwrap_or_default();
        let whole = text.strip_prefix(b"-").unwrap_or(text);
        if let [b'0', b'0'..=b'9', ..] = whole {
            let at = Position { column: start + 2 + (text.len() - whole.len()) - self.line_start, ..self.here() };
            return Err(self.malformed(at, "Invalid numeric value: Leading zeroes not allowed"));
        }
        serde_json::from_slice(text).map_err(|_| self.malformed(self.here(), "Invalid numeric value"))
    }

    fn word(&mut self) -> Result<Tree, Exception> {
        let start = self.next;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$') {
            self.next += 1;
        }
        match self.document.get(start..self.next).unwrap_or_default() {
            b"true" => Ok(Tree::Bool(true)),
            b"false" => Ok(Tree::Bool(false)),
            b"null" => Ok(Tree::Null),
            word => {
                let text = format!("Unrecognized token '{}': {EXPECTED_TOKEN}", String::from_utf8_lossy(word));
                // The character that ends the word has been read too, where there is one.
                self.next = self.document.len().min(self.next + 1);
                Err(self.malformed(self.here(), &text))
            }
        }
    }

    /// Skips white space and tells what follows.
    fn blank(&mut self) -> Option<u8> {
        loop {
            match self.peek() {
                Some(b'\n') => {
                    self.next += 1;
                    self.line += 1;
                    self.line_start = self.next;
                }
                Some(b' ' | b'\t' | b'\r') => self.next += 1,
                other => return other,
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.document.get(self.next).copied()
    }

    fn here(&self) -> Position {
        Position { line: self.line, column: self.next + 1 - self.line_start }
    }

    fn unexpected(&self, byte: u8, expected: &str) -> Exception {
        self.malformed(self.here(), &format!("Unexpected character ({}): {expected}", describe(byte)))
    }

    #[expect(clippy::unused_self, reason = "reads as what the reader finds")]
    fn malformed(&self, at: Position, text: &str) -> Exception {
        let text = format!("{text}\n at {}", source(at));
        Exception::content(format!("[{at}] {text}")).because(Exception::new("json_parse_exception", text))
    }

    fn unclosed(&self, what: &str, start: Position) -> Exception {
        self.eof(&format!(": expected close marker for {what} (start marker at {})", source(start)))
    }

    fn ended(&self, place: &str) -> Exception {
        self.eof(&format!(" {place}"))
    }

    fn eof(&self, rest: &str) -> Exception {
        let at = self.here();
        let text = format!("Unexpected end-of-input{rest}\n at {}", source(at));
        Exception::new("x_content_e_o_f_exception", format!("[{at}] Unexpected end of file"))
            .because(Exception::new("json_e_o_f_exception", text))
    }
}

fn source(at: Position) -> String {
    format!("[Source: (byte[])[redacted]; line: {}, column: {}]", at.line, at.column)
}

fn describe(byte: u8) -> String {
    format!("'{}' (code {byte})", char::from(byte))
}

const EXPECTED_VALUE: &str =
    "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')";
const EXPECTED_TOKEN: &str = "was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')";
/// Far above what any body here needs, far below what the stack holds.
const MAX_DEPTH: usize = 100;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(document: &str) -> String {
        let Err(exception) = read(document.as_bytes()) else { panic!("{document} was read") };
        let body = exception.body(400);
        let error = &body["error"];
        let text = error["caused_by"]["reason"].as_str().unwrap();
        format!("{} {text}", error["reason"].as_str().unwrap().split(' ').next().unwrap())
    }

    /// Each seen from the original, with its quotation of the document left out.
    #[test]
    fn malformed_documents_are_refused_where_the_original_refuses_them() {
        let source = |column| format!("\n at [Source: (byte[])[redacted]; line: 1, column: {column}]");
        for (document, column, text) in [
            ("{abc}", 2, "Unexpected character ('a' (code 97)): was expecting double-quote to start field name"),
            (
                r#"{"name" "a"}"#,
                9,
                "Unexpected character ('\"' (code 34)): was expecting a colon to separate field name and value",
            ),
            (
                r#"{"name":"a",}"#,
                13,
                "Unexpected character ('}' (code 125)): was expecting double-quote to start field name",
            ),
            (
                r#"{"name":"a" "b"}"#,
                13,
                "Unexpected character ('\"' (code 34)): was expecting comma to separate Object entries",
            ),
            (r#"{"name":"a","name":"b"}"#, 19, "Duplicate field 'name'"),
            (r#"{"name":01}"#, 10, "Invalid numeric value: Leading zeroes not allowed"),
            (r#"{"name":"\q"}"#, 11, "Unrecognized character escape 'q' (code 113)"),
            (r#"{"name":tru}"#, 13, &format!("Unrecognized token 'tru': {EXPECTED_TOKEN}")),
            ("abc", 4, &format!("Unrecognized token 'abc': {EXPECTED_TOKEN}")),
            (
                "{",
                2,
                "Unexpected end-of-input: expected close marker for Object (start marker at [Source: (byte[])[redacted]; line: 1, column: 1])",
            ),
            (
                r#"{"name":"a""#,
                12,
                "Unexpected end-of-input: expected close marker for Object (start marker at [Source: (byte[])[redacted]; line: 1, column: 1])",
            ),
            (r#"{"name""#, 8, "Unexpected end-of-input within/between Object entries"),
            (r#"{"name":"#, 9, "Unexpected end-of-input within/between Object entries"),
            (r#"{"nam"#, 6, "Unexpected end-of-input in field name"),
        ] {
            assert_eq!(refused(document), format!("[1:{column}] {text}{}", source(column)), "{document}");
        }
    }

    #[test]
    fn what_follows_the_first_value_is_ignored_and_nothing_is_no_value() {
        assert!(read(br#"{"a":1} trailing"#).is_ok_and(|node| node.is_some()));
        assert!(read(b" \n").is_ok_and(|node| node.is_none()));
    }

    #[test]
    fn positions_count_lines_and_bytes() {
        let node = read("{\"é\":1,\n \"b\":2}".as_bytes()).ok().flatten().unwrap();
        let Tree::Object(fields) = node.tree else { panic!("an object is expected") };
        assert_eq!(fields.iter().map(|field| field.at.to_string()).collect::<Vec<_>>(), ["1:2", "2:2"]);
        assert_eq!(fields[0].node.at.to_string(), "1:7");
    }

    #[test]
    fn a_deep_document_is_refused() {
        assert!(read("[".repeat(100_000).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn what_serde_reads_is_read_alike(text in r#"[\[\]{}",:0-9a-z\\ -]{0,40}"#) {
            if let Ok(value) = serde_json::from_str::<Value>(&text) {
                // A repeated name is an error here and not there.
                if let Ok(node) = read(text.as_bytes()) {
                    prop_assert_eq!(node.map(|node| node.value()), Some(value));
                }
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = read(&bytes);
        }
    }
}
