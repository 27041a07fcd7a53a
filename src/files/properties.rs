//! Random histories against a model a person can check at a glance: names and plain bytes.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::testing::{Bench, cases, create, uuid};
use super::{Answer, Command, FileStore, Limits, Query, Reply, open_session};

/// What a client does, in terms of a few names and uploads, so that histories collide often.
#[derive(Clone, Debug)]
enum Step {
    Create {
        name: u8,
        data: Vec<u8>,
        replace: bool,
    },
    Append {
        name: u8,
        data: Vec<u8>,
    },
    Delete {
        name: u8,
    },
    Rename {
        name: u8,
        to: u8,
    },
    /// Stages all chunks in this order, then uses the upload.
    Upload {
        name: u8,
        data: Vec<u8>,
        order: Vec<prop::sample::Index>,
        how: How,
    },
    /// Sends the payload applied so many steps ago once more.
    Retry {
        ago: usize,
    },
    Reopen,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Create,
    Replace,
    Append,
    Discard,
}

const CHUNK: usize = 700;

fn step() -> impl Strategy<Value = Step> {
    let name = 0..5_u8;
    let data = || (0..3000_usize, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]);
    let how = prop::sample::select(vec![How::Create, How::Replace, How::Append, How::Discard]);
    prop_oneof![
        3 => (name.clone(), data(), any::<bool>())
            .prop_map(|(name, data, replace)| Step::Create { name, data, replace }),
        4 => (name.clone(), data()).prop_map(|(name, data)| Step::Append { name, data }),
        1 => name.clone().prop_map(|name| Step::Delete { name }),
        1 => (name.clone(), 0..5_u8).prop_map(|(name, to)| Step::Rename { name, to }),
        3 => (name, data(), prop::collection::vec(any::<prop::sample::Index>(), 5), how)
            .prop_map(|(name, data, order, how)| Step::Upload { name, data, order, how }),
        3 => (1..8_usize).prop_map(|ago| Step::Retry { ago }),
        1 => Just(Step::Reopen),
    ]
}

fn text(name: u8) -> String {
    format!("dir/{name}")
}

/// The model: what the files must be.
type Model = BTreeMap<String, Vec<u8>>;

struct Run {
    bench: Bench,
    model: Model,
    /// The next uuid to be drawn.
    drawn: u128,
}

impl Run {
    fn new() -> Self {
        // Few kept answers and sessions, so that the limits take part.
        let limits = Limits { sessions: 2, unacknowledged: 3, ..Limits::default() };
        Self { bench: Bench::with(limits), model: Model::new(), drawn: 1 << 96 }
    }

