//! Files: put, get, append, delete, rename, stat, list.

use std::cell::RefCell;
use std::fmt::Write;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION, RANGE,
};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::{Body, Upload};
use super::condition::{Permission, Preconditions, Version, etag, range_counts};
use super::content::{Announced, MEMORY, Of, PAGE, Pages};
use super::gate::Visitor;
use super::key::{Caller, Fingerprint};
use super::parameters::{self, By, Change, Get, List, Put};
use super::problem::{Code, Problem};
use super::range::Wanted;
use super::worker::{Worker, path_of, reference};
use crate::actors::{Client, Done};
use crate::files::{Answer, CHUNK_BYTES, Command, FileInfo, FileName, MAX_PAGE, Query};

/// A file, as it is told.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct File {
    /// Its identity, which never changes.
    uuid: Uuid,
    /// Its name, unique at any time.
    name: String,
    /// Its size in bytes.
    size: u64,
    /// The blake3 hash of its content, in hexadecimal: what `b3sum` prints. Not told of versions of
    /// the past.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    /// How often it was created, appended to or renamed: 1 when new.
    revision: u64,
    /// The log index of its last change.
    index: u64,
    /// The file that had the name before, and is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaced: Option<Uuid>,
}

/// What an append did.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Appended {
    /// The file.
    uuid: Uuid,
    /// Its name.
    name: String,
    /// Its size now, in bytes.
    size: u64,
    /// Its revision now.
    revision: u64,
    /// Bytes added.
    added: u64,
    /// A log index by which the change was made.
    index: u64,
}

/// What a rename did.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Renamed {
    /// The file.
    uuid: Uuid,
    /// The name it had.
    from: String,
    /// Its name now.
    name: String,
    /// Its revision now.
    revision: u64,
    /// A log index by which the change was made.
    index: u64,
}

/// A file's new name.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewName {
    /// The name, which no file has.
    pub(super) to: String,
}

/// A page of files.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Page {
    /// The files, by name.
    files: Vec<File>,
    /// The name to ask for more behind; `null` if there are no more.
    next: Option<String>,
    /// The log index that the page includes.
    index: u64,
}

/// What a body is to become.
struct Deed<'a> {
    /// The word that tells it from others, and what else does.
    word: &'static str,
    file: String,
    terms: Terms,
    /// The new file's name, and whether it may take the place of another; none is appended.
    create: Option<(&'a FileName, bool)>,
}

/// What the headers of a request say of the change that it asks for.
struct Terms {
    conditions: Preconditions,
    /// Whose key it is made under, if it has one.
    caller: Option<Caller>,
}

/// Files of a page, unless it is said how many.
const FILES: u64 = 100;
/// Bytes of a small body in JSON.
pub(super) const SMALL: usize = 16 * 1024;
/// The revision of a file, as in its ETag.
const REVISION: &str = "x-jangada-revision";
/// The log index that an answer includes.
const INDEX: &str = "x-jangada-index";
/// The blake3 hash of a content.
const HASH: &str = "x-jangada-hash";

impl From<FileInfo> for File {
    fn from(file: FileInfo) -> Self {
        let FileInfo { uuid, name, size, hash, revision, index } = file;
        let (name, hash) = (name.to_string(), Some(hash.to_string()));
        Self { uuid, name, size, hash, revision, index, replaced: None }
    }
}

impl Terms {
    fn of(request: &HttpRequest, visitor: &Visitor<'_>) -> Result<Self, Problem> {
        let headers = request.headers();
        let caller = Caller::of(headers, visitor.owner())?;
        Ok(Self { conditions: Preconditions::of(headers)?, caller })
    }
}

impl Deed<'_> {
    /// The command: from the upload, or with all data beside it.
    fn command(self, uuid: Uuid, size: u64, upload: Option<Uuid>) -> Command {
        let file = self.file.clone();
        let command = match (self.create, upload) {
            (Some((name, replace)), upload) => {
                Command::Create { uuid, name: name.to_string(), size, upload, replace }
            }
            (None, Some(upload)) => Command::AppendStaged { file, upload, size },
            (None, None) => Command::Append { file },
        };
        self.terms.conditions.around(&self.file, command)
    }

    /// The client, for this request under its key if it has one.
    fn client(&self, client: Client, content: &blake3::Hash) -> Client {
        let Some(caller) = self.terms.caller else { return client };
        let mut fingerprint = Fingerprint::default();
        let replace = self.create.is_none_or(|(_, replace)| replace);
        fingerprint.add(self.word.as_bytes()).add(self.file.as_bytes()).add(&[u8::from(replace)]);
        fingerprint.add(format!("{:?}", self.terms.conditions).as_bytes()).add(content.as_bytes());
        client.keyed(caller.key(&fingerprint))
    }
}

