//! Every file command and its answer, as a history that can be checked for linearizability.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use uuid::Uuid;

use crate::actors::ClientError;
use crate::files::{self, Refusal};
use crate::invariants::{
    Answer, Call, Content, History, LinearizabilityError, Operation, Outcome, Summary,
    check_linearizable,
};
use crate::raft::Time;

/// Longer contents are not kept: a file that had one is not checked.
pub(super) const MAX_CONTENT: usize = 1 << 20;
/// Most bytes of contents that are kept.
const MAX_BYTES: usize = 64 << 20;
/// Most calls that are kept; of a longer history the beginning is checked, up to the first call that
/// is not.
const MAX_CALLS: usize = 20_000;

/// What the clients asked for and were told. Bounded by [`MAX_CALLS`] and [`MAX_BYTES`].
#[derive(Default)]
pub(super) struct Calls {
    calls: Vec<Recorded>,
    bytes: usize,
    /// When the last one began or ended: no two do at the same moment.
    latest: u64,
    /// Calls were left out because there were too many.
    full: bool,
    /// Every name that a uuid was ever seen with, the newest last.
    names: BTreeMap<Uuid, Vec<String>>,
    /// Files that had a content too long to keep, or changed in a way that no check knows.
    unchecked: BTreeSet<String>,
    /// What the first stale read said that was not true.
    untruth: Option<String>,
}

/// A call; its operation names the file as the client did.
struct Recorded {
    client: u64,
    operation: Operation,
    invoked: u64,
    answer: Option<Answer>,
}

/// A call that waits for its answer, or is not recorded.
pub(super) struct Ticket(Option<usize>);

impl Ticket {
    /// Of a call that is no part of the history.
    pub(super) fn unrecorded() -> Self {
        Self(None)
    }
}

/// What a check covered.
pub(super) struct Checked {
    summary: Summary,
    unchecked: usize,
    full: bool,
}

/// What came of calls.
pub(crate) struct CallTally {
    /// Changes that were carried out.
    pub(crate) writes: u64,
    /// Reads that saw something.
    pub(crate) reads: u64,
    /// Calls whose outcome their client does not know.
    pub(crate) unknown: u64,
    /// Whether there are some that no check sees: too many of them, or contents too long to keep.
    pub(crate) unchecked: bool,
}

impl Calls {
    /// Records that a client calls. `content` is what it writes; `None` is a content that is too
    /// long to keep.
    pub(super) fn begin(
        &mut self,
        client: u64,
        now: Time,
        content: Option<&[u8]>,
        operation: impl FnOnce(Content) -> Operation,
    ) -> Ticket {
        self.full |= self.calls.len() == MAX_CALLS || self.bytes >= MAX_BYTES;
        if self.full {
            return Ticket(None);
        }
        let kept = Content(Bytes::copy_from_slice(content.unwrap_or_default()));
        self.bytes += kept.0.len();
        let operation = operation(kept);
        if let Operation::Rename { from, to } = &operation {
            self.may_become(from, to);
        }
        if content.is_none() {
            self.unchecked.extend(self.meant(operation.name()));
        }
        let invoked = self.moment(now);
        self.calls.push(Recorded { client, operation, invoked, answer: None });
        Ticket(Some(self.calls.len() - 1))
    }

    /// Records the answer: the outcome, and the name that the file had, if that was told.
    pub(super) fn end(&mut self, ticket: &Ticket, now: Time, name: Option<&str>, outcome: Outcome) {
        let Some(place) = ticket.0 else { return };
        // It may be the work of calls that are not recorded.
        if self.full {
            return;
        }
        if let Outcome::Observed(content) = &outcome {
            self.bytes += content.0.len();
        }
        let at = self.moment(now);
        let recorded = &mut self.calls[place];
        if let Some(name) = name {
            recorded.operation = about(&recorded.operation, name);
        } else if is_uuid(recorded.operation.name()) && outcome != Outcome::Unknown {
            // By name, this refusal says nothing.
            recorded.answer = Some(Answer { at, outcome: Outcome::NotDone });
            return;
        }
        recorded.answer = Some(Answer { at, outcome });
    }

