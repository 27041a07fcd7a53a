//! File commands: carried out by a client, recorded, and told.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bytes::Bytes;

use super::calls::{Calls, MAX_CONTENT, Ticket, outcome_of};
use super::failure::Failure;
use super::host::{Chunks, HostError, Input, Output};
use super::screen::{Progress, Screen};
use crate::actors::{Client, ClientError, Clock, ClockKind, Consistency, Done};
use crate::files::{Answer, Command, FileInfo, MAX_DATA, Query, Refusal, Size, VersionInfo};
use crate::invariants::{self, Operation, Outcome};
use crate::raft::Index;
use crate::script::{Content, FileCommand, Load, View};

/// Carries file commands out, in the foreground or in the background.
#[derive(Clone)]
pub(super) struct Caller {
    /// Clones share its session.
    pub(super) client: Client,
    pub(super) clock: Clock,
    pub(super) clock_kind: ClockKind,
    pub(super) screen: Rc<dyn Screen>,
    pub(super) calls: Rc<RefCell<Calls>>,
    /// Which client this is in the history: 0 is the foreground.
    pub(super) number: u64,
    /// Where relative paths of the host begin.
    pub(super) base: PathBuf,
    /// Whether files of the host are written.
    pub(super) writes: bool,
}

/// Bytes on their way into the cluster.
pub(super) struct Data {
    size: u64,
    /// All of them, unless they are too many.
    whole: Option<Bytes>,
    chunks: Chunks,
}

impl From<Bytes> for Data {
    fn from(bytes: Bytes) -> Self {
        let whole = Some(bytes.clone()).filter(|bytes| bytes.len() <= MAX_CONTENT);
        Self { size: bytes.len() as u64, whole, chunks: Chunks::Whole(bytes) }
    }
}

/// What a read saw.
pub(super) struct Seen {
    pub(super) file: FileInfo,
    /// All of it, if it is not too long to keep.
    pub(super) content: Option<Bytes>,
    /// The index that the answer includes; of a stale read, exactly the one that it saw.
    pub(super) index: Index,
}

impl Caller {
    /// Carries a command out and shows what it asked for. Returns what came of it, for people.
    pub(super) async fn call(&self, command: &FileCommand) -> Result<String, Failure> {
        match command {
            FileCommand::Load(load) => self.load(load).await.map(|file| loaded(&file)),
            FileCommand::List(how) => {
                let (index, files) = self.client.with(*how).list_seen().await?;
                self.screen.files(&files);
                Ok(format!("{} files{}", files.len(), as_of(*how, index)))
            }
            FileCommand::Get { file, path, view, how } => self.get(file, path, view, *how).await,
            FileCommand::Cat { file, view, how } => {
                let screen = self.screen.clone();
                let show = |bytes: &[u8]| {
                    screen.content(bytes);
                    Ok(())
                };
                Ok(format!("that was {}", self.view(file, view, *how, show).await?))
            }
            FileCommand::Append { file, content, revision } => {
                self.append(file, content, *revision).await
            }
            FileCommand::Delete { file, revision } => {
                let operation = |_| Operation::Delete { name: file.clone() };
                let command = Command::Delete { file: file.clone() };
                let done = self.conditional(file, *revision).change(command, operation).await?;
                told(&done.answer)
            }
            FileCommand::Rename { file, name, revision } => {
                let operation = |_| Operation::Rename { from: file.clone(), to: name.clone() };
                let command = Command::Rename { file: file.clone(), name: name.clone() };
                let done = self.conditional(file, *revision).change(command, operation).await?;
                told(&done.answer)
            }
            FileCommand::Stat { file, at: None, how } => {
                let (file, index) = self.stat(file, *how).await?;
                self.screen.say(&format!(
                    "name      {}\nuuid      {}\nsize      {} bytes\nblake3    {}\nrevision  {}",
                    file.name, file.uuid, file.size, file.hash, file.revision
                ));
                Ok(format!("that was `{}`{}", file.name, as_of(*how, index)))
            }
            FileCommand::Stat { file, at: Some(at), how } => {
                let version = self.version(file, *at, *how).await?;
                self.screen.say(&format!(
                    "name      {}\nuuid      {}\nsize      {} bytes\nrevision  {}, since entry {}",
                    version.name, version.uuid, version.size, version.revision, version.index
                ));
                Ok(format!("that was `{}` at entry {at}", version.name))
            }
            FileCommand::Batch(parts) => self.batch(parts).await,
        }
    }

