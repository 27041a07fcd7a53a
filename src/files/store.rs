//! The store as its server sees it: bytes in, bytes out.

use blake3::Hasher;
use bytes::Bytes;

use super::catalogue::Catalogue;
use super::command::{Key, Operation, Request};
use super::content::Content;
use super::execute::{Entry, Files};
use super::file::ContentHash;
use super::history::History;
use super::keys::Keys;
use super::limits::{HistoryLimits, Limits, MAX_PAGE, MAX_READ};
use super::past::{Past, Version};
use super::query::Query;
use super::refusal::Refusal;
use super::reply::{Answer, Encoded, Reply, encode, encode_answer};
use super::session::{Admission, Sessions};
use super::shelf::{ChunkStore, Lost, Shelf};
use super::snapshot::{Frozen, Restore};
use super::sum;
use super::upload::Uploads;

/// The replicated files, with the sessions of those who change them.
#[derive(Debug, Default)]
pub struct FileStore {
    files: Files,
    sessions: Sessions,
    keys: Keys,
    history: History,
    /// The index of the last entry.
    applied: u64,
    carried_out: Option<(u64, u64)>,
}

impl FileStore {
    /// An empty store. `limits` must be equal on all servers.
    pub fn new(limits: Limits) -> Self {
        Self { files: Files { limits, ..Files::default() }, ..Self::default() }
    }

    /// This store with other bounds of its history, which begins anew.
    pub fn with_history(self, limits: HistoryLimits) -> Self {
        Self { history: History::since(self.applied, limits), ..self }
    }

    /// From now on, content whose snapshot is durable is not kept in memory but read from here; see
    /// [`Frozen::let_go`]. A store that is restored by this one has the same chunk store.
    pub fn keep_content_in(&mut self, chunks: Box<dyn ChunkStore>) {
        self.files.shelf = Shelf::new(chunks);
    }

    /// What a snapshot of `index` holds, as a store.
    pub(super) fn restored(
        files: Files,
        (sessions, keys): (Sessions, Keys),
        history: HistoryLimits,
        index: u64,
    ) -> Self {
        let history = History::since(index, history);
        Self { files, sessions, keys, history, applied: index, carried_out: None }
    }

    /// Applies the payload of the log entry at `index` and returns the answer, for
    /// [`Answer::decode`]. Indices must increase from call to call. Any bytes will do: those that
    /// are not a command are answered [`Refusal::Malformed`].
    pub fn apply(&mut self, index: u64, command: &Bytes) -> Bytes {
        let answer = self.carry_out(index, command);
        if answer.spilled() { answer.into_vec().into() } else { Bytes::copy_from_slice(&answer) }
    }

    /// Applies the payload like [`apply`](Self::apply) where nobody wants the answer: on every
    /// server but one.
    pub fn apply_unheard(&mut self, index: u64, command: &Bytes) {
        self.carry_out(index, command);
    }

    fn carry_out(&mut self, index: u64, command: &Bytes) -> Encoded {
        self.carried_out = None;
        self.applied = index;
        match Operation::decode(command) {
            Ok((Operation::Request(request), data)) => {
                self.apply_request(index, None, request, &data)
            }
            Ok((Operation::Keyed(key, request), data)) => {
                self.apply_request(index, Some(key), request, &data)
            }
            Ok((Operation::OpenSession, _)) => encode_answer(&Ok(self.open_session(index))),
            Ok((Operation::CloseSession { session }, _)) => {
                encode_answer(&self.close_session(session))
            }
            Err(refusal) => encode_answer(&Err(refusal)),
        }
    }

    /// Says that the entries up to `index` are applied, those behind the last command being none
    /// of the store's (a leader's no-op): for questions about that index. Changes nothing else.
    pub fn note_applied(&mut self, index: u64) {
        self.applied = self.applied.max(index);
    }

    /// The store as it is now, for a snapshot, while this one goes on. Costs less than a
    /// millisecond for a million files, and shares all content.
    pub fn freeze(&self) -> Frozen {
        Frozen::new(&self.files, &self.sessions, &self.keys)
    }

    /// Begins to rebuild what a snapshot holds, within the limits of this store, which stays as it
    /// is.
    pub fn restore(&self) -> Restore {
        let Files { limits, shelf, .. } = &self.files;
        Restore::new(limits.clone(), self.history.limits().clone(), shelf.clone())
    }

    /// Forgets the changes up to and including the entry at `index`, as when a snapshot of it is
    /// taken. The files as they were then, and all changes since, can still be read.
    pub fn forget_before(&mut self, index: u64) {
        self.history.forget_before(index);
    }

