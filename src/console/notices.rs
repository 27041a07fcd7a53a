//! Notices of what happens in the cluster, shown while a person types.
//!
//! They are printed on a thread of their own: a terminal that takes its time, or is stopped with
//! Ctrl-S, must not hold up the servers. At most 1024 notices wait for it; more are dropped, and
//! counted.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use super::paint::Paint;
use super::render;
use crate::actors::{Event, EventKind};
use crate::raft::{RoleKind, ServerId};

/// Most notices that wait for the terminal.
const MAX_WAITING: usize = 1024;
/// Notices that come no later than this after the one before are printed together...
const TOGETHER: Duration = Duration::from_millis(30);
/// ...but no more than these,
const MAX_TOGETHER: usize = 256;
/// and of the commits among them no more than these; the others are counted.
const MAX_COMMITS: usize = 6;

/// Something to be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Notice {
    /// A command was committed. There may be very many of these.
    Commit(String),
    /// Anything else.
    Other(String),
}

/// The end of the way to the terminal that never waits.
pub(crate) struct Notices {
    sender: SyncSender<Notice>,
    dropped: Cell<usize>,
}

/// Chooses what is worth telling.
#[derive(Default)]
pub(crate) struct Choice {
    leading: BTreeSet<ServerId>,
    ended: BTreeSet<ServerId>,
}

impl Notices {
    /// Starts the thread that prints with `print`: one or more lines at a time, each with its
    /// newline.
    pub(crate) fn start(print: impl FnMut(String) + Send + 'static) -> Self {
        let (sender, receiver) = sync_channel(MAX_WAITING);
        #[expect(clippy::disallowed_methods, reason = "prints only; decides nothing")]
        std::thread::spawn(move || print_all(&receiver, print));
        Self { sender, dropped: Cell::new(0) }
    }

    /// Sends a notice on its way.
    pub(crate) fn send(&self, notice: Notice) {
        let dropped = self.dropped.get();
        if dropped > 0 {
            let notice = Notice::Other(format!("... {dropped} notices were not shown"));
            if self.sender.try_send(notice).is_ok() {
                self.dropped.set(0);
            }
        }
        if self.sender.try_send(notice).is_err() {
            self.dropped.set(self.dropped.get() + 1);
        }
    }
}

impl Choice {
    /// The notice about an event, if it is worth one. Orders are not: whoever gave one knows.
    /// Neither are the chunks of a load, that followers follow, or that servers start at first.
    pub(crate) fn notice(&mut self, event: &Event, paint: Paint) -> Option<Notice> {
        let told = match &event.kind {
            EventKind::Ordered(_) | EventKind::OrderRefused(_) => false,
            EventKind::Applied { .. }
            | EventKind::Violated(_)
            | EventKind::Failed { .. }
            | EventKind::HandingOver { .. }
            | EventKind::HandoverAborted { .. }
            | EventKind::Snapshotted { .. }
            | EventKind::Installed { .. }
            | EventKind::Recovered { .. }
            | EventKind::Salvaged { .. }
            | EventKind::Diverged { .. }
            | EventKind::Torn { .. } => true,
            // The leader tells for all.
            EventKind::Configured { server, .. } => self.leading.contains(server),
            EventKind::Started(server) => self.ended.remove(server),
            EventKind::Ended { server, .. } => {
                self.leading.remove(server);
                self.ended.insert(*server)
            }
            EventKind::Became { server, role, .. } => match role {
                RoleKind::Leader => self.leading.insert(*server),
                RoleKind::Candidate => true,
                RoleKind::Follower | RoleKind::PreCandidate => self.leading.remove(server),
            },
        };
        let text = told.then(|| render::event(event, paint))?;
        match &event.kind {
            EventKind::Applied { command, .. } if is_routine(command) => None,
            EventKind::Applied { .. } => Some(Notice::Commit(text)),
            _ => Some(Notice::Other(text)),
        }
    }
}

/// What clients do for themselves: chunks and sessions.
fn is_routine(command: &str) -> bool {
    ["stage ", "open session", "close session"].iter().any(|word| command.starts_with(word))
}

