//! Joins the recordings of a cluster: one order of all events, sends before receives.
//!
//! Each server's events have the order in which they were recorded. Between servers it is Unix
//! time that decides, but no message is taken in before it was sent: clocks need not agree. A
//! message that nobody sent is found out, unless its sender was in the dark at about that time.

use std::collections::BTreeSet;
use std::io::Write;

use super::file::Header;
use super::player::{Differs, Player, Watcher};
use super::reader::{Dark, Event, Recording, Stream, Unreadable};
use super::record::{Given, Record, Step};
use super::report::{Difference, Report, Track};
use super::scene::{SKEW, Scene, listed};
use crate::invariants::Fact;
use crate::raft::{Index, Message, Node, ServerId, Term};

/// For so long after a server came out of the dark, messages may come of it that its recording
/// does not have, in nanoseconds: they take up to a second, and clocks differ.
const LATE: u64 = 1_000_000_000 + SKEW;
/// A server to which nothing happens for so long may have been stopped, and what was sent to it
/// meanwhile waits for it, in nanoseconds.
const STOPPED: u64 = 500_000_000;
/// The report names no more differences than this; they are counted.
const MAX_DIFFERENCES: usize = 20;

/// One server's recording on its way.
struct Performer {
    server: ServerId,
    stream: Stream,
    next: Option<Event>,
    /// When `next` was, in Unix time.
    due: u64,
    /// From when to when nothing happened to it, the last time.
    pause: (u64, u64),
    player: Option<Player>,
    /// Since when all that it did is known; `None` while it is not.
    seen_since: Option<u64>,
    /// It was found out to differ: the rest of this file says nothing.
    lost: bool,
    /// The file that is played.
    file: u64,
    track: Track,
}

/// Does again what the servers of a cluster did, from the recordings of some or all of them, and
/// says whether it is the same. What happens is written to `trace`, one line each.
///
/// # Errors
/// If the recordings do not belong together, or cannot be read.
pub fn replay(
    recordings: &[Recording],
    trace: Option<&mut dyn Write>,
) -> Result<Report, Unreadable> {
    let servers: BTreeSet<_> = recordings.iter().map(Recording::server).collect();
    if servers.len() < recordings.len() {
        let text = "two of the recordings are of the same server".to_owned();
        return Err(Unreadable::Together(text));
    }
    let clusters: BTreeSet<_> = recordings.iter().map(Recording::cluster).collect();
    if clusters.len() > 1 {
        let text = "the recordings are of servers of different clusters".to_owned();
        return Err(Unreadable::Together(text));
    }
    let mut performers = recordings.iter().map(Performer::new).collect::<Result<Vec<_>, _>>()?;
    let begun = performers.iter().map(|performer| performer.due).min().unwrap_or_default();
    let waiting = performers.iter().filter(|performer| performer.birth().is_none());
    let waiting = waiting.map(|performer| performer.server).collect();
    // A disk that a server has lost was empty, too; whoever founded the cluster had no other.
    let founds = |node: &&Node| !node.is_recovering();
    let mut newborn = BTreeSet::new();
    for performer in performers.iter_mut().filter(|it| it.birth().filter(founds).is_some()) {
        newborn.insert(performer.server);
        performer.seen_since = Some(0);
    }
    let scene = Scene::new(trace, begun);
    let mut join = Join {
        performers,
        servers,
        waiting,
        newborn,
        scene,
        differences: Vec::new(),
        more: 0,
        violation: None,
    };
    while let Some(place) = join.choose() {
        join.advance(place)?;
    }
    Ok(join.report())
}

struct Join<'a> {
    performers: Vec<Performer>,
    servers: BTreeSet<ServerId>,
    /// Their recordings begin in the middle of a life, and have not begun yet: until then the
    /// monitor would not know enough.
    waiting: BTreeSet<ServerId>,
    /// Those of which there is nothing before their recordings.
    newborn: BTreeSet<ServerId>,
    scene: Scene<'a>,
    differences: Vec<Difference>,
    /// Differences that are not named.
    more: u64,
    violation: Option<Difference>,
}

