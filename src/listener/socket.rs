//! The transports under a connection, and the bytes that were read from one too early.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, DuplexStream, ReadBuf},
    net::{TcpStream, UnixStream},
};

/// One accepted connection, before TLS.
#[derive(Debug)]
pub struct Socket {
    /// Read already, to tell what the peer speaks; given out first.
    early: Bytes,
    transport: Transport,
}

/// What carries the bytes.
#[derive(Debug)]
pub enum Transport {
    /// In memory: tests and benchmarks, which must own time.
    Pipe(DuplexStream),
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

impl Socket {
    /// A connection of which nothing was read.
    #[must_use]
    pub fn new(transport: Transport) -> Self {
        Self { early: Bytes::new(), transport }
    }

    /// Reads what was put back or else has arrived, at least one byte unless the peer is done, behind what `seen` holds.
    ///
    /// # Errors
    ///
    /// Those of the transport.
    pub async fn read_early(&mut self, seen: &mut Vec<u8>) -> io::Result<usize> {
        if !self.early.is_empty() {
            let early = std::mem::take(&mut self.early);
            seen.extend_from_slice(&early);
            return Ok(early.len());
        }
        match &mut self.transport {
            Transport::Pipe(pipe) => pipe.read_buf(seen).await,
            Transport::Tcp(tcp) => tcp.read_buf(seen).await,
            Transport::Unix(unix) => unix.read_buf(seen).await,
        }
    }

    /// Puts back what was read early and not used.
    pub fn unread(&mut self, bytes: Bytes) {
        self.early = bytes;
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let count = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early.split_to(count));
            if !self.early.has_remaining() {
                self.early = Bytes::new(); // lets the buffer go
            }
            return Poll::Ready(Ok(()));
        }
        match &mut self.transport {
            Transport::Pipe(pipe) => Pin::new(pipe).poll_read(cx, buf),
            Transport::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Transport::Unix(unix) => Pin::new(unix).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Pipe(pipe) => Pin::new(pipe).poll_write(cx, bytes),
            Transport::Tcp(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Transport::Unix(unix) => Pin::new(unix).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Pipe(pipe) => Pin::new(pipe).poll_write_vectored(cx, slices),
            Transport::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Transport::Unix(unix) => Pin::new(unix).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Pipe(pipe) => pipe.is_write_vectored(),
            Transport::Tcp(tcp) => tcp.is_write_vectored(),
            Transport::Unix(unix) => unix.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Pipe(pipe) => Pin::new(pipe).poll_flush(cx),
            Transport::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Transport::Unix(unix) => Pin::new(unix).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Pipe(pipe) => Pin::new(pipe).poll_shutdown(cx),
            Transport::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Transport::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
        }
    }
}
