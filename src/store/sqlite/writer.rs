//! The one thread that writes. It takes what waits, commits it as one transaction and then answers all.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread::{self, JoinHandle},
};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use crate::store::StoreError;

pub(super) struct Writer {
    /// `None` once it closes.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// Does its part of a transaction; what it returns is told how that ended.
type Job = Box<dyn FnOnce(&mut Transaction<'_>) -> Acknowledge + Send>;
type Acknowledge = Box<dyn FnOnce(Result<(), StoreError>)>;

impl Writer {
    pub(super) fn start(connection: Connection) -> Result<Self, StoreError> {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let thread = thread::Builder::new()
            .name("store".into())
            .spawn(|| run(connection, waiting))
            .map_err(StoreError::unavailable)?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Does `work`, whole or not at all, and returns once it is durable.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |transaction| {
            let done = apart(transaction, work);
            // The caller may have gone; the write stands.
            Box::new(move |committed| drop(reply.send(committed.and(done))))
        });
        let jobs = self.jobs.as_ref().ok_or_else(stopped)?;
        jobs.try_send(job).map_err(StoreError::unavailable)?;
        // A panic drops the reply.
        answer.await.map_err(|_| stopped())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the writer of the store had panicked");
        }
    }
}

fn run(mut connection: Connection, mut waiting: mpsc::Receiver<Job>) {
    loop {
        let mut jobs = Vec::new();
        if waiting.blocking_recv_many(&mut jobs, GROUP) == 0 {
            return;
        }
        // Whatever panics takes its group with it, rolled back and told so, but not those that come after.
        if catch_unwind(AssertUnwindSafe(|| commit(&mut connection, jobs))).is_err() {
            tracing::error!("a write to the store panicked");
        }
    }
}

fn commit(connection: &mut Connection, jobs: Vec<Job>) {
    let mut acknowledgements = Vec::with_capacity(jobs.len());
    let outcome = transact(connection, jobs, &mut acknowledgements);
    if let Err(error) = &outcome {
        tracing::error!(%error, "the store does not take writes");
    }
    for acknowledge in acknowledgements {
        acknowledge(outcome.clone());
    }
}

/// The jobs of a transaction that does not begin are dropped, which their callers notice.
fn transact(
    connection: &mut Connection,
    jobs: Vec<Job>,
    acknowledgements: &mut Vec<Acknowledge>,
) -> Result<(), StoreError> {
    let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    acknowledgements.extend(jobs.into_iter().map(|job| job(&mut transaction)));
    Ok(transaction.commit()?)
}

/// One job's failure must not undo its neighbours'.
fn apart<T>(
    transaction: &mut Transaction<'_>,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let savepoint = transaction.savepoint()?;
    let done = work(&savepoint)?;
    savepoint.commit()?;
    Ok(done)
}

fn stopped() -> StoreError {
    StoreError::unavailable("a write was not finished")
}

/// Most jobs that one transaction holds.
const GROUP: usize = 256;

/// Most jobs that wait; one more is refused.
const QUEUE: usize = 4_096;

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::Pin, task::Poll};

    use super::*;

    fn writer() -> Writer {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE numbers (number INTEGER PRIMARY KEY) STRICT").unwrap();
        Writer::start(connection).unwrap()
    }

    fn insert(number: i64) -> impl FnOnce(&Connection) -> Result<(), StoreError> + Send + 'static {
        move |connection| Ok(connection.execute("INSERT INTO numbers VALUES (?1)", [number]).map(drop)?)
    }

    async fn count(writer: &Writer) -> i64 {
        writer
            .write(|connection| Ok(connection.query_row("SELECT count(*) FROM numbers", [], |row| row.get(0))?))
            .await
            .unwrap()
    }

    /// Polled once, a write is in the queue.
    async fn begin<F: Future + Unpin>(write: &mut F) -> Poll<F::Output> {
        poll_fn(|context| Poll::Ready(Pin::new(&mut *write).poll(context))).await
    }

    #[tokio::test]
    async fn a_failed_write_leaves_its_neighbours_alone() {
        let writer = writer();
        let (one, again, two) = tokio::join!(writer.write(insert(1)), writer.write(insert(1)), writer.write(insert(2)));
        assert!(one.is_ok() && again.is_err() && two.is_ok());
        assert_eq!(count(&writer).await, 2);
    }

    #[tokio::test]
    async fn a_panic_answers_those_who_wait_and_the_next_write_succeeds() {
        let writer = writer();
        let panicked: Result<(), _> = writer
            .write(|connection| {
                insert(1)(connection)?;
                panic!("on purpose")
            })
            .await;
        assert!(matches!(panicked, Err(StoreError::Unavailable { .. })));
        assert_eq!(count(&writer).await, 0);
    }

    #[tokio::test]
    async fn a_transaction_that_cannot_commit_is_told_to_all_in_it() {
        let writer = writer();
        let broken = writer.write(|connection| Ok(connection.execute_batch("ROLLBACK")?)).await;
        assert!(matches!(broken, Err(StoreError::Unavailable { .. })));
        writer.write(insert(1)).await.unwrap();
    }

    #[tokio::test]
    async fn a_full_queue_is_an_answer() {
        let writer = writer();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (started, running) = std::sync::mpsc::channel();
        let mut first = Box::pin(writer.write(move |_| {
            started.send(()).unwrap();
            held.recv().unwrap_err();
            Ok(())
        }));
        assert!(begin(&mut first).await.is_pending());
        running.recv().unwrap();
        for number in 0..i64::try_from(QUEUE).unwrap() {
            assert!(begin(&mut Box::pin(writer.write(insert(number)))).await.is_pending());
        }
        assert!(matches!(writer.write(insert(-1)).await, Err(StoreError::Unavailable { .. })));
        drop(release);
        first.await.unwrap();
    }

    #[tokio::test]
    async fn dropping_the_writer_finishes_what_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE numbers (number INTEGER PRIMARY KEY) STRICT").unwrap();
        let writer = Writer::start(connection).unwrap();
        let mut waiting = Box::pin(writer.write(insert(1)));
        assert!(begin(&mut waiting).await.is_pending());
        drop(waiting);
        drop(writer);
        let count: i64 =
            Connection::open(&path).unwrap().query_row("SELECT count(*) FROM numbers", [], |row| row.get(0)).unwrap();
        assert_eq!(count, 1);
    }
}
