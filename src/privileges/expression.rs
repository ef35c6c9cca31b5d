//! Sets of texts as expressions, and the questions that need them whole: compiled to a table, or compared.
//!
//! Everything rests on derivatives (Brzozowski): what may follow once a character was read is an expression again, so
//! complement and intersection cost no more than union. Equal expressions share an id, and how many may be made is
//! bounded: what exceeds the bound is [`TooComplex`], never a wrong answer.

use std::collections::{BTreeSet, HashMap, HashSet};

/// An expression is too complex to be compiled or compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("pattern is too complex")]
pub(super) struct TooComplex;

/// One expression of an [`Expressions`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Id(u32);

/// Inclusive ranges of code points.
pub(super) type Range = (u32, u32);

/// Expressions under construction. Each is made once.
#[derive(Debug)]
pub(super) struct Expressions {
    nodes: Vec<(Node, bool)>,
    ids: HashMap<Node, Id>,
    /// Derivatives made.
    steps: usize,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Node {
    /// No text.
    Nothing,
    /// The empty text.
    Blank,
    /// One character out of these, sorted and apart.
    One(Box<[Range]>),
    /// One after the other; the first is no [`Node::Then`].
    Then(Id, Id),
    /// Any of them.
    Or(Box<[Id]>),
    /// All of them.
    And(Box<[Id]>),
    /// What it is not.
    Not(Id),
    /// So many times, the bounds included; no upper one is [`u32::MAX`].
    Repeat(Id, u32, u32),
}

impl Expressions {
    /// No text at all.
    pub(super) const NOTHING: Id = Id(0);
    /// The empty text.
    pub(super) const BLANK: Id = Id(1);
    /// Every text.
    pub(super) const ALL: Id = Id(2);

    pub(super) fn new() -> Self {
        let mut new = Self { nodes: Vec::new(), ids: HashMap::new(), steps: 0 };
        for (node, blank) in [(Node::Nothing, false), (Node::Blank, true), (Node::Not(Self::NOTHING), true)] {
            new.keep(node, blank);
        }
        new
    }

    /// One of these characters.
    pub(super) fn one(&mut self, ranges: &[Range]) -> Id {
        let mut sorted: Vec<Range> = ranges.iter().copied().filter(|(from, to)| from <= to).collect();
        sorted.sort_unstable();
        let mut apart: Vec<Range> = Vec::with_capacity(sorted.len());
        for (from, to) in sorted {
            match apart.last_mut() {
                Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
                _ => apart.push((from, to)),
            }
        }
        if apart.is_empty() { Self::NOTHING } else { self.keep(Node::One(apart.into()), false) }
    }

    /// Exactly this text.
    pub(super) fn text(&mut self, text: &str) -> Id {
        let mut whole = Self::BLANK;
        for character in text.chars().rev() {
            let one = self.one(&[(character.into(), character.into())]);
            whole = self.then(one, whole);
        }
        whole
    }

    pub(super) fn then(&mut self, first: Id, second: Id) -> Id {
        match (self.node(first), first, second) {
            (_, Self::NOTHING, _) | (_, _, Self::NOTHING) => Self::NOTHING,
            (_, Self::BLANK, other) | (_, other, Self::BLANK) => other,
            (_, Self::ALL, Self::ALL) => Self::ALL,
            (Node::Then(head, tail), ..) => {
                let (head, tail) = (*head, *tail);
                let rest = self.then(tail, second);
                self.then(head, rest)
            }
            _ => {
                let blank = self.blank(first) && self.blank(second);
                self.keep(Node::Then(first, second), blank)
            }
        }
    }

