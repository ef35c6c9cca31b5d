//! Search-like bodies: every place where they name an index that is not in the path.
//!
//! Found by shape, wherever it stands, and not by the grammar of queries: that grows with each version and plugin, and a name that a
//! caller may choose, of a field or an aggregation, must not hide anything. So some bodies are taken for naming an index which do not,
//! such as a percolated document with the fields `index` and `id`; none the other way round.

use std::ops::Range;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    ScanError,
    json::{Kind, Reader, Scratch},
};

/// What the cluster does with an index that a body names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Weighs its hits, if it is searched: `indices_boost`. The original ignores a foreign one.
    Boost,
    /// Reads a document of it: terms lookup, indexed shape. `indices:data/read/get`.
    Document,
    /// Compares with a document of it: `more_like_this`, pinned documents, ratings. The original ignores a foreign one.
    Likeness,
    /// Searches it: a runtime field of type `lookup`. `indices:data/read/search`.
    Lookup,
}

/// An index that a body names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// What for.
    pub purpose: Purpose,
    /// One name, or an expression in [`Purpose::Boost`].
    pub index: String,
}

/// What a search-like body names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mentions {
    /// The indices, in the order in which they are found.
    pub indices: Vec<Mention>,
    /// The id of the point in time that is searched, and where its value stands.
    pub pit: Option<(String, Range<usize>)>,
    /// Whether the body itself (not a query in it) has a `script`: that of `_update_by_query` changes or deletes documents.
    pub script: bool,
}

impl Mentions {
    /// Reads the body of a search, count, explanation, validation, by-query write, field capabilities, or rank evaluation. An empty
    /// body names nothing.
    ///
    /// # Errors
    ///
    /// [`ScanError::Opaque`] for what is made of a template or by a plugin, and the others where it cannot be read exactly.
    pub fn read(body: &[u8]) -> Result<Self, ScanError> {
        let mut mentions = Self::default();
        let mut scratch = Scratch::default();
        let mut reader = Reader::new(body, &mut scratch)?;
        if reader.peek().is_none() {
            return Ok(mentions);
        }
        reader.object()?;
        while let Some(key) = reader.key()? {
            match &*key {
                "id" | "params" | "source" => return Err(ScanError::Opaque("a search template")),
                "search_pipeline" if reader.kind()? != Kind::Scalar => {
                    return Err(ScanError::Opaque("a search pipeline in the body"));
                }
                "pit" => mentions.pit = pit(&mut reader)?,
                "script" => {
                    mentions.script = true;
                    mentions.value(&key, &mut reader, 0)?;
                }
                _ => mentions.value(&key, &mut reader, 0)?,
            }
        }
        reader.end()?;
        Ok(mentions)
    }

    /// Reads the value under `key`, which is itself within `wrapped` wrapper queries.
    pub(super) fn value(&mut self, key: &str, reader: &mut Reader<'_, '_>, wrapped: usize) -> Result<(), ScanError> {
        match reader.kind()? {
            Kind::Array => {
                reader.array()?;
                while reader.item()? {
                    self.value(key, reader, wrapped)?;
                }
                Ok(())
            }
            Kind::Object if OPAQUE.contains(&key) => Err(ScanError::Opaque("a query that is made elsewhere")),
            Kind::Object => self.object(key, reader, wrapped),
            Kind::Scalar if matches!(key, "template_id" | "templates") => Err(ScanError::Opaque("a search template")),
            Kind::Scalar => reader.scalar().map(|_| ()),
        }
    }

    fn object(&mut self, parent: &str, reader: &mut Reader<'_, '_>, wrapped: usize) -> Result<(), ScanError> {
        let (mut named, mut members) = (Vec::new(), 0);
        reader.object()?;
        while let Some(key) = reader.key()? {
            let scalar = reader.kind()? == Kind::Scalar;
            members += usize::from(!matches!(&*key, "_name" | "boost" | "case_insensitive"));
            match &*key {
                "_index" => self.names(Purpose::Likeness, &key, reader, wrapped, &mut named)?,
                "index" => self.names(Purpose::Document, &key, reader, wrapped, &mut named)?,
                "target_index" => self.names(Purpose::Lookup, &key, reader, wrapped, &mut named)?,
                "query" if scalar && parent == "wrapper" => self.wrapped(reader, wrapped)?,
                "id" if scalar && parent == "pit" => return Err(ScanError::Opaque("a point in time within a query")),
                _ if parent == "indices_boost" => {
                    named.push(Mention { purpose: Purpose::Boost, index: key.into_owned() });
                    reader.skip()?;
                }
                key => self.value(key, reader, wrapped)?,
            }
        }
        if parent == "indexed_shape" && !named.iter().any(|mention| mention.purpose == Purpose::Document) {
            named.push(Mention { purpose: Purpose::Document, index: DEFAULT_SHAPES.to_owned() });
        }
        // `{"term": {"index": "x"}}` asks for a field of that name; who refers to a document says which one as well.
        if members > 1 || !FIELDS.contains(&parent) {
            self.indices.append(&mut named);
        }
        Ok(())
    }

    /// Reads what stands under a key that names indices: it may be another thing of that name, such as an aggregation.
    fn names(
        &mut self,
        purpose: Purpose,
        key: &str,
        reader: &mut Reader<'_, '_>,
        wrapped: usize,
        named: &mut Vec<Mention>,
    ) -> Result<(), ScanError> {
        match reader.kind()? {
            Kind::Array => {
                reader.array()?;
                while reader.item()? {
                    self.names(purpose, key, reader, wrapped, named)?;
                }
            }
            Kind::Object => self.value(key, reader, wrapped)?,
            Kind::Scalar => {
                named.extend(reader.scalar()?.map(|name| Mention { purpose, index: name.text.into_owned() }));
            }
        }
        Ok(())
    }

    /// A `wrapper` query: another query, in base64.
    fn wrapped(&mut self, reader: &mut Reader<'_, '_>, wrapped: usize) -> Result<(), ScanError> {
        let opaque = ScanError::Opaque("a wrapper query");
        let text = reader.string()?;
        let query = STANDARD.decode(&*text).ok().filter(|_| wrapped < WRAPPED).ok_or(opaque)?;
        let mut scratch = Scratch::default();
        let mut inner = Reader::new(&query, &mut scratch)?;
        self.value("", &mut inner, wrapped + 1)?;
        inner.end()
    }
}

fn pit(reader: &mut Reader<'_, '_>) -> Result<Option<(String, Range<usize>)>, ScanError> {
    let mut id = None;
    reader.object()?;
    while let Some(key) = reader.key()? {
        if key == "id" { id = reader.name()? } else { reader.flat()? }
    }
    Ok(id.map(|id| (id.text.into_owned(), id.span)))
}

/// Where an object has fields for keys.
const FIELDS: &[&str] = &[
    "fuzzy",
    "match",
    "match_bool_prefix",
    "match_phrase",
    "match_phrase_prefix",
    "order",
    "prefix",
    "range",
    "regexp",
    "sort",
    "span_term",
    "term",
    "terms",
    "wildcard",
];

/// Keys of queries that are made elsewhere: of a template, by a plugin, or stored in documents. A stored query may look terms up in
/// any index when it is written; nobody judges it then, so nobody who may not do everything runs it.
const OPAQUE: &[&str] = &["agentic", "collate", "percolate", "template", "templates"];

/// Where an indexed shape without an index is looked for.
const DEFAULT_SHAPES: &str = "shapes";

/// How many wrapper queries may be in one another.
const WRAPPED: usize = 4;

#[cfg(test)]
mod tests;
