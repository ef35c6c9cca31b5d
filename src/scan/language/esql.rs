//! ES|QL: `FROM logs-*, other METADATA _id | WHERE … | LOOKUP JOIN hosts ON host`.

use super::token::{Token, UNCERTAIN, source};
use crate::scan::ScanError;

pub(super) fn sources(tokens: &[Token<'_>]) -> Result<Vec<String>, ScanError> {
    let mut found = Vec::new();
    let mut rest = tokens.iter().peekable();
    match rest.next() {
        Some(first) if first.is_word(&["from", "ts"]) => {
            source(&mut rest, &mut found)?;
            while rest.next_if(|token| token.is_symbol(b',')).is_some() {
                source(&mut rest, &mut found)?;
            }
            let metadata = rest.next_if(|token| token.is_word(&["metadata"])).is_some();
            if !metadata && rest.peek().is_some_and(|token| !token.is_symbol(b'|')) {
                return Err(UNCERTAIN);
            }
        }
        Some(first) if first.is_word(&["row"]) => {}
        _ => return Err(UNCERTAIN),
    }
    while let Some(token) = rest.next() {
        if token.is_symbol(b'|') {
            let command = rest.next().ok_or(UNCERTAIN)?;
            if command.is_word(&["lookup"]) {
                if !rest.next().is_some_and(|token| token.is_word(&["join"])) {
                    return Err(UNCERTAIN);
                }
                source(&mut rest, &mut found)?;
                if !rest.next().is_some_and(|token| token.is_word(&["on"])) {
                    return Err(UNCERTAIN);
                }
            } else if !command.is_word(COMMANDS) {
                return Err(UNCERTAIN);
            }
        } else {
            // Within the branches of `FORK`, in subqueries, or whatever comes next in this language.
            let subquery = token.is_symbol(b'(') && rest.peek().is_some_and(|token| token.is_word(SOURCES));
            if subquery || token.is_word(READERS) {
                return Err(UNCERTAIN);
            }
        }
    }
    Ok(found)
}

/// What works on the rows that are there.
const COMMANDS: &[&str] = &[
    "change_point",
    "dissect",
    "drop",
    "eval",
    "fork",
    "fuse",
    "grok",
    "inline",
    "inlinestats",
    "keep",
    "limit",
    "mv_expand",
    "rename",
    "sample",
    "sort",
    "stats",
    "where",
];

/// What reads others.
const READERS: &[&str] = &["enrich", "from", "join", "lookup"];

/// What begins a query, and is a likely name of a column elsewhere.
const SOURCES: &[&str] = &["metrics", "promql", "row", "show", "ts", "view"];