    /// The same caller, whose change is made only if the file has this revision.
    fn conditional(&self, file: &str, revision: Option<u64>) -> Self {
        match revision {
            Some(revision) => {
                Self { client: self.client.if_revision(file, revision), ..self.clone() }
            }
            None => self.clone(),
        }
    }

    /// Loads a file of the host.
    pub(super) async fn load(&self, load: &Load) -> Result<FileInfo, Failure> {
        let path = self.base.join(&load.path);
        let data = self.host_data(&path)?;
        let name = name_of(load, &path)?;
        let caller = self.conditional(&name, load.revision);
        let done = caller.create(&name, data, load.replace).await;
        let Answer::Created { file, .. } = done.map_err(|error| reading(error, &path))?.answer
        else {
            return Err(strange());
        };
        Ok(file)
    }

    /// Makes a file of these bytes.
    pub(super) async fn create(
        &self,
        name: &str,
        data: Data,
        replace: bool,
    ) -> Result<Done, ClientError> {
        let ticket = self.begin(data.whole.as_deref(), |content| Operation::Create {
            name: name.to_owned(),
            content,
            replace,
        });
        let transfer = self.transfer(format!("load {name}"), data.size);
        let progress = |done| transfer.show(done);
        let done = self.client.load(name, data.size, data.chunks, replace, progress).await;
        self.end(&ticket, Some(name), done)
    }

    async fn append(
        &self,
        file: &str,
        content: &Content,
        revision: Option<u64>,
    ) -> Result<String, Failure> {
        let (data, path) = self.data(content)?;
        let done = self.conditional(file, revision).append_data(file, data).await;
        told(&done.map_err(|error| reading(error, &path))?.answer)
    }

    /// The bytes that are meant, and where they come from.
    fn data(&self, content: &Content) -> Result<(Data, PathBuf), HostError> {
        match content {
            Content::Text(text) => Ok((Bytes::copy_from_slice(text).into(), PathBuf::new())),
            Content::Path(path) => {
                let path = self.base.join(path);
                Ok((self.host_data(&path)?, path))
            }
        }
    }

    /// Makes changes all at once. No check for linearizability covers the files that they touch.
    async fn batch(&self, parts: &[FileCommand]) -> Result<String, Failure> {
        let mut commands = Vec::with_capacity(parts.len());
        for part in parts {
            commands.push(self.part(part)?);
        }
        let (command, data) =
            Command::batch(commands.iter().map(|(command, data)| (command.clone(), &data[..])));
        let done = self.client.change(command, &data).await;
        let calls = &mut *self.calls.borrow_mut();
        let nothing = done.as_ref().is_err_and(|error| outcome_of(error) == Outcome::NotDone);
        for part in parts.iter().filter(|_| !nothing) {
            match part {
                FileCommand::Load(load) => {
                    calls.leave_out_all(&name_of(load, &self.base.join(&load.path))?);
                }
                FileCommand::Append { file, .. } | FileCommand::Delete { file, .. } => {
                    calls.leave_out_all(file);
                }
                FileCommand::Rename { file, name, .. } => {
                    calls.leave_out_all(file);
                    calls.leave_out(name);
                }
                _ => {}
            }
        }
        let Answer::Batch(answers) = done?.answer else { return Err(strange()) };
        let told = answers.iter().map(|answer| {
            calls.learn_from(answer);
            told(answer)
        });
        Ok(told.collect::<Result<Vec<_>, _>>()?.join("; "))
    }

    /// A change of a batch, and the bytes that it brings.
    fn part(&self, part: &FileCommand) -> Result<(Command, Bytes), Failure> {
        let whole = |data: Data| {
            data.whole.filter(|bytes| bytes.len() <= MAX_DATA).ok_or_else(|| {
                Failure::Other(format!(
                    "a batch carries at most {} in all; load larger files by themselves",
                    Size(MAX_DATA as u64)
                ))
            })
        };
        let (command, data, file, revision) = match part {
            FileCommand::Load(load) => {
                let path = self.base.join(&load.path);
                let (data, name) = (whole(self.host_data(&path)?)?, name_of(load, &path)?);
                let (uuid, size) = (self.client.draw_uuid(), data.len() as u64);
                let (replace, file) = (load.replace, name.clone());
                let command = Command::Create { uuid, name, size, upload: None, replace };
                (command, data, file, load.revision)
            }
            FileCommand::Append { file, content, revision } => {
                let data = whole(self.data(content)?.0)?;
                (Command::Append { file: file.clone() }, data, file.clone(), *revision)
            }
            FileCommand::Delete { file, revision } => {
                (Command::Delete { file: file.clone() }, Bytes::new(), file.clone(), *revision)
            }
            FileCommand::Rename { file, name, revision } => {
                let command = Command::Rename { file: file.clone(), name: name.clone() };
                (command, Bytes::new(), file.clone(), *revision)
            }
            _ => return Err(Failure::Other(format!("`{part}` cannot be part of a batch"))),
        };
        Ok(match revision {
            Some(revision) => (command.if_revision(file, revision), data),
            None => (command, data),
        })
    }

