//! The clock on the wall, for a console whose cluster has a clock of its own.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::Instant;

/// Real time, and Ctrl-C.
pub(super) struct Wall {
    runtime: Runtime,
    interrupted: Arc<AtomicBool>,
}

/// Slices of virtual time, each as long on the wall as the pace has it.
pub(super) struct Beat {
    next: Instant,
    outside: Duration,
    inside: Duration,
}

/// How long a slice takes on the wall, unless it would be too short inside.
const SLICE: Duration = Duration::from_millis(20);
/// How long a slice is inside at least: the grain of virtual time.
const GRAIN: Duration = Duration::from_millis(1);

impl Wall {
    /// Looks out for Ctrl-C only where someone types: a pipe may be ended by it.
    ///
    /// # Errors
    /// If it cannot make a runtime.
    pub(super) fn new(typed: bool) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let interrupted = Arc::<AtomicBool>::default();
        if typed {
            let heard = interrupted.clone();
            runtime.spawn(async move {
                while tokio::signal::ctrl_c().await.is_ok() {
                    heard.store(true, Ordering::Relaxed);
                }
            });
        }
        let wall = Self { runtime, interrupted };
        wall.listen();
        Ok(wall)
    }

    /// Waits for something outside of the cluster.
    pub(super) fn block_on<T>(&self, main: impl Future<Output = T>) -> T {
        self.runtime.block_on(main)
    }

    /// Whether Ctrl-C was pressed since this was last asked.
    pub(super) fn is_interrupted(&self) -> bool {
        self.listen();
        self.interrupted.swap(false, Ordering::Relaxed)
    }

    /// What Ctrl-C meant so far is over.
    pub(super) fn forget_interrupt(&self) {
        self.is_interrupted();
    }

    /// Has the listener take its turn: once to be woken, once to hear.
    fn listen(&self) {
        self.runtime.block_on(async {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
        });
    }

    /// Slices for this pace; `None` if time passes as fast as it can.
    pub(super) fn beat(&self, pace: Option<f64>) -> Option<Beat> {
        let pace = pace?;
        let outside = SLICE.max(GRAIN.div_f64(pace));
        let next = self.runtime.block_on(async { Instant::now() });
        Some(Beat { next, outside, inside: outside.mul_f64(pace) })
    }
}

impl Beat {
    /// Waits for the next slice. Returns how long it is inside.
    pub(super) fn wait(&mut self, wall: &Wall) -> Duration {
        self.next += self.outside;
        // Made inside: a timer belongs to the runtime in which it is made.
        wall.block_on(async { tokio::time::sleep_until(self.next).await });
        self.inside
    }
}
