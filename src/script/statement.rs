//! What a line says, as values.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use uuid::Uuid;

use crate::actors::{Consistency, Order, Servers};
use crate::raft::{Index, ServerId};
use crate::storage::DiskKind;

/// One line of the language, understood. Its `Display` is canonical text that parses back to an
/// equal statement.
#[derive(Clone, PartialEq, Debug)]
pub enum Statement {
    /// An order to the supervisor.
    Order(Order),
    /// An order about links, written with `<->`: first one way, then the other.
    BothWays {
        /// The order from left to right.
        there: Order,
        /// The same order from right to left.
        back: Order,
    },
    /// An order that may be refused; then it does nothing.
    Try(Order),
    /// Clients that use the files at random, in the background.
    Clients(Clients),
    /// Something to do with the files.
    File {
        /// The command, and whom to ask.
        call: FileCall,
        /// `&`: the script goes on while the command runs, until `wait jobs`.
        background: bool,
    },
    /// Runs the statements of another scenario file, found at this path of the host.
    Submit(String),
    /// Shows the table of the servers.
    Status,
    /// Shows the members of the cluster, and how far they have caught up.
    Members,
    /// Shows the logs of these servers.
    Log(Servers),
    /// Shows what happened, newest last: this many events, or as many as fit.
    Events(Option<usize>),
    /// Switches the live notices on or off.
    Watch,
    /// Shows what changes about the files, as it does.
    Follow(Follow),
    /// Shows the help, of one word if it is given.
    Help(Option<String>),
    /// Writes what was done so far to this path of the host, as a scenario.
    Save(String),
    /// Writes what was asked about the files and answered, as JSON lines, to this path of the host.
    History(String),
    /// Leaves the console, or ends the scenario.
    Quit,
    /// Asks why something is as it is.
    Why(Inquiry),
    /// Moves in virtual time, at its console.
    Travel(Travel),
    /// Waits.
    Wait(Wait),
    /// Gives a value a name, for `$name` on later lines.
    Let {
        /// The variable.
        name: String,
        /// What it will stand for.
        binding: Binding,
    },
    /// Demands something; a scenario fails where it does not hold.
    Expect(Expectation),
    /// Something about the cluster itself, at the top of a scenario.
    Setting(Setting),
}

/// Clients with sessions of their own. What they ask for is drawn from the seed; what they are told
/// is part of the history that `expect linearizable` checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clients {
    /// How many.
    pub count: u64,
    /// For how long.
    pub time: Duration,
    /// How long each thinks before its next command, on average.
    pub every: Duration,
    /// How they read. Stale reads are no part of the history: some are compared with what the files
    /// were at the index that they saw, and `expect linearizable` fails if one was untrue.
    pub reading: Consistency,
}

/// Which changes of the files are shown: each once, in the order of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Follow {
    /// Those of the entries from this index on; without it, those from now on.
    pub from: Option<Index>,
    /// For so long; without it, until someone ends it.
    pub time: Option<Duration>,
}

/// A question, and when it is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inquiry {
    /// What is to be explained.
    pub question: Question,
    /// At this moment, counted from the beginning; without it, now.
    pub at: Option<Duration>,
}

/// What can be asked for its cause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Question {
    /// Why no server leads that a majority follows.
    NoLeader,
    /// Why this server stopped leading, the last time it did.
    LostLeadership(ServerId),
    /// Why the entry at this index is not committed.
    NotCommitted(Index),
    /// Why this server refused a candidate its vote or pre-vote, the last time it did.
    RefusedVote(ServerId),
}

/// How to move in virtual time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Travel {
    /// Time passes: so much of it, or until someone stops it.
    Play(Option<Duration>),
    /// How many seconds pass in one second on the wall; `None` is as many as can be.
    Pace(Option<f64>),
    /// Time passes until so many messages between servers have arrived.
    Step(u64),
    /// Time passes until something happens that is worth telling.
    StepEvent,
    /// So far back.
    Rewind(Duration),
    /// To this moment, counted from the beginning.
    Goto(Duration),
    /// What is recorded after this moment is forgotten.
    Fork,
    /// Shows what is recorded.
    Timeline,
}

