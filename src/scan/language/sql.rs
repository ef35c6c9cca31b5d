//! SQL: what follows each `FROM` and `JOIN` of a `SELECT`.

use super::token::{Token, UNCERTAIN, source};
use crate::scan::ScanError;

/// Every `FROM` counts, also that of `EXTRACT(YEAR FROM day)`: then a column is taken for a source, which refuses too much, never too
/// little.
pub(super) fn sources(tokens: &[Token<'_>]) -> Result<Vec<String>, ScanError> {
    let mut found = Vec::new();
    if !tokens.first().is_some_and(|first| first.is_word(&["select"])) {
        return Err(UNCERTAIN);
    }
    for (at, token) in tokens.iter().enumerate() {
        let after = tokens.get(at + 1..).unwrap_or_default();
        if token.is_word(&["from"]) {
            list(after, &mut found)?;
        } else if token.is_word(&["join"]) {
            table(after, &mut found)?;
        } else if token.is_symbol(b';') || token.is_word(UNKNOWN) {
            return Err(UNCERTAIN);
        }
    }
    Ok(found)
}

/// Tables between commas.
fn list(mut tokens: &[Token<'_>], found: &mut Vec<String>) -> Result<(), ScanError> {
    loop {
        tokens = table(tokens, found)?;
        match tokens.split_first() {
            Some((comma, rest)) if comma.is_symbol(b',') => tokens = rest,
            _ => return Ok(()),
        }
    }
}

/// One table with its alias. A subquery is stepped over: its own `FROM` is found by itself.
fn table<'t, 'a>(tokens: &'t [Token<'a>], found: &mut Vec<String>) -> Result<&'t [Token<'a>], ScanError> {
    let mut rest = if tokens.first().is_some_and(|token| token.is_symbol(b'(')) {
        if !tokens.get(1).is_some_and(|token| token.is_word(&["select"])) {
            return Err(UNCERTAIN);
        }
        closed(tokens)?
    } else {
        if tokens.first().is_some_and(|token| token.is_word(MODIFIERS)) {
            return Err(UNCERTAIN);
        }
        let mut left = tokens.iter().peekable();
        source(&mut left, found)?;
        let length = left.count();
        tokens.get(tokens.len() - length..).unwrap_or_default()
    };
    if let Some((word, after)) = rest.split_first()
        && word.is_word(&["as"])
    {
        rest = after;
    }
    match rest.split_first() {
        Some((token, after)) if !token.is_word(FOLLOWERS) && !token.is_delimiter() => match after.first() {
            // An alias, if something follows that can.
            None => Ok(after),
            Some(token) if token.is_word(FOLLOWERS) || token.is_delimiter() => Ok(after),
            Some(_) => Err(UNCERTAIN),
        },
        _ => Ok(rest),
    }
}

/// What follows the parenthesis that closes the one at the beginning.
fn closed<'t, 'a>(tokens: &'t [Token<'a>]) -> Result<&'t [Token<'a>], ScanError> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        if token.is_symbol(b'(') {
            depth += 1;
        } else if token.is_symbol(b')') {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return Ok(tokens.get(at + 1..).unwrap_or_default());
            }
        }
    }
    Err(UNCERTAIN)
}

impl Token<'_> {
    fn is_delimiter(&self) -> bool {
        self.is_symbol(b',') || self.is_symbol(b')')
    }
}

/// What may follow a table.
const FOLLOWERS: &[&str] = &[
    "cross",
    "except",
    "full",
    "group",
    "having",
    "inner",
    "intersect",
    "join",
    "left",
    "limit",
    "minus",
    "natural",
    "on",
    "order",
    "outer",
    "right",
    "union",
    "using",
    "where",
];

/// What stands before a table in some dialect.
const MODIFIERS: &[&str] = &["frozen", "lateral", "nested", "only", "table", "unnest", "values"];

/// What a `SELECT` has nowhere that can be told.
const UNKNOWN: &[&str] = &["into", "pivot", "with"];
