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
        let mut room = Room::default();
        loop {
            turns.tick().await;
            let Some(seen) = door.observe().await else { return };
            let (sizes, syncs) = (directory.sizes(), directory.sync_times());
            let full = directory.is_full();
            if let Some(full) = room.news(full, Instant::now()) {
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

/// What was said of the room on the disk.
#[derive(Default)]
struct Room {
    /// It was said that there is none; when that was seen last.
    lacking: Option<Instant>,
}

/// There must be room for so long until that is said: a disk that is full but for a little is told
/// once.
const CALM: Duration = Duration::from_secs(2);

impl Room {
    /// What is to be said now: whether the disk is full.
    fn news(&mut self, full: bool, now: Instant) -> Option<bool> {
        let before = self.lacking;
        match before {
            _ if full => self.lacking = Some(now),
            Some(last) if now - last >= CALM => self.lacking = None,
            _ => {}
        }
        (before.is_some() != self.lacking.is_some()).then_some(full)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_on_the_brink_is_told_once() {
        let (began, mut room) = (Instant::now(), Room::default());
        let mut news = |after, full| room.news(full, began + Duration::from_millis(after));
        assert_eq!(news(0, false), None);
        assert_eq!(news(200, true), Some(true));
        for after in (400..10_000).step_by(400) {
            assert_eq!((news(after, false), news(after + 200, true)), (None, None));
        }
        assert_eq!((news(11_600, false), news(12_000, false)), (None, Some(false)));
        assert_eq!((news(12_200, false), news(12_400, true)), (None, Some(true)));
    }
}
