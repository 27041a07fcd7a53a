//! A disk in memory, with the crash rules of a real one: a sync takes a while, may stall, covers
//! what was written before it began, and what no sync covered is undone by a crash.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use super::log::MemoryLog;
use super::{DiskSpeed, Durable, Recovered, Storage, StorageError, WriteId};
use crate::raft::{Entries, Index, Persistent, Position, ServerId, Term, Time};

/// A server's disk. Clones are handles to the same disk: the supervisor keeps one while servers
/// that use it come and go.
#[derive(Clone, Default)]
pub struct MemoryDisk(Rc<RefCell<Disk>>);

#[derive(Default)]
struct Disk {
    term: Term,
    voted_for: Option<ServerId>,
    log: MemoryLog,
    /// `current_term` when entries were written last.
    appended_in: Term,
    written: WriteId,
    durable: Durable,
    /// How to take back each write that is not durable, oldest first.
    undo: VecDeque<Undo>,
    /// The sync under way: what it covers and when it began.
    syncing: Option<(Durable, Time)>,
    wanted: bool,
    speed: DiskSpeed,
}

enum Undo {
    Vote { term: Term, voted_for: Option<ServerId> },
    Append { first: Index, removed: Entries },
}

impl MemoryDisk {
    /// Changes how long syncs take, the one under way included.
    pub fn set_speed(&self, speed: DiskSpeed) {
        self.0.borrow_mut().speed = speed;
    }

    /// How long syncs take.
    pub fn speed(&self) -> DiskSpeed {
        self.0.borrow().speed
    }

    /// The term, the vote and the last entry, as written.
    pub fn summary(&self) -> (Term, Option<ServerId>, Position) {
        let disk = self.0.borrow();
        (disk.term, disk.voted_for, disk.log.last)
    }

    /// Loses everything that no finished sync covered.
    pub fn crash(&self) {
        let disk = &mut *self.0.borrow_mut();
        while let Some(undo) = disk.undo.pop_back() {
            match undo {
                Undo::Vote { term, voted_for } => (disk.term, disk.voted_for) = (term, voted_for),
                Undo::Append { first, removed } => {
                    disk.log.truncate(first);
                    disk.log.append(first, removed);
                }
            }
        }
        (disk.written, disk.appended_in) = (disk.durable.write, disk.durable.term);
        (disk.syncing, disk.wanted) = (None, false);
    }

    /// Syncs everything at once, as a server that ends in good order does.
    pub fn flush(&self) {
        self.0.borrow_mut().finish_all();
    }
}

impl Storage for MemoryDisk {
    fn load(&self) -> Recovered {
        let disk = self.0.borrow();
        let persistent = Persistent {
            current_term: disk.term,
            voted_for: disk.voted_for,
            log: disk.log.metas().collect(),
            ..Persistent::default()
        };
        Recovered { persistent, torn: None }
    }

    fn save_vote(&mut self, term: Term, voted_for: Option<ServerId>) -> WriteId {
        let disk = &mut *self.0.borrow_mut();
        disk.undo.push_back(Undo::Vote { term: disk.term, voted_for: disk.voted_for });
        (disk.term, disk.voted_for) = (term, voted_for);
        disk.wrote()
    }

    fn append(&mut self, first: Index, entries: Entries) -> WriteId {
        let disk = &mut *self.0.borrow_mut();
        let removed = disk.log.truncate(first);
        disk.undo.push_back(Undo::Append { first, removed });
        disk.log.append(first, entries);
        disk.appended_in = disk.term;
        disk.wrote()
    }

    fn read(&self, after: Index, last: Index, max_bytes: u64) -> Entries {
        self.0.borrow().log.read(after, last, max_bytes)
    }

    fn sync(&mut self, now: Time) {
        let disk = &mut *self.0.borrow_mut();
        if disk.speed == DiskSpeed::Latency(Duration::ZERO) {
            disk.finish_all();
        } else {
            disk.wanted = true;
            disk.advance(now);
        }
    }

    fn durable(&mut self, now: Time) -> Result<Durable, StorageError> {
        let disk = &mut *self.0.borrow_mut();
        disk.advance(now);
        Ok(disk.durable)
    }

    fn deadline(&self) -> Option<Time> {
        let disk = self.0.borrow();
        let (_, began) = disk.syncing?;
        match disk.speed {
            DiskSpeed::Latency(latency) => Some(began + latency),
            DiskSpeed::Stalled => None,
        }
    }
}

impl Disk {
    fn all_written(&self) -> Durable {
        Durable { write: self.written, term: self.appended_in, last: self.log.last.index }
    }

    fn wrote(&mut self) -> WriteId {
        self.written = WriteId(self.written.0 + 1);
        self.written
    }

    /// Ends the sync under way if its time has come, and begins the next if one is wanted.
    fn advance(&mut self, now: Time) {
        loop {
            match (self.syncing, self.speed) {
                (Some((covered, began)), DiskSpeed::Latency(latency)) if began + latency <= now => {
                    let done = covered.write.0 - self.durable.write.0;
                    self.undo.drain(..done as usize);
                    self.durable = covered;
                    self.syncing = None;
                }
                (None, _) if self.wanted => {
                    let covered = self.all_written();
                    self.syncing = Some((covered, now));
                    self.wanted = false;
                }
                _ => return,
            }
        }
    }

