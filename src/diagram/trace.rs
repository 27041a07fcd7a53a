//! The lines of a trace, understood.

use std::io::{self, BufRead, Read};

use crate::raft::{Index, RoleKind, ServerId, Term, Time};

/// One line: when, and what.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Line {
    pub(super) at: Time,
    pub(super) what: What,
}

/// What a line says.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum What {
    Sent {
        number: u64,
        from: ServerId,
        to: ServerId,
        message: Message,
    },
    Delivered {
        number: u64,
        from: ServerId,
        to: ServerId,
    },
    Lost {
        number: u64,
        from: ServerId,
        to: ServerId,
        why: String,
    },
    Server {
        id: ServerId,
        event: Event,
    },
    Order(String),
    /// An order that was not carried out, or a property that was broken.
    Alarm(String),
    /// Anything else.
    Note(String),
}

/// What happened to one server.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Event {
    Started,
    Crashed,
    Stopped,
    /// It ended itself, because its disk failed or is damaged.
    Failed(String),
    Paused,
    Resumed,
    Became {
        role: RoleKind,
        term: Term,
        why: String,
    },
    /// Its `commit_index` is this.
    Commit(Index),
    /// As the leader it applied the command.
    Applied {
        index: Index,
        command: String,
    },
}

/// A message, as far as a diagram tells it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Message {
    /// All that the trace says.
    pub(super) text: String,
    /// What stands at the arrow.
    pub(super) label: String,
    pub(super) term: Term,
    pub(super) is_reply: bool,
    pub(super) is_pre_vote: bool,
    /// It says no.
    pub(super) refuses: bool,
    /// For a heartbeat, or the agreeing answer to one, what it tells: the next one that tells the
    /// same is no news. Entries tell what a heartbeat after them may repeat.
    pub(super) tells: Option<Index>,
    /// It carries nothing, or answers that the logs match.
    pub(super) is_heartbeat: bool,
}

/// Why a trace cannot be drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiagramError {
    /// It cannot be read, or is not UTF-8.
    #[error("line {line}: cannot be read: {error}")]
    Unreadable {
        /// The line, from 1.
        line: usize,
        /// Why not.
        error: io::Error,
    },
    /// The line is not one of a trace.
    #[error(
        "line {line}: {text:?} is no line of a trace; `jangada run --trace FILE` writes one, with \
         lines such as `0.253000 S5 started`"
    )]
    NotATrace {
        /// The line, from 1.
        line: usize,
        /// Its beginning.
        text: String,
    },
    /// A later moment stands before an earlier one.
    #[error("line {0}: time goes back here; trace one scenario at a time")]
    TimeGoesBack(usize),
    /// Nothing of what was asked for is there.
    #[error("there is nothing to draw: {0}")]
    Nothing(String),
}

/// What a line says that tells of a broken property.
pub(super) const VIOLATED: &str = " is violated: ";
/// The longest line, in bytes.
const MAX_LINE: usize = 64 << 10;

/// Reads a trace line by line.
pub(super) struct Lines<R> {
    input: R,
    text: String,
    number: usize,
    latest: Time,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, text: String::new(), number: 0, latest: Time::default() }
    }

    /// The next line, if there is one. Those of the scenario at the top tell nothing that happened.
    pub(super) fn next(&mut self) -> Result<Option<Line>, DiagramError> {
        loop {
            match self.any()? {
                Some(Line { what: What::Note(note), .. }) if note.starts_with("scenario ") => {}
                line => return Ok(line),
            }
        }
    }

    fn any(&mut self) -> Result<Option<Line>, DiagramError> {
        self.text.clear();
        self.number += 1;
        let mut limited = (&mut self.input).take(MAX_LINE as u64);
        let read = limited.read_line(&mut self.text);
        let read = read.map_err(|error| DiagramError::Unreadable { line: self.number, error })?;
        if read == 0 {
            return Ok(None);
        }
        let line = match parse(self.text.trim_end()) {
            Some(line) => line,
            // A run that was killed may have left half a line.
            None if self.number > 1 && !self.text.ends_with('\n') => return Ok(None),
            None => {
                let text = self.text.trim_end().chars().take(60).collect();
                return Err(DiagramError::NotATrace { line: self.number, text });
            }
        };
        if line.at < self.latest {
            return Err(DiagramError::TimeGoesBack(self.number));
        }
        self.latest = line.at;
        Ok(Some(line))
    }
}

