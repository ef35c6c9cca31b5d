//! What clients, operators and reviewers see: one module a behaviour.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod architecture;
mod durability;
mod forwarding;
mod framing;
mod process;
mod readme;
mod real;
mod support;
