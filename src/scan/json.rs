//! Strict JSON, read in place: no value tree, only what is asked for.
//!
//! Accepts less than clusters do and nothing else: no comments, no repeated keys, no byte order mark, no lone surrogates.

use std::{
    borrow::Cow,
    hash::{BuildHasher as _, RandomState},
};

use super::{Name, ScanError};

/// A place in a JSON text.
pub(super) struct Reader<'a, 's> {
    text: &'a str,
    at: usize,
    key_at: usize,
    scratch: &'s mut Scratch,
}

/// What a reader remembers of the objects that it is in. Kept between readers, so that a line costs no allocation.
#[derive(Default)]
pub(super) struct Scratch {
    open: Vec<Open>,
    /// Digests of the keys seen in each open object, one after the other.
    keys: Vec<u64>,
    hasher: RandomState,
}

struct Open {
    /// Where this object's keys begin.
    keys: usize,
    fresh: bool,
}

/// What stands next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Array,
    Object,
    Scalar,
}

impl<'a, 's> Reader<'a, 's> {
    pub(super) fn new(bytes: &'a [u8], scratch: &'s mut Scratch) -> Result<Self, ScanError> {
        let text = std::str::from_utf8(bytes).map_err(|error| ScanError::Json { at: error.valid_up_to() })?;
        scratch.open.clear();
        scratch.keys.clear();
        Ok(Self { text, at: 0, key_at: 0, scratch })
    }

    /// The place: what follows it is unread.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// Where the last key that was read begins.
    pub(super) const fn key_at(&self) -> usize {
        self.key_at
    }

    /// What the next value is.
    pub(super) fn kind(&mut self) -> Result<Kind, ScanError> {
        match self.peek() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(_) => Ok(Kind::Scalar),
            None => Err(self.wrong()),
        }
    }

    /// Steps over white space. After it, [`Self::at`] is where the next thing begins.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = bytes.get(self.at) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    /// Steps into an object; [`Self::key`] goes on.
    pub(super) fn object(&mut self) -> Result<(), ScanError> {
        self.enter(b'{')
    }

    /// The next key of the object that the reader is in. `None` after the last: the object is behind it.
    pub(super) fn key(&mut self) -> Result<Option<Cow<'a, str>>, ScanError> {
        if !self.more(b'}')? {
            return Ok(None);
        }
        self.peek();
        self.key_at = self.at;
        let key = self.string()?;
        let digest = self.scratch.hasher.hash_one(&*key);
        self.scratch.keys.push(digest);
        self.expect(b':')?;
        Ok(Some(key))
    }

    /// Steps into an array; [`Self::item`] goes on.
    pub(super) fn array(&mut self) -> Result<(), ScanError> {
        self.enter(b'[')
    }

    /// Whether the array that the reader is in has another item, which stands next. After the last it is behind the reader.
    pub(super) fn item(&mut self) -> Result<bool, ScanError> {
        self.more(b']')
    }

    /// A string, number or boolean as a cluster makes a name of it; `None` for null.
    ///
    /// Of numbers only plain ones: what others look like depends on the reader.
    pub(super) fn name(&mut self) -> Result<Option<Name<'a>>, ScanError> {
        let quoted = self.peek() == Some(b'"');
        let name = self.scalar()?;
        match &name {
            Some(Name { text, .. })
                if !quoted
                    && !matches!(&**text, "true" | "false")
                    && (text.len() > 15 || !text.bytes().all(|byte| byte.is_ascii_digit())) =>
            {
                Err(ScanError::Malformed("a name is a number"))
            }
            _ => Ok(name),
        }
    }

    /// The text of a string, or a number or boolean as it stands; `None` for null.
    pub(super) fn scalar(&mut self) -> Result<Option<Name<'a>>, ScanError> {
        let first = self.peek();
        let from = self.at;
        let text = match first {
            Some(b'"') => self.string()?,
            Some(b'{' | b'[') => return Err(ScanError::Malformed("a name is not a simple value")),
            _ => Cow::Borrowed(self.literal()?),
        };
        Ok((first != Some(b'n')).then_some(Name { text, span: from..self.at }))
    }

    /// One name, or an array of them.
    pub(super) fn names(&mut self, found: &mut Vec<Name<'a>>) -> Result<(), ScanError> {
        if self.kind()? == Kind::Array {
            self.array()?;
            while self.item()? {
                found.push(self.name()?.ok_or(ScanError::Malformed("a name is null"))?);
            }
        } else {
            found.extend(self.name()?);
        }
        Ok(())
    }

    /// Steps over one value, whatever it is.
    pub(super) fn skip(&mut self) -> Result<(), ScanError> {
        match self.kind()? {
            Kind::Object => {
                self.object()?;
                while self.key()?.is_some() {
                    self.skip()?;
                }
            }
            Kind::Array => {
                self.array()?;
                while self.item()? {
                    self.skip()?;
                }
            }
            Kind::Scalar => {
                if self.peek() == Some(b'"') {
                    self.raw_string()?;
                } else {
                    self.literal()?;
                }
            }
        }
        Ok(())
    }

    /// Steps over a value without objects in objects or arrays. Clusters read some deeper ones as if they were not nested.
    pub(super) fn shallow(&mut self) -> Result<(), ScanError> {
        if self.kind()? != Kind::Object {
            return self.flat();
        }
        self.object()?;
        while self.key()?.is_some() {
            self.flat()?;
        }
        Ok(())
    }

    /// Steps over a simple value or an array of them.
    pub(super) fn flat(&mut self) -> Result<(), ScanError> {
        if self.kind()? != Kind::Array {
            return self.scalar().map(|_| ());
        }
        self.array()?;
        while self.item()? {
            self.scalar()?;
        }
        Ok(())
    }

    /// Nothing but white space may follow.
    pub(super) fn end(&mut self) -> Result<(), ScanError> {
        if self.peek().is_none() { Ok(()) } else { Err(self.wrong()) }
    }

    /// A string, unescaped.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, ScanError> {
        let from = self.at;
        let (raw, escaped) = self.raw_string()?;
        if !escaped {
            return Ok(Cow::Borrowed(raw));
        }
        unescape(raw).map(Cow::Owned).ok_or(ScanError::Json { at: from })
    }

    /// What stands between the quotes, and whether anything in it is escaped.
    fn raw_string(&mut self) -> Result<(&'a str, bool), ScanError> {
        self.expect(b'"')?;
        let from = self.at;
        let mut escaped = false;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let Some(length) = rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < b' ') else {
                return Err(self.wrong());
            };
            self.at += length;
            match rest.get(length) {
                Some(b'"') => {
                    let raw = self.text.get(from..self.at).unwrap_or_default();
                    self.at += 1;
                    return Ok((raw, escaped));
                }
                Some(b'\\') => {
                    let digits = match rest.get(length + 1) {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 0,
                        Some(b'u') => 4,
                        _ => return Err(self.wrong()),
                    };
                    let hexadecimal = rest.get(length + 2..length + 2 + digits).ok_or_else(|| self.wrong())?;
                    if !hexadecimal.iter().all(u8::is_ascii_hexdigit) {
                        return Err(self.wrong());
                    }
                    escaped = true;
                    self.at += 2 + digits;
                }
                _ => return Err(self.wrong()),
            }
        }
    }

    /// A number, boolean or null as it stands.
    fn literal(&mut self) -> Result<&'a str, ScanError> {
        self.peek();
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest
            .bytes()
            .position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')))
            .unwrap_or(rest.len());
        let literal = rest.get(..length).unwrap_or_default();
        if !matches!(literal, "true" | "false" | "null") && !is_number(literal.as_bytes()) {
            return Err(self.wrong());
        }
        self.at += length;
        Ok(literal)
    }

    fn enter(&mut self, bracket: u8) -> Result<(), ScanError> {
        self.expect(bracket)?;
        if self.scratch.open.len() >= DEPTH {
            return Err(ScanError::Opaque("a body so deep"));
        }
        self.scratch.open.push(Open { keys: self.scratch.keys.len(), fresh: true });
        Ok(())
    }

    /// Whether something follows in the innermost object or array; at its end, leaves it.
    fn more(&mut self, bracket: u8) -> Result<bool, ScanError> {
        let next = self.peek();
        let wrong = self.wrong();
        let Some(open) = self.scratch.open.last_mut() else { return Err(wrong) };
        let fresh = std::mem::replace(&mut open.fresh, false);
        if next == Some(bracket) {
            self.at += 1;
            return self.leave().map(|()| false);
        }
        if !fresh {
            self.expect(b',')?;
        }
        Ok(true)
    }

    fn leave(&mut self) -> Result<(), ScanError> {
        let from = self.scratch.open.pop().map_or(0, |open| open.keys);
        let keys = self.scratch.keys.get_mut(from..).unwrap_or_default();
        keys.sort_unstable();
        if keys.array_windows().any(|[one, other]| one == other) {
            return Err(ScanError::Duplicate { at: self.at });
        }
        self.scratch.keys.truncate(from);
        Ok(())
    }

    fn expect(&mut self, byte: u8) -> Result<(), ScanError> {
        if self.peek() != Some(byte) {
            return Err(self.wrong());
        }
        self.at += 1;
        Ok(())
    }

    const fn wrong(&self) -> ScanError {
        ScanError::Json { at: self.at }
    }
}