/// Parses `SECONDS WHAT`.
fn parse(text: &str) -> Option<Line> {
    let (moment, what) = text.split_once(' ')?;
    let (seconds, micros) = moment.split_once('.').filter(|(_, micros)| micros.len() == 6)?;
    let seconds: u64 = seconds.parse().ok()?;
    let micros: u64 = micros.parse().ok()?;
    let nanoseconds = seconds.checked_mul(1_000_000)?.checked_add(micros)?.checked_mul(1_000)?;
    let what = message_line(what).or_else(|| server_line(what)).unwrap_or_else(|| {
        match what.split_once(": ") {
            Some(("order", order)) => What::Order(order.to_owned()),
            Some(("order refused", _)) => What::Alarm(what.to_owned()),
            _ if what.contains(VIOLATED) => What::Alarm(what.to_owned()),
            _ => What::Note(what.to_owned()),
        }
    });
    Some(Line { at: Time::from_nanos(nanoseconds), what })
}

/// `S1 -> S2 #7 MESSAGE`, `S2 <- S1 #7` or `S1 -x S2 #7 WHY`.
fn message_line(text: &str) -> Option<What> {
    let mut words = text.splitn(5, ' ');
    let (one, arrow, other) = (server(words.next()?)?, words.next()?, server(words.next()?)?);
    let number = words.next()?.strip_prefix('#')?.parse().ok()?;
    let rest = words.next().unwrap_or_default();
    Some(match arrow {
        "->" => What::Sent { number, from: one, to: other, message: Message::new(rest) },
        "<-" => What::Delivered { number, from: other, to: one },
        "-x" => What::Lost { number, from: one, to: other, why: rest.to_owned() },
        _ => return None,
    })
}

/// `S1 started` and the like.
fn server_line(text: &str) -> Option<What> {
    let (id, text) = text.split_once(' ')?;
    let id = server(id)?;
    let event = match text.split_once(' ') {
        None => match text {
            "started" => Event::Started,
            "crashed" => Event::Crashed,
            "stopped" => Event::Stopped,
            "paused" => Event::Paused,
            "resumed" => Event::Resumed,
            _ => return None,
        },
        Some(("failed:", why)) => Event::Failed(why.to_owned()),
        Some(("commit_index", index)) => Event::Commit(Index(index.parse().ok()?)),
        Some(("committed", rest)) => {
            let (index, command) = rest.split_once(": ")?;
            Event::Applied { index: Index(index.parse().ok()?), command: command.to_owned() }
        }
        Some((verb @ ("is" | "follows"), rest)) => {
            let (what, rest) = rest.split_once(" (term ")?;
            let (term, why) = rest.split_once("): ")?;
            let role = match (verb, what) {
                ("follows", _) | (_, "follower") => RoleKind::Follower,
                (_, "pre-candidate") => RoleKind::PreCandidate,
                (_, "candidate") => RoleKind::Candidate,
                (_, "leader") => RoleKind::Leader,
                _ => return None,
            };
            Event::Became { role, term: Term(term.parse().ok()?), why: why.to_owned() }
        }
        Some(_) => return None,
    };
    Some(What::Server { id, event })
}

fn server(text: &str) -> Option<ServerId> {
    text.strip_prefix('S')?.parse().ok().map(ServerId)
}