    /// Adds these bytes to two files, or to none.
    pub(super) async fn append_both(
        &self,
        names: [&str; 2],
        line: &Bytes,
    ) -> Result<Done, ClientError> {
        let ticket = self.begin(Some(line), |content| Operation::AppendBoth {
            names: names.map(str::to_owned),
            content,
        });
        let parts = names.map(|name| (Command::Append { file: name.to_owned() }, &line[..]));
        let (command, data) = Command::batch(parts);
        let done = self.client.change(command, &data).await;
        self.end(&ticket, None, done)
    }

    /// Adds these bytes to a file, if nobody has changed it since it was seen.
    pub(super) async fn append_if(&self, seen: &Seen, line: Bytes) -> Result<Done, ClientError> {
        let Some(holds) = seen.content.clone() else {
            return self.append_data(seen.file.name.as_str(), line.into()).await;
        };
        let (file, name) = (&seen.file, seen.file.name.as_str());
        let ticket = self.begin(Some(&line), |content| Operation::AppendIf {
            name: name.to_owned(),
            holds: invariants::Content(holds),
            content,
        });
        // Another file may have got the name: what it is called says nothing.
        let uuid = file.uuid.to_string();
        let client = self.client.if_revision(&uuid, file.revision);
        let done = client.append_bytes(&uuid, line).await;
        let calls = &mut *self.calls.borrow_mut();
        let outcome = match &done {
            Ok(_) => Outcome::Done,
            Err(error) => match outcome_of(error) {
                Outcome::Unknown => Outcome::Unknown,
                _ => Outcome::NotDone,
            },
        };
        calls.end(&ticket, self.clock.now(), None, outcome);
        done
    }

    /// Adds these bytes to a file.
    pub(super) async fn append_data(&self, file: &str, data: Data) -> Result<Done, ClientError> {
        let ticket = self.begin(data.whole.as_deref(), |content| Operation::Append {
            name: file.to_owned(),
            content,
        });
        let transfer = self.transfer(format!("append to {file}"), data.size);
        let progress = |done| transfer.show(done);
        let done = self.client.append(file, data.size, data.chunks, progress).await;
        self.end(&ticket, None, done)
    }

    async fn get(
        &self,
        file: &str,
        path: &str,
        view: &View,
        how: Consistency,
    ) -> Result<String, Failure> {
        let path = self.base.join(path);
        let mut output = if self.writes { Some(Output::create(&path)?) } else { None };
        let size = match view {
            View::Whole => self.stat(file, how).await?.0.size,
            View::At(index) => self.version(file, *index, how).await?.size,
            View::Bytes { range, .. } => range.end.saturating_sub(range.start),
        };
        let transfer = self.transfer(format!("get {file}"), size);
        let mut done = 0;
        let write = |bytes: &[u8]| {
            done += bytes.len() as u64;
            transfer.show(done);
            output.as_mut().map_or(Ok(()), |output| output.write(bytes))
        };
        let read = self.view(file, view, how, write).await;
        let told = read.map_err(|error| match error {
            ClientError::Source(error) => HostError::io("write", &path, error).into(),
            error => Failure::File(error),
        })?;
        output.map_or(Ok(()), Output::keep)?;
        Ok(format!("wrote {told} to {}", path.display()))
    }

    /// What a file is, and the index that the answer includes.
    pub(super) async fn stat(
        &self,
        file: &str,
        how: Consistency,
    ) -> Result<(FileInfo, Index), Failure> {
        let done = self.client.with(how).query(Query::Stat { file: file.to_owned() }).await?;
        let Answer::Stat(info) = done.answer else { return Err(strange()) };
        if how != Consistency::Stale {
            self.calls.borrow_mut().learn(info.uuid, info.name.as_str());
        }
        Ok((info, done.index))
    }

