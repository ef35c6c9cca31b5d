//! Puts the answers of what was left out into the cluster's answer, as that streams by.
//!
//! The cluster's items keep their order and take the positions that are free. Needs plain JSON with every item in it: the caller
//! asks the cluster for identity encoding, for JSON, and without a `filter_path` that drops items ([`super::keeps_every_item`]).

use bytes::Bytes;

use super::{List, Refused};

/// Merges one answer.
pub struct Merge {
    refused: Refused,
    /// How many of `refused` are written.
    written: usize,
    /// Position of the next item among all.
    position: usize,
    depth: usize,
    string: Text,
    /// The last key of the outermost object, as far as it may matter.
    key: Vec<u8>,
    place: Place,
}

/// Where in a string the scan is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Text {
    Escape,
    Inside,
    Outside,
}

/// Where in the outermost object the scan is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the list, between two items.
    Between,
    /// In an item.
    Item,
    /// Before or in a key.
    Key,
    /// In `errors`: `false`, which becomes `true`.
    Verdict,
    /// Before or in a value that is passed on.
    Value,
}

impl Merge {
    /// A merge of what was left out of a request into its answer.
    #[must_use]
    pub const fn new(refused: Refused) -> Self {
        Self { refused, written: 0, position: 0, depth: 0, string: Text::Outside, key: Vec::new(), place: Place::Key }
    }

    /// Takes what arrived next of the cluster's answer and appends to `answer` what the client is shown.
    pub fn push(&mut self, piece: &Bytes, answer: &mut Vec<Bytes>) {
        let (mut kept, mut at) = (0, 0);
        while let Some(rest) = piece.get(at..) {
            let inside = if self.place == Place::Item && self.depth > 2 { self.item(rest) } else { 0 };
            at += inside;
            let Some(&byte) = rest.get(inside) else { break };
            at += 1;
            if self.string != Text::Outside {
                self.inside(byte);
                continue;
            }
            if self.place == Place::Verdict {
                if byte.is_ascii_alphabetic() {
                    kept = at;
                    continue;
                }
                self.place = Place::Value;
            }
            if let Some(inserted) = self.outside(byte) {
                emit(piece, kept, at - 1, answer);
                answer.push(inserted);
                // Of `false` nothing is kept; anything else follows what was inserted.
                kept = if self.place == Place::Verdict { at } else { at - 1 };
            }
        }
        emit(piece, kept, piece.len(), answer);
    }

    /// Whether all that was left out stands in the answer: not, where the cluster's has no list of items.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.written == self.refused.len()
    }

    /// Steps over the inside of an item, where nothing but its end matters: how many bytes that is.
    fn item(&mut self, rest: &[u8]) -> usize {
        let (mut depth, mut string) = (self.depth, self.string);
        let length = rest.iter().position(|byte| {
            match (string, byte) {
                (Text::Escape, _) | (Text::Outside, b'"') => string = Text::Inside,
                (Text::Inside, b'"') => string = Text::Outside,
                (Text::Inside, b'\\') => string = Text::Escape,
                (Text::Outside, b'{' | b'[') => depth += 1,
                (Text::Outside, b'}' | b']') if depth == 3 => return true,
                (Text::Outside, b'}' | b']') => depth -= 1,
                _ => {}
            }
            false
        });
        (self.depth, self.string) = (depth, string);
        length.unwrap_or(rest.len())
    }

    fn inside(&mut self, byte: u8) {
        let key = self.depth == 1 && self.place == Place::Key;
        if self.string == Text::Escape {
            self.string = Text::Inside;
        } else if byte == b'\\' {
            self.string = Text::Escape;
        } else if byte == b'"' {
            self.string = Text::Outside;
            return;
        }
        if key && self.key.len() < KEY {
            self.key.push(byte);
        }
    }

    /// Steps over a byte outside of strings. Returns what is to stand before it.
    fn outside(&mut self, byte: u8) -> Option<Bytes> {
        let mut inserted = None;
        if self.place == Place::Between && self.depth == 2 && !byte.is_ascii_whitespace() && byte != b']' {
            inserted = self.due();
            self.position += 1;
            self.place = Place::Item;
        }
        match byte {
            b'"' => {
                self.string = Text::Inside;
                if self.depth == 1 && self.place == Place::Key {
                    self.key.clear();
                }
            }
            b'{' | b'[' => {
                self.depth += 1;
                let list = self.depth == 2 && self.place == Place::Value && byte == b'[';
                if list && self.key == self.refused.list().key().as_bytes() {
                    self.place = Place::Between;
                }
            }
            b'}' | b']' => {
                if self.depth == 2 && matches!(self.place, Place::Between | Place::Item) {
                    inserted = self.rest();
                    self.place = Place::Value;
                }
                self.depth = self.depth.saturating_sub(1);
            }
            b':' if self.depth == 1 => self.place = Place::Value,
            b',' if self.depth == 1 => self.place = Place::Key,
            b',' if self.depth == 2 && self.place == Place::Item => self.place = Place::Between,
            b'f' if self.depth == 1 && self.place == Place::Value && self.is_errors() => {
                self.place = Place::Verdict;
                inserted = Some(Bytes::from_static(b"true"));
            }
            _ => {}
        }
        inserted
    }

    fn is_errors(&self) -> bool {
        self.refused.list() == List::Items && self.key == b"errors"
    }

    /// What was left out just before the item that begins.
    fn due(&mut self) -> Option<Bytes> {
        let mut due = Vec::new();
        while self.refused.position(self.written) == Some(self.position) {
            due.extend_from_slice(self.refused.text(self.written));
            due.push(b',');
            self.written += 1;
            self.position += 1;
        }
        (!due.is_empty()).then(|| due.into())
    }

    /// What was left out after the last item.
    fn rest(&mut self) -> Option<Bytes> {
        let mut rest = Vec::new();
        while self.written < self.refused.len() {
            if self.position > 0 {
                rest.push(b',');
            }
            rest.extend_from_slice(self.refused.text(self.written));
            self.written += 1;
            self.position += 1;
        }
        (!rest.is_empty()).then(|| rest.into())
    }
}

fn emit(piece: &Bytes, from: usize, to: usize, answer: &mut Vec<Bytes>) {
    if from < to {
        answer.push(piece.slice(from..to));
    }
}

/// Longer than any key that matters.
const KEY: usize = 16;

#[cfg(test)]
mod tests;
