//! The little language of `simple_query_string`: `+` and, `|` or, `-` not, `"…"`, `*` at an end, parentheses. It has no
//! errors: what makes no sense is text.

use serde_json::Value;

use crate::api::search::{
    Check, Field, Kind, Query,
    compile::{atom, join, test, words},
    query::Text,
};

/// What the text asks of any of the fields; without fields nothing.
pub(super) fn query(text: &str, fields: &[Field], and: bool, now: i64) -> Query {
    let mut reader = Reader { text, fields, and, now };
    reader.sequence(0).unwrap_or(Query::Nothing)
}

struct Reader<'a> {
    text: &'a str,
    fields: &'a [Field],
    and: bool,
    now: i64,
}

impl Reader<'_> {
    /// Terms up to the end or a closing parenthesis, joined from the left.
    fn sequence(&mut self, depth: usize) -> Option<Query> {
        let (mut joined, mut and, mut negated) = (None, self.and, false);
        while let Some(character) = self.text.chars().next() {
            let term = match character {
                '+' => self.skip(Some((&mut and, true))),
                '|' => self.skip(Some((&mut and, false))),
                '-' => {
                    negated = !negated;
                    self.skip(None)
                }
                '(' if depth < DEEPEST => {
                    self.skip::<()>(None);
                    let inner = self.sequence(depth + 1);
                    self.text = self.text.strip_prefix(')').unwrap_or(self.text);
                    inner
                }
                ')' if depth > 0 => break,
                '(' | ')' | ' ' | '\t' | '\n' | '\r' => self.skip(None),
                '"' => self.phrase(),
                _ => self.term(),
            };
            let Some(term) = term else { continue };
            let term = if std::mem::take(&mut negated) {
                Query::Bool { must: Vec::new(), should: Vec::new(), must_not: vec![term], minimum: 0 }
            } else {
                term
            };
            joined = Some(match joined {
                None => term,
                Some(before) => join(vec![before, term], and),
            });
            and = self.and;
        }
        joined
    }

    /// Leaves out a character, which may set an operator.
    fn skip<T>(&mut self, operator: Option<(&mut bool, bool)>) -> Option<T> {
        self.text = self.text.get(1..).unwrap_or_default();
        if let Some((place, and)) = operator {
            *place = and;
        }
        None
    }

    fn phrase(&mut self) -> Option<Query> {
        self.skip::<()>(None);
        let (phrase, rest) = self.text.split_once('"').unwrap_or((self.text, ""));
        self.text = rest;
        (!phrase.is_empty()).then(|| self.any(phrase, false))
    }

    fn term(&mut self) -> Option<Query> {
        let (mut term, mut rest, mut escaped) = (String::new(), self.text.char_indices(), false);
        let mut end = self.text.len();
        for (at, character) in rest.by_ref() {
            match character {
                _ if std::mem::take(&mut escaped) => term.push(character),
                '\\' => escaped = true,
                ' ' | '\t' | '\n' | '\r' | '+' | '|' | '(' | ')' | '"' => {
                    end = at;
                    break;
                }
                other => term.push(other),
            }
        }
        let prefix = self.text.get(..end).is_some_and(|raw| raw.ends_with('*') && !raw.ends_with("\\*"));
        self.text = self.text.get(end..).unwrap_or_default();
        if prefix {
            term.pop();
        }
        (prefix || !term.is_empty()).then(|| self.any(&term, prefix))
    }

    /// A text in any of the fields; in those that cannot hold it, it is not.
    fn any(&self, text: &str, prefix: bool) -> Query {
        let of = |field: &Field| match field.kind {
            Kind::Boolean | Kind::Date if prefix => None,
            Kind::Text if !prefix => {
                let words = words(text).map(|word| test(field, Check::In(vec![super::Atom::Text(word.into())])));
                Some(join(words.collect(), self.and))
            }
            kind if prefix => Some(test(field, Check::Prefix(Text::new(text.to_owned(), kind == Kind::Text)))),
            _ => Some(test(field, Check::In(vec![atom(field, &Value::from(text), self.now).ok()?]))),
        };
        join(self.fields.iter().filter_map(of).collect(), false)
    }
}

/// As deep as parentheses count.
const DEEPEST: usize = 50;