impl Worker {
    pub(super) async fn put(
        &self,
        request: &HttpRequest,
        payload: Payload,
        visitor: &Visitor<'_>,
        name: &FileName,
    ) -> Result<HttpResponse, Problem> {
        let Put { replace, redirect } = parameters::of(request)?;
        let terms = Terms::of(request, visitor)?;
        let (file, create) = (reference(name, By::Name), Some((name, replace)));
        let deed = Deed { word: "put", file, terms, create };
        self.stay(request, redirect)?;
        let done = self.deliver(request, payload, deed).await?;
        let index = done.index.0;
        let Answer::Created { file, replaced } = done.answer else { return Err(unexpected()) };
        let status = if replaced.is_some() { StatusCode::OK } else { StatusCode::CREATED };
        let mut response = HttpResponse::build(status);
        if replaced.is_none() {
            response.insert_header((LOCATION, path_of(file.name.as_str())));
        }
        describe(&mut response, (file.uuid, file.revision), index);
        Ok(json(response, &File { replaced, ..file.into() }))
    }

    pub(super) async fn append(
        &self,
        request: &HttpRequest,
        payload: Payload,
        visitor: &Visitor<'_>,
        name: &FileName,
    ) -> Result<HttpResponse, Problem> {
        let Change { by, redirect } = parameters::of(request)?;
        let terms = Terms::of(request, visitor)?;
        let deed = Deed { word: "append", file: reference(name, by), terms, create: None };
        self.stay(request, redirect)?;
        let done = self.deliver(request, payload, deed).await?;
        let index = done.index.0;
        let Answer::Appended { uuid, name, size, revision, added } = done.answer else {
            return Err(unexpected());
        };
        let mut response = HttpResponse::Ok();
        describe(&mut response, (uuid, revision), index);
        let name = name.to_string();
        Ok(json(response, &Appended { uuid, name, size, revision, added, index }))
    }

    /// Brings a body into the cluster and has done with it what is to be done.
    async fn deliver(
        &self,
        request: &HttpRequest,
        payload: Payload,
        deed: Deed<'_>,
    ) -> Result<Done, Problem> {
        let limits = &self.shared.config.limits;
        let mut body = Body::new(request, payload, limits, u64::MAX)?;
        let memory = self.shared.hold(body.memory())?;
        let client = self.writer()?;
        let first = body.chunk(CHUNK_BYTES).await?;
        self.shared.meter.received.fetch_add(first.len() as u64, Relaxed);
        if first.len() < CHUNK_BYTES || body.is_over() {
            let client = match deed.terms.caller {
                Some(_) => deed.client(client, &blake3::hash(&first)),
                None => client,
            };
            let command = deed.command(client.draw_uuid(), first.len() as u64, None);
            return Ok(client.change(command, &first).await?);
        }
        let Deed { word, file, terms, create } = deed;
        let create = create.map(|(name, replace)| (name.clone(), replace));
        let shared = std::sync::Arc::clone(&self.shared);
        // The client may go away meanwhile: what was staged must be dropped then.
        let task = actix_web::rt::spawn(async move {
            let _memory = memory;
            let create = create.as_ref().map(|(name, replace)| (name, *replace));
            let deed = Deed { word, file, terms, create };
            let onto = match deed.create {
                Some(_) => None,
                None => match client.query(Query::Stat { file: deed.file.clone() }).await?.answer {
                    Answer::Stat(info) => Some(info.uuid),
                    _ => None,
                },
            };
            let size = body.length();
            let hasher = Rc::new(RefCell::new(blake3::Hasher::new()));
            let source = Upload { first: Some(first), body, hasher: Rc::clone(&hasher) };
            let (upload, size) = client.stage(size, onto, source, |_| {}).await?;
            shared.meter.received.fetch_add(size - CHUNK_BYTES as u64, Relaxed);
            let client = deed.client(client, &hasher.borrow().finalize());
            let command = deed.command(client.draw_uuid(), size, Some(upload));
            Ok(client.use_upload(upload, command).await?)
        });
        task.await.unwrap_or_else(|_| Err(unexpected()))
    }

    pub(super) async fn delete(
        &self,
        request: &HttpRequest,
        visitor: &Visitor<'_>,
        name: &FileName,
    ) -> Result<HttpResponse, Problem> {
        let Change { by, redirect } = parameters::of(request)?;
        self.stay(request, redirect)?;
        let file = reference(name, by);
        let command = Command::Delete { file: file.clone() };
        let done = self.change(request, visitor, "delete", &file, command).await?;
        Ok(HttpResponse::NoContent().insert_header((INDEX, done.index.0)).finish())
    }

