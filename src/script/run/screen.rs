//! Where the results of statements are shown.

use crate::actors::{ClusterStatus, Event, LogLine, ServerStatus};
use crate::files::FileInfo;
use crate::script::Step;

/// Shows results: as tables in colour, as plain text, or not at all. Jobs in the background use
/// it too, so its methods take `&self`; they are never called while another one runs.
pub trait Screen {
    /// A line that was asked for, such as help; may hold several lines.
    fn say(&self, text: &str);
    /// A statement was carried out, and this came of it.
    fn confirm(&self, text: &str);
    /// The servers.
    fn status(&self, status: &ClusterStatus);
    /// The members of the cluster.
    fn members(&self, status: &ClusterStatus);
    /// The files.
    fn files(&self, files: &[FileInfo]);
    /// The end of a server's log: entries up to its last one.
    fn log(&self, server: &ServerStatus, lines: &[LogLine]);
    /// What happened, newest last.
    fn events(&self, events: &[Event]);
    /// Part of a file's content; the parts of one file come in order.
    fn content(&self, bytes: &[u8]);
    /// How far a transfer is; `None` when it has ended, well or not.
    fn progress(&self, progress: Option<&Progress>);
    /// Switches the live notices. Returns whether they are on now.
    fn watch(&self) -> bool;
    /// The next line of a scenario is about to be carried out.
    fn step(&self, _step: &Step) {}
}

/// How far a transfer of a larger file is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Progress {
    /// What is done, such as `load notes.txt`.
    pub what: String,
    /// Bytes done.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}