/// A JSON string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A JSON array of strings.
pub(super) fn list<T: AsRef<str>>(texts: &[T]) -> String {
    let items: Vec<_> = texts.iter().map(|text| quoted(text.as_ref())).collect();
    format!("[{}]", items.join(","))
}

/// The text of a string whose escapes are known to be well formed. `None` for half a surrogate pair.
fn unescape(raw: &str) -> Option<String> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        text.push_str(rest.get(..at)?);
        let (escape, after) = (*rest.as_bytes().get(at + 1)?, rest.get(at + 2..)?);
        rest = after;
        text.push(match escape {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = u32::from_str_radix(rest.get(..4)?, 16).ok()?;
                rest = rest.get(4..)?;
                if (0xd800..0xdc00).contains(&unit) {
                    let low = u32::from_str_radix(rest.strip_prefix("\\u")?.get(..4)?, 16).ok()?;
                    rest = rest.get(6..)?;
                    let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                    char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + low)?
                } else {
                    char::from_u32(unit)?
                }
            }
            other => char::from(other),
        });
    }
    text.push_str(rest);
    Some(text)
}

/// The number grammar of RFC 8259.
fn is_number(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let (whole, rest) = digits(text);
    if whole.is_empty() || (whole.len() > 1 && whole.first() == Some(&b'0')) {
        return false;
    }
    let rest = match rest.strip_prefix(b".").map(digits) {
        Some(([], _)) => return false,
        Some((_, rest)) => rest,
        None => rest,
    };
    match rest {
        [] => true,
        [b'e' | b'E', b'+' | b'-', rest @ ..] | [b'e' | b'E', rest @ ..] => {
            let (exponent, rest) = digits(rest);
            !exponent.is_empty() && rest.is_empty()
        }
        _ => false,
    }
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

/// Deeper than any query that a cluster accepts, shallow enough for the stack.
const DEPTH: usize = 128;

#[cfg(test)]
mod tests;
