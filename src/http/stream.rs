//! One connection: bytes in and out, and how long a client may take over them.
//!
//! What HTTP itself leaves open is closed here, below it: a client that begins a request and does
//! not end its headers, and one that takes an answer byte by byte. What is no HTTP at all is
//! answered by actix-web with a status alone; here it becomes a problem like any other.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_rustls::server::TlsStream;

use super::problem::{Code, Problem};
use super::worker::Shared;

/// A connection that does not wait for ever.
pub(super) struct Stream {
    io: Transport,
    pub(super) requests: Rc<Requests>,
    reading: Alarm,
    writing: Alarm,
    /// Since when nothing could be written.
    blocked: Option<Instant>,
    /// For how long nothing may be written; what is written earns some of it back.
    credit: Duration,
    silence: Duration,
    slowest: u64,
    /// What goes out instead of an answer without words.
    instead: Bytes,
    shared: Arc<Shared>,
}

/// What carries the bytes.
pub(super) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The requests of one connection, as far as they are known above and below HTTP.
pub(super) struct Requests {
    /// Those that are being answered.
    under_way: Cell<usize>,
    /// When the next one must have begun.
    due: Cell<Option<Instant>>,
    /// How long headers may take.
    head: Duration,
    /// How long a connection may take from one request, or a piece of its answer, to the next
    /// request, headers included.
    pause: Duration,
}

/// One request that is being answered.
pub(super) struct UnderWay(Rc<Requests>);

/// Something to wake up for.
#[derive(Default)]
struct Alarm(Option<Pin<Box<Sleep>>>);

/// How the answers begin that actix-web gives by itself, and what they mean.
const BARE: [(&[u8], Code, &str); 3] = [
    (b"HTTP/1.1 400 ", Code::BadRequest, "this is no HTTP/1.1 request that can be read"),
    (b"HTTP/1.1 408 ", Code::TooSlow, "the headers of the request did not come in time"),
    (b"HTTP/1.1 431 ", Code::HeadersTooLarge, "the headers of the request are too large"),
];
/// Whoever answers with words has some.
const EMPTY: &[u8] = b"\r\ncontent-length: 0\r\n";
/// No answer without words is longer.
const MAX_BARE: usize = 256;

impl Stream {
    pub(super) fn new(io: Transport, shared: Arc<Shared>) -> Self {
        let limits = &shared.config.limits;
        shared.meter.connections.fetch_add(1, Relaxed);
        let requests = Requests {
            under_way: Cell::new(0),
            due: Cell::new(None),
            head: limits.header_time,
            pause: limits.keep_alive + limits.silence + limits.header_time,
        };
        Self {
            io,
            requests: Rc::new(requests),
            reading: Alarm::default(),
            writing: Alarm::default(),
            blocked: None,
            credit: limits.silence,
            silence: limits.silence,
            slowest: limits.slowest,
            instead: Bytes::new(),
            shared,
        }
    }

    /// Takes note of what was written.
    fn wrote(&mut self, bytes: usize) {
        if let Some(blocked) = self.blocked.take() {
            let earned = Duration::from_secs_f64(bytes as f64 / self.slowest.max(1) as f64);
            let left = self.credit.saturating_sub(blocked.elapsed());
            self.credit = (left + earned).min(self.silence);
        }
        self.requests.go_on();
    }

    /// Takes note that nothing can be written; ready when that has lasted too long.
    fn stuck(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let since = *self.blocked.get_or_insert_with(Instant::now);
        self.writing.rings(since + self.credit, context)
    }

    /// Has what goes out instead written.
    fn poll_instead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.instead.is_empty() {
            match Pin::new(&mut self.io).poll_write(context, &self.instead) {
                Poll::Ready(written) => {
                    let bytes = written?;
                    self.instead.advance(bytes);
                    self.wrote(bytes);
                }
                Poll::Pending => return self.stuck(context).map(|()| Err(too_slow())),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shared.meter.connections.fetch_sub(1, Relaxed);
    }
}

impl Requests {
    /// One more, until what is returned is dropped.
    pub(super) fn begin(self: Rc<Self>) -> UnderWay {
        self.under_way.set(self.under_way.get() + 1);
        self.due.set(None);
        UnderWay(self)
    }

    /// Bytes came in. If they are for no request that is known, they begin one.
    fn came(&self) {
        if self.under_way.get() == 0 {
            let due = Instant::now() + self.head;
            self.due.set(Some(self.due.get().map_or(due, |before| before.min(due))));
        }
    }

