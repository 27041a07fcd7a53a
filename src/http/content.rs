//! Contents of files as bodies of answers, page by page.

use std::convert::Infallible;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use actix_web::rt::task::JoinHandle;
use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::condition::Version;
use crate::actors::{Client, ClientError, Done};
use crate::files::{Answer, CHUNK_BYTES, Query};

/// Bytes of a page.
pub(super) const PAGE: u64 = CHUNK_BYTES as u64;

/// What a content holds in memory at the most: the page that is sent, and the next.
pub(super) const MEMORY: usize = 2 * CHUNK_BYTES;

/// Which state of a file.
#[derive(Clone)]
pub(super) enum Of {
    /// This version, which can be read as long as it is the latest or history has it.
    Version(Version),
    /// What this reference meant when the entry at this index had been applied.
    Index(String, u64),
}

/// A part of a content. One page is sent while the next is asked for; there are never more.
pub(super) struct Pages {
    client: Client,
    of: Of,
    size: u64,
    /// What has not been asked for.
    left: Range<u64>,
    here: Option<Bytes>,
    asked: Option<JoinHandle<Result<Done, ClientError>>>,
    _memory: OwnedSemaphorePermit,
}

/// Why a content breaks off: the connection is closed before all of it was sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("{0}")]
    Client(#[from] ClientError),
    #[error("the content ended before its size")]
    Short,
}

/// The body of an answer to `HEAD`: as long as it would be.
pub(super) struct Announced(pub(super) u64);

impl Pages {
    /// These bytes, of which the first, or none, are here.
    pub(super) fn new(
        client: Client,
        of: Of,
        range: Range<u64>,
        here: Bytes,
        memory: OwnedSemaphorePermit,
    ) -> Self {
        let size = range.end - range.start;
        let left = range.start + here.len() as u64..range.end;
        let here = Some(here).filter(|here| !here.is_empty());
        let mut pages = Self { client, of, size, left, here, asked: None, _memory: memory };
        pages.ask();
        pages
    }

    /// Asks for the next page.
    fn ask(&mut self) {
        if self.left.is_empty() {
            return;
        }
        let offset = self.left.start;
        let limit = (self.left.end - offset).min(PAGE);
        let query = match self.of.clone() {
            Of::Version((uuid, revision)) => Query::ReadRevision { uuid, revision, offset, limit },
            Of::Index(file, index) => Query::ReadAt { file, index, offset, limit },
        };
        let client = self.client.clone();
        self.asked = Some(actix_web::rt::spawn(async move { client.query(query).await }));
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if let Some(asked) = &self.asked {
            asked.abort();
        }
    }
}

impl MessageBody for Pages {
    type Error = Broken;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.size)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Broken>>> {
        let this = self.get_mut();
        if let Some(here) = this.here.take() {
            return Poll::Ready(Some(Ok(here)));
        }
        let Some(asked) = &mut this.asked else { return Poll::Ready(None) };
        let page = ready!(Pin::new(asked).poll(context));
        this.asked = None;
        let done = match page.unwrap_or(Err(ClientError::Unknown)) {
            Ok(done) => done,
            Err(error) => {
                log::warn!("a download breaks off: {error}");
                return Poll::Ready(Some(Err(error.into())));
            }
        };
        match done.answer {
            Answer::Content { bytes, .. } if !bytes.is_empty() => {
                this.left.start += bytes.len() as u64;
                this.ask();
                Poll::Ready(Some(Ok(bytes)))
            }
            _ => Poll::Ready(Some(Err(Broken::Short))),
        }
    }
}

impl MessageBody for Announced {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}
