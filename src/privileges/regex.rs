//! Regular expressions in Lucene's syntax, with every operator that it has: `|`, `&`, `~`, `?`, `*`, `+`, `{n,m}`,
//! `[..]`, `.`, `#` (nothing), `@` (anything), `"..."` (as it stands), `<n-m>` (numbers), `\d`, `\s`, `\w`.
//!
//! As there, a character that means something elsewhere stands for itself where an expression must begin.

use super::expression::{ANY, Expressions, Id, Range};

/// Reads `text`, without the slashes around it; `None` when it is no expression.
pub(super) fn parse(text: &str, expressions: &mut Expressions) -> Option<Id> {
    if text.is_empty() {
        return Some(Expressions::BLANK);
    }
    if text.len() > LONGEST {
        return None;
    }
    let mut parser = Parser { rest: text, depth: 0, expressions };
    let id = parser.union()?;
    parser.rest.is_empty().then_some(id)
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
    expressions: &'a mut Expressions,
}

impl Parser<'_> {
    fn union(&mut self) -> Option<Id> {
        let mut any = vec![self.intersection()?];
        while self.take('|') {
            any.push(self.intersection()?);
        }
        Some(self.expressions.or(any))
    }

    fn intersection(&mut self) -> Option<Id> {
        let mut all = vec![self.sequence()?];
        while self.take('&') {
            all.push(self.sequence()?);
        }
        Some(self.expressions.and(all))
    }

    fn sequence(&mut self) -> Option<Id> {
        let mut parts = vec![self.repetition()?];
        while !self.rest.is_empty() && !self.rest.starts_with([')', '|', '&']) {
            parts.push(self.repetition()?);
        }
        Some(parts.into_iter().rev().fold(Expressions::BLANK, |rest, part| self.expressions.then(part, rest)))
    }

    fn repetition(&mut self) -> Option<Id> {
        let mut id = self.complement()?;
        loop {
            let (least, most) = match self.rest.chars().next() {
                Some('?') => (0, 1),
                Some('*') => (0, u32::MAX),
                Some('+') => (1, u32::MAX),
                Some('{') => {
                    self.next()?;
                    let least = self.number()?;
                    let most = match self.take(',') {
                        true if self.rest.starts_with('}') => u32::MAX,
                        true => self.number()?,
                        false => least,
                    };
                    // The brace that closes is taken below.
                    (self.rest.starts_with('}') && least <= most).then_some((least, most))?
                }
                _ => return Some(id),
            };
            self.next()?;
            id = self.expressions.repeat(id, least, most);
        }
    }

    fn complement(&mut self) -> Option<Id> {
        if !self.take('~') {
            return self.class();
        }
        let id = self.nested(Self::complement)?;
        Some(self.expressions.not(id))
    }

    fn class(&mut self) -> Option<Id> {
        if !self.take('[') {
            return self.simple();
        }
        let negated = self.take('^');
        let mut ranges = Vec::new();
        loop {
            if let Some(known) = self.predefined() {
                ranges.extend(known);
            } else {
                let from = self.character()?;
                let to = if self.take('-') { self.character()? } else { from };
                ranges.push((from <= to).then_some((from.into(), to.into()))?);
            }
            if self.take(']') {
                break;
            }
        }
        Some(self.expressions.one(&if negated { inverted(ranges) } else { ranges }))
    }

    fn simple(&mut self) -> Option<Id> {
        if let Some(known) = self.predefined() {
            return Some(self.expressions.one(&known));
        }
        let escaped = self.rest.starts_with('\\');
        match self.character()? {
            '.' if !escaped => Some(self.expressions.one(&[ANY])),
            '#' if !escaped => Some(Expressions::NOTHING),
            '@' if !escaped => Some(Expressions::ALL),
            '"' if !escaped => {
                let (quoted, rest) = self.rest.split_once('"')?;
                self.rest = rest;
                Some(self.expressions.text(quoted))
            }
            '(' if !escaped && self.take(')') => Some(Expressions::BLANK),
            '(' if !escaped => {
                let id = self.nested(Self::union)?;
                self.take(')').then_some(id)
            }
            '<' if !escaped => {
                let (interval, rest) = self.rest.split_once('>')?;
                self.rest = rest;
                self.interval(interval)
            }
            other => Some(self.expressions.text(other.encode_utf8(&mut [0; 4]))),
        }
    }

    /// Numbers from one to the other; as wide as both, when both are of one width.
    fn interval(&mut self, interval: &str) -> Option<Id> {
        let (one, other) = interval.split_once('-')?;
        let width = if one.len() == other.len() { one.len() } else { 0 };
        let (one, other): (u32, u32) = (one.parse().ok()?, other.parse().ok()?);
        let (from, to) = (one.min(other), one.max(other));
        if to - from >= WIDEST {
            return None;
        }
        let numbers: Vec<Id> = (from..=to)
            .map(|number| {
                let digits = self.expressions.text(&format!("{number:0width$}"));
                if width > 0 {
                    return digits;
                }
                let zero = self.expressions.text("0");
                let zeros = self.expressions.repeat(zero, 0, u32::MAX);
                self.expressions.then(zeros, digits)
            })
            .collect();
        Some(self.expressions.or(numbers))
    }

    fn predefined(&mut self) -> Option<Vec<Range>> {
        let name = self.rest.strip_prefix('\\')?.chars().next()?;
        let range = |from: char, to: char| (from.into(), to.into());
        let known = match name.to_ascii_lowercase() {
            'd' => vec![range('0', '9')],
            's' => vec![range('\t', '\n'), range('\r', '\r'), range(' ', ' ')],
            'w' => vec![range('0', '9'), range('A', 'Z'), range('_', '_'), range('a', 'z')],
            _ => return None,
        };
        self.next()?;
        self.next()?;
        Some(if name.is_ascii_uppercase() { inverted(known) } else { known })
    }

    fn number(&mut self) -> Option<u32> {
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        number.parse().ok().filter(|number| *number < u32::MAX)
    }

    /// One level deeper.
    fn nested(&mut self, read: fn(&mut Self) -> Option<Id>) -> Option<Id> {
        self.depth += 1;
        let id = (self.depth < DEEPEST).then(|| read(self)).flatten();
        self.depth -= 1;
        id
    }

    /// A character, perhaps escaped.
    fn character(&mut self) -> Option<char> {
        self.take('\\');
        self.next()
    }

    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let next = characters.next();
        self.rest = characters.as_str();
        next
    }

    fn take(&mut self, wanted: char) -> bool {
        let rest = self.rest.strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

fn inverted(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable();
    let (mut outside, mut from) = (Vec::new(), ANY.0);
    for (first, last) in ranges {
        if first > from {
            outside.push((from, first - 1));
        }
        from = from.max(last.saturating_add(1));
    }
    outside.push((from, ANY.1));
    outside
}

/// Bytes, as of a regular expression in a query there.
const LONGEST: usize = 1_000;
/// Groups within groups.
const DEEPEST: usize = 100;
/// Numbers of an interval.
const WIDEST: u32 = 1_000;