    /// A number that is equal where files, sessions, stored answers and uploads are, kept up to
    /// date by every entry: servers that have applied the same entries compare it at no cost.
    pub fn state_hash(&self) -> u64 {
        let Files { catalogue, uploads, .. } = &self.files;
        state_hash(catalogue, uploads, &self.sessions, &self.keys)
    }

    /// Answers the bytes of a [`Query`], for [`Answer::decode`]. Changes nothing.
    pub fn query(&self, query: &Bytes) -> Bytes {
        encode(&Query::decode(query).and_then(|query| self.answer(query)))
    }

    /// A digest of all files: uuid, name, size, hash and revision. Equal on servers that have
    /// applied the same entries. Visits every file.
    pub fn digest(&self) -> ContentHash {
        let mut hasher = Hasher::new();
        for (uuid, file) in self.files.catalogue.iter() {
            let name = file.name.as_str().as_bytes();
            hasher.update(uuid.as_bytes());
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(name);
            hasher.update(&file.size().to_le_bytes());
            hasher.update(&file.content().hash().0);
            hasher.update(&file.revision().to_le_bytes());
        }
        hasher.finalize().into()
    }

    /// The session and the serial number of the request that the last [`apply`](Self::apply)
    /// carried out; `None` if it answered from the session table, or refused.
    pub fn carried_out(&self) -> Option<(u64, u64)> {
        self.carried_out
    }

    /// How many sessions are open.
    pub fn open_sessions(&self) -> usize {
        self.sessions.len()
    }

    fn apply_request(
        &mut self,
        index: u64,
        key: Option<Key>,
        request: Request,
        data: &Bytes,
    ) -> Encoded {
        match self.sessions.admit(index, &request, &self.files.limits) {
            Ok(Admission::New(admitted)) => {
                let Request { session, serial, command, .. } = request;
                let entry = Entry { index, session, data };
                let known = key.and_then(|key| self.keys.answer(index, key, &self.files.limits));
                let answer = match known {
                    Some(reply) => {
                        if let Some(upload) = command.upload() {
                            // It came again, and nobody else will use it.
                            let _ = self.files.uploads.discard(session, upload);
                        }
                        Encoded::from_slice(&reply)
                    }
                    None => {
                        self.carried_out = Some((session, serial));
                        let reply = self.files.execute(entry, command);
                        self.history.extend(self.files.changes.drain(..));
                        let answer = encode_answer(&reply);
                        if let Some(key) = key {
                            self.keys.record(key, &Bytes::copy_from_slice(&answer));
                        }
                        answer
                    }
                };
                admitted.record(serial, Encoded::from_slice(&answer));
                answer
            }
            Ok(Admission::Applied(answer)) => answer,
            Err(refusal) => encode_answer(&Err(refusal)),
        }
    }

    fn open_session(&mut self, index: u64) -> Answer {
        if let Some(expired) = self.sessions.open(index, &self.files.limits) {
            self.files.uploads.discard_all(expired);
        }
        Answer::SessionOpened { session: index }
    }

    fn close_session(&mut self, session: u64) -> Reply {
        self.sessions.close(session)?;
        self.files.uploads.discard_all(session);
        Ok(Answer::SessionClosed)
    }

    fn answer(&self, query: Query) -> Reply {
        let catalogue = &self.files.catalogue;
        match query {
            Query::Stat { file } => {
                let (uuid, file) = catalogue.resolve(&file)?;
                Ok(Answer::Stat(file.info(uuid)))
            }
            Query::List { after, limit } => {
                let limit = bounded(limit, MAX_PAGE);
                let mut following = catalogue.after(after.as_deref());
                let page = following.by_ref().take(limit);
                let files = page.map(|(uuid, file)| file.info(uuid)).collect();
                Ok(Answer::List { files, more: following.next().is_some() })
            }
            Query::Read { uuid, offset, limit } => {
                let file = catalogue.get(uuid).ok_or(Refusal::Gone { uuid })?;
                let bytes = self.read(file.content(), offset, limit)?;
                Ok(Answer::Content { offset, size: file.size(), bytes })
            }
            Query::Checksum => Ok(Answer::Checksum {
                digest: self.digest(),
                files: catalogue.len() as u64,
                bytes: catalogue.bytes(),
            }),
            Query::Changes { after, limit } => {
                let limit = bounded(limit, MAX_PAGE);
                let (changes, next) = self.history.changes(after, limit, self.applied)?;
                Ok(Answer::Changes { changes, next })
            }
            Query::StatAt { file, index } => {
                let (uuid, version) = self.past().at(&file, index, self.applied)?;
                Ok(Answer::Version(version.info(uuid)))
            }
            Query::ReadAt { file, index, offset, limit } => {
                let (_, version) = self.past().at(&file, index, self.applied)?;
                self.page(&version, offset, limit)
            }
            Query::ReadRevision { uuid, revision, offset, limit } => {
                let version = self.past().at_revision(uuid, revision)?;
                self.page(&version, offset, limit)
            }
            Query::Fetch { file, offset, limit } => {
                let (uuid, file) = catalogue.resolve(&file)?;
                let bytes = self.read(file.content(), offset, limit)?;
                Ok(Answer::Fetched { file: file.info(uuid), offset, bytes })
            }
        }
    }

