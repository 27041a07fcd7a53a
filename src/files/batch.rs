//! Commands with conditions, and commands that belong together.

use uuid::Uuid;

use super::command::Part;
use super::execute::{Entry, Files};
use super::limits::{MAX_BATCH, MAX_VERSIONS};
use super::refusal::Refusal;
use super::reply::{Answer, Reply};
use crate::museum::{Bug, on};

impl Files {
    /// Checks the condition of a command.
    pub(super) fn check_revision(&self, file: String, expected: u64) -> Result<(), Refusal> {
        let found = match self.catalogue.resolve(&file) {
            Ok((_, found)) => found.revision(),
            Err(Refusal::NoSuchFile { .. }) => 0,
            Err(refusal) => return Err(refusal),
        };
        let later = on(Bug::ConditionTakesLaterRevisions) && found > expected;
        if found != expected && !later {
            return Err(Refusal::RevisionChanged { file, expected, found });
        }
        Ok(())
    }

    /// Checks that a file is one of these versions, or is not; any file is, if there are none.
    pub(super) fn check_version(
        &self,
        file: String,
        versions: &[(Uuid, u64)],
        is: bool,
    ) -> Result<(), Refusal> {
        let (count, limit) = (versions.len() as u64, MAX_VERSIONS as u64);
        if count > limit {
            return Err(Refusal::TooManyVersions { count, limit });
        }
        let found = match self.catalogue.resolve(&file) {
            Ok((uuid, found)) => Some((uuid, found.revision())),
            Err(Refusal::NoSuchFile { .. }) => None,
            Err(refusal) => return Err(refusal),
        };
        let known = found.is_some_and(|found| versions.is_empty() || versions.contains(&found));
        if known == is { Ok(()) } else { Err(Refusal::OtherVersion { file, found }) }
    }

    /// Carries out all commands or none.
    pub(super) fn batch(&mut self, entry: Entry<'_>, parts: Vec<Part>) -> Reply {
        let (commands, limit) = (parts.len() as u64, MAX_BATCH as u64);
        if commands > limit {
            return Err(Refusal::BatchTooLong { commands, limit });
        }
        let (size, received) =
            (parts.iter().map(|part| u64::from(part.bytes)).sum(), entry.data.len() as u64);
        if size != received {
            return Err(Refusal::SizeMismatch { size, received });
        }
        self.catalogue.begin();
        self.uploads.begin();
        let done = self.each(entry, parts);
        if done.is_ok() || on(Bug::BatchNotUndone) {
            self.catalogue.commit();
            self.uploads.commit();
        } else {
            self.catalogue.undo();
            self.uploads.undo();
            self.changes.clear();
        }
        done.map(Answer::Batch)
    }

    fn each(&mut self, entry: Entry<'_>, parts: Vec<Part>) -> Result<Vec<Answer>, Refusal> {
        let mut answers = Vec::with_capacity(parts.len());
        let mut start = 0;
        for (place, Part { command, bytes }) in (1..).zip(parts) {
            let data = entry.data.slice(start..start + bytes as usize);
            start += data.len();
            let reply = if command.holds_batch() {
                Err(Refusal::NestedBatch)
            } else {
                self.execute(Entry { data: &data, ..entry }, command)
            };
            let in_batch = |reason| Refusal::InBatch { place, reason: Box::new(reason) };
            answers.push(reply.map_err(in_batch)?);
        }
        Ok(answers)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, append, create, create_from, uuid};
    use super::super::{Command, Limits, Query};
    use super::*;

    fn delete(file: &str) -> Command {
        Command::Delete { file: file.into() }
    }

    fn rename(file: &str, name: &str) -> Command {
        Command::Rename { file: file.into(), name: name.into() }
    }

    fn batch(bench: &mut Bench, commands: &[(Command, &[u8])]) -> Reply {
        let (command, data) = Command::batch(commands.iter().cloned());
        bench.run(command, &data)
    }

