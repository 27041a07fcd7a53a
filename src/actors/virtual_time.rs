//! Virtual time piece by piece: it stands still whenever nobody runs it.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use actix_rt::SystemRunner;

/// An actor system whose virtual time passes only inside [`block_on`](Self::block_on), and stands
/// still between two calls. How a run is cut into pieces leaves no mark on it: tokio polls the
/// future of `block_on` before the tasks that are ready, so the tasks take their turns in the same
/// order whether it stops there or not.
pub struct VirtualTime {
    system: SystemRunner,
    lull: Arc<Mutex<Lull>>,
}

/// Whoever waits until there is nothing left to do at this moment.
#[derive(Default)]
struct Lull {
    waiting: Option<Waker>,
    reached: u64,
}

impl VirtualTime {
    /// A system at time zero.
    ///
    /// # Errors
    /// If it cannot make a runtime.
    pub fn start() -> io::Result<Self> {
        let lull = Arc::<Mutex<Lull>>::default();
        let hook = lull.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            // Nothing comes from outside: looking for it would take system calls.
            .enable_time()
            .start_paused(true)
            // Called when no task is ready; while something was woken there, time does not move.
            .on_thread_park(move || {
                let lull = &mut *hook.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(waker) = lull.waiting.take() {
                    lull.reached += 1;
                    waker.wake();
                }
            })
            .build()?;
        Ok(Self { system: actix_rt::System::with_tokio_rt(|| runtime), lull })
    }

    /// Lets time pass until `main` is done.
    pub fn block_on<T>(&self, main: impl Future<Output = T>) -> T {
        self.system.block_on(main)
    }

    /// Waits until nothing is left to do but to let time pass. Who looks then, by messages that
    /// change nothing, leaves no mark on what comes after. One may wait at a time: of two, the
    /// second takes the place of the first.
    pub async fn lull(&self) {
        let mut awaited = None;
        poll_fn(|cx| {
            let lull = &mut *self.lull.lock().unwrap_or_else(PoisonError::into_inner);
            let awaited = *awaited.get_or_insert(lull.reached + 1);
            if lull.reached >= awaited {
                return Poll::Ready(());
            }
            lull.waiting = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
