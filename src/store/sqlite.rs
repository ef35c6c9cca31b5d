//! One file on one machine.

/// A store in a SQLite file.
#[derive(Debug)]
pub struct Sqlite {}
