//! Role descriptors as they are written, and privileges as they are asked: parsed and compiled once.

/// What a principal may do, compiled from role descriptors.
#[derive(Clone, Debug, Default)]
pub struct Privileges {}
