//! The store as its server sees it: bytes in, bytes out.

use blake3::Hasher;
use bytes::Bytes;

use super::command::{Operation, Request};
use super::execute::{Entry, Files};
use super::file::ContentHash;
use super::limits::{Limits, MAX_PAGE, MAX_READ};
use super::query::Query;
use super::refusal::Refusal;
use super::reply::{Answer, Reply, encode};
use super::session::{Admission, Sessions};

/// The replicated files, with the sessions of those who change them.
#[derive(Debug, Default)]
pub struct FileStore {
    files: Files,
    sessions: Sessions,
}

impl FileStore {
    /// An empty store. `limits` must be equal on all servers.
    pub fn new(limits: Limits) -> Self {
        Self { files: Files { limits, ..Files::default() }, sessions: Sessions::default() }
    }

    /// Applies the payload of the log entry at `index` and returns the answer, for
    /// [`Answer::decode`]. Indices must increase from call to call. Any bytes will do: those that
    /// are not a command are answered [`Refusal::Malformed`].
    pub fn apply(&mut self, index: u64, command: &Bytes) -> Bytes {
        match Operation::decode(command) {
            Ok((Operation::Request(request), data)) => self.apply_request(index, request, &data),
            Ok((Operation::OpenSession, _)) => encode(&Ok(self.open_session(index))),
            Ok((Operation::CloseSession { session }, _)) => encode(&self.close_session(session)),
            Err(refusal) => encode(&Err(refusal)),
        }
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
            hasher.update(&file.hash().0);
            hasher.update(&file.revision().to_le_bytes());
        }
        hasher.finalize().into()
    }

    /// How many sessions are open.
    pub fn open_sessions(&self) -> usize {
        self.sessions.len()
    }

    fn apply_request(&mut self, index: u64, request: Request, data: &Bytes) -> Bytes {
        match self.sessions.admit(index, &request, &self.files.limits) {
            Ok(Admission::New(session)) => {
                let entry = Entry { index, session: request.session, data };
                let reply = encode(&self.files.execute(entry, request.command));
                session.record(request.serial, reply.clone());
                reply
            }
            Ok(Admission::Applied(reply)) => reply,
            Err(refusal) => encode(&Err(refusal)),
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
                let bytes = file.read(offset, bounded(limit, MAX_READ));
                Ok(Answer::Content { offset, size: file.size(), bytes })
            }
            Query::Checksum => Ok(Answer::Checksum {
                digest: self.digest(),
                files: catalogue.len() as u64,
                bytes: catalogue.bytes(),
            }),
        }
    }
}

fn bounded(wanted: u64, limit: usize) -> usize {
    usize::try_from(wanted).map_or(limit, |wanted| wanted.min(limit))
}
