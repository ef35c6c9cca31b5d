//! What clients, operators and reviewers see: one module a behaviour.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod architecture;
mod bodies;
mod broker;
mod bypass;
mod contexts;
mod crash;
mod drain;
mod durability;
mod forwarding;
mod framing;
mod headers;
mod hosts;
mod http2;
mod limits;
mod paths;
mod process;
mod readme;
mod real;
mod replay;
mod replicas;
mod routes;
mod shapes;
mod support;
