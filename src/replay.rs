//! Request bodies kept while they are sent, so that they can be sent again (`transparent-reauthentication.md`
//! section 7): in memory, then in a sealed temporary file, then not at all.
//!
//! A body is read once. What was read goes on at once, and a copy is kept. A request that is sent again sends the
//! copy first and then goes on reading where the first sending was stopped, so that a cluster that refuses the head of
//! a long upload, as Elasticsearch does, costs no more than what had left by then.

use std::{
    cell::RefCell,
    collections::VecDeque,
    path::PathBuf,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use crate::{
    body::{Body, BodyError},
    config::Reauthentication,
};

mod pieces;
mod spool;

use pieces::{Pieces, Reserved};
use spool::{Reading, Spool};

/// What all data threads keep, and how much they may.
#[derive(Debug)]
pub struct Replays {
    /// Bytes of one body in memory.
    memory: u64,
    /// Bytes of one body in a file; 0 for no file.
    spool: u64,
    /// Bytes of all bodies in memory.
    total: u64,
    /// Where files are made.
    folder: PathBuf,
    held: AtomicU64,
    /// Bytes in files.
    on_disk: AtomicU64,
    /// The last file could not be written.
    failing: AtomicBool,
}

/// A request body on its way to the cluster.
#[derive(Debug)]
pub enum Outgoing {
    /// Not kept.
    Plain(Body),
    /// Kept as it goes.
    Teed(Tee),
    /// What was kept, then what is still to come.
    Again(Box<Again>),
}

/// The reader of a body of which a copy is kept.
#[derive(Debug)]
pub struct Tee(Shared);

/// What a request holds to be able to send its body again. Dropped, it frees the copy; the first sending goes on.
#[derive(Debug)]
pub struct Kept(Holding);

/// A body that is sent again.
#[derive(Debug)]
pub struct Again {
    reading: Option<Reading>,
    pieces: VecDeque<Bytes>,
    /// Bytes that are still in the file and in `pieces`.
    left: u64,
    rest: Body,
    _reserved: Reserved,
}

#[derive(Debug)]
enum Holding {
    /// There never was more than this.
    Whole { bytes: Bytes, _reserved: Option<Reserved> },
    /// A stream, and what was read of it.
    Streamed(Shared),
    /// There was no room.
    Nothing,
}

/// Whoever reads the body and whoever may take it back. Empty once it was taken.
type Shared = Rc<RefCell<Option<Stream>>>;

#[derive(Debug)]
struct Stream {
    source: Body,
    copy: Copy,
    paused: bool,
    /// Who waits for the next piece.
    reader: Option<Waker>,
}

#[derive(Debug)]
enum Copy {
    Memory(Pieces),
    Spool(Box<Spool>),
    /// Too long, no room, or the disk failed.
    Nothing,
}

impl Replays {
    /// Nothing is kept yet.
    #[must_use]
    pub fn new(config: &Reauthentication) -> Arc<Self> {
        Self::in_folder(config, std::env::temp_dir())
    }

    fn in_folder(config: &Reauthentication, folder: PathBuf) -> Arc<Self> {
        let &Reauthentication { replay_memory: memory, replay_spool: spool, replay_total: total, .. } = config;
        Arc::new(Self {
            memory,
            spool,
            total,
            folder,
            held: AtomicU64::new(0),
            on_disk: AtomicU64::default(),
            failing: AtomicBool::new(false),
        })
    }

    /// Bytes in memory now, over all data threads.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.load(Relaxed)
    }

    /// Keeps `body` while it is sent, as long as there is room for it. What is at hand anyway is not copied.
    #[must_use]
    pub fn tee(self: &Arc<Self>, body: Body) -> (Outgoing, Kept) {
        match body {
            Body::Empty => {
                (Outgoing::Plain(Body::Empty), Kept(Holding::Whole { bytes: Bytes::new(), _reserved: None }))
            }
            Body::Full(bytes) => {
                let holding = match self.reserve(bytes.len() as u64) {
                    Some(reserved) => Holding::Whole { bytes: bytes.clone(), _reserved: Some(reserved) },
                    None => Holding::Nothing,
                };
                (Outgoing::Plain(Body::Full(bytes)), Kept(holding))
            }
            source => {
                let copy = Copy::Memory(Pieces::new(self));
                let stream = Rc::new(RefCell::new(Some(Stream { source, copy, paused: false, reader: None })));
                (Outgoing::Teed(Tee(Rc::clone(&stream))), Kept(Holding::Streamed(stream)))
            }
        }
    }

    fn reserve(self: &Arc<Self>, bytes: u64) -> Option<Reserved> {
        let mut reserved = Reserved::none(self);
        reserved.grow(bytes).then_some(reserved)
    }

    /// Says once that files cannot be written, and once that they can again.
    fn spooled(&self, outcome: &std::io::Result<()>) {
        match outcome {
            Ok(()) if self.failing.load(Relaxed) && self.failing.swap(false, Relaxed) => {
                tracing::info!("request bodies can be spooled again");
            }
            Err(error) if !self.failing.swap(true, Relaxed) => {
                let folder = self.folder.display();
                tracing::warn!(%folder, %error, "request bodies cannot be spooled, so long ones are not sent again");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

impl Kept {
    /// Whether all that was read of the body is still held.
    #[must_use]
    pub fn is_held(&self) -> bool {
        match &self.0 {
            Holding::Whole { .. } => true,
            Holding::Streamed(stream) => {
                stream.borrow().as_ref().is_some_and(|stream| !matches!(stream.copy, Copy::Nothing))
            }
            Holding::Nothing => false,
        }
    }

    /// Stops the first sending where it is, until this is dropped or the body taken back: what is kept of a body
    /// must not outgrow its limits while a credential is renewed.
    pub fn pause(&self) {
        if let Holding::Streamed(stream) = &self.0
            && let Some(stream) = &mut *stream.borrow_mut()
        {
            stream.paused = true;
        }
    }

    /// Takes the body back to send it again; none when not all of it is held. The first sending breaks off.
    #[must_use]
    pub fn again(mut self) -> Option<Outgoing> {
        match std::mem::replace(&mut self.0, Holding::Nothing) {
            Holding::Whole { bytes, .. } => Some(Outgoing::Plain(Body::from(bytes))),
            Holding::Streamed(stream) => take(&stream)?.again().map(|again| Outgoing::Again(Box::new(again))),
            Holding::Nothing => None,
        }
    }

    /// Takes back what nobody has read yet, so that it can be read to its end. The first sending breaks off.
    #[must_use]
    pub fn rest(mut self) -> Body {
        match std::mem::replace(&mut self.0, Holding::Nothing) {
            Holding::Streamed(stream) => take(&stream).map_or(Body::Empty, |stream| stream.source),
            Holding::Whole { .. } | Holding::Nothing => Body::Empty,
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Holding::Streamed(stream) = &self.0
            && let Some(stream) = &mut *stream.borrow_mut()
        {
            stream.copy = Copy::Nothing;
            stream.paused = false;
            stream.wake();
        }
    }
}

fn take(stream: &Shared) -> Option<Stream> {
    let mut stream = stream.borrow_mut().take()?;
    stream.wake(); // it finds that there is nothing to read any more
    Some(stream)
}

impl Stream {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = if self.paused { Poll::Pending } else { self.poll_source(cx) };
        if polled.is_pending() && !self.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
            self.reader = Some(cx.waker().clone());
        }
        polled
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        ready!(self.copy.poll_room(cx));
        let frame = ready!(Pin::new(&mut self.source).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => match frame.data_ref() {
                Some(data) => self.copy.push(data),
                None => self.copy = Copy::Nothing, // trailers are not sent again
            },
            Some(Err(_)) => self.copy = Copy::Nothing,
            None => {}
        }
        Poll::Ready(frame)
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn again(self) -> Option<Again> {
        let rest = self.source;
        match self.copy {
            Copy::Memory(pieces) => Some(Again::new(None, pieces, 0, rest)),
            Copy::Spool(spool) => {
                let (reading, spooled, pieces) = spool.read();
                Some(Again::new(Some(reading), pieces, spooled, rest))
            }
            Copy::Nothing => None,
        }
    }
}

impl Copy {
    /// Ready when the next piece may be read. A disk that is slow slows the upload, for a while.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Self::Spool(spool) = self
            && !ready!(spool.poll_room(cx))
        {
            *self = Self::Nothing;
        }
        Poll::Ready(())
    }

    fn push(&mut self, data: &Bytes) {
        let kept = match self {
            Self::Memory(pieces) => pieces.push(data),
            Self::Spool(spool) => spool.push(data),
            Self::Nothing => return,
        };
        if !kept {
            *self = Self::Nothing;
        }
        if let Self::Memory(pieces) = self
            && pieces.len() > pieces.replays().memory
        {
            *self = match std::mem::replace(self, Self::Nothing) {
                Self::Memory(pieces) => {
                    Spool::begin(pieces).map_or(Self::Nothing, |spool| Self::Spool(Box::new(spool)))
                }
                other => other,
            };
        }
    }
}

impl Again {
    fn new(reading: Option<Reading>, pieces: Pieces, spooled: u64, rest: Body) -> Self {
        let left = spooled + pieces.len();
        let (pieces, reserved) = pieces.into_parts();
        Self { reading, pieces, left, rest, _reserved: reserved }
    }

    fn poll_kept(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if let Some(reading) = &mut self.reading {
            match ready!(reading.poll_next(cx)) {
                Some(Ok(piece)) => return Poll::Ready(Some(Ok(piece))),
                Some(Err(error)) => {
                    tracing::warn!(%error, "a spooled request body cannot be read");
                    return Poll::Ready(Some(Err(BodyError::Lost)));
                }
                None => self.reading = None,
            }
        }
        Poll::Ready(self.pieces.pop_front().map(Ok))
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Self::Plain(body) => Pin::new(body).poll_frame(cx),
            Self::Teed(Tee(stream)) => match &mut *stream.borrow_mut() {
                Some(stream) => stream.poll_frame(cx),
                // An end would make what has left look whole.
                None => Poll::Ready(Some(Err(BodyError::Lost))),
            },
            Self::Again(again) => match ready!(again.poll_kept(cx)) {
                Some(Ok(piece)) => {
                    again.left = again.left.saturating_sub(piece.len() as u64);
                    Poll::Ready(Some(Ok(Frame::data(piece))))
                }
                Some(Err(error)) => Poll::Ready(Some(Err(error))),
                None => Pin::new(&mut again.rest).poll_frame(cx),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain(body) => body.is_end_stream(),
            Self::Teed(Tee(stream)) => stream.borrow().as_ref().is_some_and(|stream| stream.source.is_end_stream()),
            Self::Again(again) => again.left == 0 && again.rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Plain(body) => body.size_hint(),
            Self::Teed(Tee(stream)) => {
                stream.borrow().as_ref().map_or_else(SizeHint::default, |stream| stream.source.size_hint())
            }
            Self::Again(again) => match again.rest.size_hint().exact() {
                Some(rest) => SizeHint::with_exact(again.left + rest),
                None => SizeHint::default(),
            },
        }
    }
}

#[cfg(test)]
mod tests;
