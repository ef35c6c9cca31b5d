//! Starts everything in order and stops it in reverse.
