//! Bodies of requests: within their limits of size and time, chunk by chunk.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use bytes::{Buf, Bytes, BytesMut};
use futures_core::Stream;
use tokio::time::{Instant, timeout};

use super::config::Limits;
use super::problem::{Code, Problem};
use crate::actors::Source;
use crate::files::CHUNK_BYTES;

/// What an upload of more than one chunk holds in memory at the most: the chunk that is read, those
/// that are under way, and their copies in commands.
const UPLOAD_MEMORY: usize = 20 * CHUNK_BYTES;

/// The body of a request.
pub(super) struct Body {
    payload: Payload,
    /// Its length, if that was announced.
    length: Option<u64>,
    limits: Limits,
    began: Instant,
    read: u64,
    /// What came and was not asked for yet.
    rest: Bytes,
}

/// A body as the source of an upload, whose first chunk has been read.
pub(super) struct Upload {
    pub(super) first: Option<Bytes>,
    pub(super) body: Body,
    /// The hash of all that went by.
    pub(super) hasher: Rc<RefCell<blake3::Hasher>>,
}

impl Body {
    /// The body of this request, which is to have at most `limit` bytes.
    ///
    /// # Errors
    /// It says that it has more, or that it is encoded.
    pub(super) fn new(
        request: &HttpRequest,
        payload: Payload,
        limits: &Limits,
        limit: u64,
    ) -> Result<Self, Problem> {
        let headers = request.headers();
        if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            let detail = "bodies are taken as they are: send it without `Content-Encoding`";
            return Err(Problem::new(Code::BadHeader, detail));
        }
        let length = headers.get(CONTENT_LENGTH);
        // What is no number does not get so far.
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let limits = Limits { body: limits.body.min(limit), ..limits.clone() };
        if let Some(length) = length
            && length > limits.body
        {
            return Err(too_large(limits.body));
        }
        Ok(Self { payload, length, limits, began: Instant::now(), read: 0, rest: Bytes::new() })
    }

    /// Bytes of memory that it takes to read it.
    pub(super) fn memory(&self) -> usize {
        match self.length {
            Some(length) if length <= CHUNK_BYTES as u64 => length as usize,
            _ => UPLOAD_MEMORY,
        }
    }

    /// Its length, if that was announced.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether all of it was asked for, as far as can be known without waiting.
    pub(super) fn is_over(&self) -> bool {
        self.length == Some(self.came())
    }

    /// The next `most` bytes, or all that are left; none at the end.
    ///
    /// # Errors
    /// It has too many bytes, comes too slowly, or breaks off.
    pub(super) async fn chunk(&mut self, most: usize) -> Result<Bytes, Problem> {
        let mut whole = BytesMut::new();
        loop {
            let room = most - whole.len();
            if self.rest.len() >= room || self.rest.is_empty() {
                let part = self.rest.split_to(room.min(self.rest.len()));
                if whole.is_empty() && part.len() == room {
                    return Ok(part);
                }
                whole.extend_from_slice(&part);
            } else {
                let announced = self.length.map_or(0, |length| length - self.came());
                whole.reserve(room.min(self.rest.len() + announced as usize));
                whole.extend_from_slice(&self.rest);
                self.rest.clear();
            }
            if whole.len() == most {
                return Ok(whole.freeze());
            }
            match self.part().await? {
                Some(part) if whole.is_empty() && self.length == Some(self.read) => {
                    // Most bodies come at once, and are not copied.
                    if part.len() <= most {
                        return Ok(part);
                    }
                    self.rest = part;
                }
                Some(part) => self.rest = part,
                None => return Ok(whole.freeze()),
            }
        }
    }

    /// All of it, which is `most` bytes at the most.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk); and if there are more.
    pub(super) async fn all(mut self, most: usize) -> Result<Bytes, Problem> {
        let all = self.chunk(most).await?;
        let more = self.rest.has_remaining() || self.part().await?.is_some();
        if more { Err(too_large(most as u64)) } else { Ok(all) }
    }

    /// Bytes that came and were asked for.
    fn came(&self) -> u64 {
        self.read - self.rest.len() as u64
    }

    /// What comes next; `None` at the end.
    async fn part(&mut self) -> Result<Option<Bytes>, Problem> {
        let silence = self.limits.silence;
        let payload = &mut self.payload;
        let next = poll_fn(|context| Pin::new(&mut *payload).poll_next(context));
        let part = match timeout(silence, next).await {
            Ok(Some(Ok(part))) => part,
            Ok(Some(Err(error))) => return Err(broken(&error)),
            Ok(None) => return Ok(None),
            Err(_) => {
                let seconds = silence.as_secs_f64();
                let detail = format!("the body brought nothing for {seconds} s: send it again");
                return Err(Problem::new(Code::TooSlow, detail));
            }
        };
        self.read += part.len() as u64;
        if self.read > self.limits.body {
            return Err(too_large(self.limits.body));
        }
        let slow = self.began.elapsed().saturating_sub(silence);
        if too_slow(self.read, slow, self.limits.slowest) {
            let slowest = self.limits.slowest;
            let detail = format!("the body comes at less than {slowest} bytes a second");
            return Err(Problem::new(Code::TooSlow, detail));
        }
        Ok(Some(part))
    }
}

/// Whether so few bytes are too few for that time.
fn too_slow(bytes: u64, time: Duration, slowest: u64) -> bool {
    u128::from(bytes) * 1000 < u128::from(slowest) * time.as_millis()
}

fn too_large(limit: u64) -> Problem {
    let detail = format!("the body has more than {limit} bytes, which is the limit here");
    Problem::new(Code::TooLarge, detail)
}

fn broken(error: &PayloadError) -> Problem {
    Problem::new(Code::Incomplete, format!("the body broke off: {error}; send it again"))
}

impl Source for Upload {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let chunk = match self.first.take() {
            Some(first) => first,
            None => self.body.chunk(CHUNK_BYTES).await.map_err(io::Error::other)?,
        };
        self.hasher.borrow_mut().update(&chunk);
        Ok((!chunk.is_empty()).then_some(chunk))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_may_be_slow_but_not_too_slow() {
        let seconds = Duration::from_secs;
        assert!(!too_slow(0, seconds(0), 1024));
        assert!(too_slow(1023, seconds(1), 1024));
        assert!(!too_slow(1024, seconds(1), 1024));
        assert!(too_slow(u64::MAX / 2, seconds(u64::MAX), 1 << 20));
    }
}
