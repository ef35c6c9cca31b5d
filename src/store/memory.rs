//! The reference model: everything in memory.

/// A store that ends with the process.
#[derive(Debug, Default)]
pub struct Memory {}
