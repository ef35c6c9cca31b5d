//! The part of a body that memory is too small for: a temporary file without a name, sealed with a key of its own that
//! ends with it.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, Write as _},
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
    time::Duration,
    vec,
};

use bytes::Bytes;
use tokio::{
    task::{JoinError, JoinHandle, spawn_blocking},
    time::Sleep,
};

use super::{Pieces, Replays};
use crate::sealing::{MasterKeys, Purpose};

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Spool {
    replays: Arc<Replays>,
    keys: MasterKeys,
    /// Sealed lengths of what was written, in order.
    lengths: Vec<usize>,
    /// Bytes that they hold.
    spooled: OnDisk,
    /// Not written yet.
    pending: Pieces,
    file: Writing,
    /// How long the upload waits for the disk; armed only while it does.
    patience: Option<Pin<Box<Sleep>>>,
}

/// A file that is read from its beginning.
#[derive(Debug)]
pub(super) struct Reading {
    keys: MasterKeys,
    lengths: vec::IntoIter<usize>,
    read: u64,
    file: Writing,
    /// Given back when it was read.
    _spooled: OnDisk,
    /// The next piece.
    opening: Option<JoinHandle<io::Result<(File, Bytes)>>>,
}

/// A file's share of what all may take.
#[derive(Debug)]
struct OnDisk {
    replays: Arc<Replays>,
    bytes: u64,
}

/// A file, or somebody at work on it.
#[derive(Debug)]
enum Writing {
    Idle(File),
    Busy(JoinHandle<io::Result<(File, usize)>>),
    /// An error was seen.
    Failed,
}

impl Spool {
    /// Begins a file with what memory held; none where no file may be made.
    pub(super) fn begin(pieces: Pieces) -> Option<Self> {
        let replays = Arc::clone(pieces.replays());
        if pieces.len() > replays.spool {
            return None;
        }
        let keys = MasterKeys::ephemeral();
        let pending = Pieces::new(&replays);
        let (mut spooled, folder) = (OnDisk { replays: Arc::clone(&replays), bytes: 0 }, replays.folder.clone());
        if !spooled.grow(pieces.len()) {
            return None;
        }
        let file = Writing::start(move || tempfile::tempfile_in(folder), &keys, 0, pieces);
        Some(Self { replays, keys, lengths: Vec::new(), spooled, pending, file, patience: None })
    }

    /// Keeps one more piece; `false` when the file would grow too long or there is no room in memory.
    pub(super) fn push(&mut self, data: &Bytes) -> bool {
        let length = self.spooled.bytes + self.pending.len() + data.len() as u64;
        length <= self.replays.spool && self.pending.push(data)
    }

    /// Ready when the next piece may be read: with `false` when the file cannot be written, or not fast enough.
    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.pending.len() < CHUNK {
            return Poll::Ready(true);
        }
        let Poll::Ready(written) = self.file.poll_idle(cx) else {
            let patience = self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
            ready!(patience.as_mut().poll(cx));
            self.replays.spooled(&Err(io::ErrorKind::TimedOut.into()));
            return Poll::Ready(false);
        };
        self.patience = None;
        self.replays.spooled(&written.as_ref().map(|_| ()).map_err(|error| error.kind().into()));
        let Ok(written) = written else { return Poll::Ready(false) };
        self.lengths.extend(written);
        let pieces = std::mem::replace(&mut self.pending, Pieces::new(&self.replays));
        if !self.spooled.grow(pieces.len()) {
            return Poll::Ready(false);
        }
        let Writing::Idle(file) = std::mem::replace(&mut self.file, Writing::Failed) else {
            return Poll::Ready(false);
        };
        self.file = Writing::start(move || Ok(file), &self.keys, self.lengths.len() as u64, pieces);
        Poll::Ready(true)
    }

    /// Reads it from its beginning: also how many bytes it holds, and what it does not hold yet.
    pub(super) fn read(self) -> (Reading, u64, Pieces) {
        let Self { keys, lengths, spooled, pending, file, .. } = self;
        let bytes = spooled.bytes;
        let reading = Reading { keys, lengths: lengths.into_iter(), read: 0, file, _spooled: spooled, opening: None };
        (reading, bytes, pending)
    }
}