    /// Records that a read saw a content too long to keep.
    pub(super) fn leave_out(&mut self, name: &str) {
        self.unchecked.insert(name.to_owned());
    }

    /// Records that a change was asked for that no check knows.
    pub(super) fn leave_out_all(&mut self, reference: &str) {
        self.unchecked.extend(self.meant(reference));
    }

    /// Records that a stale read was not true.
    pub(super) fn untrue(&mut self, what: String) {
        self.untruth.get_or_insert(what);
    }

    /// What the first stale read said that was not true, if one did.
    pub(super) fn untruth(&self) -> Option<&str> {
        self.untruth.as_deref()
    }

    /// Remembers the names that the answer to a change tells.
    pub(super) fn learn_from(&mut self, answer: &files::Answer) {
        match answer {
            files::Answer::Created { file, .. } => self.learn(file.uuid, file.name.as_str()),
            files::Answer::Appended { uuid, name, .. }
            | files::Answer::Renamed { uuid, name, .. } => self.learn(*uuid, name.as_str()),
            _ => {}
        }
    }

    /// Remembers the name of a file.
    pub(super) fn learn(&mut self, uuid: Uuid, name: &str) {
        if self.names.len() == MAX_CALLS {
            return;
        }
        let names = self.names.entry(uuid).or_default();
        names.retain(|known| known != name);
        names.push(name.to_owned());
    }

    /// The name of the file that is meant, as far as is known: for a reference that means the
    /// same in another run.
    pub(super) fn name_of(&self, reference: &str) -> String {
        let named = self.names.values().any(|names| names.last().is_some_and(|it| it == reference));
        if named {
            return reference.to_owned();
        }
        self.meant(reference).pop().unwrap_or_else(|| reference.to_owned())
    }

    /// The latest name of every file, and every uuid.
    pub(super) fn known_files(&self) -> Vec<String> {
        let names = self.names.values().filter_map(|names| names.last().cloned());
        names.chain(self.names.keys().map(Uuid::to_string)).collect()
    }

    /// Remembers a name that the file may get.
    fn may_become(&mut self, reference: &str, name: &str) {
        let meant = self.meant(reference);
        for names in self.names.values_mut() {
            if names.iter().any(|known| meant.contains(known)) {
                names.insert(0, name.to_owned());
            }
        }
    }

    /// Every name that the file may have had.
    fn meant(&self, reference: &str) -> Vec<String> {
        let mut names = vec![reference.to_owned()];
        if is_uuid(reference) {
            let digits = digits(reference);
            for (uuid, known) in &self.names {
                if uuid.simple().to_string().starts_with(&digits) {
                    names.extend(known.iter().cloned());
                }
            }
        }
        names
    }

    /// Whether one copy of the files could have given all answers so far.
    pub(super) fn check(&self) -> Result<Checked, LinearizabilityError> {
        let (history, unchecked) = self.history();
        let summary = check_linearizable(&history)?;
        Ok(Checked { summary, unchecked, full: self.full })
    }

    /// What can be checked, and how many files cannot.
    pub(super) fn history(&self) -> (History, usize) {
        let mut calls: Vec<Call> = self.calls.iter().flat_map(|call| self.possible(call)).collect();
        let unchecked = self.tied(&calls);
        calls.retain(|call| touched(&call.operation).all(|name| !unchecked.contains(name)));
        let history = History::from_calls(calls)
            .expect("invariant: every moment is later than the one before");
        (history, unchecked.len())
    }

    /// The call by the name of its file; by each name that it may have had if nobody was told.
    fn possible(&self, recorded: &Recorded) -> Vec<Call> {
        let Recorded { client, operation, invoked, answer } = recorded;
        let call = |operation| Call {
            client: *client,
            operation,
            invoked: *invoked,
            answer: answer.clone(),
        };
        if answer.as_ref().is_some_and(|answer| answer.outcome != Outcome::Unknown) {
            return vec![call(operation.clone())];
        }
        let names = self.meant(operation.name());
        names.iter().map(|name| call(about(operation, name))).collect()
    }

