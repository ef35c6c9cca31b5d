//! What a query means: a predicate on documents.

use std::ops::Bound;

use crate::api::search::{Atom, Document};

/// A compiled query.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::api) enum Query {
    /// Everything.
    All,
    /// All of `must`, none of `must_not`, and so many of `should`.
    Bool { must: Vec<Query>, should: Vec<Query>, must_not: Vec<Query>, minimum: usize },
    /// Those ids.
    Ids(Vec<String>),
    /// Nothing.
    Nothing,
    /// A value of the field passes.
    Test { field: String, check: Check },
}

/// What a value must pass.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::api) enum Check {
    /// There is one.
    Exists,
    /// It is one of these.
    In(Vec<Atom<'static>>),
    /// It begins so.
    Prefix(Text),
    /// It lies between.
    Range(Bound<Atom<'static>>, Bound<Atom<'static>>),
    /// It is this text in any case.
    Same(Text),
    /// It looks so: `*` any run, `?` one character, `\` takes the next as it is.
    Wildcard(Text),
}

/// A text to compare with, in lower case where case does not matter.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::api) struct Text {
    pub(in crate::api) text: String,
    pub(in crate::api) fold: bool,
}

impl Query {
    /// Whether a document is meant.
    pub(in crate::api) fn matches(&self, document: &impl Document) -> bool {
        match self {
            Self::All => true,
            Self::Bool { must, should, must_not, minimum } => {
                must.iter().all(|query| query.matches(document))
                    && !must_not.iter().any(|query| query.matches(document))
                    && (*minimum == 0
                        || should.iter().filter(|query| query.matches(document)).take(*minimum).count() == *minimum)
            }
            Self::Ids(ids) => ids.iter().any(|id| id == document.id()),
            Self::Nothing => false,
            Self::Test { field, check } => document.values(field).iter().any(|value| check.passes(value)),
        }
    }
}

impl Check {
    fn passes(&self, value: &Atom<'_>) -> bool {
        match self {
            Self::Exists => true,
            Self::In(values) => values.contains(value),
            Self::Prefix(text) => text.compare(value, |value, prefix| value.starts_with(prefix)),
            Self::Range(from, to) => {
                (match from {
                    Bound::Excluded(from) => value > from,
                    Bound::Included(from) => value >= from,
                    Bound::Unbounded => true,
                }) && (match to {
                    Bound::Excluded(to) => value < to,
                    Bound::Included(to) => value <= to,
                    Bound::Unbounded => true,
                })
            }
            Self::Same(text) => text.compare(value, |value, text| value == text),
            Self::Wildcard(text) => text.compare(value, wildcard),
        }
    }
}

impl Text {
    pub(super) fn new(text: String, fold: bool) -> Self {
        Self { text: if fold { text.to_lowercase() } else { text }, fold }
    }

    fn compare(&self, value: &Atom<'_>, holds: impl Fn(&str, &str) -> bool) -> bool {
        match value {
            Atom::Number(_) => false,
            Atom::Text(value) if self.fold => holds(&value.to_lowercase(), &self.text),
            Atom::Text(value) => holds(value, &self.text),
        }
    }
}

/// One step of a pattern.
#[derive(Clone, Copy)]
enum Step {
    Any,
    One,
    This(char),
}

/// Whether `value` looks as `pattern` says. Its work is bounded by the product of the lengths.
fn wildcard(value: &str, pattern: &str) -> bool {
    let mut steps = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        steps.push(match character {
            '*' => Step::Any,
            '?' => Step::One,
            '\\' => Step::This(characters.next().unwrap_or('\\')),
            other => Step::This(other),
        });
    }
    let value: Vec<char> = value.chars().collect();
    let (mut at, mut step, mut retry) = (0, 0, None);
    while let Some(character) = value.get(at) {
        match steps.get(step) {
            Some(Step::Any) => {
                retry = Some((step, at));
                step += 1;
            }
            Some(Step::One) => (at, step) = (at + 1, step + 1),
            Some(Step::This(expected)) if expected == character => (at, step) = (at + 1, step + 1),
            _ => match retry {
                // The last run takes one character more.
                Some((star, from)) => {
                    retry = Some((star, from + 1));
                    (at, step) = (from + 1, star + 1);
                }
                None => return false,
            },
        }
    }
    steps.iter().skip(step).all(|step| matches!(step, Step::Any))
}