/// A file command and the server to ask, or any server that answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileCall {
    /// `at S`: only this server is asked, and no other is tried.
    pub at: Option<OneServer>,
    /// The command.
    pub command: FileCommand,
}

/// One server, where several would make no sense.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OneServer {
    /// The one that leads when the statement runs.
    Leader,
    /// The one of this number.
    Number(ServerId),
}

/// What can be done with the replicated files. A `file` is a uuid, a unique prefix of one, or a
/// name; a `path` is a path of the host; with a `revision` the change is made only if the file has
/// this revision then, or does not exist if it is 0.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FileCommand {
    /// Loads a file of the host.
    Load(Load),
    /// Lists the files.
    List(Consistency),
    /// Writes a file's content to a path of the host.
    Get {
        /// Which file.
        file: String,
        /// Where to.
        path: String,
        /// What of it.
        view: View,
        /// What the read may miss.
        how: Consistency,
    },
    /// Shows a file's content.
    Cat {
        /// Which file.
        file: String,
        /// What of it.
        view: View,
        /// What the read may miss.
        how: Consistency,
    },
    /// Adds bytes to the end of a file.
    Append {
        /// Which file.
        file: String,
        /// The bytes.
        content: Content,
        /// The revision it must have.
        revision: Option<u64>,
    },
    /// Deletes a file.
    Delete {
        /// Which file.
        file: String,
        /// The revision it must have.
        revision: Option<u64>,
    },
    /// Gives a file another name.
    Rename {
        /// Which file.
        file: String,
        /// Its new name.
        name: String,
        /// The revision it must have.
        revision: Option<u64>,
    },
    /// Shows a file's uuid, name, size, hash and revision.
    Stat {
        /// Which file.
        file: String,
        /// As it was when this entry had been applied; without it, as it is.
        at: Option<Index>,
        /// What the read may miss.
        how: Consistency,
    },
    /// Makes these changes, all of them at once or none.
    Batch(Vec<FileCommand>),
}

/// What is read of a file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum View {
    /// All of it, as it is.
    #[default]
    Whole,
    /// All of it, as it was when this entry had been applied.
    At(Index),
    /// Some of its bytes, all of one revision.
    Bytes {
        /// Which ones.
        range: Range<u64>,
        /// At this revision; without it, at the present one.
        revision: Option<u64>,
    },
}

impl FileCommand {
    /// Whether it changes nothing, and shows what was asked for.
    pub(crate) fn shows(&self) -> bool {
        matches!(self, Self::List(_) | Self::Cat { .. } | Self::Stat { .. })
    }

    /// Whether it changes files.
    pub(crate) fn changes(&self) -> bool {
        !self.shows() && !matches!(self, Self::Get { .. })
    }

    /// What it may miss, if it reads.
    pub(crate) fn reading(&self) -> Option<Consistency> {
        match self {
            Self::List(how)
            | Self::Get { how, .. }
            | Self::Cat { how, .. }
            | Self::Stat { how, .. } => Some(*how),
            _ => None,
        }
    }
}

/// What `load` is to load.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Load {
    /// The path of the host.
    pub path: String,
    /// The file's name; without one, the last part of the path.
    pub name: Option<String>,
    /// A file that has this name already is replaced; otherwise the command is refused.
    pub replace: bool,
    /// The revision that the file of this name must have; 0 if there must be none.
    pub revision: Option<u64>,
}

/// Bytes, given on the line or by a file of the host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    /// These bytes.
    Text(Vec<u8>),
    /// The bytes of the file at this path of the host.
    Path(String),
}

/// What to wait for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wait {
    /// Time to pass.
    Time(Duration),
    /// A leader that a majority follows, no longer than this.
    Leader(Option<Duration>),
    /// These voters and no others, with no change under way.
    Members {
        /// The voters.
        voters: Vec<ServerId>,
        /// No longer than this.
        within: Option<Duration>,
    },
    /// The answers of all commands in the background.
    Jobs,
}

