//! JSON laid out as Elasticsearch lays it out.

use std::io::{self, Write};

use serde::Serialize as _;
use serde_json::{Value, ser::Formatter};

/// Writes `value`; with `pretty` over several lines, the last one ended.
#[must_use]
pub fn write(value: &Value, pretty: bool) -> Vec<u8> {
    if !pretty {
        return value.to_string().into_bytes();
    }
    let mut bytes = Vec::new();
    // Writing a `Value` to memory cannot fail: its keys are text.
    let _ = value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Pretty::default()));
    bytes.push(b'\n');
    bytes
}

/// `"key" : value`, `[ ]` and `{ }` for what is empty.
#[derive(Default)]
struct Pretty {
    depth: usize,
    filled: bool,
}

impl Pretty {
    fn open<W: Write + ?Sized>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.filled = false;
        writer.write_all(bracket)
    }

    fn close<W: Write + ?Sized>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if self.filled {
            self.line(writer)?;
        } else {
            writer.write_all(b" ")?;
        }
        self.filled = true;
        writer.write_all(bracket)
    }

    fn line<W: Write + ?Sized>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| writer.write_all(b"  "))
    }

    fn item<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.filled = true;
        if !first {
            writer.write_all(b",")?;
        }
        self.line(writer)
    }
}

impl Formatter for Pretty {
    fn begin_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"[")
    }

    fn end_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"]")
    }

    fn begin_array_value<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.item(writer, first)
    }

    fn begin_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"{")
    }

    fn end_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"}")
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.item(writer, first)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b" : ")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pretty_json_looks_as_the_original_writes_it() {
        let value = json!({ "a": [], "b": {}, "c": [1, { "d": null }] });
        let text = "{\n  \"a\" : [ ],\n  \"b\" : { },\n  \"c\" : [\n    1,\n    {\n      \"d\" : null\n    }\n  ]\n}\n";
        assert_eq!(String::from_utf8(write(&value, true)).unwrap(), text);
        assert_eq!(write(&value, false), br#"{"a":[],"b":{},"c":[1,{"d":null}]}"#);
    }
}
