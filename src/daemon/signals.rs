//! What the system tells the process.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Failure;

/// The signals that a server minds.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// What a signal means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Told {
    /// End, because of the signal of this number.
    Stop(u8),
    /// Read the certificates and tokens again.
    Reload,
}

impl Signals {
    /// Minds them from now on.
    pub(super) fn new() -> Result<Self, Failure> {
        let minded =
            |kind| signal(kind).map_err(|error| Failure::System { what: "to mind signals", error });
        Ok(Self {
            terminate: minded(SignalKind::terminate())?,
            interrupt: minded(SignalKind::interrupt())?,
            hang_up: minded(SignalKind::hangup())?,
        })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop(15),
            _ = self.interrupt.recv() => Told::Stop(2),
            _ = self.hang_up.recv() => Told::Reload,
        }
    }
}