    /// Bytes went out: the answer to the last one is not over yet.
    fn go_on(&self) {
        if self.due.get().is_some() {
            self.due.set(Some(Instant::now() + self.pause));
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let Requests { under_way, due, pause, .. } = &*self.0;
        under_way.set(under_way.get() - 1);
        if under_way.get() == 0 {
            due.set(Some(Instant::now() + *pause));
        }
    }
}

impl Alarm {
    /// Ready at this time, and not before. It may have been set for another.
    fn rings(&mut self, at: Instant, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if at < sleep.deadline() {
            sleep.as_mut().reset(at);
        }
        while sleep.as_mut().poll(context).is_ready() {
            if sleep.deadline() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
        Poll::Pending
    }
}

/// What is said in place of an answer without words, if this is one.
fn worded(answer: &[u8]) -> Option<Bytes> {
    let (_, code, detail) = BARE.iter().find(|(begins, ..)| answer.starts_with(begins))?;
    let bare = answer.len() <= MAX_BARE
        && answer.ends_with(b"\r\n\r\n")
        && answer.windows(EMPTY.len()).any(|part| part == EMPTY);
    bare.then(|| Problem::new(*code, *detail).last_words())
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client is too slow")
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.io).poll_read(context, buffer);
        if read.is_ready() {
            if buffer.filled().len() > before {
                this.requests.came();
            }
            return read;
        }
        match this.requests.due.get() {
            Some(due) => this.reading.rings(due, context).map(|()| Err(too_slow())),
            None => Poll::Pending,
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.instead.is_empty()
            && let Some(words) = worded(buffer)
        {
            // Nothing comes behind it but a flush.
            this.instead = words;
            return Poll::Ready(Ok(buffer.len()));
        }
        ready!(this.poll_instead(context))?;
        match Pin::new(&mut this.io).poll_write(context, buffer) {
            Poll::Ready(written) => {
                if let Ok(bytes) = written {
                    this.wrote(bytes);
                }
                Poll::Ready(written)
            }
            Poll::Pending => this.stuck(context).map(|()| Err(too_slow())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_instead(context))?;
        match Pin::new(&mut this.io).poll_flush(context) {
            Poll::Ready(flushed) => Poll::Ready(flushed),
            Poll::Pending => this.stuck(context).map(|()| Err(too_slow())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_instead(context))?;
        match Pin::new(&mut this.io).poll_shutdown(context) {
            Poll::Ready(shut) => Poll::Ready(shut),
            Poll::Pending => this.stuck(context).map(|()| Err(too_slow())),
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(io) => Pin::new(io).poll_read(context, buffer),
            Transport::Tls(io) => Pin::new(io).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Transport::Plain(io) => Pin::new(io).poll_write(context, buffer),
            Transport::Tls(io) => Pin::new(io).poll_write(context, buffer),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(io) => Pin::new(io).poll_flush(context),
            Transport::Tls(io) => Pin::new(io).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(io) => Pin::new(io).poll_shutdown(context),
            Transport::Tls(io) => Pin::new(io).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_without_words_is_given_some() {
        let date = "date: Mon, 23 Nov 2026 14:00:00 GMT";
        for (status, code) in [
            ("400 Bad Request", "bad_request"),
            ("408 Request Timeout", "too_slow"),
            ("431 Request Header Fields Too Large", "headers_too_large"),
        ] {
            let bare = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n{date}\r\n\r\n");
            let words = String::from_utf8(worded(bare.as_bytes()).unwrap().into()).unwrap();
            let (head, body) = words.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {}", &status[..3])), "{head}");
            assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
            assert!(head.contains("application/problem+json"), "{head}");
            assert!(body.contains(code), "{body}");
        }
        for other in [
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n",
            "",
        ] {
            assert_eq!(worded(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn an_alarm_rings_at_the_latest_time_that_it_was_set_for_or_an_earlier_one() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (start, mut alarm) = (Instant::now(), Alarm::default());
            let second = Duration::from_secs(1);
            for (at, wakes_at) in [(5, 5), (9, 9), (20, 20)] {
                let at = start + second * at;
                std::future::poll_fn(|context| alarm.rings(at, context)).await;
                assert_eq!(start.elapsed().as_secs(), wakes_at);
            }
            let late = start + second * 100;
            let not_yet = std::future::poll_fn(|context| {
                Poll::Ready(alarm.rings(late, context).is_pending())
            });
            assert!(not_yet.await);
            let soon = start + second * 30;
            std::future::poll_fn(|context| alarm.rings(soon, context)).await;
            assert_eq!(start.elapsed().as_secs(), 30);
        });
    }
}
