//! Answers on a terminal or in a pipe: a table for eyes, JSON for programs.

use std::io::{self, Write};

use serde_json::Value;

/// How answers are printed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Output {
    /// As the API answers.
    Json,
    /// Columns for eyes.
    Table,
}

/// Prints rows under their titles, each column as wide as its widest cell.
///
/// # Errors
///
/// The output cannot be written.
pub fn table<const N: usize>(output: &mut impl Write, titles: [&str; N], rows: &[[String; N]]) -> io::Result<()> {
    let mut widths = titles.map(|title| title.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut print = |cells: [&str; N]| {
        let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{:width$}", printable(cell)));
        writeln!(output, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    print(titles)?;
    rows.iter().try_for_each(|row| print(row.each_ref().map(String::as_str)))
}

/// Prints JSON, indented.
///
/// # Errors
///
/// The output cannot be written.
pub fn json(output: &mut impl Write, value: &Value) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *output, value)?;
    writeln!(output)
}

/// A cell for a value: texts without quotes, lists separated by commas, nothing for what is absent.
#[must_use]
pub fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items.iter().map(|item| cell(Some(item))).collect::<Vec<_>>().join(","),
        Some(other) => other.to_string(),
    }
}

/// Names come from anybody: what would move the cursor of a terminal is shown as `?`.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_trails() {
        let mut output = Vec::new();
        let rows = [["jäck".to_owned(), String::new()], ["jo".to_owned(), "admin".to_owned()]];
        table(&mut output, ["NAME", "ROLES"], &rows).unwrap();
        assert_eq!(String::from_utf8(output).unwrap(), "NAME  ROLES\njäck\njo    admin\n");
    }

    #[test]
    fn what_a_name_holds_does_not_reach_the_terminal() {
        let mut output = Vec::new();
        table(&mut output, ["NAME"], &[["a\x1b[2Jb\n".to_owned()]]).unwrap();
        assert_eq!(String::from_utf8(output).unwrap(), "NAME\na?[2Jb?\n");
    }
}
