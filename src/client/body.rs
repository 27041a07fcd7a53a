//! A content on its way out: piece by piece, hashed as it goes.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use awc::body::{BodySize, MessageBody};
use bytes::Bytes;
use tokio::time::Instant;

use super::content::Content;

/// Bytes of a piece.
const PIECE: usize = 256 * 1024;

/// What is known of a request that is under way.
pub(super) struct Pulse {
    /// When something moved last.
    moved: Cell<Instant>,
    /// Bytes of the body that left.
    sent: Cell<u64>,
    /// The hash of what left.
    hasher: RefCell<blake3::Hasher>,
    /// Why the content cannot be read.
    failure: RefCell<Option<io::Error>>,
}

/// Who is told how many bytes have left.
pub(super) type Progress = Rc<dyn Fn(u64)>;

/// A body that is being sent.
pub(super) struct Outgoing {
    content: Content,
    pulse: Rc<Pulse>,
    progress: Progress,
}

impl Pulse {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            moved: Cell::new(Instant::now()),
            sent: Cell::new(0),
            hasher: RefCell::default(),
            failure: RefCell::default(),
        })
    }

    pub(super) fn moved(&self) -> Instant {
        self.moved.get()
    }

    /// Whether anything of the body left.
    pub(super) fn has_sent(&self) -> bool {
        self.sent.get() > 0
    }

    pub(super) fn hash(&self) -> blake3::Hash {
        self.hasher.borrow().finalize()
    }

    pub(super) fn failure(&self) -> Option<io::Error> {
        self.failure.borrow_mut().take()
    }
}

impl Outgoing {
    pub(super) fn new(content: Content, pulse: Rc<Pulse>, progress: Progress) -> Self {
        Self { content, pulse, progress }
    }
}

impl MessageBody for Outgoing {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.content.size())
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, io::Error>>> {
        let Self { content, pulse, progress } = &*self;
        let at = pulse.sent.get();
        pulse.moved.set(Instant::now());
        if at == content.size() {
            return Poll::Ready(None);
        }
        match content.read(at, PIECE) {
            Ok(piece) => {
                pulse.hasher.borrow_mut().update(&piece);
                pulse.sent.set(at + piece.len() as u64);
                progress(pulse.sent.get());
                Poll::Ready(Some(Ok(piece)))
            }
            Err(error) => {
                let told = io::Error::new(error.kind(), error.to_string());
                pulse.failure.replace(Some(error));
                Poll::Ready(Some(Err(told)))
            }
        }
    }
}