    fn read(&self, content: &Content, offset: u64, limit: u64) -> Result<Bytes, Refusal> {
        Ok(content.read(offset, bounded(limit, MAX_READ), &self.files.shelf)?)
    }

    fn page(&self, version: &Version<'_>, offset: u64, limit: u64) -> Reply {
        let forgotten = Refusal::HistoryGone { first: self.applied };
        let read = version.read(offset, bounded(limit, MAX_READ), &self.files.shelf);
        let bytes = read.ok_or(forgotten)??;
        Ok(Answer::Content { offset, size: version.size, bytes })
    }

    #[cfg(test)]
    pub(super) fn history(&self) -> &History {
        &self.history
    }

    fn past(&self) -> Past<'_> {
        Past { catalogue: &self.files.catalogue, history: &self.history }
    }
}

/// See [`FileStore::state_hash`].
pub(super) fn state_hash(
    catalogue: &Catalogue,
    uploads: &Uploads,
    sessions: &Sessions,
    keys: &Keys,
) -> u64 {
    sum::of_words(&[catalogue.sum(), uploads.sum(), sessions.sum()]).wrapping_add(keys.sum())
}

impl From<Lost> for Refusal {
    fn from(Lost(chunk): Lost) -> Self {
        Self::ContentLost { chunk }
    }
}

