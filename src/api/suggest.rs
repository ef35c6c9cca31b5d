//! “Did you mean”: the known name that a misspelt one is nearest to.

use crate::api::json::Position;

/// Known names that are near enough to `word`, nearest first.
pub(super) fn near<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|name| {
            let distance = distance(word, name);
            let longest = word.chars().count().max(name.chars().count());
            (distance * 2 < longest).then_some((distance * 1000 / longest, name))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, name)| name).collect()
}

/// The words of a suggestion, without what comes before them.
pub(super) fn question(names: &[&str]) -> Option<String> {
    match names {
        [] => None,
        [one] => Some(format!("did you mean [{one}]?")),
        several => Some(format!("did you mean any of [{}]?", several.join(", "))),
    }
}

/// What is said of a member that a parser does not know.
pub(super) fn unknown_field(at: Position, parser: &str, name: &str, known: &[&str]) -> String {
    let question = question(&near(name, known.iter().copied()));
    let question = question.map_or_else(String::new, |question| format!(" {question}"));
    format!("[{at}] [{parser}] unknown field [{name}]{question}")
}

/// Insertions, deletions and replacements between two words.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, a) in left.chars().enumerate() {
        let mut corner = line;
        let mut before = line + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(&right) {
            let replaced = corner + usize::from(a != *b);
            corner = *cell;
            *cell = replaced.min(corner + 1).min(before + 1);
            before = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_not() {
        assert_eq!(near("ownr", ["owner", "id", "name"]), ["owner"]);
        assert_eq!(near("ids", ["id"]), ["id"]);
        assert_eq!(near("nam", ["name", "metadata"]), ["name"]);
        assert!(near("foo", ["owner", "id"]).is_empty());
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
