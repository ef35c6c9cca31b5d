//! What was left out of a composite request, as the answer will show it (page 14.2).

use super::{Document, Item, Refusal, ScanError, json::quoted};

/// The list of items in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Of `_mget` and `_mtermvectors`.
    Docs,
    /// Of `_bulk`.
    Items,
    /// Of `_msearch`.
    Responses,
}

impl List {
    /// Its key in the answer.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Docs => "docs",
            Self::Items => "items",
            Self::Responses => "responses",
        }
    }
}

/// Answers to the items that were left out, by position.
#[derive(Debug)]
pub struct Refused {
    list: List,
    /// Position of each among all items, ascending, and where its text ends.
    entries: Vec<(usize, usize)>,
    text: Vec<u8>,
}

impl Refused {
    pub(super) const fn new(list: List) -> Self {
        Self { list, entries: Vec::new(), text: Vec::new() }
    }

    /// Whether everything passed: the cluster's answer stands as it is.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many were left out.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// The whole answer, for a request of which nothing passed.
    #[must_use]
    pub fn alone(&self) -> Vec<u8> {
        let head = match self.list {
            List::Docs => "",
            List::Items => r#""errors":true,"took":0,"#,
            List::Responses => r#""took":0,"#,
        };
        let mut answer = format!(r#"{{{head}"{}":["#, self.list.key()).into_bytes();
        for number in 0..self.len() {
            if number > 0 {
                answer.push(b',');
            }
            answer.extend_from_slice(self.text(number));
        }
        answer.extend_from_slice(b"]}");
        answer
    }

    pub(super) const fn list(&self) -> List {
        self.list
    }

    /// The position of one of them.
    pub(super) fn position(&self, number: usize) -> Option<usize> {
        self.entries.get(number).map(|(position, _)| *position)
    }

    /// The JSON object of one of them.
    pub(super) fn text(&self, number: usize) -> &[u8] {
        let end = |number: usize| self.entries.get(number).map(|(_, end)| *end);
        let from = number.checked_sub(1).and_then(end).unwrap_or_default();
        end(number).and_then(|to| self.text.get(from..to)).unwrap_or_default()
    }

    pub(super) fn item(&mut self, position: usize, item: &Item<'_>, why: &Refusal) -> Result<(), ScanError> {
        self.text.extend_from_slice(br#"{""#);
        self.text.extend_from_slice(item.op.as_str().as_bytes());
        self.text.extend_from_slice(br#"":{"#);
        self.document_id(item.index, item.id);
        self.text.extend_from_slice(format!(r#","status":{},"error":{{"#, why.status()).as_bytes());
        Cause { why, index: item.index }.write(&mut self.text);
        self.text.extend_from_slice(b"}}}");
        self.entry(position)
    }

    pub(super) fn document(
        &mut self,
        position: usize,
        document: &Document<'_>,
        why: &Refusal,
    ) -> Result<(), ScanError> {
        self.text.push(b'{');
        self.document_id(document.index, document.id);
        self.text.push(b',');
        Cause { why, index: document.index }.write_with_root(&mut self.text);
        self.text.push(b'}');
        self.entry(position)
    }

    pub(super) fn search(&mut self, position: usize, why: &Refusal, index: &str) -> Result<(), ScanError> {
        self.text.push(b'{');
        Cause { why, index }.write_with_root(&mut self.text);
        self.text.extend_from_slice(format!(r#","status":{}}}"#, why.status()).as_bytes());
        self.entry(position)
    }

    fn document_id(&mut self, index: &str, id: Option<&str>) {
        self.text.extend_from_slice(br#""_index":"#);
        self.text.extend_from_slice(quoted(index).as_bytes());
        self.text.extend_from_slice(br#","_id":"#);
        self.text.extend_from_slice(id.map_or_else(|| "null".to_owned(), quoted).as_bytes());
    }

    fn entry(&mut self, position: usize) -> Result<(), ScanError> {
        if self.text.len() > REFUSED {
            return Err(ScanError::TooLarge { what: "the answer to refused items", limit: REFUSED });
        }
        self.entries.push((position, self.text.len()));
        Ok(())
    }
}

impl Refusal {
    const fn status(&self) -> u16 {
        match self {
            Self::Denied(_) => 403,
            Self::NotFound => 404,
        }
    }
}

/// The members of an `error` object.
#[derive(Clone, Copy)]
struct Cause<'a> {
    why: &'a Refusal,
    index: &'a str,
}

impl Cause<'_> {
    fn write(self, out: &mut Vec<u8>) {
        let text = match self.why {
            Refusal::Denied(reason) => format!(r#""type":"security_exception","reason":{}"#, quoted(reason)),
            Refusal::NotFound => {
                let reason = quoted(&format!("no such index [{}]", self.index));
                let index = quoted(self.index);
                format!(
                    r#""type":"index_not_found_exception","reason":{reason},"resource.type":"index_or_alias","resource.id":{index},"index_uuid":"_na_","index":{index}"#
                )
            }
        };
        out.extend_from_slice(text.as_bytes());
    }

    fn write_with_root(self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#""error":{"root_cause":[{"#);
        self.write(out);
        out.extend_from_slice(b"}],");
        self.write(out);
        out.push(b'}');
    }
}

/// What is kept of refused items: at the usual length of a reason, 40,000 of them.
const REFUSED: usize = 16 * 1024 * 1024;
