//! Recordings that lack something: their beginnings, as of rings that have gone round, parts in
//! the middle, their ends; of servers whose clocks differ.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::blackbox::player::{Player, Watcher};
use crate::invariants::Fact;
use crate::raft::Time;

struct Nobody;

impl Watcher for Nobody {
    fn tell(&mut self, _: &Fact<'_>) {}

    fn received(&mut self, _: ServerId, _: ServerId, _: &Message) {}

    fn line(&mut self, _: std::fmt::Arguments<'_>) {}
}

/// The recording of one server: its lives, one file each.
type Lives = Vec<(Header, Vec<Record>)>;

fn lives(folder: &Path) -> Lives {
    let file = |path: PathBuf| {
        let (header, records, fault) = read(fs::read(path).unwrap()).unwrap();
        assert_eq!(fault, None);
        (header, records)
    };
    files(folder).into_iter().map(file).collect()
}

/// What is left of a life without these of its records, in files as the server would have begun
/// them there. Its clock shows `skew` more than the others'.
fn without(life: &(Header, Vec<Record>), gaps: &[std::ops::Range<usize>], skew: u64) -> Lives {
    let (mut header, records) = life.clone();
    header.wall = header.local.as_nanos() + skew;
    let mut records = records.into_iter();
    let Some(Record::Checkpoint(first)) = records.next() else { panic!("no beginning") };
    let mut player = Player::new(&header, (*first).clone());
    let (mut left, mut open) =
        (Vec::new(), Some((header.clone(), vec![Record::Checkpoint(first)])));
    for (number, record) in records.enumerate() {
        let missing = gaps.iter().any(|gap| gap.contains(&number));
        match &mut open {
            Some(_) if missing => left.extend(open.take()),
            None if !missing => {
                let wall = player.wall();
                header = Header { part: header.part + 1, wall, lost: 1, ..header };
                header.local = Time::from_nanos(wall - skew);
                let checkpoint = Record::Checkpoint(Box::new(player.checkpoint()));
                open = Some((header.clone(), vec![checkpoint]));
            }
            _ => {}
        }
        assert!(player.play(&record, &mut Nobody).is_ok());
        if let Some((_, records)) = &mut open {
            records.push(record);
        }
    }
    left.extend(open);
    left.retain(|(_, records)| records.len() > 1);
    left
}

/// Writes these files in the place of what is in the folder.
fn put(folder: &Path, lives: Lives) {
    fs::remove_dir_all(folder).unwrap();
    fs::create_dir(folder).unwrap();
    for (number, (mut header, records)) in (1..).zip(lives) {
        header.number = number;
        fs::write(folder.join(format!("{number:08}.box")), file_of(&header, &records)).unwrap();
    }
}

/// Three servers at work for some seconds, with restarts and a change of leader.
fn work(seed: u64) -> TempDir {
    let mut small = Small::seeded(seed, LARGE);
    let mut luck = ChaCha8Rng::seed_from_u64(seed);
    small.lively = true;
    for _ in 0..6 {
        small.propose(luck.random_range(1..60));
        let server = SERVERS[luck.random_range(0..3)];
        match luck.random_range(0..6) {
            0 | 1 => small.restart(server, true),
            2 if small.frozen.is_none() => small.cut_off = Some(server),
            3 if small.cut_off.is_none() => {
                small.thaw();
                small.frozen = Some(server);
            }
            _ => {
                small.cut_off = None;
                small.thaw();
            }
        }
        let most = if small.frozen.is_some() { 4000 } else { 900 };
        small.pass(Duration::from_millis(luck.random_range(1..most)));
    }
    small.cut_off = None;
    small.thaw();
    small.propose(20);
    small.end()
}

/// No property is broken, whatever is missing.
#[test]
fn what_is_missing_is_no_violation() {
    const SEEDS: u64 = 40;
    const CUTS: u64 = 4;
    let mut judged = 0;
    for seed in 0..SEEDS {
        let folder = work(seed);
        let whole = SERVERS.map(|id| lives(&folder.path().join(id.to_string())));
        for cut in 0..CUTS {
            let mut luck = ChaCha8Rng::seed_from_u64(seed << 32 | cut);
            for (id, lives) in SERVERS.into_iter().zip(&whole) {
                let skew = luck.random_range(0..900_000_000);
                let first = luck.random_range(0..lives.len());
                let mut left = Lives::new();
                for (place, life) in lives.iter().enumerate().skip(first) {
                    let count = life.1.len();
                    let mut gaps = Vec::new();
                    // Its beginning, something in the middle, its end.
                    if place == first && cut > 0 {
                        gaps.push(0..luck.random_range(0..count));
                    }
                    if luck.random_ratio(1, 4) {
                        let from = luck.random_range(0..count);
                        gaps.push(from..from + luck.random_range(0..100));
                    }
                    if luck.random_ratio(1, 4) {
                        gaps.push(luck.random_range(0..count)..count);
                    }
                    left.extend(without(life, &gaps, skew));
                }
                if left.is_empty() {
                    left = without(&lives[first], &[], skew);
                }
                put(&folder.path().join(id.to_string()), left);
            }
            let report = replayed(&folder);
            assert!(report.is_equal(), "seed {seed}, cut {cut}: {report}");
            judged += u64::from(report.notes.is_empty());
        }
    }
    assert_eq!(judged, SEEDS * CUTS, "nothing was monitored");
}

/// A leader that commits what its own disk does not have and one other has, when all recordings
/// have begun for some seconds.
#[test]
fn a_violation_behind_the_beginning_of_all_is_found() {
    let second = Duration::from_secs(1);
    let mut small = Small::start(LARGE);
    small.propose(100);
    small.pass(second);
    let leader = small.leader();
    small.propose(100);
    small.pass(3 * second);
    small.propose(10);
    small.cut_off = SERVERS.into_iter().find(|id| *id != leader);
    small.propose(1);
    small.liar = Some(leader);
    small.propose(1);
    let folder = small.end();
    let whole = SERVERS.map(|id| lives(&folder.path().join(id.to_string())));
    for cut in 0..20 {
        let mut luck = ChaCha8Rng::seed_from_u64(cut);
        for (id, lives) in SERVERS.into_iter().zip(&whole) {
            let skew = luck.random_range(0..900_000_000);
            let half = lives[0].1.len() / 2;
            let beginning = 0..luck.random_range(0..half);
            let left = without(&lives[0], std::slice::from_ref(&beginning), skew);
            put(&folder.path().join(id.to_string()), left);
        }
        let report = replayed(&folder);
        assert!(report.differences.is_empty(), "{report}");
        let violation = report.violation.as_ref().unwrap_or_else(|| panic!("cut {cut}: {report}"));
        assert_eq!(violation.server, leader);
        let text = "leader_completeness is violated";
        assert!(violation.text.contains(text), "{report}");
        assert!(violation.text.contains("is on 1 of 3 disks"), "{report}");
    }
}
