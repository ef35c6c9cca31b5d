//! A bulk as it streams by: each action line is judged, and what is refused is cut out with its source line.
//!
//! What passes goes on byte for byte in slices of what arrived; only an action line that arrived in parts is copied. Blank lines
//! between items are dropped, so nothing at all goes on where nothing passes.

use bytes::Bytes;
use memchr::memchr;

use super::{Judgement, List, Refused, ScanError, action, json::Scratch};

/// What an item does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `create`, and `index` with `op_type` `create`.
    Create,
    /// `delete`, the one without a source line.
    Delete,
    /// `index`.
    Index,
    /// `update`.
    Update,
}

impl Op {
    /// The key of this item in the answer.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Index => "index",
            Self::Update => "update",
        }
    }
}

/// One item of a bulk, for its judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// What it does.
    pub op: Op,
    /// As the item or else the path names it; may be date math, an alias, or empty.
    pub index: &'a str,
    /// Absent where the cluster makes one.
    pub id: Option<&'a str>,
    /// A pipeline may send the document to another index.
    pub pipeline: Option<&'a str>,
    /// `index` must be an alias.
    pub require_alias: bool,
    /// The version is the caller's: then even a delete makes its index.
    pub external: bool,
}

/// Filters one bulk.
pub struct Bulk {
    default_index: Option<Box<str>>,
    state: State,
    /// The beginning of an action line whose end has not arrived.
    line: Vec<u8>,
    position: usize,
    refused: Refused,
    scratch: Scratch,
}

enum State {
    /// At or in an action line.
    Action,
    /// At or in a source line.
    Source { refused: bool },
}

impl Bulk {
    /// A filter for a bulk whose path names `default_index`, or none.
    #[must_use]
    pub fn new(default_index: Option<&str>) -> Self {
        Self {
            default_index: default_index.map(Into::into),
            state: State::Action,
            line: Vec::new(),
            position: 0,
            refused: Refused::new(List::Items),
            scratch: Scratch::default(),
        }
    }

    /// Takes what arrived next and appends to `passed` what goes on; where that stays empty, nothing passed yet.
    ///
    /// # Errors
    ///
    /// [`ScanError`] for a line that cannot be read exactly. The request is over then: what went on before must not be completed.
    pub fn push(
        &mut self,
        piece: &Bytes,
        judge: &mut impl FnMut(&Item<'_>) -> Judgement,
        passed: &mut Vec<Bytes>,
    ) -> Result<(), ScanError> {
        // What goes on begins at `kept`; what is not looked at yet, at `at`.
        let (mut kept, mut at) = (0, 0);
        while at < piece.len() {
            let rest = piece.get(at..).unwrap_or_default();
            let newline = memchr(b'\n', rest);
            let end = newline.map_or(piece.len(), |length| at + length + 1);
            let line = piece.get(at..end).unwrap_or_default();
            match self.state {
                State::Action if newline.is_none() || !self.line.is_empty() => {
                    self.keep(line)?;
                    if newline.is_some() {
                        let line = std::mem::take(&mut self.line);
                        if self.action(&line, judge)? {
                            passed.push(line.into());
                        }
                    }
                    emit(piece, kept, at, passed);
                    kept = end;
                }
                State::Action => {
                    if !self.action(line, judge)? {
                        emit(piece, kept, at, passed);
                        kept = end;
                    }
                }
                State::Source { refused } => {
                    if refused {
                        kept = end;
                    }
                    if newline.is_some() {
                        self.state = State::Action;
                    }
                }
            }
            at = end;
        }
        emit(piece, kept, at, passed);
        Ok(())
    }

    /// Ends the bulk: what was refused.
    ///
    /// # Errors
    ///
    /// [`ScanError::Malformed`] where the last line is not ended, which clusters refuse as a whole.
    pub fn finish(self) -> Result<Refused, ScanError> {
        if self.line.is_empty() && matches!(self.state, State::Action) {
            Ok(self.refused)
        } else {
            Err(ScanError::Malformed("The bulk request must be terminated by a newline [\\n]"))
        }
    }

    /// Judges a whole action line: whether it goes on.
    fn action(&mut self, line: &[u8], judge: &mut impl FnMut(&Item<'_>) -> Judgement) -> Result<bool, ScanError> {
        within_bound(line.len())?;
        let Some(action) = action::read(line, &mut self.scratch)? else { return Ok(false) };
        let item = Item {
            op: action.op,
            index: action
                .index
                .as_deref()
                .or(self.default_index.as_deref())
                .ok_or(ScanError::Malformed("Validation Failed: 1: index is missing;"))?,
            id: action.id.as_deref(),
            pipeline: action.pipeline.as_deref(),
            require_alias: action.require_alias,
            external: action.external,
        };
        let refused = match judge(&item) {
            Judgement::Pass => false,
            Judgement::Refuse(why) => {
                self.refused.item(self.position, &item, &why)?;
                true
            }
        };
        self.position += 1;
        if item.op != Op::Delete {
            self.state = State::Source { refused };
        }
        Ok(!refused)
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), ScanError> {
        within_bound(self.line.len() + part.len())?;
        self.line.extend_from_slice(part);
        Ok(())
    }
}

const fn within_bound(length: usize) -> Result<(), ScanError> {
    if length > ACTION_LINE {
        return Err(ScanError::TooLarge { what: "an action line", limit: ACTION_LINE });
    }
    Ok(())
}

fn emit(piece: &Bytes, from: usize, to: usize, passed: &mut Vec<Bytes>) {
    if from < to {
        passed.push(piece.slice(from..to));
    }
}

/// Far more than any client writes: an index name has 255 bytes at most, an id 512.
const ACTION_LINE: usize = 64 * 1024;

#[cfg(test)]
mod tests;
