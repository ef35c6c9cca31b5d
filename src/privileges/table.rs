//! An expression as a table: one step a character, nothing allocated.

use std::collections::HashMap;

use super::expression::{Expressions, Id, TooComplex};

/// A deterministic automaton.
#[derive(Debug)]
pub(super) struct Table {
    /// Where each class of characters begins, from 0 on.
    classes: Box<[u32]>,
    /// The class of each ASCII character.
    ascii: Box<[u16]>,
    /// The next state, by state and class.
    next: Box<[u16]>,
    /// Whether a text may end in a state.
    ends: Box<[bool]>,
}

impl Table {
    /// Of the expression `id`.
    ///
    /// # Errors
    ///
    /// [`TooComplex`].
    pub(super) fn compile(expressions: &mut Expressions, id: Id) -> Result<Self, TooComplex> {
        let classes: Box<[u32]> = expressions.classes(id).into_iter().collect();
        let (mut states, mut numbers, mut next) = (vec![id], HashMap::from([(id, 0_u16)]), Vec::new());
        let mut at = 0;
        while let Some(state) = states.get(at).copied() {
            for first in &classes {
                let follows = expressions.derive(state, *first);
                let fresh = u16::try_from(states.len()).map_err(|_| TooComplex)?;
                let number = *numbers.entry(follows).or_insert(fresh);
                if number == fresh {
                    states.push(follows);
                }
                next.push(number);
            }
            expressions.bounded(states.len())?;
            at += 1;
        }
        let class = |code: u32| u16::try_from(classes.partition_point(|first| *first <= code) - 1);
        let ascii = (0..128).map(class).collect::<Result<_, _>>().map_err(|_| TooComplex)?;
        let ends = states.iter().map(|state| expressions.blank(*state)).collect();
        Ok(Self { ascii, classes, next: next.into(), ends })
    }

    /// Whether `text` matches.
    pub(super) fn matches(&self, text: &str) -> bool {
        let mut state = 0;
        for character in text.chars() {
            let code = u32::from(character);
            let class = match self.ascii.get(code as usize) {
                Some(class) => usize::from(*class),
                None => self.classes.partition_point(|first| *first <= code) - 1,
            };
            let Some(next) = self.next.get(state * self.classes.len() + class) else { return false };
            state = usize::from(*next);
        }
        self.ends.get(state).copied().unwrap_or_default()
    }
}
