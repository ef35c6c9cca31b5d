//! `searchgate schema`: JSON Schema of the configuration, for editors.

use std::io::{self, Write};

use crate::config::Config;

/// Prints the schema.
///
/// # Errors
///
/// The output cannot be written.
pub fn schema(output: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *output, &Config::json_schema())?;
    output.write_all(b"\n")
}