    /// The files that cannot be checked, with those that renames tie to them.
    fn tied(&self, calls: &[Call]) -> BTreeSet<String> {
        let mut unchecked = self.unchecked.clone();
        loop {
            let before = unchecked.len();
            for call in calls {
                if touched(&call.operation).any(|name| unchecked.contains(name)) {
                    unchecked.extend(touched(&call.operation).map(str::to_owned));
                }
            }
            if unchecked.len() == before {
                return unchecked;
            }
        }
    }

    /// Counts the answers.
    pub(super) fn tally(&self) -> CallTally {
        let count = |wanted: fn(Option<&Outcome>) -> bool| {
            let outcomes = self.calls.iter().map(|call| call.answer.as_ref().map(|it| &it.outcome));
            outcomes.filter(|outcome| wanted(*outcome)).count() as u64
        };
        CallTally {
            writes: count(|outcome| outcome == Some(&Outcome::Done)),
            reads: count(|outcome| matches!(outcome, Some(Outcome::Observed(_)))),
            unknown: count(|outcome| matches!(outcome, None | Some(Outcome::Unknown))),
            unchecked: self.full || !self.unchecked.is_empty(),
        }
    }

    fn moment(&mut self, now: Time) -> u64 {
        self.latest = now.as_nanos().max(self.latest + 1);
        self.latest
    }
}

/// What an error says about the call's effect.
pub(super) fn outcome_of(error: &ClientError) -> Outcome {
    match error {
        ClientError::Refused(refusal) => match refusal {
            Refusal::NoSuchFile { .. } => Outcome::NoSuchFile,
            Refusal::NameExists { .. } => Outcome::NameExists,
            // An earlier attempt may have been carried out.
            Refusal::SessionExpired { .. }
            | Refusal::AlreadyAcknowledged { .. }
            | Refusal::UnknownAnswer { .. } => Outcome::Unknown,
            _ => Outcome::NotDone,
        },
        ClientError::NotDone(_) | ClientError::Source(_) | ClientError::SizeChanged { .. } => {
            Outcome::NotDone
        }
        ClientError::Unknown | ClientError::Damaged { .. } => Outcome::Unknown,
    }
}

/// The same operation on the file of this name.
fn about(operation: &Operation, name: &str) -> Operation {
    let mut operation = operation.clone();
    match &mut operation {
        Operation::Create { name: file, .. }
        | Operation::Append { name: file, .. }
        | Operation::AppendIf { name: file, .. }
        | Operation::AppendBoth { names: [file, _], .. }
        | Operation::Read { name: file }
        | Operation::Delete { name: file }
        | Operation::Rename { from: file, .. } => name.clone_into(file),
    }
    operation
}

/// The names that an operation is about.
fn touched(operation: &Operation) -> impl Iterator<Item = &str> {
    let to = match operation {
        Operation::Rename { to, .. } => Some(to.as_str()),
        Operation::AppendBoth { names: [_, other], .. } => Some(other.as_str()),
        _ => None,
    };
    std::iter::once(operation.name()).chain(to)
}

