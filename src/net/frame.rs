//! Frames: four bytes of length, most significant first, then so many bytes.

use bytes::{Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::codec::{Decoder, LengthDelimitedCodec};

/// Most bytes of one frame. An `AppendEntries` has 1 MiB of payload, or one larger entry; so has
/// a part of a snapshot.
pub const MAX_FRAME: usize = 8 << 20;
/// Most bytes of a frame before both sides know who the other is.
pub(super) const MAX_GREETING: usize = 4 << 10;
/// What is read into at a time.
const READ_BYTES: usize = 64 << 10;
/// With less room than this, new memory is read into. What is left over is lost to commands that
/// are kept in the log: each keeps all that was read into the same memory.
const LEAST_ROOM: usize = 4 << 10;
const LENGTH_BYTES: usize = 4;

/// Writes one frame behind what is in `out`.
pub fn put(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend([0; LENGTH_BYTES]);
    body(out);
    let length = u32::try_from(out.len() - at - LENGTH_BYTES);
    let length = length.expect("invariant: what is sent is bounded by its queue");
    out[at..at + LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
}

/// Cuts a stream of bytes into frames.
#[derive(Debug)]
pub struct Frames {
    codec: LengthDelimitedCodec,
    buffer: BytesMut,
}

impl Frames {
    /// Frames of at most so many bytes.
    pub fn new(limit: usize) -> Self {
        let codec = LengthDelimitedCodec::builder().max_frame_length(limit).new_codec();
        Self { codec, buffer: BytesMut::new() }
    }

    /// Allows frames of this size from now on.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.codec.set_max_frame_length(limit);
    }

    /// Adds what has come.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame, if all of it has come.
    ///
    /// # Errors
    /// If it is larger than allowed.
    pub fn cut(&mut self) -> io::Result<Option<Bytes>> {
        Ok(self.codec.decode(&mut self.buffer)?.map(BytesMut::freeze))
    }

    /// Waits for more bytes. Returns how many came: none come behind the end.
    pub(super) async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<u64> {
        if self.buffer.capacity() - self.buffer.len() < LEAST_ROOM {
            self.buffer.reserve(READ_BYTES);
        }
        Ok(stream.read_buf(&mut self.buffer).await? as u64)
    }

    /// Waits for the next frame; `None` behind the last.
    pub(super) async fn read(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(frame) = self.cut()? {
                return Ok(Some(frame));
            }
            if self.fill(stream).await? == 0 {
                let cut_off = || io::Error::from(io::ErrorKind::UnexpectedEof);
                return if self.buffer.is_empty() { Ok(None) } else { Err(cut_off()) };
            }
        }
    }
}
