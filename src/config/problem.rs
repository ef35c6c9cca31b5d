//! What is wrong with a configuration: where, what and what to do. Never shows a value that may be secret.

use std::{fmt, sync::Arc};

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Where it was written.
    pub place: Place,
    /// The key, from the root; list items by their index.
    pub path: Vec<String>,
    /// The offending text as written, before interpolation.
    pub text: Option<String>,
    /// What is wrong; never holds the value.
    pub message: String,
    /// What to write instead.
    pub hint: Option<Box<str>>,
}

/// Where a value was written. Sorts into the order of reading.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Place {
    /// Nowhere: it is a default.
    #[default]
    Default,
    /// In a file.
    File {
        /// As it was named.
        file: Arc<str>,
        /// Line, from 1.
        line: u32,
        /// Column, from 1.
        column: u32,
    },
    /// In an environment variable.
    Variable(Arc<str>),
}

impl Problems {
    /// The problems in the order of reading, without texts that may hold a secret.
    pub(super) fn sorted(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|one, other| one.place.cmp(&other.place));
        for problem in problems.iter_mut().filter(|problem| problem.path.iter().eq(["store", "url"])) {
            problem.text = None;
        }
        Self(problems)
    }
}

impl Problem {
    /// A problem with the value at `path`, written `a.b.0.c`; the place is looked up later.
    pub(super) fn at(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.split('.').map(str::to_owned).collect(), ..Self::new(message) }
    }

    /// A problem whose place is not known yet.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { place: Place::Default, path: Vec::new(), text: None, message: message.into(), hint: None }
    }

    /// Adds what to do about it.
    pub(super) fn hint(mut self, hint: impl Into<Box<str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same problem, seen from the container that holds `key`.
    pub(super) fn within(mut self, key: &str) -> Self {
        self.path.insert(0, key.to_owned());
        self
    }

    /// The same problem, suggesting the member of `known` nearest to `wrong`.
    pub(super) fn suggest(self, wrong: &str, known: &[&str]) -> Self {
        match nearest(wrong, known) {
            Some(near) => self.hint(format!("did you mean `{near}`?")),
            None if known.is_empty() => self,
            None => self.hint(format!("known here: {}", known.join(", "))),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path.join("."))?;
        }
        write!(f, "{}", self.message)?;
        if let Some(text) = &self.text {
            write!(f, "\n  | {}", shown(text))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  = {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => Ok(()),
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}: "),
            Self::Variable(name) => write!(f, "{name}: "),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// A text as it may be printed: one line, short, and without the user part of a URL.
fn shown(text: &str) -> String {
    let masked = match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 < at => {
            format!("{}[redacted]{}", text.get(..scheme + 3).unwrap_or_default(), text.get(at..).unwrap_or_default())
        }
        _ => text.to_owned(),
    };
    let line: String = masked.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TEXT_SHOWN).collect();
    if line.chars().count() < masked.chars().count() { format!("{line}…") } else { line }
}

/// The known name nearest to `wrong`, if any is near enough to be meant; one that only goes on is near.
fn nearest<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|name| (if name.starts_with(wrong) { 1 } else { distance(wrong, name) }, *name))
        .filter(|(distance, name)| !wrong.is_empty() && *distance <= 2.max(name.len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Insertions, deletions and replacements between two names.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (line, a) in left.chars().take(TEXT_SHOWN).enumerate() {
        let mut next = vec![line + 1];
        for ((b, diagonal), above) in right.chars().zip(&row).zip(row.iter().skip(1)) {
            let beside = next.last().copied().unwrap_or(line);
            next.push((diagonal + usize::from(a != b)).min(above + 1).min(beside + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// Characters of an offending text that are printed.
const TEXT_SHOWN: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_a_far_one_is_not() {
        assert_eq!(nearest("adress", &["shape", "address"]), Some("address"));
        assert_eq!(nearest("password", &["username", "password_file"]), Some("password_file"));
        assert_eq!(nearest("frobnicate", &["username", "password_file"]), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn the_user_part_of_a_url_is_not_shown() {
        assert_eq!(shown("postgres://u:p@ss@db/x"), "postgres://[redacted]@db/x");
        assert_eq!(shown(&"x".repeat(100)).chars().count(), TEXT_SHOWN + 1);
    }
}