    fn finish_all(&mut self) {
        self.undo.clear();
        self.durable = self.all_written();
        (self.syncing, self.wanted) = (None, false);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::raft::{Entry, EntryMeta, Payload};

    fn entries(term: u64, texts: &[&'static str]) -> Entries {
        let entry = |text: &&'static str| Entry {
            term: Term(term),
            payload: Payload::Command(Bytes::from_static(text.as_bytes())),
        };
        texts.iter().map(entry).collect::<Vec<_>>().into()
    }

    fn ms(milliseconds: u64) -> Time {
        Time::from_nanos(0) + Duration::from_millis(milliseconds)
    }

    fn texts(disk: &MemoryDisk) -> Vec<String> {
        let read = disk.read(Index(0), Index(u64::MAX), u64::MAX);
        let text = |entry: &Entry| match &entry.payload {
            Payload::NoOp => "-".to_owned(),
            Payload::Command(command) => String::from_utf8_lossy(command).into_owned(),
        };
        read.iter().map(text).collect()
    }

    /// TRAPS 4: truncation and replacement are one write; a crash leaves the old or the new.
    #[test]
    fn trap_04_a_crash_takes_back_truncation_and_replacement_together() {
        let mut disk = MemoryDisk::default();
        disk.append(Index(1), entries(1, &["a", "b", "c"]));
        disk.append(Index(4), entries(1, &["d"]));
        disk.sync(ms(0));
        disk.set_speed(DiskSpeed::Stalled);
        disk.append(Index(2), entries(2, &["x"]));
        disk.append(Index(3), entries(2, &["y"]));
        disk.sync(ms(1));
        assert_eq!(texts(&disk), ["a", "x", "y"]);
        disk.crash();
        assert_eq!(texts(&disk), ["a", "b", "c", "d"]);
        let metas = disk.load().persistent.log;
        assert_eq!(metas.len(), 4);
        assert_eq!(metas[3], EntryMeta { term: Term(1), bytes: 1 });
    }

    /// TRAPS 71: a sync covers what was written before it began, and nothing else.
    #[test]
    fn trap_71_a_sync_covers_what_was_written_before_it_began() {
        let mut disk = MemoryDisk::default();
        disk.set_speed(DiskSpeed::Latency(Duration::from_millis(10)));
        let vote = disk.save_vote(Term(3), Some(ServerId(2)));
        disk.sync(ms(0));
        disk.append(Index(1), entries(3, &["a"]));
        disk.sync(ms(5));
        assert_eq!(disk.deadline(), Some(ms(10)));
        assert_eq!(disk.durable(ms(9)), Ok(Durable::default()));
        let first = disk.durable(ms(10)).unwrap();
        assert_eq!((first.write, first.term, first.last), (vote, Term(0), Index(0)));
        assert_eq!(disk.deadline(), Some(ms(20)), "the second began when the first ended");
        disk.crash();
        let kept = disk.load().persistent;
        assert_eq!((kept.current_term, kept.voted_for), (Term(3), Some(ServerId(2))));
        assert!(kept.log.is_empty());
    }

    /// TRAPS 15: the sync of a vote of term 2 says nothing of what term 2 does to the log.
    #[test]
    fn trap_15_a_vote_does_not_speak_for_the_entries_of_its_term() {
        let mut disk = MemoryDisk::default();
        disk.save_vote(Term(1), None);
        disk.append(Index(1), entries(1, &["a", "b", "c"]));
        disk.sync(ms(0));
        disk.set_speed(DiskSpeed::Latency(Duration::from_millis(10)));
        let vote = disk.save_vote(Term(2), None);
        disk.sync(ms(0));
        disk.append(Index(2), entries(2, &["x"]));
        assert_eq!(
            disk.durable(ms(10)),
            Ok(Durable { write: vote, term: Term(1), last: Index(3) }),
            "1 to 3 as term 1 wrote them; 2 as term 2 did is not there yet"
        );
    }

    #[test]
    fn every_run_is_found_however_far_back() {
        let mut disk = MemoryDisk::default();
        for index in 1..=100 {
            disk.append(Index(index), entries(index, &["x"]));
        }
        for index in 1..=100 {
            let read = disk.read(Index(index - 1), Index(index), u64::MAX);
            assert_eq!(read.last().map(|entry| entry.term), Some(Term(index)));
        }
    }

    #[test]
    fn a_crashed_disk_goes_on_where_the_last_sync_left_it() {
        let mut disk = MemoryDisk::default();
        disk.set_speed(DiskSpeed::Latency(Duration::from_millis(10)));
        disk.append(Index(1), entries(1, &["lost"]));
        disk.sync(ms(0));
        disk.crash();
        let kept = disk.append(Index(1), entries(2, &["kept"]));
        disk.sync(ms(20));
        let durable = Durable { write: kept, term: Term(0), last: Index(1) };
        assert_eq!(disk.durable(ms(30)), Ok(durable));
        disk.crash();
        assert_eq!(texts(&disk), ["kept"]);
    }

    #[test]
    fn reading_is_bounded_and_crosses_runs() {
        let mut disk = MemoryDisk::default();
        disk.append(Index(1), entries(1, &["aa", "bb"]));
        disk.append(Index(3), entries(1, &["cc"]));
        disk.append(Index(4), entries(1, &["dd", "ee"]));
        let read = |after, last, bytes| disk.read(Index(after), Index(last), bytes).len();
        assert_eq!(read(0, 5, 100), 5);
        assert_eq!(read(1, 4, 100), 3);
        assert_eq!(read(1, 4, 4), 2);
        assert_eq!(read(1, 4, 1), 1, "one at least");
        assert_eq!(read(5, 9, 100), 0);
    }
}
