//! A disk with little room left.

use super::snapshots::{chunk, extend, put, save, snapshot};
use super::*;

fn segments(log: &Log) -> Vec<u64> {
    let sizes = log.disk.files.iter().filter(|(file, _)| matches!(file, FileId::Log(_)));
    sizes.map(|(_, bytes)| bytes.len() as u64).collect()
}

/// The log has filled its disk, and so much is left of it.
fn filled(left: u64) -> Log {
    let mut log = new_log();
    extend(&mut log, 20);
    assert!(segments(&log).len() > 5);
    log.disk.room = Some(log.disk.wants(&[]) + left);
    log
}

/// Whatever the log has filled goes when a snapshot has taken its place, though there is no room
/// for a whole segment or pack any more.
#[test]
fn a_log_that_filled_its_disk_makes_room_for_itself() {
    for left in (RESERVE..RESERVE + 3 * SMALL.segment_bytes).step_by(8) {
        let mut log = filled(left);
        let before = log.disk.wants(&[]);
        save(&mut log, 20, &["hold"]);
        log.compact(Index(20));
        log.flush(ms(0));
        assert!(!log.is_full() && log.durable.write == log.written, "with {left} bytes left");
        log.flush(ms(1));
        assert!(log.disk.wants(&[]) < before / 2, "with {left} bytes left: {:?}", segments(&log));
        let mut again = reopened(&log).unwrap();
        assert_eq!(again.snapshot(), Some(snapshot(20, 1, &["hold"])));
        assert_eq!(again.chunk(&chunk("hold").0), Some(chunk("hold").1));
        extend(&mut again, 9);
        assert!(segments(&again).contains(&SMALL.segment_bytes), "whole ones again");
        assert_eq!(state(&reopened(&again).unwrap()), state(&again));
    }
}

/// What makes no room waits for it, and takes nothing of the reserve; with a snapshot behind it, it is
/// written in short segments, each as long as its header says.
#[test]
fn entries_alone_take_nothing_of_the_reserve() {
    let mut log = filled(RESERVE + 100);
    for index in 21..24 {
        log.append(Index(index), entries(1, &["a line"]));
        log.flush(ms(0));
    }
    assert!(log.is_full());
    let before = segments(&log).len();
    log.save_snapshot(snapshot(20, 1, &[]), true);
    log.flush(ms(1));
    assert!(!log.is_full() && log.durable.last == Index(23));
    assert!(segments(&log)[before..].iter().all(|bytes| *bytes < SMALL.segment_bytes));
    log.disk.room = None;
    let again = reopened(&log).unwrap();
    assert_eq!(state(&again), state(&log));
    assert_eq!(again.sizes().log_bytes, segments(&log).iter().sum::<u64>());
}

/// A snapshot takes the place of the log though entries wait that find no room, and nobody would have
/// let go of anything for them: its chunks do not wait for these.
#[test]
fn chunks_do_not_wait_for_entries_that_find_no_room() {
    let mut log = filled(RESERVE + 150);
    log.append(Index(21), entries(1, &["a line that does not fit into what is left of a segment"]));
    let write = put(&mut log, "hold");
    log.flush(ms(0));
    assert!(log.is_full(), "the entry waits");
    assert_eq!((log.durable.chunks, log.durable.last), (write, Index(20)));
    log.save_snapshot(snapshot(20, 1, &["hold"]), true);
    log.compact(Index(20));
    log.flush(ms(1));
    log.flush(ms(2));
    assert!(!log.is_full() && log.durable.last == Index(21));
    let again = reopened(&log).unwrap();
    assert_eq!(again.snapshot(), Some(snapshot(20, 1, &["hold"])));
    assert_eq!(state(&again), state(&log));
}

/// A crash between the making of a segment and its header leaves a file with nothing in it. A server
/// that is killed there again and again does not fill its disk with them.
#[test]
fn a_segment_without_anything_in_it_goes() {
    let mut log = new_log();
    extend(&mut log, 3);
    for _ in 0..5 {
        let next = log.segment.number + 1;
        let mut plate = Plate { batch: None, ..log.disk.clone() };
        plate.files.insert(FileId::Log(next), vec![0; SMALL.segment_bytes as usize]);
        log = open(plate).unwrap();
        assert_eq!(log.log.last.index, Index(3));
        log.save_vote(Term(1), None);
        log.flush(ms(0));
        assert!(!log.disk.files.contains_key(&FileId::Log(next)));
        assert!(
            log.disk.files.contains_key(&FileId::Log(next + 1)),
            "its number is not used again"
        );
    }
}
