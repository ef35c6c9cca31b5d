//! Lines on their way out, written by a thread of their own: no other thread ever waits for a disk, a pipe or a
//! terminal. The queue has an end; what does not fit is lost, counted and reported.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc::SyncSender,
    },
    time::Duration,
};

use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::{Instant, timeout},
};

/// Hands lines to the thread that writes them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Writer {
    queue: mpsc::Sender<Message>,
    lost: Arc<AtomicU64>,
    reopen: Arc<AtomicBool>,
}

/// Where lines end up.
pub type Output = Box<dyn Write + Send>;

/// Many lines, in a buffer that wants to be used again.
#[derive(Debug)]
pub struct Batch {
    /// Whole lines.
    pub lines: Vec<u8>,
    /// How many.
    pub count: u64,
    /// Where the emptied buffer goes.
    pub back: SyncSender<Vec<u8>>,
}

#[derive(Debug)]
enum Message {
    Batch(Batch),
    Flush(oneshot::Sender<()>),
    Line(Vec<u8>),
}

impl Writer {
    /// Starts the thread of one stream. `open` is called now, and again whenever the stream is to be reopened.
    ///
    /// # Errors
    ///
    /// Those of the first `open`, and of starting a thread.
    pub fn start(stream: &'static str, open: impl Fn() -> io::Result<Output> + Send + 'static) -> io::Result<Self> {
        let (queue, messages) = mpsc::channel(QUEUE);
        let writer = Self { queue, lost: Arc::default(), reopen: Arc::default() };
        let scribe = Scribe {
            stream,
            output: open()?,
            open,
            lost: Arc::clone(&writer.lost),
            reopen: Arc::clone(&writer.reopen),
            reported: (0, None),
        };
        std::thread::Builder::new().name(format!("write-{stream}")).spawn(move || scribe.run(messages))?;
        Ok(writer)
    }

    /// Writes one line, which ends in a line feed, soon.
    pub fn line(&self, line: Vec<u8>) {
        self.send(Message::Line(line));
    }

    /// Writes many lines soon.
    pub fn batch(&self, batch: Batch) {
        self.send(Message::Batch(batch));
    }

    /// Counts a line that could not even be handed over.
    pub fn lose(&self, lines: u64) {
        self.lost.fetch_add(lines, Relaxed);
    }

    /// Lines lost so far.
    #[must_use]
    pub fn lost(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost)
    }

    /// Opens the output again before the next line.
    pub fn reopen(&self) {
        self.reopen.store(true, Relaxed);
    }

    /// Waits until all that was handed over is written, but not for ever: the far side may have stopped reading.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        let written = async {
            if self.queue.send(Message::Flush(done)).await.is_ok() {
                let _ = flushed.await; // an error says that the thread is gone, and nothing is left to wait for
            }
        };
        let _ = timeout(PATIENCE, written).await; // whoever does not read by then never will
    }

    fn send(&self, message: Message) {
        if let Err(TrySendError::Full(message) | TrySendError::Closed(message)) = self.queue.try_send(message) {
            self.lose(message.count());
            message.settle();
        }
    }
}

impl Message {
    fn count(&self) -> u64 {
        match self {
            Self::Batch(batch) => batch.count,
            Self::Flush(_) => 0,
            Self::Line(_) => 1,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Batch(Batch { lines, .. }) | Self::Line(lines) => lines,
            Self::Flush(_) => &[],
        }
    }

    /// Gives back what was lent, once it is written or lost.
    fn settle(self) {
        match self {
            Self::Batch(Batch { mut lines, back, .. }) => {
                lines.clear();
                let _ = back.try_send(lines); // the thread that lent it may be gone
            }
            Self::Flush(done) => {
                let _ = done.send(()); // whoever asked may have stopped waiting
            }
            Self::Line(_) => {}
        }
    }
}

/// The far end of the queue.
struct Scribe<F> {
    stream: &'static str,
    open: F,
    output: Output,
    lost: Arc<AtomicU64>,
    reopen: Arc<AtomicBool>,
    /// How many losses the log knows of, and since when.
    reported: (u64, Option<Instant>),
}

