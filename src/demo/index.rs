//! Indices and documents of the demo cluster, within a bound on their bytes.

use std::collections::{BTreeMap, HashMap};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use http::StatusCode;
use serde_json::{Value, json, value::RawValue};

use crate::demo::failure::Failure;

/// All indices.
#[derive(Debug)]
pub struct Cluster {
    indices: BTreeMap<String, Index>,
    limit: usize,
}

/// One index; documents in the order of their first writing.
#[derive(Debug, Default)]
pub struct Index {
    documents: BTreeMap<u64, Document>,
    places: HashMap<String, u64>,
    bytes: usize,
    next: u64,
}

/// One document.
#[derive(Debug)]
pub struct Document {
    /// Its id.
    pub id: String,
    /// As it was sent.
    pub source: Box<RawValue>,
    version: u64,
    sequence: u64,
}

/// Whether a document may replace one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Creation {
    /// It may.
    Any,
    /// Another of the same id is a conflict.
    New,
}

/// What a write did.
#[derive(Debug)]
pub struct Written {
    index: String,
    id: String,
    result: &'static str,
    version: u64,
    sequence: u64,
}

impl Cluster {
    /// An empty cluster that takes documents of `limit` bytes in all.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { indices: BTreeMap::new(), limit }
    }

    /// All indices by name.
    pub fn indices(&self) -> impl Iterator<Item = (&str, &Index)> {
        self.indices.iter().map(|(name, index)| (name.as_str(), index))
    }

    /// Makes an index.
    ///
    /// # Errors
    ///
    /// When the name is bad or taken, or the cluster is full.
    pub fn create(&mut self, name: &str) -> Result<(), Failure> {
        if self.indices.contains_key(name) {
            let reason = format!("index [{name}] already exists");
            return Err(Failure::new(StatusCode::BAD_REQUEST, "resource_already_exists_exception", reason));
        }
        let starts_well = !name.starts_with(['_', '-', '+', '.']);
        let plain = |byte: u8| byte > b' ' && !byte.is_ascii_uppercase() && !b"\\/*?\"<>|,#:".contains(&byte);
        if name.is_empty() || name.len() > 255 || !starts_well || !name.bytes().all(plain) {
            let reason = format!("Invalid index name [{name}]");
            return Err(Failure::new(StatusCode::BAD_REQUEST, "invalid_index_name_exception", reason));
        }
        self.reserve(OVERHEAD)?;
        self.indices.insert(name.to_owned(), Index { bytes: OVERHEAD, ..Index::default() });
        Ok(())
    }

    /// Removes the indices that `names` stands for.
    ///
    /// # Errors
    ///
    /// When one that is named is not there.
    pub fn drop(&mut self, names: &str) -> Result<(), Failure> {
        for name in self.resolve(names)? {
            self.indices.remove(&name);
        }
        Ok(())
    }

    /// The indices that a comma list of names and wildcards stands for, each once.
    ///
    /// # Errors
    ///
    /// When one that is named without wildcard is not there.
    pub fn resolve(&self, names: &str) -> Result<Vec<String>, Failure> {
        let mut found: Vec<String> = Vec::new();
        for pattern in names.split(',') {
            let pattern = if pattern == "_all" { "*" } else { pattern };
            if !pattern.contains('*') && !self.indices.contains_key(pattern) {
                return Err(Failure::no_index(pattern));
            }
            found.extend(self.indices.keys().filter(|name| matches(pattern, name)).cloned());
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// One index.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn index(&self, name: &str) -> Result<&Index, Failure> {
        self.indices.get(name).ok_or_else(|| Failure::no_index(name))
    }

    /// A document as `GET _doc` shows it, and whether it is there.
    ///
    /// # Errors
    ///
    /// When the index is not there.
    pub fn get(&self, name: &str, id: &str) -> Result<(bool, Value), Failure> {
        Ok(match self.index(name)?.find(id) {
            None => (false, json!({"_index": name, "_id": id, "found": false})),
            Some(document) => (
                true,
                json!({"_index": name, "_id": id, "_version": document.version, "_seq_no": document.sequence,
                       "_primary_term": 1, "found": true, "_source": document.source}),
            ),
        })
    }

    /// Writes a document; makes its index if need be.
    ///
    /// # Errors
    ///
    /// When the source is no JSON object, the document is there and must not be, or the cluster is full.
    pub fn put(&mut self, name: &str, id: Option<&str>, source: &[u8], creation: Creation) -> Result<Written, Failure> {
        let source: Box<RawValue> = serde_json::from_slice(source).map_err(|error| Failure::document(&error))?;
        if !source.get().starts_with('{') {
            return Err(Failure::document(&"a document is an object"));
        }
        let id = match id {
            Some(id) => id.to_owned(),
            None => fresh_id()?,
        };
        if id.is_empty() || id.len() > 512 {
            return Err(Failure::illegal(format!("id is empty or too long: [{}] bytes", id.len())));
        }
        let size = OVERHEAD + id.len() + source.get().len();
        let old = self.indices.get(name).and_then(|index| index.find(&id)).map_or(0, Document::size);
        if creation == Creation::New && old > 0 {
            let reason = format!("[{id}]: version conflict, document already exists");
            return Err(Failure::new(StatusCode::CONFLICT, "version_conflict_engine_exception", reason));
        }
        self.reserve(size.saturating_sub(old))?;
        if !self.indices.contains_key(name) {
            self.create(name)?;
        }
        let index = self.indices.get_mut(name).ok_or_else(|| Failure::no_index(name))?;
        index.bytes = (index.bytes + size).saturating_sub(old);
        let sequence = index.next;
        index.next += 1;
        let place = *index.places.entry(id.clone()).or_insert(sequence);
        let version = index.documents.get(&place).map_or(1, |document| document.version + 1);
        index.documents.insert(place, Document { id: id.clone(), source, version, sequence });
        let result = if version == 1 { "created" } else { "updated" };
        Ok(Written { index: name.to_owned(), id, result, version, sequence })
    }

    /// Removes a document.
    ///
    /// # Errors
    ///
    /// When the index is not there.
    pub fn delete(&mut self, name: &str, id: &str) -> Result<Written, Failure> {
        let index = self.indices.get_mut(name).ok_or_else(|| Failure::no_index(name))?;
        let removed = index.places.remove(id).and_then(|place| index.documents.remove(&place));
        let sequence = index.next;
        index.next += 1;
        let (result, version) = match removed {
            Some(document) => {
                index.bytes = index.bytes.saturating_sub(document.size());
                ("deleted", document.version + 1)
            }
            None => ("not_found", 1),
        };
        Ok(Written { index: name.to_owned(), id: id.to_owned(), result, version, sequence })
    }

    /// Whether `more` bytes still fit.
    fn reserve(&self, more: usize) -> Result<(), Failure> {
        let held: usize = self.indices.values().map(Index::bytes).sum();
        if held + more <= self.limit {
            return Ok(());
        }
        let reason = format!("Data too large: the demo cluster holds [{held}] of at most [{}] bytes", self.limit);
        Err(Failure::new(StatusCode::TOO_MANY_REQUESTS, "circuit_breaking_exception", reason))
    }
}

