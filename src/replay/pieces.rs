//! Bytes in memory, and the share of all memory for them.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use bytes::{Bytes, BytesMut};

use super::Replays;

/// Bytes in memory, in order.
#[derive(Debug)]
pub(super) struct Pieces {
    whole: VecDeque<Bytes>,
    /// Small pieces together: each would hold the whole buffer that it was read into.
    tail: BytesMut,
    reserved: Reserved,
}

/// A share of [`Replays::total`], given back when it is dropped.
#[derive(Debug)]
pub(super) struct Reserved {
    replays: Arc<Replays>,
    bytes: u64,
}

impl Pieces {
    /// None yet.
    pub(super) fn new(replays: &Arc<Replays>) -> Self {
        Self { whole: VecDeque::new(), tail: BytesMut::new(), reserved: Reserved::none(replays) }
    }

    pub(super) fn len(&self) -> u64 {
        self.reserved.bytes
    }

    /// Keeps one more piece; `false` when there is no room for it.
    pub(super) fn push(&mut self, data: &Bytes) -> bool {
        if !self.reserved.grow(data.len() as u64) {
            return false;
        }
        if data.len() < SMALL {
            self.tail.extend_from_slice(data);
        } else {
            self.close();
            self.whole.push_back(data.clone());
        }
        true
    }

    pub(super) fn concat(mut self) -> Vec<u8> {
        self.close();
        self.whole.make_contiguous().concat()
    }

    /// All of it, and the share that it takes.
    pub(super) fn into_parts(mut self) -> (VecDeque<Bytes>, Reserved) {
        self.close();
        (self.whole, self.reserved)
    }

    /// Who all shares with.
    pub(super) fn replays(&self) -> &Arc<Replays> {
        &self.reserved.replays
    }

    fn close(&mut self) {
        if !self.tail.is_empty() {
            self.whole.push_back(self.tail.split().freeze());
        }
    }
}

impl Reserved {
    /// A share of nothing.
    pub(super) fn none(replays: &Arc<Replays>) -> Self {
        Self { replays: Arc::clone(replays), bytes: 0 }
    }

    /// Takes `bytes` more; `false` when there are not so many left for all.
    pub(super) fn grow(&mut self, bytes: u64) -> bool {
        let before = self.replays.held.fetch_add(bytes, Relaxed);
        self.bytes += bytes;
        // Whoever is refused is about to be dropped, and gives back what it has added.
        before.saturating_add(bytes) <= self.replays.total
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.replays.held.fetch_sub(self.bytes, Relaxed);
    }
}

/// Below it a piece is copied.
const SMALL: usize = 4096;
