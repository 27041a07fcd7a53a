//! What stands in a log, record by record, for somebody who looks at it without a server.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

use super::payload::{Saved, Vote, entries_of};
use super::record::{FORMAT, Kind, Record};
use super::recovery::{Files, recover};
use super::{Identity, Options};
use crate::raft::{Index, Payload, Position, Term};
use crate::storage::disk::DiskFiles;
use crate::storage::{FileId, Snapshot, StorageError, TornTail};

/// A record of a log, or an entry in one: one line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogLine {
    /// The file.
    pub file: FileId,
    /// Where the record begins in the file, in bytes.
    pub at: u64,
    /// The number of the record.
    pub sequence: u64,
    /// Which entry it is, if it is one.
    pub entry: Option<Position>,
    /// What it is.
    pub kind: &'static str,
    /// The bytes of the record, or of the entry's payload.
    pub bytes: u64,
    /// What else it says.
    pub text: String,
}

/// What a log amounts to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Survey {
    /// The term, and for whom the server voted in it.
    vote: Option<Vote>,
    snapshot: Option<Snapshot>,
    /// The entries that can be read.
    entries: Option<RangeInclusive<u64>>,
    records: u64,
    /// Each file of the log and its size.
    segments: Vec<(FileId, u64)>,
    /// The segments that the log does not need any more, but the snapshot.
    kept: Vec<u64>,
    packs: usize,
    /// The end of the log that is cut off when a server starts.
    pub torn: Option<TornTail>,
}

/// Visits every record of a log, in order, then says what it amounts to, and whether a server must
/// not start from it.
pub(in crate::storage) fn survey(
    disk: &impl DiskFiles,
    identity: &Identity,
    options: &Options,
    mut tell: impl FnMut(&LogLine),
) -> (Survey, Option<StorageError>) {
    let mut survey = Survey::default();
    let damage = survey.read(disk, identity, options, &mut tell).err();
    (survey, damage)
}

impl Survey {
    fn read(
        &mut self,
        disk: &impl DiskFiles,
        identity: &Identity,
        options: &Options,
        tell: &mut impl FnMut(&LogLine),
    ) -> Result<(), StorageError> {
        let listed = disk.files()?;
        self.packs = listed.iter().filter(|file| matches!(file, FileId::Pack(_))).count();
        let files = Files::read(disk, identity)?;
        self.segments = files.sizes().collect();
        files.walk(identity, |file, bytes, record| {
            self.records += 1;
            self.visit(file, bytes, record, tell).is_some()
        })?;
        let found = recover(disk, identity)?;
        self.torn = found.torn;
        let Position { index: base, .. } = found.log.base;
        let last = found.log.last.index;
        self.entries = (last > base).then(|| base.0 + 1..=last.0);
        let packs = found.packs(disk, identity, options)?;
        self.kept = packs.kept_segments().collect();
        let named: BTreeSet<_> = found.snapshot.chunks.iter().copied().collect();
        named.into_iter().try_for_each(|id| packs.check(disk, id))
    }

    /// Tells of a record. None if it makes no sense.
    fn visit(
        &mut self,
        file: FileId,
        bytes: &bytes::Bytes,
        record: &Record,
        tell: &mut impl FnMut(&LogLine),
    ) -> Option<()> {
        let mut line = LogLine {
            file,
            at: record.at as u64,
            sequence: record.sequence,
            entry: None,
            kind: "header",
            bytes: (record.end - record.at) as u64,
            text: String::new(),
        };
        match record.kind {
            Kind::Header => {}
            Kind::Mark => line.kind = "mark",
            Kind::Chunk => return None,
            Kind::Vote => {
                let vote = Vote::of(record, bytes)?;
                (line.kind, line.text) = ("vote", vote.to_string());
                self.vote = Some(vote);
            }
            Kind::Snapshot | Kind::SnapshotOnLog => {
                let Saved { vote, keep_log, snapshot, in_log } = Saved::of(record, bytes)?;
                line.kind = "snapshot";
                let log = if keep_log { "" } else { ", in place of the log" };
                let in_log = match in_log.len() {
                    0 => String::new(),
                    chunks => format!(", {chunks} of them in the log"),
                };
                line.text = format!("{}{in_log}{log}; {vote}", describe(&snapshot));
                (self.vote, self.snapshot) = (Some(vote), Some(snapshot));
            }
            Kind::Entries => {
                let (first, entries) = entries_of(record, bytes)?;
                let mut last = first.0.saturating_sub(1);
                for entry in entries.iter() {
                    last += 1;
                    line.entry = Some(Position::new(entry.term, Index(last)));
                    (line.kind, line.bytes) = match &entry.payload {
                        Payload::NoOp => ("no-op", 0),
                        Payload::Command(command) => ("command", command.len() as u64),
                        Payload::Configuration(_) => ("members", 0),
                    };
                    line.text = match &entry.payload {
                        Payload::Configuration(members) => members.to_string(),
                        Payload::NoOp | Payload::Command(_) => String::new(),
                    };
                    tell(&line);
                }
                let before = self.entries.take().map_or(first.0, |entries| *entries.start());
                self.entries = Some(before.min(first.0)..=last);
                return Some(());
            }
        }
        tell(&line);
        Some(())
    }
}

fn describe(snapshot: &Snapshot) -> String {
    let Snapshot { meta, chunks } = snapshot;
    let chunks = chunks.len();
    match meta.last_included.index {
        Index(0) => format!("none; founded with {}", meta.configuration),
        _ => format!("up to {}, {chunks} chunks, {}", meta.last_included, meta.configuration),
    }
}

impl fmt::Display for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "term {}", self.term)?;
        match self.voted_for {
            Some(server) => write!(f, ", voted for {server}")?,
            None if self.term > Term(0) => f.write_str(", no vote")?,
            None => {}
        }
        f.write_str(if self.recovering { ", recovering" } else { "" })
    }
}

/// File and offset, then what stands there.
impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, at, sequence, entry, kind, bytes, text } = self;
        let place = format!("{file}:{at}");
        write!(f, "{place:<22} record {sequence:<8} {kind:<9}")?;
        match entry {
            Some(Position { term, index }) => write!(f, " index {index:<9} term {term:<5}")?,
            None => write!(f, " {:27}", "")?,
        }
        write!(f, " {bytes} bytes")?;
        if text.is_empty() { Ok(()) } else { write!(f, "; {text}") }
    }
}

/// One thing a line.
impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "log format  {FORMAT}")?;
        if let Some(vote) = &self.vote {
            writeln!(f, "state       {vote}")?;
        }
        if let Some(snapshot) = &self.snapshot {
            writeln!(f, "snapshot    {}", describe(snapshot))?;
        }
        match &self.entries {
            Some(entries) => writeln!(f, "entries     {} to {}", entries.start(), entries.end())?,
            None => writeln!(f, "entries     none behind the snapshot")?,
        }
        writeln!(f, "records     {}", self.records)?;
        for (file, bytes) in &self.segments {
            writeln!(f, "segment     {file}, {bytes} bytes")?;
        }
        for number in &self.kept {
            writeln!(f, "content     {}, kept for its chunks", FileId::Log(*number))?;
        }
        write!(f, "packs       {}", self.packs)?;
        match &self.torn {
            Some(torn) => write!(f, "\ntorn        {torn}: cut off when a server starts"),
            None => Ok(()),
        }
    }
}