impl<F: Fn() -> io::Result<Output>> Scribe<F> {
    fn run(mut self, mut queue: mpsc::Receiver<Message>) {
        let (mut messages, mut pending) = (Vec::with_capacity(ROUND), Vec::new());
        while queue.blocking_recv_many(&mut messages, ROUND) > 0 {
            if self.reopen.swap(false, Relaxed) {
                match (self.open)() {
                    Ok(output) => self.output = output,
                    Err(error) => tracing::error!(stream = self.stream, %error, "the old file stays in use"),
                }
            }
            pending.clear();
            for message in &messages {
                pending.extend_from_slice(message.bytes());
            }
            let written = self.output.write_all(&pending).and_then(|()| self.output.flush());
            if written.is_err() {
                self.lost.fetch_add(messages.iter().map(Message::count).sum(), Relaxed);
            }
            messages.drain(..).for_each(Message::settle);
            self.report(written.err());
        }
    }

    /// Tells the log of losses, seldom: the log may be what is overloaded.
    fn report(&mut self, error: Option<io::Error>) {
        let (known, since) = self.reported;
        let lost = self.lost.load(Relaxed);
        if lost == known || since.is_some_and(|since| since.elapsed() < REPORT_EVERY) {
            return;
        }
        self.reported = (lost, Some(Instant::now()));
        let (stream, lines) = (self.stream, lost - known);
        if let Some(error) = error {
            tracing::error!(stream, lines, %error, "lines were lost: they cannot be written");
        } else {
            tracing::error!(stream, lines, "lines were lost: they come faster than they are written");
        }
    }
}

/// Lines or batches that may wait.
const QUEUE: usize = 8192;
/// How many are written at once.
const ROUND: usize = 128;
const PATIENCE: Duration = Duration::from_secs(5);
const REPORT_EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::mpsc::sync_channel;

    use parking_lot::Mutex;

    use super::*;

    /// Where tests read what was written.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Sink {
        pub(crate) fn writer(&self) -> Writer {
            let sink = self.clone();
            Writer::start("test", move || Ok(Box::new(sink.clone()))).unwrap()
        }

        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().clone()).unwrap()
        }
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn lines_come_out_in_order_and_a_flush_waits_for_them() {
        let sink = Sink::default();
        let writer = sink.writer();
        for line in ["a\n", "b\n", "c\n"] {
            writer.line(line.into());
        }
        writer.flush().await;
        assert_eq!(sink.text(), "a\nb\nc\n");
        assert_eq!(writer.lost().load(Relaxed), 0);
    }

    #[tokio::test]
    async fn the_buffer_of_a_batch_comes_back_empty() {
        let (back, spare) = sync_channel(1);
        let sink = Sink::default();
        let writer = sink.writer();
        writer.batch(Batch { lines: b"a\nb\n".to_vec(), count: 2, back });
        let buffer = spare.recv().unwrap();
        assert!(buffer.is_empty() && buffer.capacity() >= 4);
        assert_eq!(sink.text(), "a\nb\n");
    }

    #[tokio::test]
    async fn what_does_not_fit_is_counted_and_nobody_waits() {
        let gate = Arc::new(Mutex::new(()));
        let stuck = gate.lock();
        let behind = Arc::clone(&gate);
        let writer = Writer::start("test", move || Ok(Box::new(Gated(Arc::clone(&behind))))).unwrap();
        let lines = (QUEUE + ROUND + 100) as u64;
        for _ in 0..lines {
            writer.line(b"x\n".to_vec());
        }
        let lost = writer.lost().load(Relaxed);
        assert!((100..lines).contains(&lost), "{lost}");
        drop(stuck);
        writer.flush().await;
        assert_eq!(writer.lost().load(Relaxed), lost);
    }

    struct Gated(Arc<Mutex<()>>);

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            drop(self.0.lock());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_counted() {
        let writer = Writer::start("test", || Ok(Box::new(Broken))).unwrap();
        writer.line(b"a\n".to_vec());
        writer.flush().await;
        assert_eq!(writer.lost().load(Relaxed), 1);
    }
}
