//! PPL: `source = logs-*, other | where …`.

use super::token::{Token, UNCERTAIN, source};
use crate::scan::ScanError;

pub(super) fn sources(tokens: &[Token<'_>]) -> Result<Vec<String>, ScanError> {
    let mut found = Vec::new();
    let mut rest = tokens.iter().peekable();
    rest.next_if(|token| token.is_word(&["search"]));
    let named = rest.next().is_some_and(|token| token.is_word(&["index", "source"]))
        && rest.next().is_some_and(|token| token.is_symbol(b'='));
    if !named {
        return Err(UNCERTAIN);
    }
    source(&mut rest, &mut found)?;
    while rest.next_if(|token| token.is_symbol(b',')).is_some() {
        source(&mut rest, &mut found)?;
    }
    if rest.peek().is_some_and(|token| !token.is_symbol(b'|')) {
        return Err(UNCERTAIN);
    }
    while let Some(token) = rest.next() {
        // Subsearches stand in brackets.
        let command = !token.is_symbol(b'|') || rest.next().is_some_and(|command| command.is_word(COMMANDS));
        if token.is_symbol(b'[') || token.is_word(&["index", "source"]) || !command {
            return Err(UNCERTAIN);
        }
    }
    Ok(found)
}

/// What works on the rows that are there.
const COMMANDS: &[&str] = &[
    "bin",
    "dedup",
    "eval",
    "eventstats",
    "expand",
    "fields",
    "fillnull",
    "flatten",
    "grok",
    "head",
    "parse",
    "patterns",
    "rare",
    "regex",
    "rename",
    "reverse",
    "rex",
    "sort",
    "stats",
    "table",
    "timechart",
    "top",
    "trendline",
    "where",
];
