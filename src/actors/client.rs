//! A client of the replicated files: finds the leader, retries, and has every change applied
//! exactly once.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::call::Call;
use super::clock::Clock;
use super::way::Way;
use crate::files::{self, Answer, CHUNK_BYTES, Command, Key, Query};
use crate::museum::{Bug, on};
use crate::net::{Answered, CallError, Consistency, Request};
use crate::raft::{Index, Refusal, ServerId};

/// A client with a session of its own. Clones share it.
#[derive(Clone)]
pub struct Client {
    shared: Rc<Shared>,
    /// The one server that is asked; otherwise whichever leads.
    pinned: Option<ServerId>,
    /// What its reads may miss.
    reading: Consistency,
    /// The revision that a file must have for any of its changes to be made.
    condition: Option<(String, u64)>,
    /// What its changes are recognised by, whoever asks for them again.
    key: Option<Key>,
}

struct Shared {
    way: Rc<dyn Way>,
    clock: Clock,
    luck: RefCell<ChaCha8Rng>,
    /// The session, once it is open (Raft thesis, section 6.3).
    session: tokio::sync::Mutex<Option<u64>>,
    serials: RefCell<Serials>,
    /// The server that answered last, or was named as the leader.
    target: Cell<Option<ServerId>>,
    patience: Cell<Duration>,
    repeats: Cell<bool>,
}

/// The numbers of a client's requests, never used twice, not even in different sessions.
#[derive(Default)]
struct Serials {
    last: u64,
    /// Those that wait for their answer, ascending.
    open: VecDeque<u64>,
}

/// A request's number, until its answer is there or nobody waits for it any more.
struct Serial<'a> {
    serials: &'a RefCell<Serials>,
    number: u64,
    /// The number below which no answer is awaited.
    acknowledged: u64,
}

/// What came of a request.
struct Outcome {
    answered: Result<Answered, NotDone>,
    /// A server took it and was not heard again: it may be carried out, whatever others say.
    taken: bool,
}

/// What was done, and where it stands in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Done {
    /// The entry's index; for a query, the index that the answer includes at least.
    pub index: Index,
    /// The answer.
    pub answer: Answer,
}

/// Why a file command brought no answer, or a refusal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The files say no: a committed answer, the same on every server. Nothing was changed.
    #[error("{0}")]
    Refused(#[from] files::Refusal),
    /// The cluster did not take it: it did not happen and will not.
    #[error("not done: {0}")]
    NotDone(NotDone),
    /// It may have happened, or may yet happen.
    #[error(
        "outcome unknown: a server took the command and then was lost; it may have been carried \
         out, or may be yet (`stat` or `cat` shows whether it was)"
    )]
    Unknown,
    /// What was to be loaded could not be read.
    #[error("cannot read: {0}")]
    Source(#[from] io::Error),
    /// The content is not as long as was said when the load began.
    #[error("the content changed while it was read: {expected} bytes were announced, {found} came")]
    SizeChanged {
        /// As announced.
        expected: u64,
        /// As read.
        found: u64,
    },
    /// The content that came back does not have the hash that the file has.
    #[error("the content of `{name}` was damaged on the way: its hash is not the file's")]
    Damaged {
        /// The file.
        name: String,
    },
}

/// Why the cluster did not take a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotDone {
    /// Too few servers are up for anybody to lead.
    #[error("no quorum: {up} of {servers} servers are up, {needed} are needed; `recover` some", needed = servers / 2 + 1)]
    NoQuorum {
        /// Servers up.
        up: usize,
        /// Servers in all.
        servers: usize,
    },
    /// The last server asked refused.
    #[error("{server} refuses: {refusal}")]
    Refused {
        /// Who refused.
        server: ServerId,
        /// Why.
        refusal: Refusal,
    },
    /// The one server that was to be asked is down.
    #[error("{0} is down")]
    Down(ServerId),
    /// A server was lost with a chunk of a load, and no other answered in time.
    #[error("the upload was interrupted: no server confirmed one of its chunks; load it again")]
    UploadLost,
    /// No server answered in time.
    #[error("no server answered in {} s", .0.as_secs_f64())]
    Silence(Duration),
}

