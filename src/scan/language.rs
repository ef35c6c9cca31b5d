//! Queries as text: SQL, ES|QL and PPL, whose sources are named in the text.
//!
//! Read as far as it is certain. Comments, subqueries in unusual places, enrichment, anything that could be another source: the
//! sources cannot be told, and that is the answer.

mod esql;
mod ppl;
mod sql;
mod token;

use super::{
    Mention, Mentions, ScanError,
    json::{Reader, Scratch},
};

/// A query language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// `POST /_query`.
    Esql,
    /// `POST /_plugins/_ppl`.
    Ppl,
    /// `POST /_sql`, `POST /_plugins/_sql`.
    Sql,
}

/// What a query in a language names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The index expressions of its text; none for a query over nothing, such as `ROW a = 1`.
    pub indices: Vec<String>,
    /// What its filter and runtime fields name.
    pub mentions: Vec<Mention>,
}

impl Sources {
    /// Reads the body `{"query": "…", …}`.
    ///
    /// # Errors
    ///
    /// [`ScanError::Opaque`] where the sources cannot be told: also for a `cursor`, which continues a query.
    pub fn read(language: Language, body: &[u8]) -> Result<Self, ScanError> {
        let mut scratch = Scratch::default();
        let mut reader = Reader::new(body, &mut scratch)?;
        let mut mentions = Mentions::default();
        let mut query = None;
        reader.object()?;
        while let Some(key) = reader.key()? {
            match &*key {
                "query" => query = Some(reader.string()?),
                "cursor" => return Err(ScanError::Opaque("a query that is continued")),
                "tables" => return Err(ScanError::Opaque("a query with tables of its own")),
                key => mentions.value(key, &mut reader, 0)?,
            }
        }
        reader.end()?;
        let query = query.ok_or(ScanError::Malformed("[query] is required"))?;
        let tokens = token::tokens(language, &query)?;
        let indices = match language {
            Language::Esql => esql::sources(&tokens),
            Language::Ppl => ppl::sources(&tokens),
            Language::Sql => sql::sources(&tokens),
        }?;
        Ok(Self { indices, mentions: mentions.indices })
    }
}

#[cfg(test)]
mod tests;