fn bounded(wanted: u64, limit: usize) -> usize {
    usize::try_from(wanted).map_or(limit, |wanted| wanted.min(limit))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, append, create_from, uuid};
    use super::super::{Command, close_session};
    use super::*;

    #[test]
    fn a_frozen_store_can_move_to_another_thread() {
        fn assert_send<T: Send>() {}
        assert_send::<Frozen>();
    }

    #[test]
    fn a_session_is_the_index_it_was_opened_at() {
        let mut bench = Bench::new();
        bench.create(1, "a", b"").unwrap();
        assert_eq!((bench.open(), bench.store.open_sessions()), (3, 2));
    }

    #[test]
    fn an_unknown_session_is_refused_and_nothing_applied() {
        let mut bench = Bench::new();
        bench.create(1, "a", b"x").unwrap();
        let command = append("a");
        let request = Request { session: 99, serial: 1, acknowledged: 0, command };
        let expired = Err(Refusal::SessionExpired { session: 99 });
        assert_eq!(bench.apply(request.encode(b"y")), expired);
        assert_eq!(bench.apply(close_session(99)), expired);
        assert_eq!(bench.cat("a").unwrap(), b"x");
    }

    #[test]
    fn closing_or_expiring_a_session_drops_its_uploads() {
        let mut bench = Bench::with(Limits { sessions: 2, ..Limits::default() });
        bench.stage(9, 0, b"abc").unwrap();
        assert_eq!(bench.store.files.uploads.bytes(), 3);
        bench.apply(close_session(bench.session)).unwrap();
        assert_eq!(bench.store.files.uploads.bytes(), 0);

        bench.session = bench.open();
        bench.stage(9, 0, b"abc").unwrap();
        bench.open();
        bench.open();
        assert_eq!(bench.store.files.uploads.bytes(), 0);
        assert_eq!(bench.store.open_sessions(), 2);
    }

    #[test]
    fn an_upload_belongs_to_its_session() {
        let mut bench = Bench::new();
        bench.stage(9, 0, b"abc").unwrap();
        bench.session = bench.open();
        let none = Err(Refusal::NoSuchUpload { upload: uuid(9) });
        assert_eq!(bench.run(create_from(1, "a", 3, 9), b""), none);
        assert_eq!(bench.run(Command::Discard { upload: uuid(9) }, b""), none);
    }

    #[test]
    fn files_are_listed_page_by_page() {
        let mut bench = Bench::new();
        for (number, name) in [(1, "c"), (2, "a"), (3, "b")] {
            bench.create(number, name, b"").unwrap();
        }
        let page = |after: Option<&str>, limit| {
            let after = after.map(str::to_owned);
            match bench.query(&Query::List { after, limit }) {
                Ok(Answer::List { files, more }) => {
                    let names: Vec<_> = files.iter().map(|file| file.name.to_string()).collect();
                    (names.join(" "), more)
                }
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(page(None, 2), ("a b".to_owned(), true));
        assert_eq!(page(Some("b"), 2), ("c".to_owned(), false));
        assert_eq!(page(None, u64::MAX), ("a b c".to_owned(), false));
        assert_eq!(page(None, 0), (String::new(), true));
    }

    #[test]
    fn one_read_returns_at_most_its_limit() {
        let mut bench = Bench::new();
        bench.create(1, "a", &vec![0; MAX_READ]).unwrap();
        bench.append("a", b"end").unwrap();
        let read = |offset, limit| match bench.query(&Query::Read { uuid: uuid(1), offset, limit })
        {
            Ok(Answer::Content { bytes, size, .. }) => (bytes.len(), size),
            other => panic!("{other:?}"),
        };
        let size = MAX_READ as u64 + 3;
        assert_eq!(read(0, u64::MAX), (MAX_READ, size));
        assert_eq!(read(MAX_READ as u64, 2), (2, size));
        assert_eq!(read(size, 2), (0, size));
    }

    #[test]
    fn a_file_replaced_while_it_is_read_is_gone() {
        let bench = Bench::new();
        let read = Query::Read { uuid: uuid(1), offset: 0, limit: 1 };
        assert_eq!(bench.query(&read), Err(Refusal::Gone { uuid: uuid(1) }));
    }

    /// Two stores that differ in one thing, whatever it is, have different state hashes.
    #[test]
    fn the_state_hash_covers_files_sessions_answers_and_uploads() {
        let file = |text: &str| text.to_owned();
        let stage = |upload, offset, onto: Option<u128>| Command::Stage {
            upload: uuid(upload),
            offset,
            onto: onto.map(uuid),
        };
        let rename = Command::Rename { file: file("a"), name: file("b") };
        let histories: &[&[(Command, &[u8])]] = &[
            &[],
            &[(append("a"), b"x")],
            &[(append("a"), b"y")],
            &[(append("a"), b""), (append("a"), b"x")],
            &[(rename, b"")],
            &[(append("none"), b"")],
            &[(Command::Delete { file: file("a") }, b"")],
            &[(stage(8, 0, None), b"x")],
            &[(stage(9, 0, None), b"x")],
            &[(stage(9, 0, Some(1)), b"x")],
            &[(stage(9, 1, None), b"x")],
            &[(stage(9, 2, None), b"x")],
            &[(stage(9, 2, None), b"y")],
        ];
        let mut hashes = Vec::new();
        for history in histories {
            let mut bench = Bench::new();
            bench.create(1, "a", b"old").unwrap();
            for (command, data) in *history {
                let _ = bench.run(command.clone(), data);
            }
            hashes.push(bench.store.state_hash());
            bench.open();
            hashes.push(bench.store.state_hash());
        }
        let mut again = Bench::new();
        again.create(1, "a", b"old").unwrap();
        assert_eq!(again.store.state_hash(), hashes[0]);
        let count = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
    }

    /// Servers that nobody asked are where the one is that was, and answer the same again.
    #[test]
    fn unheard_or_not_a_command_does_the_same() {
        let mut bench = Bench::new();
        bench.create(1, "a", b"x").unwrap();
        bench.append("a", b"y").unwrap();
        bench.append("none", b"z").unwrap_err();
        let (batch, data) = Command::batch(vec![(append("a"), &b"x"[..]); 10]);
        bench.run(batch, &data).unwrap();
        let mut unheard = FileStore::new(Limits::default());
        for (index, payload) in (1..).zip(&bench.log) {
            unheard.apply_unheard(index, payload);
        }
        assert_eq!(unheard.state_hash(), bench.store.state_hash());
        assert_eq!(unheard.carried_out(), bench.store.carried_out());
        let (index, last) = (bench.log.len() as u64 + 1, &bench.log[bench.log.len() - 1]);
        assert_eq!(unheard.apply(index, last), bench.store.apply(index, last));
    }

    #[test]
    fn the_digest_covers_name_content_and_revision() {
        let digest = |history: &[(&str, &[u8])]| {
            let mut bench = Bench::new();
            bench.create(1, history[0].0, history[0].1).unwrap();
            for (file, data) in &history[1..] {
                bench.append(file, data).unwrap();
            }
            bench.store.digest()
        };
        let digests = [
            FileStore::default().digest(),
            digest(&[("a", b"xy")]),
            digest(&[("b", b"xy")]),
            digest(&[("a", b"xz")]),
            digest(&[("a", b"x"), ("a", b"y")]),
        ];
        for (i, one) in digests.iter().enumerate() {
            assert!(digests[..i].iter().all(|other| other != one), "{i} equals another");
        }
    }
}