    fn refused(reply: Reply) -> (u64, Refusal) {
        match reply {
            Err(Refusal::InBatch { place, reason }) => (place, *reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_conditional_command_needs_exactly_its_revision() {
        let mut bench = Bench::new();
        bench.create(1, "a", b"x").unwrap();
        bench.append("a", b"y").unwrap();
        let changed =
            |expected, found| Err(Refusal::RevisionChanged { file: "a".into(), expected, found });
        for expected in [0, 1, 3] {
            let command = append("a").if_revision("a", expected);
            assert_eq!(bench.run(command, b"z"), changed(expected, 2));
        }
        bench.run(append("a").if_revision("a", 2), b"z").unwrap();
        assert_eq!(bench.cat("a").unwrap(), b"xyz");
        bench.run(delete("a").if_revision("a", 3), b"").unwrap();
        assert_eq!(bench.run(delete("a").if_revision("a", 3), b""), changed(3, 0));
        bench.run(create(2, "a", 0).if_revision("a", 0), b"").unwrap();
    }

    #[test]
    fn a_condition_may_be_about_another_file_and_there_may_be_several() {
        let mut bench = Bench::new();
        bench.create(1 << 112, "a", b"").unwrap();
        bench.create((1 << 112) + 1, "b", b"").unwrap();
        let both = append("b").if_revision("a", 1).if_revision("b", 1);
        bench.run(both.clone(), b"x").unwrap();
        let changed = Refusal::RevisionChanged { file: "b".into(), expected: 1, found: 2 };
        assert_eq!(bench.run(both, b"x"), Err(changed));
        let ambiguous = bench.run(append("a").if_revision("0001", 1), b"x");
        assert!(matches!(ambiguous, Err(Refusal::Ambiguous { .. })));
    }

    #[test]
    fn a_batch_is_answered_in_order_and_each_command_has_its_data() {
        let mut bench = Bench::new();
        let reply = batch(
            &mut bench,
            &[
                (create(1, "a", 3), b"one"),
                (append("a"), b"two"),
                (rename("a", "b"), b""),
                (create(2, "a", 5), b"three"),
                (append("b").if_revision("b", 3), b"!"),
            ],
        );
        let Ok(Answer::Batch(answers)) = reply else { panic!("{reply:?}") };
        assert!(matches!(answers[0], Answer::Created { .. }));
        assert!(matches!(answers[1], Answer::Appended { size: 6, revision: 2, .. }));
        assert!(matches!(answers[4], Answer::Appended { size: 7, revision: 4, .. }));
        assert_eq!(bench.cat("b").unwrap(), b"onetwo!");
        assert_eq!(bench.cat("a").unwrap(), b"three");
        assert_eq!(bench.stat("a").unwrap().index, bench.stat("b").unwrap().index);
    }

    /// Everything a batch can touch, touched, and then one command that is refused.
    #[test]
    fn a_refused_batch_leaves_no_trace() {
        let mut bench = Bench::new();
        bench.create(1, "a", &[7; 100_000]).unwrap();
        bench.create(2, "b", b"two").unwrap();
        bench.stage(8, 0, b"eight").unwrap();
        bench.stage(9, 0, b"nine").unwrap();
        let index = bench.log.len() as u64;
        let twin = || {
            let mut twin = Bench::new();
            for payload in &bench.log[1..] {
                twin.apply(payload.clone()).unwrap();
            }
            twin.serial = bench.serial;
            twin
        };
        let (mut with, mut without) = (twin(), twin());
        let staged = Command::AppendStaged { file: "a".into(), upload: uuid(9), size: 4 };
        let stage = Command::Stage { upload: uuid(10), offset: 3, onto: None };
        let commands: &[(Command, &[u8])] = &[
            (append("a"), &[1; 20_000]),
            (staged, b""),
            (delete("b"), b""),
            (rename("a", "b"), b""),
            (create_from(3, "a", 5, 8), b""),
            (create(2, "c", 1), b"c"),
            (stage, b"ten"),
            (delete("nothing"), b""),
        ];
        let none = Refusal::NoSuchFile { file: "nothing".into() };
        assert_eq!(refused(batch(&mut with, commands)), (8, none));
        let other = delete("nothing");
        let same_answer = without.run(other, b"");
        assert!(same_answer.is_err());
        assert_eq!(with.store.digest(), without.store.digest());
        let changes = Query::Changes { after: index, limit: 10 };
        assert_eq!(with.query(&changes), without.query(&changes));
        // Also all that is not seen from outside: what the uploads hold, and how much room is left.
        for bench in [&mut with, &mut without] {
            bench.run(create_from(3, "x", 5, 8), b"").unwrap();
            let staged = Command::AppendStaged { file: "a".into(), upload: uuid(9), size: 4 };
            bench.run(staged, b"").unwrap();
            bench.run(Command::Discard { upload: uuid(10) }, b"").unwrap_err();
        }
        assert_eq!(with.cat("a").unwrap(), without.cat("a").unwrap());
        assert_eq!(with.stat("a"), without.stat("a"));
        assert_eq!(with.store.state_hash(), without.store.state_hash());
    }

    #[test]
    fn a_retried_batch_is_answered_from_the_session() {
        let mut bench = Bench::new();
        bench.create(1, "a", b"").unwrap();
        let (command, data) = Command::batch([(append("a"), &b"x"[..]), (append("a"), b"y")]);
        let payload = bench.request(command, &data);
        let first = bench.apply(payload.clone());
        assert_eq!(bench.apply(payload), first);
        assert_eq!(bench.cat("a").unwrap(), b"xy");
    }

    #[test]
    fn room_is_counted_from_command_to_command() {
        let limits = || Limits { store_bytes: 10, ..Limits::default() };
        let mut bench = Bench::with(limits());
        bench.create(1, "a", b"12345678").unwrap();
        let full = Refusal::StoreFull { bytes: 4, limit: 10 };
        let grow: (Command, &[u8]) = (append("a"), b"1234");
        assert_eq!(refused(batch(&mut bench, std::slice::from_ref(&grow))), (1, full.clone()));
        let refill = (create(2, "a", 8), &b"12345678"[..]);
        let refilled = [(delete("a"), &b""[..]), refill, grow];
        assert_eq!(refused(batch(&mut bench, &refilled)), (3, full));
        batch(&mut bench, &refilled[..2]).unwrap();
    }

    #[test]
    fn what_a_batch_may_hold_is_bounded() {
        let mut bench = Bench::new();
        bench.create(1, "a", b"").unwrap();
        let one = (append("a"), &b"x"[..]);
        batch(&mut bench, &vec![one.clone(); MAX_BATCH]).unwrap();
        let (commands, limit) = (MAX_BATCH as u64 + 1, MAX_BATCH as u64);
        let too_long = batch(&mut bench, &vec![one.clone(); MAX_BATCH + 1]);
        assert_eq!(too_long, Err(Refusal::BatchTooLong { commands, limit }));

        let (inner, data) = Command::batch([one]);
        for nested in [inner.clone(), inner.clone().if_revision("a", 65)] {
            let reply = batch(&mut bench, &[(append("a"), b"y"), (nested, &data)]);
            assert_eq!(refused(reply), (2, Refusal::NestedBatch));
        }
        bench.run(inner.clone().if_revision("a", 65), &data).unwrap();
        let short = bench.run(inner, b"");
        assert_eq!(short, Err(Refusal::SizeMismatch { size: 1, received: 0 }));
        assert_eq!(batch(&mut bench, &[]), Ok(Answer::Batch(Vec::new())));
        assert_eq!(bench.stat("a").unwrap().size, 65);
    }
}
