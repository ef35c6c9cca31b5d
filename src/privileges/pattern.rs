//! Patterns of names: a name, a wildcard (`*`, `?`, `\` before what stands for itself), or a `/regular expression/`.

use super::{
    expression::{ANY, Expressions, Id, TooComplex},
    regex,
    table::Table,
};

/// A pattern, ready to match.
#[derive(Debug)]
pub struct Pattern {
    text: Box<str>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Matches every name.
    All,
    /// Matches itself.
    Name,
    /// Has wildcards at its end only, all of them `*`.
    Prefix,
    /// Has wildcards or escapes elsewhere.
    Wildcard,
    Regex(Table),
    /// No expression, or one too complex: matches nothing. Descriptors with such are refused where they come in.
    Broken,
}

impl Pattern {
    /// Reads `text`; what is no pattern matches nothing.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let kind = match text.trim_end_matches('*') {
            _ if text.starts_with('/') => regex_table(text).map_or(Kind::Broken, Kind::Regex),
            "" if !text.is_empty() => Kind::All,
            start if start.contains(['*', '?', '\\']) => Kind::Wildcard,
            start if start.len() < text.len() => Kind::Prefix,
            _ => Kind::Name,
        };
        Self { text: text.into(), kind }
    }

    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What names begin with, where all that do match.
    pub(super) fn prefix(&self) -> Option<&str> {
        matches!(self.kind, Kind::All | Kind::Prefix).then(|| self.text.trim_end_matches('*'))
    }

    /// Whether `name` matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match &self.kind {
            Kind::All => true,
            Kind::Name => *self.text == *name,
            Kind::Prefix => name.starts_with(self.text.trim_end_matches('*')),
            Kind::Wildcard => wildcard_matches(&self.text, name),
            Kind::Regex(table) => table.matches(name),
            Kind::Broken => false,
        }
    }
}

/// Whether `text` is a pattern that can be used.
#[must_use]
pub fn is_valid(text: &str) -> bool {
    !text.starts_with('/') || regex_table(text).is_some()
}

/// Whether every name that matches one of `part` matches one of `whole`; not, where that is too complex to be told.
#[must_use]
pub fn covers_names(whole: &[&str], part: &[&str]) -> bool {
    let expressions = &mut Expressions::new();
    let (whole, part) = (union(whole.iter().copied(), expressions), union(part.iter().copied(), expressions));
    expressions.covers(whole, part).unwrap_or(false)
}

/// The names that match `text`; none where it is no pattern.
pub(super) fn expression(text: &str, expressions: &mut Expressions) -> Id {
    if text.starts_with('/') {
        let inner = regex_text(text);
        return inner.and_then(|inner| regex::parse(inner, expressions)).unwrap_or(Expressions::NOTHING);
    }
    let any = expressions.one(&[ANY]);
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((token, next)) = token(rest) {
        parts.push(match token {
            Token::Any => Expressions::ALL,
            Token::One => any,
            Token::Itself(character) => expressions.one(&[(character.into(), character.into())]),
        });
        rest = next;
    }
    parts.into_iter().rev().fold(Expressions::BLANK, |rest, part| expressions.then(part, rest))
}

/// As [`expression`], for any of several.
pub(super) fn union<'a>(texts: impl IntoIterator<Item = &'a str>, expressions: &mut Expressions) -> Id {
    let ids: Vec<Id> = texts.into_iter().map(|text| expression(text, expressions)).collect();
    expressions.or(ids)
}

fn regex_table(text: &str) -> Option<Table> {
    let mut expressions = Expressions::new();
    let id = regex::parse(regex_text(text)?, &mut expressions)?;
    let table: Result<Table, TooComplex> = Table::compile(&mut expressions, id);
    table.ok()
}

fn regex_text(text: &str) -> Option<&str> {
    text.strip_prefix('/')?.strip_suffix('/')
}

enum Token {
    Any,
    One,
    Itself(char),
}

/// The first token of a wildcard, and what follows it.
fn token(pattern: &str) -> Option<(Token, &str)> {
    let mut characters = pattern.chars();
    let token = match characters.next()? {
        '*' => Token::Any,
        '?' => Token::One,
        '\\' => Token::Itself(characters.next().unwrap_or('\\')),
        other => Token::Itself(other),
    };
    Some((token, characters.as_str()))
}

fn wildcard_matches(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern, name);
    // Where to go on when what follows the last `*` does not match: one character further.
    let mut again: Option<(&str, &str)> = None;
    loop {
        let mut rest = name.chars();
        let matched = match (token(pattern), rest.next()) {
            (None, None) => return true,
            (Some((Token::Any, after)), _) => {
                again = Some((after, name));
                pattern = after;
                continue;
            }
            (Some((Token::One, after)), Some(_)) => Some(after),
            (Some((Token::Itself(wanted), after)), Some(found)) if wanted == found => Some(after),
            _ => None,
        };
        if let Some(after) = matched {
            (pattern, name) = (after, rest.as_str());
            continue;
        }
        let Some((after, start)) = again else { return false };
        let mut further = start.chars();
        if further.next().is_none() {
            return false;
        }
        (pattern, name) = (after, further.as_str());
        again = Some((after, name));
    }
}