    fn draw(&mut self) -> u128 {
        self.drawn += 1;
        self.drawn
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Create { name, data, replace } => {
                let mut command = create(self.draw(), &text(name), data.len());
                if let Command::Create { replace: flag, .. } = &mut command {
                    *flag = replace;
                }
                let reply = self.bench.run(command, &data);
                self.created(&text(name), data, replace, &reply);
            }
            Step::Append { name, data } => {
                let reply = self.bench.append(&text(name), &data);
                self.appended(&text(name), &data, &reply);
            }
            Step::Delete { name } => {
                let reply = self.bench.run(Command::Delete { file: text(name) }, b"");
                assert_eq!(reply.is_ok(), self.model.remove(&text(name)).is_some());
            }
            Step::Rename { name, to } => {
                let (file, name) = (text(name), text(to));
                let command = Command::Rename { file: file.clone(), name: name.clone() };
                let reply = self.bench.run(command, b"");
                let possible = self.model.contains_key(&file) && !self.model.contains_key(&name);
                assert_eq!(reply.is_ok(), possible);
                if possible && let Some(data) = self.model.remove(&file) {
                    self.model.insert(name, data);
                }
            }
            Step::Upload { name, data, order, how } => self.upload(&text(name), data, order, how),
            Step::Retry { ago } => {
                let Some(place) = self.bench.log.len().checked_sub(ago) else { return };
                let payload = self.bench.log[place].clone();
                // Opening a session belongs to none; once more is one more.
                if payload != open_session() {
                    let _ = self.bench.apply(payload);
                }
            }
            Step::Reopen => self.bench.session = self.bench.open(),
        }
    }

    fn upload(&mut self, name: &str, data: Vec<u8>, order: Vec<prop::sample::Index>, how: How) {
        let upload = uuid(self.draw());
        let size = data.len() as u64;
        let onto = matches!(how, How::Append).then(|| self.bench.stat(name).ok()).flatten();
        let onto = onto.map(|info| info.uuid);
        let mut chunks: Vec<_> = (0..).step_by(CHUNK).zip(data.chunks(CHUNK)).collect();
        if chunks.is_empty() {
            chunks.push((0, &[]));
        }
        for place in order {
            let (a, b) = (place.index(chunks.len()), chunks.len() - 1);
            chunks.swap(a, b);
            // A chunk may also come twice.
            chunks.push(chunks[a]);
        }
        for (offset, chunk) in chunks {
            self.bench.run(Command::Stage { upload, offset, onto }, chunk).unwrap();
        }
        let (file, replace) = (name.to_owned(), matches!(how, How::Replace));
        match how {
            How::Create | How::Replace => {
                let (uuid, upload) = (uuid(self.draw()), Some(upload));
                let command = Command::Create { uuid, name: file, size, upload, replace };
                let reply = self.bench.run(command, b"");
                self.created(name, data, replace, &reply);
            }
            How::Append => {
                let reply = self.bench.run(Command::AppendStaged { file, upload, size }, b"");
                self.appended(name, &data, &reply);
            }
            How::Discard => {
                self.bench.run(Command::Discard { upload }, b"").unwrap();
            }
        }
    }

    fn created(&mut self, name: &str, data: Vec<u8>, replace: bool, reply: &Reply) {
        assert_eq!(reply.is_ok(), replace || !self.model.contains_key(name), "{reply:?}");
        if let Ok(Answer::Created { file, .. }) = reply {
            assert_eq!(file.hash, blake3::hash(&data).into());
            self.model.insert(name.to_owned(), data);
        }
    }

    fn appended(&mut self, name: &str, data: &[u8], reply: &Reply) {
        assert_eq!(reply.is_ok(), self.model.contains_key(name), "{reply:?}");
        if let Some(content) = self.model.get_mut(name) {
            content.extend_from_slice(data);
        }
    }

    /// The store holds what the model holds, and nothing else.
    fn check(&self) {
        let Ok(Answer::List { files, more: false }) =
            self.bench.query(&Query::List { after: None, limit: 100 })
        else {
            panic!("one page holds them all")
        };
        let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, self.model.keys().collect::<Vec<_>>());
        for (file, data) in files.iter().zip(self.model.values()) {
            assert_eq!(file.size, data.len() as u64);
            assert_eq!(file.hash, blake3::hash(data).into());
            assert_eq!(&self.bench.cat(file.name.as_str()).unwrap(), data);
        }
        let bytes = self.model.values().map(Vec::len).sum::<usize>() as u64;
        let total = self.bench.query(&Query::Checksum);
        assert!(matches!(total, Ok(Answer::Checksum { bytes: b, .. }) if b == bytes));
    }
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn a_random_history_equals_the_model(steps in prop::collection::vec(step(), 1..60)) {
        let mut run = Run::new();
        for step in steps {
            let retried = matches!(step, Step::Retry { .. } | Step::Reopen);
            let before = retried.then(|| run.bench.store.digest());
            run.step(step);
            if let Some(before) = before {
                prop_assert_eq!(run.bench.store.digest(), before, "a retry changed the files");
            }
            run.check();
        }
    }

    #[test]
    fn the_same_log_gives_the_same_store_and_answers(
        steps in prop::collection::vec(step(), 1..40),
        garbage in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut run = Run::new();
        for step in steps {
            run.step(step);
        }
        let _ = run.bench.apply(garbage);
        let limits = || Limits { sessions: 2, unacknowledged: 3, ..Limits::default() };
        let (mut one, mut two) = (FileStore::new(limits()), FileStore::new(limits()));
        for (index, payload) in (1..).zip(&run.bench.log) {
            let copy = Bytes::copy_from_slice(payload);
            prop_assert_eq!(one.apply(index, payload), two.apply(index, &copy));
        }
        prop_assert_eq!(one.digest(), run.bench.store.digest());
        prop_assert_eq!(two.digest(), run.bench.store.digest());
    }
}
