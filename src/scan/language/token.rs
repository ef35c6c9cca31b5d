//! Words, quoted texts and symbols: what the query languages have in common.

use std::iter::Peekable;

use super::Language;
use crate::scan::ScanError;

/// A piece of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    /// Whether it follows the one before without a space.
    joined: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// What stands between quotes, of whichever kind.
    Quoted(&'a str),
    Symbol(u8),
    /// Letters, digits, underscores, `@` and `$`.
    Word(&'a str),
}

impl Token<'_> {
    pub(super) fn is_word(&self, words: &[&str]) -> bool {
        matches!(self.kind, Kind::Word(word) if words.iter().any(|other| word.eq_ignore_ascii_case(other)))
    }

    pub(super) fn is_symbol(&self, symbol: u8) -> bool {
        self.kind == Kind::Symbol(symbol)
    }
}

/// What the text consists of.
///
/// Comments are refused, and so is what lexers may see differently: backslashes, words that begin with a digit, letters beyond ASCII
/// outside of quotes.
pub(super) fn tokens(language: Language, text: &str) -> Result<Vec<Token<'_>>, ScanError> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let (mut at, mut end) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        let (kind, length) = match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {
                at += 1;
                continue;
            }
            b'"' | b'`' | b'\'' => quoted(language, text.get(at..).unwrap_or_default())?,
            b'/' if matches!(rest.get(1), Some(b'/' | b'*')) => return Err(UNCERTAIN),
            b'-' if rest.get(1) == Some(&b'-') => return Err(UNCERTAIN),
            b'#' | b'\\' | 0x80.. => return Err(UNCERTAIN),
            _ if is_word(byte) => {
                let length = rest.iter().take_while(|byte| is_word(**byte)).count();
                let word = text.get(at..at + length).unwrap_or_default();
                if byte.is_ascii_digit() && !word.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(UNCERTAIN);
                }
                (Kind::Word(word), length)
            }
            symbol => (Kind::Symbol(symbol), 1),
        };
        tokens.push(Token { kind, joined: at == end && at > 0 });
        at += length;
        end = at;
    }
    Ok(tokens)
}

/// One source: a quoted text, or words joined by what names may have in them. Appends its expressions.
pub(super) fn source<'t, 'a: 't>(
    tokens: &mut Peekable<impl Iterator<Item = &'t Token<'a>>>,
    found: &mut Vec<String>,
) -> Result<(), ScanError> {
    let mut name = match tokens.next().map(|token| &token.kind) {
        Some(Kind::Quoted(text)) if !text.is_empty() && !text.contains('\\') => {
            found.extend(text.split(',').map(|part| part.trim().to_owned()));
            return Ok(());
        }
        Some(Kind::Word(word)) => (*word).to_owned(),
        Some(Kind::Symbol(symbol)) if is_of_name(*symbol) => char::from(*symbol).to_string(),
        _ => return Err(UNCERTAIN),
    };
    while let Some(token) = tokens.next_if(|token| token.joined && token.is_of_name()) {
        match token.kind {
            Kind::Word(word) => name.push_str(word),
            Kind::Symbol(symbol) => name.push(char::from(symbol)),
            Kind::Quoted(_) => return Err(UNCERTAIN),
        }
    }
    found.push(name);
    Ok(())
}

impl Token<'_> {
    const fn is_of_name(&self) -> bool {
        match self.kind {
            Kind::Word(_) => true,
            Kind::Symbol(symbol) => is_of_name(symbol),
            Kind::Quoted(_) => false,
        }
    }
}

/// Up to the matching quote. A doubled one makes two tokens of a text, which is all the same here.
fn quoted(language: Language, text: &str) -> Result<(Kind<'_>, usize), ScanError> {
    let quote = text.get(..1).unwrap_or_default();
    let triple = "\"\"\"";
    if language == Language::Esql && text.starts_with(triple) {
        let inside = text.get(3..).unwrap_or_default();
        let length = inside.find(triple).ok_or(UNCERTAIN)?;
        // Up to two more quotes belong to the text.
        if inside.get(length + 3..).is_some_and(|rest| rest.starts_with('"')) {
            return Err(UNCERTAIN);
        }
        return Ok((Kind::Quoted(inside.get(..length).unwrap_or_default()), length + 6));
    }
    let inside = text.get(1..).unwrap_or_default();
    let mut escaped = false;
    for (at, character) in inside.char_indices() {
        if std::mem::replace(&mut escaped, false) {
            continue;
        }
        if character == '\\' {
            // Only here is it certain what a backslash does.
            if language != Language::Esql || quote != "\"" {
                return Err(UNCERTAIN);
            }
            escaped = true;
        } else if quote.starts_with(character) {
            return Ok((Kind::Quoted(inside.get(..at).unwrap_or_default()), at + 2));
        }
    }
    Err(UNCERTAIN)
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'@' | b'$')
}

const fn is_of_name(symbol: u8) -> bool {
    matches!(symbol, b'*' | b'-' | b'.' | b':')
}

/// The sources of this query cannot be told.
pub(super) const UNCERTAIN: ScanError = ScanError::Opaque("this query");
