//! `_mget`, `_mtermvectors` and `_termvectors`: documents by index and id.

use std::{borrow::Cow, ops::Range};

use super::{
    Judgement, List, Name, Refused, ScanError,
    json::{Kind, Reader, Scratch},
    replace,
};

/// Which request it is. They share a shape, but not every key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    /// `_mget`.
    Get,
    /// `_mtermvectors`.
    TermVectors,
}

/// One document, for its judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Document<'a> {
    /// As the item or else the path names it.
    pub index: &'a str,
    /// Absent for an artificial document.
    pub id: Option<&'a str>,
}

/// A request for documents, judged.
#[derive(Debug)]
pub struct Documents<'a> {
    /// What goes on. `None` where nothing is left to ask for: [`Refused::alone`] is the answer.
    pub body: Option<Cow<'a, [u8]>>,
    /// What was left out.
    pub refused: Refused,
}

impl<'a> Documents<'a> {
    /// Judges each item of a body whose path names `default_index`, or none.
    ///
    /// # Errors
    ///
    /// [`ScanError`] where an item cannot be read exactly.
    pub fn judge(
        kind: DocumentKind,
        body: &'a [u8],
        default_index: Option<&str>,
        judge: &mut impl FnMut(&Document<'_>) -> Judgement,
    ) -> Result<Self, ScanError> {
        let mut scratch = Scratch::default();
        let mut reader = Reader::new(body, &mut scratch)?;
        let (mut kept, mut list, mut position) = (Vec::new(), None, 0);
        let mut refused = Refused::new(List::Docs);
        reader.object()?;
        while let Some(key) = reader.key()? {
            let docs = match &*key {
                "docs" => true,
                "ids" => false,
                "parameters" if kind == DocumentKind::TermVectors => {
                    parameters(&mut reader)?;
                    continue;
                }
                _ => return Err(ScanError::Malformed("an unknown parameter beside the documents")),
            };
            if list.is_some() {
                return Err(ScanError::Opaque("a body with docs and ids"));
            }
            reader.peek();
            let from = reader.at();
            reader.array()?;
            while reader.item()? {
                reader.peek();
                let start = reader.at();
                let (index, id) = if docs { document(kind, &mut reader)? } else { (None, reader.scalar()?) };
                let document = Document {
                    index: index
                        .as_ref()
                        .map(|name| &*name.text)
                        .or(default_index)
                        .ok_or(ScanError::Malformed("index is missing"))?,
                    id: id.as_ref().map(|name| &*name.text),
                };
                match judge(&document) {
                    Judgement::Pass => kept.push(start..reader.at()),
                    Judgement::Refuse(why) => refused.document(position, &document, &why)?,
                }
                position += 1;
            }
            list = Some(from..reader.at());
        }
        reader.end()?;
        let list = list.ok_or(ScanError::Malformed("no documents are named"))?;
        Ok(Self { body: what_is_left(body, list, &kept, &refused), refused })
    }
}

/// The index that the body of `_termvectors` names, which wins over the path.
///
/// # Errors
///
/// [`ScanError`] where it cannot be read exactly.
pub fn termvectors(body: &[u8]) -> Result<Option<String>, ScanError> {
    let mut scratch = Scratch::default();
    let mut reader = Reader::new(body, &mut scratch)?;
    if reader.peek().is_none() {
        return Ok(None);
    }
    let (index, _) = document(DocumentKind::TermVectors, &mut reader)?;
    reader.end()?;
    Ok(index.map(|name| name.text.into_owned()))
}

/// The body with what is kept alone in its list.
fn what_is_left<'a>(
    body: &'a [u8],
    list: Range<usize>,
    kept: &[Range<usize>],
    refused: &Refused,
) -> Option<Cow<'a, [u8]>> {
    if refused.is_empty() {
        return Some(Cow::Borrowed(body));
    }
    if kept.is_empty() {
        return None;
    }
    let items: Vec<_> = kept.iter().filter_map(|span| str::from_utf8(body.get(span.clone())?).ok()).collect();
    Some(Cow::Owned(replace(body, &[(list, format!("[{}]", items.join(",")))])))
}

/// The index and id of one item of `docs`.
fn document<'a>(
    kind: DocumentKind,
    reader: &mut Reader<'a, '_>,
) -> Result<(Option<Name<'a>>, Option<Name<'a>>), ScanError> {
    if reader.kind()? != Kind::Object {
        return Err(ScanError::Malformed("docs array element should include an object"));
    }
    let (mut index, mut id) = (None, None);
    reader.object()?;
    while let Some(key) = reader.key()? {
        match &*key {
            "_index" => index = reader.name()?,
            "_id" => id = reader.scalar()?,
            "doc" if kind == DocumentKind::TermVectors => reader.skip()?,
            key => option(kind, key, reader)?,
        }
    }
    Ok((index, id))
}

/// Steps over what all `ids` of `_mtermvectors` share. An `_index` in there would count.
fn parameters(reader: &mut Reader<'_, '_>) -> Result<(), ScanError> {
    reader.object()?;
    while let Some(key) = reader.key()? {
        if matches!(&*key, "_index" | "_id" | "doc") {
            return Err(ScanError::Opaque("parameters that name a document"));
        }
        option(DocumentKind::TermVectors, &key, reader)?;
    }
    Ok(())
}

/// Steps over what names nothing. Clusters read some unknown keys as if what is within them were not nested.
fn option(kind: DocumentKind, key: &str, reader: &mut Reader<'_, '_>) -> Result<(), ScanError> {
    let known = match kind {
        DocumentKind::Get => matches!(key, "_source" | "stored_fields" | "fields"),
        DocumentKind::TermVectors => matches!(
            key,
            "fields"
                | "offsets"
                | "positions"
                | "payloads"
                | "term_statistics"
                | "field_statistics"
                | "dfs"
                | "filter"
                | "per_field_analyzer"
                | "realtime"
                | "preference"
                | "parent"
        ),
    };
    let shared =
        matches!(key, "_type" | "routing" | "_routing" | "version" | "_version" | "version_type" | "_version_type");
    if known || shared { reader.shallow() } else { Err(ScanError::Malformed("a document has an unknown parameter")) }
}

#[cfg(test)]
mod tests;
