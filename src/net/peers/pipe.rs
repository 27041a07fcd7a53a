//! One connection after its handshake: what is read, what is written, and whether the other end
//! is still there.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, MissedTickBehavior};

use super::outbox::Outbox;
use super::stats::Counters;
use super::transport::Wire;
use crate::net::frame::{Frames, MAX_FRAME, put};
use crate::net::packet::{Frame, Packet, PacketError};

/// How a connection shows that it works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keepalive {
    /// Each end says so often that it is there.
    pub every: Duration,
    /// A connection on which nothing has come for so long is closed.
    pub timeout: Duration,
}

impl Default for Keepalive {
    /// Every 500 ms; closed after 2 s.
    fn default() -> Self {
        Self { every: Duration::from_millis(500), timeout: Duration::from_secs(2) }
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the other end closed it")]
    Closed,
    #[error("{0}")]
    Io(io::Error),
    #[error("nothing came for {0:?}: the other end is stopped, overloaded or cut off")]
    Silent(Duration),
    #[error("{0}")]
    Garbled(#[from] PacketError),
    #[error("it sent what it may not send: {0}")]
    Forbidden(&'static str),
    #[error("the same end has connected again")]
    Superseded,
    #[error("the server has another address now")]
    Moved,
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // A process that dies takes no leave, which TLS reports.
            io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Io(error),
        }
    }
}

/// A connection whose two ends know each other.
pub(super) struct Pipe {
    pub(super) stream: Box<dyn Wire>,
    /// What was read of it beyond the handshake.
    pub(super) frames: Frames,
    pub(super) outbox: Arc<Outbox>,
    pub(super) counters: Arc<Counters>,
}

/// What its three tasks share.
#[derive(Default)]
struct Pulse {
    /// Bytes that came.
    heard: AtomicU64,
    /// Bytes that went.
    told: AtomicU64,
    /// Nothing is read on purpose: answers must be written first.
    holds: AtomicBool,
}

/// What became of a packet that came in.
pub(super) enum Taken {
    /// Go on.
    Done,
    /// A call, which must be answered.
    Call,
}

impl Pipe {
    /// Reads and writes until the connection ends. `take` is handed every packet.
    pub(super) async fn run(
        self,
        keepalive: Keepalive,
        take: impl FnMut(Packet) -> Result<Taken, Broken>,
    ) -> Broken {
        let Self { stream, frames, outbox, counters } = self;
        let (reader, writer) = tokio::io::split(stream);
        let (start, pulse) = (Instant::now(), Pulse::default());
        let reading = read(reader, frames, &outbox, &counters, &pulse, start, take);
        let broken = tokio::select! {
            biased;
            broken = reading => broken,
            broken = write(writer, &outbox, &counters, &pulse) => broken,
            broken = watch(&outbox, &pulse, start, keepalive) => broken,
        };
        broken.expect_err("invariant: a connection is used until it breaks")
    }
}

/// Reading never ends well.
type Ends = Result<std::convert::Infallible, Broken>;

async fn read(
    mut reader: ReadHalf<Box<dyn Wire>>,
    mut frames: Frames,
    outbox: &Outbox,
    counters: &Counters,
    pulse: &Pulse,
    start: Instant,
    mut take: impl FnMut(Packet) -> Result<Taken, Broken>,
) -> Ends {
    frames.set_limit(MAX_FRAME);
    loop {
        while let Some(bytes) = frames.cut()? {
            counters.frames_in.fetch_add(1, Ordering::Relaxed);
            match Frame::decode(&bytes)? {
                Frame::Ping(number) => outbox.pong(number),
                Frame::Pong(sent) => counters.answered_after(nanos(start).saturating_sub(sent)),
                Frame::Packet(packet) => match take(packet)? {
                    Taken::Done => {}
                    Taken::Call if outbox.owe() => {}
                    Taken::Call => {
                        pulse.holds.store(true, Ordering::Relaxed);
                        outbox.room().await;
                        pulse.holds.store(false, Ordering::Relaxed);
                    }
                },
            }
        }
        match frames.fill(&mut reader).await? {
            0 => return Err(Broken::Closed),
            count => {
                counters.bytes_in.fetch_add(count, Ordering::Relaxed);
                pulse.heard.fetch_add(count, Ordering::Relaxed);
            }
        }
    }
}

/// Writes all that waits with one write, and one more once that is done.
async fn write(
    mut writer: WriteHalf<Box<dyn Wire>>,
    outbox: &Outbox,
    counters: &Counters,
    pulse: &Pulse,
) -> Ends {
    let (mut batch, mut buffer) = (Vec::new(), Vec::new());
    loop {
        outbox.take(&mut batch).await;
        counters.frames_out.fetch_add(batch.len() as u64, Ordering::Relaxed);
        for frame in batch.drain(..) {
            put(&mut buffer, |out| frame.encode(out));
        }
        let mut rest = &buffer[..];
        while !rest.is_empty() {
            let count = writer.write_buf(&mut rest).await? as u64;
            if count == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            counters.bytes_out.fetch_add(count, Ordering::Relaxed);
            pulse.told.fetch_add(count, Ordering::Relaxed);
        }
        writer.flush().await?;
        buffer.clear();
        buffer.shrink_to(MOST_KEPT);
    }
}

/// A buffer that grew beyond this is not kept.
const MOST_KEPT: usize = 1 << 20;

/// Says that this end is there, and notices when the other is not. It counts its own turns and not
/// the time, so that a process that was stopped itself blames nobody.
async fn watch(outbox: &Outbox, pulse: &Pulse, start: Instant, keepalive: Keepalive) -> Ends {
    let mut turns = tokio::time::interval(keepalive.every);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut heard, mut silent) = ((false, 0), Duration::ZERO);
    loop {
        turns.tick().await;
        outbox.ping(nanos(start));
        let holds = pulse.holds.load(Ordering::Relaxed);
        // Who is not read shows by taking what is written that it is there.
        let now = if holds { &pulse.told } else { &pulse.heard };
        let now = (holds, now.load(Ordering::Relaxed));
        if now != heard {
            (heard, silent) = (now, Duration::ZERO);
        } else if silent >= keepalive.timeout {
            return Err(Broken::Silent(keepalive.timeout));
        }
        silent += keepalive.every;
    }
}

fn nanos(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