impl Index {
    /// How many documents it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// What counts against the cluster's limit.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// All documents in order, each with its place.
    pub fn documents(&self) -> impl Iterator<Item = (u64, &Document)> {
        self.documents.iter().map(|(place, document)| (*place, document))
    }

    /// One document.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Document> {
        self.documents.get(self.places.get(id)?)
    }
}

impl Document {
    fn size(&self) -> usize {
        OVERHEAD + self.id.len() + self.source.get().len()
    }
}

impl Written {
    /// Its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.result {
            "created" => StatusCode::CREATED,
            "not_found" => StatusCode::NOT_FOUND,
            _ => StatusCode::OK,
        }
    }

    /// As a single write and an item of `_bulk` show it.
    #[must_use]
    pub fn body(&self) -> Value {
        json!({"_index": self.index, "_id": self.id, "_version": self.version, "result": self.result,
               "_shards": {"total": 1, "successful": 1, "failed": 0}, "_seq_no": self.sequence, "_primary_term": 1})
    }
}

/// Whether `name` fits a pattern in which `*` stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut tail) = name.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        let Some((_, behind)) = tail.split_once(part) else { return false };
        tail = behind;
    }
    tail.ends_with(last)
}

fn fresh_id() -> Result<String, Failure> {
    let mut random = [0; 15];
    aws_lc_rs::rand::fill(&mut random)
        .map_err(|_| Failure::new(StatusCode::SERVICE_UNAVAILABLE, "exception", "no randomness".to_owned()))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(random))
}

/// What a document or an index costs beside its bytes.
const OVERHEAD: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_cluster_takes_no_more_but_lets_go() {
        let mut cluster = Cluster::new(4 * OVERHEAD);
        cluster.put("a", Some("1"), br#"{"n":1}"#, Creation::Any).unwrap();
        let full = cluster.put("a", Some("2"), &[b"{\"n\":\"", &[b'x'; OVERHEAD][..], b"\"}"].concat(), Creation::Any);
        assert_eq!(full.unwrap_err().status, StatusCode::TOO_MANY_REQUESTS);
        cluster.delete("a", "1").unwrap();
        cluster.put("a", Some("2"), &[b"{\"n\":\"", &[b'x'; OVERHEAD][..], b"\"}"].concat(), Creation::Any).unwrap();
    }

    #[test]
    fn replacing_a_document_costs_the_difference() {
        let mut cluster = Cluster::new(usize::MAX);
        cluster.put("a", Some("1"), br#"{"n":100}"#, Creation::Any).unwrap();
        cluster.put("a", Some("1"), br#"{"n":1}"#, Creation::Any).unwrap();
        assert_eq!(cluster.index("a").unwrap().bytes(), 2 * OVERHEAD + 1 + 7);
    }

    #[test]
    fn patterns_match_with_stars_anywhere() {
        for (pattern, name) in [("*", "logs"), ("l*", "logs"), ("*s", "logs"), ("l*g*", "logs"), ("*o*s", "logs")] {
            assert!(matches(pattern, name), "{pattern}");
        }
        for (pattern, name) in [("l*x", "logs"), ("*og", "logs"), ("logs*s", "logs"), ("log", "logs"), ("*a*", "logs")]
        {
            assert!(!matches(pattern, name), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn a_name_matches_itself_with_any_part_left_out(name in "[a-z]{1,12}", from in 0..6_usize, to in 6..12_usize) {
            let pattern = format!("{}*{}", &name[..from.min(name.len())], &name[to.min(name.len())..]);
            prop_assert!(matches(&pattern, &name));
        }
    }
}