fn print_all(receiver: &Receiver<Notice>, mut print: impl FnMut(String)) {
    while let Ok(first) = receiver.recv() {
        let mut batch = vec![first];
        while batch.len() < MAX_TOGETHER
            && let Ok(next) = receiver.recv_timeout(TOGETHER)
        {
            batch.push(next);
        }
        print(summarized(&batch));
    }
}

/// The lines of the notices, with a number in the place of too many commits.
fn summarized(batch: &[Notice]) -> String {
    let mut text = String::new();
    let mut commits = 0;
    for notice in batch {
        match notice {
            Notice::Commit(_) if commits == MAX_COMMITS => {}
            Notice::Commit(line) | Notice::Other(line) => text.push_str(&format!("{line}\n")),
        }
        commits += usize::from(matches!(notice, Notice::Commit(_)) && commits < MAX_COMMITS);
    }
    let all = batch.iter().filter(|notice| matches!(notice, Notice::Commit(_))).count();
    if all > commits {
        text.push_str(&format!("            ... and {} more commits\n", all - commits));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::{Index, Term, Time, Why};

    fn notice(choice: &mut Choice, kind: EventKind) -> Option<Notice> {
        choice.notice(&Event { at: Time::default(), kind }, Paint::PLAIN)
    }

    fn became(server: u64, role: RoleKind) -> EventKind {
        let (server, term, why) = (ServerId(server), Term(2), Why::VotesWon);
        EventKind::Became { server, role, term, leader: None, why }
    }

    fn applied(command: &str) -> EventKind {
        let (server, command) = (ServerId(1), command.to_owned());
        EventKind::Applied { server, index: Index(3), command }
    }

    #[test]
    fn elections_are_told_and_following_is_not() {
        let choice = &mut Choice::default();
        assert!(notice(choice, became(1, RoleKind::PreCandidate)).is_none());
        assert!(notice(choice, became(1, RoleKind::Candidate)).is_some());
        assert!(notice(choice, became(1, RoleKind::Leader)).is_some());
        assert!(notice(choice, became(2, RoleKind::Follower)).is_none());
        assert!(notice(choice, became(1, RoleKind::Follower)).is_some(), "it led");
        assert!(notice(choice, became(1, RoleKind::Follower)).is_none(), "it led no more");
    }

    #[test]
    fn a_start_is_told_after_an_end() {
        let choice = &mut Choice::default();
        let server = ServerId(1);
        assert!(notice(choice, EventKind::Started(server)).is_none());
        assert!(notice(choice, EventKind::Ended { server, orderly: false }).is_some());
        assert!(notice(choice, EventKind::Started(server)).is_some());
    }

    #[test]
    fn chunks_are_not_told() {
        let choice = &mut Choice::default();
        assert!(notice(choice, applied("stage 0f3a… @0 +256 KiB")).is_none());
        assert!(notice(choice, applied("open session")).is_none());
        let told = notice(choice, applied("create a.txt 5 B"));
        assert!(matches!(told, Some(Notice::Commit(text)) if text.contains("create a.txt")));
    }

    #[test]
    fn many_commits_are_counted() {
        let mut batch: Vec<Notice> = (0..10).map(|n| Notice::Commit(format!("c{n}"))).collect();
        batch.push(Notice::Other("S1 crashed".to_owned()));
        let text = summarized(&batch);
        let expected = "c0\nc1\nc2\nc3\nc4\nc5\nS1 crashed\n            ... and 4 more commits\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let (sender, receiver) = sync_channel(1);
        let notices = Notices { sender, dropped: Cell::new(0) };
        for text in ["a", "b", "c"] {
            notices.send(Notice::Other(text.to_owned()));
        }
        assert_eq!(receiver.try_recv(), Ok(Notice::Other("a".to_owned())));
        notices.send(Notice::Other("d".to_owned()));
        let told = Notice::Other("... 2 notices were not shown".to_owned());
        assert_eq!(receiver.try_recv(), Ok(told));
    }
}