impl OnDisk {
    /// Takes `bytes` more; `false` when there are not so many left for all.
    fn grow(&mut self, bytes: u64) -> bool {
        let before = self.replays.on_disk.fetch_add(bytes, Relaxed);
        self.bytes += bytes;
        // Whoever is refused is about to be dropped, and gives back what it has added.
        before.saturating_add(bytes) <= self.replays.total.saturating_mul(ON_DISK)
    }
}

impl Drop for OnDisk {
    fn drop(&mut self) {
        self.replays.on_disk.fetch_sub(self.bytes, Relaxed);
    }
}

impl Writing {
    /// Seals and writes on a thread that may wait for the disk.
    fn start(
        file: impl FnOnce() -> io::Result<File> + Send + 'static,
        keys: &MasterKeys,
        index: u64,
        pieces: Pieces,
    ) -> Self {
        let keys = keys.clone();
        Self::Busy(spawn_blocking(move || {
            let mut file = file()?;
            let sealed = keys.seal(Purpose::Replay, &index.to_be_bytes(), &pieces.concat());
            file.write_all(&sealed)?;
            Ok((file, sealed.len()))
        }))
    }

    /// Ready when nobody is at work on it: with what was written last, if that was not told yet.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<usize>>> {
        Poll::Ready(match self {
            Self::Idle(_) => Ok(None),
            Self::Failed => Err(io::ErrorKind::Other.into()),
            Self::Busy(task) => match ready!(Pin::new(task).poll(cx)).unwrap_or_else(stopped) {
                Ok((file, written)) => {
                    *self = Self::Idle(file);
                    Ok(Some(written))
                }
                Err(error) => {
                    *self = Self::Failed;
                    Err(error)
                }
            },
        })
    }
}

impl Reading {
    /// The next piece, while there is one.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            if let Some(opening) = &mut self.opening {
                let opened = ready!(Pin::new(opening).poll(cx)).unwrap_or_else(stopped);
                self.opening = None;
                return Poll::Ready(Some(opened.map(|(file, piece)| {
                    self.file = Writing::Idle(file);
                    piece
                })));
            }
            match ready!(self.file.poll_idle(cx)) {
                // The last piece was still being written when the file began to be read.
                Ok(Some(last)) => self.lengths = self.lengths.by_ref().chain([last]).collect::<Vec<_>>().into_iter(),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            let Some(length) = self.lengths.next() else { return Poll::Ready(None) };
            let Writing::Idle(file) = std::mem::replace(&mut self.file, Writing::Failed) else {
                return Poll::Ready(Some(Err(io::ErrorKind::Other.into())));
            };
            let (keys, index) = (self.keys.clone(), self.read);
            self.read += 1;
            self.opening = Some(spawn_blocking(move || open(file, &keys, index, length)));
        }
    }
}

fn open(mut file: File, keys: &MasterKeys, index: u64, length: usize) -> io::Result<(File, Bytes)> {
    if index == 0 {
        file.rewind()?;
    }
    let mut sealed = vec![0; length];
    file.read_exact(&mut sealed)?;
    let plain = keys
        .open(Purpose::Replay, &index.to_be_bytes(), &sealed)
        .ok_or_else(|| io::Error::other("the file does not hold what was written to it"))?;
    Ok((file, Bytes::from_owner(plain)))
}

/// A task that panicked, or was not run because the process ends.
fn stopped<T>(error: JoinError) -> io::Result<T> {
    Err(io::Error::other(error))
}

/// Bytes sealed and written at a time.
const CHUNK: u64 = 256 * 1024;
/// How long an upload waits for the disk before it goes on without.
const PATIENCE: Duration = Duration::from_secs(1);
/// All files together hold so many times what all memory for bodies does.
const ON_DISK: u64 = 16;