    pub(super) async fn rename(
        &self,
        request: &HttpRequest,
        payload: Payload,
        visitor: &Visitor<'_>,
        name: &FileName,
    ) -> Result<HttpResponse, Problem> {
        let Change { by, redirect } = parameters::of(request)?;
        self.stay(request, redirect)?;
        let NewName { to } = self.small(request, payload).await?;
        FileName::new(&to).map_err(|reason| {
            let detail = format!("`{}` is no file name: {reason}", to.escape_debug());
            Problem::new(Code::BadName, detail)
        })?;
        let file = reference(name, by);
        let command = Command::Rename { file: file.clone(), name: to };
        let done = self.change(request, visitor, "rename", &file, command).await?;
        let index = done.index.0;
        let Answer::Renamed { uuid, from, name, revision } = done.answer else {
            return Err(unexpected());
        };
        let mut response = HttpResponse::Ok();
        response.insert_header((LOCATION, path_of(name.as_str())));
        describe(&mut response, (uuid, revision), index);
        let (from, name) = (from.to_string(), name.to_string());
        Ok(json(response, &Renamed { uuid, from, name, revision, index }))
    }

    /// Makes a change without content, under its conditions and its key.
    async fn change(
        &self,
        request: &HttpRequest,
        visitor: &Visitor<'_>,
        word: &str,
        file: &str,
        command: Command,
    ) -> Result<Done, Problem> {
        let Terms { conditions, caller } = Terms::of(request, visitor)?;
        let mut client = self.writer()?;
        let command = conditions.around(file, command);
        if let Some(caller) = caller {
            let mut fingerprint = Fingerprint::default();
            fingerprint.add(word.as_bytes()).add(format!("{command:?}").as_bytes());
            client = client.keyed(caller.key(&fingerprint));
        }
        Ok(client.change(command, &[]).await?)
    }

    pub(super) async fn get(
        &self,
        request: &HttpRequest,
        name: &FileName,
    ) -> Result<HttpResponse, Problem> {
        let Get { at, consistency, by, redirect } = parameters::of(request)?;
        self.stay(request, redirect)?;
        let conditions = Preconditions::of(request.headers())?;
        let wanted = request.headers().get(RANGE).and_then(|range| range.to_str().ok());
        let wanted = wanted.and_then(Wanted::parse);
        let whole = request.method() != actix_web::http::Method::HEAD;
        let client = self.reader(consistency.into());
        let file = reference(name, by);
        if let Some(index) = at {
            let done = client.query(Query::StatAt { file: file.clone(), index }).await?;
            let Answer::Version(found) = done.answer else { return Err(unexpected()) };
            let version = (found.uuid, found.revision);
            let content = Content {
                client,
                of: Of::Index(file, index),
                version,
                size: found.size,
                hash: None,
                offset: 0,
                here: Bytes::new(),
                index: done.index.0,
            };
            return self.send(request, content, &conditions, wanted, whole);
        }
        // What can be said with the first page needs no second question.
        let offset = wanted.map_or(Some(0), Wanted::start);
        let limit = if whole && conditions.is_empty() && offset.is_some() { PAGE } else { 0 };
        let offset = offset.unwrap_or(0);
        let done = client.query(Query::Fetch { file, offset, limit }).await?;
        let Answer::Fetched { file, offset, bytes } = done.answer else {
            return Err(unexpected());
        };
        let version = (file.uuid, file.revision);
        let content = Content {
            client,
            of: Of::Version(version),
            version,
            size: file.size,
            hash: Some(file.hash.to_string()),
            offset,
            here: bytes,
            index: done.index.0,
        };
        self.send(request, content, &conditions, wanted, whole)
    }

