//! Look-ups under way: of many callers who show the same at once, one asks and the others wait for what it learns.

use std::collections::{HashMap, hash_map::Entry};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::identify::cache::Digest;

/// What is being looked up, by digest.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<HashMap<Digest, watch::Receiver<()>>>);

/// One look-up; it ends with this, also when its caller goes away.
#[derive(Debug)]
pub(super) struct Flight<'a> {
    flights: &'a Flights,
    digest: Digest,
    /// Whoever waits hears it go.
    _end: watch::Sender<()>,
}

impl Flights {
    /// Begins a look-up, or waits until the one that is under way ends, and then begins none: whoever waited and still
    /// knows nothing asks without letting others wait, so that nobody waits twice.
    pub(super) async fn begin(&self, digest: Digest) -> Option<Flight<'_>> {
        let mut other = match self.0.lock().entry(digest) {
            Entry::Occupied(under_way) => under_way.get().clone(),
            Entry::Vacant(free) => {
                let (end, ended) = watch::channel(());
                free.insert(ended);
                return Some(Flight { flights: self, digest, _end: end });
            }
        };
        // Nothing is ever sent: it is an error that tells the end.
        let _ = other.changed().await;
        None
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.flights.0.lock().remove(&self.digest);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        collections::HashSet,
        rc::Rc,
    };

    use tokio::task::LocalSet;

    use super::*;
    use crate::identify::cache::Digester;

    #[tokio::test]
    async fn of_many_who_ask_the_same_at_once_one_reads() {
        let (flights, digester) = (Rc::new(Flights::default()), Digester::default());
        let (known, reads) = (Rc::new(RefCell::new(HashSet::new())), Rc::new(Cell::new(0)));
        let callers = LocalSet::new();
        for secret in (0..64_u8).map(|caller| caller % 2) {
            let (flights, known, reads) = (Rc::clone(&flights), Rc::clone(&known), Rc::clone(&reads));
            let digest = digester.digest(&[secret], None);
            callers.spawn_local(async move {
                let _flight = flights.begin(digest).await;
                if !known.borrow().contains(&secret) {
                    reads.set(reads.get() + 1);
                    tokio::task::yield_now().await;
                    known.borrow_mut().insert(secret);
                }
            });
        }
        callers.await;
        assert_eq!(reads.get(), 2);
        assert!(flights.0.lock().is_empty());
    }

    #[tokio::test]
    async fn whoever_waits_for_one_that_goes_away_asks_itself() {
        let (flights, digest) = (Flights::default(), Digester::default().digest(b"a", None));
        let first = flights.begin(digest).await;
        assert!(first.is_some());
        let (second, ()) = tokio::join!(flights.begin(digest), async { drop(first) });
        assert!(second.is_none());
        assert!(flights.begin(digest).await.is_some());
    }
}
