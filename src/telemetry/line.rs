//! One JSON object a line, appended to a buffer that is used again: nothing is allocated but the buffer's growth.

use std::io::Write;

use serde::Serialize;

use crate::model::Timestamp;

/// A line being written.
#[derive(Debug)]
pub struct Line<'a> {
    buffer: &'a mut Vec<u8>,
    start: usize,
}

/// Writes times as text; remembers the last second, which most lines share.
#[derive(Debug, Default)]
pub struct Stamp {
    second: Option<u64>,
    /// `2026-11-24T21:54:13`.
    text: Vec<u8>,
}

impl<'a> Line<'a> {
    /// Begins an object at the end of `buffer`.
    pub fn begin(buffer: &'a mut Vec<u8>) -> Self {
        let start = buffer.len();
        Self { buffer, start }
    }

    /// Adds a field. `name` is a dotted name of ours and needs no escape; `value` may be anything.
    pub fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        self.name(name);
        let end = self.buffer.len();
        if serde_json::to_writer(&mut *self.buffer, value).is_err() {
            // Only a map with keys that are no strings ends here.
            self.buffer.truncate(end);
            self.buffer.extend_from_slice(b"null");
        }
    }

    /// Adds text. Mostly nothing in it needs an escape, which is cheaper to see than to write around.
    pub fn text(&mut self, name: &str, value: &str) {
        let special = |byte| byte < b' ' || byte == b'"' || byte == b'\\';
        if value.bytes().fold(false, |found, byte| found | special(byte)) {
            return self.field(name, value);
        }
        self.name(name);
        self.buffer.push(b'"');
        self.buffer.extend_from_slice(value.as_bytes());
        self.buffer.push(b'"');
    }

    /// Adds fields that are written already, without a comma at either end.
    pub fn written(&mut self, fields: &str) {
        self.separate();
        self.buffer.extend_from_slice(fields.as_bytes());
    }

    /// Adds a field if there is something to say.
    pub fn maybe<T: Serialize + ?Sized>(&mut self, name: &str, value: Option<&T>) {
        if let Some(value) = value {
            self.field(name, value);
        }
    }

    /// Adds text if there is some.
    pub fn maybe_text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// Adds a time, as ECS writes it.
    pub fn time(&mut self, name: &str, stamp: &mut Stamp, at: Timestamp) {
        self.name(name);
        self.buffer.push(b'"');
        stamp.write(self.buffer, at);
        self.buffer.push(b'"');
    }

    /// Ends the object and the line.
    pub fn end(self) {
        self.buffer.extend_from_slice(b"}\n");
    }

    fn separate(&mut self) {
        self.buffer.push(if self.buffer.len() == self.start { b'{' } else { b',' });
    }

    fn name(&mut self, name: &str) {
        self.separate();
        self.buffer.push(b'"');
        self.buffer.extend_from_slice(name.as_bytes());
        self.buffer.extend_from_slice(b"\":");
    }
}

impl Stamp {
    /// Appends `at` in RFC 3339 with milliseconds, in UTC.
    pub fn write(&mut self, buffer: &mut Vec<u8>, at: Timestamp) {
        self.write_with(buffer, at, '.', "Z");
    }

    /// Appends `at` with another mark of decimals and of the zone.
    pub fn write_with(&mut self, buffer: &mut Vec<u8>, at: Timestamp, decimal: char, zone: &str) {
        let (second, millis) = (at.as_millis() / 1000, at.as_millis() % 1000);
        if self.second != Some(second) {
            let time = i64::try_from(second).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
            self.text.clear();
            let _ = write!(self.text, "{:.0}", time.unwrap_or(jiff::Timestamp::MAX)); // memory takes every write
            self.text.pop(); // the `Z`, which follows the decimals
            self.second = Some(second);
        }
        buffer.extend_from_slice(&self.text);
        let _ = write!(buffer, "{decimal}{millis:03}{zone}"); // memory takes every write
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stamped(millis: u64) -> String {
        let mut buffer = Vec::new();
        Stamp::default().write(&mut buffer, Timestamp::from_millis(millis));
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn times_are_rfc_3339_with_milliseconds() {
        assert_eq!(stamped(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(stamped(1_795_557_253_007), "2026-11-24T21:54:13.007Z");
    }

    #[test]
    fn a_time_beyond_the_calendar_is_written_all_the_same() {
        assert!(stamped(u64::MAX).starts_with("9999-12-"));
    }

    #[test]
    fn a_stamp_follows_the_seconds() {
        let (mut stamp, mut buffer) = (Stamp::default(), Vec::new());
        for millis in [999, 1000, 1001] {
            stamp.write(&mut buffer, Timestamp::from_millis(millis));
        }
        let text = String::from_utf8(buffer).unwrap();
        assert_eq!(text, "1970-01-01T00:00:00.999Z1970-01-01T00:00:01.000Z1970-01-01T00:00:01.001Z");
    }

    proptest! {
        #[test]
        fn any_text_comes_back_out_of_one_line(text: String, number: u64) {
            let mut buffer = b"earlier\n".to_vec();
            let mut line = Line::begin(&mut buffer);
            line.field("a.b", &text);
            line.written(r#""c":1,"d":"2""#);
            line.text("e", &text);
            line.maybe("absent", None::<&str>);
            line.field("n", &number);
            line.end();
            let written = std::str::from_utf8(&buffer).unwrap().strip_prefix("earlier\n").unwrap();
            prop_assert_eq!(written.matches('\n').count(), 1);
            let value: serde_json::Value = serde_json::from_str(written).unwrap();
            prop_assert_eq!(value, serde_json::json!({"a.b": text, "c": 1, "d": "2", "e": text, "n": number}));
        }
    }
}