impl Performer {
    fn new(recording: &Recording) -> Result<Self, Unreadable> {
        let mut performer = Self {
            server: recording.server(),
            stream: recording.stream(),
            next: None,
            due: 0,
            pause: (0, 0),
            player: None,
            seen_since: None,
            lost: false,
            file: 0,
            track: Track::new(recording),
        };
        performer.fetch()?;
        Ok(performer)
    }

    fn fetch(&mut self) -> Result<(), Unreadable> {
        self.next = self.stream.next()?;
        let before = self.due;
        self.due = match (&self.next, &self.player) {
            (Some(Event::Begin { header, .. }), _) => header.wall,
            (Some(Event::Record(_, record)), Some(player)) => player.wall_at(record),
            _ => self.due,
        };
        if self.due > before.saturating_add(STOPPED) {
            self.pause = (before, self.due);
        }
        Ok(())
    }

    /// The first moment of a server with an empty disk, if its recording begins with that.
    fn birth(&self) -> Option<&Node> {
        match &self.next {
            Some(Event::Begin { header, checkpoint, .. }) => {
                let node = &checkpoint.node;
                let nothing = (node.term(), node.last_log().index) == (Term(0), Index(0));
                (header.part == 0 && nothing).then_some(node)
            }
            _ => None,
        }
    }

    /// The message that it is about to take in may have been on its way since then.
    fn hears_from(&self) -> u64 {
        let (stopped, went_on) = self.pause;
        if self.due <= went_on.saturating_add(LATE) { stopped } else { self.due }
    }

    /// The message that it is about to take in.
    fn awaits(&self) -> Option<(ServerId, &Message)> {
        match &self.next {
            Some(Event::Record(_, record)) if !self.lost => sender(record),
            _ => None,
        }
    }
}