    pub(super) fn or(&mut self, ids: impl IntoIterator<Item = Id>) -> Id {
        let mut flat = BTreeSet::new();
        for id in ids {
            match self.node(id) {
                Node::Or(inner) => flat.extend(inner.iter().copied()),
                _ => drop(flat.insert(id)),
            }
        }
        flat.remove(&Self::NOTHING);
        if flat.contains(&Self::ALL) {
            return Self::ALL;
        }
        if flat.len() < 2 {
            return flat.pop_first().unwrap_or(Self::NOTHING);
        }
        let blank = flat.iter().any(|id| self.blank(*id));
        self.keep(Node::Or(flat.into_iter().collect()), blank)
    }

    pub(super) fn and(&mut self, ids: impl IntoIterator<Item = Id>) -> Id {
        let mut flat = BTreeSet::new();
        for id in ids {
            match self.node(id) {
                Node::And(inner) => flat.extend(inner.iter().copied()),
                _ => drop(flat.insert(id)),
            }
        }
        flat.remove(&Self::ALL);
        if flat.contains(&Self::NOTHING) {
            return Self::NOTHING;
        }
        if flat.len() < 2 {
            return flat.pop_first().unwrap_or(Self::ALL);
        }
        let blank = flat.iter().all(|id| self.blank(*id));
        self.keep(Node::And(flat.into_iter().collect()), blank)
    }

    pub(super) fn not(&mut self, id: Id) -> Id {
        if let Node::Not(inner) = self.node(id) {
            return *inner;
        }
        let blank = !self.blank(id);
        self.keep(Node::Not(id), blank)
    }

    /// From `least` to `most` times; [`u32::MAX`] is no limit.
    pub(super) fn repeat(&mut self, id: Id, least: u32, most: u32) -> Id {
        match (least, most) {
            _ if least > most => Self::NOTHING,
            (_, 0) => Self::BLANK,
            (1, 1) => id,
            _ if id == Self::BLANK || id == Self::ALL && most > 0 && least > 0 => id,
            _ if id == Self::NOTHING => {
                if least == 0 {
                    Self::BLANK
                } else {
                    id
                }
            }
            (0, u32::MAX) if matches!(self.node(id), Node::One(ranges) if **ranges == [ANY]) => Self::ALL,
            _ => {
                let blank = least == 0 || self.blank(id);
                self.keep(Node::Repeat(id, least, most), blank)
            }
        }
    }

    /// Whether every text of `part` is one of `whole`.
    ///
    /// # Errors
    ///
    /// [`TooComplex`].
    pub(super) fn covers(&mut self, whole: Id, part: Id) -> Result<bool, TooComplex> {
        let outside = self.not(whole);
        let rest = self.and([part, outside]);
        self.is_empty(rest)
    }

    /// Whether no text matches.
    ///
    /// # Errors
    ///
    /// [`TooComplex`].
    pub(super) fn is_empty(&mut self, id: Id) -> Result<bool, TooComplex> {
        let (mut seen, mut open) = (HashSet::from([id]), vec![id]);
        while let Some(state) = open.pop() {
            if self.blank(state) {
                return Ok(false);
            }
            for first in self.firsts([state]) {
                let next = self.derive(state, first);
                if next != Self::NOTHING && seen.insert(next) {
                    open.push(next);
                }
            }
            self.bounded(seen.len())?;
        }
        Ok(true)
    }

    /// Refuses to go on past the bound.
    pub(super) fn bounded(&self, states: usize) -> Result<(), TooComplex> {
        if states > MOST_STATES || self.nodes.len() > MOST_NODES || self.steps > MOST_STEPS {
            Err(TooComplex)
        } else {
            Ok(())
        }
    }

    /// Whether the empty text matches.
    pub(super) fn blank(&self, id: Id) -> bool {
        self.nodes.get(id.0 as usize).is_some_and(|(_, blank)| *blank)
    }