    /// What a file was at this index.
    async fn version(
        &self,
        file: &str,
        at: Index,
        how: Consistency,
    ) -> Result<VersionInfo, Failure> {
        let query = Query::StatAt { file: file.to_owned(), index: at.0 };
        match self.client.with(how).query(query).await?.answer {
            Answer::Version(version) => Ok(version),
            _ => Err(strange()),
        }
    }

    /// Reads a file, as it is or was, or a part of it. Returns what that was, for people.
    async fn view(
        &self,
        file: &str,
        view: &View,
        how: Consistency,
        mut sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<String, ClientError> {
        let mut bytes = 0;
        let count = |chunk: &[u8]| {
            bytes += chunk.len() as u64;
            sink(chunk)
        };
        let client = self.client.with(how);
        let (what, index) = match view {
            View::Whole => {
                let Seen { file, index, .. } = self.read(file, how, count).await?;
                (format!("`{}`", file.name), index)
            }
            View::At(at) => {
                let done = client.read_at(file, *at, count).await?;
                let Answer::Version(version) = done.answer else { return Err(unknown_answer()) };
                let (name, revision) = (version.name, version.revision);
                (format!("`{name}` at entry {at}, revision {revision}"), done.index)
            }
            View::Bytes { range, revision } => {
                let done = client.read_range(file, range.clone(), *revision, count).await?;
                let Answer::Stat(info) = done.answer else { return Err(unknown_answer()) };
                let (from, to) = (range.start, range.start + bytes);
                let what =
                    format!("bytes {from}..{to} of `{}`, revision {}", info.name, info.revision);
                (what, done.index)
            }
        };
        Ok(format!("{what}: {}{}", Size(bytes), as_of(how, index)))
    }

    /// Reads a file, as it is. A stale read is not recorded.
    pub(super) async fn read(
        &self,
        file: &str,
        how: Consistency,
        mut sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Seen, ClientError> {
        let ticket = match how {
            Consistency::Stale => Ticket::unrecorded(),
            _ => self.begin(Some(&[]), |_| Operation::Read { name: file.to_owned() }),
        };
        let mut kept = Some(Vec::new());
        let keep = |bytes: &[u8]| {
            if let Some(content) = &mut kept {
                content.extend_from_slice(bytes);
            }
            kept.take_if(|content| content.len() > MAX_CONTENT);
            sink(bytes)
        };
        let read = self.client.with(how).read(file, keep).await;
        let calls = &mut *self.calls.borrow_mut();
        let now = self.clock.now();
        let (file, index) = match read.map(|done| (done.answer, done.index)) {
            Ok((Answer::Stat(file), index)) => (file, index),
            other => {
                let error = other.err().unwrap_or_else(unknown_answer);
                calls.end(&ticket, now, None, outcome_of(&error));
                return Err(error);
            }
        };
        let content = kept.map(Bytes::from);
        if how == Consistency::Stale {
            return Ok(Seen { file, content, index });
        }
        let name = file.name.as_str();
        calls.learn(file.uuid, name);
        let outcome = match &content {
            Some(content) => Outcome::Observed(invariants::Content(content.clone())),
            None => {
                calls.leave_out(name);
                Outcome::NotDone
            }
        };
        calls.end(&ticket, now, Some(name), outcome);
        Ok(Seen { file, content, index })
    }

    /// Whether a stale read has told the truth: what it saw is what the file was at the index that
    /// it named, and that index is committed. What cannot be found out is taken to be true.
    pub(super) async fn check_stale(&self, seen: &Seen) {
        let mut then = Vec::new();
        let keep = |bytes: &[u8]| {
            then.extend_from_slice(bytes);
            Ok(())
        };
        let (name, index) = (seen.file.name.as_str(), seen.index);
        let uuid = seen.file.uuid.to_string();
        let lie = match self.client.read_at(&uuid, index, keep).await {
            Ok(_) if seen.content.as_ref().is_none_or(|content| *content == then) => return,
            Ok(_) => format!("`{name}` had another content then"),
            Err(ClientError::Refused(
                refusal @ (Refusal::NotYet { .. } | Refusal::NoSuchFile { .. }),
            )) => refusal.to_string(),
            Err(_) => return,
        };
        self.calls.borrow_mut().untrue(format!(
            "a stale read of `{name}` said that it saw the files after entry {index}, and did not: \
             {lie}"
        ));
    }

    /// Makes a change that brings no bytes.
    pub(super) async fn change(
        &self,
        command: Command,
        operation: impl FnOnce(invariants::Content) -> Operation,
    ) -> Result<Done, ClientError> {
        let ticket = self.begin(Some(&[]), operation);
        let done = self.client.change(command, &[]).await;
        self.end(&ticket, None, done)
    }

    /// The bytes of a file of the host.
    fn host_data(&self, path: &Path) -> Result<Data, HostError> {
        let mut input = Input::open(path)?;
        let size = input.size;
        let whole = input.whole(MAX_CONTENT).map_err(|error| HostError::io("read", path, error))?;
        let chunks = match &whole {
            Some(bytes) => Chunks::Whole(bytes.clone()),
            None => input.chunks(self.clock_kind),
        };
        Ok(Data { size, whole, chunks })
    }

    fn begin(
        &self,
        content: Option<&[u8]>,
        operation: impl FnOnce(invariants::Content) -> Operation,
    ) -> Ticket {
        self.calls.borrow_mut().begin(self.number, self.clock.now(), content, operation)
    }

    /// Records the end of a change. `name` is the file's, if it is known whatever the answer.
    fn end(
        &self,
        ticket: &Ticket,
        name: Option<&str>,
        done: Result<Done, ClientError>,
    ) -> Result<Done, ClientError> {
        let calls = &mut *self.calls.borrow_mut();
        let now = self.clock.now();
        let done = match done {
            Ok(done) => done,
            Err(error) => {
                calls.end(ticket, now, name, outcome_of(&error));
                return Err(error);
            }
        };
        calls.learn_from(&done.answer);
        let name = match &done.answer {
            Answer::Created { file, .. } => Some(file.name.as_str()),
            Answer::Renamed { from, .. } => Some(from.as_str()),
            Answer::Appended { name, .. } | Answer::Deleted { name, .. } => Some(name.as_str()),
            _ => name,
        };
        calls.end(ticket, now, name, Outcome::Done);
        Ok(done)
    }

    /// Lets the screen show how far a transfer is, if it is a larger one of the foreground.
    fn transfer(&self, what: String, total: u64) -> Transfer<'_> {
        let larger = self.number == 0 && total > MAX_CONTENT as u64;
        Transfer { screen: larger.then_some(&*self.screen), what, total }
    }
}

/// A transfer that goes on until this is dropped.
struct Transfer<'a> {
    screen: Option<&'a dyn Screen>,
    what: String,
    total: u64,
}