/// Whether a reference may be a uuid or the beginning of one, rather than a name.
fn is_uuid(reference: &str) -> bool {
    let digits = digits(reference);
    (4..=32).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn digits(reference: &str) -> String {
    reference.replace('-', "").to_ascii_lowercase()
}

impl std::fmt::Display for Checked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.summary.fmt(f)?;
        if self.unchecked > 0 {
            let more = self.unchecked;
            let plural = if more == 1 { "file" } else { "files" };
            write!(f, "; {more} {plural} not checked: larger than 1 MiB, or changed by a batch")?;
        }
        if self.full { f.write_str("; later calls not checked") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(calls: &mut Calls, name: &str, content: Option<&[u8]>) {
        let uuid = Uuid::from_u128(0xabcd_ef00 << 96 | name.len() as u128);
        let name = name.to_owned();
        let ticket = calls.begin(0, Time::default(), content, |content| Operation::Create {
            name: name.clone(),
            content,
            replace: false,
        });
        calls.learn(uuid, &name);
        calls.end(&ticket, Time::default(), Some(&name), Outcome::Done);
    }

    fn append(calls: &mut Calls, file: &str, name: Option<&str>, outcome: Outcome) {
        let ticket = calls.begin(0, Time::default(), Some(b"x"), |content| Operation::Append {
            name: file.to_owned(),
            content,
        });
        calls.end(&ticket, Time::default(), name, outcome);
    }

    fn rename(calls: &mut Calls, from: &str, to: &str, outcome: Outcome) {
        let ticket = calls.begin(0, Time::default(), Some(&[]), |_| Operation::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
        });
        calls.end(&ticket, Time::default(), None, outcome);
    }

    fn read(calls: &mut Calls, name: &str, content: &str) {
        let ticket = calls
            .begin(0, Time::default(), Some(&[]), |_| Operation::Read { name: name.to_owned() });
        let outcome = Outcome::Observed(content.into());
        calls.end(&ticket, Time::default(), Some(name), outcome);
    }

    #[test]
    fn an_append_that_is_seen_twice_is_found() {
        let mut calls = Calls::default();
        create(&mut calls, "a", Some(b"a"));
        append(&mut calls, "a", Some("a"), Outcome::Done);
        read(&mut calls, "a", "ax");
        assert!(calls.check().is_ok());
        read(&mut calls, "a", "axx");
        assert!(calls.check().is_err());
    }

    #[test]
    fn an_unknown_append_by_uuid_may_have_changed_the_file_under_every_name_it_had() {
        for (content, holds) in [("ax", true), ("a", true), ("ay", false)] {
            let mut calls = Calls::default();
            create(&mut calls, "a", Some(b"a"));
            rename(&mut calls, "a", "b", Outcome::Unknown);
            append(&mut calls, "abcdef", None, Outcome::Unknown);
            read(&mut calls, "b", content);
            assert_eq!(calls.check().is_ok(), holds, "{content}");
        }
    }

    #[test]
    fn what_a_uuid_does_not_find_says_nothing_about_a_name() {
        let mut calls = Calls::default();
        create(&mut calls, "a", Some(b"a"));
        append(&mut calls, "abcdef", None, Outcome::NoSuchFile);
        assert!(calls.check().is_ok());
        append(&mut calls, "a", None, Outcome::NoSuchFile);
        assert!(calls.check().is_err());
    }

    #[test]
    fn files_with_long_contents_and_what_is_tied_to_them_are_left_out() {
        let mut calls = Calls::default();
        create(&mut calls, "long", None);
        rename(&mut calls, "long", "other", Outcome::Done);
        read(&mut calls, "other", "nonsense");
        let checked = calls.check().unwrap_or_else(|violation| panic!("{violation}"));
        assert!(
            checked
                .to_string()
                .ends_with("; 2 files not checked: larger than 1 MiB, or changed by a batch")
        );
        read(&mut calls, "third", "nonsense");
        assert!(calls.check().is_err());
    }

    #[test]
    fn of_too_many_calls_the_first_are_checked() {
        let mut calls = Calls::default();
        create(&mut calls, "a", Some(b"a"));
        (0..MAX_CALLS).for_each(|_| read(&mut calls, "a", "a"));
        assert_eq!(calls.calls.len(), MAX_CALLS);
        assert!(calls.check().is_ok_and(|checked| checked.to_string().ends_with("not checked")));
    }

    #[test]
    fn what_calls_did_that_are_not_kept_explains_later_answers() {
        let mut calls = Calls::default();
        create(&mut calls, "a", Some(b"a"));
        let waits = calls.begin(2, Time::default(), Some(b"b"), |content| Operation::Append {
            name: "a".to_owned(),
            content,
        });
        (0..MAX_CALLS).for_each(|_| read(&mut calls, "a", "a"));
        calls.end(&waits, Time::default(), None, Outcome::NoSuchFile);
        assert!(calls.check().is_ok());
    }

    #[test]
    fn a_file_is_known_by_its_latest_name() {
        let mut calls = Calls::default();
        create(&mut calls, "a", Some(b"a"));
        calls.learn(Uuid::from_u128(0xabcd_ef00 << 96 | 1), "diary");
        for (reference, name) in
            [("abcdef00", "diary"), ("ABCD", "diary"), ("diary", "diary"), ("other", "other")]
        {
            assert_eq!(calls.name_of(reference), name);
        }
    }
}