impl Message {
    /// Understands `AppendEntries term=1 prev=3@1 entries=4..4 commit=3 round=2` and the like. Of
    /// a message that is not known, the label says everything but the term and the numbers that
    /// only computers want.
    fn new(text: &str) -> Self {
        let name = text.split(' ').next().unwrap_or_default();
        let value =
            |key: &str| text.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        let number = |key: &str| value(key).and_then(|value| value.parse().ok());
        let refusal = text.split_once("refused: ").map(|(_, why)| why);
        let refused =
            refusal.is_some() || text.ends_with(" refused") || value("rejected").is_some();
        let entries = value("entries").map(|range| match range.split_once("..") {
            Some((first, last)) if first == last => first.to_owned(),
            Some((first, last)) => format!("{first}–{last}"),
            None => range.to_owned(),
        });
        let vote = |kind: &str| match refusal {
            Some(why) => format!("{kind} refused: {why}"),
            None => format!("{kind} granted"),
        };
        let label = match name {
            "AppendEntries" => {
                let entries = entries.as_deref().map_or(String::new(), |it| format!(" {it}"));
                format!("AppendEntries{entries}, commit {}", value("commit").unwrap_or("?"))
            }
            "RequestVote" | "RequestPreVote" => {
                format!("{name}, term {}", value("term").unwrap_or("?"))
            }
            "RequestVoteReply" => vote("vote"),
            "RequestPreVoteReply" => vote("pre-vote"),
            "AppendEntriesReply" => match (value("matched"), value("rejected"), value("hint")) {
                (Some(index), ..) => format!("matched {index}"),
                (_, Some(prev), Some(hint)) => format!("rejected {prev}, hint {hint}"),
                _ => name.to_owned(),
            },
            _ => {
                let told = |word: &&str| {
                    !["term=", "round=", "read="].iter().any(|key| word.starts_with(key))
                };
                let words: Vec<_> = text.split(' ').filter(told).collect();
                words.join(" ").replace('=', " ")
            }
        };
        let tells = match name {
            "AppendEntries" => number("commit").map(Index),
            "AppendEntriesReply" => number("matched").map(Index),
            _ => None,
        };
        Self {
            label,
            term: Term(number("term").unwrap_or(0)),
            is_reply: name.ends_with("Reply"),
            is_pre_vote: name.starts_with("RequestPreVote"),
            refuses: refused,
            tells,
            is_heartbeat: tells.is_some() && entries.is_none(),
            text: text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Result<Vec<Line>, DiagramError> {
        let mut lines = Lines::new(text.as_bytes());
        let mut all = Vec::new();
        while let Some(line) = lines.next()? {
            all.push(line);
        }
        Ok(all)
    }

    fn label(text: &str) -> String {
        Message::new(text).label
    }

    #[test]
    fn messages_are_told_in_short() {
        for (text, expected) in [
            ("RequestPreVote term=1 last=0@0", "RequestPreVote, term 1"),
            ("RequestVoteReply term=1 granted", "vote granted"),
            ("RequestPreVoteReply term=1 refused: S2 leads", "pre-vote refused: S2 leads"),
            (
                "AppendEntries term=1 prev=3@1 entries=4..4 commit=3 round=9",
                "AppendEntries 4, commit 3",
            ),
            (
                "AppendEntries term=1 prev=3@1 entries=4..6 commit=3 round=9",
                "AppendEntries 4–6, commit 3",
            ),
            ("AppendEntries term=1 prev=3@1 commit=3 round=9", "AppendEntries, commit 3"),
            ("AppendEntriesReply term=1 matched=3 round=9", "matched 3"),
            ("AppendEntriesReply term=1 rejected=5 hint=3@1 round=9", "rejected 5, hint 3@1"),
            ("ReadIndex term=1 read=77", "ReadIndex"),
            ("ReadIndexReply term=1 read=77 index=9", "ReadIndexReply index 9"),
            (
                "InstallSnapshot term=2 last=12@1 chunk=ab12cd34 round=9",
                "InstallSnapshot last 12@1 chunk ab12cd34",
            ),
            (
                "InstallSnapshotReply term=2 last=12@1 wants list=0 has=3/7 round=9",
                "InstallSnapshotReply last 12@1 wants list 0 has 3/7",
            ),
            ("TimeoutNow term=2 last=12@1 round=9", "TimeoutNow last 12@1"),
            ("RejoinReply term=2 life=7 entry=13@2", "RejoinReply life 7 entry 13@2"),
            ("Something term=1 new=7 round=2", "Something new 7"),
        ] {
            assert_eq!(label(text), expected);
        }
        let heartbeat = Message::new("AppendEntries term=4 prev=3@1 commit=3 round=9");
        assert_eq!((heartbeat.is_heartbeat, heartbeat.tells), (true, Some(Index(3))));
        assert_eq!(heartbeat.term, Term(4));
        let entries = Message::new("AppendEntries term=1 prev=3@1 entries=4..4 commit=3 round=9");
        assert_eq!((entries.is_heartbeat, entries.tells), (false, Some(Index(3))));
        assert!(Message::new("AppendEntriesReply term=1 rejected=5 hint=3@1 round=9").refuses);
    }

    #[test]
    fn every_kind_of_line_is_understood() {
        let text = "0.000000 S1 started\n\
                    0.000001 order: crash leader\n\
                    0.000001 order refused: no server leads\n\
                    0.500000 S1 -> S2 #7 RequestVote term=3 last=0@0\n\
                    0.500000 S2 <- S1 #7\n\
                    0.500000 S1 -x S2 #7 the link is cut\n\
                    1.000000 S2 is leader (term 3): a majority voted for it\n\
                    1.000000 S2 follows S1 (term 4): heard from the leader\n\
                    1.000000 S2 committed 2: create a: b\n\
                    1.000000 S2 commit_index 2\n\
                    12.345678 election safety is violated: two leaders\n\
                    12.345678 S2 failed: the disk is full: really\n\
                    12.345678 S1 thinks about it\n";
        let lines = lines(text).unwrap();
        let (one, two) = (ServerId(1), ServerId(2));
        let why = "the link is cut".to_owned();
        assert_eq!(lines[0].what, What::Server { id: one, event: Event::Started });
        assert_eq!(lines[1].what, What::Order("crash leader".into()));
        assert_eq!(lines[2].what, What::Alarm("order refused: no server leads".into()));
        assert!(matches!(lines[3].what, What::Sent { number: 7, from, .. } if from == one));
        assert_eq!(lines[4].what, What::Delivered { number: 7, from: one, to: two });
        assert_eq!(lines[5].what, What::Lost { number: 7, from: one, to: two, why });
        let became = |role, term, why: &str| What::Server {
            id: two,
            event: Event::Became { role, term: Term(term), why: why.to_owned() },
        };
        assert_eq!(lines[6].what, became(RoleKind::Leader, 3, "a majority voted for it"));
        assert_eq!(lines[7].what, became(RoleKind::Follower, 4, "heard from the leader"));
        let applied = Event::Applied { index: Index(2), command: "create a: b".into() };
        assert_eq!(lines[8].what, What::Server { id: two, event: applied });
        assert_eq!(lines[9].what, What::Server { id: two, event: Event::Commit(Index(2)) });
        assert_eq!(lines[10].what, What::Alarm("election safety is violated: two leaders".into()));
        let failed = Event::Failed("the disk is full: really".into());
        assert_eq!(lines[11].what, What::Server { id: two, event: failed });
        assert_eq!(lines[12].what, What::Note("S1 thinks about it".into()));
        assert_eq!(lines[12].at, Time::from_nanos(12_345_678_000));
    }

    #[test]
    fn what_is_no_trace_is_told_with_its_line() {
        let told = |text: &str| lines(text).unwrap_err().to_string();
        for bad in ["servers 5\n", "1.5 S1 started\n", "\n", "x.000000 a\n"] {
            let told = told(&format!("0.000000 S1 started\n{bad}"));
            assert!(
                told.starts_with("line 2: ") && told.contains("is no line of a trace"),
                "{told}"
            );
        }
        let told = told("1.000000 S1 started\n0.000000 S1 started\n");
        assert_eq!(told, "line 2: time goes back here; trace one scenario at a time");
        assert!(lines(&format!("0.000000 {}\n", "x".repeat(MAX_LINE))).is_err());
        let half = lines("0.000000 S1 started\n0.0100").expect("a trace whose run was killed");
        assert_eq!(half.len(), 1);
        assert!(lines("0.0100").is_err());
    }
}