impl Join<'_> {
    /// Whose turn it is: the earliest who does not wait for a message to be sent; if all do, the
    /// earliest of those whose message may come from the dark; or else of all.
    fn choose(&self) -> Option<usize> {
        let there = || self.performers.iter().enumerate().filter(|(_, it)| it.next.is_some());
        let free = there().filter(|(_, performer)| !self.waits(performer));
        let earliest = |(_, performer): &(usize, &Performer)| (performer.due, performer.server);
        let may_be_dark = || there().filter(|(_, performer)| !self.never_sent(performer));
        let first = free.min_by_key(earliest);
        let first = first.or_else(|| may_be_dark().min_by_key(earliest));
        first.or_else(|| there().min_by_key(earliest)).map(|(place, _)| place)
    }

    /// Whether it takes in what has not been sent yet. What comes of somebody who was in the dark a
    /// moment ago may never have been recorded; what it was seen to do by then is waited for.
    fn waits(&self, performer: &Performer) -> bool {
        let Some((from, _)) = performer.awaits() else { return false };
        let sender = self.performers.iter().find(|performer| performer.server == from);
        let sees = |sender: &&Performer| match sender.next {
            Some(Event::Begin { .. }) => true,
            Some(_) => sender.seen_since.is_some(),
            None => false,
        };
        let may = sender.filter(sees).is_some_and(|it| it.due <= performer.due + SKEW);
        (may && !self.has_been_sent(performer)) || self.never_sent(performer)
    }

    fn has_been_sent(&self, performer: &Performer) -> bool {
        let sent = |(from, message)| self.scene.was_sent(from, performer.server, message);
        performer.awaits().is_none_or(sent)
    }

    /// Whether it takes in what was not sent, by somebody whose sends are all known.
    fn never_sent(&self, performer: &Performer) -> bool {
        let sent_from = performer.hears_from();
        let known = performer.awaits().is_some_and(|(from, _)| self.is_known(from, sent_from));
        known && !self.has_been_sent(performer)
    }

    /// Whether all that this server had sent by then is known.
    fn is_known(&self, server: ServerId, wall: u64) -> bool {
        let performer = self.performers.iter().find(|performer| performer.server == server);
        let since = performer.and_then(|performer| performer.seen_since);
        since.is_some_and(|since| wall >= since.saturating_add(LATE) || since == 0)
    }

    fn advance(&mut self, place: usize) -> Result<(), Unreadable> {
        let unsent = self.never_sent(&self.performers[place]);
        let performer = &mut self.performers[place];
        let Some(event) = performer.next.take() else { return Ok(()) };
        let due = performer.due;
        self.scene.wall = self.scene.wall.max(due);
        let others = self.performers.iter().filter(|performer| performer.next.is_some());
        let all_at = others.fold(due, |earliest, it| earliest.min(it.due));
        if self.scene.all_at(all_at) && self.scene.mutes_any() {
            // What was missing may be there by now.
            self.look();
        }
        let performer = &mut self.performers[place];
        match event {
            Event::Begin { header, checkpoint, continues } => {
                performer.track.began(&header);
                performer.file = header.number;
                if continues && !performer.lost {
                    performer.track.checkpoints += 1;
                    let met = match &mut performer.player {
                        Some(player) => player.meet(&header, &checkpoint),
                        None => Ok(()),
                    };
                    if let Err(Differs(text)) = met {
                        self.differs(place, 0, text);
                        self.begin(place, &header, *checkpoint);
                    } else if self.scene.mutes_any() {
                        self.look();
                    }
                } else {
                    self.begin(place, &header, *checkpoint);
                }
            }
            Event::Record(..) if performer.lost => {}
            Event::Record(number, record) => self.play(place, number, &record, unsent),
            Event::Dark(why) => self.darken(place, &why),
        }
        self.note_violation(place);
        self.performers[place].fetch()
    }

    /// A server comes into sight.
    fn begin(&mut self, place: usize, header: &Header, checkpoint: super::record::Checkpoint) {
        let performer = &mut self.performers[place];
        let player = Player::new(header, checkpoint);
        let starts = header.part == 0;
        let born = performer.player.is_none() && self.newborn.contains(&performer.server);
        let ended_well = std::mem::take(&mut performer.track.ended_well);
        // What its disk had then; if it has more, it has lived without a recording.
        let before = performer.player.as_ref().filter(|_| starts && ended_well);
        let continues = before.is_some_and(|it| it.promised() == player.promised());
        performer.lost = false;
        // Nothing that it sent before is missing, if there is no before.
        let complete = starts && (continues || born);
        performer.seen_since =
            Some(if complete && performer.track.is_complete { 0 } else { header.wall });
        performer.track.is_complete &= complete;
        if !complete {
            performer.pause = (0, header.wall);
            self.scene.is_unclear_at(header.wall);
        }
        let server = performer.server;
        performer.player = Some(player);
        self.waiting.remove(&server);
        if ended_well && !complete {
            self.scene.tell(&Fact::Unseen { server });
        }
        self.scene.line(format_args!("{server} started"));
        if !self.waiting.is_empty() {
            return;
        }
        let Some(player) = &self.performers[place].player else { return };
        if starts && self.scene.is_monitored() && self.scene.knows_of(player) {
            self.scene.started(player);
        } else {
            self.look();
        }
    }

    fn look(&mut self) {
        let players = self.performers.iter().filter_map(|performer| {
            Some((performer.player.as_ref()?, performer.seen_since.is_some()))
        });
        let players: Vec<_> = players.collect();
        self.scene.look(&players, &self.newborn);
    }

    fn play(&mut self, place: usize, number: u64, record: &Record, unsent: bool) {
        let performer = &mut self.performers[place];
        let server = performer.server;
        if let Some((from, message)) = sender(record) {
            if unsent {
                let text = format!(
                    "it takes in {message} from {from}, which {from} did not send by its recording"
                );
                self.differs(place, number, text);
                return;
            }
            if !self.scene.was_sent(from, server, message) {
                performer.track.from_the_dark += 1;
                self.scene.is_unclear_at(performer.due);
            }
        }
        let Some(player) = &mut performer.player else { return };
        performer.track.records += 1;
        match record {
            Record::Mark(_) => performer.track.marks += 1,
            Record::Step(_) => performer.track.steps += 1,
            _ => {}
        }
        let played = player.play(record, &mut self.scene);
        performer.track.standing = Some(player.standing());
        if let Err(Differs(text)) = played {
            self.differs(place, number, text);
        }
    }

    /// A server is out of sight.
    fn darken(&mut self, place: usize, why: &Dark) {
        let performer = &mut self.performers[place];
        let server = performer.server;
        performer.track.darkened(why);
        // If it starts again without a recording, nobody can tell.
        performer.seen_since = None;
        if *why == Dark::Ended {
            performer.track.ended_well = true;
            self.scene.line(format_args!("{server} stopped"));
            self.scene.tell(&Fact::Ended { server });
        } else {
            self.scene.line(format_args!("{server} crashed"));
            self.scene.tell(&Fact::Unseen { server });
        }
    }

    /// A server did something else then: from here on its recording says nothing, up to its next
    /// file.
    fn differs(&mut self, place: usize, record: u64, text: String) {
        let performer = &mut self.performers[place];
        performer.lost = true;
        performer.seen_since = None;
        performer.track.is_complete = false;
        let (server, file) = (performer.server, performer.file);
        let at = self.scene.elapsed();
        if self.differences.len() < MAX_DIFFERENCES {
            self.differences.push(Difference { server, at, file, record, text });
        } else {
            self.more += 1;
        }
        self.scene.tell(&Fact::Unseen { server });
    }

    /// The first property that is broken was broken by this record.
    fn note_violation(&mut self, place: usize) {
        if self.violation.is_some() {
            return;
        }
        if let Some(violation) = &self.scene.violation {
            let performer = &self.performers[place];
            self.violation = Some(Difference {
                server: performer.server,
                at: self.scene.elapsed(),
                file: performer.file,
                record: performer.track.records,
                text: violation.to_string(),
            });
        }
    }

    fn report(self) -> Report {
        let mut notes = Vec::new();
        if !self.waiting.is_empty() {
            let who = listed(&self.waiting);
            notes.push(format!("the recordings of {who} never begin: nothing was monitored"));
        } else if !self.scene.is_monitored() {
            notes.push("nobody knows the members: nothing was monitored".to_owned());
        }
        let elapsed = self.scene.elapsed();
        let messages = self.scene.messages();
        let members = self.performers.iter().filter_map(|it| it.player.as_ref());
        let members = members.flat_map(|player| player.node.configuration().members());
        let members: BTreeSet<_> = members.filter(|it| !self.servers.contains(it)).collect();
        if !members.is_empty() {
            let who = listed(&members);
            notes.push(format!(
                "there is no recording of {who}: what they did is believed, and whether entries \
                 were on enough disks is not judged"
            ));
        }
        let trace_failed = self.scene.trace_failed;
        notes.extend(trace_failed.map(|error| format!("the trace ends early: {error}")));
        let tracks = self.performers.into_iter().map(|mut performer| {
            performer.track.damage.extend(performer.stream.unusable().iter().cloned());
            performer.track
        });
        Report {
            tracks: tracks.collect(),
            differences: self.differences,
            more: self.more,
            violation: self.violation,
            elapsed,
            messages,
            notes,
        }
    }
}

/// The message that a record brings.
fn sender(record: &Record) -> Option<(ServerId, &Message)> {
    match record {
        Record::Step(Step { given: Given::Message { from, message, .. }, .. }) => {
            Some((*from, message))
        }
        _ => None,
    }
}
