//! One look after the other at the server, kept for those who must not wait for it: metrics, and
//! whether it is alive and ready.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::actors::{Door, Observation};
use crate::storage::{DataDir, Sizes, SyncTimes};

/// The latest look. Shared by the thread that looks and those that ask.
#[derive(Clone, Default)]
pub(super) struct Pulse(Arc<Mutex<Option<Look>>>);

/// What was seen, and when.
#[derive(Clone)]
pub(super) struct Look {
    pub(super) at: Instant,
    pub(super) seen: Observation,
    pub(super) sizes: Sizes,
    pub(super) syncs: SyncTimes,
    /// Something waits for room on the disk.
    pub(super) full: bool,
}

/// The time between two looks.
const EVERY: Duration = Duration::from_millis(200);

impl Pulse {
    /// The latest look; `None` before the first.
    pub(super) fn latest(&self) -> Option<Look> {
        self.lock().clone()
    }

    /// Looks until the server has ended, and calls `beat` after each time.
    pub(super) async fn keep(self, door: Door, directory: &DataDir, beat: impl Fn()) {
        let mut turns = tokio::time::interval(EVERY);
        turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut was_full = false;
        loop {
            turns.tick().await;
            let Some(seen) = door.observe().await else { return };
            let (sizes, syncs) = (directory.sizes(), directory.sync_times());
            let full = directory.is_full();
            if full != std::mem::replace(&mut was_full, full) {
                tell_of_room(full, directory.path());
            }
            *self.lock() = Some(Look { at: Instant::now(), seen, sizes, syncs, full });
            beat();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Look>> {
        // It is replaced as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that there is no room any more, or that there is again.
fn tell_of_room(full: bool, data: &Path) {
    let data = data.display();
    match full {
        true => log::warn!(
            "the disk of {data} is full: what is written waits for room. Reads are answered; \
             writes are refused as long as this server leads, and it hands over to one that has \
             room. Make room there: nothing has to be started again"
        ),
        false => log::info!("the disk of {data} has room again: writes go on"),
    }
}