    /// What may follow once `character` was read.
    pub(super) fn derive(&mut self, id: Id, character: u32) -> Id {
        self.steps += 1;
        match self.node(id).clone() {
            Node::Nothing | Node::Blank => Self::NOTHING,
            Node::One(ranges) => {
                let inside = ranges.iter().any(|(from, to)| (*from..=*to).contains(&character));
                if inside { Self::BLANK } else { Self::NOTHING }
            }
            Node::Then(first, second) => {
                let rest = self.derive(first, character);
                let through = self.then(rest, second);
                if !self.blank(first) {
                    return through;
                }
                let past = self.derive(second, character);
                self.or([through, past])
            }
            Node::Or(ids) => {
                let next: Vec<Id> = ids.iter().map(|id| self.derive(*id, character)).collect();
                self.or(next)
            }
            Node::And(ids) => {
                let mut next = Vec::with_capacity(ids.len());
                for id in ids {
                    match self.derive(id, character) {
                        Self::NOTHING => return Self::NOTHING,
                        derived => next.push(derived),
                    }
                }
                self.and(next)
            }
            Node::Not(inner) => {
                let next = self.derive(inner, character);
                self.not(next)
            }
            Node::Repeat(inner, least, most) => {
                let next = self.derive(inner, character);
                let less = if most == u32::MAX { most } else { most - 1 };
                let rest = self.repeat(inner, least.saturating_sub(1), less);
                self.then(next, rest)
            }
        }
    }

    /// One character out of each set that these expressions do not tell apart by what may follow it.
    pub(super) fn firsts(&self, ids: impl IntoIterator<Item = Id>) -> BTreeSet<u32> {
        let (mut firsts, mut open) = (BTreeSet::from([0]), Vec::from_iter(ids));
        while let Some(id) = open.pop() {
            match self.node(id) {
                Node::Nothing | Node::Blank => {}
                Node::One(ranges) => cut(&mut firsts, ranges),
                Node::Then(first, second) => {
                    open.push(*first);
                    if self.blank(*first) {
                        open.push(*second);
                    }
                }
                Node::Or(ids) | Node::And(ids) => open.extend(ids.iter().copied()),
                Node::Not(inner) | Node::Repeat(inner, ..) => open.push(*inner),
            }
        }
        firsts
    }

    /// As `firsts`, for every expression that can follow.
    pub(super) fn classes(&self, id: Id) -> BTreeSet<u32> {
        let (mut cuts, mut open, mut seen) = (BTreeSet::from([0]), vec![id], HashSet::from([id]));
        while let Some(id) = open.pop() {
            let parts: &[Id] = match self.node(id) {
                Node::Nothing | Node::Blank => &[],
                Node::One(ranges) => {
                    cut(&mut cuts, ranges);
                    &[]
                }
                Node::Then(first, second) => &[*first, *second],
                Node::Or(ids) | Node::And(ids) => ids,
                Node::Not(inner) | Node::Repeat(inner, ..) => &[*inner],
            };
            open.extend(parts.iter().filter(|part| seen.insert(**part)));
        }
        cuts
    }

    fn node(&self, id: Id) -> &Node {
        self.nodes.get(id.0 as usize).map_or(&Node::Nothing, |(node, _)| node)
    }

    fn keep(&mut self, node: Node, blank: bool) -> Id {
        if let Some(id) = self.ids.get(&node) {
            return *id;
        }
        // Callers stop long before: see `MOST_NODES`.
        let id = Id(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push((node.clone(), blank));
        self.ids.insert(node, id);
        id
    }
}

fn cut(cuts: &mut BTreeSet<u32>, ranges: &[Range]) {
    for (from, to) in ranges {
        cuts.insert(*from);
        // No character follows the last one.
        cuts.extend((*to < ANY.1).then(|| to + 1));
    }
}

/// Any character.
pub(super) const ANY: Range = (0, char::MAX as u32);

/// Enough for every name pattern that people write; a table of so many states is below a megabyte.
const MOST_STATES: usize = 2_000;
const MOST_NODES: usize = 50_000;
/// A fraction of a second.
const MOST_STEPS: usize = 300_000;
