//! What a replay found.

use std::fmt;
use std::path::PathBuf;

use super::file::Header;
use super::player::Standing;
use super::reader::{Dark, Recording};
use crate::raft::ServerId;

/// What a replay found.
#[derive(Debug)]
pub struct Report {
    /// Each server's.
    pub tracks: Vec<Track>,
    /// Where a core did something else than was recorded; the first of them.
    pub differences: Vec<Difference>,
    /// How many more there are.
    pub more: u64,
    /// The first property that was violated, and by what.
    pub violation: Option<Difference>,
    /// How long all of it took, in nanoseconds.
    pub elapsed: u64,
    /// Messages that were sent.
    pub messages: u64,
    /// What must be known to judge the rest.
    pub notes: Vec<String>,
}

/// One server's recording, as far as it was replayed.
#[derive(Debug)]
pub struct Track {
    /// The server.
    pub server: ServerId,
    /// Where its recording is.
    pub folder: PathBuf,
    /// Times that it started, as far as its recording goes back.
    pub lives: u64,
    /// Records that were replayed; steps of the core among them.
    pub records: u64,
    /// Inputs that entered the core.
    pub steps: u64,
    /// Whole states that were compared.
    pub checkpoints: u64,
    /// Summaries of the state that were compared.
    pub marks: u64,
    /// Messages that it took in of servers that were in the dark.
    pub from_the_dark: u64,
    /// What is missing by the nature of things: lives that were cut short, records that were left
    /// out.
    pub missing: Vec<String>,
    /// What is damaged.
    pub damage: Vec<String>,
    pub(super) standing: Option<Standing>,
    pub(super) ended_well: bool,
    /// Nothing has been missing so far.
    pub(super) is_complete: bool,
    life: Option<u64>,
    version: Option<String>,
}

/// Something that is not as it was, or not as it must be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// The server.
    pub server: ServerId,
    /// When, in nanoseconds since the first record of all.
    pub at: u64,
    /// The number of the file.
    pub file: u64,
    /// The number of the record in it.
    pub record: u64,
    /// What.
    pub text: String,
}

impl Report {
    /// Whether everything that was recorded happened again, and nothing was broken or damaged.
    pub fn is_equal(&self) -> bool {
        let damaged = self.tracks.iter().any(|track| !track.damage.is_empty());
        self.differences.is_empty() && self.violation.is_none() && !damaged
    }
}

impl Track {
    pub(super) fn new(recording: &Recording) -> Self {
        Self {
            server: recording.server(),
            folder: recording.folder().to_owned(),
            lives: 0,
            records: 0,
            steps: 0,
            checkpoints: 0,
            marks: 0,
            from_the_dark: 0,
            missing: Vec::new(),
            damage: Vec::new(),
            standing: None,
            ended_well: false,
            is_complete: true,
            life: None,
            version: None,
        }
    }

    pub(super) fn began(&mut self, header: &Header) {
        if self.life.replace(header.life) != Some(header.life) {
            self.lives += 1;
        }
        let own = env!("CARGO_PKG_VERSION");
        if header.version != own && self.version.as_ref() != Some(&header.version) {
            let version = &header.version;
            self.missing.push(format!(
                "recorded by version {version}, replayed by {own}: differences may be of the versions"
            ));
            self.version = Some(version.clone());
        }
    }

    pub(super) fn darkened(&mut self, why: &Dark) {
        match why {
            Dark::Ended => {}
            Dark::Killed => {
                let life = self.lives;
                self.missing.push(format!("life {life} has no end: killed, or it still runs"));
            }
            Dark::Lost(records) => {
                self.missing
                    .push(format!("{records} records were left out: the disk was too slow"));
            }
            Dark::Damaged(what) => self.damage.push(what.clone()),
        }
        self.is_complete &= *why == Dark::Ended;
    }
}

/// Seconds with six decimals.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0 / 1_000;
        write!(f, "{}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, at, file, record, text } = self;
        write!(f, "{server} at {} s, file {file:08}, record {record}: {text}", Seconds(*at))
    }
}

impl fmt::Display for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, folder, lives, steps, checkpoints, marks, .. } = self;
        writeln!(f, "{server}  {}", folder.display())?;
        write!(f, "    {steps} steps in {lives} lives; ")?;
        writeln!(f, "compared {checkpoints} whole states and {marks} summaries")?;
        if let Some(standing) = &self.standing {
            writeln!(f, "    at the end: {standing}")?;
        }
        if self.from_the_dark > 0 {
            let messages = self.from_the_dark;
            writeln!(f, "    took in {messages} messages whose sends were not recorded")?;
        }
        for missing in &self.missing {
            writeln!(f, "    {missing}")?;
        }
        self.damage.iter().try_for_each(|damage| writeln!(f, "    damaged: {damage}"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tracks.iter().try_for_each(|track| track.fmt(f))?;
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))?;
        self.differences.iter().try_for_each(|it| writeln!(f, "differs: {it}"))?;
        if self.more > 0 {
            writeln!(f, "and {} more differences", self.more)?;
        }
        if let Some(violation) = &self.violation {
            writeln!(f, "violated: {violation}")?;
        }
        let (seconds, messages) = (Seconds(self.elapsed), self.messages);
        let verdict = match () {
            () if self.violation.is_some() => "a property is violated",
            () if !self.differences.is_empty() => "not what was recorded",
            () if !self.is_equal() => "equal, as far as the recordings can be used",
            () => "equal",
        };
        write!(f, "{verdict}: {seconds} s, {messages} messages")
    }
}