impl Transfer<'_> {
    fn show(&self, done: u64) {
        if let Some(screen) = self.screen {
            screen.progress(Some(&Progress { what: self.what.clone(), done, total: self.total }));
        }
    }
}

impl Drop for Transfer<'_> {
    fn drop(&mut self) {
        if let Some(screen) = self.screen {
            screen.progress(None);
        }
    }
}

/// That a file was loaded, for people.
pub(super) fn loaded(file: &FileInfo) -> String {
    format!("loaded `{}`: {}, uuid {}", file.name, Size(file.size), file.uuid)
}

/// An error of a command that reads a file of the host.
fn reading(error: ClientError, path: &Path) -> Failure {
    match error {
        ClientError::Source(error) => HostError::io("read", path, error).into(),
        error => error.into(),
    }
}

/// What a change has done, for people.
fn told(answer: &Answer) -> Result<String, Failure> {
    Ok(match answer {
        Answer::Created { file, .. } => loaded(file),
        Answer::Appended { name, size, added, .. } => {
            format!("appended {} to `{name}`: {} now", Size(*added), Size(*size))
        }
        Answer::Deleted { uuid, name, .. } => format!("deleted `{name}`, uuid {uuid}"),
        Answer::Renamed { from, name, .. } => format!("`{from}` is `{name}` now"),
        _ => return Err(strange()),
    })
}

/// Of a stale answer, which entry it is as of.
fn as_of(how: Consistency, index: Index) -> String {
    if how == Consistency::Stale { format!(", as of entry {index}") } else { String::new() }
}

/// The name that a file is to have.
fn name_of(load: &Load, path: &Path) -> Result<String, HostError> {
    match (&load.name, path.file_name()) {
        (Some(name), _) => Ok(name.clone()),
        (None, Some(name)) => Ok(name.to_string_lossy().into_owned()),
        (None, None) => Err(HostError::Directory(path.to_owned())),
    }
}

/// An answer to something else than was asked.
fn strange() -> Failure {
    unknown_answer().into()
}

fn unknown_answer() -> ClientError {
    Refusal::UnknownAnswer { bytes: 0 }.into()
}
