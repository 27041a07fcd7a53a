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
use crate::actors::{Client, ClientError, Clock, ClockKind, Done};
use crate::files::{Answer, Command, FileInfo, Query, Refusal, Size};
use crate::invariants::{self, Operation, Outcome};
use crate::script::{Content, FileCommand, Load};

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

impl Caller {
    /// Carries a command out and shows what it asked for. Returns what came of it, for people.
    pub(super) async fn call(&self, command: &FileCommand) -> Result<String, Failure> {
        match command {
            FileCommand::Load(load) => self.load(load).await.map(|file| loaded(&file)),
            FileCommand::List => {
                let files = self.client.list().await?;
                self.screen.files(&files);
                Ok(format!("{} files", files.len()))
            }
            FileCommand::Get { file, path } => self.get(file, path).await,
            FileCommand::Cat(file) => {
                let screen = self.screen.clone();
                let show = |bytes: &[u8]| {
                    screen.content(bytes);
                    Ok(())
                };
                let (file, _) = self.read(file, show).await?;
                Ok(format!("that was `{}`: {}", file.name, Size(file.size)))
            }
            FileCommand::Append { file, content } => self.append(file, content).await,
            FileCommand::Delete(file) => {
                let operation = |_| Operation::Delete { name: file.clone() };
                let command = Command::Delete { file: file.clone() };
                let done = self.change(command, operation).await?;
                let Answer::Deleted { uuid, name, .. } = done.answer else { return Err(strange()) };
                Ok(format!("deleted `{name}`, uuid {uuid}"))
            }
            FileCommand::Rename { file, name } => {
                let operation = |_| Operation::Rename { from: file.clone(), to: name.clone() };
                let command = Command::Rename { file: file.clone(), name: name.clone() };
                let done = self.change(command, operation).await?;
                let Answer::Renamed { from, name, .. } = done.answer else { return Err(strange()) };
                Ok(format!("`{from}` is `{name}` now"))
            }
            FileCommand::Stat(file) => {
                let file = self.stat(file).await?;
                self.screen.say(&format!(
                    "name      {}\nuuid      {}\nsize      {} bytes\nblake3    {}\nrevision  {}",
                    file.name, file.uuid, file.size, file.hash, file.revision
                ));
                Ok(format!("that was `{}`", file.name))
            }
        }
    }

    /// Loads a file of the host.
    pub(super) async fn load(&self, load: &Load) -> Result<FileInfo, Failure> {
        let path = self.base.join(&load.path);
        let data = self.host_data(&path)?;
        let name = match (&load.name, path.file_name()) {
            (Some(name), _) => name.clone(),
            (None, Some(name)) => name.to_string_lossy().into_owned(),
            (None, None) => return Err(HostError::Directory(path).into()),
        };
        let done = self.create(&name, data, load.replace).await;
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

    async fn append(&self, file: &str, content: &Content) -> Result<String, Failure> {
        let (data, path) = match content {
            Content::Text(text) => (Data::from(Bytes::copy_from_slice(text)), PathBuf::new()),
            Content::Path(path) => {
                let path = self.base.join(path);
                (self.host_data(&path)?, path)
            }
        };
        let done = self.append_data(file, data).await.map_err(|error| reading(error, &path))?;
        let Answer::Appended { name, size, added, .. } = done.answer else {
            return Err(strange());
        };
        Ok(format!("appended {} to `{name}`: {} now", Size(added), Size(size)))
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

    async fn get(&self, file: &str, path: &str) -> Result<String, Failure> {
        let path = self.base.join(path);
        let mut output = if self.writes { Some(Output::create(&path)?) } else { None };
        let size = self.stat(file).await?.size;
        let transfer = self.transfer(format!("get {file}"), size);
        let mut done = 0;
        let write = |bytes: &[u8]| {
            done += bytes.len() as u64;
            transfer.show(done);
            output.as_mut().map_or(Ok(()), |output| output.write(bytes))
        };
        let read = self.read(file, write).await;
        let (file, _) = read.map_err(|error| match error {
            ClientError::Source(error) => HostError::io("write", &path, error).into(),
            error => Failure::File(error),
        })?;
        output.map_or(Ok(()), Output::keep)?;
        Ok(format!("wrote `{}` to {}: {}", file.name, path.display(), Size(file.size)))
    }

    /// What a file is.
    pub(super) async fn stat(&self, file: &str) -> Result<FileInfo, Failure> {
        let done = self.client.query(Query::Stat { file: file.to_owned() }).await?;
        let Answer::Stat(info) = done.answer else { return Err(strange()) };
        self.calls.borrow_mut().learn(info.uuid, info.name.as_str());
        Ok(info)
    }

    /// Reads a file. Returns what it is, and its content if that is not too long to keep.
    pub(super) async fn read(
        &self,
        file: &str,
        mut sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(FileInfo, Option<Bytes>), ClientError> {
        let ticket = self.begin(Some(&[]), |_| Operation::Read { name: file.to_owned() });
        let mut kept = Some(Vec::new());
        let keep = |bytes: &[u8]| {
            if let Some(content) = &mut kept {
                content.extend_from_slice(bytes);
            }
            kept.take_if(|content| content.len() > MAX_CONTENT);
            sink(bytes)
        };
        let read = self.client.read(file, keep).await;
        let calls = &mut *self.calls.borrow_mut();
        let now = self.clock.now();
        let info = match read.map(|done| done.answer) {
            Ok(Answer::Stat(info)) => info,
            other => {
                let error = other.err().unwrap_or(Refusal::UnknownAnswer { bytes: 0 }.into());
                calls.end(&ticket, now, None, outcome_of(&error));
                return Err(error);
            }
        };
        let name = info.name.as_str();
        calls.learn(info.uuid, name);
        let content = kept.map(Bytes::from);
        let outcome = match &content {
            Some(content) => Outcome::Observed(invariants::Content(content.clone())),
            None => {
                calls.leave_out(name);
                Outcome::NotDone
            }
        };
        calls.end(&ticket, now, Some(name), outcome);
        Ok((info, content))
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
        let name = match &done.answer {
            Answer::Created { file, .. } => {
                calls.learn(file.uuid, file.name.as_str());
                Some(file.name.as_str())
            }
            Answer::Appended { uuid, name, .. } => {
                calls.learn(*uuid, name.as_str());
                Some(name.as_str())
            }
            Answer::Renamed { uuid, from, name, .. } => {
                calls.learn(*uuid, name.as_str());
                Some(from.as_str())
            }
            Answer::Deleted { name, .. } => Some(name.as_str()),
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

/// An answer to something else than was asked.
fn strange() -> Failure {
    ClientError::from(Refusal::UnknownAnswer { bytes: 0 }).into()
}