/// Where the bytes of a load come from, chunk by chunk.
pub trait Source {
    /// The next at most [`CHUNK_BYTES`] bytes; `None` at the end.
    fn next(&mut self) -> impl Future<Output = io::Result<Option<Bytes>>>;
}

/// Bytes in memory, in chunks.
impl Source for Bytes {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let length = self.len().min(CHUNK_BYTES);
        Ok((length > 0).then(|| self.split_to(length)))
    }
}

/// How long a client goes on trying, unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it waits for one server before it asks another.
const ATTEMPT: Duration = Duration::from_millis(1500);
/// The longest pause between two attempts.
const PAUSE: Duration = Duration::from_millis(40);
/// Requests of one session from the first that is not answered on; the session keeps the answers
/// to 256 of them.
const CROWD: u64 = 192;
/// Chunks of one upload that are under way at a time.
const WINDOW: usize = 8;

impl Client {
    pub(crate) fn new(way: Rc<dyn Way>, clock: Clock, luck: ChaCha8Rng) -> Self {
        Self {
            shared: Rc::new(Shared {
                way,
                clock,
                luck: RefCell::new(luck),
                session: tokio::sync::Mutex::new(None),
                serials: RefCell::default(),
                target: Cell::new(None),
                patience: Cell::new(PATIENCE),
                repeats: Cell::new(false),
            }),
            pinned: None,
            reading: Consistency::default(),
            condition: None,
            key: None,
        }
    }

    /// The same client, asking this server and no other, once.
    pub fn at(&self, server: ServerId) -> Client {
        Client { pinned: Some(server), ..self.clone() }
    }

    /// The same client, whose reads may miss so much.
    pub fn with(&self, reading: Consistency) -> Client {
        Client { reading, ..self.clone() }
    }

    /// The same client, each of whose changes is made only if this file (a name or a uuid) then
    /// has this revision, or does not exist if it is 0; else it is refused.
    pub fn if_revision(&self, file: &str, revision: u64) -> Client {
        Client { condition: Some((file.to_owned(), revision)), ..self.clone() }
    }

    /// The same client, for one change under this key: whoever asks for it again under the same
    /// key, through whatever client and server, is given the same answer, and it is made once.
    pub fn keyed(&self, key: Key) -> Client {
        Client { key: Some(key), ..self.clone() }
    }

    /// Whether so many of its requests are under way, or one for so long, that its session might
    /// soon have no room for another answer. Every clone counts, for it may be about to make one.
    pub(crate) fn crowded(&self) -> bool {
        let Serials { last, open } = &*self.shared.serials.borrow();
        Rc::strong_count(&self.shared) as u64 >= CROWD
            || open.front().is_some_and(|first| last - first >= CROWD)
    }

    /// How long to go on trying from now on.
    pub fn set_patience(&self, patience: Duration) {
        self.shared.patience.set(patience);
    }

    /// Sends every eighth request twice from now on, as an impatient program or a network that
    /// doubles packets would.
    pub(crate) fn repeat_itself(&self) {
        self.shared.repeats.set(true);
    }

