//! The bytes of one connection: who waits for whom, and how long that is worth it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};

/// What is known of a client, beside its connection.
#[derive(Debug)]
pub(super) struct Client {
    waits: Mutex<Waits>,
    /// The status with which hyper has refused by itself what the client sent; 0 if it has not.
    refused: AtomicU16,
    /// Told when its place is needed for another.
    pub(super) leave: Notify,
}

/// Since when we wait for a client to send something, and to take something.
#[derive(Debug, Default, Clone, Copy)]
struct Waits {
    to_read: Option<Instant>,
    to_write: Option<Instant>,
    /// It has sent something at least once.
    is_heard: bool,
}

impl Client {
    /// One who has just come, and may be silent for so long before anybody waits for it.
    pub(super) fn new(silence: Duration) -> Self {
        let client = Client { waits: Mutex::default(), refused: AtomicU16::new(0), leave: Notify::new() };
        client.may_be_silent_for(silence);
        client
    }

    /// Since when we wait for it. Nobody is kept waiting by us who has a time here.
    pub(super) fn awaited_since(&self) -> Option<Instant> {
        let waits = *self.waits();
        waits.to_write.or(waits.to_read)
    }

    /// Whether anything has been read of it.
    pub(super) fn is_heard(&self) -> bool {
        self.waits().is_heard
    }

    /// Whether it leaves an answer of ours where it is.
    pub(super) fn takes_nothing(&self) -> bool {
        self.waits().to_write.is_some()
    }

    pub(super) fn refused(&self) -> Option<u16> {
        Some(self.refused.load(Ordering::Relaxed)).filter(|status| *status != 0)
    }

    /// It is to send something, from now on or still.
    fn is_to_send(&self) {
        let _since = self.waits().to_read.get_or_insert_with(Instant::now);
    }

    /// It may be silent for so long before anybody waits for it.
    pub(super) fn may_be_silent_for(&self, silence: Duration) {
        self.waits().to_read = Some(Instant::now() + silence);
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection as hyper reads and writes it.
pub(super) struct Wire {
    stream: Arc<TcpStream>,
    client: Arc<Client>,
    /// How long the client may take nothing of what we write.
    patience: Duration,
    /// Runs while it takes nothing.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    pub(super) fn new(stream: Arc<TcpStream>, client: Arc<Client>, patience: Duration) -> Self {
        Wire { stream, client, patience, deadline: None }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let Poll::Ready(ready) = self.stream.poll_read_ready(cx) else {
                self.client.is_to_send();
                return Poll::Pending;
            };
            ready?;
            match self.stream.try_read_buf(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => {
                    let mut waits = self.client.waits();
                    waits.to_read = None;
                    waits.is_heard = true;
                    drop(waits);
                    return Poll::Ready(done.map(drop));
                }
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(status) = parts.first().and_then(|head| refusal_of_hyper(head)) {
            self.client.refused.store(status, Ordering::Relaxed);
            return Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum()));
        }
        loop {
            let Poll::Ready(ready) = self.stream.poll_write_ready(cx) else {
                let _since = self.client.waits().to_write.get_or_insert_with(Instant::now);
                let patience = self.patience;
                ready!(self.deadline.get_or_insert_with(|| Box::pin(sleep(patience))).as_mut().poll(cx));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            };
            ready?;
            match self.stream.try_write_vectored(parts) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => {
                    self.client.waits().to_write = None;
                    self.deadline = None;
                    return Poll::Ready(done);
                }
            }
        }
    }

    /// Parts of an answer go out from where they are: a file is never copied.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// There may be a last word to say, which hyper does not know of: see `connection`.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The status of the bare head that hyper answers what is no request. Nothing else begins like that: every other
/// answer has headers of its own, which come first.
fn refusal_of_hyper(head: &[u8]) -> Option<u16> {
    let text = str::from_utf8(head.get(..96).unwrap_or(head)).ok()?;
    let (status, rest) = text.strip_prefix("HTTP/1.")?.get(2..)?.split_once("\r\n")?;
    let is_bare =
        rest.starts_with("connection: close\r\ncontent-length: 0\r\n") || rest.starts_with("content-length: 0\r\n");
    status.get(..3)?.parse().ok().filter(|status| is_bare && matches!(status, 400 | 414 | 431))
}
