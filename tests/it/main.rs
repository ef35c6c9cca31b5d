//! What clients, operators and reviewers see: one module a behaviour.

mod architecture;