    /// Answers with a content, or the part of it that is wanted.
    fn send(
        &self,
        request: &HttpRequest,
        content: Content,
        conditions: &Preconditions,
        wanted: Option<Wanted>,
        whole: bool,
    ) -> Result<HttpResponse, Problem> {
        let Content { client, of, version, size, hash, offset, here, index } = content;
        let permission = conditions.permit(version)?;
        let wanted = wanted.filter(|_| range_counts(request.headers(), version));
        let status = match (permission, wanted) {
            (Permission::NotModified, _) => StatusCode::NOT_MODIFIED,
            (Permission::Granted, Some(_)) => StatusCode::PARTIAL_CONTENT,
            (Permission::Granted, None) => StatusCode::OK,
        };
        let mut response = HttpResponse::build(status);
        describe(&mut response, version, index);
        if permission == Permission::NotModified {
            return Ok(response.finish());
        }
        let range = match wanted {
            None => 0..size,
            Some(wanted) => {
                let range = wanted.within(size).ok_or_else(|| Problem::beyond(size))?;
                let mut shown = String::new();
                let _ = write!(shown, "bytes {}-{}/{size}", range.start, range.end - 1);
                response.insert_header((CONTENT_RANGE, shown));
                range
            }
        };
        response.insert_header((CONTENT_TYPE, "application/octet-stream"));
        response.insert_header((ACCEPT_RANGES, "bytes"));
        if let Some(hash) = hash {
            response.insert_header((HASH, hash));
        }
        let length = range.end - range.start;
        if !whole {
            return Ok(response.body(Announced(length)));
        }
        self.shared.meter.sent.fetch_add(length, Relaxed);
        // What came begins where it was asked for, which may not be what counts in the end.
        let here = if offset == range.start { here } else { Bytes::new() };
        let here = here.slice(..here.len().min(usize::try_from(length).unwrap_or(usize::MAX)));
        if here.len() as u64 == length {
            return Ok(response.body(here));
        }
        let memory = self.shared.hold(MEMORY)?;
        Ok(response.body(Pages::new(client, of, range, here, memory)))
    }

    pub(super) async fn stat(
        &self,
        request: &HttpRequest,
        name: &FileName,
    ) -> Result<HttpResponse, Problem> {
        let Get { at, consistency, by, redirect } = parameters::of(request)?;
        self.stay(request, redirect)?;
        let client = self.reader(consistency.into());
        let file = reference(name, by);
        let query = match at {
            Some(index) => Query::StatAt { file, index },
            None => Query::Stat { file },
        };
        let done = client.query(query).await?;
        let file: File = match done.answer {
            Answer::Stat(info) => info.into(),
            Answer::Version(found) => File {
                uuid: found.uuid,
                name: found.name.to_string(),
                size: found.size,
                hash: None,
                revision: found.revision,
                index: found.index,
                replaced: None,
            },
            _ => return Err(unexpected()),
        };
        let mut response = HttpResponse::Ok();
        describe(&mut response, (file.uuid, file.revision), done.index.0);
        Ok(json(response, &file))
    }

    pub(super) async fn list(&self, request: &HttpRequest) -> Result<HttpResponse, Problem> {
        let List { after, limit, consistency, redirect } = parameters::of(request)?;
        self.stay(request, redirect)?;
        let limit = limit.unwrap_or(FILES);
        if !(1..=MAX_PAGE as u64).contains(&limit) {
            let detail = format!("`limit` is {limit}, and must be from 1 to {MAX_PAGE}");
            return Err(Problem::new(Code::BadParameter, detail));
        }
        let client = self.reader(consistency.into());
        let done = client.query(Query::List { after, limit }).await?;
        let Answer::List { files, more } = done.answer else { return Err(unexpected()) };
        let next = files.last().filter(|_| more).map(|file| file.name.to_string());
        let files = files.into_iter().map(File::from).collect();
        Ok(json(HttpResponse::Ok(), &Page { files, next, index: done.index.0 }))
    }

    /// A small body in JSON.
    pub(super) async fn small<T: serde::de::DeserializeOwned>(
        &self,
        request: &HttpRequest,
        payload: Payload,
    ) -> Result<T, Problem> {
        let limits = &self.shared.config.limits;
        let body = Body::new(request, payload, limits, SMALL as u64)?;
        parameters::json(&body.all(SMALL).await?)
    }
}

/// A content that is to be sent.
struct Content {
    client: Client,
    of: Of,
    version: Version,
    size: u64,
    hash: Option<String>,
    /// Where `here` begins.
    offset: u64,
    here: Bytes,
    /// The log index that the answer includes.
    index: u64,
}

/// The headers of every answer about one file.
fn describe(response: &mut HttpResponseBuilder, version: Version, index: u64) {
    response.insert_header((ETAG, etag(version)));
    response.insert_header((HeaderName::from_static(REVISION), HeaderValue::from(version.1)));
    response.insert_header((HeaderName::from_static(INDEX), HeaderValue::from(index)));
}

/// An answer in JSON.
pub(super) fn json(mut response: HttpResponseBuilder, answer: &impl Serialize) -> HttpResponse {
    let mut body = serde_json::to_vec(answer).expect("invariant: answers serialize");
    body.push(b'\n');
    response.insert_header((CONTENT_TYPE, "application/json")).body(body)
}

/// The cluster answered something else than was asked.
pub(super) fn unexpected() -> Problem {
    Problem::new(Code::Internal, "the cluster gave an answer that was not asked for")
}