/// What `let` gives a name to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Binding {
    /// The uuid of the file that this loads.
    Load(Load),
    /// The server that leads now.
    Leader,
    /// The follower that is up and has the lowest number.
    Follower,
}

/// What `expect` demands. `within` is how long it may take to come true; zero demands it now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expectation {
    /// There is a leader: this one, if it is given.
    Leader {
        /// The one that must lead.
        server: Option<ServerId>,
        /// How long it may take.
        within: Duration,
    },
    /// No server that a majority follows leads.
    NoLeader(NoLeader),
    /// These are the voters and nobody else is, the leader knows it to be committed, and no change
    /// of members is under way.
    Members {
        /// The voters.
        voters: Vec<ServerId>,
        /// How long it may take.
        within: Duration,
    },
    /// These members learn and do not vote, and nobody else does, by what the leader knows to be
    /// committed.
    Learners {
        /// The learners.
        learners: Vec<ServerId>,
        /// How long it may take.
        within: Duration,
    },
    /// Each of these servers has a snapshot.
    Snapshot {
        /// Whom it concerns.
        servers: Servers,
        /// What the snapshots must cover at least.
        index: Option<Index>,
        /// How long it may take.
        within: Duration,
    },
    /// All servers that are up hold the same files with the same contents.
    FilesEqual {
        /// How long it may take.
        within: Duration,
    },
    /// All servers that are up hold the same log.
    LogsEqual {
        /// How long it may take.
        within: Duration,
    },
    /// What the clients have seen so far can be explained by one copy of the files.
    Linearizable,
    /// A new command is committed and applied.
    Progress {
        /// How long it may take.
        within: Duration,
    },
    /// The command is refused.
    Refused {
        /// Must be contained in the reason.
        because: Option<String>,
        /// The command.
        call: FileCall,
    },
    /// Whether the command took effect is unknown to the client.
    Unknown(FileCall),
    /// A linearizable read of the file gives exactly these bytes.
    Content {
        /// Which file.
        file: String,
        /// Its content.
        content: Content,
    },
    /// There is no such file.
    NoFile(String),
    /// Each of these servers has this role.
    Role {
        /// Whom it concerns.
        servers: Servers,
        /// The role.
        role: Role,
        /// How long it may take.
        within: Duration,
    },
    /// Each of these servers knows that the log is committed up to this index at least.
    Commit {
        /// Whom it concerns.
        servers: Servers,
        /// The lowest `commit_index` that will do.
        index: Index,
        /// How long it may take.
        within: Duration,
    },
    /// Each of these servers has applied all that the leader has committed.
    CaughtUp {
        /// Whom it concerns.
        servers: Servers,
        /// How long it may take.
        within: Duration,
    },
}

/// For how long there must be no leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoLeader {
    /// At every moment of this time from now on.
    For(Duration),
    /// At one moment of this time from now on; zero is now.
    Within(Duration),
}

/// What a server is, as an expectation names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It follows.
    Follower,
    /// It stands for election, or asks whether it may (pre-vote).
    Candidate,
    /// It leads, and no server has seen a higher term.
    Leader,
    /// It believes that it leads, and another server is already in a higher term.
    Stale,
    /// It does not run: crashed or stopped.
    Dead,
}

/// What only the top of a scenario may say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Setting {
    /// How many servers the cluster has.
    Servers(u64),
    /// The seed of everything random.
    Seed(u64),
    /// Which disks the servers have.
    Disks(DiskKind),
    /// When the servers take snapshots by themselves.
    Snapshots(Snapshots),
}

/// When servers take snapshots by themselves, and what of their logs stays then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Snapshots {
    /// As soon as the log has grown by so many entries since the last one.
    pub every: u64,
    /// Entries before the end of a snapshot that stay, for followers that are a little behind.
    pub keep: u64,
}

/// What a variable stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value {
    /// A file.
    File(Uuid),
    /// A server.
    Server(ServerId),
}

/// The variables by name. At most one a line of a scenario.
pub type Variables = BTreeMap<String, Value>;