    /// Has a command logged and applied that changes no file.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn touch(&self) -> Result<(), ClientError> {
        self.call(Request::Write(files::open_session())).await.done().map(|_| ())
    }

    /// Loads `size` bytes as a new file; it is there all at once or not at all. `progress` is
    /// told the bytes that the cluster has.
    ///
    /// # Errors
    /// Refused if the name is taken (unless `replace`) or a limit is exceeded; else as
    /// [`ClientError`] says.
    pub async fn load(
        &self,
        name: &str,
        size: u64,
        mut source: impl Source,
        replace: bool,
        progress: impl FnMut(u64),
    ) -> Result<Done, ClientError> {
        let uuid = self.draw_uuid();
        let name = name.to_owned();
        if size <= CHUNK_BYTES as u64 {
            let data = read_all(&mut source, size).await?;
            let command = Command::Create { uuid, name, size, upload: None, replace };
            return self.change(command, &data).await;
        }
        let (upload, _) = self.stage(Some(size), None, source, progress).await?;
        let command = Command::Create { uuid, name, size, upload: Some(upload), replace };
        self.use_upload(upload, command).await
    }

    /// Appends `size` bytes to a file, all at once or not at all.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn append(
        &self,
        file: &str,
        size: u64,
        mut source: impl Source,
        progress: impl FnMut(u64),
    ) -> Result<Done, ClientError> {
        let file = file.to_owned();
        if size <= CHUNK_BYTES as u64 {
            let data = read_all(&mut source, size).await?;
            return self.change(Command::Append { file }, &data).await;
        }
        let onto = match self.query(Query::Stat { file: file.clone() }).await?.answer {
            Answer::Stat(info) => Some(info.uuid),
            _ => None,
        };
        let (upload, _) = self.stage(Some(size), onto, source, progress).await?;
        self.use_upload(upload, Command::AppendStaged { file, upload, size }).await
    }

    /// Makes a change that uses up an upload, which is dropped if the change is refused.
    pub(crate) async fn use_upload(
        &self,
        upload: Uuid,
        command: Command,
    ) -> Result<Done, ClientError> {
        let done = self.change(command, &[]).await;
        if let Err(ClientError::Refused(_)) = &done {
            // If it is gone already, so much the better.
            let _ = self.request(Command::Discard { upload }, &[], None).await;
        }
        done
    }

    /// Reads a whole file as it was when its size was asked for, and passes it on chunk by chunk.
    /// The content of a uuid only grows, so the chunks are of one state.
    ///
    /// # Errors
    /// As [`ClientError`] says; errors of `sink` come as [`ClientError::Source`].
    pub async fn read(
        &self,
        file: &str,
        mut sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Done, ClientError> {
        let stat = self.query(Query::Stat { file: file.to_owned() }).await?;
        let Answer::Stat(info) = &stat.answer else { return Ok(stat) };
        let mut hasher = blake3::Hasher::new();
        let mut offset = 0;
        while offset < info.size {
            let limit = (info.size - offset).min(CHUNK_BYTES as u64);
            let page = self.query(Query::Read { uuid: info.uuid, offset, limit }).await?;
            let Answer::Content { bytes, .. } = page.answer else { break };
            if bytes.is_empty() {
                break;
            }
            hasher.update(&bytes);
            sink(&bytes)?;
            offset += bytes.len() as u64;
        }
        if *hasher.finalize().as_bytes() != info.hash.0 {
            return Err(ClientError::Damaged { name: info.name.as_str().to_owned() });
        }
        Ok(stat)
    }

    /// Loads bytes in memory as a new file; see [`load`](Self::load).
    ///
    /// # Errors
    /// As [`ClientError`] says; refused if the name is taken.
    pub async fn load_bytes(
        &self,
        name: &str,
        content: impl Into<Bytes>,
    ) -> Result<Done, ClientError> {
        let content = content.into();
        self.load(name, content.len() as u64, content, false, |_| {}).await
    }

    /// Appends bytes in memory to a file; see [`append`](Self::append).
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn append_bytes(
        &self,
        file: &str,
        content: impl Into<Bytes>,
    ) -> Result<Done, ClientError> {
        let content = content.into();
        if content.len() <= CHUNK_BYTES {
            return self.change(Command::Append { file: file.to_owned() }, &content).await;
        }
        self.append(file, content.len() as u64, content, |_| {}).await
    }

    /// Reads a whole file into memory; see [`read`](Self::read).
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn read_bytes(&self, file: &str) -> Result<Bytes, ClientError> {
        let mut content = Vec::new();
        let sink = |chunk: &[u8]| {
            content.extend_from_slice(chunk);
            Ok(())
        };
        self.read(file, sink).await?;
        Ok(content.into())
    }

    /// Reads a file as it was when the entry at `index` had been applied, and passes it on chunk by
    /// chunk.
    ///
    /// # Errors
    /// Refused if the history does not reach back so far; else as [`read`](Self::read).
    pub async fn read_at(
        &self,
        file: &str,
        index: Index,
        sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Done, ClientError> {
        let (file, index) = (file.to_owned(), index.0);
        let stat = self.query(Query::StatAt { file: file.clone(), index }).await?;
        let Answer::Version(version) = &stat.answer else { return Ok(stat) };
        let page = |offset, limit| Query::ReadAt { file: file.clone(), index, offset, limit };
        self.read_pages(0..version.size, page, sink).await?;
        Ok(stat)
    }

    /// Reads these bytes of a file, as far as it has them: all of one revision, the present one
    /// unless another is given. Passes them on chunk by chunk.
    ///
    /// # Errors
    /// Refused if the file does not have the revision any more and the history does not reach
    /// back so far; else as [`read`](Self::read).
    pub async fn read_range(
        &self,
        file: &str,
        range: Range<u64>,
        revision: Option<u64>,
        sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Done, ClientError> {
        let mut stat = self.query(Query::Stat { file: file.to_owned() }).await?;
        let Answer::Stat(info) = &mut stat.answer else { return Ok(stat) };
        info.revision = revision.unwrap_or(info.revision);
        let (uuid, revision) = (info.uuid, info.revision);
        let page = |offset, limit| Query::ReadRevision { uuid, revision, offset, limit };
        self.read_pages(range, page, sink).await?;
        Ok(stat)
    }

    /// Reads from page to page, up to the end of the file.
    async fn read_pages(
        &self,
        range: Range<u64>,
        page: impl Fn(u64, u64) -> Query,
        mut sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), ClientError> {
        let mut offset = range.start;
        // Once at least: whether the version is there at all, the answer says.
        loop {
            let limit = range.end.saturating_sub(offset).min(CHUNK_BYTES as u64);
            let answer = self.query(page(offset, limit)).await?.answer;
            let Answer::Content { bytes, .. } = answer else { return Ok(()) };
            sink(&bytes)?;
            offset += bytes.len() as u64;
            if bytes.is_empty() || offset >= range.end {
                return Ok(());
            }
        }
    }

    /// Every file, by name.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn list(&self) -> Result<Vec<files::FileInfo>, ClientError> {
        self.list_seen().await.map(|(_, files)| files)
    }

    /// Every file, by name, and an index that every page includes.
    pub(crate) async fn list_seen(&self) -> Result<(Index, Vec<files::FileInfo>), ClientError> {
        let mut all: Vec<files::FileInfo> = Vec::new();
        let mut seen = None;
        loop {
            let after = all.last().map(|info| info.name.as_str().to_owned());
            let page = self.query(Query::List { after, limit: files::MAX_PAGE as u64 }).await?;
            let seen = *seen.get_or_insert(page.index);
            let Answer::List { files, more } = page.answer else { return Ok((seen, all)) };
            all.extend(files);
            if !more {
                return Ok((seen, all));
            }
        }
    }

    /// Makes one change to the files, exactly once however often it must be tried.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn change(&self, command: Command, data: &[u8]) -> Result<Done, ClientError> {
        let command = match &self.condition {
            Some((file, revision)) => command.if_revision(file.clone(), *revision),
            None => command,
        };
        self.request(command, data, self.key).await
    }

    async fn request(
        &self,
        command: Command,
        data: &[u8],
        key: Option<Key>,
    ) -> Result<Done, ClientError> {
        let session = self.session().await?;
        let serial = Serial::begin(&self.shared.serials);
        let Serial { number, acknowledged, .. } = serial;
        let request = files::Request { session, serial: number, acknowledged, command };
        let payload = match key {
            Some(key) => request.encode_keyed(key, data),
            None => request.encode(data),
        };
        let outcome = self.call(Request::Write(payload)).await;
        let taken = outcome.taken;
        let result = outcome.done();
        if let Err(ClientError::Refused(files::Refusal::SessionExpired { .. })) = &result {
            // The next command opens another.
            self.shared.session.lock().await.take_if(|open| *open == session);
            if taken {
                // Before the session expired, the lost attempt may have been carried out.
                return Err(ClientError::Unknown);
            }
        }
        result
    }

    /// Asks about the files; the answer includes everything that was answered to anybody before,
    /// unless [`with`](Self::with) says otherwise.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn query(&self, query: Query) -> Result<Done, ClientError> {
        self.call(Request::Read(query.encode(), self.reading)).await.done()
    }

    /// A uuid for a new file.
    pub(crate) fn draw_uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.shared.luck.borrow_mut().fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// Brings the bytes into the cluster as an upload, several chunks at a time. Answers its uuid
    /// and how many bytes there were: `size`, if that was given.
    pub(crate) async fn stage(
        &self,
        size: Option<u64>,
        onto: Option<Uuid>,
        mut source: impl Source,
        mut progress: impl FnMut(u64),
    ) -> Result<(Uuid, u64), ClientError> {
        let upload = self.draw_uuid();
        let mut offset = 0;
        let mut staged = 0;
        let mut under_way = VecDeque::with_capacity(WINDOW);
        let outcome = loop {
            let chunk = match source.next().await {
                Ok(chunk) => chunk,
                Err(error) => break Err(error.into()),
            };
            let ended = chunk.is_none();
            if let Some(chunk) = chunk {
                let client = self.clone();
                let command = Command::Stage { upload, offset, onto };
                offset += chunk.len() as u64;
                let length = chunk.len() as u64;
                under_way.push_back(actix_rt::spawn(async move {
                    client.request(command, &chunk, None).await.map(|_| length)
                }));
            }
            if let Some(size) = size
                && (offset > size || (ended && offset < size))
            {
                break Err(ClientError::SizeChanged { expected: size, found: offset });
            }
            let mut failed = None;
            while (ended || under_way.len() == WINDOW)
                && let Some(oldest) = under_way.pop_front()
            {
                match oldest.await.unwrap_or(Err(ClientError::Unknown)) {
                    Ok(length) => {
                        staged += length;
                        progress(staged);
                    }
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            if let Some(error) = failed {
                break Err(error);
            }
            if ended {
                break Ok((upload, offset));
            }
        };
        if outcome.is_err() {
            for chunk in under_way {
                // What became of them does not matter: the upload is given up.
                let _ = chunk.await;
            }
            let _ = self.request(Command::Discard { upload }, &[], None).await;
        }
        // Whatever became of the chunk: what the upload was for has not been asked for.
        outcome.map_err(|error| match error {
            ClientError::Unknown => ClientError::NotDone(NotDone::UploadLost),
            error => error,
        })
    }

    /// The session's id; opens it first if there is none.
    async fn session(&self) -> Result<u64, ClientError> {
        let mut session = self.shared.session.lock().await;
        if let Some(id) = *session {
            return Ok(id);
        }
        // Opening one twice is harmless: a session that nobody uses is forgotten in time. So what
        // was to be done in the session is not done, even where it is not known whether it is open.
        let outcome = self.call(Request::Write(files::open_session())).await;
        let done = decode(&outcome.answered.map_err(ClientError::NotDone)?)?;
        let Answer::SessionOpened { session: id } = done.answer else {
            return Err(files::Refusal::UnknownAnswer { bytes: 0 }.into());
        };
        *session = Some(id);
        Ok(id)
    }

    /// Has one server after the other asked until one answers, or patience ends.
    async fn call(&self, request: Request) -> Outcome {
        let shared = &*self.shared;
        let began = shared.clock.now();
        let deadline = began + shared.patience.get();
        let mut now = began;
        let mut taken = false;
        loop {
            let target = self.target();
            if shared.repeats.get() && shared.luck.borrow_mut().next_u64().is_multiple_of(8) {
                let (reply, _) = oneshot::channel();
                shared.way.call(target, Call { request: request.duplicate(), reply: reply.into() });
            }
            let (reply, answer) = oneshot::channel();
            shared.way.call(target, Call { request: request.duplicate(), reply: reply.into() });
            let left = deadline.since(now);
            let mut reason = match tokio::time::timeout(left.min(ATTEMPT), answer).await {
                Ok(Ok(Ok(answered))) => {
                    shared.target.set(Some(target));
                    return Outcome { answered: Ok(answered), taken };
                }
                Ok(Ok(Err(CallError::Refused(refusal)))) => {
                    match refusal {
                        Refusal::NotLeader(leader) | Refusal::HandingOver(leader) => {
                            shared.target.set(Some(leader));
                        }
                        _ => self.ask_another(target),
                    }
                    NotDone::Refused { server: target, refusal }
                }
                Ok(Ok(Err(CallError::Unreachable))) => {
                    self.ask_another(target);
                    NotDone::Down(target)
                }
                Ok(Ok(Err(CallError::Unknown)) | Err(_)) | Err(_) => {
                    let write = matches!(request, Request::Write(_));
                    taken |= write && !on(Bug::ForgetsLostAttempts);
                    self.ask_another(target);
                    NotDone::Silence(shared.clock.now().since(began))
                }
            };
            let (up, servers) = shared.way.up();
            // Fewer may be enough by now: some are no members any more, or not yet.
            let led = shared.way.leader().is_some();
            let hopeless = up <= servers / 2 && !led && self.pinned.is_none();
            if hopeless {
                reason = NotDone::NoQuorum { up, servers };
            }
            if hopeless || self.pinned.is_some() || shared.clock.now() >= deadline {
                return Outcome { answered: Err(reason), taken };
            }
            let nanoseconds = shared.luck.borrow_mut().next_u64() % PAUSE.as_nanos() as u64;
            shared.clock.sleep(Duration::from_nanos(nanoseconds)).await;
            now = shared.clock.now();
        }
    }

    fn target(&self) -> ServerId {
        self.pinned.or(self.shared.target.get()).unwrap_or_else(|| self.shared.way.first())
    }

    /// Turns to the next server in the circle.
    fn ask_another(&self, asked: ServerId) {
        let servers = self.shared.way.servers();
        let next = servers.iter().find(|id| **id > asked).or(servers.first());
        self.shared.target.set(next.copied());
    }
}

impl<'a> Serial<'a> {
    /// The next number.
    fn begin(serials: &'a RefCell<Serials>) -> Self {
        let Serials { last, open } = &mut *serials.borrow_mut();
        *last += 1;
        open.push_back(*last);
        let acknowledged = open.front().copied().unwrap_or(*last);
        Self { serials, number: *last, acknowledged }
    }
}

impl Drop for Serial<'_> {
    fn drop(&mut self) {
        let open = &mut self.serials.borrow_mut().open;
        if let Ok(place) = open.binary_search(&self.number) {
            open.remove(place);
        }
    }
}

impl Outcome {
    fn done(self) -> Result<Done, ClientError> {
        match self.answered {
            Ok(answered) => decode(&answered),
            Err(_) if self.taken => Err(ClientError::Unknown),
            Err(reason) => Err(ClientError::NotDone(reason)),
        }
    }
}

impl Request {
    /// The same request, for another attempt.
    fn duplicate(&self) -> Self {
        match self {
            Request::Write(command) => Request::Write(command.clone()),
            Request::Read(query, how) => Request::Read(query.clone(), *how),
        }
    }
}

fn decode(answered: &Answered) -> Result<Done, ClientError> {
    Ok(Done { index: answered.index, answer: Answer::decode(&answered.answer)? })
}

/// All of a small source, which must have `size` bytes.
async fn read_all(source: &mut impl Source, size: u64) -> Result<Vec<u8>, ClientError> {
    let mut data = Vec::with_capacity(size as usize);
    while let Some(chunk) = source.next().await? {
        data.extend_from_slice(&chunk);
        if data.len() as u64 > size {
            break;
        }
    }
    let found = data.len() as u64;
    if found == size { Ok(data) } else { Err(ClientError::SizeChanged { expected: size, found }) }
}
